//! What a task, or the server, may say about a run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::event::{EventKind, FactValue, Level, RunStart, StepIndex};
use super::info::PlanInfo;
use super::journal::Journal;
use super::run_id::{RunId, Timestamp};

/// Says what happens in a step. Cheap to clone; never blocks.
#[derive(Clone, Debug)]
pub struct Reporter {
    journal: Arc<Journal>,
    step: StepIndex,
}

/// The place of the run's own reporter, which speaks for no step.
const NO_STEP: StepIndex = StepIndex::MAX;

/// A step waits for others while this lives.
#[derive(Debug)]
pub struct Waiting(Reporter);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waits_no_more();
    }
}

impl Reporter {
    pub(crate) fn of_run(journal: Arc<Journal>) -> Self {
        let step = NO_STEP;
        Self { journal, step }
    }

    pub(crate) fn of_step(&self, step: StepIndex) -> Self {
        let journal = Arc::clone(&self.journal);
        Self { journal, step }
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The run.
    #[must_use]
    pub fn run_id(&self) -> RunId {
        self.journal.start.id
    }

    /// What was known when the run started: request id, trace.
    #[must_use]
    pub fn start(&self) -> &Arc<RunStart> {
        &self.journal.start
    }

    /// The plan that the run follows.
    #[must_use]
    pub fn plan(&self) -> &PlanInfo {
        &self.journal.plan
    }

    /// The step; [`StepIndex::MAX`] for the run's own reporter.
    #[must_use]
    pub fn step(&self) -> StepIndex {
        self.step
    }

    /// States a figure or a label of the run; a later statement of the same name wins.
    pub fn fact(&self, name: &'static str, value: impl Into<FactValue>) {
        let value = Some(value.into());
        self.journal.note_timeless(EventKind::Fact { name, value });
    }

    /// States that what was stated under this name holds no longer.
    pub fn no_fact(&self, name: &'static str) {
        let value = None;
        self.journal.note_timeless(EventKind::Fact { name, value });
    }

    /// States that the step waits for others, and has since then, until it [says](Self::waits_no_more) that it does not:
    /// time that is not the run's own, pauses before further attempts included.
    pub fn waits_since(&self, since: Instant) {
        self.journal.waits_since(since);
    }

    /// States that the step does not wait any more. Others of the run may.
    pub fn waits_no_more(&self) {
        self.journal.waits_no_more();
    }

    /// States that the step waits for others from now on, as long as what it gets is kept.
    #[must_use = "the wait is over when this is dropped"]
    pub fn waiting(&self) -> Waiting {
        self.waits_since(Instant::now());
        Waiting(self.clone())
    }

    /// How long the run has waited for others, and does wait.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.journal.waited()
    }

    /// What happened to the run, and how long it had gone on: `the client hung up after 0.50 s`.
    #[must_use]
    pub fn after(&self, what: &str) -> String {
        let seconds = Timestamp::now().since(self.start().at).as_secs_f64();
        format!("{what} after {seconds:.2} s")
    }

    /// Writes a line into the step's log.
    pub fn log(&self, level: Level, message: impl Into<String>) {
        let message = message.into();
        let step = Some(self.step).filter(|step| *step != NO_STEP);
        self.journal.note(EventKind::Log {
            step,
            level,
            message,
        });
    }

    /// Adds a piece to one of the run's large texts.
    pub fn payload(&self, name: &'static str, piece: Bytes) {
        self.journal.note(EventKind::Payload { name, piece });
    }

    /// Says how much of a flow has passed so far. The run's own reporter speaks of the reply.
    pub fn progress(&self, pieces: u64, bytes: u64) {
        let step = match self.step {
            NO_STEP => self.journal.plan.reply,
            step => step,
        };
        self.journal.note(EventKind::Progress {
            step,
            pieces,
            bytes,
        });
    }

    /// Hands what was said so far to the observers, without waiting. For flows, which outlive the scheduler's poll.
    pub fn flush(&self) {
        self.journal.offer();
    }
}
