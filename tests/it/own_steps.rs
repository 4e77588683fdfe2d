//! Steps in other languages than Rust: programs and services that look at requests, change them, refuse them, hear of them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use dagway::settings::Settings;
use dagway::simulator::{Script, Turn};
use serde_json::{Value, json};

use crate::lanes::native;
use crate::support::service::Service;
use crate::support::{TestApp, ask, ask_whole, block_on, eventually};

const MESSAGES: &str = include_str!("../../workflows/messages.toml");
const NATIVE: &str = include_str!("../../workflows/native.toml");

/// What a program prints to refuse a request.
const REFUSAL: &str = r#"{"error": {"type": "permission_error", "message": "no secrets, please"}}"#;

/// Both lanes with further steps, the call waiting for `before_call` and the body coming from `body`, if they are named.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn with(steps: &str, before_call: Option<&str>, body: Option<&str>) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, workflow) in [("messages.toml", MESSAGES), ("native.toml", NATIVE)] {
            let mut text = format!("{workflow}\n{steps}");
            if let Some(step) = before_call {
                let call = "[steps.call_upstream]\n";
                assert!(text.contains(call));
                text = text.replace(call, &format!("{call}after = [\"{step}\"]\n"));
            }
            if let Some(step) = body {
                let validate = "needs = [\"request\"]";
                assert!(text.contains(validate));
                text = text.replacen(validate, &format!("needs = [\"request\", \"{step}\"]"), 1);
            }
            std::fs::write(folder.0.path().join(name), text).unwrap();
        }
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) async fn start(&self) -> TestApp {
        self.start_with(|_| {}).await
    }

    pub(crate) async fn start_with(&self, change: impl FnOnce(&mut Settings)) -> TestApp {
        TestApp::start_with(|settings| {
            self.path().clone_into(&mut settings.workflows.folder);
            let path = std::env::var_os("PATH").unwrap().into_string().unwrap();
            let variables = [
                ("PATH", path.as_str()),
                ("OURS", "of ours"),
                ("KEY", "sk-service"),
            ];
            settings.environment = variables
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.into()))
                .collect();
            change(settings);
        })
        .await
    }
}

/// A step that runs this script before the upstream is called.
pub(crate) fn guard(script: &str, more: &str) -> Folder {
    let script = json!(script);
    let step = format!(
        "[steps.guard]\ntask = \"exec\"\nneeds = [\"validate\"]\n{more}\nwith.command = [\"sh\", \"-c\", {script}]\n"
    );
    Folder::with(&step, Some("guard"), None)
}

pub(crate) fn of_step<'a>(run: &'a Value, name: &str) -> &'a Value {
    let mut steps = run["steps"].as_array().unwrap().iter();
    steps.find(|step| step["name"] == name).unwrap()
}

pub(crate) fn output(run: &Value, name: &str) -> Value {
    let text = of_step(run, name)["outputs"][0]["json"].as_str().unwrap();
    serde_json::from_str(text).unwrap()
}

/// How often the upstream was asked for an answer.
pub(crate) fn asked_upstream(app: &TestApp) -> usize {
    let requests = app.simulator.requests();
    requests.iter().filter(|seen| seen.method == "POST").count()
}

#[test]
fn a_program_sees_the_request_and_nothing_of_dagways_keys() {
    block_on(async {
        let script = "echo looking >&2; printf '{\"told\": %s, \"env\": \"' \"$(cat)\"; env | sort | tr '\\n' ' '; echo '\"}'";
        let folder = guard(script, "with.env = { TEAM = \"${OURS}, blue\" }");
        let app = folder.start().await;
        app.script(Script::new().then(Turn::text("Fine.")));
        let got = app.messages(&ask("hello")).await;
        assert_eq!(
            (got.status, got.text().as_str()),
            (200, "Fine."),
            "{}",
            got.body
        );
        let run = app.ended_run(&got.run()).await;
        assert_eq!(run["state"], "Completed", "{run}");
        let said = output(&run, "guard");
        let told = &said["told"];
        assert_eq!(told["needs"], json!({ "validate": ask("hello") }));
        assert_eq!(told["run"]["id"], got.run());
        assert_eq!(told["run"]["request_id"], got.header("request-id"));
        assert_eq!(told["run"]["workflow"], "messages");
        assert_eq!(told["run"]["step"], "guard");
        assert_eq!(told["run"]["attempt"], 1);
        let names = said["env"].as_str().unwrap();
        assert!(names.contains("TEAM=of ours, blue "), "{names}");
        assert!(
            names.contains(&format!("DAGWAY_RUN={} ", got.run())),
            "{names}"
        );
        assert!(names.contains("DAGWAY_STEP=guard "), "{names}");
        assert!(names.contains("TRACEPARENT=00-"), "{names}");
        for hidden in ["KEY=", "OURS=", "CARGO"] {
            assert!(!names.contains(hidden), "{hidden} in {names}");
        }
        let path = format!("/api/runs/{}", got.run());
        let logs = app.get(&path).await.json()["logs"].to_string();
        assert!(logs.contains("\"looking\""), "{logs}");
        app.stop().await;
    });
}

