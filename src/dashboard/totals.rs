//! The figures over many runs that stand above the list: those of the last 24 hours, and those of a filter.
//!
//! It must not know how runs are listed.

use std::time::Duration;

use askama::Template;

use super::filter::{Query, encode_pairs, written_length};
use super::page::part;
use super::state::{StateShare, shares};
use super::{Dashboard, format, session, usage};
use crate::events::{State, Timestamp};
use crate::store::{self, Totals};

/// Figures in words.
#[derive(Template)]
#[template(path = "parts/totals.html")]
pub(super) struct TotalsView {
    pub(super) runs: String,
    pub(super) shares: Vec<StateShare>,
    pub(super) success: String,
    pub(super) failed: String,
    /// The runs that failed.
    pub(super) failures: Option<String>,
    /// How many a fallback replaced, and which.
    pub(super) replaced: Option<(String, String)>,
    pub(super) tokens_in: String,
    pub(super) cached: Option<String>,
    pub(super) tokens_out: String,
    pub(super) cost: String,
    /// How many runs brought estimates to tokens and cost.
    pub(super) estimated: Option<String>,
    pub(super) p50: String,
    pub(super) p95: String,
    /// The runs that took at least so long.
    pub(super) slow: Option<String>,
}

/// The figures of the last 24 hours.
pub(super) async fn of_the_day(
    dashboard: &Dashboard,
    now: Timestamp,
) -> Result<String, store::Error> {
    const DAY_MICROS: i64 = 86_400_000_000;
    let since = Timestamp(now.0.saturating_sub(DAY_MICROS));
    let totals = dashboard.store.totals(since).await?;
    Ok(part(&TotalsView::new(&totals)))
}

impl TotalsView {
    pub(super) fn new(totals: &Totals) -> Self {
        let count = |wanted: fn(State) -> bool| -> u64 {
            let states = totals.by_state.iter().filter(|(state, _)| wanted(*state));
            states.map(|(_, count)| count).sum()
        };
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let good = count(|state| matches!(state, State::Completed | State::Cached));
        let failed = count(is_failure);
        let slow = totals.duration_p50_p95.map(|(_, p95)| slow(p95));
        let (p50, p95) = totals.duration_p50_p95.map_or_else(
            || (unknown(), unknown()),
            |(p50, p95)| (format::duration(p50), format::duration(p95)),
        );
        Self {
            runs: format::thousands(signed(totals.runs())),
            shares: shares(totals),
            success: format::share(signed(good), signed(good + failed)).unwrap_or_else(unknown),
            failed: match failed {
                0 => "none failed".to_owned(),
                failed => format!("{} failed", format::thousands(signed(failed))),
            },
            failures: (failed > 0).then(|| failures(totals.replaced > 0)),
            replaced: (totals.replaced > 0).then(|| {
                let said = format!("{} replaced", format::thousands(signed(totals.replaced)));
                (said, REPLACED.to_owned())
            }),
            tokens_in: format::tokens(totals.input_tokens),
            cached: format::share(totals.cache_read_tokens, totals.input_tokens),
            tokens_out: format::tokens(totals.output_tokens),
            cost: format::money(totals.cost_usd),
            estimated: (totals.estimated > 0)
                .then(|| format!("{} estimated", format::thousands(signed(totals.estimated)))),
            p50,
            p95,
            slow,
        }
    }
}

/// The address of the runs of the last 24 hours that a fallback replaced.
const REPLACED: &str = "/runs?range=24h&replaced=yes";

fn unknown() -> String {
    format::UNKNOWN.to_owned()
}

/// The address of the runs of the last 24 hours that took at least so long.
fn slow(least: Duration) -> String {
    let query = encode_pairs(&[
        ("range", "24h".to_owned()),
        ("min_duration", written_length(least)),
    ]);
    format!("/runs?{query}")
}

/// The address of the runs of the last 24 hours that failed, but for those that were replaced.
fn failures(some_are_replaced: bool) -> String {
    let mut query = vec![("range", "24h".to_owned())];
    let failed = State::ALL.into_iter().filter(|state| is_failure(*state));
    query.extend(failed.map(|state| ("state", state.name().to_owned())));
    if some_are_replaced {
        query.push(("replaced", "no".to_owned()));
    }
    format!("/runs?{}", encode_pairs(&query))
}

/// A client that hung up is neither a success nor a failure.
fn is_failure(state: State) -> bool {
    matches!(state, State::Failed | State::TimedOut | State::Crashed)
}

/// More runs than these are not added up while somebody waits.
const MOST_ADDED_UP: u32 = 5_000;

