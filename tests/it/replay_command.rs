//! `dagway runs replay`, as somebody types it who wants to know whether the same request fails again.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use dagway::events::RunId;
use dagway::settings::{ClientKey, Settings};
use dagway::simulator::{Answer, Script, Seen, Turn};
use serde_json::{Value, json};

use crate::fallbacks::{late_refusal, with_fallbacks_and};
use crate::lanes::native;
use crate::program::{dagway, stderr};
use crate::support::{Got, TestApp, ask, ask_whole, block_on, read};

/// `dagway runs replay …` for a server, in a home of its own.
fn replay(folder: &Path, app: &TestApp, arguments: &[&str]) -> Command {
    let mut command = dagway(folder);
    command
        .env("TZ", "UTC")
        .args(["runs", "replay"])
        .args(arguments)
        .args(["--server", &app.app.url()]);
    command
}

/// Types it, while the server goes on.
async fn typed(app: &TestApp, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut command = replay(folder.path(), app, arguments);
    command.envs(variables.iter().copied());
    let output = tokio::task::spawn_blocking(move || command.output());
    output.await.unwrap().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What is said when the person can cure it. Nothing was asked.
async fn refused(app: &TestApp, arguments: &[&str]) -> String {
    let asked = || {
        let all = app.simulator.requests();
        all.iter().filter(|seen| seen.method == "POST").count()
    };
    let before = asked();
    let output = typed(app, arguments, &[]).await;
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert_eq!(stdout(&output), "");
    assert_eq!(asked(), before);
    stderr(&output)
}

/// What arrived upstream last.
fn arrived(app: &TestApp) -> Seen {
    let requests = app.simulator.requests();
    let seen = requests.into_iter().rfind(|seen| seen.method == "POST");
    seen.expect("a request arrived upstream")
}

/// A request as Claude Code sends one.
async fn asked(app: &TestApp, body: &str) -> Got {
    let request = app
        .http
        .post(app.url("/v1/messages?beta=true"))
        .header("anthropic-version", "2023-06-01")
        .header("anthropic-beta", "one-2026-01-01,two-2026-01-01")
        .header("anthropic-beta", "three-2026-01-01")
        .header("x-claude-code-session-id", "the-session")
        .header("user-agent", "claude-cli/2.1.330 (external, cli)")
        .header("traceparent", TRACE)
        .body(body.to_owned());
    let got = read(request.send().await.unwrap()).await;
    app.ended_run(&got.run()).await;
    got
}

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// The runs, the newest first.
async fn listed(app: &TestApp) -> Vec<Value> {
    let page = app.get("/api/runs").await.json();
    page["runs"].as_array().unwrap().clone()
}

async fn payload(app: &TestApp, run: &Value, name: &str) -> String {
    let id = run["id"].as_str().unwrap();
    let path = format!("/api/runs/{id}/payloads/{name}");
    app.get(&path).await.body
}

/// A line of the comparison, its words alone.
fn line(said: &str, name: &str) -> String {
    let (_, compared) = said.split_once("COMPARED").expect(said);
    let line = compared.lines().find_map(|line| line.strip_prefix(name));
    let words: Vec<&str> = line.expect(said).split_whitespace().collect();
    words.join(" ")
}

#[test]
fn a_request_that_failed_is_asked_again_and_shown_beside_the_first_time() {
    block_on(async {
        let app = TestApp::start().await;
        let body = format!("{} ", ask("hello"));
        app.script(Script::new().then(Answer::error(400, "no \u{1b}[2J such thing")));
        let first = asked(&app, &body).await;
        assert_eq!(first.status, 400, "{}", first.body);
        app.script(Script::new().then(Turn::text("Well \u{1b}[2J again.")));
        let output = typed(&app, &["latest", "--state", "failed"], &[]).await;
        let (said, told) = (stdout(&output), stderr(&output));
        assert!(output.status.success(), "{told}");
        let expected = format!(
            "dagway: sends the request of run {} again: it asks `claude-sonnet-5-5`, with {} bytes, at {}/v1/messages\n",
            first.run(),
            body.len(),
            app.app.url()
        );
        assert_eq!(told, expected);
        let runs = listed(&app).await;
        let id = runs[0]["id"].as_str().unwrap();
        assert!(
            said.starts_with(&format!("✓ Completed  messages  {id}\n")),
            "{said}"
        );
        let label = format!("  replay of {}\n", first.run());
        assert!(said.contains(&label), "{said}");
        assert_eq!(line(&said, "state"), "✕ Failed ✓ Completed");
        assert!(line(&said, "error").ends_with("such thing –"), "{said}");
        assert!(line(&said, "tokens out").starts_with("– "), "{said}");
        assert!(!said.contains('\u{1b}') && !said.contains("Well"), "{said}");
        let page = app.get(&format!("/runs/{id}")).await.body;
        let link = format!("<a href=\"/runs/{}\">", first.run());
        assert!(page.contains("<dt>Replay of</dt>") && page.contains(&link));
        assert_eq!(payload(&app, &runs[0], "client.request").await, body);
        assert_eq!(runs[0]["facts"]["gen_ai.request.stream"], true);
        assert_eq!(runs[0]["facts"]["gen_ai.conversation.id"], "the-session");
        assert_ne!(runs[0]["trace_id"], runs[1]["trace_id"]);
        app.stop().await;
    });
}

#[test]
fn what_fails_again_is_an_error_of_the_command_too() {
    block_on(async {
        let app = TestApp::start().await;
        app.script(Script::new().then(Turn::text("Hello.")));
        let first = app.messages(&ask_whole("hello")).await;
        app.ended_run(&first.run()).await;
        let refusal = Answer::error(400, "no \u{9b}31m more");
        app.script(Script::new().then(refusal));
        let variables = [("ANTHROPIC_AUTH_TOKEN", "of-somebody-else")];
        let output = typed(&app, &[&first.run()], &variables).await;
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        let headers = payload(&app, &listed(&app).await[0], "client.request.headers").await;
        assert!(headers.contains(&first.run()), "{headers}");
        assert!(
            !headers.contains("authorization"),
            "nobody demands a key: {headers}"
        );
        let told = stderr(&output);
        let last = told.lines().last().unwrap();
        assert!(last.starts_with("dagway: the replay is Failed: "), "{told}");
        assert!(
            last.contains("no \\u{9b}31m more") && !told.contains('\u{9b}'),
            "{told}"
        );
        assert_eq!(line(&stdout(&output), "state"), "✓ Completed ✕ Failed");
        app.stop().await;
    });
}

#[test]
fn a_request_that_still_waits_for_its_answer_can_be_asked_again() {
    block_on(async {
        let app = TestApp::start().await;
        app.script(Script::new().then(Answer::Hang).then(Turn::text("Hello.")));
        let hanging = app.http.post(app.url("/v1/messages"));
        let hanging = hanging.body(ask_whole("x").to_string()).send();
        let hanging = tokio::task::spawn_local(hanging);
        let first = app.only_run().await;
        let is_asked = |run: &Value| run["steps"][5]["state"] == "Running";
        app.run_when(&first, is_asked).await;
        let output = typed(&app, &[&first], &[]).await;
        assert!(output.status.success(), "{}", stderr(&output));
        let said = stdout(&output);
        assert_eq!(line(&said, "state"), "▶ Running ✓ Completed");
        assert!(line(&said, "took").contains(" so far "), "{said}");
        hanging.abort();
        app.ended_run(&first).await;
        app.stop().await;
    });
}

#[test]
fn another_model_is_asked_with_nothing_else_changed_and_scripts_get_both_runs() {
    block_on(async {
        let app = TestApp::start().await;
        let body = r#"{ "model" : "claude-sonnet-5-5","max_tokens":100,
            "messages":[{"role":"user","content":"h\u00e9llo \"model\":\"x\""}] }"#;
        let first = asked(&app, body).await;
        assert_eq!(first.status, 200, "{}", first.body);
        let arguments = ["latest", "--model", "openai/gpt-5", "--json"];
        let output = typed(&app, &arguments, &[]).await;
        assert!(output.status.success(), "{}", stderr(&output));
        let instead = "it asks `openai/gpt-5` in place of `claude-sonnet-5-5`, with ";
        assert!(stderr(&output).contains(instead), "{}", stderr(&output));
        let both: Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!(both["original"]["run"]["id"], first.run().as_str());
        let run = &both["replay"]["run"];
        assert_eq!(run["state"], "Completed");
        assert_eq!(run["facts"]["dagway.replay.of"], first.run().as_str());
        assert_eq!(run["facts"]["dagway.model.asked"], "openai/gpt-5");
        let expected = body.replace("claude-sonnet-5-5", "openai/gpt-5");
        assert_eq!(payload(&app, run, "client.request").await, expected);
        assert_eq!(arrived(&app).body["model"], "openai/gpt-5");
        app.stop().await;
    });
}

