//! Clears what `context_management` asks to have cleared: results of old tool calls, thoughts of old turns.
//!
//! Which calls and turns go is arithmetic and exactly Anthropic's. Whether a limit in tokens is reached can only be
//! estimated here, and the note says so.
//! This file must not know how messages are converted.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use crate::protocol::anthropic::message::AppliedEdit;
use crate::protocol::anthropic::request::{
    Block, ClearToolUses, Edit, Inputs, Message, Raw, RawStr, Request, Role, TextBlock, ToolResult,
    ToolUse, Trigger,
};
use crate::protocol::translate::note::Note;
use crate::protocol::translate::tokens;

/// What stands where a result stood.
const CLEARED: &str = "[This tool result was cleared to save context.]";

/// The messages that the model shall read, and what was done to them.
pub(super) fn cleared<'r, 'a>(
    request: &'r Request<'a>,
    notes: &mut Vec<Note>,
) -> (Cow<'r, [Message<'a>]>, Vec<AppliedEdit>) {
    let mut messages = Cow::Borrowed(request.messages.as_slice());
    let mut applied: Vec<_> = request.edits.iter().map(|_| None).collect();
    // Calls are cleared first, whatever the order: their places are those of the request, and thoughts that go move them.
    for is_for_uses in [true, false] {
        for (edit, applied) in request.edits.iter().zip(&mut applied) {
            match edit {
                Edit::ClearToolUses(wish) if is_for_uses => {
                    *applied = clear_uses(request, wish, &mut messages, notes);
                }
                Edit::ClearThinking(Some(turns)) if !is_for_uses => {
                    *applied = clear_thinking(*turns, &mut messages, notes);
                }
                Edit::Compact if !is_for_uses => notes.push(Note::new(
                    "`context_management` asks for `compact_20260112`, which only Anthropic's servers do, so nothing was summarised",
                )),
                _ => {}
            }
        }
    }
    (messages, applied.into_iter().flatten().collect())
}

/// The request with the messages that the model shall read, as far as a count of its tokens is concerned.
#[must_use]
pub fn edited<'r, 'a>(request: &'r Request<'a>) -> Cow<'r, Request<'a>> {
    match cleared(request, &mut Vec::new()).0 {
        Cow::Borrowed(_) => Cow::Borrowed(request),
        Cow::Owned(messages) => Cow::Owned(Request {
            messages,
            ..request.clone()
        }),
    }
}

/// Where a block stands: its message, and its place there.
type Place = (usize, usize);

