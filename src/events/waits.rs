//! How long a run has waited for others: time that is not its own, however many it waits for at once.

use std::time::{Duration, Instant};

/// The waits of a run, overlapping ones counted once.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// The waits that are over.
    over: Duration,
    /// When the last of them was over.
    until: Option<Instant>,
    /// How many go on.
    open: u32,
    /// Since when any does.
    since: Option<Instant>,
}

impl Waits {
    /// A wait goes on since then.
    pub(super) fn begin(&mut self, since: Instant) {
        let since = self.until.map_or(since, |until| since.max(until));
        self.since = Some(self.since.map_or(since, |earlier| earlier.min(since)));
        self.open += 1;
    }

    /// One of the waits is over.
    pub(super) fn end(&mut self, now: Instant) {
        self.open = self.open.saturating_sub(1);
        if self.open == 0 {
            self.over = self.until(now);
            self.until = Some(now);
            self.since = None;
        }
    }

    /// How long it was by then.
    pub(super) fn until(&self, now: Instant) -> Duration {
        let goes_on = self.since.map(|since| now.saturating_duration_since(since));
        self.over + goes_on.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_at_the_same_time_count_once() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let waited = |waits: &Waits, seconds| waits.until(at(seconds)).as_secs();
        let mut waits = Waits::default();
        assert_eq!(waited(&waits, 5), 0);
        waits.begin(at(5));
        waits.begin(at(4));
        assert_eq!(waited(&waits, 10), 6);
        waits.end(at(10));
        assert_eq!(waited(&waits, 12), 8);
        waits.end(at(12));
        assert_eq!(waited(&waits, 20), 8);
        // What was counted is not counted again.
        waits.begin(at(8));
        assert_eq!(waited(&waits, 20), 16);
        waits.end(at(20));
        waits.begin(at(30));
        waits.end(at(31));
        assert_eq!(waited(&waits, 40), 17);
    }
}
