//! What a run replies with: bytes for the client, whole or as they come.

use bytes::Bytes;

use super::reply_flow::ReplyFlow;
use crate::engine::Owned;

/// The body of an answer.
pub enum Content {
    /// A JSON document.
    Whole(Bytes),
    /// Server-sent events.
    Stream(Box<ReplyFlow>),
}

/// The answer to a client. Its status is 200: failures are the run's, not the reply's.
pub struct ClientReply {
    /// What follows.
    pub content: Content,
    /// The model that answers, or that was asked for when the beginning of the answer does not say.
    pub model: Option<String>,
    /// OpenRouter's id of the generation.
    pub generation: Option<String>,
    /// Headers of its own.
    pub headers: Vec<(String, String)>,
}

impl Owned for ClientReply {
    const NAME: &'static str = "ClientReply";
}
