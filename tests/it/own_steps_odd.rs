//! Odd requests, and odd programs, where a step in another language takes part.

use std::time::{Duration, Instant};

use dagway::settings::Settings;
use dagway::simulator::{Script, Turn};
use serde_json::{Value, json};

use crate::lanes::native;
use crate::own_steps::{Folder, asked_upstream, guard, of_step, output};
use crate::support::service::Service;
use crate::support::{ask, ask_whole, block_on};

/// What sets the lane in which Claude is asked.
type Lane = fn(&mut Settings);
const LANES: [Lane; 2] = [|_| {}, native];

/// A step whose output of this script takes the place of the client's body.
fn change(script: &str) -> Folder {
    let script = json!(script);
    let step = format!(
        "[steps.change]\ntask = \"exec\"\nneeds = [\"request\"]\nwith.command = [\"sh\", \"-c\", {script}]\n"
    );
    Folder::with(&step, None, Some("change"))
}

#[test]
fn a_body_that_was_not_taken_or_is_no_json_is_refused_whatever_a_step_makes_of_it() {
    block_on(async {
        let good = ask_whole("hello");
        for script in ["exit 1".to_owned(), format!("echo '{good}'")] {
            for lane in LANES {
                let app = change(&script).start_with(lane).await;
                for (body, said) in [
                    (
                        &b"{\"model\": \"claude\xff\"}"[..],
                        "the body is not UTF-8 text",
                    ),
                    (b"{\"model\": ", "The request body is not valid JSON"),
                ] {
                    let got = app.post_bytes("/v1/messages", body.to_vec()).await;
                    assert_eq!(got.status, 400, "{}", got.body);
                    let message = got.json()["error"]["message"].to_string();
                    assert!(message.contains(said), "{script}: {message}");
                }
                assert_eq!(asked_upstream(&app), 0);
                app.stop().await;
            }
        }
        // One that is told nothing of the request does not replace what was not taken either.
        let step = format!(
            "[steps.change]\ntask = \"exec\"\nwith.command = [\"echo\", {}]\n",
            json!(good.to_string())
        );
        let app = Folder::with(&step, None, Some("change")).start().await;
        let got = app.post_bytes("/v1/messages", vec![0xff]).await;
        assert_eq!(got.status, 400, "{}", got.body);
        app.stop().await;
    });
}

#[test]
fn what_a_step_is_told_has_no_half_characters() {
    block_on(async {
        for lane in LANES {
            let app = guard("cat", "").start_with(lane).await;
            app.script(Script::new().then(Turn::text("Fine.")));
            let body = ask_whole("half").to_string().replace("half", "\\ud83d!");
            let got = app.post_bytes("/v1/messages", body.into_bytes()).await;
            // In the native lane the upstream gets the body as it is, and refuses it.
            let run = app.ended_run(&got.run()).await;
            let told = output(&run, "guard").to_string();
            assert!(told.contains("\u{fffd}!"), "{told}");
            app.stop().await;
        }
    });
}

#[test]
fn answers_name_the_model_that_the_client_named() {
    block_on(async {
        let mut other = ask_whole("hello");
        other["model"] = "claude-opus-5-5".into();
        for lane in LANES {
            let app = change(&format!("echo '{other}'")).start_with(lane).await;
            app.script(Script::new().then(Turn::text("Fine.")));
            let got = app.messages(&ask_whole("hello")).await;
            assert_eq!(got.status, 200, "{}", got.body);
            assert_eq!(got.json()["model"], "claude-sonnet-5-5");
            let run = app.ended_run(&got.run()).await;
            let facts = &run["facts"];
            assert_eq!(facts["dagway.model.asked"], "claude-sonnet-5-5");
            assert_eq!(facts["gen_ai.request.model"], "anthropic/claude-opus-5.5");
            app.stop().await;
        }
    });
}

#[test]
fn what_a_step_gives_is_kept_only_where_bodies_are() {
    block_on(async {
        for keeps in [true, false] {
            let folder = guard("cat", "");
            let app = folder.start_with(|s| s.store.payloads = keeps).await;
            app.script(Script::new().then(Turn::text("Fine.")));
            let got = app.messages(&ask("a secret plan")).await;
            assert_eq!(got.status, 200, "{}", got.body);
            let run = app.ended_run(&got.run()).await;
            assert_eq!(of_step(&run, "guard")["state"], "Completed");
            assert_eq!(run.to_string().contains("a secret plan"), keeps, "{run}");
            app.stop().await;
        }
    });
}

#[test]
fn a_program_that_says_too_much_is_ended_at_once() {
    block_on(async {
        let script = "trap '' PIPE; while :; do head -c 1000000 /dev/zero 2>/dev/null; done";
        let app = guard(script, "timeout = \"20s\"").start().await;
        let got = app.messages(&ask("hello")).await;
        assert_eq!(got.status, 500, "{}", got.body);
        let run = app.ended_run(&got.run()).await;
        assert_eq!(failure(&run), "it said more than 32 MB");
        app.stop().await;
    });
}

