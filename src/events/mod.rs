//! What can be observed of a run, on its way from the engine to those who watch.
//!
//! Store, spans, metrics and live pages live on these events alone; a task never writes a row and never opens a span.
//! A run collects its events in a [`journal`] and hands them over in batches whenever its task goes to sleep, so that
//! observing costs the hot path one push for each event and one queue operation for each pause.
//! The engine writes here and observers read here; nothing here knows how a run is executed, nor who observes it.
//!
//! | file | what |
//! | --- | --- |
//! | [`event`] | what can happen in a run, and who is told |
//! | [`state`] | the states of runs and step runs |
//! | [`run_id`] | what names a run, and its moments |
//! | [`info`] | a plan as plain data |
//! | [`artifact`] | what passes on an edge, as text |
//! | [`capped`] | how much of that text is written |
//! | [`reporter`] | what a task or the server may say about a run |
//! | [`waits`] | how long a run has waited for others |
//! | [`journal`] | a run's events on their way out |
//! | [`queue`] | the bounded queue between runs and observers |
//! | [`trace`] | W3C trace context and span ids |

pub mod artifact;
pub mod capped;
pub mod event;
pub mod info;
pub(crate) mod journal;
pub mod queue;
pub mod reporter;
pub mod run_id;
pub mod state;
pub mod trace;
mod waits;

pub use artifact::{AnyArtifact, Artifact};
pub use event::{
    Event, EventBatch, EventKind, FactValue, Level, Observer, RunStart, StepIndex, TraceContext,
    shortened,
};
pub use info::{Backoff, Carries, EdgeInfo, PlanInfo, Retry, StepInfo};
pub(crate) use journal::Journal;
pub use queue::{EventSink, EventSource, event_queue};
pub use reporter::{Reporter, Waiting};
pub use run_id::{RunId, Timestamp};
pub use state::State;
