//! The events that are more than a piece of text: what each says of the answer, and what is mended in it.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::block::Block;
use super::super::blocks::Unsaid;
use super::super::error::from_event;
use super::super::figures::{Head, Words, object, present, text};
use super::super::repeat::LEFT_OUT;
use super::super::splice::Splice;
use super::totals::mend_counts;
use super::{Outcome, Passage, estimate, frame, rename};
use crate::protocol::anthropic::event::{self, MessageStart};
use crate::protocol::anthropic::message::StopReason;
use crate::protocol::json_text;

#[derive(Deserialize)]
pub(super) struct Event<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: std::borrow::Cow<'a, str>,
    #[serde(borrow, default)]
    index: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    content_block: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) delta: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) usage: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Delta<'a> {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(borrow)]
    signature: Option<&'a RawValue>,
    #[serde(borrow, deserialize_with = "present")]
    pub(super) stop_reason: Option<&'a RawValue>,
    #[serde(borrow, deserialize_with = "present")]
    pub(super) stop_sequence: Option<&'a RawValue>,
}

/// What becomes of an event.
pub(super) enum Next {
    Pass,
    /// It goes on, and these frames behind it.
    PassBefore(Vec<u8>),
    LeaveOut,
}

impl Passage {
    pub(super) fn event(&mut self, event: &Event<'_>, data: &[u8], out: &mut Vec<u8>) {
        let kind = event.kind.as_ref();
        if kind == "ping" {
            return frame(out, kind, data);
        }
        self.events += 1;
        let needs_a_start =
            kind.starts_with("content_block_") || kind == "message_delta" || kind == "message_stop";
        if needs_a_start && !self.has_begun {
            self.begin(out);
        }
        if kind == "message" && !self.has_begun && self.tell_whole(data, out) {
            return;
        }
        let mut splice = Splice::new(data);
        let next = match kind {
            "error" => {
                let error = from_event(data).api;
                return self.fail(error, out);
            }
            "message_start" => self.message_start(event, &mut splice, out),
            "content_block_start" => self.block_start(event, &mut splice, out),
            "content_block_delta" => self.block_delta(event, &mut splice, out),
            "content_block_stop" => self.block_stop(event, &mut splice, out),
            "message_delta" => self.message_delta(event, &mut splice, out),
            // What came whole says by its end that it is.
            "message_stop" if !self.figures.has_stopped && !self.came_whole => self.break_off(
                "the upstream ended its answer without a reason, so it may not be whole",
                out,
            ),
            "message_stop" => {
                self.close(out);
                self.outcome = Some(Outcome::Stopped);
                Next::Pass
            }
            _ => self.renumber(event, &mut splice),
        };
        let behind = match next {
            Next::LeaveOut => return,
            Next::Pass => Vec::new(),
            Next::PassBefore(frames) => frames,
        };
        match splice.done() {
            Some(changed) => frame(out, kind, &changed),
            None => frame(out, kind, data),
        }
        out.extend_from_slice(&behind);
    }

    /// Says the start that the upstream left out.
    fn begin(&mut self, out: &mut Vec<u8>) {
        self.note("the answer began without `message_start`, which was added");
        self.has_begun = true;
        self.estimate = self.estimated_input();
        let start = MessageStart {
            id: &self.settings.message_id,
            model: self.settings.model.as_deref().unwrap_or_default(),
            input_tokens: self.estimate,
        };
        event::message_start(out, start);
    }

    fn estimated_input(&mut self) -> u64 {
        let body = self.settings.body.take();
        body.map_or(0, |body| estimate(&body))
    }

