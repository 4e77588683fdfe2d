//! What the simulator says on the wire, seen by a plain HTTP client.

use std::time::Duration;

use serde_json::{Value, json};

use super::sessions;
use super::{Answer, Break, BreakKind, End, Script, Settings, Simulator, ToolIds, Turn};

struct Wire {
    simulator: Simulator,
    http: reqwest::Client,
}

impl Wire {
    async fn start() -> Self {
        let tls = rustls::ClientConfig::builder_with_provider(
            rustls::crypto::ring::default_provider().into(),
        )
        .with_safe_default_protocol_versions()
        .expect("ring speaks the default versions")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
        Self {
            simulator: Simulator::start(Settings::immediate())
                .await
                .expect("a free port exists"),
            http: reqwest::Client::builder()
                .tls_backend_preconfigured(tls)
                .no_proxy()
                .timeout(Duration::from_secs(20))
                .build()
                .expect("the client is plain"),
        }
    }

    fn post(&self, body: &Value) -> reqwest::RequestBuilder {
        self.http
            .post(format!("{}/chat/completions", self.simulator.base_url()))
            .header("authorization", "Bearer sk-or-test")
            .body(body.to_string())
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let url = format!("{}{path}", self.simulator.base_url());
        let response = self
            .http
            .get(url)
            .header("authorization", "Bearer k")
            .send()
            .await
            .expect("it answers");
        let status = response.status().as_u16();
        (
            status,
            serde_json::from_slice(&response.bytes().await.expect("a body")).expect("JSON"),
        )
    }

    /// The status and JSON of an answer that is not streamed.
    async fn ask(&self, body: &Value) -> (u16, Value) {
        let response = self.post(body).send().await.expect("it answers");
        assert_eq!(
            response
                .headers()
                .get("x-dagway-simulated")
                .map(reqwest::header::HeaderValue::as_bytes),
            Some(&b"true"[..])
        );
        let status = response.status().as_u16();
        (
            status,
            serde_json::from_slice(&response.bytes().await.expect("a body")).expect("JSON"),
        )
    }

    /// The text of a stream.
    async fn stream(&self, body: &Value) -> String {
        let mut body = body.clone();
        body["stream"] = true.into();
        let response = self.post(&body).send().await.expect("it answers");
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        response.text().await.expect("it ends")
    }

    async fn chunks(&self, body: &Value) -> Vec<Value> {
        chunks(&self.stream(body).await)
    }
}

fn chunks(stream: &str) -> Vec<Value> {
    let data = stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).expect("JSON"))
        .collect()
}

fn hello(model: &str) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": "Hello" }] })
}

fn directed(model: &str, directive: &Value) -> Value {
    let text = format!("SIM[{directive}]");
    json!({
        "model": model,
        "reasoning": { "enabled": true },
        "messages": [{ "role": "user", "content": text }],
        "tools": [{ "type": "function", "function": { "name": "Bash", "description": "", "parameters": { "type": "object" } } }],
    })
}

fn deltas<'a>(chunks: &'a [Value], pointer: &str) -> Vec<&'a Value> {
    chunks
        .iter()
        .filter_map(|chunk| chunk.pointer("/choices/0/delta")?.pointer(pointer))
        .collect()
}

fn joined(chunks: &[Value], pointer: &str) -> String {
    deltas(chunks, pointer)
        .iter()
        .filter_map(|value| value.as_str())
        .collect()
}

#[actix_web::test]
async fn a_claude_stream_has_the_peculiarities_of_the_real_one() {
    let wire = Wire::start().await;
    let turns = json!({ "turns": [{ "think": "I must look at the folder.", "text": "Looking.", "tool": "Bash", "args": { "command": "ls -la /tmp" } }] });
    let text = wire
        .stream(&directed("anthropic/claude-sonnet-5.5", &turns))
        .await;
    assert!(text.starts_with(": OPENROUTER PROCESSING\n\n"));
    assert!(text.ends_with("data: [DONE]\n\n"));
    let chunks = chunks(&text);
    assert!(
        chunks
            .iter()
            .all(|chunk| chunk["choices"][0]["delta"]["role"] == "assistant")
    );
    assert!(chunks.iter().all(|chunk| chunk["provider"] == "Simulated"));
    assert_eq!(joined(&chunks, "/reasoning"), "I must look at the folder.");
    assert_eq!(
        joined(&chunks, "/reasoning_details/0/text"),
        "I must look at the folder."
    );
    assert_eq!(joined(&chunks, "/content"), "Looking.");
    let signatures = deltas(&chunks, "/reasoning_details/0/signature");
    assert_eq!(signatures.len(), 1);
    let sealed = chunks.iter().find(|chunk| {
        chunk["choices"][0]["delta"]["reasoning_details"][0]["signature"].is_string()
    });
    assert!(
        sealed.expect("one is")["choices"][0]["delta"]["reasoning_details"][0]
            .get("text")
            .is_none()
    );
    assert_eq!(deltas(&chunks, "/tool_calls/0/id").len(), 1);
    assert_eq!(
        joined(&chunks, "/tool_calls/0/function/arguments"),
        r#"{"command":"ls -la /tmp"}"#
    );
    let finishes: Vec<&Value> = chunks
        .iter()
        .filter(|chunk| !chunk["choices"][0]["finish_reason"].is_null())
        .collect();
    assert_eq!(finishes.len(), 2, "the terminal chunk comes twice");
    assert!(finishes[0].get("usage").is_none());
    assert!(finishes[1]["usage"]["prompt_tokens"].is_u64());
    assert_eq!(
        finishes[1]["choices"][0]["native_finish_reason"],
        "tool_use"
    );
    wire.simulator.stop().await;
}

