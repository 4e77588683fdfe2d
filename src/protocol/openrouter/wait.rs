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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seconds(wait: &Wait) -> Option<u64> {
        wait.time.map(|time| time.as_secs())
    }

    #[test]
    fn the_header_counts_before_the_error() {
        let after = |retry_after| Headers {
            retry_after,
            rate_limit_reset: None,
        };
        let both = json!({"availability":{"retry_after":2},"metadata":{"retry_after":3}});
        let metadata = json!({"metadata":{"retry_after":3}});
        for (header, error, expected) in [
            (Some(" 1 "), &both, Some(1)),
            (Some("soon"), &both, Some(2)),
            (None, &both, Some(2)),
            (None, &metadata, Some(3)),
            (Some("-1"), &metadata, None),
            (None, &Value::Null, None),
        ] {
            let wait = Wait::read(after(header), error, "");
            assert_eq!(seconds(&wait), expected, "{header:?} {error}");
        }
    }

    #[test]
    fn a_minute_is_waited_for_and_more_is_said_in_words() {
        for (seconds, words) in [
            (60, None),
            (61, Some("61 seconds")),
            (119, Some("119 seconds")),
            (120, Some("2 minutes")),
            (121, Some("3 minutes")),
            (7199, Some("120 minutes")),
            (7200, Some("2 hours")),
            (7201, Some("3 hours")),
        ] {
            let wait = Wait {
                time: Some(Duration::from_secs(seconds)),
                daily: None,
            };
            assert_eq!(wait.is_hopeless(), words.is_some(), "{seconds}");
            let api = wait.onto(ApiError::rate_limit("slow", None));
            assert_eq!(api.retry_after, Some(Duration::from_secs(60)));
            let more = words.map(|words| format!(" (try again in {words})"));
            let expected = format!("slow{}", more.unwrap_or_default());
            assert_eq!(api.message, expected);
        }
        let none = Wait::default();
        let api = none.onto(ApiError::rate_limit("slow", None));
        assert_eq!(
            (api.retry_after, api.message.as_str(), none.is_hopeless()),
            (None, "slow", false)
        );
    }

    #[test]
    fn a_daily_quota_says_when_it_starts_anew_if_that_is_known() {
        let reset = |header, told: Value| {
            let headers = Headers {
                retry_after: None,
                rate_limit_reset: header,
            };
            let error = json!({"metadata":{"headers":{"X-RateLimit-Reset":told}}});
            let wait = Wait::read(headers, &error, "50 requests Per Day");
            assert!(wait.is_daily());
            wait.onto(ApiError::rate_limit("slow", None)).message
        };
        let told = "request limit reached (daily; resets 2026-08-09 00:00 UTC): slow";
        assert_eq!(reset(Some("1786233600000"), Value::Null), told);
        assert_eq!(reset(None, json!("1786233600000")), told);
        assert_eq!(
            reset(Some("soon"), Value::Null),
            "request limit reached (daily): slow"
        );
        for (message, is_daily) in [
            ("free-models-per-day", true),
            ("your daily quota", true),
            ("per minute", false),
        ] {
            assert_eq!(
                Wait::read(Headers::default(), &Value::Null, message).is_daily(),
                is_daily
            );
        }
    }
}
