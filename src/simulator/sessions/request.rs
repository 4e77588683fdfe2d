//! The bodies of requests: system text, tools, history, cache marks.

use serde_json::{Value, json};

use super::client::Message;
use crate::simulator::stories::Story;

/// What stays the same over a conversation.
pub(super) struct Request {
    model: &'static str,
    thinking: Option<Value>,
}

impl Request {
    /// A conversation with thinking.
    pub(super) fn new(model: &'static str, thinking: Value) -> Self {
        Self {
            model,
            thinking: Some(thinking),
        }
    }

    /// A conversation without.
    pub(super) fn plain(model: &'static str) -> Self {
        Self {
            model,
            thinking: None,
        }
    }

    /// The body for a history.
    pub(super) fn body(&self, messages: &[Value], streams: bool) -> Value {
        // Only the newest cache mark of the messages is kept: four are the limit, two of them are in the system text.
        let mut messages = messages.to_vec();
        let older = messages.len().saturating_sub(1);
        for message in messages.iter_mut().take(older) {
            for block in message
                .get_mut("content")
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                block
                    .as_object_mut()
                    .map(|block| block.remove("cache_control"));
            }
        }
        let mut body = json!({
            "model": self.model,
            "max_tokens": 8_192,
            "stream": streams,
            "system": system(),
            "tools": tools(),
            "messages": messages,
            "metadata": { "user_id": "simulated" },
        });
        if let Some(thinking) = &self.thinking {
            body["thinking"] = thinking.clone();
        }
        body
    }
}

fn system() -> Value {
    let mark = json!({ "type": "ephemeral" });
    json!([
        { "type": "text", "text": "This is the demo of Dagway: both the user and the model are simulated.", "cache_control": mark },
        { "type": "text", "text": "You help with a small Rust project. Read before you change, test after it, and say briefly what you did.", "cache_control": mark },
    ])
}

fn tools() -> Value {
    let tool = |name: &str, description: &str, required: &[&str]| {
        let properties: serde_json::Map<String, Value> = required
            .iter()
            .map(|field| ((*field).to_owned(), json!({ "type": "string" })))
            .collect();
        json!({ "name": name, "description": description, "input_schema": {
            "type": "object", "properties": properties, "required": required,
        } })
    };
    json!([
        tool("Bash", "Runs a command in a shell.", &["command"]),
        tool(
            "Edit",
            "Replaces a text in a file.",
            &["file_path", "old_string", "new_string"]
        ),
        tool("Grep", "Searches files for a pattern.", &["pattern"]),
        tool("Read", "Reads a file.", &["file_path"]),
        tool("Write", "Writes a file.", &["file_path", "content"]),
    ])
}

/// The question of a story.
pub(super) fn asked(story: &Story) -> Value {
    json!({ "role": "user", "content": [{ "type": "text", "text": story.prompt }] })
}

/// The results of a message's calls; the last carries the cache mark, as coding agents place it.
pub(super) fn results_for(message: &Message, results: &[&str]) -> Vec<Value> {
    let calls = message
        .content
        .iter()
        .filter(|block| block.get("type").and_then(Value::as_str) == Some("tool_use"));
    let given = results
        .iter()
        .copied()
        .chain(std::iter::repeat("(no output)"));
    let mut blocks: Vec<Value> = calls
        .zip(given)
        .map(|(call, result)| json!({ "type": "tool_result", "tool_use_id": call.get("id"), "content": result }))
        .collect();
    if let Some(last) = blocks.last_mut() {
        last["cache_control"] = json!({ "type": "ephemeral" });
    }
    blocks
}
