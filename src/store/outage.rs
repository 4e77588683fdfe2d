//! A time in which the run store refuses to be written, and what the log says of it: at once, each minute, and when it is
//! over.
//!
//! This file must not know what is written, nor when it is tried again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Error;
use super::stats::RecorderStats;

/// How often the log is reminded.
const REMINDER: Duration = Duration::from_secs(60);

/// An outage that goes on.
#[derive(Debug)]
pub(super) struct Outage {
    since: Instant,
    next_reminder: Instant,
    before: Losses,
}

/// What was not kept.
#[derive(Clone, Copy, Debug)]
struct Losses {
    texts: u64,
    body_bytes: u64,
    runs: u64,
}

impl Outage {
    /// Begins with the first write that was refused.
    pub(super) fn begin(error: &Error, now: Instant, stats: &RecorderStats) -> Self {
        tracing::error!(%error, "the run store refused a write; it is tried again, texts are left out until then");
        Self {
            since: now,
            next_reminder: now + REMINDER,
            before: Losses::so_far(stats),
        }
    }

    /// Learns that another write was refused, and that so many runs wait.
    pub(super) fn go_on(
        &mut self,
        error: &Error,
        now: Instant,
        waiting: usize,
        stats: &RecorderStats,
    ) {
        if now < self.next_reminder {
            return;
        }
        self.next_reminder = now + REMINDER;
        let lost = Losses::so_far(stats).since(self.before);
        tracing::error!(
            %error,
            seconds = now.duration_since(self.since).as_secs(),
            runs_waiting = waiting,
            texts_left_out = lost.texts,
            body_bytes_left_out = lost.body_bytes,
            runs_lost = lost.runs,
            "the run store still refuses to be written"
        );
    }

    /// Ends with a write that was taken, of so many runs.
    pub(super) fn end(self, now: Instant, written: usize, stats: &RecorderStats) {
        let lost = Losses::so_far(stats).since(self.before);
        tracing::info!(
            seconds = now.duration_since(self.since).as_secs(),
            runs_written = written,
            texts_left_out = lost.texts,
            body_bytes_left_out = lost.body_bytes,
            runs_lost = lost.runs,
            "the run store takes writes again"
        );
    }
}

impl Losses {
    fn so_far(stats: &RecorderStats) -> Self {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Self {
            texts: count(&stats.shed_previews),
            body_bytes: count(&stats.shed_payload_bytes),
            runs: count(&stats.lost_runs),
        }
    }

    const fn since(self, before: Self) -> Self {
        Self {
            texts: self.texts - before.texts,
            body_bytes: self.body_bytes - before.body_bytes,
            runs: self.runs - before.runs,
        }
    }
}