#[test]
fn the_native_lane_gets_the_same_headers_and_the_same_query_again() {
    block_on(async {
        let app = TestApp::start_with(native).await;
        let body = r#"{ "model" : "claude-sonnet-5-5","max_tokens":100, "brand_new": [1,  2],
            "stream":true, "messages":[{"role":"user","content":"h\u00e9llo"}] }"#;
        app.script(Script::new().then(Turn::text("Passed.")));
        let first = asked(&app, body).await;
        assert_eq!(first.status, 200, "{}", first.body);
        let before = arrived(&app);
        app.script(Script::new().then(Turn::text("Passed.")));
        let output = typed(&app, &[&first.run()], &[]).await;
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(
            stderr(&output).ends_with("/v1/messages?beta=true\n"),
            "{}",
            stderr(&output)
        );
        let again = arrived(&app);
        assert_ne!(before.number, again.number);
        assert_eq!((&before.path, &before.body), (&again.path, &again.body));
        for name in ["anthropic-version", "anthropic-beta", "x-session-id"] {
            let (before, again) = (before.header(name), again.header(name));
            assert!(before.is_some() && before == again, "{name}: {again:?}");
        }
        assert!(again.headers.keys().all(|name| !name.contains("replay")));
        let runs = listed(&app).await;
        assert_eq!(runs[0]["workflow"], "native");
        let [again, before] = [0, 1].map(|index| runs[index]["id"].as_str().unwrap());
        let [again, before] = [again, before].map(|id| format!("/api/runs/{id}"));
        let queries = [app.get(&again).await.json(), app.get(&before).await.json()];
        for run in queries {
            let json = run["request"]["json"].as_str().unwrap().to_owned();
            assert!(json.contains("\"query\":\"beta=true\""), "{json}");
        }
        app.stop().await;
    });
}

