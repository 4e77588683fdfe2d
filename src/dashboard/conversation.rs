//! A request and its answer as the conversation that they are: who said what, in order, newest in full.
//!
//! It reads recorded bytes, which may be hostile, cut off or no conversation at all; it must not know where they are kept.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::format;
use super::payloads::events;

/// Characters of one part that are shown.
const LONGEST_PART: usize = 4_000;
/// Characters of all parts together, and a little more; what is older than that is counted.
const BUDGET: usize = 120_000;
/// What a part costs beside its text, so that many empty ones end, too.
const PART: usize = 100;
/// Characters of the line that stands for a message that is not unfolded.
const BRIEF: usize = 140;

/// What is shown of a conversation.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Conversation {
    /// Older messages that are not shown.
    pub(super) left_out: usize,
    pub(super) turns: Vec<Turn>,
}

/// What one side said at once.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) who: String,
    /// Unfolded at first.
    pub(super) is_open: bool,
    pub(super) brief: String,
    pub(super) parts: Vec<Part>,
    /// There are more parts than are shown.
    pub(super) cut: bool,
}

/// A block of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    /// What it is, unless it is plain text.
    pub(super) label: Option<String>,
    pub(super) tone: Tone,
    pub(super) text: String,
    /// Characters that are not shown.
    pub(super) more: usize,
    call: Option<String>,
}

/// How a part looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tone {
    #[default]
    Plain,
    Thought,
    Code,
    Bad,
}

impl Tone {
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Thought => "thought",
            Self::Code => "code-like",
            Self::Bad => "bad",
        }
    }

    /// Whether a long text scrolls in a box of its own, which the keyboard must reach.
    pub(super) fn scrolls(self) -> bool {
        self == Self::Code
    }
}

#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(borrow)]
    messages: Vec<&'a RawValue>,
    #[serde(borrow)]
    system: Option<&'a RawValue>,
    tools: Option<Vec<Tool>>,
}

#[derive(Deserialize)]
struct Tool {
    #[serde(default)]
    name: String,
}

/// Reads what was asked and what was got, if anything was; `None` when the request has no messages.
pub(super) fn read(asked: &[u8], got: Option<&[u8]>) -> Option<Conversation> {
    let asked: Asked<'_> = serde_json::from_slice(asked).ok()?;
    let mut budget = BUDGET;
    let mut turns = Vec::new();
    if let Some(parts) = got.map(answer).filter(|parts| !parts.is_empty()) {
        turns.push(turn("assistant".to_owned(), parts, true, &mut budget));
    }
    let mut left_out = 0;
    for (back, raw) in asked.messages.iter().rev().enumerate() {
        if budget == 0 {
            left_out = asked.messages.len() - back;
            break;
        }
        let message: Value = serde_json::from_str(raw.get()).unwrap_or_default();
        let who = message["role"].as_str().unwrap_or("unknown");
        let parts = content(&message["content"]);
        turns.push(turn(
            format::ellipsis(who, 40),
            parts,
            back == 0,
            &mut budget,
        ));
    }
    // The rules of the game are short work for whoever looks for them, so they have a budget of their own.
    let mut budget = BUDGET / 4;
    let system = asked.system.map(|raw| serde_json::from_str(raw.get()));
    let mut rules = content(&system.and_then(Result::ok).unwrap_or_default());
    rules.extend(asked.tools.and_then(|tools| named(&tools)));
    if !rules.is_empty() {
        turns.push(turn("system".to_owned(), rules, false, &mut budget));
    }
    turns.reverse();
    name_results(&mut turns);
    for turn in &mut turns {
        turn.brief = brief(&turn.parts);
    }
    Some(Conversation { left_out, turns })
}

/// The names of the tools that were offered.
fn named(tools: &[Tool]) -> Option<Part> {
    let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
    let label = match names.len() {
        0 => return None,
        1 => "1 tool".to_owned(),
        count => format!("{count} tools"),
    };
    Some(part(Some(label), Tone::Code, &names.join(", ")))
}

fn turn(who: String, parts: Vec<Part>, is_open: bool, budget: &mut usize) -> Turn {
    let count = parts.len();
    let mut kept = Vec::new();
    for part in parts {
        if *budget == 0 {
            break;
        }
        *budget = budget.saturating_sub(part.text.len() + PART);
        kept.push(part);
    }
    Turn {
        who,
        is_open,
        brief: String::new(),
        cut: kept.len() < count,
        parts: kept,
    }
}

