//! What the simulator can be told to answer: raw bytes, silence, a broken line, or a turn of a model.
//!
//! Plain data; it must not know how any of it is put on the wire.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::seen::Seen;

/// Answers to come, first in, first out. An answer with a condition waits for a request that meets it.
#[derive(Debug, Default)]
pub struct Script {
    answers: VecDeque<Scripted>,
}

type Condition = Box<dyn Fn(&Seen) -> bool + Send>;

struct Scripted {
    condition: Option<Condition>,
    answer: Answer,
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scripted")
            .field("conditional", &self.condition.is_some())
            .field("answer", &self.answer)
            .finish()
    }
}

impl Script {
    /// Starts an empty script.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers the next request.
    #[must_use]
    pub fn then(mut self, answer: impl Into<Answer>) -> Self {
        self.answers.push_back(Scripted {
            condition: None,
            answer: answer.into(),
        });
        self
    }

    /// Answers the next request that meets the condition.
    #[must_use]
    pub fn when(
        mut self,
        condition: impl Fn(&Seen) -> bool + Send + 'static,
        answer: impl Into<Answer>,
    ) -> Self {
        self.answers.push_back(Scripted {
            condition: Some(Box::new(condition)),
            answer: answer.into(),
        });
        self
    }

    /// Puts another script's answers behind these.
    pub(super) fn append(&mut self, mut other: Self) {
        self.answers.append(&mut other.answers);
    }

    /// Takes the first answer that is meant for this request.
    pub(super) fn take(&mut self, seen: &Seen) -> Option<Answer> {
        let fits =
            |scripted: &Scripted| scripted.condition.as_ref().is_none_or(|meets| meets(seen));
        let place = self.answers.iter().position(fits)?;
        self.answers.remove(place).map(|scripted| scripted.answer)
    }
}

/// One answer.
#[derive(Clone, Debug)]
pub enum Answer {
    /// These bytes under this status.
    Http {
        /// The status line's number.
        status: u16,
        /// Headers beside the simulator's own.
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    },
    /// An event stream, piece by piece.
    Sse {
        /// The pieces, sent as they are.
        pieces: Vec<Piece>,
        /// What follows the last one.
        end: End,
    },
    /// Nothing, not even headers, until the client gives up.
    Hang,
    /// The connection is reset before any header.
    Reset,
    /// A turn of the model that was asked, in the dialect of its family.
    Turn(Box<Turn>),
    /// What the built-in model says.
    BuiltIn,
}

impl Answer {
    /// An error as OpenRouter words it.
    #[must_use]
    pub fn error(status: u16, message: &str) -> Self {
        Self::Http {
            status,
            headers: Vec::new(),
            body: super::refusal::Refusal::platform(status, message)
                .body()
                .to_string(),
        }
    }

    /// An error as the Messages API words it.
    #[must_use]
    pub fn native_error(status: u16, message: &str) -> Self {
        Self::Http {
            status,
            headers: Vec::new(),
            body: super::native::events::error(status, message).to_string(),
        }
    }

    /// The same answer with a header more; only raw answers have headers of their own.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        if let Self::Http { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// A stream of `data:` lines, without pauses.
    #[must_use]
    pub fn data_lines(lines: &[&str], end: End) -> Self {
        let pieces = lines
            .iter()
            .map(|line| Piece {
                pause: Duration::ZERO,
                bytes: Bytes::from(format!("data: {line}\n\n")),
            })
            .collect();
        Self::Sse { pieces, end }
    }
}

impl From<Turn> for Answer {
    fn from(turn: Turn) -> Self {
        Self::Turn(Box::new(turn))
    }
}

/// A piece of a stream and the pause before it.
#[derive(Clone, Debug)]
pub struct Piece {
    /// How long the simulator is silent before it.
    pub pause: Duration,
    /// What it sends then.
    pub bytes: Bytes,
}

/// How a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As HTTP wants it.
    Clean,
    /// The connection breaks.
    Cut,
    /// Silence until the client gives up.
    Hang,
}

