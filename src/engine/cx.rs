//! What a task may say about its run while it works.

use crate::events::Reporter;

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
