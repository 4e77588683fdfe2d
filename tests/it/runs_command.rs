//! `dagway runs`, as somebody types it who has a terminal and no browser: the program itself, against a real server.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use dagway::settings::{ClientKey, Secret};
use dagway::simulator::{Answer, End, Piece, Script, Turn};
use serde_json::{Value, json};

use crate::program::{dagway, stderr};
use crate::support::{TestApp, ask, ask_whole, block_on, eventually, read};

/// `dagway runs …` for a server, in a home of its own.
fn runs(folder: &Path, server: &str, arguments: &[&str]) -> Command {
    let mut command = dagway(folder);
    command
        .env("TZ", "UTC")
        .arg("runs")
        .args(arguments)
        .args(["--server", server]);
    command
}

/// Types it, while the server goes on.
async fn said(mut command: Command) -> Output {
    let output = tokio::task::spawn_blocking(move || command.output());
    output.await.unwrap().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What is printed when all is well.
async fn printed(app: &TestApp, arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = said(runs(folder.path(), &app.app.url(), arguments)).await;
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        stderr(&output)
    );
    stdout(&output)
}

/// What is said when the person can cure it.
async fn refused(app: &TestApp, arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = said(runs(folder.path(), &app.app.url(), arguments)).await;
    assert_eq!(
        output.status.code(),
        Some(2),
        "{arguments:?}: {}",
        stdout(&output)
    );
    assert_eq!(stdout(&output), "");
    stderr(&output)
}

/// A run that was tried again twice and failed.
async fn failed_run(app: &TestApp) -> String {
    let refusal = Answer::error(503, "no provider \u{1b}[2J is available");
    let refusals = Script::new().then(refusal.clone()).then(refusal.clone());
    app.script(refusals.then(refusal));
    let mut body = ask_whole("hello");
    body["metadata"] = json!({ "user_id": "{\"session_id\":\"s-1\"}" });
    let got = app.messages(&body).await;
    assert_ne!(got.status, 200);
    app.ended_run(&got.run()).await;
    got.run()
}

async fn whole_run(app: &TestApp, text: &str) -> String {
    app.script(Script::new().then(Turn::text("Hello.")));
    let got = app.messages(&ask_whole(text)).await;
    app.ended_run(&got.run()).await;
    got.run()
}

#[test]
fn runs_are_listed_newest_first_and_filtered_as_the_run_api_does() {
    block_on(async {
        let app = TestApp::start().await;
        let empty = printed(&app, &[]).await;
        assert_eq!(empty, "");
        let failed = failed_run(&app).await;
        let whole = whole_run(&app, "hello").await;
        let table = printed(&app, &[]).await;
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 3, "{table}");
        assert!(
            lines[0].starts_with("STATE        STARTED   AGO"),
            "{table}"
        );
        assert!(
            lines[1].starts_with("✓ Completed") && lines[1].contains(&whole),
            "{table}"
        );
        assert!(
            lines[2].starts_with("✕ Failed") && lines[2].contains(&failed),
            "{table}"
        );
        assert!(
            lines[2].contains("no provider \\u{1b}[2J is available"),
            "{table}"
        );
        for filter in [
            ["--state", "failed"],
            ["--session", "s-1"],
            ["--search", "no provider"],
            ["--min-duration", "300ms"],
        ] {
            let only = printed(&app, &filter).await;
            assert!(
                only.contains(&failed) && !only.contains(&whole),
                "{filter:?}: {only}"
            );
        }
        let cost = printed(&app, &["--min-cost", "0.0000001", "--since", "1h"]).await;
        assert!(cost.contains(&whole) && !cost.contains(&failed), "{cost}");
        let none = printed(&app, &["--until", "1h"]).await;
        assert_eq!(none, "");
        let first = printed(&app, &["-n", "1"]).await;
        assert!(
            first.contains(&whole) && !first.contains(&failed),
            "{first}"
        );
        let next = printed(&app, &["-n", "1", "--after", &whole]).await;
        assert!(next.contains(&failed) && !next.contains(&whole), "{next}");
        let narrow = narrow(&app).await;
        assert!(
            narrow.lines().all(|line| line.chars().count() <= 80),
            "{narrow}"
        );
        assert!(narrow.contains("\n  └ "), "{narrow}");
        app.stop().await;
    });
}

