//! Headers as they are shown and kept: a JSON object, secrets redacted.

use bytes::Bytes;

use crate::facts::payload::SECRET_HEADERS;

/// Writes headers, names in lower case, as one JSON object.
pub fn to_json<'a>(headers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Bytes {
    let mut text = Vec::with_capacity(768);
    for (name, value) in headers {
        text.push(if text.is_empty() { b'{' } else { b',' });
        let value = std::str::from_utf8(value).unwrap_or("[binary]");
        let is_secret = SECRET_HEADERS.contains(&name);
        // A name is a token, which holds nothing to escape.
        text.push(b'"');
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b"\":");
        write_text(&mut text, if is_secret { "[redacted]" } else { value });
    }
    if text.is_empty() {
        text.push(b'{');
    }
    text.push(b'}');
    Bytes::from(text)
}

/// Most headers hold nothing to escape; looking costs less than escaping, and without a branch for each byte the least.
fn write_text(out: &mut Vec<u8>, text: &str) {
    let must_be_escaped = text.bytes().fold(false, |any, byte| {
        any | (byte < b' ' || byte == b'"' || byte == b'\\')
    });
    if must_be_escaped {
        serde_json::to_writer(out, text).expect("text is written into memory");
    } else {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    }
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
        assert_eq!(to_json([]), "{}");
    }
}
