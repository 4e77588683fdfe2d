//! Puts a turn into the JSON of chat completions: as chunks, or whole.
//!
//! It must not know sockets or time beyond the number that goes into `created`.

use serde_json::{Value, json};

use super::catalogue::Family;
use super::conversation::Conversation;
use super::dialect::{self, Thought};
use super::script::{Finish, ToolIds, Turn};
use super::usage;

/// Sizes of the pieces in which text and arguments come, in characters, over and over.
const SIZES: [usize; 6] = [4, 11, 3, 17, 8, 6];
const MOST_CHUNKS: usize = 100_000;

/// A turn as it will be said to one request.
pub(super) struct Completion {
    pub(super) frame: Frame,
    family: Family,
    pub(super) thought: Thought,
    pub(super) text: String,
    pub(super) calls: Vec<Call>,
    interleave: bool,
    pub(super) refusal: Option<String>,
    pub(super) annotations: Vec<Value>,
    pub(super) finish: Finish,
    pub(super) usage: Value,
}

/// What every chunk of an answer has in common.
#[derive(Clone)]
pub(super) struct Frame {
    pub(super) id: String,
    created: u64,
    pub(super) model: &'static str,
}

impl Frame {
    /// A chunk around a delta.
    pub(super) fn chunk(&self, delta: &Value) -> Value {
        json!({
            "id": self.id, "object": "chat.completion.chunk", "created": self.created,
            "model": self.model, "provider": "Simulated",
            "choices": [{
                "index": 0, "delta": delta, "logprobs": null,
                "finish_reason": null, "native_finish_reason": null,
            }],
        })
    }
}

/// A chunk to come. Text stays text until it is sent, because an answer may have 100,000 pieces of it.
enum Part {
    Text(String),
    Delta(Value),
    Chunk(Value),
}

/// A call of a tool.
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) arguments: String,
}

impl Completion {
    /// Says a turn to a request: with its ids, within its limits, at its price. `cached` input tokens were seen before.
    pub(super) fn new(
        turn: &Turn,
        conversation: &Conversation<'_>,
        created: u64,
        cached: u64,
    ) -> Self {
        let family = conversation.model.family;
        let mut calls = named_calls(turn, conversation);
        let (text, cut) = within_limits(&whole_text(turn), conversation);
        let finish = turn
            .finish
            .or(cut)
            .unwrap_or(match (&turn.refusal, calls.is_empty()) {
                (Some(_), _) => Finish::ContentFilter,
                (None, false) => Finish::ToolCalls,
                (None, true) => Finish::Stop,
            });
        if finish == Finish::Length
            && let Some(last) = calls.last_mut()
        {
            last.arguments = first_half(&last.arguments);
        }
        let thought = thought(turn, conversation, calls.first());
        let output = text.len()
            + calls
                .iter()
                .map(|call| call.arguments.len() + 12)
                .sum::<usize>();
        let used = usage::used(turn, conversation, output, cached);
        Self {
            frame: Frame {
                id: format!("gen-{created}-{}", dialect::name(20)),
                created,
                model: conversation.model.canonical,
            },
            family,
            thought,
            text,
            calls,
            interleave: turn.interleave,
            refusal: turn.refusal.clone(),
            annotations: turn.citations.iter().map(annotation).collect(),
            finish,
            usage: usage::priced(&used, conversation, turn.citations.len()),
        }
    }

    /// The chunks, the terminal one twice.
    pub(super) fn into_chunks(self) -> impl ExactSizeIterator<Item = Value> {
        let mut last = self
            .frame
            .chunk(&json!({ "role": "assistant", "content": "" }));
        last["choices"][0]["finish_reason"] = dialect::finish_reason(self.finish).into();
        last["choices"][0]["native_finish_reason"] = self.native().into();
        let mut parts = self.parts();
        parts.push(Part::Chunk(last.clone()));
        last["usage"] = self.usage.clone();
        parts.push(Part::Chunk(last));
        let frame = self.frame;
        parts.into_iter().map(move |part| match part {
            Part::Text(text) => frame.chunk(&json!({ "role": "assistant", "content": text })),
            Part::Delta(delta) => frame.chunk(&delta),
            Part::Chunk(chunk) => chunk,
        })
    }

