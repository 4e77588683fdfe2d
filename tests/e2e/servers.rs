//! Upstreams that others have written: `aimock` (npm) and `fakellm` (`PyPI`), two independent servers of OpenAI's API.
//!
//! Each is a named upstream beside the simulated OpenRouter, and speaks plain chat completions.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::sdks::node;
use crate::support::{Lane, Program, Stage, free_port, in_this_folder, needed};

const GREETING: &str = "Hello from a server that knows nothing of Dagway.";

/// One of the servers, running.
struct Server {
    url: String,
    _program: Program,
}

impl Server {
    async fn start(program: PathBuf, arguments: &[&str], port: &str) -> Self {
        let home = std::env::temp_dir();
        let variables = [("HOME", home.to_str().expect("the path is text"))];
        let program = Program::start(&program, arguments, &home, &variables);
        let address = program.listening_on(port).await;
        Self {
            url: format!("http://{address}/v1"),
            _program: program,
        }
    }

    async fn aimock() -> Self {
        let script = needed(
            "aimock",
            &[in_this_folder(
                "node_modules/@copilotkit/aimock/dist/cli.js",
            )],
        );
        let (script, port) = (script.display().to_string(), free_port());
        let fixtures = in_this_folder("servers/fixtures.json")
            .display()
            .to_string();
        Self::start(node(), &[&script, "-p", &port, "-f", &fixtures], &port).await
    }

    async fn fakellm() -> Self {
        let program = needed("fakellm", &[in_this_folder(".venv/bin/fakellm")]);
        let port = free_port();
        let rules = in_this_folder("servers/fakellm.yaml").display().to_string();
        Self::start(
            program,
            &["serve", "--port", &port, "--config", &rules],
            &port,
        )
        .await
    }

    /// The settings that make it an upstream.
    fn settings(&self) -> String {
        format!(
            "[[models.rules]]\nmatch = 'theirs/*'\nsend = '*'\nupstream = 'theirs'\n\
             [upstreams.theirs]\nkind = 'openai'\nbase_url = '{}'\nkey = 'any'\n",
            self.url
        )
    }
}

fn ask(text: &str, stream: bool) -> Value {
    json!({
        "model": "theirs/gpt-4o", "max_tokens": 256, "stream": stream,
        "system": [{ "type": "text", "text": "Be brief.", "cache_control": { "type": "ephemeral" } }],
        "thinking": { "type": "adaptive" },
        "messages": [{ "role": "user", "content": text }],
    })
}

async fn post(stage: &Stage, body: &Value) -> String {
    let url = format!("{}/v1/messages", stage.url);
    let sent = stage.http.post(url).body(body.to_string()).send().await;
    let answer = sent.expect("dagway answers");
    let status = answer.status();
    let text = answer.text().await.expect("the answer ends");
    assert!(status.is_success(), "{status}: {text}");
    text
}

fn events(stream: &str) -> Vec<Value> {
    let data = stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).expect("every event is JSON"))
        .collect()
}

fn joined(events: &[Value], field: &str) -> String {
    let pieces = events
        .iter()
        .filter_map(|event| event["delta"][field].as_str());
    pieces.collect()
}

/// Greets, streamed and not, and lets a tool be called.
async fn converse(server: &Server) {
    let stage = Stage::with(Lane::Chat, &server.settings()).await;
    let whole: Value = serde_json::from_str(&post(&stage, &ask("hello", false)).await)
        .expect("the answer is JSON");
    let content = whole["content"].as_array().expect("it has content");
    let text = content.iter().find_map(|block| block["text"].as_str());
    assert_eq!(text, Some(GREETING), "{whole}");
    assert_eq!(whole["stop_reason"], "end_turn");
    let streamed = events(&post(&stage, &ask("hello", true)).await);
    assert_eq!(joined(&streamed, "text"), GREETING);
    let last = streamed.last().map(|event| event["type"].clone());
    assert_eq!(last, Some(json!("message_stop")));

    let mut body = ask("list the files", true);
    body["tools"] = json!([{ "name": "Bash", "description": "Runs a command",
        "input_schema": { "type": "object", "properties": { "command": { "type": "string" } } } }]);
    let called = events(&post(&stage, &body).await);
    let call = called
        .iter()
        .find_map(|event| event["content_block"]["id"].as_str().map(str::to_owned))
        .unwrap_or_else(|| panic!("no tool is called: {called:?}"));
    let input: Value =
        serde_json::from_str(&joined(&called, "partial_json")).expect("its input is JSON");
    assert_eq!(input, json!({ "command": "ls" }));
    let messages = body["messages"].as_array_mut().expect("it is a list");
    messages.push(json!({ "role": "assistant", "content": [
        { "type": "tool_use", "id": call, "name": "Bash", "input": input }] }));
    messages.push(json!({ "role": "user", "content": [
        { "type": "tool_result", "tool_use_id": call, "content": "README" }] }));
    let ended = events(&post(&stage, &body).await);
    assert_eq!(joined(&ended, "text"), "There is a README.");

    let runs = stage.runs(4).await;
    assert!(
        runs.iter().all(|run| run["state"] == "Completed"),
        "{runs:#?}"
    );
    assert!(stage.completions().is_empty(), "nothing went to OpenRouter");
    stage.close().await;
}

#[tokio::test]
async fn a_server_from_npm_is_an_upstream() {
    converse(&Server::aimock().await).await;
}

#[tokio::test]
async fn a_server_from_pypi_is_an_upstream() {
    converse(&Server::fakellm().await).await;
}

/// The same server has Anthropic's API, too: what it streams passes.
#[tokio::test]
async fn an_independent_messages_endpoint_is_an_upstream_of_the_native_lane() {
    let server = Server::aimock().await;
    let settings = format!(
        "[[models.rules]]\nmatch = 'claude-*'\nupstream = 'theirs'\n\
         [upstreams.theirs]\nkind = 'anthropic'\nbase_url = '{}'\nkey = 'any'\n",
        server.url
    );
    let stage = Stage::with(Lane::Native, &settings).await;
    let mut body = ask("hello", true);
    body["model"] = "claude-sonnet-4-5".into();
    let streamed = events(&post(&stage, &body).await);
    assert_eq!(joined(&streamed, "text"), GREETING);
    let start = &streamed[0]["message"];
    assert!(
        start["usage"]["input_tokens"].as_u64() > Some(0),
        "estimated: {start}"
    );
    assert!(
        stage
            .simulator
            .requests()
            .iter()
            .all(|seen| seen.method != "POST")
    );
    stage.close().await;
}
