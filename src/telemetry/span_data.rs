//! A finished run as a trace: the root, a child for each step that ran, and the call of the model below its step.
//!
//! Names, kinds and attributes are those of OpenTelemetry's GenAI conventions, which is what makes trace viewers show a
//! run as a conversation with a model: <https://github.com/open-telemetry/semantic-conventions-genai>.
//! A run's root is INTERNAL, as the conventions say of `invoke_workflow`, also below a caller's span.
//! Pure: a record in, spans out. It must not know where spans go.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::{
    Event, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{Array, InstrumentationScope, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::outline::{CallOutline, StepOutline};
use super::record::{
    Ending, LONGEST_TEXT, Note, NoteKind, RunRecord, StepRecord, cut, error_type, is_error,
};
use crate::events::trace::{call_span_id, root_span_id, step_span_id};
use crate::events::{FactValue, Level, State, StepIndex, Timestamp};
use crate::facts;

/// Makes traces of records.
#[derive(Debug)]
pub(super) struct TraceMaker {
    scope: InstrumentationScope,
    /// Whether what errors say and steps log goes along.
    messages: bool,
}

/// One record, while its trace is made.
struct Trace<'a> {
    maker: &'a TraceMaker,
    record: &'a RunRecord,
    ending: &'a Ending,
}

/// What differs from span to span.
struct Parts {
    id: [u8; 8],
    parent: SpanId,
    kind: SpanKind,
    name: Cow<'static, str>,
    from: Timestamp,
    to: Timestamp,
    attributes: Vec<KeyValue>,
    events: SpanEvents,
    status: Status,
}

impl TraceMaker {
    pub(super) fn new(messages: bool) -> Self {
        let scope = InstrumentationScope::builder("dagway")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        Self { scope, messages }
    }

    /// How many spans [`TraceMaker::make`] will make of a run.
    pub(super) fn count(record: &RunRecord) -> usize {
        let steps = record.plan.steps.iter().zip(&record.steps);
        let ran = steps.filter(|(_, step)| step.started.is_some());
        1 + ran
            .map(|(outline, _)| 1 + usize::from(outline.call.is_some()))
            .sum::<usize>()
    }

    /// Gives the spans of a finished run to `take`, the root first.
    pub(super) fn make(&self, record: &RunRecord, ending: &Ending, mut take: impl FnMut(SpanData)) {
        let trace = Trace {
            maker: self,
            record,
            ending,
        };
        take(trace.root());
        let steps = record.plan.steps.iter().zip(&record.steps);
        for (index, (outline, step)) in (0..).zip(steps) {
            let Some(from) = step.started else { continue };
            take(trace.step(index, outline, step, from));
            if let Some(call) = &outline.call {
                take(trace.call(index, call, step, from));
            }
        }
    }
}

