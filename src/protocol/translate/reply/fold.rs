//! Another way to a whole message: the events of a stream, folded as an SDK folds them, for tests to compare with.
//!
//! This file must not know how a completion is translated.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::protocol::json_text;

#[derive(Deserialize)]
struct MessageStart<'a> {
    #[serde(borrow)]
    message: Start<'a>,
}

#[derive(Deserialize)]
struct BlockStart<'a> {
    #[serde(borrow)]
    content_block: &'a RawValue,
}

#[derive(Deserialize)]
struct BlockDelta<'a> {
    #[serde(borrow)]
    delta: Delta<'a>,
}

#[derive(Deserialize)]
struct MessageDelta<'a> {
    #[serde(borrow)]
    delta: Stop<'a>,
    #[serde(borrow)]
    usage: &'a RawValue,
    #[serde(borrow, default)]
    context_management: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Start<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow)]
    model: &'a RawValue,
}

#[derive(Default, Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow, default)]
    signature: Option<&'a RawValue>,
    #[serde(borrow, default)]
    partial_json: Option<&'a RawValue>,
    #[serde(borrow, default)]
    citation: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Stop<'a> {
    #[serde(borrow)]
    stop_reason: &'a RawValue,
    #[serde(borrow, default)]
    stop_sequence: Option<&'a RawValue>,
    #[serde(borrow, default)]
    stop_details: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
}

/// A block that is being put together.
#[derive(Default)]
struct Growing {
    /// Escaped, except of a tool's input.
    text: String,
    signature: String,
    citations: Vec<String>,
}

/// The message that a stream of events adds up to.
pub(super) fn folded(events: &[u8]) -> Option<Vec<u8>> {
    let mut message = String::with_capacity(events.len());
    let mut start = "";
    let mut growing = Growing::default();
    let mut has_blocks = false;
    let mut rest = std::str::from_utf8(events).ok()?;
    while let Some(end) = memchr::memmem::find(rest.as_bytes(), b"\n\n") {
        let frame = rest.get(..end)?.strip_prefix("event: ")?;
        let (kind, data) = frame.split_once('\n')?;
        let data = data.strip_prefix("data: ")?;
        rest = rest.get(end + 2..)?;
        match kind {
            "message_start" => open_message(&mut message, &read::<MessageStart<'_>>(data)?.message),
            "content_block_start" => {
                start = read::<BlockStart<'_>>(data)?.content_block.get();
                growing = Growing::default();
            }
            "content_block_delta" => growing.add(&read::<BlockDelta<'_>>(data)?.delta),
            "content_block_stop" => {
                if std::mem::replace(&mut has_blocks, true) {
                    message.push(',');
                }
                growing.close(&mut message, start)?;
            }
            "message_delta" => close_message(&mut message, &read(data)?)?,
            _ => {}
        }
    }
    Some(message.into_bytes())
}

fn read<'a, T: Deserialize<'a>>(data: &'a str) -> Option<T> {
    serde_json::from_str(data).ok()
}

fn open_message(message: &mut String, start: &Start<'_>) {
    message.push_str("{\"id\":");
    message.push_str(start.id.get());
    message.push_str(",\"type\":\"message\",\"role\":\"assistant\",\"model\":");
    message.push_str(start.model.get());
    message.push_str(",\"content\":[");
}

fn close_message(message: &mut String, end: &MessageDelta<'_>) -> Option<()> {
    let MessageDelta {
        delta,
        usage,
        context_management,
    } = end;
    message.push_str("],\"stop_reason\":");
    message.push_str(delta.stop_reason.get());
    message.push_str(",\"stop_sequence\":");
    message.push_str(delta.stop_sequence.map_or("null", RawValue::get));
    if let Some(details) = delta.stop_details {
        message.push_str(",\"stop_details\":");
        message.push_str(details.get());
    }
    message.push_str(",\"usage\":");
    message.push_str(usage.get().strip_suffix('}')?);
    message.push_str(",\"service_tier\":\"standard\"}");
    if let Some(edits) = context_management {
        message.push_str(",\"context_management\":");
        message.push_str(edits.get());
    }
    message.push('}');
    Some(())
}

impl Growing {
    fn add(&mut self, delta: &Delta<'_>) {
        if let Some(text) = delta.text.or(delta.thinking).and_then(json_text::body) {
            self.text.push_str(text);
        }
        if let Some(signature) = delta.signature {
            signature.get().clone_into(&mut self.signature);
        }
        if let Some(piece) = delta.partial_json.and_then(json_text::body) {
            self.text.push_str(&json_text::unescape(piece));
        }
        if let Some(citation) = delta.citation {
            self.citations.push(citation.get().to_owned());
        }
    }

    fn close(&self, message: &mut String, start: &str) -> Option<()> {
        let block: Block<'_> = read(start)?;
        match block.kind {
            "text" => {
                message.push_str("{\"type\":\"text\",\"text\":\"");
                message.push_str(&self.text);
                message.push('"');
                if !self.citations.is_empty() {
                    message.push_str(",\"citations\":[");
                    message.push_str(&self.citations.join(","));
                    message.push(']');
                }
                message.push('}');
            }
            "thinking" => {
                message.push_str("{\"type\":\"thinking\",\"thinking\":\"");
                message.push_str(&self.text);
                message.push_str("\",\"signature\":");
                message.push_str(&self.signature);
                message.push('}');
            }
            "tool_use" | "server_tool_use" => {
                message.push_str("{\"type\":\"");
                message.push_str(block.kind);
                message.push_str("\",\"id\":");
                message.push_str(block.id?.get());
                message.push_str(",\"name\":");
                message.push_str(block.name?.get());
                message.push_str(",\"input\":");
                message.push_str(&self.text);
                message.push('}');
            }
            _ => message.push_str(start),
        }
        Some(())
    }
}
