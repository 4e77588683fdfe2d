//! How a gateway stops: soon, whatever is open, and never with an answer that just breaks off.

use std::time::{Duration, Instant};

use dagway::simulator::{self, Answer, End, Script, Simulator};

use crate::program::Server;
use crate::support::{DEADLINE, TestApp, ask, ask_whole, block_on, events, eventually, read};

/// Less than the usual grace, and more than a stop takes that waits for nothing.
const SOON: Duration = Duration::from_secs(6);

fn hangs_after_a_word() -> Script {
    let chunk = r#"{"id":"gen-1","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"Well… "},"finish_reason":null}]}"#;
    let pieces = vec![simulator::Piece {
        pause: Duration::ZERO,
        bytes: format!("data: {chunk}\n\n").into(),
    }];
    let end = End::Hang;
    Script::new().then(Answer::Sse { pieces, end })
}

#[test]
fn an_open_page_makes_no_stop_wait() {
    block_on(async {
        let app = TestApp::start().await;
        let mut page = app.http.get(app.url("/live/runs")).send().await.unwrap();
        assert!(page.chunk().await.unwrap().is_some(), "the page is live");
        tokio::time::timeout(SOON, app.stop())
            .await
            .expect("the page does not hold it up");
        while let Ok(Some(_)) = page.chunk().await {}
    });
}

#[test]
fn when_the_grace_is_over_a_stream_ends_with_an_error_and_a_whole_answer_is_one() {
    block_on(async {
        let app = TestApp::start_with(|settings| {
            settings.server.shutdown_grace = Duration::from_millis(300);
        })
        .await;
        app.script(hangs_after_a_word().then(Answer::Hang));
        let stream = app.open_stream(&ask("hello")).await;
        let whole = app
            .http
            .post(app.url("/v1/messages"))
            .body(ask_whole("hello").to_string());
        let whole = tokio::task::spawn_local(whole.send());
        let asked = || {
            let requests = app.simulator.requests();
            requests.iter().filter(|seen| seen.method == "POST").count() == 2
        };
        eventually("both are on their way", asked).await;
        let stopped = tokio::task::spawn_local(tokio::time::timeout(SOON, app.stop()));
        let streamed = read(stream).await;
        let (name, error) = events(&streamed.body).pop().unwrap();
        assert_eq!(name, "error", "{}", streamed.body);
        assert_eq!(error["error"]["type"], "overloaded_error");
        let whole = read(whole.await.unwrap().unwrap()).await;
        assert_eq!(whole.status, 529, "{}", whole.body);
        assert!(whole.body.contains("being stopped"), "{}", whole.body);
        stopped.await.unwrap().expect("nothing else is waited for");
    });
}

#[test]
fn a_stream_that_always_has_more_ends_with_the_grace_too() {
    block_on(async {
        let app = TestApp::start_with(|settings| {
            settings.server.shutdown_grace = Duration::from_millis(300);
        })
        .await;
        let chunk = r#"{"id":"gen-1","model":"m","choices":[{"index":0,"delta":{"content":"and on "},"finish_reason":null}]}"#;
        let piece = simulator::Piece {
            pause: Duration::ZERO,
            bytes: format!("data: {chunk}\n\n").repeat(200).into(),
        };
        let pieces = vec![piece; 4_000];
        let end = End::Clean;
        app.script(Script::new().then(Answer::Sse { pieces, end }));
        let stream = app.open_stream(&ask("hello")).await;
        let stopped = tokio::task::spawn_local(tokio::time::timeout(SOON, app.stop()));
        let streamed = read(stream).await;
        let (name, error) = events(&streamed.body).pop().unwrap();
        assert_eq!(name, "error", "{}", streamed.body.len());
        assert_eq!(error["error"]["type"], "overloaded_error");
        stopped.await.unwrap().expect("nothing else is waited for");
    });
}

#[test]
fn who_asks_twice_waits_no_longer() {
    block_on(async {
        let app = TestApp::start().await;
        app.script(hangs_after_a_word());
        let stream = app.open_stream(&ask("hello")).await;
        let stopped = app.stop_sooner_at(std::future::ready(()));
        let stopped = tokio::task::spawn_local(tokio::time::timeout(SOON, stopped));
        let streamed = read(stream).await;
        let (name, _) = events(&streamed.body).pop().unwrap();
        assert_eq!(name, "error", "{}", streamed.body);
        stopped.await.unwrap().expect("the grace is cut short");
    });
}

