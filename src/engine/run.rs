//! One execution of a plan: a few counters and slots, polled by one task. Drop is cancel.

use std::future::poll_fn;
use std::marker::PhantomData;
use std::sync::Arc;

use tokio::time::Instant;

use super::error::TaskError;
use super::port::Owned;
use super::scheduler::Scheduler;
use crate::events::{Reporter, State};

/// A run under way. Time limits and pauses need a tokio runtime with its timer.
#[must_use = "a run that is dropped is cancelled"]
pub struct Run<R> {
    scheduler: Scheduler,
    reply: PhantomData<fn() -> R>,
}

/// Until when a reply is of use. It holds for what begins before the reply is there and leads to it.
#[derive(Clone, Debug)]
pub struct ReplyDue {
    /// When that is given up.
    pub at: Instant,
    /// From when on a step of it is not tried again, because too little time would be left: nor is a pause waited for that
    /// ends later.
    pub last_attempt: Instant,
    /// What is said of what is given up.
    pub why: Arc<str>,
}

/// Why a run gives no reply.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{step}: {error}")]
pub struct RunFailure {
    /// The step that failed first.
    pub step: String,
    /// The task that stands there.
    pub task: String,
    /// How many attempts have begun; none when it waited for its turn.
    pub attempts: u16,
    /// `Failed`, `TimedOut`, `Crashed` (a panic) or `Cancelled`.
    pub state: State,
    /// How it failed.
    pub error: Arc<TaskError>,
}

impl<R: Owned> Run<R> {
    pub(super) fn new(scheduler: Scheduler) -> Self {
        let reply = PhantomData;
        Self { scheduler, reply }
    }

    /// For what the server itself has to say about the run (facts, payloads) before and after the reply.
    #[must_use]
    pub fn reporter(&self) -> &Reporter {
        self.scheduler.reporter()
    }

    /// Whether steps will wait for others once the reply is there, and none does already: what is under way cannot leave
    /// the runtime on which it began.
    #[must_use]
    pub fn waits_after_reply(&self) -> bool {
        self.scheduler.waits_after_reply()
    }

    /// What is to be said of the run if it is dropped before its end, such as `the client hung up`: the engine adds when.
    /// What is said later counts instead.
    pub fn if_dropped(&mut self, what: &'static str) {
        self.scheduler.if_dropped(what);
    }

    /// Says until when a reply is of use.
    pub fn set_reply_due(&mut self, due: ReplyDue) {
        self.scheduler.set_reply_due(due);
    }

    /// Runs until the reply is there. Call it once; then [`Run::finish`], whatever it gave.
    ///
    /// # Errors
    /// When a step that the reply needs has failed.
    pub async fn reply(&mut self) -> Result<R, RunFailure> {
        poll_fn(|cx| self.scheduler.poll_reply(cx)).await
    }

    /// Runs what remains after the reply: steps that wait for the flow's end. Returns the run's final state.
    pub async fn finish(mut self) -> State {
        self.scheduler.give_up_reply();
        poll_fn(|cx| self.scheduler.poll_end(cx)).await
    }
}
