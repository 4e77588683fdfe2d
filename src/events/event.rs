//! What can be observed of a run.
//!
//! Store, spans, metrics and live pages live on these events alone; a task never writes a row and never opens a span.
//! A run collects its events and hands them over in batches ([`EventSink`](super::EventSink)) whenever its task goes to sleep,
//! so that observing costs the hot path one push per event and one queue operation per pause.
//!
//! This file must not know who observes.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::artifact::AnyArtifact;
use super::info::PlanInfo;
use super::run_id::{RunId, Timestamp};
use super::state::State;
use bytes::Bytes;

/// A step's place in its plan: an index into [`PlanInfo::steps`](super::PlanInfo::steps).
pub type StepIndex = u16;

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
impl From<Arc<str>> for FactValue {
    fn from(value: Arc<str>) -> Self {
        Self::Text(value)
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
    /// What other vendors say of that trace: `tracestate`, to be passed on unread.
    pub tracestate: Option<Arc<str>>,
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
    /// The run began, with its request: at [`RunStart::at`]. Always its first event.
    Started {
        /// Who and when.
        start: Arc<RunStart>,
        /// The plan it is pinned to.
        plan: Arc<PlanInfo>,
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
    /// A step gave an artifact, at once or at the end of its flow; or the request did. Its text is made off the hot path.
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
        /// The value; `None` where what was stated under this name holds no longer.
        value: Option<FactValue>,
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

impl EventKind {
    /// Cuts its texts to what a page, a row and a span can bear: they may quote what a client sent, which may be megabytes.
    /// Payloads are kept whole.
    #[inline]
    pub(super) fn bound(&mut self) {
        let has_text = match self {
            Self::Fact { value, .. } => matches!(value, Some(FactValue::Text(_))),
            Self::Step { message, .. } => message.is_some(),
            Self::Ended { error, .. } => error.is_some(),
            Self::Log { .. } => true,
            _ => false,
        };
        if has_text {
            self.shorten();
        }
    }

    fn shorten(&mut self) {
        const FACT: usize = 1 << 10;
        const SENTENCE: usize = 4 << 10;
        match self {
            Self::Fact {
                value: Some(FactValue::Text(text)),
                ..
            } => {
                if let Cow::Owned(short) = shortened(text, FACT) {
                    *text = short.into();
                }
            }
            Self::Step {
                message: Some(text),
                ..
            }
            | Self::Ended {
                error: Some(text), ..
            } => {
                if let Cow::Owned(short) = shortened(text, SENTENCE) {
                    *text = short.into();
                }
            }
            Self::Log { message, .. } => {
                if let Cow::Owned(short) = shortened(message, SENTENCE) {
                    *message = short;
                }
            }
            _ => {}
        }
    }
}

/// A text of at most about `most` bytes: of a longer one the middle is left out, because a sentence names the place at its
/// beginning and the cure at its end.
#[must_use]
pub fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    let (head, rest) = text.split_at(text.floor_char_boundary(most / 4 * 3));
    let (middle, tail) = rest.split_at(rest.ceil_char_boundary(rest.len() - most / 4));
    Cow::Owned(format!("{head} … {} bytes … {tail}", middle.len()))
}

/// Events of one run, in order.
#[derive(Debug)]
pub struct EventBatch {
    /// Whose.
    pub run: RunId,
    /// In order, never empty.
    pub events: Vec<Event>,
}

impl EventBatch {
    /// Bytes of payload in it.
    #[must_use]
    pub fn payload(&self) -> usize {
        let pieces = self.events.iter().map(|event| match &event.kind {
            EventKind::Payload { piece, .. } => piece.len(),
            _ => 0,
        });
        pieces.sum()
    }
}

/// Sees all events of all runs, in order per run, on a thread of its own. It may block; it is never on the hot path.
pub trait Observer: Send {
    /// Takes notice of what happened.
    fn observe(&mut self, batch: &EventBatch);

    /// Called when the queue was empty for a moment, and at least every 20 ms or so while runs are under way, every
    /// 100 ms after a lull: time to write what was gathered.
    fn idle(&mut self) {}

    /// Called once, after the last event: nothing may be lost.
    fn finish(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_keeps_its_ends() {
        assert_eq!(shortened("short", 5), "short");
        let text = format!(
            "model: `{}` is not known; ask for another",
            "é".repeat(5_000)
        );
        for most in 1_000..1_008 {
            let short = shortened(&text, most);
            assert!(short.len() <= most + 30, "{}", short.len());
            assert!(short.starts_with("model: `éé"), "{short}");
            assert!(
                short.ends_with("éé` is not known; ask for another"),
                "{short}"
            );
            assert!(short.contains(" bytes … "), "{short}");
        }
    }

    #[test]
    fn every_text_of_an_event_is_bounded_but_payloads() {
        let long = "x".repeat(1 << 20);
        let state = State::Failed;
        let events = [
            EventKind::Fact {
                name: "n",
                value: Some(long.as_str().into()),
            },
            EventKind::Log {
                step: None,
                level: Level::Info,
                message: long.clone(),
            },
            EventKind::Step {
                step: 0,
                state,
                attempt: 1,
                message: Some(long.as_str().into()),
                retry_in: None,
            },
            EventKind::Ended {
                state,
                error: Some(long.as_str().into()),
            },
        ];
        for mut event in events {
            event.bound();
            let shown = format!("{event:?}");
            assert!(shown.len() < 5_000, "{shown:.80}");
        }
        let piece = Bytes::from(long.into_bytes());
        let mut payload = EventKind::Payload { name: "n", piece };
        payload.bound();
        let EventKind::Payload { piece, .. } = payload else {
            panic!("it is a payload still");
        };
        assert_eq!(piece.len(), 1 << 20);
    }
}
