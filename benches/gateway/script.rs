//! What the simulated upstream says, rendered once: OpenRouter's JSON inside HTTP/1.1.

use serde_json::{Value, json};

use crate::bodies::MODEL_SENT;
use crate::wire::FIRST_TOKEN;

const GENERATION: &str = "gen-1790000000-AbCdEfGhIjKlMnOpQrSt";
const CREATED: u64 = 1_790_000_000;
/// Content events that are rendered; longer streams repeat all but the first.
const RENDERED: usize = 200;
const WORDS: [&str; 8] = [
    "the ",
    "run ",
    "of a ",
    "workflow ",
    "is ",
    "recorded, ",
    "step ",
    "by step ",
];

/// Every answer, ready to be written.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) completion: Vec<u8>,
    pub(crate) models: Vec<u8>,
    pub(crate) key: Vec<u8>,
    pub(crate) not_found: Vec<u8>,
    /// The head of a stream and OpenRouter's usual first comment.
    pub(crate) stream_head: Vec<u8>,
    /// Finish, finish again with usage, `[DONE]`, and the end of the HTTP body.
    pub(crate) stream_end: Vec<u8>,
    events: Vec<Vec<u8>>,
}

impl Script {
    pub(crate) fn render() -> Self {
        let mut stream_head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n\
             X-Generation-Id: {GENERATION}\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        .into_bytes();
        stream_head.extend(chunk(": OPENROUTER PROCESSING\n\n"));
        let mut stream_end = chunk(&event(&delta("", Some("stop"), None)));
        stream_end.extend(chunk(&event(&delta("", Some("stop"), Some(usage())))));
        stream_end.extend(chunk("data: [DONE]\n\n"));
        stream_end.extend_from_slice(b"0\r\n\r\n");
        let content = |index: usize| match index {
            0 => format!("{FIRST_TOKEN} "),
            _ => WORDS
                .get(index % WORDS.len())
                .copied()
                .unwrap_or_default()
                .to_owned(),
        };
        Self {
            completion: document("200 OK", &completion()),
            models: document("200 OK", &models()),
            key: document(
                "200 OK",
                &json!({"data": {"label": "bench", "limit": null, "usage": 0, "is_free_tier": false}}),
            ),
            not_found: document(
                "404 Not Found",
                &json!({"error": {"code": 404, "message": "no such path"}}),
            ),
            stream_head,
            stream_end,
            events: (0..RENDERED)
                .map(|index| chunk(&event(&delta(&content(index), None, None))))
                .collect(),
        }
    }

    /// As many content events as asked for, each an HTTP chunk; the first and only the first holds the token to wait for.
    pub(crate) fn events(&self, count: u32) -> impl Iterator<Item = &[u8]> {
        let again = self.events.iter().skip(1).cycle();
        let all = self.events.iter().take(1).chain(again);
        all.take(count as usize).map(Vec::as_slice)
    }
}

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

fn event(value: &Value) -> String {
    format!("data: {value}\n\n")
}

fn delta(content: &str, finish: Option<&str>, usage: Option<Value>) -> Value {
    let mut value = json!({
        "id": GENERATION, "provider": "Anthropic", "model": MODEL_SENT,
        "object": "chat.completion.chunk", "created": CREATED,
        "choices": [{
            "index": 0, "delta": {"role": "assistant", "content": content},
            "finish_reason": finish, "native_finish_reason": finish.map(|_| "end_turn"), "logprobs": null,
        }],
    });
    if let (Some(usage), Some(fields)) = (usage, value.as_object_mut()) {
        fields.insert("usage".to_owned(), usage);
    }
    value
}

fn completion() -> Value {
    json!({
        "id": GENERATION, "object": "chat.completion", "created": CREATED,
        "model": MODEL_SENT, "provider": "Anthropic", "system_fingerprint": null,
        "choices": [{
            "index": 0, "finish_reason": "stop", "native_finish_reason": "end_turn", "logprobs": null,
            "message": {"role": "assistant", "content": "The tests pass and the folder is clean.", "refusal": null, "reasoning": null},
        }],
        "usage": usage(),
    })
}

fn usage() -> Value {
    json!({
        "prompt_tokens": 24_117, "completion_tokens": 151, "total_tokens": 24_268,
        "cost": 0.012_345, "is_byok": false,
        "prompt_tokens_details": {"cached_tokens": 22_400, "cache_write_tokens": 1_500, "audio_tokens": 0},
        "cost_details": {"upstream_inference_cost": null},
        "completion_tokens_details": {"reasoning_tokens": 0, "image_tokens": 0},
    })
}

fn models() -> Value {
    let entry = |id: &str, name: &str| {
        json!({
            "id": id, "canonical_slug": id, "name": name, "created": CREATED, "description": name,
            "context_length": 200_000,
            "architecture": {
                "input_modalities": ["text", "image", "file"], "output_modalities": ["text"],
                "modality": "text+image->text", "tokenizer": "Claude", "instruct_type": null,
            },
            "pricing": {
                "prompt": "0.000003", "completion": "0.000015", "request": "0", "image": "0.0048",
                "input_cache_read": "0.0000003", "input_cache_write": "0.00000375",
            },
            "top_provider": {"context_length": 200_000, "max_completion_tokens": 64_000, "is_moderated": false},
            "per_request_limits": null,
            "supported_parameters": [
                "include_reasoning", "max_tokens", "reasoning", "stop", "temperature", "tool_choice", "tools", "top_k", "top_p",
            ],
        })
    };
    json!({"data": [
        entry(MODEL_SENT, "Anthropic: Claude Sonnet 4.5"),
        entry("anthropic/claude-haiku-4.5", "Anthropic: Claude Haiku 4.5"),
        entry("anthropic/claude-opus-5.5", "Anthropic: Claude Opus 5.5"),
    ]})
}

fn document(status: &str, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nX-Generation-Id: {GENERATION}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
