//! Turns of the model: its thoughts, its words, its calls.

use std::borrow::Cow;

use super::convert::Walk;
use super::fold;
use super::part::{Part, Text, move_cache};
use super::turn::{Assistant, Call, Thought, Turn};
use crate::protocol::anthropic::request::{Block, RawStr, ToolUse};
use crate::protocol::translate::envelope::Unpacked;
use crate::protocol::translate::note::Note;
use crate::protocol::translate::tool_names::ToolNames;

/// Reads an assistant message; two in a row are one turn.
pub(super) fn read<'a>(walk: &mut Walk<'a>, blocks: &[Block<'a>]) {
    let goes_on = walk.after.is_empty()
        && !walk.pairing.has_results()
        && matches!(walk.turns.last(), Some(Turn::Assistant(_)));
    let mut turn = Assistant::default();
    match walk.turns.pop_if(|_| goes_on) {
        Some(Turn::Assistant(last)) => turn = last,
        _ => walk.settle(),
    }
    let mut goes_on = false;
    for block in blocks {
        read_block(walk, &mut turn, block, &mut goes_on);
    }
    if turn.texts.is_empty() && turn.calls.is_empty() {
        walk.notes.push(Note::new(
            "an assistant message without text or tool calls was left out, because no chat model takes one",
        ));
        return;
    }
    if walk.turns.is_empty() {
        // Several models want the user to begin.
        let opening = Part::Text(Text::plain("(no content)"));
        walk.turns.push(Turn::User(vec![opening]));
    }
    walk.turns.push(Turn::Assistant(turn));
}

/// `goes_on` says whether the next text is a piece of what the model said before it: citations and thoughts cut an answer
/// anywhere.
fn read_block<'a>(
    walk: &mut Walk<'a>,
    turn: &mut Assistant<'a>,
    block: &Block<'a>,
    goes_on: &mut bool,
) {
    match block {
        Block::Text(block) => match Text::of_block(*block) {
            Some(text) => turn.texts.push(Text {
                goes_on: std::mem::replace(goes_on, true),
                ..text
            }),
            // What is left out here was white space between two pieces.
            None => *goes_on &= block.text.escaped().is_empty(),
        },
        Block::Thinking { text, signature } => {
            let thought = thought(walk, *text, signature.as_ref());
            turn.thoughts.extend(thought);
        }
        Block::RedactedThinking(data) => turn.thoughts.push(Thought::Redacted(data.clone())),
        Block::ToolUse(call) => {
            let id = walk.pairing.call(&call.id, &call.name);
            turn.calls.push(Call {
                id,
                name: sent_name(call),
                input: call.input,
            });
            move_cache(turn.texts.iter_mut(), call.cache, &mut walk.notes);
        }
        Block::ServerToolUse(call) => {
            turn.texts.push(fold::call(call));
            *goes_on = false;
        }
        Block::ServerResult(result) => {
            turn.texts.push(fold::result(result, &mut walk.notes));
            *goes_on = false;
        }
        Block::Compaction(Some(summary)) if !summary.text.is_blank() => {
            turn.texts.push(fold::summary(*summary));
            *goes_on = false;
        }
        Block::Image(..) | Block::Document(_) | Block::SearchResult(_) => {
            walk.notes.push(Note::new(format!(
                "a `{}` block in an assistant message was left out, because chat models cannot have said one",
                block.kind()
            )));
        }
        other => walk.left_out(other.kind()),
    }
}

/// The same name has the same form wherever it is computed, so nothing need be remembered here.
fn sent_name<'a>(call: &ToolUse<'a>) -> Cow<'a, str> {
    match ToolNames::default().outward(&call.name) {
        Cow::Borrowed(_) => call.name.clone(),
        Cow::Owned(changed) => Cow::Owned(changed),
    }
}

fn thought<'a>(
    walk: &mut Walk<'a>,
    text: RawStr<'a>,
    signature: Option<&Cow<'a, str>>,
) -> Option<Thought<'a>> {
    let plain = (!text.is_blank()).then_some(Thought::Plain(text));
    let Some(signature) = signature else {
        return plain;
    };
    match walk.envelopes.unpack(signature) {
        Unpacked::Native => Some(Thought::Signed {
            text,
            signature: signature.clone(),
        }),
        Unpacked::Details(envelope) => {
            let emptied = envelope.emptied();
            let Some(restored) = envelope.restore(&text.decode()) else {
                walk.notes.push(Note::new(
                    "a thinking block came back with another text than it was given out with, so its reasoning details were left out",
                ));
                return plain;
            };
            Some(Thought::Packed(Box::new((emptied, restored))))
        }
        Unpacked::Foreign => {
            walk.notes.push(Note::new(
                "the signature of a thinking block is neither Anthropic's nor Dagway's and was left out",
            ));
            plain
        }
        Unpacked::Empty => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::translate::envelope::Envelope;

    #[test]
    fn the_thoughts_of_a_request_share_what_their_envelopes_may_become() {
        let signature = |hidden: usize| -> Cow<'static, str> {
            let hidden = "a".repeat(hidden);
            Cow::Owned(Envelope::new("a/b", "", hidden, vec![]).pack())
        };
        let (large, small) = (signature(9 << 20), signature(10));
        let mut walk = Walk::default();
        for (signature, notes) in [(&small, 0), (&large, 0), (&large, 1), (&small, 1)] {
            let before = walk.notes.len();
            let thought = thought(&mut walk, RawStr::plain(""), Some(signature));
            let is_packed = matches!(thought, Some(Thought::Packed(_)));
            assert_eq!(walk.notes.len(), notes);
            assert_eq!(is_packed, notes == before);
        }
        assert!(walk.notes[0].as_str().contains("neither Anthropic's nor"));
    }
}
