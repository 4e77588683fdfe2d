//! Each row is a request that real hosts refuse, and a piece of what they say.

use serde_json::{Value, json};

use super::check;
use crate::simulator::conversation::Conversation;
use crate::simulator::refusal::Refusal;

fn request() -> Value {
    json!({
        "model": "anthropic/claude-sonnet-5.5",
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
fn with(pointer: &str, value: Value) -> Value {
    let mut body = request();
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer has a slash");
    match body.pointer_mut(parent).expect("the parent exists") {
        Value::Object(fields) => {
            fields.insert(name.to_owned(), value);
        }
        Value::Array(elements) => {
            let index: usize = name.parse().expect("an index");
            if index < elements.len() {
                elements[index] = value;
            } else {
                elements.push(value);
            }
        }
        other => panic!("{other} has no fields"),
    }
    body
}

#[test]
fn a_faithful_request_passes() {
    assert_eq!(verdict(&request()), Ok(()));
}

#[test]
fn what_real_hosts_refuse_is_refused_in_their_words() {
    let mark = json!({ "type": "ephemeral" });
    let marked = |count: usize| {
        let part = json!({ "type": "text", "text": "x", "cache_control": mark });
        json!({ "role": "user", "content": vec![part; count] })
    };
    let png = "data:image/png;base64,aGVsbG8=";
    for (body, words) in [
        (
            with("/model", json!("claude-sonnet-5-5")),
            "not a valid model ID",
        ),
        (with("/messages", json!([])), "Input required"),
        (
            with("/system", json!("x")),
            "system: Extra inputs are not permitted",
        ),
        (
            with("/context_management", json!({})),
            "context_management: Extra inputs",
        ),
        (with("/thinking", json!({})), "thinking: Extra inputs"),
        (with("/max_tokens", json!(0)), "at least 1"),
        (
            with("/max_tokens", json!(128_001)),
            "maximum allowed number of output tokens",
        ),
        (with("/temperature", json!(2.5)), "temperature"),
        (with("/top_p", json!("1")), "top_p"),
        (with("/session_id", json!("x".repeat(257))), "session_id"),
        (with("/metadata", json!({ "user_id": 1 })), "metadata"),
        (with("/stop", json!(["a", "b", "c", "d", "e"])), "at most 4"),
        (with("/stop", json!([" "])), "non-whitespace"),
        (
            with(
                "/reasoning",
                json!({ "effort": "high", "max_tokens": 2000 }),
            ),
            "Only one of",
        ),
        (
            with("/reasoning", json!({ "effort": "gigantic" })),
            "invalid option",
        ),
        (
            with("/reasoning", json!({ "budget_tokens": 1 })),
            "unrecognized key",
        ),
        (
            with(
                "/response_format",
                json!({ "type": "json_schema", "json_schema": { "schema": {} } }),
            ),
            "json_schema",
        ),
        (with("/tools", json!([])), "at least 1 tool"),
        (
            with("/tools/0/type", json!("custom")),
            "expected 'function'",
        ),
        (
            with("/tools/0/defer_loading", json!(true)),
            "tools.0.defer_loading",
        ),
        (
            with("/tools/0/function/input_schema", json!({})),
            "input_schema: Extra",
        ),
        (
            with("/tools/0/function/name", json!("x".repeat(65))),
            "should match pattern",
        ),
        (
            with("/tools/0/function/parameters", json!({ "type": "custom" })),
            "should be 'object'",
        ),
        (
            with("/tools/1", request()["tools"][0].clone()),
            "must be unique",
        ),
        (
            with(
                "/tool_choice",
                json!({ "type": "function", "function": { "name": "Read" } }),
            ),
            "not found in 'tools'",
        ),
        (
            with("/tool_choice", json!({ "type": "any" })),
            "not found in 'tools'",
        ),
        (with("/messages/5", marked(4)), "maximum of 4 blocks"),
        (
            with("/messages/5/cache_control", mark.clone()),
            "cache_control: Extra inputs",
        ),
        (
            with(
                "/messages/5/content/0",
                json!({ "type": "text", "text": "", "cache_control": mark }),
            ),
            "cannot be set for empty text",
        ),
        (
            with(
                "/messages/5/content/0",
                json!({ "type": "text", "text": "x", "cache_control": { "type": "forever" } }),
            ),
            "ephemeral",
        ),
        (with("/messages/5/content", json!("")), "non-empty content"),
        (with("/messages/5/content", json!([])), "non-empty content"),
        (
            with("/messages/5/content/0/text", json!("")),
            "must be non-empty",
        ),
        (
            with("/messages/5/content/0/text", json!(null)),
            "should be a valid string",
        ),
        (
            with("/messages/5/content/0/citations", json!(null)),
            "citations: Extra inputs",
        ),
        (
            with("/messages/5/content/0/type", json!("tool_result")),
            "invalid option 'tool_result'",
        ),
        (
            with("/messages/5/role", json!("human")),
            "invalid option 'human'",
        ),
        (
            with(
                "/messages/0/content/0",
                json!({ "type": "image_url", "image_url": { "url": png } }),
            ),
            "system messages hold text only",
        ),
        (
            with(
                "/messages/5/content/0",
                json!({ "type": "image_url", "image_url": { "url": png } }),
            ),
            "Could not process image",
        ),
        (
            with(
                "/messages/5/content/0",
                json!({ "type": "image_url", "image_url": { "url": "data:image/bmp;base64,aGVsbG8=" } }),
            ),
            "unsupported image format",
        ),
        (
            with(
                "/messages/5/content/0",
                json!({ "type": "file", "file": { "file_data": "data:application/pdf;base64,JVBERi0=" } }),
            ),
            "filename",
        ),
        (with("/messages/2/content", json!("")), "must be non-empty"),
        (
            with("/messages/2/tool_calls/0/id", json!("functions.Bash:0")),
            "should match pattern",
        ),
        (
            with("/messages/2/tool_calls/1/id", json!("a")),
            "must be unique",
        ),
        (
            with(
                "/messages/2/tool_calls/0/function/arguments",
                json!("{\"x\""),
            ),
            "expected the JSON of an object",
        ),
        (
            with("/messages/2/tool_calls/0/function/arguments", json!({})),
            "expected a string",
        ),
        (with("/messages/3/tool_call_id", json!("b")), "out of order"),
        (
            with("/messages/3/tool_call_id", json!("z")),
            "unexpected `tool_use_id`",
        ),
        (
            with("/messages/3", json!({ "role": "user", "content": "wait" })),
            "without `tool_result` blocks",
        ),
        (
            with(
                "/messages/4",
                json!({ "role": "system", "content": "wait" }),
            ),
            "without `tool_result` blocks",
        ),
        (
            with("/messages/3/is_error", json!(true)),
            "is_error: Extra inputs",
        ),
        (
            with(
                "/messages/6",
                json!({ "role": "assistant", "content": "I" }),
            ),
            "does not support assistant message prefill",
        ),
        (
            with(
                "/messages",
                json!([{ "role": "system", "content": "alone" }]),
            ),
            "at least one message",
        ),
        (
            with(
                "/messages/2/reasoning_details",
                json!([{ "type": "reasoning.text", "text": "x" }]),
            ),
            "signature: Field required",
        ),
        (
            with(
                "/messages/2/reasoning_details",
                json!([{ "type": "reasoning.text", "text": "x", "signature": "bm8=" }]),
            ),
            "Invalid `signature`",
        ),
    ] {
        let said = verdict(&body).expect_err(words);
        assert!(said.contains(words), "expected {words:?} in {said}");
    }
}

#[test]
fn each_family_has_demands_of_its_own() {
    let of = |model: &str, change: &dyn Fn(&mut Value)| {
        let mut body = request();
        body["model"] = model.into();
        change(&mut body);
        verdict(&body)
    };
    let nothing = |_: &mut Value| {};
    let refused = |verdict: Result<(), String>, words: &str| {
        let said = verdict.expect_err(words);
        assert!(said.contains(words), "expected {words:?} in {said}");
    };
    refused(
        of("deepseek/deepseek-v4", &nothing),
        "reasoning_content in the thinking mode must be passed back",
    );
    refused(
        of("moonshotai/kimi-k3", &nothing),
        "reasoning_content is missing",
    );
    assert_eq!(
        of(
            "deepseek/deepseek-v4",
            &|body| body["messages"][2]["reasoning"] = "".into()
        ),
        Ok(())
    );
    assert_eq!(
        of("deepseek/deepseek-v4", &|body| body["reasoning"] =
            json!({ "effort": "none" })),
        Ok(())
    );
    refused(
        of("openai/gpt-5", &|body| {
            body["reasoning"] = json!({ "effort": "none" })
        }),
        "Reasoning is mandatory",
    );
    refused(
        of("openai/gpt-5", &|body| body["max_tokens"] = 1.into()),
        ">= 16",
    );
    assert_eq!(
        of("google/gemini-3-pro", &nothing),
        Ok(()),
        "the calls belong to an earlier question"
    );
    let in_step = |body: &mut Value| {
        body["messages"].as_array_mut().expect("messages").pop();
    };
    refused(of("google/gemini-3-pro", &in_step), "thought_signature");
    refused(of("simulated/plain-8b", &nothing), "support tool use");
    refused(
        of("anthropic/claude-sonnet-4.5", &|body| {
            body["reasoning"] = json!({ "max_tokens": 1000 })
        }),
        "1024",
    );
    refused(
        of("anthropic/claude-sonnet-4.5", &|body| {
            body["reasoning"] = json!({ "max_tokens": 2000 })
        }),
        "must be greater than",
    );
    refused(
        of("qwen/qwen3.5-coder", &|body| {
            body["max_tokens"] = 300_000.into()
        }),
        "maximum allowed",
    );
    assert_eq!(
        of("moonshotai/kimi-k3", &|body| {
            body["messages"][2]["reasoning"] = "x".into();
            body["messages"][2]["tool_calls"][0]["id"] = "functions.Bash:0".into();
            body["messages"][3]["tool_call_id"] = "functions.Bash:0".into();
        }),
        Ok(())
    );
}

#[test]
fn a_prompt_beyond_the_window_is_refused_with_the_numbers() {
    let body = json!({ "model": "simulated/plain-8b", "max_tokens": 100, "messages": [{ "role": "user", "content": "word ".repeat(10_000) }] });
    let said = verdict(&body).expect_err("it is too long");
    assert!(
        said.contains("maximum context length is 8192 tokens"),
        "{said}"
    );
    assert!(said.contains("context_length_exceeded"), "{said}");
}
