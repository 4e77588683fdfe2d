//! What the run API answers, as far as it is shown. Texts in it are a stranger's until [`text`](super::text) has cleaned them.
//!
//! What an older or newer Dagway does not say is absent. It must not know how anything is shown.

use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::dashboard::format;
use crate::events::{RunId, State, Timestamp};
use crate::facts;

/// A page of a list, newest first.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    /// The runs, as they were written.
    pub(super) runs: Vec<Box<RawValue>>,
    /// What begins the next page.
    pub(super) next: Option<String>,
    /// Why they may not be as they are told.
    #[serde(default)]
    pub(super) warning: Option<String>,
}

impl Page {
    /// The runs as they are understood.
    pub(super) fn read(&self) -> serde_json::Result<Vec<Run>> {
        let runs = self.runs.iter();
        runs.map(|run| serde_json::from_str(run.get())).collect()
    }
}

/// A run as a member of a list.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Run {
    #[serde(deserialize_with = "parsed")]
    pub(super) id: RunId,
    pub(super) state: String,
    #[serde(default)]
    pub(super) streaming: bool,
    pub(super) workflow: String,
    #[serde(default)]
    pub(super) request_id: String,
    #[serde(default)]
    pub(super) trace_id: String,
    #[serde(deserialize_with = "moment")]
    pub(super) started: Timestamp,
    #[serde(default, deserialize_with = "perhaps")]
    pub(super) replied: Option<Timestamp>,
    #[serde(deserialize_with = "millis")]
    duration_ms: Duration,
    #[serde(default)]
    first_token_ms: Option<f64>,
    error: Option<String>,
    #[serde(default)]
    pub(super) pieces: u64,
    #[serde(default)]
    pub(super) bytes: u64,
    #[serde(default)]
    facts: Map<String, Value>,
}

impl Run {
    /// How long it took, or takes since.
    pub(super) fn duration(&self) -> Duration {
        self.duration_ms
    }

    /// The end of it, or the moment at which the server answered.
    pub(super) fn until(&self) -> Timestamp {
        let micros = i64::try_from(self.duration_ms.as_micros()).unwrap_or(i64::MAX);
        Timestamp(self.started.0.saturating_add(micros))
    }

    /// Whether nothing more will come of it.
    pub(super) fn has_ended(&self) -> bool {
        State::from_name(&self.state).is_some_and(State::is_final)
    }

    /// What went wrong. A run that was dropped before its reply cannot say why; that Dagway itself gave it up would show
    /// as an answer.
    pub(super) fn trouble(&self) -> Option<String> {
        let was_left = self.state == State::Cancelled.name()
            && self.replied.is_none()
            && self.text(facts::ERROR_TYPE).is_none();
        self.error.clone().or_else(|| {
            let waited = format::duration(self.duration());
            was_left.then(|| format!("the client hung up after {waited}"))
        })
    }

    /// A label by its name in [`facts`].
    pub(super) fn text(&self, fact: &str) -> Option<&str> {
        self.facts.get(fact)?.as_str()
    }

    /// A count by its name in [`facts`].
    pub(super) fn int(&self, fact: &str) -> Option<i64> {
        self.facts.get(fact)?.as_i64()
    }

    /// A measure by its name in [`facts`].
    pub(super) fn float(&self, fact: &str) -> Option<f64> {
        self.facts.get(fact)?.as_f64()
    }

    /// How long the client waited for the first of the answer.
    pub(super) fn first_token(&self) -> Option<Duration> {
        Duration::try_from_secs_f64(self.first_token_ms? / 1e3).ok()
    }

    /// Tokens and cost are no more than about right.
    pub(super) fn is_estimate(&self) -> bool {
        self.facts.get(facts::USAGE_IS_ESTIMATE) == Some(&Value::Bool(true))
    }

    /// The model that was asked for, and the one that answered or was to answer, when it is another.
    pub(super) fn models(&self) -> (Option<&str>, Option<&str>) {
        let asked = self.text(facts::MODEL_ASKED);
        let used = self.text(facts::MODEL_USED);
        let used = used.or_else(|| self.text(facts::MODEL_SENT));
        (asked, used.filter(|used| Some(*used) != asked))
    }
}

/// A run whole.
#[derive(Debug, Deserialize)]
pub(super) struct Whole {
    pub(super) run: Run,
    #[serde(default)]
    pub(super) steps: Vec<Step>,
    #[serde(default)]
    pub(super) logs: Vec<LogLine>,
    #[serde(default)]
    pub(super) payloads: Vec<Payload>,
    #[serde(default)]
    request: Option<Started>,
}

impl Whole {
    /// The query of the client's request, where it was recorded.
    pub(super) fn query(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Request {
            query: Option<String>,
        }
        let request: Request = serde_json::from_str(&self.request.as_ref()?.json).ok()?;
        request.query
    }

