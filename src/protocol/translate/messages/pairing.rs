//! Which result answers which call.
//!
//! Claude Code sends results in the order in which tools finished, providers want them in the order of the calls,
//! and each call answered exactly once. Ids that stand twice in a conversation are told apart here.

use std::borrow::Cow;
use std::collections::HashSet;

use super::part::{Part, Text};
use super::turn::{ToolTurn, Turn};
use crate::protocol::translate::note::Note;
use crate::protocol::translate::tool_ids;

/// The calls that wait for results, and the ids used so far.
#[derive(Default)]
pub(super) struct Pairing<'a> {
    open: Vec<OpenCall<'a>>,
    used: HashSet<Cow<'a, str>>,
}

struct OpenCall<'a> {
    /// As the client knows it.
    client_id: Cow<'a, str>,
    /// As it goes upstream.
    id: Cow<'a, str>,
    name: Cow<'a, str>,
    result: Option<Answer<'a>>,
}

/// What a tool gave: words for the tool message, and what only a user message can carry.
pub(super) struct Answer<'a> {
    pub(super) texts: Vec<Text<'a>>,
    pub(super) media: Vec<Part<'a>>,
}

impl<'a> Pairing<'a> {
    /// Opens a call and gives the id under which it goes upstream.
    pub(super) fn call(&mut self, client_id: &Cow<'a, str>, name: &Cow<'a, str>) -> Cow<'a, str> {
        let id = self.unique(client_id);
        self.open.push(OpenCall {
            client_id: client_id.clone(),
            id: id.clone(),
            name: name.clone(),
            result: None,
        });
        id
    }

    /// Answers the first open call with this id. A result that answers none is given back.
    pub(super) fn answer(&mut self, client_id: &str, answer: Answer<'a>) -> Result<(), Answer<'a>> {
        let waiting = self
            .open
            .iter_mut()
            .find(|call| call.result.is_none() && call.client_id == client_id);
        match waiting {
            Some(call) => {
                call.result = Some(answer);
                Ok(())
            }
            None => Err(answer),
        }
    }

    /// Says whether a call was answered already.
    pub(super) fn has_results(&self) -> bool {
        self.open.iter().any(|call| call.result.is_some())
    }

    /// Writes a tool turn for each open call, in their order, and gives what must follow in a user turn.
    pub(super) fn settle(
        &mut self,
        turns: &mut Vec<Turn<'a>>,
        notes: &mut Vec<Note>,
    ) -> Vec<Part<'a>> {
        let mut attachments = Vec::new();
        for call in self.open.drain(..) {
            let texts = match call.result {
                Some(answer) => {
                    if !answer.media.is_empty() {
                        let label = format!("[Attached to the result of {}:]", call.name);
                        attachments.push(Part::Text(Text::plain(label)));
                        attachments.extend(answer.media);
                    }
                    answer.texts
                }
                None => {
                    notes.push(Note::new(format!(
                        "the call of `{}` without a result was answered as interrupted",
                        call.name
                    )));
                    vec![Text::plain(
                        "[The tool call was interrupted and gave no result]",
                    )]
                }
            };
            turns.push(Turn::Tool(ToolTurn { id: call.id, texts }));
        }
        attachments
    }

    /// The upstream's own form of an id goes back as it is. Any other is used once: providers that check refuse the
    /// second, and the others pair it with the wrong result.
    fn unique(&mut self, client_id: &Cow<'a, str>) -> Cow<'a, str> {
        let id = match tool_ids::decode(client_id) {
            Cow::Owned(upstream) => return Cow::Owned(upstream),
            Cow::Borrowed("") => Cow::Borrowed("call"),
            Cow::Borrowed(_) => client_id.clone(),
        };
        if self.used.insert(id.clone()) {
            return id;
        }
        let numbered = (2..)
            .map(|number| Cow::Owned(format!("{id}_{number}")))
            .find(|numbered: &Cow<'_, str>| !self.used.contains(numbered))
            .expect("the ids in use are finite");
        self.used.insert(numbered.clone());
        numbered
    }
}
