//! Fallbacks: another model answers where the one that was asked for cannot be had, and everybody can see it.

use std::time::Duration;

use bytes::Bytes;
use dagway::app::{App, Manner};
use dagway::settings::{Fallback, Lane, Rule, Settings};
use dagway::simulator::{Answer, End, Piece, Script, Seen, Turn};
use serde_json::Value;

use crate::support::{DEADLINE, TestApp, ask, ask_whole, block_on, eventually, read};

pub(crate) const NAMED: &str = "anthropic/claude-sonnet-5.5";
pub(crate) const OTHER: &str = "openai/gpt-5";

fn fallback(pattern: &str, models: &[&str]) -> Fallback {
    Fallback {
        pattern: pattern.to_owned(),
        models: models.iter().map(|&model| model.to_owned()).collect(),
        patience: None,
    }
}

async fn with_fallbacks(models: &[&str]) -> TestApp {
    with_fallbacks_and(models, |_| {}).await
}

pub(crate) async fn with_fallbacks_and(
    models: &[&str],
    change: impl FnOnce(&mut Settings),
) -> TestApp {
    TestApp::start_with(|settings| {
        settings.models.fallbacks = vec![fallback("anthropic/*", models)];
        change(settings);
    })
    .await
}

pub(crate) fn is_for(model: &'static str) -> impl Fn(&Seen) -> bool + Send {
    move |seen| seen.body["model"] == model
}

/// The models that the upstream was asked for, in this order.
pub(crate) fn asked(app: &TestApp) -> Vec<String> {
    let requests = app.simulator.requests();
    let models = requests
        .iter()
        .filter_map(|seen| seen.body["model"].as_str());
    models.map(str::to_owned).collect()
}

/// An error that no further attempt helps against.
fn no_credit() -> Answer {
    Answer::error(402, "nothing left")
}

async fn log_of(app: &TestApp, run: &str) -> String {
    app.get(&format!("/api/runs/{run}")).await.body
}

#[test]
fn another_model_answers_and_both_runs_say_so() {
    block_on(async {
        let app = with_fallbacks(&[OTHER]).await;
        app.script(
            Script::new()
                .when(is_for(NAMED), no_credit())
                .then(Turn::text("I step in.")),
        );
        let request = app.http.post(app.url("/v1/messages"));
        let traced = request
            .header(
                "traceparent",
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            )
            .header("tracestate", "vendor=1");
        let body = ask_whole("hello").to_string();
        let got = read(traced.body(body).send().await.unwrap()).await;
        assert_eq!(got.status, 200, "{}", got.body);
        assert_eq!(got.json()["content"][0]["text"], "I step in.");
        let requests = app.simulator.requests();
        let seen = requests.iter().rfind(|seen| seen.method == "POST").unwrap();
        assert_eq!(seen.headers["tracestate"], "vendor=1");
        assert_eq!(got.json()["model"], "claude-sonnet-5-5", "as it was asked");
        assert!(got.header("x-dagway-model").starts_with(OTHER), "{got:?}");
        assert_eq!(asked(&app), [NAMED, OTHER]);
        let second = app.ended_run(&got.run()).await;
        assert_eq!(second["state"], "Completed", "{second}");
        assert_eq!(second["facts"]["dagway.fallback.model"], OTHER);
        assert_eq!(second["request_id"], got.header("request-id"));
        let first = second["facts"]["dagway.fallback.after_run"]
            .as_str()
            .unwrap();
        let first = app.ended_run(first).await;
        assert_eq!(first["state"], "Failed", "{first}");
        assert_eq!(first["facts"]["dagway.fallback.by_run"], second["id"]);
        assert_eq!(first["facts"]["error.type"], "billing_error");
        assert_eq!(first["trace_id"], second["trace_id"], "one trace");
        let log = log_of(&app, first["id"].as_str().unwrap()).await;
        assert!(log.contains("`openai/gpt-5` is asked instead"), "{log}");
        let metrics = app.get("/metrics").await.body;
        let counted = "\ndagway_fallbacks_total{model=\"openai/gpt-5\"} 1\n";
        assert!(metrics.contains(counted), "{metrics}");
        let headers = format!("/api/runs/{}/payloads/client.request.headers", got.run());
        assert_eq!(app.get(&headers).await.json()["tracestate"], "vendor=1");
        let request = format!("/api/runs/{}/payloads/client.request", got.run());
        assert_eq!(app.get(&request).await.json(), ask_whole("hello"));
        app.stop().await;
    });
}

