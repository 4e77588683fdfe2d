//! Errors as OpenRouter words them: its own, those of a provider behind it, and the masked kind.
//!
//! It must not know when an error is due.

use serde_json::{Value, json};

use super::catalogue::Family;

/// A request that is not served.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) message: String,
    pub(super) headers: Vec<(String, String)>,
    metadata: Box<Value>,
}

impl Refusal {
    /// OpenRouter itself declines.
    pub(super) fn platform(status: u16, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            headers: Vec::new(),
            metadata: Box::new(json!({ "error_type": error_type(status) })),
        }
    }

    /// OpenRouter itself declines, and names the kind of fault.
    pub(super) fn platform_of_type(status: u16, kind: &str, message: impl Into<String>) -> Self {
        Self {
            metadata: Box::new(json!({ "error_type": kind })),
            ..Self::platform(status, message)
        }
    }

    /// The provider declines; its own words are a JSON text inside the error.
    pub(super) fn provider(family: Family, message: impl Into<String>) -> Self {
        let message = message.into();
        let raw = match family {
            Family::Claude => json!({
                "type": "error",
                "error": { "type": "invalid_request_error", "message": message },
                "request_id": "req_simulated",
            }),
            Family::Gemini => json!({
                "error": { "code": 400, "message": message, "status": "INVALID_ARGUMENT" },
            }),
            Family::OpenAi | Family::DeepSeek | Family::Kimi | Family::Other => json!({
                "error": { "message": message, "type": "invalid_request_error", "param": null, "code": null },
            }),
        };
        Self {
            status: 400,
            message: "Provider returned error".to_owned(),
            headers: Vec::new(),
            metadata: Box::new(
                json!({ "raw": raw.to_string(), "provider_name": "Simulated", "is_byok": false }),
            ),
        }
    }

    /// A fault of the payload that is shown as the provider's.
    pub(super) fn masked() -> Self {
        Self {
            metadata: Box::new(json!({ "error_type": "server" })),
            ..Self::platform(500, "Internal Server Error")
        }
    }

    /// Adds a header.
    pub(super) fn with_header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The JSON of the answer.
    pub(super) fn body(&self) -> Value {
        json!({
            "error": { "message": self.message, "code": self.status, "metadata": self.metadata },
            "user_id": "user_simulated",
        })
    }
}

/// The kind that OpenRouter gives to a status.
pub(super) fn error_type(status: u16) -> &'static str {
    match status {
        400 => "invalid_request",
        401 => "authentication",
        402 => "payment_required",
        403 => "permission_denied",
        404 => "not_found",
        408 | 504 | 524 => "timeout",
        412 => "precondition_failed",
        413 => "payload_too_large",
        422 => "unprocessable",
        429 => "rate_limit_exceeded",
        502 => "provider_unavailable",
        503 | 529 => "provider_overloaded",
        _ => "server",
    }
}

/// The words usual for a status.
pub(super) fn usual_message(status: u16) -> &'static str {
    match status {
        401 => "User not found.",
        402 => "Insufficient credits (simulated).",
        403 => "This request was flagged by moderation (simulated).",
        404 => "No endpoints found (simulated).",
        408 | 504 | 524 => "The request timed out (simulated).",
        413 => "The request is too large (simulated).",
        429 => "Rate limit exceeded (simulated).",
        502 => "The provider is down (simulated).",
        503 => "No provider is available (simulated).",
        529 => "The provider is overloaded (simulated).",
        400 => "The request is invalid (simulated).",
        _ => "Internal Server Error",
    }
}
