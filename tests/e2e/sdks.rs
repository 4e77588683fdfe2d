//! Anthropic's own SDKs, and the simulated sessions of the demo, against the real binary.

use std::path::PathBuf;
use std::time::Duration;

use dagway::simulator::sessions::{self, Pace};

use crate::support::{Program, Stage, in_this_folder, needed};

const PATIENCE: Duration = Duration::from_secs(180);

#[tokio::test]
async fn the_python_sdk_finds_the_api_it_was_made_for() {
    let stage = Stage::start().await;
    let python = needed(
        "the Anthropic SDK for Python",
        &[in_this_folder(".venv/bin/python")],
    );
    let home = stage.folder("home");
    let script = in_this_folder("python/sdk.py").display().to_string();
    let variables = [
        ("HOME", home.to_str().expect("the path is text")),
        ("PYTHONDONTWRITEBYTECODE", "1"),
    ];
    let program = Program::start(&python, &[&script, &stage.url], &home, &variables);
    let said = program.end(PATIENCE).await.succeeded("the Python script");
    assert!(said.contains("all checks passed"), "{said}");
    stage.close().await;
}

#[tokio::test]
async fn the_typescript_sdk_finds_the_api_it_was_made_for() {
    let stage = Stage::start().await;
    needed(
        "the Anthropic SDK for TypeScript",
        &[in_this_folder("node_modules/@anthropic-ai/sdk")],
    );
    let home = stage.folder("home");
    let script = in_this_folder("node/sdk.mjs").display().to_string();
    let variables = [("HOME", home.to_str().expect("the path is text"))];
    let program = Program::start(&node(), &[&script, &stage.url], &home, &variables);
    let said = program
        .end(PATIENCE)
        .await
        .succeeded("the TypeScript script");
    assert!(said.contains("all checks passed"), "{said}");
    stage.close().await;
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
