//! What goes wrong on real sockets: silence, broken lines, errors in mid-stream, clients that hang up.

use std::time::{Duration, Instant};

use bytes::Bytes;
use dagway::simulator::{Answer, End, Piece, Script, Seen, Turn};
use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::support::{DEADLINE, TestApp, ask, ask_whole, block_on, events, eventually, read};

/// A chunk of a streamed completion with this text.
fn chunk(text: &str) -> String {
    let delta = json!({ "role": "assistant", "content": text });
    json!({ "id": "gen-1", "model": "m", "provider": "Simulated", "choices": [{ "index": 0, "delta": delta, "finish_reason": null }] })
        .to_string()
}

fn piece(pause_ms: u64, line: &str) -> Piece {
    Piece {
        pause: Duration::from_millis(pause_ms),
        bytes: Bytes::from(format!("data: {line}\n\n")),
    }
}

/// Whether a run says that its client hung up while the upstream was asked.
fn is_told_as_hung_up(run: &Value) {
    assert_eq!(run["state"], "Cancelled", "{run}");
    let told = run["error"].as_str().unwrap();
    let said = "call_upstream: the client hung up after ";
    assert!(told.starts_with(said), "{told}");
}

#[test]
fn a_rate_limit_is_waited_out_and_the_run_shows_both_attempts() {
    block_on(async {
        let app = TestApp::start().await;
        app.script(
            Script::new()
                .then(Answer::error(429, "slow down"))
                .then(Turn::text("Now.")),
        );
        let got = app.messages(&ask("hello")).await;
        assert_eq!((got.status, got.text().as_str()), (200, "Now."));
        let run = app.ended_run(&got.run()).await;
        assert_eq!(run["state"], "Completed");
        assert_eq!(run["facts"]["dagway.retries"], 1);
        let step = run["steps"]
            .as_array()
            .unwrap()
            .iter()
            .find(|step| step["name"] == "call_upstream")
            .unwrap();
        assert_eq!(step["attempts"], 2, "{step}");
        let states: Vec<&str> = step["history"]
            .as_array()
            .unwrap()
            .iter()
            .map(|change| change["state"].as_str().unwrap())
            .collect();
        assert!(states.contains(&"Retrying"), "{states:?}");
        let path = format!("/api/runs/{}/payloads/upstream.refusals", got.run());
        let refusal: Value = serde_json::from_str(&app.get(&path).await.body).unwrap();
        assert_eq!(
            (&refusal["attempt"], &refusal["status"]),
            (&1.into(), &429.into())
        );
        assert_eq!(
            refusal["body"]["error"]["message"], "slow down",
            "{refusal}"
        );
        assert!(refusal["headers"]["content-type"].is_string(), "{refusal}");
        app.stop().await;
    });
}

#[test]
fn attempts_end_and_the_last_error_is_told() {
    block_on(async {
        let app = TestApp::start().await;
        let mut script = Script::new();
        for attempt in 1..=3 {
            script = script.then(Answer::error(503, &format!("busy {attempt}")));
        }
        app.script(script);
        let got = app.messages(&ask("hello")).await;
        assert_eq!(got.status, 529, "{}", got.body);
        assert_eq!(got.json()["error"]["type"], "overloaded_error");
        assert!(got.body.contains("busy 3"));
        let run = app.ended_run(&got.run()).await;
        assert_eq!(run["state"], "Failed");
        assert_eq!(run["facts"]["dagway.upstream.status_code"], 503);
        let own = run["facts"]["dagway.overhead_us"].as_f64().unwrap();
        let whole = run["duration_ms"].as_f64().unwrap() * 1e3;
        assert!(own < whole / 2.0, "pauses are no work: {own} of {whole} µs");
        let path = format!("/api/runs/{}/payloads/upstream.refusals", got.run());
        assert_eq!(app.get(&path).await.body.lines().count(), 3);
        app.stop().await;
    });
}

#[test]
fn an_error_at_the_head_of_a_200_stream_becomes_a_status() {
    block_on(async {
        let app = TestApp::start().await;
        let error = json!({ "error": { "code": 403, "message": "moderated" } }).to_string();
        app.script(Script::new().then(Answer::data_lines(&[&error], End::Clean)));
        let got = app.messages(&ask("hello")).await;
        assert_eq!(got.status, 403, "{}", got.body);
        assert_eq!(got.json()["error"]["type"], "permission_error");
        app.stop().await;
    });
}

/// What follows a chunk that holds only a role, and the pause before it.
fn after_a_role(pause_ms: u64, line: &str, end: End) -> Answer {
    let pieces = vec![piece(0, &chunk("")), piece(pause_ms, line)];
    Answer::Sse { pieces, end }
}

fn last_of_an_answer(text: &str) -> String {
    json!({ "choices": [{ "index": 0, "delta": { "content": text }, "finish_reason": "stop" }],
            "usage": { "prompt_tokens": 5, "completion_tokens": text.len() } })
    .to_string()
}

