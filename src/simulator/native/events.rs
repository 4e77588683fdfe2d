//! A turn in Anthropic's words: as events, or as a message.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::request::REPEATED;
use super::searches;
use crate::simulator::completion::{Completion, pieces as cut};
use crate::simulator::script::{Break, BreakKind, End, Finish, Piece};
use crate::simulator::server::Host;
use crate::simulator::stream::Tempo;

/// The error of a status.
pub(in crate::simulator) fn error(status: u16, message: &str) -> Value {
    let kind = match status {
        400 | 422 => "invalid_request_error",
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        408 | 504 | 524 => "timeout_error",
        _ => "api_error",
    };
    json!({ "type": "error", "error": { "type": kind, "message": message }, "request_id": "req_simulated" })
}

/// The whole message.
pub(super) fn message(completion: &Completion, host: Host) -> Value {
    let content: Vec<Value> = blocks(completion, host)
        .into_iter()
        .map(|block| block.whole)
        .collect();
    json!({
        "id": id(completion, host), "type": "message", "role": "assistant",
        "model": completion.frame.model, "content": content,
        "stop_reason": stop_reason(completion), "stop_sequence": null,
        "usage": usage(completion), "provider": "Simulated",
    })
}

/// The events as pieces of a stream, broken off where `breaks` says so.
pub(super) fn pieces(
    completion: &Completion,
    host: Host,
    tempo: Tempo,
    breaks: Option<&Break>,
) -> (Vec<Piece>, End) {
    let mut events = events(completion, host);
    let mut end = End::Clean;
    if let Some(breaks) = breaks {
        events.truncate(breaks.after);
        match breaks.kind {
            BreakKind::Error | BreakKind::BareError | BreakKind::FinishError => {
                events.push(error(breaks.code, &breaks.message));
            }
            BreakKind::Cut => end = End::Cut,
            BreakKind::Hang => end = End::Hang,
            BreakKind::Close => {}
        }
    }
    let piece = |(nth, event): (usize, &Value)| Piece {
        pause: if nth == 0 { tempo.first } else { tempo.pace },
        bytes: Bytes::from(format!(
            "event: {}\ndata: {event}\n\n",
            event["type"].as_str().unwrap_or_default()
        )),
    };
    let mut pieces: Vec<Piece> = events.iter().enumerate().map(piece).collect();
    if host.is_openrouter() && end == End::Clean {
        pieces.push(Piece {
            pause: std::time::Duration::ZERO,
            bytes: Bytes::from_static(b"event: data\ndata: [DONE]\n\n"),
        });
    }
    (pieces, end)
}

fn events(completion: &Completion, host: Host) -> Vec<Value> {
    let counted = usage(completion);
    let input = if host.is_openrouter() {
        json!(0)
    } else {
        counted["input_tokens"].clone()
    };
    let mut events = vec![
        json!({ "type": "message_start", "message": {
            "id": id(completion, host), "type": "message", "role": "assistant",
            "model": completion.frame.model, "content": [], "stop_reason": null, "stop_sequence": null,
            "usage": { "input_tokens": input, "output_tokens": 1 }, "provider": "Simulated",
        } }),
        json!({ "type": "ping" }),
    ];
    for (index, block) in blocks(completion, host).into_iter().enumerate() {
        events.push(
            json!({ "type": "content_block_start", "index": index, "content_block": block.start }),
        );
        let delta =
            |delta| json!({ "type": "content_block_delta", "index": index, "delta": delta });
        events.extend(block.deltas.into_iter().map(delta));
        events.push(json!({ "type": "content_block_stop", "index": index }));
    }
    events.push(json!({
        "type": "message_delta",
        "delta": { "stop_reason": stop_reason(completion), "stop_sequence": null },
        "usage": counted,
    }));
    events.push(json!({ "type": "message_stop" }));
    events
}

/// A block: how it begins, what is added, what it is in the end.
pub(super) struct Block {
    pub(super) start: Value,
    pub(super) deltas: Vec<Value>,
    pub(super) whole: Value,
}

