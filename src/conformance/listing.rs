//! Lists of cases: for a terminal, and for the README.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::case::Case;

/// The lines of `--list`.
#[must_use]
pub fn list(cases: &[Case]) -> String {
    let lines = cases
        .iter()
        .map(|case| format!("{:<64} {}\n", case.name, case.pins));
    lines.collect()
}

/// The tables of the README: each case with what it pins and where that is documented.
#[must_use]
pub fn markdown(cases: &[Case]) -> String {
    let groups: BTreeSet<&str> = cases.iter().map(Case::group).collect();
    let mut text = format!("{} cases.\n", cases.len());
    for group in groups {
        let _ = write!(
            text,
            "\n### {group}\n\n| case | pins | source |\n| --- | --- | --- |\n"
        );
        for case in cases.iter().filter(|case| case.group() == group) {
            let name = case.name.split('/').next_back().unwrap_or_default();
            let cell = |text: &str| text.trim().replace('|', "\\|").replace('\n', " ");
            let (pins, source) = (cell(&case.pins), cell(&case.source));
            let _ = writeln!(text, "| `{name}` | {pins} | {source} |");
        }
    }
    text
}
