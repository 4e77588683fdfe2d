//! The request bodies: valid Anthropic Messages requests of the three sizes that the rig measures.
//!
//! The middle one has the shape of a Claude Code turn (older Claude models): three system blocks, 20 tools with JSON schemas, a
//! history of thinking, tool calls and results, cache breakpoints, and `metadata.user_id` with JSON in a string. The words
//! are made here. A number in the last message changes with every request, as the last message of a conversation does.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem;
use serde_json::{Value, json};

use crate::prose::Prose;
use crate::tools;

/// The model that the requests name, as Claude Code writes it.
const MODEL_ASKED: &str = "claude-sonnet-4-5-20250929";
/// The same as OpenRouter writes it.
pub(crate) const MODEL_SENT: &str = "anthropic/claude-sonnet-4.5";

const NONCE: &str = "000000000000";
const NONCE_MARK: &str = "turn-000000000000";
const SMALL: usize = 1 << 10;
const TURN: usize = 96 << 10;
const IMAGE: usize = 3 << 19;
const HISTORY_ROUNDS: usize = 9;

/// Which body a scenario sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    Small,
    Turn,
    Image,
}

/// A body of which each sent copy is made different.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    /// Where the number stands that differs.
    pub(crate) nonce: Range<usize>,
}

/// Writes the next number into a copy's place for it.
pub(crate) fn stamp(place: &mut [u8]) {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut number = NEXT.fetch_add(1, Ordering::Relaxed);
    for digit in place.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).expect("a remainder of ten fits a byte");
        number /= 10;
    }
}

impl Size {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Small => "1kb",
            Self::Turn => "96kb",
            Self::Image => "1.5mb",
        }
    }

    /// Makes the body; the same bytes each time but for `stream`.
    pub(crate) fn body(self, stream: bool) -> Body {
        match self {
            Self::Small => padded(SMALL, |padding| small(padding, stream)),
            Self::Turn => padded(TURN, |padding| turn(padding, stream)),
            Self::Image => padded(IMAGE, |padding| image(padding, stream)),
        }
    }
}

/// Fills a body up to exactly `size` bytes.
fn padded(size: usize, make: impl Fn(&str) -> Value) -> Body {
    let bare = make("").to_string().len();
    let missing = size
        .checked_sub(bare)
        .expect("the body without padding is smaller than its size");
    let bytes = make(&Prose::new(7).plain(missing)).to_string().into_bytes();
    let mark = memmem::rfind(&bytes, NONCE_MARK.as_bytes())
        .expect("every body holds the mark of its turn");
    let end = mark + NONCE_MARK.len();
    Body {
        bytes,
        nonce: end - NONCE.len()..end,
    }
}

fn small(padding: &str, stream: bool) -> Value {
    json!({
        "model": MODEL_ASKED,
        "max_tokens": 1024,
        "system": "You answer in one sentence.",
        "messages": [{"role": "user", "content": format!("{padding} {NONCE_MARK}")}],
        "stream": stream,
    })
}

fn image(padding: &str, stream: bool) -> Value {
    let mut picture = b"\x89PNG\r\n\x1a\n".to_vec();
    picture.extend(Prose::new(11).bytes(IMAGE / 4 * 3 - 3072));
    json!({
        "model": MODEL_ASKED,
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": STANDARD.encode(picture)}},
            {"type": "text", "text": format!("What is wrong with this window? {padding} {NONCE_MARK}")},
        ]}],
        "stream": stream,
    })
}

fn turn(padding: &str, stream: bool) -> Value {
    let mut prose = Prose::new(3);
    let cached = json!({"type": "ephemeral"});
    let session = "5f0c1c9e-7d0b-4c55-9d2a-4a6f6c1f2b11";
    let user_id = json!({"device_id": "3c".repeat(32), "account_uuid": "", "session_id": session});
    json!({
        "model": MODEL_ASKED,
        "messages": history(&mut prose, padding),
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.330.b85; cc_entrypoint=sdk-cli;"},
            {"type": "text", "text": "You are an agent that works in a terminal on someone's code.", "cache_control": cached},
            {"type": "text", "text": prose.paragraphs(14_000), "cache_control": cached},
        ],
        "tools": tools::all(&mut prose),
        "metadata": {"user_id": user_id.to_string()},
        "max_tokens": 32_000,
        "thinking": {"type": "enabled", "budget_tokens": 31_999, "display": "omitted"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "stream": stream,
    })
}

fn history(prose: &mut Prose, padding: &str) -> Value {
    let reminder = |prose: &mut Prose| json!({"type": "text", "text": format!("<system-reminder>\n{}\n</system-reminder>", prose.paragraphs(900))});
    let mut messages = vec![json!({"role": "user", "content": [
        reminder(prose), reminder(prose), reminder(prose),
        {"type": "text", "text": "The build fails on main since yesterday. Find out why and repair it."},
    ]})];
    for round in 0..HISTORY_ROUNDS {
        let is_last = round + 1 == HISTORY_ROUNDS;
        messages.push(calls(prose, round));
        messages.push(results(prose, round, is_last.then_some(padding)));
    }
    Value::Array(messages)
}

fn calls(prose: &mut Prose, round: usize) -> Value {
    let thought = prose.paragraphs(420);
    let signature = STANDARD.encode(prose.bytes(312));
    let mut content = vec![
        json!({"type": "thinking", "thinking": thought, "signature": signature}),
        json!({"type": "text", "text": prose.paragraphs(90)}),
        json!({"type": "tool_use", "id": call_id(round, 0), "name": "Bash", "input": {
            "command": format!("rg -n \"fn step_{round}\" src | head -20 && cargo check 2>&1 | tail -5"),
            "description": "Looks for the step and checks the crate",
        }}),
    ];
    if round % 3 == 1 {
        content.push(
            json!({"type": "tool_use", "id": call_id(round, 1), "name": "Edit", "input": {
                "file_path": format!("/home/dev/project/src/step_{round}.rs"),
                "old_string": prose.code(260), "new_string": prose.code(300), "replace_all": false,
            }}),
        );
    }
    json!({"role": "assistant", "content": content})
}

fn results(prose: &mut Prose, round: usize, last: Option<&str>) -> Value {
    let output = prose.code(2_300);
    let Some(padding) = last else {
        let mut content = vec![json!({
            "type": "tool_result", "tool_use_id": call_id(round, 0), "content": output, "is_error": round == 4,
        })];
        if round % 3 == 1 {
            let text = [json!({"type": "text", "text": "The file has been updated."})];
            content.push(
                json!({"type": "tool_result", "tool_use_id": call_id(round, 1), "content": text}),
            );
        }
        return json!({"role": "user", "content": content});
    };
    json!({"role": "user", "content": [{
        "type": "tool_result", "tool_use_id": call_id(round, 0), "content": format!("{output}{padding} {NONCE_MARK}"),
        "is_error": false, "cache_control": {"type": "ephemeral"},
    }]})
}

fn call_id(round: usize, index: usize) -> String {
    format!("toolu_01{round:04}{index:02}QmVuY2hSaWdDYWxs")
}