#[test]
fn who_could_not_be_had_is_asked_last_for_a_while() {
    block_on(async {
        let app = with_fallbacks(&[OTHER]).await;
        app.script(Script::new().when(is_for(NAMED), no_credit()));
        app.messages(&ask_whole("one")).await;
        let got = app.messages(&ask_whole("two")).await;
        assert_eq!(got.status, 200, "{}", got.body);
        assert_eq!(asked(&app), [NAMED, OTHER, OTHER]);
        let run = app.ended_run(&got.run()).await;
        assert_eq!(run["facts"]["dagway.fallback.model"], OTHER, "{run}");
        assert_eq!(run["facts"]["dagway.fallback.after_run"], Value::Null);
        let log = log_of(&app, &got.run()).await;
        assert!(
            log.contains("`openai/gpt-5` is asked instead of `claude-sonnet-5-5`, which"),
            "{log}"
        );
        // Where nobody else can be had either, it is asked all the same.
        app.script(Script::new().when(is_for(OTHER), no_credit()));
        let got = app.messages(&ask_whole("three")).await;
        assert_eq!(got.status, 200, "{}", got.body);
        assert_eq!(asked(&app)[3..], [OTHER, NAMED]);
        app.stop().await;

        let app = with_fallbacks_and(&[OTHER], |settings| {
            settings.models.cooldown = Duration::ZERO;
        })
        .await;
        app.script(Script::new().when(is_for(NAMED), no_credit()));
        app.messages(&ask_whole("one")).await;
        app.messages(&ask_whole("two")).await;
        assert_eq!(asked(&app), [NAMED, OTHER, NAMED]);
        app.stop().await;
    });
}

#[test]
fn what_the_request_is_at_fault_for_goes_no_further() {
    block_on(async {
        let app = with_fallbacks(&[OTHER]).await;
        app.script(Script::new().then(Answer::error(400, "no such thing")));
        let got = app.messages(&ask_whole("hello")).await;
        assert_eq!(got.status, 400, "{}", got.body);
        assert_eq!(asked(&app), [NAMED]);
        let mut unknown = ask_whole("hello");
        unknown["model"] = "gpt-5".into();
        let got = app.messages(&unknown).await;
        assert_eq!(got.status, 400, "no name is replaced in silence");
        assert_eq!(asked(&app), [NAMED]);
        app.stop().await;
    });
}

#[test]
fn when_nobody_can_be_had_the_client_is_told_why_the_model_it_named_could_not() {
    block_on(async {
        // Two of them lead to where another leads, and are no further models.
        let others = [
            OTHER,
            "openai/gpt-5",
            "claude-sonnet-5-5",
            "google/gemini-3-pro",
        ];
        let app = with_fallbacks(&others).await;
        app.script(
            Script::new()
                .then(no_credit())
                .then(Answer::error(400, "prompt is too long for me"))
                .then(Answer::error(404, "there is none")),
        );
        let got = app.messages(&ask("hello")).await;
        assert_eq!(got.status, 402, "{}", got.body);
        assert!(got.body.contains("nothing left"), "{}", got.body);
        assert_eq!(got.json()["request_id"], got.header("request-id"));
        assert_eq!(asked(&app), [NAMED, OTHER, "google/gemini-3-pro"]);
        let run = app.ended_run(&got.run()).await;
        assert_eq!(run["facts"]["dagway.fallback.model"], "google/gemini-3-pro");
        assert_eq!(run["facts"]["http.response.status_code"], 402);
        let log = log_of(&app, &got.run()).await;
        assert!(
            log.contains("is told why `claude-sonnet-5-5` could not"),
            "{log}"
        );
        app.stop().await;
    });
}

