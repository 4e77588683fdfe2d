//! Bad input of every kind gets Anthropic's error shape, with the JSON path, and never a panic or a hang.

use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{DEADLINE, Got, TestApp, ask, block_on, read};

#[test]
fn a_bad_body_is_a_400_that_names_the_place() {
    block_on(async {
        let app = TestApp::start().await;
        for (body, path) in bad_bodies().into_iter().chain(bad_blocks()) {
            let got = app.messages(&body).await;
            assert_eq!(got.status, 400, "{path}: {}", got.body);
            let error = got.json();
            assert_eq!(error["type"], "error");
            assert_eq!(error["error"]["type"], "invalid_request_error");
            let message = error["error"]["message"].as_str().unwrap();
            assert!(message.starts_with(path), "expected {path} in: {message}");
            assert_eq!(error["request_id"], got.header("request-id"));
            let run = app.ended_run(&got.run()).await;
            assert_eq!(run["state"], "Failed", "a refused request is a run too");
            let asked = body["model"].as_str().map_or(Value::Null, Into::into);
            assert_eq!(run["facts"]["dagway.model.asked"], asked, "{path}");
        }
        app.stop().await;
    });
}

/// Requests of which one field is wrong, and its path.
fn bad_bodies() -> Vec<(Value, &'static str)> {
    let user = json!({ "role": "user", "content": "hi" });
    let without = |key: &str| {
        let mut body = ask("hi");
        body.as_object_mut().unwrap().remove(key);
        body
    };
    vec![
        (without("model"), "model"),
        (without("max_tokens"), "max_tokens"),
        (without("messages"), "messages"),
        (asking_with("model", json!(7)), "model"),
        (asking_with("max_tokens", json!("many")), "max_tokens"),
        (asking_with("max_tokens", json!(-1)), "max_tokens"),
        (asking_with("messages", json!([])), "messages"),
        (asking_with("messages", json!("hi")), "messages"),
        (
            asking_with("messages", json!([{ "role": "wizard", "content": "hi" }])),
            "messages.0.role",
        ),
        (
            asking_with("messages", json!([user, { "role": "assistant" }])),
            "messages.1.content",
        ),
        (asking_with("stream", json!("yes")), "stream"),
        (
            asking_with(
                "fallbacks",
                json!([{ "model": "openai/gpt-5" }, { "model": "nobody" }]),
            ),
            "fallbacks.1.model",
        ),
        (asking_with("system", json!(1)), "system"),
        (
            asking_with("tools", json!([{ "input_schema": { "type": "object" } }])),
            "tools.0.name",
        ),
        (asking_with("tools", json!({})), "tools"),
        (
            asking_with("tool_choice", json!({ "type": "sometimes" })),
            "tool_choice",
        ),
        (
            asking_with("thinking", json!({ "type": "enabled" })),
            "thinking.budget_tokens",
        ),
        (
            asking_with("stop_sequences", json!("stop")),
            "stop_sequences",
        ),
    ]
}

/// Requests of which one content block is wrong, and its path.
fn bad_blocks() -> Vec<(Value, &'static str)> {
    let content =
        |content: Value| asking_with("messages", json!([{ "role": "user", "content": content }]));
    vec![
        (
            content(json!([{ "type": "text" }])),
            "messages.0.content.0.text",
        ),
        (
            content(json!([{ "text": "no type" }])),
            "messages.0.content.0.type",
        ),
        (
            content(json!([{ "type": "image", "source": { "type": "base64", "data": "AAAA" } }])),
            "messages.0.content.0.source.media_type",
        ),
        (
            content(json!([{ "type": "image", "source": { "type": "file", "file_id": "f" } }])),
            "messages.0.content.0.source",
        ),
    ]
}

fn asking_with(key: &str, value: Value) -> Value {
    let mut body = ask("hi");
    body[key] = value;
    body
}

#[test]
fn a_body_that_is_no_json_is_a_400() {
    block_on(async {
        let app = TestApp::start().await;
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        let bodies: [&[u8]; 7] = [
            b"",
            b"{",
            b"null",
            b"[]",
            b"\"text\"",
            b"\xff\xfe{}",
            deep.as_bytes(),
        ];
        for body in bodies {
            for path in ["/v1/messages", "/v1/messages/count_tokens"] {
                let got = app.post_bytes(path, body.to_vec()).await;
                assert_eq!(got.status, 400, "{body:.20?}: {}", got.body);
                assert_eq!(got.json()["error"]["type"], "invalid_request_error");
            }
        }
        app.stop().await;
    });
}

