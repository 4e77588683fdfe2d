//! Binds each input of a step to the one output that gives it, by type.

use std::ops::Range;
use std::sync::Arc;

use super::port::{Port, PortKind};
use super::proof::{Giver, REQUEST, SlotProof, StepProof};
use super::registry::{Resources, TaskDef};
use super::slot::Source;
use crate::workflow::{Report, Span, listed};

/// What the inputs of a step are bound against.
pub(super) struct Binding<'b, 'a> {
    pub(super) steps: &'b [StepProof<'a>],
    pub(super) slots: &'b [SlotProof],
    pub(super) tasks: &'b [TaskDef],
    pub(super) resources: &'b Resources,
}

impl Binding<'_, '_> {
    /// Finds the one giver of each input of `step`; one that takes all that its needs give becomes as many as there are.
    pub(super) fn bind(
        &self,
        step: &StepProof<'_>,
        report: &mut Report<'_>,
    ) -> Vec<(Port, Source)> {
        for (giver, span) in &step.needs {
            self.check_use(step, *giver, span, report);
        }
        let mut bound = Vec::new();
        for port in &step.takes {
            match port.kind {
                PortKind::Needs => bound.extend(self.all(step)),
                PortKind::Resource => bound.push((*port, self.resource(step, port, report))),
                _ => bound.push((*port, self.slot(step, port, report))),
            }
        }
        bound
    }

    /// A port for each value that the needs of `step` give and that several may take.
    fn all(&self, step: &StepProof<'_>) -> impl Iterator<Item = (Port, Source)> {
        self.needed(step).filter_map(|slot| {
            let SlotProof { giver, port } = &self.slots[slot];
            let source = Source::Need(slot, self.name(*giver).into());
            (port.kind != PortKind::Owned).then_some((*port, source))
        })
    }

    fn resource(&self, step: &StepProof<'_>, port: &Port, report: &mut Report<'_>) -> Source {
        if let Some(resource) = self.resources.get(port.id) {
            return Source::Resource(Arc::clone(resource));
        }
        let cure = "remove the step, or offer the resource";
        let wrong = format_args!("takes {port}, which this process has not: {cure}");
        report.add_of_step(&step.draft.name, wrong);
        Source::Nothing
    }

    fn slot(&self, step: &StepProof<'_>, port: &Port, report: &mut Report<'_>) -> Source {
        let fitting = |slot: &usize| port.fits(&self.slots[*slot].port);
        let slots: Vec<_> = self.needed(step).filter(fitting).collect();
        let name = &step.draft.name;
        match slots.as_slice() {
            [slot] => return Source::Slot(*slot),
            [] if port.kind == PortKind::Optional || !step.knows_its_needs => {}
            [] => {
                let cure = self.cure_of_missing(step, port);
                let wrong = format_args!("takes {port}, which no need gives: {cure}");
                report.add_of_step(name, wrong);
            }
            several => {
                let givers = several.iter().map(|slot| self.slots[*slot].giver);
                let givers: Vec<_> = givers.map(|giver| self.name(giver)).collect();
                let (givers, cure) = (listed(&givers), "keep one of them in `needs`");
                let wrong = format_args!("takes {port}, which {givers} give: {cure}");
                report.add_of_step(name, wrong);
            }
        }
        Source::Nothing
    }

    /// Says how an input could get a giver.
    fn cure_of_missing(&self, step: &StepProof<'_>, port: &Port) -> String {
        let mut needed = self.needed(step).map(|slot| &self.slots[slot]);
        if let Some(slot) = needed.find(|slot| slot.port.id == port.id) {
            let (giver, output) = (self.name(slot.giver), &slot.port);
            return format!("`{giver}` gives {output}, so one of the two tasks has to change");
        }
        if let Some(slot) = self.slots.iter().find(|slot| port.fits(&slot.port)) {
            return format!("add `{}` to its `needs`", self.name(slot.giver));
        }
        let gives_it = |def: &&TaskDef| (def.gives)().iter().any(|output| port.fits(output));
        match self.tasks.iter().find(gives_it) {
            Some(TaskDef { name, .. }) => {
                format!("add a step of the task `{name}` and name it in `needs`")
            }
            None => "choose another task for this step, for none gives that".to_owned(),
        }
    }

    /// Reports a need from which the step takes nothing.
    fn check_use(&self, step: &StepProof<'_>, giver: Giver, span: &Span, report: &mut Report<'_>) {
        let is_taken = |slot: usize| {
            let mut takes = step.takes.iter();
            let given = &self.slots[slot].port;
            takes.any(|port| match port.kind {
                PortKind::Needs => given.kind != PortKind::Owned,
                _ => port.id == given.id,
            })
        };
        let is_known = giver.is_none_or(|giver| self.steps[usize::from(giver)].def.is_some());
        if self.given(giver).any(is_taken) || !is_known || step.def.is_none() {
            return;
        }
        let (name, need) = (step.draft.name(), self.name(giver));
        let cure = match giver {
            None => format!("remove `{need}`"),
            Some(_) => format!("move `{need}` to `after` if only the order matters"),
        };
        let wrong = format!("step `{name}` needs `{need}` but takes nothing that it gives: {cure}");
        report.add(span, wrong);
    }

    /// The slots of all that a step needs.
    fn needed(&self, step: &StepProof<'_>) -> impl Iterator<Item = usize> {
        let givers = step.needs.iter();
        givers.flat_map(|(giver, _)| self.given(*giver))
    }

    fn given(&self, giver: Giver) -> Range<usize> {
        giver.map_or(0..1, |step| self.steps[usize::from(step)].slots.clone())
    }

    fn name(&self, giver: Giver) -> &str {
        giver.map_or(REQUEST, |step| self.steps[usize::from(step)].draft.name())
    }
}
