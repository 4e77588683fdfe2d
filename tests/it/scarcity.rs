//! What happens when there is not enough of something: room for bodies, open files.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use dagway::simulator::{self, Answer, Script, Simulator};
use futures_util::future::join_all;

use crate::program::Server;
use crate::support::{DEADLINE, TestApp, ask, block_on, eventually};

#[test]
fn a_body_that_finds_no_room_waits_until_another_is_answered() {
    block_on(async {
        let app = TestApp::start_with(|settings| {
            settings.server.body_limit_mb = 1;
            settings.server.body_memory_mb = 1;
        })
        .await;
        app.script(Script::new().when(
            |seen| seen.body.to_string().contains("never answered"),
            Answer::Hang,
        ));
        let filler = "x".repeat(900 << 10);
        let body = ask(&format!("never answered {filler}")).to_string();
        let held = app.http.post(app.url("/v1/messages")).body(body);
        let holds = tokio::task::spawn_local(held.send());
        until_held(&app, |bytes| bytes >= 900 << 10).await;
        let small = app.messages(&ask("small")).await;
        assert_eq!(small.status, 200, "{}", small.body);

        let large = ask(&filler);
        let (waits, ()) = futures_util::join!(app.messages(&large), async {
            // It hangs up, and its room is free.
            app.get("/health").await;
            holds.abort();
        });
        assert_eq!(waits.status, 200, "{}", waits.body);
        let waited = app.ended_run(waits.header("x-dagway-run")).await;
        let fact = |name: &str| waited["facts"][name].as_i64();
        assert!(fact("dagway.arrival.wait_us").is_some(), "{waited}");
        assert!(fact("dagway.arrival_us") >= fact("dagway.arrival.wait_us"));
        until_held(&app, |bytes| bytes == 0).await;
        app.stop().await;
    });
}

#[test]
fn who_finds_no_room_in_time_is_told_when_to_come_again() {
    block_on(async {
        let app = TestApp::start_with(|settings| {
            settings.server.body_limit_mb = 1;
            settings.server.body_memory_mb = 1;
        })
        .await;
        app.script(Script::new().then(Answer::Hang));
        let body = ask(&"x".repeat(900 << 10));
        let held = app
            .http
            .post(app.url("/v1/messages"))
            .body(body.to_string());
        let holds = tokio::task::spawn_local(held.send());
        until_held(&app, |bytes| bytes >= 900 << 10).await;
        let refused = app.messages(&body).await;
        assert_eq!(refused.status, 529, "{}", refused.body);
        assert_eq!(refused.header("retry-after"), "1");
        holds.abort();
        app.stop().await;
    });
}

/// The clock of a run begins when its client begins to speak, and the run tells apart for whom it waited.
#[test]
fn a_request_that_is_slow_to_arrive_is_slow_on_its_run_too() {
    block_on(async {
        let app = TestApp::start().await;
        let body = ask("slow").to_string();
        let head = format!(
            "POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut client = connected(&app.app.url());
        let (begin, rest) = body.split_at(10);
        client.write_all((head + begin).as_bytes()).unwrap();
        until_held(&app, |bytes| bytes > 0).await;
        let since = Instant::now();
        while since.elapsed() < Duration::from_millis(50) {
            app.get("/health").await;
        }
        client.write_all(rest.as_bytes()).unwrap();
        let answer = actix_web::rt::task::spawn_blocking(move || {
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
            answer
        });
        let answer = answer.await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let run = app.ended_run(&app.only_run().await).await;
        let facts = &run["facts"];
        let took = facts["dagway.arrival_us"].as_f64().unwrap();
        assert!(took >= 50_000.0, "{run}");
        assert!(facts.get("dagway.arrival.wait_us").is_none(), "{run}");
        assert!(run["duration_ms"].as_f64().unwrap() >= took / 1e3, "{run}");
        assert!(
            facts["dagway.overhead_us"].as_f64().unwrap() < took,
            "{run}"
        );
        app.stop().await;
    });
}

/// Bodies that grew side by side into the same room would keep it from each other until all are refused; those that were
/// only announced would keep it from those that come.
#[test]
fn a_body_has_room_for_all_of_it_once_it_comes_and_none_once_its_client_has_gone() {
    block_on(async {
        let app = TestApp::start_with(|settings| {
            settings.server.body_limit_mb = 3;
            settings.server.body_memory_mb = 3;
        })
        .await;
        let mut promise = connected(&app.app.url());
        promise
            .write_all(
                b"POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 2500000\r\n\r\n{",
            )
            .unwrap();
        until_held(&app, |bytes| bytes == 64 << 10).await;
        promise.write_all(&vec![b' '; 80 << 10]).unwrap();
        until_held(&app, |bytes| bytes >= 2_500_000).await;
        drop(promise);
        until_held(&app, |bytes| bytes == 0).await;
        app.stop().await;
    });
}

#[test]
fn as_many_connections_are_open_as_the_system_lets_the_process_have() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start_limited(folder.path(), "http://127.0.0.1:9/api/v1", "-Sn 64");
        let http = dagway::upstream::client::http().unwrap();
        let http = http.no_proxy().build().unwrap();
        let open: Vec<_> = (0..200).map(|_| connected(&server.url)).collect();
        let health = http.get(format!("{}/health", server.url)).timeout(DEADLINE);
        assert_eq!(health.send().await.unwrap().status(), 200);
        drop(open);
    });
}