    /// A large text that it has or had.
    pub(super) fn payload(&self, name: &str) -> Option<&Payload> {
        self.payloads.iter().find(|payload| payload.name == name)
    }
}

/// What a run was started with.
#[derive(Debug, Deserialize)]
struct Started {
    /// Cut off where it is too long.
    json: String,
}

/// A step of a run.
#[derive(Debug, Deserialize)]
pub(super) struct Step {
    pub(super) name: Option<String>,
    pub(super) state: String,
    #[serde(default)]
    pub(super) streaming: bool,
    #[serde(default)]
    pub(super) gives_flow: bool,
    #[serde(default, deserialize_with = "perhaps")]
    pub(super) started: Option<Timestamp>,
    #[serde(default, deserialize_with = "perhaps")]
    pub(super) ended: Option<Timestamp>,
    #[serde(default)]
    pub(super) attempts: u16,
    #[serde(default)]
    pub(super) history: Vec<Change>,
}

/// A change of a step's state.
#[derive(Debug, Deserialize)]
pub(super) struct Change {
    #[serde(deserialize_with = "moment")]
    pub(super) at: Timestamp,
    pub(super) state: String,
    #[serde(default)]
    pub(super) attempt: u16,
    pub(super) message: Option<String>,
    #[serde(default, deserialize_with = "perhaps_millis")]
    pub(super) retry_in_ms: Option<Duration>,
}

/// A line of a log.
#[derive(Debug, Deserialize)]
pub(super) struct LogLine {
    #[serde(deserialize_with = "moment")]
    pub(super) at: Timestamp,
    pub(super) level: String,
    pub(super) step: Option<String>,
    pub(super) message: String,
}

/// A large text that a run has.
#[derive(Debug, Deserialize)]
pub(super) struct Payload {
    pub(super) name: String,
    pub(super) bytes: u64,
    #[serde(default)]
    pub(super) gone: bool,
}

/// The workflows that are in use.
#[derive(Debug, Deserialize)]
pub(super) struct Workflows {
    pub(super) workflows: Vec<Workflow>,
}

/// One of them.
#[derive(Debug, Deserialize)]
pub(super) struct Workflow {
    pub(super) name: String,
    /// Method and path of what it serves.
    pub(super) route: Option<String>,
}

/// A run's request beside that of an earlier run.
#[derive(Debug, Deserialize)]
pub(super) struct Changes {
    pub(super) run: Run,
    pub(super) earlier: Option<Run>,
    /// Why there is nothing to compare.
    pub(super) nothing: Option<String>,
    /// Which requests are compared: what was `sent` or what was `asked`.
    pub(super) compared: Option<String>,
    pub(super) verdict: Option<Verdict>,
    #[serde(default)]
    pub(super) changes: Vec<Difference>,
    #[serde(default)]
    pub(super) left_out: u64,
}

/// What a comparison means for a cache.
#[derive(Debug, Deserialize)]
pub(super) struct Verdict {
    pub(super) sentence: String,
    #[serde(default)]
    pub(super) same: String,
    pub(super) cached: Option<String>,
    #[serde(default)]
    pub(super) hints: Vec<String>,
    #[serde(default)]
    pub(super) settings: Vec<Setting>,
}

/// A setting that differs.
#[derive(Debug, Deserialize)]
pub(super) struct Setting {
    pub(super) name: String,
    pub(super) earlier: String,
    pub(super) now: String,
}

/// Parts of two requests that are the same, or one that is not.
#[derive(Debug, Deserialize)]
pub(super) struct Difference {
    pub(super) kind: String,
    #[serde(default)]
    pub(super) label: String,
    #[serde(default)]
    pub(super) lines: Vec<Line>,
    #[serde(default)]
    pub(super) cut: bool,
}

/// A line of a difference.
#[derive(Debug, Deserialize)]
pub(super) struct Line {
    pub(super) sign: String,
    pub(super) text: String,
}

/// The body of a refusal, of the run API and of the Messages API.
#[derive(Debug, Deserialize)]
pub(super) struct Refusal {
    pub(super) error: Message,
}

/// What went wrong, in a sentence.
#[derive(Debug, Deserialize)]
pub(super) struct Message {
    pub(super) message: String,
}

fn parsed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RunId, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let moment = jiff::Timestamp::deserialize(deserializer)?;
    Ok(Timestamp(moment.as_microsecond()))
}

fn perhaps<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let moment = Option::<jiff::Timestamp>::deserialize(deserializer)?;
    Ok(moment.map(|moment| Timestamp(moment.as_microsecond())))
}

fn millis<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let millis = f64::deserialize(deserializer)?;
    Duration::try_from_secs_f64(millis / 1e3).map_err(serde::de::Error::custom)
}

fn perhaps_millis<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    let millis = Option::<f64>::deserialize(deserializer)?;
    let length = millis.map(|millis| Duration::try_from_secs_f64(millis / 1e3));
    length.transpose().map_err(serde::de::Error::custom)
}
