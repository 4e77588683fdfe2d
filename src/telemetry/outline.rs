//! What the observers ask of a plan after every run of it, found out once.
//!
//! This file must not know what a run is.

use std::sync::Arc;

use crate::events::{Carries, EdgeInfo, PlanInfo, StepIndex};

/// The task whose steps call the model.
const CALL_TASK: &str = "call_upstream";
/// Plans whose outlines are kept at hand; more than these only after many reloads.
pub(super) const MOST_PLANS: usize = 64;

/// A plan, and what follows from it.
#[derive(Debug)]
pub(super) struct Outline {
    pub(super) info: Arc<PlanInfo>,
    pub(super) name: Arc<str>,
    pub(super) hash: Arc<str>,
    /// In the order of [`PlanInfo::steps`].
    pub(super) steps: Vec<StepOutline>,
}

/// A step, and what follows from where it stands.
#[derive(Debug)]
pub(super) struct StepOutline {
    pub(super) name: String,
    pub(super) task: Arc<str>,
    /// Of a step that calls the model.
    pub(super) call: Option<CallOutline>,
}

/// Where the answer to a call goes.
#[derive(Debug)]
pub(super) struct CallOutline {
    /// The steps through which it passes on, nearest first.
    pub(super) flow: Vec<StepIndex>,
    /// The steps that wait for its end.
    pub(super) waiting: Vec<StepIndex>,
}

/// The outlines of the plans in use.
#[derive(Debug, Default)]
pub(super) struct Outlines(Vec<Arc<Outline>>);

impl Outlines {
    /// The outline of `plan`.
    pub(super) fn of(&mut self, plan: &Arc<PlanInfo>) -> Arc<Outline> {
        let known = self
            .0
            .iter()
            .find(|outline| Arc::ptr_eq(&outline.info, plan));
        if let Some(known) = known {
            return Arc::clone(known);
        }
        if self.0.len() >= MOST_PLANS {
            self.0.clear();
        }
        let outline = Arc::new(Outline::new(plan));
        self.0.push(Arc::clone(&outline));
        outline
    }
}

impl Outline {
    fn new(plan: &Arc<PlanInfo>) -> Self {
        let steps = (0..).zip(&plan.steps).map(|(index, info)| StepOutline {
            name: info.name.clone(),
            task: info.task.as_str().into(),
            call: (info.task == CALL_TASK).then(|| CallOutline::new(plan, index)),
        });
        Self {
            info: Arc::clone(plan),
            name: plan.name.as_str().into(),
            hash: plan.hash.as_str().into(),
            steps: steps.collect(),
        }
    }
}

impl CallOutline {
    fn new(plan: &PlanInfo, call: StepIndex) -> Self {
        let flow = flow_of(plan, call);
        let waits = |edge: &&EdgeInfo| {
            edge.from.is_some_and(|from| flow.contains(&from))
                && matches!(edge.carries, Carries::End(_))
        };
        let waiting = plan.edges.iter().filter(waits).map(|edge| edge.to);
        let waiting = waiting.collect();
        Self { flow, waiting }
    }
}

/// The steps through which what `from` owns passes on, nearest first.
fn flow_of(plan: &PlanInfo, from: StepIndex) -> Vec<StepIndex> {
    let mut reached = Vec::new();
    let mut at = from;
    loop {
        let onward = plan.edges.iter().find(|edge| {
            edge.from == Some(at)
                && matches!(edge.carries, Carries::Owned(_))
                && !reached.contains(&edge.to)
        });
        let Some(edge) = onward else { return reached };
        reached.push(edge.to);
        at = edge.to;
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{self, CALL, CONVERT, PRICE};
    use super::*;

    #[test]
    fn the_outline_of_a_plan_is_made_once() {
        let mut outlines = Outlines::default();
        let plan = fixture::plan();
        let outline = outlines.of(&plan);
        assert!(Arc::ptr_eq(&outline, &outlines.of(&plan)));
        for _ in 0..MOST_PLANS {
            outlines.of(&fixture::plan());
        }
        assert!(outlines.0.len() <= MOST_PLANS);
        assert!(Arc::ptr_eq(&outlines.of(&plan).info, &plan));
    }

    #[test]
    fn a_call_is_followed_to_those_who_wait_for_its_end() {
        let outline = Outline::new(&fixture::plan());
        for (index, step) in (0..).zip(&outline.steps) {
            assert_eq!(step.call.is_some(), index == CALL, "{}", step.name);
        }
        let call = outline.steps[usize::from(CALL)].call.as_ref().unwrap();
        assert_eq!(
            (&*call.flow, &*call.waiting),
            (&[CONVERT][..], &[PRICE][..])
        );
    }
}
