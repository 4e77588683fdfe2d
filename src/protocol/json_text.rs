//! Text in the form it has between the quotes of a JSON string.
//!
//! What streams from an upstream to a client is nearly all text inside JSON, on both sides. It is passed on escaped,
//! as it came: nothing is unescaped, allocated and escaped again for each piece.
//! One thing must be mended on the way. Servers that cut text between UTF-16 units send a character in two halves,
//! `\ud83d` in one piece and `\ude00` in the next, and each half alone is no text ([`Mender`]).
//! This file must not know what the text says.

use std::borrow::Cow;
use std::fmt::Write;

use memchr::{memchr, memchr2, memmem};
use serde_json::value::RawValue;

/// What stands for half a character whose other half never came.
const REPLACEMENT: &str = "\\ufffd";

/// Gives what stands between the quotes if `json` is a string.
#[must_use]
pub fn body(json: &RawValue) -> Option<&str> {
    json.get().strip_prefix('"')?.strip_suffix('"')
}

/// Finds the first byte from `at` on that means something inside a string: a quote, a backslash, a control character.
#[must_use]
#[inline]
pub fn end_of_plain(bytes: &[u8], at: usize) -> usize {
    match near_end_of_plain(bytes, at) {
        Near::Ends(end) => end,
        Near::GoesOn(on) => far_end_of_plain(bytes, on),
    }
}

/// What the first bytes of a text say of its end.
pub enum Near {
    /// This is the first byte that means something.
    Ends(usize),
    /// Until here there is none.
    GoesOn(usize),
}

/// Looks for such a byte in the next few: keys are short.
#[must_use]
#[inline]
pub fn near_end_of_plain(bytes: &[u8], at: usize) -> Near {
    let mut end = at;
    for _ in 0..2 {
        let Some(near) = bytes.get(end..).and_then(<[u8]>::first_chunk::<8>) else {
            break;
        };
        let hits = specials(u64::from_le_bytes(*near));
        if hits != 0 {
            return Near::Ends(end + hits.trailing_zeros() as usize / 8);
        }
        end += near.len();
    }
    Near::GoesOn(end)
}

/// As many bytes as [`marks`] looks at.
pub const BLOCK: usize = 64;

/// The bytes of a block that mean something inside a string, a bit for each, that of the first the lowest.
///
/// A text has an escape every few words, at no regular distance: to search for each anew is to guess wrong at each. The
/// compiler looks at all bytes at once, and the bits are gathered by a multiplication, eight of them in the highest byte.
#[must_use]
#[inline]
pub fn marks(block: &[u8; BLOCK]) -> u64 {
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let flags = block.map(|byte| u8::from((byte < b' ') | (byte == b'"') | (byte == b'\\')));
    let words = flags.as_chunks::<8>().0.iter();
    let eights = words.map(|word| u64::from_le_bytes(*word).wrapping_mul(GATHER) >> 56);
    (0..)
        .step_by(8)
        .zip(eights)
        .fold(0, |marks, (at, eight)| marks | eight << at)
}

/// The same for what is longer than a key: sixteen bytes at a time, and far more of a text without escapes.
fn far_end_of_plain(bytes: &[u8], at: usize) -> usize {
    const NEAR: usize = 8;
    let is_special = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    let rest = bytes.get(at..).unwrap_or_default();
    let mut end = at;
    for block in rest.as_chunks::<16>().0.iter().take(NEAR) {
        // No early exit, so that the compiler compares all sixteen at once.
        let has_special = block
            .iter()
            .fold(false, |any, &byte| any | is_special(byte));
        if has_special {
            return end + first_special(block);
        }
        end += block.len();
    }
    let rest = bytes.get(end..).unwrap_or_default();
    let length = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
    let plain = rest.get(..length).unwrap_or_default();
    let least = plain.iter().fold(u8::MAX, |least, &byte| least.min(byte));
    if least >= b' ' {
        return end + length;
    }
    let control = plain.iter().position(|&byte| byte < b' ');
    end + control.unwrap_or(length)
}

/// Finds the first such byte of a block that has one.
fn first_special(block: &[u8; 16]) -> usize {
    let [first, second] = [0, 8].map(|half| {
        let half = block.get(half..).and_then(<[u8]>::first_chunk::<8>);
        specials(half.map_or(0, |half| u64::from_le_bytes(*half)))
    });
    if first != 0 {
        first.trailing_zeros() as usize / 8
    } else {
        8 + second.trailing_zeros() as usize / 8
    }
}

