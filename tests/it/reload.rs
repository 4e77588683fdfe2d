//! Workflow files that change while the server runs.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpResponse, HttpServer, web};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::support::{DEADLINE, Got, STEPS, TestApp, ask, ask_whole, block_on, read};

const MESSAGES: &str = include_str!("../../workflows/messages.toml");
const COUNT_TOKENS: &str = include_str!("../../workflows/count_tokens.toml");

/// The built-in workflow, its last step under another name.
fn with_last_step(name: &str) -> String {
    let step = format!("[steps.{name}]\ntask = \"log_usage\"");
    MESSAGES.replace("[steps.log_usage]", &step)
}

/// A Dagway whose folder of workflows is `folder`.
async fn start(folder: &Path) -> TestApp {
    TestApp::start_with(|settings| folder.clone_into(&mut settings.workflows.folder)).await
}

/// `GET /api/workflows`, once it is as `is_so` says.
async fn workflows_when(app: &TestApp, is_so: impl Fn(&Value) -> bool) -> Value {
    let since = Instant::now();
    loop {
        let present = app.get("/api/workflows").await.json();
        if is_so(&present) {
            return present;
        }
        assert!(
            since.elapsed() < DEADLINE,
            "it never came to be: {present:#}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A workflow among those of `GET /api/workflows`.
fn workflow<'a>(present: &'a Value, name: &str) -> &'a Value {
    let mut all = present["workflows"].as_array().unwrap().iter();
    all.find(|workflow| workflow["name"] == name).unwrap()
}

fn has_step(present: &Value, workflow_name: &str, step: &str) -> bool {
    let steps = workflow(present, workflow_name)["steps"].as_array();
    steps.unwrap().iter().any(|known| known["name"] == step)
}

async fn reloads(app: &TestApp) -> (String, String) {
    let text = app.get("/metrics").await.body;
    let count = |outcome: &str| {
        let name = format!("dagway_workflow_reloads_total{{outcome=\"{outcome}\"}} ");
        let found = text.lines().find_map(|line| line.strip_prefix(&name));
        found.unwrap_or("none").to_owned()
    };
    (count("used"), count("refused"))
}

/// The names of the steps of a run, as its page shows them.
fn steps(run: &Value) -> Vec<&str> {
    let steps = run["steps"].as_array().unwrap().iter();
    steps.map(|step| step["name"].as_str().unwrap()).collect()
}

/// An upstream whose streams stop after a word, until they may go on.
struct Held {
    url: String,
    gate: Arc<Notify>,
    server: ServerHandle,
}

impl Held {
    fn start() -> Self {
        let gate = Arc::new(Notify::new());
        let shared = web::Data::from(Arc::clone(&gate));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .route("/v1/chat/completions", web::post().to(in_two_halves))
        });
        let server = server.workers(1).disable_signals();
        let server = server.bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", server.addrs()[0]);
        let server = server.run();
        let handle = server.handle();
        tokio::task::spawn_local(server);
        Self {
            url,
            gate,
            server: handle,
        }
    }
}

async fn in_two_halves(gate: web::Data<Notify>) -> HttpResponse {
    let piece = |delta: Value, finish: Option<&str>| {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
        let chunk = json!({ "id": "gen-1", "model": "m", "choices": [choice] });
        Bytes::from(format!("data: {chunk}\n\n"))
    };
    let first = piece(json!({ "role": "assistant", "content": "Well, " }), None);
    let last = piece(json!({ "content": "yes." }), Some("stop"));
    let rest = stream::once(async move {
        gate.notified().await;
        Ok::<_, actix_web::Error>([last, Bytes::from("data: [DONE]\n\n")].concat().into())
    });
    let body = stream::iter([Ok(first)]).chain(rest);
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .streaming(body)
}

