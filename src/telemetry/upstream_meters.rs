//! Counts the attempts to call a model by upstream, as soon as each has ended, and the runs that an upstream has to serve.
//!
//! This file must not know how an attempt is read from events.

use std::collections::HashMap;
use std::sync::Arc;

use prometheus::{Histogram, IntCounter, IntGauge};

use super::attempts::{Attempt, Code};
use super::metrics::{Families, Metrics};
use super::record::RunRecord;
use crate::facts;

/// Codes of an upstream that are told apart: an upstream may make statuses up.
const MOST_CODES: usize = 40;

/// The meters of all upstreams. The settings name them: they are few.
#[derive(Debug)]
pub(super) struct UpstreamMeters {
    metrics: Arc<Metrics>,
    upstreams: HashMap<Arc<str>, OneUpstream>,
}

#[derive(Debug)]
struct OneUpstream {
    codes: Vec<(Code, IntCounter)>,
    headers: Histogram,
    in_flight: IntGauge,
}

impl UpstreamMeters {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            upstreams: HashMap::new(),
        }
    }

    /// Counts what has happened to a run since this was called last.
    pub(super) fn follow(&mut self, record: &mut RunRecord) {
        if record.attempts.are_there() {
            self.count_attempts(record);
        }
        if record.is_in_flight && !record.has_open_call() {
            self.end(record);
            record.is_in_flight = false;
        }
    }

    fn count_attempts(&mut self, record: &mut RunRecord) {
        let Some(upstream) = record.text(facts::PROVIDER).map(Arc::clone) else {
            return;
        };
        let families = &self.metrics.families;
        let meters = match self.upstreams.get_mut(&upstream) {
            Some(known) => known,
            None => self
                .upstreams
                .entry(Arc::clone(&upstream))
                .or_insert_with(|| OneUpstream::of(&upstream, families)),
        };
        if !record.is_in_flight {
            record.is_in_flight = true;
            meters.in_flight.inc();
        }
        for attempt in record.attempts.take_ended() {
            meters.count(&upstream, &attempt, families);
            if attempt.is_made_again
                && let Some(step) = record.plan.steps.get(usize::from(attempt.step))
            {
                // Seldom enough to be looked up by its labels.
                let cause = attempt.code().to_string();
                let labels = [&*record.plan.name, &step.name, &cause];
                families.steps.retries.with_label_values(&labels).inc();
            }
        }
    }

    /// Takes note of the end of a run.
    pub(super) fn end(&self, record: &RunRecord) {
        let upstream = record.text(facts::PROVIDER).filter(|_| record.is_in_flight);
        if let Some(meters) = upstream.and_then(|name| self.upstreams.get(name)) {
            meters.in_flight.dec();
        }
    }
}

impl OneUpstream {
    fn of(upstream: &str, families: &Families) -> Self {
        let families = &families.upstreams;
        let label = [upstream];
        Self {
            codes: Vec::new(),
            headers: families.headers_seconds.with_label_values(&label),
            in_flight: families.in_flight.with_label_values(&label),
        }
    }

    fn count(&mut self, upstream: &str, attempt: &Attempt, families: &Families) {
        if let Some(seconds) = attempt.headers {
            self.headers.observe(seconds);
        }
        let mut code = attempt.code();
        let is_known = |codes: &[(Code, IntCounter)], code| codes.iter().any(|(of, _)| *of == code);
        if !is_known(&self.codes, code) && self.codes.len() >= MOST_CODES {
            code = Code::OTHER;
        }
        let known = self.codes.iter().find(|(of, _)| *of == code);
        if let Some((_, counter)) = known {
            return counter.inc();
        }
        let labels = [upstream, &code.to_string()];
        let counter = families.upstreams.requests.with_label_values(&labels);
        counter.inc();
        self.codes.push((code, counter));
    }
}
