//! A small client of the Messages API: sends, streams, counts. It must not know the stories.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};

/// The longest that one answer may take.
const PATIENCE: Duration = Duration::from_secs(180);

/// What can go wrong with a request.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The gateway cannot be reached, or the connection broke.
    #[error("the gateway did not answer: {0}")]
    Unreachable(#[from] reqwest::Error),
    /// The client could not be made.
    #[error("the client could not be made: {0}")]
    Tls(#[from] rustls::Error),
    /// The gateway answered with an error status.
    #[error("status {status}: {message}")]
    Refused {
        /// The status.
        status: u16,
        /// Anthropic's name for the kind of error.
        kind: String,
        /// The words.
        message: String,
    },
    /// The answer broke off with an error event.
    #[error("the answer broke off: {kind}: {message}")]
    Torn {
        /// Anthropic's name for the kind of error.
        kind: String,
        /// The words.
        message: String,
    },
    /// The answer is not what the Messages API promises.
    #[error("the answer is malformed: {0}")]
    Malformed(String),
    /// The answer took too long.
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Late,
}

/// A message that came whole.
#[derive(Clone, Debug, Default)]
pub(super) struct Message {
    pub(super) content: Vec<Value>,
    pub(super) stop_reason: String,
    pub(super) usage: Value,
}

/// Who asks.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) session: String,
    pub(super) agent: Option<String>,
}

/// A client of one gateway.
#[derive(Clone, Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    key: String,
}

impl Client {
    pub(super) fn new(base_url: &str, key: Option<&str>) -> Result<Self, Error> {
        // A gateway on the loopback speaks plain HTTP; a TLS stack without roots says so to any other.
        let tls = rustls::ClientConfig::builder_with_provider(
            rustls::crypto::ring::default_provider().into(),
        )
        .with_safe_default_protocol_versions()?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .tcp_nodelay(true)
            .connect_timeout(Duration::from_secs(10))
            .build()?;
        Ok(Self {
            http,
            base: base_url.trim_end_matches('/').to_owned(),
            key: key.unwrap_or("simulated").to_owned(),
        })
    }

    /// Knocks, as clients do at their start.
    pub(super) async fn reach(&self) -> Result<(), Error> {
        let knock = self
            .http
            .head(format!("{}/", self.base))
            .timeout(Duration::from_secs(10));
        knock.send().await?;
        Ok(())
    }

    /// Asks for a message, streamed or not as the body says, and reads it whole.
    pub(super) async fn message(&self, who: &Identity, body: &Value) -> Result<Message, Error> {
        let asked = async {
            let response = accepted(
                self.post("/v1/messages?beta=true", who, body)
                    .send()
                    .await?,
            )
            .await?;
            if body.get("stream").and_then(Value::as_bool) == Some(true) {
                return streamed(response, usize::MAX).await;
            }
            whole(&response.json_value().await?)
        };
        tokio::time::timeout(PATIENCE, asked)
            .await
            .map_err(|_| Error::Late)?
    }

    /// Asks for a streamed message and hangs up after so many events.
    pub(super) async fn leave_after(
        &self,
        events: usize,
        who: &Identity,
        body: &Value,
    ) -> Result<(), Error> {
        let asked = async {
            let response = accepted(
                self.post("/v1/messages?beta=true", who, body)
                    .send()
                    .await?,
            )
            .await?;
            streamed(response, events).await.map(drop)
        };
        tokio::time::timeout(PATIENCE, asked)
            .await
            .map_err(|_| Error::Late)?
    }

    /// Asks how many tokens a request has.
    pub(super) async fn count_tokens(&self, who: &Identity, body: &Value) -> Result<u64, Error> {
        let call = self
            .post("/v1/messages/count_tokens?beta=true", who, body)
            .timeout(PATIENCE);
        let answer = accepted(call.send().await?).await?.json_value().await?;
        let tokens = answer.get("input_tokens").and_then(Value::as_u64);
        tokens.ok_or_else(|| Error::Malformed("a count without `input_tokens`".to_owned()))
    }

    fn post(&self, path: &str, who: &Identity, body: &Value) -> RequestBuilder {
        let call = self
            .http
            .post(format!("{}{path}", self.base))
            .bearer_auth(&self.key)
            .header("anthropic-version", "2023-06-01")
            .header(
                "anthropic-beta",
                "interleaved-thinking-2025-05-14,context-management-2025-06-27",
            )
            .header("user-agent", "dagway-demo (simulated client)")
            .header("x-app", "cli")
            .header("x-claude-code-session-id", &who.session)
            .header("content-type", "application/json")
            .body(body.to_string());
        match &who.agent {
            Some(agent) => call.header("x-claude-code-agent-id", agent),
            None => call,
        }
    }
}

trait JsonBody {
    async fn json_value(self) -> Result<Value, Error>;
}

impl JsonBody for reqwest::Response {
    async fn json_value(self) -> Result<Value, Error> {
        let bytes = self.bytes().await?;
        serde_json::from_slice(&bytes).map_err(|error| Error::Malformed(error.to_string()))
    }
}

