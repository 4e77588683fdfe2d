//! A streamed answer passes: bytes of Anthropic's events in, the same events out, without what breaks SDKs.
//!
//! A text delta, which nearly every event is, is only checked to be JSON and copied: a connection may end within one.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::error::from_event;
use super::figures::{Figures, Head, text};
use super::repeat::Thoughts;
use super::splice::Splice;
use crate::protocol::anthropic::error::ApiError;
use crate::protocol::anthropic::event;
use crate::protocol::anthropic::request::Request;
use crate::protocol::sse::Reader;
use crate::protocol::translate::reply::Summary;
use crate::protocol::translate::tokens;

/// How a delta begins that is looked at no further.
const DELTA: &[u8] = b"{\"type\":\"content_block_delta\"";
/// Bytes of a body for each token, where nothing better is known of it.
const BYTES_PER_TOKEN: u64 = 4;

/// What an answer passes with.
#[derive(Clone, Debug, Default)]
pub struct PassageSettings {
    /// `msg_…`, for an answer whose id is none of Anthropic's.
    pub message_id: String,
    /// The model that the client asked for, to be put back.
    pub model: Option<String>,
    /// The request's id, for errors.
    pub request_id: String,
    /// The request's body, for an estimate of its tokens.
    pub body: Option<Arc<String>>,
}

/// Passes one answer.
#[derive(Debug)]
pub struct Passage {
    settings: PassageSettings,
    reader: Reader,
    figures: Figures,
    thoughts: Thoughts,
    /// The index of the block that is being left out.
    left_out: Option<u64>,
    /// How many blocks were left out: so much lower are the indices of those behind them.
    shift: u64,
    estimate: u64,
    events: u64,
    outcome: Option<Outcome>,
}

#[derive(Debug)]
enum Outcome {
    Stopped,
    Failed(ApiError),
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'a, str>,
    #[serde(borrow, default)]
    index: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Option<Head<'a>>,
    #[serde(default)]
    content_block: Option<Block>,
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Block {
    #[serde(rename = "type")]
    kind: String,
    signature: Option<String>,
    data: Option<String>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    signature: Option<&'a RawValue>,
    #[serde(borrow, default)]
    stop_reason: Option<&'a RawValue>,
}

impl Passage {
    /// Begins an answer.
    #[must_use]
    pub fn new(settings: PassageSettings) -> Self {
        Self {
            settings,
            reader: Reader::default(),
            figures: Figures::default(),
            thoughts: Thoughts::default(),
            left_out: None,
            shift: 0,
            estimate: 0,
            events: 0,
            outcome: None,
        }
    }

    /// Takes bytes of the upstream's event stream and appends the client's.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut reader = std::mem::take(&mut self.reader);
        let mut input = bytes;
        while !self.is_done() {
            match reader.next(&mut input) {
                Ok(Some(data)) => self.data(data, out),
                Ok(None) => break,
                Err(too_long) => self.fail(ApiError::bad_gateway(too_long.to_string()), out),
            }
        }
        if !self.is_done() {
            self.reader = reader;
        }
    }

