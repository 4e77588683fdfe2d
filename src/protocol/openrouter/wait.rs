//! How long the upstream asks to wait, and what is passed on of it.
//!
//! Claude Code fails at once when told to wait for more than a minute, and the JavaScript SDK sleeps for whatever it
//! is told. A longer wait is therefore capped and said in words, and the client is told not to try again.
//! This file must not know which errors are limits.

use std::time::Duration;

use serde_json::Value;

use super::error::Headers;
use crate::protocol::anthropic::error::ApiError;

/// What a client may be told to wait.
const LONGEST: Duration = Duration::from_secs(60);

/// A wait, as far as it is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wait {
    time: Option<Duration>,
    /// A quota of the day is used up; when it starts anew, if that is told.
    daily: Option<String>,
}

impl Wait {
    /// Reads a wait from an answer's headers and its error.
    pub(super) fn read(headers: Headers<'_>, error: &Value, message: &str) -> Self {
        let of_header = headers
            .retry_after
            .and_then(|value| value.trim().parse::<f64>().ok());
        let seconds = of_header
            .or_else(|| error["availability"]["retry_after"].as_f64())
            .or_else(|| error["metadata"]["retry_after"].as_f64());
        let reset = headers
            .rate_limit_reset
            .or_else(|| error["metadata"]["headers"]["X-RateLimit-Reset"].as_str());
        Self {
            time: seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
            daily: is_daily(message).then(|| reset.and_then(time_of).unwrap_or_default()),
        }
    }

    /// Whether nobody should wait for so long.
    pub(super) fn is_hopeless(&self) -> bool {
        self.time.is_some_and(|time| time > LONGEST)
    }

    /// Whether the quota of the day is used up.
    pub(super) fn is_daily(&self) -> bool {
        self.daily.is_some()
    }

    /// Adds the wait to an error.
    pub(super) fn onto(&self, mut api: ApiError) -> ApiError {
        if let Some(resets) = &self.daily {
            let resets = if resets.is_empty() {
                String::new()
            } else {
                format!("; resets {resets}")
            };
            api.message = format!("request limit reached (daily{resets}): {}", api.message);
            return api;
        }
        if let Some(time) = self.time {
            api.retry_after = Some(time.min(LONGEST));
            if self.is_hopeless() {
                api.message = format!("{} (try again in {})", api.message, in_words(time));
            }
        }
        api
    }
}

fn is_daily(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["per-day", "per day", "daily"]
        .into_iter()
        .any(|word| message.contains(word))
}

fn in_words(time: Duration) -> String {
    match time.as_secs() {
        seconds @ ..120 => format!("{seconds} seconds"),
        seconds @ ..7200 => format!("{} minutes", seconds.div_ceil(60)),
        seconds => format!("{} hours", seconds.div_ceil(3600)),
    }
}

fn time_of(milliseconds: &str) -> Option<String> {
    let time = jiff::Timestamp::from_millisecond(milliseconds.trim().parse().ok()?).ok()?;
    Some(time.strftime("%Y-%m-%d %H:%M UTC").to_string())
}
