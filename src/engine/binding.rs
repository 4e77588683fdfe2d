//! Binds each input of a step to the one output that gives it, by type.

use std::sync::Arc;

use super::port::{Port, PortKind};
use super::proof::{Ends, Giver, Origin, REQUEST, StepProof};
use super::registry::{Resources, TaskDef};
use super::report::{Report, listed};
use super::workflow::{Name, Span};

/// What the inputs of a step are bound against.
pub(super) struct Binding<'b, 'a> {
    pub(super) steps: &'b [StepProof<'a>],
    pub(super) ends: Ends,
    pub(super) tasks: &'b [TaskDef],
    pub(super) resources: &'b Resources,
}

impl Binding<'_, '_> {
    /// Finds the one giver of each input of `step`.
    pub(super) fn bind(&self, step: &StepProof<'_>, report: &mut Report<'_>) -> Vec<Origin> {
        for (giver, span) in &step.needs {
            self.check_use(step, *giver, span, report);
        }
        let origins = step.takes.iter().map(|port| match port.kind {
            PortKind::Resource => self.resource(step, port, report),
            _ => self.origin(step, port, report),
        });
        origins.collect()
    }

    fn resource(&self, step: &StepProof<'_>, port: &Port, report: &mut Report<'_>) -> Origin {
        if let Some(resource) = self.resources.get(port.carries.id) {
            return Origin::Resource(Arc::clone(resource));
        }
        let (Name { text: name, span }, what) = (&step.draft.name, said(port));
        let cure = "remove the step, or offer the resource";
        let wrong = format!("step `{name}` takes {what}, which this process has not: {cure}");
        report.add(span, wrong);
        Origin::Nothing
    }

    fn origin(&self, step: &StepProof<'_>, port: &Port, report: &mut Report<'_>) -> Origin {
        let mut givers = Vec::new();
        for (giver, _) in &step.needs {
            let gives = self.outputs(*giver).iter().enumerate();
            let fitting = gives.filter(|(_, output)| fits(port, output));
            givers.extend(fitting.map(|(output, _)| (*giver, output)));
        }
        let (Name { text: name, span }, what) = (&step.draft.name, said(port));
        match givers.as_slice() {
            [(giver, output)] => return Origin::Output(*giver, *output),
            [] if port.kind == PortKind::Optional || !step.knows_its_needs => {}
            [] => {
                let cure = self.cure_of_missing(step, port);
                let wrong = format!("step `{name}` takes {what}, which no need gives: {cure}");
                report.add(span, wrong);
            }
            several => {
                let names: Vec<_> = several.iter().map(|(giver, _)| self.name(*giver)).collect();
                let (names, cure) = (listed(&names), "keep one of them in `needs`");
                let wrong = format!("step `{name}` takes {what}, which {names} give: {cure}");
                report.add(span, wrong);
            }
        }
        Origin::Nothing
    }

    /// Says how an input could get a giver.
    fn cure_of_missing(&self, step: &StepProof<'_>, port: &Port) -> String {
        let is_same = |output: &&Port| output.carries.id == port.carries.id;
        let gives_it = |outputs: &[Port]| outputs.iter().any(|output| fits(port, output));
        for (giver, _) in &step.needs {
            if let Some(output) = self.outputs(*giver).iter().find(is_same) {
                let (giver, output) = (self.name(*giver), said(output));
                return format!("`{giver}` gives {output}, so one of the two tasks has to change");
            }
        }
        let mut givers = std::iter::once(None).chain((0..self.steps.len()).map(Some));
        if let Some(giver) = givers.find(|giver| gives_it(self.outputs(*giver))) {
            return format!("add `{}` to its `needs`", self.name(giver));
        }
        match self.tasks.iter().find(|def| gives_it(&(def.gives)())) {
            Some(def) => format!(
                "add a step of the task `{}` and name it in `needs`",
                def.name
            ),
            None => "choose another task for this step, for none gives that".to_owned(),
        }
    }

    /// Reports a need from which the step takes nothing.
    fn check_use(&self, step: &StepProof<'_>, giver: Giver, span: &Span, report: &mut Report<'_>) {
        let ids = || self.outputs(giver).iter().map(|output| output.carries.id);
        let is_used = step
            .takes
            .iter()
            .any(|port| ids().any(|id| id == port.carries.id));
        let is_known = giver.is_none_or(|giver| self.steps[giver].def.is_some());
        if is_used || !is_known || step.def.is_none() {
            return;
        }
        let (name, need) = (&step.draft.name.text, self.name(giver));
        let cure = match giver {
            None => format!("remove `{need}`"),
            Some(_) => format!("move `{need}` to `after` if only the order matters"),
        };
        let wrong = format!("step `{name}` needs `{need}` but takes nothing that it gives: {cure}");
        report.add(span, wrong);
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

/// Whether an input can take what an output gives.
pub(super) fn fits(input: &Port, output: &Port) -> bool {
    let is_same_kind = match input.kind {
        PortKind::Optional => output.kind == PortKind::Shared,
        kind => output.kind == kind,
    };
    is_same_kind && input.carries.id == output.carries.id
}

/// A port in words.
pub(super) fn said(port: &Port) -> String {
    let name = port.carries.name;
    match port.kind {
        PortKind::Shared | PortKind::Optional => format!("the shared `{name}`"),
        PortKind::Owned => format!("the owned `{name}`"),
        PortKind::End => format!("`{name}` at the end of a flow"),
        PortKind::Resource => format!("the resource `{name}`"),
    }
}
