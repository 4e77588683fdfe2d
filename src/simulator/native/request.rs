//! A Messages request, checked and read into the form in which the built-in model knows conversations.
//!
//! It checks what a gateway could spoil on the way: compulsory fields, and signatures of thoughts.

use serde_json::{Map, Value, json};

use crate::simulator::catalogue;
use crate::simulator::conversation::array;
use crate::simulator::dialect::{CLAUDE, CLAUDE_REDACTED};
use crate::simulator::refusal::Refusal;
use crate::simulator::signature::is_genuine;

/// What marks a thought that OpenRouter has said a second time.
pub(super) const REPEATED: &str = "openrouter.reasoning:";

/// Reads a request as a chat-completions request that means the same.
pub(super) fn as_chat(body: &Value, session: Option<String>) -> Result<Value, Refusal> {
    let Some(asked) = body["model"].as_str() else {
        return Err(Refusal::platform(400, "model: Field required"));
    };
    let Some(model) = find(asked) else {
        return Err(Refusal::platform(404, format!("model: {asked}")));
    };
    if body["max_tokens"].as_u64().is_none() {
        return Err(Refusal::platform(400, "max_tokens: Field required"));
    }
    let mut messages = Vec::new();
    let system = texts(&body["system"]);
    if !system.is_empty() {
        messages.push(json!({ "role": "system", "content": parts_of(&system) }));
    }
    for (index, message) in array(body.get("messages")).iter().enumerate() {
        add_message(index, message, &mut messages)?;
    }
    let mut chat = json!({
        "model": model.id, "messages": messages, "max_tokens": body["max_tokens"],
        "stream": body["stream"].as_bool().unwrap_or(false),
        "reasoning": reasoning(&body["thinking"]),
    });
    let tools: Vec<Value> = array(body.get("tools")).iter().map(tool).collect();
    for (name, value) in [
        ("tools", (!tools.is_empty()).then(|| tools.into())),
        ("tool_choice", tool_choice(&body["tool_choice"])),
        ("stop", body.get("stop_sequences").cloned()),
        ("session_id", session.map(Value::String)),
        ("response_format", format(body)),
        ("cache_control", body.get("cache_control").cloned()),
    ] {
        if let Some(value) = value {
            chat[name] = value;
        }
    }
    Ok(chat)
}

/// Anthropic's name for a model of the catalogue.
pub(super) fn anthropics_name(id: &str) -> String {
    id.trim_start_matches("anthropic/").replace('.', "-")
}

fn find(name: &str) -> Option<&'static catalogue::Model> {
    catalogue::find(name)
        .or_else(|| catalogue::all().find(|model| anthropics_name(model.id) == name))
}

fn add_message(index: usize, message: &Value, messages: &mut Vec<Value>) -> Result<(), Refusal> {
    let blocks = match &message["content"] {
        Value::String(text) => vec![json!({ "type": "text", "text": text })],
        other => array(Some(other)).to_vec(),
    };
    match message["role"].as_str() {
        Some("assistant") => messages.push(assistant(index, &blocks)?),
        Some("user") => user(&blocks, messages),
        Some("system") => messages.push(json!({ "role": "system", "content": parts(&blocks) })),
        _ => {
            let text = format!("messages.{index}.role: Input should be 'user' or 'assistant'");
            return Err(Refusal::platform(400, text));
        }
    }
    Ok(())
}

fn assistant(index: usize, blocks: &[Value]) -> Result<Value, Refusal> {
    for (place, block) in blocks.iter().enumerate() {
        let text = |name: &str| block[name].as_str().unwrap_or_default();
        let is_right = match text("type") {
            "thinking" => is_genuine(text("signature"), CLAUDE, "", text("thinking")),
            "redacted_thinking" => {
                text("data").starts_with(REPEATED)
                    || is_genuine(text("data"), CLAUDE_REDACTED, "", "")
            }
            _ => true,
        };
        if !is_right {
            let text = format!(
                "messages.{index}.content.{place}: Invalid `signature` in `thinking` block"
            );
            return Err(Refusal::platform(400, text));
        }
    }
    let calls = blocks.iter().filter(|block| block["type"] == "tool_use");
    let calls: Vec<Value> = calls
        .map(|call| {
            json!({ "id": call["id"], "type": "function", "function": {
                "name": call["name"], "arguments": call["input"].to_string(),
            } })
        })
        .collect();
    let mut message = json!({ "role": "assistant", "content": parts(blocks) });
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    Ok(message)
}

