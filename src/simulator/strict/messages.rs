//! Messages: roles, parts, and the order of calls and results.

use std::collections::HashSet;

use serde_json::Value;

use super::media;
use crate::simulator::catalogue::Family;
use crate::simulator::conversation::{Conversation, calls, role, texts};
use crate::simulator::refusal::Refusal;

pub(super) fn check(conversation: &Conversation<'_>) -> Result<(), Refusal> {
    for (index, message) in conversation.messages.iter().enumerate() {
        fields(index, message)?;
        content(conversation, index, message)?;
    }
    calls_and_results(conversation)?;
    ending(conversation)
}

fn fields(index: usize, message: &Value) -> Result<(), Refusal> {
    let Some(object) = message.as_object() else {
        return Err(Refusal::platform(
            400,
            format!("messages.{index}: expected an object"),
        ));
    };
    let known: &[&str] = match role(message) {
        "system" | "developer" | "user" => &["role", "content", "name"],
        "tool" => &["role", "content", "name", "tool_call_id"],
        "assistant" => &[
            "role",
            "content",
            "name",
            "tool_calls",
            "reasoning",
            "reasoning_content",
            "reasoning_details",
            "refusal",
            "images",
            "audio",
            "annotations",
            "model",
        ],
        other => {
            let text = format!("messages.{index}.role: invalid option '{other}'");
            return Err(Refusal::platform(400, text));
        }
    };
    match object.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(Refusal::platform(
            400,
            format!("messages.{index}.{name}: Extra inputs are not permitted"),
        )),
        None => Ok(()),
    }
}

fn content(conversation: &Conversation<'_>, index: usize, message: &Value) -> Result<(), Refusal> {
    let family = conversation.model.family;
    let is_tool = role(message) == "tool";
    match message.get("content") {
        None | Some(Value::Null) => {
            let may_lack = role(message) == "assistant"
                && (!calls(message).is_empty() || message.get("reasoning_details").is_some());
            if may_lack {
                return Ok(());
            }
            let text = format!("messages.{index}.content: Input should be a valid string or list");
            Err(Refusal::provider(family, text))
        }
        Some(Value::String(text)) if text.is_empty() && !is_tool => {
            let text = match role(message) {
                "assistant" if !calls(message).is_empty() => {
                    format!(
                        "messages.{index}: text content blocks must be non-empty; send null beside tool calls"
                    )
                }
                _ => format!("messages.{index}: all messages must have non-empty content"),
            };
            Err(Refusal::provider(family, text))
        }
        Some(Value::String(_)) => Ok(()),
        Some(Value::Array(list)) if list.is_empty() => {
            let text = format!("messages.{index}: all messages must have non-empty content");
            Err(Refusal::provider(family, text))
        }
        Some(Value::Array(list)) => parts(conversation, index, message, list),
        Some(_) => Err(Refusal::platform(
            400,
            format!("messages.{index}.content: expected a string or a list"),
        )),
    }
}

fn parts(
    conversation: &Conversation<'_>,
    index: usize,
    message: &Value,
    list: &[Value],
) -> Result<(), Refusal> {
    for (place, part) in list.iter().enumerate() {
        let at = format!("messages.{index}.content.{place}");
        match part.get("type").and_then(Value::as_str) {
            Some("text") => text(conversation.model.family, part, &at)?,
            Some("image_url" | "file") if role(message) == "system" => {
                return Err(Refusal::platform(
                    400,
                    format!("{at}.type: system messages hold text only"),
                ));
            }
            Some("image_url") => media::image(conversation.model, part, &at)?,
            Some("file") => media::file(part, &at)?,
            Some("input_audio" | "video_url") if role(message) == "user" => {}
            Some(other) => {
                return Err(Refusal::platform(
                    400,
                    format!("{at}.type: invalid option '{other}'"),
                ));
            }
            None => return Err(Refusal::platform(400, format!("{at}.type: Required"))),
        }
    }
    Ok(())
}

fn text(family: Family, part: &Value, at: &str) -> Result<(), Refusal> {
    let known = ["type", "text", "cache_control", "prompt_cache_breakpoint"];
    let names = part
        .as_object()
        .into_iter()
        .flat_map(|object| object.keys());
    if let Some(name) = names
        .into_iter()
        .find(|name| !known.contains(&name.as_str()))
    {
        return Err(Refusal::platform(
            400,
            format!("{at}.{name}: Extra inputs are not permitted"),
        ));
    }
    match part.get("text") {
        Some(Value::String(text)) if !text.is_empty() => Ok(()),
        Some(Value::String(_)) => Err(Refusal::provider(
            family,
            format!("{at}: text content blocks must be non-empty"),
        )),
        _ => Err(Refusal::provider(
            family,
            format!("{at}.text: Input should be a valid string"),
        )),
    }
}

