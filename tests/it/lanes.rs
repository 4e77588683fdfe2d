//! The native lane: bodies and headers pass untouched, and the run still knows all that happened.

use std::time::Duration;

use dagway::facts;
use dagway::settings::{Lane, Rule, Settings};
use dagway::simulator::{Answer, End, Script, Seen, Turn};
use serde_json::{Value, json};

use crate::support::{Got, TestApp, ask, ask_whole, block_on, read};

/// The rule of the defaults, which the other tests leave out.
pub(crate) fn native(settings: &mut Settings) {
    settings.models.rules = vec![Rule {
        pattern: "anthropic/*".to_owned(),
        upstream: "openrouter".to_owned(),
        lane: Some(Lane::Native),
        send: None,
        provider: None,
    }];
}

fn arrived(app: &TestApp) -> Seen {
    let requests = app.simulator.requests();
    let seen = requests.into_iter().rfind(|seen| seen.method == "POST");
    seen.expect("a request arrived upstream")
}

#[test]
fn what_anthropics_server_says_of_retrying_is_heeded_and_told() {
    block_on(async {
        let app = TestApp::start_with(native).await;
        let refusal = Answer::native_error(429, "This account is over its limit")
            .with_header("x-should-retry", "false")
            .with_header("retry-after-ms", "1500")
            .with_header("anthropic-ratelimit-unified-status", "rejected");
        app.script(Script::new().then(refusal));
        let got = app.messages(&ask("hello")).await;
        assert_eq!(got.status, 429, "{}", got.body);
        assert_eq!(got.header("x-should-retry"), "false");
        assert_eq!(got.header("retry-after"), "2", "rounded up");
        assert_eq!(got.header("anthropic-ratelimit-unified-status"), "rejected");
        let run = app.ended_run(&got.run()).await;
        assert_eq!(run["facts"]["dagway.retries"], Value::Null, "asked once");
        app.stop().await;
    });
}

#[test]
fn what_is_meant_for_anthropic_alone_does_not_go_to_openrouter() {
    block_on(async {
        let app = TestApp::start_with(native).await;
        app.script(Script::new().then(Turn::text("Passed.")));
        let mut body = ask("hello");
        body["safeguards"] = json!([{ "classifier_context": { "cwd": "/home/me" } }]);
        body["system"] = json!([
            { "type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.330;" },
            { "type": "text", "text": "You are." },
        ]);
        let got = app.messages(&body).await;
        assert_eq!(got.status, 200, "{}", got.body);
        let seen = arrived(&app);
        assert_eq!(seen.body["safeguards"], json!([]));
        assert_eq!(
            seen.body["system"],
            json!([{ "type": "text", "text": "You are." }])
        );
        let run = app.ended_run(&got.run()).await;
        let detail = app.get(&format!("/api/runs/{}", got.run())).await.json();
        let logs = detail["logs"].to_string();
        for word in ["`safeguards` was left out", "billing line was left out"] {
            assert!(logs.contains(word), "{run}: {logs}");
        }
        app.stop().await;
    });
}

#[test]
fn thoughts_of_other_models_do_not_go_to_one_that_would_refuse_their_signature() {
    block_on(async {
        let app = TestApp::start_with(native).await;
        app.script(Script::new().then(Turn::text("Passed.")));
        let mut body = ask("and now?");
        let thought =
            json!({ "type": "thinking", "thinking": "Hm.", "signature": "dgw1.AAAAAAAAAAAAAAAA" });
        let said = json!({ "type": "text", "text": "Yes." });
        body["messages"] = json!([
            { "role": "user", "content": "well?" },
            { "role": "assistant", "content": [thought, said] },
            { "role": "user", "content": "and now?" },
        ]);
        let got = app.messages(&body).await;
        assert_eq!(got.status, 200, "{}", got.body);
        let sent = &arrived(&app).body["messages"];
        assert_eq!(sent[1]["content"], json!([said]));
        assert_eq!(sent[2], body["messages"][2]);
        app.ended_run(&got.run()).await;
        let detail = app.get(&format!("/api/runs/{}", got.run())).await.json();
        let logs = detail["logs"].to_string();
        assert!(
            logs.contains("1 thought of another model was left out"),
            "{logs}"
        );
        app.stop().await;
    });
}

