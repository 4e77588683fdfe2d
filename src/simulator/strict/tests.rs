//! Each case is a change to a faithful request, and a piece of what the host of that model says to it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::check;
use crate::simulator::conversation::Conversation;
use crate::simulator::refusal::Refusal;

#[derive(Deserialize)]
struct Case {
    model: String,
    /// Values by JSON pointer.
    put: BTreeMap<String, Value>,
    /// Absent when the request is right for this model.
    refused: Option<String>,
}

fn request(model: &str) -> Value {
    json!({
        "model": model,
        "max_tokens": 1000,
        "messages": [
            { "role": "system", "content": [{ "type": "text", "text": "Be brief.", "cache_control": { "type": "ephemeral", "ttl": "1h" } }] },
            { "role": "user", "content": "Look." },
            { "role": "assistant", "content": null, "tool_calls": [
                { "id": "a", "type": "function", "function": { "name": "Bash", "arguments": "{}" } },
                { "id": "b", "type": "function", "function": { "name": "Bash", "arguments": "{\"x\":1}" } } ] },
            { "role": "tool", "tool_call_id": "a", "content": "one" },
            { "role": "tool", "tool_call_id": "b", "content": [{ "type": "text", "text": "two" }] },
            { "role": "user", "content": [{ "type": "text", "text": "And?" }] },
        ],
        "tools": [{ "type": "function", "function": { "name": "Bash", "description": "d", "parameters": { "type": "object", "properties": {} } } }],
        "tool_choice": "auto",
        "reasoning": { "effort": "high" },
        "session_id": "s",
        "stream": true,
    })
}

fn verdict(body: &Value) -> Result<(), String> {
    let words = |refusal: Refusal| refusal.body().to_string();
    let conversation = Conversation::read(body).map_err(words)?;
    check(&conversation).map_err(words)
}

/// Puts a value in at a pointer whose parent exists.
fn put(body: &mut Value, pointer: &str, value: &Value) {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer has a slash");
    match body.pointer_mut(parent).expect("the parent exists") {
        Value::Object(fields) => {
            fields.insert(name.to_owned(), value.clone());
        }
        Value::Array(elements) => {
            let index: usize = name.parse().expect("an index");
            match elements.get_mut(index) {
                Some(element) => *element = value.clone(),
                None => elements.push(value.clone()),
            }
        }
        other => panic!("{other} has no fields"),
    }
}

#[test]
fn a_faithful_request_passes() {
    assert_eq!(verdict(&request("anthropic/claude-sonnet-5.5")), Ok(()));
}

#[test]
fn what_real_hosts_refuse_is_refused_in_their_words() {
    let cases: Vec<Case> =
        serde_json::from_str(include_str!("cases.json")).expect("the cases are readable");
    for case in cases {
        let mut body = request(&case.model);
        for (pointer, value) in &case.put {
            put(&mut body, pointer, value);
        }
        match (verdict(&body), case.refused) {
            (Err(said), Some(words)) => {
                assert!(said.contains(&words), "expected {words:?} in {said}");
            }
            (Ok(()), None) => {}
            (verdict, expected) => panic!(
                "{} with {:?}: {verdict:?}, expected {expected:?}",
                case.model, case.put
            ),
        }
    }
}

#[test]
fn a_prompt_beyond_the_window_is_refused_with_the_numbers() {
    let body = json!({
        "model": "simulated/plain-8b", "max_tokens": 100,
        "messages": [{ "role": "user", "content": "word ".repeat(10_000) }],
    });
    let said = verdict(&body).expect_err("it is too long");
    assert!(
        said.contains("maximum context length is 8192 tokens"),
        "{said}"
    );
    assert!(said.contains("context_length_exceeded"), "{said}");
}
