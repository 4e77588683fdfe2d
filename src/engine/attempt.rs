//! One attempt of one step as a future: a panic is caught, a time limit kept.
//!
//! This file must not know what an outcome means for the run.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::cx::Cx;
use super::error::{Fault, TaskError};
use super::port::{Inputs, Outputs};
use super::slot::{Intake, Output, TailEnd};
use super::task::Task;
use crate::events::{Reporter, State, StepIndex};

/// Something a run waits for.
pub(super) type Work = Pin<Box<dyn Future<Output = (StepIndex, Outcome)> + Send>>;

/// What a run hears from what it waits for.
pub(super) enum Outcome {
    /// An attempt succeeded.
    Gave(Vec<Output>),
    /// An attempt failed: `Failed`, `TimedOut` or `Crashed`.
    Broke(State, TaskError),
    /// The pause before the next attempt is over.
    Rested,
    /// There is a place for another attempt.
    Admitted(Place),
    /// The flow behind the output of this slot has ended.
    FlowEnded(usize, TailEnd),
}

/// One of the places that a step's `limit` has, given back when this is dropped.
pub(super) type Place = OwnedSemaphorePermit;

/// How long an attempt may take.
pub(super) enum TimeLimit {
    /// As long as its step says.
    OfStep(Duration),
    /// Until a reply is of no use any more, and what is said then.
    OfReply(Duration, Arc<str>),
}

/// A [`Task`] whose type was forgotten.
pub(super) trait AnyTask: Send + Sync {
    /// Takes the inputs and begins to work once polled. Keeps its place until it is done.
    fn attempt(
        self: Arc<Self>,
        intake: Intake<'_>,
        cx: Cx,
        time_limit: Option<TimeLimit>,
        place: Option<Place>,
    ) -> Work;
}

impl<T: Task> AnyTask for T {
    fn attempt(
        self: Arc<Self>,
        mut intake: Intake<'_>,
        cx: Cx,
        time_limit: Option<TimeLimit>,
        place: Option<Place>,
    ) -> Work {
        let input = T::Input::take(&mut intake);
        Box::pin(async move {
            let _place = place;
            let (task, cx) = (&*self, &cx);
            let work = async move { Ok(task.run(input, cx).await?.give().collect()) };
            let mut work = pin!(AssertUnwindSafe(work).catch_unwind());
            let finished = match time_limit {
                None => Ok(work.await),
                Some(time_limit) => time_limit.keep(work.as_mut(), T::WAITS_FOR).await,
            };
            let outcome = match finished {
                Ok(Ok(Ok(given))) => Outcome::Gave(given),
                Ok(Ok(Err(error))) => Outcome::Broke(State::Failed, error),
                Ok(Err(panic)) => Outcome::Broke(State::Crashed, crashed(panic.as_ref())),
                Err(late) => Outcome::Broke(State::TimedOut, late),
            };
            (cx.step(), outcome)
        })
    }
}

/// Waits for a place, in turn, as long as the reply that waits for it is of use: time that is not the run's own.
pub(super) fn wait_for_place(
    places: Arc<Semaphore>,
    reporter: Reporter,
    time_limit: Option<TimeLimit>,
) -> Work {
    let waiting = reporter.waiting();
    Box::pin(async move {
        let turn = places.acquire_owned();
        let admitted = match time_limit {
            None => Ok(turn.await),
            Some(time_limit) => time_limit.keep(turn, Fault::Ours).await,
        };
        drop(waiting);
        let outcome = match admitted {
            Ok(place) => Outcome::Admitted(place.expect("nobody closes the places of a plan")),
            Err(late) => Outcome::Broke(State::TimedOut, late),
        };
        (reporter.step(), outcome)
    })
}

impl TimeLimit {
    /// Waits so long and no longer.
    async fn keep<F: Future>(self, work: F, fault: Fault) -> Result<F::Output, TaskError> {
        let (Self::OfStep(lasts) | Self::OfReply(lasts, _)) = self;
        let done = tokio::time::timeout(lasts, work).await;
        done.map_err(|_| match self {
            Self::OfStep(_) => {
                TaskError::new(fault, format!("it was not done within {lasts:?}").into())
                    .retry(None)
            }
            Self::OfReply(_, why) => TaskError::upstream(&*why),
        })
    }
}

fn crashed(panic: &(dyn Any + Send)) -> TaskError {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    TaskError::ours(format!("it panicked: {}", message.unwrap_or("no message")))
}
