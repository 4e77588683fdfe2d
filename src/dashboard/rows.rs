//! Runs as rows of a table.

use std::time::Duration;

use askama::Template;

use super::filter::{Query, encode_pairs};
use super::format;
use super::page::part;
use super::state::StateView;
use crate::events::{RunId, Timestamp};
use crate::facts;
use crate::store::RunSummary;

#[derive(Template)]
#[template(path = "parts/rows.html")]
struct Rows {
    rows: Vec<Row>,
}

/// A run as a row.
struct Row {
    id: RunId,
    state: StateView,
    moving: bool,
    streaming: bool,
    chunks: String,
    retries: Option<String>,
    /// Its part where a fallback was asked.
    part: Option<Part>,
    workflow: String,
    started: String,
    exact: String,
    ago: String,
    clock: String,
    asked: String,
    used: Option<String>,
    provider: Option<String>,
    error: Option<String>,
    session: Option<Session>,
    agent: Option<String>,
    tokens_in: String,
    cached: Option<String>,
    tokens_out: String,
    thinking: Option<String>,
    cost: String,
    /// Why tokens and cost are no more than about right.
    estimated: Option<&'static str>,
    duration: String,
    micros: u128,
    /// How long its bar is, by the longest run of the list.
    bar: String,
    first_token: Option<String>,
    /// It is shown if it already is, but the filter does not ask for it.
    stray: bool,
}

/// That a run was replaced, or stands in for another: in a word, and in a sentence for who asks.
struct Part {
    word: &'static str,
    title: String,
}

struct Session {
    short: String,
    full: String,
    href: String,
}

/// The rows of a list, as table rows.
pub(super) fn rows(runs: &[RunSummary], query: &Query, now: Timestamp) -> String {
    let durations = runs.iter().map(|run| run.duration(now));
    let longest = durations.max().unwrap_or_default();
    let row = |run| Row::new(run, query, now, longest);
    let rows = runs.iter().map(row).collect();
    part(&Rows { rows })
}

impl Row {
    fn new(run: &RunSummary, query: &Query, now: Timestamp, longest: Duration) -> Self {
        let text = |fact| run.text(fact).map(str::to_owned);
        let asked = text(facts::MODEL_ASKED);
        let used = text(facts::MODEL_USED)
            .or_else(|| text(facts::MODEL_SENT))
            .filter(|used| Some(used) != asked.as_ref());
        let input = run.int(facts::INPUT_TOKENS);
        let cached = run.int(facts::CACHE_READ_TOKENS).filter(|read| *read > 0);
        let is_estimate = run.is(facts::USAGE_IS_ESTIMATE);
        let usage = |known: Option<String>| match known {
            Some(known) if is_estimate => format::about(&known),
            known => known.unwrap_or_else(unknown),
        };
        let tokens = |count: Option<i64>| usage(count.map(format::tokens));
        let duration = run.duration(now);
        Self {
            id: run.id,
            state: run.state.into(),
            moving: !run.state.is_final(),
            streaming: run.streaming,
            chunks: format::chunks(run.pieces),
            retries: run.int(facts::RETRIES).map(format::retries),
            part: Part::of(run),
            workflow: run.workflow.clone(),
            started: format::rfc3339(run.started),
            exact: format::exact(run.started),
            ago: format::ago(run.started, now),
            clock: format::clock(run.started),
            asked: asked.unwrap_or_else(unknown),
            used,
            provider: text(facts::PROVIDER_BEHIND),
            error: run.error.clone(),
            session: run.text(facts::SESSION).map(Session::new),
            agent: text(facts::AGENT),
            tokens_in: tokens(input),
            cached: cached.and_then(|read| format::share(read, input?)),
            tokens_out: tokens(run.int(facts::OUTPUT_TOKENS)),
            thinking: run
                .int(facts::REASONING_TOKENS)
                .filter(|thinking| *thinking > 0)
                .map(format::tokens),
            cost: usage(run.float(facts::COST_USD).map(format::money)),
            estimated: is_estimate.then_some(format::WHY_ESTIMATED),
            duration: format::duration(duration),
            micros: duration.as_micros(),
            bar: format::percent_attribute(bar(duration, longest)),
            first_token: run.first_token().map(format::duration),
            stray: !query.filter.admits(run, now),
        }
    }
}

impl Part {
    fn of(run: &RunSummary) -> Option<Self> {
        if let Some(next) = run.text(facts::FALLBACK_BY) {
            let retries = run.int(facts::RETRIES).map(format::retries);
            let after = retries.map_or_else(String::new, |retries| format!(", after {retries}"));
            return Some(Self {
                word: "replaced",
                title: format!("A fallback was asked instead{after}, in the run {next}"),
            });
        }
        let title = match (
            run.text(facts::FALLBACK_AFTER),
            run.text(facts::FALLBACK_MODEL),
        ) {
            (Some(before), _) => format!("It stands in for the run {before}"),
            (None, Some(model)) => {
                format!(
                    "{model} was asked instead of the model that was named, which could not be had of late"
                )
            }
            (None, None) => return None,
        };
        let word = "fallback";
        Some(Self { word, title })
    }
}

impl Session {
    fn new(id: &str) -> Self {
        let query = encode_pairs(&[("session", id.to_owned())]);
        Self {
            short: format::session(id),
            full: id.to_owned(),
            href: format!("/runs?{query}"),
        }
    }
}

/// How long a bar is: in proportion to the longest of the list, so that a slow run is seen at once.
fn bar(duration: Duration, longest: Duration) -> f64 {
    let longest = longest.as_secs_f64().max(1e-6);
    (duration.as_secs_f64() / longest).clamp(0.01, 1.0)
}

fn unknown() -> String {
    format::UNKNOWN.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_in_proportion_to_the_longest_and_always_seen() {
        let longest = Duration::from_secs(4);
        let lengths = [0, 1, 2, 4].map(|seconds| bar(Duration::from_secs(seconds), longest));
        assert_eq!(lengths, [0.01, 0.25, 0.5, 1.0]);
        assert_eq!(bar(Duration::ZERO, Duration::ZERO), 0.01);
    }
}
