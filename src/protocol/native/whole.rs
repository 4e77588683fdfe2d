//! An answer that was not streamed passes.

use serde_json::Value;
use serde_json::value::RawValue;

use super::block::Block;
use super::error::from_event;
use super::figures::{Figures, Head, Words};
use super::passage::{PassageSettings, estimate, rename, unnamed_stop};
use super::repeat::{LEFT_OUT, Thoughts};
use super::splice::Splice;
use crate::protocol::anthropic::error::ApiError;
use crate::protocol::sse::without_mark;
use crate::protocol::translate::reply::Summary;

/// Passes a message on.
///
/// # Errors
/// What the upstream said was wrong, or that its answer is no message.
pub fn whole(settings: &PassageSettings, body: &[u8]) -> (Result<Vec<u8>, ApiError>, Summary) {
    let body = without_mark(body);
    let mut figures = Figures::default();
    // A struct can be read from a list, too.
    let is_object = body.trim_ascii_start().starts_with(b"{");
    let head = serde_json::from_slice::<Head<'_>>(body).ok();
    let head = head.filter(|_| is_object);
    let Some((head, raw)) = head.and_then(|head| {
        let content = head.content.filter(|content| content.get() != "null")?;
        Some((head, content))
    }) else {
        let error = from_event(body).api;
        let mut summary = figures.summary(0);
        summary.error = Some(error.clone());
        return (Err(error), summary);
    };
    let mut splice = Splice::new(body);
    rename(&head, settings, &mut splice);
    let content = content(raw);
    figures.said(content.said);
    figures.head(&head);
    figures.used_in_all(head.usage);
    if content.has_repeats {
        figures.summary.notes.push(LEFT_OUT.to_owned());
    }
    if let Some(mended) = content.mended {
        splice.replace(raw, mended);
    }
    let mut summary = figures.summary(0);
    if !figures.has_counted_input() {
        let body = settings.body.as_ref();
        summary.usage.input_tokens = body.map_or(0, |body| estimate(body));
    }
    summary.chunks = 1;
    mend_usage(&head, &summary, &mut splice);
    if let Some(stop) = unnamed_stop(settings, summary.stop_reason, head.stop_sequence) {
        match head.stop_sequence {
            Some(null) => splice.replace_string(null, stop),
            None => splice.add_to_all(&format!("\"stop_sequence\":{}", Value::from(stop))),
        }
    }
    let message = splice.done().unwrap_or_else(|| body.to_vec());
    (Ok(message), summary)
}

/// A message without usage gets one, which SDKs take for granted.
fn mend_usage(head: &Head<'_>, summary: &Summary, splice: &mut Splice<'_>) {
    let usage = format!(
        r#"{{"input_tokens":{},"output_tokens":{}}}"#,
        summary.usage.input_tokens, summary.usage.output_tokens
    );
    match head.usage {
        None => splice.add_to_all(&format!("\"usage\":{usage}")),
        Some(raw) if !raw.get().starts_with('{') => splice.replace(raw, usage),
        Some(_) => {}
    }
}

/// What the blocks of a message are.
#[derive(Default)]
struct Content {
    /// The list without repeated thoughts and with what SDKs take for granted; `None` when it stays as it is.
    mended: Option<String>,
    has_repeats: bool,
    /// Bytes of their words.
    said: usize,
}