/// A Dagway with a key of alice, one of bob and one of nobody in particular, each of which asked once and whose runs are
/// given; and somebody without any.
async fn shared() -> (TestApp, [String; 3]) {
    let app = TestApp::start_with(|settings| {
        settings.server.client_keys = vec![
            ClientKey::named("alice", "secret-a"),
            ClientKey::named("bob", "secret-b"),
            ClientKey::nameless("secret-c"),
        ];
    })
    .await;
    let ask = async |name: &str, value: &str| {
        let request = app.http.post(app.url("/v1/messages"));
        let request = request
            .header(name, value)
            .body(ask_whole("hello").to_string());
        read(request.send().await.unwrap()).await
    };
    assert_eq!(ask("x-api-key", "alice").await.status, 401);
    let mut runs = Vec::new();
    for (name, value) in [
        ("x-api-key", "secret-a"),
        ("authorization", "Bearer secret-b"),
        ("x-api-key", "secret-c"),
    ] {
        let got = ask(name, value).await;
        assert_eq!(got.status, 200, "{}", got.body);
        app.ended_run(&got.run()).await;
        runs.push(got.run());
    }
    (app, runs.try_into().unwrap())
}

#[test]
fn runs_and_their_cost_are_told_apart_by_the_key_that_was_presented() {
    block_on(async {
        let (app, [of_alice, of_bob, of_nobody]) = shared().await;
        let listed = async |path: &str| {
            let runs = app.get(path).await.json()["runs"].clone();
            let ids = runs.as_array().unwrap().iter();
            ids.map(|run| run["id"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        let of_bob_alone = std::slice::from_ref(&of_bob);
        assert_eq!(listed("/api/runs?key=bob").await, of_bob_alone);
        assert_eq!(listed("/api/runs?key=bo").await, [""; 0]);
        assert_eq!(
            listed("/api/runs").await,
            [of_nobody.clone(), of_bob, of_alice.clone()],
            "whoever was refused has no run"
        );
        let usage = app.get("/api/usage?by=key").await.json();
        let mut groups: Vec<_> = usage["groups"]
            .as_array()
            .unwrap()
            .iter()
            .map(|group| (group["name"].as_str(), group["runs"].as_u64()))
            .collect();
        groups.sort_unstable();
        let expected = [None, Some("alice"), Some("bob")].map(|name| (name, Some(1)));
        assert_eq!(groups, expected);
        let table = printed(&app, &["usage", "--by", "key"]).await;
        assert!(
            table.starts_with("KEY ") && table.contains("\nwithout a named key "),
            "{table}"
        );
        let shown = printed(&app, &["show", "latest", "--key", "alice"]).await;
        assert!(shown.contains(&of_alice) && shown.contains("  key       alice\n"));
        let shown = printed(&app, &["show", &of_nobody]).await;
        assert!(!shown.contains("  key "), "{shown}");
        app.stop().await;
    });
}

#[test]
fn the_name_of_a_key_stays_here_and_the_key_is_shown_nowhere() {
    block_on(async {
        let (app, [of_alice, ..]) = shared().await;
        let sent = app.simulator.requests();
        assert!(sent.iter().any(|seen| seen.path.ends_with("/completions")));
        for seen in sent {
            let seen = format!("{} {:?} {}", seen.path, seen.headers, seen.body);
            assert!(
                !seen.contains("alice") && !seen.contains("secret-"),
                "{seen}"
            );
        }
        let whole = format!("/runs/{of_alice}");
        let pages = [
            "/runs?key=alice",
            "/usage?by=key",
            &whole,
            &format!("/api{whole}"),
            &format!("/api{whole}/payloads/client.request.headers"),
        ];
        for path in pages {
            let page = app.get(path).await;
            assert_eq!(page.status, 200, "{path}: {}", page.body);
            let is_told = page.body.contains("alice");
            assert_eq!(is_told, !path.ends_with("headers"), "{path}: {}", page.body);
            assert!(!page.body.contains("secret-"), "{path}: {}", page.body);
        }
        app.stop().await;
    });
}

/// The list on a terminal of 80 places.
async fn narrow(app: &TestApp) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut command = runs(folder.path(), &app.app.url(), &[]);
    command.env("COLUMNS", "80");
    stdout(&said(command).await)
}

#[test]
fn a_failed_run_is_shown_with_its_attempts_and_found_by_whatever_names_it() {
    block_on(async {
        let app = TestApp::start().await;
        let run = failed_run(&app).await;
        whole_run(&app, "hello").await;
        let shown = printed(&app, &["show", &run]).await;
        assert!(
            shown.starts_with(&format!("✕ Failed  messages  {run}\n")),
            "{shown}"
        );
        for part in [
            "  error     call_upstream: ",
            "  session   s-1\n",
            "2 retries\n",
            "call_upstream     ✕ Failed         3 ",
            "┄┄┄",
            "  └ attempt 1, then a pause of ",
            "  └ attempt 2, then a pause of ",
            "convert_response  ○ Skipped        –",
            "step `call_upstream` failed",
            "\nPAYLOADS\n",
            "upstream.refusals",
        ] {
            assert!(shown.contains(part), "no {part} in: {shown}");
        }
        assert!(
            shown.contains("\\u{1b}[2J") && !shown.contains('\u{1b}'),
            "{shown}"
        );
        let digits = run.replace('-', "");
        let request = format!("req_{digits}");
        let last = run.rsplit('-').next().unwrap();
        for name in [
            request.as_str(),
            &digits,
            last,
            last.split_at(4).1,
            &last.to_uppercase(),
        ] {
            let again = printed(&app, &["show", name]).await;
            assert_eq!(again.lines().next(), shown.lines().next(), "{name}");
        }
        let latest = printed(&app, &["show", "latest", "--state", "failed,timedout"]).await;
        assert_eq!(latest.lines().next(), shown.lines().next());
        let latest = printed(&app, &["show", "latest"]).await;
        assert!(latest.starts_with("✓ Completed"), "{latest}");
        app.stop().await;
    });
}

#[test]
fn a_stream_under_way_is_shown_as_one() {
    block_on(async {
        let app = TestApp::start().await;
        let chunk = r#"{"id":"gen-1","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"Well… "},"finish_reason":null}]}"#;
        let pieces = vec![Piece {
            pause: std::time::Duration::ZERO,
            bytes: format!("data: {chunk}\n\n").into(),
        }];
        app.script(Script::new().then(Answer::Sse {
            pieces,
            end: End::Hang,
        }));
        let mut stream = app.open_stream(&ask("hello")).await;
        let run = stream.headers()["x-dagway-run"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(stream.chunk().await.unwrap().is_some());
        let is_streaming =
            |run: &Value| run["streaming"] == true && run["steps"][6]["streaming"] == true;
        app.run_when(&run, is_streaming).await;
        let listed = printed(&app, &["--state", "running"]).await;
        assert!(
            listed.contains("▶ Streaming") && listed.contains(&run),
            "{listed}"
        );
        let shown = printed(&app, &["show", "latest"]).await;
        assert!(shown.starts_with("▶ Streaming  messages"), "{shown}");
        assert!(shown.contains(" so far, first token after "), "{shown}");
        let response = shown
            .lines()
            .find(|line| line.starts_with("convert_response"))
            .unwrap();
        assert!(
            response.contains("▶ Streaming") && response.ends_with('▒'),
            "{shown}"
        );
        drop(stream);
        app.ended_run(&run).await;
        let shown = printed(&app, &["show", &run]).await;
        assert!(shown.starts_with("− Cancelled"), "{shown}");
        app.stop().await;
    });
}

#[test]
fn payloads_are_printed_byte_for_byte() {
    block_on(async {
        let app = TestApp::start().await;
        let text = "Grüße \u{9b}31m \u{202e}";
        let run = whole_run(&app, text).await;
        let folder = tempfile::tempdir().unwrap();
        for (name, full) in [
            ("asked", "client.request"),
            ("sent", "upstream.request"),
            ("answered", "upstream.response"),
            ("got", "client.response"),
            ("client.request.headers", "client.request.headers"),
        ] {
            let kept = app
                .get(&format!("/api/runs/{run}/payloads/{full}"))
                .await
                .body;
            let arguments = ["payload", "latest", name];
            let output = said(runs(folder.path(), &app.app.url(), &arguments)).await;
            assert_eq!(stdout(&output), kept, "{name}");
        }
        let asked = printed(&app, &["payload", &run, "asked"]).await;
        assert!(asked.contains(text), "{asked}");
        let wrong = refused(&app, &["payload", &run, "../../runs"]).await;
        assert!(
            wrong.contains("has no payload") || wrong.contains("nothing at"),
            "{wrong}"
        );
        let none = refused(&app, &["payload", &run, "sent-2"]).await;
        assert!(none.contains("has no payload upstream.request.2"), "{none}");
        app.stop().await;
    });
}

/// A turn that says these texts, one after the other, and allows so many tokens.
async fn turn(app: &TestApp, texts: &[&str], max_tokens: u32) -> String {
    app.script(Script::new().then(Turn::text("Yes.")));
    let mut body = ask_whole("");
    let messages = texts.iter().enumerate().map(|(number, text)| {
        let role = if number % 2 == 0 { "user" } else { "assistant" };
        json!({ "role": role, "content": text })
    });
    body["messages"] = messages.collect();
    body["max_tokens"] = json!(max_tokens);
    body["metadata"] = json!({ "user_id": "{\"session_id\":\"s-1\"}" });
    let got = app.messages(&body).await;
    assert_eq!(got.status, 200, "{}", got.body);
    app.ended_run(&got.run()).await;
    got.run()
}

#[test]
fn a_turn_is_shown_beside_the_one_before_it_or_beside_another() {
    block_on(async {
        let app = TestApp::start().await;
        let first = turn(&app, &["one\nlonger\nquestion"], 500).await;
        let nothing = printed(&app, &["changes", "latest"]).await;
        assert!(nothing.contains("nothing to compare with"), "{nothing}");
        let second = turn(
            &app,
            &["one\nlonger\nquestion", "Yes.", "\u{1b}[2J more"],
            900,
        )
        .await;
        let third = turn(&app, &["one\nlarger\nquestion"], 900).await;

        let told = printed(&app, &["changes", &second]).await;
        assert!(
            told.starts_with("It goes on where the earlier one ended, with 2 parts more.\n"),
            "{told}"
        );
        for part in [
            &first,
            "what was sent upstream",
            "1 of 1 parts, 100 % of the text",
            "max_tokens: 500 → 900",
            ": the same\n",
            "┄ a cache of the earlier turn ends here ┄",
            "    + \\u{1b}[2J more\n",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
        let other = printed(&app, &["changes", &third, "--against", &first]).await;
        assert!(other.contains("    - longer\n    + larger\n"), "{other}");
        assert!(other.contains("It begins differently"), "{other}");

        let json = printed(&app, &["changes", &third, "--against", &first, "--json"]).await;
        let address = format!("/api/runs/{third}/changes");
        let answered = app.get(&format!("{address}?against={first}")).await.json();
        assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), answered);
        assert_eq!(answered["earlier"]["id"], first.as_str());
        assert_eq!(answered["verdict"]["same_first"], 0);
        let wrong = app.get(&format!("{address}?with={first}")).await;
        assert_eq!(wrong.status, 400);
        assert!(wrong.body.contains("takes against"), "{}", wrong.body);
        app.stop().await;
    });
}

#[test]
fn scripts_get_what_the_run_api_answers_and_no_terminal_obeys_it() {
    block_on(async {
        let app = TestApp::start().await;
        app.script(Script::new().then(Answer::error(400, "no \u{9b}31m such \u{202e} thing")));
        let got = app.messages(&ask_whole("hello")).await;
        app.ended_run(&got.run()).await;
        let list = printed(&app, &["--json", "--limit", "7"]).await;
        let mut answered = app.get("/api/runs?limit=7").await.json();
        assert_eq!(serde_json::from_str::<Value>(&list).unwrap(), answered);
        assert!(
            list.contains("\\u009b31m") && !list.contains('\u{9b}'),
            "{list}"
        );
        assert_eq!(list.lines().count(), 1);
        let shown = printed(&app, &["show", "latest", "--json"]).await;
        answered = app.get(&format!("/api/runs/{}", got.run())).await.json();
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), answered);
        assert_eq!(
            printed(&app, &["--json", "--state", "crashed"]).await,
            "{\"runs\":[],\"next\":null}\n"
        );
        app.stop().await;
    });
}