#[test]
fn a_finished_answer_is_not_held_open_by_comments() {
    block_on(async {
        let app = TestApp::start().await;
        let last = json!({ "choices": [{ "index": 0, "delta": { "content": "Done." }, "finish_reason": "stop" }] });
        let comment = || Piece {
            pause: Duration::from_millis(400),
            bytes: Bytes::from_static(b": still here\n\n"),
        };
        let mut pieces = vec![piece(0, &last.to_string())];
        pieces.extend(std::iter::repeat_with(comment).take(50));
        let end = End::Clean;
        app.script(Script::new().then(Answer::Sse { pieces, end }));
        let begun = Instant::now();
        let got = app.messages(&ask("hello")).await;
        assert_eq!(got.events().last().unwrap().0, "message_stop");
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "the comments take 20 s"
        );
        app.stop().await;
    });
}

#[test]
fn an_error_behind_a_chunk_that_says_nothing_becomes_a_status() {
    block_on(async {
        let app = TestApp::start().await;
        let overflow = "This endpoint's maximum context length is 200 tokens. However, you requested about 250 tokens.";
        for (code, said, status, kind) in [
            (403, "moderated", 403, "permission_error"),
            (400, overflow, 400, "invalid_request_error"),
        ] {
            let error = json!({ "error": { "code": code, "message": said } }).to_string();
            app.script(Script::new().then(after_a_role(30, &error, End::Clean)));
            let got = app.messages(&ask("hello")).await;
            assert_eq!(got.status, status, "{}", got.body);
            assert_eq!(got.json()["error"]["type"], kind);
        }
        app.stop().await;
    });
}

#[test]
fn what_fails_or_is_over_before_it_says_anything_is_asked_again() {
    block_on(async {
        let app = TestApp::start().await;
        let slow = json!({ "error": { "code": 429, "message": "rl" } }).to_string();
        let failed = json!({ "choices": [{ "index": 0, "delta": { "content": "" }, "finish_reason": "error", "native_finish_reason": "MALFORMED_FUNCTION_CALL" }] }).to_string();
        let nothing = json!({ "choices": [] }).to_string();
        let failures = [
            after_a_role(20, &slow, End::Clean),
            after_a_role(20, &failed, End::Clean),
            after_a_role(20, &nothing, End::Cut),
            after_a_role(20, &nothing, End::Clean),
            after_a_role(20, &last_of_an_answer(""), End::Clean),
        ];
        for failure in failures {
            let now = Turn::text("Now.");
            app.script(Script::new().then(failure).then(now));
            let got = app.messages(&ask("hello")).await;
            assert_eq!(got.status, 200, "{}", got.body);
            assert_eq!(got.text(), "Now.");
            let run = app.ended_run(&got.run()).await;
            assert_eq!(run["facts"]["dagway.retries"], 1, "{run}");
        }
        app.stop().await;
    });
}

#[test]
fn a_whole_answer_with_nothing_in_it_is_asked_for_again() {
    block_on(async {
        let app = TestApp::start().await;
        let of = |text: &str| {
            Answer::Http {
            status: 200,
            headers: Vec::new(),
            body: json!({ "choices": [{ "index": 0, "message": { "content": text }, "finish_reason": "stop" }],
                          "usage": { "prompt_tokens": 5, "completion_tokens": text.len() } })
            .to_string(),
        }
        };
        app.script(Script::new().then(of("")).then(of("Now.")));
        let got = app.messages(&ask_whole("hello")).await;
        assert_eq!(got.status, 200, "{}", got.body);
        assert_eq!(got.json()["content"][0]["text"], "Now.");
        app.script(Script::new().then(of("")).then(of("")).then(of("")));
        let got = app.messages(&ask_whole("hello")).await;
        assert_eq!(got.status, 529, "{}", got.body);
        assert!(got.body.contains("an empty answer"), "{}", got.body);
        app.stop().await;
    });
}

#[test]
fn a_beginning_that_says_nothing_is_held_back_for_a_while_and_lost_never() {
    block_on(async {
        let app = TestApp::start_with(|settings| {
            settings.upstream.early_error_wait = Duration::from_millis(300);
        })
        .await;
        for (pause_ms, is_in_time) in [(100, true), (900, false)] {
            let last = last_of_an_answer("Late.");
            app.script(Script::new().then(after_a_role(pause_ms, &last, End::Clean)));
            let got = app.messages(&ask("hello")).await;
            assert_eq!((got.status, got.text().as_str()), (200, "Late."));
            let run = app.ended_run(&got.run()).await;
            let path = format!("/api/runs/{}/payloads/upstream.response", got.run());
            let kept = app.get(&path).await.body;
            let sent = format!("data: {}\n\ndata: {last}\n\n", chunk(""));
            assert_eq!(kept, sent, "byte for byte");
            let facts = &run["facts"];
            let first = facts["gen_ai.response.time_to_first_chunk"].as_f64();
            assert!(
                first.unwrap() < 0.1,
                "when it came, not when it went: {run}"
            );
            let own = facts["dagway.overhead_us"].as_f64().unwrap();
            assert!(own < 90e3, "to wait is no work: {is_in_time} {own} µs");
            let first = run["first_token_ms"].as_f64().unwrap();
            let paused = pause_ms as f64;
            assert!(first >= paused, "the client heard nothing before: {run}");
        }
        app.stop().await;
    });
}