fn content(raw: &RawValue) -> Content {
    let mut content = Content::default();
    let Ok(blocks) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) else {
        return content;
    };
    let mut thoughts = Thoughts::default();
    let mut kept = Vec::with_capacity(blocks.len());
    let mut is_mended = false;
    for raw in &blocks {
        let is_object = raw.get().starts_with('{');
        let read = serde_json::from_str::<Block<'_>>(raw.get()).ok();
        let Some(block) = read.filter(|_| is_object) else {
            kept.push(raw.get().to_owned());
            continue;
        };
        if block.kind == "thinking" {
            thoughts.begin(&block.signature());
            thoughts.end();
        }
        if block.kind == "redacted_thinking" && thoughts.are_repeated_by(&block.data()) {
            content.has_repeats = true;
            continue;
        }
        let words = serde_json::from_str::<Words<'_>>(raw.get());
        content.said += words.map_or(0, |words| words.bytes());
        let mut splice = Splice::new(raw.get().as_bytes());
        block.mend(raw, &mut splice);
        let mended = splice.done().and_then(|done| String::from_utf8(done).ok());
        is_mended |= mended.is_some();
        kept.push(mended.unwrap_or_else(|| raw.get().to_owned()));
    }
    if is_mended || content.has_repeats {
        content.mended = Some(format!("[{}]", kept.join(",")));
    }
    content
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use serde_json::json;

    use super::*;

    fn passed(body: &Value) -> Value {
        let settings = PassageSettings {
            message_id: "msg_ours".to_owned(),
            model: Some("opus".to_owned()),
            ..PassageSettings::default()
        };
        let (message, summary) = whole(&settings, body.to_string().as_bytes());
        assert_eq!(summary.usage.output_tokens, 2);
        serde_json::from_slice(&message.unwrap()).unwrap()
    }

    #[test]
    fn names_are_put_back_and_repeated_thoughts_left_out() {
        let copy =
            BASE64_STANDARD.encode(r#"{"signature":"sig","text":"t","type":"reasoning.text"}"#);
        let thinking = json!({"type":"thinking","thinking":"t","signature":"sig"});
        let text = json!({"type":"text","text":"hi","citations":[]});
        let body = json!({
            "id": "gen-1", "type": "message", "role": "assistant", "model": "anthropic/claude-x",
            "content": [thinking, text, {"type":"redacted_thinking","data":format!("openrouter.reasoning:{copy}")}],
            "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 2, "cost": 0.5},
        });
        let passed = passed(&body);
        assert_eq!(passed["content"], json!([thinking, text]));
        assert_eq!(
            (&passed["id"], &passed["model"]),
            (&json!("msg_ours"), &json!("opus"))
        );
        assert_eq!(passed["usage"], body["usage"], "all else stays");
    }

    #[test]
    fn a_message_that_needs_no_change_keeps_every_byte() {
        let body = br#"{ "id":"msg_1", "content" : [ {"type":"redacted_thinking","data":"Eqx"} ], "usage":{"input_tokens":3} }"#;
        let (message, summary) = whole(&PassageSettings::default(), body);
        assert_eq!(message.unwrap(), body);
        assert_eq!(summary.usage.input_tokens, 3);
    }

    #[test]
    fn the_only_stop_sequence_is_named_when_it_was_met() {
        let named = |only: Option<&str>, message: &str| {
            let settings = PassageSettings {
                only_stop: only.map(str::to_owned),
                ..PassageSettings::default()
            };
            let (message, _) = whole(&settings, message.as_bytes());
            let message: Value = serde_json::from_slice(&message.unwrap()).unwrap();
            message["stop_sequence"].clone()
        };
        let usage = r#""content":[],"usage":{"input_tokens":1,"output_tokens":1}"#;
        let met = format!(r#"{{"stop_reason":"stop_sequence","stop_sequence":null,{usage}}}"#);
        assert_eq!(named(Some("</x>"), &met), "</x>");
        assert_eq!(named(None, &met), Value::Null);
        let unsaid = format!(r#"{{"stop_reason":"stop_sequence",{usage}}}"#);
        assert_eq!(named(Some("\""), &unsaid), "\"");
        let said = met.replace("null", r#""a""#);
        assert_eq!(named(Some("</x>"), &said), "a");
        let other = met.replacen("stop_sequence", "end_turn", 1);
        assert_eq!(named(Some("</x>"), &other), Value::Null);
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        for body in [
            &br#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#[..],
            b"{}",
            b"[1]",
            b"",
        ] {
            let (message, summary) = whole(&PassageSettings::default(), body);
            assert!(message.is_err() && summary.error.is_some());
        }
    }

    #[test]
    fn what_sdks_take_for_granted_is_added_and_counted() {
        let settings = PassageSettings {
            body: Some(Arc::new("x".repeat(35))),
            ..PassageSettings::default()
        };
        let words = "y".repeat(400);
        let body = format!(
            r#" {{"id":"msg_1","content":[{{"type":"thinking","thinking":"{words}"}},"odd",{{"type":"text","text":"x"}}]}}"#
        );
        let (message, summary) = whole(&settings, body.as_bytes());
        let message: Value = serde_json::from_slice(&message.unwrap()).unwrap();
        let thought = json!({"type":"thinking","thinking":words,"signature":""});
        let text = json!({"type":"text","text":"x"});
        assert_eq!(message["content"], json!([thought, "odd", text]));
        assert_eq!(
            message["usage"],
            json!({"input_tokens": 10, "output_tokens": 101})
        );
        assert!(summary.usage_is_estimate);
        assert_eq!(summary.usage.output_tokens, 101);
        let (message, _) = whole(&settings, br#"{"content":[],"usage":null}"#);
        let message: Value = serde_json::from_slice(&message.unwrap()).unwrap();
        assert_eq!(
            message["usage"],
            json!({"input_tokens": 10, "output_tokens": 0})
        );
    }
}
