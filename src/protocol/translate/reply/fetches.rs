//! Pages that the upstream fetched, as Anthropic shows them: a `server_tool_use` and a `web_fetch_tool_result` each.
//!
//! The upstream tells of each call among its reasoning: the address in the arguments, the page in the result.
//! This file must not know when blocks are written.

use serde::{Deserialize, Serialize};

use super::server_tool;
use crate::protocol::json_text;
use crate::protocol::openrouter::chunk::ReasoningPiece;

/// More pages than any answer fetches.
const MOST: usize = 100;

/// The pages that were fetched for one answer.
#[derive(Debug, Default)]
pub(super) struct Fetches {
    waiting: Vec<Fetch>,
    seen: u64,
}

/// A page that was fetched, or was not.
#[derive(Debug)]
pub(super) struct Fetch {
    url: String,
    title: Option<String>,
    text: Option<String>,
}

/// The block with the page.
#[derive(Debug, Serialize)]
pub(super) struct FetchResult<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    tool_use_id: &'a str,
    content: Content<'a>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type")]
enum Content<'a> {
    #[serde(rename = "web_fetch_result")]
    Page {
        url: &'a str,
        content: Document<'a>,
        retrieved_at: Option<&'static str>,
    },
    #[serde(rename = "web_fetch_tool_result_error")]
    Nothing { error_code: &'static str },
}

#[derive(Debug, Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    source: Source<'a>,
    title: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Source<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    media_type: &'static str,
    data: &'a str,
}

#[derive(Deserialize)]
struct Arguments {
    url: String,
}

/// A page as engines write it; a result that is no JSON is the page's text.
#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    title: Option<String>,
    #[serde(default, alias = "text", alias = "markdown")]
    content: Option<String>,
}

impl Fetches {
    /// The upstream told of a fetch.
    pub(super) fn note_call(&mut self, piece: &ReasoningPiece<'_>) {
        let Some(Arguments { url }) = piece.arguments.and_then(server_tool::read) else {
            return;
        };
        if self.waiting.len() >= MOST {
            return;
        }
        self.seen += 1;
        let page = piece.result.and_then(server_tool::read::<Page>);
        let plain = || {
            let text = piece.result.and_then(json_text::body).unwrap_or_default();
            Some(json_text::unescape(text).into_owned())
        };
        let (title, text) = match page {
            Some(page) => (page.title, page.content),
            None => (None, plain()),
        };
        self.waiting.push(Fetch {
            url,
            title,
            text: text.filter(|text| !text.is_empty()),
        });
    }

    /// The pages that no block has shown yet.
    pub(super) fn take(&mut self) -> Vec<Fetch> {
        std::mem::take(&mut self.waiting)
    }

    /// How many pages were fetched.
    pub(super) fn count(&self) -> u64 {
        self.seen
    }
}

impl Fetch {
    /// The input of the `server_tool_use` block.
    pub(super) fn input(&self) -> String {
        #[derive(Serialize)]
        struct Input<'a> {
            url: &'a str,
        }
        serde_json::to_string(&Input { url: &self.url }).expect("a string serializes")
    }

    /// The `web_fetch_tool_result` block.
    pub(super) fn result<'a>(&'a self, tool_use_id: &'a str) -> FetchResult<'a> {
        let content = match &self.text {
            None => Content::Nothing {
                error_code: "unavailable",
            },
            Some(text) => Content::Page {
                url: &self.url,
                content: Document {
                    kind: "document",
                    source: Source {
                        kind: "text",
                        media_type: "text/plain",
                        data: text,
                    },
                    title: self.title.as_deref(),
                },
                retrieved_at: None,
            },
        };
        FetchResult {
            kind: "web_fetch_tool_result",
            tool_use_id,
            content,
        }
    }
}
