//! What `/metrics` and the log tell of upstreams and of what clients see, on real sockets.

use std::time::{Duration, Instant};

use dagway::simulator::{Answer, End, Script, Turn};
use serde_json::{Value, json};

use crate::support::{DEADLINE, Got, TestApp, ask, ask_whole, block_on};

/// The value of a series, once it is as `is_so` says.
async fn value_when(app: &TestApp, series: &str, is_so: impl Fn(f64) -> bool) -> f64 {
    let since = Instant::now();
    loop {
        let text = app.get("/metrics").await.body;
        let value = text.lines().find_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            (name == series).then(|| value.parse::<f64>().unwrap())
        });
        match value {
            Some(value) if is_so(value) => return value,
            _ => assert!(
                since.elapsed() < DEADLINE,
                "{series} is {value:?} in\n{text}"
            ),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// How many attempts had this end.
async fn attempts(app: &TestApp, code: &str) -> f64 {
    let series =
        format!("dagway_upstream_requests_total{{code=\"{code}\",upstream=\"openrouter\"}}");
    value_when(app, &series, |_| true).await
}

async fn headers_in(app: &TestApp) -> f64 {
    let series = "dagway_upstream_headers_seconds_count{upstream=\"openrouter\"}";
    value_when(app, series, |_| true).await
}

async fn retries(app: &TestApp, cause: &str) -> f64 {
    let labels = format!("cause=\"{cause}\",step=\"call_upstream\",workflow=\"messages\"");
    let series = format!("dagway_step_retries_total{{{labels}}}");
    value_when(app, &series, |_| true).await
}

/// Asks, and waits until the run is over.
async fn asked(app: &TestApp, body: &Value) -> Got {
    let got = app.messages(body).await;
    app.ended_run(&got.run()).await;
    got
}

#[test]
fn each_attempt_is_counted_by_its_status_or_by_what_was_the_matter() {
    block_on(async {
        let app = TestApp::start().await;
        assert_eq!(attempts(&app, "429").await, 0.0);
        let in_band = json!({ "error": { "code": 403, "message": "moderated" } }).to_string();
        app.script(
            Script::new()
                .then(Answer::error(429, "slow down"))
                .then(Turn::text("Now."))
                .then(Answer::Reset)
                .then(Turn::text("Again."))
                .then(Answer::data_lines(&[&in_band], End::Clean))
                .then(Answer::error(402, "no credit")),
        );
        for status in [200, 200, 403, 402] {
            let got = asked(&app, &ask("hello")).await;
            assert_eq!(got.status, status, "{}", got.body);
        }
        for (code, count) in [
            ("200", 2.0),
            ("429", 1.0),
            ("cut", 1.0),
            ("unusable_answer", 1.0),
            ("402", 1.0),
            ("unreachable", 0.0),
        ] {
            assert_eq!(attempts(&app, code).await, count, "{code}");
        }
        for (cause, count) in [("429", 1.0), ("cut", 1.0), ("unusable_answer", 0.0)] {
            assert_eq!(retries(&app, cause).await, count, "{cause}");
        }
        assert_eq!(headers_in(&app).await, 5.0, "all but the one that was cut");
        app.stop().await;
    });
}

#[test]
fn a_run_states_how_its_last_attempt_went_and_nothing_of_those_before() {
    block_on(async {
        let app = TestApp::start().await;
        let in_band = json!({ "error": { "code": 429, "message": "slow down" } }).to_string();
        let cut = [
            Answer::error(429, "slow down"),
            Answer::Reset,
            Answer::Reset,
        ];
        let good: [Answer; 2] = [
            Answer::data_lines(&[&in_band], End::Clean),
            Turn::text("Now.").into(),
        ];
        for (answers, status, failure) in [
            (cut.to_vec(), Value::Null, json!("cut")),
            (good.to_vec(), json!(200), Value::Null),
        ] {
            let script = answers.into_iter().fold(Script::new(), Script::then);
            app.script(script);
            let got = asked(&app, &ask("hello")).await;
            let run = app.ended_run(&got.run()).await;
            let facts = &run["facts"];
            assert_eq!(facts["dagway.upstream.status_code"], status, "{facts}");
            assert_eq!(facts["dagway.upstream.failure"], failure, "{facts}");
            assert!(run["facts"]["dagway.retries"].is_number(), "{facts}");
        }
        app.stop().await;
    });
}

#[test]
fn an_upstream_that_is_not_there_is_unreachable_at_every_attempt() {
    block_on(async {
        let app = TestApp::start_with(|settings| {
            settings.simulate("http://127.0.0.1:9/api/v1", "sk-or-test");
        })
        .await;
        let got = asked(&app, &ask("hello")).await;
        assert_eq!(got.status, 502, "{}", got.body);
        assert_eq!(attempts(&app, "unreachable").await, 3.0);
        assert_eq!(retries(&app, "unreachable").await, 2.0);
        assert_eq!(headers_in(&app).await, 0.0);
        let run = app.ended_run(&got.run()).await;
        assert_eq!(run["facts"]["dagway.upstream.failure"], "unreachable");
        app.stop().await;
    });
}

#[test]
fn an_attempt_that_took_too_long_is_a_timeout() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let workflow = include_str!("../../workflows/messages.toml");
        let hasty = workflow.replace("\"600s\"", "\"100ms\"");
        std::fs::write(folder.path().join("messages.toml"), hasty).unwrap();
        let app = TestApp::start_with(|settings| {
            folder.path().clone_into(&mut settings.workflows.folder);
        })
        .await;
        app.script(Script::new().then(Answer::Hang));
        let got = asked(&app, &ask("hello")).await;
        assert_eq!(got.status, 504, "{}", got.body);
        assert_eq!(attempts(&app, "timeout").await, 1.0);
        assert_eq!(headers_in(&app).await, 0.0);
        app.stop().await;
    });
}

