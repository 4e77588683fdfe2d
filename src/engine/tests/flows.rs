//! Claims about flows: what their end sets off.

use std::pin::pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::{End, FlowEnd, Tail, TailReporter, tail};
use super::*;

/// A flow under way; it reports when it is pulled to its end or dropped.
struct Flow {
    pieces: u32,
    reporter: Option<TailReporter<Summary>>,
}
impl Owned for Flow {
    const NAME: &'static str = "Flow";
}

impl Flow {
    fn end(&mut self, how: FlowEnd) {
        if let Some(reporter) = self.reporter.take() {
            reporter.report(Summary(self.pieces), how);
        }
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        let why = TaskError::client("they let it go");
        self.end(FlowEnd::Dropped(Arc::new(why)));
    }
}

#[derive(Serialize)]
struct Summary(u32);
impl Artifact for Summary {
    const NAME: &'static str = "Summary";
}

/// Opens a flow.
#[derive(Deserialize)]
struct Open {}
impl Task for Open {
    const NAME: &'static str = "open";
    const ABOUT: &'static str = "Opens a flow";
    type Input = ();
    type Output = (Own<Flow>, Tail<Summary>);

    async fn run(&self, (): (), _: &Cx) -> Result<Self::Output, TaskError> {
        let (reporter, tail) = tail();
        let reporter = Some(reporter);
        Ok((
            Own(Flow {
                pieces: 3,
                reporter,
            }),
            tail,
        ))
    }
}

/// Lets a flow pass.
#[derive(Deserialize)]
struct Pass(Behaviour);
impl Task for Pass {
    const NAME: &'static str = "pass";
    const ABOUT: &'static str = "Lets a flow pass";
    type Input = (Own<Flow>, Res<Probe>);
    type Output = Own<Flow>;

    async fn run(&self, (Own(flow), probe): Self::Input, cx: &Cx) -> Result<Own<Flow>, TaskError> {
        self.0.act(&probe, cx).await?;
        Ok(Own(flow))
    }
}

/// Counts what has passed.
#[derive(Deserialize)]
struct Account(Behaviour);
impl Task for Account {
    const NAME: &'static str = "account";
    const ABOUT: &'static str = "Counts what has passed";
    type Input = (End<Summary>, Res<Probe>);
    type Output = Word;

    async fn run(&self, (end, probe): Self::Input, cx: &Cx) -> Result<Word, TaskError> {
        self.0.act(&probe, cx).await?;
        cx.fact("pieces", i64::from(end.value.0));
        Ok(Word(format!("{:?}", end.how)))
    }
}

const FLOW_TASKS: [TaskDef; 5] = [
    TaskDef::of::<Open>(),
    TaskDef::of::<Pass>(),
    TaskDef::of::<Account>(),
    TaskDef::of::<Listen>(),
    TaskDef::of::<Idle>(),
];

const STEPS: &str = r#"
    [steps.open]
    [steps.answer]
    task = "pass"
    needs = ["open"]
    [steps.account]
    needs = ["open"]
    [steps.listen]
    needs = ["account"]
    [steps.idle]
    after = ["open"]
"#;

/// Runs `STEPS`, ends its flow by `end`, and gives the run's state with what was seen.
async fn run_to(end: impl FnOnce(Flow)) -> (State, Seen) {
    let rig = Rig::<Flow>::with(STEPS, &FLOW_TASKS);
    let mut run = rig.start();
    let flow = run.reply().await.unwrap();
    let mut finish = Box::pin(run.finish());
    let waiting = tokio::time::timeout(Duration::ZERO, finish.as_mut()).await;
    assert!(waiting.is_err(), "the flow has not ended");
    assert_eq!(
        rig.probe.begun().len(),
        1,
        "nobody else starts before the end"
    );
    end(flow);
    let state = finish.await;
    (state, rig.events())
}