/// What the runs cost together that a filter lets through, in a line, and the turns of the session that it names;
/// nothing when it lets all through.
pub(super) async fn of_matches(
    dashboard: &Dashboard,
    query: &Query,
) -> Result<Option<String>, store::Error> {
    if !query.narrows() {
        return Ok(None);
    }
    let found = dashboard.store.totals_of(&query.filter, MOST_ADDED_UP);
    let totals = found.await?;
    let line = match &totals {
        Some(totals) => matched_line(totals),
        None => {
            let most = format::thousands(MOST_ADDED_UP.into());
            format!("More than {most} runs match: too many to add up here")
        }
    };
    let usage = match totals {
        Some(_) if !line.is_empty() => {
            let mut pairs = query.pairs();
            if query.filter.since.is_none() && query.filter.until.is_none() {
                pairs.push(("range", usage::asked::ALL.to_owned()));
            }
            let href = encode_pairs(&pairs).replace('&', "&amp;");
            format!(" · <a href=\"/usage?{href}\">Usage</a>")
        }
        _ => String::new(),
    };
    let turns = match query.filter.session {
        Some(_) => {
            let page = dashboard.store.runs(&query.filter, None, session::TURNS);
            session::chart(&page.await?.runs)
        }
        None => String::new(),
    };
    Ok(Some(format!(
        "<div class=\"matched\" id=\"matched\"><p role=\"status\">{line}{usage}</p>{turns}</div>"
    )))
}

fn matched_line(totals: &Totals) -> String {
    let TotalsView {
        cost,
        failed,
        replaced,
        estimated,
        ..
    } = TotalsView::new(totals);
    let estimated = estimated.map_or_else(String::new, |runs| format!(" ({runs})"));
    // Nothing may be free, or what nobody told.
    let cost = if totals.cost_usd > 0.0 {
        format!("{cost}{estimated} · ")
    } else {
        String::new()
    };
    let replaced = replaced.map_or_else(String::new, |(runs, _)| format!(" · {runs}"));
    let runs = match totals.runs() {
        0 => return String::new(),
        1 => "This run".to_owned(),
        runs => {
            let runs = format::thousands(i64::try_from(runs).unwrap_or(i64::MAX));
            format!("These {runs} runs")
        }
    };
    let duration = format::duration(totals.duration);
    format!("{runs}: {cost}{duration} in all · {failed}{replaced}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_filter_lets_through_is_added_up_in_a_line() {
        let totals = |failed, completed| Totals {
            by_state: vec![(State::Failed, failed), (State::Completed, completed)],
            cost_usd: 0.011,
            duration: Duration::from_secs(23),
            ..Totals::default()
        };
        assert_eq!(
            matched_line(&totals(1, 8)),
            "These 9 runs: $0.0110 · 23.0 s in all · 1 failed"
        );
        assert_eq!(
            matched_line(&totals(0, 1)),
            "This run: $0.0110 · 23.0 s in all · none failed"
        );
        assert_eq!(matched_line(&totals(0, 0)), "");
        let unknown = Totals {
            cost_usd: 0.0,
            ..totals(1, 0)
        };
        assert_eq!(matched_line(&unknown), "This run: 23.0 s in all · 1 failed");
        let estimated = Totals {
            estimated: 2,
            ..totals(2, 7)
        };
        assert_eq!(
            matched_line(&estimated),
            "These 9 runs: $0.0110 (2 estimated) · 23.0 s in all · 2 failed"
        );
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
        assert_eq!(
            (view.success.as_str(), view.failed.as_str()),
            ("90 %", "1 failed")
        );
        assert_eq!((view.runs.as_str(), view.replaced), ("100", None));
    }

    #[test]
    fn what_a_fallback_replaced_is_a_run_and_no_failure() {
        let totals = Totals {
            by_state: vec![(State::Completed, 9), (State::Failed, 1)],
            replaced: 2,
            ..Totals::default()
        };
        let view = TotalsView::new(&totals);
        assert_eq!(
            (
                view.runs.as_str(),
                view.success.as_str(),
                view.failed.as_str()
            ),
            ("12", "90 %", "1 failed")
        );
        assert!(
            view.failures
                .unwrap()
                .ends_with("&state=Crashed&replaced=no")
        );
        let (said, href) = view.replaced.unwrap();
        assert_eq!((said.as_str(), href.as_str()), ("2 replaced", REPLACED));
        assert_eq!(
            matched_line(&totals),
            "These 12 runs: 0 µs in all · 1 failed · 2 replaced"
        );
    }
}
