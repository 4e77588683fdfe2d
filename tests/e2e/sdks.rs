//! Anthropic's own SDKs, and the simulated sessions of the demo, against the real binary.

use std::path::{Path, PathBuf};
use std::time::Duration;

use dagway::simulator::sessions::{self, Pace};
use dagway::simulator::{Answer, End, Script, Seen};
use serde_json::{Value, json};

use crate::support::{Lane, Program, Stage, in_this_folder, needed};

const PATIENCE: Duration = Duration::from_secs(180);

#[tokio::test]
async fn the_python_sdk_finds_the_api_it_was_made_for() {
    let stage = Stage::start().await;
    python(&stage, "python/sdk.py").await;
    stage.close().await;
}

#[tokio::test]
async fn what_the_python_sdk_builds_on_top_works() {
    for lane in [Lane::Chat, Lane::Native] {
        let stage = Stage::on(lane).await;
        python(&stage, "python/high_level.py").await;
        those_who_left_were_noticed(&stage).await;
        stage.kept_to_its_lane();
        stage.close().await;
    }
}

#[tokio::test]
async fn the_typescript_sdk_finds_the_api_it_was_made_for() {
    let stage = Stage::start().await;
    typescript(&stage, "node/sdk.mjs").await;
    stage.close().await;
}

#[tokio::test]
async fn what_the_typescript_sdk_builds_on_top_works() {
    for lane in [Lane::Chat, Lane::Native] {
        let stage = Stage::on(lane).await;
        typescript(&stage, "node/high_level.mjs").await;
        those_who_left_were_noticed(&stage).await;
        stage.kept_to_its_lane();
        stage.close().await;
    }
}

#[tokio::test]
async fn a_native_stream_that_is_out_of_order_is_read_by_the_typescript_sdk() {
    let stage = Stage::on(Lane::Native).await;
    let mut script = Script::new();
    for (prompt, events) in out_of_order() {
        let asks = move |seen: &Seen| seen.body.to_string().contains(prompt);
        let events: Vec<String> = events.iter().map(Value::to_string).collect();
        let events: Vec<&str> = events.iter().map(String::as_str).collect();
        script = script.when(asks, Answer::data_lines(&events, End::Clean));
    }
    stage.simulator.script(script);
    typescript(&stage, "node/out_of_order.mjs").await;
    stage.kept_to_its_lane();
    stage.close().await;
}

/// Streams by the prompts that ask for them.
fn out_of_order() -> Vec<(&'static str, Vec<Value>)> {
    let start = json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant",
        "model": "m", "content": [], "usage": {"input_tokens": 3, "output_tokens": 1}}});
    let bare = json!({"type": "message_start", "message": {"id": "msg_1", "role": "assistant"}});
    let block = |index: u64, block: Value| json!({"type": "content_block_start", "index": index, "content_block": block});
    let text = || block(0, json!({"type": "text", "text": ""}));
    let call = |index, input: Value| {
        let call = json!({"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": input});
        block(index, call)
    };
    let piece = |index: u64, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let words = || piece(0, json!({"type": "text_delta", "text": "hi"}));
    let input = |index| {
        let delta = json!({"type": "input_json_delta", "partial_json": "{\"command\":\"ls\"}"});
        piece(index, delta)
    };
    let stop = |index: u64| json!({"type": "content_block_stop", "index": index});
    let end = |reason: &str| json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 9}});
    let bare_end = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}});
    let last = || json!({"type": "message_stop"});
    let said = || [text(), words(), stop(0)];
    let whole = |index| [call(index, json!({})), input(index), stop(index)];
    let over = |reason| [end(reason), last()];
    let all = |parts: &[&[Value]]| parts.concat();
    let (starts, filled) = ([start], json!({"command": "ls"}));
    vec![
        (
            "holes in the numbers",
            all(&[&starts, &said(), &whole(2), &over("tool_use")]),
        ),
        (
            "one number for all",
            all(&[&starts, &said(), &whole(0), &over("tool_use")]),
        ),
        ("no start", all(&[&said(), &over("end_turn")])),
        (
            "two starts",
            all(&[&starts, &starts, &said(), &over("end_turn")]),
        ),
        ("a bare start", all(&[&[bare], &said(), &over("end_turn")])),
        (
            "no usage at the end",
            all(&[&starts, &said(), &[bare_end, last()]]),
        ),
        (
            "two ends",
            all(&[&starts, &whole(0), &[end("tool_use")], &over("end_turn")]),
        ),
        (
            "never begun",
            all(&[&starts, &[words(), stop(0)], &over("end_turn")]),
        ),
        (
            "left open",
            all(&[&starts, &[text(), words()], &over("end_turn")]),
        ),
        (
            "input at the start",
            all(&[&starts, &[call(0, filled), stop(0)], &over("tool_use")]),
        ),
    ]
}

