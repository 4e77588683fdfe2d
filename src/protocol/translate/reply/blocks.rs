//! The blocks of a message as they are written: which is open, and which index comes next.
//!
//! Everything that reaches a client passes here, so that no caller can leave a hole in the indices, open two blocks at
//! once or begin a message twice.
//! This file must not know why a block is opened or closed.

use serde::Serialize;

use crate::protocol::anthropic::event::{self, MessageEnd, MessageStart};

/// The input of a tool call is sent in pieces of this size.
const PIECE: usize = 4096;

/// The message that is being written.
#[derive(Debug)]
pub(super) struct Blocks {
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
    pub(super) fn new(id: String, model: String, input_tokens: u64) -> Self {
        Self {
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
        event::message_start(out, start);
    }

    /// Writes text, in a text block that is opened if need be.
    pub(super) fn text(&mut self, out: &mut Vec<u8>, escaped: &str) {
        if self.open != Open::Text {
            self.start(out);
            event::text_start(out, self.next);
            self.open = Open::Text;
            self.has_text = true;
        }
        self.bytes += escaped.len() as u64;
        event::text_delta(out, self.next, escaped);
    }

    /// Writes a citation into the open text.
    pub(super) fn citation<C: Serialize>(&mut self, out: &mut Vec<u8>, citation: &C) {
        if self.open == Open::Text {
            event::citations_delta(out, self.next, citation);
        }
    }

    /// Closes the open text.
    pub(super) fn close_text(&mut self, out: &mut Vec<u8>) {
        if self.open == Open::Text {
            self.close(out);
        }
    }

    /// Opens a thinking block unless one is open.
    pub(super) fn open_thinking(&mut self, out: &mut Vec<u8>) {
        if self.open == Open::Thinking {
            return;
        }
        self.close_text(out);
        self.start(out);
        event::thinking_start(out, self.next);
        self.open = Open::Thinking;
    }

    /// Writes a thought, in a thinking block that is opened if need be.
    pub(super) fn thinking(&mut self, out: &mut Vec<u8>, escaped: &str) {
        self.open_thinking(out);
        self.bytes += escaped.len() as u64;
        event::thinking_delta(out, self.next, escaped);
    }

    /// Signs and closes the open thinking block.
    pub(super) fn close_thinking(&mut self, out: &mut Vec<u8>, signature: &str) {
        if self.open == Open::Thinking {
            event::signature_delta(out, self.next, signature);
            self.close(out);
        }
    }

    /// Writes a whole tool call.
    pub(super) fn tool_use(&mut self, out: &mut Vec<u8>, [id, name, input]: [&str; 3]) {
        self.start(out);
        event::tool_use_start(out, self.next, id, name);
        self.input(out, input);
        self.close(out);
    }

    /// Writes a call that the server has run.
    pub(super) fn server_tool_use(&mut self, out: &mut Vec<u8>, [id, name, input]: [&str; 3]) {
        self.start(out);
        event::server_tool_use_start(out, self.next, id, name);
        self.input(out, input);
        self.close(out);
    }

    /// Writes a block that comes in one piece.
    pub(super) fn whole<B: Serialize>(&mut self, out: &mut Vec<u8>, block: &B) {
        self.start(out);
        event::whole_block_start(out, self.next, block);
        self.close(out);
    }

    /// Ends the message.
    pub(super) fn end(&mut self, out: &mut Vec<u8>, end: MessageEnd<'_>) {
        self.start(out);
        event::message_end(out, end);
    }

    fn input(&mut self, out: &mut Vec<u8>, input: &str) {
        self.bytes += input.len() as u64;
        let mut rest = input;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.floor_char_boundary(PIECE));
            event::input_json_delta(out, self.next, piece);
            rest = after;
        }
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        event::block_stop(out, self.next);
        self.open = Open::Nothing;
        self.next += 1;
    }
}