/// The parts on one line, those of one kind in a row once.
fn brief(parts: &[Part]) -> String {
    let mut brief = String::new();
    let mut rest = parts;
    while let Some(first) = rest.first().filter(|_| brief.len() < BRIEF) {
        let alike = |part: &&Part| part.label.is_some() && part.label == first.label;
        let count = rest.iter().take_while(alike).count().max(1);
        if !brief.is_empty() {
            brief.push_str(" · ");
        }
        match &first.label {
            Some(label) => brief.push_str(label),
            None => brief.push_str(&format::ellipsis(first.text.trim(), BRIEF)),
        }
        if count > 1 {
            brief.push_str(" × ");
            brief.push_str(&count.to_string());
        }
        rest = rest.get(count..).unwrap_or_default();
    }
    format::ellipsis(&brief.replace(['\n', '\r'], " "), BRIEF)
}

fn part(label: Option<String>, tone: Tone, text: &str) -> Part {
    let end = text.char_indices().nth(LONGEST_PART);
    let (shown, rest) = text.split_at(end.map_or(text.len(), |(end, _)| end));
    Part {
        label,
        tone,
        text: shown.to_owned(),
        more: rest.chars().count(),
        call: None,
    }
}

/// The parts of a `content`: a text, or blocks.
fn content(content: &Value) -> Vec<Part> {
    match content {
        Value::String(text) => vec![part(None, Tone::Plain, text)],
        Value::Array(blocks) => blocks.iter().map(block).collect(),
        _ => Vec::new(),
    }
}

fn block(block: &Value) -> Part {
    let text = |name: &str| block[name].as_str().unwrap_or_default();
    let label = |label: &str| Some(format::ellipsis(label, 80));
    match text("type") {
        "text" => part(None, Tone::Plain, text("text")),
        "thinking" => part(label("thinking"), Tone::Thought, text("thinking")),
        "redacted_thinking" => part(label("thinking, redacted"), Tone::Thought, ""),
        "tool_use" | "server_tool_use" | "mcp_tool_use" => {
            let input = match &block["input"] {
                // A stream that broke off may have left a piece of it.
                Value::String(piece) => piece.clone(),
                input => format!("{input:#}"),
            };
            let what = format!("calls {}", text("name"));
            Part {
                call: Some(text("id").to_owned()),
                ..part(label(&what), Tone::Code, &input)
            }
        }
        "tool_result" => result(block),
        kind @ ("image" | "document") => {
            let source = &block["source"];
            let from = source["url"]
                .as_str()
                .or_else(|| source["file_id"].as_str());
            let about = match (source["media_type"].as_str(), source["data"].as_str()) {
                (Some(media), Some(data)) => {
                    let bytes = data.len() as u64 / 4 * 3;
                    format!("{media}, about {}", format::bytes(bytes))
                }
                _ => from.unwrap_or_default().to_owned(),
            };
            part(label(kind), Tone::Plain, &about)
        }
        "" => part(
            label("a block without a type"),
            Tone::Code,
            &format!("{block:#}"),
        ),
        kind => part(label(kind), Tone::Code, &format!("{block:#}")),
    }
}

/// What a tool gave back: its texts, and the names of what is no text.
fn result(block: &Value) -> Part {
    let is_error = block["is_error"] == true;
    let text = match &block["content"] {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => blocks.iter().map(piece).collect::<Vec<_>>().join("\n"),
        _ => String::new(),
    };
    let (label, tone) = if is_error {
        ("error", Tone::Bad)
    } else {
        ("result", Tone::Code)
    };
    Part {
        call: block["tool_use_id"].as_str().map(str::to_owned),
        ..part(Some(label.to_owned()), tone, &text)
    }
}

/// A block within a result, whole: it is the result that is cut.
fn piece(inner: &Value) -> String {
    if inner["type"] == "text" {
        return inner["text"].as_str().unwrap_or_default().to_owned();
    }
    let part = block(inner);
    let label = part.label.map(|label| format!("[{label}] "));
    label.unwrap_or_default() + &part.text
}

/// Says which tool a result is from, where its call is shown.
fn name_results(turns: &mut [Turn]) {
    let mut tools: HashMap<String, String> = HashMap::new();
    for turn in turns {
        for part in &mut turn.parts {
            let (Some(call), Some(label)) = (&part.call, &mut part.label) else {
                continue;
            };
            if let Some(tool) = label.strip_prefix("calls ") {
                tools.insert(call.clone(), tool.to_owned());
            } else if let Some(tool) = tools.get(call) {
                *label = format!("{label} of {tool}");
            }
        }
    }
}

