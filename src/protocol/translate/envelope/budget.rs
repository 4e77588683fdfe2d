//! Opening envelopes that a client sends back, and the bound on what those of one request become in memory.

use std::slice;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Envelope, PREFIX, Unpacked, checksum};

/// What the envelopes of one request may inflate to together.
pub(super) const LONGEST_INFLATED: usize = 16 << 20;
/// How many details one envelope may hold; one that says nothing takes four bytes of JSON and hundreds in memory.
pub(super) const MOST_DETAILS: usize = 4096;
/// How many [`Parts`] the envelopes of one request may hold together.
pub(super) const MOST_PARTS: usize = 1 << 16;
/// No LZ4 inflates to more than this many times its length.
const MOST_TIMES: usize = 255;
/// The shortest text that is believed to be a signature of Anthropic's (real ones have hundreds of characters).
const SHORTEST_NATIVE: usize = 16;

/// What the envelopes of one request may still become together; one that is too large for it is foreign.
#[derive(Debug)]
pub struct Budget {
    bytes: usize,
    parts: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            bytes: LONGEST_INFLATED,
            parts: MOST_PARTS,
        }
    }
}

impl Budget {
    /// Tells what the signature of a thinking block is.
    #[must_use]
    pub fn unpack(&mut self, signature: &str) -> Unpacked {
        let signature = signature.trim();
        if signature.is_empty() {
            return Unpacked::Empty;
        }
        if let Some(packed) = signature.strip_prefix(PREFIX) {
            let opened = self.opened(packed);
            return opened.map_or(Unpacked::Foreign, Unpacked::Details);
        }
        if looks_native(signature) {
            Unpacked::Native
        } else {
            Unpacked::Foreign
        }
    }

    /// What is inflated in vain counts too, because it took the time.
    fn opened(&mut self, signature: &str) -> Option<Envelope> {
        let packed = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let (sum, rest) = packed.split_first_chunk()?;
        let (length, compressed) = rest.split_first_chunk()?;
        let length = u32::from_le_bytes(*length) as usize;
        if length / MOST_TIMES > compressed.len() {
            return None;
        }
        self.bytes = self.bytes.checked_sub(length)?;
        let json = lz4_flex::block::decompress(compressed, length).ok()?;
        if json.len() != length || checksum(&json) != u32::from_le_bytes(*sum) {
            return None;
        }
        let parts = Parts::of(&json);
        if parts.details > MOST_DETAILS {
            return None;
        }
        self.parts = self.parts.checked_sub(parts.details + parts.values)?;
        serde_json::from_slice(&json).ok()
    }
}

/// What takes more of the memory than of the JSON of an envelope.
#[derive(Debug, Default, PartialEq, Eq)]
struct Parts {
    details: usize,
    /// What stands in details besides their own fields, about; never less.
    values: usize,
}

impl Parts {
    /// How deep the list of details is.
    const LIST: usize = 2;

    /// Counts them before anything is made of them. A detail may be written as an array too.
    /// The count is right up to the first fault of the JSON, where reading it ends.
    fn of(json: &[u8]) -> Self {
        let mut parts = Self::default();
        let mut depth: usize = 0;
        let mut bytes = json.iter();
        while let Some(&byte) = bytes.next() {
            match byte {
                b'"' => skip_string(&mut bytes),
                b'{' | b'[' => {
                    parts.details += usize::from(depth == Self::LIST);
                    parts.values += usize::from(depth > Self::LIST);
                    depth += 1;
                }
                b'}' | b']' => depth = depth.saturating_sub(1),
                b',' => parts.values += usize::from(depth > Self::LIST + 1),
                _ => {}
            }
        }
        parts
    }
}

/// Goes behind the quote that ends a string.
fn skip_string(bytes: &mut slice::Iter<'_, u8>) {
    while let Some(at) = memchr::memchr2(b'"', b'\\', bytes.as_slice()) {
        if bytes.nth(at) == Some(&b'"') {
            return;
        }
        bytes.next();
    }
}

/// The digits of base64; a table, because a conversation brings hundreds of signatures back with every turn.
const BASE64: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte: u8 = 0;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
        byte += 1;
    }
    table
};

/// Base64 and no mere number: at least one proxy signs with the time of day.
fn looks_native(signature: &str) -> bool {
    let bytes = signature.as_bytes();
    let is_base64 = bytes
        .iter()
        .fold(true, |all, &byte| all & BASE64[usize::from(byte)]);
    bytes.len() >= SHORTEST_NATIVE && is_base64 && !bytes.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_counted_outside_of_texts() {
        for (json, details, values) in [
            (r#"{"m":"a/b"}"#, 0, 0),
            (r#"{"m":"a","n":1,"d":[{"type":"a","id":"b"},["c"]]}"#, 2, 0),
            (r#"{"d":[{"type":"a","x":{"b":null,"c":[1,2]}}]}"#, 1, 4),
            (r#"{"t":"[[[{,\"{[\\","d":[{"type":"{,[\\\"[{"}]}"#, 1, 0),
            (r#"]]}{"d":[{"#, 1, 0),
        ] {
            let parts = Parts { details, values };
            assert_eq!(Parts::of(json.as_bytes()), parts, "{json}");
        }
    }
}
