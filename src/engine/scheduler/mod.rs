//! Decides what runs when. One task polls a run; nothing is spawned, and the only lock is the journal's.
//!
//! A step starts when nothing is left that it waits for: each input waits for its slot to be filled, each `after` for
//! that step's end. A step that gave a flow has its final state when the flow has ended. This file must not know how
//! a step does its work, nor the type of anything that passes.

mod begin;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::attempt::{Outcome, Work};
use super::counters::{Counters, Verdict};
use super::error::TaskError;
use super::flow::FlowEnd;
use super::plan::Graph;
use super::run::{ReplyDue, RunFailure};
use super::slot::{Held, Output, Slot, Source, TailEnd};
use crate::events::{
    AnyArtifact, EventKind, EventSink, Journal, Reporter, RunStart, State, StepIndex, Timestamp,
};

/// A run's state. The plan does not change; these counters do.
pub(super) struct Scheduler {
    graph: Arc<Graph>,
    reporter: Reporter,
    counters: Counters,
    slots: Vec<Slot>,
    /// Attempts that were not polled yet. Most are ready at the first poll and spare the bookkeeping of `working`.
    begun: VecDeque<Work>,
    /// Attempts at work, pauses before a retry, flows under way; nothing as long as nobody had to wait.
    working: Option<FuturesUnordered<Work>>,
    /// When the latest outcome was known; the time of everything that follows from it.
    now: Timestamp,
    /// The first failure that the run does not survive.
    failure: Option<RunFailure>,
    /// Why there will be no reply.
    reply_failure: Option<RunFailure>,
    /// What is said if the run is dropped.
    if_dropped: Option<&'static str>,
    /// Until when a reply is of use. Nothing that leads to it begins once it is there.
    reply_due: Option<ReplyDue>,
    /// Whether a flow was dropped, or the run itself.
    was_cancelled: bool,
    is_over: bool,
}

impl Scheduler {
    pub(super) fn new(
        graph: Arc<Graph>,
        input: Arc<dyn AnyArtifact>,
        start: RunStart,
        sink: EventSink,
    ) -> Self {
        let now = start.at;
        let start = Arc::new(start);
        let plan = Arc::clone(&graph.info);
        let journal = Journal::new(Arc::clone(&start), Arc::clone(&plan), sink);
        journal.note_at(now, EventKind::Started { start, plan });
        let slots = graph.takers.iter().map(|takers| Slot::new(takers.len()));
        let mut slots: Vec<_> = slots.collect();
        slots[graph.reply] = Slot::new(1);
        let mut scheduler = Self {
            reporter: Reporter::of_run(Arc::new(journal)),
            counters: Counters::new(&graph.steps),
            slots,
            begun: VecDeque::with_capacity(graph.steps.len().min(16)),
            working: None,
            now,
            failure: None,
            reply_failure: None,
            if_dropped: None,
            reply_due: None,
            was_cancelled: false,
            is_over: false,
            graph,
        };
        scheduler.fill(None, 0, Held::Shared(input));
        scheduler
    }

    pub(super) fn reporter(&self) -> &Reporter {
        &self.reporter
    }

    pub(super) fn waits_after_reply(&self) -> bool {
        let steps = self.graph.info.steps.iter().zip(&self.counters.steps);
        let mut limited = steps.filter(|(info, _)| info.timeout.is_some());
        let is_at_work = |state| matches!(state, State::Running | State::Retrying);
        self.graph.waits_after_reply && !limited.any(|(_, step)| is_at_work(step.state))
    }

    pub(super) fn if_dropped(&mut self, what: &'static str) {
        self.if_dropped = Some(what);
    }

    pub(super) fn set_reply_due(&mut self, due: ReplyDue) {
        self.reply_due = Some(due);
    }

