//! What a Dagway says that may be at an address already. It must not know who asks, or why.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::{Response, StatusCode};
use serde::Deserialize;

use crate::app::url_here;
use crate::upstream;

/// How long a server that may be there already has to answer.
const HELLO_WAIT: Duration = Duration::from_millis(800);

/// What a Dagway says of itself.
#[derive(Debug, Default, Deserialize)]
pub(in crate::cli) struct Hello {
    /// Such as that no real model answers.
    #[serde(default)]
    pub(super) notice: Option<String>,
    /// Such as that its store cannot be written.
    #[serde(default)]
    pub(in crate::cli) warning: Option<String>,
    /// Which process it is. Earlier versions do not tell.
    #[serde(default)]
    pub(in crate::cli) process: Option<u32>,
}

/// What the Dagway says that answers there; its every answer, also a refusal, tells what it took of its own time.
pub(in crate::cli) async fn hello(address: SocketAddr) -> Option<Hello> {
    let ask = async {
        let answer = get(address, "/health", None).await?;
        let is_dagway = answer.headers().contains_key("x-dagway-overhead-us");
        let body = answer.bytes().await.ok()?;
        is_dagway.then(|| serde_json::from_slice(&body).unwrap_or_default())
    };
    tokio::time::timeout(HELLO_WAIT, ask).await.ok().flatten()
}

/// Whether the Dagway that answers there refuses clients with this key.
pub(super) async fn refuses(address: SocketAddr, key: &str) -> bool {
    // It asks for nothing: a request that were let in would be refused for its method.
    let ask = get(address, "/v1/messages", Some(key));
    let answer = tokio::time::timeout(HELLO_WAIT, ask).await.ok().flatten();
    answer.is_some_and(|answer| answer.status() == StatusCode::UNAUTHORIZED)
}

async fn get(address: SocketAddr, path: &str, key: Option<&str>) -> Option<Response> {
    let client = upstream::client::http().ok()?.no_proxy().build().ok()?;
    let mut request = client.get(format!("{}{path}", url_here(address)));
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    request.send().await.ok()
}
