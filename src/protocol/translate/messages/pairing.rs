//! Which result answers which call.
//!
//! Claude Code sends results in the order in which tools finished, providers want them in the order of the calls,
//! and each call answered exactly once. Ids that stand twice in a conversation are told apart here.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

use super::part::{Part, Text};
use super::turn::{ToolTurn, Turn};
use crate::protocol::translate::note::Note;
use crate::protocol::translate::tool_ids;

/// What is put behind an id that stands for the second time.
const SECOND: usize = 2;

/// The calls that wait for results, and the ids used so far.
#[derive(Default)]
pub(super) struct Pairing<'a> {
    open: Vec<OpenCall<'a>>,
    /// Where in `open` the calls without a result are, by the id that the client knows.
    waiting: HashMap<Cow<'a, str>, VecDeque<usize>>,
    /// Whether one of `open` has its result.
    answered: bool,
    /// Each with the number to try when it comes again: all below are taken.
    used: HashMap<Cow<'a, str>, usize>,
}

struct OpenCall<'a> {
    /// As it is unique.
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
    /// Opens a call and gives its id, which no other has.
    pub(super) fn call(&mut self, client_id: &Cow<'a, str>, name: &Cow<'a, str>) -> Cow<'a, str> {
        let id = self.unique(client_id);
        self.waiting
            .entry(client_id.clone())
            .or_default()
            .push_back(self.open.len());
        self.open.push(OpenCall {
            id: id.clone(),
            name: name.clone(),
            result: None,
        });
        id
    }

    /// Answers the first open call with this id. A result that answers none is given back.
    pub(super) fn answer(&mut self, client_id: &str, answer: Answer<'a>) -> Result<(), Answer<'a>> {
        let waiting = self.waiting.get_mut(client_id);
        let Some(place) = waiting.and_then(VecDeque::pop_front) else {
            return Err(answer);
        };
        self.open[place].result = Some(answer);
        self.answered = true;
        Ok(())
    }

    /// Says whether a call was answered already.
    pub(super) fn has_results(&self) -> bool {
        self.answered
    }

    /// Writes a tool turn for each open call, in their order, and gives what must follow in a user turn.
    pub(super) fn settle(
        &mut self,
        turns: &mut Vec<Turn<'a>>,
        notes: &mut Vec<Note>,
    ) -> Vec<Part<'a>> {
        // A new map, because emptying one takes as long as the most that it ever held.
        self.waiting = HashMap::new();
        self.answered = false;
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

    /// Each id is used once: providers that check refuse the second, and the others pair it with the wrong result.
    fn unique(&mut self, client_id: &Cow<'a, str>) -> Cow<'a, str> {
        let id = if client_id.is_empty() {
            Cow::Borrowed("call")
        } else {
            client_id.clone()
        };
        let Some(mut number) = self.used.get(&id).copied() else {
            self.used.insert(id.clone(), SECOND);
            return id;
        };
        let numbered = loop {
            let numbered: Cow<'a, str> = Cow::Owned(tool_ids::again(&id, number));
            number += 1;
            if !self.used.contains_key(&numbered) {
                break numbered;
            }
        };
        self.used.insert(id, number);
        self.used.insert(numbered.clone(), SECOND);
        numbered
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const MANY: usize = 20_000;

    fn call(pairing: &mut Pairing<'static>, id: &'static str) -> Cow<'static, str> {
        pairing.call(&Cow::Borrowed(id), &Cow::Borrowed("T"))
    }

    /// Says whether a call with this id waited for the result.
    fn answer(pairing: &mut Pairing<'static>, id: &str, text: String) -> bool {
        let answer = Answer {
            texts: vec![Text::plain(text)],
            media: Vec::new(),
        };
        pairing.answer(id, answer).is_ok()
    }

    /// The ids and the first texts of the turns.
    fn settled(pairing: &mut Pairing<'static>) -> Vec<(String, String)> {
        let mut turns = Vec::new();
        assert!(pairing.settle(&mut turns, &mut Vec::new()).is_empty());
        let tools = turns.iter().filter_map(|turn| match turn {
            Turn::Tool(tool) => Some((tool.id.to_string(), tool.texts[0].escaped.to_string())),
            _ => None,
        });
        tools.collect()
    }

    #[test]
    fn many_calls_with_one_id_are_told_apart_and_answered_in_their_order() {
        let mut pairing = Pairing::default();
        let ids: Vec<Cow<'_, str>> = (0..MANY).map(|_| call(&mut pairing, "a")).collect();
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), MANY);
        assert_eq!(ids[0], "a");
        assert_eq!(ids[MANY - 1], "a_20000");
        for number in 0..MANY {
            assert!(answer(&mut pairing, "a", number.to_string()));
        }
        assert!(!answer(&mut pairing, "a", "one too many".to_owned()));
        let turns = settled(&mut pairing);
        assert_eq!(turns.len(), MANY);
        for (number, (turn, id)) in turns.iter().zip(&ids).enumerate() {
            assert_eq!(turn.0, *id);
            assert_eq!(turn.1, number.to_string());
        }
    }

    #[test]
    fn settled_calls_wait_no_more_and_numbers_go_on() {
        let mut pairing = Pairing::default();
        for (id, sent) in [("a", "a"), ("a_2", "a_2"), ("a", "a_3")] {
            assert_eq!(call(&mut pairing, id), sent);
        }
        assert!(!pairing.has_results());
        assert!(answer(&mut pairing, "a", "one".to_owned()));
        assert!(pairing.has_results());
        assert_eq!(settled(&mut pairing).len(), 3);
        assert!(!pairing.has_results());
        assert!(!answer(&mut pairing, "a", "late".to_owned()));
        for (id, sent) in [("a", "a_4"), ("a_2", "a_2_2")] {
            assert_eq!(call(&mut pairing, id), sent);
        }
        assert!(answer(&mut pairing, "a_2", "two".to_owned()));
        let turns = settled(&mut pairing);
        assert_eq!((turns[0].0.as_str(), turns[1].1.as_str()), ("a_4", "two"));
    }

    #[test]
    fn an_encoded_id_that_stands_twice_stays_one_that_can_be_decoded() {
        let mut pairing = Pairing::default();
        let id = "dgw_x0_ZnVuY3Rpb25zLkJhc2g6MA";
        assert_eq!(call(&mut pairing, id), id);
        let second = call(&mut pairing, id);
        assert_ne!(second, id);
        assert_eq!(tool_ids::decode(&second), "functions.Bash:0");
    }
}
