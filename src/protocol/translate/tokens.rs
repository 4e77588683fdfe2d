//! How long a request is, in tokens: an estimate that costs nothing, and what an exact count needs.
//!
//! Every model has its own tokenizer and the provider's count comes back with the answer, so both only bridge the time
//! until then. An estimate that is too low breaks the client's compaction, so both lean high.
//! This file must not know a tokenizer.

use std::borrow::Cow;

use serde_json::Value;

use crate::protocol::anthropic::request::{Block, RawStr, Request, Source, Tool, ToolChange};

/// What an image of the size that clients send costs.
const IMAGE: u64 = 1500;
/// What a file costs at least: a page of it.
const FILE: u64 = 2000;
/// Base64 characters of a PDF for each token of it, as measured on files of text.
const FILE_CHARACTERS_PER_TOKEN: u64 = 40;
/// What the frame around a message costs.
const MESSAGE: u64 = 4;
/// What the frame around a tool costs, and around all of them.
const TOOL: u64 = 4;
const TOOL_SET: u64 = 346;
/// What the frame around a conversation costs.
const CONVERSATION: u64 = 3;

/// Estimates the input tokens of a request from the lengths of its texts.
#[must_use]
pub fn estimate(request: &Request<'_>) -> u64 {
    let mut bytes = Bytes::default();
    let fixed = walk(request, &mut bytes);
    // 3.5 bytes a token: measured on Claude Code's requests, where English, code and JSON mix.
    fixed + (bytes.0 * 2).div_ceil(7)
}

/// The texts of a request and what comes on top of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Countable<'a> {
    /// Each to be tokenised on its own.
    pub texts: Vec<Cow<'a, str>>,
    /// Tokens for images, files and frames.
    pub fixed: u64,
}

/// Gathers what an exact tokenizer needs.
#[must_use]
pub fn countable<'a>(request: &Request<'a>) -> Countable<'a> {
    let mut countable = Countable::default();
    countable.fixed = walk(request, &mut countable.texts);
    countable
}

/// Gathers the same of a body that this program cannot read as a request, because another one will; `None` when it has
/// no messages.
#[must_use]
pub fn countable_of_any(body: &str) -> Option<Countable<'static>> {
    let mut body: Value = serde_json::from_str(body).ok()?;
    body.get("messages")?.as_array()?;
    let mut countable = Countable {
        fixed: CONVERSATION,
        ..Countable::default()
    };
    for part in ["system", "messages", "tools", "mcp_servers"] {
        let part = body.get_mut(part).map(Value::take).unwrap_or_default();
        if let Value::Array(items) = &part {
            countable.fixed += MESSAGE * items.len() as u64;
        }
        walk_any(part, &mut countable);
    }
    for format in ["/output_config/format/schema", "/output_format/schema"] {
        let schema = body.pointer(format);
        countable
            .texts
            .extend(schema.map(|schema| schema.to_string().into()));
    }
    Some(countable)
}

/// Estimates the input tokens of such a body.
#[must_use]
pub fn estimate_of_any(body: &str) -> u64 {
    let Some(countable) = countable_of_any(body) else {
        return (body.len() as u64 * 2).div_ceil(7);
    };
    let bytes: usize = countable.texts.iter().map(|text| text.len()).sum();
    countable.fixed + (bytes as u64 * 2).div_ceil(7)
}

