//! `context_management`: what the client wants to have cleared from a conversation before the model reads it.
//!
//! Anthropic's servers do it to a conversation that the client keeps whole. Clearing is arithmetic over the request
//! alone, so it can be done anywhere; summarising is not.

use std::borrow::Cow;

use super::cursor::{Cursor, Kind};
use super::invalid::InvalidRequest;
use super::options::one_of;

type Parsed<T> = Result<T, InvalidRequest>;

/// Tokens beyond which tool results are cleared, if the client does not say.
const TRIGGER: u64 = 100_000;
/// Tool uses that stay, if the client does not say.
const KEPT_USES: u64 = 3;
/// Turns that keep their thinking, if the client does not say.
const KEPT_TURNS: u64 = 1;

/// There are three kinds of edits, and each goes over the whole conversation.
const MOST_EDITS: usize = 64;

/// One of `context_management.edits`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit<'a> {
    /// `clear_tool_uses_20250919`.
    ClearToolUses(ClearToolUses<'a>),
    /// `clear_thinking_20251015`: how many turns keep their thinking; `None` is all of them.
    ClearThinking(Option<u64>),
    /// `compact_20260112`, which takes a model of Anthropic's.
    Compact,
}

/// When the results of old tool calls are cleared, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClearToolUses<'a> {
    /// When.
    pub trigger: Trigger,
    /// How many calls keep their results.
    pub keep: u64,
    /// Less than this many tokens are not worth a cold cache.
    pub at_least: Option<u64>,
    /// Tools whose results stay.
    pub excluded: Vec<Cow<'a, str>>,
    /// Whose inputs are cleared as well.
    pub inputs: Inputs<'a>,
}

/// When something is cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Beyond this many input tokens.
    InputTokens(u64),
    /// Beyond this many tool calls.
    ToolUses(u64),
}

/// Whose inputs are cleared with their results.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Inputs<'a> {
    /// Nobody's.
    #[default]
    Kept,
    /// Every tool's.
    Cleared,
    /// These tools'.
    ClearedOf(Vec<Cow<'a, str>>),
}

impl Default for ClearToolUses<'_> {
    fn default() -> Self {
        Self {
            trigger: Trigger::InputTokens(TRIGGER),
            keep: KEPT_USES,
            at_least: None,
            excluded: Vec::new(),
            inputs: Inputs::Kept,
        }
    }
}

/// Reads `context_management`. An edit that nobody knows yet is set aside: newer clients have newer ones.
pub(super) fn parse<'a>(cursor: &mut Cursor<'a>) -> Parsed<Vec<Edit<'a>>> {
    let mut edits = Vec::new();
    cursor.object(|cursor, key| {
        match key.as_ref() {
            "edits" => {
                let read = cursor.nullable(|cursor| cursor.list(edit))?;
                let read = read.unwrap_or_default();
                if read.len() > MOST_EDITS {
                    let message = format!("List should have at most {MOST_EDITS} items");
                    return Err(InvalidRequest::here(message));
                }
                edits = read.into_iter().flatten().collect();
            }
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    Ok(edits)
}

/// Every field that an edit can have; its `type` may stand behind them.
fn edit<'a>(cursor: &mut Cursor<'a>) -> Parsed<Option<Edit<'a>>> {
    let mut kind = None;
    let mut uses = ClearToolUses::default();
    let mut turns = Some(KEPT_TURNS);
    cursor.object(|cursor, key| {
        match key.as_ref() {
            "type" => kind = Some(cursor.text()?),
            "trigger" => {
                let given = cursor.nullable(counted)?;
                uses.trigger = given.map_or(uses.trigger, |(kind, value)| match kind {
                    Counted::ToolUses => Trigger::ToolUses(value),
                    _ => Trigger::InputTokens(value),
                });
            }
            "keep" => match cursor.nullable(counted)? {
                Some((Counted::All, _)) => turns = None,
                Some((_, value)) => {
                    turns = Some(value);
                    uses.keep = value;
                }
                None => {}
            },
            "clear_at_least" => uses.at_least = cursor.nullable(counted)?.map(|(_, value)| value),
            "exclude_tools" => {
                let names = cursor.nullable(|cursor| cursor.list(Cursor::text))?;
                uses.excluded = names.unwrap_or_default();
            }
            "clear_tool_inputs" => uses.inputs = cursor.nullable(inputs)?.unwrap_or_default(),
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    let kind = kind.ok_or_else(|| InvalidRequest::missing("type"))?;
    Ok(match kind.as_ref() {
        "clear_tool_uses_20250919" => Some(Edit::ClearToolUses(uses)),
        "clear_thinking_20251015" => Some(Edit::ClearThinking(turns)),
        "compact_20260112" => Some(Edit::Compact),
        _ => {
            cursor.aside("context_management.edits");
            None
        }
    })
}

fn inputs<'a>(cursor: &mut Cursor<'a>) -> Parsed<Inputs<'a>> {
    if cursor.kind() == Kind::Array {
        return cursor.list(Cursor::text).map(Inputs::ClearedOf);
    }
    Ok(if cursor.boolean()? {
        Inputs::Cleared
    } else {
        Inputs::Kept
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counted {
    InputTokens,
    ToolUses,
    ThinkingTurns,
    All,
}

/// Reads `{"type": …, "value": …}`, or `"all"`.
fn counted(cursor: &mut Cursor<'_>) -> Parsed<(Counted, u64)> {
    if cursor.kind() == Kind::String {
        return one_of(cursor, &[("all", (Counted::All, 0))]);
    }
    let mut kind = None;
    let mut value = None;
    cursor.object(|cursor, key| {
        match key.as_ref() {
            "type" => {
                let kinds = [
                    ("input_tokens", Counted::InputTokens),
                    ("tool_uses", Counted::ToolUses),
                    ("thinking_turns", Counted::ThinkingTurns),
                    ("all", Counted::All),
                ];
                kind = Some(one_of(cursor, &kinds)?);
            }
            "value" => value = Some(cursor.integer()?),
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    match (kind, value) {
        (None, _) => Err(InvalidRequest::missing("type")),
        (Some(Counted::All), _) => Ok((Counted::All, 0)),
        (Some(_), None) => Err(InvalidRequest::missing("value")),
        (Some(kind), Some(value)) => Ok((kind, value)),
    }
}
