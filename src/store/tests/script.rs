//! Runs written by hand, as the engine would report them.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use crate::events::{
    AnyArtifact, Artifact, Event, EventBatch, EventKind, FactValue, Level, PlanInfo, RunId,
    RunStart, State, StepIndex, StepInfo, Timestamp, TraceContext,
};

/// A plan of the given steps, the second to last of which replies.
pub(crate) fn plan_of(name: &str, steps: &[&str]) -> Arc<PlanInfo> {
    let step = |name: &&str| StepInfo {
        name: (*name).to_owned(),
        task: (*name).to_owned(),
        about: format!("Does {name}"),
        with: "{}".to_owned(),
        optional: false,
        timeout: None,
        retry: None,
        limit: None,
        takes: Vec::new(),
        gives: Vec::new(),
    };
    Arc::new(PlanInfo {
        name: name.to_owned(),
        about: String::new(),
        file: format!("{name}.toml"),
        source: String::new(),
        route: None,
        hash: blake3::hash(name.as_bytes())
            .to_hex()
            .chars()
            .take(32)
            .collect(),
        reply: u16::try_from(steps.len()).unwrap().saturating_sub(2),
        steps: steps.iter().map(step).collect(),
        edges: Vec::new(),
    })
}

/// A plan of four steps.
pub(crate) fn plan() -> Arc<PlanInfo> {
    let steps = ["validate", "call_upstream", "convert_response", "log_usage"];
    plan_of("messages", &steps)
}

/// The start of a run accepted at `at` microseconds.
pub(crate) fn start(at: i64) -> Arc<RunStart> {
    let millis = u128::try_from(at / 1000).unwrap();
    let random = u128::from(fastrand::u64(..));
    let id = RunId::from_bytes(((millis << 80) | (7 << 76) | random).to_be_bytes());
    Arc::new(RunStart {
        id,
        at: Timestamp(at),
        request_id: id.request_id().into(),
        trace: TraceContext::of_run(id),
        tracestate: None,
    })
}

/// What steps give in these tests.
#[derive(Serialize)]
pub(crate) struct Said(pub(crate) String);

impl Artifact for Said {
    const NAME: &'static str = "said";
}

/// The events of one run; each one happens a millisecond after the one before.
pub(crate) struct Script {
    pub(crate) id: RunId,
    at: i64,
    events: Vec<Event>,
}

impl Script {
    /// A run of `plan` accepted at `at` microseconds.
    pub(crate) fn new(at: i64, plan: &Arc<PlanInfo>) -> Self {
        let start = start(at);
        let id = start.id;
        let plan = Arc::clone(plan);
        let script = Self {
            id,
            at: at - 1000,
            events: Vec::new(),
        };
        script.then(EventKind::Started { start, plan })
    }

    /// A run accepted now.
    pub(crate) fn now(plan: &Arc<PlanInfo>) -> Self {
        Self::new(Timestamp::now().0, plan)
    }

    pub(crate) fn then(mut self, kind: EventKind) -> Self {
        self.at += 1000;
        let at = Timestamp(self.at);
        self.events.push(Event { at, kind });
        self
    }

    pub(crate) fn step(self, step: StepIndex, state: State) -> Self {
        self.then(EventKind::Step {
            step,
            state,
            attempt: 1,
            message: None,
            retry_in: None,
        })
    }

    pub(crate) fn fact(self, name: &'static str, value: impl Into<FactValue>) -> Self {
        let value = Some(value.into());
        self.then(EventKind::Fact { name, value })
    }

    pub(crate) fn log(self, step: Option<StepIndex>, message: &str) -> Self {
        self.then(EventKind::Log {
            step,
            level: Level::Info,
            message: message.to_owned(),
        })
    }

    pub(crate) fn produced(self, step: Option<StepIndex>, text: &str) -> Self {
        let value: Arc<dyn AnyArtifact> = Arc::new(Said(text.to_owned()));
        self.then(EventKind::Produced { step, value })
    }

    pub(crate) fn payload(self, name: &'static str, piece: &str) -> Self {
        let piece = Bytes::copy_from_slice(piece.as_bytes());
        self.then(EventKind::Payload { name, piece })
    }

    pub(crate) fn progress(self, step: StepIndex, pieces: u64, bytes: u64) -> Self {
        self.then(EventKind::Progress {
            step,
            pieces,
            bytes,
        })
    }

    pub(crate) fn ended(self, state: State) -> Self {
        self.then(EventKind::Ended { state, error: None })
    }

    pub(crate) fn failed(self, error: &str) -> Self {
        self.then(EventKind::Ended {
            state: State::Failed,
            error: Some(error.into()),
        })
    }

    /// What was written since the last call.
    pub(crate) fn batch(&mut self) -> EventBatch {
        EventBatch {
            run: self.id,
            events: std::mem::take(&mut self.events),
        }
    }
}