/// Sets the highest bit of the first special byte of eight, and perhaps of some behind it.
#[inline]
fn specials(word: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    let quote = word ^ (ONES * u64::from(b'"'));
    let backslash = word ^ (ONES * u64::from(b'\\'));
    // A byte below n borrows into its highest bit when n is taken from it, and at worst from its neighbour.
    (word.wrapping_sub(ONES * 0x20) & !word
        | quote.wrapping_sub(ONES) & !quote
        | backslash.wrapping_sub(ONES) & !backslash)
        & HIGHS
}

/// Appends `text` as a JSON string.
pub fn quote(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    escape(text, out);
    out.push(b'"');
}

/// Appends `text` escaped, without quotes.
pub fn escape(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let (mut at, mut plain_from) = (0, 0);
    while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk::<BLOCK>) {
        let mut marks = marks(block);
        if marks == 0 {
            at = end_of_plain(bytes, at + BLOCK);
            continue;
        }
        while marks != 0 {
            let place = at + marks.trailing_zeros() as usize;
            marks &= marks - 1;
            escape_at(bytes, plain_from, place, out);
            plain_from = place + 1;
        }
        at += BLOCK;
    }
    loop {
        at = end_of_plain(bytes, at);
        if at == bytes.len() {
            return out.extend_from_slice(bytes.get(plain_from..).unwrap_or_default());
        }
        escape_at(bytes, plain_from, at, out);
        at += 1;
        plain_from = at;
    }
}

/// Appends what is plain, and then the escape for the byte behind it.
#[inline]
fn escape_at(bytes: &[u8], plain_from: usize, at: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(bytes.get(plain_from..at).unwrap_or_default());
    let Some(&byte) = bytes.get(at) else { return };
    let code;
    out.extend_from_slice(match byte {
        b'"' => b"\\\"",
        b'\\' => b"\\\\",
        b'\n' => b"\\n",
        b'\r' => b"\\r",
        b'\t' => b"\\t",
        _ => {
            code = control(byte);
            &code
        }
    });
}

/// Gives `text` escaped, without quotes.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    escape(text, &mut out);
    String::from_utf8(out).expect("escaping replaces ASCII by ASCII")
}

fn control(byte: u8) -> [u8; 6] {
    let digit = |value: u8| {
        if value < 10 {
            b'0' + value
        } else {
            b'a' + value - 10
        }
    };
    [b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]
}

/// Gives the text that `escaped` stands for. Halves of characters become U+FFFD.
#[must_use]
pub fn unescape(escaped: &str) -> Cow<'_, str> {
    let Some(first) = first_backslash(escaped.as_bytes()) else {
        return Cow::Borrowed(escaped);
    };
    let (plain, mut rest) = escaped.split_at(first);
    let mut text = String::with_capacity(escaped.len());
    text.push_str(plain);
    while let Some(at) = memchr(b'\\', rest.as_bytes()) {
        let (plain, escape) = rest.split_at(at);
        text.push_str(plain);
        let (character, length) = unescape_one(escape);
        text.push(character);
        rest = escape.get(length..).unwrap_or_default();
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// Keys and names are so short that to call for help costs more than to look.
#[inline]
fn first_backslash(bytes: &[u8]) -> Option<usize> {
    const SHORT: usize = 24;
    if bytes.len() <= SHORT {
        return bytes.iter().position(|&byte| byte == b'\\');
    }
    memchr(b'\\', bytes)
}

/// Gives what `escaped` holds behind its first line; nothing when there is one line only.
#[must_use]
pub fn behind_first_line(escaped: &str) -> &str {
    let mut rest = escaped;
    while let Some(at) = memchr(b'\\', rest.as_bytes()) {
        let escape = rest.get(at..).unwrap_or_default();
        let (character, length) = unescape_one(escape);
        rest = escape.get(length..).unwrap_or_default();
        if character == '\n' {
            return rest;
        }
    }
    ""
}

/// The character that an escape at the beginning of `escape` stands for, and the escape's length.
fn unescape_one(escape: &str) -> (char, usize) {
    let character = match escape.as_bytes().get(1) {
        Some(b'n') => '\n',
        Some(b't') => '\t',
        Some(b'r') => '\r',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'u') => return unescape_unit(escape),
        Some(&other) => char::from(other),
        None => char::REPLACEMENT_CHARACTER,
    };
    (character, 2)
}

fn unescape_unit(escape: &str) -> (char, usize) {
    let Some(unit) = unit(escape) else {
        return (char::REPLACEMENT_CHARACTER, 2);
    };
    if is_high(unit) {
        let low = escape
            .get(6..)
            .and_then(unit_of_start)
            .filter(|low| is_low(*low));
        if let Some(low) = low {
            let code = 0x1_0000 + ((u32::from(unit) - 0xd800) << 10) + (u32::from(low) - 0xdc00);
            return (
                char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER),
                12,
            );
        }
    }
    (
        char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER),
        6,
    )
}

