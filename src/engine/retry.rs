//! When a failed step is tried again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The `retry` of a step, as written in the workflow file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// Attempts in all, the first included; at least 1.
    pub attempts: u16,
    /// How the pause grows.
    pub backoff: Backoff,
    /// The first pause.
    pub base: Duration,
    /// The longest pause of our own choosing.
    pub max: Duration,
    /// Whether a pause is shortened at random, so that callers do not come back together.
    pub jitter: bool,
    /// Whether the task's error may set the pause.
    pub honour_retry_after: bool,
}

/// How the pause between attempts grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backoff {
    /// Always the base.
    Constant,
    /// Doubling.
    Exponential,
}