#[test]
fn a_changed_file_serves_the_next_run_and_the_one_under_way_keeps_its_plan() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let upstream = Held::start();
        let app = TestApp::start_with(|settings| {
            folder.path().clone_into(&mut settings.workflows.folder);
            let openrouter = settings.upstreams.get_mut("openrouter").unwrap();
            openrouter.base_url.clone_from(&upstream.url);
        })
        .await;
        let begun = app.open_stream(&ask("hello")).await;
        let id = begun.headers()["x-dagway-run"].to_str().unwrap().to_owned();
        let old = app.run_when(&id, |run| run["replied"].is_string()).await;

        std::fs::write(folder.path().join("mine.toml"), with_last_step("remember")).unwrap();
        let present = workflows_when(&app, |now| has_step(now, "messages", "remember")).await;
        let new_plan = workflow(&present, "messages")["hash"].clone();
        assert_ne!(old["plan"], new_plan);
        assert_eq!(reloads(&app).await, ("1".to_owned(), "0".to_owned()));
        let under_way = app.run_when(&id, |_| true).await;
        assert!(under_way["ended"].is_null(), "{under_way}");

        upstream.gate.notify_one();
        assert_eq!(read(begun).await.text(), "Well, yes.");
        let ended = app.ended_run(&id).await;
        assert_eq!(
            (&ended["state"], &ended["plan"]),
            (&json!("Completed"), &old["plan"])
        );
        assert_eq!(steps(&ended), STEPS);

        upstream.gate.notify_one();
        let next = app.messages(&ask("hello again")).await;
        assert_eq!(next.text(), "Well, yes.");
        let next = app.ended_run(&next.run()).await;
        assert_eq!(
            (&next["state"], &next["plan"]),
            (&json!("Completed"), &new_plan)
        );
        assert_eq!(steps(&next).last(), Some(&"remember"));
        for (run, step) in [(&ended, "log_usage"), (&next, "remember")] {
            let page = format!("/runs/{}", run["id"].as_str().unwrap());
            let got: Got = app.get(&page).await;
            assert!(got.body.contains(step), "the graph is that of its plan");
        }
        upstream.server.stop(false).await;
        tokio::time::timeout(Duration::from_secs(6), app.stop())
            .await
            .expect("watching ends at once");
    });
}

#[test]
fn a_file_that_does_not_prove_is_refused_until_it_is_mended() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mine.toml");
        std::fs::write(&file, with_last_step("first")).unwrap();
        let app = start(folder.path()).await;
        let before = app.get("/api/workflows").await.json();
        assert!(before["refused"].is_null() && has_step(&before, "messages", "first"));
        assert!(before["in_use_since"].is_string(), "{before}");

        let broken = with_last_step("second").replace("\"map_model\"", "\"map_modell\"");
        std::fs::write(&file, broken).unwrap();
        let refused = workflows_when(&app, |now| !now["refused"].is_null()).await;
        let said = refused["refused"]["faults"].to_string();
        assert!(
            said.contains("mine.toml:") && said.contains("map_modell"),
            "{said}"
        );
        assert_eq!(refused["workflows"], before["workflows"], "they stay");
        assert_eq!(refused["in_use_since"], before["in_use_since"]);
        for page in ["/workflows", "/workflows/messages"] {
            let page = app.get(page).await.body;
            assert!(
                page.contains("not in use") && page.contains("map_modell"),
                "{page}"
            );
        }
        let got = app.messages(&ask_whole("hello")).await;
        assert_eq!(got.status, 200, "{}", got.body);
        let run = app.ended_run(&got.run()).await;
        assert_eq!(run["plan"], workflow(&before, "messages")["hash"]);

        std::fs::write(&file, with_last_step("third")).unwrap();
        let mended = workflows_when(&app, |now| has_step(now, "messages", "third")).await;
        assert!(mended["refused"].is_null(), "{mended}");
        assert!(!app.get("/workflows").await.body.contains("not in use"));
        assert_eq!(reloads(&app).await, ("1".to_owned(), "1".to_owned()));
        app.stop().await;
    });
}

#[test]
fn files_come_and_go_together_and_without_them_the_built_in_ones_serve() {
    block_on(async {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("workflows");
        std::fs::create_dir(&folder).unwrap();
        let app = start(&folder).await;
        let built_in = app.get("/api/workflows").await.json()["workflows"].take();

        let counted = COUNT_TOKENS.replace("name  = \"count_tokens\"", "name = \"count\"");
        assert_ne!(counted, COUNT_TOKENS);
        std::fs::write(folder.join("a.toml"), with_last_step("mine")).unwrap();
        std::fs::write(folder.join("b.toml"), &counted).unwrap();
        let is_both =
            |now: &Value| has_step(now, "messages", "mine") && now.to_string().contains("b.toml");
        workflows_when(&app, is_both).await;
        let body = json!({ "model": "m", "messages": [{ "role": "user", "content": "x" }] });
        let got = app.post("/v1/messages/count_tokens", &body).await;
        assert_eq!(got.status, 200, "{}", got.body);
        assert_eq!(app.ended_run(&got.run()).await["workflow"], "count");

        std::fs::rename(&folder, outer.path().join("away")).unwrap();
        let gone = workflows_when(&app, |now| !now["refused"].is_null()).await;
        assert!(
            is_both(&gone),
            "a folder that cannot be read takes nothing away"
        );
        std::fs::rename(outer.path().join("away"), &folder).unwrap();
        workflows_when(&app, |now| now["refused"].is_null()).await;

        std::fs::remove_file(folder.join("a.toml")).unwrap();
        std::fs::remove_file(folder.join("b.toml")).unwrap();
        workflows_when(&app, |now| now["workflows"] == built_in).await;
        app.stop().await;
    });
}
