//! Web searches that the upstream ran, as Anthropic shows them.
//!
//! The upstream annotates its text with the pages it used, and tells of each call of a server tool among its reasoning.
//! The client that asked for `web_search` gets a `server_tool_use` block, a `web_search_tool_result` with the hits
//! (Claude Code takes its links from there and says "Did 0 searches" without) and citations in the text.
//! This file must not know when blocks are written.

use serde::Serialize;
use serde_json::value::RawValue;

use super::server_tool;
use crate::protocol::json_text;
use crate::protocol::openrouter::chunk::{ReasoningPiece, UrlCitation};

/// More hits than any search gives.
const MOST: usize = 200;

/// The searches of one answer.
#[derive(Debug, Default)]
pub(super) struct Searches {
    hits: Vec<Hit>,
    /// How many hits have been cited in the text.
    cited: usize,
    query: Option<String>,
    /// Whether the upstream told of more than one search.
    are_several: bool,
    /// How many hits there were when the blocks went out.
    announced: Option<usize>,
}

#[derive(Debug, PartialEq, Eq)]
struct Hit {
    url: String,
    title: String,
    content: String,
    /// Whether the text was said to rest on it.
    cited: bool,
}

/// A citation in a text.
#[derive(Debug, Serialize)]
pub(super) struct Citation<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    cited_text: &'a str,
    url: &'a str,
    title: &'a str,
    encrypted_index: &'static str,
}

/// The block with the hits.
#[derive(Debug, Serialize)]
pub(super) struct SearchResult<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    tool_use_id: &'a str,
    content: Vec<Page<'a>>,
}

#[derive(Debug, Serialize)]
struct Page<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'a str,
    url: &'a str,
    encrypted_content: &'static str,
    page_age: Option<&'static str>,
}

/// What a search says that it found.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Found {
    Listed(Vec<FoundPage>),
    Under { results: Vec<FoundPage> },
}

#[derive(serde::Deserialize)]
struct FoundPage {
    #[serde(default)]
    url: String,
    #[serde(default)]
    title: Option<String>,
}

impl Searches {
    /// The upstream named a page.
    pub(super) fn add(&mut self, citation: &UrlCitation<'_>) {
        let Some(url) = citation.url.filled() else {
            return;
        };
        let plain = |json: Option<&RawValue>| {
            let escaped = json.and_then(json_text::body).unwrap_or_default();
            json_text::unescape(escaped).into_owned()
        };
        let mut hit = Hit {
            url: url.to_owned(),
            title: plain(citation.title),
            content: plain(citation.content),
            cited: true,
        };
        if hit.title.is_empty() {
            url.clone_into(&mut hit.title);
        }
        if self.hits.len() < MOST && !self.hits.contains(&hit) {
            self.hits.push(hit);
        }
    }

    /// The upstream told of a search: its arguments name the query, its result the pages, whether cited or not.
    pub(super) fn note_call(&mut self, piece: &ReasoningPiece<'_>) {
        #[derive(serde::Deserialize)]
        struct Arguments {
            query: String,
        }
        if self.query.is_some() {
            self.are_several = true;
        } else {
            let arguments = piece.arguments.and_then(server_tool::read::<Arguments>);
            self.query = arguments.map(|arguments| arguments.query);
        }
        let found = piece.result.and_then(server_tool::read::<Found>);
        let pages = match found {
            Some(Found::Listed(pages)) => pages,
            Some(Found::Under { results }) => results,
            None => return,
        };
        for page in pages {
            let is_new = self.hits.iter().all(|hit| hit.url != page.url);
            if is_new && !page.url.is_empty() && self.hits.len() < MOST {
                self.hits.push(Hit {
                    title: page.title.unwrap_or_else(|| page.url.clone()),
                    url: page.url,
                    content: String::new(),
                    cited: false,
                });
            }
        }
    }

    /// Whether the blocks of the search are due. They go out once.
    pub(super) fn announce(&mut self, searches_counted: u64) -> bool {
        if self.announced.is_some() || self.hits.is_empty() && searches_counted == 0 {
            return false;
        }
        self.announced = Some(self.hits.len());
        true
    }

    /// What the blocks of the search do not say, because they went out before the text that rests on it.
    pub(super) fn shortcomings(&self) -> impl Iterator<Item = &'static str> + use<> {
        let shown = self.announced.unwrap_or(self.hits.len());
        let is_shown = |url: &str| self.hits.iter().take(shown).any(|hit| hit.url == url);
        let are_late = self.hits.iter().skip(shown).any(|hit| !is_shown(&hit.url));
        let late =
            "pages that were found after the text began are not in the block of search results";
        let several = "several searches are shown as one, with the query of the first";
        [(are_late, late), (self.are_several, several)]
            .into_iter()
            .filter_map(|(is_so, note)| is_so.then_some(note))
    }

    /// The input of the `server_tool_use` block.
    pub(super) fn input(&self) -> String {
        #[derive(Serialize)]
        struct Input<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            query: Option<&'a str>,
        }
        let query = self.query.as_deref();
        serde_json::to_string(&Input { query }).expect("a string serializes")
    }

    /// The `web_search_tool_result` block.
    pub(super) fn result<'a>(&'a self, tool_use_id: &'a str) -> SearchResult<'a> {
        let mut content: Vec<Page<'_>> = Vec::with_capacity(self.hits.len());
        for hit in &self.hits {
            if content.iter().all(|page| page.url != hit.url) {
                content.push(Page {
                    kind: "web_search_result",
                    title: &hit.title,
                    url: &hit.url,
                    encrypted_content: "",
                    page_age: None,
                });
            }
        }
        SearchResult {
            kind: "web_search_tool_result",
            tool_use_id,
            content,
        }
    }

    /// Citations that the text that is being closed has not shown yet.
    pub(super) fn uncited(&mut self) -> impl Iterator<Item = Citation<'_>> {
        let from = std::mem::replace(&mut self.cited, self.hits.len());
        let cited = self.hits.iter().skip(from).filter(|hit| hit.cited);
        cited.map(|hit| Citation {
            kind: "web_search_result_location",
            cited_text: &hit.content,
            url: &hit.url,
            title: &hit.title,
            encrypted_index: "",
        })
    }
}