#[test]
fn what_cannot_be_is_a_sentence_with_the_cure() {
    block_on(async {
        let app = TestApp::start().await;
        let missing = refused(&app, &["show", "latest"]).await;
        assert_eq!(missing, "dagway: there is no run yet\n");
        let run = whole_run(&app, "one").await;
        whole_run(&app, "two").await;
        // The digits of the time are the same for both.
        let (time, _) = run.split_at(8);
        let unknown = "01a2026b-8aa0-705a-805a-5a5a5a5a0003";
        for (arguments, parts) in [
            (
                &["--state", "done"][..],
                &["there is no state `done`", "Failed"][..],
            ),
            (&["--since", "yesterday"], &["since: `yesterday`", "90m"]),
            (&["--limit", "0"], &["limit: `0`", "200"]),
            (&["--follow", "--limit", "x"], &["limit: `x`"]),
            (&["--follow", "--until", "1h"], &["--follow", "--until"]),
            (
                &["show", unknown],
                &["There is no run 01a2026b", "retention"],
            ),
            (&["show", "fefefefefe"], &["ends or begins with fefefefefe"]),
            (&["show", time], &["may be one of several", &run]),
            (
                &["show", "\u{1b}[2J"],
                &["`\\u{1b}[2J` does not name a run", "latest"],
            ),
            (
                &["show", "latest", "--state", "crashed"],
                &["there is no such run"],
            ),
            (&["show", &run, "--state", "failed"], &["filters choose"]),
            (&["--limit", "3", "show", &run], &["--limit", "list"]),
            (&["--sort", "cost", "show", &run], &["--sort", "list"]),
            (
                &["changes", &run, "--against", "nobody"],
                &["`nobody` does not name a run"],
            ),
            (
                &["changes", &run, "--against", unknown],
                &["There is no run 01a2026b"],
            ),
            (&["payload", &run, "got", "--json"], &["--json"]),
        ] {
            let sentence = refused(&app, arguments).await;
            for part in parts {
                assert!(sentence.contains(part), "{arguments:?}: {sentence}");
            }
        }
        app.stop().await;
    });
}

