//! The two forms in which a message is delivered: events, or the JSON of the whole message.
//!
//! Both are appended piece by piece, in the same order, so that whoever decides what a message says need not know which
//! one the client asked for, and nothing is read back from events to make a message of them.
//! Text arguments named `escaped` are in the form of [`crate::protocol::json_text`] and are copied as they are.
//! This file must not know in which order blocks come.

use serde::Serialize;

use super::event::{self, MessageEnd, MessageStart, json, put, quote};

/// The input of a tool call is streamed in pieces of this size.
const PIECE: usize = 4096;

/// A form of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Server-sent events.
    Events,
    /// One JSON object.
    Whole,
}

/// A call of a tool.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Whether the server has run it.
    pub by_server: bool,
    /// Its id.
    pub id: &'a str,
    /// The tool.
    pub name: &'a str,
    /// The input: a JSON object.
    pub input: &'a str,
}

impl Delivery {
    /// Begins the message.
    pub fn message_start(self, out: &mut Vec<u8>, start: MessageStart<'_>) {
        if self == Self::Events {
            return event::message_start(out, start);
        }
        put(out, "{\"id\":");
        quote(out, start.id);
        put(
            out,
            ",\"type\":\"message\",\"role\":\"assistant\",\"model\":",
        );
        quote(out, start.model);
        put(out, ",\"content\":[");
    }

    /// Begins a text.
    pub fn text_start(self, out: &mut Vec<u8>, index: u64) {
        match self {
            Self::Events => event::text_start(out, index),
            Self::Whole => block_start(out, index, "{\"type\":\"text\",\"text\":\""),
        }
    }

    /// Goes on with a text.
    pub fn text(self, out: &mut Vec<u8>, index: u64, escaped: &str) {
        match self {
            Self::Events => event::text_delta(out, index, escaped),
            Self::Whole => put(out, escaped),
        }
    }

    /// Ends a text, with what it cites.
    pub fn text_stop<C: Serialize>(
        self,
        out: &mut Vec<u8>,
        index: u64,
        citations: impl Iterator<Item = C>,
    ) {
        if self == Self::Events {
            for citation in citations {
                event::citations_delta(out, index, &citation);
            }
            return event::block_stop(out, index);
        }
        put(out, "\"");
        let mut before = ",\"citations\":[";
        for citation in citations {
            put(out, before);
            json(out, &citation);
            before = ",";
        }
        put(out, if before == "," { "]}" } else { "}" });
    }

    /// Begins a thought.
    pub fn thinking_start(self, out: &mut Vec<u8>, index: u64) {
        match self {
            Self::Events => event::thinking_start(out, index),
            Self::Whole => block_start(out, index, "{\"type\":\"thinking\",\"thinking\":\""),
        }
    }

    /// Goes on with a thought.
    pub fn thinking(self, out: &mut Vec<u8>, index: u64, escaped: &str) {
        match self {
            Self::Events => event::thinking_delta(out, index, escaped),
            Self::Whole => put(out, escaped),
        }
    }

    /// Signs and ends a thought.
    pub fn thinking_stop(self, out: &mut Vec<u8>, index: u64, signature: &str) {
        if self == Self::Events {
            event::signature_delta(out, index, signature);
            return event::block_stop(out, index);
        }
        put(out, "\",\"signature\":");
        quote(out, signature);
        put(out, "}");
    }

    /// Writes a call of a tool.
    pub fn call(self, out: &mut Vec<u8>, index: u64, call: Call<'_>) {
        let Call {
            by_server,
            id,
            name,
            input,
        } = call;
        if self == Self::Events {
            if by_server {
                event::server_tool_use_start(out, index, id, name);
            } else {
                event::tool_use_start(out, index, id, name);
            }
            let mut rest = input;
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(rest.floor_char_boundary(PIECE));
                event::input_json_delta(out, index, piece);
                rest = after;
            }
            return event::block_stop(out, index);
        }
        let kind = if by_server {
            "{\"type\":\"server_tool_use\",\"id\":"
        } else {
            "{\"type\":\"tool_use\",\"id\":"
        };
        block_start(out, index, kind);
        quote(out, id);
        put(out, ",\"name\":");
        quote(out, name);
        put(out, ",\"input\":");
        put(out, input);
        put(out, "}");
    }

    /// Writes a block that comes in one piece.
    pub fn block<B: Serialize>(self, out: &mut Vec<u8>, index: u64, block: &B) {
        if self == Self::Events {
            event::whole_block_start(out, index, block);
            return event::block_stop(out, index);
        }
        block_start(out, index, "");
        json(out, block);
    }

    /// Ends a message that succeeded.
    pub fn message_end(self, out: &mut Vec<u8>, end: MessageEnd<'_>) {
        if self == Self::Events {
            return event::message_end(out, end);
        }
        put(out, "],");
        event::stop(out, end);
        put(out, ",\"usage\":");
        json(out, end.usage);
        // The figures are an object that is never empty: one more member goes into it.
        out.pop();
        put(out, ",\"service_tier\":\"standard\"}");
        event::context_management(out, end);
        put(out, "}");
    }
}

/// Begins a block of a whole message.
fn block_start(out: &mut Vec<u8>, index: u64, beginning: &str) {
    if index > 0 {
        put(out, ",");
    }
    put(out, beginning);
}
