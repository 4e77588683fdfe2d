//! The state machine: bytes in, Anthropic events out.
//!
//! This file must not know what a delta holds nor how an answer is brought to its end.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::blocks::Blocks;
use super::calls::Calls;
use super::fetches::Fetches;
use super::form::Form;
use super::searches::Searches;
use super::stop::{Finish, StopScanner, failure};
use super::summary::Summary;
use super::thinking::{Display, Thinking};
use super::usage::{self, Figures};
use crate::protocol::anthropic::delivery::Delivery;
use crate::protocol::anthropic::error::ApiError;
use crate::protocol::anthropic::event;
use crate::protocol::anthropic::message::{AppliedEdit, StopReason};
use crate::protocol::json_text::Mender;
use crate::protocol::openrouter::chunk::{Choice, Chunk, NotAChunk};
use crate::protocol::openrouter::error;
use crate::protocol::sse::Reader;
use crate::protocol::translate::tool_ids::ToolIds;
use crate::protocol::translate::tool_names::ToolNames;

/// What an answer is translated with.
#[derive(Clone, Debug, Default)]
pub struct ReplySettings {
    /// `msg_…`, unique.
    pub message_id: String,
    /// The model as the client asked for it; it keys context windows and prices on it.
    pub model: String,
    /// The request's id, for errors.
    pub request_id: String,
    /// The model that was asked of the upstream.
    pub target_model: String,
    /// Input tokens, guessed until the upstream says.
    pub input_estimate: u64,
    /// The way back of the tools' names.
    pub names: ToolNames,
    /// The client asked for thinking.
    pub thinking_asked: bool,
    /// It asked not to be shown its text.
    pub display_omitted: bool,
    /// All stop sequences that the client gave.
    pub stop_sequences: Vec<String>,
    /// Ids of the tool calls in the conversation so far, as the client knows them.
    pub used_tool_ids: Vec<String>,
    /// The client asked for web search.
    pub web_search: bool,
    /// The client asked for pages to be fetched.
    pub web_fetch: bool,
    /// The JSON Schema that the answer must fit.
    pub schema: Option<String>,
    /// What `context_management` did, if the client asked for it.
    pub applied_edits: Option<Vec<AppliedEdit>>,
}

/// Translates one answer.
#[derive(Debug)]
pub struct Translator {
    pub(super) settings: ReplySettings,
    reader: Reader,
    pub(super) blocks: Blocks,
    pub(super) thinking: Thinking,
    pub(super) mender: Mender,
    pub(super) scanner: Option<StopScanner>,
    pub(super) calls: Calls,
    pub(super) tool_ids: ToolIds,
    pub(super) searches: Searches,
    pub(super) fetches: Fetches,
    pub(super) form: Option<Form>,
    pub(super) heard: Heard,
    pub(super) outcome: Option<Outcome>,
    chunks: u64,
    notes: Vec<String>,
}

/// What the upstream said of the answer as a whole.
#[derive(Debug, Default)]
pub(super) struct Heard {
    id: Option<String>,
    pub(super) model: Option<String>,
    provider: Option<String>,
    pub(super) finish: Option<String>,
    pub(super) native: Option<String>,
    pub(super) figures: Option<Figures>,
    /// Whether the figures came with the finish or after it: some upstreams say them in every chunk, ever growing.
    are_figures_last: bool,
    /// Whether a delta has said anything: then a message, which says all of it again, is not read.
    pub(super) has_deltas: bool,
    pub(super) refusal: String,
    pub(super) stop_details: Option<String>,
}

/// How the answer ended.
#[derive(Debug)]
pub(super) enum Outcome {
    Stopped(StopReason),
    Failed(ApiError),
}

impl Translator {
    /// Begins an answer that is streamed.
    #[must_use]
    pub fn new(settings: ReplySettings) -> Self {
        Self::of(Delivery::Events, settings)
    }