/// A client that makes a connection of its own for each request, as a load balancer's check does.
fn newcomer() -> reqwest::Client {
    let http = dagway::upstream::client::http().unwrap();
    let http = http.no_proxy().pool_max_idle_per_host(0);
    http.build().unwrap()
}

/// What the server says of its readiness, once it is not ready.
async fn until_not_ready(http: &reqwest::Client, server: &Server) -> serde_json::Value {
    let since = Instant::now();
    while since.elapsed() < DEADLINE {
        let answer = http.get(format!("{}/health/ready", server.url)).send();
        let answer = read(answer.await.unwrap()).await;
        if answer.status == 503 {
            return answer.json();
        }
    }
    panic!("it is ready all the time");
}

#[test]
fn who_is_to_stop_serves_on_for_the_delay_and_says_that_it_is_not_ready() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let simulator = Simulator::start(simulator::Settings::immediate()).await;
        let simulator = simulator.unwrap();
        let variables = [
            ("DAGWAY_SERVER_DRAIN_DELAY", "1h"),
            ("DAGWAY_SERVER_SHUTDOWN_GRACE", "1h"),
        ];
        let mut server = Server::start_with(folder.path(), &simulator.base_url(), &variables);
        let http = newcomer();
        let ready = http.get(format!("{}/health/ready", server.url)).send();
        assert_eq!(ready.await.unwrap().status(), 200);
        let page = http.get(format!("{}/live/runs", server.url)).send();
        let mut page = page.await.unwrap();
        assert!(page.chunk().await.unwrap().is_some(), "the page is live");
        server.signal("-TERM");
        let said = until_not_ready(&http, &server).await;
        assert_eq!(said["status"], "not ready");
        let why = said["stopping"].as_str().unwrap();
        assert!(why.contains("is being stopped"), "{said}");
        let live = http.get(format!("{}/health", server.url)).send();
        assert_eq!(live.await.unwrap().status(), 200);
        let url = format!("{}/v1/messages", server.url);
        let asked = http.post(&url).body(ask("hello").to_string()).send();
        let answer = read(asked.await.unwrap()).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(page.chunk().await.unwrap().is_some(), "it shows that run");

        simulator.script(hangs_after_a_word());
        let mut body = ask("hello");
        body["model"] = "openai/gpt-5".into();
        let asked = http.post(&url).body(body.to_string()).send();
        let hangs = asked.await.unwrap();
        server.signal("-TERM");
        let broken = read(hangs).await;
        let (name, _) = events(&broken.body).pop().unwrap();
        assert_eq!(name, "error", "{}", broken.body);
        let status = server.end().await;
        assert!(status.success(), "{status:?}");
        simulator.stop().await;
    });
}

#[test]
fn the_delay_before_a_stop_ends_by_itself() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let variables = [("DAGWAY_SERVER_DRAIN_DELAY", "1s")];
        let upstream = "http://127.0.0.1:9/api/v1";
        let mut server = Server::start_with(folder.path(), upstream, &variables);
        let since = Instant::now();
        server.signal("-TERM");
        assert!(server.end().await.success());
        assert!(since.elapsed() >= Duration::from_secs(1));
    });
}

/// What comes after the grace: the last answers, the last runs.
const AFTER_THE_GRACE: Duration = Duration::from_secs(14);

#[test]
fn docker_compose_gives_a_stop_all_the_time_that_it_may_take() {
    let compose = include_str!("../../docker-compose.yml");
    let time = |before: &str| {
        let line = compose.lines().find_map(|line| line.split_once(before));
        let text = line.unwrap().1.trim_end_matches('}');
        dagway::duration::parse(text).unwrap()
    };
    let grace = time("DAGWAY_SERVER_SHUTDOWN_GRACE:-");
    let usual = dagway::settings::Settings::defaults().unwrap();
    assert!(grace > usual.server.shutdown_grace);
    assert!(time("stop_grace_period: ") >= grace + AFTER_THE_GRACE);
}
