//! The model's thoughts: what of them is shown, and what travels unseen in signatures.
//!
//! Upstreams send the same thought twice, as a string and as details; details win as soon as they say something.
//!
//! | the client asked | thoughts are |
//! | --- | --- |
//! | for thinking | shown, each block signed once, at its end |
//! | for thinking with `display: omitted` | not shown; a block without text is opened with the first, so that the client sees that the model thinks, and its signature carries all of it |
//! | for nothing | dropped, unless tools are called: then a block without text stands before the first call |
//!
//! This file must not know where a thinking block stands among others.

use super::blocks::Blocks;
use super::details::Details;
use crate::protocol::json_text::{self, Mender};
use crate::protocol::openrouter::chunk::ReasoningPiece;
use crate::protocol::translate::envelope::Shown;

/// What is kept of a thought that came as a plain string and is not shown.
const LONGEST_HIDDEN: usize = 4 << 20;

/// What the client sees of thoughts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Display {
    Shown,
    Omitted,
    Unasked,
}

/// Where the text of thoughts is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Unknown,
    Strings,
    Details,
}

/// The thoughts of one answer.
#[derive(Debug)]
pub(super) struct Thinking {
    display: Display,
    source: Source,
    pub(super) details: Details,
    mender: Mender,
    /// What the open block shows.
    shown: Shown,
    /// What no block shows and no detail holds.
    hidden: String,
    /// Bytes of thought that were not shown.
    pub(super) unseen_bytes: u64,
}

impl Thinking {
    pub(super) fn new(display: Display) -> Self {
        Self {
            display,
            source: Source::Unknown,
            details: Details::default(),
            mender: Mender::default(),
            shown: Shown::default(),
            hidden: String::new(),
            unseen_bytes: 0,
        }
    }

    /// Whether the client expects thinking blocks.
    pub(super) fn is_asked(&self) -> bool {
        self.display != Display::Unasked
    }

    /// Whether the plain strings of the upstream are to be used.
    pub(super) fn uses_strings(&self) -> bool {
        self.source != Source::Details
    }

    /// Whether something is worth carrying that no block has carried.
    pub(super) fn has_unsent(&self) -> bool {
        !self.hidden.is_empty() || self.details.has_unsent()
    }

    /// Adds a piece of the details.
    pub(super) fn piece(
        &mut self,
        piece: &ReasoningPiece<'_>,
        model: &str,
        blocks: &mut Blocks,
        out: &mut Vec<u8>,
    ) {
        if self.details.begins_after_signed(piece) {
            self.close(model, blocks, out);
        }
        let escaped = self.mender.mend(text_of(piece));
        let text = json_text::unescape(&escaped);
        self.details.merge(piece, &text);
        if !escaped.is_empty() {
            self.source = Source::Details;
            self.show(&escaped, &text, blocks, out);
        }
    }

    /// Adds a piece of the plain string.
    pub(super) fn string(&mut self, escaped: &str, blocks: &mut Blocks, out: &mut Vec<u8>) {
        let escaped = self.mender.mend(escaped);
        if escaped.is_empty() {
            return;
        }
        self.source = Source::Strings;
        let text = json_text::unescape(&escaped);
        if self.display != Display::Shown && self.hidden.len() + text.len() <= LONGEST_HIDDEN {
            self.hidden.push_str(&text);
        }
        self.show(&escaped, &text, blocks, out);
    }

    /// Signs and closes the open thinking block.
    pub(super) fn close(&mut self, model: &str, blocks: &mut Blocks, out: &mut Vec<u8>) {
        if !blocks.is_thinking() {
            return;
        }
        if let Some(rest) = self.mender.finish() {
            self.show(rest, &json_text::unescape(rest), blocks, out);
        }
        let signature = self.seal(model);
        blocks.close_thinking(out, &signature);
    }

    /// Carries what no block has carried, in a block that shows nothing.
    pub(super) fn send_unsent(&mut self, model: &str, blocks: &mut Blocks, out: &mut Vec<u8>) {
        if self.has_unsent() {
            blocks.open_thinking(out);
            let signature = self.seal(model);
            blocks.close_thinking(out, &signature);
        }
    }

    fn seal(&mut self, model: &str) -> String {
        let shown = std::mem::take(&mut self.shown);
        let hidden = std::mem::take(&mut self.hidden);
        self.details.seal(model, shown, hidden)
    }

    fn show(&mut self, escaped: &str, text: &str, blocks: &mut Blocks, out: &mut Vec<u8>) {
        match self.display {
            Display::Shown => {
                self.shown.add(text);
                blocks.thinking(out, escaped);
            }
            Display::Omitted => {
                self.unseen_bytes += text.len() as u64;
                blocks.open_thinking(out);
            }
            Display::Unasked => self.unseen_bytes += text.len() as u64,
        }
    }
}

/// The escaped text that a piece adds.
pub(super) fn text_of<'a>(piece: &ReasoningPiece<'a>) -> &'a str {
    piece
        .text
        .or(piece.summary)
        .and_then(json_text::body)
        .unwrap_or_default()
}
