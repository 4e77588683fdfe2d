//! Adds each run that has ended to the figures.
//!
//! It keeps the counters of every plan at hand, because looking one up by its labels costs ten times what counting does.
//! This file must not know how figures are shown.

use std::collections::HashMap;
use std::sync::Arc;

use prometheus::{Counter, Histogram, IntCounter};

use super::blame::KINDS;
use super::metrics::{Families, Metrics, OTHER};
use super::outline::{MOST_PLANS, Outline};
use super::record::{Ending, RunRecord, error_type, is_error};
use super::upstream_meters::UpstreamMeters;
use crate::events::State;
use crate::facts;

/// Models that have figures of their own; the others share those of `other`.
const MOST_MODELS: usize = 100;
/// Kinds of errors that are told apart.
const MOST_ERROR_TYPES: usize = 32;

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
    plans: Vec<PlanMeters>,
    models: ByLabel<ModelMeters>,
    upstreams: UpstreamMeters,
    /// Of each upstream, by kind.
    errors: HashMap<String, ByLabel<IntCounter>>,
}

/// A counter for each state, made when it is first needed: a state in which no step has ended has no line.
#[derive(Debug, Default)]
struct ByState([Option<IntCounter>; State::ALL.len()]);

/// Meters by a label of which there may be many: those beyond the limit share the meters of [`OTHER`].
#[derive(Debug)]
struct ByLabel<M> {
    places: HashMap<String, usize>,
    meters: Vec<M>,
    most: usize,
}

#[derive(Debug)]
struct PlanMeters {
    plan: Arc<Outline>,
    runs: ByState,
    errors: ByLabel<IntCounter>,
    seconds: Histogram,
    overhead: Histogram,
    steps: Vec<StepMeters>,
}

#[derive(Debug)]
struct StepMeters {
    ended: ByState,
    seconds: Histogram,
    /// Of a step that calls no model: what was the matter with those that do is told by each of their attempts.
    retries: Option<IntCounter>,
}

#[derive(Debug)]
struct ModelMeters {
    tokens: [IntCounter; TOKENS.len()],
    cost: Counter,
    estimated: IntCounter,
    first_token: Histogram,
    first_for_client: Histogram,
}

impl RunMeters {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            upstreams: UpstreamMeters::new(Arc::clone(&metrics)),
            metrics,
            plans: Vec::new(),
            models: ByLabel::of_at_most(MOST_MODELS),
            errors: HashMap::new(),
        }
    }

    /// Counts what has happened to a run since this was called last, and need not wait for its end.
    pub(super) fn follow(&mut self, record: &mut RunRecord) {
        self.upstreams.follow(record);
    }

    /// Counts a run that has ended.
    pub(super) fn count(&mut self, record: &RunRecord, ending: &Ending) {
        self.count_plan(record, ending);
        self.count_model(record);
        self.count_error(record);
        self.count_fallback(record);
        self.upstreams.end(record);
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
        let known = |meters: &PlanMeters| Arc::ptr_eq(&meters.plan, &record.plan);
        let place = self.plans.iter().position(known).unwrap_or_else(|| {
            if self.plans.len() >= MOST_PLANS {
                self.plans.clear();
            }
            self.plans.push(PlanMeters::of(&record.plan, families));
            self.plans.len() - 1
        });
        self.plans[place].count(record, ending, families);
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
        let make = |model: &str| ModelMeters::of(model, families);
        let meters = self.models.get(model, make);
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
        if let Some(seconds) = record.measure(facts::FIRST_FOR_CLIENT) {
            meters.first_for_client.observe(seconds);
        }
    }

    fn count_error(&mut self, record: &RunRecord) {
        let steps = (0..).zip(&record.plan.steps);
        let failed = steps
            .filter_map(|(index, step)| record.failure_of_call(index, step.call.as_ref()?))
            .next();
        let Some(failed) = failed else { return };
        let stated = record.text(facts::ERROR_TYPE).map(|stated| &**stated);
        let kind = stated.unwrap_or_else(|| error_type(failed.state));
        // The settings name the upstreams: they are few.
        let upstream = record.text(facts::PROVIDER).map_or("", |name| &**name);
        let families = &self.metrics.families;
        let of_upstream = self
            .errors
            .entry(upstream.to_owned())
            .or_insert_with(|| ByLabel::of_at_most(MOST_ERROR_TYPES));
        let make = |kind: &str| {
            let labels = [kind, upstream];
            families.models.upstream_errors.with_label_values(&labels)
        };
        of_upstream.get(kind, make).inc();
    }
}

