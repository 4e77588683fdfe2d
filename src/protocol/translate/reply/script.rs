//! Upstream streams for tests: how to write them and how to replay them.

use std::fmt::Write;

use serde_json::{Value, json};

use super::grammar::{self, Received};
use super::{ReplySettings, Summary, Translator, whole};
use crate::protocol::translate::envelope::{Restored, Unpacked, unpack};

pub(super) fn settings() -> ReplySettings {
    ReplySettings {
        message_id: "msg_01Test".to_owned(),
        model: "claude-opus-5-5".to_owned(),
        request_id: "req_1".to_owned(),
        target_model: "openai/gpt-5".to_owned(),
        input_estimate: 100,
        thinking_asked: true,
        ..ReplySettings::default()
    }
}

pub(super) fn quiet() -> ReplySettings {
    ReplySettings {
        thinking_asked: false,
        ..settings()
    }
}

/// A stream of chunks with one delta each, framed as OpenRouter does it.
pub(super) fn stream(chunks: &[Value]) -> String {
    let mut stream = ": OPENROUTER PROCESSING\n\n".to_owned();
    for chunk in chunks {
        write!(stream, "data: {chunk}\n\n").unwrap();
    }
    stream
}

pub(super) fn delta(delta: Value) -> Value {
    let mut chunk = json!({"id": "gen-1", "provider": "P", "model": "openai/gpt-5", "choices": [{"finish_reason": null}]});
    chunk["choices"][0]["delta"] = delta;
    chunk
}

pub(super) fn text(text: &str) -> Value {
    delta(json!({"role": "assistant", "content": text}))
}

pub(super) fn finish(reason: &str) -> Value {
    json!({"id": "gen-1", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": reason, "native_finish_reason": reason}]})
}

pub(super) fn usage() -> Value {
    json!({"prompt_tokens": 50, "completion_tokens": 9, "total_tokens": 59, "cost": 0.001,
           "prompt_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 5},
           "completion_tokens_details": {"reasoning_tokens": 4}})
}

pub(super) fn finish_with_usage(reason: &str) -> Value {
    let mut chunk = finish(reason);
    chunk["usage"] = usage();
    chunk
}

/// The usual end: the finish twice, then the mark.
pub(super) fn ended(mut chunks: Vec<Value>, reason: &str) -> String {
    chunks.push(finish(reason));
    chunks.push(finish_with_usage(reason));
    stream(&chunks) + "data: [DONE]\n\n"
}

pub(super) fn call(index: usize, id: &str, name: &str, arguments: &str) -> Value {
    delta(json!({"content": null, "tool_calls": [
        {"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}}]}))
}

pub(super) fn more_arguments(index: usize, arguments: &str) -> Value {
    delta(
        json!({"content": null, "tool_calls": [{"index": index, "function": {"arguments": arguments}}]}),
    )
}

pub(super) fn details(details: Value) -> Value {
    let mut with_details = json!({"content": ""});
    with_details["reasoning_details"] = details;
    delta(with_details)
}

pub(super) fn push_all(settings: ReplySettings, pieces: &[&[u8]]) -> (Vec<u8>, Summary) {
    let mut translator = Translator::new(settings);
    let mut out = Vec::new();
    for piece in pieces {
        translator.push(piece, &mut out);
    }
    translator.end(&mut out);
    assert!(translator.is_done());
    (out, translator.summary())
}

/// Replays a stream whole, cut in two at every offset (at some, if it is long) and, if it is short, byte by byte;
/// and has it delivered as one message, which must be the same.
pub(super) fn replay_with(settings: &ReplySettings, stream: &str) -> (Received, Summary, String) {
    let bytes = stream.as_bytes();
    let (out, summary) = push_all(settings.clone(), &[bytes]);
    let step = if bytes.len() <= 1000 {
        1
    } else {
        bytes.len() / 61
    };
    for cut in (1..bytes.len()).step_by(step) {
        let (head, tail) = bytes.split_at(cut);
        assert_eq!(
            push_all(settings.clone(), &[head, tail]).0,
            out,
            "cut at {cut}"
        );
    }
    if bytes.len() <= 5_000 {
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(push_all(settings.clone(), &single).0, out, "byte by byte");
    }
    let transcript = String::from_utf8(out.clone()).unwrap();
    let received = grammar::complete(&out).unwrap_or_else(|fault| panic!("{fault}\n{transcript}"));
    if stream.starts_with([':', 'd']) {
        let (message, _) = whole(settings.clone(), bytes);
        let message = message.map(|message| serde_json::from_slice::<Value>(&message).unwrap());
        match message {
            Ok(message) => assert_eq!(message, received.message),
            Err(error) => assert_eq!(received.error_type(), error.kind.name()),
        }
    }
    (received, summary, transcript)
}

pub(super) fn replay(stream: &str) -> Received {
    replay_with(&settings(), stream).0
}

pub(super) fn restored(block: &Value) -> Restored {
    let signature = block["signature"].as_str().unwrap();
    match unpack(signature) {
        Unpacked::Details(envelope) => envelope
            .restore(block["thinking"].as_str().unwrap())
            .unwrap(),
        other => panic!("{other:?}"),
    }
}

pub(super) fn error_chunk() -> Value {
    json!({"id": "gen-1", "provider": "Groq", "error": {"code": 429, "message": "slow down", "metadata": {"error_type": "rate_limit_exceeded"}},
           "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error", "native_finish_reason": "x"}]})
}

pub(super) fn claude(mut extra: Value) -> Value {
    let detail = json!({"type": "reasoning.text", "format": "anthropic-claude-v1"});
    for (key, value) in detail.as_object().unwrap() {
        extra[key] = value.clone();
    }
    if extra["index"].is_null() {
        extra["index"] = json!(0);
    }
    details(json!([extra]))
}

pub(super) fn encrypted(id: &str) -> Value {
    details(
        json!([{"type": "reasoning.encrypted", "data": "QUJD", "id": id, "index": 0, "format": "google-gemini-v1"}]),
    )
}

pub(super) fn tools(received: &Received) -> Vec<(String, Value)> {
    let tools = received
        .content()
        .iter()
        .filter(|block| block["type"] == "tool_use");
    tools
        .map(|tool| {
            (
                tool["name"].as_str().unwrap().to_owned(),
                tool["input"].clone(),
            )
        })
        .collect()
}