#[test]
fn a_server_that_is_not_there_is_said_to_be_so_with_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    // The address of the settings is asked when no other is given; proxies are not asked for what is here.
    let output = dagway(folder.path())
        .env("DAGWAY_LISTEN", free.to_string())
        .env("http_proxy", "http://127.0.0.1:9")
        .arg("runs")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let sentence = stderr(&output);
    assert!(
        sentence.contains(&format!(
            "no Dagway answers at http://{free}: Connection refused"
        )),
        "{sentence}"
    );
    assert!(
        sentence.contains("start it with `dagway`") && sentence.contains("--server"),
        "{sentence}"
    );
    let output = runs(folder.path(), "ftp://127.0.0.1", &[])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("is not a URL such as"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn what_is_not_dagway_is_said_to_be_so_and_gets_no_password() {
    let folder = tempfile::tempdir().unwrap();
    for (answer, expected) in [
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
            "(with status 200) is not Dagway",
        ),
        (
            "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n",
            "(with status 502) is not Dagway",
        ),
        // It demands the password of something else, and does not get Dagway's.
        (
            "HTTP/1.1 401 No\r\nwww-authenticate: Basic realm=\"else\"\r\ncontent-length: 0\r\n\r\n",
            "(with status 401) is not Dagway",
        ),
        ("SSH-2.0-x\r\n", "did not answer to the end"),
    ] {
        let (address, heard) = stranger(answer);
        let output = runs(folder.path(), &address, &[])
            .env("DAGWAY_DASHBOARD_PASSWORD", "open-sesame")
            .output()
            .unwrap();
        assert!(!output.status.success());
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
        let heard = heard.lock().unwrap().to_lowercase();
        assert!(
            heard.starts_with("get /api/runs http") && !heard.contains("authorization"),
            "{heard}"
        );
    }
    let (address, _) =
        stranger("HTTP/1.1 200 OK\r\nx-dagway-overhead-us: 1\r\ncontent-length: 3\r\n\r\n[1]");
    let output = runs(folder.path(), &address, &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("is not understood"),
        "{}",
        stderr(&output)
    );
}

