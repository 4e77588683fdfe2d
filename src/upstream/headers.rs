//! Headers as they are shown and kept: a JSON object, secrets redacted.

use bytes::Bytes;
use reqwest::header::HeaderMap;

use crate::facts::payload::is_secret_header;

/// Writes headers, names in lower case, as one JSON object. The values of a name that comes several times, one after the
/// other, are an array.
pub fn to_json<'a>(headers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Bytes {
    let mut text = Vec::with_capacity(768);
    let mut headers = headers.into_iter().peekable();
    let mut before = None;
    while let Some((name, value)) = headers.next() {
        let is_first = before != Some(name);
        let is_last = headers.peek().is_none_or(|(next, _)| *next != name);
        text.push(if text.is_empty() { b'{' } else { b',' });
        if is_first {
            // A name is a token, which holds nothing to escape.
            text.push(b'"');
            text.extend_from_slice(name.as_bytes());
            text.extend_from_slice(b"\":");
            text.extend_from_slice(if is_last { b"" } else { b"[" });
        }
        let is_secret = is_secret_header(name);
        write_value(&mut text, if is_secret { b"[redacted]" } else { value });
        text.extend_from_slice(if is_first || !is_last { b"" } else { b"]" });
        before = Some(name);
    }
    if text.is_empty() {
        text.push(b'{');
    }
    text.push(b'}');
    Bytes::from(text)
}

/// Writes headers that are to be sent; those marked as sensitive are secrets, whatever they are called.
#[must_use]
pub fn sent_to_json(headers: &HeaderMap) -> Bytes {
    to_json(headers.iter().map(|(name, value)| {
        let shown: &[u8] = if value.is_sensitive() {
            b"[redacted]"
        } else {
            value.as_bytes()
        };
        (name.as_str(), shown)
    }))
}

/// Most headers are plain letters. To look at them all at once, without a branch for each, costs the least.
fn write_value(out: &mut Vec<u8>, value: &[u8]) {
    let is_plain = value.iter().fold(true, |all, &byte| {
        all & (matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\')
    });
    if is_plain {
        out.push(b'"');
        out.extend_from_slice(value);
        out.push(b'"');
        return;
    }
    let text = std::str::from_utf8(value).unwrap_or("[binary]");
    serde_json::to_writer(out, text).expect("text is written into memory");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_by_the_words_of_its_name() {
        for name in [
            "authorization",
            "proxy-authorization",
            "x-api-key",
            "api-key",
            "x-goog-api-key",
            "cookie",
            "set-cookie",
            "x-auth-token",
            "x-forwarded-access-token",
            "cf-access-client-secret",
            "cf-access-jwt-assertion",
            "x-amzn-oidc-data",
            "x-amz-security-token",
            "x-litellm-api-key",
            "ocp-apim-subscription-key",
        ] {
            assert!(is_secret_header(name), "{name}");
        }
        for name in [
            "idempotency-key",
            "anthropic-ratelimit-tokens-remaining",
            "x-ratelimit-limit-tokens",
            "x-claude-code-session-id",
            "user-agent",
            "anthropic-beta",
            "keep-alive",
        ] {
            assert!(!is_secret_header(name), "{name}");
        }
    }

    #[test]
    fn secrets_are_redacted_and_texts_escaped() {
        let headers = [
            ("authorization", &b"Bearer sk"[..]),
            ("x-note", b"say \"hi\""),
            ("x-odd", b"\xff"),
        ];
        let text = to_json(headers);
        assert_eq!(
            text,
            r#"{"authorization":"[redacted]","x-note":"say \"hi\"","x-odd":"[binary]"}"#
        );
        assert_eq!(to_json([]), "{}");
    }

    #[test]
    fn a_header_of_several_lines_is_an_array() {
        let line = |value: &'static str| ("anthropic-beta", value.as_bytes());
        let other = ("accept", &b"a"[..]);
        for (headers, expected) in [
            (vec![line("1")], r#"{"anthropic-beta":"1"}"#),
            (
                vec![line("1"), line("2")],
                r#"{"anthropic-beta":["1","2"]}"#,
            ),
            (
                vec![other, line("1"), line("2"), line("3"), other],
                r#"{"accept":"a","anthropic-beta":["1","2","3"],"accept":"a"}"#,
            ),
        ] {
            assert_eq!(to_json(headers), expected);
        }
    }
}
