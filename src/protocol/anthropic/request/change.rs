//! Changes of what the model may call, which system messages make in mid-conversation.

use std::borrow::Cow;

use super::block::Block;
use super::cursor::Cursor;
use super::inside::inside;
use super::invalid::InvalidRequest;
use super::raw::Raw;
use super::tool::Tool;

type Parsed<T> = Result<T, InvalidRequest>;

/// A change of what the model may call, in mid-conversation.
#[derive(Clone, Debug, PartialEq)]
pub enum ToolChange<'a> {
    /// This tool came.
    Defined(Tool<'a>),
    /// A tool of the request's can be called from here on.
    Added(Cow<'a, str>),
    /// A tool can be called no more.
    Removed(Cow<'a, str>),
}

/// Reads a change of the tools. What it says of remote MCP servers cannot be done.
pub(super) fn parse<'a>(
    kind: Cow<'a, str>,
    tool: Raw<'a>,
    cursor: &mut Cursor<'a>,
) -> Parsed<Block<'a>> {
    let mut reference = None;
    let mut name = None;
    let mut definition = None;
    inside(tool, "tool", cursor, |cursor| {
        cursor.object(|cursor, key| {
            match key.as_ref() {
                "type" => reference = Some(cursor.text()?),
                "name" => name = cursor.nullable(Cursor::text)?,
                "definition" => definition = Some(Tool::parse(cursor)?),
                _ => cursor.skip()?,
            }
            Ok(())
        })
    })?;
    let missing = |field| InvalidRequest::missing(field).within("tool");
    let change = match (reference.as_deref(), kind.as_ref()) {
        (None, _) => return Err(missing("type")),
        (Some("tool_definition"), "tool_addition") => {
            ToolChange::Defined(definition.ok_or_else(|| missing("definition"))?)
        }
        (Some("tool_reference"), "tool_addition") => {
            ToolChange::Added(name.ok_or_else(|| missing("name"))?)
        }
        (Some("tool_reference"), _) => ToolChange::Removed(name.ok_or_else(|| missing("name"))?),
        _ => return Ok(Block::Marker(kind)),
    };
    Ok(Block::ToolChange(Box::new(change)))
}
