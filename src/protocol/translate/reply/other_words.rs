//! Answers in words that OpenRouter does not use, as other servers of chat completions end them and call tools.

use serde_json::{Value, json};

use super::grammar::Received;
use super::script::{
    call, delta, ended, finish, finish_with_usage, quiet, replay, replay_with, settings, stream,
    text, tools, usage,
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
    let (received, summary) = replayed(vec![delta(json!({"content": ""}))], "gave_all");
    assert_eq!(received.error_type(), "api_error");
    assert_eq!(summary.error.unwrap().should_retry, Some(true));
    let nothing = ended(vec![], "gave_all");
    assert!(matches!(peek(nothing.as_bytes()), Peek::Error(error) if error.retryable));
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
        ("incomplete", "max_tokens"),
        ("sensitive", "refusal"),
        ("content_filter: SAFETY", "refusal"),
        (
            "model_context_window_exceeded",
            "model_context_window_exceeded",
        ),
        ("pause_turn", "pause_turn"),
    ] {
        let (received, summary) = replayed(vec![text("Hi")], reason);
        assert_eq!(received.stop_reason(), expected, "{reason}");
        assert_eq!(summary.notes, [""; 0], "{reason}");
    }
}

#[test]
fn an_answer_that_broke_or_was_given_up_is_broken_with_a_call_and_without() {
    for (reason, kind) in [
        ("abort", "api_error"),
        ("timeout", "api_error"),
        ("user_cancel", "api_error"),
        ("insufficient_system_resource", "overloaded_error"),
        ("network_error", "overloaded_error"),
        ("ERROR_LIMIT", "overloaded_error"),
        ("error_toxic", "overloaded_error"),
        (
            "function_call_filter: MALFORMED_FUNCTION_CALL",
            "overloaded_error",
        ),
        ("malformed_function_call", "overloaded_error"),
    ] {
        for said in [text("Hi"), call(0, "a", "Read", "{}")] {
            let (received, summary) = replayed(vec![said], reason);
            assert_eq!(received.error_type(), kind, "{reason}");
            assert_eq!(summary.error.unwrap().should_retry, Some(true), "{reason}");
        }
        let nothing = ended(vec![], reason);
        assert!(matches!(peek(nothing.as_bytes()), Peek::Error(error) if error.retryable));
    }
    let mut bare = finish("network_error");
    bare["choices"][0]["native_finish_reason"] = json!(null);
    let (_, summary, _) = replay_with(&settings(), &stream(&[text("Hi"), bare]));
    assert!(summary.error.unwrap().message.ends_with("network_error"));
}

#[test]
fn half_a_call_is_not_run_when_the_reason_is_unknown_or_a_limit() {
    let half = || call(0, "a", "Read", "{\"path\": [\"x\"");
    let (received, summary) = replayed(vec![text("Hi"), half()], "gave_all");
    assert_eq!(received.error_type(), "api_error");
    assert_eq!(summary.error.unwrap().should_retry, Some(true));
    for native in ["model_context_window_exceeded", ""] {
        let mut last = finish_with_usage("model_context_window_exceeded");
        if !native.is_empty() {
            last["choices"][0]["finish_reason"] = json!("stop");
        }
        last["choices"][0]["native_finish_reason"] = json!(native);
        let (received, _, _) = replay_with(&settings(), &stream(&[text("Hi"), half(), last]));
        assert_eq!(received.stop_reason(), "model_context_window_exceeded");
        assert_eq!(tools(&received), []);
    }
}

#[test]
fn the_word_for_nothing_is_no_reason() {
    let mut first = text("Hi");
    first["choices"][0]["finish_reason"] = json!("null");
    let mut role = delta(json!({"role": "assistant"}));
    role["choices"][0]["finish_reason"] = json!("null");
    assert_eq!(peek(stream(&[role]).as_bytes()), Peek::More);
    let (received, summary) = replayed(vec![first], "length");
    assert_eq!(received.stop_reason(), "max_tokens");
    assert_eq!(summary.notes, [""; 0]);
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
    let called = stream(&[delta(json!({"function_call": {"name": "Read"}}))]);
    assert_eq!(peek(called.as_bytes()), Peek::Fine);
}

#[test]
fn the_shell_of_a_function_call_is_none() {
    for none in [
        json!(null),
        json!(7),
        json!({}),
        json!([]),
        json!({"name": "", "arguments": ""}),
        json!({"name": null, "arguments": null}),
        json!({"name": "", "arguments": {}}),
    ] {
        let shell = |content: &str| {
            delta(json!({"role": "assistant", "content": content, "function_call": none}))
        };
        assert_eq!(peek(stream(&[shell("")]).as_bytes()), Peek::More, "{none}");
        let empty = ended(vec![shell("")], "stop");
        let judged = peek(empty.as_bytes());
        assert!(matches!(judged, Peek::Error(error) if error.retryable));
        for stream in [
            ended(vec![shell("Hi")], "stop"),
            stream(&[shell(""), shell("Hi"), usage_alone()]) + "data: [DONE]\n\n",
        ] {
            let (received, summary, _) = replay_with(&settings(), &stream);
            assert_eq!(received.stop_reason(), "end_turn", "{none}");
            assert_eq!(summary.notes, [""; 0], "{none}");
        }
    }
}

fn usage_alone() -> Value {
    json!({"id": "gen-1", "choices": [], "usage": usage()})
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
fn a_message_behind_deltas_is_not_read_but_its_end_and_its_figures_are() {
    let mut last = with_message(finish_with_usage("length"), "AB");
    last["object"] = json!("chat.completion");
    last["choices"][0].as_object_mut().unwrap().remove("delta");
    let (received, summary, _) = replay_with(&settings(), &stream(&[text("AB"), last.clone()]));
    assert_eq!(received.content().len(), 1);
    assert_eq!(received.content()[0]["text"], "AB");
    assert_eq!(received.stop_reason(), "max_tokens");
    assert!(!summary.usage_is_estimate);
    let received = replay(&stream(&[last]));
    assert_eq!(received.content()[0]["text"], "AB");
    let mut refused = finish_with_usage("stop");
    refused["choices"][0]["message"] = json!({"refusal": "No."});
    let alone = json!({"choices": [{"message": {"refusal": "No."}}]});
    for first in [delta(json!({"refusal": "No."})), alone] {
        let received = replay(&stream(&[first, refused.clone()]));
        assert_eq!(received.content()[0]["text"], "No.");
    }
}

#[test]
fn an_empty_answer_that_was_taken_back_is_asked_for_again() {
    let mut last = finish_with_usage("stop");
    last["choices"][0]["native_finish_reason"] = json!("RECITATION");
    let judged = peek(stream(std::slice::from_ref(&last)).as_bytes());
    assert!(matches!(judged, Peek::Error(error) if error.code == "empty_answer"));
    let received = replay(&stream(&[text("Once"), last]));
    assert_eq!(received.stop_reason(), "refusal");
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
