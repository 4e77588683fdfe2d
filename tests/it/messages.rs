//! The Messages API as a client sees it: streamed and not, tools, thinking, images, errors.

use dagway::simulator::{Answer, Script, Turn};
use serde_json::{Value, json};

use crate::support::{TestApp, ask, ask_whole, block_on};

#[test]
fn the_run_names_the_limit_that_was_sent() {
    block_on(async {
        let app = TestApp::start().await;
        // What a model takes is known once there is a catalogue.
        assert_eq!(app.get("/v1/models").await.status, 200);
        let mut body = ask_whole("hello");
        body["model"] = "simulated/plain-8b".into();
        body["max_tokens"] = 100_000.into();
        let got = app.messages(&body).await;
        assert_eq!(got.status, 200, "{}", got.body);
        let requests = app.simulator.requests();
        let sent = requests.iter().rfind(|seen| seen.method == "POST").unwrap();
        let limits = ["max_tokens", "max_completion_tokens"].map(|name| &sent.body[name]);
        let limit = limits.into_iter().find(|limit| limit.is_u64()).unwrap();
        assert!(limit.as_u64() < Some(100_000), "{}", sent.body);
        let run = app.ended_run(&got.run()).await;
        assert_eq!(&run["facts"]["gen_ai.request.max_tokens"], limit);
        app.stop().await;
    });
}

#[test]
fn a_streamed_answer_has_anthropics_grammar_and_headers() {
    block_on(async {
        let app = TestApp::start().await;
        app.script(Script::new().then(Turn::text("Hello from afar.")));
        let got = app.messages(&ask("hello")).await;
        assert_eq!(got.status, 200, "{}", got.body);
        assert_eq!(
            got.header("content-type"),
            "text/event-stream; charset=utf-8"
        );
        assert!(got.header("request-id").starts_with("req_"));
        assert!(got.header("x-dagway-overhead-us").parse::<u64>().unwrap() < 5_000_000);
        assert_eq!(got.text(), "Hello from afar.");
        let events = got.events();
        let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names.first(), Some(&"message_start"));
        assert_eq!(names.last(), Some(&"message_stop"));
        assert_eq!(
            events[0].1["message"]["model"], "claude-sonnet-5-5",
            "the model asked for is echoed"
        );
        assert!(!got.body.contains("[DONE]"));
        app.stop().await;
    });
}

