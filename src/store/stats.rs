//! How the recorder fares, for metrics and the health page.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use crate::events::Timestamp;

/// Counters since the start of the process, shared by the recorder and its observers.
#[derive(Debug, Default)]
pub struct RecorderStats {
    /// Transactions committed.
    pub batches: AtomicU64,
    /// Rows written by them.
    pub rows: AtomicU64,
    /// Artifacts whose text was not kept because the recorder was behind.
    pub shed_previews: AtomicU64,
    /// Bytes of requests and answers not kept because the recorder was behind.
    pub shed_payload_bytes: AtomicU64,
    /// Runs given up because the database refused them for too long, whole or from a moment on.
    pub lost_runs: AtomicU64,
    /// Runs that wait to be written, as of the last write: none, unless it was refused.
    pub waiting_runs: AtomicU64,
    /// Writes that the database refused.
    pub errors: AtomicU64,
    /// Runs that were open when their process ended, found at the start or later.
    pub crashed_runs: AtomicU64,
    /// Runs deleted by retention.
    pub expired_runs: AtomicU64,
    /// In microseconds.
    last_commit_us: AtomicU64,
    /// When the first of the writes was refused that were refused without a break; 0 when the last one was not.
    failing_since: AtomicI64,
}

impl RecorderStats {
    /// Those of a store that had so many crashed runs when it was opened.
    pub(crate) fn of_a_start(crashed: usize) -> Self {
        let stats = Self::default();
        add(&stats.crashed_runs, crashed);
        stats
    }

    /// Whether the last write was refused.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.failing_since().is_some()
    }

    /// Since when every write has been refused.
    #[must_use]
    pub fn failing_since(&self) -> Option<Timestamp> {
        match self.failing_since.load(Ordering::Relaxed) {
            0 => None,
            since => Some(Timestamp(since)),
        }
    }

    /// How long the last commit took.
    #[must_use]
    pub fn last_commit(&self) -> Duration {
        Duration::from_micros(self.last_commit_us.load(Ordering::Relaxed))
    }

    pub(crate) fn committed(&self, rows: usize, took: Duration) {
        add(&self.batches, 1);
        add(&self.rows, rows);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.last_commit_us.store(micros, Ordering::Relaxed);
        self.failing_since.store(0, Ordering::Relaxed);
        self.wait(0);
    }

    /// Says how many runs wait.
    pub(crate) fn wait(&self, runs: usize) {
        let runs = u64::try_from(runs).unwrap_or(u64::MAX);
        self.waiting_runs.store(runs, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self) {
        add(&self.errors, 1);
        if !self.is_failing() {
            let now = Timestamp::now().0;
            self.failing_since.store(now, Ordering::Relaxed);
        }
    }
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, amount: usize) {
    let amount = u64::try_from(amount).unwrap_or(u64::MAX);
    counter.fetch_add(amount, Ordering::Relaxed);
}
