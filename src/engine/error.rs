//! How a task fails, and whose fault it is.

use std::error::Error as StdError;
use std::time::Duration;

/// Whose fault a failure is. It decides the status of the answer and who is woken at night.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request cannot be served as it is.
    Client,
    /// The other side failed or refused.
    Upstream,
    /// A bug or a lack of ours.
    Ours,
}

/// The failure of one attempt of a step.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct TaskError {
    /// Whose fault it is.
    pub fault: Fault,
    /// Whether another attempt may help.
    pub retryable: bool,
    /// How long the other side asked to wait before another attempt.
    pub retry_after: Option<Duration>,
    /// What happened.
    pub source: Box<dyn StdError + Send + Sync>,
}

impl TaskError {
    /// The client's fault; another attempt would fail the same way.
    pub fn client(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(Fault::Client, source.into())
    }

    /// The other side's fault.
    pub fn upstream(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(Fault::Upstream, source.into())
    }

    /// Our fault; another attempt would fail the same way.
    pub fn ours(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(Fault::Ours, source.into())
    }

    pub(super) const fn new(fault: Fault, source: Box<dyn StdError + Send + Sync>) -> Self {
        Self {
            fault,
            retryable: false,
            retry_after: None,
            source,
        }
    }

    /// Says that another attempt may help, after `retry_after` if the other side named a time.
    #[must_use]
    pub fn retry(mut self, retry_after: Option<Duration>) -> Self {
        self.retryable = true;
        self.retry_after = retry_after;
        self
    }
}
