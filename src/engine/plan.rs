//! A workflow proved against the tasks: compiled once, immutable.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::attempt::AnyTask;
use super::port::{Owned, Port, PortKind};
use super::proof::{Ends, Proof, StepProof, prove};
use super::registry::{Resources, TaskDef};
use super::run::Run;
use super::scheduler::Scheduler;
use super::slot::Source;
use crate::events::{
    Artifact, Carries, EdgeInfo, EventSink, PlanInfo, RunStart, StepIndex, StepInfo,
};
use crate::workflow::{self, Faults, Report, Workflow};

/// A compiled workflow whose runs take an `I` and reply with an `Own<R>`.
pub struct Plan<I, R> {
    graph: Arc<Graph>,
    types: PhantomData<fn(I) -> R>,
}

/// What the scheduler needs of a plan. The first slot is the request's.
pub(super) struct Graph {
    pub(super) info: Arc<PlanInfo>,
    /// Whether a step that does not lead to the reply has a time limit, so that it may wait for others after it.
    pub(super) waits_after_reply: bool,
    /// In topological order, as in [`PlanInfo::steps`].
    pub(super) steps: Vec<Step>,
    /// For each slot, who takes from it.
    pub(super) takers: Vec<Vec<Taker>>,
    /// The slot whose value the run gives away.
    pub(super) reply: usize,
}

/// A step of a plan. The rest of it is plain data: its [`StepInfo`].
pub(super) struct Step {
    pub(super) task: Arc<dyn AnyTask>,
    pub(super) sources: Vec<Source>,
    /// Where its outputs go.
    pub(super) slots: Range<usize>,
    /// The steps that come `after` it.
    pub(super) followers: Vec<StepIndex>,
    /// How many slots and steps it waits for.
    pub(super) waits_for: u16,
    /// The places for its attempts at work, over all runs, where they are counted.
    pub(super) places: Option<Arc<Semaphore>>,
    /// Whether the reply waits for it.
    pub(super) leads_to_reply: bool,
}

/// Who takes from a slot.
#[derive(Clone, Copy)]
pub(super) struct Taker {
    pub(super) step: StepIndex,
    /// Whether it can do without.
    pub(super) may_miss: bool,
}

impl<I: Artifact, R: Owned> Plan<I, R> {
    /// Proves the workflow in `text` against `tasks` and `resources`. `file` is the name used in sentences.
    ///
    /// # Errors
    /// All faults at once.
    pub fn compile(
        file: &str,
        text: &str,
        tasks: &[TaskDef],
        resources: &Resources,
    ) -> Result<Self, Faults> {
        let mut report = Report::new(file, text);
        let ends = Ends {
            input: Port::of::<I>(PortKind::Shared, I::NAME),
            reply: Port::of::<R>(PortKind::Owned, R::NAME),
        };
        let workflow = workflow::read(text, &mut report);
        let proof = prove(&workflow, ends, tasks, resources, &mut report);
        report.close()?;
        let proof = proof.expect("a workflow that is not proved has a fault");
        let info = describe(file, text, &workflow, &proof);
        let graph = Arc::new(draw(info, proof));
        let types = PhantomData;
        Ok(Self { graph, types })
    }

    /// What the plan looks like.
    #[must_use]
    pub fn info(&self) -> &Arc<PlanInfo> {
        &self.graph.info
    }

    /// Begins a run. Nothing happens until [`Run::reply`] is polled; dropping the run cancels it.
    pub fn start(self: &Arc<Self>, input: Arc<I>, start: RunStart, sink: &EventSink) -> Run<R> {
        let graph = Arc::clone(&self.graph);
        Run::new(Scheduler::new(graph, input, start, sink.clone()))
    }
}

