//! The request body of `POST /v1/messages`, borrowed from its text.

/// Why a request body is refused: an Anthropic 400 that names the place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct InvalidRequest {
    /// The JSON path, such as `messages.3.content.1.type`.
    pub path: String,
    /// What is wrong there, and what would be right.
    pub message: String,
}
