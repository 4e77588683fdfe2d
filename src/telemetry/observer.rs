//! Follows runs by their events, and has each one that ended traced, counted and logged.
//!
//! The events are folded into a record once, for all of them. This file must not know what they make of it.

use std::sync::Arc;

use super::failures;
use super::meters::RunMeters;
use super::metrics::Metrics;
use super::open_runs::{Folded, OpenRuns};
use super::traces::RunTraces;
use super::turns;
use crate::events::{EventBatch, Observer};

/// Runs that are followed at a time.
const MOST_OPEN_RUNS: usize = 10_000;

/// Watches runs for traces, metrics and the log.
#[derive(Debug)]
pub struct RunObserver {
    open: OpenRuns,
    traces: Option<RunTraces>,
    meters: RunMeters,
}

impl RunObserver {
    /// Counts into `metrics` and, where there is somebody to send them to, sends `traces`.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, traces: Option<RunTraces>) -> Self {
        Self::of_at_most(MOST_OPEN_RUNS, metrics, traces)
    }

    /// Follows at most `most` runs at a time; the others are counted as left out.
    pub(super) fn of_at_most(
        most: usize,
        metrics: Arc<Metrics>,
        traces: Option<RunTraces>,
    ) -> Self {
        Self {
            open: OpenRuns::new(most),
            traces,
            meters: RunMeters::new(metrics),
        }
    }
}

impl Observer for RunObserver {
    fn observe(&mut self, batch: &EventBatch) {
        match self.open.fold(batch) {
            Folded::Unknown => {}
            Folded::Open(record) => self.meters.follow(record),
            Folded::Shed(start) => {
                if let Some(traces) = &self.traces {
                    traces.leave_out(&start);
                }
                self.meters.leave_out();
            }
            Folded::Ended(mut run) => {
                let (record, ending) = &mut *run;
                self.meters.follow(record);
                if let Some(traces) = &self.traces {
                    traces.send(record, ending);
                }
                self.meters.count(record, ending);
                turns::log(record, ending);
                failures::log(record, ending);
            }
        }
        self.meters.show_in_flight(self.open.len());
    }

    fn idle(&mut self) {
        if let Some(traces) = &self.traces {
            traces.idle();
        }
    }
}