impl Trace<'_> {
    fn root(&self) -> SpanData {
        let Self { record, ending, .. } = self;
        let start = &record.start;
        let has_call = self.has_call();
        let is_told = |(name, _): &(&'static str, &FactValue)| !has_call || is_of_run(name);
        let stated = record.facts.iter().filter(is_told);
        let mut attributes = Vec::with_capacity(7 + record.facts.most());
        attributes.push(KeyValue::new("gen_ai.operation.name", "invoke_workflow"));
        attributes.push(KeyValue::new(
            "gen_ai.workflow.name",
            Arc::clone(&record.plan.name),
        ));
        attributes.push(KeyValue::new("dagway.run.id", start.id.to_string()));
        attributes.push(KeyValue::new("dagway.request.id", start.request_id.clone()));
        attributes.push(KeyValue::new("dagway.plan", Arc::clone(&record.plan.hash)));
        attributes.push(KeyValue::new("dagway.state", ending.state.name()));
        attributes.extend(stated.map(|(name, value)| attribute(name, value)));
        if is_error(ending.state) && record.fact(facts::ERROR_TYPE).is_none() {
            attributes.push(KeyValue::new(facts::ERROR_TYPE, error_type(ending.state)));
        }
        let mut root = self.span(Parts {
            id: root_span_id(start.id),
            parent: start
                .trace
                .parent
                .map_or(SpanId::INVALID, SpanId::from_bytes),
            kind: SpanKind::Internal,
            name: ["invoke_workflow ", &record.plan.name].concat().into(),
            from: start.at,
            to: ending.at,
            attributes,
            events: self.events(None),
            status: self.status(ending.state, ending.error.as_deref()),
        });
        root.parent_span_is_remote = start.trace.parent.is_some();
        root.events.dropped_count = record.notes_dropped;
        root
    }

    /// Whether the model was called.
    fn has_call(&self) -> bool {
        let mut ran = self.record.plan.steps.iter().zip(&self.record.steps);
        ran.any(|(outline, step)| step.started.is_some() && outline.call.is_some())
    }

    fn step(
        &self,
        index: StepIndex,
        outline: &StepOutline,
        step: &StepRecord,
        from: Timestamp,
    ) -> SpanData {
        let Self { record, ending, .. } = self;
        let mut attributes = Vec::with_capacity(4);
        attributes.push(KeyValue::new("dagway.task", Arc::clone(&outline.task)));
        attributes.push(KeyValue::new("dagway.attempts", i64::from(step.attempts)));
        attributes.push(KeyValue::new("dagway.state", step.state.name()));
        if is_error(step.state) {
            attributes.push(KeyValue::new(facts::ERROR_TYPE, error_type(step.state)));
        }
        self.span(Parts {
            id: step_span_id(record.start.id, index),
            parent: SpanId::from_bytes(root_span_id(record.start.id)),
            kind: SpanKind::Internal,
            name: outline.name.clone().into(),
            from,
            to: step.ended.unwrap_or(ending.at),
            attributes,
            events: self.events(Some(index)),
            status: self.status(step.state, step.error.as_deref()),
        })
    }

    fn call(
        &self,
        index: StepIndex,
        call: &CallOutline,
        step: &StepRecord,
        from: Timestamp,
    ) -> SpanData {
        let Self { record, ending, .. } = self;
        let failed = record.failure_of_call(index, call);
        let mut attributes = Vec::with_capacity(record.facts.most() + 3);
        attributes.push(KeyValue::new("gen_ai.operation.name", "chat"));
        let stated = record.facts.iter().filter(|(name, _)| is_of_call(name));
        attributes.extend(stated.map(|(name, value)| attribute(name, value)));
        if let Some(answered) = record.fact(facts::UPSTREAM_STATUS) {
            attributes.push(attribute(facts::STATUS, answered));
        }
        if let Some(failed) = failed {
            attributes.push(match record.fact(facts::ERROR_TYPE) {
                Some(stated) => attribute(facts::ERROR_TYPE, stated),
                None => KeyValue::new(facts::ERROR_TYPE, error_type(failed.state)),
            });
        }
        let name = match record.text(facts::MODEL_SENT) {
            Some(model) => ["chat ", cut(model)].concat().into(),
            None => "chat".into(),
        };
        self.span(Parts {
            id: call_span_id(record.start.id, index),
            parent: SpanId::from_bytes(step_span_id(record.start.id, index)),
            kind: SpanKind::Client,
            name,
            from,
            to: record.end_of_call(call, step).unwrap_or(ending.at),
            attributes,
            events: SpanEvents::default(),
            status: failed.map_or(Status::Unset, |failed| {
                self.status(failed.state, failed.error.as_deref())
            }),
        })
    }

    fn events(&self, step: Option<StepIndex>) -> SpanEvents {
        let mut events = SpanEvents::default();
        let notes = self.record.notes.iter().filter(|note| note.step == step);
        events
            .events
            .extend(notes.filter_map(|note| self.event(note)));
        events
    }

    fn event(&self, note: &Note) -> Option<Event> {
        let messages = self.maker.messages;
        let (name, attributes) = match &note.what {
            NoteKind::Retry {
                attempt,
                pause,
                error,
            } => {
                let pause = pause.unwrap_or_default();
                let mut attributes = vec![
                    KeyValue::new("dagway.attempt", i64::from(*attempt)),
                    KeyValue::new("dagway.retry_in_ms", milliseconds(pause)),
                ];
                attributes
                    .extend(messages.then(|| KeyValue::new("error.message", error.to_string())));
                ("retry", attributes)
            }
            NoteKind::Log { .. } if !messages => return None,
            NoteKind::Log { level, line } => {
                let attributes = vec![
                    KeyValue::new("log.level", level_name(*level)),
                    KeyValue::new("log.message", line.to_string()),
                ];
                ("log", attributes)
            }
        };
        Some(Event::new(name, note.at.to_system_time(), attributes, 0))
    }

    fn status(&self, state: State, error: Option<&str>) -> Status {
        if !is_error(state) {
            return Status::Unset;
        }
        let message = error.filter(|_| self.maker.messages);
        Status::error(message.unwrap_or_else(|| state.name()).to_owned())
    }

    #[inline]
    fn span(&self, parts: Parts) -> SpanData {
        let trace = &self.record.start.trace;
        SpanData {
            span_context: SpanContext::new(
                TraceId::from_bytes(trace.trace_id),
                SpanId::from_bytes(parts.id),
                TraceFlags::SAMPLED,
                false,
                TraceState::NONE,
            ),
            parent_span_id: parts.parent,
            parent_span_is_remote: false,
            span_kind: parts.kind,
            name: parts.name,
            start_time: parts.from.to_system_time(),
            end_time: parts.to.max(parts.from).to_system_time(),
            attributes: parts.attributes,
            dropped_attributes_count: 0,
            events: parts.events,
            links: SpanLinks::default(),
            status: parts.status,
            instrumentation_scope: self.maker.scope.clone(),
        }
    }
}

/// Whether a fact tells of the run around the call of the model. What tells of the call alone stands on the call's span:
/// who adds up the tokens or the cost of all spans must not count them twice.
fn is_of_run(name: &str) -> bool {
    !is_of_call(name) || matches!(name, facts::SESSION | facts::AGENT)
}

/// Whether a fact tells of the call of the model. Its beginning is looked at as an array of known length, which takes no
/// call of a function; this is asked of every fact, twice.
fn is_of_call(name: &str) -> bool {
    let name_bytes = name.as_bytes();
    name_bytes.first_chunk() == Some(b"gen_ai.")
        || name_bytes.first_chunk() == Some(b"server.")
        || matches!(
            name,
            facts::PROVIDER_BEHIND | facts::COST_USD | facts::USAGE_IS_ESTIMATE
        )
}

fn attribute(name: &'static str, value: &FactValue) -> KeyValue {
    let value = match value {
        FactValue::Text(text) if name == facts::FINISH_REASON => {
            Value::Array(Array::String(vec![StringValue::from(text.clone())]))
        }
        FactValue::Text(text) if text.len() > LONGEST_TEXT => {
            Value::String(cut(text).to_owned().into())
        }
        FactValue::Text(text) => Value::String(text.clone().into()),
        FactValue::Int(int) => Value::I64(*int),
        FactValue::Float(float) => Value::F64(*float),
        FactValue::Bool(bool) => Value::Bool(*bool),
    };
    KeyValue::new(name, value)
}

const fn level_name(level: Level) -> &'static str {
    match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}

fn milliseconds(pause: Duration) -> i64 {
    i64::try_from(pause.as_millis()).unwrap_or(i64::MAX)
}
