//! What the store gives back: runs as rows, runs whole, pages of them. Plain data, serialised as the run API shows it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::events::{FactValue, Level, PlanInfo, RunId, State, StepIndex, Timestamp};
use crate::facts;

/// A run as a row of a list. Times are microseconds; absent figures are not known (yet).
#[derive(Clone, Debug)]
pub struct RunSummary {
    /// Its name.
    pub id: RunId,
    /// Where it stands.
    pub state: State,
    /// The reply was handed over and its flow is still passing.
    pub streaming: bool,
    /// The workflow's name.
    pub workflow: String,
    /// The plan it is pinned to.
    pub plan: String,
    /// The answer's `request-id`.
    pub request_id: String,
    /// Its trace, as 32 hex digits.
    pub trace_id: String,
    /// When the request was accepted.
    pub started: Timestamp,
    /// When the reply was handed over.
    pub replied: Option<Timestamp>,
    /// When it was over.
    pub ended: Option<Timestamp>,
    /// The error in words.
    pub error: Option<String>,
    /// Pieces and bytes of its flow so far.
    pub pieces: u64,
    /// Bytes of its flow so far.
    pub bytes: u64,
    /// All figures and labels, by the names in [`crate::facts`].
    pub facts: BTreeMap<String, FactValue>,
}

impl RunSummary {
    /// How long it took, or takes since.
    #[must_use]
    pub fn duration(&self, now: Timestamp) -> Duration {
        self.ended.unwrap_or(now).since(self.started)
    }

    /// A label by its name in [`crate::facts`].
    #[must_use]
    pub fn text(&self, fact: &str) -> Option<&str> {
        match self.facts.get(fact)? {
            FactValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A count by its name in [`crate::facts`].
    #[must_use]
    pub fn int(&self, fact: &str) -> Option<i64> {
        match self.facts.get(fact)? {
            FactValue::Int(int) => Some(*int),
            _ => None,
        }
    }

    /// A length of time by its name in [`crate::facts`], where it stands in microseconds.
    #[must_use]
    pub fn micros(&self, fact: &str) -> Option<Duration> {
        let micros = u64::try_from(self.int(fact)?).ok()?;
        Some(Duration::from_micros(micros))
    }

    /// A measure by its name in [`crate::facts`].
    #[must_use]
    pub fn float(&self, fact: &str) -> Option<f64> {
        match self.facts.get(fact)? {
            FactValue::Float(float) => Some(*float),
            _ => None,
        }
    }

    /// How long the client waited for the first of an answer: from the request on, attempts and pauses included. What the
    /// last attempt alone took is [`FIRST_TOKEN`](crate::facts::FIRST_TOKEN).
    #[must_use]
    pub fn first_token(&self) -> Option<Duration> {
        let waited = self.float(facts::FIRST_FOR_CLIENT);
        let of_the_attempt = || self.float(facts::FIRST_TOKEN);
        Duration::try_from_secs_f64(waited.or_else(of_the_attempt)?).ok()
    }

    /// Whether another run went on with its request: a fallback.
    #[must_use]
    pub fn is_replaced(&self) -> bool {
        self.facts.contains_key(facts::FALLBACK_BY)
    }

    /// Whether a fact is stated and true.
    #[must_use]
    pub fn is(&self, fact: &str) -> bool {
        self.facts.get(fact) == Some(&FactValue::Bool(true))
    }
}

/// A run whole.
#[derive(Clone, Debug)]
pub struct RunDetail {
    /// What the list shows of it.
    pub summary: RunSummary,
    /// The plan it is pinned to.
    pub plan: PlanInfo,
    /// Its step runs, in the order of [`PlanInfo::steps`].
    pub steps: Vec<StepRun>,
    /// Log lines of run and steps, in order.
    pub logs: Vec<LogLine>,
    /// What the run was started with, as JSON, capped.
    pub request: Option<Preview>,
    /// The large texts it has, in the order of [`crate::facts::payload::ALL`].
    pub payloads: Vec<PayloadInfo>,
}

/// One step of a run.
#[derive(Clone, Debug)]
pub struct StepRun {
    /// Its place in the plan.
    pub step: StepIndex,
    /// Where it stands.
    pub state: State,
    /// Its output is a flow that is still passing.
    pub streaming: bool,
    /// When its first attempt began.
    pub started: Option<Timestamp>,
    /// When it was over.
    pub ended: Option<Timestamp>,
    /// Attempts so far.
    pub attempts: u16,
    /// The last error in words.
    pub error: Option<String>,
    /// Every change of state, in order.
    pub history: Vec<StateChange>,
    /// What it gave, as JSON, capped.
    pub outputs: Vec<Preview>,
}

/// A change of state.
#[derive(Clone, Debug)]
pub struct StateChange {
    /// The moment of the change.
    pub at: Timestamp,
    /// The state from then on.
    pub state: State,
    /// The attempt, from 1; 0 before the first.
    pub attempt: u16,
    /// The error in words.
    pub message: Option<String>,
    /// The pause before the next attempt.
    pub retry_in: Option<Duration>,
}

/// The text of an artifact.
#[derive(Clone, Debug, Serialize)]
pub struct Preview {
    /// The artifact's name.
    pub artifact: String,
    /// JSON; cut off in the middle when `truncated`.
    pub json: String,
    /// Whether the artifact is longer than the cap.
    pub truncated: bool,
}

/// A line of a log.
#[derive(Clone, Debug)]
pub struct LogLine {
    /// The moment when it was written.
    pub at: Timestamp,
    /// The step that spoke; `None` for the run.
    pub step: Option<StepIndex>,
    /// How grave.
    pub level: Level,
    /// The line.
    pub message: String,
}

/// A large text that a run has.
#[derive(Clone, Debug, Serialize)]
pub struct PayloadInfo {
    /// Its name, one of [`crate::facts::payload::ALL`].
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its text is no longer there: removed by retention or shed under load.
    pub gone: bool,
}

/// Which runs a list shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunFilter {
    /// In one of these states; any when empty.
    pub states: Vec<State>,
    /// Of this workflow.
    pub workflow: Option<String>,
    /// Whose asked, sent or used model contains this text.
    pub model: Option<String>,
    /// Of this session.
    pub session: Option<String>,
    /// Of which exactly this model was sent upstream, or asked for where none was ([`By::Model`]).
    pub model_sent: Option<String>,
    /// Who answered ([`By::Provider`]).
    pub provider: Option<String>,
    /// Of the client with this `user-agent`.
    pub client: Option<String>,
    /// That came in with the client key of this name.
    pub key: Option<String>,
    /// Whose answer had this `request-id`.
    pub request_id: Option<String>,
    /// Whose error, kind of error, model, provider, session or id contains this text, or whose status it is.
    pub search: Option<String>,
    /// Accepted at or after this moment.
    pub since: Option<Timestamp>,
    /// Accepted before this moment.
    pub until: Option<Timestamp>,
    /// That took at least so long, or are taking so long already.
    pub min_duration: Option<Duration>,
    /// That cost at least so many US dollars.
    pub min_cost: Option<f64>,
    /// Of which steps were tried again at least so many times.
    pub min_retries: Option<u32>,
    /// With whose request another run went on, or did not ([`RunSummary::is_replaced`]).
    pub replaced: Option<bool>,
}

impl RunFilter {
    /// Lets through what was accepted at or after `since`.
    #[must_use]
    pub fn accepted_since(since: Timestamp) -> Self {
        Self {
            since: Some(since),
            ..Self::default()
        }
    }
}

/// What a list of runs can be ordered by, besides time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// How long they took, or have been taking until now.
    Duration,
    /// What they cost; those of which that is unknown come last.
    Cost,
    /// Their tokens, in and out; those that asked no model come last.
    Tokens,
}