#[test]
fn the_fallback_of_a_replay_is_one_too_and_is_what_is_shown() {
    block_on(async {
        let app = with_fallbacks_and(&["openai/gpt-5"], |settings| {
            settings.server.answer_after = Duration::from_millis(100);
            settings.models.cooldown = Duration::ZERO;
        })
        .await;
        app.script(Script::new().then(Turn::text("Hello.")));
        let first = asked(&app, &ask("hello").to_string()).await;
        // Its stream has begun when another model steps in, so that the answer names the run that failed.
        app.script(
            Script::new()
                .then(late_refusal())
                .then(Turn::text("I step in.")),
        );
        let output = typed(&app, &[&first.run()], &[]).await;
        assert!(output.status.success(), "{}", stderr(&output));
        let runs = listed(&app).await;
        let ids: Vec<_> = runs.iter().map(|run| run["id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), 3, "{ids:?}");
        for run in &runs[..2] {
            assert_eq!(run["facts"]["dagway.replay.of"], ids[2]);
        }
        assert_eq!(runs[1]["state"], "Failed");
        let said = stdout(&output);
        assert!(
            said.starts_with(&format!("✓ Completed  messages  {}\n", ids[0])),
            "{said}"
        );
        assert!(line(&said, "model").contains(" openai/gpt-5"), "{said}");
        app.stop().await;
    });
}

#[test]
fn tokens_are_counted_again_where_they_were_counted() {
    block_on(async {
        let app = TestApp::start().await;
        let body = json!({ "model": "m", "messages": [{ "role": "user", "content": "hello" }] });
        let first = app.post("/v1/messages/count_tokens", &body).await;
        assert_eq!(first.status, 200, "{}", first.body);
        app.ended_run(&first.run()).await;
        let output = typed(&app, &["latest"], &[]).await;
        assert!(output.status.success(), "{}", stderr(&output));
        let said = stdout(&output);
        assert!(said.starts_with("✓ Completed  count_tokens  "), "{said}");
        assert!(
            app.simulator
                .requests()
                .iter()
                .all(|seen| seen.method != "POST")
        );
        app.stop().await;
    });
}

#[test]
fn a_client_key_is_presented_as_claude_code_would_and_a_wrong_one_is_said_to_be_so() {
    block_on(async {
        let app = TestApp::start_with(|settings| {
            settings.server.client_keys =
                ["secret-a", "secret-b"].map(ClientKey::nameless).to_vec();
        })
        .await;
        let request = app.http.post(app.url("/v1/messages"));
        let request = request
            .bearer_auth("secret-b")
            .body(ask_whole("x").to_string());
        let first = read(request.send().await.unwrap()).await;
        app.ended_run(&first.run()).await;
        for (variables, demands) in [
            (
                &[][..],
                Some("and none is set here; set DAGWAY_CLIENT_KEYS"),
            ),
            (
                &[("ANTHROPIC_AUTH_TOKEN", "very-wrong")],
                Some("is none of them; set"),
            ),
            (&[("ANTHROPIC_AUTH_TOKEN", "secret-b")], None),
            (&[("DAGWAY_CLIENT_KEYS", "secret-a,secret-b")], None),
        ] {
            let output = typed(&app, &[&first.run()], variables).await;
            let told = stderr(&output);
            let code = if demands.is_some() { 2 } else { 0 };
            assert_eq!(output.status.code(), Some(code), "{told}");
            assert!(told.contains(demands.unwrap_or("")), "{told}");
            let said = stdout(&output) + &told;
            assert!(
                !said.contains("secret-") && !said.contains("very-wrong"),
                "{said}"
            );
        }
        assert_eq!(listed(&app).await.len(), 3);
        app.stop().await;
    });
}

#[test]
fn a_replay_is_recorded_under_the_name_that_was_chosen_or_not_sent() {
    block_on(async {
        let app = TestApp::start_with(|settings| {
            settings.server.client_keys = vec![
                ClientKey::named("alice", "secret-a"),
                ClientKey::named("bob", "secret-b"),
            ];
        })
        .await;
        let request = app.http.post(app.url("/v1/messages"));
        let request = request
            .bearer_auth("secret-a")
            .body(ask_whole("x").to_string());
        let first = read(request.send().await.unwrap()).await;
        app.ended_run(&first.run()).await;
        let id = first.run();
        let keys = [("DAGWAY_CLIENT_KEYS", "alice = secret-a, bob = secret-b")];
        let undecided = typed(&app, &[&id], &keys).await;
        let told = stderr(&undecided);
        assert_eq!(undecided.status.code(), Some(2), "{told}");
        assert!(told.contains("say whose is to be presented"), "{told}");
        assert!(told.contains("alice, bob") && !told.contains("secret-"));
        let of_bob = typed(&app, &[&id, "--as", "bob"], &keys).await;
        assert!(of_bob.status.success(), "{}", stderr(&of_bob));
        let runs = listed(&app).await;
        assert_eq!(runs.len(), 2);
        assert_eq!(runs[0]["facts"]["enduser.id"], "bob", "{}", runs[0]);
        app.stop().await;
        // Where none is demanded, nobody has to choose.
        let open = TestApp::start().await;
        let first = open.messages(&ask_whole("x")).await;
        open.ended_run(&first.run()).await;
        let sent = typed(&open, &[&first.run()], &keys).await;
        assert!(sent.status.success(), "{}", stderr(&sent));
        open.stop().await;
    });
}

#[test]
fn a_name_is_not_passed_over_where_no_key_is_demanded() {
    block_on(async {
        let app = TestApp::start().await;
        let first = app.messages(&ask_whole("x")).await;
        app.ended_run(&first.run()).await;
        let id = first.run();
        let keys = [("DAGWAY_CLIENT_KEYS", "alice = secret-a, bob = secret-b")];
        let of_nobody = typed(&app, &[&id, "--as", "carol"], &keys).await;
        assert_eq!(of_nobody.status.code(), Some(2), "{of_nobody:?}");
        let told = stderr(&of_nobody);
        assert!(told.contains("has the name `carol`"), "{told}");
        assert_eq!(listed(&app).await.len(), 1, "nothing was sent");
        let of_bob = typed(&app, &[&id, "--as", "bob"], &keys).await;
        let told = stderr(&of_bob);
        assert!(of_bob.status.success(), "{told}");
        let expected =
            "demands no client key, so none is presented, and the new run has no key's name";
        assert!(told.contains(expected), "{told}");
        let headers = payload(&app, &listed(&app).await[0], "client.request.headers").await;
        assert!(!headers.contains("authorization"), "{headers}");
        app.stop().await;
    });
}

#[test]
fn who_asks_the_server_of_its_own_settings_presents_its_key_at_once() {
    block_on(async {
        let keys = |settings: &mut Settings| {
            settings.server.client_keys = vec![ClientKey::nameless("secret-a")];
        };
        let app = TestApp::start_with(keys).await;
        let request = app.http.post(app.url("/v1/messages"));
        let request = request
            .bearer_auth("secret-a")
            .body(ask_whole("x").to_string());
        let first = read(request.send().await.unwrap()).await;
        app.ended_run(&first.run()).await;
        let folder = tempfile::tempdir().unwrap();
        let mut command = dagway(folder.path());
        command
            .env("DAGWAY_LISTEN", app.app.address().to_string())
            .env("DAGWAY_CLIENT_KEYS", "secret-a")
            .env("ANTHROPIC_AUTH_TOKEN", "of-somebody-else")
            .args(["runs", "replay", "latest"]);
        let output = tokio::task::spawn_blocking(move || command.output());
        let output = output.await.unwrap().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let metrics = app.get("/metrics").await.body;
        let none = "dagway_refused_requests_total{reason=\"client_key\"} 0";
        assert!(metrics.lines().any(|line| line == none), "{metrics}");
        app.stop().await;
    });
}

#[test]
fn a_token_for_somebody_else_stays_here_where_no_key_is_demanded() {
    block_on(async {
        let app = TestApp::start().await;
        let first = app.messages(&ask_whole("x")).await;
        app.ended_run(&first.run()).await;
        let folder = tempfile::tempdir().unwrap();
        let mut command = dagway(folder.path());
        command
            .env("DAGWAY_LISTEN", app.app.address().to_string())
            .env("ANTHROPIC_AUTH_TOKEN", "of somebody\nelse")
            .args(["runs", "replay", "latest"]);
        let output = tokio::task::spawn_blocking(move || command.output());
        let output = output.await.unwrap().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let headers = payload(&app, &listed(&app).await[0], "client.request.headers").await;
        assert!(headers.contains(&first.run()), "{headers}");
        assert!(!headers.contains("authorization"), "{headers}");
        app.stop().await;
    });
}

#[test]
fn what_cannot_be_sent_again_is_a_sentence_with_the_cure() {
    block_on(async {
        let small = |settings: &mut Settings| settings.server.body_limit_mb = 1;
        let app = TestApp::start_with(small).await;
        let none = refused(&app, &["latest"]).await;
        assert_eq!(none, "dagway: there is no run yet\n");
        let long = app.messages(&ask(&"long ".repeat(300_000))).await;
        assert_eq!(long.status, 413, "{}", long.body);
        app.ended_run(&long.run()).await;
        let sentence = refused(&app, &["latest"]).await;
        assert!(
            sentence.contains("has no body to be sent again"),
            "{sentence}"
        );
        assert!(sentence.contains("`dagway runs show "), "{sentence}");
        let nameless = app.messages(&json!({ "messages": [] })).await;
        app.ended_run(&nameless.run()).await;
        let sentence = refused(&app, &["latest", "--model", "m"]).await;
        assert!(sentence.contains("names no model") && sentence.contains("leave --model out"));
        let output = typed(&app, &["latest"], &[]).await;
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(
            stderr(&output).contains("it asks no model"),
            "{}",
            stderr(&output)
        );
        app.stop().await;

        let app = TestApp::start_with(|settings| settings.store.payloads = false).await;
        let first = app.messages(&ask_whole("hello")).await;
        app.ended_run(&first.run()).await;
        let sentence = refused(&app, &["latest"]).await;
        assert!(
            sentence.contains("DAGWAY_STORE_PAYLOADS=true"),
            "{sentence}"
        );
        app.stop().await;
    });
}

#[test]
fn only_the_id_of_a_run_counts_as_what_is_replayed() {
    block_on(async {
        let app = TestApp::start().await;
        let id = RunId::now();
        let digits = id.text().replace('-', "");
        for (told, expected) in [
            (id.text(), json!(id.text())),
            (digits.to_uppercase(), json!(id.text())),
            (id.request_id(), Value::Null),
            ("latest".to_owned(), Value::Null),
            ("../../settings".to_owned(), Value::Null),
            ("<script>".to_owned(), Value::Null),
        ] {
            let request = app.http.post(app.url("/v1/messages"));
            let request = request.header("x-dagway-replay-of", &told);
            let request = request.body(ask_whole("hello").to_string());
            let got = read(request.send().await.unwrap()).await;
            assert_eq!(got.status, 200, "{}", got.body);
            let run = app.ended_run(&got.run()).await;
            assert_eq!(run["facts"]["dagway.replay.of"], expected, "{told}");
        }
        app.stop().await;
    });
}
