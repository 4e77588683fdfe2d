//! A look at the beginning of an event stream, while an error can still become a status.
//!
//! The upstream says 200 before it knows whether it can answer; what fails early comes as a data line, at once or behind
//! chunks that say nothing yet: a role, an empty text.
//! This file must not know what is done about it.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::stop::{Ending, Finish, failure, stop_reason};
use crate::protocol::anthropic::message::StopReason;
use crate::protocol::openrouter::chunk::{
    Choice, Chunk, Delta, FunctionPiece, NotAChunk, Object, escaped_text,
};
use crate::protocol::openrouter::error::{self, Headers, UpstreamError};
use crate::protocol::sse::{Reader, without_mark};

/// What the beginning of a stream says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peek {
    /// Nothing yet: comments, chunks that say nothing, or a piece of a line.
    More,
    /// The answer has begun.
    Fine,
    /// The first thing it says is an error.
    Error(Box<UpstreamError>),
}

/// Reads the beginning of a stream as it grows, each byte once.
#[derive(Debug, Default)]
pub struct Beginning {
    reader: Reader,
    read: usize,
    has_data: bool,
}

impl Beginning {
    /// What the stream says first. `seen` is all that has come of it, and begins with what was given before.
    pub fn look(&mut self, seen: &[u8], judged: impl Fn(&[u8]) -> Peek) -> Peek {
        let mut input = seen.get(self.read..).unwrap_or_default();
        self.read = seen.len();
        loop {
            match self.reader.next(&mut input) {
                Ok(Some(data)) if data.trim_ascii().is_empty() => {}
                Ok(Some(data)) => match judged(data) {
                    Peek::More => self.has_data = true,
                    judged => return judged,
                },
                Ok(None) => return Peek::More,
                Err(_) => return Peek::Fine,
            }
        }
    }

    /// Whether there was any data, though it said nothing.
    #[must_use]
    pub fn has_data(&self) -> bool {
        self.has_data
    }

    /// What its last event says, which lacks the blank line behind it.
    pub fn finish(&mut self, judged: impl Fn(&[u8]) -> Peek) -> Peek {
        match self.reader.finish() {
            Ok(Some(data)) if !data.trim_ascii().is_empty() => judged(data),
            Ok(_) => Peek::More,
            Err(_) => Peek::Fine,
        }
    }
}

/// Looks at the beginning of the body of a 200 answer.
#[must_use]
pub fn peek(bytes: &[u8]) -> Peek {
    if is_object(bytes) {
        return peek_json(without_mark(bytes));
    }
    Beginning::default().look(bytes, judged)
}

/// Whether the body is no event stream but an object.
#[must_use]
pub fn is_object(bytes: &[u8]) -> bool {
    without_mark(bytes).trim_ascii_start().first() == Some(&b'{')
}

/// Whether a whole answer may be one that says nothing: to look for it costs less than to read the body twice.
#[must_use]
pub fn may_be_empty(body: &[u8]) -> bool {
    memchr::memmem::find_iter(body, b"\"content\":").any(|at| {
        let value = body.get(at + b"\"content\":".len()..).unwrap_or_default();
        let value = value.trim_ascii_start();
        value.starts_with(b"\"\"") || value.starts_with(b"null") || value.starts_with(b"[]")
    })
}

/// The model that answers, as the beginning of a stream names it.
#[must_use]
pub fn answering_model(bytes: &[u8]) -> Option<String> {
    let mut reader = Reader::default();
    let mut input = bytes;
    while let Ok(Some(data)) = reader.next(&mut input) {
        let chunk = Chunk::read(data).unwrap_or_default();
        if let Some(model) = chunk.model.filled() {
            return Some(model.to_owned());
        }
    }
    None
}

/// The body is no event stream but an object.
fn peek_json(bytes: &[u8]) -> Peek {
    match serde_json::from_slice::<IgnoredAny>(bytes) {
        Ok(_) => match judged(bytes) {
            Peek::Fine | Peek::More if !has_choices(bytes) => {
                let error = error::from_answer(200, "", Headers::default(), bytes);
                Peek::Error(Box::new(error))
            }
            // Nothing comes behind it.
            Peek::More => Peek::Error(Box::new(UpstreamError::empty())),
            judged => judged,
        },
        Err(cut) if cut.is_eof() => Peek::More,
        Err(_) => malformed(),
    }
}

/// An event may be without choices, and more follows; a whole answer may not.
fn has_choices(bytes: &[u8]) -> bool {
    Chunk::read(bytes).is_ok_and(|chunk| chunk.choices.answer.is_some())
}

