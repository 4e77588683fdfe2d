//! The figures of all runs for Prometheus: their names, what they mean, and the text that `/metrics` gives.
//!
//! Labels come from workflow files, from states and from a bounded number of models and error kinds, never from a
//! request as it is, so that no client can fill the memory of a Prometheus server.
//! This file must not know how a run is read.

use prometheus::core::Collector;
use prometheus::{
    CounterVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder, exponential_buckets,
};

use super::attempts::{USUAL_CAUSES, USUAL_ENDS};
use super::blame::KINDS;
use super::outline::StepOutline;
use super::probe::Probe;
use super::process;
use crate::events::State;

/// The `Content-Type` of [`Metrics::render`]'s text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// The label of all that have none of their own.
pub(super) const OTHER: &str = "other";

/// How runs end.
const ENDS: [State; 5] = [
    State::Completed,
    State::Failed,
    State::TimedOut,
    State::Cancelled,
    State::Crashed,
];

/// All figures. Written by one [`RunObserver`](super::RunObserver), read by anybody.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub(super) families: Families,
}

/// A probe that Prometheus cannot take: its name is not valid or taken already.
#[derive(Debug, thiserror::Error)]
#[error("the metric `{name}` cannot be shown: {source}")]
pub struct Error {
    /// Its name.
    pub name: &'static str,
    /// What Prometheus says.
    pub source: prometheus::Error,
}

#[derive(Debug)]
pub(super) struct Families {
    pub(super) runs: RunFamilies,
    pub(super) steps: StepFamilies,
    pub(super) models: ModelFamilies,
    pub(super) upstreams: UpstreamFamilies,
}

#[derive(Debug)]
pub(super) struct RunFamilies {
    pub(super) ended: IntCounterVec,
    pub(super) errors: IntCounterVec,
    pub(super) in_flight: IntGauge,
    pub(super) unmeasured: IntCounter,
    pub(super) seconds: HistogramVec,
    pub(super) overhead_seconds: HistogramVec,
}

#[derive(Debug)]
pub(super) struct StepFamilies {
    pub(super) ended: IntCounterVec,
    pub(super) seconds: HistogramVec,
    pub(super) retries: IntCounterVec,
}

#[derive(Debug)]
pub(super) struct ModelFamilies {
    pub(super) first_token_seconds: HistogramVec,
    pub(super) first_for_client_seconds: HistogramVec,
    pub(super) tokens: IntCounterVec,
    pub(super) cost_usd: CounterVec,
    pub(super) estimated: IntCounterVec,
    pub(super) upstream_errors: IntCounterVec,
    pub(super) fallbacks: IntCounterVec,
}

#[derive(Debug)]
pub(super) struct UpstreamFamilies {
    pub(super) requests: IntCounterVec,
    pub(super) headers_seconds: HistogramVec,
    pub(super) in_flight: IntGaugeVec,
}

impl Metrics {
    /// Prepares all figures; those of `probes` are read from whoever keeps them.
    ///
    /// # Errors
    /// When a probe's name is not valid or taken.
    pub fn new(probes: Vec<Probe>) -> Result<Self, Error> {
        let registry = Registry::new();
        let families = Families::register(&registry);
        for probe in process::probes().into_iter().chain(probes) {
            let name = probe.name;
            probe
                .into_collector()
                .and_then(|collector| registry.register(Box::new(collector)))
                .map_err(|source| Error { name, source })?;
        }
        Ok(Self { registry, families })
    }

    /// Shows that no run of `workflow` has ended yet, unless some have: what has no line before its first occurrence does not
    /// increase by it.
    pub fn expect(&self, workflow: &str) {
        self.families.runs.expect(workflow);
    }

    /// The same for what is asked of an upstream.
    pub fn expect_upstream(&self, upstream: &str) {
        self.families.upstreams.expect(upstream);
    }

    /// The same for how often a model stepped in.
    pub fn expect_fallback(&self, model: &str) {
        self.families.models.fallbacks.with_label_values(&[model]);
    }

    /// Everything in Prometheus' text format, sorted by name.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::with_capacity(16 * 1024);
        let written = TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text);
        if let Err(error) = written {
            tracing::error!(%error, "the metrics could not be written");
        }
        text
    }
}

