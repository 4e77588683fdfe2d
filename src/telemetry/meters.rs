//! Adds each run that has ended to the figures.
//!
//! It keeps the counters of every plan at hand, because looking one up by its labels costs ten times what counting does.
//! This file must not know how figures are shown.

use std::collections::HashMap;
use std::sync::Arc;

use prometheus::{Counter, Histogram, IntCounter};

use super::metrics::{Families, Metrics};
use super::record::{Ending, RunRecord, error_type};
use super::traces::CALL_TASK;
use crate::events::{PlanInfo, State};
use crate::facts;

/// Plans whose counters are kept at hand; more than these only after many reloads.
const MOST_PLANS: usize = 64;
/// Models that have figures of their own; the others share those of `other`.
const MOST_MODELS: usize = 100;
/// Kinds of errors that are told apart.
const MOST_ERROR_TYPES: usize = 32;
/// The name of all that have none of their own.
const OTHER: &str = "other";

/// The kinds of tokens and where their counts are found.
const TOKENS: [(&str, &str); 5] = [
    ("input", facts::INPUT_TOKENS),
    ("cache_read", facts::CACHE_READ_TOKENS),
    ("cache_write", facts::CACHE_WRITE_TOKENS),
    ("output", facts::OUTPUT_TOKENS),
    ("reasoning", facts::REASONING_TOKENS),
];

/// Counts runs into [`Metrics`].
#[derive(Debug)]
pub(super) struct RunMeters {
    metrics: Arc<Metrics>,
    plans: HashMap<String, PlanMeters>,
    models: HashMap<String, ModelMeters>,
    /// Of each upstream, by kind.
    errors: HashMap<String, HashMap<String, IntCounter>>,
}

/// A counter for each state, made when it is first needed: a state that never occurs has no line.
type ByState = HashMap<State, IntCounter>;

#[derive(Debug)]
struct PlanMeters {
    runs: ByState,
    seconds: Histogram,
    overhead: Histogram,
    steps: Vec<StepMeters>,
}

#[derive(Debug)]
struct StepMeters {
    ended: ByState,
    seconds: Histogram,
    retries: IntCounter,
    is_call: bool,
}

#[derive(Debug)]
struct ModelMeters {
    tokens: [IntCounter; TOKENS.len()],
    cost: Counter,
    estimated: IntCounter,
    first_token: Histogram,
}