/// A server that gives everybody the same answer; where it is, and what it heard.
fn stranger(answer: &'static str) -> (String, Arc<Mutex<String>>) {
    use std::io::Write;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let heard = Arc::new(Mutex::new(String::new()));
    let ear = Arc::clone(&heard);
    std::thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            let mut bytes = [0; 4096];
            let length = socket.read(&mut bytes).unwrap_or(0);
            ear.lock()
                .unwrap()
                .push_str(&String::from_utf8_lossy(&bytes[..length]));
            let _ = socket.write_all(answer.as_bytes());
        }
    });
    (address, heard)
}

#[test]
fn the_password_is_presented_where_it_is_demanded_and_printed_nowhere() {
    block_on(async {
        let app = TestApp::start_with(|settings| {
            settings.server.dashboard_password = Secret::new("open sésame");
        })
        .await;
        let folder = tempfile::tempdir().unwrap();
        let with = async |password: Option<&str>, arguments: &[&str]| {
            let mut command = runs(folder.path(), &app.app.url(), arguments);
            command.envs(password.map(|password| ("DAGWAY_DASHBOARD_PASSWORD", password)));
            said(command).await
        };
        let none = with(None, &[]).await;
        assert_eq!(none.status.code(), Some(2));
        assert!(
            stderr(&none).contains("set DAGWAY_DASHBOARD_PASSWORD"),
            "{}",
            stderr(&none)
        );
        let wrong = with(Some("very-wrong"), &[]).await;
        assert_eq!(wrong.status.code(), Some(2));
        assert!(
            stderr(&wrong).contains("refuses the password"),
            "{}",
            stderr(&wrong)
        );
        assert!(!stderr(&wrong).contains("very-wrong"));
        app.script(Script::new().then(Turn::text("Hello.")));
        let got = app.messages(&ask_whole("hello")).await;
        // The run API of this test's client has no password: `dagway runs` waits in its place.
        let mut listed = String::new();
        for _ in 0..200 {
            let output = with(Some("open sésame"), &["--json"]).await;
            assert!(output.status.success(), "{}", stderr(&output));
            listed = stdout(&output);
            if listed.contains("\"state\":\"Completed\"") {
                break;
            }
        }
        assert!(listed.contains(&got.run()), "{listed}");
        let shown = with(Some("open sésame"), &["payload", "latest", "got"]).await;
        assert_eq!(stdout(&shown), got.body, "{}", stderr(&shown));
        app.stop().await;
    });
}

