//! The pieces of a turn. Texts stay escaped as the client wrote them: joining escaped texts gives an escaped text.

use std::borrow::Cow;

use crate::protocol::anthropic::request::{CacheControl, RawStr, TextBlock};
use crate::protocol::json_text;
use crate::protocol::translate::note::Note;

/// A text as it may stand between the quotes of a JSON string.
#[derive(Clone, Debug, PartialEq)]
pub struct Text<'a> {
    /// The escaped text.
    pub escaped: Cow<'a, str>,
    /// A cache breakpoint behind it.
    pub cache: Option<CacheControl>,
    /// Whether it goes on with the text before it, which may end in mid-sentence: then nothing is put between them.
    pub goes_on: bool,
}

impl<'a> Text<'a> {
    /// A text of the client's, as it stood there.
    #[must_use]
    pub fn of(text: RawStr<'a>) -> Self {
        Self::escaped(text.escaped())
    }

    /// A text that is already escaped.
    pub fn escaped(escaped: impl Into<Cow<'a, str>>) -> Self {
        Self {
            escaped: escaped.into(),
            cache: None,
            goes_on: false,
        }
    }

    /// A text of ours.
    pub fn plain(text: impl Into<Cow<'a, str>>) -> Self {
        let text = text.into();
        match escape(&text) {
            Cow::Borrowed(_) => Self::escaped(text),
            Cow::Owned(escaped) => Self::escaped(escaped),
        }
    }

    /// A text block with something in it.
    pub(super) fn of_block(block: TextBlock<'a>) -> Option<Self> {
        (!block.text.is_blank()).then(|| Self {
            cache: block.cache,
            ..Self::of(block.text)
        })
    }
}

/// Where the bytes of an image or a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media<'a> {
    /// Here, in base64.
    Data {
        /// Such as `image/png`.
        media_type: RawStr<'a>,
        /// The base64 text.
        data: RawStr<'a>,
    },
    /// At an address.
    Url(RawStr<'a>),
}

/// A piece of a user turn.
#[derive(Clone, Debug, PartialEq)]
pub enum Part<'a> {
    /// A text.
    Text(Text<'a>),
    /// An image.
    Image(Media<'a>),
    /// A PDF file.
    File {
        /// Its name, escaped.
        name: Cow<'a, str>,
        /// Its bytes.
        media: Media<'a>,
    },
}

/// Escapes a text for the inside of a JSON string.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    let special = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    if !text.bytes().any(special) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(json_text::escaped(text))
}

/// Puts a breakpoint that stood on a part that cannot carry it on the last text before it; where there is none, it is left
/// out with a note.
pub(super) fn move_cache<'t, 'a: 't>(
    mut texts: impl DoubleEndedIterator<Item = &'t mut Text<'a>>,
    cache: Option<CacheControl>,
    notes: &mut Vec<Note>,
) {
    let Some(cache) = cache else { return };
    match texts.next_back() {
        Some(last) => last.cache = last.cache.or(Some(cache)),
        None => notes.push(Note::new(
            "a cache breakpoint was left out, because chat completions take one on a text only and there is none before it",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaping_is_what_json_needs_and_no_more() {
        assert!(matches!(escape("plain é / 😀"), Cow::Borrowed(_)));
        assert_eq!(escape("a\"b\\c\nd\u{1}"), r#"a\"b\\c\nd\u0001"#);
    }
}
