//! A web search in Anthropic's words: the call, its hits, and the citations of the text.
//!
//! It must not know what else an answer holds.

use serde_json::{Value, json};

use super::events::{Block, at_once};
use crate::simulator::dialect;

/// The call of the search and what it found; nothing without a page.
pub(super) fn blocks(annotations: &[Value]) -> Vec<Block> {
    if annotations.is_empty() {
        return Vec::new();
    }
    let id = format!("srvtoolu_{}", dialect::name(24));
    let call = |input: &Value| json!({ "type": "server_tool_use", "id": id, "name": "web_search", "input": input });
    let input = json!({ "query": "a simulated query" });
    let hits: Vec<Value> = pages(annotations)
        .map(|(url, title)| {
            json!({
                "type": "web_search_result", "url": url, "title": title,
                "encrypted_content": "c2ltdWxhdGVk", "page_age": null,
            })
        })
        .collect();
    let called = Block {
        start: call(&json!({})),
        deltas: vec![json!({ "type": "input_json_delta", "partial_json": input.to_string() })],
        whole: call(&input),
    };
    let found = json!({ "type": "web_search_tool_result", "tool_use_id": id, "content": hits });
    vec![called, at_once(&found)]
}

/// Adds the citations to the text that cites.
pub(super) fn cite(annotations: &[Value], text: &mut Block) {
    if annotations.is_empty() {
        return;
    }
    let citations: Vec<Value> = pages(annotations)
        .map(|(url, title)| {
            json!({
                "type": "web_search_result_location", "url": url, "title": title,
                "cited_text": "Simulated.", "encrypted_index": "c2ltdWxhdGVk",
            })
        })
        .collect();
    let delta = |citation: &Value| json!({ "type": "citations_delta", "citation": citation });
    text.deltas.extend(citations.iter().map(delta));
    text.start["citations"] = json!([]);
    text.whole["citations"] = citations.into();
}

fn pages(annotations: &[Value]) -> impl Iterator<Item = (&Value, &Value)> {
    annotations.iter().map(|annotation| {
        let page = &annotation["url_citation"];
        (&page["url"], &page["title"])
    })
}
