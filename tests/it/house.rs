//! The rules of the house: which module may use which (the table in the crate docs), which words it must not have, how
//! files begin, and how long they may be.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The map, whose table says which module may use which.
const MAP: &str = include_str!("../../src/lib.rs");

/// Files that may use everything: they only name the modules.
const ROOTS: [&str; 2] = ["lib", "main"];

/// Words that the code of a module must not have, because of what the module does not know.
const UNKNOWN: [(&str, &[&str]); 3] = [
    (
        "protocol",
        &["tokio", "std::fs", "std::net", "::now()", "async fn"],
    ),
    ("engine", &["actix", "reqwest", "rusqlite"]),
    ("tasks", &["actix"]),
];

/// The most lines of a file, tests left out.
const LONGEST: usize = 500;

/// A row of the map's table: the module, and what it may use, itself left out.
type Row = (String, Vec<String>);

/// The table of the map.
fn table() -> Vec<Row> {
    let rows = MAP
        .lines()
        .skip_while(|line| !line.starts_with("//! | module |"));
    let rows = rows.skip(2).map_while(|line| line.strip_prefix("//! | "));
    rows.map(row).collect()
}

fn row(line: &str) -> Row {
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    let module = cells[0].trim_matches(['[', ']', '`']).to_owned();
    let words = match cells[2] {
        "nothing" => Vec::new(),
        "all" => vec!["*".to_owned()],
        words => words
            .split(',')
            .map(|word| word.trim().trim_matches('`').to_owned())
            .collect(),
    };
    (module, words)
}

#[test]
fn a_module_uses_only_what_the_table_allows() {
    let table = table();
    let mut faults = Vec::new();
    for file in sources() {
        let module = module_of(&file);
        if ROOTS.contains(&module.as_str()) {
            continue;
        }
        let (_, allowed) = table
            .iter()
            .find(|(name, _)| *name == module)
            .unwrap_or_else(|| panic!("{} belongs to no module of the table", file.display()));
        for used in used_modules(&fs::read_to_string(&file).unwrap()) {
            let is_allowed =
                used == module || allowed.iter().any(|name| *name == used || name == "*");
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
fn the_table_names_each_module_of_the_crate_once_and_none_besides() {
    let mut named: Vec<String> = table().into_iter().map(|(module, _)| module).collect();
    named.sort();
    let declared = MAP.lines().filter_map(|line| line.strip_prefix("pub mod "));
    let declared: Vec<&str> = declared.map(|name| name.trim_end_matches(';')).collect();
    assert_eq!(named, declared);
    let known = |word: &String| word == "*" || named.contains(word);
    let strangers: Vec<String> = table()
        .into_iter()
        .flat_map(|(_, words)| words)
        .filter(|word| !known(word))
        .collect();
    assert!(
        strangers.is_empty(),
        "the table lets modules use {strangers:?}, which are none"
    );
}

#[test]
fn a_module_has_no_word_for_what_it_does_not_know() {
    let mut faults = Vec::new();
    for (file, code) in code_without_tests() {
        let module = module_of(&file);
        let words = UNKNOWN.iter().find(|(name, _)| *name == module);
        for word in words.map_or(&[][..], |(_, words)| words) {
            for (number, line) in code.lines().enumerate() {
                if !line.trim_start().starts_with("//") && line.contains(word) {
                    faults.push(format!("{}:{}: `{word}`", file.display(), number + 1));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_file_is_too_long_to_be_read_at_once() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (file, code) in code_without_tests() {
        let name = file.strip_prefix(root).unwrap().display().to_string();
        let lines = code.lines().count();
        assert!(
            lines <= LONGEST,
            "{name} has {lines} lines, more than {LONGEST}"
        );
    }
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

#[test]
fn the_scan_leaves_tests_out() {
    let text = "//! It.\nmod a;\n#[cfg(test)]\nmod b;\nfn c() {}\n#[cfg(test)]\nmod tests {\n    fn d() {}\n}\n";
    assert_eq!(
        without_tests(text),
        "//! It.\nmod a;\n#[cfg(test)]\nmod b;\nfn c() {}\n"
    );
    let file = Path::new("src/x/mod.rs");
    assert_eq!(test_files(file, text), [PathBuf::from("src/x/b")]);
    assert_eq!(
        test_files(Path::new("src/y.rs"), text),
        [PathBuf::from("src/y/b")]
    );
}

/// Every source file that is not there for tests alone, with its text but for the tests at its end.
fn code_without_tests() -> Vec<(PathBuf, String)> {
    let read = |file: PathBuf| {
        let text = fs::read_to_string(&file).unwrap();
        (file, text)
    };
    let all: Vec<(PathBuf, String)> = sources().into_iter().map(read).collect();
    let tests: Vec<PathBuf> = all
        .iter()
        .flat_map(|(file, text)| test_files(file, text))
        .collect();
    let is_test = |file: &Path| {
        let stem = file.with_extension("");
        tests.iter().any(|test| stem.starts_with(test))
    };
    all.into_iter()
        .filter(|(file, _)| !is_test(file))
        .map(|(file, text)| (file, without_tests(&text).to_owned()))
        .collect()
}

/// The text up to the module of tests that it ends with.
fn without_tests(text: &str) -> &str {
    let marks = text.match_indices("#[cfg(test)]\nmod ");
    let mut parts = marks.map(|(at, _)| text.split_at(at));
    let is_whole_module = |rest: &str| rest.lines().nth(1).is_some_and(|line| line.ends_with('{'));
    let found = parts.find(|(before, rest)| before.ends_with('\n') && is_whole_module(rest));
    found.map_or(text, |(before, _)| before)
}

/// The modules that a file declares for tests alone, as paths without an ending.
fn test_files(file: &Path, text: &str) -> Vec<PathBuf> {
    let is_root = file
        .file_stem()
        .is_some_and(|stem| stem == "mod" || stem == "lib");
    let folder = if is_root {
        file.parent().unwrap().to_owned()
    } else {
        file.with_extension("")
    };
    let lines: Vec<&str> = text.lines().collect();
    let declared = lines.windows(2).filter_map(|pair| {
        let name = pair[1].rsplit_once("mod ")?.1.strip_suffix(';')?;
        (pair[0] == "#[cfg(test)]").then_some(name)
    });
    declared.map(|name| folder.join(name)).collect()
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