    /// Begins an answer that is delivered in this form.
    pub(super) fn of(delivery: Delivery, mut settings: ReplySettings) -> Self {
        let display = match (settings.thinking_asked, settings.display_omitted) {
            (false, _) => Display::Unasked,
            (true, false) => Display::Shown,
            (true, true) => Display::Omitted,
        };
        let used = std::mem::take(&mut settings.used_tool_ids);
        Self {
            reader: Reader::default(),
            tool_ids: ToolIds::new(used, &settings.message_id),
            blocks: Blocks::new(
                delivery,
                std::mem::take(&mut settings.message_id),
                std::mem::take(&mut settings.model),
                settings.input_estimate,
            ),
            thinking: Thinking::new(display),
            mender: Mender::default(),
            scanner: StopScanner::new(&settings.stop_sequences),
            calls: Calls::default(),
            searches: Searches::default(),
            fetches: Fetches::default(),
            form: settings.schema.take().map(Form::new),
            heard: Heard::default(),
            outcome: None,
            chunks: 0,
            notes: Vec::new(),
            settings,
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
            self.finish(out);
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
        self.calls = Calls::default();
    }

    /// Tells the client that the connection lives.
    pub fn ping(&mut self, out: &mut Vec<u8>) {
        if !self.is_done() {
            self.blocks.start(out);
            event::ping(out);
        }
    }

    /// Whether the last event is out: nothing may follow.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.outcome.is_some()
    }

    /// Whether the upstream has said why it stopped and only its usage is missing, which is worth a short wait.
    #[must_use]
    pub fn is_finishing(&self) -> bool {
        !self.is_done() && self.heard.finish.is_some()
    }

    /// How many chunks the upstream has sent.
    #[must_use]
    pub fn chunks(&self) -> u64 {
        self.chunks
    }

    /// Whether the message has begun on the client's side.
    #[must_use]
    pub fn has_started(&self) -> bool {
        self.blocks.started()
    }

    /// Whether the client has heard a word of the answer, or that one begins.
    #[must_use]
    pub fn has_spoken(&self) -> bool {
        self.blocks.any()
    }

