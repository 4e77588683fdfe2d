//! Patience: a model that says nothing in time gives way to the next one, and nobody who is answering does.

use std::time::Duration;

use bytes::Bytes;
use dagway::settings::{Lane, Rule, Settings};
use dagway::simulator::{Answer, End, Piece, Script, Turn};
use serde_json::Value;

use crate::fallbacks::{NAMED, OTHER, asked, is_for, with_fallbacks_and};
use crate::support::{Got, TestApp, ask, ask_whole, block_on, eventually, read};

/// Long enough for every answer that comes at once, where one is expected.
const LONG: Duration = Duration::from_mins(1);
/// For a model of which no answer is expected.
const SHORT: Duration = Duration::from_millis(200);

async fn with_patience(patience: Duration, change: impl FnOnce(&mut Settings)) -> TestApp {
    with_fallbacks_and(&[OTHER], |settings| {
        settings.models.fallbacks[0].patience = Some(patience);
        // What is held back for longer is so for patience.
        settings.upstream.early_error_wait = Duration::from_millis(1);
        change(settings);
    })
    .await
}

/// A stream that says nothing of an answer, in these pieces, and goes on saying nothing.
fn saying(pieces: &[&'static str]) -> Answer {
    let pieces = pieces.iter().map(|piece| Piece {
        pause: Duration::from_millis(20),
        bytes: Bytes::from_static(piece.as_bytes()),
    });
    Answer::Sse {
        pieces: pieces.collect(),
        end: End::Hang,
    }
}

/// A whole answer that is this late.
fn late(pause: Duration) -> Answer {
    let said = "data: {\"id\":\"g\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Late.\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    Answer::Sse {
        pieces: vec![Piece {
            pause,
            bytes: Bytes::from_static(said.as_bytes()),
        }],
        end: End::Clean,
    }
}

async fn upstream_is_freed(app: &TestApp) {
    eventually("the silent upstream is freed", || {
        app.simulator.requests().iter().any(|seen| seen.hung_up)
    })
    .await;
}

/// The run before the one that answered.
async fn given_up(app: &TestApp, got: &Got) -> Value {
    let second = app.ended_run(&got.run()).await;
    let first = second["facts"]["dagway.fallback.after_run"].as_str();
    app.ended_run(first.expect("it stands in for another"))
        .await
}

#[test]
fn a_model_that_says_nothing_of_an_answer_gives_way() {
    let role = "data: {\"id\":\"g\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
    block_on(async {
        for (what, silent) in [
            ("no header", Answer::Hang),
            ("headers alone", saying(&[])),
            ("comments", saying(&[": OPENROUTER PROCESSING\n\n"; 100])),
            ("no content", saying(&[role])),
        ] {
            for body in [ask("hello"), ask_whole("hello")] {
                let app = with_patience(SHORT, |_| {}).await;
                app.script(
                    Script::new()
                        .when(is_for(NAMED), silent.clone())
                        .then(Turn::text("I step in.")),
                );
                let got = app.messages(&body).await;
                assert_eq!(got.status, 200, "{what}: {}", got.body);
                assert!(got.body.contains("end_turn"), "{what}: {}", got.body);
                assert_eq!(asked(&app), [NAMED, OTHER], "{what}");
                upstream_is_freed(&app).await;
                let first = given_up(&app, &got).await;
                assert_eq!(first["state"], "TimedOut", "{what}: {first}");
                app.stop().await;
            }
        }
    });
}

#[test]
fn the_run_that_was_given_up_says_why_and_its_model_is_asked_last_for_a_while() {
    block_on(async {
        let app = with_patience(SHORT, |_| {}).await;
        app.script(Script::new().when(is_for(NAMED), Answer::Hang));
        let got = app.messages(&ask("one")).await;
        let first = given_up(&app, &got).await;
        let said = "call_upstream: its answer had not begun after 200ms, the time that `models.fallbacks.patience` gives it";
        assert_eq!(first["error"], said);
        assert_eq!(first["facts"]["error.type"], "timeout_error");
        let page = app
            .get(&format!("/runs/{}", first["id"].as_str().unwrap()))
            .await;
        assert!(page.body.contains("its answer had not begun after 200ms"));
        let metrics = app.get("/metrics").await.body;
        let counted =
            "\ndagway_upstream_requests_total{code=\"timeout\",upstream=\"openrouter\"} 1\n";
        assert!(metrics.contains(counted), "{metrics}");
        // It is asked last, and then it is waited for: nobody is left.
        app.script(
            Script::new()
                .when(is_for(OTHER), Answer::Hang)
                .when(is_for(NAMED), late(SHORT * 3)),
        );
        let got = app.messages(&ask("two")).await;
        assert_eq!(got.text(), "Late.", "{}", got.body);
        assert_eq!(asked(&app), [NAMED, OTHER, OTHER, NAMED]);
        assert_eq!(given_up(&app, &got).await["state"], "TimedOut");
        app.stop().await;
    });
}

