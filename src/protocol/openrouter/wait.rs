//! How long the upstream asks to wait, and what is passed on of it.
//!
//! Claude Code fails at once when told to wait for more than a minute, and the JavaScript SDK sleeps for whatever it
//! is told. A longer wait is therefore capped and said in words, and the client is told not to try again.
//! This file must not know which errors are limits.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use serde_json::Value;

use super::error::Headers;
use crate::protocol::anthropic::error::{ApiError, ErrorKind};

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
        let availability = &error["availability"];
        let millis = headers.retry_after_ms.and_then(number);
        let seconds = millis
            .map(|millis| millis / 1e3)
            .or_else(|| seconds_of(headers.retry_after?, headers.came))
            .or_else(|| availability["retry_after"].as_f64())
            .or_else(|| error["metadata"]["retry_after"].as_f64());
        let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        // Who says when to come again, or that it may help, knows better than a word in a sentence.
        let may_come_again = time.is_some_and(|time| time <= LONGEST)
            || availability["retryable"].as_bool() == Some(true)
            || headers.should_retry == Some(true);
        let reset = headers
            .rate_limit_reset
            .or_else(|| error["metadata"]["headers"]["X-RateLimit-Reset"].as_str());
        Self {
            time,
            daily: (is_daily(message) && !may_come_again)
                .then(|| reset.and_then(time_of).unwrap_or_default()),
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
        if let Some(resets) = &self.daily
            && api.kind == ErrorKind::RateLimit
        {
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

/// The wait that a `retry-after` asks for, in seconds or until a date.
#[must_use]
pub fn asked(retry_after: &str, now: Timestamp) -> Option<Duration> {
    let seconds = seconds_of(retry_after, now)?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// Has an error of somebody else's ask for a wait, within what clients bear.
#[must_use]
pub fn refused_for(error: ApiError, time: Duration) -> ApiError {
    let (time, daily) = (Some(time), None);
    let wait = Wait { time, daily };
    let mut error = wait.onto(error);
    if wait.is_hopeless() {
        error.should_retry = Some(false);
    }
    error
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}

/// The seconds that `retry-after` says, or that are left until its date.
fn seconds_of(text: &str, now: Timestamp) -> Option<f64> {
    number(text).or_else(|| {
        let date = DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
        Some(date.duration_since(now).as_secs_f64().max(0.0))
    })
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
    let time = Timestamp::from_millisecond(milliseconds.trim().parse().ok()?).ok()?;
    Some(time.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_asked_wait_is_a_number_or_a_date() {
        let now: Timestamp = "2026-11-30T12:00:00Z".parse().unwrap();
        let seconds = |text| asked(text, now).map(|time| time.as_secs());
        assert_eq!(seconds(" 7 "), Some(7));
        assert_eq!(seconds("Mon, 30 Nov 2026 12:01:30 GMT"), Some(90));
        assert_eq!(seconds("Mon, 30 Nov 2026 11:00:00 GMT"), Some(0));
        for wrong in ["soon", "-1", "18446744073709551616"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    fn seconds(wait: &Wait) -> Option<u64> {
        wait.time.map(|time| time.as_secs())
    }

    #[test]
    fn the_header_counts_before_the_error() {
        let after = |retry_after| Headers {
            retry_after,
            ..Headers::default()
        };
        let both = json!({"availability":{"retry_after":2},"metadata":{"retry_after":3}});
        let metadata = json!({"metadata":{"retry_after":3}});
        for (header, error, expected) in [
            (Some(" 1 "), &both, Some(1)),
            (Some("soon"), &both, Some(2)),
            (None, &both, Some(2)),
            (None, &metadata, Some(3)),
            (Some("1.9"), &both, Some(1)),
            (Some("Sun, 06 Nov 1904 08:49:37 GMT"), &both, Some(0)),
            (Some("-1"), &metadata, None),
            (None, &Value::Null, None),
        ] {
            let wait = Wait::read(after(header), error, "");
            assert_eq!(seconds(&wait), expected, "{header:?} {error}");
        }
    }

    #[test]
    fn a_date_is_the_time_until_then_and_milliseconds_count_first() {
        let mut headers = Headers {
            retry_after: Some("Sun, 06 Nov 1994 08:49:37 GMT"),
            came: "1994-11-06T08:48:57Z".parse().unwrap(),
            ..Headers::default()
        };
        let left = seconds(&Wait::read(headers, &Value::Null, ""));
        assert_eq!(left, Some(40));
        headers.retry_after_ms = Some("1500");
        let wait = Wait::read(headers, &Value::Null, "");
        assert_eq!(wait.time, Some(Duration::from_millis(1500)));
    }

    #[test]
    fn a_limit_of_the_day_that_may_be_met_again_soon_is_none() {
        let message = "Rate limit reached for tokens per day (TPD)";
        let soon = Headers {
            retry_after: Some("8"),
            ..Headers::default()
        };
        let told = json!({"availability":{"retryable":true,"retry_after":2}});
        for (headers, error, wait) in [(soon, &Value::Null, 8), (Headers::default(), &told, 2)] {
            let read = Wait::read(headers, error, message);
            assert!(!read.is_daily());
            let api = read.onto(ApiError::rate_limit("slow", None));
            assert_eq!(api.retry_after, Some(Duration::from_secs(wait)));
            assert_eq!(api.message, "slow");
        }
        let late = Headers {
            retry_after: Some("7200"),
            ..soon
        };
        let late = Wait::read(late, &Value::Null, message);
        assert!(late.is_daily() && late.is_hopeless());
        // Only a limit can be one of the day.
        let busy = Wait::read(Headers::default(), &Value::Null, "in its daily maintenance");
        let api = busy.onto(ApiError::overloaded("busy"));
        assert_eq!(api.message, "busy");
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
                rate_limit_reset: header,
                ..Headers::default()
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
