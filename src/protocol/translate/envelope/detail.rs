//! One entry of `reasoning_details`, inside an envelope and as the upstream wrote it.

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

/// One entry of `reasoning_details`, whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// `reasoning.text`, `reasoning.summary` or `reasoning.encrypted`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The thought, of a `reasoning.text`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The summary, of a `reasoning.summary`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The opaque payload, of a `reasoning.encrypted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The provider's signature under the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// The provider's id of the entry; Gemini writes the id of the tool call here that the entry belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The dialect, such as `anthropic-claude-v1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// The provider's index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<i64>,
    /// What else stood in it, fields that are `null` included.
    #[serde(rename = "x", default, skip_serializing_if = "Map::is_empty")]
    pub rest: Map<String, Value>,
    /// Inside an envelope: how many bytes of the block's visible text are this entry's text. Never sent upstream.
    #[serde(rename = "~", default, skip_serializing_if = "Option::is_none")]
    pub visible: Option<usize>,
}

/// A [`Detail`] as the upstream wrote it.
#[derive(Clone, Copy, Debug)]
pub struct Sent<'d>(pub &'d Detail);

impl Serialize for Sent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let detail = self.0;
        let texts = [
            ("text", &detail.text),
            ("summary", &detail.summary),
            ("data", &detail.data),
            ("signature", &detail.signature),
            ("id", &detail.id),
            ("format", &detail.format),
        ];
        let mut fields = serializer.serialize_map(None)?;
        fields.serialize_entry("type", &detail.kind)?;
        for (name, text) in texts {
            if let Some(text) = text {
                fields.serialize_entry(name, text)?;
            }
        }
        if let Some(index) = detail.index {
            fields.serialize_entry("index", &index)?;
        }
        for (name, value) in &detail.rest {
            fields.serialize_entry(name, value)?;
        }
        fields.end()
    }
}