#[test]
fn what_an_upstream_has_to_serve_is_a_gauge_and_a_client_that_hangs_up_cancels_the_attempt() {
    block_on(async {
        let app = TestApp::start().await;
        let in_flight = "dagway_upstream_runs_in_flight{upstream=\"openrouter\"}";
        value_when(&app, in_flight, |runs| runs == 0.0).await;
        app.script(Script::new().then(Answer::Hang));
        let request = app.http.post(app.url("/v1/messages"));
        let request = request.body(ask("hello").to_string()).send();
        let waiting = value_when(&app, in_flight, |runs| runs == 1.0);
        // The request is dropped, and its connection closed, as soon as it is seen.
        tokio::select! {
            answer = request => panic!("nobody answers: {answer:?}"),
            _ = waiting => {}
        }
        value_when(&app, in_flight, |runs| runs == 0.0).await;
        assert_eq!(attempts(&app, "cancelled").await, 1.0);
        app.stop().await;
    });
}

#[test]
fn the_first_token_of_a_client_comes_after_all_attempts_and_that_of_an_upstream_after_the_last() {
    block_on(async {
        for body in [ask("hello"), ask_whole("hello")] {
            let app = TestApp::start().await;
            app.script(
                Script::new()
                    .then(Answer::error(503, "busy"))
                    .then(Turn::text("Now.")),
            );
            let got = asked(&app, &body).await;
            let run = app.ended_run(&got.run()).await;
            let model = run["facts"]["gen_ai.response.model"].as_str().unwrap();
            let sum_of = |metric: &str| format!("{metric}_sum{{model=\"{model}\"}}");
            let upstreams = sum_of("dagway_first_token_seconds");
            let upstreams = value_when(&app, &upstreams, |_| true).await;
            let clients = sum_of("dagway_client_first_token_seconds");
            let clients = value_when(&app, &clients, |_| true).await;
            // The pause between the attempts is of 125 ms at least.
            assert!(clients > upstreams + 0.12, "{clients} and {upstreams}");
            app.stop().await;
        }
    });
}