impl RunMeters {
    /// Counts a run that asked another model than the one that was named.
    fn count_fallback(&self, record: &RunRecord) {
        // The settings name those that may step in: they are few.
        if let Some(model) = record.text(facts::FALLBACK_MODEL) {
            let fallbacks = &self.metrics.families.models.fallbacks;
            fallbacks.with_label_values(&[&**model]).inc();
        }
    }
}

impl PlanMeters {
    fn of(plan: &Arc<Outline>, families: &Families) -> Self {
        let workflow = [&*plan.name];
        let steps = plan.steps.iter().map(|step| {
            let labels = [&*plan.name, step.name.as_str()];
            StepMeters {
                ended: ByState::default(),
                seconds: families.steps.seconds.with_label_values(&labels),
                retries: families.steps.expect_retries(&plan.name, step),
            }
        });
        Self {
            plan: Arc::clone(plan),
            runs: ByState::default(),
            errors: ByLabel::of_at_most(KINDS.len() + 1),
            seconds: families.runs.seconds.with_label_values(&workflow),
            overhead: families.runs.overhead_seconds.with_label_values(&workflow),
            steps: steps.collect(),
        }
    }

    fn count(&mut self, record: &RunRecord, ending: &Ending, families: &Families) {
        // A client that gets its answer from another run was told no error.
        if is_error(ending.state) && record.fact(facts::FALLBACK_BY).is_none() {
            self.count_error(record, families);
        }
        let workflow = &*self.plan.name;
        let runs = self.runs.get(ending.state, |state| {
            families.runs.ended.with_label_values(&[workflow, state])
        });
        runs.inc();
        let took = record.answered(ending).since(record.start.at);
        self.seconds.observe(took.as_secs_f64());
        if let Some(micros) = record.measure(facts::OVERHEAD_US) {
            self.overhead.observe(micros / 1e6);
        }
        let steps = self.plan.steps.iter().zip(&record.steps);
        for ((outline, step), meters) in steps.zip(&mut self.steps) {
            if let Some(retries) = meters.retries.as_ref().filter(|_| step.retries > 0) {
                retries.inc_by(u64::from(step.retries));
            }
            let Some(ended) = step.ended else { continue };
            let counter = meters.ended.get(step.state, |state| {
                let labels = [workflow, &outline.name, state];
                families.steps.ended.with_label_values(&labels)
            });
            counter.inc();
            if let Some(started) = step.started {
                let took = ended.since(started);
                meters.seconds.observe(took.as_secs_f64());
            }
        }
    }
}

impl PlanMeters {
    /// Counts what the client was told.
    fn count_error(&mut self, record: &RunRecord, families: &Families) {
        let told = record.text(facts::ERROR_TYPE).map(|told| &**told);
        let kind = told.filter(|told| KINDS.contains(told)).unwrap_or(OTHER);
        let make = |kind: &str| {
            let labels = [&*self.plan.name, kind];
            families.runs.errors.with_label_values(&labels)
        };
        self.errors.get(kind, make).inc();
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
            first_for_client: families
                .models
                .first_for_client_seconds
                .with_label_values(&[model]),
        }
    }
}

impl ByState {
    /// The counter of `state`, made of its name when there is none yet.
    fn get(&mut self, state: State, make: impl FnOnce(&str) -> IntCounter) -> &IntCounter {
        self.0[state as usize].get_or_insert_with(|| make(state.name()))
    }
}

impl<M> ByLabel<M> {
    fn of_at_most(most: usize) -> Self {
        Self {
            places: HashMap::new(),
            meters: Vec::new(),
            most,
        }
    }

    /// The meters of `label`, or those of [`OTHER`] when there are `most` already; made when there are none yet.
    fn get(&mut self, label: &str, make: impl FnOnce(&str) -> M) -> &M {
        let known = self.places.get(label).copied();
        let place = known.unwrap_or_else(|| {
            let is_own = self.places.len() < self.most && label.len() <= 128;
            let label = if is_own { label } else { OTHER };
            *self.places.entry(label.to_owned()).or_insert_with(|| {
                self.meters.push(make(label));
                self.meters.len() - 1
            })
        });
        &self.meters[place]
    }
}