impl Families {
    fn register(registry: &Registry) -> Self {
        let build = Opts::new(
            "dagway_build_info",
            "Always 1; the label tells which Dagway this is.",
        );
        let build = register(registry, IntGaugeVec::new(build, &["version"]));
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Self {
            runs: RunFamilies::register(registry),
            steps: StepFamilies::register(registry),
            models: ModelFamilies::register(registry),
            upstreams: UpstreamFamilies::register(registry),
        }
    }
}

impl RunFamilies {
    fn register(registry: &Registry) -> Self {
        Self {
            ended: counters(
                registry,
                "dagway_runs_total",
                "Runs that have ended, by the state they ended in. Cancelled are those whose client hung up.",
                &["workflow", "state"],
            ),
            errors: counters(
                registry,
                "dagway_run_errors_total",
                "Runs that failed, by the kind of the error that the client was told. invalid_request_error, \
                 not_found_error and request_too_large are the client's own.",
                &["workflow", "type"],
            ),
            in_flight: register(
                registry,
                IntGauge::new(
                    "dagway_runs_in_flight",
                    "Runs under way, those whose answer is still streaming included.",
                ),
            ),
            unmeasured: register(
                registry,
                IntCounter::new(
                    "dagway_runs_unmeasured_total",
                    "Runs that the other figures leave out, because too many were under way when they began.",
                ),
            ),
            seconds: histograms(
                registry,
                "dagway_run_duration_seconds",
                "Time from the acceptance of a request to the last byte of its answer; of a run without a reply, to its end.",
                &["workflow"],
                buckets(0.01, 2.0, 17),
            ),
            overhead_seconds: histograms(
                registry,
                "dagway_overhead_seconds",
                "Time that Dagway itself spent on a request before the reply.",
                &["workflow"],
                OVERHEAD_BUCKETS.to_vec(),
            ),
        }
    }
}

impl RunFamilies {
    /// Makes a line for each way in which a run of `workflow` may end.
    pub(super) fn expect(&self, workflow: &str) {
        for state in ENDS {
            self.ended.with_label_values(&[workflow, state.name()]);
        }
        for kind in KINDS.into_iter().chain([OTHER]) {
            self.errors.with_label_values(&[workflow, kind]);
        }
    }
}

impl StepFamilies {
    fn register(registry: &Registry) -> Self {
        Self {
            ended: counters(
                registry,
                "dagway_steps_total",
                "Step runs that have ended, by the state they ended in. Skipped are those whose needs failed.",
                &["workflow", "step", "state"],
            ),
            seconds: histograms(
                registry,
                "dagway_step_duration_seconds",
                "Time from a step's first attempt to its end, pauses between attempts included.",
                &["workflow", "step"],
                buckets(0.000_01, 4.0, 13),
            ),
            retries: counters(
                registry,
                "dagway_step_retries_total",
                "Attempts of steps that failed and were made again, by the cause: of those that call a model one of the codes \
                 of dagway_upstream_requests_total, of others `other`.",
                &["workflow", "step", "cause"],
            ),
        }
    }

    /// Makes a line for each usual cause of another attempt. The counter is that of a step that calls no model.
    pub(super) fn expect_retries(&self, workflow: &str, step: &StepOutline) -> Option<IntCounter> {
        let line = |cause: &str| {
            let labels = [workflow, &*step.name, cause];
            self.retries.with_label_values(&labels)
        };
        if step.call.is_none() {
            return Some(line(OTHER));
        }
        for cause in USUAL_CAUSES {
            line(&cause.to_string());
        }
        None
    }
}

