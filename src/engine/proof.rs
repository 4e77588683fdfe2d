//! Proves a workflow: every step has its task, every input its one giver, every owned value one taker.
//!
//! It goes on after a fault, so that all are reported at once, but stays silent about what may only be a consequence
//! of another fault. This file must not know how steps run.

use std::collections::btree_map::{BTreeMap, Entry};
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::attempt::AnyTask;
use super::binding::Binding;
use super::order;
use super::port::{Port, PortKind};
use super::registry::{Resources, TaskDef};
use super::slot::Source;
use crate::events::StepIndex;
use crate::workflow::{Name, Report, Span, StepDraft, Workflow, listed, suggestion};

/// The name that stands for the run's input in `needs`.
pub(super) const REQUEST: &str = "request";
/// Far more than anybody draws, and few enough for every counter of a run.
const MOST_STEPS: usize = 4_096;

/// What a run takes from outside and gives away.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    pub(super) input: Port,
    pub(super) reply: Port,
}

/// A step as far as it is proved.
pub(super) struct StepProof<'a> {
    pub(super) draft: &'a StepDraft,
    pub(super) def: Option<TaskDef>,
    pub(super) task: Option<Arc<dyn AnyTask>>,
    pub(super) takes: Vec<Port>,
    /// For each input, where it comes from.
    pub(super) sources: Vec<Source>,
    /// Its outputs.
    pub(super) slots: Range<usize>,
    /// The steps it waits for without taking anything from them.
    pub(super) after: Vec<StepIndex>,
    pub(super) needs: Vec<(Giver, Span)>,
    /// Whether all its needs are known, so that a missing giver is a fault of its own.
    pub(super) knows_its_needs: bool,
}

/// Who gives: a step, or the request.
pub(super) type Giver = Option<StepIndex>;

/// An output that there is.
pub(super) struct SlotProof {
    pub(super) giver: Giver,
    pub(super) port: Port,
}

impl StepProof<'_> {
    /// The longest one attempt may take: as its file says, or else its task.
    pub(super) fn timeout(&self) -> Option<Duration> {
        let of_task = || self.def.and_then(|def| def.timeout);
        self.draft.timeout.or_else(of_task)
    }

    /// How many of its attempts may be at work at once: as its file says, or else its task.
    pub(super) fn limit(&self) -> Option<u16> {
        let of_task = || self.def.and_then(|def| def.limit);
        self.draft.limit.or_else(of_task)
    }
}

/// A workflow without fault.
pub(super) struct Proof<'a> {
    /// In an order in which they could run one by one.
    pub(super) steps: Vec<StepProof<'a>>,
    /// First the request, then the outputs of each step.
    pub(super) slots: Vec<SlotProof>,
    /// The slot of the reply, and the step that gives it.
    pub(super) reply: (usize, StepIndex),
}

/// Proves the workflow. Gives `None` only after it has reported something.
pub(super) fn prove<'a>(
    workflow: &'a Workflow,
    ends: Ends,
    tasks: &[TaskDef],
    resources: &Resources,
    report: &mut Report<'_>,
) -> Option<Proof<'a>> {
    if let Some(draft) = workflow.steps.get(MOST_STEPS) {
        let wrong = format!("the workflow has more than {MOST_STEPS} steps: draw fewer");
        report.add(&draft.name.span(), wrong);
        return None;
    }
    let giver = None;
    let port = ends.input;
    let mut slots = vec![SlotProof { giver, port }];
    let mut steps = Vec::new();
    let known = (tasks, resources);
    for (place, draft) in (0..).zip(order::sort(&workflow.steps, report)) {
        steps.push(with_task(draft, place, &known, &mut slots, report));
    }
    resolve_names(&mut steps, workflow, report);
    let binding = Binding {
        steps: &steps,
        slots: &slots,
        tasks,
        resources,
    };
    let bound = steps.iter().map(|step| {
        check_limit(step, report);
        binding.bind(step, report)
    });
    let bound: Vec<_> = bound.collect();
    for (step, bound) in steps.iter_mut().zip(bound) {
        (step.takes, step.sources) = bound.into_iter().unzip();
    }
    let reply = find_reply(workflow, &steps, &slots, &ends.reply, report);
    check_owned(&steps, reply, report);
    let reply = reply?;
    let proof = Proof {
        reply: (reply, slots[reply].giver?),
        steps,
        slots,
    };
    check_optional(&proof, report);
    report.is_empty().then_some(proof)
}

