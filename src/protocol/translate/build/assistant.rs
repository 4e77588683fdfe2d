//! The model's own messages in an upstream request: words, thoughts and calls, in the form that its provider takes.

use super::super::messages::{Assistant, Text};
use super::super::model::Family;
use super::super::note::Note;
use super::breakpoints::Place;
use super::conversation::{Conversation, Piece};
use super::writer::Writer;

const GO_ON: &str =
    "Go on exactly where your last message ends. Do not repeat or introduce any of it.";

impl Conversation<'_> {
    pub(super) fn assistant(&mut self, out: &mut Writer, turn: &Assistant<'_>, last: bool) {
        self.behind_tool = false;
        let prefill = last && turn.calls.is_empty();
        let trimmed = if prefill {
            without_space_at_the_end(turn)
        } else {
            None
        };
        let texts: Vec<&Text<'_>> = match &trimmed {
            Some(trimmed) => trimmed.iter().collect(),
            None => turn.texts.iter().collect(),
        };
        out.object(|out| {
            out.key("role").string("assistant");
            out.key("content");
            if texts.is_empty() {
                out.raw("null");
            } else {
                self.texts(out, &texts, Place::Messages);
            }
            self.thoughts.write(out, turn, self.target, self.ids);
            if !turn.calls.is_empty() {
                out.key("tool_calls").array(|out| self.calls(out, turn));
            }
        });
        if prefill && !self.goes_on_by_itself() {
            self.notes.push(Note::new(
                "the conversation ends with the beginning of an answer, which this model does not continue by itself, so it was asked to go on",
            ));
            self.user(out, &mut vec![Piece::Ours(GO_ON)]);
        }
    }

    /// Whether the model takes the last message, when it is its own, as the beginning of its answer.
    fn goes_on_by_itself(&self) -> bool {
        let version = self.target.claude_version();
        self.target.family == Family::Claude && version.is_some_and(|version| version < (4, 6))
    }

    fn calls(&self, out: &mut Writer, turn: &Assistant<'_>) {
        for call in &turn.calls {
            out.object(|out| {
                out.key("id").string(&self.ids.sent(&call.id));
                out.key("type").string("function");
                out.key("function").object(|out| {
                    out.key("name").string(&call.name);
                    out.key("arguments").string(call.input.as_str());
                });
            });
        }
    }

    /// Mistral takes no message of the user's directly behind a tool's.
    pub(super) fn part_from_tool(&mut self, out: &mut Writer) {
        if self.behind_tool && self.target.family == Family::Mistral {
            out.object(|out| {
                out.key("role").string("assistant");
                out.key("content").string("I see.");
            });
            let note = Note::new(
                "a message “I see.” of the assistant's was put between a tool's result and the user's words, because Mistral takes none of the user's directly behind a result",
            );
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
        self.behind_tool = false;
    }
}

/// Providers refuse a last message of the model's that ends in white space.
fn without_space_at_the_end<'a>(turn: &Assistant<'a>) -> Option<Vec<Text<'a>>> {
    let last = turn.texts.last()?;
    let mut kept: &str = &last.escaped;
    loop {
        let trimmed = kept.trim_end();
        let cut = ["\\n", "\\t", "\\r"]
            .into_iter()
            .find_map(|escape| trimmed.strip_suffix(escape))
            .filter(|before| ends_outside_an_escape(before));
        match cut {
            Some(before) => kept = before,
            None if trimmed.len() == last.escaped.len() => return None,
            None => {
                kept = trimmed;
                break;
            }
        }
    }
    let mut texts = turn.texts.clone();
    if let Some(last) = texts.last_mut() {
        last.escaped = kept.to_owned().into();
    }
    Some(texts)
}

/// `\\n` is a backslash and an n: an escape begins here only behind an even number of backslashes.
fn ends_outside_an_escape(before: &str) -> bool {
    before
        .bytes()
        .rev()
        .take_while(|byte| *byte == b'\\')
        .count()
        % 2
        == 0
}