    /// The upstream's body has ended.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        let mut reader = std::mem::take(&mut self.reader);
        match reader.finish() {
            Ok(Some(data)) => self.data(data, out),
            Ok(None) => {}
            Err(too_long) => self.fail(ApiError::bad_gateway(too_long.to_string()), out),
        }
        if self.is_finishing() {
            self.note("the stream ended without `message_stop`, which was added");
            frame(out, "message_stop", b"{\"type\":\"message_stop\"}");
            self.outcome = Some(Outcome::Stopped);
        } else {
            let message = "the upstream closed the stream before the answer was complete";
            self.fail(ApiError::bad_gateway(message).retry(true), out);
        }
    }

    /// The transport failed, or a wait took too long. The open block stays open: what was closed would be run.
    pub fn fail(&mut self, error: ApiError, out: &mut Vec<u8>) {
        if self.is_done() {
            return;
        }
        out.extend_from_slice(&error.event(&self.settings.request_id));
        self.outcome = Some(Outcome::Failed(error));
    }

    /// Tells the client that the connection lives.
    pub fn ping(&mut self, out: &mut Vec<u8>) {
        if !self.is_done() {
            event::ping(out);
        }
    }

    /// Whether the last event is out: nothing may follow.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.outcome.is_some()
    }

    /// Whether the stop reason has come and only the last event is missing.
    #[must_use]
    pub fn is_finishing(&self) -> bool {
        !self.is_done() && self.figures.has_stopped
    }

    /// How many events the upstream has sent, pings left out.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// What is known of the answer by now.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let mut summary = self.figures.summary(self.estimate);
        summary.chunks = self.events;
        if let Some(Outcome::Failed(error)) = &self.outcome {
            summary.error = Some(error.clone());
        }
        summary
    }

    fn note(&mut self, note: &str) {
        let notes = &mut self.figures.summary.notes;
        if !notes.iter().any(|known| known == note) {
            notes.push(note.to_owned());
        }
    }

    /// The data of one event.
    fn data(&mut self, data: &[u8], out: &mut Vec<u8>) {
        let data = data.trim_ascii();
        if data.is_empty() || data.starts_with(b"[DONE") || self.is_done() {
            return;
        }
        // An event stream is UTF-8, in which what is none becomes U+FFFD.
        let text = String::from_utf8_lossy(data);
        let data = text.as_bytes();
        let is_plain = self.shift == 0
            && data.starts_with(DELTA)
            && memchr::memmem::find(data, b"\"signature").is_none()
            && serde_json::from_str::<IgnoredAny>(&text).is_ok();
        if is_plain {
            self.events += 1;
            return frame(out, "content_block_delta", data);
        }
        match serde_json::from_slice::<Event<'_>>(data) {
            Ok(event) if data.starts_with(b"{") && is_word(&event.kind) => {
                self.event(&event, data, out);
            }
            Ok(_) | Err(_) => {
                let message = "the upstream sent something that is no event of the Messages API";
                self.fail(ApiError::bad_gateway(message).retry(true), out);
            }
        }
    }

    fn event(&mut self, event: &Event<'_>, data: &[u8], out: &mut Vec<u8>) {
        let kind = event.kind.as_ref();
        if kind == "ping" {
            return frame(out, kind, data);
        }
        self.events += 1;
        let mut splice = Splice::new(data);
        match kind {
            "error" => {
                let error = from_event(data).api;
                return self.fail(error, out);
            }
            "message_start" => self.start(event, &mut splice),
            "message_delta" => {
                self.figures
                    .stopped(event.delta.as_ref().and_then(|delta| delta.stop_reason));
                self.figures.used(event.usage);
            }
            "message_stop" => self.outcome = Some(Outcome::Stopped),
            _ if self.leaves_out(event) => return,
            _ => self.block(event, &mut splice),
        }
        match splice.done() {
            Some(changed) => frame(out, kind, &changed),
            None => frame(out, kind, data),
        }
    }

    fn start(&mut self, event: &Event<'_>, splice: &mut Splice<'_>) {
        let body = self.settings.body.take();
        let Some(head) = &event.message else { return };
        self.figures.head(head);
        rename(head, &self.settings, splice);
        let said = &self.figures.summary.usage;
        let has_counted = said.input_tokens > 0
            || said.cache_read_input_tokens > 0
            || said.cache_creation_input_tokens > 0;
        if has_counted {
            return;
        }
        self.estimate = body.map_or(0, |body| estimate(&body));
        if let Some(zero) = head.usage.and_then(input_tokens) {
            splice.replace(zero, self.estimate.to_string());
        }
    }

    /// Whether the event belongs to a block that only repeats a thought.
    fn leaves_out(&mut self, event: &Event<'_>) -> bool {
        let index = event.index.and_then(number);
        if let Some(block) = &event.content_block
            && block.kind == "redacted_thinking"
            && self
                .thoughts
                .are_repeated_by(block.data.as_deref().unwrap_or_default())
        {
            self.left_out = index;
            self.shift += 1;
            self.note("a block that repeated a thought was left out, because clients take it for another one");
            return true;
        }
        let is_inside = self.left_out.is_some() && index == self.left_out;
        if is_inside && event.kind == "content_block_stop" {
            self.left_out = None;
        }
        is_inside
    }

    /// A block that passes, or a piece of one.
    fn block(&mut self, event: &Event<'_>, splice: &mut Splice<'_>) {
        if let Some(block) = &event.content_block
            && block.kind == "thinking"
        {
            self.thoughts
                .begin(block.signature.as_deref().unwrap_or_default());
        }
        if let Some(piece) = event.delta.as_ref().and_then(|delta| delta.signature) {
            self.thoughts.sign(&text(piece).unwrap_or_default());
        }
        if event.kind == "content_block_stop" {
            self.thoughts.end();
        }
        if self.shift > 0
            && let Some(raw) = event.index
            && let Some(index) = number(raw)
        {
            splice.replace(raw, index.saturating_sub(self.shift).to_string());
        }
    }
}

