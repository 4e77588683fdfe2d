//! Tools that are offered, the choice among them, and cache marks wherever they stand.

use std::collections::HashSet;

use serde_json::Value;

use crate::simulator::catalogue::Family;
use crate::simulator::conversation::{Conversation, array};
use crate::simulator::refusal::Refusal;

pub(super) fn check(conversation: &Conversation<'_>) -> Result<(), Refusal> {
    offered(conversation)?;
    choice(conversation)?;
    cache_marks(conversation)
}

/// Whether hosts take this as the name of a tool.
pub(super) fn is_name(name: &str) -> bool {
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=64).contains(&name.len()) && name.bytes().all(is_fit)
}

fn offered(conversation: &Conversation<'_>) -> Result<(), Refusal> {
    let model = conversation.model;
    let Some(tools) = conversation
        .body
        .get("tools")
        .filter(|tools| !tools.is_null())
    else {
        return Ok(());
    };
    let Some(tools) = tools.as_array() else {
        return Err(Refusal::platform(400, "tools: expected an array"));
    };
    if tools.is_empty() {
        return Err(Refusal::provider(
            model.family,
            "tools: empty array, expected at least 1 tool",
        ));
    }
    if !model.tools {
        let message = "No endpoints found that support tool use. To learn more about provider routing, see the documentation.";
        return Err(Refusal::platform(404, message));
    }
    let mut names = HashSet::new();
    for (index, tool) in tools.iter().enumerate() {
        let is_server_tool = tool
            .get("type")
            .and_then(Value::as_str)
            .is_some_and(|kind| kind.starts_with("openrouter:"));
        if is_server_tool {
            continue;
        }
        let name = function(conversation, index, tool)?;
        if !names.insert(name) {
            return Err(Refusal::provider(
                model.family,
                "tools: Tool names must be unique.",
            ));
        }
    }
    Ok(())
}

fn function<'a>(
    conversation: &Conversation<'_>,
    index: usize,
    tool: &'a Value,
) -> Result<&'a str, Refusal> {
    let family = conversation.model.family;
    if tool.get("type").and_then(Value::as_str) != Some("function") {
        return Err(Refusal::platform(
            400,
            format!("tools.{index}.type: expected 'function'"),
        ));
    }
    only(
        tool,
        &["type", "function", "cache_control"],
        &format!("tools.{index}"),
    )?;
    let Some(function) = tool.get("function") else {
        return Err(Refusal::platform(
            400,
            format!("tools.{index}.function: Required"),
        ));
    };
    let fields = ["name", "description", "parameters", "strict"];
    only(function, &fields, &format!("tools.{index}.function"))?;
    let name = function
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if !is_name(name) {
        let message = format!(
            "tools.{index}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,64}}$'"
        );
        return Err(Refusal::provider(family, message));
    }
    let description = function.get("description");
    if description.is_some_and(|text| !text.is_string()) {
        return Err(Refusal::platform(
            400,
            format!("tools.{index}.function.description: expected a string"),
        ));
    }
    if let Some(parameters) = function.get("parameters")
        && parameters.get("type").and_then(Value::as_str) != Some("object")
    {
        let message = format!("tools.{index}.custom.input_schema.type: Input should be 'object'");
        return Err(Refusal::provider(family, message));
    }
    Ok(name)
}

fn only(value: &Value, fields: &[&str], place: &str) -> Result<(), Refusal> {
    let Some(object) = value.as_object() else {
        return Err(Refusal::platform(
            400,
            format!("{place}: expected an object"),
        ));
    };
    match object.keys().find(|name| !fields.contains(&name.as_str())) {
        Some(name) => Err(Refusal::platform(
            400,
            format!("{place}.{name}: Extra inputs are not permitted"),
        )),
        None => Ok(()),
    }
}

fn choice(conversation: &Conversation<'_>) -> Result<(), Refusal> {
    let Some(choice) = conversation
        .body
        .get("tool_choice")
        .filter(|choice| !choice.is_null())
    else {
        return Ok(());
    };
    if conversation.tools().is_empty() {
        let message = "tool_choice may only be specified while providing tools.";
        return Err(Refusal::provider(conversation.model.family, message));
    }
    let is_known = match choice {
        Value::String(mode) => matches!(mode.as_str(), "none" | "auto" | "required"),
        _ => match choice.pointer("/function/name").and_then(Value::as_str) {
            Some(name) => conversation.offers(name),
            None => choice
                .get("type")
                .and_then(Value::as_str)
                .is_some_and(|kind| conversation.offers(kind)),
        },
    };
    if is_known {
        return Ok(());
    }
    Err(Refusal::provider(
        conversation.model.family,
        "Tool choice 'function' not found in 'tools' parameter.",
    ))
}

/// At most four marks, none of them on nothing, all of a kind that exists.
fn cache_marks(conversation: &Conversation<'_>) -> Result<(), Refusal> {
    let family = conversation.model.family;
    let mut marks: Vec<&Value> = conversation.body.get("cache_control").into_iter().collect();
    marks.extend(
        conversation
            .tools()
            .iter()
            .filter_map(|tool| tool.get("cache_control")),
    );
    for (index, message) in conversation.messages.iter().enumerate() {
        if message.get("cache_control").is_some() {
            let text = format!("messages.{index}.cache_control: Extra inputs are not permitted");
            return Err(Refusal::platform(400, text));
        }
        for (place, part) in array(message.get("content")).iter().enumerate() {
            let Some(mark) = part.get("cache_control") else {
                continue;
            };
            marks.push(mark);
            if part.get("text").and_then(Value::as_str) == Some("") {
                let text = format!(
                    "messages.{index}.content.{place}.text: cache_control cannot be set for empty text blocks"
                );
                return Err(Refusal::provider(family, text));
            }
        }
    }
    if marks.iter().any(|mark| !is_cache_mark(mark)) {
        return Err(Refusal::platform(
            400,
            "cache_control: expected {type: \"ephemeral\", ttl?: \"5m\" | \"1h\"}",
        ));
    }
    if family == Family::Claude && marks.len() > 4 {
        let text = format!(
            "A maximum of 4 blocks with cache_control may be provided. Found {}.",
            marks.len()
        );
        return Err(Refusal::provider(family, text));
    }
    Ok(())
}

fn is_cache_mark(mark: &Value) -> bool {
    let Some(fields) = mark.as_object() else {
        return false;
    };
    fields.iter().all(|(name, value)| match name.as_str() {
        "type" => value == "ephemeral",
        "ttl" => value == "5m" || value == "1h",
        _ => false,
    }) && fields.contains_key("type")
}