/// What the client got: a message, an error, or the events of a stream.
fn answer(bytes: &[u8]) -> Vec<Part> {
    if let Ok(message) = serde_json::from_slice::<Value>(bytes) {
        let mut parts = content(&message["content"]);
        parts.extend(refusal(&message));
        return parts;
    }
    let text = String::from_utf8_lossy(bytes);
    let mut blocks: Vec<Value> = Vec::new();
    let mut refused = None;
    for (_, data) in events(&text) {
        let Ok(mut event) = serde_json::from_str::<Value>(&data) else {
            continue;
        };
        match event["type"].as_str() {
            Some("content_block_start") => blocks.push(opened(event["content_block"].take())),
            Some("content_block_delta") => {
                let index = event["index"]
                    .as_u64()
                    .and_then(|index| usize::try_from(index).ok());
                if let Some(block) = index.and_then(|index| blocks.get_mut(index)) {
                    extend(block, &event["delta"]);
                }
            }
            _ => refused = refusal(&event).or(refused),
        }
    }
    for block in &mut blocks {
        let input = block["input"].as_str();
        if let Some(whole) = input.and_then(|input| serde_json::from_str(input).ok()) {
            block["input"] = whole;
        }
    }
    let mut parts: Vec<Part> = blocks.iter().map(block).collect();
    parts.extend(refused);
    parts
}

/// A block as a stream opens it; the input of a call comes as text.
fn opened(block: Value) -> Value {
    match block {
        Value::Object(mut fields) => {
            let comes_later = fields
                .get("input")
                .is_some_and(|input| input.as_object().is_some_and(serde_json::Map::is_empty));
            if comes_later {
                fields.insert("input".to_owned(), Value::String(String::new()));
            }
            Value::Object(fields)
        }
        // So that the next block has its number.
        _ => Value::Object(serde_json::Map::new()),
    }
}

fn extend(block: &mut Value, delta: &Value) {
    let (field, piece) = match delta["type"].as_str() {
        Some("text_delta") => ("text", &delta["text"]),
        Some("thinking_delta") => ("thinking", &delta["thinking"]),
        Some("input_json_delta") => ("input", &delta["partial_json"]),
        _ => return,
    };
    if let (Value::String(text), Some(piece)) = (&mut block[field], piece.as_str()) {
        text.push_str(piece);
    }
}

