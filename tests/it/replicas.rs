//! Two Dagways as behind a load balancer: two processes, one PostgreSQL database.

use std::time::{Duration, Instant};

use dagway::simulator::{self, Answer, Script, Simulator};
use serde_json::Value;
use tokio_postgres::NoTls;

use crate::program::{Server, dagway, diagnosis, run, stderr};
use crate::support::{DEADLINE, ask, block_on};

/// The pause between two looks at what is about to change.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A database of the test's own, at the server that `tests/run` started.
async fn database() -> String {
    let server = std::env::vars().find(|(name, _)| name == "DAGWAY_TEST_POSTGRES");
    let (_, server) = server.expect("`tests/run` starts a PostgreSQL server for the tests");
    let (client, connection) = tokio_postgres::connect(&server, NoTls).await.unwrap();
    let connection = tokio::task::spawn_local(connection);
    let name = format!("replicas_{:016x}", fastrand::u64(..));
    let make = format!("CREATE DATABASE {name}");
    client.batch_execute(&make).await.unwrap();
    drop(client);
    connection.await.unwrap().unwrap();
    let (place, _) = server.rsplit_once('/').unwrap();
    format!("{place}/{name}")
}

/// What replicas have in common.
struct Team {
    folder: tempfile::TempDir,
    simulator: Simulator,
    database: String,
    http: reqwest::Client,
}

impl Team {
    async fn gather() -> Self {
        let simulator = Simulator::start(simulator::Settings::immediate());
        let http = dagway::upstream::client::http().unwrap().no_proxy();
        Self {
            folder: tempfile::tempdir().unwrap(),
            simulator: simulator.await.unwrap(),
            database: database().await,
            http: http.build().unwrap(),
        }
    }

    fn replica(&self) -> Server {
        let variables = [("DAGWAY_DATABASE_URL", self.database.as_str())];
        Server::start_with(self.folder.path(), &self.simulator.base_url(), &variables)
    }

    fn post(&self, server: &Server, body: &Value) -> reqwest::RequestBuilder {
        let url = format!("{}/v1/messages", server.url);
        self.http.post(url).body(body.to_string())
    }

    async fn text(&self, server: &Server, path: &str) -> String {
        let url = format!("{}{path}", server.url);
        let answer = self.http.get(url).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.text().await.unwrap()
    }