async fn python(stage: &Stage, script: &str) {
    let python = needed(
        "the Anthropic SDK for Python",
        &[in_this_folder(".venv/bin/python")],
    );
    let variables = [("PYTHONDONTWRITEBYTECODE", "1")];
    passes(stage, &python, script, &variables).await;
}

async fn typescript(stage: &Stage, script: &str) {
    needed(
        "the Anthropic SDK for TypeScript",
        &[in_this_folder("node_modules/@anthropic-ai/sdk")],
    );
    passes(stage, &node(), script, &[]).await;
}

/// Runs a script against the stage; it must say that all its checks passed.
async fn passes(stage: &Stage, program: &Path, script: &str, variables: &[(&str, &str)]) {
    let home = stage.folder("home");
    let home = home.to_str().expect("the path is text");
    let path = in_this_folder(script).display().to_string();
    let variables = [&[("HOME", home)], variables].concat();
    let program = Program::start(
        program,
        &[&path, &stage.url, stage.lane.name()],
        home.as_ref(),
        &variables,
    );
    let said = program.end(PATIENCE).await.succeeded(script);
    assert!(said.contains("all checks passed"), "{said}");
}

/// The upstream stops working for clients that hung up, and their runs say what became of them.
async fn those_who_left_were_noticed(stage: &Stage) {
    let left = |stage: &Stage| {
        let seen = stage.asked().into_iter().filter(|seen| {
            let asked = seen.body["messages"].to_string();
            asked.contains("On and on and on.") || asked.contains("Never said.")
        });
        seen.map(|seen| seen.hung_up).collect::<Vec<bool>>()
    };
    stage
        .until("the upstream is freed", |stage| {
            let left = left(stage);
            !left.is_empty() && left.iter().all(|hung_up| *hung_up)
        })
        .await;
    let cancelled = stage.get("/api/runs?state=cancelled&limit=100").await;
    let runs = cancelled["runs"].as_array().map_or(0, Vec::len);
    assert!(runs >= left(stage).len(), "{cancelled:#}");
}

#[tokio::test]
async fn a_round_of_the_demo_has_no_fault() {
    let stage = Stage::start().await;
    let report = sessions::drive(&stage.url, None, Pace::Fast)
        .await
        .expect("dagway can be reached");
    assert_eq!(report.faults, Vec::<String>::new());
    assert_eq!(
        (report.torn, report.left, report.refused, report.counts),
        (1, 1, 1, 1),
        "{report}"
    );
    assert!(
        report.tool_calls >= 10 && report.thoughts >= 7,
        "{report:?}"
    );
    let refused: Vec<String> = stage
        .completions()
        .iter()
        .filter_map(|seen| seen.refused.clone())
        .collect();
    assert_eq!(
        refused.len(),
        1,
        "only the busy hour is refused upstream: {refused:?}"
    );
    stage.close().await;
}

/// Node, from the system.
pub(crate) fn node() -> PathBuf {
    needed(
        "node",
        &["/usr/bin/node", "/usr/local/bin/node"].map(PathBuf::from),
    )
}
