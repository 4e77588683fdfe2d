//! Runs for the tests of this module, as the engine would tell of them.

use std::sync::Arc;
use std::time::Duration;

use crate::events::{
    Carries, EdgeInfo, Event, EventBatch, EventKind, FactValue, Level, PlanInfo, RunId, RunStart,
    State, StepIndex, StepInfo, Timestamp, TraceContext,
};
use crate::facts;

/// The steps of the workflow `messages`, with their tasks.
pub(super) const STEPS: [&str; 9] = [
    "validate",
    "map_model",
    "convert_messages",
    "convert_tools",
    "build_request",
    "call_upstream",
    "convert_response",
    "price_usage",
    "log_usage",
];
pub(super) const CALL: StepIndex = 5;
pub(super) const CONVERT: StepIndex = 6;
pub(super) const PRICE: StepIndex = 7;
pub(super) const LOG_USAGE: StepIndex = 8;

/// When the runs of the tests begin.
pub(super) const START: i64 = 1_790_000_000_000_000;

pub(super) fn plan() -> Arc<PlanInfo> {
    let edge = |from: Option<StepIndex>, to, carries| EdgeInfo { from, to, carries };
    let shared = |from, to| edge(Some(from), to, Carries::Shared("Artifact".into()));
    Arc::new(PlanInfo {
        name: "messages".into(),
        about: String::new(),
        file: "messages.toml".into(),
        source: String::new(),
        route: Some("POST /v1/messages".into()),
        hash: "0123456789abcdef0123456789abcdef".into(),
        reply: CONVERT,
        steps: STEPS.iter().map(|name| step_info(name)).collect(),
        edges: vec![
            edge(None, 0, Carries::Shared("Request".into())),
            shared(0, 1),
            shared(0, 2),
            shared(0, 3),
            shared(1, 4),
            shared(2, 4),
            shared(3, 4),
            shared(4, CALL),
            edge(Some(CALL), CONVERT, Carries::Owned("Chunks".into())),
            edge(Some(CONVERT), PRICE, Carries::End("Summary".into())),
            shared(PRICE, LOG_USAGE),
        ],
    })
}

fn step_info(name: &str) -> StepInfo {
    StepInfo {
        name: name.into(),
        task: name.into(),
        about: String::new(),
        with: "{}".into(),
        optional: name == "log_usage",
        timeout: None,
        retry: None,
        limit: None,
        takes: Vec::new(),
        gives: Vec::new(),
    }
}

/// Events of one run, written in order; times are microseconds after the start.
pub(super) struct Story {
    pub(super) run: RunId,
    pub(super) events: Vec<Event>,
}

impl Story {
    pub(super) fn new(plan: &Arc<PlanInfo>) -> Self {
        let run = RunId::now();
        Self::of(plan, run, TraceContext::of_run(run))
    }

    pub(super) fn of(plan: &Arc<PlanInfo>, run: RunId, trace: TraceContext) -> Self {
        let start = Arc::new(RunStart {
            id: run,
            at: Timestamp(START),
            request_id: "req_011CSHoEeqs5C35K2UUqR7Fy".into(),
            trace,
            tracestate: None,
        });
        let plan = Arc::clone(plan);
        let mut story = Self {
            run,
            events: Vec::new(),
        };
        story.push(0, EventKind::Started { start, plan });
        story
    }

    pub(super) fn push(&mut self, at: i64, kind: EventKind) {
        let at = Timestamp(START + at);
        self.events.push(Event { at, kind });
    }

    pub(super) fn step(&mut self, at: i64, step: StepIndex, state: State, attempt: u16) {
        self.push(
            at,
            EventKind::Step {
                step,
                state,
                attempt,
                message: None,
                retry_in: None,
            },
        );
    }

    pub(super) fn fault(&mut self, at: i64, step: StepIndex, state: State, message: &str) {
        self.push(
            at,
            EventKind::Step {
                step,
                state,
                attempt: 1,
                message: Some(message.into()),
                retry_in: (state == State::Retrying).then_some(Duration::from_millis(250)),
            },
        );
    }

    pub(super) fn fact(&mut self, name: &'static str, value: impl Into<FactValue>) {
        let value = Some(value.into());
        self.push(0, EventKind::Fact { name, value });
    }

    pub(super) fn log(&mut self, at: i64, step: Option<StepIndex>, level: Level, line: &str) {
        let message = line.into();
        self.push(
            at,
            EventKind::Log {
                step,
                level,
                message,
            },
        );
    }

    pub(super) fn end(&mut self, at: i64, state: State, error: Option<&str>) {
        let error = error.map(Into::into);
        self.push(at, EventKind::Ended { state, error });
    }

