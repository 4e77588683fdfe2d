//! What a task may say about its run while it works.

use tokio::time::Instant;

use crate::events::Reporter;

/// The context of one attempt of one step.
#[derive(Debug)]
pub struct Cx {
    reporter: Reporter,
    attempt: u16,
    reply_due: Option<Instant>,
}

impl Cx {
    pub(super) fn new(reporter: Reporter, attempt: u16, reply_due: Option<Instant>) -> Self {
        Self {
            reporter,
            attempt,
            reply_due,
        }
    }

    /// The attempt, from 1.
    #[must_use]
    pub fn attempt(&self) -> u16 {
        self.attempt
    }

    /// When this attempt is given up because a reply that comes later is of no use, where that was
    /// [said](super::Run::set_reply_due). A step that the reply does not wait for has no such time.
    #[must_use]
    pub fn reply_due(&self) -> Option<Instant> {
        self.reply_due
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