#[actix_web::test]
async fn interleaved_calls_alternate_and_repeated_ids_repeat() {
    let wire = Wire::start().await;
    let call = |path: &str| json!({ "name": "Bash", "args": { "command": format!("cat {path}/a/rather/long/path") } });
    let turns = json!({ "turns": [{ "tools": [call("one"), call("two")], "interleave": true, "ids": "repeat" }] });
    let chunks = wire.chunks(&directed("openai/gpt-5.6-mini", &turns)).await;
    let order: Vec<u64> = deltas(&chunks, "/tool_calls/0/index")
        .iter()
        .filter_map(|index| index.as_u64())
        .collect();
    let turns_taken = order.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(turns_taken >= 8, "{order:?}");
    let ids = deltas(&chunks, "/tool_calls/0/id");
    assert_eq!(ids, ["call_0", "call_1"]);
    wire.simulator.stop().await;
}

#[actix_web::test]
async fn reasoning_that_comes_back_untouched_is_taken_and_any_change_refused() {
    let wire = Wire::start().await;
    for (model, status) in [
        ("anthropic/claude-opus-5.5", 400),
        ("openai/gpt-5", 500),
        ("google/gemini-3-pro", 400),
    ] {
        let turns = json!({ "turns": [{ "think": "Thinking it over.", "tool": "Bash", "args": {} }, { "text": "Done." }] });
        let mut body = directed(model, &turns);
        let (_, first) = wire.ask(&body).await;
        let mut message = first["choices"][0]["message"].clone();
        message
            .as_object_mut()
            .expect("an object")
            .retain(|name, _| name != "images");
        for call in message["tool_calls"].as_array_mut().expect("calls") {
            call.as_object_mut().expect("an object").remove("index");
        }
        let id = message["tool_calls"][0]["id"].clone();
        let result = json!({ "role": "tool", "tool_call_id": id, "content": "a.txt" });
        let messages = body["messages"].as_array_mut().expect("messages");
        messages.extend([message, result]);
        let (found, second) = wire.ask(&body).await;
        assert_eq!(
            (found, &second["choices"][0]["message"]["content"]),
            (200, &json!("Done.")),
            "{model}: {second}"
        );

        let mut changed = body.clone();
        let details = changed["messages"][1]["reasoning_details"]
            .as_array_mut()
            .expect("details");
        for detail in details {
            for name in ["signature", "data"] {
                if let Some(token) = detail.get(name).and_then(Value::as_str) {
                    let token = token.replacen(token.get(30..31).expect("it is long"), "_", 1);
                    detail[name] = token.into();
                }
            }
        }
        let (found, refusal) = wire.ask(&changed).await;
        assert_eq!(found, status, "{model}: {refusal}");

        let mut twice = body.clone();
        let again: Vec<Value> = twice["messages"]
            .as_array()
            .expect("messages")
            .iter()
            .skip(1)
            .cloned()
            .collect();
        twice["messages"]
            .as_array_mut()
            .expect("messages")
            .extend(again);
        if model != "google/gemini-3-pro" {
            twice["messages"][3]["tool_calls"][0]["id"] = "another".into();
            twice["messages"][4]["tool_call_id"] = "another".into();
            let (found, refusal) = wire.ask(&twice).await;
            assert_eq!(found, status, "{model}: {refusal}");
        }
    }
    wire.simulator.stop().await;
}