/// Finds the step's task, makes it from its settings and adds its outputs to the `slots`.
fn with_task<'a>(
    draft: &'a StepDraft,
    place: StepIndex,
    (tasks, resources): &(&[TaskDef], &Resources),
    slots: &mut Vec<SlotProof>,
    report: &mut Report<'_>,
) -> StepProof<'a> {
    let (step, task) = (draft.name(), draft.task.get_ref());
    if step == REQUEST {
        let wrong = "a step is called `request`, like the run's input: choose another name";
        report.add(&draft.name.span(), wrong);
    }
    let def = tasks.iter().find(|def| def.name == task).copied();
    let made = def.map(|def| (def.make)(draft.with.get_ref(), resources));
    match &made {
        None => {
            let cure = suggestion(task, tasks.iter().map(|def| def.name));
            let wrong = format!("step `{step}` names the task `{task}`, which is none: {cure}");
            report.add(&draft.task.span(), wrong);
        }
        Some(Err(cure)) => {
            let wrong = format!("step `{step}` has settings its task cannot take: {cure}");
            report.add(&draft.with.span(), wrong);
        }
        Some(Ok(_)) => {}
    }
    let first = slots.len();
    let giver = Some(place);
    let gives = def.map_or_else(Vec::new, |def| (def.gives)());
    slots.extend(gives.into_iter().map(|port| SlotProof { giver, port }));
    StepProof {
        draft,
        def,
        task: made.and_then(Result::ok),
        takes: def.map_or_else(Vec::new, |def| (def.takes)()),
        sources: Vec::new(),
        slots: first..slots.len(),
        after: Vec::new(),
        needs: Vec::new(),
        knows_its_needs: true,
    }
}