#[test]
fn a_body_over_the_limit_is_a_413() {
    block_on(async {
        let app = TestApp::start_with(|settings| settings.server.body_limit_mb = 1).await;
        let got = app.messages(&ask(&"x".repeat(2 << 20))).await;
        assert_eq!(got.status, 413);
        assert_eq!(got.json()["error"]["type"], "request_too_large");
        refused_before_it_was_read(&app, &got).await;
        let fits = app.messages(&ask(&"x".repeat(900 << 10))).await;
        assert_eq!(fits.status, 200, "{}", fits.body);
        app.stop().await;
    });
}

/// A run that shows who asked and why it was refused, though nobody read what was asked.
async fn refused_before_it_was_read(app: &TestApp, got: &Got) {
    let run = app.ended_run(&got.run()).await;
    assert_eq!(run["state"], "Failed", "{run}");
    let why = got.json()["error"]["message"].take();
    let steps = run["steps"].as_array().unwrap();
    let failed = steps.iter().filter(|step| step["state"] == "Failed");
    let failed: Vec<_> = failed.map(|step| (&step["name"], &step["error"])).collect();
    assert_eq!(failed, [(&json!("validate"), &why)]);
    let payload = async |name| {
        app.get(&format!("/api/runs/{}/payloads/{name}", got.run()))
            .await
    };
    assert_eq!(payload("client.request").await.status, 404);
    assert_eq!(payload("client.response").await.body, got.body);
    let headers = payload("client.request.headers").await;
    assert!(headers.body.contains("content-length"), "{}", headers.body);
}

#[test]
fn what_is_wrong_is_quoted_in_part() {
    block_on(async {
        let app = TestApp::start().await;
        let long = "x".repeat(3 << 20);
        let block =
            |block: Value| asking_with("messages", json!([{ "role": "user", "content": [block] }]));
        for body in [
            asking_with("model", json!(long)),
            asking_with("tool_choice", json!({ "type": "tool", "name": long })),
            block(json!({ "type": long })),
            block(json!({ "type": "text", "text": "hi", "cache_control": { "type": long } })),
            asking_with("metadata", json!({ "user_id": long })),
        ] {
            let request = app.http.post(app.url("/v1/messages"));
            let request = request.header("x-claude-code-session-id", "s".repeat(3_000));
            let request = request.body(body.to_string());
            let got = read(request.send().await.unwrap()).await;
            assert!(got.body.len() < 20_000, "{:.200}", got.body);
            app.ended_run(&got.run()).await;
        }
        for page in ["/runs", "/api/runs"] {
            let got = app.get(page).await;
            assert_eq!(got.status, 200);
            assert!(got.body.len() < 100_000, "{page}: {} bytes", got.body.len());
        }
        app.stop().await;
    });
}

#[test]
fn what_is_no_text_is_a_run_that_says_so() {
    block_on(async {
        let app = TestApp::start().await;
        for path in ["/v1/messages", "/v1/messages/count_tokens"] {
            let got = app.post_bytes(path, b"\xff\xfe{}".to_vec()).await;
            assert_eq!(
                got.json()["error"]["message"],
                "body: the body is not UTF-8 text"
            );
            refused_before_it_was_read(&app, &got).await;
            let request = app.http.post(app.url(path));
            let request = request.header("x-claude-code-session-id", "s-refused");
            let request = request.header("content-encoding", "br").body("{}");
            let got = read(request.send().await.unwrap()).await;
            assert_eq!(got.status, 415);
            refused_before_it_was_read(&app, &got).await;
            let listed = app.get("/api/runs?session=s-refused").await.json();
            assert_eq!(listed["runs"][0]["id"], got.run(), "{listed}");
        }
        app.stop().await;
    });
}

#[test]
fn a_body_without_an_announced_length_is_limited_too() {
    block_on(async {
        let app = TestApp::start_with(|settings| settings.server.body_limit_mb = 1).await;
        let address = app.app.url().trim_start_matches("http://").to_owned();
        let mut socket = tokio::net::TcpStream::connect(&address).await.unwrap();
        let head = format!(
            "POST /v1/messages HTTP/1.1\r\nhost: {address}\r\ntransfer-encoding: chunked\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
        for _ in 0..40 {
            // The server may answer and close before all is sent.
            if socket.write_all(chunk.as_bytes()).await.is_err() {
                break;
            }
        }
        let mut answer = vec![0; 64];
        let read = tokio::time::timeout(DEADLINE, socket.read(&mut answer))
            .await
            .expect("an answer in time")
            .unwrap_or(0);
        let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 413"),
            "{answer}"
        );
        app.stop().await;
    });
}

