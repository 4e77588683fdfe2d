//! When an export that failed is tried again: after a pause that doubles, and not before the collector wishes it.
//!
//! The numbers are those that OpenTelemetry recommends for its own exporters. This file must not know what failed.

use std::time::Duration;

/// The longest wait that a collector may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(30);
/// At most so much is added to a pause, lest everybody comes again at the same moment.
const JITTER: Duration = Duration::from_millis(100);

/// The attempts that are left, and the pause before the next.
#[derive(Debug)]
pub(super) struct Retries {
    left: u32,
    pause: Duration,
    longest: Duration,
}

impl Retries {
    pub(super) const fn new() -> Self {
        Self {
            left: 3,
            pause: Duration::from_millis(100),
            longest: Duration::from_millis(1600),
        }
    }

    /// How long to wait before the next attempt when the collector `asked` for a wait or did not; `None` when there were
    /// enough of them.
    pub(super) fn next(&mut self, asked: Option<Duration>) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        let asked = asked.unwrap_or_default().min(LONGEST_ASKED);
        if asked > self.longest {
            self.longest = LONGEST_ASKED;
        }
        let pause = self.pause.max(asked);
        self.pause = (2 * pause).min(self.longest);
        Some((pause + JITTER.mul_f32(fastrand::f32())).min(self.longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// The pauses after attempts for which the collector asked so much, without what chance adds.
    fn pauses(asked: [Option<Duration>; 4]) -> Vec<Duration> {
        let mut retries = Retries::new();
        let mut expected = Vec::new();
        for asked in asked {
            let least = retries
                .pause
                .max(asked.unwrap_or_default().min(LONGEST_ASKED));
            let Some(pause) = retries.next(asked) else {
                break;
            };
            assert!(pause >= least && pause <= least + JITTER, "{pause:?}");
            expected.push(least);
        }
        expected
    }

    #[test]
    fn a_pause_doubles_and_the_fourth_attempt_is_the_last() {
        assert_eq!(pauses([None; 4]), [100, 200, 400].map(millis));
    }

    #[test]
    fn a_collector_may_ask_for_a_longer_wait_but_not_for_a_shorter_one() {
        let asked = [None, Some(millis(1_000)), Some(millis(1)), None];
        assert_eq!(pauses(asked), [100, 1_000, 1_600].map(millis));
        let asked = [Some(millis(5_000)), None, Some(millis(600_000)), None];
        assert_eq!(pauses(asked), [5_000, 10_000, 30_000].map(millis));
    }
}