/// Puts back the model's name, and gives an id that is Anthropic's kind.
pub(super) fn rename(head: &Head<'_>, settings: &PassageSettings, splice: &mut Splice<'_>) {
    if let (Some(model), Some(name)) = (head.model, &settings.model) {
        splice.replace_string(model, name);
    }
    if let Some(id) = head.id
        && !text(id).is_some_and(|id| id.starts_with("msg_"))
    {
        splice.replace_string(id, &settings.message_id);
    }
}

/// Input tokens of a body, as the chat lane would estimate them.
pub(super) fn estimate(body: &str) -> u64 {
    match Request::parse_for_count(body) {
        Ok(request) => tokens::estimate(&request),
        Err(_) => body.len() as u64 / BYTES_PER_TOKEN,
    }
}

fn input_tokens(usage: &RawValue) -> Option<&RawValue> {
    #[derive(Deserialize)]
    struct Usage<'a> {
        #[serde(borrow)]
        input_tokens: &'a RawValue,
    }
    let usage: Usage<'_> = serde_json::from_str(usage.get()).ok()?;
    Some(usage.input_tokens)
}

fn number(raw: &RawValue) -> Option<u64> {
    raw.get().parse().ok()
}

/// A type stands in a line of its own, so it must not hold the end of one.
fn is_word(kind: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    !kind.is_empty() && kind.bytes().all(is_letter)
}

