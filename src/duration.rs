//! Lengths of time as people write them: `250ms`, `1m30s`, `14d`. One grammar for settings, workflows, filters and options.
//!
//! This file must not know what takes so long.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

/// Right ones, for the sentence about a wrong one.
pub const EXAMPLES: &str = "250ms, 30s, 1m30s, 12h or 14d";

/// Reads a length of time: numbers with their units (us, ms, s, m or min, h, d), the largest unit first. A day has 24 hours.
/// What has no unit, such as the time of day `08:00:00`, and what is less than nothing, is none.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    // Spans have two more notations, those of a clock and of ISO 8601, which begins with a P.
    if !text.starts_with(|c: char| c.is_ascii_digit()) || text.contains(':') {
        return None;
    }
    let span: Span = text.parse().ok()?;
    let day = SpanRelativeTo::days_are_24_hours();
    let length = span.to_duration(day).ok()?;
    Duration::try_from(length).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_alone_and_together() {
        for (text, seconds) in [
            ("250ms", 0.25),
            ("7us", 7e-6),
            ("7µs", 7e-6),
            ("30s", 30.0),
            ("30 s", 30.0),
            ("1.5s", 1.5),
            ("1.5m", 90.0),
            ("5m", 300.0),
            ("2min", 120.0),
            ("1m30s", 90.0),
            ("1h 30m", 5_400.0),
            ("336h", 14.0 * 86_400.0),
            ("14d", 14.0 * 86_400.0),
            ("1d12h", 1.5 * 86_400.0),
            ("0s", 0.0),
        ] {
            assert_eq!(
                parse(text),
                Some(Duration::from_secs_f64(seconds)),
                "{text}"
            );
        }
        for right in EXAMPLES
            .split([',', ' '])
            .filter(|word| word.starts_with(|c: char| c.is_ascii_digit()))
        {
            assert!(parse(right).is_some(), "{right}");
        }
    }

    #[test]
    fn what_is_no_length_of_time() {
        for wrong in [
            "",
            "12",
            "s",
            "-1s",
            "1 month",
            "1y",
            "soon",
            "1x",
            "99999999999999999999d",
            "08:00:00",
            "1h 30:00",
            "1d 08:00:00",
            "PT5M",
            "pt5m",
            "+PT5M",
            "P1DT12H",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