#[test]
fn who_asks_the_server_of_its_own_settings_is_not_refused_first() {
    block_on(async {
        let app = TestApp::start_with(|settings| {
            settings.server.dashboard_password = Secret::new("open-sesame");
        })
        .await;
        let folder = tempfile::tempdir().unwrap();
        let refused = async || {
            let metrics = app.http.get(app.url("/metrics"));
            let metrics = metrics.basic_auth("me", Some("open-sesame")).send().await;
            let metrics = metrics.unwrap().text().await.unwrap();
            let name = "dagway_refused_requests_total{reason=\"password\"} ";
            let count = metrics.lines().find_map(|line| line.strip_prefix(name));
            count.expect("they are counted").to_owned()
        };
        for (password, expected) in [("open-sesame", "0"), ("wrong", "1")] {
            let mut command = dagway(folder.path());
            command
                .env("DAGWAY_LISTEN", app.app.address().to_string())
                .env("DAGWAY_DASHBOARD_PASSWORD", password)
                .arg("runs");
            let output = said(command).await;
            assert_eq!(output.status.success(), expected == "0", "{output:?}");
            assert_eq!(refused().await, expected, "{password}");
        }
        app.stop().await;
    });
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    block_on(async {
        let app = TestApp::start().await;
        let run = whole_run(&app, &"long ".repeat(40_000)).await;
        let folder = tempfile::tempdir().unwrap();
        for arguments in [
            &["show", "latest"][..],
            &["payload", &run, "asked"],
            &["--json"],
            &["--follow"],
        ] {
            let mut command = runs(folder.path(), &app.app.url(), arguments);
            let child = command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn();
            let mut child = child.unwrap();
            // The reader leaves at once.
            drop(child.stdout.take());
            let output = tokio::task::spawn_blocking(move || child.wait_with_output());
            let output = output.await.unwrap().unwrap();
            assert_eq!(
                output.status.code(),
                Some(0),
                "{arguments:?}: {}",
                stderr(&output)
            );
            assert_eq!(stderr(&output), "", "{arguments:?}");
        }
        app.stop().await;
    });
}

