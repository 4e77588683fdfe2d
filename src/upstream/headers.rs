//! Headers as they are shown and kept: a JSON object, secrets redacted.

use bytes::Bytes;
use serde::Serializer;

/// Headers whose values are secrets, in either direction.
const SECRET: [&str; 5] = [
    "authorization",
    "cookie",
    "proxy-authorization",
    "set-cookie",
    "x-api-key",
];

/// Writes headers, names in lower case, as one JSON object.
pub fn to_json<'a>(headers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Bytes {
    let mut text = Vec::with_capacity(768);
    let shown = headers.into_iter().map(|(name, value)| {
        let value = std::str::from_utf8(value).unwrap_or("[binary]");
        let is_secret = SECRET.contains(&name);
        (name, if is_secret { "[redacted]" } else { value })
    });
    let written = serde_json::Serializer::new(&mut text).collect_map(shown);
    written.expect("text is written into memory");
    Bytes::from(text)
}

#[cfg(test)]
mod tests {
    use super::*;

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
    }
}