/// An error, in the place of an answer or at its end.
fn refusal(body: &Value) -> Option<Part> {
    let error = body["error"].as_object()?;
    let text = |name: &str| error.get(name).and_then(Value::as_str);
    let label = text("type").unwrap_or("error");
    let label = Some(format::ellipsis(label, 80));
    Some(part(label, Tone::Bad, text("message").unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(asked: &Value, got: &str) -> String {
        let talk = read(asked.to_string().as_bytes(), Some(got.as_bytes())).unwrap();
        let lines = talk.turns.iter().map(|turn| {
            let parts = turn.parts.iter().map(|part| {
                let label = part.label.as_deref().unwrap_or("text");
                format!("\n  {label}: {}", part.text.replace('\n', " "))
            });
            let mark = if turn.is_open { "open" } else { "shut" };
            format!(
                "{} {mark} [{}]{}\n",
                turn.who,
                turn.brief,
                parts.collect::<String>()
            )
        });
        lines.collect()
    }

    fn stream(events: &[Value]) -> String {
        let lines = events
            .iter()
            .map(|event| format!("event: x\ndata: {event}\n\n"));
        lines.collect()
    }

    #[test]
    fn a_turn_is_told_as_it_went() {
        let asked = json!({
            "model": "m", "tools": [{"name": "Read"}, {"name": "Bash"}],
            "system": [{"type": "text", "text": "Be brief."}],
            "messages": [
                {"role": "user", "content": "Look."},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "s"},
                    {"type": "tool_use", "id": "1", "name": "Read", "input": {"a": 1}},
                    {"type": "tool_use", "id": "2", "name": "Read", "input": {}},
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "1", "content": [
                        {"type": "text", "text": "one"},
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A".repeat(4000)}},
                    ]},
                    {"type": "tool_result", "tool_use_id": "2", "content": "no", "is_error": true},
                    {"type": "new_kind", "x": 1},
                ]},
            ],
        });
        let got = stream(&[
            json!({"type": "message_start", "message": {}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            json!({"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "3", "name": "Bash", "input": {}}}),
            json!({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{\"b\":"}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Now "}}),
            json!({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "2}"}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "this."}}),
            json!({"type": "error", "error": {"type": "api_error", "message": "gone"}}),
        ]);
        insta::assert_snapshot!(told(&asked, &got), @r#"
        system shut [Be brief. · 2 tools]
          text: Be brief.
          2 tools: Read, Bash
        user shut [Look.]
          text: Look.
        assistant shut [thinking · calls Read × 2]
          thinking: hm
          calls Read: {   "a": 1 }
          calls Read: {}
        user open [result of Read · error of Read · new_kind]
          result of Read: one [image] image/png, about 3.0 KB
          error of Read: no
          new_kind: {   "type": "new_kind",   "x": 1 }
        assistant open [Now this. · calls Bash · api_error]
          text: Now this.
          calls Bash: {   "b": 2 }
          api_error: gone
        "#);
    }

    #[test]
    fn an_answer_may_be_whole_refused_or_of_another_kind() {
        let asked = json!({"messages": [{"role": "user", "content": "hi"}]});
        let last = |got: Value| {
            told(&asked, &got.to_string())
                .lines()
                .last()
                .map(str::to_owned)
        };
        let whole = json!({"content": [{"type": "text", "text": "ho"}]});
        assert_eq!(last(whole).as_deref(), Some("  text: ho"));
        let refused = json!({"type": "error", "error": {"type": "x_error", "message": "no"}});
        assert_eq!(last(refused).as_deref(), Some("  x_error: no"));
        assert_eq!(
            last(json!({"input_tokens": 3})).as_deref(),
            Some("  text: hi")
        );
        assert_eq!(read(b"[1]", None), None);
        assert_eq!(read(br#"{"messages":"#, None), None);
    }

    #[test]
    fn the_newest_is_shown_and_the_rest_is_counted() {
        let long = "\u{e9}".repeat(LONGEST_PART + 7);
        let messages: Vec<Value> = (0..100)
            .map(|_| json!({"role": "user", "content": long}))
            .collect();
        let asked = json!({ "messages": messages }).to_string();
        let talk = read(asked.as_bytes(), None).unwrap();
        assert_eq!(talk.left_out + talk.turns.len(), 100);
        assert!((10..20).contains(&talk.turns.len()), "{}", talk.turns.len());
        assert!(
            talk.turns
                .iter()
                .all(|turn| turn.parts.iter().all(|part| part.more == 7))
        );
        let inner = json!([{"type": "text", "text": long}]);
        for content in [json!(long), inner] {
            let result = json!({"type": "tool_result", "tool_use_id": "1", "content": content});
            let asked = json!({"messages": [{"role": "user", "content": [result]}]}).to_string();
            let talk = read(asked.as_bytes(), None).unwrap();
            assert_eq!(talk.turns[0].parts[0].more, 7, "what is cut is counted");
        }
        let blocks = vec![json!({"type": "text", "text": ""}); 5_000];
        let asked = json!({"messages": [{"role": "user", "content": blocks}]}).to_string();
        let talk = read(asked.as_bytes(), None).unwrap();
        assert!(talk.turns[0].cut && talk.turns[0].parts.len() <= BUDGET / PART);
    }

    proptest::proptest! {
        #[test]
        fn no_answer_makes_it_panic(
            kinds in proptest::collection::vec((0_usize..6, 0_u64..4, 0_usize..6), 0..12),
        ) {
            let odd = [json!(null), json!("x"), json!({}), json!([1]), json!({"type": "text", "text": 1}), json!({"type": "tool_use", "input": {}})];
            let names = ["content_block_start", "content_block_delta", "error", "message_start", "ping", "new"];
            let deltas = ["text_delta", "thinking_delta", "input_json_delta"];
            let events: Vec<Value> = kinds.iter().map(|(name, index, value)| json!({
                "type": names[*name], "index": index, "content_block": odd[*value], "error": odd[*value],
                "delta": {"type": deltas[*value % 3], "text": "t", "partial_json": "{", "thinking": odd[*value]},
            })).collect();
            let asked = json!({"messages": odd, "system": odd, "tools": []});
            read(asked.to_string().as_bytes(), Some(stream(&events).as_bytes())).unwrap();
        }
    }
}