/// A `dagway runs --follow` under way; killed when dropped.
struct Follower {
    child: Child,
    out: Arc<Mutex<Vec<String>>>,
    err: Arc<Mutex<Vec<String>>>,
}

impl Follower {
    fn start(mut command: Command) -> Self {
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.unwrap();
        let out = heard(child.stdout.take().unwrap());
        let err = heard(child.stderr.take().unwrap());
        Self { child, out, err }
    }

    fn lines(&self) -> Vec<String> {
        self.out.lock().unwrap().clone()
    }

    /// Lines that hold both texts.
    fn count(&self, one: &str, other: &str) -> usize {
        let lines = self.lines();
        lines
            .iter()
            .filter(|line| line.contains(one) && line.contains(other))
            .count()
    }

    async fn hears(&self, one: &str, other: &str) {
        eventually(&format!("a line with {one} and {other}"), || {
            self.count(one, other) > 0
        })
        .await;
    }

    async fn complains(&self, part: &str) {
        let complained = || {
            self.err
                .lock()
                .unwrap()
                .iter()
                .any(|line| line.contains(part))
        };
        eventually(part, complained).await;
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of a stream so far.
fn heard(stream: impl Read + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let ear = Arc::clone(&lines);
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            ear.lock().unwrap().push(line);
        }
    });
    lines
}

#[test]
fn runs_are_followed_as_they_come_and_end_each_said_once() {
    block_on(async {
        let app = TestApp::start().await;
        let older = whole_run(&app, "older").await;
        let old = whole_run(&app, "old").await;
        let folder = tempfile::tempdir().unwrap();
        let follower = Follower::start(runs(folder.path(), &app.app.url(), &["-f", "-n", "1"]));
        follower.hears(&old, "✓ Completed").await;
        app.script(Script::new().then(Answer::Hang));
        let hanging = app
            .http
            .post(app.url("/v1/messages"))
            .body(ask_whole("x").to_string());
        let hanging = tokio::task::spawn_local(hanging.send());
        follower.hears("▶ Running", "").await;
        let new = whole_run(&app, "new").await;
        follower.hears(&new, "✓ Completed").await;
        // The client hangs up.
        hanging.abort();
        follower.hears("− Cancelled", "").await;
        let another = whole_run(&app, "another").await;
        follower.hears(&another, "✓ Completed").await;
        let lines = follower.lines();
        assert!(lines[0].starts_with("STATE"), "{lines:?}");
        assert_eq!(follower.count(&older, ""), 0, "{lines:?}");
        for once in [&old, &another] {
            assert_eq!(follower.count(once, "✓ Completed"), 1, "{lines:?}");
        }
        let left = lines.iter().find(|line| line.starts_with("− Cancelled"));
        let left = left
            .unwrap()
            .split_whitespace()
            .find(|word| word.len() == 36);
        for state in ["▶ Running", "− Cancelled"] {
            assert_eq!(follower.count(state, left.unwrap()), 1, "{lines:?}");
        }
        app.stop().await;
    });
}

#[test]
fn a_follower_says_when_the_server_goes_and_goes_on_when_it_is_back() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("kept");
        let app = TestApp::start_with(|settings| settings.store.folder.clone_from(&data)).await;
        let before = whole_run(&app, "before").await;
        let (address, url) = (app.app.address(), app.app.url());
        let follower = Follower::start(runs(folder.path(), &url, &["--follow", "--json"]));
        follower.hears(&before, "Completed").await;
        app.stop().await;
        follower.complains("waiting until it answers again").await;
        let app = TestApp::start_with(|settings| {
            settings.store.folder.clone_from(&data);
            settings.server.listen = address;
        })
        .await;
        let after = whole_run(&app, "after").await;
        follower.hears(&after, "Completed").await;
        follower.complains("answers again").await;
        assert_eq!(follower.count(&before, ""), 1);
        for line in follower.lines() {
            let run: Value = serde_json::from_str(&line).unwrap();
            assert!(run["id"].is_string(), "{line}");
        }
        let complaints = follower.err.lock().unwrap().clone();
        assert_eq!(complaints.len(), 2, "{complaints:?}");
        app.stop().await;
    });
}
