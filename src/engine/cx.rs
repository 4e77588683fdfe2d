//! What a task may say about its run while it works.

use std::sync::Arc;

use bytes::Bytes;

use super::event::{FactValue, Level, RunId, RunStart, StepIndex};

/// The context of one attempt of one step.
#[derive(Debug)]
pub struct Cx {
    reporter: Reporter,
    attempt: u16,
}

impl Cx {
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
    start: Arc<RunStart>,
    step: StepIndex,
}

impl Reporter {
    /// The run.
    #[must_use]
    pub fn run_id(&self) -> RunId {
        self.start.id
    }

    /// What was known when the run started: request id, trace.
    #[must_use]
    pub fn start(&self) -> &Arc<RunStart> {
        &self.start
    }

    /// The step.
    #[must_use]
    pub fn step(&self) -> StepIndex {
        self.step
    }

    /// States a figure or a label of the run; a later statement of the same name wins.
    pub fn fact(&self, name: &'static str, value: impl Into<FactValue>) {
        let _ = (name, value.into());
        unimplemented!()
    }

    /// Writes a line into the step's log.
    pub fn log(&self, level: Level, message: impl Into<String>) {
        let _ = (level, message.into());
        unimplemented!()
    }

    /// Adds a piece to one of the run's large texts.
    pub fn payload(&self, name: &'static str, piece: Bytes) {
        let _ = (name, piece);
        unimplemented!()
    }

    /// Says how much of a flow has passed so far.
    pub fn progress(&self, pieces: u64, bytes: u64) {
        let _ = (pieces, bytes);
        unimplemented!()
    }

    /// Hands what was said so far to the observers, without waiting. For flows, which outlive the scheduler's poll.
    pub fn flush(&self) {
        unimplemented!()
    }
}
