//! Tool calls, put together from pieces and given out only when they are whole.
//!
//! Claude Code runs every tool block that was closed, and a truncated input reads as `{}`, so nothing of a call is
//! shown before its arguments are a JSON object. Upstreams interleave parallel calls, put all of them on index 0,
//! leave out indices and ids, repeat names, send arguments as an object, twice, or two calls in one string.
//! This file must not know how blocks are written or what the client calls a tool.

mod progress;

use std::borrow::Cow;

use serde::de::IgnoredAny;

use self::progress::{Progress, repaired};
use crate::protocol::anthropic::error::ApiError;
use crate::protocol::anthropic::request::DEEPEST_INPUT;
use crate::protocol::json_text::{self, Mender};
use crate::protocol::openrouter::chunk::{CallPiece, FunctionPiece};

/// What the arguments of one answer may measure together.
const LARGEST: usize = 16 << 20;
/// How many calls one answer may hold.
const MOST: usize = 512;

/// The calls of one answer, in order of their first appearance.
#[derive(Debug, Default)]
pub(super) struct Calls {
    slots: Vec<Slot>,
    size: usize,
    /// How many calls had been opened when the list began that is being read.
    before_list: usize,
}

/// A call whose arguments are a JSON object.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// As the upstream gave it; empty when it gave none.
    pub(super) id: String,
    pub(super) name: String,
    pub(super) arguments: String,
}

/// All calls of an answer that has ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Finished {
    pub(super) calls: Vec<Call>,
    /// Calls that the limit on tokens cut off.
    pub(super) lost: usize,
    /// Calls whose arguments had to be repaired.
    pub(super) repaired: usize,
}

/// How an answer ended, as far as it matters for its calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// In order.
    Orderly,
    /// By the limit on tokens: the last call may be cut off.
    ByLimit,
    /// Without a finish reason: what is not whole was cut off.
    Unsaid,
}

#[derive(Debug, Default)]
struct Slot {
    index: Option<i64>,
    id: String,
    name: String,
    arguments: String,
    progress: Progress,
    mender: Mender,
    /// The slot whose object was whole when this one's began, unless an id or a name told them apart.
    after: Option<After>,
}

/// What may be the same call once more: vLLM and others send the whole arguments again with the finish reason, in their
/// own spelling.
#[derive(Clone, Copy, Debug)]
struct After {
    slot: usize,
    /// Nothing but its place says that it is another call.
    has_no_sign: bool,
}

impl Calls {
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The length of all arguments so far.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// A list of pieces begins: a chunk's, or that of a whole answer.
    pub(super) fn begin_list(&mut self) {
        self.before_list = self.slots.len();
    }

    /// Adds a piece.
    pub(super) fn push(&mut self, piece: &CallPiece<'_>) -> Result<(), ApiError> {
        let nothing = FunctionPiece::default();
        let function = piece.function.as_ref().unwrap_or(&nothing);
        let name = function.name.as_str();
        let at = self.resolve(piece, name);
        let Some(slot) = self.slots.get_mut(at) else {
            return Ok(());
        };
        slot.identify(piece.id.as_str(), name);
        let arguments = match function.arguments {
            None => Cow::Borrowed(""),
            Some(json) => match json_text::body(json) {
                Some(escaped) => Cow::Owned(slot.plain(escaped)),
                None => Cow::Borrowed(json.get()),
            },
        };
        self.size += arguments.len();
        if self.size > LARGEST {
            return Err(ApiError::bad_gateway(
                "the arguments of the tool calls exceed 16 MB",
            ));
        }
        self.append(at, piece.id.as_str(), name, &arguments);
        if self.slots.len() > MOST {
            return Err(ApiError::bad_gateway(
                "the model called more than 512 tools at once",
            ));
        }
        Ok(())
    }

