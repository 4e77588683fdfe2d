//! The list of runs: totals, filter, rows, paging.
//!
//! It must not know how one run is shown whole.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::filter::{Query, RANGES, Range};
use super::page::{Failure, Shell, answer, part, query_pairs};
use super::state::{StateShare, StateView, shares};
use super::{Dashboard, format};
use crate::events::{RunId, State, Timestamp};
use crate::facts;
use crate::store::{self, RunPage, RunSummary, Totals};

/// States that runs are often filtered by; any other that is asked for is shown beside them.
const CHIPS: [State; 6] = [
    State::Running,
    State::Completed,
    State::Failed,
    State::TimedOut,
    State::Cancelled,
    State::Crashed,
];

#[derive(Template)]
#[template(path = "runs.html")]
struct Page {
    shell: Shell,
    totals: String,
    filter: FilterView,
    rows: String,
    is_empty: bool,
    narrowed: bool,
    /// This is not the first page.
    paged: bool,
    older: Option<String>,
    /// The first page of the same filter.
    newest: String,
    live: String,
}

/// What the filter bar shows.
struct FilterView {
    chips: Vec<Chip>,
    workflows: Vec<(String, bool)>,
    workflow_chosen: bool,
    model: String,
    session: String,
    search: String,
    ranges: Vec<(Range, bool)>,
    /// Moments that came by the URL and that the form only carries on.
    since: Option<String>,
    until: Option<String>,
    limit: Option<u16>,
}

struct Chip {
    state: StateView,
    value: &'static str,
    on: bool,
}

/// `GET /` and `GET /runs`.
pub(super) async fn page(dashboard: web::Data<Dashboard>, request: HttpRequest) -> HttpResponse {
    answer(&dashboard, show(&dashboard, &request).await)
}

async fn show(dashboard: &Dashboard, request: &HttpRequest) -> Result<Page, Failure> {
    let now = Timestamp::now();
    let query = Query::parse(&query_pairs(request)?, now).map_err(Failure::Bad)?;
    let found = dashboard
        .store
        .runs(&query.filter, query.after, query.limit)
        .await?;
    let totals = totals(dashboard, now).await?;
    Ok(view(dashboard, &query, &found, totals, now))
}

fn view(
    dashboard: &Dashboard,
    query: &Query,
    found: &RunPage,
    totals: String,
    now: Timestamp,
) -> Page {
    let newest = match query.encode() {
        text if text.is_empty() => "/runs".to_owned(),
        text => format!("/runs?{text}"),
    };
    let live_query = match query.after {
        Some(after) => query.encode_after(after),
        None => query.encode(),
    };
    Page {
        shell: Shell::new(dashboard, "runs"),
        totals,
        filter: FilterView::new(dashboard, query),
        rows: rows(&found.runs, query, now),
        is_empty: found.runs.is_empty(),
        narrowed: query.narrows(),
        paged: query.after.is_some(),
        older: found
            .next
            .map(|next| format!("/runs?{}", query.encode_after(next))),
        newest,
        live: format!("/live/runs?{live_query}"),
    }
}

impl FilterView {
    fn new(dashboard: &Dashboard, query: &Query) -> Self {
        let filter = &query.filter;
        let unusual = filter.states.iter().filter(|state| !CHIPS.contains(state));
        let chips = CHIPS
            .iter()
            .chain(unusual)
            .map(|state| Chip {
                state: (*state).into(),
                value: state.name(),
                on: filter.states.contains(state),
            })
            .collect();
        let mut names: Vec<String> = (dashboard.plans)()
            .iter()
            .map(|plan| plan.name.clone())
            .chain(filter.workflow.clone())
            .collect();
        names.sort_unstable();
        names.dedup();
        let is_chosen = |name: &String| filter.workflow.as_ref() == Some(name);
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        Self {
            chips,
            workflows: names
                .into_iter()
                .map(|name| (name.clone(), is_chosen(&name)))
                .collect(),
            workflow_chosen: filter.workflow.is_some(),
            model: text(&filter.model),
            session: text(&filter.session),
            search: text(&filter.search),
            ranges: RANGES
                .into_iter()
                .map(|range| (range, query.range == Some(range)))
                .collect(),
            since: filter
                .since
                .filter(|_| query.range.is_none())
                .map(format::rfc3339),
            until: filter.until.map(format::rfc3339),
            limit: (query.limit != super::filter::PAGE).then_some(query.limit),
        }
    }
}

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
    bar: String,
    first_token: Option<String>,
    /// It is shown if it already is, but the filter does not ask for it.
    stray: bool,
}