async fn accepted(response: reqwest::Response) -> Result<reqwest::Response, Error> {
    if response.status() == StatusCode::OK {
        return Ok(response);
    }
    let status = response.status().as_u16();
    let body = response.json_value().await.unwrap_or(Value::Null);
    let (kind, message) = words(body.get("error"));
    Err(Error::Refused {
        status,
        kind,
        message,
    })
}

fn words(error: Option<&Value>) -> (String, String) {
    let text = |name: &str| {
        error
            .and_then(|error| error.get(name)?.as_str())
            .unwrap_or_default()
            .to_owned()
    };
    (text("type"), text("message"))
}

fn whole(message: &Value) -> Result<Message, Error> {
    let content = message.get("content").and_then(Value::as_array);
    let stop_reason = message.get("stop_reason").and_then(Value::as_str);
    match (content, stop_reason) {
        (Some(content), Some(stop_reason)) => Ok(Message {
            content: content.clone(),
            stop_reason: stop_reason.to_owned(),
            usage: message.get("usage").cloned().unwrap_or_default(),
        }),
        _ => Err(Error::Malformed(
            "a message without `content` or `stop_reason`".to_owned(),
        )),
    }
}

/// Reads events until `message_stop`, or until enough of them came.
async fn streamed(response: reqwest::Response, most_events: usize) -> Result<Message, Error> {
    let mut assembly = Assembly::default();
    let mut bytes = response.bytes_stream();
    let mut pending = Vec::new();
    let mut events = 0;
    while let Some(piece) = bytes.next().await {
        pending.extend_from_slice(&piece?);
        while let Some(end) = memchr::memmem::find(&pending, b"\n\n") {
            let event: Vec<u8> = pending.drain(..end + 2).collect();
            assembly.take(&String::from_utf8_lossy(&event))?;
            events += 1;
            if assembly.is_over || events >= most_events {
                return Ok(assembly.message);
            }
        }
    }
    Err(Error::Malformed(
        "a stream that ends without `message_stop`".to_owned(),
    ))
}

#[derive(Default)]
struct Assembly {
    message: Message,
    inputs: BTreeMap<usize, String>,
    is_over: bool,
}

impl Assembly {
    fn take(&mut self, event: &str) -> Result<(), Error> {
        let Some(data) = event.lines().find_map(|line| line.strip_prefix("data: ")) else {
            return Ok(());
        };
        let event: Value =
            serde_json::from_str(data).map_err(|error| Error::Malformed(error.to_string()))?;
        let index = event.get("index").and_then(Value::as_u64).unwrap_or(0);
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        match event
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default()
        {
            "message_start" => {
                self.message.usage = event.pointer("/message/usage").cloned().unwrap_or_default();
            }
            "content_block_start" if index == self.message.content.len() => {
                self.message
                    .content
                    .push(event.get("content_block").cloned().unwrap_or_default());
            }
            "content_block_start" => {
                return Err(Error::Malformed(format!("block {index} is out of turn")));
            }
            "content_block_delta" => {
                self.delta(index, event.get("delta").unwrap_or(&Value::Null))?;
            }
            "content_block_stop" => self.close(index)?,
            "message_delta" => self.last(&event),
            "message_stop" => self.is_over = true,
            "error" => {
                let (kind, message) = words(event.get("error"));
                return Err(Error::Torn { kind, message });
            }
            _ => {}
        }
        Ok(())
    }

    fn delta(&mut self, index: usize, delta: &Value) -> Result<(), Error> {
        let Some(block) = self.message.content.get_mut(index) else {
            return Err(Error::Malformed(format!(
                "a delta for block {index}, which is not open"
            )));
        };
        for (field, name) in [
            ("text", "text"),
            ("thinking", "thinking"),
            ("signature", "signature"),
        ] {
            if let Some(more) = delta.get(field).and_then(Value::as_str) {
                let so_far = block.get(name).and_then(Value::as_str).unwrap_or_default();
                block[name] = format!("{so_far}{more}").into();
            }
        }
        if let Some(more) = delta.get("partial_json").and_then(Value::as_str) {
            self.inputs.entry(index).or_default().push_str(more);
        }
        Ok(())
    }

    fn close(&mut self, index: usize) -> Result<(), Error> {
        let Some(json) = self.inputs.remove(&index).filter(|json| !json.is_empty()) else {
            return Ok(());
        };
        let input: Value =
            serde_json::from_str(&json).map_err(|error| Error::Malformed(error.to_string()))?;
        if let Some(block) = self.message.content.get_mut(index) {
            block["input"] = input;
        }
        Ok(())
    }

    fn last(&mut self, event: &Value) {
        let stop_reason = event.pointer("/delta/stop_reason").and_then(Value::as_str);
        stop_reason
            .unwrap_or_default()
            .clone_into(&mut self.message.stop_reason);
        let usage = event.get("usage").and_then(Value::as_object);
        for (name, value) in usage.into_iter().flatten() {
            if self.message.usage.is_null() {
                self.message.usage = json!({});
            }
            self.message.usage[name.as_str()] = value.clone();
        }
    }
}
