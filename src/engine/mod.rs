//! The workflow engine. It knows no HTTP, no LLM and no SQL; what can be observed of it leaves as [`crate::events`].
//!
//! Rules that the files below keep:
//!
//! - An edge is a step's *output*: takers of an owned flow start at once, takers of its [`End`] when it has ended.
//! - A step that gave a flow is Running until the flow ends; `after` that step means after its final state.
//! - A failure skips exactly the steps that cannot do without what failed: not those that take `Option<Arc<T>>`,
//!   not those that come `after` an `optional` step. Everything else goes on.
//! - A value is dropped when its last taker is done, so that no body outlives its use and no flow waits for nobody.
//! - A run is Failed if a step that is not `optional` failed, else Cancelled if a flow was dropped, else Completed.
//!
//! | file | what |
//! | --- | --- |
//! | [`task`] | the unit of work |
//! | [`port`] | what travels on edges; how a signature says what a task takes and gives |
//! | [`flow`] | streams that pass through, and what is known at their end |
//! | [`registry`] | the tasks and resources that plans are proved against |
//! | [`proof`] | what makes a [workflow](crate::workflow) a plan, and the sentences when it does not |
//! | [`binding`] | which output gives which input |
//! | [`order`] | who can run before whom |
//! | [`plan`] | a workflow proved: [`Plan`] |
//! | [`run`] | one execution: [`Run`] |
//! | [`scheduler`] | what runs when |
//! | [`counters`] | what each step still waits for |
//! | [`slot`] | where values lie between giver and taker |
//! | [`attempt`] | one attempt of a step: panics caught, time limit kept |
//! | [`retry`] | when a failed step is tried again |
//! | [`cx`] | what a task may say while it works |
//! | [`error`] | how a task fails |

mod attempt;
mod binding;
mod counters;
pub mod cx;
pub mod error;
pub mod flow;
mod order;
pub mod plan;
pub mod port;
mod proof;
pub mod registry;
mod retry;
pub mod run;
mod scheduler;
mod slot;
pub mod task;

#[cfg(test)]
mod tests;

pub use cx::Cx;
pub use error::{Fault, TaskError};
pub use flow::{End, FlowEnd, Tail, TailReporter, tail};
pub use plan::Plan;
pub use port::{Need, Needs, Own, Owned, Res};
pub use registry::{Resources, TaskDef};
pub use run::{ReplyDue, Run, RunFailure};
pub use task::Task;