#[actix_web::test]
async fn a_scripted_answer_waits_for_the_request_that_it_is_meant_for() {
    let wire = Wire::start().await;
    let is_gpt = |seen: &super::Seen| seen.body["model"] == "openai/gpt-5";
    wire.simulator.script(
        Script::new()
            .when(is_gpt, Turn::text("for gpt"))
            .then(Answer::error(503, "no room").with_header("retry-after", "2"))
            .then(Turn::text("second")),
    );
    let claude = hello("anthropic/claude-haiku-5.5");
    let response = wire.post(&claude).send().await.expect("it answers");
    assert_eq!(response.headers()["retry-after"], "2");
    assert_eq!(response.status().as_u16(), 503);
    assert_eq!(
        wire.ask(&hello("openai/gpt-5")).await.1["choices"][0]["message"]["content"],
        "for gpt"
    );
    assert_eq!(
        wire.ask(&claude).await.1["choices"][0]["message"]["content"],
        "second"
    );
    let (_, own) = wire.ask(&claude).await;
    assert!(
        own["choices"][0]["message"]["content"]
            .as_str()
            .expect("text")
            .contains("simulated")
    );
    wire.simulator.stop().await;
}

#[actix_web::test]
async fn a_turn_that_has_to_fail_twice_succeeds_at_the_third_request() {
    let wire = Wire::start().await;
    let fail = json!({ "status": 429, "times": 2, "retry_after": 7 });
    let body = directed(
        "anthropic/claude-sonnet-5.5",
        &json!({ "turns": [{ "fail": fail, "text": "at last" }] }),
    );
    for _ in 0..2 {
        let response = wire.post(&body).send().await.expect("it answers");
        assert_eq!(
            (
                response.status().as_u16(),
                &response.headers()["retry-after"]
            ),
            (429, &"7".parse().expect("a value"))
        );
    }
    assert_eq!(
        wire.ask(&body).await.1["choices"][0]["message"]["content"],
        "at last"
    );
    wire.simulator.stop().await;
}

#[actix_web::test]
async fn a_stream_breaks_in_each_of_the_ways() {
    let wire = Wire::start().await;
    let broken = |kind: BreakKind| Turn {
        breaks: Some(Break {
            after: 3,
            kind,
            times: 1,
            code: 502,
            message: "gone".to_owned(),
        }),
        ..Turn::text("This text is long enough to be cut into several pieces.")
    };
    let mut body = hello("anthropic/claude-sonnet-5.5");
    for (kind, pointer, value) in [
        (BreakKind::Error, "/error/message", json!("gone")),
        (BreakKind::BareError, "/error/code", json!(502)),
        (
            BreakKind::FinishError,
            "/choices/0/native_finish_reason",
            json!("MALFORMED_FUNCTION_CALL"),
        ),
    ] {
        wire.simulator.script(Script::new().then(broken(kind)));
        let chunks = wire.chunks(&body).await;
        assert_eq!(chunks.len(), 4);
        assert_eq!(chunks[3].pointer(pointer), Some(&value), "{kind:?}");
    }
    wire.simulator.script(
        Script::new()
            .then(broken(BreakKind::Close))
            .then(broken(BreakKind::Cut)),
    );
    assert!(!wire.stream(&body).await.contains("[DONE]"));
    body["stream"] = true.into();
    let response = wire.post(&body).send().await.expect("the headers come");
    assert!(response.text().await.is_err(), "the connection breaks");
    wire.simulator.stop().await;
}

#[actix_web::test]
async fn a_reset_and_a_silence_reach_the_client_as_such() {
    let wire = Wire::start().await;
    wire.simulator
        .script(Script::new().then(Answer::Reset).then(Answer::Hang));
    let body = hello("anthropic/claude-sonnet-5.5");
    let reset = wire
        .post(&body)
        .send()
        .await
        .expect_err("the connection is reset");
    assert!(!reset.is_timeout(), "{reset:?}");
    let silent = wire
        .post(&body)
        .timeout(Duration::from_millis(200))
        .send()
        .await;
    assert!(silent.expect_err("nothing comes").is_timeout());
    until(|| wire.simulator.requests()[1].hung_up).await;
    wire.simulator.stop().await;
}

#[actix_web::test]
async fn a_client_that_hangs_up_in_mid_stream_is_noticed() {
    let wire = Wire::start().await;
    let piece = |text: &str| super::Piece {
        pause: Duration::ZERO,
        bytes: text.to_owned().into(),
    };
    wire.simulator.script(Script::new().then(Answer::Sse {
        pieces: vec![piece("data: {}\n\n")],
        end: End::Hang,
    }));
    let mut body = hello("anthropic/claude-sonnet-5.5");
    body["stream"] = true.into();
    let mut response = wire.post(&body).send().await.expect("the headers come");
    assert!(response.chunk().await.expect("a piece comes").is_some());
    assert!(!wire.simulator.requests()[0].hung_up);
    drop(response);
    until(|| wire.simulator.requests()[0].hung_up).await;
    assert!(!wire.simulator.requests()[0].finished);
    wire.simulator.stop().await;
}

