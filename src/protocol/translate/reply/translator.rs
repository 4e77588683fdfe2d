//! The state machine: one chunk in, zero or more Anthropic events out.
//!
//! Inside one chunk the order is thinking, text, tools, whatever order the upstream wrote the fields in.
//! This file must not know how an answer is brought to its end.

use super::blocks::Blocks;
use super::calls::Calls;
use super::searches::Searches;
use super::stop::{Finish, StopScanner};
use super::summary::Summary;
use super::thinking::{Display, Thinking, text_of};
use super::usage::{self, Figures};
use crate::protocol::anthropic::error::ApiError;
use crate::protocol::anthropic::event;
use crate::protocol::anthropic::message::StopReason;
use crate::protocol::json_text::{self, Mender};
use crate::protocol::openrouter::chunk::{
    self, Annotation, CallPiece, Choice, Chunk, Delta, Image, NotAChunk, ReasoningPiece,
};
use crate::protocol::openrouter::error;
use crate::protocol::sse::Reader;
use crate::protocol::translate::tool_ids::ToolIds;
use crate::protocol::translate::tool_names::ToolNames;

/// What is kept of a refusal's text.
const LONGEST_REFUSAL: usize = 1 << 20;
/// How many notes an answer can have.
const MOST_NOTES: usize = 20;

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
}

/// Translates one answer.
#[derive(Debug)]
pub struct Translator {
    pub(super) settings: ReplySettings,
    reader: Reader,
    pub(super) blocks: Blocks,
    pub(super) thinking: Thinking,
    mender: Mender,
    pub(super) scanner: Option<StopScanner>,
    pub(super) calls: Calls,
    pub(super) tool_ids: ToolIds,
    pub(super) searches: Searches,
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
    /// Begins an answer.
    #[must_use]
    pub fn new(mut settings: ReplySettings) -> Self {
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
                std::mem::take(&mut settings.message_id),
                std::mem::take(&mut settings.model),
                settings.input_estimate,
            ),
            thinking: Thinking::new(display),
            mender: Mender::default(),
            scanner: StopScanner::new(&settings.stop_sequences),
            calls: Calls::default(),
            searches: Searches::default(),
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