#[test]
fn a_session_whose_name_is_too_long_for_the_upstream_stays_at_one_provider_all_the_same() {
    block_on(async {
        let app = TestApp::start_with(native).await;
        let mut keys = Vec::new();
        for last in ["a", "a", "b"] {
            app.script(Script::new().then(Turn::text("Passed.")));
            let session = "s".repeat(300) + last;
            let request = app
                .http
                .post(app.url("/v1/messages"))
                .header("x-claude-code-session-id", session)
                .body(ask("hello").to_string());
            let got = read(request.send().await.unwrap()).await;
            assert_eq!(got.status, 200, "{}", got.body);
            keys.push(arrived(&app).header("x-session-id").unwrap().to_owned());
        }
        assert_eq!(keys[0].len(), 64);
        assert!(keys[0] == keys[1] && keys[1] != keys[2], "{keys:?}");
        app.stop().await;
    });
}

#[test]
fn a_body_and_its_headers_pass_untouched_but_for_the_models_name() {
    block_on(async {
        let app = TestApp::start_with(native).await;
        let body = r#"{ "model" : "claude-sonnet-5-5","max_tokens":100, "brand_new": [1,  2],
            "mcp_servers":[], "stream":false, "messages":[{"role":"user","content":"h\u00e9llo"}] }"#;
        app.script(Script::new().then(Turn::text("Passed.")));
        let request = app
            .http
            .post(app.url("/v1/messages?beta=true"))
            .header("anthropic-version", "2023-06-01")
            .header("anthropic-beta", "one-2026-01-01,two-2026-01-01")
            .header("anthropic-beta", "three-2026-01-01")
            .header("x-claude-code-session-id", "the-session")
            .header("x-api-key", "the-clients-own")
            .body(body);
        let got = read(request.send().await.unwrap()).await;
        assert_eq!(got.status, 200, "{}", got.body);
        let seen = arrived(&app);
        assert_eq!(seen.path, "/api/v1/messages");
        assert_eq!(
            seen.header("anthropic-beta"),
            Some("one-2026-01-01,two-2026-01-01,three-2026-01-01")
        );
        assert_eq!(seen.header("anthropic-version"), Some("2023-06-01"));
        assert_eq!(seen.header("authorization"), Some("Bearer sk-or-test"));
        assert_eq!(
            seen.header("x-api-key"),
            None,
            "the client's key is Dagway's alone"
        );
        assert_eq!(seen.header("x-session-id"), Some("the-session"));
        let run = got.run();
        app.ended_run(&run).await;
        let sent = app
            .get(&format!("/api/runs/{run}/payloads/upstream.request"))
            .await;
        let expected = body.replace("claude-sonnet-5-5", "anthropic/claude-sonnet-5.5");
        assert_eq!(sent.body, expected, "byte for byte");
        let message = got.json();
        assert_eq!(
            message["model"], "claude-sonnet-5-5",
            "what was replaced is put back"
        );
        assert!(message["id"].as_str().unwrap().starts_with("msg_"));
        app.stop().await;
    });
}

#[test]
fn a_thread_that_openrouter_does_not_keep_is_asked_for_whole() {
    block_on(async {
        let app = TestApp::start_with(native).await;
        let mut body = ask("And then?");
        body["thread"] = json!({ "type": "continue", "previous_message_id": "msg_1" });
        let got = app.post("/v1/messages", &body).await;
        assert_eq!(got.status, 404, "{}", got.body);
        let details = &got.json()["error"]["details"];
        assert_eq!(details["error_code"], "thread_not_found", "{}", got.body);
        app.stop().await;
    });
}

fn thinking(text: &str) -> Value {
    let mut body = ask(text);
    body["thinking"] = json!({ "type": "adaptive" });
    body["tools"] = json!([{ "name": "Bash", "input_schema": { "type": "object" } }]);
    body
}

async fn native_messages(app: &TestApp, body: &Value) -> Got {
    let request = app
        .http
        .post(app.url("/v1/messages"))
        .header("anthropic-version", "2023-06-01")
        .body(body.to_string());
    read(request.send().await.unwrap()).await
}