/// One event. A line break between values of its JSON, which the frame cannot hold, becomes a space.
fn frame(out: &mut Vec<u8>, kind: &str, data: &[u8]) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    if memchr::memchr2(b'\n', b'\r', data).is_none() {
        out.extend_from_slice(data);
    } else {
        let flat = |byte: &u8| match byte {
            b'\n' | b'\r' => b' ',
            other => *other,
        };
        out.extend(data.iter().map(flat));
    }
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;

    use super::*;
    use crate::protocol::anthropic::message::StopReason;

    const START: &str = r#"{"type":"message_start","message":{"id":"gen-1","model":"anthropic/claude-4.6-sonnet","content":[],"usage":{"input_tokens":0,"output_tokens":0},"provider":"Anthropic"}}"#;
    const THINKING: &str = r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#;
    const SIGNED: &str = r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"sig"}}"#;
    const STOP_0: &str = r#"{"type":"content_block_stop","index":0}"#;
    const TEXT: &str =
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"hi"}}"#;
    const DELTA: &str = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"input_tokens":11,"cache_read_input_tokens":5,"output_tokens":7,"output_tokens_details":{"thinking_tokens":3},"cost":0.25}}"#;
    const STOP: &str = r#"{"type":"message_stop"}"#;

    fn copy(index: u64) -> [String; 2] {
        let data =
            BASE64_STANDARD.encode(r#"{"signature":"sig","text":"t","type":"reasoning.text"}"#);
        [
            format!(
                r#"{{"type":"content_block_start","index":{index},"content_block":{{"type":"redacted_thinking","data":"openrouter.reasoning:{data}"}}}}"#
            ),
            format!(r#"{{"type":"content_block_stop","index":{index}}}"#),
        ]
    }

    fn stream(events: &[&str]) -> String {
        events.iter().map(|data| stream_of("x", data)).collect()
    }

    fn stream_of(name: &str, data: &str) -> String {
        format!("event: {name}\ndata: {data}\n\n")
    }

    /// A stream as OpenRouter's Messages endpoint sends it, with all that breaks SDKs.
    fn openrouters() -> String {
        let [copy_start, copy_stop] = copy(2);
        let text_start =
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}"#;
        let text_stop = r#"{"type":"content_block_stop","index":1}"#;
        let events = [
            START,
            THINKING,
            SIGNED,
            STOP_0,
            text_start,
            TEXT,
            text_stop,
            &copy_start,
            &copy_stop,
            DELTA,
            STOP,
        ];
        let events = stream(&events);
        format!(": OPENROUTER\n\n{events}event: data\ndata: [DONE]\n\n")
    }

    fn passage() -> Passage {
        let body = r#"{"model":"sonnet","max_tokens":1,"messages":[{"role":"user","content":"hello you"}]}"#;
        Passage::new(PassageSettings {
            message_id: "msg_ours".to_owned(),
            model: Some("sonnet".to_owned()),
            request_id: "req_1".to_owned(),
            body: Some(Arc::new(body.to_owned())),
        })
    }

    fn passed(stream: &str, piece: usize) -> (String, Summary) {
        let mut passage = passage();
        let mut out = Vec::new();
        for bytes in stream.as_bytes().chunks(piece) {
            passage.push(bytes, &mut out);
        }
        if !passage.is_done() {
            passage.end(&mut out);
        }
        (String::from_utf8(out).unwrap(), passage.summary())
    }

    #[test]
    fn everything_of_a_block_that_repeats_a_thought_is_left_out() {
        let [copy_start, copy_stop] = copy(1);
        let inside =
            r#"{"type":"content_block_delta","index":1,"delta":{"type":"x","signature":"y"}}"#;
        let [again_start, again_stop] = copy(2);
        let text =
            r#"{"type":"content_block_start","index":3,"content_block":{"type":"text","text":""}}"#;
        let events = [
            START,
            THINKING,
            SIGNED,
            STOP_0,
            &copy_start,
            inside,
            inside,
            &copy_stop,
            &again_start,
            &again_stop,
            text,
            DELTA,
            STOP,
        ];
        let (out, summary) = passed(&stream(&events), usize::MAX);
        assert_eq!(out.matches("event: content_block").count(), 4, "{out}");
        assert!(
            out.contains(r#""index":1,"content_block":{"type":"text""#),
            "{out}"
        );
        assert_eq!(summary.notes.len(), 1, "{:?}", summary.notes);
        assert_eq!(summary.chunks, 13);
    }

    #[test]
    fn tokens_that_were_counted_in_any_way_are_not_estimated() {
        let plain = stream(&[START, TEXT, TEXT, TEXT, DELTA, STOP]);
        for (count, is_estimated) in [
            (r#""input_tokens":0"#, true),
            (r#""input_tokens":0,"cache_read_input_tokens":9"#, false),
            (r#""input_tokens":0,"cache_creation_input_tokens":9"#, false),
            (
                r#""input_tokens":3,"cache_creation_input_tokens":9,"cache_read_input_tokens":5"#,
                false,
            ),
            (
                r#""input_tokens":18446744073709551615,"cache_read_input_tokens":1"#,
                false,
            ),
        ] {
            let (out, summary) =
                passed(&plain.replacen(r#""input_tokens":0"#, count, 1), usize::MAX);
            assert_eq!(!out.contains(count), is_estimated, "{out}");
            assert_eq!(summary.chunks, 6);
        }
        assert_eq!(estimate(&"x".repeat(401)), 100);
    }

    #[test]
    fn what_is_no_event_does_not_pass() {
        for stream in [
            "data: {\"type\":\"content_block_delta\",\"index\":0",
            "data: {\"type\":\"content_block_delta\",]}\n\n",
            "data: {\"type\":\"x\\n\\ndata: {}\"}\n\n",
            "data: {\"type\":\"\"}\n\n",
            "data: {\"type\":\"a word\"}\n\n",
            "data: {}\n\n",
            "data: [\"ping\"]\n\n",
        ] {
            let (passed, _) = passed(stream, usize::MAX);
            assert!(passed.starts_with("event: error\n"), "{passed}");
            assert_eq!(passed.matches("event: ").count(), 1, "{passed}");
        }
    }

    #[test]
    fn a_stream_passes_without_what_breaks_sdks_however_it_is_cut() {
        let whole = openrouters();
        let (out, _) = passed(&whole, usize::MAX);
        for piece in [1, 2, 3, 7, 64] {
            assert_eq!(passed(&whole, piece).0, out, "in pieces of {piece}");
        }
        let names: Vec<&str> = out
            .lines()
            .filter_map(|line| line.strip_prefix("event: "))
            .collect();
        assert_eq!(
            names,
            [
                "message_start",
                "content_block_start",
                "content_block_delta",
                "content_block_stop",
                "content_block_start",
                "content_block_delta",
                "content_block_stop",
                "message_delta",
                "message_stop"
            ]
        );
        assert!(!out.contains("DONE") && !out.contains("redacted"));
        assert!(
            out.contains(r#""id":"msg_ours","model":"sonnet","content":[]"#),
            "{out}"
        );
        assert!(!out.contains(r#""input_tokens":0"#), "{out}");
        assert!(out.contains(&format!("data: {DELTA}\n\n")), "untouched");
    }

    #[test]
    fn what_a_stream_says_of_itself_is_known_at_its_end() {
        let (_, summary) = passed(&openrouters(), usize::MAX);
        assert_eq!(summary.response_id.as_deref(), Some("gen-1"));
        assert_eq!(
            summary.model_used.as_deref(),
            Some("anthropic/claude-4.6-sonnet")
        );
        assert_eq!(summary.provider.as_deref(), Some("Anthropic"));
        assert_eq!(summary.stop_reason, Some(StopReason::EndTurn));
        let usage = summary.usage;
        assert_eq!(
            (
                usage.input_tokens,
                usage.cache_read_input_tokens,
                usage.output_tokens
            ),
            (11, 5, 7)
        );
        assert_eq!(
            (usage.thinking_tokens, summary.cost_usd),
            (Some(3), Some(0.25))
        );
        assert!(!summary.usage_is_estimate);
        assert_eq!(summary.notes.len(), 1);
    }

    #[test]
    fn blocks_behind_one_that_is_left_out_move_up() {
        let [copy_start, copy_stop] = copy(1);
        let later = [
            r#"{"type":"content_block_start","index":2,"content_block":{"type":"text","text":"{\"index\":2}"}}"#,
            r#"{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"x"}}"#,
            r#"{"index":2,"type":"content_block_stop"}"#,
        ];
        let mut events = vec![START, THINKING, SIGNED, STOP_0, &copy_start, &copy_stop];
        events.extend(later);
        events.extend([DELTA, STOP]);
        let (out, _) = passed(&stream(&events), usize::MAX);
        assert!(
            out.contains(r#""index":1,"content_block":{"type":"text","text":"{\"index\":2}"}"#),
            "{out}"
        );
        assert!(
            out.contains(r#""index":1,"delta""#)
                && out.contains(r#"{"index":1,"type":"content_block_stop"}"#)
        );
    }

    #[test]
    fn what_anthropic_sends_passes_byte_for_byte() {
        let start = r#"{"type": "message_start", "message": {"id":"msg_1","model":"sonnet","usage":{"input_tokens":3,"output_tokens":1}}}"#;
        let new = r#"{"type":"brand_new","x":[1,2]}"#;
        let mut expected = String::new();
        for (name, data) in [
            ("message_start", start),
            ("ping", r#"{"type": "ping"}"#),
            ("brand_new", new),
            ("message_delta", DELTA),
            ("message_stop", STOP),
        ] {
            expected.push_str(&stream_of(name, data));
        }
        let mut passage = Passage::new(PassageSettings::default());
        let mut out = Vec::new();
        passage.push(expected.as_bytes(), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        assert!(passage.is_done());
    }

    #[test]
    fn a_passage_is_known_to_be_under_way_finishing_or_done() {
        let mut passage = passage();
        let mut out = Vec::new();
        let states = [START, TEXT, DELTA, STOP].map(|data| {
            passage.push(stream(&[data]).as_bytes(), &mut out);
            (passage.is_finishing(), passage.is_done(), passage.events())
        });
        let under_way = |events| (false, false, events);
        assert_eq!(
            states,
            [
                under_way(1),
                under_way(2),
                (true, false, 3),
                (false, true, 4)
            ]
        );
        let length = out.len();
        passage.ping(&mut out);
        passage.fail(ApiError::timeout("late"), &mut out);
        passage.push(stream(&[TEXT]).as_bytes(), &mut out);
        assert_eq!(out.len(), length, "nothing follows the last event");
        assert!(passage.summary().error.is_none());
    }

    #[test]
    fn a_ping_of_the_gateways_own_may_stand_between_events() {
        let mut passage = passage();
        let mut out = Vec::new();
        passage.ping(&mut out);
        let out = String::from_utf8(out).unwrap();
        assert_eq!(out, "event: ping\ndata: {\"type\":\"ping\"}\n\n");
        assert_eq!(passage.events(), 0);
    }

    #[test]
    fn an_event_over_several_lines_passes_in_one() {
        let cut = "data: {\"type\":\ndata: \"ping\",\ndata: \"x\":1}\n\ndata:\n\n";
        let mut passage = passage();
        let mut out = Vec::new();
        passage.push(cut.as_bytes(), &mut out);
        let out = String::from_utf8(out).unwrap();
        assert_eq!(out, "event: ping\ndata: {\"type\": \"ping\", \"x\":1}\n\n");
    }

    #[test]
    fn an_answer_whose_last_line_is_cut_is_judged_by_what_came() {
        let whole = stream(&[START, TEXT, DELTA]) + "data: " + STOP;
        let (out, summary) = passed(&whole, usize::MAX);
        assert!(summary.error.is_none(), "{out}");
        assert_eq!(out.matches("event: message_stop").count(), 1);
        assert_eq!(summary.notes.len(), 0, "{:?}", summary.notes);
    }

    #[test]
    fn a_thought_that_was_never_said_is_no_repeat() {
        let [copy_start, copy_stop] = copy(0);
        let (out, _) = passed(&stream(&[START, &copy_start, &copy_stop, DELTA, STOP]), 5);
        assert!(out.contains(&format!("data: {copy_start}\n")), "{out}");
        assert!(out.contains(&format!("data: {copy_stop}\n")), "{out}");
    }

    #[test]
    fn a_copy_repeats_a_thought_and_nothing_else_that_was_said() {
        let data = BASE64_STANDARD.encode(r#"{"signature":null,"text":"t"}"#);
        let unsigned = format!(
            r#"{{"type":"content_block_start","index":1,"content_block":{{"type":"redacted_thinking","data":"openrouter.reasoning:{data}"}}}}"#
        );
        let [signed, _] = copy(1);
        let text =
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
        let at_once = THINKING.replace(r#""signature":"""#, r#""signature":"sig""#);
        for (said, copy, is_left_out) in [
            (text, &unsigned, false),
            (THINKING, &unsigned, true),
            (THINKING, &signed, false),
            (&at_once, &signed, true),
        ] {
            let (out, _) = passed(&stream(&[START, said, STOP_0, copy]), usize::MAX);
            assert_eq!(!out.contains("redacted"), is_left_out, "{said} {copy}");
        }
    }

    #[test]
    fn a_signature_in_pieces_is_known_once_its_block_has_ended() {
        let [piece, rest] =
            ["s", "ig"].map(|piece| SIGNED.replace("\"sig\"", &format!("{piece:?}")));
        let [signed, _] = copy(1);
        let events = [START, THINKING, &piece, &rest, STOP_0, &signed];
        let (out, _) = passed(&stream(&events), usize::MAX);
        assert!(!out.contains("redacted"), "{out}");
        let events = [START, THINKING, &piece, &rest, &signed];
        let (out, _) = passed(&stream(&events), usize::MAX);
        assert!(out.contains("redacted"), "{out}");
    }

    #[test]
    fn an_error_passes_word_for_word_and_ends_the_answer() {
        let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"theirs"}"#;
        let (out, summary) = passed(&stream(&[START, TEXT, error, TEXT]), usize::MAX);
        assert!(
            out.ends_with(&format!("event: error\ndata: {error}\n\n")),
            "{out}"
        );
        assert_eq!(summary.error.unwrap().message, "Overloaded");
        assert_eq!(summary.stop_reason, None);
    }

    #[test]
    fn a_broken_stream_ends_in_an_error_and_a_stopped_one_in_its_stop() {
        let (out, summary) = passed(&stream(&[START, TEXT]), usize::MAX);
        assert!(
            out.contains("event: error") && out.contains("req_1") && !out.contains("message_stop")
        );
        assert!(
            summary.error.is_some() && summary.usage_is_estimate && summary.usage.input_tokens > 0
        );
        let (out, summary) = passed(&stream(&[START, TEXT, DELTA]), usize::MAX);
        assert!(out.ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"));
        assert!(summary.error.is_none());
        let (out, _) = passed("data: <html>\n\n", usize::MAX);
        assert!(out.contains("no event of the Messages API"), "{out}");
    }
}
