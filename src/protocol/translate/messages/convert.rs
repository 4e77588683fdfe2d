//! The walk over the client's messages.

use std::collections::HashSet;

use super::assistant;
use super::clearing;
use super::pairing::Pairing;
use super::part::{Part, Text};
use super::result;
use super::turn::{Messages, Turn};
use super::user;
use crate::protocol::anthropic::request::{
    BILLING, Block, InvalidRequest, Message, Request, Role, TextBlock,
};
use crate::protocol::json_text;
use crate::protocol::translate::envelope::Budget;
use crate::protocol::translate::note::Note;

/// Puts the conversation into the order and shape of chat completions.
///
/// # Errors
/// When nothing is left to send.
pub fn convert_messages<'a>(request: &Request<'a>) -> Result<Messages<'a>, InvalidRequest> {
    let mut messages = Messages::default();
    messages.system = system(&request.system, &mut messages.notes);
    let mut walk = Walk::default();
    let (cleared, applied) = clearing::cleared(request, &mut messages.notes);
    messages.applied_edits = (!request.edits.is_empty()).then_some(applied);
    for message in cleared.iter() {
        if message.effort.is_some() {
            messages.effort = message.effort;
        }
        walk.message(message);
    }
    walk.settle();
    let ends_with_the_client = cleared.last().is_some_and(|last| last.role == Role::User);
    if ends_with_the_client && matches!(walk.turns.last(), Some(Turn::Assistant(_))) {
        // All that was said last is left out; the answer before it must not look like one to go on with.
        let nothing = Part::Text(Text::plain("(no content)"));
        walk.turns.push(Turn::User(vec![nothing]));
    }
    if walk.turns.is_empty() {
        return Err(InvalidRequest::at(
            "messages",
            "at least one message with content is required",
        ));
    }
    messages.turns = walk.turns;
    messages.notes.append(&mut walk.notes);
    let mut told = HashSet::new();
    messages
        .notes
        .retain(|note| told.insert(note.as_str().to_owned()));
    Ok(messages)
}

fn system<'a>(blocks: &[TextBlock<'a>], notes: &mut Vec<Note>) -> Vec<Text<'a>> {
    let mut texts = Vec::with_capacity(blocks.len());
    for &block in blocks {
        let Some(mut text) = Text::of_block(block) else {
            continue;
        };
        if block.text.escaped().starts_with(BILLING) {
            notes.push(Note::new(
                "Claude Code's billing line was left out of the system prompt, because it changes between conversations and would spoil prompt caching",
            ));
            let rest = json_text::behind_first_line(block.text.escaped());
            if json_text::unescape(rest).trim().is_empty() {
                continue;
            }
            text.escaped = rest.into();
        }
        texts.push(text);
    }
    texts
}

/// The turns so far, and those that wait for the results of the last calls.
#[derive(Default)]
pub(super) struct Walk<'a> {
    pub(super) turns: Vec<Turn<'a>>,
    /// What was said after the last turn of the model; it goes behind the results of its calls.
    pub(super) after: Vec<Turn<'a>>,
    pub(super) pairing: Pairing<'a>,
    /// What the envelopes in thinking blocks may still become.
    pub(super) envelopes: Budget,
    pub(super) notes: Vec<Note>,
}

impl<'a> Walk<'a> {
    fn message(&mut self, message: &Message<'a>) {
        match message.role {
            Role::System => self.instructions(&message.content),
            Role::User => user::read(self, &message.content),
            Role::Assistant => assistant::read(self, &message.content),
        }
    }

    fn instructions(&mut self, blocks: &[Block<'a>]) {
        let mut texts = Vec::with_capacity(blocks.len());
        for block in blocks {
            match block {
                Block::Text(text) => texts.extend(Text::of_block(*text)),
                Block::ToolChange(change) => texts.push(result::tool_change(change)),
                other => self.left_out(other.kind()),
            }
        }
        if !texts.is_empty() {
            self.after.push(Turn::System(texts));
        }
    }

    /// Puts the results of the last calls behind them, and then what was said since.
    pub(super) fn settle(&mut self) {
        let attachments = self.pairing.settle(&mut self.turns, &mut self.notes);
        if !attachments.is_empty() {
            self.turns.push(Turn::User(attachments));
        }
        for turn in self.after.drain(..) {
            match (self.turns.last_mut(), turn) {
                (Some(Turn::User(parts)), Turn::User(more)) => parts.extend(more),
                (_, turn) => self.turns.push(turn),
            }
        }
    }

    pub(super) fn left_out(&mut self, kind: &str) {
        self.notes.push(Note::new(format!(
            "a `{kind}` block was left out, because it means something to Anthropic's servers only"
        )));
    }
}
