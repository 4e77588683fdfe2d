//! Steps that are slow by themselves: no model pays for them.

use std::path::Path;
use std::time::Duration;

use dagway::simulator::{Answer, Script, Turn};

use crate::fallbacks::{NAMED, OTHER, asked, is_for, with_fallbacks_and};
use crate::support::{TestApp, ask, block_on};

const MESSAGES: &str = include_str!("../../workflows/messages.toml");
const LAST: &str = "google/gemini-3-pro";

/// A Dagway whose model is asked after a program, which takes too long when it runs the `slow`th time, from 0.
async fn with_a_slow_program(
    folder: &Path,
    slow: u8,
    timeout: &str,
    patience: Option<Duration>,
) -> TestApp {
    let (workflows, runs) = (folder.join("workflows"), folder.join("runs"));
    for folder in [&workflows, &runs] {
        std::fs::create_dir(folder).unwrap();
    }
    let program = format!(
        "cat > /dev/null; cd {}; n=$(ls | wc -l); : > run$n; [ $n = {slow} ] && exec sleep 30; echo null",
        runs.display()
    );
    let step = format!(
        "[steps.policy]\ntask = 'exec'\nneeds = ['validate']\ntimeout = '{timeout}'\n\
         with = {{ command = ['/bin/sh', '-c', '{program}'] }}\n\n[steps.call_upstream]\nafter = ['policy']\n"
    );
    let text = MESSAGES.replace("[steps.call_upstream]\n", &step);
    std::fs::write(workflows.join("messages.toml"), text).unwrap();
    with_fallbacks_and(&[OTHER, LAST], |settings| {
        settings.models.fallbacks[0].patience = patience;
        settings.workflows.folder = workflows;
    })
    .await
}

#[test]
fn a_program_that_takes_too_long_lets_no_fallback_begin_and_cools_nobody_down() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let app = with_a_slow_program(folder.path(), 0, "2s", None).await;
        app.script(Script::new().then(Turn::text("Here.")));
        let got = app.messages(&ask("one")).await;
        assert_eq!(got.status, 504, "{}", got.body);
        assert!(got.body.contains("`policy` took too long"), "{}", got.body);
        assert!(asked(&app).is_empty());
        let run = app.ended_run(&got.run()).await;
        assert_eq!(run["state"], "TimedOut", "{run}");
        let got = app.messages(&ask("two")).await;
        assert_eq!(got.status, 200, "{}", got.body);
        assert_eq!(asked(&app), [NAMED], "it is asked first as before");
        app.stop().await;
    });
}

#[test]
fn a_fallback_that_was_not_asked_in_time_is_asked_in_its_turn_the_next_time() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let app = with_a_slow_program(folder.path(), 1, "2s", None).await;
        let no_credit = || Answer::error(402, "nothing left");
        app.script(Script::new().when(is_for(NAMED), no_credit()));
        let got = app.messages(&ask("one")).await;
        assert_eq!(got.status, 200, "{}", got.body);
        assert_eq!(asked(&app), [NAMED, LAST]);
        let got = app.messages(&ask("two")).await;
        assert_eq!(got.status, 200, "{}", got.body);
        assert_eq!(asked(&app), [NAMED, LAST, OTHER]);
        app.stop().await;
    });
}

#[test]
fn patience_that_ends_before_a_model_was_asked_lets_the_next_one_answer_and_cools_nobody_down() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let patience = Some(Duration::from_secs(2));
        let app = with_a_slow_program(folder.path(), 0, "30s", patience).await;
        let got = app.messages(&ask("one")).await;
        assert_eq!(got.status, 200, "{}", got.body);
        assert_eq!(asked(&app), [OTHER]);
        let got = app.messages(&ask("two")).await;
        assert_eq!(got.status, 200, "{}", got.body);
        assert_eq!(asked(&app), [OTHER, NAMED]);
        app.stop().await;
    });
}
