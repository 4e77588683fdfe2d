//! Where each setting was written: the line of a file, or a variable.
//!
//! This file must not know what a setting means.

use toml::de::{DeTable, DeValue};

/// The places of the settings that differ from the defaults, by the settings' paths.
#[derive(Debug, Default)]
pub(super) struct Places(Vec<(String, String)>);

impl Places {
    /// Notes that the setting at `path` was written at `place`, whatever was written of it before.
    pub(super) fn note(&mut self, path: &str, place: &str) {
        self.0.retain(|(noted, _)| !is_within(noted, path));
        self.0.push((path.to_owned(), place.to_owned()));
    }

    /// Where the setting at `path` was written, or the nearest one that it is a part of.
    pub(super) fn of(&self, path: &str) -> Option<&str> {
        self.0
            .iter()
            .filter(|(noted, _)| is_within(path, noted))
            .max_by_key(|(noted, _)| noted.len())
            .map(|(_, place)| place.as_str())
    }
}

/// A place by its bare name, as it stands in the midst of a sentence.
pub(super) fn bare(place: &str) -> String {
    place.trim_start_matches("the variable ").to_owned()
}

/// Whether `path` is `whole` or a part of it, as `a.b[0]` is of `a.b` and of `a`.
fn is_within(path: &str, whole: &str) -> bool {
    path.strip_prefix(whole).is_some_and(|rest| {
        !rest.starts_with(|next: char| next == '_' || next == '-' || next.is_alphanumeric())
    })
}

/// The paths in a settings file, the outer ones first, with their lines. What is no TOML has none.
pub(super) fn lines(text: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    if let Ok(table) = DeTable::parse(text) {
        walk(table.get_ref(), "", text, &mut found);
    }
    found
}

fn walk(table: &DeTable<'_>, path: &str, text: &str, found: &mut Vec<(String, usize)>) {
    for (key, value) in table {
        let path = match path {
            "" => key.get_ref().to_string(),
            outer => format!("{outer}.{}", key.get_ref()),
        };
        found.push((path.clone(), line(text, key.span().start)));
        match value.get_ref() {
            DeValue::Table(entries) => walk(entries, &path, text, found),
            DeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    found.push((path.clone(), line(text, item.span().start)));
                    if let DeValue::Table(entries) = item.get_ref() {
                        walk(entries, &path, text, found);
                    }
                }
            }
            _ => {}
        }
    }
}

fn line(text: &str, offset: usize) -> usize {
    let before = text.bytes().take(offset);
    1 + before.filter(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_line() {
        let text = "[server]\nworkers = 7\n\n[[models.rules]]\nmatch = 'x'\n[[models.rules]]\nmatch = 'y'\n\
                    [upstreams.local]\nquirks = { reasoning = 'none' }\n";
        let lines = lines(text);
        let line = |path: &str| {
            lines
                .iter()
                .find(|(found, _)| found == path)
                .map(|(_, line)| *line)
        };
        for (path, expected) in [
            ("server.workers", 2),
            ("models.rules[0].match", 5),
            ("models.rules[1]", 6),
            ("models.rules[1].match", 7),
            ("upstreams.local", 8),
            ("upstreams.local.quirks.reasoning", 9),
        ] {
            assert_eq!(line(path), Some(expected), "{path}: {lines:?}");
        }
    }

    #[test]
    fn the_place_noted_last_counts_and_a_part_has_that_of_the_whole() {
        let mut places = Places::default();
        places.note("server.client_keys", "file:1");
        places.note("server.client_keys[0]", "file:1");
        places.note("upstream", "file:2");
        places.note("server.client_keys", "variable");
        assert_eq!(places.of("server.client_keys[0]"), Some("variable"));
        assert_eq!(places.of("upstream.idle_timeout"), Some("file:2"));
        assert_eq!(places.of("upstreams.a"), None, "another word");
    }
}