fn describe(file: &str, text: &str, workflow: &Workflow, proof: &Proof<'_>) -> Arc<PlanInfo> {
    let mut edges = Vec::new();
    for (to, step) in (0..).zip(&proof.steps) {
        for (port, source) in step.takes.iter().zip(&step.sources) {
            let Some(slot) = source.slot() else {
                continue;
            };
            let name = port.name.to_owned();
            let carries = match port.kind {
                PortKind::Owned => Carries::Owned(name),
                PortKind::End => Carries::End(name),
                _ => Carries::Shared(name),
            };
            let from = proof.slots[slot].giver;
            edges.push(EdgeInfo { from, to, carries });
        }
        edges.extend(step.after.iter().map(|earlier| EdgeInfo {
            from: Some(*earlier),
            to,
            carries: Carries::Order,
        }));
    }
    let steps = proof.steps.iter().map(|step| describe_step(step, proof));
    let mut info = PlanInfo {
        name: workflow.name.clone(),
        about: workflow.about.clone(),
        file: String::new(),
        source: text.to_owned(),
        route: workflow.route.clone(),
        hash: String::new(),
        reply: proof.reply.1,
        steps: steps.collect(),
        edges,
    };
    // The tasks' ports are part of what is hashed: a program that reads the same file differently has another plan.
    let input = proof.slots[0].port.name;
    let content = serde_json::to_vec(&(&info, input)).expect("plain data is JSON");
    info.hash = blake3::hash(&content).to_hex().chars().take(32).collect();
    file.clone_into(&mut info.file);
    Arc::new(info)
}

fn describe_step(step: &StepProof<'_>, proof: &Proof<'_>) -> StepInfo {
    let taken = step.takes.iter().zip(&step.sources);
    // An input that may be left out, and is.
    let taken = taken.filter(|(_, source)| !matches!(source, Source::Nothing));
    let takes = taken.map(|(port, _)| port.name.to_owned());
    let gives = proof.slots[step.slots.clone()].iter();
    StepInfo {
        name: step.draft.name().to_owned(),
        task: step.draft.task.get_ref().clone(),
        about: step.def.map_or("", |def| def.about).to_owned(),
        with: step.draft.with.get_ref().to_string(),
        optional: step.draft.optional,
        timeout: step.timeout(),
        retry: step.draft.retry.clone(),
        limit: step.limit(),
        takes: takes.collect(),
        gives: gives.map(|slot| slot.port.name.to_owned()).collect(),
    }
}

/// Turns what is known of each step into what is known of each slot.
fn draw(info: Arc<PlanInfo>, proof: Proof<'_>) -> Graph {
    let mut takers = vec![Vec::new(); proof.slots.len()];
    let mut steps: Vec<Step> = Vec::new();
    for (place, step) in (0..).zip(proof.steps) {
        let limit = step.limit();
        let mut waits_for = step.after.len();
        for (port, source) in step.takes.iter().zip(&step.sources) {
            if let Some(slot) = source.slot() {
                waits_for += 1;
                takers[slot].push(Taker {
                    step: place,
                    may_miss: port.kind == PortKind::Optional,
                });
            }
        }
        for earlier in step.after {
            steps[usize::from(earlier)].followers.push(place);
        }
        steps.push(Step {
            task: step.task.expect("a step without a task is a fault"),
            sources: step.sources,
            slots: step.slots,
            followers: Vec::new(),
            waits_for: u16::try_from(waits_for).expect("a signature's inputs and 4,096 steps"),
            places: limit.map(|limit| Arc::new(Semaphore::new(limit.into()))),
            leads_to_reply: false,
        });
    }
    let (reply, giver) = proof.reply;
    steps[usize::from(giver)].leads_to_reply = true;
    for place in (0..steps.len()).rev() {
        let mut takers = takers[steps[place].slots.clone()].iter().flatten();
        let mut followers = steps[place].followers.iter();
        let leads = |next: &StepIndex| steps[usize::from(*next)].leads_to_reply;
        steps[place].leads_to_reply |=
            takers.any(|taker| leads(&taker.step)) || followers.any(leads);
    }
    let mut others = info.steps.iter().zip(&steps);
    let waits_after_reply =
        others.any(|(info, step)| info.timeout.is_some() && !step.leads_to_reply);
    Graph {
        info,
        waits_after_reply,
        steps,
        takers,
        reply,
    }
}
