//! The names under which tools travel upstream, and the way back.
//!
//! Anthropic allows 128 characters and its clients send more kinds of them than the
//! `[A-Za-z0-9_-]{1,64}` of chat completions, and Google wants a letter or `_` in front.
//! A name that fits goes as it is. One that does not is cut and given a hash of the whole, so that the same
//! name has the same form in every turn (a changed form would miss the prompt cache) and wherever it is computed.
//! This file must not know what a tool is besides its name.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// The longest name that every upstream takes.
const LONGEST: usize = 64;
/// Hexadecimal digits of the hash: 64 bits make a clash between the tools of one request a matter of theory.
const HASH_DIGITS: usize = 16;

/// The names that had to be changed, by their changed form.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct ToolNames {
    originals: BTreeMap<String, String>,
}

impl ToolNames {
    /// Gives the form of a tool's name that goes upstream, and remembers the way back if it differs.
    pub fn outward<'n>(&mut self, name: &'n str) -> Cow<'n, str> {
        if fits(name) {
            return Cow::Borrowed(name);
        }
        let changed = changed(name);
        self.originals.insert(changed.clone(), name.to_owned());
        Cow::Owned(changed)
    }

    /// Gives the client's name of a tool that the upstream called, which is the name itself unless it was changed.
    #[must_use]
    pub fn original<'n>(&'n self, sent: &'n str) -> &'n str {
        self.originals.get(sent).map_or(sent, String::as_str)
    }

    /// Lists what was changed, as pairs of the changed and the client's form.
    pub fn changed(&self) -> impl Iterator<Item = (&str, &str)> {
        self.originals
            .iter()
            .map(|(sent, original)| (sent.as_str(), original.as_str()))
    }
}

fn fits(name: &str) -> bool {
    let first_is_good = name
        .bytes()
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_');
    first_is_good && name.len() <= LONGEST && name.bytes().all(is_plain)
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

fn changed(name: &str) -> String {
    let first_is_good = name
        .bytes()
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic());
    let mut out = String::with_capacity(LONGEST);
    if !first_is_good {
        out.push('_');
    }
    let room = LONGEST - HASH_DIGITS - 1 - out.len();
    out.extend(name.chars().take(room).map(|character| match character {
        plain if plain.is_ascii() && is_plain(plain as u8) => plain,
        _ => '_',
    }));
    out.push('_');
    out.extend(
        blake3::hash(name.as_bytes())
            .to_hex()
            .chars()
            .take(HASH_DIGITS),
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_name_travels_as_it_is() {
        let mut names = ToolNames::default();
        for name in [
            "Bash",
            "mcp__demo__add",
            "a-b_c9",
            "_x",
            &"n".repeat(LONGEST),
        ] {
            assert_eq!(names.outward(name), name);
            assert_eq!(names.original(name), name);
        }
        assert_eq!(names.changed().count(), 0);
    }

    #[test]
    fn p11_a_long_or_odd_name_is_shortened_and_found_again() {
        let long = "mcp__a_server_with_a_long_name__a_tool_with_a_name_that_is_longer_still";
        for name in [long, "with.dot", "9lives", "-dash", "été", "", "a b", "🦀"] {
            let mut names = ToolNames::default();
            let sent = names.outward(name).into_owned();
            assert!(fits(&sent), "{name:?} became {sent:?}");
            assert_eq!(names.original(&sent), name);
            assert_eq!(names.changed().collect::<Vec<_>>(), [(sent.as_str(), name)]);
        }
    }

    #[test]
    fn a_changed_name_is_as_long_as_may_be_and_begins_as_it_did() {
        let mut names = ToolNames::default();
        let long = "mcp__a.server_".repeat(9);
        let sent = names.outward(&long);
        assert_eq!(sent.len(), LONGEST);
        assert!(sent.starts_with("mcp__a_server_mcp__a_server_"), "{sent}");
        let odd = format!("9{long}");
        let sent = names.outward(&odd);
        assert_eq!(sent.len(), LONGEST);
        assert!(sent.starts_with("_9mcp__a_server_"), "{sent}");
        let fits_but_for_one = "n".repeat(LONGEST + 1);
        assert_ne!(names.outward(&fits_but_for_one), fits_but_for_one);
    }

    #[test]
    fn p10_case_is_kept() {
        let mut names = ToolNames::default();
        assert_eq!(names.outward("WebSearch"), "WebSearch");
        assert_eq!(names.original("websearch"), "websearch");
    }

    #[test]
    fn the_same_name_has_the_same_form_everywhere_and_neighbours_differ() {
        let twin = format!("{}a", "x".repeat(80));
        let other = format!("{}b", "x".repeat(80));
        let mut one = ToolNames::default();
        let mut two = ToolNames::default();
        assert_eq!(one.outward(&twin), two.outward(&twin));
        assert_ne!(one.outward(&twin), one.outward(&other));
    }

    #[test]
    fn a_name_that_was_never_sent_is_given_back_unchanged() {
        assert_eq!(ToolNames::default().original("nobody"), "nobody");
    }
}
