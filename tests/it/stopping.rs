//! How a gateway stops: soon, whatever is open, and never with an answer that just breaks off.

use std::time::Duration;

use dagway::simulator::{Answer, End, Script};

use crate::support::{TestApp, ask, ask_whole, block_on, events, eventually, read};

/// Less than the usual grace, and more than a stop takes that waits for nothing.
const SOON: Duration = Duration::from_secs(6);

fn hangs_after_a_word() -> Script {
    let chunk = r#"{"id":"gen-1","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"Well… "},"finish_reason":null}]}"#;
    let pieces = vec![dagway::simulator::Piece {
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
        let piece = dagway::simulator::Piece {
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
