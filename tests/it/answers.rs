//! Answers in forms that nobody asked for: what the client is told of them, and what the record keeps.

use dagway::simulator::{Answer, Script};
use serde_json::{Value, json};

use crate::lanes::native;
use crate::support::{TestApp, ask, ask_whole, block_on};

/// An answer with this media type.
fn of_type(status: u16, media_type: &str, body: impl Into<String>) -> Answer {
    Answer::Http {
        status,
        headers: vec![("content-type".to_owned(), media_type.to_owned())],
        body: body.into(),
    }
}

fn completion() -> Value {
    json!({ "id": "gen-1", "model": "m", "choices": [{ "index": 0, "finish_reason": "stop",
            "message": { "role": "assistant", "content": "Hello." } }],
            "usage": { "prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7 } })
}

fn message() -> Value {
    json!({ "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-5.5",
            "content": [{ "type": "text", "text": "Hello." }], "stop_reason": "end_turn", "stop_sequence": null,
            "usage": { "input_tokens": 5, "output_tokens": 2 } })
}

#[test]
fn a_document_in_place_of_events_is_recorded_as_it_came() {
    block_on(async {
        let chat = TestApp::start().await;
        let passing = TestApp::start_with(native).await;
        for (app, document) in [(&chat, completion()), (&passing, message())] {
            let document = serde_json::to_string_pretty(&document).unwrap();
            for sent in [document.clone(), format!("\u{feff}{document}")] {
                let answer = of_type(200, "application/json", sent.clone());
                app.script(Script::new().then(answer));
                let mut body = ask("hello");
                body["model"] = "claude-opus-5-5".into();
                let got = app.messages(&body).await;
                assert_eq!(got.text(), "Hello.", "{}", got.body);
                let run = app.ended_run(&got.run()).await;
                assert_eq!(run["state"], "Completed", "{run}");
                let path = format!("/api/runs/{}/payloads/upstream.response", got.run());
                assert_eq!(app.get(&path).await.body, sent);
            }
        }
        chat.stop().await;
        passing.stop().await;
    });
}

#[test]
fn a_byte_order_mark_before_a_document_is_no_part_of_it() {
    block_on(async {
        let app = TestApp::start().await;
        let document = format!("\u{feff}{}", completion());
        let answer = of_type(200, "application/json", document.clone());
        app.script(Script::new().then(answer));
        let got = app.messages(&ask_whole("hello")).await;
        assert_eq!(got.status, 200, "{}", got.body);
        assert_eq!(got.json()["content"][0]["text"], "Hello.");
        app.ended_run(&got.run()).await;
        let path = format!("/api/runs/{}/payloads/upstream.response", got.run());
        assert_eq!(app.get(&path).await.body, document);
        app.stop().await;
    });
}

#[test]
fn an_error_that_comes_as_an_event_is_told_in_its_words() {
    block_on(async {
        let app = TestApp::start().await;
        let event = "data: {\"error\":{\"message\":\"pay up\",\"code\":402}}\n\ndata: [DONE]\n\n";
        app.script(Script::new().then(of_type(402, "text/event-stream", event)));
        let got = app.messages(&ask("hello")).await;
        assert_eq!(got.status, 402, "{}", got.body);
        let message = got.json()["error"]["message"].as_str().map(str::to_owned);
        assert!(message.unwrap().starts_with("pay up"), "{}", got.body);
        app.stop().await;
    });
}

#[test]
fn a_packed_answer_is_told_in_one_sentence_and_asked_for_once() {
    block_on(async {
        let app = TestApp::start().await;
        for stream in [true, false] {
            let packed = of_type(200, "application/json", "\u{1f}\u{8b}");
            let packed = packed.with_header("content-encoding", "gzip");
            app.script(Script::new().then(packed));
            let mut body = ask("hello");
            body["stream"] = stream.into();
            let got = app.messages(&body).await;
            assert_eq!(got.status, 502, "{}", got.body);
            let error = got.json()["error"].take();
            let message = error["message"].as_str().unwrap();
            assert!(
                message.contains("`content-encoding: gzip`") && message.contains("proxy"),
                "{message}"
            );
            assert_eq!(got.header("x-should-retry"), "false");
            let run = app.ended_run(&got.run()).await;
            assert!(run["facts"]["dagway.retries"].is_null(), "{run}");
        }
        app.stop().await;
    });
}

#[test]
fn what_the_client_was_given_is_counted_however_it_came() {
    block_on(async {
        let app = TestApp::start().await;
        let mut wrong = ask_whole("hello");
        wrong["max_tokens"] = "many".into();
        for (body, pieces) in [
            (ask_whole("hello"), 1..=1),
            (wrong, 1..=1),
            (ask("hello"), 1..=99),
        ] {
            let got = app.messages(&body).await;
            let run = app.ended_run(&got.run()).await;
            assert_eq!(run["bytes"], got.body.len(), "{run}");
            assert!(pieces.contains(&run["pieces"].as_u64().unwrap()), "{run}");
        }
        app.stop().await;
    });
}