impl ModelFamilies {
    fn register(registry: &Registry) -> Self {
        Self {
            first_token_seconds: histograms(
                registry,
                "dagway_first_token_seconds",
                "Time from the sending of the upstream request to the first piece of its answer; of the last attempt alone.",
                &["model"],
                buckets(0.01, 2.0, 14),
            ),
            first_for_client_seconds: histograms(
                registry,
                "dagway_client_first_token_seconds",
                "Time from the acceptance of a request to the first of the answer's content that is there for the client, \
                 attempts and the pauses between them included; of an answer that is not streamed, to its arrival.",
                &["model"],
                buckets(0.01, 2.0, 14),
            ),
            tokens: counters(
                registry,
                "dagway_tokens_total",
                "Tokens by kind. `input` counts all of the input, so it includes `cache_read` and `cache_write`; `output` \
                 includes `reasoning`. Estimates are counted too: dagway_estimated_runs_total.",
                &["model", "kind"],
            ),
            cost_usd: register(
                registry,
                CounterVec::new(
                    Opts::new(
                        "dagway_cost_usd_total",
                        "What the answers cost, in US dollars, as the upstream or the price list says.",
                    ),
                    &["model"],
                ),
            ),
            estimated: counters(
                registry,
                "dagway_estimated_runs_total",
                "Runs whose tokens and cost are estimates, because the upstream did not tell them.",
                &["model"],
            ),
            upstream_errors: counters(
                registry,
                "dagway_upstream_errors_total",
                "Runs whose call of the model failed for good, at once or in mid-stream, by the kind of the error \
                 and the upstream. What a retry has cured is in dagway_step_retries_total.",
                &["type", "upstream"],
            ),
            fallbacks: counters(
                registry,
                "dagway_fallbacks_total",
                "Runs that asked this model instead of the one that the request names, which could not be had.",
                &["model"],
            ),
        }
    }
}

impl UpstreamFamilies {
    fn register(registry: &Registry) -> Self {
        Self {
            requests: counters(
                registry,
                "dagway_upstream_requests_total",
                "Attempts to call a model that have ended or whose answer has begun, by the upstream and how that went: the \
                 HTTP status, or a word where none tells. unreachable: there was no connection; cut: it broke before the \
                 answer began, or before it was whole if it is not streamed; empty_answer, unusable_answer: what came under \
                 a good status was nothing, an error, or no answer; timeout: the step's time was up; cancelled: the client \
                 hung up first; too_many_open_files: Dagway could open no connection.",
                &["upstream", "code"],
            ),
            headers_seconds: histograms(
                registry,
                "dagway_upstream_headers_seconds",
                "Time from the beginning of an attempt, before there is a connection, to the headers of the upstream's \
                 answer, refusals included. What got no headers is left out.",
                &["upstream"],
                buckets(0.01, 2.0, 14),
            ),
            in_flight: register(
                registry,
                IntGaugeVec::new(
                    Opts::new(
                        "dagway_upstream_runs_in_flight",
                        "Runs under way that an upstream has to serve: from the first attempt to the end of the answer, pauses \
                         between attempts included.",
                    ),
                    &["upstream"],
                ),
            ),
        }
    }

    /// Makes a line for each usual way in which an attempt ends.
    fn expect(&self, upstream: &str) {
        for code in USUAL_ENDS.into_iter().chain(USUAL_CAUSES) {
            let labels = [upstream, &code.to_string()];
            self.requests.with_label_values(&labels);
        }
        self.headers_seconds.with_label_values(&[upstream]);
        self.in_flight.with_label_values(&[upstream]);
    }
}

/// From 25 µs to a quarter of a second, dense where the overhead of a healthy gateway lies.
const OVERHEAD_BUCKETS: [f64; 14] = [
    0.000_025, 0.000_05, 0.000_075, 0.000_1, 0.000_15, 0.000_2, 0.000_3, 0.000_5, 0.001, 0.002_5,
    0.01, 0.025, 0.1, 0.25,
];

/// Powers, as the GenAI conventions count seconds: .01, .02, .04 …
fn buckets(first: f64, factor: f64, count: usize) -> Vec<f64> {
    exponential_buckets(first, factor, count)
        .expect("the first bucket is positive and the factor above 1")
}

fn counters(
    registry: &Registry,
    name: &'static str,
    help: &'static str,
    labels: &[&str],
) -> IntCounterVec {
    register(registry, IntCounterVec::new(Opts::new(name, help), labels))
}

fn histograms(
    registry: &Registry,
    name: &'static str,
    help: &'static str,
    labels: &[&str],
    buckets: Vec<f64>,
) -> HistogramVec {
    let options = HistogramOpts::new(name, help).buckets(buckets);
    register(registry, HistogramVec::new(options, labels))
}

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    family: prometheus::Result<C>,
) -> C {
    let family = family.expect("the names of families and labels in this file are valid");
    registry
        .register(Box::new(family.clone()))
        .expect("every name in this file occurs once, in a new registry");
    family
}
