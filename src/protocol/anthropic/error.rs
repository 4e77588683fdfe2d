//! Anthropic's errors: kinds, statuses, the JSON that carries them. Nothing else in Dagway makes error bodies.

use std::time::Duration;

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

/// An error as the client gets it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The HTTP status, when it can still be sent.
    pub status: u16,
    /// The kind.
    pub kind: ErrorKind,
    /// For a human, and for Claude Code, which keys on some wordings.
    pub message: String,
    /// The answer's `retry-after`.
    pub retry_after: Option<Duration>,
    /// The answer's `x-should-retry`; the client decides by status when absent.
    pub should_retry: Option<bool>,
}
