//! Streams that pass through a run, and what is known at their end.
//!
//! A step that lets a flow pass returns the flow by [`Own`](super::Own) together with a [`Tail`].
//! Whoever pulls the flow holds the [`TailReporter`] and reports once: at the end, on failure, or from `Drop`.
//! Steps that take [`End<T>`] start then.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::error::TaskError;

/// How a flow came to its end.
#[derive(Clone, Debug)]
pub enum FlowEnd {
    /// It passed whole.
    Finished,
    /// It broke; the run is Failed.
    Failed(Arc<TaskError>),
    /// Nobody pulled any more; the run is Cancelled. Whoever held the flow says why.
    Dropped(Arc<TaskError>),
}

/// An output that will be known once a flow has ended.
#[derive(Debug)]
pub struct Tail<T> {
    pub(super) receiver: oneshot::Receiver<(T, FlowEnd)>,
}

/// The other half of a [`Tail`]: goes along with the flow.
#[derive(Debug)]
pub struct TailReporter<T> {
    sender: oneshot::Sender<(T, FlowEnd)>,
}

/// An input that waits for the end of a flow.
#[derive(Debug)]
pub struct End<T> {
    /// What was reported.
    pub value: Arc<T>,
    /// How it ended.
    pub how: FlowEnd,
}

/// Makes a tail and its reporter. A reporter dropped without a report skips the steps that wait for it.
#[must_use]
pub fn tail<T>() -> (TailReporter<T>, Tail<T>) {
    let (sender, receiver) = oneshot::channel();
    (TailReporter { sender }, Tail { receiver })
}

impl<T> TailReporter<T> {
    /// Reports the end. A run that is gone does not hear it.
    pub fn report(self, value: T, how: FlowEnd) {
        let _ = self.sender.send((value, how));
    }
}