    /// Waits until what is there is as `is_so` says.
    async fn text_when(&self, server: &Server, path: &str, is_so: impl Fn(&str) -> bool) {
        let since = Instant::now();
        while !is_so(&self.text(server, path).await) {
            assert!(since.elapsed() < DEADLINE, "{path} did not become so");
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    async fn json(&self, server: &Server, path: &str) -> Value {
        serde_json::from_str(&self.text(server, path).await).unwrap()
    }
}

#[test]
fn each_replica_shows_the_runs_of_the_other_live_and_whole() {
    block_on(async {
        let team = Team::gather().await;
        let (one, other) = (team.replica(), team.replica());
        assert_eq!(team.json(&one, "/health/ready").await["store"]["ok"], true);
        let live = team.http.get(format!("{}/live/runs", other.url));
        let mut live = live.send().await.unwrap();
        assert!(live.chunk().await.unwrap().is_some(), "the page is live");

        let asked = ask("hello");
        let answer = team.post(&one, &asked).send().await.unwrap();
        let id = answer.headers()["x-dagway-run"]
            .to_str()
            .unwrap()
            .to_owned();
        answer.bytes().await.unwrap();
        let mut news = String::new();
        while !news.contains(&id) {
            let chunk = live.chunk().await.unwrap().expect("the page stays live");
            news += std::str::from_utf8(&chunk).unwrap();
        }
        let path = format!("/api/runs/{id}/payloads/client.request");
        assert_eq!(team.text(&other, &path).await, asked.to_string());
        let page = team.text(&other, &format!("/runs/{id}")).await;
        assert!(page.contains("call_upstream") && page.contains("log_usage"));
        team.simulator.stop().await;
    });
}

#[test]
fn a_run_on_a_plan_that_only_one_replica_has_is_whole_on_the_other() {
    block_on(async {
        let team = Team::gather().await;
        let folder = team.folder.path().join("workflows");
        std::fs::create_dir(&folder).unwrap();
        let variables = [
            ("DAGWAY_DATABASE_URL", team.database.as_str()),
            ("DAGWAY_WORKFLOWS_FOLDER", folder.to_str().unwrap()),
        ];
        let url = team.simulator.base_url();
        let one = Server::start_with(team.folder.path(), &url, &variables);
        let other = team.replica();
        let changed = include_str!("../../workflows/messages.toml").replace(
            "[steps.log_usage]",
            "[steps.remember]\ntask = \"log_usage\"",
        );
        std::fs::write(folder.join("mine.toml"), changed).unwrap();
        let has_it = |page: &str| page.contains("remember");
        team.text_when(&one, "/workflows", has_it).await;
        let mut asked = ask("hello");
        asked["model"] = "openai/gpt-5".into();
        let answer = team.post(&one, &asked).send().await.unwrap();
        let path = format!(
            "/runs/{}",
            answer.headers()["x-dagway-run"].to_str().unwrap()
        );
        answer.error_for_status().unwrap().bytes().await.unwrap();
        let is_over = |list: &str| list.contains("\"Completed\"");
        team.text_when(&other, "/api/runs", is_over).await;
        let run = team.json(&other, &format!("/api{path}")).await;
        let last = run["steps"].as_array().unwrap().last().unwrap();
        assert_eq!(
            (&last["name"], &last["state"]),
            (&"remember".into(), &"Completed".into())
        );
        assert!(team.text(&other, &path).await.contains("remember"));
        assert!(!team.text(&other, "/workflows").await.contains("remember"));
        team.simulator.stop().await;
    });
}

#[test]
fn a_killed_replica_leaves_no_run_open() {
    block_on(async {
        let team = Team::gather().await;
        let (mut one, other) = (team.replica(), team.replica());
        let hangs = Script::new().when(|_| true, Answer::Hang);
        team.simulator.script(hangs);
        let hanging = tokio::task::spawn_local(team.post(&one, &ask("wait")).send());
        let open = loop {
            let page = team.json(&other, "/api/runs?state=running").await;
            if let Some(id) = page["runs"][0]["id"].as_str() {
                break format!("/api/runs/{id}");
            }
        };
        one.kill();
        let _ = hanging.await;
        // Whoever starts next looks for the dead; without a start they would be noticed within a minute.
        while team.json(&other, &open).await["run"]["state"] != "Crashed" {
            drop(team.replica());
        }
        team.simulator.stop().await;
    });
}

#[test]
fn what_is_wrong_with_a_database_is_told_with_the_place_of_its_address() {
    let folder = tempfile::tempdir().unwrap();
    let (secret, file) = (
        folder.path().join("secret"),
        folder.path().join("dagway.toml"),
    );
    let (secret, file) = (secret.to_str().unwrap(), file.to_str().unwrap());
    let start = |url: &str, lines: &str, variables: &[(&str, &str)]| {
        std::fs::write(secret, url).unwrap();
        std::fs::write(file, lines).unwrap();
        let output = run(dagway(folder.path())
            .env("OPENROUTER_API_KEY", "sk-or-x")
            .env("DAGWAY_LISTEN", "127.0.0.1:0")
            .env("DAGWAY_CONFIG", file)
            .envs(variables.iter().copied()));
        assert_eq!(output.status.code(), Some(2));
        stderr(&output)
    };
    let nobody = "postgres://ann:s3cret@127.0.0.1:9/runs";
    let in_file = format!("[store]\n\ndatabase_file = '{secret}'");
    let itself = format!("[store]\ndatabase = '{nobody}'");
    let line = |number: u8| format!("{file}:{number}");
    for (lines, variables, origin) in [
        (
            "",
            &[("DAGWAY_DATABASE_URL", nobody)][..],
            "DAGWAY_DATABASE_URL".to_owned(),
        ),
        (
            "",
            &[("DAGWAY_DATABASE_URL_FILE", secret)],
            "DAGWAY_DATABASE_URL_FILE".to_owned(),
        ),
        (
            &itself,
            &[("DAGWAY_DATABASE_URL_FILE", secret)],
            "DAGWAY_DATABASE_URL_FILE".to_owned(),
        ),
        (&in_file, &[], line(3)),
        (&itself, &[], line(2)),
    ] {
        let said = start(nobody, lines, variables);
        let cure = format!("; start it, or correct the address in {origin}\n");
        assert!(said.ends_with(&cure) && !said.contains("s3cret"), "{said}");
    }
    let said = start("db.example", &in_file, &[]);
    let place = format!("the setting `store.database` ({}) is wrong: ", line(3));
    assert!(said.contains(&place), "{said}");
    let doctor = diagnosis(folder.path(), &[("DAGWAY_DATABASE_URL_FILE", secret)]);
    let wrong =
        "FAIL  store       the setting `store.database` (DAGWAY_DATABASE_URL_FILE) is wrong";
    assert!(doctor.contains(wrong), "{doctor}");
}

#[test]
fn a_database_that_cannot_be_used_is_a_sentence_and_the_doctor_says_it_too() {
    let folder = tempfile::tempdir().unwrap();
    let start = |url: &str| {
        let output = run(dagway(folder.path())
            .env("OPENROUTER_API_KEY", "sk-or-x")
            .env("DAGWAY_LISTEN", "127.0.0.1:0")
            .env("DAGWAY_DATABASE_URL", url));
        assert_eq!(output.status.code(), Some(2));
        stderr(&output)
    };
    let said = start("db.example");
    assert!(
        said.contains("DAGWAY_DATABASE_URL") && said.contains("postgres://user:password@"),
        "{said}"
    );
    let nobody = "postgres://ann:s3cret@127.0.0.1:9/runs";
    let said = start(nobody);
    assert!(
        said.contains("postgres://ann@127.0.0.1:9/runs") && said.contains("start it"),
        "{said}"
    );
    assert!(!said.contains("s3cret"), "{said}");
    assert!(
        said.contains("the address in DAGWAY_DATABASE_URL"),
        "{said}"
    );
    let doctor = diagnosis(folder.path(), &[("DAGWAY_DATABASE_URL", nobody)]);
    assert!(
        doctor.contains("FAIL  store       the run store postgres://ann@127.0.0.1:9/runs"),
        "{doctor}"
    );
    let database = block_on(database());
    let doctor = diagnosis(folder.path(), &[("DAGWAY_DATABASE_URL", &database)]);
    assert!(
        doctor.contains("ok    store       postgres://dagway@127.0.0.1:"),
        "{doctor}"
    );
}