    /// The answer has ended: gives the calls.
    pub(super) fn finish(mut self, ended: Ended) -> Result<Finished, ApiError> {
        self.drop_repeats();
        let mut finished = Finished::default();
        let last = self.slots.len().saturating_sub(1);
        for (at, slot) in self.slots.into_iter().enumerate() {
            let may_be_cut = ended != Ended::Orderly;
            let unbegun = slot.arguments.trim().is_empty();
            if slot.name.is_empty() && unbegun || may_be_cut && at == last && unbegun {
                finished.lost += usize::from(may_be_cut);
                continue;
            }
            match slot.whole_arguments(may_be_cut) {
                Some((arguments, repaired)) if !slot.name.is_empty() => {
                    finished.repaired += usize::from(repaired);
                    finished.calls.push(Call {
                        id: slot.id,
                        name: slot.name,
                        arguments,
                    });
                }
                _ if may_be_cut => finished.lost += 1,
                _ => return Err(slot.broken()),
            }
        }
        Ok(finished)
    }

    /// Takes out what says a call again. An empty object that something follows was a beginning.
    fn drop_repeats(&mut self) {
        let mut kept: Vec<Slot> = Vec::with_capacity(self.slots.len());
        // Where each slot went.
        let mut places: Vec<usize> = Vec::with_capacity(self.slots.len());
        for slot in std::mem::take(&mut self.slots) {
            let after = slot.after.and_then(|after| {
                let place = *places.get(after.slot)?;
                Some((place, kept.get_mut(place)?, after.has_no_sign))
            });
            let after = after.filter(|(_, first, _)| first.name == slot.name);
            if let Some((place, first, has_no_sign)) = after {
                let said = object(&first.arguments);
                let again = object(&slot.arguments);
                let is_same = again.is_some() && said == again;
                let was_empty = said.is_some_and(|said| said.is_empty());
                if was_empty && !is_same && has_no_sign && again.is_some() {
                    first.arguments = slot.arguments;
                    places.push(place);
                    continue;
                }
                if is_same {
                    places.push(place);
                    continue;
                }
            }
            places.push(kept.len());
            kept.push(slot);
        }
        self.slots = kept;
    }

    /// The slot that a piece belongs to.
    fn resolve(&mut self, piece: &CallPiece<'_>, name: &str) -> usize {
        let id = piece.id.as_str();
        let Some(index) = piece.index.and_then(|index| index_of(index.get())) else {
            return self.resolve_without_index(id, name);
        };
        let bound = self
            .slots
            .iter()
            .rposition(|slot| slot.index == Some(index));
        let is_beside = bound.is_some_and(|at| self.stands_beside(at, id, name));
        match bound.and_then(|at| Some((at, self.slots.get_mut(at)?))) {
            Some((_, slot)) if is_beside || slot.is_another_call(id, name) => {
                slot.index = None;
                self.open(Some(index))
            }
            Some((at, _)) => at,
            None => self.open(Some(index)),
        }
    }

    fn resolve_without_index(&mut self, id: &str, name: &str) -> usize {
        let same_id = self.slots.iter().enumerate().rposition(|(at, slot)| {
            let is_same = !id.is_empty() && slot.id == id;
            is_same && !slot.is_another_call(id, name) && !self.stands_beside(at, id, name)
        });
        if let Some(at) = same_id {
            return at;
        }
        let last_goes_on = self.slots.last().is_some_and(|last| {
            let same_call = id.is_empty() || last.id.is_empty();
            let same_name = name.is_empty() || last.name.is_empty() || last.name == name;
            let is_beside = self.stands_beside(self.slots.len() - 1, id, name);
            same_call && same_name && !is_beside && !last.is_another_call(id, name)
        });
        if last_goes_on {
            self.slots.len() - 1
        } else {
            self.open(None)
        }
    }

    /// Whether an element is a call of its own beside the one that an earlier element of the same list opened. A call is
    /// said again in a later chunk; in one list there are as many equal calls as elements.
    fn stands_beside(&self, at: usize, id: &str, name: &str) -> bool {
        let Some(slot) = self.slots.get(at).filter(|_| at >= self.before_list) else {
            return false;
        };
        let are_named = !name.is_empty() && !slot.name.is_empty();
        are_named && (id.is_empty() || slot.name != name) && !slot.progress.is_under_way()
    }

    fn open(&mut self, index: Option<i64>) -> usize {
        self.slots.push(Slot {
            index,
            ..Slot::default()
        });
        self.slots.len() - 1
    }

