//! A Dagway of the test's own, its simulated upstream, and a plain HTTP client.

pub(crate) mod otlp;
pub(crate) mod plain;
pub(crate) mod service;

use std::time::{Duration, Instant};

use dagway::app::{App, Manner};
use dagway::settings::Settings;
use dagway::simulator::{self, Script, Simulator};
use futures_util::StreamExt;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

/// The longest a test waits for something that must happen.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Runs a test's future where the server's workers may live.
pub(crate) fn block_on<T>(test: impl Future<Output = T>) -> T {
    actix_web::rt::System::new().block_on(test)
}

/// The steps of the workflow `messages`.
pub(crate) const STEPS: [&str; 9] = [
    "validate",
    "map_model",
    "convert_messages",
    "convert_tools",
    "build_request",
    "call_upstream",
    "convert_response",
    "price_usage",
    "log_usage",
];

/// A Dagway and its upstream.
pub(crate) struct TestApp {
    pub(crate) app: App,
    pub(crate) simulator: Simulator,
    pub(crate) http: reqwest::Client,
    _folder: tempfile::TempDir,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Got {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .unwrap_or_else(|| panic!("no header {name}: {self:?}"))
            .to_str()
            .unwrap()
    }

    /// The run that gave this answer.
    pub(crate) fn run(&self) -> String {
        self.header("x-dagway-run").to_owned()
    }

    /// The events of a stream, each with its name.
    pub(crate) fn events(&self) -> Vec<(String, Value)> {
        events(&self.body)
    }

    /// The text of a streamed answer.
    pub(crate) fn text(&self) -> String {
        let events = self.events();
        let deltas = events
            .iter()
            .filter_map(|(_, event)| event["delta"]["text"].as_str());
        deltas.collect()
    }
}

pub(crate) fn events(body: &str) -> Vec<(String, Value)> {
    let frame = |frame: &str| {
        let name = frame
            .lines()
            .find_map(|line| line.strip_prefix("event: "))
            .expect("every event has a name");
        let data = frame
            .lines()
            .find_map(|line| line.strip_prefix("data: "))
            .expect("every event has data");
        (
            name.to_owned(),
            serde_json::from_str(data).expect("every event's data is JSON"),
        )
    };
    body.split("\n\n")
        .filter(|text| !text.trim().is_empty())
        .map(frame)
        .collect()
}

impl TestApp {
    /// Starts with default settings.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts with settings that differ.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        let simulator = Simulator::start(simulator::Settings::immediate())
            .await
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::defaults().unwrap();
        settings.server.listen = "127.0.0.1:0".parse().unwrap();
        settings.server.workers = 1;
        settings.simulate(&simulator.base_url(), "sk-or-test");
        // Most tests are about the translation, of Claude models too; those about the native lane say so.
        settings.models.rules.clear();
        settings.store.folder = folder.path().to_owned();
        change(&mut settings);
        let started = App::start(&settings, Manner::default()).await;
        let app = started.expect("the app starts");
        let http = dagway::upstream::client::http()
            .unwrap()
            .no_proxy()
            .build()
            .unwrap();
        Self {
            app,
            simulator,
            http,
            _folder: folder,
        }
    }

    pub(crate) fn script(&self, script: Script) {
        self.simulator.script(script);
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.app.url())
    }

    pub(crate) async fn get(&self, path: &str) -> Got {
        let response = self.http.get(self.url(path)).send().await.unwrap();
        read(response).await
    }

    /// What the bodies of requests take that wait for their answer, as the metrics say.
    pub(crate) async fn body_bytes_held(&self) -> usize {
        let metrics = self.get("/metrics").await.body;
        let bytes = metrics
            .lines()
            .find_map(|line| line.strip_prefix("dagway_request_body_bytes "));
        bytes.unwrap().parse().unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Got {
        self.post_bytes(path, body.to_string().into_bytes()).await
    }

    pub(crate) async fn post_bytes(&self, path: &str, body: Vec<u8>) -> Got {
        let request = self
            .http
            .post(self.url(path))
            .header("content-type", "application/json")
            .body(body);
        read(request.send().await.unwrap()).await
    }

    /// `POST /v1/messages`.
    pub(crate) async fn messages(&self, body: &Value) -> Got {
        self.post("/v1/messages", body).await
    }

    /// A stream under way, unread.
    pub(crate) async fn open_stream(&self, body: &Value) -> reqwest::Response {
        self.http
            .post(self.url("/v1/messages"))
            .body(body.to_string())
            .send()
            .await
            .unwrap()
    }

    /// The run, once it is over.
    pub(crate) async fn ended_run(&self, id: &str) -> Value {
        self.run_when(id, |run| run["ended"].is_string()).await
    }

    /// The run, once it is as `is_so` says.
    pub(crate) async fn run_when(&self, id: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/api/runs/{id}");
        let mut last = String::new();
        let since = Instant::now();
        while since.elapsed() < DEADLINE {
            let got = self.get(&path).await;
            if got.status == 200 {
                let mut whole = got.json();
                let mut run = whole["run"].take();
                run["steps"] = whole["steps"].take();
                if is_so(&run) {
                    return run;
                }
            }
            last = got.body;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("run {id} did not become what it should; last seen: {last}");
    }

    /// The id of the only run there is, once it is listed.
    pub(crate) async fn only_run(&self) -> String {
        let since = Instant::now();
        while since.elapsed() < DEADLINE {
            let page = self.get("/api/runs").await.json();
            if let Some(id) = page["runs"][0]["id"].as_str() {
                return id.to_owned();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no run was listed");
    }

    /// Ends everything, in order.
    pub(crate) async fn stop(self) {
        self.stop_sooner_at(std::future::pending()).await;
    }

    /// Ends everything, and sooner when `hurry` ends.
    pub(crate) async fn stop_sooner_at(self, hurry: impl Future<Output = ()>) {
        self.app.stop_sooner_at(hurry).await;
        self.simulator.stop().await;
    }
}

/// Waits until `is_so`, looking often.
pub(crate) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < DEADLINE, "it never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) async fn read(response: reqwest::Response) -> Got {
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let mut body = Vec::new();
    let mut pieces = response.bytes_stream();
    while let Some(Ok(piece)) = pieces.next().await {
        body.extend_from_slice(&piece);
    }
    Got {
        status,
        headers,
        body: String::from_utf8(body).unwrap(),
    }
}

/// A small request that asks for a stream.
pub(crate) fn ask(text: &str) -> Value {
    json!({
        "model": "claude-sonnet-5-5",
        "max_tokens": 1024,
        "stream": true,
        "messages": [{ "role": "user", "content": text }],
    })
}

/// The same without a stream.
pub(crate) fn ask_whole(text: &str) -> Value {
    let mut body = ask(text);
    body["stream"] = false.into();
    body
}