/// Every call is answered at once, in order, and nothing else is.
fn calls_and_results(conversation: &Conversation<'_>) -> Result<(), Refusal> {
    let mut ids_of_all = HashSet::new();
    let mut due: Vec<&str> = Vec::new();
    for (index, message) in conversation.messages.iter().enumerate() {
        if role(message) == "tool" {
            result(conversation, index, message, &mut due)?;
            continue;
        }
        if let Some(id) = due.first() {
            return Err(Refusal::provider(
                conversation.model.family,
                format!(
                    "messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: {id}. \
                 Each call must be answered before the next message."
                ),
            ));
        }
        let ids_before = match conversation.model.family {
            Family::Claude => Some(&mut ids_of_all),
            _ => None,
        };
        due = made(conversation, index, message, ids_before)?;
    }
    match due.first() {
        Some(id) => Err(Refusal::provider(
            conversation.model.family,
            format!(
                "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. Missing: {id}"
            ),
        )),
        None => Ok(()),
    }
}

fn result<'a>(
    conversation: &Conversation<'_>,
    index: usize,
    message: &'a Value,
    due: &mut Vec<&'a str>,
) -> Result<(), Refusal> {
    let family = conversation.model.family;
    let Some(id) = message.get("tool_call_id").and_then(Value::as_str) else {
        return Err(Refusal::platform(
            400,
            format!("messages.{index}.tool_call_id: Required"),
        ));
    };
    if due.first() == Some(&id) {
        due.remove(0);
        return Ok(());
    }
    let text = if due.contains(&id) {
        format!(
            "messages.{index}: tool result {id} is out of order; results must follow the order of their calls"
        )
    } else {
        format!(
            "messages.{index}: unexpected `tool_use_id` found in `tool_result` blocks: {id}. \
             Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
        )
    };
    Err(Refusal::provider(family, text))
}

/// The ids of the calls of a message, each well-formed and new.
fn made<'a>(
    conversation: &Conversation<'_>,
    index: usize,
    message: &'a Value,
    ids_before: Option<&mut HashSet<&'a str>>,
) -> Result<Vec<&'a str>, Refusal> {
    let family = conversation.model.family;
    let mut ids_here = HashSet::new();
    let ids_known = ids_before.unwrap_or(&mut ids_here);
    let mut ids = Vec::new();
    for (place, call) in calls(message).iter().enumerate() {
        let at = format!("messages.{index}.tool_calls.{place}");
        let id = call.get("id").and_then(Value::as_str).unwrap_or_default();
        if id.is_empty() {
            return Err(Refusal::platform(400, format!("{at}.id: Required")));
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if family == Family::Claude && !id.bytes().all(is_plain) {
            let text = format!("{at}.id: String should match pattern '^[a-zA-Z0-9_-]+$'");
            return Err(Refusal::provider(family, text));
        }
        if !ids_known.insert(id) {
            return Err(Refusal::provider(
                family,
                format!("{at}: `tool_use` ids must be unique, found {id} twice"),
            ));
        }
        function(family, call, &at)?;
        ids.push(id);
    }
    Ok(ids)
}

fn function(family: Family, call: &Value, at: &str) -> Result<(), Refusal> {
    let name = call
        .pointer("/function/name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if call.get("type").and_then(Value::as_str) != Some("function") {
        return Err(Refusal::platform(
            400,
            format!("{at}.type: expected 'function'"),
        ));
    }
    if !super::tools::is_name(name) {
        let text =
            format!("{at}.function.name: String should match pattern '^[a-zA-Z0-9_-]{{1,64}}$'");
        return Err(Refusal::provider(family, text));
    }
    let arguments = call.pointer("/function/arguments").and_then(Value::as_str);
    let parsed = arguments.map(serde_json::from_str::<serde_json::Map<String, Value>>);
    match parsed {
        Some(Ok(_)) => Ok(()),
        Some(Err(_)) => Err(Refusal::provider(
            family,
            format!("{at}.function.arguments: expected the JSON of an object"),
        )),
        None => Err(Refusal::platform(
            400,
            format!("{at}.function.arguments: expected a string"),
        )),
    }
}

fn ending(conversation: &Conversation<'_>) -> Result<(), Refusal> {
    let family = conversation.model.family;
    let spoken = |message: &&Value| !matches!(role(message), "system" | "developer");
    let Some(last) = conversation.messages.iter().rev().find(spoken) else {
        return Err(Refusal::provider(
            family,
            "messages: at least one message is required",
        ));
    };
    if role(last) != "assistant" {
        return Ok(());
    }
    if !conversation.model.prefill {
        let text = "This model does not support assistant message prefill. The conversation must end with a user message.";
        return Err(Refusal::provider(family, text));
    }
    if texts(last)
        .last()
        .is_some_and(|text| text.ends_with(char::is_whitespace))
    {
        let text = "messages: final assistant content cannot end with trailing whitespace";
        return Err(Refusal::provider(family, text));
    }
    Ok(())
}