fn failure(run: &Value) -> &str {
    let error = of_step(run, "guard")["error"].as_str();
    error.unwrap_or_default()
}

#[test]
fn a_script_that_does_not_say_who_reads_it_is_told_so_and_tried_again() {
    block_on(async {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("script");
        std::fs::write(&file, "echo 1\n").unwrap();
        let mut mode = file.metadata().unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
        std::fs::set_permissions(&file, mode).unwrap();
        let step = format!(
            "[steps.guard]\ntask = \"exec\"\nretry = {{ attempts = 2, base = \"1ms\" }}\nwith.command = [{}]\n",
            json!(file)
        );
        let app = Folder::with(&step, Some("guard"), None).start().await;
        let got = app.messages(&ask("hello")).await;
        assert_eq!(got.status, 500, "{}", got.body);
        let run = app.ended_run(&got.run()).await;
        let said = "cannot be run: Exec format error (os error 8); a script begins with a line such as #!/bin/sh";
        assert!(failure(&run).ends_with(said), "{run}");
        assert_eq!(of_step(&run, "guard")["attempts"], 2);
        app.stop().await;
    });
}

#[test]
fn a_wait_that_no_client_bears_is_told_in_words() {
    block_on(async {
        let refusal = r#"{"error": {"type": "overloaded_error", "message": "closed"}}"#;
        let service = Service::start(&[(529, refusal)]);
        let step = format!(
            "[steps.guard]\ntask = \"http\"\nwith.url = \"{}\"\n",
            service.url
        );
        let app = Folder::with(&step, Some("guard"), None).start().await;
        let got = app.messages(&ask("hello")).await;
        assert_eq!(got.status, 529, "{}", got.body);
        assert_eq!(got.header("retry-after"), "60");
        assert_eq!(got.header("x-should-retry"), "false");
        let message = got.json()["error"]["message"].take();
        assert_eq!(message, "closed (try again in 2 hours)");
        app.stop().await;
        service.stop().await;
    });
}

/// A step that runs this script once the answer has ended.
fn hears(script: &str) -> Folder {
    let script = json!(script);
    let step = format!(
        "[steps.hears]\ntask = \"exec\"\nneeds = [\"price_usage\"]\noptional = true\ntimeout = \"60s\"\nwith.command = [\"sh\", \"-c\", {script}]\n"
    );
    Folder::with(&step, None, None)
}

#[test]
fn a_stop_waits_for_what_a_step_does_after_the_answer_and_not_for_ever() {
    block_on(async {
        let place = tempfile::tempdir().unwrap();
        let told = place.path().join("told");
        let shown = told.display();
        for (grace, script, is_told) in [
            (20, format!("sleep 1; touch '{shown}'"), true),
            (0, format!("sleep 4; touch '{shown}'"), false),
        ] {
            let folder = hears(&script);
            let grace = Duration::from_secs(grace);
            let app = folder
                .start_with(|settings| settings.server.shutdown_grace = grace)
                .await;
            app.script(Script::new().then(Turn::text("Fine.")));
            let got = app.messages(&ask("hello")).await;
            assert_eq!(got.status, 200, "{}", got.body);
            let run = got.run();
            app.run_when(&run, |run| of_step(run, "hears")["state"] == "Running")
                .await;
            let since = Instant::now();
            app.stop().await;
            assert!(since.elapsed() < Duration::from_secs(15));
            assert_eq!(told.exists(), is_told);
            if is_told {
                std::fs::remove_file(&told).unwrap();
                continue;
            }
            // One that was ended does not tell later either.
            tokio::time::sleep(Duration::from_secs(5).saturating_sub(since.elapsed())).await;
            assert!(!told.exists());
        }
    });
}

#[test]
fn a_stop_cancels_what_a_step_began_beside_the_answer() {
    block_on(async {
        let step = "[steps.beside]\ntask = \"exec\"\nneeds = [\"validate\"]\noptional = true\nwith.command = [\"sleep\", \"9\"]\n";
        let data = tempfile::tempdir().unwrap();
        let folder = Folder::with(step, None, None);
        let start = || folder.start_with(|s| data.path().clone_into(&mut s.store.folder));
        let app = start().await;
        app.script(Script::new().then(Turn::text("Fine.")));
        let got = app.messages(&ask("hello")).await;
        assert_eq!(got.status, 200, "{}", got.body);
        app.stop().await;
        let app = start().await;
        let run = app.ended_run(&got.run()).await;
        let beside = of_step(&run, "beside");
        assert_eq!(beside["state"], "Cancelled", "{beside}");
        app.stop().await;
    });
}