fn walk_any(value: Value, countable: &mut Countable<'static>) {
    match value {
        Value::String(text) => countable.texts.push(text.into()),
        Value::Array(items) => items.into_iter().for_each(|item| walk_any(item, countable)),
        Value::Object(members) => {
            let is_base64 = members.get("type").is_some_and(|kind| kind == "base64");
            let media = members.get("media_type").and_then(Value::as_str);
            let is_image = media.is_some_and(|media| media.starts_with("image/"));
            for (name, value) in members {
                match name.as_str() {
                    "type" | "id" | "tool_use_id" | "media_type" | "cache_control"
                    | "signature" | "encrypted_content" => {}
                    "data" if is_base64 && is_image => countable.fixed += IMAGE,
                    "data" if is_base64 => {
                        let length = value.as_str().map_or(0, str::len) as u64;
                        countable.fixed += FILE.max(length / FILE_CHARACTERS_PER_TOKEN);
                    }
                    // Models read these as JSON.
                    "input" | "input_schema" => countable.texts.push(value.to_string().into()),
                    _ => walk_any(value, countable),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Takes the texts of a request one by one.
trait Texts<'a> {
    /// A text with JSON's escapes in it.
    fn escaped(&mut self, text: RawStr<'a>);
    /// A text as it is.
    fn plain(&mut self, text: Cow<'a, str>);
}

#[derive(Default)]
struct Bytes(u64);

impl<'a> Texts<'a> for Bytes {
    fn escaped(&mut self, text: RawStr<'a>) {
        self.0 += text.escaped().len() as u64;
    }

    fn plain(&mut self, text: Cow<'a, str>) {
        self.0 += text.len() as u64;
    }
}

impl<'a> Texts<'a> for Vec<Cow<'a, str>> {
    fn escaped(&mut self, text: RawStr<'a>) {
        self.push(text.decode());
    }

    fn plain(&mut self, text: Cow<'a, str>) {
        self.push(text);
    }
}

/// Hands out all texts and gives the tokens of everything else.
fn walk<'a>(request: &Request<'a>, texts: &mut impl Texts<'a>) -> u64 {
    for block in &request.system {
        texts.escaped(block.text);
    }
    let mut fixed = CONVERSATION + MESSAGE * request.messages.len() as u64;
    for message in &request.messages {
        for block in &message.content {
            fixed += walk_block(block, texts);
        }
    }
    if !request.tools.is_empty() {
        fixed += TOOL_SET + TOOL * request.tools.len() as u64;
    }
    for tool in &request.tools {
        walk_tool(tool, texts);
    }
    if let Some(format) = &request.output_config.format {
        texts.plain(Cow::Borrowed(format.schema.as_str()));
    }
    fixed
}

fn walk_tool<'a>(tool: &Tool<'a>, texts: &mut impl Texts<'a>) {
    match tool {
        Tool::Custom(tool) => {
            texts.plain(tool.name.clone());
            if let Some(description) = tool.description {
                texts.escaped(description);
            }
            texts.plain(Cow::Borrowed(tool.schema.as_str()));
        }
        Tool::Server(tool) => texts.plain(tool.kind.clone()),
    }
}

/// The tokens of a block, roughly.
pub(super) fn estimate_block(block: &Block<'_>) -> u64 {
    let mut bytes = Bytes::default();
    let fixed = walk_block(block, &mut bytes);
    fixed + (bytes.0 * 2).div_ceil(7)
}

fn walk_block<'a>(block: &Block<'a>, texts: &mut impl Texts<'a>) -> u64 {
    match block {
        Block::Text(text) => texts.escaped(text.text),
        Block::Thinking { text, .. } => texts.escaped(*text),
        Block::ToolUse(call) | Block::ServerToolUse(call) => {
            texts.plain(call.name.clone());
            texts.plain(Cow::Borrowed(call.input.as_str()));
            return TOOL;
        }
        Block::ToolResult(result) => {
            let inside: u64 = result
                .content
                .iter()
                .map(|block| walk_block(block, texts))
                .sum();
            return inside + TOOL;
        }
        Block::Image(..) => return IMAGE,
        Block::Document(document) => return walk_source(&document.source, texts),
        Block::SearchResult(found) => {
            texts.escaped(found.title);
            texts.escaped(found.source);
            for text in &found.content {
                texts.escaped(text.text);
            }
        }
        Block::ServerResult(result) => {
            if let Some(content) = result.content {
                texts.plain(Cow::Borrowed(content.as_str()));
            }
        }
        Block::ToolReference(name) => texts.plain(name.clone()),
        Block::Compaction(Some(summary)) => texts.escaped(summary.text),
        Block::ToolChange(change) => match change.as_ref() {
            ToolChange::Defined(tool) => walk_tool(tool, texts),
            ToolChange::Added(name) | ToolChange::Removed(name) => texts.plain(name.clone()),
        },
        Block::RedactedThinking(_) | Block::Compaction(None) | Block::Marker(_) => {}
    }
    0
}

fn walk_source<'a>(source: &Source<'a>, texts: &mut impl Texts<'a>) -> u64 {
    match source {
        Source::Base64 { data, .. } => {
            FILE.max(data.escaped().len() as u64 / FILE_CHARACTERS_PER_TOKEN)
        }
        Source::Url(_) => FILE,
        Source::Text(text) => {
            texts.escaped(*text);
            0
        }
        Source::Blocks(blocks) => blocks.iter().map(|block| walk_block(block, texts)).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"model":"m","max_tokens":9,"system":"Be \"kind\".","messages":[
        {"role":"user","content":[{"type":"text","text":"a\nb"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}}]},
        {"role":"assistant","content":[{"type":"tool_use","id":"1","name":"Read","input":{"path":"x"}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":"found"}]}],
        "tools":[{"name":"Read","description":"Reads","input_schema":{"type":"object"}}]}"#;

    #[test]
    fn a_large_file_costs_by_its_length_and_a_small_one_what_any_costs() {
        let cost = |characters: u64| {
            let data = "A".repeat(usize::try_from(characters).unwrap());
            let block = serde_json::json!({"type":"document","source":{"type":"base64","media_type":"application/pdf","data":data}});
            let body = serde_json::json!({"model":"m","max_tokens":9,"messages":[{"role":"user","content":[block]}]});
            countable(&Request::parse_for_count(&body.to_string()).unwrap()).fixed
        };
        let large = 40 * FILE * FILE_CHARACTERS_PER_TOKEN;
        assert_eq!(cost(large) - cost(4), 39 * FILE);
    }

    #[test]
    fn the_schema_of_the_answer_counts() {
        let schema = r#"{"type":"object","properties":{"a long name":{"type":"string"}}}"#;
        let plain = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;
        for field in [
            format!(r#""output_config":{{"format":{{"type":"json_schema","schema":{schema}}}}},"#),
            format!(r#""output_format":{{"type":"json_schema","schema":{schema}}},"#),
        ] {
            let body = plain.replacen('{', &format!("{{{field}"), 1);
            let [without, with] = [plain, &body].map(|body| Request::parse(body).unwrap());
            assert_eq!(countable(&with).texts, ["hi", schema]);
            assert!(estimate(&with) > estimate(&without) + 10);
            assert!(
                countable_of_any(&body)
                    .unwrap()
                    .texts
                    .iter()
                    .any(|text| text == schema)
            );
            assert!(estimate_of_any(&body) > estimate_of_any(plain) + 10);
        }
    }

    #[test]
    fn every_text_is_counted_once_and_decoded() {
        let request = Request::parse(&BODY.replace("a\nb", "a\\nb"))
            .unwrap()
            .texts();
        assert_eq!(
            request,
            [
                "Be \"kind\".",
                "a\nb",
                "Read",
                "{\"path\":\"x\"}",
                "found",
                "Read",
                "Reads",
                "{\"type\":\"object\"}"
            ]
        );
    }

    impl Request<'_> {
        fn texts(&self) -> Vec<String> {
            countable(self)
                .texts
                .into_iter()
                .map(Cow::into_owned)
                .collect()
        }
    }

    #[test]
    fn every_kind_of_block_is_counted() {
        let name = |name: &str| serde_json::json!({"type":"tool_reference","name":name});
        let text = |text: &str| serde_json::json!({"type":"text","text":text});
        let tool = serde_json::json!({"type":"tool_definition","definition":{"name":"T","description":"D","input_schema":{}}});
        let image = serde_json::json!({"type":"image","source":{"type":"url","url":"https://x"}});
        let rows = serde_json::json!([
            ["user", {"type":"text","text":"hello"}, ["hello"], 0],
            ["user", image, [], IMAGE],
            ["assistant", {"type":"thinking","thinking":"hm","signature":"s"}, ["hm"], 0],
            ["assistant", {"type":"redacted_thinking","data":"xxxx"}, [], 0],
            ["assistant", {"type":"tool_use","id":"1","name":"T","input":{"a":1}}, ["T", "{\"a\":1}"], TOOL],
            ["assistant", {"type":"server_tool_use","id":"1","name":"S","input":{}}, ["S", "{}"], TOOL],
            ["assistant", {"type":"web_search_tool_result","tool_use_id":"1","content":[1,2]}, ["[1,2]"], 0],
            ["assistant", {"type":"compaction","content":"sum"}, ["sum"], 0],
            ["assistant", {"type":"compaction","content":null}, [], 0],
            ["user", {"type":"tool_result","tool_use_id":"1","content":[text("r"), image]}, ["r"], TOOL + IMAGE],
            ["user", {"type":"tool_result","tool_use_id":"1","content":[{"type":"tool_reference","tool_name":"T"}]}, ["T"], TOOL],
            ["user", {"type":"search_result","title":"t","source":"s","content":[text("a"), text("b")]}, ["t", "s", "a", "b"], 0],
            ["user", {"type":"document","source":{"type":"url","url":"https://x"}}, [], FILE],
            ["user", {"type":"document","source":{"type":"text","media_type":"text/plain","data":"plain"}}, ["plain"], 0],
            ["user", {"type":"document","source":{"type":"content","content":[text("in"), image]}}, ["in"], IMAGE],
            ["user", {"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"A".repeat(120_000)}}, [], 3000],
            ["system", {"type":"tool_addition","tool":name("N")}, ["N"], 0],
            ["system", {"type":"tool_removal","tool":name("N")}, ["N"], 0],
            ["system", {"type":"tool_addition","tool":tool}, ["T", "D", "{}"], 0],
        ]);
        for row in rows.as_array().unwrap() {
            let messages = serde_json::json!([{"role":"user","content":"x"},{"role":row[0],"content":[row[1]]}]);
            let body = serde_json::json!({"model":"m","messages":messages}).to_string();
            let request = Request::parse_for_count(&body).unwrap();
            let counted = countable(&request);
            let texts: Vec<&str> = row[2]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|text| text.as_str())
                .collect();
            assert_eq!(counted.texts[1..], texts, "{row}");
            assert_eq!(
                counted.fixed,
                row[3].as_u64().unwrap() + CONVERSATION + 2 * MESSAGE,
                "{row}"
            );
            let bytes: usize = texts.iter().map(|text| text.len()).sum();
            let tokens = estimate_block(&request.messages[1].content[0]);
            assert_eq!(
                tokens,
                row[3].as_u64().unwrap() + (bytes as u64 * 2).div_ceil(7),
                "{row}"
            );
        }
    }

    #[test]
    fn tools_cost_their_frame_and_each_its_own() {
        let tool = |name: &str| serde_json::json!({"name":name,"input_schema":{}});
        let fixed = |tools: &[Value]| {
            let body = serde_json::json!({"model":"m","messages":[{"role":"user","content":"x"}],"tools":tools});
            countable(&Request::parse_for_count(&body.to_string()).unwrap()).fixed
        };
        assert_eq!(fixed(&[]), CONVERSATION + MESSAGE);
        assert_eq!(
            fixed(&[tool("a")]),
            CONVERSATION + MESSAGE + TOOL_SET + TOOL
        );
        let search = serde_json::json!({"type":"web_search_20250305","name":"web_search"});
        assert_eq!(
            fixed(&[tool("a"), search]),
            CONVERSATION + MESSAGE + TOOL_SET + 2 * TOOL
        );
    }

    #[test]
    fn images_cost_what_they_cost_however_long_their_base64_is() {
        let small = BODY.replace("a\nb", "a");
        let large = small.replace("AAAA", &"A".repeat(100_000));
        let estimate = |body: &str| estimate(&Request::parse(body).unwrap());
        assert_eq!(estimate(&small), estimate(&large));
        assert!(estimate(&small) > IMAGE + TOOL_SET);
    }

    #[test]
    fn the_estimate_is_about_a_token_for_three_and_a_half_bytes() {
        let body = format!(
            r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":"{}"}}]}}"#,
            "word ".repeat(700)
        );
        let tokens = estimate(&Request::parse(&body).unwrap());
        assert!((1000..1010).contains(&tokens), "{tokens}");
    }

    #[test]
    fn a_body_that_another_program_will_read_costs_about_as_much() {
        let request = Request::parse_for_count(BODY).unwrap();
        let (known, any) = (estimate(&request), estimate_of_any(BODY));
        assert!(known.abs_diff(any) < known / 2, "{known} {any}");
        let with = |block: &str| {
            let new = format!("{block},{{\"type\":\"image\"");
            estimate_of_any(&BODY.replacen("{\"type\":\"image\"", &new, 1)) - any
        };
        let words = "word ".repeat(700);
        let new = with(&format!(
            r#"{{"type":"brand_new","signature":"{words}","said":[{{"x":"{words}"}}]}}"#
        ));
        assert_eq!(new, 1000, "what is said counts, and what seals it does not");
        let file = "A".repeat(400_000);
        let file = with(&format!(
            r#"{{"type":"odd","source":{{"type":"base64","media_type":"application/pdf","data":"{file}"}}}}"#
        ));
        assert_eq!(file, 10_000, "a file costs by its length");
        assert_eq!(countable_of_any("["), None);
        assert_eq!(estimate_of_any(&"x".repeat(35)), 10);
    }
}
