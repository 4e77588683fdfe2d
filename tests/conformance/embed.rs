//! Lists the cases of the conformance suite, so that the program carries them: `tests/conformance/cases/<group>/<name>.toml`.
//!
//! A macro that reads folders would not notice a new file until something else changes; cargo does when it is told the folder.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let folder = root.join("tests/conformance/cases");
    watch(&folder)?;
    let mut files = Vec::new();
    for group in children(&folder)? {
        watch(&group)?;
        if group.is_dir() {
            files.extend(children(&group)?);
        }
    }
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension == "toml")
    });
    let lines = files.iter().map(|file| {
        let name = file.strip_prefix(&folder).unwrap_or(file);
        let name = name.with_extension("").display().to_string();
        format!("    ({name:?}, include_str!({file:?})),\n")
    });
    let list = format!("&[\n{}]\n", lines.collect::<String>());
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("conformance_cases.rs"), list)
}

/// Has cargo run this again when something in the folder changes.
fn watch(folder: &Path) -> io::Result<()> {
    writeln!(io::stdout(), "cargo::rerun-if-changed={}", folder.display())
}

/// What is in a folder, in order of names.
fn children(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    found.sort();
    Ok(found)
}