    /// The answer to a request that does not stream.
    pub(super) fn whole(&self) -> Value {
        let optional = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let mut message = json!({
            "role": "assistant",
            "content": optional(&self.text),
            "refusal": self.refusal,
            "reasoning": optional(&self.thought.words),
        });
        if !self.thought.whole.is_empty() {
            message["reasoning_details"] = self.thought.whole.clone().into();
        }
        if !self.annotations.is_empty() {
            message["annotations"] = self.annotations.clone().into();
        }
        if !self.calls.is_empty() {
            let calls = self
                .calls
                .iter()
                .enumerate()
                .map(|(index, call)| call.whole(index));
            message["tool_calls"] = calls.collect();
        }
        json!({
            "id": self.frame.id, "object": "chat.completion", "created": self.frame.created,
            "model": self.frame.model, "provider": "Simulated", "system_fingerprint": null,
            "choices": [{
                "index": 0, "logprobs": null,
                "finish_reason": dialect::finish_reason(self.finish),
                "native_finish_reason": self.native(),
                "message": message,
            }],
            "usage": self.usage,
        })
    }

    fn native(&self) -> &'static str {
        dialect::native_finish_reason(self.family, self.finish)
    }

    fn parts(&self) -> Vec<Part> {
        let mut parts = Vec::new();
        for words in pieces(&self.thought.words) {
            let details: Vec<Value> = self.thought.piece(words).into_iter().collect();
            parts.push(Part::Delta(json!({
                "role": "assistant", "content": "", "reasoning": words, "reasoning_details": details,
            })));
        }
        let sealed = |details: &[Value]| {
            details
                .iter()
                .map(seal)
                .map(Part::Delta)
                .collect::<Vec<_>>()
        };
        parts.extend(sealed(&self.thought.seals));
        parts.extend(
            pieces(&self.text)
                .into_iter()
                .map(|text| Part::Text(text.to_owned())),
        );
        for text in pieces(self.refusal.as_deref().unwrap_or_default()) {
            parts.push(Part::Delta(
                json!({ "role": "assistant", "content": "", "refusal": text }),
            ));
        }
        if !self.annotations.is_empty() {
            let delta =
                json!({ "role": "assistant", "content": "", "annotations": self.annotations });
            parts.push(Part::Delta(delta));
        }
        parts.extend(self.call_deltas().into_iter().map(Part::Delta));
        parts.extend(sealed(&self.thought.late));
        parts
    }

    fn call_deltas(&self) -> Vec<Value> {
        let is_whole = self.family == Family::Gemini && !self.interleave;
        let mut by_call: Vec<Vec<Value>> = self
            .calls
            .iter()
            .enumerate()
            .map(|(index, call)| {
                if is_whole {
                    vec![call.opener(index, &call.arguments)]
                } else {
                    call.fragments(index)
                }
            })
            .collect();
        if !self.interleave {
            return by_call.into_iter().flatten().collect();
        }
        for fragments in &mut by_call {
            fragments.reverse();
        }
        let longest = by_call.iter().map(Vec::len).max().unwrap_or(0);
        let mut deltas = Vec::new();
        for _ in 0..longest {
            deltas.extend(by_call.iter_mut().filter_map(Vec::pop));
        }
        deltas
    }
}

impl Call {
    fn opener(&self, index: usize, arguments: &str) -> Value {
        json!({ "role": "assistant", "content": null, "tool_calls": [{
            "index": index, "id": self.id, "type": "function",
            "function": { "name": self.name, "arguments": arguments },
        }] })
    }

    /// The opener, an empty fragment as hosts like to send, and the arguments.
    fn fragments(&self, index: usize) -> Vec<Value> {
        let fragment = |text: &str| {
            json!({ "role": "assistant", "content": null, "tool_calls": [{
                "index": index, "function": { "arguments": text },
            }] })
        };
        let mut fragments = vec![self.opener(index, ""), fragment("")];
        fragments.extend(pieces(&self.arguments).into_iter().map(fragment));
        fragments
    }

