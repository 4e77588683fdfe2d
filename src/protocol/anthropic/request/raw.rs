//! Pieces of JSON that were checked and are passed on as the client wrote them.
//!
//! Escaping is the dearest part of writing JSON, and decoding the dearest of reading it: a text that nobody looks at needs neither.

use std::borrow::Cow;

use crate::protocol::json_text;

/// A JSON value as it stood in the body, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    /// `{}`.
    pub(in crate::protocol) const EMPTY_OBJECT: Self = Self("{}");

    /// The caller has checked that `text` is one JSON value without white space around it.
    pub(super) fn checked(text: &'a str) -> Self {
        Self(text)
    }

    /// The JSON text.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

/// A JSON string as it stood in the body, still escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawStr<'a>(&'a str);

impl<'a> RawStr<'a> {
    /// The caller has checked that `escaped` may stand between the quotes of a JSON string.
    pub(super) fn checked(escaped: &'a str) -> Self {
        Self(escaped)
    }

    /// A text of ours, without anything that would have to be escaped.
    pub(in crate::protocol) fn plain(text: &'static str) -> Self {
        debug_assert!(!text.contains(['"', '\\', '\n']));
        Self(text)
    }

    /// What stands between the quotes: pieces of it may be joined and quoted again.
    #[must_use]
    pub fn escaped(self) -> &'a str {
        self.0
    }

    /// Says whether nothing stands between the quotes.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Says whether it is empty or white space, which Anthropic and most providers refuse as a text.
    #[must_use]
    pub fn is_blank(self) -> bool {
        let mut rest = self.0.trim_start();
        loop {
            let next = ["\\n", "\\t", "\\r"]
                .into_iter()
                .find_map(|escape| rest.strip_prefix(escape));
            match next {
                Some(after) => rest = after.trim_start(),
                None => return rest.is_empty(),
            }
        }
    }

    /// The text itself; half a surrogate pair becomes U+FFFD.
    #[must_use]
    pub fn decode(self) -> Cow<'a, str> {
        json_text::unescape(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_escapes_is_borrowed() {
        assert!(matches!(
            RawStr::checked("plain é").decode(),
            Cow::Borrowed("plain é")
        ));
    }

    #[test]
    fn escapes_are_decoded() {
        assert_eq!(
            RawStr::checked(r#"a\n\"b\" \ud83d\ude00"#).decode(),
            "a\n\"b\" 😀"
        );
    }

    #[test]
    fn half_a_surrogate_pair_does_not_lose_the_text() {
        assert!(
            RawStr::checked(r"cut \ud83d here")
                .decode()
                .starts_with("cut ")
        );
        assert!(
            RawStr::checked(r"cut \ud83d here")
                .decode()
                .ends_with(" here")
        );
    }

    #[test]
    fn white_space_counts_as_blank_however_it_is_written() {
        for blank in ["", " ", r"\n", r" \n\t \r\n "] {
            assert!(RawStr::checked(blank).is_blank(), "{blank:?}");
        }
        for text in ["a", r"\n.", r"\\n", r"\u0041"] {
            assert!(!RawStr::checked(text).is_blank(), "{text:?}");
        }
    }
}
