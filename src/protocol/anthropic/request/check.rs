//! What must hold between the fields of a request, and what cannot be asked for here.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::Deserialize;

use super::block::Block;
use super::body::Request;
use super::change::ToolChange;
use super::cursor::{Cursor, Kind};
use super::invalid::InvalidRequest;
use super::message::{Message, Role};
use super::raw::Raw;
use super::tool::ChoiceMode;

/// What the SDKs answer with all messages.
pub(crate) const THREAD_NOT_FOUND: &str = "thread_not_found";

type Checked = Result<(), InvalidRequest>;

/// Checks a request whose fields are each well formed.
pub(super) fn together(request: &Request<'_>) -> Checked {
    if request.model.trim().is_empty() {
        return Err(InvalidRequest::at(
            "model",
            "String should have at least 1 character",
        ));
    }
    if request.messages.is_empty() {
        return Err(InvalidRequest::at(
            "messages",
            "at least one message is required",
        ));
    }
    for (index, message) in request.messages.iter().enumerate() {
        roles(message).map_err(|fault| fault.within("content").within(index).within("messages"))?;
    }
    tools(request)
}

/// Refuses what only Anthropic's servers can do, unless it is empty.
pub(super) fn absent(cursor: &mut Cursor<'_>, field: &str) -> Checked {
    let kind = cursor.kind();
    let value = cursor.raw()?;
    if kind == Kind::Null || value.as_str() == "[]" {
        return Ok(());
    }
    Err(InvalidRequest::here(match field {
        "mcp_servers" => {
            "remote MCP servers are called by Anthropic's own API only: connect them in the client and leave this field out"
        }
        _ => {
            "containers for code execution exist at Anthropic only: leave this field out and give the model a tool of the client's instead"
        }
    }))
}

/// A conversation that Anthropic's servers would keep. Its beginning holds all there is; for what follows the SDKs
/// are told that it is lost, and send all of it: their tool runners begin a thread unasked.
pub(super) fn begins_a_thread(value: Raw<'_>) -> Result<bool, InvalidRequest> {
    #[derive(Deserialize)]
    struct Thread<'a> {
        #[serde(rename = "type", borrow)]
        kind: Cow<'a, str>,
    }
    let thread: Option<Thread<'_>> = serde_json::from_str(value.as_str()).map_err(|_| {
        InvalidRequest::here("Input should be an object with the type `create` or `continue`")
    })?;
    match thread.as_ref().map(|thread| thread.kind.as_ref()) {
        None => Ok(false),
        Some("create") => Ok(true),
        Some(_) => Err(InvalidRequest::here(
            "conversations are not kept here: leave this field out and send all messages with each request",
        )
        .coded(THREAD_NOT_FOUND)),
    }
}

fn roles(message: &Message<'_>) -> Checked {
    for (index, block) in message.content.iter().enumerate() {
        let allowed = match block {
            Block::Text(_) | Block::Marker(_) | Block::Compaction(_) => continue,
            Block::ToolChange(_) => Role::System,
            Block::ToolUse(_)
            | Block::Thinking { .. }
            | Block::RedactedThinking(_)
            | Block::ServerToolUse(_) => Role::Assistant,
            Block::ToolResult(_) => Role::User,
            // The answers of Anthropic's servers stand in assistant messages, but a client may repeat them as a user.
            Block::ServerResult(_) if message.role != Role::System => continue,
            Block::Image(..) | Block::Document(_) | Block::SearchResult(_)
                if message.role != Role::System =>
            {
                continue;
            }
            _ => Role::User,
        };
        if allowed != message.role {
            let fault = format!(
                "`{}` blocks can only be in `{}` messages",
                block.kind(),
                allowed.as_str()
            );
            return Err(InvalidRequest::here(fault).within(index));
        }
    }
    Ok(())
}

fn tools(request: &Request<'_>) -> Checked {
    let mut names = HashSet::with_capacity(request.tools.len());
    for (index, tool) in request.tools.iter().enumerate() {
        let Some(name) = tool.name() else { continue };
        if !names.insert(name) {
            return Err(InvalidRequest::at(
                format!("tools.{index}.name"),
                format!("Tool names must be unique, and `{name}` is taken"),
            ));
        }
    }
    names.extend(request.messages.iter().flat_map(|message| {
        message.content.iter().filter_map(|block| match block {
            Block::ToolChange(change) => match change.as_ref() {
                ToolChange::Defined(tool) => tool.name(),
                ToolChange::Added(_) | ToolChange::Removed(_) => None,
            },
            _ => None,
        })
    }));
    match request.tool_choice.as_ref().map(|choice| &choice.mode) {
        Some(ChoiceMode::Tool(name)) if !names.contains(name.as_ref()) => Err(InvalidRequest::at(
            "tool_choice.name",
            format!("Tool '{name}' not found in provided tools"),
        )),
        _ => Ok(()),
    }
}