fn clear_uses<'a>(
    request: &Request<'a>,
    wish: &ClearToolUses<'a>,
    messages: &mut Cow<'_, [Message<'a>]>,
    notes: &mut Vec<Note>,
) -> Option<AppliedEdit> {
    let calls: Vec<(Place, &ToolUse<'a>)> = blocks(&request.messages)
        .filter_map(|(place, block)| match block {
            Block::ToolUse(call) => Some((place, call)),
            _ => None,
        })
        .collect();
    let estimated = match wish.trigger {
        Trigger::ToolUses(most) if (calls.len() as u64) <= most => return None,
        Trigger::InputTokens(most) if tokens::estimate(request) <= most => return None,
        Trigger::ToolUses(_) => wish.at_least.is_some(),
        Trigger::InputTokens(_) => true,
    };
    let (cleared, saved) = chosen(request, wish, calls);
    if cleared.is_empty() || wish.at_least.is_some_and(|least| saved < least) {
        return None;
    }
    let results = cleared
        .values()
        .filter(|block| matches!(block, Block::ToolResult(_)))
        .count();
    let how = if estimated {
        ", by an estimate of the tokens"
    } else {
        ""
    };
    notes.push(Note::new(format!(
        "the results of {results} earlier tool call(s) were cleared, as `context_management` asks{how}"
    )));
    let messages = messages.to_mut();
    for ((message, block), put) in cleared {
        messages[message].content[block] = put;
    }
    Some(AppliedEdit::ToolUses {
        cleared_tool_uses: results as u64,
        cleared_input_tokens: saved,
    })
}

/// What is put where, and how many tokens that saves.
fn chosen<'a>(
    request: &Request<'a>,
    wish: &ClearToolUses<'a>,
    mut calls: Vec<(Place, &ToolUse<'a>)>,
) -> (BTreeMap<Place, Block<'a>>, u64) {
    let excluded = set(&wish.excluded);
    calls.retain(|(_, call)| !excluded.contains(call.name.as_ref()));
    let kept = usize::try_from(wish.keep).unwrap_or(usize::MAX);
    calls.truncate(calls.len().saturating_sub(kept));
    let results: HashMap<&str, (Place, &ToolResult<'a>)> = blocks(&request.messages)
        .filter_map(|(place, block)| match block {
            Block::ToolResult(result) => Some((result.tool_use_id.as_ref(), (place, result))),
            _ => None,
        })
        .collect();
    let inputs = match &wish.inputs {
        Inputs::ClearedOf(names) => set(names),
        Inputs::Kept | Inputs::Cleared => HashSet::new(),
    };
    let mut cleared = BTreeMap::new();
    // Calls may share an id and so a result, which is estimated once and counted for each.
    let mut estimates: HashMap<Place, u64> = HashMap::new();
    let mut saved = 0;
    for (place, call) in calls {
        let Some(&(result_place, result)) = results.get(call.id.as_ref()) else {
            continue;
        };
        if is_cleared(&result.content) {
            continue;
        }
        saved += *estimates.entry(result_place).or_insert_with(|| {
            cleared.insert(result_place, Block::ToolResult(emptied(result)));
            let tokens = result.content.iter().map(tokens::estimate_block);
            tokens.sum::<u64>()
        });
        if wish.inputs == Inputs::Cleared || inputs.contains(call.name.as_ref()) {
            let mut call = call.clone();
            call.input = Raw::EMPTY_OBJECT;
            cleared.insert(place, Block::ToolUse(call));
        }
    }
    (cleared, saved)
}

fn set<'n>(names: &'n [Cow<'_, str>]) -> HashSet<&'n str> {
    names.iter().map(|name| &**name).collect()
}

fn emptied<'a>(result: &ToolResult<'a>) -> ToolResult<'a> {
    ToolResult {
        tool_use_id: result.tool_use_id.clone(),
        content: vec![Block::Text(TextBlock {
            text: RawStr::plain(CLEARED),
            cache: None,
        })],
        is_error: result.is_error,
        cache: result.cache,
    }
}

fn blocks<'m, 'a>(
    messages: &'m [Message<'a>],
) -> impl Iterator<Item = (Place, &'m Block<'a>)> + use<'m, 'a> {
    messages.iter().enumerate().flat_map(|(turn, message)| {
        let places = message.content.iter().enumerate();
        places.map(move |(place, block)| ((turn, place), block))
    })
}

fn is_cleared(content: &[Block<'_>]) -> bool {
    matches!(content, [Block::Text(text)] if text.text.escaped() == CLEARED)
}

/// A turn goes from one message of the user's own to the next, over all tool calls in between.
fn clear_thinking<'a>(
    kept: u64,
    messages: &mut Cow<'_, [Message<'a>]>,
    notes: &mut Vec<Note>,
) -> Option<AppliedEdit> {
    let mut turns_seen = 0;
    let mut turn_thinks = false;
    let mut beginning = 0;
    for (index, message) in messages.iter().enumerate().rev() {
        match message.role {
            Role::Assistant => turn_thinks |= message.content.iter().any(is_thought),
            Role::User if is_beginning(message) => {
                turns_seen += u64::from(turn_thinks);
                turn_thinks = false;
                if turns_seen >= kept {
                    beginning = index;
                    break;
                }
            }
            Role::User | Role::System => {}
        }
    }
    let old = &messages[..beginning];
    let thoughts = old.iter().flat_map(|message| &message.content);
    let thoughts: Vec<_> = thoughts.filter(|block| is_thought(block)).collect();
    if thoughts.is_empty() {
        return None;
    }
    let applied = AppliedEdit::Thinking {
        cleared_thinking_turns: turns_with_thoughts(old),
        cleared_input_tokens: thoughts.iter().copied().map(tokens::estimate_block).sum(),
    };
    let thoughts = thoughts.len();
    notes.push(Note::new(format!(
        "{thoughts} thought(s) of earlier turns were cleared, as `context_management` asks"
    )));
    for message in messages.to_mut().iter_mut().take(beginning) {
        message.content.retain(|block| !is_thought(block));
    }
    Some(applied)
}

