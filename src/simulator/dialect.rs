//! What differs between the families of models on the wire: formats of reasoning, ids of calls, native finish reasons.
//!
//! It must not know how chunks are framed or timed.

use serde_json::{Value, json};

use super::catalogue::Family;
use super::script::Finish;
use super::signature::sign;

/// The format of Claude's reasoning.
pub(super) const CLAUDE: &str = "anthropic-claude-v1";
/// What Claude's redacted reasoning is signed for.
pub(super) const CLAUDE_REDACTED: &str = "anthropic-claude-v1/redacted";
/// The format of reasoning of `openai/*`.
pub(super) const OPENAI: &str = "openai-responses-v1";
/// The format of Gemini's reasoning.
pub(super) const GEMINI: &str = "google-gemini-v1";
const UNKNOWN: &str = "unknown";

/// A thought, as its details come in a stream and as they stand in a whole message.
#[derive(Debug, Default)]
pub(super) struct Thought {
    /// Its words, when they are shown.
    pub(super) words: String,
    /// The detail that carries a piece of the words, without the piece.
    frame: Option<(&'static str, &'static str)>,
    /// Details after the words and before the text.
    pub(super) seals: Vec<Value>,
    /// Details after the calls.
    pub(super) late: Vec<Value>,
    /// All details of the whole message.
    pub(super) whole: Vec<Value>,
}

impl Thought {
    /// The detail for a piece of the words.
    pub(super) fn piece(&self, words: &str) -> Option<Value> {
        let (kind, format) = self.frame?;
        let field = if kind == "reasoning.summary" {
            "summary"
        } else {
            "text"
        };
        Some(json!({ "type": kind, field: words, "format": format, "index": 0 }))
    }
}

/// Gives a thought the form of its family. `first_call` is the id of the turn's first call, `""` without one.
pub(super) fn thought(family: Family, words: &str, redacted: bool, first_call: &str) -> Thought {
    match family {
        Family::Claude if redacted => claude_redacted(words),
        Family::Claude => claude(words),
        Family::OpenAi => openai(words, redacted),
        Family::Gemini => gemini(words, first_call),
        Family::DeepSeek | Family::Kimi | Family::Other => Thought {
            words: words.to_owned(),
            frame: Some(("reasoning.text", UNKNOWN)),
            whole: vec![
                json!({ "type": "reasoning.text", "text": words, "format": UNKNOWN, "index": 0 }),
            ],
            ..Thought::default()
        },
    }
}

fn claude(words: &str) -> Thought {
    let signature = sign(CLAUDE, "", words);
    Thought {
        words: words.to_owned(),
        frame: Some(("reasoning.text", CLAUDE)),
        seals: vec![
            json!({ "type": "reasoning.text", "signature": signature, "format": CLAUDE, "index": 0 }),
        ],
        late: Vec::new(),
        whole: vec![json!({
            "type": "reasoning.text", "text": words, "signature": signature, "format": CLAUDE, "index": 0,
        })],
    }
}

fn claude_redacted(words: &str) -> Thought {
    let detail = json!({
        "type": "reasoning.encrypted", "data": sign(CLAUDE_REDACTED, "", words), "format": CLAUDE, "index": 0,
    });
    Thought {
        seals: vec![detail.clone()],
        whole: vec![detail],
        ..Thought::default()
    }
}

/// A summary and, after everything else, an encrypted item; in a stream both have the index 0.
fn openai(words: &str, redacted: bool) -> Thought {
    let id = format!("rs_{}", name(32));
    let data = sign(OPENAI, &id, words);
    let encrypted = |index: u8| json!({ "type": "reasoning.encrypted", "data": data, "format": OPENAI, "id": id, "index": index });
    let summary =
        json!({ "type": "reasoning.summary", "summary": words, "format": OPENAI, "index": 0 });
    if redacted || words.is_empty() {
        return Thought {
            late: vec![encrypted(0)],
            whole: vec![encrypted(0)],
            ..Thought::default()
        };
    }
    Thought {
        words: words.to_owned(),
        frame: Some(("reasoning.summary", OPENAI)),
        seals: Vec::new(),
        late: vec![encrypted(0)],
        whole: vec![summary, encrypted(1)],
    }
}

/// Words, and the signature that belongs to the first call.
fn gemini(words: &str, first_call: &str) -> Thought {
    let text = json!({ "type": "reasoning.text", "text": words, "format": GEMINI, "index": 0 });
    let mut whole = vec![text];
    let mut late = Vec::new();
    if !first_call.is_empty() {
        let data = sign(GEMINI, "", words);
        let seal = json!({
            "type": "reasoning.encrypted", "data": data, "format": GEMINI, "id": first_call, "index": 0,
        });
        whole.push(seal.clone());
        late.push(seal);
    }
    Thought {
        words: words.to_owned(),
        frame: Some(("reasoning.text", GEMINI)),
        seals: Vec::new(),
        late,
        whole,
    }
}

/// A new id for a call of `tool`, the conversation's `nth` from 0.
pub(super) fn call_id(family: Family, tool: &str, nth: usize) -> String {
    match family {
        Family::Claude => format!("toolu_{}", name(24)),
        Family::Gemini => format!("tool_{tool}_{}", name(20)),
        Family::Kimi => format!("functions.{tool}:{nth}"),
        Family::DeepSeek => format!("call_00_{}", name(24)),
        Family::OpenAi | Family::Other => format!("call_{}", name(24)),
    }
}

/// Random letters and digits.
pub(super) fn name(length: usize) -> String {
    std::iter::repeat_with(fastrand::alphanumeric)
        .take(length)
        .collect()
}

/// The finish reason in OpenRouter's words.
pub(super) fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::StopSequence => "stop",
        Finish::ToolCalls => "tool_calls",
        Finish::Length => "length",
        Finish::ContentFilter => "content_filter",
    }
}

/// The finish reason in the words of the family.
pub(super) fn native_finish_reason(family: Family, finish: Finish) -> &'static str {
    match (family, finish) {
        (Family::Claude, Finish::Stop) => "end_turn",
        (Family::Claude, Finish::StopSequence) => "stop_sequence",
        (Family::Claude, Finish::ToolCalls) => "tool_use",
        (Family::Claude, Finish::Length) => "max_tokens",
        (Family::Claude, Finish::ContentFilter) => "refusal",
        (Family::Gemini, Finish::Stop | Finish::StopSequence | Finish::ToolCalls) => "STOP",
        (Family::Gemini, Finish::Length) => "MAX_TOKENS",
        (Family::Gemini, Finish::ContentFilter) => "SAFETY",
        (Family::OpenAi, Finish::Stop | Finish::StopSequence | Finish::ToolCalls) => "completed",
        (Family::OpenAi, Finish::Length) => "max_output_tokens",
        (_, finish) => finish_reason(finish),
    }
}
