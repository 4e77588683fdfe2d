//! A streamed answer passes: bytes of Anthropic's events in, the same events out, without what breaks SDKs.
//!
//! A text delta, which nearly every event is, is only checked to be a piece of an open block and copied: a connection
//! may end within one.

mod events;
mod message;
#[cfg(test)]
mod tests;
mod totals;

use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use self::events::Event;
use super::blocks::Blocks;
use super::error::from_event;
use super::figures::{Figures, Head, Words, text};
use super::repeat::Thoughts;
use super::splice::Splice;
use crate::protocol::anthropic::error::ApiError;
use crate::protocol::anthropic::event;
use crate::protocol::anthropic::message::StopReason;
use crate::protocol::anthropic::request::Request;
use crate::protocol::sse::{Reader, without_mark};
use crate::protocol::translate::reply::Summary;
use crate::protocol::translate::tokens;

/// How a delta begins that is looked at no further.
const DELTA: &[u8] = b"{\"type\":\"content_block_delta\"";

/// What an answer passes with.
#[derive(Clone, Debug, Default)]
pub struct PassageSettings {
    /// `msg_…`, for an answer whose id is none of Anthropic's.
    pub message_id: String,
    /// The model that the client asked for, to be put back.
    pub model: Option<String>,
    /// The request's id, for errors.
    pub request_id: String,
    /// The only stop sequence that was asked for, which OpenRouter's endpoint does not name when it was met.
    pub only_stop: Option<String>,
    /// The request's body, for an estimate of its tokens.
    pub body: Option<Arc<String>>,
}

/// Passes one answer.
#[derive(Debug)]
pub struct Passage {
    settings: PassageSettings,
    reader: Reader,
    figures: Figures,
    thoughts: Thoughts,
    blocks: Blocks,
    /// Whether `message_start` is out.
    has_begun: bool,
    /// Whether the answer came whole, and the events are this program's own.
    came_whole: bool,
    estimate: u64,
    events: u64,
    outcome: Option<Outcome>,
}

#[derive(Debug)]
enum Outcome {
    Stopped,
    Failed(ApiError),
}

/// A piece of text, of a thought or of a call's input.
#[derive(Deserialize)]
struct Piece<'a> {
    /// Known already, and not twice.
    #[serde(rename = "type")]
    _kind: IgnoredAny,
    index: u64,
    #[serde(borrow)]
    delta: Words<'a>,
}

impl Passage {
    /// Begins an answer.
    #[must_use]
    pub fn new(settings: PassageSettings) -> Self {
        Self {
            settings,
            reader: Reader::default(),
            figures: Figures::default(),
            thoughts: Thoughts::default(),
            blocks: Blocks::default(),
            has_begun: false,
            came_whole: false,
            estimate: 0,
            events: 0,
            outcome: None,
        }
    }