async fn until(holds: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(10), async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.expect("it happens within 10 s");
}

#[actix_web::test]
async fn limits_and_stop_sequences_cut_the_answer() {
    let wire = Wire::start().await;
    let long = Turn::text("one two three four five six seven eight nine ten");
    wire.simulator
        .script(Script::new().then(long.clone()).then(long));
    let mut body = hello("anthropic/claude-sonnet-5.5");
    body["max_tokens"] = 2.into();
    let (_, cut) = wire.ask(&body).await;
    assert_eq!(cut["choices"][0]["message"]["content"], "one two ");
    assert_eq!(cut["choices"][0]["finish_reason"], "length");
    body["max_tokens"] = 100.into();
    body["stop"] = json!(["four"]);
    let (_, stopped) = wire.ask(&body).await;
    assert_eq!(
        stopped["choices"][0]["message"]["content"],
        "one two three "
    );
    assert_eq!(
        stopped["choices"][0]["native_finish_reason"],
        "stop_sequence"
    );
    wire.simulator.stop().await;
}

#[actix_web::test]
async fn a_session_reads_from_its_cache_what_it_wrote() {
    let wire = Wire::start().await;
    let body = json!({
        "model": "anthropic/claude-sonnet-5.5", "session_id": "s",
        "messages": [{ "role": "user", "content": [{ "type": "text", "text": "Hello", "cache_control": { "type": "ephemeral" } }] }],
    });
    let (_, first) = wire.ask(&body).await;
    let (_, second) = wire.ask(&body).await;
    let details = |answer: &Value| answer["usage"]["prompt_tokens_details"].clone();
    let prompt = &first["usage"]["prompt_tokens"];
    assert_eq!(
        (
            &details(&first)["cached_tokens"],
            &details(&first)["cache_write_tokens"]
        ),
        (&json!(0), prompt)
    );
    assert_eq!(
        (
            &details(&second)["cached_tokens"],
            &details(&second)["cache_write_tokens"]
        ),
        (prompt, &json!(0))
    );
    wire.simulator.stop().await;
}

#[actix_web::test]
async fn accounts_and_catalogue_answer() {
    let wire = Wire::start().await;
    let (_, models) = wire.get("/models").await;
    assert!(models["data"].as_array().expect("a list").len() >= 12);
    assert_eq!(
        wire.get("/model/openai/gpt-5").await.1["data"]["id"],
        "openai/gpt-5"
    );
    assert_eq!(wire.get("/model/openai/none").await.0, 404);
    assert_eq!(wire.get("/key").await.1["data"]["label"], "simulated");
    assert_eq!(wire.get("/credits").await.0, 200);
    assert_eq!(wire.get("/messages").await.0, 404);
    let keyless = wire
        .http
        .post(format!("{}/chat/completions", wire.simulator.base_url()))
        .body("{}")
        .send()
        .await;
    assert_eq!(keyless.expect("it answers").status().as_u16(), 401);
    wire.simulator.stop().await;
}

#[actix_web::test]
async fn each_family_names_calls_in_its_own_way() {
    let wire = Wire::start().await;
    for (model, prefix) in [
        ("anthropic/claude-sonnet-4.5", "toolu_"),
        ("openai/gpt-5", "call_"),
        ("google/gemini-3-pro", "tool_Bash_"),
        ("moonshotai/kimi-k3", "functions.Bash:0"),
    ] {
        let (_, answer) = wire
            .ask(&directed(model, &json!({ "turns": [{ "tool": "Bash" }] })))
            .await;
        let id = answer["choices"][0]["message"]["tool_calls"][0]["id"]
            .as_str()
            .expect("an id");
        assert!(id.starts_with(prefix), "{model}: {id}");
    }
    wire.simulator.script(Script::new().then(Turn {
        ids: ToolIds::Empty,
        ..Turn::tool("Bash", json!({}))
    }));
    let (_, answer) = wire
        .ask(&directed("openai/gpt-5", &json!({ "turns": [] })))
        .await;
    assert_eq!(answer["choices"][0]["message"]["tool_calls"][0]["id"], "");
    wire.simulator.stop().await;
}

#[actix_web::test]
async fn a_gateway_that_is_not_there_is_an_error() {
    let wire = Wire::start().await;
    let address = wire.simulator.base_url();
    wire.simulator.stop().await;
    assert!(
        sessions::drive(&address, None, sessions::Pace::Fast)
            .await
            .is_err()
    );
}
