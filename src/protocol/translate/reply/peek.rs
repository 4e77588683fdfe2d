//! A look at the beginning of an event stream, while an error can still become a status.
//!
//! The upstream says 200 before it knows whether it can answer; what fails at once comes as the first data line.
//! This file must not know what is done about it.

use serde::de::IgnoredAny;

use super::stop::Finish;
use crate::protocol::openrouter::chunk::{Chunk, NotAChunk};
use crate::protocol::openrouter::error::{self, Headers, UpstreamError};
use crate::protocol::sse::Reader;

/// What the beginning of a stream says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peek {
    /// Nothing yet: only comments, or a piece of a line.
    More,
    /// The answer has begun.
    Fine,
    /// The first thing it says is an error.
    Error(Box<UpstreamError>),
}

/// Looks at the first bytes of the body of a 200 answer.
#[must_use]
pub fn peek(bytes: &[u8]) -> Peek {
    if bytes.trim_ascii_start().first() == Some(&b'{') {
        return peek_json(bytes);
    }
    let mut reader = Reader::default();
    let mut input = bytes;
    loop {
        match reader.next(&mut input) {
            Ok(Some(data)) if data.trim_ascii().is_empty() => {}
            Ok(Some(data)) => return judged(data),
            Ok(None) => return Peek::More,
            Err(_) => return Peek::Fine,
        }
    }
}

/// The body is no event stream but an object.
fn peek_json(bytes: &[u8]) -> Peek {
    match serde_json::from_slice::<IgnoredAny>(bytes) {
        Ok(_) => match judged(bytes) {
            Peek::Fine if !has_choices(bytes) => {
                let error = error::from_answer(200, "", Headers::default(), bytes);
                Peek::Error(Box::new(error))
            }
            judged => judged,
        },
        Err(cut) if cut.is_eof() => Peek::More,
        Err(_) => malformed(),
    }
}

/// An event may be without choices, and more follows; a whole answer may not.
fn has_choices(bytes: &[u8]) -> bool {
    Chunk::read(bytes).is_ok_and(|chunk| chunk.choices.0.is_some())
}

fn malformed() -> Peek {
    let error = UpstreamError::no_use("it sent something that is not a chat completion");
    Peek::Error(Box::new(error))
}

fn judged(data: &[u8]) -> Peek {
    if data.trim_ascii().starts_with(b"[DONE") {
        let error = UpstreamError::no_use("it ended its answer before it began");
        return Peek::Error(Box::new(error));
    }
    let chunk = match Chunk::read(data) {
        Ok(chunk) => chunk,
        Err(NotAChunk::NotAnObject) => return Peek::Fine,
        Err(NotAChunk::Malformed) => return malformed(),
    };
    let provider = chunk.provider.as_str();
    let choice = chunk.choices.0.as_ref();
    let said = chunk
        .error
        .or_else(|| choice.and_then(|choice| choice.error));
    if let Some(said) = said {
        return Peek::Error(Box::new(error::from_stream(said.get(), provider)));
    }
    match choice {
        Some(choice) if Finish::of(choice.finish_reason.as_str()) == Finish::Failed => {
            let native = choice.native_finish_reason.as_str();
            Peek::Error(Box::new(error::from_finish(native)))
        }
        _ => Peek::Fine,
    }
}
