//! What the SDKs and Claude Code accept of a stream, as a checker for tests.

use serde::de::IgnoredAny;
use serde_json::{Value, json};

/// What a client makes of a stream.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// The message as an SDK accumulates it.
    pub(crate) message: Value,
    /// The error that ended it.
    pub(crate) error: Option<Value>,
    /// Whether `message_stop` came.
    pub(crate) stopped: bool,
    open: Option<Open>,
    ended: bool,
}

#[derive(Debug)]
struct Open {
    block: Value,
    json: String,
    signed: bool,
}

impl Received {
    pub(crate) fn stop_reason(&self) -> &str {
        self.message["stop_reason"].as_str().unwrap_or_default()
    }

    pub(crate) fn content(&self) -> &[Value] {
        self.message["content"]
            .as_array()
            .map_or(&[], Vec::as_slice)
    }

    /// The types of the blocks.
    pub(crate) fn kinds(&self) -> Vec<&str> {
        self.content()
            .iter()
            .filter_map(|block| block["type"].as_str())
            .collect()
    }

    /// All text.
    pub(crate) fn text(&self) -> String {
        self.content()
            .iter()
            .filter_map(|block| block["text"].as_str())
            .collect()
    }

    pub(crate) fn error_type(&self) -> &str {
        self.error
            .as_ref()
            .and_then(|error| error["type"].as_str())
            .unwrap_or_default()
    }
}

/// Reads a stream as strictly as the strictest client.
pub(crate) fn received(stream: &[u8]) -> Result<Received, String> {
    let text = std::str::from_utf8(stream).map_err(|error| error.to_string())?;
    let mut received = Received::default();
    for frame in text.split_inclusive("\n\n") {
        let frame = frame
            .strip_suffix("\n\n")
            .ok_or("a frame without its blank line")?;
        let (event, data) = frame.split_once('\n').ok_or("a frame of one line")?;
        let event = event
            .strip_prefix("event: ")
            .ok_or("a frame without its event line")?;
        let data = data
            .strip_prefix("data: ")
            .ok_or("a frame without its data line")?;
        if data.contains(['\n', '\r']) {
            return Err(format!("data of several lines: {data}"));
        }
        let data: Value = serde_json::from_str(data).map_err(|error| format!("{error}: {data}"))?;
        if data["type"] != event {
            return Err(format!("{event} carries {}", data["type"]));
        }
        received
            .take(event, &data)
            .map_err(|fault| format!("{fault}: {data}"))?;
    }
    Ok(received)
}

/// Like [`received`], and the stream must have come to an end.
pub(crate) fn complete(stream: &[u8]) -> Result<Received, String> {
    let received = received(stream)?;
    if received.stopped == received.error.is_some() {
        return Err("neither or both of message_stop and error".to_owned());
    }
    Ok(received)
}

