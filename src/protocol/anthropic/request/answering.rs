//! What the answer to a request depends on.

use super::block::Block;
use super::body::Request;
use super::options::{Display, Thinking};
use super::tool::Tool;

impl Request<'_> {
    /// Whether the client expects thinking blocks.
    #[must_use]
    pub fn asks_for_thinking(&self) -> bool {
        self.thinking
            .is_some_and(|thinking| thinking != Thinking::Disabled)
    }

    /// Whether thinking blocks come without their text.
    #[must_use]
    pub fn omits_thinking(&self) -> bool {
        self.thinking_display == Display::Omitted
    }

    /// The ids of all tool calls so far: a new one must differ from them.
    #[must_use]
    pub fn tool_ids(&self) -> Vec<String> {
        let blocks = self.messages.iter().flat_map(|message| &message.content);
        let ids = blocks.filter_map(|block| match block {
            Block::ToolUse(call) => Some(call.id.as_ref().to_owned()),
            _ => None,
        });
        ids.collect()
    }

    /// Whether the upstream may search the web, so that its findings go into blocks of their own.
    #[must_use]
    pub fn offers_web_search(&self) -> bool {
        self.offers("web_search")
    }

    /// Whether the upstream may fetch pages, which then go into blocks of their own.
    #[must_use]
    pub fn offers_web_fetch(&self) -> bool {
        self.offers("web_fetch")
    }

    fn offers(&self, kind: &str) -> bool {
        self.tools
            .iter()
            .any(|tool| matches!(tool, Tool::Server(server) if server.kind.starts_with(kind)))
    }
}
