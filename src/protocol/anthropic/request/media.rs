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

#[cfg(test)]
mod tests {
    use super::*;

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