#[test]
fn what_failed_before_its_first_word_costs_nothing_and_what_broke_off_is_estimated() {
    block_on(async {
        let app = TestApp::start_with(|settings| {
            settings.upstream.early_error_wait = Duration::from_millis(50);
        })
        .await;
        // Prices are known once there is a catalogue.
        assert_eq!(app.get("/v1/models").await.status, 200);
        let error = r#"{"error":{"code":502,"message":"Provider disconnected"}}"#;
        for (first, is_charged) in [("", false), ("Once upon a time", true)] {
            app.script(Script::new().then(Answer::Sse {
                pieces: vec![piece(0, &chunk(first)), piece(300, error)],
                end: End::Clean,
            }));
            let got = app.messages(&ask("hello")).await;
            assert_eq!(got.events().last().unwrap().0, "error", "{}", got.body);
            let run = app.ended_run(&got.run()).await;
            let cost = run["facts"]["dagway.cost_usd"].as_f64();
            assert_eq!(cost.is_some(), is_charged, "{run}");
        }
        app.stop().await;
    });
}

#[test]
fn an_error_in_mid_stream_reaches_the_client_and_nothing_pretends_to_be_whole() {
    block_on(async {
        let app = TestApp::start().await;
        let error = json!({
            "id": "gen-1", "error": { "code": 502, "message": "provider went away" },
            "choices": [{ "index": 0, "delta": { "content": "" }, "finish_reason": "error" }],
        });
        let lines = [chunk("Half an "), error.to_string()];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        app.script(Script::new().then(Answer::data_lines(&lines, End::Clean)));
        let got = app.messages(&ask("hello")).await;
        assert_eq!(got.status, 200);
        let events = got.events();
        let (name, error) = events.last().unwrap();
        assert_eq!(name, "error");
        assert!(
            error["error"]["message"]
                .as_str()
                .unwrap()
                .contains("provider went away"),
            "{error}"
        );
        assert!(
            events
                .iter()
                .all(|(name, _)| name != "message_stop" && name != "message_delta")
        );
        let run = app.ended_run(&got.run()).await;
        assert_eq!(run["state"], "Failed");
        assert_eq!(run["facts"]["dagway.usage.is_estimate"], true, "{run}");
        assert_eq!(run["facts"]["error.type"], error["error"]["type"], "{run}");
        assert_eq!(
            run["error"],
            "convert_response: the upstream failed in mid-answer: provider went away"
        );
        let kept = app
            .get(&format!("/api/runs/{}/payloads/client.response", got.run()))
            .await;
        assert_eq!(kept.body, got.body, "what was streamed is kept");
        app.stop().await;
    });
}

#[test]
fn a_connection_cut_in_mid_stream_is_an_error_event() {
    block_on(async {
        let app = TestApp::start().await;
        let pieces = vec![piece(0, &chunk("Half an "))];
        for end in [End::Cut, End::Clean] {
            app.script(Script::new().then(Answer::Sse {
                pieces: pieces.clone(),
                end,
            }));
            let got = app.messages(&ask("hello")).await;
            assert_eq!(
                got.events().last().unwrap().0,
                "error",
                "{end:?}: {}",
                got.body
            );
            assert_eq!(app.ended_run(&got.run()).await["state"], "Failed");
        }
        app.stop().await;
    });
}

#[test]
fn silence_is_filled_with_pings_and_ended_by_an_error() {
    block_on(async {
        let app = TestApp::start_with(|settings| {
            settings.server.ping_after = Duration::from_millis(40);
            settings.upstream.idle_timeout = Duration::from_millis(400);
        })
        .await;
        app.script(Script::new().then(Answer::Sse {
            pieces: vec![piece(0, &chunk("Well… "))],
            end: End::Hang,
        }));
        let got = tokio::time::timeout(DEADLINE, app.messages(&ask("hello")))
            .await
            .expect("the stream is given up");
        let events = got.events();
        let pings = events.iter().filter(|(name, _)| name == "ping").count();
        assert!((3..=12).contains(&pings), "{pings} pings: {}", got.body);
        let (name, error) = events.last().unwrap();
        assert_eq!(
            (name.as_str(), &error["error"]["type"]),
            ("error", &json!("timeout_error"))
        );
        assert_eq!(app.ended_run(&got.run()).await["state"], "Failed");
        app.stop().await;
    });
}

