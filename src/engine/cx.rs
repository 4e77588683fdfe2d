//! What a task may say about its run while it works.

use std::sync::Arc;

use bytes::Bytes;

use super::event::{EventKind, FactValue, Level, RunId, RunStart, StepIndex};
use super::journal::Journal;

/// The context of one attempt of one step.
#[derive(Debug)]
pub struct Cx {
    reporter: Reporter,
    attempt: u16,
}

impl Cx {
    pub(super) fn new(reporter: Reporter, attempt: u16) -> Self {
        Self { reporter, attempt }
    }

    /// The attempt, from 1.
    #[must_use]
    pub fn attempt(&self) -> u16 {
        self.attempt
    }

    /// A handle that outlives the step, for the flow that it returns.
    #[must_use]
    pub fn reporter(&self) -> &Reporter {
        &self.reporter
    }
}

impl std::ops::Deref for Cx {
    type Target = Reporter;

    fn deref(&self) -> &Reporter {
        &self.reporter
    }
}

/// Says what happens in a step. Cheap to clone; never blocks.
#[derive(Clone, Debug)]
pub struct Reporter {
    journal: Arc<Journal>,
    step: StepIndex,
}

/// The place of the run's own reporter, which speaks for no step.
const NO_STEP: StepIndex = StepIndex::MAX;

impl Reporter {
    pub(super) fn of_run(journal: Arc<Journal>) -> Self {
        let step = NO_STEP;
        Self { journal, step }
    }

    pub(super) fn of_step(&self, step: StepIndex) -> Self {
        let journal = Arc::clone(&self.journal);
        Self { journal, step }
    }

    pub(super) fn journal(&self) -> &Journal {
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

    /// The step; [`StepIndex::MAX`] for the run's own reporter.
    #[must_use]
    pub fn step(&self) -> StepIndex {
        self.step
    }

    /// States a figure or a label of the run; a later statement of the same name wins.
    pub fn fact(&self, name: &'static str, value: impl Into<FactValue>) {
        let value = value.into();
        self.journal.note(EventKind::Fact { name, value });
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
            NO_STEP => self.journal.reply,
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