fn unit_of_start(text: &str) -> Option<u16> {
    text.strip_prefix("\\u").and_then(|_| unit(text))
}

/// The UTF-16 unit of an escape `\uXXXX`.
fn unit(escape: &str) -> Option<u16> {
    u16::from_str_radix(escape.get(2..6)?, 16).ok()
}

fn is_high(unit: u16) -> bool {
    (0xd800..0xdc00).contains(&unit)
}

fn is_low(unit: u16) -> bool {
    (0xdc00..0xe000).contains(&unit)
}

/// Gives a JSON text in which no string holds half a character, because what parses it next may refuse the whole of it.
#[must_use]
pub fn whole_characters(json: &str) -> Cow<'_, str> {
    let escapes = escapes_on(json);
    let is_surrogate = |at: usize| matches!(escapes.get(at + 2), Some(b'd' | b'D'));
    if memmem::find_iter(escapes, b"\\u").any(is_surrogate) {
        Mender::default().mend(json)
    } else {
        Cow::Borrowed(json)
    }
}

/// What there is from the first escape on. To look for one byte costs nothing next to a search for several, and most
/// texts have no escape.
fn escapes_on(text: &str) -> &[u8] {
    let bytes = text.as_bytes();
    let first = memchr(b'\\', bytes).unwrap_or(bytes.len());
    bytes.get(first..).unwrap_or_default()
}

/// Puts halves of characters together that arrived in neighbouring pieces.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mender {
    /// The first half of a character, the last thing that arrived.
    high: Option<u16>,
}

