//! Texts that come again nearly as they were are kept as what is new in them, and come back as they were.

use std::fmt::Write;
use std::time::{Duration, Instant};

use super::stage::Stage;
use super::{Script, plan};
use crate::events::{Observer, RunId, State, Timestamp};
use crate::facts::payload;
use crate::store::Opened;

const T0: i64 = 1_790_000_000_000_000;
const MINUTE: i64 = 60_000_000;

fn headers(turn: usize) -> String {
    let fixed = "claude-cli/2.1.330 (external, cli)";
    format!(
        r#"{{"content-length":"{turn}","user-agent":"{fixed}","accept":"application/json","x-turn":"{turn}"}}"#
    )
}

fn request(turn: usize) -> String {
    let tools = "\"a tool\",".repeat(60);
    format!(r#"{{"model":"m","tools":[{tools}null],"messages":["turn {turn}"],"stream":true}}"#)
}

/// Longer than what gathers of a stream, in pieces.
fn answer(turn: usize) -> Vec<String> {
    (0..30)
        .map(|piece| {
            let mut event = format!("event: delta\ndata: {{\"turn\":{turn},\"piece\":{piece}");
            write!(event, ",\"text\":\"{}\"}}\n\n", "w".repeat(700)).unwrap();
            event
        })
        .collect()
}

fn record(opened: &mut Opened, at: i64, turn: usize) -> RunId {
    let mut script = Script::new(at, &plan())
        .payload(payload::CLIENT_REQUEST_HEADERS, &headers(turn))
        .payload(payload::CLIENT_REQUEST, &request(turn))
        .produced(Some(0), &format!("{} of turn {turn}", "said ".repeat(40)))
        .step(0, State::Completed);
    for piece in answer(turn) {
        script = script
            .payload(payload::UPSTREAM_RESPONSE, &piece)
            .payload(payload::CLIENT_RESPONSE, &piece);
    }
    script = script.ended(State::Completed);
    let id = script.id;
    opened.recorder.observe(&script.batch());
    opened.recorder.write(Instant::now());
    id
}

async fn assert_whole(opened: &Opened, id: RunId, turn: usize) {
    let run = opened.store.run(id).await.unwrap().unwrap();
    let said = format!("\"{} of turn {turn}\"", "said ".repeat(40));
    assert_eq!(run.steps[0].outputs[0].json, said);
    for (name, text) in [
        (payload::CLIENT_REQUEST_HEADERS, headers(turn)),
        (payload::CLIENT_REQUEST, request(turn)),
        (payload::UPSTREAM_RESPONSE, answer(turn).concat()),
        (payload::CLIENT_RESPONSE, answer(turn).concat()),
    ] {
        let found = run.payloads.iter().find(|info| info.name == name).unwrap();
        assert_eq!((found.bytes, found.gone), (text.len() as u64, false));
        let kept = opened.store.payload(id, name).await.unwrap().unwrap();
        assert!(kept == text.as_bytes(), "{name} of turn {turn}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_as_a_difference_is_read_as_it_was() {
    for stage in Stage::all().await {
        let mut opened = stage.open().await;
        let turns = 0..8;
        let runs: Vec<RunId> = turns
            .map(|turn| record(&mut opened, T0, turn * 100))
            .collect();
        for (turn, id) in runs.iter().enumerate() {
            assert_whole(&opened, *id, turn * 100).await;
        }
        // Of headers, request, preview and the beginning of both answers; the journals hold the rest.
        assert_eq!(stage.number("SELECT count(*) FROM blocks").await, 4);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_outlives_the_runs_that_its_base_came_with() {
    for stage in Stage::all().await {
        let hour = Duration::from_secs(60 * 60);
        let mut opened = stage.open_with(|settings| settings.keep_for = hour).await;
        for turn in 0..3 {
            record(&mut opened, T0, turn);
        }
        let young = record(&mut opened, T0 + 50 * MINUTE, 3);
        // An engine that announces what will go needs a second and a third look.
        for _ in 0..3 {
            while opened.recorder.tidy(Timestamp(T0 + 70 * MINUTE)) {}
        }
        assert_eq!(stage.number("SELECT count(*) FROM runs").await, 1);
        assert_whole(&opened, young, 3).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_whose_base_is_missing_is_gone_and_the_run_can_be_read() {
    for stage in Stage::all().await {
        let mut opened = stage.open().await;
        record(&mut opened, T0, 1);
        let id = record(&mut opened, T0, 2);
        stage.execute("DELETE FROM blocks").await;
        let run = opened.store.run(id).await.unwrap().unwrap();
        assert!(run.steps[0].outputs.is_empty());
        assert_eq!(run.payloads.len(), 4);
        assert!(run.payloads.iter().all(|info| info.gone));
        let text = opened.store.payload(id, payload::CLIENT_REQUEST).await;
        assert!(text.unwrap().is_none());
    }
}
