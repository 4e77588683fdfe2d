//! What a plan looks like, for those who show or store it. Plain data: no task, no closure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::event::StepIndex;

/// A plan, described. Runs are pinned to one by its [`hash`](PlanInfo::hash).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PlanInfo {
    /// The workflow's name.
    pub name: String,
    /// What the file says about itself: its leading comment.
    pub about: String,
    /// The file, as the user would find it.
    pub file: String,
    /// Its text.
    pub source: String,
    /// The route it serves, such as `POST /v1/messages`.
    pub route: Option<String>,
    /// The content hash: 32 lower-case hex digits.
    pub hash: String,
    /// The step that gives the reply.
    pub reply: StepIndex,
    /// The steps, in topological order.
    pub steps: Vec<StepInfo>,
    /// The edges that carry artifacts and those that carry order alone.
    pub edges: Vec<EdgeInfo>,
}

/// A step, described.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepInfo {
    /// Its name in the file.
    pub name: String,
    /// The task that stands there.
    pub task: String,
    /// The task's one line about itself.
    pub about: String,
    /// Its settings as written, as JSON; `{}` when there are none.
    pub with: String,
    /// Whether its failure leaves the run alive.
    pub optional: bool,
    /// The longest one attempt may take.
    pub timeout: Option<Duration>,
    /// How often and when it is tried again.
    pub retry: Option<Retry>,
    /// How many of its attempts may be at work at once, over all runs of the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u16>,
    /// The names of what it takes, resources included.
    pub takes: Vec<String>,
    /// The names of what it gives.
    pub gives: Vec<String>,
}

/// The `retry` of a step, as written in the workflow file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// Attempts in all, the first included; at least 1.
    pub attempts: u16,
    /// How the pause grows.
    pub backoff: Backoff,
    /// The first pause.
    pub base: Duration,
    /// The longest pause of our own choosing.
    pub max: Duration,
    /// Whether a pause is shortened at random, so that callers do not come back together.
    pub jitter: bool,
    /// Whether the task's error may set the pause.
    pub honour_retry_after: bool,
    /// Whether an attempt that ran out of time is followed by another.
    #[serde(default = "yes")]
    pub timeouts: bool,
}

impl Retry {
    /// What holds besides the number of attempts and their pauses, each in words that follow those.
    pub fn conditions(&self) -> impl Iterator<Item = &'static str> {
        let all = [
            (self.jitter, ", with jitter"),
            (self.honour_retry_after, ", or as the answer asks"),
            (!self.timeouts, ", not after a timeout"),
        ];
        all.into_iter()
            .filter(|(holds, _)| *holds)
            .map(|(_, words)| words)
    }
}

/// What plans say that were recorded before there was a choice.
const fn yes() -> bool {
    true
}

/// How the pause between attempts grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backoff {
    /// Always the base.
    Constant,
    /// Doubling.
    Exponential,
}

/// An edge, described.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EdgeInfo {
    /// Where it starts; `None` for the request.
    pub from: Option<StepIndex>,
    /// Where it ends.
    pub to: StepIndex,
    /// What it carries.
    pub carries: Carries,
}

/// What an edge carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Carries {
    /// A shared artifact of this name.
    Shared(String),
    /// An owned value of this name.
    Owned(String),
    /// What is known at the end of a flow.
    End(String),
    /// Order alone (`after`).
    Order,
}
