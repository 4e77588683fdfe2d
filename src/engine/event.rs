//! What can be observed of a run.
//!
//! Store, spans, metrics and live pages live on these events alone; a task never writes a row and never opens a span.
//! A run collects its events and hands them over in batches ([`EventSink`](super::EventSink)) whenever its task goes to sleep,
//! so that observing costs the hot path one push per event and one queue operation per pause.
//!
//! This file must not know who observes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use uuid::{Builder, Uuid};

use super::port::AnyArtifact;

/// Names one run. Time-ordered (UUID version 7), so that its order is the order of acceptance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(Uuid);

impl RunId {
    /// Makes an id for a run that is accepted now.
    #[must_use]
    pub fn now() -> Self {
        /// The moment of the last id, in microseconds.
        static LAST: AtomicU64 = AtomicU64::new(0);
        let now = u64::try_from(Timestamp::now().0).unwrap_or(0);
        let after = |last: u64| Some(now.max(last.saturating_add(1)));
        let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after);
        let moment = now.max(last.unwrap_or(0).saturating_add(1));
        // RFC 9562 §6.2, method 3: the 12 bits after the milliseconds hold the fraction. Drawing the rest is left to
        // a fast generator, because asking the kernel costs more than starting the run.
        let fraction = u128::from(moment % 1_000 * 4_096 / 1_000) << 64;
        let drawn = u128::from(fastrand::u64(..));
        let [_, _, _, _, _, _, tail @ ..] = (fraction | drawn).to_be_bytes();
        Self(Builder::from_unix_timestamp_millis(moment / 1_000, &tail).into_uuid())
    }

    /// The 16 bytes as stored.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// When the run was accepted, to the millisecond; the epoch for an id of another making.
    #[must_use]
    pub fn accepted(&self) -> Timestamp {
        let millis = self.0.get_timestamp().map_or(0, |moment| {
            let (seconds, nanos) = moment.to_unix();
            seconds * 1_000 + u64::from(nanos / 1_000_000)
        });
        Timestamp(i64::try_from(millis * 1_000).unwrap_or(i64::MAX))
    }

    /// The id as 32 hex digits, for where hyphens would be noise.
    #[must_use]
    pub fn simple(&self) -> impl std::fmt::Display {
        *self.0.as_simple()
    }

    /// Takes back what [`RunId::as_bytes`] gave.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl std::fmt::Display for RunId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl std::str::FromStr for RunId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// A step's place in its plan: an index into [`PlanInfo::steps`](super::PlanInfo::steps).
pub type StepIndex = u16;

/// Microseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The present moment.
    #[must_use]
    pub fn now() -> Self {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
    }

    /// Time passed since `earlier`; zero when the clock was set back in between.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }

    /// The same moment for interfaces that speak [`SystemTime`].
    #[must_use]
    pub fn to_system_time(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_micros(u64::try_from(self.0).unwrap_or(0))
    }
}

/// The state of a run or of a step run. Names and meaning are Prefect's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum State {
    /// Known, to start at a later time.
    Scheduled,
    /// Waiting for what it needs.
    Pending,
    /// At work; for a flow that is still passing, with the label *streaming*.
    Running,
    /// An attempt failed; the next one waits for its time (Prefect: `AwaitingRetry`).
    Retrying,
    /// Done.
    Completed,
    /// Done with a result kept from earlier.
    Cached,
    /// Ended by an error.
    Failed,
    /// Ended because its time was up.
    TimedOut,
    /// Told to stop, not stopped yet.
    Cancelling,
    /// Stopped, because nobody wants the result any more.
    Cancelled,
    /// The process ended while it was running.
    Crashed,
    /// Waiting for a human.
    Paused,
    /// Never ran, because something it needs failed.
    Skipped,
}

impl State {
    /// All states, in the order of the table in the crate docs.
    pub const ALL: [Self; 13] = [
        Self::Scheduled,
        Self::Pending,
        Self::Running,
        Self::Retrying,
        Self::Completed,
        Self::Cached,
        Self::Failed,
        Self::TimedOut,
        Self::Cancelling,
        Self::Cancelled,
        Self::Crashed,
        Self::Paused,
        Self::Skipped,
    ];

    /// The name as shown and stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "Scheduled",
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Retrying => "Retrying",
            Self::Completed => "Completed",
            Self::Cached => "Cached",
            Self::Failed => "Failed",
            Self::TimedOut => "TimedOut",
            Self::Cancelling => "Cancelling",
            Self::Cancelled => "Cancelled",
            Self::Crashed => "Crashed",
            Self::Paused => "Paused",
            Self::Skipped => "Skipped",
        }
    }

    /// Reads a name as written by [`State::name`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether nothing can follow.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::Completed
                | Self::Cached
                | Self::Failed
                | Self::TimedOut
                | Self::Cancelled
                | Self::Crashed
                | Self::Skipped
        )
    }
}

/// How grave a log line of a run is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub enum Level {
    /// For whoever works on the task.
    Debug,
    /// For whoever reads the run.
    Info,
    /// Something was lost or degraded.
    Warn,
    /// Something failed.
    Error,
}