/// A turn of a simulated model.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Turn {
    /// What it thinks first, when the request lets it reason.
    pub think: String,
    /// Whether the thinking is given only in encrypted form.
    pub redacted: bool,
    /// What it says.
    pub text: String,
    /// The tools it calls.
    pub tools: Vec<ToolCall>,
    /// Whether the arguments of parallel calls come in turns.
    pub interleave: bool,
    /// How the calls are named.
    pub ids: ToolIds,
    /// It declines, with these words.
    pub refusal: Option<String>,
    /// Web pages it cites.
    pub citations: Vec<Citation>,
    /// Why it stops; by default what follows from the rest.
    pub finish: Option<Finish>,
    /// What it claims to have used; by default an estimate.
    pub usage: Option<Usage>,
    /// The text is repeated until it fills so many chunks, at most 100,000.
    pub chunks: Option<usize>,
    /// Milliseconds between two chunks, at most 60,000; by default the simulator's pace.
    pub pause_ms: Option<u64>,
    /// It fails instead.
    pub fail: Option<Failure>,
    /// Its stream breaks.
    #[serde(rename = "break")]
    pub breaks: Option<Break>,
}

impl Turn {
    /// A turn that only says something.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    /// A turn that only calls a tool.
    #[must_use]
    pub fn tool(name: &str, args: Value) -> Self {
        Self::default().and_tool(name, args)
    }

    /// The same turn with a call more.
    #[must_use]
    pub fn and_tool(mut self, name: &str, args: Value) -> Self {
        self.tools.push(ToolCall {
            name: name.to_owned(),
            args,
            id: None,
        });
        self
    }

    /// The same turn with thinking before it.
    #[must_use]
    pub fn thinking(mut self, think: &str) -> Self {
        think.clone_into(&mut self.think);
        self
    }
}

/// A call of a tool.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolCall {
    /// The tool.
    pub name: String,
    /// Its arguments; a string is sent as it stands, so that broken JSON can be sent too.
    #[serde(default = "no_arguments")]
    pub args: Value,
    /// The call's id; by default one in the style of the family.
    #[serde(default)]
    pub id: Option<String>,
}

fn no_arguments() -> Value {
    Value::Object(Map::new())
}

/// How calls are named.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum ToolIds {
    /// As the family does.
    #[default]
    Family,
    /// `call_0`, `call_1`, … in every turn anew.
    Repeat,
    /// Empty, as some hosts do.
    Empty,
}

/// A web page that a turn cites.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Citation {
    /// Where it is.
    pub url: String,
    /// What it is called.
    pub title: String,
}

/// Why a model stops.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// It has said all.
    Stop,
    /// It met one of the request's stop sequences.
    StopSequence,
    /// It calls tools.
    ToolCalls,
    /// It ran out of tokens; arguments of a last call are cut in the middle.
    Length,
    /// It declined.
    ContentFilter,
}

/// What a turn claims to have used.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Usage {
    /// All input tokens.
    pub prompt: u64,
    /// Those read from a cache.
    pub cached: u64,
    /// Those written to a cache.
    pub written: u64,
    /// All output tokens.
    pub completion: u64,
    /// Those spent on reasoning.
    pub reasoning: u64,
}

/// An error status in place of a turn.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// The status.
    pub status: u16,
    /// How often, before the turn is played after all.
    #[serde(default = "once")]
    pub times: u32,
    /// Seconds for the `Retry-After` header.
    #[serde(default)]
    pub retry_after: Option<u64>,
    /// The words; by default those usual for the status.
    #[serde(default)]
    pub message: Option<String>,
}

/// A stream that breaks.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Break {
    /// After so many chunks.
    #[serde(default)]
    pub after: usize,
    /// In which way.
    #[serde(default)]
    pub kind: BreakKind,
    /// How often, before the turn is played whole.
    #[serde(default = "once")]
    pub times: u32,
    /// The error's code.
    #[serde(default = "bad_gateway")]
    pub code: u16,
    /// The error's words.
    #[serde(default = "provider_gone")]
    pub message: String,
}

/// The ways in which a stream breaks.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum BreakKind {
    /// A chunk with `error` and the finish reason `error`.
    #[default]
    Error,
    /// A chunk with nothing but `error`.
    BareError,
    /// The finish reason `error` alone.
    FinishError,
    /// The connection breaks.
    Cut,
    /// The stream ends as if it were complete, without finish and `[DONE]`.
    Close,
    /// Silence.
    Hang,
}

fn once() -> u32 {
    1
}

fn bad_gateway() -> u16 {
    502
}

fn provider_gone() -> String {
    "Provider disconnected".to_owned()
}
