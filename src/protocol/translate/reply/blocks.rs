//! The blocks of a message as they are written: which is open, and which index comes next.
//!
//! Everything that reaches a client passes here, so that no caller can leave a hole in the indices, open two blocks at
//! once or begin a message twice.
//! This file must not know why a block is opened or closed.

use serde::Serialize;

use crate::protocol::anthropic::delivery::{Call, Delivery};
use crate::protocol::anthropic::event::{MessageEnd, MessageStart};

/// The message that is being written.
#[derive(Debug)]
pub(super) struct Blocks {
    delivery: Delivery,
    id: String,
    model: String,
    input_tokens: u64,
    started: bool,
    next: u64,
    open: Open,
    has_text: bool,
    /// Bytes of content written.
    pub(super) bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Nothing,
    Text,
    Thinking,
}

impl Blocks {
    /// A message that is delivered in this form, and the answer to `id`, `model` and the guess at its input.
    pub(super) fn new(delivery: Delivery, id: String, model: String, input_tokens: u64) -> Self {
        Self {
            delivery,
            id,
            model,
            input_tokens,
            started: false,
            next: 0,
            open: Open::Nothing,
            has_text: false,
            bytes: 0,
        }
    }

    /// Whether the message has begun.
    pub(super) fn started(&self) -> bool {
        self.started
    }

    /// The index of the next block.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Whether any block was opened.
    pub(super) fn any(&self) -> bool {
        self.next > 0 || self.open != Open::Nothing
    }

    /// Whether any text was written.
    pub(super) fn has_text(&self) -> bool {
        self.has_text
    }

    pub(super) fn is_text(&self) -> bool {
        self.open == Open::Text
    }

    pub(super) fn is_thinking(&self) -> bool {
        self.open == Open::Thinking
    }

    /// Begins the message unless it has begun.
    pub(super) fn start(&mut self, out: &mut Vec<u8>) {
        if self.started {
            return;
        }
        self.started = true;
        let start = MessageStart {
            id: &self.id,
            model: &self.model,
            input_tokens: self.input_tokens,
        };
        self.delivery.message_start(out, start);
    }

    /// Writes text, in a text block that is opened if need be.
    pub(super) fn text(&mut self, out: &mut Vec<u8>, escaped: &str) {
        if self.open != Open::Text {
            self.start(out);
            self.delivery.text_start(out, self.next);
            self.open = Open::Text;
            self.has_text = true;
        }
        self.bytes += escaped.len() as u64;
        self.delivery.text(out, self.next, escaped);
    }

    /// Closes the open text.
    pub(super) fn close_text(&mut self, out: &mut Vec<u8>) {
        self.close_cited_text(out, std::iter::empty::<()>());
    }

    /// Closes the open text with its citations.
    pub(super) fn close_cited_text<C: Serialize>(
        &mut self,
        out: &mut Vec<u8>,
        citations: impl Iterator<Item = C>,
    ) {
        if self.open == Open::Text {
            self.delivery.text_stop(out, self.next, citations);
            self.closed();
        }
    }

    /// Opens a thinking block unless one is open.
    pub(super) fn open_thinking(&mut self, out: &mut Vec<u8>) {
        if self.open == Open::Thinking {
            return;
        }
        self.close_text(out);
        self.start(out);
        self.delivery.thinking_start(out, self.next);
        self.open = Open::Thinking;
    }

    /// Writes a thought, in a thinking block that is opened if need be.
    pub(super) fn thinking(&mut self, out: &mut Vec<u8>, escaped: &str) {
        self.open_thinking(out);
        self.bytes += escaped.len() as u64;
        self.delivery.thinking(out, self.next, escaped);
    }

    /// Signs and closes the open thinking block.
    pub(super) fn close_thinking(&mut self, out: &mut Vec<u8>, signature: &str) {
        if self.open == Open::Thinking {
            self.delivery.thinking_stop(out, self.next, signature);
            self.closed();
        }
    }

    /// Writes a tool call.
    pub(super) fn call(&mut self, out: &mut Vec<u8>, call: Call<'_>) {
        self.start(out);
        self.bytes += call.input.len() as u64;
        self.delivery.call(out, self.next, call);
        self.closed();
    }

    /// Writes a block that comes in one piece.
    pub(super) fn whole<B: Serialize>(&mut self, out: &mut Vec<u8>, block: &B) {
        self.start(out);
        self.delivery.block(out, self.next, block);
        self.closed();
    }

    /// Ends the message.
    pub(super) fn end(&mut self, out: &mut Vec<u8>, end: MessageEnd<'_>) {
        self.start(out);
        self.delivery.message_end(out, end);
    }

    fn closed(&mut self) {
        self.open = Open::Nothing;
        self.next += 1;
    }
}
