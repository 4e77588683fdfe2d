//! A real Prometheus, with the configuration and the alerts that `docker-compose.yml` gives it: what it says of both, and
//! of what Dagway shows.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Ended, Lane, Program, Stage, free_port, in_this_folder, needed};

const SOON: Duration = Duration::from_secs(30);
const TOKEN: &str = "to$ken-1";

fn installed(name: &str) -> PathBuf {
    needed(name, &[Path::new("/usr/bin").join(name)])
}

/// A path in the folder of what containers need.
fn of_containers(name: &str) -> PathBuf {
    in_this_folder("../../.docker").join(name)
}

/// Asks, whatever the answer is.
async fn ask(stage: &Stage, body: &Value) {
    let url = format!("{}/v1/messages", stage.url);
    let sent = stage.http.post(url).body(body.to_string()).send().await;
    sent.expect("dagway answers");
}

/// A Prometheus of the test's own that scrapes its Dagway.
struct Prometheus {
    url: String,
    http: reqwest::Client,
    _program: Program,
}

impl Prometheus {
    /// Starts one with the files of the containers, in which addresses and paths are this machine's and times are shorter.
    async fn start(stage: &Stage) -> Self {
        let folder = stage.folder("prometheus");
        let password = folder.join("metrics_password");
        fs::write(&password, TOKEN).expect("the folder can be written");
        fs::copy(of_containers("alerts.yml"), folder.join("alerts.yml")).expect("it is there");
        let file = of_containers("prometheus.yml");
        let mut configuration = fs::read_to_string(file).expect("it is there");
        for (theirs, ours) in [
            ("dagway:4000", stage.url.trim_start_matches("http://")),
            (
                "/etc/prometheus/metrics_password",
                password.to_str().expect("the path is text"),
            ),
            ("scrape_interval: 5s", "scrape_interval: 200ms"),
            ("evaluation_interval: 15s", "evaluation_interval: 200ms"),
        ] {
            assert!(
                configuration.contains(theirs),
                "{theirs} is not in\n{configuration}"
            );
            configuration = configuration.replace(theirs, ours);
        }
        fs::write(folder.join("prometheus.yml"), configuration).expect("the folder can be written");
        let port = free_port();
        let listen = format!("--web.listen-address=127.0.0.1:{port}");
        let arguments = [
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            &listen,
        ];
        let program = Program::start(&installed("prometheus"), &arguments, &folder, &[]);
        let address = program.listening_on(&port).await;
        Self {
            url: format!("http://{address}"),
            http: stage.http.clone(),
            _program: program,
        }
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let url = reqwest::Url::parse_with_params(&format!("{}{path}", self.url), query);
        let sent = self.http.get(url.expect("it is a URL")).send().await;
        let answer = sent.expect("Prometheus answers").text().await;
        let answer = answer.expect("the answer ends");
        serde_json::from_str(&answer).unwrap_or_default()
    }

    /// Waits until an expression has a result.
    async fn until(&self, expression: &str) {
        let holds = async {
            while self.get("/api/v1/query", &[("query", expression)]).await["data"]["result"][0]
                .is_null()
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let waited = tokio::time::timeout(SOON, holds).await;
        let targets = self.get("/api/v1/targets", &[]).await;
        assert!(
            waited.is_ok(),
            "it did not happen that {expression}: {targets}"
        );
    }
}

async fn promtool(arguments: &[&str], stdin: Stdio) -> Ended {
    let folder = std::env::temp_dir();
    let program = installed("promtool");
    let program = Program::start_with(stdin, &program, arguments, &folder, &[]);
    program.end(SOON).await
}

#[tokio::test]
async fn each_alert_fires_when_it_should_and_not_otherwise() {
    let cases = in_this_folder("prometheus/alerts_test.yml");
    let arguments = ["test", "rules", cases.to_str().expect("the path is text")];
    let ended = promtool(&arguments, Stdio::null()).await;
    let said = ended.succeeded("promtool test rules");
    assert!(said.contains("SUCCESS"), "{said}");
}

#[tokio::test]
async fn promtool_finds_nothing_to_better_in_the_metrics() {
    let stage = Stage::start().await;
    for body in [
        json!({ "model": "openai/gpt-5", "max_tokens": 64, "messages": [{ "role": "user", "content": "hello" }] }),
        json!({ "model": "openai/gpt-5" }),
    ] {
        ask(&stage, &body).await;
    }
    stage.runs(2).await;
    let got = stage.http.get(format!("{}/metrics", stage.url)).send();
    let metrics = got.await.expect("dagway answers").text().await;
    let metrics = metrics.expect("the answer ends");
    assert!(
        metrics.contains("dagway_first_token_seconds_bucket"),
        "{metrics}"
    );
    let file = stage.folder("metrics").join("metrics.txt");
    fs::write(&file, &metrics).expect("the folder can be written");
    let file = File::open(&file).expect("it was written");
    let ended = promtool(&["check", "metrics"], file.into()).await;
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(
        ended.status.success() && said.is_empty(),
        "{said}\n{metrics}"
    );
    stage.close().await;
}

#[tokio::test]
async fn prometheus_scrapes_dagway_and_has_its_alerts() {
    let settings = format!("[server]\ndashboard_password = 'another'\nmetrics_token = '{TOKEN}'\n");
    let stage = Stage::with(Lane::Chat, &settings).await;
    let prometheus = Prometheus::start(&stage).await;
    let body = json!({ "model": "openai/gpt-5", "max_tokens": 64, "messages": [{ "role": "user", "content": "hello" }] });
    ask(&stage, &body).await;
    let completed = "sum(dagway_runs_total{job=\"dagway\", state=\"Completed\"}) == 1";
    prometheus.until(completed).await;
    let rules = prometheus.get("/api/v1/rules", &[]).await;
    let rules = rules["data"]["groups"][0]["rules"].as_array().cloned();
    let rules = rules.expect("the group of the alerts is loaded");
    assert!(rules.len() >= 6, "{rules:?}");
    for rule in rules {
        assert_eq!(
            (&rule["health"], &rule["state"]),
            (&json!("ok"), &json!("inactive")),
            "{rule}"
        );
    }
    stage.close().await;
    let down = "ALERTS{alertname=\"DagwayDown\", alertstate=\"pending\"}";
    prometheus.until(down).await;
}
