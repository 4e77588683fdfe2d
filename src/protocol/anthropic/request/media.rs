//! What the bytes of an image or a document are, whatever the client says they are.
//!
//! A picture under the name of another kind is refused by every provider, each in its own words and after a round trip;
//! Anthropic names the place. Only the first bytes are looked at: what is inside is for those who draw it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::raw::RawStr;

/// Characters of base64 that hold the twelve bytes by which the kinds differ.
const HEAD: usize = 16;

/// The media type that the bytes speak of; `None` when they speak of none that is known here.
pub(super) fn seen(base64: RawStr<'_>) -> Option<&'static str> {
    // Some writers of JSON escape the slash, with which every JPEG begins.
    let characters = base64.escaped().bytes().filter(|byte| *byte != b'\\');
    let head: Vec<u8> = characters.take(HEAD).collect();
    let whole = head.len() / 4 * 4;
    let bytes = STANDARD.decode(head.get(..whole)?).ok()?;
    match bytes.as_slice() {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xFF, 0xD8, 0xFF, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P'] => Some("image/webp"),
        [b'%', b'P', b'D', b'F', ..] => Some("application/pdf"),
        _ => None,
    }
}

/// Whether a text is base64, with white space anywhere and with or without its padding. A picture may have megabytes:
/// most of them are looked at in blocks, without a branch for each byte.
pub(super) fn is_base64(text: RawStr<'_>) -> bool {
    const BLOCK: usize = 64;
    let (blocks, rest) = text.escaped().as_bytes().as_chunks::<BLOCK>();
    let is_clean = |block: &[u8; BLOCK]| block.iter().fold(true, |is, byte| is & is_symbol(*byte));
    if !blocks.iter().all(is_clean) {
        let decoded = text.decode();
        return are_symbols_then_padding(decoded.bytes());
    }
    let is_escaped = rest.contains(&b'\\');
    match (is_escaped, std::str::from_utf8(rest)) {
        (false, _) => are_symbols_then_padding(rest.iter().copied()),
        (true, Ok(rest)) => are_symbols_then_padding(RawStr::checked(rest).decode().bytes()),
        (true, Err(_)) => false,
    }
}

fn are_symbols_then_padding(bytes: impl Iterator<Item = u8>) -> bool {
    let mut said = bytes.filter(|byte| !byte.is_ascii_whitespace());
    match said.find(|byte| !is_symbol(*byte)) {
        None => true,
        Some(first) => {
            first == b'='
                && said.next().is_none_or(|second| second == b'=')
                && said.next().is_none()
        }
    }
}

fn is_symbol(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() | (byte == b'+') | (byte == b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_told_from_what_is_none() {
        let long = "QUJD".repeat(40);
        let in_blocks = |odd: &str| {
            let (head, tail) = long.split_at(70);
            format!("{head}{odd}{tail}")
        };
        let lines = in_blocks(r"\r\n \t");
        for base64 in [
            "",
            "QQ",
            "QQ==",
            "QUI=",
            "QUJD",
            r"\/9j\/4A+",
            r"QU\nJD\n",
            " QUJD ",
            r"QQ=\n=",
            r"\u0051QUJD",
            &long,
            &lines,
            &format!("{long}QQ=="),
            &format!(r"{long}\/9j="),
        ] {
            assert!(is_base64(RawStr::checked(base64)), "{base64}");
        }
        for odd in ["!", "-", "_", "é", "=", r"\u0000", "data:image/png;base64,"] {
            let inside = in_blocks(odd);
            for text in [&format!("QU{odd}JD"), &inside, &format!("{long}{odd}A")] {
                assert!(!is_base64(RawStr::checked(text)), "{text}");
            }
        }
        for padding in ["===", "=A", "=A="] {
            assert!(!is_base64(RawStr::checked(&format!("{long}{padding}"))));
        }
    }

    #[test]
    fn kinds_are_known_by_their_first_bytes() {
        for (base64, kind) in [
            ("iVBORw0KGgoAAAANSUhEUg", Some("image/png")),
            ("/9j/4AAQSkZJRgABAQ", Some("image/jpeg")),
            (r"\/9j\/4AAQSkZJRgABAQ", Some("image/jpeg")),
            ("R0lGODlhAQABAIAAAA", Some("image/gif")),
            ("UklGRiQAAABXRUJQVlA4", Some("image/webp")),
            ("UklGRiQAAABXQVZFZm10", None),
            ("JVBERi0xLjQ", Some("application/pdf")),
            ("", None),
            ("AA", None),
            ("not base64 at all", None),
            ("éééééééééééééééé", None),
        ] {
            assert_eq!(seen(RawStr::checked(base64)), kind, "{base64}");
        }
    }
}