    /// Appends a piece of arguments to a slot, and opens another slot where a second object begins.
    fn append(&mut self, mut at: usize, id: &str, name: &str, arguments: &str) {
        let mut rest = arguments;
        while !rest.is_empty() && self.slots.len() <= MOST {
            let Some(slot) = self.slots.get_mut(at) else {
                return;
            };
            if slot.progress.is_whole() {
                let text = rest.trim();
                let is_same_tool = name.is_empty() || slot.name == name;
                if text.is_empty() || is_same_tool && text == slot.arguments.trim() {
                    return;
                }
                if text.starts_with('{') {
                    let index = slot.index.take();
                    let is_same_id = !id.is_empty() && slot.id == id;
                    // Two objects in one piece are two calls.
                    let begins_here = rest.len() == arguments.len();
                    let is_unnamed = id.is_empty() && name.is_empty();
                    let has_no_sign = begins_here && (is_same_id || is_unnamed);
                    let after = After {
                        slot: at,
                        has_no_sign,
                    };
                    let name = if name.is_empty() {
                        slot.name.clone()
                    } else {
                        name.to_owned()
                    };
                    at = self.open(index);
                    if let Some(slot) = self.slots.get_mut(at) {
                        slot.name = name;
                        slot.after = Some(after);
                    }
                    continue;
                }
                slot.arguments.push_str(rest);
                return;
            }
            let taken = slot.progress.advance(rest);
            let (own, after) = rest.split_at_checked(taken).unwrap_or((rest, ""));
            slot.arguments.push_str(own);
            rest = after;
        }
    }
}

impl Slot {
    /// The first id and the first name count; a name may come in pieces before the arguments.
    fn identify(&mut self, id: &str, name: &str) {
        if self.name.is_empty() {
            name.clone_into(&mut self.name);
        } else if self.arguments.is_empty() && id.is_empty() && self.name != name {
            self.name.push_str(name);
        }
        if self.id.is_empty() {
            id.clone_into(&mut self.id);
        }
    }

    /// Gemini and some gateways put every parallel call on index 0.
    fn is_another_call(&self, id: &str, name: &str) -> bool {
        let other_id = !id.is_empty() && self.id != id;
        let named_and_whole = !self.name.is_empty() && self.progress.is_whole();
        let begins = other_id && (!self.id.is_empty() || named_and_whole);
        !name.is_empty() && (begins || named_and_whole && self.name != name)
    }

    fn plain(&mut self, escaped: &str) -> String {
        let mended = self.mender.mend(escaped);
        json_text::unescape(&mended).into_owned()
    }

    /// The arguments as a JSON object, and whether they had to be repaired.
    fn whole_arguments(&self, may_be_cut: bool) -> Option<(String, bool)> {
        let arguments = self.arguments.trim();
        if arguments.is_empty() || arguments == "null" {
            return Some(("{}".to_owned(), false));
        }
        if self.is_too_deep() {
            return None;
        }
        if is_object(arguments) {
            return Some((arguments.to_owned(), false));
        }
        if may_be_cut || !arguments.starts_with('{') {
            return None;
        }
        let repaired = repaired(arguments);
        is_object(&repaired).then_some((repaired, true))
    }

    /// A client sends the call back in its next request, which would be refused.
    fn is_too_deep(&self) -> bool {
        self.progress.deepest() > DEEPEST_INPUT
    }

    fn broken(&self) -> ApiError {
        let name = if self.name.is_empty() {
            "a tool without a name"
        } else {
            &self.name
        };
        ApiError::bad_gateway(if self.is_too_deep() {
            format!(
                "the model called {name} with arguments that are nested more than {DEEPEST_INPUT} deep"
            )
        } else {
            format!("the model called {name} with arguments that are not a JSON object")
        })
    }
}

/// An index as servers write it: a whole number, also with a point, or as a string.
fn index_of(json: &str) -> Option<i64> {
    let text = json.trim_matches('"');
    let whole = || {
        let number: f64 = text.parse().ok()?;
        let is_small = (0.0..=MOST as f64).contains(&number) && number.fract() == 0.0;
        is_small.then_some(number as i64)
    };
    let index = text.parse().ok().or_else(whole);
    index.filter(|index| (0..=MOST as i64).contains(index))
}

/// The members of an object.
fn object(text: &str) -> Option<serde_json::Map<String, serde_json::Value>> {
    serde_json::from_str(text.trim()).ok()
}

fn is_object(text: &str) -> bool {
    text.starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests;
