//! A completion that was not streamed, translated into a whole message.
//!
//! This file must not know how a completion is translated.

use super::summary::Summary;
use super::translator::{Outcome, ReplySettings, Translator};
use crate::protocol::anthropic::delivery::Delivery;
use crate::protocol::anthropic::error::ApiError;
use crate::protocol::openrouter::chunk::Chunk;
use crate::protocol::openrouter::error::{self, Headers};
use crate::protocol::sse::without_mark;

/// Translates a completion that was not streamed into the JSON of a message.
///
/// # Errors
///
/// What the upstream said was wrong, or that its answer cannot be understood; with the status to answer with.
pub fn whole(settings: ReplySettings, body: &[u8]) -> (Result<Vec<u8>, ApiError>, Summary) {
    let body = without_mark(body);
    let mut translator = Translator::of(Delivery::Whole, settings);
    let mut message = Vec::with_capacity(body.len() + 512);
    match Chunk::read(body) {
        Ok(chunk) if chunk.choices.answer.is_some() || chunk.error.is_some() => {
            translator.chunk(&chunk, &mut message);
            translator.finish(&mut message);
        }
        Err(_) if body.starts_with(b"data:") || body.starts_with(b":") => {
            translator.push(body, &mut message);
            translator.end(&mut message);
        }
        _ => {
            let error = error::from_answer(200, "", Headers::default(), body);
            translator.fail(error.api, &mut message);
        }
    }
    let converted = match &translator.outcome {
        Some(Outcome::Failed(error)) => Err(error.clone()),
        _ => Ok(message),
    };
    (converted, translator.summary())
}
