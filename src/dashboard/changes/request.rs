//! A recorded request as what a provider's cache sees: pieces in the order of its prompt, and settings beside them.
//!
//! It reads both dialects, that of messages and that of chat completions. Bytes may be hostile or no request at all;
//! it must not know which run they are of.

use serde_json::{Map, Value};

use crate::dashboard::format;

/// A string without blanks that is longer, such as an image, is shown by its beginning alone.
const LONGEST_WORD: usize = 400;
/// Members of a body that are its prompt; all others are settings.
const PROMPT: [&str; 3] = ["tools", "system", "messages"];

/// A request, taken apart.
#[derive(Debug, Default)]
pub(super) struct Request {
    /// Tools, then the system prompt, then messages block by block: the order in which caches look at them.
    pub(super) pieces: Vec<Piece>,
    /// All else, by name, as JSON.
    pub(super) settings: Vec<(String, String)>,
}

impl Request {
    /// A setting as JSON.
    pub(super) fn setting(&self, name: &str) -> Option<&str> {
        let mut settings = self.settings.iter();
        settings
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    }
}

/// A tool, a block of the system prompt or of a message.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) place: Place,
    /// What it is, and which one, in words.
    pub(super) label: String,
    /// It as a reader wants it.
    pub(super) text: String,
    /// A cache is asked to hold the prompt up to here.
    pub(super) is_breakpoint: bool,
    /// What it is, not which one.
    kind: String,
    /// All that makes it another piece. Where the breakpoints are does not.
    key: String,
}

/// Which part of the prompt a piece is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Tools,
    System,
    /// The number of the message, from 1.
    Message(usize),
}

impl Piece {
    /// Equal when two pieces are the same to a cache.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Whether one can have become the other.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.kind == other.kind
    }

    /// How much it weighs: bytes of JSON.
    pub(super) fn weight(&self) -> usize {
        self.key.len()
    }
}

/// Reads a body; `None` when it is no JSON object.
pub(super) fn read(body: &[u8]) -> Option<Request> {
    let mut fields: Map<String, Value> = serde_json::from_slice(body).ok()?;
    let [tools, system, messages] = PROMPT.map(|name| fields.remove(name).unwrap_or_default());
    let mut reader = Reader::default();
    for tool in list(tools) {
        let label = format!("tool {}", tool_name(&tool));
        let piece = piece(Place::Tools, label.clone(), label, tool, &Value::Null);
        reader.pieces.push(piece);
    }
    for block in blocks(system) {
        reader.block(Place::System, "system", block, &Value::Null);
    }
    for message in list(messages) {
        reader.message(message);
    }
    let settings = fields.into_iter();
    Some(Request {
        pieces: reader.pieces,
        settings: settings
            .map(|(name, value)| (name, value.to_string()))
            .collect(),
    })
}

#[derive(Default)]
struct Reader {
    pieces: Vec<Piece>,
    system_blocks: usize,
    messages: usize,
}

impl Reader {
    /// Takes the blocks of a message and its calls, the first of them with what else the message says of itself.
    fn message(&mut self, mut message: Value) {
        let role = message["role"].as_str().unwrap_or("unknown");
        let role = format::ellipsis(role, 40);
        // In chat completions the system prompt is the first messages.
        let place = if self.messages == 0 && matches!(role.as_str(), "system" | "developer") {
            Place::System
        } else {
            self.messages += 1;
            Place::Message(self.messages)
        };
        let mut take = |name: &str| {
            let fields = message.as_object_mut();
            let value = fields.and_then(|fields| fields.remove(name));
            value.unwrap_or_default()
        };
        let (content, calls) = (blocks(take("content")), list(take("tool_calls")));
        take("role");
        let is_bare = message.as_object().is_some_and(Map::is_empty);
        let mut beside = if is_bare { Value::Null } else { message };
        let mut blocks: Vec<Value> = content.into_iter().chain(calls).collect();
        if blocks.is_empty() {
            blocks.push(Value::Null);
        }
        for block in blocks {
            self.block(place, &role, block, &beside);
            beside = Value::Null;
        }
    }

    fn block(&mut self, place: Place, role: &str, block: Value, beside: &Value) {
        let what = what(&block);
        let kind = format!("{role} {}", what.as_deref().unwrap_or("text"));
        let whose = if let Place::Message(number) = place {
            format!("message {number}, {role}")
        } else {
            self.system_blocks += 1;
            format!("system, block {}", self.system_blocks)
        };
        let label = match what {
            Some(what) => format!("{whose}: {what}"),
            None => whose,
        };
        self.pieces.push(piece(place, label, kind, block, beside));
    }
}

/// `beside` is what a message says of itself beside its blocks.
fn piece(place: Place, label: String, kind: String, mut block: Value, beside: &Value) -> Piece {
    let is_breakpoint = take_marks(&mut block);
    let texts = [beside, &block].map(readable).join("\n");
    Piece {
        place,
        label,
        text: texts.trim_matches('\n').to_owned(),
        is_breakpoint,
        key: format!("{kind} {beside} {block}"),
        kind,
    }
}

