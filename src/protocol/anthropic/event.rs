//! The events of a streamed message, written as bytes.
//!
//! Each function appends one whole frame: `event:` line (the SDKs drop frames without it), `data:` line, blank line.
//! Text arguments named `escaped` are in the form of [`crate::protocol::json_text`] and are copied as they are.
//! This file must not know in which order events belong.

use serde::Serialize;

use super::message::{AppliedEdit, StopReason, Usage};
use crate::protocol::json_text;

/// What a `message_start` says.
#[derive(Clone, Copy, Debug)]
pub struct MessageStart<'a> {
    /// `msg_…`.
    pub id: &'a str,
    /// The model as the client asked for it.
    pub model: &'a str,
    /// An estimate; the true number follows at the end.
    pub input_tokens: u64,
}

/// How a message ended.
#[derive(Clone, Copy, Debug)]
pub struct MessageEnd<'a> {
    /// Why.
    pub stop_reason: StopReason,
    /// The stop sequence that was met.
    pub stop_sequence: Option<&'a str>,
    /// JSON of the upstream's reasons for a refusal.
    pub stop_details: Option<&'a str>,
    /// The true figures.
    pub usage: &'a Usage,
    /// What `context_management` did, if the client asked for it.
    pub applied_edits: Option<&'a [AppliedEdit]>,
}

/// `message_start`.
pub fn message_start(out: &mut Vec<u8>, start: MessageStart<'_>) {
    put(
        out,
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":",
    );
    quote(out, start.id);
    put(
        out,
        ",\"type\":\"message\",\"role\":\"assistant\",\"model\":",
    );
    quote(out, start.model);
    put(
        out,
        ",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":",
    );
    number(out, start.input_tokens);
    put(
        out,
        ",\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"output_tokens\":1,\"service_tier\":\"standard\"}}}\n\n",
    );
}

/// `content_block_start` of a text.
pub fn text_start(out: &mut Vec<u8>, index: u64) {
    block_start(out, index);
    put(out, "{\"type\":\"text\",\"text\":\"\"}}\n\n");
}

/// `content_block_start` of a thought.
pub fn thinking_start(out: &mut Vec<u8>, index: u64) {
    block_start(out, index);
    put(
        out,
        "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}}\n\n",
    );
}

/// `content_block_start` of a tool call; its input follows as [`input_json_delta`].
pub fn tool_use_start(out: &mut Vec<u8>, index: u64, id: &str, name: &str) {
    call_start(out, index, ["tool_use", id, name]);
}

/// `content_block_start` of a call that the server has already run; its input follows as [`input_json_delta`].
pub fn server_tool_use_start(out: &mut Vec<u8>, index: u64, id: &str, name: &str) {
    call_start(out, index, ["server_tool_use", id, name]);
}

/// `content_block_start` of a block that comes whole.
pub fn whole_block_start<B: Serialize>(out: &mut Vec<u8>, index: u64, block: &B) {
    block_start(out, index);
    json(out, block);
    put(out, "}\n\n");
}

/// `content_block_delta` of a text.
pub fn text_delta(out: &mut Vec<u8>, index: u64, escaped: &str) {
    delta_start(out, index);
    put(out, "{\"type\":\"text_delta\",\"text\":\"");
    put(out, escaped);
    put(out, "\"}}\n\n");
}

/// `content_block_delta` of a thought.
pub fn thinking_delta(out: &mut Vec<u8>, index: u64, escaped: &str) {
    delta_start(out, index);
    put(out, "{\"type\":\"thinking_delta\",\"thinking\":\"");
    put(out, escaped);
    put(out, "\"}}\n\n");
}

/// `content_block_delta` with the signature of a thought. A second one would overwrite the first.
pub fn signature_delta(out: &mut Vec<u8>, index: u64, signature: &str) {
    delta_start(out, index);
    put(out, "{\"type\":\"signature_delta\",\"signature\":");
    quote(out, signature);
    put(out, "}}\n\n");
}

/// `content_block_delta` with a piece of a tool call's input, given as plain text.
pub fn input_json_delta(out: &mut Vec<u8>, index: u64, piece: &str) {
    delta_start(out, index);
    put(out, "{\"type\":\"input_json_delta\",\"partial_json\":");
    quote(out, piece);
    put(out, "}}\n\n");
}

/// `content_block_delta` with a citation for a text.
pub fn citations_delta<C: Serialize>(out: &mut Vec<u8>, index: u64, citation: &C) {
    delta_start(out, index);
    put(out, "{\"type\":\"citations_delta\",\"citation\":");
    json(out, citation);
    put(out, "}}\n\n");
}