#[test]
fn a_stream_passes_without_what_breaks_sdks_and_the_run_knows_its_figures() {
    block_on(async {
        let app = TestApp::start_with(native).await;
        let turn = Turn::tool("Bash", json!({ "command": "ls" })).thinking("A look.");
        app.script(Script::new().then(Turn {
            text: "Looking.".to_owned(),
            ..turn
        }));
        let got = native_messages(&app, &thinking("list")).await;
        assert_eq!(got.status, 200, "{}", got.body);
        assert_eq!(
            got.header("content-type"),
            "text/event-stream; charset=utf-8"
        );
        let events = got.events();
        assert!(
            !got.body.contains("[DONE]") && !got.body.contains("openrouter.reasoning"),
            "{}",
            got.body
        );
        assert_eq!(events.last().unwrap().0, "message_stop");
        let start = &events[0].1["message"];
        assert!(
            start["usage"]["input_tokens"].as_u64().unwrap() > 0,
            "{start}"
        );
        let kinds: Vec<&str> = events
            .iter()
            .filter_map(|(_, event)| event["content_block"]["type"].as_str())
            .collect();
        assert_eq!(kinds, ["thinking", "text", "tool_use"]);
        let run = app.ended_run(&got.run()).await;
        assert_eq!(
            (&run["workflow"], &run["state"]),
            (&json!("native"), &json!("Completed"))
        );
        let facts = &run["facts"];
        let used = &events
            .iter()
            .find(|(name, _)| name == "message_delta")
            .unwrap()
            .1["usage"];
        assert_eq!(facts["gen_ai.usage.output_tokens"], used["output_tokens"]);
        assert_eq!(facts["gen_ai.response.finish_reasons"], "tool_use");
        assert_eq!(facts["dagway.cost_usd"], used["cost"]);
        assert_eq!(facts["gen_ai.request.model"], "anthropic/claude-sonnet-5.5");
        assert!(
            facts["gen_ai.response.time_to_first_chunk"].is_number(),
            "{facts}"
        );
        let logged = run["steps"].to_string();
        assert!(logged.contains("log_usage"), "{logged}");
        app.stop().await;
    });
}

#[test]
fn a_conversation_with_signed_thoughts_goes_round() {
    block_on(async {
        let app = TestApp::start_with(native).await;
        let first = Turn::tool("Bash", json!({ "command": "ls" })).thinking("A look.");
        app.script(Script::new().then(first).then(Turn::text("Done.")));
        let mut body = thinking("list");
        body["stream"] = false.into();
        let answer = native_messages(&app, &body).await.json();
        let content = answer["content"].clone();
        assert_eq!(
            content.as_array().unwrap().len(),
            2,
            "the repeated thought is left out: {answer}"
        );
        let messages = body["messages"].as_array_mut().unwrap();
        messages.push(json!({ "role": "assistant", "content": content }));
        messages.push(json!({ "role": "user", "content": [
            { "type": "tool_result", "tool_use_id": content[1]["id"], "content": "README" }] }));
        let second = native_messages(&app, &body).await;
        assert_eq!(second.status, 200, "{}", second.body);
        assert_eq!(second.json()["content"][0]["text"], "Done.");
        app.stop().await;
    });
}

#[test]
fn errors_pass_word_for_word_and_are_retried_by_the_same_rules() {
    block_on(async {
        let app = TestApp::start_with(|settings| {
            native(settings);
            settings.log.filter = "off".to_owned();
        })
        .await;
        let refusal = "prompt is too long: 9 tokens > 8 maximum";
        app.script(Script::new().then(Answer::native_error(400, refusal)));
        let got = native_messages(&app, &ask("hello")).await;
        assert_eq!(got.status, 400);
        let expected = json!({ "type": "error", "error": { "type": "invalid_request_error", "message": refusal }, "request_id": "req_simulated" });
        assert_eq!(got.json(), expected);
        assert_eq!(got.header("x-should-retry"), "false");
        app.script(
            Script::new()
                .then(Answer::native_error(529, "Overloaded"))
                .then(Answer::native_error(429, "Slow down").with_header("retry-after", "0"))
                .then(Turn::text("At last.")),
        );
        let got = native_messages(&app, &ask("hello")).await;
        assert_eq!((got.status, got.text().as_str()), (200, "At last."));
        let run = app.ended_run(&got.run()).await;
        let attempts = run["steps"].to_string();
        assert!(attempts.contains("Slow down"), "{attempts}");
        app.stop().await;
    });
}

