//! Watches runs and sends a trace of each one that has ended.
//!
//! Making the spans once, from recorded times, costs a fraction of opening and closing them while the run goes on; and
//! it is done on the observers' thread. This file must not know what a span looks like.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::export::SpanExport;
use super::probe::Probe;
use super::record::{Detail, Ending, Folded, OpenRuns, RunRecord};
use super::span_data::TraceMaker;
use crate::events::{EventBatch, Observer};

/// The task whose steps call the model.
pub const CALL_TASK: &str = "call_upstream";
/// Runs that are followed at a time unless told otherwise.
pub const MOST_OPEN_RUNS: usize = 10_000;

/// Sends one trace per sampled run to a [`SpanExport`].
#[derive(Debug)]
pub struct SpanObserver {
    open: OpenRuns,
    maker: TraceMaker,
    export: SpanExport,
    untraced: Arc<AtomicU64>,
}

impl SpanObserver {
    /// Watches at most `most_open` runs at a time; `call_task` is the task whose steps call the model ([`CALL_TASK`]).
    #[must_use]
    pub fn new(
        export: SpanExport,
        call_task: impl Into<Cow<'static, str>>,
        most_open: usize,
    ) -> Self {
        Self {
            open: OpenRuns::new(most_open, Detail::Notes),
            maker: TraceMaker::new(call_task.into()),
            export,
            untraced: Arc::default(),
        }
    }

    /// What was left out, for `/metrics`; [`SpanExport::probes`] has the rest.
    #[must_use]
    pub fn probe(&self) -> Probe {
        let untraced = Arc::clone(&self.untraced);
        Probe::new(
            "dagway_runs_untraced_total",
            "Sampled runs without a trace, because too many runs or too many spans were under way.",
            move || untraced.load(Ordering::Relaxed),
        )
    }

    /// Sends the run's trace, unless there is no room for it; then its spans are not even made.
    fn send(&self, record: &RunRecord, ending: &Ending) -> bool {
        let Some(mut places) = self.export.admit(self.maker.count(record)) else {
            return false;
        };
        self.maker.make(record, ending, |span| places.send(span));
        true
    }
}

impl Observer for SpanObserver {
    fn observe(&mut self, batch: &EventBatch) {
        let is_sent = match self.open.fold(batch, |start| start.trace.sampled) {
            Folded::Open => return,
            Folded::Shed => false,
            Folded::Ended(run) => {
                let (record, ending) = &*run;
                self.send(record, ending)
            }
        };
        if !is_sent {
            self.untraced.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn idle(&mut self) {
        self.export.complain();
    }
}
