//! A look at the beginning of an answer, while an error can still become a status.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::error::from_event;
use crate::protocol::sse::Reader;
use crate::protocol::translate::reply::Peek;

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

/// Looks at the first bytes of the body of a 200 answer. Pings say nothing.
#[must_use]
pub fn peek(bytes: &[u8]) -> Peek {
    if bytes.trim_ascii_start().first() == Some(&b'{') {
        return match serde_json::from_slice::<IgnoredAny>(bytes) {
            Ok(_) => judged(bytes).unwrap_or(Peek::Fine),
            Err(cut) if cut.is_eof() => Peek::More,
            Err(_) => Peek::Fine,
        };
    }
    let mut reader = Reader::default();
    let mut input = bytes;
    loop {
        match reader.next(&mut input) {
            Ok(Some(data)) => {
                if let Some(judged) = judged(data) {
                    return judged;
                }
            }
            Ok(None) => return Peek::More,
            Err(_) => return Peek::Fine,
        }
    }
}

fn judged(data: &[u8]) -> Option<Peek> {
    if data.trim_ascii().is_empty() {
        return None;
    }
    match serde_json::from_slice::<Kind<'_>>(data) {
        Ok(event) if event.kind == "ping" => None,
        Ok(event)
            if event.kind == "error"
                || (event.kind.is_empty()
                    && (event.error.is_some() || event.choices.is_some())) =>
        {
            Some(Peek::Error(Box::new(from_event(data))))
        }
        _ => Some(Peek::Fine),
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
        assert_eq!(peek(format!("{ping}{start}{error}").as_bytes()), Peek::Fine);
        assert_eq!(peek(ping.as_bytes()), Peek::More);
        assert_eq!(peek(b"{\"type\":\"mess"), Peek::More);
        assert_eq!(peek(br#"{"type":"message","content":[]}"#), Peek::Fine);
    }
}