fn turns_with_thoughts(messages: &[Message<'_>]) -> u64 {
    let turns = messages.split(|message| is_beginning(message));
    let thinks = |turn: &&[Message<'_>]| {
        turn.iter()
            .any(|message| message.content.iter().any(is_thought))
    };
    turns.filter(thinks).count() as u64
}

/// Whether a message is the user's own, with which a turn begins.
fn is_beginning(message: &Message<'_>) -> bool {
    message.role == Role::User && !message.content.iter().all(is_result)
}

fn is_thought(block: &Block<'_>) -> bool {
    matches!(block, Block::Thinking { .. } | Block::RedactedThinking(_))
}

fn is_result(block: &Block<'_>) -> bool {
    matches!(block, Block::ToolResult(_))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const MANY: usize = 20_000;

    fn call(id: &str, name: &str) -> Value {
        json!({"type":"tool_use","id":id,"name":name,"input":{"path":id}})
    }

    fn result(id: &str) -> Value {
        json!({"type":"tool_result","tool_use_id":id,"content":"word ".repeat(1000)})
    }

    fn thought(text: &str) -> Value {
        json!({"type":"thinking","thinking":text,"signature":"EqQBCgIYAhIM1gbcDa9GJwZA2b3h"})
    }

    /// Two turns: the first with three calls, the second with one.
    fn conversation(edit: &Value) -> String {
        json!({"model":"m","max_tokens":9,"context_management":{"edits":[edit]},"messages":[
            {"role":"user","content":"go"},
            {"role":"assistant","content":[thought("one"),call("a","Read"),call("b","Keep")]},
            {"role":"user","content":[result("b"),result("a")]},
            {"role":"assistant","content":[thought("two"),call("c","Read")]},
            {"role":"user","content":[result("c")]},
            {"role":"assistant","content":"done"},
            {"role":"user","content":"more"},
            {"role":"assistant","content":[thought("three"),call("d","Read")]},
            {"role":"user","content":[result("d")]}
        ]})
        .to_string()
    }

    /// The ids of the results that are left, those of the inputs, the thoughts, and the notes.
    fn left(edit: &Value) -> (String, String, String, Vec<Note>) {
        let (left, notes, _) = told(edit);
        (left.0, left.1, left.2, notes)
    }

    /// The same, and what is told of it.
    fn told(edit: &Value) -> ((String, String, String), Vec<Note>, Value) {
        let body = conversation(edit);
        let request = Request::parse(&body).unwrap();
        let mut notes = Vec::new();
        let (messages, applied) = cleared(&request, &mut notes);
        let mut left = (String::new(), String::new(), String::new());
        for (_, block) in blocks(&messages) {
            match block {
                Block::ToolResult(result) if !is_cleared(&result.content) => {
                    left.0.push_str(&result.tool_use_id);
                }
                Block::ToolUse(call) if call.input.as_str() != "{}" => left.1.push_str(&call.id),
                Block::Thinking { text, .. } => left.2.push_str(text.escaped()),
                _ => {}
            }
        }
        (left, notes, serde_json::to_value(applied).unwrap())
    }

    #[test]
    fn thoughts_and_inputs_are_cleared_in_either_order() {
        let thinking =
            json!({"type":"clear_thinking_20251015","keep":{"type":"thinking_turns","value":1}});
        let uses = json!({"type":"clear_tool_uses_20250919","trigger":{"type":"tool_uses","value":2},
            "keep":{"type":"tool_uses","value":1},"clear_tool_inputs":true});
        for edits in [[&thinking, &uses], [&uses, &thinking]] {
            let mut body: Value = serde_json::from_str(&conversation(&uses)).unwrap();
            body["context_management"]["edits"] = json!(edits);
            let body = body.to_string();
            let request = Request::parse(&body).unwrap();
            let (messages, applied) = cleared(&request, &mut Vec::new());
            let inputs = blocks(&messages).filter_map(|(_, block)| match block {
                Block::ToolUse(call) if call.input.as_str() != "{}" => Some(call.id.as_ref()),
                _ => None,
            });
            assert_eq!(inputs.collect::<Vec<_>>(), ["d"]);
            let thoughts = blocks(&messages).filter(|(_, block)| is_thought(block));
            assert_eq!(thoughts.count(), 1);
            let told = serde_json::to_value(applied).unwrap();
            assert_eq!(told[0]["type"], edits[0]["type"]);
            assert_eq!(told[1]["type"], edits[1]["type"]);
        }
    }

    #[test]
    fn the_oldest_results_go_first_and_excluded_tools_keep_theirs() {
        let uses = |changes: &Value| {
            let mut edit = json!({"type":"clear_tool_uses_20250919","trigger":{"type":"tool_uses","value":2},"keep":{"type":"tool_uses","value":1}});
            for (name, value) in changes.as_object().unwrap() {
                edit[name] = value.clone();
            }
            let (results, inputs, _, notes) = left(&edit);
            (results, inputs, notes.len())
        };
        let is = |results: &str, inputs: &str, notes| (results.into(), inputs.into(), notes);
        assert_eq!(uses(&json!({})), is("d", "abcd", 1));
        assert_eq!(
            uses(&json!({"exclude_tools":["Keep"]})),
            is("bd", "abcd", 1)
        );
        assert_eq!(uses(&json!({"clear_tool_inputs":true})), is("d", "d", 1));
        let of_keep = json!({"clear_tool_inputs":["Keep"]});
        assert_eq!(uses(&of_keep), is("d", "acd", 1));
        assert_eq!(
            uses(&json!({"keep":{"type":"tool_uses","value":0}})),
            is("", "abcd", 1)
        );
        let untriggered = json!({"trigger":{"type":"tool_uses","value":4}});
        assert_eq!(uses(&untriggered), is("bacd", "abcd", 0));
        let too_little = json!({"clear_at_least":{"type":"input_tokens","value":100_000}});
        assert_eq!(uses(&too_little), is("bacd", "abcd", 0));
    }

    /// One turn, of which nothing is kept unless the wish says so.
    fn one_turn(wish: &Value, calls: &[Value], results: &[Value]) -> String {
        let mut edit = json!({"type":"clear_tool_uses_20250919","trigger":{"type":"tool_uses","value":0},"keep":{"type":"tool_uses","value":0}});
        for (name, value) in wish.as_object().unwrap() {
            edit[name] = value.clone();
        }
        json!({"model":"m","max_tokens":9,"context_management":{"edits":[edit]},"messages":[
            {"role":"user","content":"go"},
            {"role":"assistant","content":calls},
            {"role":"user","content":results}
        ]})
        .to_string()
    }

    #[test]
    fn many_calls_are_cleared_as_many_names_say() {
        let names = |step: usize| -> Vec<String> {
            let numbers = (0..MANY).step_by(step);
            numbers.map(|number| format!("t{number}")).collect()
        };
        let calls: Vec<Value> = names(1).iter().map(|name| call(name, name)).collect();
        let results: Vec<Value> = names(1)
            .iter()
            .map(|id| json!({"type":"tool_result","tool_use_id":id,"content":"word"}))
            .collect();
        let wish = json!({"exclude_tools":names(2),"clear_tool_inputs":names(3)});
        let body = one_turn(&wish, &calls, &results);
        let request = Request::parse(&body).unwrap();
        let (messages, applied) = cleared(&request, &mut Vec::new());
        let applied = serde_json::to_value(applied).unwrap();
        assert_eq!(applied[0]["cleared_tool_uses"], MANY / 2);
        assert_eq!(messages[1].content.len(), MANY);
        assert_eq!(messages[2].content.len(), MANY);
        for ((_, number), block) in blocks(&messages) {
            match block {
                Block::ToolUse(call) => {
                    let goes = number % 2 == 1 && number % 3 == 0;
                    assert_eq!(call.input.as_str() == "{}", goes, "{number}");
                }
                Block::ToolResult(result) => {
                    assert_eq!(is_cleared(&result.content), number % 2 == 1, "{number}");
                }
                _ => {}
            }
        }
    }

    #[test]
    fn many_calls_that_share_a_result_clear_it_once_and_count_it_for_each() {
        let told = |calls: usize| {
            let body = one_turn(&json!({}), &vec![call("a", "Read"); calls], &[result("a")]);
            let request = Request::parse(&body).unwrap();
            let (messages, applied) = cleared(&request, &mut Vec::new());
            assert!(
                matches!(&messages[2].content[0], Block::ToolResult(result) if is_cleared(&result.content))
            );
            let applied = serde_json::to_value(applied).unwrap();
            assert_eq!(applied[0]["cleared_tool_uses"], 1);
            applied[0]["cleared_input_tokens"].as_u64().unwrap()
        };
        let one = told(1);
        assert!(one > 0);
        assert_eq!(told(MANY), one * MANY as u64);
    }

    #[test]
    fn what_is_cleared_does_not_count() {
        let edit = |value: u64| json!({"type":"clear_tool_uses_20250919","trigger":{"type":"tool_uses","value":value},"keep":{"type":"tool_uses","value":1}});
        let body = conversation(&edit(2));
        let request = Request::parse(&body).unwrap();
        let (messages, _) = cleared(&request, &mut Vec::new());
        let read = edited(&request);
        assert_eq!(read.messages, *messages);
        assert!(tokens::estimate(&read) + 3000 < tokens::estimate(&request));
        let body = conversation(&edit(9));
        let untouched = Request::parse(&body).unwrap();
        assert!(matches!(edited(&untouched), Cow::Borrowed(_)));
    }

    #[test]
    fn limits_are_met_when_they_are_reached_exactly() {
        let request = conversation(&json!({"type":"clear_tool_uses_20250919"}));
        let length = tokens::estimate(&Request::parse(&request).unwrap());
        let result = 5000 * 2_u64;
        let three_results = 3 * result.div_ceil(7);
        let keep_one = json!({"type":"tool_uses","value":1});
        let edit = |trigger: &str, value: u64, least: u64| {
            json!({"type":"clear_tool_uses_20250919","keep":keep_one,
                "trigger":{"type":trigger,"value":value},
                "clear_at_least":{"type":"input_tokens","value":least}})
        };
        for (trigger, value, least, results) in [
            ("tool_uses", 3, 0, "d"),
            ("tool_uses", 4, 0, "bacd"),
            ("input_tokens", length - 1, 0, "d"),
            ("input_tokens", length, 0, "bacd"),
            ("tool_uses", 3, three_results, "d"),
            ("tool_uses", 3, three_results + 1, "bacd"),
        ] {
            let (left, _, _, notes) = left(&edit(trigger, value, least));
            assert_eq!(left, results, "{trigger} {value} {least}");
            assert_eq!(notes.len(), usize::from(results == "d"));
        }
    }

    #[test]
    fn the_note_counts_the_results_and_says_when_tokens_were_estimated() {
        let with = |changes: Value| {
            let mut edit = json!({"type":"clear_tool_uses_20250919","trigger":{"type":"tool_uses","value":2},"keep":{"type":"tool_uses","value":2}});
            edit["clear_tool_inputs"] = json!(true);
            for (name, value) in changes.as_object().unwrap() {
                edit[name] = value.clone();
            }
            left(&edit).3[0].as_str().to_owned()
        };
        let exact =
            "the results of 2 earlier tool call(s) were cleared, as `context_management` asks";
        assert_eq!(with(json!({})), exact);
        let least = json!({"clear_at_least":{"type":"input_tokens","value":5}});
        assert_eq!(
            with(least),
            format!("{exact}, by an estimate of the tokens")
        );
    }

    #[test]
    fn what_was_cleared_before_is_not_cleared_again() {
        let body = json!({"model":"m","max_tokens":9,"messages":[
            {"role":"user","content":"go"},
            {"role":"assistant","content":[call("a","Read")]},
            {"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":CLEARED}]}],
            "context_management":{"edits":[{"type":"clear_tool_uses_20250919","clear_tool_inputs":true,
                "trigger":{"type":"tool_uses","value":0},"keep":{"type":"tool_uses","value":0}}]}});
        let body = body.to_string();
        let request = Request::parse(&body).unwrap();
        let mut notes = Vec::new();
        assert!(matches!(
            cleared(&request, &mut notes),
            (Cow::Borrowed(_), applied) if applied.is_empty()
        ));
        assert!(notes.is_empty());
    }

    #[test]
    fn a_limit_in_tokens_is_estimated_and_the_note_says_so() {
        let edit = |value: u64| json!({"type":"clear_tool_uses_20250919","trigger":{"type":"input_tokens","value":value}});
        let (results, _, _, notes) = left(&edit(1000));
        assert_eq!(results, "bcd");
        assert!(notes[0].as_str().ends_with("by an estimate of the tokens"));
        assert_eq!(left(&edit(100_000)).0, "bacd");
        assert_eq!(left(&json!({"type":"clear_tool_uses_20250919"})).0, "bacd");
    }

    #[test]
    fn thoughts_of_old_turns_go_and_a_turn_reaches_over_its_tool_calls() {
        let thoughts = |keep: Value| left(&json!({"type":"clear_thinking_20251015","keep":keep})).2;
        let turns = |value: u64| json!({"type":"thinking_turns","value":value});
        assert_eq!(thoughts(turns(1)), "three");
        assert_eq!(thoughts(turns(2)), "onetwothree");
        assert_eq!(thoughts(json!(null)), "three");
        assert_eq!(thoughts(json!("all")), "onetwothree");
        assert_eq!(thoughts(json!({"type":"all"})), "onetwothree");
    }

    #[test]
    fn what_was_cleared_is_told_as_anthropic_tells_it() {
        let uses = json!({"type":"clear_tool_uses_20250919","trigger":{"type":"tool_uses","value":2},"keep":{"type":"tool_uses","value":1}});
        let told_uses = told(&uses).2;
        assert_eq!(told_uses[0]["type"], "clear_tool_uses_20250919");
        assert_eq!(told_uses[0]["cleared_tool_uses"], 3);
        let tokens = told_uses[0]["cleared_input_tokens"].as_u64().unwrap();
        assert!(
            (2_500..6_000).contains(&tokens),
            "three thousand words: {tokens}"
        );
        let one = json!({"type":"thinking_turns","value":1});
        let told_turns = told(&json!({"type":"clear_thinking_20251015","keep":one})).2;
        assert_eq!(told_turns[0]["type"], "clear_thinking_20251015");
        assert_eq!(
            told_turns[0]["cleared_thinking_turns"], 1,
            "two thoughts, one turn"
        );
        assert!(told_turns[0]["cleared_input_tokens"].as_u64().unwrap() > 0);
        assert_eq!(
            told(&json!({"type":"clear_thinking_20251015","keep":"all"})).2,
            json!([])
        );
    }

    #[test]
    fn what_asks_for_nothing_leaves_no_note() {
        let keep_all = json!({"type":"clear_thinking_20251015","keep":"all"});
        assert!(left(&keep_all).3.is_empty());
    }
}
