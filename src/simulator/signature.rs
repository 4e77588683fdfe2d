//! Signatures of simulated reasoning: enough to tell a reasoning block that came back untouched from one that did not.
//!
//! The key is a constant: sessions survive a restart of the simulator, and nothing here protects a secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const CONTEXT: &str = "dagway simulator 2026-11 signature of simulated reasoning";
const LABEL: &[u8; 9] = b"simulated";
const NONCE: usize = 8;
const DIGEST: usize = 16;

/// Signs a text for a format, bound to an id.
pub(super) fn sign(format: &str, bound: &str, text: &str) -> String {
    let mut token = LABEL.to_vec();
    token.extend_from_slice(&fastrand::u64(..).to_le_bytes());
    token.extend_from_slice(&digest(text));
    let seal = seal(format, bound, &token);
    token.extend_from_slice(&seal);
    STANDARD.encode(token)
}

/// Tells whether a token was made by [`sign`] for this format and id.
/// A text that is given must be the one that was signed; an omitted one is what hosts allow, because the token carries it.
pub(super) fn is_genuine(token: &str, format: &str, bound: &str, text: &str) -> bool {
    let Ok(bytes) = STANDARD.decode(token) else {
        return false;
    };
    if bytes.len() != LABEL.len() + NONCE + 2 * DIGEST {
        return false;
    }
    let (sealed, found_seal) = bytes.split_at(bytes.len() - DIGEST);
    let (_, found_digest) = sealed.split_at(LABEL.len() + NONCE);
    found_seal == seal(format, bound, sealed) && (text.is_empty() || found_digest == digest(text))
}

fn digest(text: &str) -> [u8; DIGEST] {
    shortened(blake3::hash(text.as_bytes()))
}

fn seal(format: &str, bound: &str, sealed: &[u8]) -> [u8; DIGEST] {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    for part in [format.as_bytes(), bound.as_bytes(), sealed] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    shortened(hasher.finalize())
}

fn shortened(hash: blake3::Hash) -> [u8; DIGEST] {
    let mut short = [0; DIGEST];
    short.copy_from_slice(hash.as_bytes().split_at(DIGEST).0);
    short
}

#[cfg(test)]
mod tests {
    use super::{is_genuine, sign};

    #[test]
    fn a_token_is_genuine_for_its_text_and_for_an_omitted_one() {
        let token = sign("f", "id", "I think");
        assert!(is_genuine(&token, "f", "id", "I think"));
        assert!(is_genuine(&token, "f", "id", ""));
    }

    #[test]
    fn a_change_of_text_format_id_or_one_byte_is_found() {
        let token = sign("f", "id", "I think");
        assert!(!is_genuine(&token, "f", "id", "I thunk"));
        assert!(!is_genuine(&token, "g", "id", "I think"));
        assert!(!is_genuine(&token, "f", "other", "I think"));
        let changed = token.replacen(char::from(token.as_bytes()[20]), "!", 1);
        assert!(!is_genuine(&changed, "f", "id", "I think"));
        assert!(!is_genuine("", "f", "id", ""));
        assert!(!is_genuine("EqQBCkYIBBgCKkBfake", "f", "id", ""));
    }
}