    /// Runs until the reply is there or known not to come. What was noted until then goes out with what follows, in
    /// [`Scheduler::poll_end`].
    pub(super) fn poll_reply<R: 'static>(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<R, RunFailure>> {
        self.wake();
        loop {
            if let Some(reply) = self.slots[self.graph.reply].take_owned() {
                self.note(EventKind::Replied);
                return Poll::Ready(Ok(reply));
            }
            if let Some(failure) = &self.reply_failure {
                return Poll::Ready(Err(failure.clone()));
            }
            if !ready!(self.poll_next(cx)) {
                let error = Arc::new(TaskError::ours("its reply was taken before"));
                let failure = self.failure_of(self.graph.info.reply, State::Failed, error);
                return Poll::Ready(Err(failure));
            }
        }
    }

    /// A reply that nobody took yet is not wanted any more; a flow in it has to end.
    pub(super) fn give_up_reply(&mut self) {
        self.slots[self.graph.reply].release();
    }

    /// Runs until nothing is left to run, and gives the run's final state.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<State> {
        self.wake();
        while ready!(self.poll_next(cx)) {}
        Poll::Ready(self.end())
    }

    /// Reads the clock once before steps begin. All later times come from outcomes: reading the clock costs as much as a
    /// step.
    fn wake(&mut self) {
        if !self.counters.ready.is_empty() {
            self.now = Timestamp::now();
        }
    }

    /// Waits for the next outcome and draws its consequences. False when nothing is left to wait for.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        while let Some(step) = self.counters.ready.pop_front() {
            self.begin(step);
        }
        match self.poll_work(cx) {
            Poll::Ready(Some((step, outcome))) => {
                self.now = Timestamp::now();
                self.conclude(step, outcome);
                Poll::Ready(true)
            }
            Poll::Ready(None) => Poll::Ready(false),
            Poll::Pending => {
                self.reporter.flush();
                Poll::Pending
            }
        }
    }

    /// Polls what has begun, then what was at work before, until something is ready.
    fn poll_work(&mut self, cx: &mut Context<'_>) -> Poll<Option<(StepIndex, Outcome)>> {
        while let Some(mut work) = self.begun.pop_front() {
            if let Poll::Ready(outcome) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(outcome));
            }
            self.wait_for(work);
        }
        match &mut self.working {
            Some(working) => working.poll_next_unpin(cx),
            None => Poll::Ready(None),
        }
    }

    fn wait_for(&mut self, work: Work) {
        self.working.get_or_insert_default().push(work);
    }

    fn conclude(&mut self, step: StepIndex, outcome: Outcome) {
        match outcome {
            Outcome::Gave(given) => self.collect(step, given),
            Outcome::Broke(state, error) => self.retry_or_fail(step, state, error),
            Outcome::Rested => self.counters.ready.push_back(step),
            Outcome::Admitted(place) => self.attempt(step, Some(place)),
            Outcome::FlowEnded(slot, end) => self.flow_ended(step, slot, end),
        }
    }

    /// Puts a step's outputs into their slots.
    fn collect(&mut self, step: StepIndex, given: Vec<Output>) {
        self.release_inputs(step);
        let first = self.graph.steps[usize::from(step)].slots.start;
        for (slot, output) in (first..).zip(given) {
            match output {
                Output::Now(value) => self.fill(Some(step), slot, value),
                Output::Tail(flow) => {
                    self.counters.steps[usize::from(step)].flows += 1;
                    self.wait_for(Box::pin(async move {
                        (step, Outcome::FlowEnded(slot, flow.await))
                    }));
                }
            }
        }
        if self.counters.steps[usize::from(step)].flows == 0 {
            self.settle(step, Ok(()), 0..0);
        }
    }

    fn flow_ended(&mut self, step: StepIndex, slot: usize, end: TailEnd) {
        let run = &mut self.counters.steps[usize::from(step)];
        run.flows -= 1;
        match &end {
            Ok((_, FlowEnd::Finished)) => {}
            Ok((_, FlowEnd::Failed(error))) => {
                run.verdict = Err((State::Failed, Arc::clone(error)));
            }
            Ok((_, FlowEnd::Dropped(why))) | Err(why) => {
                if run.verdict.is_ok() {
                    run.verdict = Err((State::Cancelled, Arc::clone(why)));
                }
            }
        }
        match end {
            Ok((value, how)) => self.fill(Some(step), slot, Held::End(value, how)),
            Err(why) => {
                let cause = self.failure_of(step, State::Cancelled, why);
                self.lose(&cause, slot..slot + 1, &[]);
            }
        }
        let run = &mut self.counters.steps[usize::from(step)];
        if run.flows == 0 {
            let verdict = std::mem::replace(&mut run.verdict, Ok(()));
            self.settle(step, verdict, 0..0);
        }
    }

    fn retry_or_fail(&mut self, step: StepIndex, state: State, error: TaskError) {
        let attempt = self.counters.steps[usize::from(step)].attempt;
        let retry = self.graph.info.steps[usize::from(step)].retry.as_ref();
        let retry =
            retry.filter(|retry| error.retryable && (retry.timeouts || state != State::TimedOut));
        let pause = retry.and_then(|retry| retry.pause(attempt, error.retry_after));
        let leaves_time = |pause: &Duration| {
            let due = self.due(step);
            due.is_none_or(|due| Instant::now() + *pause < due.last_attempt)
        };
        let Some(pause) = pause.filter(leaves_time) else {
            let slots = self.graph.steps[usize::from(step)].slots.clone();
            self.release_inputs(step);
            return self.settle(step, Err((state, Arc::new(error))), slots);
        };
        self.wait_for(Box::pin(async move {
            tokio::time::sleep(pause).await;
            (step, Outcome::Rested)
        }));
        self.enter(step, State::Retrying, Some(error.to_string()), Some(pause));
    }

    /// Gives a step that ran its final state. `lost` are the slots that it leaves empty.
    fn settle(&mut self, step: StepIndex, verdict: Verdict, lost: Range<usize>) {
        let Err((state, error)) = verdict else {
            self.enter(step, State::Completed, None, None);
            return self.let_go(step);
        };
        self.enter(step, state, Some(error.to_string()), None);
        let failure = self.failure_of(step, state, error);
        let graph = Arc::clone(&self.graph);
        if graph.info.steps[usize::from(step)].optional {
            self.let_go(step);
            return self.lose(&failure, lost, &[]);
        }
        if state == State::Cancelled {
            self.was_cancelled = true;
        } else if self.failure.is_none() {
            self.failure = Some(failure.clone());
        }
        self.lose(&failure, lost, &graph.steps[usize::from(step)].followers);
    }

    /// Skips the steps that cannot do without these slots, those `followers`, and what depends on any of them.
    fn lose(&mut self, cause: &RunFailure, slots: Range<usize>, followers: &[StepIndex]) {
        let graph = Arc::clone(&self.graph);
        let mut doomed = followers.to_vec();
        slots.for_each(|slot| self.counters.miss(&graph.takers[slot], &mut doomed));
        let mut next = 0;
        while let Some(&step) = doomed.get(next) {
            next += 1;
            if self.counters.steps[usize::from(step)].state.is_final() {
                continue;
            }
            let because = format!("step `{}` {}", cause.step, ended(cause.state));
            self.enter(step, State::Skipped, Some(because), None);
            self.release_inputs(step);
            let planned = &graph.steps[usize::from(step)];
            let slots = planned.slots.clone();
            slots.for_each(|slot| self.counters.miss(&graph.takers[slot], &mut doomed));
            if graph.info.steps[usize::from(step)].optional {
                self.let_go(step);
            } else {
                doomed.extend(&planned.followers);
            }
        }
        let reply = self.counters.steps[usize::from(graph.info.reply)].state;
        if reply.is_final() && reply != State::Completed && self.reply_failure.is_none() {
            self.reply_failure = Some(cause.clone());
        }
    }

    /// Puts a value into its slot, says what it is if it can be shown, and tells those who wait for it.
    fn fill(&mut self, step: Option<StepIndex>, slot: usize, value: Held) {
        if let Held::Shared(shown) | Held::End(shown, _) = &value {
            let value = Arc::clone(shown);
            self.note(EventKind::Produced { step, value });
        }
        self.slots[slot].fill(value);
        for taker in &self.graph.takers[slot] {
            self.counters.arrived(taker.step);
        }
    }

    /// Tells those that come `after` a step that it has ended.
    fn let_go(&mut self, step: StepIndex) {
        for follower in &self.graph.steps[usize::from(step)].followers {
            self.counters.arrived(*follower);
        }
    }

    fn release_inputs(&mut self, step: StepIndex) {
        let sources = self.graph.steps[usize::from(step)].sources.iter();
        for slot in sources.filter_map(Source::slot) {
            self.slots[slot].release();
        }
    }

    /// Changes a step's state and says so, with the error in words and the pause before the next attempt.
    fn enter(
        &mut self,
        step: StepIndex,
        state: State,
        message: Option<String>,
        retry_in: Option<Duration>,
    ) {
        let run = &mut self.counters.steps[usize::from(step)];
        run.state = state;
        let attempt = run.attempt;
        let message = message.map(String::into_boxed_str);
        self.note(EventKind::Step {
            step,
            state,
            attempt,
            message,
            retry_in,
        });
    }

    fn failure_of(&self, step: StepIndex, state: State, error: Arc<TaskError>) -> RunFailure {
        let info = &self.graph.info.steps[usize::from(step)];
        RunFailure {
            step: info.name.clone(),
            task: info.task.clone(),
            attempts: self.counters.steps[usize::from(step)].attempt,
            state,
            error,
        }
    }

    fn note(&self, kind: EventKind) {
        self.reporter.journal().note_at(self.now, kind);
    }

    /// Ends a run in which nothing is left to do.
    fn end(&mut self) -> State {
        let failure = self.failure.as_ref().or(self.reply_failure.as_ref());
        let state = match failure {
            // A panic is a failure like another: what crashes is a process.
            Some(failure) if failure.state == State::Crashed => State::Failed,
            Some(failure) => failure.state,
            None if self.was_cancelled => State::Cancelled,
            None => State::Completed,
        };
        let error = failure.map(|failure| failure.to_string().into());
        self.is_over = true;
        let ended = EventKind::Ended { state, error };
        self.reporter.journal().close(self.now, ended);
        state
    }
}

/// How a step that others wait for in vain ended, as it stands in a sentence.
const fn ended(state: State) -> &'static str {
    match state {
        State::TimedOut => "timed out",
        State::Crashed => "panicked",
        State::Cancelled => "was cancelled",
        _ => "failed",
    }
}

impl Drop for Scheduler {
    /// Cancels what is not done.
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        self.begun.clear();
        self.working = None;
        self.slots.clear();
        self.now = Timestamp::now();
        let why = self.if_dropped.map(|what| self.reporter.after(what));
        for step in (0..).take(self.counters.steps.len()) {
            let run = &self.counters.steps[usize::from(step)];
            if run.state.is_final() {
                continue;
            }
            self.was_cancelled = true;
            // At work, or about to be.
            let has_begun = run.waits_for == 0;
            let why = why.clone().filter(|_| has_begun);
            self.enter(step, State::Cancelled, why.clone(), None);
            if let Some(why) = why
                && self.reply_failure.is_none()
            {
                let error = Arc::new(TaskError::client(why));
                self.reply_failure = Some(self.failure_of(step, State::Cancelled, error));
            }
        }
        self.end();
    }
}