/// What runs are told apart by when they are added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The model that was sent upstream; the one that was asked for, where none was.
    Model,
    /// Who answered: the provider behind a router, or else the kind of the upstream that was asked.
    Provider,
    /// The session.
    Session,
    /// The client, by its `user-agent`.
    Client,
    /// The client key that was presented, by its name.
    Key,
    /// The workflow.
    Workflow,
}

/// What runs used.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// All of them together.
    pub all: Totals,
    /// By what they were of, in any order; one group may be of those that have no name.
    pub groups: Vec<(Option<String>, Totals)>,
    /// By the slot of time in which they were accepted, oldest first; none of a slot without runs.
    pub slots: Vec<(Timestamp, Totals)>,
}

/// A page of runs.
#[derive(Clone, Debug)]
pub struct RunPage {
    /// The rows.
    pub runs: Vec<RunSummary>,
    /// Give this as `after` to get the next page; `None` at the end.
    pub next: Option<RunId>,
}

/// Figures over the runs of a span of time.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Runs, by state; those that are `replaced` are not among them.
    pub by_state: Vec<(State, u64)>,
    /// Runs with whose request another one went on ([`RunSummary::is_replaced`]): how its client fared is
    /// for the last run of the request to say.
    pub replaced: u64,
    /// Input tokens of the runs that have output tokens, cached ones included: what was only counted was sent to nobody.
    pub input_tokens: i64,
    /// Input tokens read from a cache.
    pub cache_read_tokens: i64,
    /// Output tokens.
    pub output_tokens: i64,
    /// US dollars. No run counts for more than a billion.
    pub cost_usd: f64,
    /// Runs whose tokens and cost, which are counted above, are estimates
    /// ([`USAGE_IS_ESTIMATE`](crate::facts::USAGE_IS_ESTIMATE)).
    pub estimated: u64,
    /// How long the runs took that are over, all together.
    pub duration: Duration,
    /// Median and 95th percentile of the durations of the completed runs in which a model answered, or of all completed ones
    /// where none did: what is refused at once, or counts tokens, is not quick.
    pub duration_p50_p95: Option<(Duration, Duration)>,
}

impl Totals {
    /// How many runs there are, however they ended.
    #[must_use]
    pub fn runs(&self) -> u64 {
        let by_state = self.by_state.iter().map(|(_, runs)| runs);
        self.replaced + by_state.sum::<u64>()
    }
}