#[test]
fn what_a_fallback_does_not_take_is_asked_of_the_model_that_was_spared() {
    block_on(async {
        let app = with_fallbacks(&[OTHER]).await;
        app.script(Script::new().when(is_for(NAMED), no_credit()));
        app.messages(&ask_whole("one")).await;
        app.script(Script::new().when(is_for(OTHER), Answer::error(400, "not for me")));
        let got = app.messages(&ask_whole("two")).await;
        assert_eq!(got.status, 200, "{}", got.body);
        assert_eq!(asked(&app)[2..], [OTHER, NAMED]);
        let run = app.ended_run(&got.run()).await;
        assert_eq!(run["facts"]["dagway.fallback.model"], Value::Null, "{run}");
        assert!(
            run["facts"]["dagway.fallback.after_run"].is_string(),
            "{run}"
        );
        // It answers, and is asked first again.
        app.messages(&ask_whole("three")).await;
        assert_eq!(asked(&app)[4..], [NAMED]);
        app.stop().await;
    });
}

#[test]
fn what_one_request_is_refused_for_spares_nobody_others() {
    block_on(async {
        for refused in [
            Answer::error(403, "your input was flagged"),
            Answer::error(404, "No endpoints found that support image input"),
            Answer::error(400, "claude-x is not a valid model ID"),
        ] {
            let app = with_fallbacks(&[OTHER]).await;
            app.script(Script::new().then(refused));
            for text in ["one", "two"] {
                let got = app.messages(&ask_whole(text)).await;
                assert_eq!(got.status, 200, "{}", got.body);
            }
            assert_eq!(asked(&app), [NAMED, OTHER, NAMED]);
            app.stop().await;
        }
    });
}

#[test]
fn hosts_that_a_client_chose_and_that_are_out_spare_nobody() {
    block_on(async {
        let app = with_fallbacks(&[OTHER]).await;
        app.script(Script::new().when(is_for(NAMED), no_credit()));
        let mut body = ask_whole("one");
        body["provider"] = serde_json::json!({ "only": ["flaky"] });
        assert_eq!(app.messages(&body).await.status, 200);
        assert_eq!(app.messages(&ask_whole("two")).await.status, 200);
        assert_eq!(asked(&app), [NAMED, OTHER, NAMED]);
        app.stop().await;
    });
}

#[test]
fn a_fallback_may_be_in_the_other_lane() {
    let native = |settings: &mut Settings| {
        settings.models.rules = vec![Rule {
            pattern: "anthropic/*".to_owned(),
            upstream: "openrouter".to_owned(),
            lane: Some(Lane::Native),
            send: None,
            provider: None,
        }];
        settings
            .models
            .fallbacks
            .push(fallback(OTHER, &["claude-sonnet-5-5"]));
    };
    block_on(async {
        let app = with_fallbacks_and(&[OTHER], native).await;
        app.script(
            Script::new()
                .when(is_for(NAMED), Answer::native_error(403, "not for you"))
                .then(Turn::text("From the chat lane.")),
        );
        let got = app.messages(&ask("hello")).await;
        assert_eq!(got.text(), "From the chat lane.", "{}", got.body);
        assert_eq!(app.ended_run(&got.run()).await["workflow"], "messages");
        app.stop().await;

        let app = with_fallbacks_and(&[OTHER], native).await;
        app.script(Script::new().when(is_for(OTHER), no_credit()));
        let mut body = ask("hello");
        body["model"] = OTHER.into();
        let request = app.http.post(app.url("/v1/messages?beta=true"));
        let request = request.header("anthropic-beta", "context-1m-2025-08-07");
        let got = read(request.body(body.to_string()).send().await.unwrap()).await;
        assert_eq!(got.status, 200, "{}", got.body);
        assert_eq!(app.ended_run(&got.run()).await["workflow"], "native");
        let requests = app.simulator.requests();
        let seen = requests.iter().rfind(|seen| seen.method == "POST").unwrap();
        assert_eq!(seen.body["model"], NAMED);
        assert_eq!(seen.headers["anthropic-beta"], "context-1m-2025-08-07");
        app.stop().await;
    });
}

/// A refusal that takes half a second to come.
pub(crate) fn late_refusal() -> Answer {
    let refusal = "data: {\"error\":{\"code\":402,\"message\":\"nothing left\"}}\n\n";
    Answer::Sse {
        pieces: vec![Piece {
            pause: Duration::from_millis(500),
            bytes: Bytes::from_static(refusal.as_bytes()),
        }],
        end: End::Clean,
    }
}