#[test]
fn an_error_at_the_beginning_of_a_stream_is_retried_and_one_in_its_midst_passes() {
    block_on(async {
        let app = TestApp::start_with(|settings| {
            native(settings);
            settings.log.filter = "off".to_owned();
        })
        .await;
        let error =
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
        let early = Answer::data_lines(&[error], End::Clean);
        app.script(Script::new().then(early).then(Turn::text("Second try.")));
        let got = native_messages(&app, &ask("hello")).await;
        assert_eq!((got.status, got.text().as_str()), (200, "Second try."));
        let start = r#"{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","content":[],"usage":{"input_tokens":1,"output_tokens":1}}}"#;
        let block =
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
        let early = Answer::data_lines(&[start, r#"{"type":"ping"}"#, block, error], End::Clean);
        let cut = Answer::data_lines(&[start], End::Cut);
        let script = Script::new().then(early).then(cut);
        app.script(script.then(Turn::text("Third try.")));
        let got = native_messages(&app, &ask("hello")).await;
        assert_eq!((got.status, got.text().as_str()), (200, "Third try."));
        let late = serde_json::from_value::<Turn>(
            json!({ "text": "Half of it is there", "break": { "after": 4, "code": 529, "message": "gone" } }),
        );
        app.script(Script::new().then(late.unwrap()));
        let got = native_messages(&app, &ask("hello")).await;
        let events = got.events();
        let (name, last) = events.last().unwrap();
        assert_eq!(
            (name.as_str(), &last["error"]["type"]),
            ("error", &json!("overloaded_error"))
        );
        let run = app.ended_run(&got.run()).await;
        assert_eq!(run["state"], "Failed", "{run}");
        app.stop().await;
    });
}

#[test]
fn the_only_stop_sequence_is_named_though_openrouter_does_not() {
    block_on(async {
        let app = TestApp::start_with(native).await;
        let answer = json!({"type": "message", "id": "gen-1", "role": "assistant", "content": [],
            "stop_reason": "stop_sequence", "stop_sequence": null,
            "usage": { "input_tokens": 5, "output_tokens": 1 }});
        let mut body = ask_whole("hello");
        for (asked, named) in [
            (json!(["</x>"]), json!("</x>")),
            (json!(["a", "b"]), Value::Null),
        ] {
            app.script(Script::new().then(Answer::Http {
                status: 200,
                headers: Vec::new(),
                body: answer.to_string(),
            }));
            body["stop_sequences"] = asked;
            let got = native_messages(&app, &body).await;
            assert_eq!(got.json()["stop_sequence"], named, "{}", got.body);
        }
        app.stop().await;
    });
}

#[test]
fn what_passes_unread_is_counted_all_the_same() {
    block_on(async {
        let app = TestApp::start_with(native).await;
        let mut body = ask("hello");
        body.as_object_mut().unwrap().remove("stream");
        let path = "/v1/messages/count_tokens";
        let plain = app.post(path, &body).await.json();
        let words = "word ".repeat(100);
        body["mcp_servers"] = json!([{ "type": "url", "name": "it", "url": "https://x.invalid" }]);
        body["messages"][0]["content"] = json!([{ "type": "brand_new", "said": words }]);
        let got = app.post(path, &body).await;
        assert_eq!(got.status, 200, "{}", got.body);
        let more = got.json()["input_tokens"].as_u64().unwrap();
        let count = plain["input_tokens"].as_u64().unwrap();
        assert!((count + 100..count + 140).contains(&more), "{count} {more}");
        body.as_object_mut().unwrap().remove("messages");
        assert_eq!(app.post(path, &body).await.status, 400);
        body["model"] = json!("openai/gpt-5");
        body["messages"] = json!([{ "role": "user", "content": [{ "type": "brand_new" }] }]);
        let refused = app.post(path, &body).await;
        assert_eq!(refused.status, 400, "a lane that reads it cannot");
        app.stop().await;
    });
}

#[test]
fn an_answer_that_breaks_off_is_recorded_with_what_came_of_it() {
    block_on(async {
        let app = TestApp::start_with(|settings| {
            native(settings);
            settings.log.filter = "off".to_owned();
        })
        .await;
        let start = r#"{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","content":[],"usage":{"input_tokens":5,"output_tokens":1}}}"#;
        let block =
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
        let words = json!({
            "type": "content_block_delta", "index": 0,
            "delta": { "type": "text_delta", "text": "word".repeat(100) },
        });
        let cut = Answer::data_lines(&[start, block, &words.to_string()], End::Cut);
        app.script(Script::new().then(cut));
        let got = native_messages(&app, &ask("hello")).await;
        assert_eq!(got.events().last().unwrap().0, "error");
        let run = app.ended_run(&got.run()).await;
        let facts = &run["facts"];
        assert_eq!(facts[facts::INPUT_TOKENS], 5, "{facts}");
        assert_eq!(facts[facts::OUTPUT_TOKENS], 100, "{facts}");
        assert_eq!(facts[facts::USAGE_IS_ESTIMATE], true, "{facts}");
        app.stop().await;
    });
}

#[test]
fn a_server_that_speaks_chat_alone_is_told_apart_and_the_cure_is_named() {
    block_on(async {
        let app = TestApp::start_with(native).await;
        let whole = Answer::Http {
            status: 200,
            headers: Vec::new(),
            body: json!({"object": "chat.completion", "choices": [{"message": {"content": "hi"}}]})
                .to_string(),
        };
        let chunk = json!({"choices": [{"index": 0, "delta": {"content": "hi"}}]}).to_string();
        let streamed = Answer::data_lines(&[&chunk], End::Clean);
        for (answer, body) in [(whole, ask_whole("hello")), (streamed, ask("hello"))] {
            app.script(Script::new().then(answer));
            let got = native_messages(&app, &body).await;
            assert_eq!(got.status, 502, "{}", got.body);
            assert!(got.body.contains("[[models.rules]]"), "{}", got.body);
            let run = app.ended_run(&got.run()).await;
            assert_eq!(run["state"], "Failed");
            let steps = run["steps"].as_array().unwrap();
            let mut call = steps.iter().filter(|step| step["name"] == "call_upstream");
            assert_eq!(call.next().unwrap()["attempts"], 1, "no second one: {run}");
        }
        app.stop().await;
    });
}

#[test]
fn the_header_names_the_model_that_answered_and_the_body_the_one_asked_for() {
    block_on(async {
        let app = TestApp::start_with(native).await;
        let chat = json!({ "model": "x/plain", "choices": [{ "index": 0, "message": { "content": "hi" }, "finish_reason": "stop" }] });
        let message = json!({ "id": "m", "type": "message", "role": "assistant", "model": "anthropic/claude-x-20260101", "stop_reason": "end_turn",
            "content": [{ "type": "text", "text": "hi" }], "usage": { "input_tokens": 1, "output_tokens": 1 } });
        let start = json!({ "type": "message_start", "message": message }).to_string();
        let of = |body: &Value| Answer::Http {
            status: 200,
            headers: Vec::new(),
            body: body.to_string(),
        };
        let end = json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" }, "usage": { "output_tokens": 1 } });
        let chat_events = Answer::data_lines(&[&chat.to_string()], End::Clean);
        let native_events = Answer::data_lines(&[&start, &end.to_string()], End::Clean);
        let (gpt, sonnet) = ("openai/gpt-5", "claude-sonnet-5-5");
        for (asked, answered, whole, streamed) in [
            (gpt, "x/plain", of(&chat), chat_events),
            (
                sonnet,
                "anthropic/claude-x-20260101",
                of(&message),
                native_events,
            ),
        ] {
            for (answer, mut body) in [(whole, ask_whole("hello")), (streamed, ask("hello"))] {
                body["model"] = asked.into();
                app.script(Script::new().then(answer));
                let got = native_messages(&app, &body).await;
                assert_eq!(got.status, 200, "{}", got.body);
                assert_eq!(got.header("x-dagway-model"), answered, "{}", got.body);
                let named = format!("\"model\":\"{asked}\"");
                assert!(got.body.contains(&named), "{}", got.body);
            }
        }
        let mut endless = chat;
        endless["model"] = "x".repeat(100_000).into();
        app.script(Script::new().then(of(&endless)));
        let mut body = ask_whole("hello");
        body["model"] = gpt.into();
        let got = native_messages(&app, &body).await;
        assert_eq!(got.status, 200, "{}", got.body);
        assert!(got.headers.get("x-dagway-model").is_none());
        app.stop().await;
    });
}

#[test]
fn silence_and_breaks_end_as_in_the_chat_lane() {
    block_on(async {
        let app = TestApp::start_with(|settings| {
            native(settings);
            settings.log.filter = "off".to_owned();
            settings.server.ping_after = Duration::from_millis(50);
            settings.upstream.idle_timeout = Duration::from_millis(400);
        })
        .await;
        for (kind, said) in [
            ("hang", "sent nothing"),
            ("cut", "connection"),
            ("close", "closed the stream"),
        ] {
            let turn =
                json!({ "text": "Half of it is there", "break": { "after": 5, "kind": kind } });
            app.script(Script::new().then(serde_json::from_value::<Turn>(turn).unwrap()));
            let got = native_messages(&app, &ask("hello")).await;
            let events = got.events();
            let (name, last) = events.last().unwrap();
            let message = last["error"]["message"].as_str().unwrap_or_default();
            assert!(name == "error" && message.contains(said), "{kind}: {last}");
            assert_eq!(
                kind == "hang",
                events.iter().filter(|(name, _)| name == "ping").count() > 1
            );
        }
        app.stop().await;
    });
}

#[test]
fn models_that_are_not_claude_are_translated_all_the_same() {
    block_on(async {
        let app = TestApp::start_with(native).await;
        let mut body = ask_whole("hello");
        body["model"] = "openai/gpt-5".into();
        let got = app.messages(&body).await;
        assert_eq!(got.status, 200, "{}", got.body);
        assert!(arrived(&app).path.ends_with("/chat/completions"));
        let run = app.ended_run(&got.run()).await;
        assert_eq!(run["workflow"], "messages");
        app.stop().await;
    });
}

/// A request for each lane, the first for the chat lane; with `provider`, if one is given.
fn of_each_lane(provider: Option<&Value>) -> [Value; 2] {
    ["openai/gpt-5", "claude-sonnet-5-5"].map(|model| {
        let mut body = ask_whole("hello");
        body["model"] = model.into();
        if let Some(provider) = provider {
            body["provider"] = provider.clone();
        }
        body
    })
}

async fn log_of(app: &TestApp, got: &Got) -> String {
    app.ended_run(&got.run()).await;
    let detail = app.get(&format!("/api/runs/{}", got.run())).await.json();
    detail["logs"].to_string()
}

#[test]
fn openrouter_gets_the_provider_of_the_settings_in_both_lanes() {
    block_on(async {
        let app = TestApp::start_with(|settings| {
            native(settings);
            settings.models.provider = r#"{"zdr":true,"order":["a"]}"#.parse().unwrap();
            let opus = Rule {
                pattern: "anthropic/claude-opus-*".to_owned(),
                provider: Some(r#"{"only":["b"]}"#.parse().unwrap()),
                ..settings.models.rules[0].clone()
            };
            settings.models.rules.insert(0, opus);
        })
        .await;
        let everywhere = json!({ "zdr": true, "order": ["a"] });
        for mut body in of_each_lane(None) {
            let got = app.messages(&body).await;
            assert_eq!(got.status, 200, "{}", got.body);
            assert_eq!(arrived(&app).body["provider"], everywhere, "{body}");
            app.ended_run(&got.run()).await;
            let detail = app.get(&format!("/api/runs/{}", got.run())).await.body;
            assert!(detail.contains("zdr"), "the edge shows it: {detail}");
            // What is `null` is as good as absent, and not there twice.
            body["provider"] = Value::Null;
            let got = app.messages(&body).await;
            let seen = arrived(&app);
            assert_eq!(seen.body["provider"], everywhere, "{}", got.body);
            let sent = format!("/api/runs/{}/payloads/upstream.request", got.run());
            app.ended_run(&got.run()).await;
            let sent = app.get(&sent).await.body;
            assert_eq!(sent.matches("\"provider\"").count(), 1, "{sent}");
        }
        let [_, mut opus] = of_each_lane(None);
        opus["model"] = "claude-opus-5-5".into();
        app.messages(&opus).await;
        let seen = arrived(&app);
        assert_eq!(seen.path, "/api/v1/messages");
        assert_eq!(seen.body["provider"], json!({ "only": ["b"] }));
        app.stop().await;
    });
}

#[test]
fn the_clients_provider_counts_in_both_lanes() {
    block_on(async {
        let app = TestApp::start_with(|settings| {
            native(settings);
            settings.models.provider = r#"{"zdr":true}"#.parse().unwrap();
        })
        .await;
        let own = json!({ "sort": "price" });
        for body in of_each_lane(Some(&own)) {
            let got = app.messages(&body).await;
            assert_eq!(got.status, 200, "{}", got.body);
            assert_eq!(arrived(&app).body["provider"], own, "{body}");
            let log = log_of(&app, &got).await;
            assert!(log.contains("the client sent one of its own"), "{log}");
        }
        app.stop().await;
    });
}
