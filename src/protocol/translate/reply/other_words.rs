//! Answers in words that OpenRouter does not use, as other servers of chat completions end them and call tools.

use serde_json::{Value, json};

use super::grammar::Received;
use super::script::{
    call, delta, ended, finish, finish_with_usage, quiet, replay, replay_with, settings, stream,
    text, tools,
};
use super::{Peek, Summary, peek, whole};

fn replayed(chunks: Vec<Value>, reason: &str) -> (Received, Summary) {
    let (received, summary, _) = replay_with(&settings(), &ended(chunks, reason));
    (received, summary)
}

#[test]
fn a_reason_that_nobody_knows_ends_a_whole_answer_with_a_note() {
    let (received, summary) = replayed(vec![text("Hi")], "gave_all");
    assert_eq!(received.stop_reason(), "end_turn");
    assert_eq!(received.content()[0]["text"], "Hi");
    assert!(summary.notes[0].contains("(`gave_all`)"), "{summary:?}");
    let (received, summary) = replayed(vec![call(0, "a", "Read", "{}")], "gave_all");
    assert_eq!(received.stop_reason(), "tool_use");
    assert_eq!(summary.notes.len(), 1);
    let (received, _) = replayed(vec![delta(json!({"content": ""}))], "gave_all");
    assert_eq!(received.error_type(), "api_error");
    let long = "x".repeat(1000);
    let (_, summary) = replayed(vec![text("Hi")], &long);
    assert!(summary.notes[0].len() < 200, "{summary:?}");
}

#[test]
fn words_of_providers_and_engines_are_understood() {
    for (reason, expected) in [
        ("SAFETY", "refusal"),
        ("recitation", "refusal"),
        ("MAX_TOKENS", "max_tokens"),
        ("model_length", "max_tokens"),
        ("eos", "end_turn"),
        ("Stop", "end_turn"),
    ] {
        let (received, summary) = replayed(vec![text("Hi")], reason);
        assert_eq!(received.stop_reason(), expected, "{reason}");
        assert_eq!(summary.notes, [""; 0], "{reason}");
    }
}

#[test]
fn an_answer_that_was_given_up_is_broken_with_a_call_and_without() {
    for said in [text("Hi"), call(0, "a", "Read", "{}")] {
        let (received, _) = replayed(vec![said], "abort");
        assert_eq!(received.error_type(), "api_error");
    }
    let nothing = ended(vec![], "cancelled");
    assert!(matches!(peek(nothing.as_bytes()), Peek::Error(error) if error.retryable));
}

#[test]
fn a_call_that_was_announced_and_never_came_is_noted() {
    let (received, summary) = replayed(vec![text("Hi")], "tool_calls");
    assert_eq!(received.stop_reason(), "end_turn");
    assert!(summary.notes[0].contains("no call came"), "{summary:?}");
    let (_, summary) = replayed(vec![call(0, "a", "Read", "{}")], "tool_calls");
    assert_eq!(summary.notes, [""; 0]);
}

#[test]
fn a_function_call_of_the_old_style_is_a_call() {
    let pieces = vec![
        delta(json!({"content": null, "function_call": {"name": "Read", "arguments": ""}})),
        delta(json!({"function_call": {"arguments": "{\"p\":"}})),
        delta(json!({"function_call": {"arguments": "1}"}})),
    ];
    let (received, summary) = replayed(pieces, "function_call");
    assert_eq!(received.stop_reason(), "tool_use");
    assert_eq!(tools(&received), [("Read".to_owned(), json!({"p": 1}))]);
    assert_eq!(summary.notes, [""; 0]);
    let body = json!({"choices": [{"finish_reason": "function_call", "message":
        {"content": null, "function_call": {"name": "Read", "arguments": "{\"p\":1}"}}}]});
    let (message, _) = whole(settings(), body.to_string().as_bytes());
    let message: Value = serde_json::from_slice(&message.unwrap()).unwrap();
    assert_eq!(message["content"][0]["input"], json!({"p": 1}));
    let mut both = call(0, "a", "Read", "{}");
    both["choices"][0]["delta"]["function_call"] = json!({"name": "Read", "arguments": "{}"});
    assert_eq!(tools(&replayed(vec![both], "tool_calls").0).len(), 1);
    for none in [json!(null), json!(7), json!({}), json!([])] {
        let mut chunk = text("Hi");
        chunk["choices"][0]["delta"]["function_call"] = none;
        assert_eq!(replayed(vec![chunk], "stop").0.stop_reason(), "end_turn");
    }
    let called = stream(&[delta(json!({"function_call": {"name": "Read"}}))]);
    assert_eq!(peek(called.as_bytes()), Peek::Fine);
}

fn with_message(mut chunk: Value, content: &str) -> Value {
    chunk["choices"][0]["message"] = json!({"content": content});
    chunk
}

#[test]
fn a_message_beside_an_empty_delta_is_the_answer_when_nothing_else_came() {
    let only = with_message(finish_with_usage("stop"), "M");
    let received = replay(&stream(std::slice::from_ref(&only)));
    assert_eq!(received.content()[0]["text"], "M");
    let growing = [
        with_message(text("A"), "A"),
        with_message(text("B"), "AB"),
        with_message(finish("stop"), "AB"),
        with_message(finish_with_usage("stop"), "AB"),
    ];
    let (received, _, _) = replay_with(&quiet(), &stream(&growing));
    assert_eq!(received.content()[0]["text"], "AB");
}

#[test]
fn a_whole_answer_may_begin_with_a_byte_order_mark() {
    let body = json!({"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]});
    let marked = format!("\u{feff}{body}");
    assert_eq!(peek(marked.as_bytes()), Peek::Fine);
    let (message, _) = whole(settings(), marked.as_bytes());
    let message: Value = serde_json::from_slice(&message.unwrap()).unwrap();
    assert_eq!(message["content"][0]["text"], "Hi");
    let event = format!("data: {marked}\n\ndata: [DONE]\n\n");
    let (received, _, _) = replay_with(&settings(), &event);
    assert_eq!(received.content()[0]["text"], "Hi");
    let error = "\u{feff}{\"error\":{\"code\":429,\"message\":\"slow\"}}";
    assert!(matches!(peek(error.as_bytes()), Peek::Error(error) if error.api.status == 429));
}
