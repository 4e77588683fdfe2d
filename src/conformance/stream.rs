//! Reads the events of an answer as the strictest of Anthropic's SDKs does, and says where they break its grammar.
//!
//! Frames need their `event:` line; blocks have indices 0, 1, 2… and do not overlap; there is one start, one
//! `message_delta` and one stop, or an `error` after which nothing comes.

use serde_json::Value;

/// One event of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    pub(super) name: String,
    pub(super) data: Value,
}

/// Reads a body, pings and all.
///
/// # Errors
/// The frame that an SDK could not read.
pub(super) fn events(body: &str) -> Result<Vec<Event>, String> {
    let mut events = Vec::new();
    let body = body.replace("\r\n", "\n");
    for frame in body.split("\n\n").filter(|frame| !frame.trim().is_empty()) {
        let field = |name: &str| {
            let mut lines = frame.lines();
            lines
                .find_map(|line| line.strip_prefix(name))
                .map(str::trim)
        };
        let is_comment = frame.lines().all(|line| line.starts_with(':'));
        if is_comment {
            continue;
        }
        let name = field("event:").ok_or_else(|| format!("a frame without `event:`: {frame}"))?;
        let data = field("data:").ok_or_else(|| format!("a frame without `data:`: {frame}"))?;
        let data: Value = serde_json::from_str(data)
            .map_err(|error| format!("data that is not JSON ({error}): {frame}"))?;
        if data["type"] != name {
            return Err(format!("the event `{name}` is of another type: {data}"));
        }
        events.push(Event {
            name: name.to_owned(),
            data,
        });
    }
    Ok(events)
}

/// Joins the neighbouring deltas of one block, because where a text is cut means nothing.
pub(super) fn joined(events: &[Event]) -> Vec<Event> {
    let mut joined: Vec<Event> = Vec::new();
    for event in events {
        let before = joined.last_mut();
        if !before.is_some_and(|before| join(before, event)) {
            joined.push(event.clone());
        }
    }
    joined
}

/// Adds a delta to the one before it, if they are of one block and kind.
fn join(before: &mut Event, event: &Event) -> bool {
    let is_delta = before.name == "content_block_delta" && event.name == "content_block_delta";
    let same = before.data["index"] == event.data["index"]
        && before.data["delta"]["type"] == event.data["delta"]["type"];
    let text = match event.data["delta"]["type"].as_str() {
        Some("text_delta") => "text",
        Some("thinking_delta") => "thinking",
        Some("input_json_delta") => "partial_json",
        _ => return false,
    };
    let parts = before.data["delta"][text]
        .as_str()
        .zip(event.data["delta"][text].as_str());
    let Some((one, other)) = parts.filter(|_| is_delta && same) else {
        return false;
    };
    let whole = format!("{one}{other}");
    before.data["delta"][text] = whole.into();
    true
}

/// Where the events break the grammar of a stream, in sentences.
pub(super) fn faults(events: &[Event]) -> Vec<String> {
    let mut grammar = Grammar::default();
    for event in events {
        grammar.take(event);
    }
    grammar.end();
    grammar.faults
}

#[derive(Default)]
struct Grammar {
    has_started: bool,
    has_delta: bool,
    has_ended: bool,
    open: Option<(u64, String)>,
    next: u64,
    signatures: u32,
    faults: Vec<String>,
}

impl Grammar {
    fn fault(&mut self, sentence: impl Into<String>) {
        self.faults.push(sentence.into());
    }

    fn take(&mut self, event: &Event) {
        if self.has_ended {
            self.fault(format!("`{}` comes after the end", event.name));
        }
        let may_come_first = event.name == "message_start" || event.name == "error";
        if !self.has_started && !may_come_first {
            self.fault(format!("`{}` comes before message_start", event.name));
        }
        match event.name.as_str() {
            "message_start" => self.start(&event.data),
            "content_block_start" => self.open(&event.data),
            "content_block_delta" => self.delta(&event.data),
            "content_block_stop" => self.close(&event.data),
            "message_delta" => self.message_delta(&event.data),
            "message_stop" => {
                if !self.has_delta {
                    self.fault("message_stop comes without message_delta");
                }
                self.has_ended = true;
            }
            "error" => self.has_ended = true,
            other => self.fault(format!("`{other}` is no event of the Messages API")),
        }
    }

    fn start(&mut self, data: &Value) {
        if self.has_started {
            self.fault("there are two message_start");
        }
        self.has_started = true;
        let message = &data["message"];
        let is_whole = message["usage"]["input_tokens"].is_u64()
            && message["usage"]["output_tokens"].is_u64()
            && message["content"] == Value::Array(Vec::new())
            && message["role"] == "assistant"
            && message["type"] == "message"
            && message["id"].is_string()
            && message["stop_reason"].is_null();
        if !is_whole {
            self.fault(format!("message_start is not as SDKs need it: {data}"));
        }
    }

    fn open(&mut self, data: &Value) {
        if let Some((open, _)) = self.open.take() {
            self.fault(format!("a block starts while block {open} is open"));
        }
        if data["index"] != self.next {
            self.fault(format!(
                "a block has index {} where {} comes next",
                data["index"], self.next
            ));
        }
        let kind = data["content_block"]["type"].as_str().unwrap_or_default();
        let needs = match kind {
            "text" => ["text", "text"],
            "thinking" => ["thinking", "signature"],
            "tool_use" => ["id", "name"],
            _ => ["type", "type"],
        };
        if needs
            .iter()
            .any(|key| !data["content_block"][key].is_string())
        {
            self.fault(format!("a block starts without what it must have: {data}"));
        }
        self.open = Some((self.next, kind.to_owned()));
        self.next += 1;
        self.signatures = 0;
    }

