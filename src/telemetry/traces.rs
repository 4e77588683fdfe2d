//! Sends a trace of each run that has ended.
//!
//! Making the spans once, from recorded times, costs a fraction of opening and closing them while the run goes on; and
//! it is done on the observers' thread. This file must not know what a span looks like.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::export::SpanExport;
use super::probe::Probe;
use super::record::{Ending, RunRecord};
use super::span_data::TraceMaker;
use crate::events::RunStart;

/// Sends one trace per sampled run to a [`SpanExport`].
#[derive(Debug)]
pub struct RunTraces {
    maker: TraceMaker,
    export: SpanExport,
    untraced: Arc<AtomicU64>,
}

impl RunTraces {
    /// Sends to `export`, with or without `messages`: what errors say and steps log.
    #[must_use]
    pub fn new(export: SpanExport, messages: bool) -> Self {
        Self {
            maker: TraceMaker::new(messages),
            export,
            untraced: Arc::default(),
        }
    }

    /// Where they go.
    #[must_use]
    pub fn export(&self) -> &SpanExport {
        &self.export
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

    /// Sends the run's trace if it is sampled, unless there is no room for it; then its spans are not even made.
    pub(super) fn send(&self, record: &RunRecord, ending: &Ending) {
        if !record.start.trace.sampled {
            return;
        }
        let Some(mut places) = self.export.admit(TraceMaker::count(record)) else {
            return self.leave_out(&record.start);
        };
        self.maker.make(record, ending, |span| places.send(span));
    }

    /// Counts a run that gets no trace.
    pub(super) fn leave_out(&self, start: &RunStart) {
        if start.trace.sampled {
            self.untraced.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Has the export complain about what it lost.
    pub(super) fn idle(&self) {
        self.export.complain();
    }
}