#[test]
fn the_client_gets_pings_until_the_fallback_answers() {
    block_on(async {
        let app = with_patience(SHORT * 2, |settings| {
            settings.server.answer_after = Duration::from_millis(20);
            settings.server.ping_after = Duration::from_millis(20);
        })
        .await;
        app.script(
            Script::new()
                .when(is_for(NAMED), saying(&[]))
                .then(Turn::text("I step in.")),
        );
        let got = app.messages(&ask("hello")).await;
        assert_eq!(got.text(), "I step in.", "{}", got.body);
        assert_eq!(got.events()[0].0, "ping");
        let first = app.ended_run(&got.run()).await;
        assert_eq!(first["state"], "TimedOut", "{first}");
        let second = first["facts"]["dagway.fallback.by_run"].as_str().unwrap();
        assert_eq!(app.ended_run(second).await["state"], "Completed");
        app.stop().await;
    });
}

#[test]
fn in_the_native_lane_a_message_that_has_no_content_yet_has_not_begun() {
    let started = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"x\",\"content\":[],\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\n";
    block_on(async {
        let app = with_patience(SHORT, |settings| {
            settings.models.rules = vec![Rule {
                pattern: "anthropic/*".to_owned(),
                upstream: "openrouter".to_owned(),
                lane: Some(Lane::Native),
                send: None,
                provider: None,
            }];
        })
        .await;
        app.script(Script::new().when(is_for(NAMED), saying(&[started])));
        let got = app.messages(&ask("hello")).await;
        assert_eq!(got.status, 200, "{}", got.body);
        assert_eq!(asked(&app), [NAMED, OTHER]);
        assert_eq!(given_up(&app, &got).await["workflow"], "native");
        app.stop().await;
    });
}

#[test]
fn an_answer_that_has_begun_is_never_given_up() {
    block_on(async {
        let patience = Duration::from_secs(2);
        let app = with_patience(patience, |_| {}).await;
        let chunk = |text: &str, pause, end: &str| Piece {
            pause,
            bytes: Bytes::from(format!(
                "data: {{\"id\":\"g\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":{end}}}]}}\n\n"
            )),
        };
        let slow = Answer::Sse {
            pieces: vec![
                chunk("Slow", Duration::ZERO, "null"),
                chunk(" but there.", patience + SHORT, "\"stop\""),
            ],
            end: End::Clean,
        };
        app.script(Script::new().when(is_for(NAMED), slow));
        let got = app.messages(&ask("hello")).await;
        assert_eq!(got.text(), "Slow but there.", "{}", got.body);
        assert_eq!(asked(&app), [NAMED]);
        assert_eq!(app.ended_run(&got.run()).await["state"], "Completed");
        app.stop().await;
    });
}

#[test]
fn a_pause_that_would_outlast_it_is_not_waited_for() {
    block_on(async {
        let app = with_patience(Duration::from_secs(4), |_| {}).await;
        let busy = Answer::error(429, "later").with_header("retry-after", "5");
        app.script(Script::new().when(is_for(NAMED), busy));
        let got = app.messages(&ask("hello")).await;
        assert_eq!(got.status, 200, "{}", got.body);
        assert_eq!(asked(&app), [NAMED, OTHER]);
        let first = given_up(&app, &got).await;
        assert_eq!(first["state"], "Failed", "it was not waited out: {first}");
        assert_eq!(first["facts"]["error.type"], "rate_limit_error");
        app.stop().await;
    });
}