/// A Dagway that begins streams after 100 ms, and an upstream that says nothing for half a second.
async fn with_a_slow_upstream(line: &str) -> TestApp {
    let app = TestApp::start_with(|settings| {
        settings.server.ping_after = Duration::from_millis(100);
        settings.server.answer_after = Duration::from_millis(100);
    })
    .await;
    app.script(Script::new().then(Answer::Sse {
        pieces: vec![piece(500, line)],
        end: End::Clean,
    }));
    app
}

#[test]
fn a_stream_begins_with_pings_while_the_upstream_says_nothing_at_all() {
    block_on(async {
        let app = with_a_slow_upstream(&last_of_an_answer("At last.")).await;
        let begun = Instant::now();
        let got = app.messages(&ask("hello")).await;
        assert!(begun.elapsed() >= Duration::from_millis(500));
        assert_eq!(got.status, 200);
        assert_eq!(got.text(), "At last.");
        let names: Vec<_> = got.events().into_iter().map(|(name, _)| name).collect();
        let pings = names.iter().take_while(|name| *name == "ping").count();
        assert!((2..=5).contains(&pings), "{names:?}");
        assert_eq!(names[pings], "message_start");
        assert_eq!(names.last().unwrap(), "message_stop");
        let overhead: u64 = got.header("x-dagway-overhead-us").parse().unwrap();
        assert!(overhead < 90_000, "{overhead} µs are not the upstream's");
        let run = app.ended_run(&got.run()).await;
        assert_eq!(run["state"], "Completed", "{run}");
        let payload = app
            .get(&format!("/api/runs/{}/payloads/client.response", got.run()))
            .await;
        assert_eq!(payload.body, got.body, "what was said early is recorded");
        assert_eq!(run["bytes"], got.body.len(), "and counted: {run}");
        app.stop().await;
    });
}

#[test]
fn a_pause_in_which_the_client_s_stream_begins_is_no_time_of_dagway_s_own() {
    block_on(async {
        let app = TestApp::start_with(|settings| {
            settings.server.answer_after = Duration::from_millis(600);
        })
        .await;
        let busy = Answer::error(503, "busy").with_header("retry-after", "1");
        app.script(Script::new().then(busy).then(Turn::text("At last.")));
        let got = app.messages(&ask("hello")).await;
        assert_eq!(got.text(), "At last.", "{}", got.body);
        assert_eq!(got.events()[0].0, "ping", "it began in the pause");
        let own: u64 = got.header("x-dagway-overhead-us").parse().unwrap();
        assert!(own < 300_000, "{own} µs are not the pause's");
        app.stop().await;
    });
}

#[test]
fn a_failure_behind_early_pings_is_an_error_event() {
    block_on(async {
        let refused = r#"{"error":{"code":400,"message":"no such thing"}}"#;
        let app = with_a_slow_upstream(refused).await;
        let got = app.messages(&ask("hello")).await;
        assert_eq!(got.status, 200);
        let events = got.events();
        let (name, error) = events.last().unwrap();
        assert_eq!(name, "error", "{}", got.body);
        assert_eq!(error["error"]["type"], "invalid_request_error");
        assert!(error["request_id"].is_string(), "{error}");
        let run = app.ended_run(&got.run()).await;
        assert_eq!(run["state"], "Failed", "{run}");
        assert_eq!(run["bytes"], got.body.len(), "{run}");
        assert_eq!(run["pieces"], events.len(), "{run}");
        app.stop().await;
    });
}

#[test]
fn who_asked_for_no_stream_gets_none_however_long_it_takes() {
    block_on(async {
        let app = with_a_slow_upstream(&last_of_an_answer("At last.")).await;
        let got = app.messages(&ask_whole("hello")).await;
        assert_eq!(got.header("content-type"), "application/json");
        assert_eq!(got.json()["content"][0]["text"], "At last.");
        app.stop().await;
    });
}

#[test]
fn a_count_is_a_count_however_long_it_takes_and_whatever_else_is_asked() {
    block_on(async {
        let app = TestApp::start_with(|settings| {
            settings.server.answer_after = Duration::from_millis(1);
        })
        .await;
        let mut body = ask(&"a word and another ".repeat(50_000));
        body["stream"] = true.into();
        let got = app.post("/v1/messages/count_tokens", &body).await;
        assert_eq!(got.header("content-type"), "application/json");
        assert!(got.json()["input_tokens"].as_u64().unwrap() > 50_000);
        app.stop().await;
    });
}

