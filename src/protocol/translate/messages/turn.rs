//! Turns: the messages of chat completions before a model is known.

use std::borrow::Cow;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::part::{Part, Text};
use crate::protocol::anthropic::message::AppliedEdit;
use crate::protocol::anthropic::request::{Effort, Raw, RawStr};
use crate::protocol::translate::envelope::{Envelope, Restored};
use crate::protocol::translate::note::Note;

/// A conversation, converted.
#[derive(Clone, Debug, Default, yoke::Yokeable)]
pub struct Messages<'a> {
    /// The system prompt.
    pub system: Vec<Text<'a>>,
    /// What was said, in order.
    pub turns: Vec<Turn<'a>>,
    /// The effort that the last system message asks for.
    pub effort: Option<Effort>,
    /// What was left out or repaired.
    pub notes: Vec<Note>,
    /// What `context_management` did, if the client asked for it.
    pub applied_edits: Option<Vec<AppliedEdit>>,
}

/// What one side said.
#[derive(Clone, Debug, PartialEq)]
pub enum Turn<'a> {
    /// Instructions in mid-conversation.
    System(Vec<Text<'a>>),
    /// The client's side.
    User(Vec<Part<'a>>),
    /// The model.
    Assistant(Assistant<'a>),
    /// What a tool gave.
    Tool(ToolTurn<'a>),
}

/// A turn of the model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Assistant<'a> {
    /// What it thought, in order.
    pub thoughts: Vec<Thought<'a>>,
    /// What it said.
    pub texts: Vec<Text<'a>>,
    /// What it called.
    pub calls: Vec<Call<'a>>,
}

/// A tool call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call<'a> {
    /// The client's id, made unique in the conversation; each model gets it in the form that it takes.
    pub id: Cow<'a, str>,
    /// The tool's name as it goes upstream.
    pub name: Cow<'a, str>,
    /// Its input, an object.
    pub input: Raw<'a>,
}

/// What a tool gave, in words.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolTurn<'a> {
    /// The id of the call.
    pub id: Cow<'a, str>,
    /// Never empty.
    pub texts: Vec<Text<'a>>,
}

/// A piece of the model's reasoning, as the client gives it back.
#[derive(Clone, Debug, PartialEq)]
pub enum Thought<'a> {
    /// Packed by Dagway; for the models that can read it.
    Packed(Box<(Envelope, Restored)>),
    /// Signed by Anthropic.
    Signed {
        /// The text, often empty.
        text: RawStr<'a>,
        /// The signature.
        signature: Cow<'a, str>,
    },
    /// Encrypted by Anthropic.
    Redacted(Cow<'a, str>),
    /// Text alone, without a signature that means anything.
    Plain(RawStr<'a>),
}

impl Messages<'_> {
    /// The same conversation without the model's reasoning.
    #[must_use]
    pub fn without_thoughts(&self) -> Self {
        let mut without = self.clone();
        for turn in &mut without.turns {
            if let Turn::Assistant(assistant) = turn {
                assistant.thoughts.clear();
            }
        }
        without
    }
}

impl Messages<'_> {
    /// Says whether tools were called anywhere.
    pub(in crate::protocol::translate) fn has_calls(&self) -> bool {
        self.turns
            .iter()
            .any(|turn| matches!(turn, Turn::Assistant(assistant) if !assistant.calls.is_empty()))
    }
}

/// The shape of the conversation, not its texts.
impl Serialize for Messages<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let roles: String = self
            .turns
            .iter()
            .map(|turn| match turn {
                Turn::System(_) => 's',
                Turn::User(_) => 'u',
                Turn::Assistant(_) => 'a',
                Turn::Tool(_) => 't',
            })
            .collect();
        let mut shape = serializer.serialize_struct("Messages", 5)?;
        shape.serialize_field("system_blocks", &self.system.len())?;
        shape.serialize_field("turns", &self.turns.len())?;
        shape.serialize_field("roles", &roles)?;
        shape.serialize_field("effort", &self.effort.map(Effort::as_str))?;
        shape.serialize_field("notes", &self.notes)?;
        shape.end()
    }
}