impl Mender {
    /// Gives the piece as it can be passed on. A first half at its end is kept back until [`Mender::finish`]
    /// or the next piece.
    pub fn mend<'p>(&mut self, piece: &'p str) -> Cow<'p, str> {
        if piece.is_empty() {
            return Cow::Borrowed(piece);
        }
        if self.high.is_none() && memmem::find(escapes_on(piece), b"\\u").is_none() {
            return Cow::Borrowed(piece);
        }
        Cow::Owned(self.mended(piece))
    }

    /// No more pieces follow: gives what stands for a half that was kept back.
    pub fn finish(&mut self) -> Option<&'static str> {
        self.high.take().map(|_| REPLACEMENT)
    }

    fn mended(&mut self, piece: &str) -> String {
        let mut mended = String::with_capacity(piece.len() + 12);
        let mut rest = piece;
        while !rest.is_empty() {
            let escape_at = memchr(b'\\', rest.as_bytes()).unwrap_or(rest.len());
            let (plain, escape) = rest.split_at(escape_at);
            if !plain.is_empty() {
                mended.push_str(self.finish().unwrap_or_default());
                mended.push_str(plain);
            }
            let length = if escape.starts_with("\\u") { 6 } else { 2 };
            let (escape, after) = escape.split_at_checked(length).unwrap_or((escape, ""));
            self.push_escape(escape, &mut mended);
            rest = after;
        }
        mended
    }

    fn push_escape(&mut self, escape: &str, mended: &mut String) {
        let surrogate = unit_of_start(escape).filter(|unit| is_high(*unit) || is_low(*unit));
        match (self.high.take(), surrogate) {
            (Some(high), Some(low)) if is_low(low) => {
                let _ = write!(mended, "\\u{high:04x}");
                mended.push_str(escape);
            }
            (None, Some(high)) if is_high(high) => self.high = Some(high),
            (Some(_), Some(high)) => {
                mended.push_str(REPLACEMENT);
                self.high = Some(high);
            }
            (None, Some(_)) => mended.push_str(REPLACEMENT),
            (high, None) => {
                mended.push_str(high.map_or("", |_| REPLACEMENT));
                mended.push_str(escape);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mended(pieces: &[&str]) -> String {
        let mut mender = Mender::default();
        let mut whole: String = pieces.iter().map(|piece| mender.mend(piece)).collect();
        whole.push_str(mender.finish().unwrap_or_default());
        whole
    }

    #[test]
    fn the_first_special_byte_is_found_wherever_it_stands() {
        let is_special = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
        for filler in [
            b' ', b'!', b'#', b'[', b']', b'z', 0x7f, 0x80, 0xa2, 0xdc, 0xff,
        ] {
            for length in [1, 7, 8, 9, 40, 100, 300] {
                for at in 0..length {
                    for byte in (0..=u8::MAX).step_by(1 + length / 40 * 5) {
                        let mut text = vec![filler; length];
                        text[at] = byte;
                        let expected = if is_special(byte) { at } else { length };
                        let found = end_of_plain(&text, 0);
                        assert_eq!(found, expected, "{byte} at {at} among {filler}");
                        assert_eq!(end_of_plain(&text, at), expected);
                        assert_eq!(end_of_plain(&text, at + 1), length);
                    }
                }
            }
        }
        assert_eq!(end_of_plain(b"", 0), 0);
        assert_eq!(end_of_plain(b"0123456789\x01\"", 0), 10);
        assert_eq!(end_of_plain(b"0123456789\"\x01", 0), 10);
    }

    #[test]
    fn each_byte_of_a_block_that_means_something_has_its_mark_and_no_other_has() {
        for byte in 0..=u8::MAX {
            for at in 0..BLOCK {
                let mut block = [b'a'; BLOCK];
                block[at] = byte;
                block[(at + 9) % BLOCK] = b'"';
                let means = byte < 0x20 || byte == b'"' || byte == b'\\';
                let expected = u64::from(means) << at | 1 << ((at + 9) % BLOCK);
                assert_eq!(marks(&block), expected, "{byte} at {at}");
            }
        }
        assert_eq!(marks(&[b'\\'; BLOCK]), u64::MAX);
    }

    #[test]
    fn every_character_is_escaped_as_serde_does_it() {
        for character in ('\0'..='\u{a0}').chain(['é', '\u{2028}', '😀']) {
            let text = format!("a{character}b");
            let expected = match character {
                // serde_json has short forms for these two.
                '\u{8}' => "\"a\\u0008b\"".to_owned(),
                '\u{c}' => "\"a\\u000cb\"".to_owned(),
                _ => serde_json::to_string(&text).unwrap(),
            };
            assert_eq!(format!("\"{}\"", escaped(&text)), expected);
            assert_eq!(unescape(&escaped(&text)), text);
        }
    }

    #[test]
    fn halves_of_a_character_find_each_other() {
        assert_eq!(unescape(&mended(&["a\\ud83d", "", "\\ude00b"])), "a😀b");
        assert_eq!(unescape(&mended(&["\\ud83d\\ude00"])), "😀");
    }

    #[test]
    fn a_lone_half_is_replaced() {
        for pieces in [["\\ud83d", "x"], ["\\ude00", "x"], ["\\ud83d", "\\n"]] {
            assert!(mended(&pieces).starts_with(REPLACEMENT), "{pieces:?}");
        }
        assert_eq!(
            mended(&["\\ud83d", "\\ud83d", "\\ude00"]),
            "\\ufffd\\ud83d\\ude00"
        );
        assert_eq!(mended(&["x\\ud83d"]), "x\\ufffd");
        assert_eq!(mended(&["\\ude00\\ud83d"]), "\\ufffd\\ufffd");
    }

    #[test]
    fn a_document_keeps_its_characters_and_loses_its_halves() {
        let whole = r#"{"a":"\ud83d\ude00 \\ud800","b":["\u00e4"]}"#;
        assert_eq!(whole_characters(whole), whole);
        let halves = r#"{"a\ud83d":"\uDE00","b":"\ud83d"}"#;
        assert_eq!(
            whole_characters(halves),
            r#"{"a\ufffd":"\ufffd","b":"\ufffd"}"#
        );
        assert_eq!(whole_characters(r#""\ud83d""#), r#""\ufffd""#);
        assert_eq!(whole_characters(r#""\uD83D""#), r#""\ufffd""#);
        assert!(matches!(whole_characters("{}"), Cow::Borrowed(_)));
    }

    #[test]
    fn an_escaped_backslash_before_a_u_is_no_escape() {
        assert_eq!(mended(&["C:\\\\ud83d"]), "C:\\\\ud83d");
        assert_eq!(unescape("C:\\\\u0041"), "C:\\u0041");
    }

    proptest! {
        #[test]
        fn escaping_agrees_with_serde(text in any::<String>()) {
            let mut escaped = Vec::new();
            escape(&text, &mut escaped);
            let escaped = String::from_utf8(escaped).unwrap();
            let back: String = serde_json::from_str(&format!("\"{escaped}\"")).unwrap();
            prop_assert_eq!(&back, &text);
            prop_assert_eq!(unescape(&escaped), text);
        }

        #[test]
        fn whatever_is_mended_is_a_string(pieces in prop::collection::vec("([a-zä😀]|\\\\[ntbf\"\\\\]|\\\\u(d83d|de00|DE01|00e4|d8)?(00)?){0,6}", 0..5)) {
            let valid: Vec<String> = pieces
                .into_iter()
                .filter(|piece| serde_json::from_str::<&RawValue>(&format!("\"{piece}\"")).is_ok())
                .collect();
            let pieces: Vec<&str> = valid.iter().map(String::as_str).collect();
            let whole = mended(&pieces);
            let parsed: String = serde_json::from_str(&format!("\"{whole}\"")).unwrap();
            prop_assert_eq!(unescape(&whole), parsed);
        }
    }
}