/// Takes the marks of cache breakpoints out of a block and of those within it, such as the parts of a tool's result;
/// whether there was one.
fn take_marks(block: &mut Value) -> bool {
    let Some(fields) = block.as_object_mut() else {
        return false;
    };
    let mark = fields.remove("cache_control");
    let mut is_marked = mark.is_some_and(|mark| !mark.is_null());
    if let Some(Value::Array(blocks)) = fields.get_mut("content") {
        for block in blocks {
            is_marked |= take_marks(block);
        }
    }
    is_marked
}

fn list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(values) => values,
        _ => Vec::new(),
    }
}

/// A content as blocks: a text is the same as one block of text.
fn blocks(content: Value) -> Vec<Value> {
    match content {
        Value::String(text) => vec![serde_json::json!({"type": "text", "text": text})],
        content => list(content),
    }
}

fn tool_name(tool: &Value) -> String {
    let name = tool["name"].as_str();
    let name = name.or_else(|| tool["function"]["name"].as_str());
    format::ellipsis(name.unwrap_or("without a name"), 80)
}

/// What a block is, unless it is a text.
fn what(block: &Value) -> Option<String> {
    let name = |value: &Value| format::ellipsis(value.as_str().unwrap_or_default(), 80);
    match block["type"].as_str() {
        Some("text") => None,
        Some("tool_use" | "server_tool_use" | "mcp_tool_use") => {
            Some(format!("calls {}", name(&block["name"])))
        }
        Some("function") => Some(format!("calls {}", name(&block["function"]["name"]))),
        Some("tool_result") => Some("a tool's result".to_owned()),
        Some(kind) => Some(format::ellipsis(kind, 80)),
        None if block.is_null() => Some("nothing said".to_owned()),
        None => Some("a block without a type".to_owned()),
    }
}

/// A text as it is, anything else as an outline.
fn readable(block: &Value) -> String {
    if block.is_null() {
        return String::new();
    }
    let members = block.as_object().map_or(0, Map::len);
    if let (Some("text"), Some(text), 2) = (block["type"].as_str(), block["text"].as_str(), members)
    {
        return text.to_owned();
    }
    let mut outline = String::new();
    write_value(block, 0, &mut outline);
    outline.trim_start_matches('\n').to_owned()
}

/// Writes a value behind its name: short ones on the same line, others below it, indented.
fn write_value(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                start_line(indent, out);
                out.push_str(name);
                out.push(':');
                write_value(value, indent + 1, out);
            }
        }
        Value::Array(values) if !values.is_empty() => {
            for value in values {
                start_line(indent, out);
                out.push('-');
                write_value(value, indent + 1, out);
            }
        }
        Value::String(text) => write_text(text, indent, out),
        other => {
            out.push(' ');
            out.push_str(&other.to_string());
        }
    }
}

fn write_text(text: &str, indent: usize, out: &mut String) {
    // The arguments of a call in chat completions are JSON within a string.
    if text.starts_with('{')
        && let Ok(value @ Value::Object(_)) = serde_json::from_str(text)
    {
        return write_value(&value, indent, out);
    }
    if text.len() > LONGEST_WORD && !text.contains([' ', '\n']) {
        let size = format::bytes(text.len() as u64);
        out.extend([" ", &format::ellipsis(text, 60), " (", &size, ")"]);
    } else if text.contains('\n') {
        for line in text.lines() {
            start_line(indent, out);
            out.push_str(line);
        }
    } else {
        out.push(' ');
        out.push_str(text);
    }
}