    /// What is known of the answer by now.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let mut notes = self.notes.clone();
        if matches!(self.outcome, Some(Outcome::Stopped(StopReason::EndTurn))) {
            notes.extend(self.form.as_ref().and_then(Form::fault));
        }
        let (stop_reason, error) = match &self.outcome {
            None => (None, None),
            Some(Outcome::Stopped(reason)) => (Some(*reason), None),
            Some(Outcome::Failed(error)) => (None, Some(error.clone())),
        };
        Summary {
            response_id: self.heard.id.clone(),
            model_used: self.heard.model.clone(),
            provider: self.heard.provider.clone(),
            stop_reason,
            native_finish: self.heard.native.clone(),
            usage: self.figures().usage,
            usage_is_estimate: self.heard.figures.is_none(),
            cost_usd: self.figures().cost_usd,
            chunks: self.chunks,
            error,
            notes,
        }
    }

    /// The upstream's figures, or a guess.
    pub(super) fn figures(&self) -> Figures {
        let mut figures = self.heard.figures.unwrap_or_else(|| {
            let bytes = self.blocks.bytes + self.thinking.unseen_bytes + self.calls.size() as u64;
            Figures {
                usage: usage::estimate(self.settings.input_estimate, bytes),
                cost_usd: None,
            }
        });
        figures.usage.web_fetch_requests = Some(self.fetches.count()).filter(|count| *count > 0);
        figures
    }

    /// Notes something once; notes are sentences of this program's own, so there are few.
    pub(super) fn note(&mut self, note: impl Into<Cow<'static, str>>) {
        let note = note.into();
        if !self.notes.iter().any(|known| *known == note) {
            self.notes.push(note.into_owned());
        }
    }

    /// The data of one event of the upstream.
    fn data(&mut self, data: &[u8], out: &mut Vec<u8>) {
        let data = data.trim_ascii();
        if data.is_empty() || self.is_done() {
            return;
        }
        if data.starts_with(b"[DONE") {
            self.finish(out);
            return;
        }
        match Chunk::read(data) {
            Ok(chunk) => {
                let may_be_error = chunk.choices.answer.is_none() && chunk.error.is_none();
                match may_be_error.then(|| error::of_event(data)).flatten() {
                    Some(error) if !self.is_finishing() => self.fail(error.api, out),
                    _ => self.chunk(&chunk, out),
                }
            }
            Err(NotAChunk::NotAnObject) => {}
            Err(NotAChunk::Malformed) if self.is_finishing() => {
                self.note("something that is no chunk followed the end of the answer");
            }
            Err(NotAChunk::Malformed) => self.fail_malformed(out),
        }
    }

    fn fail_malformed(&mut self, out: &mut Vec<u8>) {
        let message = "the upstream sent something that is not a chat completion chunk";
        self.fail(ApiError::bad_gateway(message).retry(true), out);
    }

    /// One chunk, or a whole completion.
    pub(super) fn chunk(&mut self, chunk: &Chunk<'_>, out: &mut Vec<u8>) {
        self.chunks += 1;
        self.heard.remember(chunk);
        if chunk.choices.has_others {
            self.note("the upstream gave more than one answer, and the first alone was taken");
        }
        if let Some(error) = chunk.error {
            return self.fail_upstream(error.get(), out);
        }
        let Some(choice) = &chunk.choices.answer else {
            return self.finish_if_all_is_known(chunk, out);
        };
        if let Some(error) = choice.error {
            return self.fail_upstream(error.get(), out);
        }
        if let Some(delta) = self.content_of(choice) {
            let read = self.delta(delta, out);
            match read {
                Ok(()) => {}
                Err(NotAChunk::NotAnObject | NotAChunk::Malformed) => {
                    return self.fail_malformed(out);
                }
            }
        }
        self.remember_finish(choice, out);
        self.finish_if_all_is_known(chunk, out);
    }

    fn fail_upstream(&mut self, error: &str, out: &mut Vec<u8>) {
        let provider = self.heard.provider.as_deref().unwrap_or_default();
        let error = error::from_stream(error, provider);
        self.fail(error.api, out);
    }

    fn remember_finish(&mut self, choice: &Choice<'_>, out: &mut Vec<u8>) {
        if self.is_done() || self.heard.finish.is_some() {
            return;
        }
        let finish = choice.finish_reason.as_str();
        let native = choice.native_finish_reason.as_str();
        match Finish::of(finish) {
            Finish::Missing => return,
            Finish::Failed => {
                return self.fail(error::from_finish(failure(finish, native)).api, out);
            }
            Finish::Aborted => {
                let message = "the upstream gave its answer up before it was complete";
                return self.fail(ApiError::bad_gateway(message).retry(true), out);
            }
            _ => {}
        }
        self.heard.finish = Some(finish.to_owned());
        self.heard.native = choice.native_finish_reason.filled().map(str::to_owned);
        self.heard.stop_details = choice
            .stop_details
            .filter(|details| details.get().starts_with('{'))
            .map(|details| with_type(&details.get().replace(['\n', '\r'], " ")));
    }

    fn finish_if_all_is_known(&mut self, chunk: &Chunk<'_>, out: &mut Vec<u8>) {
        self.heard.are_figures_last |= chunk.usage.is_some() && self.heard.finish.is_some();
        let is_known = self.heard.figures.is_some() && self.heard.are_figures_last;
        if self.is_finishing() && is_known {
            self.finish(out);
        }
    }
}

/// Details of a refusal, which providers pass through without their type.
fn with_type(details: &str) -> String {
    match serde_json::from_str::<Map<String, Value>>(details) {
        Ok(mut told) if !told.get("type").is_some_and(Value::is_string) => {
            told.insert("type".to_owned(), "refusal".into());
            Value::Object(told).to_string()
        }
        _ => details.to_owned(),
    }
}

impl Heard {
    fn remember(&mut self, chunk: &Chunk<'_>) {
        for (field, value) in [
            (&mut self.id, &chunk.id),
            (&mut self.model, &chunk.model),
            (&mut self.provider, &chunk.provider),
        ] {
            if field.is_none() {
                *field = value.filled().map(str::to_owned);
            }
        }
        if let Some(figures) = chunk.usage.and_then(usage::read) {
            self.figures = Some(figures);
        }
    }
}

/// The model that an envelope names: the one that was asked for, unless another vendor's stepped in.
pub(super) fn origin<'m>(target: &'m str, used: Option<&'m str>) -> &'m str {
    let vendor = |model: &'m str| model.split_once('/').map_or("", |(vendor, _)| vendor);
    match used {
        Some(used) if vendor(used) != vendor(target).trim_start_matches('~') => used,
        _ => target,
    }
}
