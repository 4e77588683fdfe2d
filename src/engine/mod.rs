//! The workflow engine. It knows no HTTP, no LLM and no SQL.
//!
//! | file | what |
//! | --- | --- |
//! | [`task`] | the unit of work |
//! | [`port`] | what travels on edges; how a signature says what a task takes and gives |
//! | [`flow`] | streams that pass through, and what is known at their end |
//! | [`registry`] | the tasks and resources that plans are proved against |
//! | [`workflow`] | a workflow file as written |
//! | [`proof`] | what makes a workflow a plan, and the sentences when it does not |
//! | [`binding`] | which output gives which input |
//! | [`order`] | who can run before whom |
//! | [`report`] | gathers those sentences |
//! | [`plan`] | a workflow proved: [`Plan`] |
//! | [`info`] | a plan as plain data |
//! | [`run`] | one execution: [`Run`] |
//! | [`scheduler`] | what runs when |
//! | [`counters`] | what each step still waits for |
//! | [`slot`] | where values lie between giver and taker |
//! | [`attempt`] | one attempt of a step: panics caught, time limit kept |
//! | [`retry`] | when a failed step is tried again |
//! | [`cx`] | what a task may say while it works |
//! | [`journal`] | a run's events on their way out |
//! | [`event`] | what can be observed of a run |
//! | [`queue`] | the bounded queue between runs and observers |
//! | [`trace`] | W3C trace context and span ids |
//! | [`error`] | how a task fails |

mod attempt;
mod binding;
mod counters;
pub mod cx;
pub mod error;
pub mod event;
pub mod flow;
pub mod info;
mod journal;
mod order;
pub mod plan;
pub mod port;
mod proof;
pub mod queue;
pub mod registry;
mod report;
pub mod retry;
pub mod run;
mod scheduler;
mod slot;
pub mod task;
pub mod trace;
mod workflow;

#[cfg(test)]
mod tests;

pub use cx::{Cx, Reporter};
pub use error::{Fault, TaskError};
pub use event::{
    Event, EventBatch, EventKind, FactValue, Level, Observer, RunId, RunStart, State, StepIndex,
    Timestamp, TraceContext,
};
pub use flow::{End, FlowEnd, Tail, TailReporter, tail};
pub use info::{Carries, EdgeInfo, PlanInfo, StepInfo};
pub use plan::Plan;
pub use port::{AnyArtifact, Artifact, Own, Owned, Res};
pub use queue::{EventSink, EventSource, event_queue};
pub use registry::{Resources, TaskDef};
pub use run::{Run, RunFailure};
pub use task::Task;
