//! Where the values on a run's edges lie between the step that gives them and those that take them.
//!
//! Here types are forgotten and found again; that a downcast cannot fail is what the plan proves.
//! This file must not know when a step runs.

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::error::TaskError;
use super::flow::FlowEnd;
use super::port::Need;
use crate::events::{AnyArtifact, Artifact};

const PROOF: &str = "the plan proved the type of every edge";

/// What a [`Tail`](super::Tail) reports, its type forgotten, or that it reports nothing.
pub(super) type TailEnd = Result<(Arc<dyn AnyArtifact>, FlowEnd), Arc<TaskError>>;

/// One output of a task.
pub enum Output {
    /// A value that is there.
    Now(Held),
    /// What will be known at the end of a flow.
    Tail(Pin<Box<dyn Future<Output = TailEnd> + Send>>),
}

/// A value on an edge, its type forgotten.
pub enum Held {
    /// An artifact.
    Shared(Arc<dyn AnyArtifact>),
    /// A value for one taker.
    Owned(Box<dyn Any + Send>),
    /// What is known of a flow that has ended.
    End(Arc<dyn AnyArtifact>, FlowEnd),
}

/// One output of one step (or the request) within a run.
#[derive(Default)]
pub(super) struct Slot {
    /// `None` when not given yet, or taken, or no longer wanted, or never to be given.
    held: Option<Held>,
    /// Who may still take from here.
    takers: usize,
}

impl Slot {
    pub(super) fn new(takers: usize) -> Self {
        let held = None;
        Self { held, takers }
    }

    /// Keeps the value for those who will take it; if there are none, drops it.
    pub(super) fn fill(&mut self, value: Held) {
        self.held = Some(value).filter(|_| self.takers > 0);
    }

    /// One taker needs it no longer. After the last, the value is dropped: a body must not outlive its use,
    /// and a flow that nobody will pull has to report its end.
    pub(super) fn release(&mut self) {
        self.takers = self.takers.saturating_sub(1);
        if self.takers == 0 {
            self.held = None;
        }
    }

    /// Takes an owned value out, if it is there.
    pub(super) fn take_owned<T: 'static>(&mut self) -> Option<T> {
        match self.held.take()? {
            Held::Owned(value) => Some(*value.downcast().expect(PROOF)),
            other => {
                self.held = Some(other);
                None
            }
        }
    }
}

/// Where the plan found what an input port takes.
#[derive(Clone)]
pub(super) enum Source {
    /// The slot of this index.
    Slot(usize),
    /// The slot of this index, filled by the step of this name, for a port that takes all that its needs give.
    Need(usize, Arc<str>),
    /// A resource: an `Arc<T>` in a box.
    Resource(Arc<dyn Any + Send + Sync>),
    /// Nothing gives it; the port is optional.
    Nothing,
}

impl Source {
    /// The slot that it is taken from.
    pub(super) fn slot(&self) -> Option<usize> {
        match self {
            Self::Slot(slot) | Self::Need(slot, _) => Some(*slot),
            Self::Resource(_) | Self::Nothing => None,
        }
    }
}

/// The inputs of one step, in the order of its ports.
pub struct Intake<'a> {
    sources: &'a [Source],
    slots: &'a mut [Slot],
}

impl<'a> Intake<'a> {
    pub(super) fn new(sources: &'a [Source], slots: &'a mut [Slot]) -> Self {
        Self { sources, slots }
    }

    fn next(&mut self) -> Option<&'a Source> {
        let (first, rest) = self.sources.split_first()?;
        self.sources = rest;
        Some(first)
    }

    fn slot(&mut self) -> Option<&mut Slot> {
        match self.next() {
            Some(Source::Slot(index)) => Some(&mut self.slots[*index]),
            _ => None,
        }
    }

    pub(super) fn needs(&mut self) -> Vec<Need> {
        let mut needs = Vec::new();
        while let Some((Source::Need(slot, step), rest)) = self.sources.split_first() {
            self.sources = rest;
            let value = match &self.slots[*slot].held {
                Some(Held::Shared(value) | Held::End(value, _)) => Some(Arc::clone(value)),
                _ => None,
            };
            needs.push(Need {
                step: Arc::clone(step),
                value: value.expect(PROOF),
            });
        }
        needs
    }

    pub(super) fn shared<T: Artifact>(&mut self) -> Option<Arc<T>> {
        match &self.slot()?.held {
            Some(Held::Shared(value)) => Some(found(value)),
            _ => None,
        }
    }

    pub(super) fn owned<T: 'static>(&mut self) -> T {
        self.slot().and_then(Slot::take_owned).expect(PROOF)
    }

    pub(super) fn end<T: Artifact>(&mut self) -> (Arc<T>, FlowEnd) {
        match self.slot().map(|slot| &slot.held) {
            Some(Some(Held::End(value, how))) => Some((found(value), how.clone())),
            _ => None,
        }
        .expect(PROOF)
    }

    pub(super) fn resource<T: ?Sized + Send + Sync + 'static>(&mut self) -> Arc<T> {
        match self.next() {
            Some(Source::Resource(resource)) => resource.downcast_ref::<Arc<T>>().cloned(),
            _ => None,
        }
        .expect(PROOF)
    }
}

/// The artifact with its type found again.
fn found<T: Artifact>(value: &Arc<dyn AnyArtifact>) -> Arc<T> {
    let value: Arc<dyn Any + Send + Sync> = Arc::<dyn AnyArtifact>::clone(value);
    value.downcast().expect(PROOF)
}