struct Session {
    short: String,
    full: String,
    href: String,
}

/// The rows of a list, as table rows.
pub(super) fn rows(runs: &[RunSummary], query: &Query, now: Timestamp) -> String {
    let rows = runs.iter().map(|run| Row::new(run, query, now)).collect();
    part(&Rows { rows })
}

impl Row {
    fn new(run: &RunSummary, query: &Query, now: Timestamp) -> Self {
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
            chunks: format::thousands(i64::try_from(run.pieces).unwrap_or(i64::MAX)),
            workflow: run.workflow.clone(),
            started: format::rfc3339(run.started),
            exact: format::exact(run.started),
            ago: format::ago(run.started, now),
            clock: format::clock(run.started),
            asked: asked.unwrap_or_else(|| run.workflow.clone()),
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
            bar: format::percent_attribute(bar(duration)),
            first_token: run
                .float(facts::FIRST_TOKEN)
                .and_then(|seconds| std::time::Duration::try_from_secs_f64(seconds).ok())
                .map(format::duration),
            stray: !query.matches(run),
        }
    }
}

impl Session {
    fn new(id: &str) -> Self {
        let query = super::filter::encode_pairs(&[("session", id.to_owned())]);
        Self {
            short: format::short(id, 8),
            full: id.to_owned(),
            href: format!("/runs?{query}"),
        }
    }
}

/// How long a bar is: logarithmic from 10 ms to 5 minutes, so that it does not depend on the other rows.
fn bar(duration: std::time::Duration) -> f64 {
    const SHORTEST: f64 = 0.01;
    const LONGEST: f64 = 300.0;
    let length = (duration.as_secs_f64() / SHORTEST).ln_1p() / (LONGEST / SHORTEST).ln_1p();
    length.clamp(0.01, 1.0)
}

fn unknown() -> String {
    format::UNKNOWN.to_owned()
}

#[derive(Template)]
#[template(path = "parts/totals.html")]
struct TotalsView {
    runs: String,
    shares: Vec<StateShare>,
    success: String,
    failed: u64,
    tokens_in: String,
    cached: Option<String>,
    tokens_out: String,
    cost: String,
    p50: String,
    p95: String,
}

/// The figures of the last 24 hours.
pub(super) async fn totals(dashboard: &Dashboard, now: Timestamp) -> Result<String, store::Error> {
    const DAY_MICROS: i64 = 86_400_000_000;
    let since = Timestamp(now.0.saturating_sub(DAY_MICROS));
    let totals = dashboard.store.totals(since).await?;
    Ok(part(&TotalsView::new(&totals)))
}

impl TotalsView {
    fn new(totals: &Totals) -> Self {
        let count = |wanted: fn(State) -> bool| -> u64 {
            let states = totals.by_state.iter().filter(|(state, _)| wanted(*state));
            states.map(|(_, count)| count).sum()
        };
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let good = count(|state| matches!(state, State::Completed | State::Cached));
        // A client that hung up is neither a success nor a failure.
        let failed =
            count(|state| matches!(state, State::Failed | State::TimedOut | State::Crashed));
        let (p50, p95) = totals.duration_p50_p95.map_or_else(
            || (unknown(), unknown()),
            |(p50, p95)| (format::duration(p50), format::duration(p95)),
        );
        Self {
            runs: format::thousands(signed(count(|_| true))),
            shares: shares(&totals.by_state),
            success: format::share(signed(good), signed(good + failed)).unwrap_or_else(unknown),
            failed,
            tokens_in: format::tokens(totals.input_tokens),
            cached: format::share(totals.cache_read_tokens, totals.input_tokens),
            tokens_out: format::tokens(totals.output_tokens),
            cost: format::money(totals.cost_usd),
            p50,
            p95,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn bars_grow_with_the_duration_and_end_at_the_edge() {
        let lengths: Vec<f64> = [0, 10_000, 400_000, 3_000_000, 300_000_000, 900_000_000]
            .map(|micros| bar(Duration::from_micros(micros)))
            .into();
        assert!(lengths.is_sorted(), "{lengths:?}");
        assert_eq!(lengths.last(), Some(&1.0));
    }

    #[test]
    fn a_client_that_hung_up_is_no_failure() {
        let totals = Totals {
            by_state: vec![
                (State::Completed, 9),
                (State::Failed, 1),
                (State::Cancelled, 90),
            ],
            ..Totals::default()
        };
        let view = TotalsView::new(&totals);
        assert_eq!((view.success.as_str(), view.failed), ("90 %", 1));
        assert_eq!(view.runs, "100");
    }
}
