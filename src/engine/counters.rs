//! What each step of a run still waits for, and which wait for nothing any more.
//!
//! This is Kahn's algorithm: a counter for each step, and a queue of those at zero.

use std::collections::VecDeque;
use std::sync::Arc;

use super::error::TaskError;
use super::plan::{Step, Taker};
use crate::events::{State, StepIndex};

/// The steps' counters and those whose counter is at zero.
pub(super) struct Counters {
    pub(super) steps: Vec<StepRun>,
    pub(super) ready: VecDeque<StepIndex>,
}

/// One step of a run.
pub(super) struct StepRun {
    pub(super) state: State,
    pub(super) attempt: u16,
    /// Slots to be filled and steps to end before it may start.
    pub(super) waits_for: u16,
    /// Flows it gave that have not ended.
    pub(super) flows: u8,
    /// How its flows ended, the worst of them.
    pub(super) verdict: Verdict,
}

/// How a step ended.
pub(super) type Verdict = Result<(), (State, Arc<TaskError>)>;

impl Counters {
    pub(super) fn new(steps: &[Step]) -> Self {
        let runs = steps.iter().map(|step| StepRun {
            state: State::Pending,
            attempt: 0,
            waits_for: step.waits_for,
            flows: 0,
            verdict: Ok(()),
        });
        let begin = (0..).zip(steps).filter(|(_, step)| step.waits_for == 0);
        let mut ready = VecDeque::with_capacity(steps.len());
        ready.extend(begin.map(|(step, _)| step));
        let steps = runs.collect();
        Self { steps, ready }
    }

    /// Something that `step` waits for has come.
    pub(super) fn arrived(&mut self, step: StepIndex) {
        let run = &mut self.steps[usize::from(step)];
        run.waits_for -= 1;
        if run.waits_for == 0 && run.state == State::Pending {
            self.ready.push_back(step);
        }
    }

    /// Something will never come: its takers go on without it or are `doomed`.
    pub(super) fn miss(&mut self, takers: &[Taker], doomed: &mut Vec<StepIndex>) {
        for taker in takers {
            if taker.may_miss {
                self.arrived(taker.step);
            } else {
                doomed.push(taker.step);
            }
        }
    }
}