    fn delta(&mut self, data: &Value) {
        let delta = data["delta"]["type"].as_str().unwrap_or_default();
        let Some((index, kind)) = self.open.clone() else {
            return self.fault(format!("a delta comes while no block is open: {data}"));
        };
        if data["index"] != index {
            self.fault(format!("a delta is not for the open block {index}: {data}"));
        }
        let fits = match delta {
            "text_delta" | "citations_delta" => kind == "text",
            "thinking_delta" | "signature_delta" => kind == "thinking",
            "input_json_delta" => kind.ends_with("tool_use"),
            _ => false,
        };
        if !fits {
            self.fault(format!("a `{delta}` comes into a block of type {kind}"));
        }
        if delta == "signature_delta" {
            self.signatures += 1;
            if self.signatures > 1 {
                self.fault(
                    "a thinking block has two signature_delta; the second overwrites the first",
                );
            }
        }
    }

    fn close(&mut self, data: &Value) {
        match self.open.take() {
            Some((index, _)) if data["index"] == index => {}
            _ => self.fault(format!("a block is closed that is not open: {data}")),
        }
    }

    fn message_delta(&mut self, data: &Value) {
        if self.has_delta {
            self.fault("there are two message_delta; the last one wins");
        }
        self.has_delta = true;
        if self.open.is_some() {
            self.fault("message_delta comes while a block is open");
        }
        if !data["usage"]["output_tokens"].is_u64() {
            self.fault("message_delta has no usage.output_tokens; SDKs break on it");
        }
        if !data["delta"]["stop_reason"].is_string() {
            self.fault("message_delta has no stop_reason");
        }
    }

    fn end(&mut self) {
        if !self.has_ended {
            self.fault("the stream ends without message_stop and without error");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = r#"{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","content":[],"stop_reason":null,"usage":{"input_tokens":1,"output_tokens":1}}}"#;
    const TEXT: &str =
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
    const DELTA: &str =
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}"#;
    const CLOSE: &str = r#"{"type":"content_block_stop","index":0}"#;
    const END: &str = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":1}}"#;
    const STOP: &str = r#"{"type":"message_stop"}"#;
    const ERROR: &str = r#"{"type":"error","error":{"type":"api_error","message":"x"}}"#;

    fn body(data: &[&str]) -> String {
        let frame = |data: &&str| {
            let value: Value = serde_json::from_str(data).unwrap();
            format!(
                "event: {}\ndata: {data}\n\n",
                value["type"].as_str().unwrap()
            )
        };
        data.iter().map(frame).collect()
    }

    fn faults_of(data: &[&str]) -> usize {
        faults(&events(&body(data)).unwrap()).len()
    }

    #[test]
    fn a_whole_stream_and_one_that_ends_in_an_error_have_no_fault() {
        assert_eq!(faults_of(&[START, TEXT, DELTA, CLOSE, END, STOP]), 0);
        assert_eq!(faults_of(&[START, TEXT, DELTA, ERROR]), 0);
        assert_eq!(faults_of(&[ERROR]), 0);
    }

    #[test]
    fn every_fault_of_the_grammar_is_seen() {
        let second = TEXT.replace("0,", "2,");
        let wrong = DELTA.replace("text_delta", "thinking_delta");
        let bare = START.replace(r#""output_tokens":1"#, r#""o":1"#);
        let wordless = END.replace(r#""end_turn""#, "null");
        let uncounted = END.replace("output_tokens", "o");
        for stream in [
            vec![TEXT, DELTA, CLOSE, END, STOP],
            vec![START, START, END, STOP],
            vec![START, DELTA, END, STOP],
            vec![START, TEXT, DELTA, END, STOP],
            vec![START, TEXT, TEXT, CLOSE, END, STOP],
            vec![START, &second, CLOSE, END, STOP],
            vec![START, TEXT, &wrong, CLOSE, END, STOP],
            vec![START, CLOSE, END, STOP],
            vec![START, END, END, STOP],
            vec![START, STOP],
            vec![START, END],
            vec![START, END, STOP, STOP],
            vec![START, ERROR, STOP],
            vec![&bare, END, STOP],
            vec![START, &wordless, STOP],
            vec![START, &uncounted, STOP],
        ] {
            assert!(faults_of(&stream) > 0, "{stream:?}");
        }
    }

    #[test]
    fn frames_that_an_sdk_cannot_read_are_refused() {
        for body in [
            "data: {\"type\":\"ping\"}\n\n",
            "event: ping\n\n",
            "event: data\ndata: [DONE]\n\n",
            "event: ping\ndata: {\"type\":\"pong\"}\n\n",
        ] {
            assert!(events(body).is_err(), "{body}");
        }
        assert_eq!(events(": waiting\n\n").unwrap(), []);
    }

    #[test]
    fn neighbouring_deltas_of_a_block_are_joined() {
        let events = events(&body(&[START, TEXT, DELTA, DELTA, CLOSE])).unwrap();
        let joined = joined(&events);
        assert_eq!(joined.len(), 4);
        assert_eq!(joined[2].data["delta"]["text"], "aa");
    }
}