    /// What is known of the answer by now.
    #[must_use]
    pub fn summary(&self) -> Summary {
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
            notes: self.notes.clone(),
        }
    }

    /// The upstream's figures, or a guess.
    pub(super) fn figures(&self) -> Figures {
        self.heard.figures.unwrap_or_else(|| {
            let bytes = self.blocks.bytes + self.thinking.unseen_bytes + self.calls.size() as u64;
            Figures {
                usage: usage::estimate(self.settings.input_estimate, bytes),
                cost_usd: None,
            }
        })
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if self.notes.len() < MOST_NOTES && !self.notes.contains(&note) {
            self.notes.push(note);
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
            Ok(chunk) => self.chunk(&chunk, out),
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
        if let Some(error) = chunk.error {
            return self.fail_upstream(error.get(), out);
        }
        let Some(choice) = &chunk.choices.0 else {
            return self.finish_if_all_is_known(out);
        };
        if let Some(error) = choice.error {
            return self.fail_upstream(error.get(), out);
        }
        if let Some(delta) = choice.delta.as_ref().or(choice.message.as_ref()) {
            let read = self.delta(delta, out);
            match read {
                Ok(()) => {}
                Err(NotAChunk::NotAnObject | NotAChunk::Malformed) => {
                    return self.fail_malformed(out);
                }
            }
        }
        self.remember_finish(choice, out);
        self.finish_if_all_is_known(out);
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
        let Some(finish) = choice.finish_reason.filled() else {
            return;
        };
        let native = choice.native_finish_reason.as_str();
        if Finish::of(finish) == Finish::Failed {
            return self.fail(error::from_finish(native).api, out);
        }
        self.heard.finish = Some(finish.to_owned());
        self.heard.native = choice.native_finish_reason.filled().map(str::to_owned);
        self.heard.stop_details = choice
            .stop_details
            .filter(|details| details.get().starts_with('{'))
            .map(|details| details.get().replace(['\n', '\r'], " "));
    }

    fn finish_if_all_is_known(&mut self, out: &mut Vec<u8>) {
        if self.is_finishing() && self.heard.figures.is_some() {
            self.finish(out);
        }
    }

    fn delta(&mut self, delta: &Delta<'_>, out: &mut Vec<u8>) -> Result<(), NotAChunk> {
        self.reasoning(delta, out)?;
        if self.settings.web_search {
            chunk::for_each(delta.annotations, |annotation: Annotation<'_>| {
                if let Some(citation) = &annotation.url_citation {
                    self.searches.add(citation);
                }
            })?;
        }
        let content = chunk::escaped_text(delta.content);
        if !content.is_empty() {
            self.content(&content, out);
        }
        if let Some(refusal) = delta.refusal.and_then(json_text::body)
            && self.heard.refusal.len() + refusal.len() <= LONGEST_REFUSAL
        {
            self.heard.refusal.push_str(refusal);
        }
        self.tool_calls(delta, out)?;
        chunk::for_each(delta.images, |image: Image<'_>| self.image(&image, out))
    }

    fn reasoning(&mut self, delta: &Delta<'_>, out: &mut Vec<u8>) -> Result<(), NotAChunk> {
        chunk::for_each(delta.reasoning_details, |piece: ReasoningPiece<'_>| {
            if piece.kind.as_str() == "reasoning.server_tool_call" {
                self.searches.note_call(&piece);
                return;
            }
            if !text_of(&piece).is_empty() {
                self.make_way_for_thinking(out);
            }
            let model = origin(&self.settings.target_model, self.heard.model.as_deref());
            self.thinking.piece(&piece, model, &mut self.blocks, out);
        })?;
        if !self.thinking.uses_strings() {
            return Ok(());
        }
        let string = [delta.reasoning, delta.reasoning_content]
            .into_iter()
            .filter_map(|string| string.and_then(json_text::body))
            .find(|string| !string.is_empty());
        if let Some(string) = string {
            self.make_way_for_thinking(out);
            self.thinking.string(string, &mut self.blocks, out);
        }
        Ok(())
    }

    fn make_way_for_thinking(&mut self, out: &mut Vec<u8>) {
        if self.thinking.is_asked() && self.blocks.is_text() {
            self.close_text(out);
        }
    }

    fn content(&mut self, escaped: &str, out: &mut Vec<u8>) {
        let mended = self.mender.mend(escaped);
        let Some(scanner) = &mut self.scanner else {
            return self.say(&mended, out);
        };
        let scanned = scanner.scan(&json_text::unescape(&mended));
        self.say(&json_text::escaped(&scanned.text), out);
        if let Some(sequence) = scanned.met {
            self.finish_at_sequence(&sequence, out);
        }
    }

    /// Shows text, after what belongs before it.
    pub(super) fn say(&mut self, escaped: &str, out: &mut Vec<u8>) {
        if escaped.is_empty() {
            return;
        }
        if !self.blocks.is_text() {
            self.make_way_for_text(out);
        }
        self.blocks.text(out, escaped);
    }

    fn make_way_for_text(&mut self, out: &mut Vec<u8>) {
        let model = origin(&self.settings.target_model, self.heard.model.as_deref());
        self.thinking.close(model, &mut self.blocks, out);
        if self.thinking.is_asked() {
            self.thinking.send_unsent(model, &mut self.blocks, out);
        }
        if self.searches.announce(0) {
            self.write_search(out);
        }
    }

    /// Gives out what of the text was held back.
    pub(super) fn flush_text(&mut self, out: &mut Vec<u8>) {
        let mut rest = self.mender.finish().unwrap_or_default().to_owned();
        if let Some(scanner) = &mut self.scanner {
            rest.insert_str(0, &json_text::escaped(&scanner.finish()));
        }
        self.say(&rest, out);
    }

    /// Closes the open text with its citations.
    pub(super) fn close_text(&mut self, out: &mut Vec<u8>) {
        self.flush_text(out);
        if self.blocks.is_text() {
            for citation in self.searches.uncited() {
                self.blocks.citation(out, &citation);
            }
            self.blocks.close_text(out);
        }
    }

    fn tool_calls(&mut self, delta: &Delta<'_>, out: &mut Vec<u8>) -> Result<(), NotAChunk> {
        if self.is_done() {
            return Ok(());
        }
        let mut refused = None;
        chunk::for_each(delta.tool_calls, |piece: CallPiece<'_>| {
            if refused.is_none() {
                refused = self.calls.push(&piece).err();
            }
        })?;
        if let Some(error) = refused {
            self.fail(error, out);
        }
        Ok(())
    }

    /// Anthropic's answers carry no images: a link is shown, or a remark.
    fn image(&mut self, image: &Image<'_>, out: &mut Vec<u8>) {
        if self.is_done() {
            return;
        }
        let url = image
            .image_url
            .as_ref()
            .map_or("", |image| image.url.as_str());
        let remark = if url.starts_with("https://") {
            format!("\n![image]({url})\n")
        } else {
            self.note("an image that the model drew was left out");
            "\n[The model drew an image, which cannot be shown here.]\n".to_owned()
        };
        self.say(&json_text::escaped(&remark), out);
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