#[tokio::test]
async fn a_flow_that_passed_whole_completes_the_run() {
    let (state, seen) = run_to(|mut flow| flow.end(FlowEnd::Finished)).await;
    assert_eq!(state, State::Completed);
    insta::assert_snapshot!(seen.told(), @r#"
    started test
    request produced Request
    open Running 1
    answer Running 1
    answer Completed 1
    Replied
    open produced Summary
    open Completed 1
    account Running 1
    idle Running 1
    Fact { name: "pieces", value: Some(Int(3)) }
    account produced Word
    account Completed 1
    listen Running 1
    idle Completed 1
    listen Completed 1
    ended Completed
    "#);
}

#[tokio::test]
async fn a_flow_that_broke_fails_the_run_and_is_still_accounted() {
    let error = Arc::new(TaskError::upstream("the line went dead"));
    let (state, seen) = run_to(|mut flow| flow.end(FlowEnd::Failed(error))).await;
    assert_eq!(state, State::Failed);
    assert_eq!(seen.states("open"), [State::Running, State::Failed]);
    assert_eq!(seen.last_state("listen"), Some(State::Completed));
    assert_eq!(seen.last_state("idle"), Some(State::Skipped));
    let told = seen.told();
    let last = told.lines().last().unwrap();
    assert_eq!(last, "ended Failed: open: the line went dead");
}

#[tokio::test]
async fn a_dropped_flow_cancels_the_run_and_is_still_accounted() {
    let (state, seen) = run_to(drop).await;
    assert_eq!(state, State::Cancelled);
    assert_eq!(seen.states("open"), [State::Running, State::Cancelled]);
    assert_eq!(seen.last_state("listen"), Some(State::Completed));
    assert_eq!(seen.told().lines().last().unwrap(), "ended Cancelled");
}

#[tokio::test]
async fn a_reporter_that_never_reports_skips_those_who_wait_for_it() {
    let (state, seen) = run_to(|mut flow| drop(flow.reporter.take())).await;
    assert_eq!(state, State::Cancelled);
    assert_eq!(seen.last_state("account"), Some(State::Skipped));
    assert_eq!(seen.last_state("listen"), Some(State::Skipped));
}

#[tokio::test]
async fn a_flow_that_nobody_takes_any_more_ends_at_once() {
    let steps = STEPS.replace(
        "task = \"pass\"",
        "task = \"pass\"\nwith = { failures = 1 }",
    );
    let rig = Rig::<Flow>::with(&steps, &FLOW_TASKS);
    let mut run = rig.start();
    assert!(run.reply().await.is_err());
    assert_eq!(run.finish().await, State::Failed);
    assert_eq!(rig.events().last_state("account"), Some(State::Completed));
}

#[tokio::test]
async fn a_flow_whose_taker_is_skipped_ends_at_once() {
    let steps =
        format!("{STEPS}\n[steps.failing]\ntask = \"idle\"\nwith = {{ failures = 1, yields = 2 }}")
            .replace("task = \"pass\"", "task = \"pass\"\nafter = [\"failing\"]");
    let rig = Rig::<Flow>::with(&steps, &FLOW_TASKS);
    let mut run = rig.start();
    assert!(run.reply().await.is_err());
    assert_eq!(run.finish().await, State::Failed);
    assert_eq!(rig.events().last_state("account"), Some(State::Completed));
}

#[tokio::test]
async fn a_reply_that_is_not_asked_for_ends_its_flow() {
    let rig = Rig::<Flow>::with(STEPS, &FLOW_TASKS);
    assert_eq!(rig.start().finish().await, State::Cancelled);
    assert_eq!(rig.events().last_state("account"), Some(State::Completed));
}

#[tokio::test]
async fn a_run_dropped_while_its_flow_passes_is_cancelled() {
    let rig = Rig::<Flow>::with(STEPS, &FLOW_TASKS);
    let mut run = rig.start();
    let mut flow = run.reply().await.unwrap();
    {
        let finish = pin!(run.finish());
        let waiting = tokio::time::timeout(Duration::ZERO, finish).await;
        assert!(waiting.is_err());
    }
    flow.end(FlowEnd::Finished);
    let seen = rig.events();
    assert_eq!(seen.last_state("open"), Some(State::Cancelled));
    assert_eq!(seen.states("account"), [State::Cancelled]);
    assert_eq!(seen.told().lines().last().unwrap(), "ended Cancelled");
}
