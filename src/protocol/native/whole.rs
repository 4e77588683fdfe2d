//! An answer that was not streamed passes.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::from_event;
use super::figures::{Figures, Head};
use super::passage::{PassageSettings, estimate, rename};
use super::repeat::Thoughts;
use super::splice::Splice;
use crate::protocol::anthropic::error::ApiError;
use crate::protocol::translate::reply::Summary;

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Block {
    #[serde(rename = "type")]
    kind: String,
    signature: Option<String>,
    data: Option<String>,
}

/// Passes a message on.
///
/// # Errors
/// What the upstream said was wrong, or that its answer is no message.
pub fn whole(settings: &PassageSettings, body: &[u8]) -> (Result<Vec<u8>, ApiError>, Summary) {
    let mut figures = Figures::default();
    // A struct can be read from a list, too.
    let is_object = body.trim_ascii_start().starts_with(b"{");
    let head = serde_json::from_slice::<Head<'_>>(body);
    let content = serde_json::from_slice::<Body<'_>>(body).ok();
    let content = content.and_then(|body| body.content).filter(|_| is_object);
    let (Ok(head), Some(content)) = (head, content) else {
        let error = from_event(body).api;
        let mut summary = figures.summary(0);
        summary.error = Some(error.clone());
        return (Err(error), summary);
    };
    figures.head(&head);
    let mut splice = Splice::new(body);
    rename(&head, settings, &mut splice);
    if let Some(kept) = without_repeats(content) {
        splice.replace(content, kept);
        let note =
            "a block that repeated a thought was left out, because clients take it for another one";
        figures.summary.notes.push(note.to_owned());
    }
    let message = splice.done().unwrap_or_else(|| body.to_vec());
    let estimate = || settings.body.as_ref().map_or(0, |body| estimate(body));
    let mut summary = figures.summary(0);
    if summary.usage_is_estimate {
        summary.usage.input_tokens = estimate();
    }
    summary.chunks = 1;
    (Ok(message), summary)
}

/// The content without the blocks that repeat a thought; `None` when there are none.
fn without_repeats(content: &RawValue) -> Option<String> {
    let blocks: Vec<&RawValue> = serde_json::from_str(content.get()).ok()?;
    let mut thoughts = Thoughts::default();
    let mut kept = Vec::with_capacity(blocks.len());
    for raw in &blocks {
        let block: Block = serde_json::from_str(raw.get()).unwrap_or_default();
        if block.kind == "thinking" {
            thoughts.begin(block.signature.as_deref().unwrap_or_default());
            thoughts.end();
        }
        let is_repeat = block.kind == "redacted_thinking"
            && thoughts.are_repeated_by(block.data.as_deref().unwrap_or_default());
        if !is_repeat {
            kept.push(raw.get());
        }
    }
    (kept.len() < blocks.len()).then(|| format!("[{}]", kept.join(",")))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use serde_json::{Value, json};

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
}