/// The value of a [`EventKind::Fact`].
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(untagged)]
pub enum FactValue {
    /// A name, an id, a text of one line.
    Text(Arc<str>),
    /// A count.
    Int(i64),
    /// A measure.
    Float(f64),
    /// A yes or no.
    Bool(bool),
}

impl From<&str> for FactValue {
    fn from(value: &str) -> Self {
        Self::Text(value.into())
    }
}
impl From<String> for FactValue {
    fn from(value: String) -> Self {
        Self::Text(value.into())
    }
}
impl From<i64> for FactValue {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}
impl From<f64> for FactValue {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}
impl From<bool> for FactValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

/// Where a run stands in a distributed trace (W3C Trace Context).
///
/// The span ids of the run and of its steps are computed, not drawn: whoever holds the run's id and a step's index
/// knows them, so that a header can be sent upstream before any span exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The caller's trace, or one of our own.
    pub trace_id: [u8; 16],
    /// The caller's span, when the request carried `traceparent`.
    pub parent: Option<[u8; 8]>,
    /// The caller's wish; true when it had none.
    pub sampled: bool,
}

/// What is known when a run starts.
#[derive(Clone, Debug)]
pub struct RunStart {
    /// The run's name.
    pub id: RunId,
    /// When the request was accepted.
    pub at: Timestamp,
    /// The answer's `request-id`.
    pub request_id: Arc<str>,
    /// The run's place in a distributed trace.
    pub trace: TraceContext,
}

/// One thing that happened, and when.
#[derive(Clone, Debug)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: EventKind,
}

/// What can happen in a run.
#[derive(Clone, Debug)]
pub enum EventKind {
    /// The run began. Always its first event.
    Started {
        /// Who and when.
        start: Arc<RunStart>,
        /// The plan it is pinned to.
        plan: Arc<super::PlanInfo>,
    },
    /// A step run changed its state.
    Step {
        /// Which step.
        step: StepIndex,
        /// Its state from now on.
        state: State,
        /// The attempt this belongs to, from 1; 0 before the first.
        attempt: u16,
        /// The error in words, when there is one.
        message: Option<Box<str>>,
        /// For [`State::Retrying`]: the pause before the next attempt.
        retry_in: Option<Duration>,
    },
    /// A step took in or gave out a shared artifact. Its text is made off the hot path.
    Produced {
        /// The step that gave it; `None` for the request that started the run.
        step: Option<StepIndex>,
        /// The artifact itself.
        value: Arc<dyn AnyArtifact>,
    },
    /// A task, or the engine, has something to say.
    Log {
        /// The step that speaks; `None` for the run.
        step: Option<StepIndex>,
        /// How grave.
        level: Level,
        /// One line.
        message: String,
    },
    /// A figure or label of the run, named as OpenTelemetry's conventions name it where they do. The last one wins.
    Fact {
        /// The name, such as `gen_ai.usage.input_tokens`.
        name: &'static str,
        /// The value.
        value: FactValue,
    },
    /// A piece of a large text that belongs to the run, such as a request body. Pieces of one name are joined in order.
    Payload {
        /// Which text.
        name: &'static str,
        /// The next piece.
        piece: Bytes,
    },
    /// A flow is passing.
    Progress {
        /// The step whose output it is.
        step: StepIndex,
        /// Pieces so far.
        pieces: u64,
        /// Bytes so far.
        bytes: u64,
    },
    /// The reply was handed over; the flow may still pass.
    Replied,
    /// The run is over. Always its last event.
    Ended {
        /// Its final state.
        state: State,
        /// The error in words, when there is one.
        error: Option<Box<str>>,
    },
}

/// Events of one run, in order.
#[derive(Debug)]
pub struct EventBatch {
    /// Whose.
    pub run: RunId,
    /// In order, never empty.
    pub events: Vec<Event>,
}

/// Sees all events of all runs, in order per run, on a thread of its own. It may block; it is never on the hot path.
pub trait Observer: Send {
    /// Takes notice of what happened.
    fn observe(&mut self, batch: &EventBatch);

    /// Called when the queue was empty for a moment, and at least every 20 ms or so: time to write what was gathered.
    fn idle(&mut self) {}

    /// Called once, after the last event: nothing may be lost.
    fn finish(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_runs_are_in_the_order_of_their_making_and_tell_its_time() {
        let before = Timestamp::now().0 / 1_000;
        let ids: Vec<_> = (0..10_000).map(|_| RunId::now()).collect();
        let after = Timestamp::now().0 / 1_000 + 11;
        assert!(ids.is_sorted_by(|one, next| one < next));
        for id in [ids[0], ids[9_999]] {
            assert_eq!(id.0.get_version_num(), 7);
            let (secs, nanos) = id.0.get_timestamp().unwrap().to_unix();
            let millis = i64::try_from(secs).unwrap() * 1_000 + i64::from(nanos) / 1_000_000;
            assert!(
                (before..=after).contains(&millis),
                "{before} {millis} {after}"
            );
        }
    }

    #[test]
    fn the_name_of_a_state_reads_back() {
        for state in State::ALL {
            assert_eq!(State::from_name(state.name()), Some(state));
        }
    }
}
