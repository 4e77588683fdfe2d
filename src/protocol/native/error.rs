//! Errors of a server of the Messages API: judged like all others, told to the client word for word.

use std::sync::Arc;

use serde_json::Value;

use crate::protocol::anthropic::error::ErrorKind;
use crate::protocol::openrouter::error::{self, Headers, UpstreamError};

/// Reads an answer that is no message.
///
/// Whether another attempt may help is judged as in the chat lane. A body in Anthropic's form goes to the client as it is,
/// under the status that it came with; one in another form is put into Anthropic's.
#[must_use]
pub fn from_answer(
    status: u16,
    content_type: &str,
    headers: Headers<'_>,
    body: &[u8],
) -> UpstreamError {
    if status < 400 && is_completion(body) {
        return not_messages();
    }
    let judged = error::from_answer(status, content_type, headers, body);
    verbatim(judged, status, body)
}

/// Reads an `error` event, or a body under a 200 that is no message.
pub(super) fn from_event(data: &[u8]) -> UpstreamError {
    from_answer(200, "application/json", Headers::default(), data)
}

/// Whether an answer is a completion, or a chunk of one, that reports no error.
fn is_completion(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body)
        .is_ok_and(|json| json["choices"].is_array() && json["error"].is_null())
}

/// The server speaks the other API. It will the next time, too.
fn not_messages() -> UpstreamError {
    UpstreamError::of_no_use_ever(
        "it answers in the form of chat completions where a message was asked for; \
         give this model `lane = \"chat\"` in [[models.rules]]",
    )
}

fn verbatim(mut judged: UpstreamError, status: u16, body: &[u8]) -> UpstreamError {
    let Some((kind, text)) = anthropics(body) else {
        return judged;
    };
    if let Some(kind) = ErrorKind::named(&kind) {
        judged.api.kind = kind;
    }
    if (400..600).contains(&status) {
        judged.api.status = status;
    }
    judged.api.verbatim = Some(text);
    judged
}

/// The kind and the text of a body that is an error in Anthropic's form.
fn anthropics(body: &[u8]) -> Option<(String, Arc<str>)> {
    let json: Value = serde_json::from_slice(body).ok()?;
    let kind = json["error"]["type"].as_str()?;
    let has_form = json["type"] == "error" && json["error"]["message"].is_string();
    let text = std::str::from_utf8(body).ok()?.trim();
    has_form.then(|| (kind.to_owned(), Arc::from(text.replace(['\n', '\r'], " "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, body: &str) -> UpstreamError {
        from_answer(
            status,
            "application/json",
            Headers::default(),
            body.as_bytes(),
        )
    }

    #[test]
    fn an_error_in_anthropics_form_passes_word_for_word_and_is_judged() {
        let body = r#"{"type": "error","error":{"type":"overloaded_error","message":"Overloaded","extra":1},"request_id":"req_theirs"}"#;
        let error = answered(529, body);
        assert_eq!(error.api.body("req_ours"), body.as_bytes());
        assert_eq!(
            (error.api.status, error.api.kind),
            (529, ErrorKind::Overloaded)
        );
        assert!(error.retryable);
        let gone = answered(
            408,
            r#"{"type":"error","error":{"type":"timeout_error","message":"m"}}"#,
        );
        assert_eq!((gone.api.status, gone.retryable), (408, true));
        let refused = answered(
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 9 tokens > 8 maximum"}}"#,
        );
        assert_eq!((refused.api.status, refused.retryable), (400, false));
        let new = answered(
            409,
            r#"{"type":"error","error":{"type":"conflict_error","message":"m"}}"#,
        );
        assert_eq!(new.api.status, 409);
        assert!(String::from_utf8_lossy(&new.api.body("r")).contains("conflict_error"));
    }

    #[test]
    fn an_error_in_another_form_is_put_into_anthropics() {
        for body in [
            r#"{"error":{"message":"no such model","code":404}}"#,
            "<html>",
            r#"{"type":"error","error":"x"}"#,
            r#"{"type":"error","error":{"type":"not_found_error"}}"#,
            r#"{"type":"other","error":{"type":"not_found_error","message":"m"}}"#,
        ] {
            let error = answered(404, body);
            assert_eq!(
                (error.api.status, error.api.verbatim.is_none()),
                (404, true),
                "{body}"
            );
        }
    }

    #[test]
    fn an_error_over_several_lines_is_told_in_one() {
        let body =
            "\n{\"type\":\"error\",\r\n\"error\":{\"type\":\"api_error\",\"message\":\"m\"}}\n";
        let told = answered(500, body).api.body("r");
        let expected =
            "{\"type\":\"error\",  \"error\":{\"type\":\"api_error\",\"message\":\"m\"}}";
        assert_eq!(String::from_utf8(told).unwrap(), expected);
    }

    #[test]
    fn a_completion_is_no_message_and_the_cure_is_named() {
        let body = r#"{"object":"chat.completion","choices":[{"message":{"content":"hi"}}]}"#;
        for error in [answered(200, body), from_event(body.as_bytes())] {
            assert_eq!((error.api.status, error.retryable), (502, false));
            assert_eq!(error.api.should_retry, Some(false));
            assert!(error.api.message.contains("lane = \"chat\""));
        }
        let failed = answered(
            200,
            r#"{"choices":[],"error":{"code":429,"message":"slow"}}"#,
        );
        assert_eq!((failed.api.status, failed.retryable), (429, true));
    }

    #[test]
    fn an_event_means_the_status_of_its_kind() {
        let event =
            br#"{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}"#;
        let error = from_event(event);
        assert_eq!(
            (error.api.status, error.api.kind),
            (429, ErrorKind::RateLimit)
        );
        assert!(error.retryable);
    }
}