#[test]
fn a_model_is_not_asked_again_in_the_last_tenth_of_its_patience() {
    block_on(async {
        // The pause ends 200 ms before the patience, of which the last tenth has 220.
        let app = with_patience(Duration::from_millis(2_200), |_| {}).await;
        let busy = Answer::error(429, "later").with_header("retry-after", "2");
        app.script(Script::new().when(is_for(NAMED), busy));
        let got = app.messages(&ask("hello")).await;
        assert_eq!(got.status, 200, "{}", got.body);
        assert_eq!(asked(&app), [NAMED, OTHER]);
        let first = given_up(&app, &got).await;
        assert_eq!(first["facts"]["error.type"], "rate_limit_error", "{first}");
        app.stop().await;
    });
}

#[test]
fn a_later_attempt_is_held_back_until_its_answer_begins_too() {
    block_on(async {
        let app = with_patience(Duration::from_secs(1), |_| {}).await;
        app.script(
            Script::new()
                .then(Answer::error(503, "busy"))
                .then(late(Duration::from_secs(4)))
                .then(Turn::text("I step in.")),
        );
        let got = app.messages(&ask("hello")).await;
        assert_eq!(got.text(), "I step in.", "{}", got.body);
        assert_eq!(asked(&app), [NAMED, NAMED, OTHER]);
        assert_eq!(given_up(&app, &got).await["state"], "TimedOut");
        app.stop().await;
    });
}

#[test]
fn a_fallback_that_says_nothing_gives_way_too_and_usage_tells_who_was_replaced() {
    const LAST: &str = "google/gemini-3-pro";
    block_on(async {
        let app = with_patience(SHORT, |settings| {
            settings.models.fallbacks[0].models.push(LAST.to_owned());
        })
        .await;
        app.script(
            Script::new()
                .when(is_for(NAMED), Answer::Hang)
                .when(is_for(OTHER), late(SHORT * 10))
                .then(Turn::text("I step in.")),
        );
        let got = app.messages(&ask("hello")).await;
        assert_eq!(got.text(), "I step in.", "{}", got.body);
        assert_eq!(asked(&app), [NAMED, OTHER, LAST]);
        assert_eq!(given_up(&app, &got).await["state"], "TimedOut");
        let total = app.get("/api/usage").await.json()["total"].clone();
        assert_eq!(total["replaced"], 2, "{total}");
        assert_eq!(total["by_state"], serde_json::json!({ "Completed": 1 }));
        app.stop().await;
    });
}

#[test]
fn a_client_that_hangs_up_while_it_lasts_is_the_one_who_ended_it() {
    block_on(async {
        let app = with_patience(LONG, |_| {}).await;
        app.script(Script::new().when(is_for(NAMED), saying(&[])));
        let request = app.http.post(app.url("/v1/messages"));
        tokio::select! {
            _ = request.body(ask("hello").to_string()).send() => panic!("nobody answers"),
            () = eventually("it is asked", || asked(&app).len() == 1) => {}
        }
        upstream_is_freed(&app).await;
        let run = app.ended_run(&app.only_run().await).await;
        assert_eq!(run["state"], "Cancelled", "{run}");
        let said = run["error"].as_str().unwrap();
        assert!(said.contains("the client hung up"), "{said}");
        assert_eq!(run["facts"]["dagway.fallback.by_run"], Value::Null);
        assert_eq!(asked(&app), [NAMED]);
        app.stop().await;
    });
}

#[test]
fn a_process_that_stops_asks_nobody_else() {
    block_on(async {
        let app = with_patience(LONG, |settings| {
            settings.server.shutdown_grace = Duration::from_millis(300);
        })
        .await;
        app.script(Script::new().when(is_for(NAMED), Answer::Hang));
        let request = app.http.post(app.url("/v1/messages"));
        let whole = tokio::task::spawn_local(request.body(ask_whole("hello").to_string()).send());
        eventually("it is asked", || asked(&app).len() == 1).await;
        app.app.stop().await;
        let whole = read(whole.await.unwrap().unwrap()).await;
        assert_eq!(whole.status, 529, "{}", whole.body);
        assert!(whole.body.contains("being stopped"), "{}", whole.body);
        let posts = app.simulator.requests();
        let posts = posts.iter().filter(|seen| seen.method == "POST");
        assert_eq!(posts.count(), 1);
    });
}
