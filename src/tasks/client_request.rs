//! What starts a run: a client's request, as it arrived.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::engine::TaskError;
use crate::events::{Artifact, RunId};
use crate::protocol::anthropic::error::ApiError;
use crate::protocol::anthropic::request::Request;

/// A client's request. The body is kept once and shared by everybody who borrows from it.
#[derive(Clone, Debug, Serialize)]
pub struct ClientRequest {
    /// The body as text, or why it was not taken.
    #[serde(skip)]
    pub text: Result<Arc<String>, ApiError>,
    /// The query but for secrets, for a lane in which it passes as it is. It stands in front, where no cut of a preview reaches it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The name of the key that it came in with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Arc<str>>,
    /// The model to ask instead of the one that the body names: a fallback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead: Option<Arc<str>>,
    /// `x-dagway-replay-of`: the run whose request this is once more.
    #[serde(skip)]
    pub replay_of: Option<RunId>,
    /// How many bytes of body were taken.
    pub bytes: usize,
    /// `x-claude-code-session-id`.
    pub session: Option<String>,
    /// `x-claude-code-agent-id`: set when a sub-agent speaks.
    pub agent: Option<String>,
    /// `user-agent`.
    pub user_agent: Option<String>,
    /// `anthropic-beta`, a list with commas.
    pub betas: Option<String>,
    /// The headers that are Anthropic's own, for a lane in which they pass as they are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub passed_headers: Vec<(String, String)>,
    /// Whether another program reads the body, so that what is unknown here is none of our business.
    #[serde(skip)]
    pub passes_unread: bool,
    /// When the body was in, or refused.
    #[serde(skip)]
    pub received: Instant,
}

/// A request with its body, which the record keeps elsewhere.
#[derive(Serialize)]
struct Whole<'a> {
    /// Nothing when it was not taken, or is no JSON.
    body: Option<&'a RawValue>,
    #[serde(flatten)]
    request: &'a ClientRequest,
}

impl Artifact for ClientRequest {
    const NAME: &'static str = "ClientRequest";

    fn write_whole(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        let text = self.text.as_deref().ok();
        let whole = Whole {
            body: text.and_then(|text| serde_json::from_str(text).ok()),
            request: self,
        };
        serde_json::to_writer(out, &whole)
    }
}

/// A shared text as bytes, without copying it.
pub(super) fn shared_bytes(text: &Arc<String>) -> Bytes {
    struct Shared(Arc<String>);
    impl AsRef<[u8]> for Shared {
        fn as_ref(&self) -> &[u8] {
            self.0.as_bytes()
        }
    }
    Bytes::from_owner(Shared(Arc::clone(text)))
}

impl ClientRequest {
    /// Refuses one whose body was not taken, or is no JSON, as every workflow would.
    pub(super) fn check(&self) -> Result<(), TaskError> {
        let text = self
            .text
            .as_deref()
            .map_err(|e| TaskError::client(e.clone()))?;
        if serde_json::from_str::<&RawValue>(text).is_ok() {
            return Ok(());
        }
        Request::parse_to_pass(text)
            .map(drop)
            .map_err(TaskError::client)
    }

    /// The body, for the record; none was taken of a request that was refused before.
    #[must_use]
    pub fn body(&self) -> Option<Bytes> {
        self.text.as_ref().ok().map(shared_bytes)
    }
}
