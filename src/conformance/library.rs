//! Where cases come from: compiled in, or a folder of the user's.

use std::fs;
use std::path::{Path, PathBuf};

use super::case::Case;

/// The files of `tests/conformance/cases`, by `group/name`.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/conformance_cases.rs"));

/// Why cases cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is no case.
    #[error("{name} is no case: {fault}")]
    NoCase {
        /// Which.
        name: String,
        /// Why.
        fault: String,
    },
}

/// The cases that are part of the program.
///
/// # Errors
/// When one is no case, which a test would have shown.
pub fn embedded() -> Result<Vec<Case>, Error> {
    FILES.iter().map(|(name, file)| parse(name, file)).collect()
}

/// The cases of a folder with a folder for each group.
///
/// # Errors
/// When something cannot be read, or is no case.
pub fn read_folder(folder: &Path) -> Result<Vec<Case>, Error> {
    let mut cases = Vec::new();
    for group in children(folder)?.iter().filter(|path| path.is_dir()) {
        for path in children(group)? {
            if path.extension().is_none_or(|extension| extension != "toml") {
                continue;
            }
            let file = fs::read_to_string(&path).map_err(|source| Error::Unreadable {
                path: path.clone(),
                source,
            })?;
            let inside = path.strip_prefix(folder).unwrap_or(&path);
            cases.push(parse(&inside.with_extension("").to_string_lossy(), &file)?);
        }
    }
    Ok(cases)
}

fn parse(name: &str, file: &str) -> Result<Case, Error> {
    Case::parse(name, file).map_err(|fault| Error::NoCase {
        name: name.to_owned(),
        fault,
    })
}

fn children(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(folder)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| Error::Unreadable {
            path: folder.to_owned(),
            source,
        })?;
    let mut paths: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
    paths.sort();
    Ok(paths)
}