    fn whole(&self, index: usize) -> Value {
        json!({
            "type": "function", "index": index, "id": self.id,
            "function": { "name": self.name, "arguments": self.arguments },
        })
    }
}

fn seal(detail: &Value) -> Value {
    json!({ "role": "assistant", "content": "", "reasoning": null, "reasoning_details": [detail] })
}

fn annotation(citation: &super::script::Citation) -> Value {
    json!({ "type": "url_citation", "url_citation": {
        "url": citation.url, "title": citation.title, "start_index": 0, "end_index": 0,
    } })
}

fn named_calls(turn: &Turn, conversation: &Conversation<'_>) -> Vec<Call> {
    let before = conversation.calls_so_far();
    let named = |(index, call): (usize, &super::script::ToolCall)| Call {
        id: match (&call.id, turn.ids) {
            (Some(id), _) => id.clone(),
            (None, ToolIds::Repeat) => format!("call_{index}"),
            (None, ToolIds::Empty) => String::new(),
            (None, ToolIds::Family) => {
                dialect::call_id(conversation.model.family, &call.name, before + index)
            }
        },
        name: call.name.clone(),
        arguments: match &call.args {
            Value::String(text) => text.clone(),
            args => args.to_string(),
        },
    };
    turn.tools.iter().enumerate().map(named).collect()
}

fn thought(turn: &Turn, conversation: &Conversation<'_>, first_call: Option<&Call>) -> Thought {
    if turn.think.is_empty() || !conversation.reasons() || conversation.hides_reasoning() {
        return Thought::default();
    }
    let first_id = first_call.map(|call| call.id.as_str()).unwrap_or_default();
    dialect::thought(
        conversation.model.family,
        &turn.think,
        turn.redacted,
        first_id,
    )
}

/// The text, repeated until it fills the chunks that the turn wants.
fn whole_text(turn: &Turn) -> String {
    let Some(chunks) = turn.chunks else {
        return turn.text.clone();
    };
    let pattern = if turn.text.is_empty() {
        "lorem ipsum "
    } else {
        turn.text.as_str()
    };
    let characters = (0..chunks.min(MOST_CHUNKS))
        .map(|nth| SIZES[nth % SIZES.len()])
        .sum();
    pattern.chars().cycle().take(characters).collect()
}

/// Cuts a text at a stop sequence or at the limit on tokens, whichever is first.
fn within_limits(text: &str, conversation: &Conversation<'_>) -> (String, Option<Finish>) {
    let stop = conversation
        .stops()
        .into_iter()
        .filter_map(|stop| text.find(stop))
        .min();
    let budget = conversation.max_tokens().unwrap_or(u64::MAX);
    let most = usize::try_from(budget.saturating_mul(4)).unwrap_or(usize::MAX);
    let stopped = stop.and_then(|place| text.get(..place));
    match stopped {
        Some(shorter) if shorter.len() <= most => (shorter.to_owned(), Some(Finish::StopSequence)),
        _ if text.len() <= most => (text.to_owned(), None),
        _ => {
            let kept = text
                .char_indices()
                .take_while(|(place, letter)| place + letter.len_utf8() <= most);
            (
                kept.map(|(_, letter)| letter).collect(),
                Some(Finish::Length),
            )
        }
    }
}

/// Cuts a text into pieces as a tokenizer might.
pub(super) fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut sizes = SIZES.iter().cycle();
    while !rest.is_empty() {
        let size = sizes.next().copied().unwrap_or(1);
        let end = rest
            .char_indices()
            .nth(size)
            .map_or(rest.len(), |(place, _)| place);
        let (piece, remaining) = rest.split_at(end);
        pieces.push(piece);
        rest = remaining;
    }
    pieces
}

fn first_half(text: &str) -> String {
    text.chars().take(text.chars().count() / 2).collect()
}
