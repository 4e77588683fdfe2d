//! Turns what a case says of the upstream's answer into its bytes.
//!
//! The shorthand of `chunks` has one line for each chunk, because a chunk's frame is the same every time:
//!
//! | line | chunk |
//! | --- | --- |
//! | `delta {…}` | a chunk with this delta; `role` is there as on the wire |
//! | `finish stop` or `finish stop STOP` | the finish reason, and the native one |
//! | `usage {…}` | the finish once more, with the usage, as upstreams send it |
//! | `{…}` | itself, as one `data:` line |
//! | `[DONE]` | the end marker |
//! | `: text` | a comment |
//! | `pause 16` | nothing for so many seconds |

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::case::Exchange;
use super::text::Mark;

/// The model that answers; a client must not see its name in place of the one it asked for.
const SERVED: &str = "conformance/served-model-20260101";

/// An answer's body before it is cut.
#[derive(Debug, Default)]
pub(super) struct Body {
    pub(super) content_type: &'static str,
    /// Pieces of the body, each with the pause before it; but for a stream with pauses, one.
    pub(super) parts: Vec<(Duration, Vec<u8>)>,
}

impl Body {
    fn of(content_type: &'static str, text: String) -> Self {
        Self {
            content_type,
            parts: vec![(Duration::ZERO, text.into_bytes())],
        }
    }
}

/// The body that an exchange answers with.
///
/// # Errors
/// In a sentence, what is wrong with the case.
pub(super) fn body(exchange: &Exchange, mark: &Mark) -> Result<Body, String> {
    const STREAM: &str = "text/event-stream";
    const JSON: &str = "application/json";
    let fill = |text: &String| mark.fill(text);
    if let Some(chunks) = exchange.chunks.as_ref().map(fill) {
        return Ok(Body {
            content_type: STREAM,
            parts: stream(&chunks)?,
        });
    }
    if let Some(raw) = exchange.raw.as_ref().map(fill) {
        return Ok(Body::of(STREAM, raw));
    }
    if let Some(json) = exchange.json.as_ref().map(fill) {
        return Ok(Body::of(JSON, json.trim().to_owned()));
    }
    if let Some(message) = exchange.message.as_ref().map(fill) {
        let completion = completion(&message, exchange)?;
        return Ok(Body::of(JSON, completion.to_string()));
    }
    let text = exchange.text.as_ref().map(fill).unwrap_or_default();
    Ok(Body::of("text/plain", text))
}

fn stream(chunks: &str) -> Result<Vec<(Duration, Vec<u8>)>, String> {
    let mut writer = Writer::default();
    let mut parts = Vec::new();
    let mut pause = Duration::ZERO;
    for line in chunks.lines().map(str::trim) {
        if let Some(seconds) = line.strip_prefix("pause ") {
            let seconds = seconds
                .parse()
                .map_err(|_| format!("`{line}` is no pause"))?;
            parts.push((pause, std::mem::take(&mut writer.out).into_bytes()));
            pause = Duration::from_secs(seconds);
        } else {
            writer.line(line)?;
        }
    }
    parts.push((pause, writer.out.into_bytes()));
    Ok(parts)
}

#[derive(Default)]
struct Writer {
    out: String,
    finish: Value,
    native: Value,
}

impl Writer {
    fn line(&mut self, line: &str) -> Result<(), String> {
        if let Some(delta) = line.strip_prefix("delta ") {
            let mut whole = json!({ "role": "assistant" });
            merge(&mut whole, parse(delta)?);
            self.chunk(&whole, &Value::Null, &Value::Null, None);
        } else if let Some(finish) = line.strip_prefix("finish ") {
            let (finish, native) = finish.split_once(' ').unwrap_or((finish, finish));
            self.finish = finish.into();
            self.native = native.into();
            self.finishing(None);
        } else if let Some(usage) = line.strip_prefix("usage ") {
            let usage = parse(usage)?;
            self.finishing(Some(usage));
        } else if line.starts_with('{') || line == "[DONE]" {
            let _ = write!(self.out, "data: {line}\n\n");
        } else if line.starts_with(':') {
            let _ = write!(self.out, "{line}\n\n");
        } else if !line.is_empty() {
            return Err(format!("`{line}` is no line of `chunks`"));
        }
        Ok(())
    }

    fn finishing(&mut self, usage: Option<Value>) {
        let delta = json!({ "role": "assistant", "content": "" });
        let (finish, native) = (self.finish.clone(), self.native.clone());
        self.chunk(&delta, &finish, &native, usage);
    }

    fn chunk(&mut self, delta: &Value, finish: &Value, native: &Value, usage: Option<Value>) {
        let mut chunk = json!({
            "id": "gen-conformance", "object": "chat.completion.chunk", "created": 1_790_000_000,
            "model": SERVED, "provider": "Conformance",
            "choices": [{ "index": 0, "delta": delta, "finish_reason": finish, "native_finish_reason": native, "logprobs": null }],
        });
        if let Some(usage) = usage {
            chunk["usage"] = usage;
        }
        let _ = write!(self.out, "data: {chunk}\n\n");
    }
}

fn completion(message: &str, exchange: &Exchange) -> Result<Value, String> {
    let mut whole = json!({ "role": "assistant", "content": null, "refusal": null });
    merge(&mut whole, parse(message)?);
    let finish = exchange.finish.as_deref().unwrap_or("stop");
    let native = exchange.native.as_deref().unwrap_or(finish);
    let mut completion = json!({
        "id": "gen-conformance", "object": "chat.completion", "created": 1_790_000_000,
        "model": SERVED, "provider": "Conformance", "system_fingerprint": null,
        "choices": [{
            "index": 0, "message": whole, "finish_reason": finish, "native_finish_reason": native, "logprobs": null,
        }],
    });
    if let Some(usage) = &exchange.usage {
        completion["usage"] = parse(usage)?;
    }
    Ok(completion)
}

fn merge(into: &mut Value, from: Value) {
    let into: Option<&mut Map<String, Value>> = into.as_object_mut();
    if let (Some(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

fn parse(json: &str) -> Result<Value, String> {
    serde_json::from_str(json).map_err(|error| format!("{error} in {json}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shorthand_writes_what_upstreams_write() {
        let script = "delta {\"content\":\"Hi\"}\n: waiting\nfinish stop STOP\nusage {\"prompt_tokens\":1}\n[DONE]";
        let parts = stream(script).unwrap();
        let bytes = String::from_utf8(parts[0].1.clone()).unwrap();
        let lines: Vec<&str> = bytes.split("\n\n").collect();
        let last: Value = serde_json::from_str(lines[3].strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(last["choices"][0]["finish_reason"], "stop");
        assert_eq!(last["choices"][0]["native_finish_reason"], "STOP");
        assert_eq!(last["usage"]["prompt_tokens"], 1);
        assert_eq!(lines[1], ": waiting");
        assert_eq!(lines[4], "data: [DONE]");
        assert!(stream("deltas {}").is_err());
        let paused = stream(": one\npause 2\n: two").unwrap();
        assert_eq!(paused[1], (Duration::from_secs(2), b": two\n\n".to_vec()));
    }
}