fn start_line(indent: usize, out: &mut String) {
    const DEEPEST: usize = 12;
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", indent.min(DEEPEST)));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn told(body: &Value) -> String {
        let request = read(body.to_string().as_bytes()).unwrap();
        let pieces = request.pieces.iter().map(|piece| {
            let mark = if piece.is_breakpoint { " |" } else { "" };
            let lines = piece.text.lines().map(|line| format!("    {line}\n"));
            format!("{}{mark}\n{}", piece.label, lines.collect::<String>())
        });
        let settings = request.settings.iter();
        pieces
            .chain(settings.map(|(name, value)| format!("{name} = {value}\n")))
            .collect()
    }

    #[test]
    fn a_request_for_messages_is_told_in_the_order_of_its_prompt() {
        let body = json!({
            "model": "m",
            "messages": [
                {"role": "user", "content": "Look.\nNow."},
                {"role": "assistant", "content": [
                    {"type": "tool_use", "id": "1", "name": "Read", "input": {"path": "a\nb", "depth": [1, {"x": null}]}},
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "1", "content": "no", "is_error": true, "cache_control": {"type": "ephemeral"}},
                    {"type": "image", "source": {"data": "A".repeat(2_000)}},
                ]},
                {"role": "assistant", "content": []},
            ],
            "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "Or not."}],
            "tools": [{"name": "Read", "description": "Reads"}, 7],
            "max_tokens": 5,
        });
        insta::assert_snapshot!(told(&body), @r#"
        tool Read
            name: Read
            description: Reads
        tool without a name
             7
        system, block 1 |
            Be brief.
        system, block 2
            Or not.
        message 1, user
            Look.
            Now.
        message 2, assistant: calls Read
            type: tool_use
            id: 1
            name: Read
            input:
              path:
                a
                b
              depth:
                - 1
                -
                  x: null
        message 3, user: a tool's result |
            type: tool_result
            tool_use_id: 1
            content: no
            is_error: true
        message 3, user: image
            type: image
            source:
              data: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA… (2.0 KB)
        message 4, assistant: nothing said
        model = "m"
        max_tokens = 5
        "#);
    }

    #[test]
    fn a_request_for_a_chat_completion_is_told_alike() {
        let body = json!({
            "messages": [
                {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
                {"role": "developer", "content": "Be kind."},
                {"role": "user", "content": "Look."},
                {"role": "assistant", "content": "I do.", "reasoning": "hm", "tool_calls": [
                    {"id": "1", "type": "function", "function": {"name": "Read", "arguments": "{\"path\":\"a\"}"}},
                    {"id": "2", "type": "function", "function": {"name": "Bash", "arguments": "{broken"}},
                ]},
                {"role": "tool", "tool_call_id": "1", "content": "found"},
                {"role": "system", "content": "Late."},
            ],
            "tools": [{"type": "function", "function": {"name": "Read"}}],
            "stream": true,
        });
        insta::assert_snapshot!(told(&body), @r"
        tool Read
            type: function
            function:
              name: Read
        system, block 1
            Be brief.
        system, block 2
            Be kind.
        message 1, user
            Look.
        message 2, assistant
            reasoning: hm
            I do.
        message 2, assistant: calls Read
            id: 1
            type: function
            function:
              name: Read
              arguments:
                path: a
        message 2, assistant: calls Bash
            id: 2
            type: function
            function:
              name: Bash
              arguments: {broken
        message 3, tool
            tool_call_id: 1
            found
        message 4, system
            Late.
        stream = true
        ");
    }

    #[test]
    fn how_a_text_is_wrapped_and_where_breakpoints_are_makes_no_other_piece() {
        let key = |content: Value| {
            let body = json!({"messages": [{"role": "user", "content": content}]});
            let request = read(body.to_string().as_bytes()).unwrap();
            request.pieces[0].key().to_owned()
        };
        let plain = key(json!("hi"));
        let block = json!([{"type": "text", "text": "hi"}]);
        let marked =
            json!([{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}]);
        assert_eq!(key(block), plain);
        assert_eq!(key(marked), plain);
        let result = |part: Value| key(json!([{"type": "tool_result", "content": [part]}]));
        let marked = json!({"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}});
        assert_eq!(
            result(marked),
            result(json!({"type": "text", "text": "hi"}))
        );
        assert_ne!(key(json!("ho")), plain);
        assert_ne!(key(json!([{"type": "text", "text": "hi", "x": 1}])), plain);
    }

    #[test]
    fn who_said_something_makes_another_piece() {
        let body = json!({"system": "hi", "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "hi"},
            {"role": "user", "content": "hi", "name": "x"},
            {"role": "user", "content": "hi"},
        ]});
        let request = read(body.to_string().as_bytes()).unwrap();
        let keys: Vec<&str> = request.pieces.iter().map(Piece::key).collect();
        let same = |a: usize, b: usize| keys[a] == keys[b];
        assert!(same(1, 4));
        assert!(!same(0, 1) && !same(1, 2) && !same(1, 3));
    }

    #[test]
    fn what_is_no_object_is_no_request() {
        for body in ["", "[]", "1", "{", "\u{fffd}"] {
            assert!(read(body.as_bytes()).is_none(), "{body}");
        }
        assert!(read(b"{}").unwrap().pieces.is_empty());
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a{\"\n :]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            let name =
                "role|content|type|text|tool_calls|cache_control|messages|tools|system|[a-c]";
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((name, inner), 0..5)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_message_of_any_request_is_there(messages in prop::collection::vec(any_json(), 0..5), rest in any_json()) {
            let mut body = json!({"messages": messages, "x": rest});
            if let Value::Object(rest) = rest {
                for (name, value) in rest {
                    if name != "messages" {
                        body[name] = value;
                    }
                }
            }
            let request = read(body.to_string().as_bytes()).unwrap();
            let last = request.pieces.iter().rev().find_map(|piece| match piece.place {
                Place::Message(number) => Some(number),
                _ => None,
            });
            let rules = messages.iter().take_while(|message| matches!(message["role"].as_str(), Some("system" | "developer")));
            prop_assert_eq!(last.unwrap_or(0), messages.len() - rules.count());
        }
    }
}