/// `content_block_stop`.
pub fn block_stop(out: &mut Vec<u8>, index: u64) {
    put(
        out,
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":",
    );
    number(out, index);
    put(out, "}\n\n");
}

/// `message_delta` and `message_stop`: the end of a message that succeeded.
pub fn message_end(out: &mut Vec<u8>, end: MessageEnd<'_>) {
    put(
        out,
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{",
    );
    stop(out, end);
    put(out, "},\"usage\":");
    json(out, end.usage);
    context_management(out, end);
    put(
        out,
        "}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    );
}

/// The member that says how the context was edited, if that was asked for.
pub(super) fn context_management(out: &mut Vec<u8>, end: MessageEnd<'_>) {
    if let Some(edits) = end.applied_edits {
        put(out, ",\"context_management\":{\"applied_edits\":");
        json(out, &edits);
        put(out, "}");
    }
}

/// The members that say why a message stopped.
pub(super) fn stop(out: &mut Vec<u8>, end: MessageEnd<'_>) {
    put(out, "\"stop_reason\":\"");
    put(out, end.stop_reason.name());
    put(out, "\",\"stop_sequence\":");
    match end.stop_sequence {
        Some(sequence) => quote(out, sequence),
        None => put(out, "null"),
    }
    if let Some(details) = end.stop_details {
        put(out, ",\"stop_details\":");
        put(out, details);
    }
}

/// `ping`.
pub fn ping(out: &mut Vec<u8>) {
    put(out, "event: ping\ndata: {\"type\":\"ping\"}\n\n");
}

fn block_start(out: &mut Vec<u8>, index: u64) {
    put(
        out,
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":",
    );
    number(out, index);
    put(out, ",\"content_block\":");
}

fn call_start(out: &mut Vec<u8>, index: u64, [kind, id, name]: [&str; 3]) {
    block_start(out, index);
    put(out, "{\"type\":\"");
    put(out, kind);
    put(out, "\",\"id\":");
    quote(out, id);
    put(out, ",\"name\":");
    quote(out, name);
    put(out, ",\"input\":{}}}\n\n");
}

fn delta_start(out: &mut Vec<u8>, index: u64) {
    put(
        out,
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":",
    );
    number(out, index);
    put(out, ",\"delta\":");
}

pub(super) fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

pub(super) fn quote(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    json_text::escape(text, out);
    out.push(b'"');
}

pub(super) fn json<T: Serialize>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).expect("strings and numbers serialize into memory");
}

fn number(out: &mut Vec<u8>, value: u64) {
    let mut digits = [0; 20];
    let mut rest = value;
    let mut first = digits.len();
    loop {
        first -= 1;
        if let Some(digit) = digits.get_mut(first) {
            *digit = b'0' + (rest % 10) as u8;
        }
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(first..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_full() {
        for value in [0, 9, 10, 1_234_567, u64::MAX] {
            let mut out = Vec::new();
            number(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }
    }

    #[test]
    fn every_frame_is_an_event_line_a_data_line_and_a_blank_one() {
        let mut out = Vec::new();
        let start = MessageStart {
            id: "msg_\"1",
            model: "claude",
            input_tokens: 12,
        };
        message_start(&mut out, start);
        text_start(&mut out, 0);
        text_delta(&mut out, 0, "a\\nb");
        block_stop(&mut out, 0);
        thinking_start(&mut out, 1);
        thinking_delta(&mut out, 1, "t");
        signature_delta(&mut out, 1, "s");
        tool_use_start(&mut out, 2, "id", "name");
        server_tool_use_start(&mut out, 2, "id", "name");
        input_json_delta(&mut out, 2, "{\"a\"\n:1}");
        citations_delta(&mut out, 2, &"c");
        whole_block_start(&mut out, 3, &"b");
        ping(&mut out);
        let end = MessageEnd {
            stop_reason: StopReason::Refusal,
            stop_sequence: Some("</x>"),
            stop_details: Some("{\"type\":\"refusal\"}"),
            usage: &Usage::default(),
            applied_edits: None,
        };
        message_end(&mut out, end);
        let text = String::from_utf8(out).unwrap();
        let frames: Vec<&str> = text.split_terminator("\n\n").collect();
        assert_eq!(frames.len(), 15);
        for frame in frames {
            let (event, data) = frame.split_once("\ndata: ").unwrap();
            let data: serde_json::Value = serde_json::from_str(data).unwrap();
            assert_eq!(event.strip_prefix("event: "), data["type"].as_str());
        }
    }
}
