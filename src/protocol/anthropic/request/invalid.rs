//! Why a request is refused. Paths grow from the inside out, so that a good request pays nothing for them.

/// Why a request body is refused: an Anthropic 400 that names the place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct InvalidRequest {
    /// The JSON path, such as `messages.3.content.1.type`; `body` for the whole of it.
    pub path: String,
    /// What is wrong there, and what would be right.
    pub message: String,
    /// Anthropic's own name for the cause, where the SDKs act on it.
    pub code: Option<&'static str>,
}

impl InvalidRequest {
    /// Refuses what stands at a path.
    pub fn at(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
            code: None,
        }
    }

    /// Refuses the value that is being read; those who read what lies around it add where it is.
    pub(crate) fn here(message: impl Into<String>) -> Self {
        Self::at(String::new(), message)
    }

    /// Gives the cause its name.
    pub(crate) fn coded(self, code: &'static str) -> Self {
        Self {
            code: Some(code),
            ..self
        }
    }

    /// Refuses an object for a field that it lacks, in Anthropic's words.
    pub(crate) fn missing(field: &str) -> Self {
        Self::at(field, "Field required")
    }

    /// Says in which field or item of the surrounding value the fault lies.
    pub(crate) fn within(mut self, segment: impl std::fmt::Display) -> Self {
        self.path = if self.path.is_empty() {
            segment.to_string()
        } else {
            format!("{segment}.{}", self.path)
        };
        self
    }

    /// Ends the path at the whole body.
    pub(crate) fn of_body(mut self) -> Self {
        if self.path.is_empty() {
            "body".clone_into(&mut self.path);
        }
        self
    }
}
