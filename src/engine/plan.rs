//! A workflow proved against the tasks: compiled once, immutable.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::attempt::AnyTask;
use super::port::{InputPort, OutputPort, Own, Owned, Port, PortKind};
use super::proof::{Ends, Origin, Proof, StepProof, prove};
use super::registry::{Resources, TaskDef};
use super::report::Report;
use super::run::Run;
use super::scheduler::Scheduler;
use super::slot::Source;
use super::workflow::{self, Workflow};
use crate::events::{
    AnyArtifact, Artifact, Carries, EdgeInfo, EventSink, PlanInfo, Retry, RunStart, StepIndex,
    StepInfo,
};

/// A compiled workflow whose runs take an `I` and reply with an `Own<R>`.
pub struct Plan<I, R> {
    graph: Arc<Graph>,
    types: PhantomData<fn(I) -> R>,
}

/// All that is wrong with a workflow file: sentences that name file, step and cure.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Faults(pub Vec<String>);

/// What the scheduler needs of a plan. The first slot is the request's.
pub(super) struct Graph {
    pub(super) info: Arc<PlanInfo>,
    /// In topological order, as in [`PlanInfo::steps`].
    pub(super) steps: Vec<Step>,
    /// For each slot, who takes from it.
    pub(super) takers: Vec<Vec<Taker>>,
    /// The slot whose value the run gives away.
    pub(super) reply: usize,
}

/// A step of a plan.
pub(super) struct Step {
    pub(super) task: Arc<dyn AnyTask>,
    pub(super) sources: Vec<Source>,
    /// Where its outputs go.
    pub(super) slots: Range<usize>,
    /// The steps that come `after` it.
    pub(super) followers: Vec<StepIndex>,
    /// How many slots and steps it waits for.
    pub(super) waits_for: u16,
    pub(super) optional: bool,
    pub(super) timeout: Option<Duration>,
    pub(super) retry: Option<Retry>,
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
            input: <Arc<I> as InputPort>::port(),
            reply: <Own<R> as OutputPort>::port(),
        };
        let workflow = workflow::read(text, &mut report);
        let proof = prove(&workflow, ends, tasks, resources, &mut report);
        report.close()?;
        let proof = proof.expect("a workflow that is not proved has a fault");
        let info = describe(file, text, &workflow, &proof, ends.input);
        let graph = Arc::new(draw(info, &proof));
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
        let input: Arc<dyn AnyArtifact> = input;
        Run::new(Scheduler::new(
            Arc::clone(&self.graph),
            input,
            start,
            sink.clone(),
        ))
    }
}

/// Where the steps of the file stand in the plan.
fn places(proof: &Proof<'_>) -> Vec<StepIndex> {
    let mut places = vec![0; proof.order.len()];
    for (place, step) in (0..).zip(&proof.order) {
        places[*step] = place;
    }
    places
}

fn describe(
    file: &str,
    text: &str,
    workflow: &Workflow,
    proof: &Proof<'_>,
    input: Port,
) -> Arc<PlanInfo> {
    let places = places(proof);
    let mut edges = Vec::new();
    for &step in &proof.order {
        let (to, step) = (places[step], &proof.steps[step]);
        for (port, origin) in step.takes.iter().zip(&step.origins) {
            let Origin::Output(giver, _) = origin else {
                continue;
            };
            let name = port.carries.name.to_owned();
            let carries = match port.kind {
                PortKind::Owned => Carries::Owned(name),
                PortKind::End => Carries::End(name),
                PortKind::Shared | PortKind::Optional | PortKind::Resource => Carries::Shared(name),
            };
            edges.push(EdgeInfo {
                from: giver.map(|giver| places[giver]),
                to,
                carries,
            });
        }
        for earlier in &step.after {
            edges.push(EdgeInfo {
                from: Some(places[*earlier]),
                to,
                carries: Carries::Order,
            });
        }
    }
    let mut info = PlanInfo {
        name: workflow.name.clone(),
        about: workflow.about.clone(),
        file: String::new(),
        source: text.to_owned(),
        route: workflow.route.clone(),
        hash: String::new(),
        reply: places[proof.reply.0],
        steps: proof
            .order
            .iter()
            .map(|step| describe_step(&proof.steps[*step]))
            .collect(),
        edges,
    };
    // The tasks' ports are part of what is hashed: a program that reads the same file differently has another plan.
    let content = serde_json::to_vec(&(&info, input.carries.name)).expect("plain data is JSON");
    info.hash = blake3::hash(&content).to_hex().chars().take(32).collect();
    file.clone_into(&mut info.file);
    Arc::new(info)
}

fn describe_step(step: &StepProof<'_>) -> StepInfo {
    let names = |ports: &[Port]| {
        ports
            .iter()
            .map(|port| port.carries.name.to_owned())
            .collect()
    };
    StepInfo {
        name: step.draft.name.text.clone(),
        task: step.draft.task.text.clone(),
        about: step.def.map_or("", |def| def.about).to_owned(),
        with: step.draft.with.to_string(),
        optional: step.draft.optional,
        timeout: step.draft.timeout,
        retry: step.draft.retry.clone(),
        takes: names(&step.takes),
        gives: names(&step.gives),
    }
}

/// Numbers the slots and turns names into indices.
fn draw(info: Arc<PlanInfo>, proof: &Proof<'_>) -> Graph {
    let places = places(proof);
    let mut first_slots = vec![0; proof.steps.len()];
    let mut slots = 1;
    for &step in &proof.order {
        first_slots[step] = slots;
        slots += proof.steps[step].gives.len();
    }
    let mut takers = vec![Vec::new(); slots];
    let mut followers = vec![Vec::new(); proof.steps.len()];
    let mut steps = Vec::new();
    for &number in &proof.order {
        let (place, step) = (places[number], &proof.steps[number]);
        let mut waits_for = step.after.len();
        let mut sources = Vec::new();
        for (port, origin) in step.takes.iter().zip(&step.origins) {
            sources.push(match origin {
                Origin::Nothing => Source::Nothing,
                Origin::Resource(resource) => Source::Resource(Arc::clone(resource)),
                Origin::Output(giver, output) => {
                    let slot = giver.map_or(0, |giver| first_slots[giver] + output);
                    let may_miss = port.kind == PortKind::Optional;
                    takers[slot].push(Taker {
                        step: place,
                        may_miss,
                    });
                    waits_for += 1;
                    Source::Slot(slot)
                }
            });
        }
        for earlier in &step.after {
            followers[usize::from(places[*earlier])].push(place);
        }
        steps.push(Step {
            task: step.task.clone().expect("a step without a task is a fault"),
            sources,
            slots: first_slots[number]..first_slots[number] + step.gives.len(),
            followers: Vec::new(),
            waits_for: u16::try_from(waits_for).expect("no more than six inputs and 4,096 steps"),
            optional: step.draft.optional,
            timeout: step.draft.timeout,
            retry: step.draft.retry.clone(),
        });
    }
    for (step, followers) in steps.iter_mut().zip(followers) {
        step.followers = followers;
    }
    let (reply_step, output) = proof.reply;
    let reply = first_slots[reply_step] + output;
    Graph {
        info,
        steps,
        takers,
        reply,
    }
}
