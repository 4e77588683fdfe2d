//! Proves a workflow: every step has its task, every input exactly one giver, every need a use, no circle.
//!
//! It goes on after a fault, so that all are reported at once, but stays silent about what may only be a consequence
//! of another fault. This file must not know how steps run.

use std::any::Any;
use std::collections::BTreeSet;
use std::sync::Arc;

use petgraph::algo::{tarjan_scc, toposort};
use petgraph::graph::{DiGraph, NodeIndex};

use super::attempt::AnyTask;
use super::port::{Port, PortKind};
use super::registry::{Resources, TaskDef};
use super::report::{Report, listed, suggestion};
use super::workflow::{Name, Span, StepDraft, Workflow};

/// The name that stands for the run's input in `needs`.
const REQUEST: &str = "request";
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
    needs: Vec<(Giver, Span)>,
    /// Whether all its needs are known, so that a missing giver is a fault of its own.
    knows_its_needs: bool,
}

/// Who gives: the request or a step.
type Giver = Option<usize>;

/// Where an input comes from.
#[derive(Clone)]
pub(super) enum Origin {
    /// An output of a giver, by number.
    Output(Giver, usize),
    Resource(Arc<dyn Any + Send + Sync>),
    Nothing,
}

/// A workflow without fault.
pub(super) struct Proof<'a> {
    pub(super) steps: Vec<StepProof<'a>>,
    /// The steps in an order in which they could run one by one: level by level, within a level as in the file.
    pub(super) order: Vec<usize>,
    /// The output that is the reply.
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
        report.add(
            &draft.name.span,
            format!("the workflow has more than {MOST_STEPS} steps: draw fewer"),
        );
        return None;
    }
    let mut steps: Vec<_> = workflow
        .steps
        .iter()
        .map(|draft| with_task(draft, tasks, report))
        .collect();
    resolve_names(&mut steps, report);
    let faultless = Binding {
        steps: &steps,
        ends,
        tasks,
        resources,
    };
    let origins: Vec<_> = (0..steps.len())
        .map(|step| faultless.bind(step, report))
        .collect();
    for (step, origins) in steps.iter_mut().zip(origins) {
        step.origins = origins;
    }
    let reply = find_reply(workflow, &steps, ends.reply, report);
    check_owned(&steps, reply, report);
    if let Some((step, _)) = reply {
        check_optional(&steps, step, report);
    }
    let order = put_in_order(&steps, report)?;
    let reply = reply?;
    report.is_empty().then_some(Proof {
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
    let name = &draft.name.text;
    if name == REQUEST {
        report.add(
            &draft.name.span,
            "a step is called `request`, which is the name of the run's input: choose another name",
        );
    }
    let wanted = &draft.task;
    let def = tasks.iter().find(|def| def.name == wanted.text).copied();
    let made = def.map(|def| (def.make)(&draft.with));
    match &made {
        None => {
            let cure = suggestion(&wanted.text, tasks.iter().map(|def| def.name));
            report.add(
                &wanted.span,
                format!(
                    "step `{name}` names the task `{}`, which does not exist: {cure}",
                    wanted.text
                ),
            );
        }
        Some(Err(wrong)) => {
            report.add(
                &draft.with_span,
                format!(
                    "step `{name}` has settings that its task `{}` cannot take: {wrong}",
                    wanted.text
                ),
            );
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
    let names: Vec<String> = steps
        .iter()
        .map(|step| step.draft.name.text.clone())
        .collect();
    let is_known: Vec<bool> = steps.iter().map(|step| step.def.is_some()).collect();
    let known = || names.iter().map(String::as_str);
    let find = |name: &Name| known().position(|known| known == name.text);
    for step in steps {
        let whose = &step.draft.name.text;
        for need in &step.draft.needs {
            let giver = find(need);
            if giver.is_none() && need.text != REQUEST {
                let cure = suggestion(&need.text, known().chain([REQUEST]));
                report.add(
                    &need.span,
                    format!(
                        "step `{whose}` needs `{}`, which is no step: {cure}",
                        need.text
                    ),
                );
                step.knows_its_needs = false;
                continue;
            }
            step.knows_its_needs &= giver.is_none_or(|giver| is_known[giver]);
            step.needs.push((giver, need.span.clone()));
        }
        for name in &step.draft.after {
            match find(name) {
                Some(earlier) => step.after.push(earlier),
                None => {
                    let cure = suggestion(&name.text, known());
                    report.add(
                        &name.span,
                        format!(
                            "step `{whose}` comes after `{}`, which is no step: {cure}",
                            name.text
                        ),
                    );
                }
            }
        }
    }
}

/// What the inputs of a step are bound against.
struct Binding<'b, 'a> {
    steps: &'b [StepProof<'a>],
    ends: Ends,
    tasks: &'b [TaskDef],
    resources: &'b Resources,
}

impl Binding<'_, '_> {
    /// Finds the one giver of each input of `step`.
    fn bind(&self, step: usize, report: &mut Report<'_>) -> Vec<Origin> {
        let step = &self.steps[step];
        let origins: Vec<_> = step
            .takes
            .iter()
            .map(|port| self.origin(step, port, report))
            .collect();
        for (giver, span) in &step.needs {
            let outputs = self.outputs(*giver);
            let is_taken = step.takes.iter().any(|port| {
                let mut ids = outputs.iter().map(|output| output.carries.id);
                ids.any(|id| id == port.carries.id)
            });
            let is_known = giver.is_none_or(|giver| self.steps[giver].def.is_some());
            if !is_taken && is_known && step.def.is_some() {
                self.report_idle_need(step, *giver, span, report);
            }
        }
        origins
    }

    fn origin(&self, step: &StepProof<'_>, port: &Port, report: &mut Report<'_>) -> Origin {
        let (whose, what) = (&step.draft.name, port.carries.name);
        if port.kind == PortKind::Resource {
            if let Some(resource) = self.resources.get(port.carries.id) {
                return Origin::Resource(Arc::clone(resource));
            }
            report.add(&whose.span, format!("step `{}` takes the resource `{what}`, which this process does not offer: remove the step, or offer the resource", whose.text));
            return Origin::Nothing;
        }
        let mut givers = Vec::new();
        for (giver, _) in &step.needs {
            let gives = self.outputs(*giver).iter().enumerate();
            let fitting = gives.filter(|(_, output)| fits(port, output));
            givers.extend(fitting.map(|(output, _)| (*giver, output)));
        }
        match givers.as_slice() {
            [(giver, output)] => return Origin::Output(*giver, *output),
            [] if port.kind == PortKind::Optional || !step.knows_its_needs => {}
            [] => {
                let cure = self.cure_of_missing(step, port);
                report.add(
                    &whose.span,
                    format!(
                        "step `{}` takes {}, which none of its needs gives: {cure}",
                        whose.text,
                        said(port)
                    ),
                );
            }
            _ => {
                let names: Vec<_> = givers.iter().map(|(giver, _)| self.name(*giver)).collect();
                report.add(
                    &whose.span,
                    format!(
                        "step `{}` takes {}, which {} give: keep one of them in `needs`",
                        whose.text,
                        said(port),
                        listed(&names)
                    ),
                );
            }
        }
        Origin::Nothing
    }

    /// Says how an input could get a giver.
    fn cure_of_missing(&self, step: &StepProof<'_>, port: &Port) -> String {
        let everyone = || std::iter::once(None).chain((0..self.steps.len()).map(Some));
        let another_way = step.needs.iter().find_map(|(giver, _)| {
            let output = self
                .outputs(*giver)
                .iter()
                .find(|output| output.carries.id == port.carries.id)?;
            Some((self.name(*giver), said(output)))
        });
        if let Some((giver, gives)) = another_way {
            return format!("`{giver}` gives {gives}, so one of the two tasks has to change");
        }
        let giver =
            everyone().find(|giver| self.outputs(*giver).iter().any(|output| fits(port, output)));
        if let Some(giver) = giver {
            return format!("add `{}` to its `needs`", self.name(giver));
        }
        let task = self
            .tasks
            .iter()
            .find(|def| (def.gives)().iter().any(|output| fits(port, output)));
        match task {
            Some(task) => format!(
                "add a step of the task `{}`, which gives it, and name that step in `needs`",
                task.name
            ),
            None => "no task gives it, so choose another task for this step".to_owned(),
        }
    }

    fn report_idle_need(
        &self,
        step: &StepProof<'_>,
        giver: Giver,
        span: &Span,
        report: &mut Report<'_>,
    ) {
        let (whose, giver_name) = (&step.draft.name.text, self.name(giver));
        let cure = match giver {
            None => format!("remove `{REQUEST}`"),
            Some(_) => {
                format!("move `{giver_name}` to `after` if only the order matters, or remove it")
            }
        };
        report.add(
            span,
            format!("step `{whose}` needs `{giver_name}` but takes nothing that it gives: {cure}"),
        );
    }

    fn outputs(&self, giver: Giver) -> &[Port] {
        match giver {
            Some(step) => &self.steps[step].gives,
            None => std::slice::from_ref(&self.ends.input),
        }
    }

    fn name(&self, giver: Giver) -> &str {
        giver.map_or(REQUEST, |step| &self.steps[step].draft.name.text)
    }
}

fn fits(input: &Port, output: &Port) -> bool {
    let is_taken_as_given = match input.kind {
        PortKind::Shared | PortKind::Optional => output.kind == PortKind::Shared,
        PortKind::Owned => output.kind == PortKind::Owned,
        PortKind::End => output.kind == PortKind::End,
        PortKind::Resource => false,
    };
    is_taken_as_given && input.carries.id == output.carries.id
}

/// A port in words.
fn said(port: &Port) -> String {
    let name = port.carries.name;
    match port.kind {
        PortKind::Shared | PortKind::Optional => format!("the shared `{name}`"),
        PortKind::Owned => format!("the owned `{name}`"),
        PortKind::End => format!("`{name}` at the end of a flow"),
        PortKind::Resource => format!("the resource `{name}`"),
    }
}

fn find_reply(
    workflow: &Workflow,
    steps: &[StepProof<'_>],
    wanted: Port,
    report: &mut Report<'_>,
) -> Option<(usize, usize)> {
    let reply = workflow.reply.as_ref()?;
    let names = || steps.iter().map(|step| step.draft.name.text.as_str());
    let Some(place) = names().position(|name| name == reply.text) else {
        let cure = suggestion(&reply.text, names());
        report.add(
            &reply.span,
            format!(
                "the reply comes from `{}`, which is no step: {cure}",
                reply.text
            ),
        );
        return None;
    };
    steps[place].def?;
    let output_of =
        |step: &StepProof<'_>| step.gives.iter().position(|output| fits(&wanted, output));
    let Some(output) = output_of(&steps[place]) else {
        let able: Vec<_> = steps
            .iter()
            .filter(|step| output_of(step).is_some())
            .map(|step| &step.draft.name.text)
            .collect();
        let cure = match able.as_slice() {
            [] => "add a step whose task does".to_owned(),
            able => format!(
                "write the name of a step that does, such as {}",
                listed(able)
            ),
        };
        report.add(
            &reply.span,
            format!(
                "the reply comes from step `{}`, which does not give {}: {cure}",
                reply.text,
                said(&wanted)
            ),
        );
        return None;
    };
    Some((place, output))
}

/// An owned value has one taker, which cannot be tried again.
fn check_owned(steps: &[StepProof<'_>], reply: Option<(usize, usize)>, report: &mut Report<'_>) {
    let mut taken: Vec<(Giver, usize, String)> = Vec::new();
    taken.extend(reply.map(|(step, output)| (Some(step), output, "the reply".to_owned())));
    for step in steps {
        let name = &step.draft.name;
        for (port, origin) in step.takes.iter().zip(&step.origins) {
            let Origin::Output(giver, output) = origin else {
                continue;
            };
            if port.kind != PortKind::Owned {
                continue;
            }
            let what = said(port);
            if step.draft.retry.is_some() {
                report.add(&name.span, format!("step `{}` has a `retry` but takes {what}, which is gone after the first attempt: remove its `retry`", name.text));
            }
            let first = taken
                .iter()
                .find(|(from, number, _)| (from, number) == (giver, output));
            match first {
                Some((_, _, first)) => report.add(&name.span, format!("step `{}` takes {what}, which {first} takes already: let one of them take it", name.text)),
                None => taken.push((*giver, *output, format!("step `{}`", name.text))),
            }
        }
    }
}

/// The reply must not depend on a step whose failure is said to do no harm.
fn check_optional(steps: &[StepProof<'_>], reply: usize, report: &mut Report<'_>) {
    let reply_name = &steps[reply].draft.name.text;
    let mut seen = BTreeSet::from([reply]);
    let mut path = vec![reply];
    while let Some(step) = path.pop() {
        let draft = steps[step].draft;
        if draft.optional {
            report.add(&draft.name.span, format!("step `{}` is optional, but the reply's step `{reply_name}` cannot do without it: remove its `optional`", draft.name.text));
        }
        let inputs = steps[step].takes.iter().zip(&steps[step].origins);
        let compulsory = inputs.filter_map(|(port, origin)| match origin {
            Origin::Output(Some(giver), _) if port.kind != PortKind::Optional => Some(*giver),
            _ => None,
        });
        let after = steps[step]
            .after
            .iter()
            .copied()
            .filter(|step| !steps[*step].draft.optional);
        path.extend(compulsory.chain(after).filter(|step| seen.insert(*step)));
    }
}

/// Sorts the steps by their distance from the start, or reports the circles that prevent it.
fn put_in_order(steps: &[StepProof<'_>], report: &mut Report<'_>) -> Option<Vec<usize>> {
    let mut graph = DiGraph::<(), ()>::with_capacity(steps.len(), steps.len());
    let nodes: Vec<_> = steps.iter().map(|_| graph.add_node(())).collect();
    for (to, step) in steps.iter().enumerate() {
        let needs = step.needs.iter().filter_map(|(giver, _)| *giver);
        for from in needs.chain(step.after.iter().copied()) {
            graph.update_edge(nodes[from], nodes[to], ());
        }
    }
    let Ok(sorted) = toposort(&graph, None) else {
        report_circles(&graph, steps, report);
        return None;
    };
    let mut levels = vec![0_usize; steps.len()];
    for node in sorted {
        for next in graph.neighbors(node) {
            levels[next.index()] = levels[next.index()].max(levels[node.index()] + 1);
        }
    }
    let mut order: Vec<_> = (0..steps.len()).collect();
    order.sort_by_key(|step| levels[*step]);
    Some(order)
}

/// Reports one circle for each knot of steps that wait for each other.
fn report_circles(graph: &DiGraph<(), ()>, steps: &[StepProof<'_>], report: &mut Report<'_>) {
    for knot in tarjan_scc(graph) {
        let knot: BTreeSet<NodeIndex> = knot.into_iter().collect();
        let next_in_knot = |node| {
            graph
                .neighbors(node)
                .filter(|next| knot.contains(next))
                .min()
        };
        let mut path: Vec<_> = knot.first().copied().into_iter().collect();
        let begin = loop {
            let Some(next) = path.last().copied().and_then(next_in_knot) else {
                break None;
            };
            let seen = path.iter().position(|node| *node == next);
            path.push(next);
            if seen.is_some() {
                break seen;
            }
        };
        let Some(begin) = begin else { continue };
        let name = |node: &NodeIndex| format!("`{}`", steps[node.index()].draft.name.text);
        let circle: Vec<_> = path.iter().skip(begin).map(name).collect();
        let span = &steps[path[begin].index()].draft.name.span;
        report.add(
            span,
            format!(
                "steps wait for each other in a circle, {}: remove one of these edges",
                circle.join(" → ")
            ),
        );
    }
}