fn malformed() -> Peek {
    let error = UpstreamError::no_use("it sent something that is not a chat completion");
    Peek::Error(Box::new(error))
}

/// What a data line says, when those before it said nothing.
#[must_use]
pub fn judged(data: &[u8]) -> Peek {
    if data.trim_ascii().starts_with(b"[DONE") {
        let error = UpstreamError::no_use("it ended its answer before it began");
        return Peek::Error(Box::new(error));
    }
    let chunk = match Chunk::read(data) {
        Ok(chunk) => chunk,
        Err(NotAChunk::NotAnObject) => return Peek::More,
        Err(NotAChunk::Malformed) => return malformed(),
    };
    let provider = chunk.provider.as_str();
    let choice = chunk.choices.answer.as_ref();
    let said = chunk
        .error
        .or_else(|| choice.and_then(|choice| choice.error));
    if let Some(said) = said {
        return Peek::Error(Box::new(error::from_stream(said.get(), provider)));
    }
    let Some(choice) = choice else {
        let error = error::of_event(data);
        return error.map_or(Peek::More, |error| Peek::Error(Box::new(error)));
    };
    if says_something(choice) {
        return Peek::Fine;
    }
    of_an_end(
        choice.finish_reason.as_str(),
        choice.native_finish_reason.as_str(),
    )
}

/// What is made of an answer that ends before it said anything.
fn of_an_end(reason: &str, native: &str) -> Peek {
    let finish = Finish::of(reason);
    let error = match finish {
        Finish::Missing => return Peek::More,
        Finish::Failed => error::from_finish(failure(reason, native)),
        Finish::Aborted => UpstreamError::no_use("it gave its answer up before it began"),
        _ => match reason_of_nothing(finish, native) {
            Some(StopReason::EndTurn) => UpstreamError::empty(),
            Some(_) => return Peek::Fine,
            None => UpstreamError::no_use("it ended its answer before it began"),
        },
    };
    Peek::Error(Box::new(error))
}

/// Whether a choice holds any of an answer.
fn says_something(choice: &Choice<'_>) -> bool {
    choice.delta.as_ref().is_some_and(says) || choice.message.as_ref().is_some_and(says)
}

/// Whether a delta holds any of an answer: a role and an empty text do not.
pub(super) fn says(delta: &Delta<'_>) -> bool {
    !escaped_text(delta.content).is_empty()
        || holds(delta.reasoning)
        || holds(delta.reasoning_content)
        || delta.reasoning_details.is_some_and(details_say)
        || holds(delta.refusal)
        || holds(delta.tool_calls)
        || called(delta).is_some()
        || holds(delta.annotations)
        || holds(delta.images)
}

/// The call of a server that knows but one. An empty shell, which some servers write into every chunk, is none.
pub(super) fn called<'a>(delta: &Delta<'a>) -> Option<FunctionPiece<'a>> {
    let raw = delta.function_call.filter(|raw| holds(Some(*raw)))?;
    let Object(function) = serde_json::from_str::<Object<FunctionPiece<'_>>>(raw.get()).ok()?;
    function.filter(|said| said.name.filled().is_some() || holds(said.arguments))
}

/// Whether a value is there and not empty.
pub(super) fn holds(value: Option<&RawValue>) -> bool {
    value.is_some_and(|value| !matches!(value.get(), "null" | "\"\"" | "[]" | "{}"))
}

/// Whether any detail of a thought holds words, or what stands for them.
fn details_say(details: &RawValue) -> bool {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Detail<'a> {
        #[serde(borrow)]
        text: Option<&'a RawValue>,
        #[serde(borrow)]
        summary: Option<&'a RawValue>,
        #[serde(borrow)]
        data: Option<&'a RawValue>,
        #[serde(borrow)]
        signature: Option<&'a RawValue>,
    }
    let Ok(details) = serde_json::from_str::<Vec<Detail<'_>>>(details.get()) else {
        return holds(Some(details));
    };
    details.iter().any(|detail| {
        let parts = [detail.text, detail.summary, detail.data, detail.signature];
        parts.into_iter().any(holds)
    })
}

/// Why an empty answer stopped; only [`StopReason::EndTurn`] has nothing to say for its emptiness.
fn reason_of_nothing(finish: Finish, native: &str) -> Option<StopReason> {
    stop_reason(Ending {
        finish,
        native,
        has_content: false,
        has_calls: false,
        lost_a_call: false,
        has_refusal: false,
    })
}
