//! A look at the beginning of an answer, while an error can still become a status.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::error::from_event;
use super::figures::{Head, text};
use crate::protocol::sse::{Reader, without_mark};
use crate::protocol::translate::reply::{Beginning, Peek, is_object};

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: std::borrow::Cow<'a, str>,
    #[serde(default)]
    error: Option<IgnoredAny>,
    /// A completion's, not a message's.
    #[serde(default)]
    choices: Option<IgnoredAny>,
}

/// Looks at the beginning of the body of a 200 answer.
#[must_use]
pub fn peek(bytes: &[u8]) -> Peek {
    if !is_object(bytes) {
        return Beginning::default().look(bytes, judged);
    }
    let bytes = without_mark(bytes);
    match serde_json::from_slice::<IgnoredAny>(bytes) {
        Ok(_) => match judged(bytes) {
            Peek::More => Peek::Fine,
            judged => judged,
        },
        Err(cut) if cut.is_eof() => Peek::More,
        Err(_) => Peek::Fine,
    }
}

/// The model that answers, as the beginning of a stream names it.
#[must_use]
pub fn answering_model(bytes: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Start<'a> {
        #[serde(borrow)]
        message: Head<'a>,
    }
    let mut reader = Reader::default();
    let mut input = bytes;
    while let Ok(Some(data)) = reader.next(&mut input) {
        if let Ok(Start { message }) = serde_json::from_slice(data) {
            return message.model.and_then(text);
        }
    }
    None
}

/// What an event says, when those before it said nothing: a start is no answer yet, and a ping never is.
#[must_use]
pub fn judged(data: &[u8]) -> Peek {
    match serde_json::from_slice::<Kind<'_>>(data) {
        Ok(event)
            if matches!(
                &*event.kind,
                "ping" | "message_start" | "content_block_start"
            ) =>
        {
            Peek::More
        }
        Ok(event)
            if event.kind == "error"
                || (event.kind.is_empty()
                    && (event.error.is_some() || event.choices.is_some())) =>
        {
            Peek::Error(Box::new(from_event(data)))
        }
        _ => Peek::Fine,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_seen_behind_pings_and_comments_only_at_the_beginning() {
        let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"m\"}}\n\n";
        let ping = ": x\n\nevent: ping\ndata: {\"type\": \"ping\"}\n\n";
        let start = "event: message_start\ndata: {\"type\":\"message_start\"}\n\n";
        let is_error = |text: &str| matches!(peek(text.as_bytes()), Peek::Error(_));
        assert!(is_error(error));
        assert!(is_error(&format!("{ping}{error}")));
        assert!(is_error(
            r#"{"type":"error","error":{"type":"api_error","message":"m"}}"#
        ));
        assert!(is_error(r#"{"error":{"message":"m","code":500}}"#));
        assert!(!is_error(r#"{"type":"message","error":{"message":"m"}}"#));
        assert!(!is_error(r#"{"message":"m"}"#));
        assert!(is_error(r#"{"object":"chat.completion","choices":[]}"#));
        assert!(is_error("data: {\"choices\":[{\"delta\":{}}]}\n\n"));
        assert!(!is_error(r#"{"type":"message","choices":[]}"#));
        assert!(!is_error(r#"{"error":null}"#));
        assert_eq!(peek(b"data: \n\ndata: {\"type\":"), Peek::More);
        assert_eq!(peek(b"{\"type\":]"), Peek::Fine);
        assert!(is_error(&format!("{ping}{start}{error}")));
        let block =
            "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0}\n\n";
        assert_eq!(peek(format!("{start}{block}").as_bytes()), Peek::More);
        assert!(is_error(&format!("{start}{block}{error}")));
        let delta = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\"}\n\n";
        let begun = format!("{start}{block}{delta}{error}");
        assert_eq!(peek(begun.as_bytes()), Peek::Fine);
        assert_eq!(peek(ping.as_bytes()), Peek::More);
        assert_eq!(peek(b"{\"type\":\"mess"), Peek::More);
        assert_eq!(peek(br#"{"type":"message","content":[]}"#), Peek::Fine);
        let marked = "\u{feff}{\"error\":{\"message\":\"m\",\"code\":500}}";
        assert!(is_error(marked));
    }
}
