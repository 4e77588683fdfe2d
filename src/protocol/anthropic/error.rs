//! Anthropic's errors: kinds, statuses, the JSON that carries them. Nothing else in Dagway makes error bodies.
//!
//! This file must not know where an error came from; the upstream's errors are read elsewhere.

use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::request::{InvalidRequest, THREAD_NOT_FOUND};
use crate::protocol::json_text;

/// The `error.type` of an Anthropic error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// 400, 422.
    InvalidRequest,
    /// 401.
    Authentication,
    /// 402.
    Billing,
    /// 403.
    Permission,
    /// 404.
    NotFound,
    /// 409.
    Conflict,
    /// 413.
    RequestTooLarge,
    /// 429.
    RateLimit,
    /// 500, 502.
    Api,
    /// 504.
    Timeout,
    /// 529.
    Overloaded,
}

impl ErrorKind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::InvalidRequest,
        Self::Authentication,
        Self::Billing,
        Self::Permission,
        Self::NotFound,
        Self::Conflict,
        Self::RequestTooLarge,
        Self::RateLimit,
        Self::Api,
        Self::Timeout,
        Self::Overloaded,
    ];

    /// The word that stands in `error.type`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request_error",
            Self::Authentication => "authentication_error",
            Self::Billing => "billing_error",
            Self::Permission => "permission_error",
            Self::NotFound => "not_found_error",
            Self::Conflict => "conflict_error",
            Self::RequestTooLarge => "request_too_large",
            Self::RateLimit => "rate_limit_error",
            Self::Api => "api_error",
            Self::Timeout => "timeout_error",
            Self::Overloaded => "overloaded_error",
        }
    }

    /// The kind that a word of another server of this API stands for.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The status that the kind usually has.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidRequest => 400,
            Self::Authentication => 401,
            Self::Billing => 402,
            Self::Permission => 403,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::RequestTooLarge => 413,
            Self::RateLimit => 429,
            Self::Api => 500,
            Self::Timeout => 504,
            Self::Overloaded => 529,
        }
    }
}

impl Serialize for ErrorKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// An error as the client gets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The HTTP status, when it can still be sent.
    pub status: u16,
    /// The kind.
    pub kind: ErrorKind,
    /// For a human, and for Claude Code, which keys on some wordings.
    pub message: String,
    /// The answer's `retry-after`.
    #[serde(serialize_with = "as_seconds")]
    pub retry_after: Option<Duration>,
    /// The answer's `x-should-retry`; the client decides by status when absent.
    pub should_retry: Option<bool>,
    /// Headers that another server of this API gave with it and that clients act on.
    #[serde(skip)]
    pub headers: Vec<(String, String)>,
    /// The whole body as another server of this API wrote it: then this is what the client gets.
    #[serde(skip)]
    pub verbatim: Option<Arc<str>>,
    /// Anthropic's own name for the cause (`error.details.error_code`), where the SDKs act on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
}

impl ApiError {
    /// An error of a kind, with the kind's usual status.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            status: kind.status(),
            kind,
            message: message.into(),
            retry_after: None,
            should_retry: None,
            headers: Vec::new(),
            verbatim: None,
            code: None,
        }
    }

    /// 400: the request is not understood.
    #[must_use]
    pub fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidRequest, message)
    }

    /// 401. Claude Code repeats these for minutes unless told not to, so it is told.
    #[must_use]
    pub fn authentication(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Authentication, message).retry(false)
    }

    /// 402: nobody pays.
    #[must_use]
    pub fn billing(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Billing, message).retry(false)
    }

    /// 403.
    #[must_use]
    pub fn permission(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Permission, message).retry(false)
    }

    /// 404: no such route or model.
    #[must_use]
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message).retry(false)
    }

    /// 413: the body is larger than `limit` bytes.
    #[must_use]
    pub fn request_too_large(limit: usize) -> Self {
        let message = format!("the request is larger than {} MB", limit >> 20);
        Self::new(ErrorKind::RequestTooLarge, message).retry(false)
    }

    /// 429.
    #[must_use]
    pub fn rate_limit(message: impl Into<String>, retry_after: Option<Duration>) -> Self {
        Self {
            retry_after,
            ..Self::new(ErrorKind::RateLimit, message)
        }
    }

    /// 500: a bug or a lack of Dagway's.
    #[must_use]
    pub fn api(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Api, message)
    }

    /// 502: the upstream cannot be reached or cannot be understood.
    #[must_use]
    pub fn bad_gateway(message: impl Into<String>) -> Self {
        Self {
            status: 502,
            ..Self::new(ErrorKind::Api, message)
        }
    }

    /// 504.
    #[must_use]
    pub fn timeout(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Timeout, message)
    }

    /// 529: the only kind that makes Claude Code try its fallback model.
    #[must_use]
    pub fn overloaded(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Overloaded, message)
    }

    /// Says whether the client should try again.
    #[must_use]
    pub fn retry(mut self, should_retry: bool) -> Self {
        self.should_retry = Some(should_retry);
        self
    }

    /// The JSON body of an answer.
    #[must_use]
    pub fn body(&self, request_id: &str) -> Vec<u8> {
        if let Some(body) = &self.verbatim {
            return body.as_bytes().to_vec();
        }
        let mut body = Vec::with_capacity(96 + self.message.len() + request_id.len());
        body.extend_from_slice(b"{\"type\":\"error\",\"error\":{\"type\":\"");
        body.extend_from_slice(self.kind.name().as_bytes());
        body.extend_from_slice(b"\",\"message\":\"");
        json_text::escape(&self.message, &mut body);
        body.push(b'"');
        if let Some(code) = self.code {
            body.extend_from_slice(b",\"details\":{\"error_code\":\"");
            body.extend_from_slice(code.as_bytes());
            body.extend_from_slice(b"\"}");
        }
        body.extend_from_slice(b"},\"request_id\":\"");
        json_text::escape(request_id, &mut body);
        body.extend_from_slice(b"\"}");
        body
    }

    /// The event that ends a stream.
    #[must_use]
    pub fn event(&self, request_id: &str) -> Vec<u8> {
        let mut event = b"event: error\ndata: ".to_vec();
        event.extend_from_slice(&self.body(request_id));
        event.extend_from_slice(b"\n\n");
        event
    }
}