#[test]
fn a_whole_answer_is_the_same_message() {
    block_on(async {
        let app = TestApp::start().await;
        let turn = Turn::text("Looking.")
            .thinking("Let me see.")
            .and_tool("Read", json!({ "path": "/tmp/a" }));
        app.script(Script::new().then(turn.clone()).then(turn));
        let mut body = ask("read it");
        body["thinking"] = json!({ "type": "enabled", "budget_tokens": 1024 });
        body["max_tokens"] = 4096.into();
        body["tools"] = json!([{ "name": "Read", "description": "Reads", "input_schema": { "type": "object", "properties": { "path": { "type": "string" } } } }]);
        let streamed = app.messages(&body).await;
        body["stream"] = false.into();
        let whole = app.messages(&body).await.json();
        let folded = fold(&streamed.events());
        let kinds = |content: &Value| -> Vec<String> {
            content
                .as_array()
                .unwrap()
                .iter()
                .map(|block| block["type"].as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(kinds(&whole["content"]), ["thinking", "text", "tool_use"]);
        assert_eq!(kinds(&whole["content"]), kinds(&folded));
        assert_eq!(whole["content"][0]["thinking"], folded[0]["thinking"]);
        assert_eq!(whole["content"][2]["input"], json!({ "path": "/tmp/a" }));
        assert_eq!(whole["content"][2]["input"], folded[2]["input"]);
        assert_eq!(whole["stop_reason"], "tool_use");
        assert_eq!(whole["type"], "message");
        assert!(whole["id"].as_str().unwrap().starts_with("msg_"));
        app.stop().await;
    });
}

#[test]
fn a_tool_conversation_with_thinking_goes_round() {
    block_on(async {
        let app = TestApp::start().await;
        for model in [
            "claude-opus-5-5",
            "openai/gpt-5",
            "google/gemini-3-pro",
            "deepseek/deepseek-v4",
            "moonshotai/kimi-k3",
        ] {
            let first = Turn::tool("Bash", json!({ "command": "ls" }))
                .and_tool("Bash", json!({ "command": "pwd" }))
                .thinking("Two commands.");
            app.script(Script::new().then(first).then(Turn::text("Done.")));
            let mut body = ask_whole("list");
            body["model"] = model.into();
            body["max_tokens"] = 8192.into();
            body["thinking"] = json!({ "type": "adaptive" });
            body["tools"] = json!([{ "name": "Bash", "input_schema": { "type": "object", "properties": { "command": { "type": "string" } } } }]);
            let answer = app.messages(&body).await.json();
            let content = answer["content"].clone();
            let calls: Vec<&str> = content
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|block| block["id"].as_str())
                .collect();
            assert_eq!(calls.len(), 2, "{model}: {answer}");
            // Results come back in order of completion, not of the calls.
            let results: Vec<Value> = calls
                .iter()
                .rev()
                .map(|id| json!({ "type": "tool_result", "tool_use_id": id, "content": [{ "type": "text", "text": "ok" }] }))
                .collect();
            let messages = body["messages"].as_array_mut().unwrap();
            messages.push(json!({ "role": "assistant", "content": content }));
            messages.push(json!({ "role": "user", "content": results }));
            let second = app.messages(&body).await;
            assert_eq!(second.status, 200, "{model}: {}", second.body);
            assert_eq!(second.json()["content"][0]["text"], "Done.", "{model}");
        }
        app.stop().await;
    });
}

#[test]
fn an_unknown_model_is_refused_and_never_replaced() {
    block_on(async {
        let app = TestApp::start().await;
        let mut body = ask("hello");
        body["model"] = "gtp-5".into();
        let got = app.messages(&body).await;
        assert_eq!(got.status, 400);
        assert_eq!(got.json()["error"]["type"], "invalid_request_error");
        assert!(
            got.json()["error"]["message"]
                .as_str()
                .unwrap()
                .contains("model"),
            "{}",
            got.body
        );
        assert!(
            app.simulator
                .requests()
                .iter()
                .all(|seen| !seen.path.ends_with("completions"))
        );
        app.stop().await;
    });
}

#[test]
fn upstream_errors_are_anthropics_with_status_type_and_hints() {
    block_on(async {
        let app = TestApp::start_with(|settings| settings.log.filter = "off".to_owned()).await;
        let cases = [
            (400, "bad thing", 400, "invalid_request_error"),
            (401, "no such key", 401, "authentication_error"),
            (402, "no credit left", 402, "billing_error"),
            (403, "not allowed", 403, "permission_error"),
            (404, "no endpoints found", 404, "not_found_error"),
        ];
        for (status, message, expected, kind) in cases {
            app.script(Script::new().then(Answer::error(status, message)));
            let got = app.messages(&ask("hello")).await;
            assert_eq!(got.status, expected, "{}", got.body);
            let json = got.json();
            assert_eq!(json["type"], "error");
            assert_eq!(json["error"]["type"], kind);
            assert_eq!(json["request_id"], got.header("request-id"));
            assert!(
                json["error"]["message"].as_str().unwrap().contains(message),
                "{}",
                got.body
            );
            app.ended_run(&got.run()).await;
        }
        app.stop().await;
    });
}

#[test]
fn a_context_overflow_has_the_words_that_claude_code_acts_on() {
    block_on(async {
        let app = TestApp::start().await;
        let raw = "This endpoint's maximum context length is 200000 tokens. However, you requested about 250000 tokens.";
        app.script(Script::new().then(Answer::error(400, raw)));
        let got = app.messages(&ask("hello")).await;
        assert_eq!(got.status, 400);
        let message = got.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(
            message.contains("prompt is too long: 250000 tokens > 200000 maximum"),
            "{message}"
        );
        app.stop().await;
    });
}

/// Folds events into content, as the SDKs do.
fn fold(events: &[(String, Value)]) -> Value {
    let mut content: Vec<Value> = Vec::new();
    let mut partial = String::new();
    for (name, event) in events {
        let index = usize::try_from(event["index"].as_u64().unwrap_or(0)).unwrap();
        match name.as_str() {
            "content_block_start" => {
                assert_eq!(index, content.len(), "indices have no holes");
                content.push(event["content_block"].clone());
                partial.clear();
            }
            "content_block_delta" => {
                let (delta, block) = (&event["delta"], &mut content[index]);
                for field in ["text", "thinking", "signature"] {
                    if let Some(text) = delta[field].as_str() {
                        let so_far = block[field].as_str().unwrap_or_default().to_owned();
                        block[field] = (so_far + text).into();
                    }
                }
                partial.push_str(delta["partial_json"].as_str().unwrap_or_default());
            }
            "content_block_stop" if !partial.is_empty() => {
                content[index]["input"] = serde_json::from_str(&partial).unwrap();
            }
            _ => {}
        }
    }
    content.into()
}
