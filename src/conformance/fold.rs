//! Adds the events of a stream up to a message, as the accumulators of Anthropic's SDKs do.

use serde_json::{Map, Value, json};

use super::stream::Event;

/// The message that the events add up to, as far as they go.
pub(super) fn message(events: &[Event]) -> Value {
    let mut message = json!({});
    let mut content: Vec<Value> = Vec::new();
    let mut inputs: Vec<String> = Vec::new();
    for event in events {
        match event.name.as_str() {
            "message_start" => message = event.data["message"].clone(),
            "content_block_start" => {
                content.push(event.data["content_block"].clone());
                inputs.push(String::new());
            }
            "content_block_delta" => {
                let at = event.data["index"]
                    .as_u64()
                    .and_then(|at| usize::try_from(at).ok());
                let at = at.unwrap_or(usize::MAX);
                if let (Some(block), Some(input)) = (content.get_mut(at), inputs.get_mut(at)) {
                    add(block, input, &event.data["delta"]);
                }
            }
            "message_delta" => end(&mut message, &event.data),
            _ => {}
        }
    }
    for (block, input) in content.iter_mut().zip(inputs) {
        if !input.is_empty() {
            block["input"] =
                serde_json::from_str(&input).unwrap_or_else(|_| json!({ "(no JSON)": input }));
        }
    }
    message["content"] = content.into();
    message
}

fn add(block: &mut Value, input: &mut String, delta: &Value) {
    let piece = |key: &str| delta[key].as_str().unwrap_or_default();
    let text = |block: &Value, key: &str| {
        format!("{}{}", block[key].as_str().unwrap_or_default(), piece(key))
    };
    match piece("type") {
        "text_delta" => block["text"] = text(block, "text").into(),
        "thinking_delta" => block["thinking"] = text(block, "thinking").into(),
        "signature_delta" => block["signature"] = piece("signature").into(),
        "input_json_delta" => input.push_str(piece("partial_json")),
        "citations_delta" => {
            let citations = block["citations"].as_array().cloned().unwrap_or_default();
            let added = citations.into_iter().chain([delta["citation"].clone()]);
            block["citations"] = added.collect::<Vec<_>>().into();
        }
        _ => {}
    }
}

fn end(message: &mut Value, data: &Value) {
    let none = Map::new();
    for (key, value) in data["delta"].as_object().unwrap_or(&none) {
        message[key] = value.clone();
    }
    if let Some(edits) = data.get("context_management") {
        message["context_management"] = edits.clone();
    }
    let usage = data["usage"].as_object().unwrap_or(&none);
    for (key, value) in usage.iter().filter(|(_, value)| !value.is_null()) {
        message["usage"][key] = value.clone();
    }
}