    /// Takes bytes of the upstream's event stream and appends the client's.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut reader = std::mem::take(&mut self.reader);
        let mut input = bytes;
        while !self.is_done() {
            match reader.next(&mut input) {
                Ok(Some(data)) => self.data(data, out),
                Ok(None) => break,
                Err(too_long) => self.fail(ApiError::bad_gateway(too_long.to_string()), out),
            }
        }
        if !self.is_done() {
            self.reader = reader;
        }
    }

    /// The upstream's body has ended.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        let mut reader = std::mem::take(&mut self.reader);
        match reader.finish() {
            Ok(Some(data)) => self.data(data, out),
            Ok(None) => {}
            Err(too_long) => self.fail(ApiError::bad_gateway(too_long.to_string()), out),
        }
        if self.is_finishing() {
            self.note("the stream ended without `message_stop`, which was added");
            frame(out, "message_stop", b"{\"type\":\"message_stop\"}");
            self.outcome = Some(Outcome::Stopped);
        } else {
            let message = "the upstream closed the stream before the answer was complete";
            self.fail(ApiError::bad_gateway(message).retry(true), out);
        }
    }

    /// The transport failed, or a wait took too long. The open block stays open: what was closed would be run.
    pub fn fail(&mut self, error: ApiError, out: &mut Vec<u8>) {
        if self.is_done() {
            return;
        }
        out.extend_from_slice(&error.event(&self.settings.request_id));
        self.outcome = Some(Outcome::Failed(error));
    }

    /// Tells the client that the connection lives.
    pub fn ping(&mut self, out: &mut Vec<u8>) {
        if !self.is_done() {
            event::ping(out);
        }
    }

    /// Whether the last event is out: nothing may follow.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.outcome.is_some()
    }

    /// Whether the stop reason has come and only the last event is missing.
    #[must_use]
    pub fn is_finishing(&self) -> bool {
        !self.is_done() && self.figures.has_stopped
    }

    /// Whether the client has heard a word of the answer, or that one begins.
    #[must_use]
    pub fn has_spoken(&self) -> bool {
        self.blocks.any_passed()
    }

    /// How many events the upstream has sent, pings left out.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// What is known of the answer by now.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let mut summary = self.figures.summary(self.estimate);
        summary.chunks = self.events;
        if let Some(Outcome::Failed(error)) = &self.outcome {
            summary.error = Some(error.clone());
        }
        summary
    }

    fn note(&mut self, note: &str) {
        // Nothing was out of order but what the note on that says.
        if self.came_whole && note != message::CAME_WHOLE {
            return;
        }
        let notes = &mut self.figures.summary.notes;
        if !notes.iter().any(|known| known == note) {
            notes.push(note.to_owned());
        }
    }

    /// The data of one event.
    fn data(&mut self, data: &[u8], out: &mut Vec<u8>) {
        let data = without_mark(data).trim_ascii();
        if data.is_empty() || data.starts_with(b"[DONE") || self.is_done() {
            return;
        }
        // An event stream is UTF-8, in which what is none becomes U+FFFD.
        let text = String::from_utf8_lossy(data);
        let data = text.as_bytes();
        if let Some(bytes) = self.plain(&text) {
            self.events += 1;
            self.figures.said(bytes);
            return frame(out, "content_block_delta", data);
        }
        match serde_json::from_slice::<Event<'_>>(data) {
            Ok(event) if data.starts_with(b"{") && is_word(&event.kind) => {
                self.event(&event, data, out);
            }
            Ok(_) | Err(_) if is_error(data) => self.fail(from_event(data).api, out),
            Ok(_) | Err(_) => self.fail_with(
                "the upstream sent something that is no event of the Messages API",
                out,
            ),
        }
    }

    /// How many bytes a piece says that goes on as it is; `None` when it must be looked at.
    fn plain(&self, data: &str) -> Option<usize> {
        let bytes = data.as_bytes();
        if !bytes.starts_with(DELTA) || memchr::memmem::find(bytes, b"\"signature").is_some() {
            return None;
        }
        let piece: Piece<'_> = serde_json::from_str(data).ok()?;
        let is_plain = self.blocks.is_plain(piece.index);
        is_plain.then(|| piece.delta.bytes())
    }

    /// The upstream does not keep to its protocol.
    fn fail_with(&mut self, message: &str, out: &mut Vec<u8>) {
        self.fail(ApiError::bad_gateway(message).retry(true), out);
    }
}

/// Puts back the model's name, and gives an id that is Anthropic's kind.
pub(super) fn rename(head: &Head<'_>, settings: &PassageSettings, splice: &mut Splice<'_>) {
    if let (Some(model), Some(name)) = (head.model, &settings.model) {
        splice.replace_string(model, name);
    }
    if let Some(id) = head.id
        && !text(id).is_some_and(|id| id.starts_with("msg_"))
    {
        splice.replace_string(id, &settings.message_id);
    }
}

/// The stop sequence that was met, where the upstream does not name it and it can only have been one.
pub(super) fn unnamed_stop<'a>(
    settings: &'a PassageSettings,
    reason: Option<StopReason>,
    named: Option<&RawValue>,
) -> Option<&'a str> {
    let is_named = named.is_some_and(|named| named.get() != "null");
    let was_met = reason == Some(StopReason::StopSequence);
    let only = settings.only_stop.as_deref();
    only.filter(|_| was_met && !is_named)
}

/// Input tokens of a body, as the chat lane would estimate them.
pub(super) fn estimate(body: &str) -> u64 {
    match Request::parse_for_count(body) {
        Ok(request) => tokens::estimate(&request),
        Err(_) => tokens::estimate_of_any(body),
    }
}

/// Whether an object is an error in another form than Anthropic's, which has no type.
fn is_error(data: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Told {
        error: Option<IgnoredAny>,
    }
    let told = serde_json::from_slice::<Told>(data);
    data.starts_with(b"{") && told.is_ok_and(|told| told.error.is_some())
}

/// A type stands in a line of its own, so it must not hold the end of one.
fn is_word(kind: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    !kind.is_empty() && kind.bytes().all(is_letter)
}

/// One event. A line break between values of its JSON, which the frame cannot hold, becomes a space.
fn frame(out: &mut Vec<u8>, kind: &str, data: &[u8]) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    if memchr::memchr2(b'\n', b'\r', data).is_none() {
        out.extend_from_slice(data);
    } else {
        let flat = |byte: &u8| match byte {
            b'\n' | b'\r' => b' ',
            other => *other,
        };
        out.extend(data.iter().map(flat));
    }
    out.extend_from_slice(b"\n\n");
}