#[test]
fn wild_bodies_never_break_the_server() {
    block_on(async {
        let app = TestApp::start().await;
        let mut bodies = Vec::new();
        let mut runner = TestRunner::new(Config {
            cases: 1,
            ..Config::default()
        });
        for _ in 0..400 {
            bodies.push(wild_body().new_tree(&mut runner).unwrap().current());
        }
        for body in bodies {
            let sent = app.post_bytes("/v1/messages", body.clone());
            let got = tokio::time::timeout(Duration::from_secs(10), sent)
                .await
                .expect("an answer in time");
            let text = String::from_utf8_lossy(&body).into_owned();
            assert!(
                got.status == 200 || got.status == 400,
                "{}: {text}",
                got.status
            );
            if got.status == 400 {
                assert_eq!(
                    got.json()["error"]["type"],
                    "invalid_request_error",
                    "{text}"
                );
            }
        }
        assert_eq!(app.get("/health").await.status, 200);
        app.stop().await;
    });
}

/// Places of `conversation` where something may be wrong.
const PLACES: [&str; 16] = [
    "/model",
    "/max_tokens",
    "/stream",
    "/messages",
    "/messages/0",
    "/messages/0/role",
    "/messages/0/content",
    "/messages/1/content/0",
    "/messages/1/content/1",
    "/messages/2/content/0",
    "/messages/2/content/0/content",
    "/system",
    "/tools",
    "/tools/0",
    "/thinking",
    "/metadata",
];

/// Keys of content blocks and messages.
const KEYS: [&str; 10] = [
    "type",
    "text",
    "role",
    "content",
    "id",
    "name",
    "input",
    "source",
    "tool_use_id",
    "x",
];

/// Values that mean something in some place.
const WORDS: [&str; 9] = [
    "user",
    "assistant",
    "system",
    "text",
    "tool_use",
    "tool_result",
    "thinking",
    "auto",
    "opus",
];

/// Bodies that are nearly right: a valid request with one or two places replaced.
fn wild_body() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop::sample::select(&WORDS[..]).prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(4, 32, 4, |inner| {
        let key = prop::sample::select(&KEYS[..]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..5).prop_map(|pairs| pairs
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect::<serde_json::Map<_, _>>()
                .into()),
        ]
    });
    let place = prop::sample::select(&PLACES[..]);
    (
        prop::collection::vec((place, value), 1..3),
        any::<prop::sample::Index>(),
        any::<bool>(),
    )
        .prop_map(|(changes, cut, is_cut)| {
            let mut body = conversation();
            for (place, value) in changes {
                if let Some(slot) = body.pointer_mut(place) {
                    *slot = value;
                }
            }
            let mut bytes = body.to_string().into_bytes();
            if is_cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            bytes
        })
}

/// A request with a place for everything.
fn conversation() -> Value {
    let mut body = ask("hello");
    body["system"] = json!([{ "type": "text", "text": "be kind" }]);
    body["tools"] = json!([{ "name": "Bash", "input_schema": { "type": "object" } }]);
    body["thinking"] = json!({ "type": "adaptive" });
    body["metadata"] = json!({ "user_id": "u" });
    body["messages"] = json!([
        { "role": "user", "content": "hello" },
        { "role": "assistant", "content": [{ "type": "text", "text": "calling" }, { "type": "tool_use", "id": "t1", "name": "Bash", "input": {} }] },
        { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "t1", "content": "done" }] },
    ]);
    body
}

#[test]
fn a_million_blanks_are_counted() {
    block_on(async {
        let app = TestApp::start().await;
        for blanks in [
            " ".repeat(1_000_001),
            format!("x{}y", "\t".repeat(1_000_001)),
        ] {
            let body =
                json!({ "model": "opus", "messages": [{ "role": "user", "content": blanks }] });
            let got = app.post("/v1/messages/count_tokens", &body).await;
            assert_eq!(got.status, 200, "{}", got.body);
            assert!(
                got.json()["input_tokens"].as_u64() > Some(1_000),
                "{}",
                got.body
            );
        }
        app.stop().await;
    });
}