#[test]
fn without_open_files_left_the_answer_names_the_limit() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let simulator = Simulator::start(simulator::Settings::immediate())
            .await
            .unwrap();
        let server = Server::start_limited(folder.path(), &simulator.base_url(), "-n 64");
        let mut first = connected(&server.url);
        let fits = health(&mut first);
        assert!(fits.starts_with("HTTP/1.1 200"), "{fits}");
        // Those that find no file left wait in the system's queue.
        let others: Vec<_> = (0..100).map(|_| connected(&server.url)).collect();
        let files = format!("/proc/{}/fd", server.id());
        eventually("all files are open", || {
            std::fs::read_dir(&files).unwrap().count() >= 64
        })
        .await;
        let answer = actix_web::rt::task::spawn_blocking(move || {
            let body = ask("hello").to_string();
            let head = format!(
                "POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            first.write_all((head + &body).as_bytes()).unwrap();
            let mut answer = String::new();
            first.read_to_string(&mut answer).unwrap();
            answer
        });
        let answer = answer.await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 529"), "{answer}");
        assert!(answer.contains("overloaded_error"), "{answer}");
        assert!(answer.contains("ulimit -n"), "{answer}");
        drop(others);

        let http = dagway::upstream::client::http().unwrap();
        let http = http.no_proxy().build().unwrap();
        let later = (0..4).map(|_| {
            let url = format!("{}/v1/messages", server.url);
            http.post(url).body(ask("hello").to_string()).send()
        });
        for later in join_all(later).await {
            assert_eq!(later.unwrap().status(), 200);
        }
        simulator.stop().await;
    });
}

#[test]
fn a_store_that_the_limit_of_file_sizes_stops_is_told_and_requests_are_served() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let simulator = Simulator::start(simulator::Settings::immediate())
            .await
            .unwrap();
        // In blocks of 512 bytes: 2 MB.
        let server = Server::start_limited(folder.path(), &simulator.base_url(), "-f 4096");
        let http = dagway::upstream::client::http().unwrap();
        let http = http.no_proxy().build().unwrap();
        let mut warning = None;
        for _ in 0..20 {
            // It cannot be packed.
            let text: String = std::iter::repeat_with(fastrand::alphanumeric)
                .take(900 << 10)
                .collect();
            let url = format!("{}/v1/messages", server.url);
            let turn = http.post(url).body(ask(&text).to_string());
            assert_eq!(turn.send().await.unwrap().status(), 200);
            let health = http.get(format!("{}/health", server.url)).send();
            let health = health.await.unwrap().bytes().await.unwrap();
            let health: serde_json::Value = serde_json::from_slice(&health).unwrap();
            warning = health["warning"].as_str().map(str::to_owned);
            if warning.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let warning = warning.expect("the store is told to be in trouble");
        assert!(warning.contains("refused to be written"), "{warning}");
        simulator.stop().await;
    });
}

/// Waits until the bodies that are held take so many bytes.
async fn until_held(app: &TestApp, is_so: impl Fn(usize) -> bool) {
    let since = Instant::now();
    while since.elapsed() < DEADLINE {
        if is_so(app.body_bytes_held().await) {
            return;
        }
    }
    panic!("the bodies never took what they should");
}

fn connected(url: &str) -> TcpStream {
    let socket = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
}

/// What the server says of itself over a connection that stays open.
fn health(socket: &mut TcpStream) -> String {
    socket
        .write_all(b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
        .unwrap();
    let mut answer = vec![0; 4096];
    let length = socket.read(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}