/// Results of tools become messages of their own, as in chat completions.
fn user(blocks: &[Value], messages: &mut Vec<Value>) {
    for result in blocks.iter().filter(|block| block["type"] == "tool_result") {
        messages.push(json!({
            "role": "tool", "tool_call_id": result["tool_use_id"],
            "content": parts_of(&texts(&result["content"])),
        }));
    }
    let said = parts(blocks);
    if said.as_array().is_some_and(|said| !said.is_empty()) {
        messages.push(json!({ "role": "user", "content": said }));
    }
}

/// Texts as text parts with their cache marks, pictures and files as parts of their weight.
fn parts(blocks: &[Value]) -> Value {
    let part = |block: &Value| match block["type"].as_str() {
        Some("text") => {
            let mut part = Map::new();
            part.insert("type".to_owned(), "text".into());
            part.insert("text".to_owned(), block["text"].clone());
            if let Some(mark) = block.get("cache_control") {
                part.insert("cache_control".to_owned(), mark.clone());
            }
            Some(Value::Object(part))
        }
        Some("image" | "document") => {
            Some(json!({ "type": "image_url", "image_url": { "url": "data:simulated" } }))
        }
        _ => None,
    };
    blocks.iter().filter_map(part).collect()
}

fn texts(content: &Value) -> Vec<String> {
    match content {
        Value::String(text) => vec![text.clone()],
        other => array(Some(other))
            .iter()
            .filter_map(|block| block["text"].as_str().map(str::to_owned))
            .collect(),
    }
}

fn parts_of(texts: &[String]) -> Value {
    let part = |text: &String| json!({ "type": "text", "text": text });
    texts.iter().map(part).collect()
}

fn tool(tool: &Value) -> Value {
    match tool["type"].as_str() {
        Some(kind) if kind.starts_with("web_search") => json!({ "type": "openrouter:web_search" }),
        _ => json!({ "type": "function", "function": {
            "name": tool["name"], "description": tool["description"], "parameters": tool["input_schema"],
        } }),
    }
}

fn tool_choice(choice: &Value) -> Option<Value> {
    match choice["type"].as_str()? {
        "any" => Some("required".into()),
        "tool" => Some(json!({ "type": "function", "function": { "name": choice["name"] } })),
        mode => Some(mode.into()),
    }
}

fn reasoning(thinking: &Value) -> Value {
    match thinking["type"].as_str() {
        Some("enabled" | "adaptive" | "between_tools") => json!({ "enabled": true }),
        _ => json!({ "effort": "none" }),
    }
}

fn format(body: &Value) -> Option<Value> {
    let schema = body.pointer("/output_config/format/schema")?;
    Some(json!({ "type": "json_schema", "json_schema": { "name": "answer", "schema": schema } }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_means_the_same_in_both_forms() {
        let body = json!({
            "model": "claude-opus-5-5", "max_tokens": 9, "system": "terse",
            "messages": [
                { "role": "user", "content": "go" },
                { "role": "assistant", "content": [{ "type": "tool_use", "id": "t", "name": "Bash", "input": { "a": 1 } }] },
                { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "t", "content": "ok" }, { "type": "text", "text": "on" }] },
            ],
            "tools": [{ "name": "Bash", "input_schema": {} }], "tool_choice": { "type": "any" },
        });
        let chat = as_chat(&body, Some("s".to_owned())).unwrap_or_default();
        assert_eq!(chat["model"], "anthropic/claude-opus-5.5");
        let roles: Vec<&str> = array(chat.get("messages"))
            .iter()
            .filter_map(|message| message["role"].as_str())
            .collect();
        assert_eq!(roles, ["system", "user", "assistant", "tool", "user"]);
        assert_eq!(
            chat["messages"][2]["tool_calls"][0]["function"]["arguments"],
            r#"{"a":1}"#
        );
        assert_eq!(
            (&chat["tool_choice"], &chat["session_id"]),
            (&json!("required"), &json!("s"))
        );
    }

    #[test]
    fn a_thought_that_was_changed_is_refused() {
        let body = json!({
            "model": "anthropic/claude-opus-5.5", "max_tokens": 9,
            "messages": [{ "role": "assistant", "content": [{ "type": "thinking", "thinking": "x", "signature": "no" }] }],
        });
        let refusal = as_chat(&body, None).unwrap_err();
        assert_eq!(
            (refusal.status, refusal.message.as_str()),
            (
                400,
                "messages.0.content.0: Invalid `signature` in `thinking` block"
            )
        );
    }
}
