//! Proves a workflow: every step has its task, every input its one giver, every owned value one taker.
//!
//! It goes on after a fault, so that all are reported at once, but stays silent about what may only be a consequence
//! of another fault. This file must not know how steps run.

use std::any::Any;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::attempt::AnyTask;
use super::binding::{Binding, fits, said};
use super::order;
use super::port::{Port, PortKind};
use super::registry::{Resources, TaskDef};
use super::report::{Report, listed, suggestion};
use super::workflow::{Name, Span, StepDraft, Workflow};

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

/// A step as far as it is proved. Steps are counted in the order of the file.
pub(super) struct StepProof<'a> {
    pub(super) draft: &'a StepDraft,
    pub(super) def: Option<TaskDef>,
    pub(super) task: Option<Arc<dyn AnyTask>>,
    pub(super) takes: Vec<Port>,
    pub(super) gives: Vec<Port>,
    /// For each input, where it comes from.
    pub(super) origins: Vec<Origin>,
    /// The steps it waits for without taking anything from them.
    pub(super) after: Vec<usize>,
    pub(super) needs: Vec<(Giver, Span)>,
    /// Whether all its needs are known, so that a missing giver is a fault of its own.
    pub(super) knows_its_needs: bool,
}

/// Who gives: a step, or the request.
pub(super) type Giver = Option<usize>;

/// Where an input comes from.
pub(super) enum Origin {
    /// An output of a giver, by number.
    Output(Giver, usize),
    /// A resource: an `Arc<T>` in a box.
    Resource(Arc<dyn Any + Send + Sync>),
    Nothing,
}

/// A workflow without fault.
pub(super) struct Proof<'a> {
    pub(super) steps: Vec<StepProof<'a>>,
    /// The steps in an order in which they could run one by one.
    pub(super) order: Vec<usize>,
    /// The step and its output that is the reply.
    pub(super) reply: (usize, usize),
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
        report.add(&draft.name.span, wrong);
        return None;
    }
    let drafts = workflow.steps.iter();
    let mut steps: Vec<_> = drafts
        .map(|draft| with_task(draft, tasks, report))
        .collect();
    resolve_names(&mut steps, report);
    let binding = Binding {
        steps: &steps,
        ends,
        tasks,
        resources,
    };
    let bound = steps.iter().map(|step| binding.bind(step, report));
    let origins: Vec<_> = bound.collect();
    for (step, origins) in steps.iter_mut().zip(origins) {
        step.origins = origins;
    }
    let reply = find_reply(workflow, &steps, &ends.reply, report);
    check_owned(&steps, reply, report);
    if let Some((step, _)) = reply {
        check_optional(&steps, step, report);
    }
    let order = order::sort(&steps, report)?;
    let reply = reply.filter(|_| report.is_empty())?;
    Some(Proof {
        steps,
        order,
        reply,
    })
}

/// Finds the step's task and makes it from its settings.
fn with_task<'a>(
    draft: &'a StepDraft,
    tasks: &[TaskDef],
    report: &mut Report<'_>,
) -> StepProof<'a> {
    let (step, task) = (&draft.name.text, &draft.task.text);
    if step == REQUEST {
        let wrong = "a step is called `request`, like the run's input: choose another name";
        report.add(&draft.name.span, wrong);
    }
    let def = tasks.iter().find(|def| def.name == task).copied();
    let made = def.map(|def| (def.make)(&draft.with));
    match &made {
        None => {
            let cure = suggestion(task, tasks.iter().map(|def| def.name));
            let wrong = format!("step `{step}` names the task `{task}`, which is none: {cure}");
            report.add(&draft.task.span, wrong);
        }
        Some(Err(cure)) => {
            let wrong = format!("step `{step}` has settings its task cannot take: {cure}");
            report.add(&draft.with_span, wrong);
        }
        Some(Ok(_)) => {}
    }
    StepProof {
        draft,
        def,
        task: made.and_then(Result::ok),
        takes: def.map_or_else(Vec::new, |def| (def.takes)()),
        gives: def.map_or_else(Vec::new, |def| (def.gives)()),
        origins: Vec::new(),
        after: Vec::new(),
        needs: Vec::new(),
        knows_its_needs: true,
    }
}

