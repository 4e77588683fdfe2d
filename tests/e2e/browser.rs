//! A real browser walks through the dashboard while requests run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use dagway::simulator::sessions::{self, Pace};

use crate::sdks::node;
use crate::support::{Program, Stage, in_this_folder, needed};

#[tokio::test]
async fn a_browser_sees_runs_live_and_every_page_whole() {
    let stage = Stage::start().await;
    let chromium = needed(
        "Chromium",
        &["/usr/bin/chromium", "/usr/bin/chromium-browser"].map(PathBuf::from),
    );
    needed(
        "playwright-core",
        &[in_this_folder("node_modules/playwright-core")],
    );
    let report = sessions::drive(&stage.url, None, Pace::Fast)
        .await
        .expect("dagway can be reached");
    assert_eq!(report.faults, Vec::<String>::new());
    let home = stage.folder("home");
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("it is below target")
        .join("screenshots");
    std::fs::create_dir_all(&pictures).expect("the target folder can be written");
    let script = in_this_folder("node/walk.mjs").display().to_string();
    let text = |path: &Path| path.display().to_string();
    let (chromium, pictures) = (text(&chromium), text(&pictures));
    let variables = [("HOME", home.to_str().expect("the path is text"))];
    let program = Program::start(
        &node(),
        &[&script, &stage.url, &chromium, &pictures],
        &home,
        &variables,
    );
    let said = program
        .end(Duration::from_secs(360))
        .await
        .succeeded("the walk");
    assert!(said.contains("all checks passed"), "{said}");
    stage.close().await;
}