    /// All events in one batch.
    pub(super) fn batch(self) -> EventBatch {
        EventBatch {
            run: self.run,
            events: self.events,
        }
    }

    /// One batch for each event.
    pub(super) fn batches(self) -> impl Iterator<Item = EventBatch> {
        let run = self.run;
        self.events.into_iter().map(move |event| EventBatch {
            run,
            events: vec![event],
        })
    }

    /// Steps before the call, in the first half millisecond.
    pub(super) fn prepare(&mut self) {
        for (step, at) in (0..CALL).zip([10, 110, 112, 114, 300]) {
            self.step(at, step, State::Running, 1);
            self.step(at + 90, step, State::Completed, 1);
        }
    }

    /// What the tasks and the server say of a good run.
    pub(super) fn figures(&mut self) {
        self.fact(facts::MODEL_ASKED, "sonnet");
        self.fact(facts::MODEL_SENT, "anthropic/claude-sonnet-4.5");
        self.fact(facts::MODEL_USED, "anthropic/claude-4.5-sonnet-20250929");
        self.fact(facts::SESSION, "a7f0c2de-session");
        self.fact(facts::STREAM, true);
        self.fact(facts::MAX_TOKENS, 32_000_i64);
        self.fact(facts::PROVIDER, "openrouter");
        self.fact(facts::PROVIDER_BEHIND, "Anthropic");
        self.fact(facts::RESPONSE_ID, "gen-1762");
        self.fact(facts::FINISH_REASON, "tool_use");
        self.fact(facts::FIRST_TOKEN, 0.42);
        self.fact(facts::INPUT_TOKENS, 20_100_i64);
        self.fact(facts::CACHE_READ_TOKENS, 18_000_i64);
        self.fact(facts::CACHE_WRITE_TOKENS, 2_000_i64);
        self.fact(facts::OUTPUT_TOKENS, 321_i64);
        self.fact(facts::REASONING_TOKENS, 100_i64);
        self.fact(facts::COST_USD, 0.0187);
        self.fact(facts::OVERHEAD_US, 180_i64);
        self.fact(facts::SERVER_ADDRESS, "openrouter.ai");
        self.fact(facts::SERVER_PORT, 443_i64);
        self.fact(facts::UPSTREAM_STATUS, 200_i64);
        self.fact(facts::STATUS, 200_i64);
    }
}

/// A run whose call succeeds at the second attempt and whose answer streams for two seconds.
pub(super) fn streamed(plan: &Arc<PlanInfo>, run: RunId, trace: TraceContext) -> Story {
    let mut story = Story::of(plan, run, trace);
    story.prepare();
    story.figures();
    story.step(400, CALL, State::Running, 1);
    story.fact(facts::UPSTREAM_STATUS, 529_i64);
    story.fact(facts::UPSTREAM_HEADERS, 0.09);
    story.fault(100_000, CALL, State::Retrying, "the provider is overloaded");
    story.step(350_000, CALL, State::Running, 2);
    story.fact(facts::UPSTREAM_STATUS, 200_i64);
    story.fact(facts::UPSTREAM_HEADERS, 0.41);
    story.fact(facts::FIRST_FOR_CLIENT, 0.77);
    story.step(800_000, CALL, State::Completed, 2);
    story.step(800_010, CONVERT, State::Running, 1);
    story.push(800_100, EventKind::Replied);
    story.log(900_000, Some(CALL), Level::Info, "answered by Anthropic");
    story.log(950_000, Some(CALL), Level::Warn, "a chunk came late");
    let (step, pieces, bytes) = (CONVERT, 40, 4_000);
    let progress = EventKind::Progress {
        step,
        pieces,
        bytes,
    };
    story.push(2_000_000, progress);
    story.step(2_800_000, CONVERT, State::Completed, 1);
    story.step(2_800_005, PRICE, State::Running, 1);
    story.step(2_800_030, PRICE, State::Completed, 1);
    story.step(2_800_040, LOG_USAGE, State::Running, 1);
    story.step(2_800_100, LOG_USAGE, State::Completed, 1);
    story.end(2_800_110, State::Completed, None);
    story
}

/// A run that answers at once: what a request costs at least.
pub(super) fn quick(plan: &Arc<PlanInfo>) -> Story {
    let mut story = Story::new(plan);
    story.prepare();
    story.figures();
    for (step, at) in (CALL..=LOG_USAGE).zip([400, 900, 1_000, 1_100]) {
        story.step(at, step, State::Running, 1);
        story.step(at + 80, step, State::Completed, 1);
    }
    story.end(1_200, State::Completed, None);
    story
}