#[test]
fn a_fallback_has_times_of_its_own() {
    block_on(async {
        let app = with_fallbacks(&[OTHER]).await;
        app.script(
            Script::new()
                .when(is_for(NAMED), late_refusal())
                .then(Turn::text("I step in.")),
        );
        let got = app.messages(&ask("hello")).await;
        assert_eq!(got.text(), "I step in.", "{}", got.body);
        let overhead: u64 = got.header("x-dagway-overhead-us").parse().unwrap();
        let run = app.ended_run(&got.run()).await;
        let first = run["facts"]["dagway.first_token_seconds"].as_f64().unwrap();
        let lasted = run["duration_ms"].as_f64().unwrap() / 1e3;
        assert!(overhead < 400_000, "{overhead} µs are not the first run's");
        assert!(first <= lasted, "{first} s of {lasted} s");
        app.stop().await;
    });
}

#[test]
fn a_stream_that_began_with_pings_goes_on_with_the_fallback() {
    block_on(async {
        let app = with_fallbacks_and(&[OTHER], |settings| {
            settings.server.answer_after = Duration::from_millis(100);
            settings.server.ping_after = Duration::from_millis(100);
        })
        .await;
        app.script(
            Script::new()
                .when(is_for(NAMED), late_refusal())
                .then(Turn::text("I step in.")),
        );
        let got = app.messages(&ask("hello")).await;
        assert_eq!(got.text(), "I step in.", "{}", got.body);
        assert_eq!(got.events()[0].0, "ping");
        assert_eq!(got.events().last().unwrap().0, "message_stop");
        let first = app.ended_run(&got.run()).await;
        assert_eq!(first["state"], "Failed", "{first}");
        let second = first["facts"]["dagway.fallback.by_run"].as_str().unwrap();
        let second = app.ended_run(second).await;
        assert_eq!(second["state"], "Completed", "{second}");
        assert_eq!(second["facts"]["http.response.status_code"], 200);
        assert_eq!(second["bytes"], {
            let path = format!(
                "/api/runs/{}/payloads/client.response",
                second["id"].as_str().unwrap()
            );
            app.get(&path).await.body.len()
        });
        let mut bodies = String::new();
        for run in [&first, &second] {
            let id = run["id"].as_str().unwrap();
            let path = format!("/api/runs/{id}/payloads/client.response");
            bodies.push_str(&app.get(&path).await.body);
        }
        assert_eq!(bodies, got.body, "each run has what its client got of it");
        assert_eq!(app.body_bytes_held().await, 0, "the room is given back");
        app.stop().await;
    });
}

#[test]
fn a_client_that_hangs_up_frees_the_fallback() {
    block_on(async {
        let app = with_fallbacks(&[OTHER]).await;
        app.script(
            Script::new()
                .when(is_for(NAMED), no_credit())
                .when(is_for(OTHER), Answer::Hang),
        );
        let request = app.http.post(app.url("/v1/messages"));
        tokio::select! {
            _ = request.body(ask("hello").to_string()).send() => panic!("nobody answers"),
            () = eventually("the fallback is asked", || asked(&app).len() == 2) => {}
        }
        eventually("its upstream is freed", || {
            app.simulator.requests().iter().any(|seen| seen.hung_up)
        })
        .await;
        let listed = async {
            loop {
                let page = app.get("/api/runs?state=cancelled").await.json();
                if let Some(run) = page["runs"].get(0) {
                    return run.clone();
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let run = tokio::time::timeout(DEADLINE, listed).await.unwrap();
        assert_eq!(run["facts"]["dagway.fallback.model"], OTHER, "{run}");
        app.stop().await;
    });
}

#[test]
fn a_fallback_that_nobody_knows_is_a_fault_at_the_start() {
    block_on(async {
        let mut settings = Settings::defaults().unwrap();
        settings.models.fallbacks = vec![fallback("anthropic/*", &["gpt-5"])];
        let started = App::start(&settings, Manner::default()).await;
        let said = started.err().expect("it does not start").to_string();
        assert!(
            said.starts_with("models.fallbacks (match = \"anthropic/*\"): `gpt-5` is no model"),
            "{said}"
        );
    });
}