fn blocks(completion: &Completion, host: Host) -> Vec<Block> {
    let mut blocks = Vec::new();
    let thought = &completion.thought;
    let sealed = |name: &str| {
        let seals = thought.seals.iter();
        seals
            .filter_map(|seal| seal[name].as_str())
            .next()
            .unwrap_or_default()
    };
    let (signature, data) = (sealed("signature"), sealed("data"));
    if !thought.words.is_empty() {
        let mut deltas: Vec<Value> = cut(&thought.words)
            .into_iter()
            .map(|words| json!({ "type": "thinking_delta", "thinking": words }))
            .collect();
        deltas.push(json!({ "type": "signature_delta", "signature": signature }));
        blocks.push(Block {
            start: json!({ "type": "thinking", "thinking": "", "signature": "" }),
            deltas,
            whole: json!({ "type": "thinking", "thinking": thought.words, "signature": signature }),
        });
    } else if !data.is_empty() {
        blocks.push(at_once(
            &json!({ "type": "redacted_thinking", "data": data }),
        ));
    }
    blocks.extend(searches::blocks(&completion.annotations));
    let said = completion.refusal.as_deref().unwrap_or(&completion.text);
    if !said.is_empty() {
        let delta = |text: &str| json!({ "type": "text_delta", "text": text });
        let mut text = Block {
            start: json!({ "type": "text", "text": "" }),
            deltas: cut(said).into_iter().map(delta).collect(),
            whole: json!({ "type": "text", "text": said }),
        };
        searches::cite(&completion.annotations, &mut text);
        blocks.push(text);
    }
    for call in &completion.calls {
        let delta = |json: &str| json!({ "type": "input_json_delta", "partial_json": json });
        let input: Value = serde_json::from_str(&call.arguments).unwrap_or_else(|_| json!({}));
        blocks.push(Block {
            start: json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": {} }),
            deltas: cut(&call.arguments).into_iter().map(delta).collect(),
            whole: json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": input }),
        });
    }
    if host.is_openrouter() && !thought.words.is_empty() {
        let copy =
            json!({ "signature": signature, "text": thought.words, "type": "reasoning.text" });
        let data = format!("{REPEATED}{}", STANDARD.encode(copy.to_string()));
        blocks.push(at_once(
            &json!({ "type": "redacted_thinking", "data": data }),
        ));
    }
    blocks
}

pub(super) fn at_once(whole: &Value) -> Block {
    Block {
        start: whole.clone(),
        deltas: Vec::new(),
        whole: whole.clone(),
    }
}

fn id(completion: &Completion, host: Host) -> String {
    if host.is_openrouter() {
        completion.frame.id.clone()
    } else {
        completion.frame.id.replace("gen-", "msg_")
    }
}

fn stop_reason(completion: &Completion) -> &'static str {
    match completion.finish {
        Finish::Stop => "end_turn",
        Finish::StopSequence => "stop_sequence",
        Finish::ToolCalls => "tool_use",
        Finish::Length => "max_tokens",
        Finish::ContentFilter => "refusal",
    }
}

/// The usage in Anthropic's arithmetic, with OpenRouter's price.
fn usage(completion: &Completion) -> Value {
    let said = &completion.usage;
    let count = |pointer: &str| said.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let read = count("/prompt_tokens_details/cached_tokens");
    let written = count("/prompt_tokens_details/cache_write_tokens");
    json!({
        "input_tokens": count("/prompt_tokens").saturating_sub(read + written),
        "cache_read_input_tokens": read, "cache_creation_input_tokens": written,
        "output_tokens": count("/completion_tokens"),
        "server_tool_use": { "web_search_requests": count("/server_tool_use_details/web_search_requests") },
        "output_tokens_details": { "thinking_tokens": count("/completion_tokens_details/reasoning_tokens") },
        "cost": said["cost"],
    })
}
