//! When a failed step is tried again.

use std::time::Duration;

use crate::events::{Backoff, Retry};

impl Retry {
    /// The pause before the next attempt when `attempt` has failed and the error `asked` for a pause;
    /// `None` when there is no next attempt.
    pub(super) fn pause(&self, attempt: u16, asked: Option<Duration>) -> Option<Duration> {
        if attempt >= self.attempts {
            return None;
        }
        let asked = asked
            .filter(|_| self.honour_retry_after)
            .unwrap_or_default();
        if asked > self.max {
            return None;
        }
        let doublings = match self.backoff {
            Backoff::Constant => 0,
            Backoff::Exponential => u32::from(attempt.saturating_sub(1)).min(31),
        };
        let pause = self.base.saturating_mul(1 << doublings).min(self.max);
        let pause = if self.jitter {
            (pause / 1024).saturating_mul(fastrand::u32(512..=1024))
        } else {
            pause
        };
        Some(pause.max(asked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Retry = Retry {
        attempts: 9,
        backoff: Backoff::Exponential,
        base: Duration::from_millis(250),
        max: Duration::from_secs(8),
        jitter: false,
        honour_retry_after: true,
        timeouts: true,
    };

    #[test]
    fn the_pause_doubles_up_to_its_cap_and_ends_with_the_last_attempt() {
        let pauses: Vec<_> = (1..=9).map(|attempt| RETRY.pause(attempt, None)).collect();
        let millis = [250, 500, 1000, 2000, 4000, 8000, 8000, 8000].map(Duration::from_millis);
        let mut expected: Vec<_> = millis.into_iter().map(Some).collect();
        expected.push(None);
        assert_eq!(pauses, expected);
    }

    #[test]
    fn a_constant_pause_stays() {
        let backoff = Backoff::Constant;
        let retry = Retry { backoff, ..RETRY };
        assert_eq!(retry.pause(7, None), Some(retry.base));
    }

    #[test]
    fn jitter_takes_at_most_half() {
        let jitter = true;
        let retry = Retry { jitter, ..RETRY };
        for _ in 0..1000 {
            let pause = retry.pause(3, None).unwrap();
            assert!(
                pause.as_millis() >= 499 && pause.as_millis() <= 1000,
                "{pause:?}"
            );
        }
    }

    #[test]
    fn the_other_side_may_lengthen_the_pause_but_not_beyond_the_cap() {
        let asked = |secs| RETRY.pause(1, Some(Duration::from_secs(secs)));
        assert_eq!(asked(0), Some(RETRY.base));
        assert_eq!(asked(5), Some(Duration::from_secs(5)));
        assert_eq!(asked(9), None);
        let honour_retry_after = false;
        let deaf = Retry {
            honour_retry_after,
            ..RETRY
        };
        assert_eq!(deaf.pause(1, Some(Duration::from_secs(9))), Some(deaf.base));
    }

    #[test]
    fn no_attempt_number_overflows() {
        let attempts = u16::MAX;
        let base = Duration::MAX;
        let max = Duration::MAX;
        let retry = Retry {
            attempts,
            base,
            max,
            ..RETRY
        };
        assert_eq!(retry.pause(u16::MAX - 1, None), Some(Duration::MAX));
    }
}