#[test]
fn a_program_refuses_in_the_shape_of_anthropics_errors_and_nobody_is_asked() {
    block_on(async {
        let script = format!("if grep -q secret; then echo '{REFUSAL}'; exit 3; fi");
        for lane in [|_: &mut Settings| {}, native] {
            let folder = guard(&script, "");
            let app = folder.start_with(lane).await;
            app.script(Script::new().then(Turn::text("Fine.")));
            let mut refused = ask("my secret");
            refused["model"] = "claude-sonnet-5-5".into();
            let got = app.messages(&refused).await;
            assert_eq!(got.status, 403, "{}", got.body);
            let error = got.json()["error"].take();
            assert_eq!(error["type"], "permission_error");
            assert_eq!(error["message"], "no secrets, please");
            assert_eq!(asked_upstream(&app), 0);
            let run = app.ended_run(&got.run()).await;
            assert_eq!(
                (&run["state"], &of_step(&run, "guard")["state"]),
                (&"Failed".into(), &"Failed".into())
            );
            let got = app.messages(&ask("nothing")).await;
            assert_eq!(got.status, 200, "{}", got.body);
            app.stop().await;
        }
    });
}

#[test]
fn a_program_that_breaks_is_tried_again_and_its_words_are_for_the_operator() {
    block_on(async {
        let retry = "retry = { attempts = 2, base = \"1ms\" }";
        let folder = guard(
            "echo '{\"error\": 1}'; echo no database >&2; echo >&2; exit 4",
            retry,
        );
        let app = folder.start().await;
        let got = app.messages(&ask("hello")).await;
        assert_eq!(got.status, 500, "{}", got.body);
        let message = got.json()["error"]["message"].take();
        let said = "the step `guard`, which the operator of this gateway has added, failed; the run of this request shows how";
        assert_eq!(message, said);
        assert_eq!(asked_upstream(&app), 0);
        let run = app.ended_run(&got.run()).await;
        let guard = of_step(&run, "guard");
        assert_eq!(guard["attempts"], 2);
        assert_eq!(guard["error"], "`sh` ended with status 4: no database");
        app.stop().await;
    });
}

/// A program that has begun another one, and waits with it.
fn sleepers(folder: &Path, timeout: &str) -> (Folder, PathBuf) {
    let pids = folder.join("pids");
    let shown = pids.display();
    let script =
        format!("sleep 600 & echo $$ $! > '{shown}.new'; mv '{shown}.new' '{shown}'; wait");
    (guard(&script, &format!("timeout = \"{timeout}\"")), pids)
}

async fn have_ended(pids: &Path) {
    let pids = std::fs::read_to_string(pids).unwrap();
    let pids: Vec<&str> = pids.split_whitespace().collect();
    assert_eq!(pids.len(), 2);
    let goes_on = |pid: &&&str| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        // One that nobody has waited for yet is a zombie.
        status.is_ok_and(|status| !status.contains(") Z "))
    };
    eventually("the programs end", || {
        pids.iter().filter(goes_on).count() == 0
    })
    .await;
}

#[test]
fn a_program_that_takes_too_long_ends_with_all_that_it_began() {
    block_on(async {
        let place = tempfile::tempdir().unwrap();
        let (folder, pids) = sleepers(place.path(), "1s");
        let app = folder.start().await;
        let got = app.messages(&ask("hello")).await;
        assert_eq!(got.status, 504, "{}", got.body);
        let message = got.json()["error"]["message"].take();
        assert_eq!(
            message,
            "step `guard` took too long: it was not done within 1s"
        );
        have_ended(&pids).await;
        app.stop().await;
    });
}

#[test]
fn a_client_that_hangs_up_ends_the_program_with_all_that_it_began() {
    block_on(async {
        let place = tempfile::tempdir().unwrap();
        let (folder, pids) = sleepers(place.path(), "100s");
        let app = folder.start().await;
        let request = app.http.post(app.url("/v1/messages"));
        let request = request.body(ask("hello").to_string()).send();
        let begun = eventually("the program has begun", || pids.exists());
        tokio::select! {
            answered = request => panic!("{answered:?}"),
            () = begun => {}
        }
        let run = app.ended_run(&app.only_run().await).await;
        assert_eq!(run["state"], "Cancelled", "{run}");
        have_ended(&pids).await;
        app.stop().await;
    });
}

