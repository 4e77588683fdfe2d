//! Chunks with one odd thing in them, which costs nothing else.

use serde_json::{Value, json};

use super::script::{
    ended, finish, quiet, replay, replay_with, restored, settings, stream, text, tools, usage,
};
use super::{ReplySettings, peek, whole};

/// A stream of raw chunks, and its usual end.
fn raw(chunks: &[&str]) -> String {
    let mut stream: String = chunks
        .iter()
        .map(|chunk| format!("data: {chunk}\n\n"))
        .collect();
    stream.push_str(&ended(Vec::new(), "stop"));
    stream
}

fn with_delta(delta: &str) -> String {
    format!(r#"{{"id":"gen-1","choices":[{{"index":0,"delta":{delta}}}]}}"#)
}

#[test]
fn half_a_character_where_nobody_reads_text_costs_nothing() {
    for chunk in [
        r#"{"id":"gen-1\ud83d","model":"m\ud83d","provider":"\udE00","choices":[{"delta":{"content":"Hello."}}]}"#,
        r#"{"choices":[{"delta":{"content":"Hello."},"native_finish_reason":"x\ud83d"}]}"#,
        r#"{"choices":[{"delta":{"content":"Hello.","images":[{"image_url":{"url":"data:\ud83d"}}]}}]}"#,
        r#"{"x":"\ud83d","choices":[{"x":"\ud83d","delta":{"x":"\ud83d","content":"Hello."}}]}"#,
    ] {
        let received = replay(&raw(&[chunk]));
        assert!(received.text().starts_with("Hello."), "{chunk}");
        assert_eq!(received.message["stop_reason"], "end_turn", "{chunk}");
    }
}

#[test]
fn half_a_character_in_a_page_an_entry_or_a_name_is_replaced() {
    let searching = ReplySettings {
        web_search: true,
        ..quiet()
    };
    let page = with_delta(
        r#"{"content":"Hello.","annotations":[{"type":"url_citation","url_citation":{"url":"https://a.example/\ud83d","title":"t","content":"c"}}]}"#,
    );
    let (received, summary, _) = replay_with(&searching, &raw(&[&page]));
    assert_eq!(summary.error, None);
    assert!(
        received
            .message
            .to_string()
            .contains("https://a.example/\u{fffd}")
    );

    let entry = with_delta(
        r#"{"reasoning_details":[{"type":"reasoning.text","text":"why","id":"r\ud83d","signature":"s\ud83d","format":"google-gemini-v1","index":0,"x":"x\ud83d"}]}"#,
    );
    let hello = with_delta(r#"{"content":"Hello."}"#);
    let received = replay(&raw(&[&entry, &hello]));
    let entries = restored(&received.content()[0]).details;
    assert_eq!(entries[0].id.as_deref(), Some("r\u{fffd}"));

    let called = with_delta(
        r#"{"tool_calls":[{"index":0,"id":"c\ud83d","function":{"name":"A\ud83d","arguments":"{}"}}]}"#,
    );
    let received = replay(&raw(&[&called]));
    assert_eq!(tools(&received), [("A\u{fffd}".to_owned(), json!({}))]);
}

#[test]
fn of_a_field_that_is_written_twice_the_last_counts() {
    for chunk in [
        r#"{"id":"a","id":"b","model":"m","model":"n","choices":[{"delta":{"content":"Hello."}}]}"#,
        r#"{"choices":[],"choices":[{"delta":{"content":"Hello."}}]}"#,
        r#"{"choices":[{"index":1,"index":0,"delta":{},"delta":{"content":"Hello."}}]}"#,
        r#"{"choices":[{"delta":{"role":"a","role":"b","content":"","content":"Hello."}}]}"#,
        r#"{"choices":[{"delta":{"content":"Hello.","reasoning":"a","reasoning":""}}]}"#,
        r#"{"choices":[{"delta":{"content":[{"type":"text","text":"a","text":"Hello."}]}}]}"#,
    ] {
        let received = replay(&raw(&[chunk]));
        assert_eq!(received.text(), "Hello.", "{chunk}");
        assert_eq!(received.message["stop_reason"], "end_turn", "{chunk}");
    }
    let called = with_delta(
        r#"{"tool_calls":[{"index":1,"index":0,"id":"a","id":"b","function":null,"function":{"name":"A","name":"B","arguments":"","arguments":"{}"}}]}"#,
    );
    let received = replay(&raw(&[&called]));
    assert_eq!(tools(&received), [("B".to_owned(), json!({}))]);
    assert_eq!(received.content()[0]["id"], "b");
}

#[test]
fn an_error_that_says_nothing_is_none() {
    for nothing in [json!(""), json!(" "), json!(false), Value::Null] {
        let mut beside = text("Hel");
        beside["error"] = nothing.clone();
        let mut of_choice = text("lo.");
        of_choice["choices"][0]["error"] = nothing.clone();
        let mut alone = json!({"id": "gen-1", "choices": []});
        alone["error"] = nothing.clone();
        let mut last = finish("stop");
        last["usage"] = usage();
        last["error"] = nothing.clone();
        let chunks = stream(&[alone, beside, of_choice, last]);
        let received = replay(&chunks);
        assert_eq!(received.text(), "Hello.", "{nothing}");
        assert_eq!(received.message["stop_reason"], "end_turn", "{nothing}");
        assert!(
            !matches!(peek(chunks.as_bytes()), super::Peek::Error(_)),
            "{nothing}"
        );

        let mut completion = json!({"id": "gen-1", "choices": [{"finish_reason": "stop",
            "message": {"content": "Hello."}}], "usage": usage()});
        completion["error"] = nothing.clone();
        completion["choices"][0]["error"] = nothing.clone();
        let completion = completion.to_string();
        let (message, _) = whole(settings(), completion.as_bytes());
        let message: Value = serde_json::from_slice(&message.unwrap()).unwrap();
        assert_eq!(message["content"][0]["text"], "Hello.", "{nothing}");
        assert_eq!(peek(completion.as_bytes()), super::Peek::Fine, "{nothing}");
    }
    let mut error = text("Hello.");
    error["error"] = json!(true);
    assert_eq!(replay(&stream(&[error])).error_type(), "api_error");
}

#[test]
fn a_blank_stop_sequence_ends_no_answer() {
    let stopping = ReplySettings {
        stop_sequences: [" ", "\n\n", "", "END"].map(str::to_owned).to_vec(),
        ..quiet()
    };
    let chunks = ended(vec![text("One two.\n\nThree"), text(" END four")], "stop");
    let (received, _, _) = replay_with(&stopping, &chunks);
    assert_eq!(received.text(), "One two.\n\nThree ");
    assert_eq!(received.message["stop_sequence"], "END");
}