impl From<InvalidRequest> for ApiError {
    fn from(refused: InvalidRequest) -> Self {
        let message = refused.to_string();
        let error = match refused.code {
            Some(THREAD_NOT_FOUND) => Self::not_found(message),
            _ => Self::invalid_request(message).retry(false),
        };
        Self {
            code: refused.code,
            ..error
        }
    }
}

#[expect(clippy::ref_option, reason = "serde passes a reference")]
fn as_seconds<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.serialize_some(&time.as_secs_f64()),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_what_the_sdks_type() {
        let error = ApiError::overloaded("no \"room\"\n");
        assert_eq!(error.status, 529);
        let body: serde_json::Value = serde_json::from_slice(&error.body("req_1")).unwrap();
        let expected = serde_json::json!({
            "type": "error",
            "error": {"type": "overloaded_error", "message": "no \"room\"\n"},
            "request_id": "req_1",
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn every_kind_has_its_name_and_status() {
        use ErrorKind::{
            Api, Authentication, Billing, Conflict, InvalidRequest, NotFound, Overloaded,
            Permission, RateLimit, RequestTooLarge, Timeout,
        };
        for (kind, name, status) in [
            (InvalidRequest, "invalid_request_error", 400),
            (Authentication, "authentication_error", 401),
            (Billing, "billing_error", 402),
            (Permission, "permission_error", 403),
            (NotFound, "not_found_error", 404),
            (Conflict, "conflict_error", 409),
            (RequestTooLarge, "request_too_large", 413),
            (RateLimit, "rate_limit_error", 429),
            (Api, "api_error", 500),
            (Timeout, "timeout_error", 504),
            (Overloaded, "overloaded_error", 529),
        ] {
            assert_eq!((kind.name(), kind.status()), (name, status));
            assert_eq!(ErrorKind::named(name), Some(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), name);
            assert_eq!(ApiError::new(kind, "m").status, status);
        }
        assert_eq!(ErrorKind::named("error"), None);
    }

    #[test]
    fn clients_are_told_not_to_repeat_what_cannot_succeed() {
        for (error, status, should_retry) in [
            (ApiError::authentication("m"), 401, Some(false)),
            (ApiError::billing("m"), 402, Some(false)),
            (ApiError::permission("m"), 403, Some(false)),
            (ApiError::not_found("m"), 404, Some(false)),
            (ApiError::request_too_large(32 << 20), 413, Some(false)),
            (ApiError::invalid_request("m"), 400, None),
            (ApiError::rate_limit("m", None), 429, None),
            (ApiError::api("m"), 500, None),
            (ApiError::bad_gateway("m"), 502, None),
            (ApiError::timeout("m"), 504, None),
            (ApiError::overloaded("m").retry(true), 529, Some(true)),
        ] {
            assert_eq!(
                (error.status, error.should_retry),
                (status, should_retry),
                "{error:?}"
            );
        }
        let large = ApiError::request_too_large(32 << 20);
        assert_eq!(large.to_string(), "the request is larger than 32 MB");
    }

    #[test]
    fn what_a_run_records_of_an_error_says_the_wait_in_seconds() {
        let wait = |wait| serde_json::to_value(ApiError::rate_limit("m", wait)).unwrap();
        assert_eq!(wait(Some(Duration::from_millis(1500)))["retry_after"], 1.5);
        let none = wait(None);
        assert_eq!(none["retry_after"], serde_json::Value::Null);
        assert_eq!(
            (&none["kind"], none.get("code")),
            (&"rate_limit_error".into(), None)
        );
    }

    #[test]
    fn a_body_of_another_server_is_given_out_as_it_is() {
        let mut error = ApiError::api("m");
        error.verbatim = Some("{\"type\":\"error\"}".into());
        assert_eq!(error.body("req_1"), b"{\"type\":\"error\"}");
    }

    #[test]
    fn an_event_is_one_frame() {
        let event = String::from_utf8(ApiError::api("x\ny").event("r")).unwrap();
        assert!(event.starts_with("event: error\ndata: {\"type\":\"error\","));
        assert_eq!(event.lines().count(), 3);
    }

    #[test]
    fn a_refused_body_names_its_place() {
        let refused = InvalidRequest::at("messages.0.role", "must be user");
        let error = ApiError::from(refused);
        assert_eq!(error.message, "messages.0.role: must be user");
        assert_eq!((error.status, error.should_retry), (400, Some(false)));
    }

    #[test]
    fn a_lost_thread_has_the_code_that_makes_the_sdks_send_it_whole() {
        let lost = InvalidRequest::at("thread", "not kept").coded(THREAD_NOT_FOUND);
        let error = ApiError::from(lost);
        let body: serde_json::Value = serde_json::from_slice(&error.body("req_1")).unwrap();
        assert_eq!(
            (error.status, &body["error"]["type"]),
            (404, &"not_found_error".into())
        );
        assert_eq!(
            body["error"]["details"],
            serde_json::json!({"error_code": "thread_not_found"})
        );
    }
}