#[test]
fn a_step_gives_another_body_and_the_run_shows_both() {
    block_on(async {
        // All of the request's body, which stands first, with another word in it.
        let script = json!(r#"sed -e 's/.*"body":\({.*}\),"bytes":.*/\1/' -e 's/hello/goodbye/'"#);
        let step = format!(
            "[steps.change]\ntask = \"exec\"\nneeds = [\"request\"]\nwith.command = [\"sh\", \"-c\", {script}]\n"
        );
        for lane in [|_: &mut Settings| {}, native] {
            let folder = Folder::with(&step, None, Some("change"));
            let app = folder.start_with(lane).await;
            app.script(Script::new().then(Turn::text("Bye.")));
            let got = app.messages(&ask_whole("hello")).await;
            assert_eq!(got.status, 200, "{}", got.body);
            let seen = app.simulator.requests();
            let seen = seen.iter().rfind(|seen| seen.method == "POST").unwrap();
            let sent = seen.body.to_string();
            assert!(
                sent.contains("goodbye") && !sent.contains("hello"),
                "{sent}"
            );
            let run = app.ended_run(&got.run()).await;
            assert_eq!(run["facts"]["dagway.model.asked"], "claude-sonnet-5-5");
            let path = format!("/api/runs/{}/payloads/client.request", got.run());
            assert!(app.get(&path).await.body.contains("hello"));
            let logs =
                app.get(&format!("/api/runs/{}", got.run())).await.json()["logs"].to_string();
            let said = "the body is what a step before gave, not what the client sent";
            assert!(logs.contains(said), "{logs}");
            app.stop().await;
        }
    });
}

#[test]
fn a_body_that_a_step_gives_is_checked_as_a_clients_is() {
    block_on(async {
        let step = "[steps.change]\ntask = \"exec\"\nneeds = [\"request\"]\nwith.command = [\"echo\", \"a word\"]\n";
        let folder = Folder::with(step, None, Some("change"));
        let app = folder.start().await;
        let got = app.messages(&ask("hello")).await;
        assert_eq!(got.status, 400, "{}", got.body);
        assert_eq!(got.json()["error"]["type"], "invalid_request_error");
        assert_eq!(asked_upstream(&app), 0);
        app.stop().await;
    });
}

#[test]
fn a_service_is_told_and_refuses_or_lets_pass_and_is_waited_for() {
    block_on(async {
        let limit = r#"{"type": "error", "error": {"type": "rate_limit_error", "message": "the team's budget is spent"}}"#;
        let service = Service::start(&[
            (503, "busy"),
            (200, "{\"ok\": true}"),
            (429, limit),
            (404, ""),
        ]);
        let step = format!(
            "[steps.budget]\ntask = \"http\"\nneeds = [\"validate\", \"map_model\"]\nretry = {{ attempts = 2, base = \"1ms\" }}\n\
             with = {{ url = \"{}/check?a=1\", headers = {{ authorization = \"Bearer ${{KEY}}\" }} }}\n",
            service.url
        );
        let folder = Folder::with(&step, Some("budget"), None);
        let app = folder.start().await;
        app.script(Script::new().then(Turn::text("Fine.")));
        let got = app.messages(&ask("hello")).await;
        assert_eq!(got.status, 200, "{}", got.body);
        assert_eq!(
            (got.status, got.text().as_str()),
            (200, "Fine."),
            "{}",
            got.body
        );
        let run = app.ended_run(&got.run()).await;
        assert_eq!(step_attempts(&run, "budget"), 2);
        assert_eq!(output(&run, "budget"), json!({ "ok": true }));
        let call = service.calls().remove(1);
        assert_eq!(
            (call.method.as_str(), call.path.as_str()),
            ("POST", "/check?a=1")
        );
        assert_eq!(call.header("authorization"), Some("Bearer sk-service"));
        assert_eq!(call.header("content-type"), Some("application/json"));
        assert!(call.header("traceparent").unwrap().starts_with("00-"));
        let told = call.json();
        assert_eq!(told["run"]["attempt"], 2);
        assert_eq!(told["needs"]["validate"], ask("hello"));
        assert_eq!(told["needs"]["map_model"]["asked"], "claude-sonnet-5-5");
        let page = app.get(&format!("/runs/{}", got.run())).await.body;
        assert!(!page.contains("sk-service"));

        let got = app.messages(&ask("hello")).await;
        assert_eq!(got.status, 429, "{}", got.body);
        assert_eq!(got.json()["error"]["message"], "the team's budget is spent");
        assert_eq!(got.header("retry-after"), "7");

        let got = app.messages(&ask("hello")).await;
        assert_eq!(got.status, 500, "{}", got.body);
        let run = app.ended_run(&got.run()).await;
        assert_eq!(
            step_attempts(&run, "budget"),
            1,
            "a 404 does not get better"
        );
        let error =
            "it answered with status 404 Not Found, and no error in the shape of Anthropic's";
        assert_eq!(of_step(&run, "budget")["error"], error);
        app.stop().await;
        service.stop().await;
    });
}

fn step_attempts(run: &Value, name: &str) -> u64 {
    of_step(run, name)["attempts"].as_u64().unwrap()
}

#[test]
fn a_service_hears_of_the_figures_once_the_answer_has_ended() {
    block_on(async {
        let service = Service::start(&[(200, "ok")]);
        let step = format!(
            "[steps.notify]\ntask = \"http\"\nneeds = [\"price_usage\"]\noptional = true\nwith.url = \"{}/hook\"\n\
             [steps.unheard]\ntask = \"http\"\nneeds = [\"price_usage\"]\noptional = true\nwith.url = \"http://127.0.0.1:9/hook\"\n",
            service.url
        );
        let folder = Folder::with(&step, None, None);
        let app = folder.start().await;
        app.script(Script::new().then(Turn::text("Fine.")));
        let got = app.messages(&ask("hello")).await;
        assert_eq!(
            (got.status, got.text().as_str()),
            (200, "Fine."),
            "{}",
            got.body
        );
        let run = app.ended_run(&got.run()).await;
        assert_eq!(run["state"], "Completed", "{run}");
        assert_eq!(output(&run, "notify"), "ok");
        let told = service.calls().remove(0).json();
        let priced = &told["needs"]["price_usage"];
        assert!(priced["usd"].is_number(), "{priced}");
        assert_eq!(priced["reply"]["stop_reason"], "end_turn");
        assert!(
            priced["reply"]["usage"]["output_tokens"].is_number(),
            "{priced}"
        );
        let unheard = of_step(&run, "unheard");
        assert_eq!(unheard["state"], "Failed");
        let error = unheard["error"].as_str().unwrap();
        assert!(error.starts_with("it cannot be reached: "), "{error}");
        app.stop().await;
        service.stop().await;
    });
}

#[test]
fn what_a_step_of_ones_own_takes_is_no_time_of_dagways() {
    block_on(async {
        // Before the request is built: from then on all time is the upstream's.
        let script = json!(format!("sleep 1; echo '{}'", ask_whole("hello")));
        let step = format!(
            "[steps.change]\ntask = \"exec\"\nneeds = [\"request\"]\nwith.command = [\"sh\", \"-c\", {script}]\n"
        );
        let app = Folder::with(&step, None, Some("change")).start().await;
        app.script(Script::new().then(Turn::text("Fine.")));
        let got = app.messages(&ask_whole("hello")).await;
        assert_eq!(got.status, 200, "{}", got.body);
        let own: u64 = got.header("x-dagway-overhead-us").parse().unwrap();
        let own = Duration::from_micros(own);
        assert!(own < Duration::from_secs(1), "{own:?}");
        app.stop().await;
    });
}

#[test]
fn so_many_programs_of_a_step_run_at_once_and_no_more() {
    block_on(async {
        let app = guard("cat", "").start().await;
        let workflows = app.get("/api/workflows").await.json();
        let steps = workflows["workflows"][0]["steps"].as_array().unwrap();
        let guard = steps.iter().find(|step| step["name"] == "guard").unwrap();
        assert_eq!(guard["limit"], 16);
        app.stop().await;
    });
}

/// The first block of this language in the README's section about such steps.
fn block_of_readme(language: &str) -> &'static str {
    let readme = include_str!("../../README.md");
    let (_, section) = readme.split_once("### Steps in any language").unwrap();
    let (_, block) = section.split_once(&format!("\n```{language}\n")).unwrap();
    block.split_once("```").unwrap().0
}

