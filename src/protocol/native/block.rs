//! One block of an answer: what is read of it, and the members without which SDKs fail.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::figures::{present, text};
use super::splice::Splice;

/// What is read of a block, whole or at its beginning.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Block<'a> {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(borrow, deserialize_with = "present")]
    signature: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow, deserialize_with = "present")]
    pub(super) text: Option<&'a RawValue>,
    #[serde(borrow, deserialize_with = "present")]
    pub(super) thinking: Option<&'a RawValue>,
    #[serde(borrow, deserialize_with = "present")]
    pub(super) input: Option<&'a RawValue>,
}

impl Block<'_> {
    /// The signature of a thought, as far as it is there.
    pub(super) fn signature(&self) -> String {
        self.signature.and_then(text).unwrap_or_default()
    }

    /// The signature that a thought has at its beginning already.
    pub(super) fn early_signature(&self) -> Option<&RawValue> {
        let is_signed = self.kind == "thinking" && !self.signature().is_empty();
        self.signature.filter(|_| is_signed)
    }

    /// What a `redacted_thinking` block holds.
    pub(super) fn data(&self) -> String {
        self.data.and_then(text).unwrap_or_default()
    }

    /// Whether the block calls a tool, the client's or the server's.
    pub(super) fn is_call(&self) -> bool {
        self.kind.ends_with("tool_use")
    }

    /// Adds the members that SDKs take for granted; `raw` is the block.
    pub(super) fn mend(&self, raw: &RawValue, splice: &mut Splice<'_>) {
        let needed = match self.kind.as_str() {
            "text" => vec![("text", self.text, "\"\"")],
            "thinking" => vec![
                ("thinking", self.thinking, "\"\""),
                ("signature", self.signature, "\"\""),
            ],
            _ if self.is_call() => vec![("input", self.input, "{}")],
            _ => return,
        };
        let mut missing = Vec::new();
        for (name, value, empty) in needed {
            match value {
                None => missing.push(format!("\"{name}\":{empty}")),
                Some(null) if null.get() == "null" => splice.replace(null, empty),
                Some(_) => {}
            }
        }
        if !missing.is_empty() {
            splice.add(raw, &missing.join(","));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mended(block: &str) -> Option<String> {
        let raw: &RawValue = serde_json::from_str(block).unwrap();
        let read: Block<'_> = serde_json::from_str(block).unwrap();
        let mut splice = Splice::new(raw.get().as_bytes());
        read.mend(raw, &mut splice);
        splice.done().map(|done| String::from_utf8(done).unwrap())
    }

    #[test]
    fn a_block_gets_the_members_that_sdks_take_for_granted() {
        for (block, expected) in [
            (r#"{"type":"text"}"#, r#"{"text":"","type":"text"}"#),
            (
                r#"{"type":"thinking"}"#,
                r#"{"thinking":"","signature":"","type":"thinking"}"#,
            ),
            (
                r#"{"type":"thinking","thinking":"t","signature":null}"#,
                r#"{"type":"thinking","thinking":"t","signature":""}"#,
            ),
            (
                r#"{"type":"server_tool_use","id":"a"}"#,
                r#"{"input":{},"type":"server_tool_use","id":"a"}"#,
            ),
        ] {
            assert_eq!(mended(block).as_deref(), Some(expected));
        }
        for whole in [
            r#"{"type":"text","text":"x"}"#,
            r#"{"type":"thinking","thinking":"","signature":""}"#,
            r#"{"type":"tool_use","input":{"a":null}}"#,
            r#"{"type":"brand_new"}"#,
            r#"{}"#,
        ] {
            assert_eq!(mended(whole), None);
        }
    }
}