/// Finds the steps that `needs` and `after` name.
fn resolve_names(steps: &mut [StepProof<'_>], report: &mut Report<'_>) {
    let names: Vec<String> = steps.iter().map(|s| s.draft.name.text.clone()).collect();
    let is_known: Vec<bool> = steps.iter().map(|step| step.def.is_some()).collect();
    let known = || names.iter().map(String::as_str);
    let find = |name: &Name| known().position(|known| known == name.text);
    for step in steps {
        let whose = &step.draft.name.text;
        for need in &step.draft.needs {
            let (giver, name) = (find(need), &need.text);
            if giver.is_some() || name == REQUEST {
                step.knows_its_needs &= giver.is_none_or(|giver| is_known[giver]);
                step.needs.push((giver, need.span.clone()));
                continue;
            }
            let cure = suggestion(name, known().chain([REQUEST]));
            let wrong = format!("step `{whose}` needs `{name}`, which is no step: {cure}");
            report.add(&need.span, wrong);
            step.knows_its_needs = false;
        }
        for earlier in &step.draft.after {
            let name = &earlier.text;
            let Some(place) = find(earlier) else {
                let cure = suggestion(name, known());
                let wrong =
                    format!("step `{whose}` comes after `{name}`, which is no step: {cure}");
                report.add(&earlier.span, wrong);
                continue;
            };
            step.after.push(place);
        }
    }
}

fn find_reply(
    workflow: &Workflow,
    steps: &[StepProof<'_>],
    wanted: &Port,
    report: &mut Report<'_>,
) -> Option<(usize, usize)> {
    let Name { text: name, span } = workflow.reply.as_ref()?;
    let names = || steps.iter().map(|step| step.draft.name.text.as_str());
    let Some(place) = names().position(|known| known == name) else {
        let cure = suggestion(name, names());
        let wrong = format!("the reply comes from `{name}`, which is no step: {cure}");
        report.add(span, wrong);
        return None;
    };
    steps[place].def?;
    let output_of = |step: &StepProof<'_>| step.gives.iter().position(|gives| fits(wanted, gives));
    let output = output_of(&steps[place]);
    if output.is_none() {
        let able = steps.iter().filter(|step| output_of(step).is_some());
        let able: Vec<_> = able.map(|step| &step.draft.name.text).collect();
        let cure = match able.as_slice() {
            [] => "add a step whose task does".to_owned(),
            able => format!(
                "write the name of a step that does, such as {}",
                listed(able)
            ),
        };
        let what = said(wanted);
        let wrong =
            format!("the reply comes from step `{name}`, which does not give {what}: {cure}");
        report.add(span, wrong);
    }
    Some((place, output?))
}

/// An owned value has one taker, which cannot be tried again.
fn check_owned(steps: &[StepProof<'_>], reply: Option<(usize, usize)>, report: &mut Report<'_>) {
    let mut taken: Vec<((Giver, usize), String)> = Vec::new();
    taken.extend(reply.map(|(step, output)| ((Some(step), output), "the reply".to_owned())));
    for step in steps {
        let Name { text: name, span } = &step.draft.name;
        for (port, origin) in step.takes.iter().zip(&step.origins) {
            let (Origin::Output(giver, output), PortKind::Owned) = (origin, port.kind) else {
                continue;
            };
            let what = said(port);
            if step.draft.retry.is_some() {
                let cure = "remove its `retry`, for an owned value is gone after the first attempt";
                let wrong = format!("step `{name}` has a `retry` but takes {what}: {cure}");
                report.add(span, wrong);
            }
            let value = (*giver, *output);
            let Some((_, first)) = taken.iter().find(|(given, _)| *given == value) else {
                taken.push((value, format!("step `{name}`")));
                continue;
            };
            let wrong =
                format!("step `{name}` takes {what}, as does {first}: let one of them take it");
            report.add(span, wrong);
        }
    }
}

/// The reply must not depend on a step whose failure is said to do no harm.
fn check_optional(steps: &[StepProof<'_>], reply: usize, report: &mut Report<'_>) {
    let reply_name = &steps[reply].draft.name.text;
    let mut seen = BTreeSet::from([reply]);
    let mut path = vec![reply];
    while let Some(step) = path.pop() {
        let StepProof {
            draft,
            takes,
            origins,
            after,
            ..
        } = &steps[step];
        let Name { text: name, span } = &draft.name;
        if draft.optional {
            let cure =
                format!("remove its `optional`, for step `{reply_name}` cannot do without it");
            report.add(
                span,
                format!("step `{name}` is optional, but the reply is not: {cure}"),
            );
        }
        let inputs = takes.iter().zip(origins);
        let compulsory = inputs.filter_map(|(port, origin)| match origin {
            Origin::Output(Some(giver), _) if port.kind != PortKind::Optional => Some(*giver),
            _ => None,
        });
        let after = after
            .iter()
            .copied()
            .filter(|step| !steps[*step].draft.optional);
        path.extend(compulsory.chain(after).filter(|step| seen.insert(*step)));
    }
}