#[test]
fn the_readmes_example_does_what_the_readme_says() {
    block_on(async {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("policy.py"), block_of_readme("python")).unwrap();
        let place = json!(place.path());
        let call = "[steps.call_upstream]";
        let (step, below_call) = block_of_readme("toml").split_once(call).unwrap();
        assert!(
            below_call.contains("\nafter = [\"policy\"]"),
            "{below_call}"
        );
        let step = step.replace("with  = {", &format!("with  = {{ folder = {place},"));
        let step = step.replace("${TEAM}", "${OURS}");
        let folder = Folder::with(&step, Some("policy"), None);
        let app = folder.start().await;
        app.script(Script::new().then(Turn::text("Fine.")));
        let got = app.messages(&ask("-----BEGIN RSA PRIVATE KEY-----")).await;
        assert_eq!(got.status, 400, "{}", got.body);
        let message = got.json()["error"]["message"].take();
        assert_eq!(message, "a private key must not leave the house");
        let got = app.messages(&ask("hello")).await;
        assert_eq!(got.status, 200, "{}", got.body);
        let run = app.ended_run(&got.run()).await;
        let looked_at = json!({ "looked_at": "claude-sonnet-5-5" });
        assert_eq!(output(&run, "policy"), looked_at);
        app.stop().await;
    });
}
