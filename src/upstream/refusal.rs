//! Why there is no answer to go on with, and the refusal of the upstream behind it.

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::protocol::openrouter::error::UpstreamError;

/// Why there is no answer to go on with.
#[derive(Debug)]
pub struct Failure {
    /// The failure, mapped for the client.
    pub error: Box<UpstreamError>,
    /// What the upstream said, if it answered at all.
    pub refusal: Option<Box<Refusal>>,
}

/// An answer that is a refusal.
#[derive(Debug)]
pub struct Refusal {
    /// Its status: 200 when the error is all that the body says.
    pub status: u16,
    /// Its headers, for showing.
    pub headers: Bytes,
    /// Its body, as far as it was read.
    pub body: Bytes,
}

impl Refusal {
    /// What this means for the call.
    #[must_use]
    pub fn into_failure(self, error: UpstreamError) -> Failure {
        Failure {
            error: Box::new(error),
            refusal: Some(Box::new(self)),
        }
    }

    /// The answer as one line of JSON, for the record: a body that is JSON as such, any other as a text.
    #[must_use]
    pub fn line(&self, attempt: u16) -> Bytes {
        let headers = String::from_utf8_lossy(&self.headers);
        let body = match serde_json::from_slice::<&RawValue>(&self.body) {
            // Line ends are white space in JSON, and would end the line here.
            Ok(json) => json.get().replace(['\n', '\r'], " "),
            Err(_) => Value::from(String::from_utf8_lossy(&self.body)).to_string(),
        };
        let status = self.status;
        format!(
            "{{\"attempt\":{attempt},\"status\":{status},\"headers\":{headers},\"body\":{body}}}\n"
        )
        .into()
    }
}

impl From<UpstreamError> for Failure {
    fn from(error: UpstreamError) -> Self {
        Self {
            error: Box::new(error),
            refusal: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_one_line_whatever_its_body() {
        for (body, shown) in [
            (
                &b"{\"error\":\n{\"code\": 1.0}}\r\n"[..],
                "{\"error\": {\"code\": 1.0}}",
            ),
            (
                b"<h1>\nBad \"gateway\"</h1>",
                r#""<h1>\nBad \"gateway\"</h1>""#,
            ),
            (b"", "\"\""),
            (b"\xff", "\"\u{fffd}\""),
        ] {
            let refusal = Refusal {
                status: 502,
                headers: Bytes::from_static(b"{\"x\":\"y\"}"),
                body: body.into(),
            };
            let line = String::from_utf8(refusal.line(2).to_vec()).unwrap();
            assert_eq!(
                line,
                format!(
                    "{{\"attempt\":2,\"status\":502,\"headers\":{{\"x\":\"y\"}},\"body\":{shown}}}\n"
                )
            );
            serde_json::from_str::<Value>(&line).unwrap();
        }
    }
}
