//! A Dagway of the test's own, between its simulated upstream and a plain HTTP client.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use dagway::simulator::{Seen, Settings, Simulator};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// The longest wait for something that must happen soon.
const SOON: Duration = Duration::from_secs(30);

/// Which way requests for Claude take to the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Translated into chat completions.
    Chat,
    /// Passed on to a Messages endpoint.
    Native,
}

impl Lane {
    /// What it is called in the settings.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Native => "native",
        }
    }

    /// How the paths of its requests end.
    fn path(self) -> &'static str {
        match self {
            Self::Chat => "/chat/completions",
            Self::Native => "/messages",
        }
    }

    /// The settings that put Claude on it.
    fn settings(self) -> String {
        let lane = self.name();
        format!("[[models.rules]]\nmatch = 'anthropic/*'\nlane = '{lane}'\n")
    }
}

/// The cast of one test.
pub(crate) struct Stage {
    pub(crate) lane: Lane,
    pub(crate) simulator: Simulator,
    /// Where Dagway is, without a slash at the end.
    pub(crate) url: String,
    pub(crate) http: reqwest::Client,
    folder: TempDir,
    dagway: Child,
    // Held, so that Dagway never writes into a closed pipe.
    _stdout: Lines<BufReader<ChildStdout>>,
}

impl Stage {
    /// A stage on which everything is translated.
    pub(crate) async fn start() -> Self {
        Self::on(Lane::Chat).await
    }

    /// Starts the simulator and the real binary, and waits until it says where it listens.
    pub(crate) async fn on(lane: Lane) -> Self {
        Self::with(lane, "").await
    }

    /// The same with more settings, whose rules come first.
    pub(crate) async fn with(lane: Lane, more: &str) -> Self {
        let simulator = Simulator::start(Settings::immediate())
            .await
            .expect("a port is free");
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let log =
            File::create(folder.path().join("dagway.log")).expect("the folder can be written");
        let config = folder.path().join("dagway.toml");
        let settings = format!("{more}{}", lane.settings());
        std::fs::write(&config, settings).expect("the folder can be written");
        let mut dagway = Command::new(env!("CARGO_BIN_EXE_dagway"))
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| name == "PATH"))
            .env("HOME", folder.path())
            .env("OPENROUTER_BASE_URL", simulator.base_url())
            .env("OPENROUTER_API_KEY", "sk-or-test")
            .env("DAGWAY_CONFIG", config)
            .env("DAGWAY_LISTEN", "127.0.0.1:0")
            .env("DAGWAY_DATA", folder.path().join("data"))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("cargo has built the binary");
        let mut stdout = BufReader::new(dagway.stdout.take().expect("stdout is piped")).lines();
        let found = tokio::time::timeout(SOON, address(&mut stdout)).await;
        let Ok(Some(url)) = found else {
            panic!(
                "dagway did not say where it listens: {}",
                log_of(folder.path())
            );
        };
        Self {
            lane,
            simulator,
            url,
            http: plain_client(),
            folder,
            dagway,
            _stdout: stdout,
        }
    }

    /// A folder below the test's own, made if need be.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(&path).expect("the folder can be made");
        path
    }

    /// The chat completions that arrived upstream.
    pub(crate) fn completions(&self) -> Vec<Seen> {
        let mut requests = self.simulator.requests();
        requests.retain(|seen| seen.path.ends_with("/chat/completions"));
        requests
    }

    /// The requests that a model got, on the stage's lane or beside it.
    pub(crate) fn asked(&self) -> Vec<Seen> {
        let mut requests = self.simulator.requests();
        requests.retain(|seen| is_for_a_model(&seen.path));
        requests
    }

    /// Fails if a request for Claude took another lane than the stage's.
    pub(crate) fn kept_to_its_lane(&self) {
        for seen in self.asked() {
            let is_claude = seen.body["model"]
                .as_str()
                .is_some_and(|model| model.contains("claude"));
            assert!(
                !is_claude || seen.path.ends_with(self.lane.path()),
                "{} is not on the lane {:?}",
                seen.path,
                self.lane
            );
        }
    }

    /// The JSON at a path of Dagway's.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let response = self
            .http
            .get(format!("{}{path}", self.url))
            .send()
            .await
            .expect("dagway answers");
        let status = response.status();
        let text = response.text().await.expect("the answer ends");
        assert!(status.is_success(), "GET {path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("GET {path}: {error} in {text}"))
    }

    /// The runs of messages that have ended, oldest first, as soon as there are so many.
    pub(crate) async fn runs(&self, at_least: usize) -> Vec<Value> {
        let mut ended = Vec::new();
        let waited = tokio::time::timeout(SOON, async {
            while ended.len() < at_least {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let page = self.get("/api/runs?limit=100").await;
                ended = page["runs"].as_array().cloned().unwrap_or_default();
                ended.retain(|run| is_of_messages(run) && !run["ended"].is_null());
            }
        });
        assert!(
            waited.await.is_ok(),
            "{} runs ended, {at_least} expected: {:?}",
            ended.len(),
            ended.iter().map(|run| &run["workflow"]).collect::<Vec<_>>()
        );
        ended.reverse();
        ended
    }

    /// Waits until something holds that must hold soon.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let waited = tokio::time::timeout(SOON, async {
            while !holds(self) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        assert!(waited.await.is_ok(), "it did not happen that {what}");
    }

    /// Ends Dagway as a service manager does, and expects it to go in peace.
    pub(crate) async fn close(mut self) {
        let pid = self.dagway.id().expect("dagway is still running");
        let sent = Command::new("kill")
            .args(["-TERM", &pid.to_string()])
            .status()
            .await;
        assert!(
            sent.is_ok_and(|status| status.success()),
            "dagway cannot be ended"
        );
        let status = tokio::time::timeout(SOON, self.dagway.wait())
            .await
            .expect("dagway ends in time");
        assert!(
            status.expect("a child can be waited for").success(),
            "{}",
            log_of(self.folder.path())
        );
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "--- the end of dagway's log\n{}",
                log_of(self.folder.path())
            );
            for seen in self
                .simulator
                .requests()
                .iter()
                .filter(|seen| seen.refused.is_some())
            {
                eprintln!(
                    "--- the simulator refused: {:?} {}",
                    seen.refused, seen.path
                );
            }
        }
    }
}

fn is_for_a_model(path: &str) -> bool {
    path.ends_with("/chat/completions") || path.ends_with("/messages")
}

/// Each lane is a workflow.
fn is_of_messages(run: &Value) -> bool {
    run["workflow"] == "messages" || run["workflow"] == "native"
}

async fn address(stdout: &mut Lines<BufReader<ChildStdout>>) -> Option<String> {
    while let Ok(Some(line)) = stdout.next_line().await {
        if let Some(url) = line.strip_prefix("listening on ") {
            return Some(url.trim_end_matches('/').to_owned());
        }
    }
    None
}

fn log_of(folder: &Path) -> String {
    let text = std::fs::read_to_string(folder.join("dagway.log")).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines.split_at(lines.len().saturating_sub(12)).1.join("\n")
}

fn plain_client() -> reqwest::Client {
    let tls = rustls::ClientConfig::builder_with_provider(
        rustls::crypto::ring::default_provider().into(),
    )
    .with_safe_default_protocol_versions()
    .expect("ring speaks the default versions")
    .with_root_certificates(rustls::RootCertStore::empty())
    .with_no_client_auth();
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .timeout(SOON)
        .build();
    client.expect("a plain client can be made")
}
