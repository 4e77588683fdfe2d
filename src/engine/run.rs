//! One execution of a plan: a few counters and slots, polled by one task. Drop is cancel.

use std::future::poll_fn;
use std::marker::PhantomData;
use std::sync::Arc;

use super::cx::Reporter;
use super::error::TaskError;
use super::event::State;
use super::port::Owned;
use super::scheduler::Scheduler;

/// A run under way.
#[must_use = "a run that is dropped is cancelled"]
pub struct Run<R> {
    scheduler: Scheduler,
    reply: PhantomData<fn() -> R>,
}

/// Why a run gives no reply.
#[derive(Clone, Debug, thiserror::Error)]
#[error("step `{step}` {}: {error}", .state.name())]
pub struct RunFailure {
    /// The step that failed first.
    pub step: String,
    /// `Failed`, `TimedOut` or `Crashed` (a panic).
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde::{Deserialize, Serialize};

    use crate::engine::{
        Artifact, Cx, End, FlowEnd, Own, Owned, Plan, Resources, RunId, RunStart, State, Tail,
        TailReporter, Task, TaskDef, TaskError, Timestamp, TraceContext, event_queue, tail,
    };
    use std::sync::Arc;

    #[derive(Serialize)]
    struct Number(u64);
    impl Artifact for Number {
        const NAME: &'static str = "Number";
    }

    struct Stream(u64, Option<TailReporter<Summary>>);
    impl Owned for Stream {
        const NAME: &'static str = "Stream";
    }

    #[derive(Serialize)]
    struct Summary(u64);
    impl Artifact for Summary {
        const NAME: &'static str = "Summary";
    }

    #[derive(Deserialize)]
    struct Answer;
    impl Task for Answer {
        const NAME: &'static str = "answer";
        const ABOUT: &'static str = "Answers with a flow";
        type Input = Arc<Number>;
        type Output = (Own<Stream>, Tail<Summary>);

        async fn run(&self, number: Arc<Number>, cx: &Cx) -> Result<Self::Output, TaskError> {
            cx.fact("n", 3.5);
            let (reporter, tail) = tail();
            Ok((Own(Stream(number.0 * 2, Some(reporter))), tail))
        }
    }

    #[derive(Deserialize)]
    struct Account {}
    impl Task for Account {
        const NAME: &'static str = "account";
        const ABOUT: &'static str = "Counts what passed";
        type Input = End<Summary>;
        type Output = ();

        async fn run(&self, end: End<Summary>, cx: &Cx) -> Result<(), TaskError> {
            cx.fact("sum", i64::try_from(end.value.0).unwrap());
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_flow_ends_and_is_accounted() {
        let text = r#"
name = "smoke"
reply = "answer"
[steps.answer]
needs = ["request"]
[steps.account]
needs = ["answer"]
"#;
        let tasks = [TaskDef::of::<Answer>(), TaskDef::of::<Account>()];
        let plan =
            Plan::<Number, Stream>::compile("smoke.toml", text, &tasks, &Resources::default());
        let plan = Arc::new(plan.unwrap());
        let (sink, _source) = event_queue(64);
        let id = RunId::now();
        let start = RunStart {
            id,
            at: Timestamp::now(),
            request_id: "r".into(),
            trace: TraceContext::of_run(id),
        };
        let mut run = plan.start(Arc::new(Number(21)), start, &sink);
        let mut reply = run.reply().await.unwrap();
        assert_eq!(reply.0, 42);
        let finish = run.finish();
        let mut finish = std::pin::pin!(finish);
        let waiting = tokio::time::timeout(Duration::from_millis(1), finish.as_mut()).await;
        assert!(waiting.is_err());
        reply
            .1
            .take()
            .unwrap()
            .report(Summary(7), FlowEnd::Finished);
        assert_eq!(finish.await, State::Completed);
    }
}