#[test]
fn a_client_that_hangs_up_on_early_pings_cancels_the_run() {
    block_on(async {
        let app = TestApp::start_with(|settings| {
            settings.server.answer_after = Duration::from_millis(100);
        })
        .await;
        app.script(Script::new().then(Answer::Hang));
        let answer = app
            .http
            .post(app.url("/v1/messages"))
            .body(ask("hello").to_string())
            .send()
            .await
            .unwrap();
        let run = answer.headers()["x-dagway-run"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(app.body_bytes_held().await > 0, "the run has its request");
        drop(answer);
        eventually("the upstream is freed", || {
            app.simulator.requests().iter().any(|seen| seen.hung_up)
        })
        .await;
        let run = app.ended_run(&run).await;
        assert_eq!(app.body_bytes_held().await, 0, "the room is given back");
        is_told_as_hung_up(&run);
        app.stop().await;
    });
}

#[test]
fn a_whole_answer_that_is_missing_or_cut_is_asked_for_again() {
    block_on(async {
        let app = TestApp::start().await;
        let answer = |body: &str| Answer::Http {
            status: 200,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.to_owned(),
        };
        let cut = r#"{"id":"gen-1","choices":[{"message":{"role":"assistant","content":"Hal"#;
        app.script(
            Script::new()
                .then(answer(" \n"))
                .then(answer(cut))
                .then(Turn::text("All of it.")),
        );
        let got = app.messages(&ask_whole("hello")).await;
        assert_eq!(got.status, 200, "{}", got.body);
        assert_eq!(got.json()["content"][0]["text"], "All of it.");
        let run = app.ended_run(&got.run()).await;
        assert_eq!(run["facts"]["dagway.retries"], 2, "{run}");
        app.stop().await;
    });
}

#[test]
fn comments_alone_do_not_keep_a_stream_alive() {
    block_on(async {
        let app = TestApp::start_with(|settings| {
            settings.server.ping_after = Duration::from_millis(50);
            settings.upstream.idle_timeout = Duration::from_secs(10);
            settings.upstream.progress_timeout = Duration::from_millis(400);
        })
        .await;
        let comment = Piece {
            pause: Duration::from_millis(30),
            bytes: Bytes::from_static(b": OPENROUTER PROCESSING\n\n"),
        };
        let mut pieces = vec![piece(0, &chunk("Well… "))];
        pieces.extend(vec![comment; 60]);
        app.script(Script::new().then(Answer::Sse {
            pieces,
            end: End::Hang,
        }));
        let got = tokio::time::timeout(DEADLINE, app.messages(&ask("hello")))
            .await
            .expect("the stream is given up");
        let events = got.events();
        assert_eq!(events.last().unwrap().0, "error", "{}", got.body);
        let pings = events.iter().filter(|(name, _)| name == "ping").count();
        assert!(
            pings > 2,
            "comments are no news to the client: {}",
            got.body
        );
        app.stop().await;
    });
}

#[test]
fn while_the_upstream_thinks_unasked_the_client_gets_pings() {
    block_on(async {
        let app = TestApp::start_with(|settings| {
            settings.server.ping_after = Duration::from_millis(60);
        })
        .await;
        let thought = json!({ "id": "gen-1", "model": "m", "choices": [{ "index": 0, "finish_reason": null,
            "delta": { "role": "assistant", "content": "", "reasoning": "hm ",
                "reasoning_details": [{ "type": "reasoning.text", "text": "hm ", "index": 0, "format": "unknown" }] } }] });
        let mut pieces = vec![piece(20, &thought.to_string()); 30];
        pieces.extend([
            piece(0, &chunk("So.")),
            piece(0, r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":20}}"#),
            piece(0, "[DONE]"),
        ]);
        let end = End::Clean;
        app.script(Script::new().then(Answer::Sse { pieces, end }));
        let got = app.messages(&ask("hello")).await;
        assert_eq!(got.text(), "So.", "{}", got.body);
        let events = got.events();
        let begun = events
            .iter()
            .position(|(name, _)| name == "content_block_start");
        let before = events.iter().take(begun.unwrap());
        let pings = before.filter(|(name, _)| name == "ping").count();
        assert!(pings > 2, "{pings} pings: {}", got.body);
        app.stop().await;
    });
}

#[test]
fn patience_shorter_than_the_time_to_a_ping_is_kept() {
    block_on(async {
        let app = TestApp::start_with(|settings| {
            settings.upstream.idle_timeout = Duration::from_millis(300);
        })
        .await;
        let pieces = vec![piece(0, &chunk("Well… "))];
        let end = End::Hang;
        app.script(Script::new().then(Answer::Sse { pieces, end }));
        let got = app.messages(&ask("hello")).await;
        let (name, error) = got.events().pop().unwrap();
        assert_eq!(name, "error", "{}", got.body);
        let message = error["error"]["message"].as_str().unwrap();
        assert!(message.contains("sent nothing for 0 s"), "{message}");
        app.stop().await;
    });
}

#[test]
fn a_client_that_hangs_up_in_mid_stream_frees_the_upstream_and_is_accounted() {
    block_on(async {
        let app = TestApp::start().await;
        let pieces = (0..2000)
            .map(|number| piece(10, &chunk(&format!("word {number} "))))
            .collect();
        app.script(Script::new().then(Answer::Sse {
            pieces,
            end: End::Clean,
        }));
        let response = app.open_stream(&ask("hello")).await;
        let run = response.headers()["x-dagway-run"]
            .to_str()
            .unwrap()
            .to_owned();
        let mut pieces = response.bytes_stream();
        let first = pieces.next().await.unwrap().unwrap();
        assert!(!first.is_empty());
        drop(pieces);
        eventually("the upstream is freed", || {
            app.simulator.requests().iter().any(|seen| seen.hung_up)
        })
        .await;
        let run = app.ended_run(&run).await;
        assert_eq!(run["state"], "Cancelled", "{run}");
        let told = run["error"].as_str().unwrap();
        assert!(
            told.starts_with("convert_response: the client hung up after "),
            "{told}"
        );
        let log_usage = run["steps"]
            .as_array()
            .unwrap()
            .iter()
            .find(|step| step["name"] == "log_usage")
            .unwrap();
        assert_eq!(
            log_usage["state"], "Completed",
            "accounting runs with what was seen"
        );
        app.stop().await;
    });
}

#[test]
fn events_in_place_of_a_document_are_over_with_their_own_end() {
    block_on(async {
        let app = TestApp::start().await;
        let pieces = vec![
            piece(0, &chunk("Done.")),
            piece(
                0,
                r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2}}"#,
            ),
            piece(0, "[DONE]"),
        ];
        let end = End::Hang;
        app.script(Script::new().then(Answer::Sse { pieces, end }));
        let got = tokio::time::timeout(DEADLINE, app.messages(&ask_whole("hello"))).await;
        let got = got.expect("the open connection is not waited for");
        assert_eq!(got.json()["content"][0]["text"], "Done.", "{}", got.body);
        app.stop().await;
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_client_that_reads_nothing_is_given_up() {
    use std::io::Write;
    use std::net::SocketAddr;

    block_on(async {
        let app = TestApp::start_with(|settings| {
            settings.server.stalled_client = Duration::from_millis(700);
        })
        .await;
        let pieces = vec![piece(0, &chunk(&"x".repeat(64 << 10))); 400];
        let end = End::Clean;
        app.script(Script::new().then(Answer::Sse { pieces, end }));
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let mut socket = socket.unwrap();
        socket.set_recv_buffer_size(4 << 10).unwrap();
        let address: SocketAddr = app.app.address();
        socket.connect(&address.into()).unwrap();
        let body = ask("hello").to_string();
        let head = format!(
            "POST /v1/messages HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        socket.write_all((head + &body).as_bytes()).unwrap();
        let run = app.ended_run(&app.only_run().await).await;
        assert_eq!(run["state"], "Cancelled", "{run}");
        let freed = || app.simulator.requests().iter().any(|seen| seen.hung_up);
        eventually("the upstream is freed", freed).await;
        drop(socket);
        app.stop().await;
    });
}

#[test]
fn a_client_that_hangs_up_before_the_answer_cancels_the_run() {
    block_on(async {
        let app = TestApp::start().await;
        app.script(Script::new().then(Answer::Hang));
        let asking = app
            .http
            .post(app.url("/v1/messages"))
            .body(ask("hello").to_string())
            .send();
        let completions = |seen: &Seen| seen.path.ends_with("completions");
        tokio::select! {
            _ = asking => panic!("the upstream is silent"),
            () = eventually("the upstream is asked", || {
                app.simulator.requests().iter().any(completions)
            }) => {}
        }
        eventually("the upstream is freed", || {
            app.simulator.requests().iter().any(|seen| seen.hung_up)
        })
        .await;
        let id = app.only_run().await;
        let run = app.ended_run(&id).await;
        is_told_as_hung_up(&run);
        app.stop().await;
    });
}

#[test]
fn an_upstream_that_is_not_there_is_a_502_that_says_so() {
    block_on(async {
        let app = TestApp::start_with(|settings| {
            settings.simulate("http://127.0.0.1:9/api/v1", "sk-or-test");
        })
        .await;
        let got = app.messages(&ask("hello")).await;
        assert_eq!(got.status, 502, "{}", got.body);
        assert_eq!(got.json()["error"]["type"], "api_error");
        assert_eq!(
            got.json()["error"]["message"],
            "cannot reach the upstream openrouter at http://127.0.0.1:9: Connection refused; is its address right, \
             and does it run?"
        );
        app.stop().await;
    });
}

#[test]
fn a_web_page_in_place_of_an_answer_is_explained() {
    block_on(async {
        let app = TestApp::start().await;
        let page = Answer::Http {
            status: 200,
            headers: vec![("content-type".to_owned(), "text/html".to_owned())],
            body: "<!doctype html><title>Welcome</title>".to_owned(),
        };
        app.script(
            Script::new()
                .then(page.clone())
                .then(page.clone())
                .then(page),
        );
        let got = app.messages(&ask_whole("hello")).await;
        assert!(got.status >= 500, "{}: {}", got.status, got.body);
        assert_eq!(got.json()["type"], "error");
        app.stop().await;
    });
}

#[test]
fn an_empty_stream_is_never_an_answer() {
    block_on(async {
        let app = TestApp::start().await;
        let comments = Piece {
            pause: Duration::ZERO,
            bytes: Bytes::from_static(b": OPENROUTER PROCESSING\n\ndata: [DONE]\n\n"),
        };
        let empty = Answer::Sse {
            pieces: vec![comments],
            end: End::Clean,
        };
        app.script(
            Script::new()
                .then(empty.clone())
                .then(empty.clone())
                .then(empty),
        );
        let got = app.messages(&ask("hello")).await;
        let is_error =
            got.status >= 500 || got.events().last().is_some_and(|(name, _)| name == "error");
        assert!(is_error, "{}: {}", got.status, got.body);
        app.stop().await;
    });
}

#[test]
fn many_streams_pass_at_once() {
    block_on(async {
        let app = TestApp::start().await;
        let mut asked = Vec::new();
        for number in 0..64 {
            let pieces = (0..20).map(|word| piece(2, &chunk(&format!("{number}-{word} ")))).chain([
                piece(0, r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":20}}"#),
                piece(0, "[DONE]"),
            ]);
            let pieces = pieces.collect();
            let marker = format!("stream {number}.");
            let is_mine = move |seen: &Seen| seen.body.to_string().contains(&marker);
            app.script(Script::new().when(
                is_mine,
                Answer::Sse {
                    pieces,
                    end: End::Clean,
                },
            ));
            let body = ask(&format!("stream {number}."));
            let app = &app;
            asked.push(async move { read(app.open_stream(&body).await).await });
        }
        let answers = futures_util::future::join_all(asked).await;
        for (number, got) in answers.iter().enumerate() {
            let expected: String = (0..20).map(|word| format!("{number}-{word} ")).collect();
            assert_eq!(got.text(), expected);
            assert_eq!(events(&got.body).last().unwrap().0, "message_stop");
        }
        app.stop().await;
    });
}

/// A turn of Claude's whose thought nobody here has signed, and the result of its call.
fn with_a_foreign_thought(mut body: Value) -> Value {
    body["tools"] = json!([{ "name": "Bash", "input_schema": { "type": "object" } }]);
    body["thinking"] = json!({ "type": "adaptive" });
    body["max_tokens"] = 8192.into();
    let messages = body["messages"].as_array_mut().unwrap();
    messages.push(json!({ "role": "assistant", "content": [
        { "type": "thinking", "thinking": "A look.", "signature": "EqQBCkYIBBgCKkBfake" },
        { "type": "tool_use", "id": "toolu_1", "name": "Bash", "input": { "command": "ls" } },
    ] }));
    messages.push(json!({ "role": "user", "content": [
        { "type": "tool_result", "tool_use_id": "toolu_1", "content": "README" },
    ] }));
    body
}

#[test]
fn a_refused_signature_is_retried_once_without_the_reasoning() {
    block_on(async {
        let app = TestApp::start().await;
        let got = app.messages(&with_a_foreign_thought(ask("list"))).await;
        assert_eq!(got.status, 200, "{}", got.body);
        let requests = app.simulator.requests();
        let asked: Vec<&Seen> = requests
            .iter()
            .filter(|seen| seen.method == "POST")
            .collect();
        let statuses: Vec<_> = asked.iter().map(|seen| seen.status).collect();
        assert_eq!(statuses, [Some(400), Some(200)], "{:?}", asked[0].refused);
        assert!(asked[0].body.to_string().contains("reasoning_details"));
        assert!(!asked[1].body.to_string().contains("reasoning_details"));
        let run = app.ended_run(&got.run()).await;
        let steps = run["steps"].as_array().unwrap();
        let call = steps
            .iter()
            .find(|step| step["name"] == "call_upstream")
            .unwrap();
        assert_eq!(call["attempts"], 2, "{call}");
        let told = app.get(&format!("/api/runs/{}", got.run())).await.body;
        assert!(told.contains("leaves out the reasoning"), "{told}");
        for (name, thinks) in [("upstream.request", true), ("upstream.request.2", false)] {
            let path = format!("/api/runs/{}/payloads/{name}", got.run());
            let sent = app.get(&path).await.body;
            assert!(sent.contains("\"messages\""), "{name}: {sent}");
            assert_eq!(sent.contains("reasoning_details"), thinks, "{name}: {sent}");
        }
        app.stop().await;
    });
}

#[test]
fn a_500_that_says_nothing_is_suspected_in_a_stream_too_and_never_where_repeating_is_forbidden() {
    block_on(async {
        let error = r#"{"error":{"code":500,"message":"Internal error"}}"#;
        let in_a_stream = || Answer::data_lines(&[error], End::Clean);
        let last_word = Answer::error(500, "Internal error").with_header("x-should-retry", "false");
        let first = || {
            Script::new().then(Turn::tool("Bash", json!({ "command": "ls" })).thinking("A look."))
        };
        for (script, expected) in [
            (
                first()
                    .then(in_a_stream())
                    .then(in_a_stream())
                    .then(Turn::text("At last.")),
                &[true, true, false][..],
            ),
            (first().then(in_a_stream()).then(last_word), &[true, true]),
        ] {
            let app = TestApp::start().await;
            app.script(script);
            let mut body = ask_whole("list");
            body["tools"] = json!([{ "name": "Bash", "input_schema": { "type": "object" } }]);
            body["thinking"] = json!({ "type": "adaptive" });
            body["max_tokens"] = 8192.into();
            let content = app.messages(&body).await.json()["content"].clone();
            let result = json!({ "type": "tool_result", "tool_use_id": content[1]["id"], "content": "README" });
            let messages = body["messages"].as_array_mut().unwrap();
            messages.push(json!({ "role": "assistant", "content": content }));
            messages.push(json!({ "role": "user", "content": [result] }));
            body["stream"] = true.into();
            let got = app.messages(&body).await;
            assert_eq!(got.status == 200, expected.len() == 3, "{}", got.body);
            let requests = app.simulator.requests();
            let asked = requests.iter().filter(|seen| seen.method == "POST").skip(1);
            let thinks = asked.map(|seen| seen.body.to_string().contains("reasoning_details"));
            assert_eq!(thinks.collect::<Vec<_>>(), expected);
            app.stop().await;
        }
    });
}

#[test]
fn what_two_refusals_name_stays_out_of_the_third_attempt() {
    block_on(async {
        let app = TestApp::start_with(|settings| settings.log.filter = "off".to_owned()).await;
        // The simulator itself refuses the foreign signature first.
        app.script(
            Script::new()
                .then(Answer::error(
                    400,
                    "This provider does not support strict json_schema outputs",
                ))
                .then(Turn::text("{\"found\":1}")),
        );
        let mut body = with_a_foreign_thought(ask("list"));
        body["output_config"] = json!({ "format": { "type": "json_schema", "schema": {
            "type": "object", "properties": { "found": { "type": "integer" } }, "required": ["found"], "additionalProperties": false,
        } } });
        let got = app.messages(&body).await;
        assert_eq!(got.status, 200, "{}", got.body);
        let requests = app.simulator.requests();
        let asked = requests.iter().filter(|seen| seen.method == "POST");
        let asked: Vec<String> = asked.map(|seen| seen.body.to_string()).collect();
        let has = |what: &str| {
            asked
                .iter()
                .map(|body| body.contains(what))
                .collect::<Vec<_>>()
        };
        assert_eq!(has("reasoning_details"), [true, false, false]);
        assert_eq!(has("\"strict\":true"), [true, true, false]);
        app.ended_run(&got.run()).await;
        let third = format!("/api/runs/{}/payloads/upstream.request.3", got.run());
        let third: Value = serde_json::from_str(&app.get(&third).await.body).unwrap();
        assert_eq!(third.to_string(), asked[2]);
        app.stop().await;
    });
}

#[test]
fn a_signature_that_is_refused_twice_is_told() {
    block_on(async {
        let app = TestApp::start_with(|settings| settings.log.filter = "off".to_owned()).await;
        let refusal = "messages.1.content.0: Invalid `signature` in `thinking` block";
        app.script(
            Script::new()
                .then(Answer::error(400, refusal))
                .then(Answer::error(400, refusal)),
        );
        let got = app.messages(&with_a_foreign_thought(ask("list"))).await;
        assert_eq!(got.status, 400, "{}", got.body);
        assert!(
            got.json()["error"]["message"]
                .as_str()
                .unwrap()
                .contains("Invalid `signature`")
        );
        let asked = app
            .simulator
            .requests()
            .iter()
            .filter(|seen| seen.method == "POST")
            .count();
        assert_eq!(asked, 2);
        app.stop().await;
    });
}

#[test]
fn a_form_that_no_attempt_is_left_for_is_not_shown_as_sent() {
    block_on(async {
        let app = TestApp::start_with(|settings| settings.log.filter = "off".to_owned()).await;
        let refusal = "This provider does not support strict json_schema outputs";
        app.script(
            Script::new()
                .then(Answer::error(529, "overloaded"))
                .then(Answer::error(529, "overloaded"))
                .then(Answer::error(400, refusal)),
        );
        let mut body = ask("count");
        body["output_config"] = json!({ "format": { "type": "json_schema", "schema": {
            "type": "object", "properties": {}, "required": [], "additionalProperties": false,
        } } });
        let got = app.messages(&body).await;
        assert_eq!(got.status, 400, "{}", got.body);
        let run = app.ended_run(&got.run()).await;
        let steps = run["steps"].as_array().unwrap();
        let call = steps.iter().find(|step| step["name"] == "call_upstream");
        assert_eq!(call.unwrap()["attempts"], 3);
        let told = app.get(&format!("/api/runs/{}", got.run())).await.body;
        assert!(!told.contains("leaves out"), "{told}");
        for (name, status) in [("upstream.request", 200), ("upstream.request.2", 404)] {
            let path = format!("/api/runs/{}/payloads/{name}", got.run());
            assert_eq!(app.get(&path).await.status, status, "{name}");
        }
        app.stop().await;
    });
}
