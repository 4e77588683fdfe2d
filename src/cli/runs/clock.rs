//! When something was, by the clock on the wall of whoever reads it.
//!
//! Pure but for asking the system for the time zone.

use std::time::Duration;

use jiff::tz::TimeZone;

use crate::dashboard::format;
use crate::events::Timestamp;

/// Moments of one list, written alike.
#[derive(Debug)]
pub(super) struct Clock {
    zone: TimeZone,
    /// The time of day says enough.
    is_of_the_day: bool,
}

/// The time zone of whoever reads it; UTC where none is set or none is installed, as in a bare container.
pub(super) fn here() -> TimeZone {
    let zone = TimeZone::system();
    if zone.is_unknown() {
        TimeZone::UTC
    } else {
        zone
    }
}

/// Within it, no time of day comes twice.
const DAY: Duration = Duration::from_hours(24);

impl Clock {
    /// Decides how the moments are written.
    pub(super) fn new(
        moments: impl IntoIterator<Item = Timestamp>,
        now: Timestamp,
        zone: TimeZone,
    ) -> Self {
        let is_of_the_day = moments.into_iter().all(|at| now.since(at) < DAY);
        Self {
            zone,
            is_of_the_day,
        }
    }

    /// A moment to the second, with its day when it may be another.
    pub(super) fn short(&self, at: Timestamp) -> String {
        self.written(
            at,
            if self.is_of_the_day {
                "%H:%M:%S"
            } else {
                "%m-%d %H:%M:%S"
            },
        )
    }

    /// A moment to the millisecond, with its day and its zone.
    pub(super) fn long(&self, at: Timestamp) -> String {
        self.written(at, "%Y-%m-%d %H:%M:%S%.3f %Z")
    }

    fn written(&self, at: Timestamp, pattern: &str) -> String {
        match jiff::Timestamp::from_microsecond(at.0) {
            Ok(moment) => moment
                .to_zoned(self.zone.clone())
                .strftime(pattern)
                .to_string(),
            Err(_) => format::UNKNOWN.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_is_told_where_it_may_be_another() {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let at = Timestamp(1_795_337_652_123_456);
        let soon = Timestamp(at.0 + 86_399_000_000);
        let clock = Clock::new([at], soon, zone.clone());
        assert_eq!(clock.short(at), "09:54:12");
        assert_eq!(clock.long(at), "2026-11-22 09:54:12.123 +01");
        let later = Timestamp(at.0 + 86_400_000_000);
        let clock = Clock::new([at, later], later, zone);
        assert_eq!(clock.short(at), "11-22 09:54:12");
        assert_eq!(clock.short(Timestamp(i64::MAX)), format::UNKNOWN);
    }
}
