//! The end of an answer that came to its end: what was held back goes out, and the message is closed.
//!
//! First everything is judged, then something is written: an answer that turns out to be broken must leave its open
//! block open.
//! This file must not know how chunks are read.

use super::calls::{Call, Calls, Ended, Finished};
use super::stop::{self, Ending, Finish, StopScanner};
use super::translator::{Outcome, Translator, origin};
use crate::protocol::anthropic::delivery;
use crate::protocol::anthropic::error::ApiError;
use crate::protocol::anthropic::event::MessageEnd;
use crate::protocol::anthropic::message::StopReason;
use crate::protocol::json_text::Mender;

/// What is told of a reason that nobody knows.
const LONGEST_REASON: usize = 64;

impl Translator {
    /// The upstream has said that the answer is complete.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        if self.is_done() {
            return;
        }
        let finish = Finish::of(self.heard.finish.as_deref().unwrap_or_default());
        let judged = self.collected_calls(finish).and_then(|finished| {
            let reason = self.judged(finish, &finished)?;
            Ok((finished, reason))
        });
        match judged {
            Ok((finished, reason)) => {
                self.note_finish(finish, &finished);
                self.write_rest(&finished.calls, reason, out);
            }
            Err(error) => self.fail(error, out),
        }
    }

    /// One of the client's stop sequences was met here, though the upstream goes on.
    pub(super) fn finish_at_sequence(&mut self, sequence: &str, out: &mut Vec<u8>) {
        if !self.calls.is_empty() {
            self.calls = Calls::default();
            self.note("tool calls after a stop sequence were left out");
        }
        self.close_open_block(out);
        self.write_end(StopReason::StopSequence, Some(sequence), out);
    }

    fn collected_calls(&mut self, finish: Finish) -> Result<Finished, ApiError> {
        let native = self.heard.native.as_deref().unwrap_or_default();
        let ended = match finish {
            _ if finish.is_limit(native) => Ended::ByLimit,
            Finish::Missing | Finish::Unknown => Ended::Unsaid,
            _ => Ended::Orderly,
        };
        let finished = std::mem::take(&mut self.calls).finish(ended)?;
        if finished.lost > 0 {
            self.note("a tool call that was cut off was left out");
        }
        if finished.repaired > 0 {
            self.note("the arguments of a tool call were repaired");
        }
        Ok(finished)
    }

    /// Says where the reason that was given does not fit what came.
    fn note_finish(&mut self, finish: Finish, finished: &Finished) {
        match finish {
            Finish::Unknown => {
                self.note(format!(
                    "the upstream ended its answer for an unknown reason (`{}`), and it was taken as complete",
                    self.unknown_reason()
                ));
            }
            Finish::ToolCalls if finished.calls.is_empty() && finished.lost == 0 => {
                self.note("the upstream said that a tool was called, but no call came");
            }
            _ => {}
        }
    }

    fn unknown_reason(&self) -> String {
        let reason = self.heard.finish.as_deref().unwrap_or_default();
        reason.chars().take(LONGEST_REASON).collect()
    }

    /// Decides why the model stopped, or that the answer is broken.
    fn judged(&self, finish: Finish, finished: &Finished) -> Result<StopReason, ApiError> {
        let has_calls = !finished.calls.is_empty();
        let has_text = self.blocks.has_text() || self.holds_text();
        let is_unsaid = matches!(finish, Finish::Missing | Finish::Unknown);
        let lacks_all = finish == Finish::Missing && !has_calls && !has_text;
        if is_unsaid && finished.lost > 0 || lacks_all {
            let message = "the upstream ended the stream before the answer was complete";
            return Err(ApiError::bad_gateway(message).retry(true));
        }
        let has_thinking = self.thinking.is_asked() && self.thinking.has_unsent();
        let has_any = has_calls || has_text || has_thinking || self.blocks.any();
        let ending = Ending {
            finish,
            native: self.heard.native.as_deref().unwrap_or_default(),
            has_content: has_any,
            has_calls,
            lost_a_call: finished.lost > 0,
            has_refusal: !self.heard.refusal.is_empty(),
        };
        let Some(reason) = stop::stop_reason(ending) else {
            let message = format!(
                "the upstream ended its answer for an unknown reason: {}",
                self.unknown_reason()
            );
            return Err(ApiError::bad_gateway(message).retry(true));
        };
        if !has_any && reason == StopReason::EndTurn {
            let message = "the provider gave an empty answer";
            return Err(ApiError::overloaded(message).retry(true));
        }
        Ok(reason)
    }

    /// Whether there is nothing of an answer yet.
    pub(super) fn has_said_nothing(&self) -> bool {
        !self.blocks.any()
            && !self.holds_text()
            && self.calls.is_empty()
            && self.heard.refusal.is_empty()
    }

    fn holds_text(&self) -> bool {
        self.scanner.as_ref().is_some_and(StopScanner::holds_text)
    }

    /// Writes what is left: thinking, text, searches, late reasoning, tools, the end.
    fn write_rest(&mut self, calls: &[Call], reason: StopReason, out: &mut Vec<u8>) {
        let ids = self.outward_ids(calls);
        self.close_open_block(out);
        let refusal = std::mem::take(&mut self.heard.refusal);
        if !self.blocks.has_text() && calls.is_empty() {
            self.say(&Mender::default().mend(&refusal), out);
            self.blocks.close_text(out);
        } else if !refusal.is_empty() {
            self.note("the words of the refusal were left out, because the answer said something else before");
        }
        let searches = self.figures().usage.web_search_requests.unwrap_or(0);
        if self.settings.web_search && self.searches.announce(searches) {
            self.write_search(out);
        }
        self.write_fetches(out);
        self.write_late_reasoning(!calls.is_empty(), out);
        for (call, id) in calls.iter().zip(&ids) {
            let name = self.settings.names.original(&call.name);
            let call = delivery::Call {
                by_server: false,
                id,
                name,
                input: &call.arguments,
            };
            self.blocks.call(out, call);
        }
        let only_sequence = match self.settings.stop_sequences.as_slice() {
            [only] if reason == StopReason::StopSequence => Some(only.clone()),
            _ => None,
        };
        self.write_end(reason, only_sequence.as_deref(), out);
    }

    /// The client's ids of the calls. Reasoning that names a call by its upstream id follows it; on the way back both
    /// get the form that the model takes.
    fn outward_ids(&mut self, calls: &[Call]) -> Vec<String> {
        let mut ids = Vec::with_capacity(calls.len());
        for call in calls {
            let id = self.tool_ids.outward(&call.id);
            self.thinking.details.follow_call(&call.id, &id);
            ids.push(id);
        }
        ids
    }

    fn close_open_block(&mut self, out: &mut Vec<u8>) {
        self.close_text(out);
        let model = origin(&self.settings.target_model, self.heard.model.as_deref());
        self.thinking.close(model, &mut self.blocks, out);
    }

    /// Reasoning that came after its place: before the first call it can still be carried.
    fn write_late_reasoning(&mut self, has_calls: bool, out: &mut Vec<u8>) {
        if self.thinking.details.were_given_up() {
            self.note("the reasoning was too long to be carried to the next turn");
        }
        if !self.thinking.has_unsent() {
            return;
        }
        if has_calls || self.thinking.is_asked() && !self.blocks.any() {
            let model = origin(&self.settings.target_model, self.heard.model.as_deref());
            self.thinking.send_unsent(model, &mut self.blocks, out);
        } else if self.thinking.is_asked() {
            self.note("reasoning that came after the text was not carried to the next turn");
        }
    }

    pub(super) fn write_search(&mut self, out: &mut Vec<u8>) {
        let id = format!("srvtoolu_{}", self.tool_ids.seed());
        let input = self.searches.input();
        self.blocks
            .call(out, run_by_server(&id, "web_search", &input));
        self.blocks.whole(out, &self.searches.result(&id));
    }

    pub(super) fn write_fetches(&mut self, out: &mut Vec<u8>) {
        for fetch in self.fetches.take() {
            let id = format!("srvtoolu_{}_{}", self.tool_ids.seed(), self.blocks.next());
            let input = fetch.input();
            self.blocks
                .call(out, run_by_server(&id, "web_fetch", &input));
            self.blocks.whole(out, &fetch.result(&id));
        }
    }

    fn write_end(&mut self, reason: StopReason, sequence: Option<&str>, out: &mut Vec<u8>) {
        for note in self.searches.shortcomings() {
            self.note(note);
        }
        if self.heard.figures.is_none() {
            self.note("the upstream sent no usage, so it was estimated");
        }
        let end = MessageEnd {
            stop_reason: reason,
            stop_sequence: sequence,
            stop_details: self
                .heard
                .stop_details
                .as_deref()
                .filter(|_| reason == StopReason::Refusal),
            usage: &self.figures().usage,
            applied_edits: self.settings.applied_edits.as_deref(),
        };
        self.blocks.end(out, end);
        self.outcome = Some(Outcome::Stopped(reason));
    }
}

fn run_by_server<'a>(id: &'a str, name: &'a str, input: &'a str) -> delivery::Call<'a> {
    delivery::Call {
        by_server: true,
        id,
        name,
        input,
    }
}