/// Finds the steps that `needs` and `after` name.
fn resolve_names(steps: &mut [StepProof<'_>], workflow: &Workflow, report: &mut Report<'_>) {
    let names = steps.iter().map(|step| step.draft.name());
    let places: HashMap<&str, StepIndex> = names.zip(0..).collect();
    let has_task: Vec<bool> = steps.iter().map(|step| step.def.is_some()).collect();
    for step in steps {
        let whose = step.draft.name();
        let mut unknown = |verb: &str, name: &Name, cure: String| {
            let (span, name) = (name.span(), name.get_ref());
            let wrong = format!("step `{whose}` {verb} `{name}`, which is no step: {cure}");
            report.add(&span, wrong);
        };
        for need in &step.draft.needs {
            let giver = places.get(need.get_ref().as_str()).copied();
            if giver.is_none() && need.get_ref() != REQUEST {
                let cure = suggestion(need.get_ref(), workflow.names().chain([REQUEST]));
                unknown("needs", need, cure);
                step.knows_its_needs = false;
                continue;
            }
            step.knows_its_needs &= giver.is_none_or(|giver| has_task[usize::from(giver)]);
            step.needs.push((giver, need.span()));
        }
        for earlier in &step.draft.after {
            match places.get(earlier.get_ref().as_str()) {
                Some(place) => step.after.push(*place),
                None => {
                    let cure = suggestion(earlier.get_ref(), workflow.names());
                    unknown("comes after", earlier, cure);
                }
            }
        }
    }
}

/// Every place that a limit has is given back in time.
fn check_limit(step: &StepProof<'_>, report: &mut Report<'_>) {
    if step.def.is_some() && step.limit().is_some() && step.timeout().is_none() {
        let cure =
            "write timeout = \"60s\" or the like, lest an attempt that never ends keep its place";
        let wrong = format_args!("has a `limit` but no `timeout`: {cure}");
        report.add_of_step(&step.draft.name, wrong);
    }
}

/// Finds the slot of the reply.
fn find_reply(
    workflow: &Workflow,
    steps: &[StepProof<'_>],
    slots: &[SlotProof],
    wanted: &Port,
    report: &mut Report<'_>,
) -> Option<usize> {
    let reply = workflow.reply.as_ref()?;
    let name = reply.get_ref();
    let Some(step) = steps.iter().find(|step| step.draft.name() == name) else {
        let cure = suggestion(name, workflow.names());
        let wrong = format!("the reply comes from `{name}`, which is no step: {cure}");
        report.add(&reply.span(), wrong);
        return None;
    };
    step.def?;
    let output_of = |step: &StepProof<'_>| {
        let mut outputs = step.slots.clone();
        outputs.find(|slot| wanted.fits(&slots[*slot].port))
    };
    let output = output_of(step);
    if output.is_none() {
        let able = steps.iter().filter(|step| output_of(step).is_some());
        let able: Vec<_> = able.map(|step| step.draft.name()).collect();
        let cure = match able.as_slice() {
            [] => "add a step whose task does".to_owned(),
            able => format!(
                "write the name of a step that does, such as {}",
                listed(able)
            ),
        };
        let wrong =
            format!("the reply comes from step `{name}`, which does not give {wanted}: {cure}");
        report.add(&reply.span(), wrong);
    }
    output
}

/// An owned value has one taker, which cannot be tried again.
fn check_owned(steps: &[StepProof<'_>], reply: Option<usize>, report: &mut Report<'_>) {
    let reply = reply.map(|slot| (slot, "the reply".to_owned()));
    let mut takers = BTreeMap::from_iter(reply);
    for step in steps {
        let name = &step.draft.name;
        for (port, source) in step.takes.iter().zip(&step.sources) {
            let (Some(slot), PortKind::Owned) = (source.slot(), port.kind) else {
                continue;
            };
            if step.draft.retry.is_some() {
                let cure = "remove its `retry`, for an owned value is gone after the first attempt";
                let wrong = format_args!("has a `retry` but takes {port}: {cure}");
                report.add_of_step(name, wrong);
            }
            match takers.entry(slot) {
                Entry::Vacant(free) => {
                    free.insert(format!("step `{}`", name.get_ref()));
                }
                Entry::Occupied(first) => {
                    let (first, cure) = (first.get(), "let one of them take it");
                    let wrong = format_args!("takes {port}, as does {first}: {cure}");
                    report.add_of_step(name, wrong);
                }
            }
        }
    }
}

/// The reply must not depend on a step whose failure is said to do no harm.
fn check_optional(proof: &Proof<'_>, report: &mut Report<'_>) {
    let step_at = |place: StepIndex| &proof.steps[usize::from(place)];
    let (_, reply) = proof.reply;
    let reply_name = step_at(reply).draft.name();
    let mut seen = BTreeSet::from([reply]);
    let mut path = vec![reply];
    while let Some(place) = path.pop() {
        let step = step_at(place);
        if step.draft.optional {
            let cure =
                format!("remove its `optional`, for step `{reply_name}` cannot do without it");
            let wrong = format_args!("is optional, but the reply is not: {cure}");
            report.add_of_step(&step.draft.name, wrong);
        }
        let inputs = step.takes.iter().zip(&step.sources);
        let compulsory = inputs.filter(|(port, _)| port.kind != PortKind::Optional);
        let compulsory = compulsory.filter_map(|(_, source)| proof.slots[source.slot()?].giver);
        let after = step.after.iter().copied();
        let after = after.filter(|earlier| !step_at(*earlier).draft.optional);
        path.extend(compulsory.chain(after).filter(|step| seen.insert(*step)));
    }
}