impl RunMeters {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            plans: HashMap::new(),
            models: HashMap::new(),
            errors: HashMap::new(),
        }
    }

    /// Counts a run that has ended.
    pub(super) fn count(&mut self, record: &RunRecord, ending: &Ending) {
        self.count_plan(record, ending);
        self.count_model(record);
        self.count_error(record);
    }

    /// Counts a run of which nothing else is known.
    pub(super) fn leave_out(&self) {
        self.metrics.families.runs.unmeasured.inc();
    }

    /// Says how many runs are under way.
    pub(super) fn show_in_flight(&self, runs: usize) {
        let in_flight = i64::try_from(runs).unwrap_or(i64::MAX);
        self.metrics.families.runs.in_flight.set(in_flight);
    }

    fn count_plan(&mut self, record: &RunRecord, ending: &Ending) {
        let families = &self.metrics.families;
        if !self.plans.contains_key(&record.plan.hash) {
            if self.plans.len() >= MOST_PLANS {
                self.plans.clear();
            }
            let meters = PlanMeters::of(&record.plan, families);
            self.plans.insert(record.plan.hash.clone(), meters);
        }
        let Some(meters) = self.plans.get_mut(&record.plan.hash) else {
            return;
        };
        let workflow = record.plan.name.as_str();
        meters
            .runs
            .entry(ending.state)
            .or_insert_with(|| {
                let labels = [workflow, ending.state.name()];
                families.runs.ended.with_label_values(&labels)
            })
            .inc();
        let took = ending.at.since(record.start.at);
        meters.seconds.observe(took.as_secs_f64());
        if let Some(micros) = record.measure(facts::OVERHEAD_US) {
            meters.overhead.observe(micros / 1e6);
        }
        for (index, (step, meters)) in record.steps.iter().zip(&mut meters.steps).enumerate() {
            if step.retries > 0 {
                meters.retries.inc_by(u64::from(step.retries));
            }
            let Some(ended) = step.ended else { continue };
            let counter = meters.ended.entry(step.state).or_insert_with(|| {
                let name = record.plan.steps.get(index).map_or("", |info| &info.name);
                let labels = [workflow, name, step.state.name()];
                families.steps.ended.with_label_values(&labels)
            });
            counter.inc();
            if let Some(started) = step.started {
                let took = ended.since(started);
                meters.seconds.observe(took.as_secs_f64());
            }
        }
    }

    fn count_model(&mut self, record: &RunRecord) {
        let is_answered = record.fact(facts::FIRST_TOKEN).is_some()
            || record.fact(facts::OUTPUT_TOKENS).is_some();
        // Without an answer the name is only what a client wrote.
        let model = record
            .text(facts::MODEL_USED)
            .or_else(|| record.text(facts::MODEL_SENT));
        let Some(model) = model.filter(|_| is_answered) else {
            return;
        };
        let families = &self.metrics.families;
        let meters = bounded(&mut self.models, model, MOST_MODELS, |model| {
            ModelMeters::of(model, families)
        });
        for (counter, (_, fact)) in meters.tokens.iter().zip(TOKENS) {
            counter.inc_by(record.count(fact).unwrap_or(0));
        }
        meters
            .cost
            .inc_by(record.measure(facts::COST_USD).unwrap_or(0.0));
        if record.is(facts::USAGE_IS_ESTIMATE) {
            meters.estimated.inc();
        }
        if let Some(seconds) = record.measure(facts::FIRST_TOKEN) {
            meters.first_token.observe(seconds);
        }
    }

    fn count_error(&mut self, record: &RunRecord) {
        let Some(plan) = self.plans.get(&record.plan.hash) else {
            return;
        };
        let calls = (0..).zip(&plan.steps).filter(|(_, meters)| meters.is_call);
        let failed = calls
            .filter_map(|(index, _)| record.failure_of_call(index))
            .next();
        let Some(failed) = failed else { return };
        let stated = record.text(facts::ERROR_TYPE).map(|stated| &**stated);
        let kind = stated.unwrap_or_else(|| error_type(failed.state));
        // The settings name the upstreams: they are few.
        let upstream = record.text(facts::PROVIDER).map_or("", |name| &**name);
        let families = &self.metrics.families;
        let of_upstream = self.errors.entry(upstream.to_owned()).or_default();
        bounded(of_upstream, kind, MOST_ERROR_TYPES, |kind| {
            let labels = [kind, upstream];
            families.models.upstream_errors.with_label_values(&labels)
        })
        .inc();
    }
}

impl PlanMeters {
    fn of(plan: &PlanInfo, families: &Families) -> Self {
        let workflow = [plan.name.as_str()];
        let steps = plan.steps.iter().map(|info| {
            let labels = [plan.name.as_str(), info.name.as_str()];
            StepMeters {
                ended: HashMap::new(),
                seconds: families.steps.seconds.with_label_values(&labels),
                retries: families.steps.retries.with_label_values(&labels),
                is_call: info.task == CALL_TASK,
            }
        });
        Self {
            runs: HashMap::new(),
            seconds: families.runs.seconds.with_label_values(&workflow),
            overhead: families.runs.overhead_seconds.with_label_values(&workflow),
            steps: steps.collect(),
        }
    }
}

impl ModelMeters {
    fn of(model: &str, families: &Families) -> Self {
        Self {
            tokens: TOKENS
                .map(|(kind, _)| families.models.tokens.with_label_values(&[model, kind])),
            cost: families.models.cost_usd.with_label_values(&[model]),
            estimated: families.models.estimated.with_label_values(&[model]),
            first_token: families
                .models
                .first_token_seconds
                .with_label_values(&[model]),
        }
    }
}

/// The meters of `label`, or those of [`OTHER`] when there are `most` already.
fn bounded<'a, M>(
    meters: &'a mut HashMap<String, M>,
    label: &str,
    most: usize,
    make: impl FnOnce(&str) -> M,
) -> &'a mut M {
    let is_own = meters.contains_key(label) || (meters.len() < most && label.len() <= 128);
    let label = if is_own { label } else { OTHER };
    if !meters.contains_key(label) {
        meters.insert(label.to_owned(), make(label));
    }
    meters
        .get_mut(label)
        .expect("the line above has put it there")
}
