//! What runs use: figures over time, and told apart by model, provider, session, client, key or workflow.
//!
//! | file | what |
//! | --- | --- |
//! | [`asked`] | what a URL asks for, and addresses that ask for more |
//! | [`json`] | the answer of the run API |
//!
//! It must not know how runs are listed.

pub(crate) mod asked;
pub(super) mod json;

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use self::asked::{Asked, GROUPINGS};
use super::filter::Range;
use super::over_time::{self, Axis, Column, Measure};
use super::page::{Failure, Shell, answer};
use super::state::{StateShare, StateView, in_order, shares};
use super::totals::TotalsView;
use super::{Dashboard, format};
use crate::events::Timestamp;
use crate::store::{Error, Totals, Usage};

/// How long somebody waits for their turn.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest name that is shown whole.
const LONGEST_NAME: usize = 80;

/// What the store says to what was asked.
struct Found {
    axis: Axis,
    slots: Vec<(Timestamp, Totals)>,
    all: Totals,
    /// Those that cost most first.
    groups: Vec<(Option<String>, Totals)>,
    left_out: usize,
}

#[derive(Template)]
#[template(path = "usage.html")]
struct Page {
    shell: Shell,
    by: &'static str,
    label: &'static str,
    tabs: Vec<Tab>,
    ranges: Vec<(Range, bool)>,
    is_all: bool,
    /// The time is one that the page offers.
    is_offered: bool,
    /// What the form carries on.
    hidden: Vec<(&'static str, String)>,
    /// What narrows the figures besides time, in words, and the address of all figures.
    narrowed: Vec<String>,
    wide: String,
    /// All runs that are counted here.
    runs: String,
    /// The time that is looked at, in words, how long a column is, and when this was so.
    time: String,
    column: &'static str,
    machine: String,
    clock: String,
    /// What stands at the ends of the drawings.
    ends: [String; 2],
    charts: Vec<Chart>,
    width: i64,
    groups: Vec<Group>,
    left_out: String,
}

struct Tab {
    label: &'static str,
    href: String,
    on: bool,
}

struct Chart {
    label: &'static str,
    figure: String,
    /// The class of a dot, and words.
    notes: Vec<(Option<String>, String)>,
    columns: Vec<(Column, String)>,
    /// How much the tallest column is.
    peak: String,
    is_first: bool,
}

/// A row of the table.
struct Group {
    name: String,
    /// The whole name, when only a part of it is shown.
    title: String,
    href: Option<String>,
    shares: Vec<StateShare>,
    figures: TotalsView,
    cost: String,
    why_estimated: Option<&'static str>,
    /// Its share of the cost, as an SVG attribute.
    bar: String,
}

/// `GET /usage`.
pub(super) async fn page(dashboard: web::Data<Dashboard>, request: HttpRequest) -> HttpResponse {
    answer(&dashboard, show(&dashboard, &request).await)
}

async fn show(dashboard: &Dashboard, request: &HttpRequest) -> Result<Page, Failure> {
    let asked = Asked::of(request)?;
    let found = find(dashboard, &asked).await?;
    Ok(view(dashboard, &asked, &found))
}

async fn find(dashboard: &Dashboard, asked: &Asked) -> Result<Found, Failure> {
    let turn = tokio::time::timeout(PATIENCE, dashboard.places.adders.acquire()).await;
    let Ok(Ok(_turn)) = turn else {
        return Err(Failure::Busy);
    };
    let store = &dashboard.store;
    let oldest = store.oldest().await?.unwrap_or(asked.now);
    let filter = &asked.query.filter;
    let since = filter.since.map_or(oldest, |since| since.max(oldest));
    let axis = Axis::between(since, asked.end());
    let usage = store.usage(asked.by(), axis.slot, filter).await;
    let Usage {
        all,
        mut groups,
        slots,
    } = usage.map_err(|error| match error {
        Error::TooSlow(limit) => Failure::TooMuch(limit),
        error => error.into(),
    })?;
    groups.sort_by(|(name, totals), (other_name, other)| {
        let dearer = other.cost_usd.total_cmp(&totals.cost_usd);
        let busier = other.runs().cmp(&totals.runs());
        dearer.then(busier).then_with(|| name.cmp(other_name))
    });
    let left_out = groups.len().saturating_sub(asked.most);
    groups.truncate(asked.most);
    Ok(Found {
        axis,
        slots,
        all,
        groups,
        left_out,
    })
}

fn view(dashboard: &Dashboard, asked: &Asked, found: &Found) -> Page {
    let narrowed = asked.narrowed();
    let tab = |grouping: asked::Grouping| Tab {
        label: grouping.label,
        href: asked.usage(&grouping, true),
        on: grouping.name == asked.grouping.name,
    };
    let groups = found.groups.iter();
    Page {
        shell: Shell::new(dashboard, "usage"),
        by: asked.grouping.name,
        label: asked.grouping.label,
        tabs: GROUPINGS.map(tab).into(),
        ranges: asked::ranges(asked),
        is_all: asked.is_all() && asked.query.filter.until.is_none(),
        is_offered: asked.query.filter.until.is_none()
            && (asked.query.range.is_some() || asked.is_all()),
        narrowed: narrowed
            .iter()
            .map(|(name, value)| asked::words(name, value))
            .collect(),
        wide: asked.usage(&asked.grouping, false),
        hidden: narrowed,
        runs: asked.runs(&[]),
        time: asked.time(),
        column: found.axis.slot_words(),
        machine: format::rfc3339(asked.now),
        clock: format::clock(asked.now),
        ends: ends(asked, &found.axis),
        charts: charts(asked, found),
        width: found.axis.width(),
        groups: groups.map(|group| row(asked, group, &found.all)).collect(),
        left_out: match found.left_out {
            0 => String::new(),
            more => format::thousands(i64::try_from(more).unwrap_or(i64::MAX)),
        },
    }
}

fn ends(asked: &Asked, axis: &Axis) -> [String; 2] {
    let first = axis.begin();
    let since = asked
        .query
        .filter
        .since
        .map_or(first, |since| since.max(first));
    let end = asked.end();
    let end = if end == asked.now {
        "now".to_owned()
    } else {
        format::ago(end, asked.now)
    };
    [format::ago(since, asked.now), end]
}

fn charts(asked: &Asked, found: &Found) -> Vec<Chart> {
    let all = TotalsView::new(&found.all);
    let [mut runs, cost] = [states(&found.all), estimates(&found.all)];
    runs.insert(0, (None, format!("{} success", all.success)));
    let duration = vec![
        (Some("amount".to_owned()), format!("p50 {}", all.p50)),
        (Some("amount-more".to_owned()), "p95".to_owned()),
    ];
    let tokens = found
        .all
        .input_tokens
        .saturating_add(found.all.output_tokens);
    let drawn = [
        ("Runs", Measure::Runs, None, all.runs, runs),
        (
            "Tokens",
            Measure::Tokens,
            Some("tokens"),
            format::tokens(tokens),
            kinds(&found.all),
        ),
        ("Cost", Measure::Cost, Some("cost"), all.cost, cost),
        (
            "Duration p95",
            Measure::Duration,
            Some("duration"),
            all.p95,
            duration,
        ),
    ];
    let is_empty = found.all.runs() == 0;
    let chart = |(label, measure, sort, figure, notes)| {
        let columns = over_time::columns(&found.axis, &found.slots, measure).into_iter();
        let linked = |column: Column| {
            let href = asked.runs_in([column.from, column.until], sort);
            (column, href)
        };
        Chart {
            label,
            figure,
            notes: if is_empty { Vec::new() } else { notes },
            columns: columns.map(linked).collect(),
            peak: over_time::peak(&found.slots, measure),
            is_first: measure == Measure::Runs,
        }
    };
    drawn.map(chart).into()
}

/// How runs ended, with the colours of their drawing.
fn states(all: &Totals) -> Vec<(Option<String>, String)> {
    let told = in_order(all).into_iter().map(|(state, runs)| {
        let StateView { label, class, .. } = state;
        let runs = format::thousands(i64::try_from(runs).unwrap_or(i64::MAX));
        (
            Some(format!("fill-{class}")),
            format!("{runs} {}", label.to_lowercase()),
        )
    });
    told.collect()
}

/// What tokens are, with the colours of their drawing.
fn kinds(all: &Totals) -> Vec<(Option<String>, String)> {
    let cached = all.cache_read_tokens.clamp(0, all.input_tokens.max(0));
    let kinds = [
        ("token-cache-read", cached, "cached"),
        (
            "token-fresh",
            all.input_tokens.saturating_sub(cached),
            "new",
        ),
        ("token-answer", all.output_tokens, "out"),
    ];
    let told = kinds.map(|(class, count, word)| {
        (
            Some(class.to_owned()),
            format!("{} {word}", format::tokens(count)),
        )
    });
    told.into()
}

fn estimates(all: &Totals) -> Vec<(Option<String>, String)> {
    let estimated = TotalsView::new(all).estimated;
    estimated.into_iter().map(|runs| (None, runs)).collect()
}

fn row(asked: &Asked, (name, totals): &(Option<String>, Totals), all: &Totals) -> Group {
    let figures = TotalsView::new(totals);
    let is_estimate = totals.estimated > 0 && totals.cost_usd > 0.0;
    Group {
        name: match name {
            Some(name) => format::ellipsis(name, LONGEST_NAME),
            None => asked.grouping.unnamed.to_owned(),
        },
        title: name
            .as_deref()
            .map_or_else(String::new, |name| format::ellipsis(name, 600)),
        href: name.as_deref().map(|name| asked.runs_of(name)),
        shares: shares(totals),
        cost: if is_estimate {
            format::about(&figures.cost)
        } else {
            figures.cost.clone()
        },
        why_estimated: is_estimate.then_some(format::WHY_ESTIMATED),
        figures,
        bar: format::percent_attribute(if all.cost_usd > 0.0 {
            totals.cost_usd / all.cost_usd
        } else {
            0.0
        }),
    }
}
