//! The rules of the house: which module may use which (the table in the crate docs), and how files begin.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each module and what it may use, itself left out.
const MAY_USE: [(&str, &[&str]); 14] = [
    ("engine", &["events"]),
    ("events", &[]),
    ("facts", &[]),
    ("protocol", &[]),
    ("settings", &[]),
    ("upstream", &["facts", "protocol"]),
    ("store", &["events", "facts"]),
    ("telemetry", &["events", "facts"]),
    (
        "tasks",
        &["engine", "events", "facts", "protocol", "upstream", "store"],
    ),
    ("dashboard", &["events", "facts", "store"]),
    (
        "server",
        &[
            "engine",
            "events",
            "facts",
            "protocol",
            "tasks",
            "store",
            "upstream",
            "dashboard",
        ],
    ),
    ("simulator", &[]),
    ("conformance", &[]),
    ("app", &["*"]),
];

/// Modules that may use everything.
const ROOTS: [&str; 3] = ["cli", "lib", "main"];

#[test]
fn a_module_uses_only_what_the_table_allows() {
    let mut faults = Vec::new();
    for file in sources() {
        let module = module_of(&file);
        if ROOTS.contains(&module.as_str()) {
            continue;
        }
        let (_, allowed) = MAY_USE
            .iter()
            .find(|(name, _)| *name == module)
            .unwrap_or_else(|| panic!("{} belongs to no module of the table", file.display()));
        for used in used_modules(&fs::read_to_string(&file).unwrap()) {
            let is_allowed =
                used == module || allowed.contains(&used.as_str()) || allowed.contains(&"*");
            if !is_allowed {
                faults.push(format!(
                    "{}: `{module}` must not use `{used}`",
                    file.display()
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    for file in sources() {
        let text = fs::read_to_string(&file).unwrap();
        assert!(
            text.starts_with("//! "),
            "{} does not begin with `//!`",
            file.display()
        );
    }
}

#[test]
fn the_scan_sees_what_it_looks_for() {
    let text = "use crate::store::Store;\nuse crate::{engine, telemetry::spans};\nlet x = crate::upstream::Client;\n";
    let seen = used_modules(text);
    assert_eq!(
        seen.into_iter().collect::<Vec<_>>(),
        ["engine", "store", "telemetry", "upstream"]
    );
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    assert!(found.len() > 30, "the sources were not found");
    found
}

fn module_of(file: &Path) -> String {
    let inside = file
        .strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
        .unwrap();
    let first = inside
        .components()
        .next()
        .unwrap()
        .as_os_str()
        .to_str()
        .unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The first path segment after every `crate::`, in groups too.
fn used_modules(text: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let code = code.collect::<Vec<_>>().join("\n");
    for (at, _) in code.match_indices("crate::") {
        let rest = code.get(at + "crate::".len()..).unwrap_or_default();
        match rest.strip_prefix('{') {
            Some(group) => used.extend(group_heads(group)),
            None => used.extend(head(rest)),
        }
    }
    used
}

/// The heads of a `{a, b::{c, d}, e}` group, without its opening brace.
fn group_heads(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut heads = Vec::new();
    let mut item = String::new();
    for character in group.chars() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.extend(head(&std::mem::take(&mut item))),
            _ if depth == 0 => item.push(character),
            _ => {}
        }
    }
    heads.extend(head(&item));
    heads
}

fn head(path: &str) -> Option<String> {
    let name: String = path
        .trim_start()
        .chars()
        .take_while(|c| c.is_ascii_lowercase() || *c == '_')
        .collect();
    (!name.is_empty() && name != "self").then_some(name)
}
