//! Blocks that repeat a thought: OpenRouter's Messages endpoint says every thought a second time, behind the answer.
//!
//! The copy is a `redacted_thinking` block whose data is `openrouter.reasoning:` and base64 of
//! `{"signature","text","type"}`. It comes even for Claude, whose thinking block holds all of it.

use std::collections::HashSet;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

/// What a run says of a block that was left out.
pub(super) const LEFT_OUT: &str =
    "a block that repeated a thought was left out, because clients take it for another one";
const MARK: &str = "openrouter.reasoning:";

/// The thoughts that went out so far.
#[derive(Debug, Default)]
pub(super) struct Thoughts {
    signatures: HashSet<String>,
    /// The signature of the block under way, which may come in pieces.
    growing: String,
    any: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Copy {
    signature: Option<String>,
    /// Of a thought that the provider encrypted: it stands nowhere else.
    data: Option<String>,
}

impl Thoughts {
    /// A thinking block begins, perhaps with its signature.
    pub(super) fn begin(&mut self, signature: &str) {
        self.any = true;
        self.end();
        self.growing.push_str(signature);
    }

    /// A piece of the signature of the block under way.
    pub(super) fn sign(&mut self, piece: &str) {
        self.growing.push_str(piece);
    }

    /// A block has ended.
    pub(super) fn end(&mut self) {
        if !self.growing.is_empty() {
            self.signatures.insert(std::mem::take(&mut self.growing));
        }
    }

    /// Whether the data of a `redacted_thinking` block only repeats what went out before.
    pub(super) fn are_repeated_by(&self, data: &str) -> bool {
        let Some(encoded) = data.strip_prefix(MARK) else {
            return false;
        };
        let copy: Copy = BASE64_STANDARD
            .decode(encoded.trim())
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        match copy.signature.filter(|signature| !signature.is_empty()) {
            Some(signature) => self.signatures.contains(&signature),
            // An unsigned thought was said in clear; its copy holds nothing more, unless it is encrypted.
            None => self.any && copy.data.is_none_or(|data| data.is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(json: &str) -> String {
        format!("{MARK}{}", BASE64_STANDARD.encode(json))
    }

    #[test]
    fn a_copy_is_told_by_its_signature() {
        let mut thoughts = Thoughts::default();
        let signed = copy(r#"{"signature":"abc","text":"t","type":"reasoning.text"}"#);
        let unsigned = copy(r#"{"signature":null,"text":"t"}"#);
        assert!(
            !thoughts.are_repeated_by(&unsigned),
            "nothing went out before"
        );
        thoughts.begin("");
        thoughts.sign("ab");
        thoughts.sign("c");
        assert!(!thoughts.are_repeated_by(&signed), "it has not ended");
        thoughts.end();
        assert!(thoughts.are_repeated_by(&signed));
        assert!(thoughts.are_repeated_by(&unsigned));
        assert!(!thoughts.are_repeated_by(&copy(r#"{"signature":"other"}"#)));
        let encrypted = copy(r#"{"data":"Zm9v","type":"reasoning.encrypted"}"#);
        assert!(
            !thoughts.are_repeated_by(&encrypted),
            "it stands nowhere else"
        );
        assert!(
            !thoughts.are_repeated_by("EqQBCkYIBBgCKkBreal"),
            "Anthropic's own"
        );
    }
}