    fn message_start(
        &mut self,
        event: &Event<'_>,
        splice: &mut Splice<'_>,
        out: &mut Vec<u8>,
    ) -> Next {
        if self.has_begun {
            self.note("a second `message_start` was left out, because clients take no other");
            return Next::LeaveOut;
        }
        let Some((message, head)) = event.message.and_then(|message| {
            let head: Head<'_> = object(message)?;
            Some((message, head))
        }) else {
            self.begin(out);
            return Next::LeaveOut;
        };
        self.has_begun = true;
        self.figures.head(&head);
        rename(&head, &self.settings, splice);
        let has_counted = self.figures.has_counted_input();
        let body = self.settings.body.take();
        if !has_counted {
            self.estimate = body.map_or(0, |body| estimate(&body));
        }
        let estimate = self.estimate;
        let mut missing = Vec::new();
        missing.extend(mend_counts(head.usage, estimate, has_counted, splice));
        match head.content {
            None => missing.push(r#""content":[]"#.to_owned()),
            Some(odd) if !odd.get().starts_with('[') => splice.replace(odd, "[]"),
            Some(_) => {}
        }
        if !missing.is_empty() {
            splice.add(message, &missing.join(","));
        }
        Next::Pass
    }

    fn block_start(
        &mut self,
        event: &Event<'_>,
        splice: &mut Splice<'_>,
        out: &mut Vec<u8>,
    ) -> Next {
        let parts = event.content_block.and_then(|raw| {
            let block: Block<'_> = object(raw)?;
            Some((raw, block))
        });
        let (Some(raw_index), Some(index), Some((raw, block))) =
            (event.index, event.number(), parts)
        else {
            return self.break_off("the upstream began a block without saying which", out);
        };
        self.close_one(index, out);
        if block.kind == "redacted_thinking" && self.thoughts.are_repeated_by(&block.data()) {
            self.blocks.leave_out(index);
            self.note(LEFT_OUT);
            return Next::LeaveOut;
        }
        if block.kind == "thinking" {
            self.thoughts.begin(&block.signature());
        }
        let unsaid = unsaid(&block);
        let number = self.blocks.begin(index, block.is_call(), unsaid);
        if number != index {
            splice.replace(raw_index, number.to_string());
        }
        block.mend(raw, splice);
        if let Some(signature) = block.early_signature() {
            // It follows in a delta, and some clients put both together.
            splice.replace(signature, r#""""#);
        }
        self.first_words(&block, number, splice)
    }

    /// Words that came with the beginning of their block follow it, because Claude Code reads them nowhere else.
    fn first_words(&mut self, block: &Block<'_>, number: u64, splice: &mut Splice<'_>) -> Next {
        let (words, delta): (_, fn(&mut Vec<u8>, u64, &str)) = match block.kind.as_str() {
            "text" => (block.text, event::text_delta),
            "thinking" => (block.thinking, event::thinking_delta),
            _ => return Next::Pass,
        };
        let Some((raw, words)) = words.and_then(|raw| Some((raw, json_text::body(raw)?))) else {
            return Next::Pass;
        };
        if words.is_empty() {
            return Next::Pass;
        }
        self.note("the first words of a block came with its beginning, and were sent on behind it");
        self.figures.said(words.len());
        splice.replace(raw, r#""""#);
        let mut behind = Vec::new();
        delta(&mut behind, number, words);
        Next::PassBefore(behind)
    }

    fn block_delta(
        &mut self,
        event: &Event<'_>,
        splice: &mut Splice<'_>,
        out: &mut Vec<u8>,
    ) -> Next {
        let delta: Delta<'_> = event.delta.and_then(object).unwrap_or_default();
        let words: Words<'_> = event.delta.and_then(object).unwrap_or_default();
        let Some(index) = event.number() else {
            return self.break_off("the upstream sent a piece of no block", out);
        };
        if self.blocks.find(index).is_none() {
            let number = self.blocks.begin(index, false, None);
            match delta.kind.as_deref() {
                Some("text_delta") => event::text_start(out, number),
                Some("thinking_delta") => event::thinking_start(out, number),
                _ => {
                    return self
                        .break_off("the upstream sent a piece of a block that never began", out);
                }
            }
            self.note("a block came without its beginning, which was added");
        }
        if let Some(block) = self.blocks.find(index)
            && (words.partial_json.is_some_and(is_filled) || delta.signature.is_some_and(is_filled))
        {
            block.unsaid = None;
        }
        if let Next::LeaveOut = self.renumber(event, splice) {
            return Next::LeaveOut;
        }
        if let Some(piece) = delta.signature {
            self.thoughts.sign(&text(piece).unwrap_or_default());
        }
        self.figures.said(words.bytes());
        Next::Pass
    }

    fn block_stop(
        &mut self,
        event: &Event<'_>,
        splice: &mut Splice<'_>,
        out: &mut Vec<u8>,
    ) -> Next {
        let Some(index) = event.number() else {
            return self.break_off("the upstream ended a block without saying which", out);
        };
        let Some(block) = self.blocks.find(index).filter(|block| block.is_open) else {
            self.note("the end of a block that was not open was left out");
            return Next::LeaveOut;
        };
        block.is_open = false;
        if let (Some(number), Some(unsaid)) = (block.number, block.unsaid.take()) {
            self.say(number, &unsaid, out);
        }
        self.thoughts.end();
        self.renumber(event, splice)
    }

    /// What came with the beginning of a block alone.
    fn say(&mut self, number: u64, unsaid: &Unsaid, out: &mut Vec<u8>) {
        match unsaid {
            Unsaid::Input(input) => {
                self.note(
                    "the input of a call came with its beginning, and was sent on as pieces are",
                );
                self.figures.said(input.len());
                event::input_json_delta(out, number, input);
            }
            Unsaid::Signature(signature) => {
                self.note(
                    "the signature of a thought came with its beginning, and was sent on behind it",
                );
                event::signature_delta(out, number, signature);
            }
        }
    }

    /// Puts the number under which a block goes on in the place of its own.
    fn renumber(&mut self, event: &Event<'_>, splice: &mut Splice<'_>) -> Next {
        let (Some(raw), Some(index)) = (event.index, event.number()) else {
            return Next::Pass;
        };
        match self.blocks.find(index).map(|block| block.number) {
            Some(None) => return Next::LeaveOut,
            Some(Some(number)) if number != index => splice.replace(raw, number.to_string()),
            Some(Some(_)) | None => {}
        }
        Next::Pass
    }

    /// Closes a block that is still open when another one begins under its number.
    fn close_one(&mut self, theirs: u64, out: &mut Vec<u8>) {
        let Some(block) = self.blocks.find(theirs).filter(|block| block.is_open) else {
            return;
        };
        block.is_open = false;
        if let Some(number) = block.number {
            let unsaid = block.unsaid.take();
            if let Some(unsaid) = unsaid {
                self.say(number, &unsaid, out);
            }
            self.note("a block was left open, and was closed");
            event::block_stop(out, number);
        }
        self.thoughts.end();
    }

    /// Closes what is open at the end. A call that may have been cut off stays open, for clients run what was closed.
    pub(super) fn close(&mut self, out: &mut Vec<u8>) {
        let is_whole = matches!(
            self.figures.summary.stop_reason,
            Some(
                StopReason::EndTurn
                    | StopReason::ToolUse
                    | StopReason::StopSequence
                    | StopReason::PauseTurn
            )
        );
        let mut unsaid = Vec::new();
        for (block, number) in self.blocks.open() {
            if is_whole || !block.is_call {
                block.is_open = false;
                unsaid.push((number, block.unsaid.take()));
            }
        }
        for (number, unsaid) in unsaid {
            if let Some(unsaid) = unsaid {
                self.say(number, &unsaid, out);
            }
            self.note("a block was left open, and was closed");
            event::block_stop(out, number);
        }
    }

    fn break_off(&mut self, message: &str, out: &mut Vec<u8>) -> Next {
        self.fail_with(message, out);
        Next::LeaveOut
    }
}

/// What a block says with its beginning that clients look for in pieces.
fn unsaid(block: &Block<'_>) -> Option<Unsaid> {
    if block.is_call() {
        let input = block.input.filter(|input| is_filled(input))?;
        return Some(Unsaid::Input(input.get().to_owned()));
    }
    let signature = block.early_signature().and_then(text)?;
    Some(Unsaid::Signature(signature))
}

impl Event<'_> {
    fn number(&self) -> Option<u64> {
        self.index?.get().parse().ok()
    }
}

/// Whether a value is more than an empty object or string.
fn is_filled(raw: &RawValue) -> bool {
    let inside = raw
        .get()
        .trim_matches(['{', '}', '"', ' ', '\n', '\r', '\t']);
    !inside.is_empty() && inside != "null"
}
