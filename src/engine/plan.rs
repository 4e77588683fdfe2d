//! A workflow proved against the tasks: compiled once, immutable.

use std::marker::PhantomData;
use std::sync::Arc;

use super::event::{EventSink, RunStart};
use super::info::PlanInfo;
use super::port::{Artifact, Owned};
use super::registry::{Resources, TaskDef};
use super::run::Run;

/// A compiled workflow whose runs take an `I` and reply with an `Own<R>`.
pub struct Plan<I, R> {
    info: Arc<PlanInfo>,
    types: PhantomData<fn(I) -> R>,
}

/// One thing that is wrong with a workflow file: a sentence that names file, step and cure.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// The sentence.
    pub sentence: String,
}

/// All that is wrong with a workflow file.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", .0.iter().map(|fault| fault.sentence.as_str()).collect::<Vec<_>>().join("\n"))]
pub struct Faults(pub Vec<Fault>);

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
        let _ = (file, text, tasks, resources);
        unimplemented!()
    }

    /// What the plan looks like.
    #[must_use]
    pub fn info(&self) -> &Arc<PlanInfo> {
        &self.info
    }

    /// Begins a run. Nothing happens until [`Run::reply`] is polled; dropping the run cancels it.
    pub fn start(self: &Arc<Self>, input: Arc<I>, start: RunStart, sink: &EventSink) -> Run<R> {
        let _ = (input, start, sink);
        unimplemented!()
    }
}