impl Received {
    fn take(&mut self, event: &str, data: &Value) -> Result<(), &'static str> {
        if self.stopped || self.error.is_some() {
            return Err("an event after the end");
        }
        let started = !self.message.is_null();
        match event {
            "error" => self.error = Some(data["error"].clone()),
            "message_start" if started => return Err("a second start"),
            "message_start" => return self.start(&data["message"]),
            _ if !started => return Err("an event before the start"),
            "ping" => {}
            _ if self.ended && event != "message_stop" => {
                return Err("an event after message_delta");
            }
            "content_block_start" => return self.open(data),
            "content_block_delta" => return self.delta(data),
            "content_block_stop" => return self.close(data),
            "message_delta" => return self.end(data),
            "message_stop" if self.ended => self.stopped = true,
            _ => return Err("an event out of order"),
        }
        Ok(())
    }

    fn start(&mut self, message: &Value) -> Result<(), &'static str> {
        let usage = &message["usage"];
        if message["role"] != "assistant"
            || message["content"] != json!([])
            || !usage["input_tokens"].is_u64()
        {
            return Err("an incomplete start");
        }
        self.message = message.clone();
        Ok(())
    }

    fn open(&mut self, data: &Value) -> Result<(), &'static str> {
        if self.open.is_some() {
            return Err("two open blocks");
        }
        if data["index"] != self.content().len() {
            return Err("a hole in the indices");
        }
        let block = data["content_block"].clone();
        let is_empty = match block["type"].as_str() {
            Some("text") => block["text"] == "",
            Some("thinking") => block["thinking"] == "" && block["signature"] == "",
            Some("tool_use" | "server_tool_use") => block["input"] == json!({}),
            Some("web_search_tool_result") => block["content"].is_array(),
            Some("web_fetch_tool_result") => block["content"]["type"].is_string(),
            _ => false,
        };
        if !is_empty {
            return Err("a block that does not start empty");
        }
        self.open = Some(Open {
            block,
            json: String::new(),
            signed: false,
        });
        Ok(())
    }

    fn delta(&mut self, data: &Value) -> Result<(), &'static str> {
        let index = self.content().len();
        let Some(open) = &mut self.open else {
            return Err("a delta without a block");
        };
        if data["index"] != index || open.signed {
            return Err("a delta in the wrong place");
        }
        let delta = &data["delta"];
        let kind = open.block["type"].as_str().unwrap_or_default().to_owned();
        match (delta["type"].as_str().unwrap_or_default(), kind.as_str()) {
            ("text_delta", "text") => append(&mut open.block["text"], &delta["text"]),
            ("thinking_delta", "thinking") => {
                append(&mut open.block["thinking"], &delta["thinking"])
            }
            ("signature_delta", "thinking") => {
                open.block["signature"] = delta["signature"].clone();
                open.signed = true;
                Ok(())
            }
            ("input_json_delta", "tool_use" | "server_tool_use") => {
                open.json
                    .push_str(delta["partial_json"].as_str().ok_or("no partial_json")?);
                Ok(())
            }
            ("citations_delta", "text") => {
                if !open.block["citations"].is_array() {
                    open.block["citations"] = json!([]);
                }
                let citations = open.block["citations"].as_array_mut().ok_or("no list")?;
                citations.push(delta["citation"].clone());
                Ok(())
            }
            _ => Err("a delta of another type than its block"),
        }
    }

    fn close(&mut self, data: &Value) -> Result<(), &'static str> {
        let Some(mut open) = self.open.take() else {
            return Err("a stop without a block");
        };
        if data["index"] != self.content().len() {
            return Err("a stop of another block");
        }
        match open.block["type"].as_str() {
            Some("thinking") if !open.signed || open.block["signature"] == "" => {
                return Err("an unsigned thought");
            }
            Some("tool_use" | "server_tool_use") => {
                let input = match serde_json::from_str(&open.json) {
                    Ok(input) => input,
                    // JSON knows no greatest number, and SDKs read `1e999` as infinity; `Value` cannot hold it.
                    Err(_) if is_object(&open.json) => json!({}),
                    Err(_) => return Err("a broken tool input"),
                };
                if !input.is_object() {
                    return Err("a tool input that is no object");
                }
                open.block["input"] = input;
                self.check_id(&open.block["id"])?;
            }
            Some("text") if open.block["text"] == "" => return Err("an empty text"),
            _ => {}
        }
        let content = self.message["content"].as_array_mut().ok_or("no content")?;
        content.push(open.block);
        Ok(())
    }

    fn check_id(&self, id: &Value) -> Result<(), &'static str> {
        let text = id.as_str().unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if text.is_empty() || !text.chars().all(plain) {
            return Err("a malformed tool id");
        }
        if self.content().iter().any(|block| block["id"] == *id) {
            return Err("a repeated tool id");
        }
        Ok(())
    }

    fn end(&mut self, data: &Value) -> Result<(), &'static str> {
        if self.open.is_some() {
            return Err("an end with an open block");
        }
        let usage = data["usage"].as_object().ok_or("an end without usage")?;
        if !data["usage"]["output_tokens"].is_u64() {
            return Err("an end without output_tokens");
        }
        for (field, value) in usage {
            self.message["usage"][field] = value.clone();
        }
        for (field, value) in data["delta"].as_object().ok_or("an end without delta")? {
            self.message[field] = value.clone();
        }
        if let Some(edits) = data.get("context_management") {
            self.message["context_management"] = edits.clone();
        }
        let has_tools = self.kinds().contains(&"tool_use");
        match self.stop_reason() {
            "" => return Err("an end without a reason"),
            "tool_use" if !has_tools => return Err("tool_use without tools"),
            "end_turn" if self.content().is_empty() => return Err("an empty end_turn"),
            _ => {}
        }
        self.ended = true;
        Ok(())
    }
}

fn append(text: &mut Value, piece: &Value) -> Result<(), &'static str> {
    let piece = piece.as_str().ok_or("a delta without text")?;
    if piece.is_empty() {
        return Err("an empty delta");
    }
    let whole = text.as_str().unwrap_or_default().to_owned() + piece;
    *text = Value::String(whole);
    Ok(())
}

/// Whether a text is a JSON object, whatever numbers it has.
fn is_object(text: &str) -> bool {
    text.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// The checker itself must be able to say no.
#[test]
fn the_checker_refuses_what_the_sdks_refuse() {
    let start = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"role\":\"assistant\",\"content\":[],\"usage\":{\"input_tokens\":1}}}\n\n";
    let text = "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";
    let stop = "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n";
    let call = |input: &str| {
        let delta = json!({"type": "content_block_delta", "index": 0,
            "delta": {"type": "input_json_delta", "partial_json": input}});
        format!(
            "{start}event: content_block_start\ndata: {{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"h\",\"input\":{{}}}}}}\n\n\
             event: content_block_delta\ndata: {delta}\n\n{stop}"
        )
    };
    received(call("{\"a\":1e999}").as_bytes()).unwrap();
    let gap = text.replace("\"index\":0", "\"index\":1");
    for (stream, fault) in [
        (text.to_owned(), "before the start"),
        (format!("{start}{start}"), "a second start"),
        (format!("{start}{text}{text}"), "two open blocks"),
        (format!("{start}{gap}"), "a hole"),
        (format!("{start}{text}{stop}"), "an empty text"),
        (call("{\"a\":1e999"), "a broken tool input"),
        (call("[1e999]"), "a broken tool input"),
        (format!("{start}data: [DONE]\n\n"), "one line"),
        (
            format!("{start}event: message_stop\ndata: {{\"type\":\"message_stop\"}}\n\n"),
            "out of order",
        ),
    ] {
        let refused = received(stream.as_bytes()).unwrap_err();
        assert!(refused.contains(fault), "{refused}");
    }
    assert!(complete(start.as_bytes()).is_err());
}
