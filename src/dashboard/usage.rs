//! What runs use: figures over time, and told apart by model, provider, session, client or workflow.
//!
//! It must not know how runs are listed.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde_json::{Map, Value, json};

use super::filter::{Query, RANGES, Range, encode_pairs};
use super::over_time::{self, Axis, Column, Measure};
use super::page::{Failure, Shell, answer, query_pairs};
use super::state::{StateShare, shares};
use super::totals::{self, TotalsView};
use super::{Dashboard, format};
use crate::events::Timestamp;
use crate::store::{self, By, RunFilter, Totals};

/// More groups than these nobody reads; those that cost least are left out.
const MOST: usize = 100;
/// The time that is looked at when none is named.
const USUAL: &str = "24h";
/// What runs are told apart by: how it is written in URLs, how it is shown, and what a run without it is called.
const GROUPINGS: [(By, &str, &str, &str); 5] = [
    (By::Model, "model", "Model", "no model was reached"),
    (By::Provider, "provider", "Provider", "nobody was asked"),
    (By::Session, "session", "Session", "without a session"),
    (By::Client, "client", "Client", "did not say"),
    (By::Workflow, "workflow", "Workflow", "none"),
];

/// What a URL asks for.
struct Asked {
    by: By,
    query: Query,
}

/// What the store says to it.
struct Found {
    axis: Axis,
    over_time: Vec<(Timestamp, Totals)>,
    all: Totals,
    /// Those that cost most first.
    groups: Vec<(String, Totals)>,
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
    /// The time is one of those.
    ranged: bool,
    /// What the form carries on: all but what it sets itself.
    hidden: Vec<(&'static str, String)>,
    /// What narrows the figures besides time, in words.
    narrowed: Vec<String>,
    /// All runs that are counted here.
    runs: String,
    /// The time that is looked at, in words, and how long a column is.
    time: String,
    column: &'static str,
    /// What stands at the ends of the drawings.
    ends: [String; 2],
    charts: Vec<Chart>,
    width: i64,
    groups: Vec<Group>,
    left_out: usize,
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
    notes: Vec<(Option<&'static str>, String)>,
    columns: Vec<(Column, String)>,
    is_first: bool,
}

/// A row of the table.
struct Group {
    name: String,
    /// The whole name, when only a part of it is shown.
    title: String,
    is_named: bool,
    href: Option<String>,
    shares: Vec<StateShare>,
    figures: TotalsView,
    /// Its share of the cost, as an SVG attribute.
    bar: String,
}

/// `GET /usage`.
pub(super) async fn page(dashboard: web::Data<Dashboard>, request: HttpRequest) -> HttpResponse {
    answer(&dashboard, show(&dashboard, &request).await)
}

async fn show(dashboard: &Dashboard, request: &HttpRequest) -> Result<Page, Failure> {
    let now = Timestamp::now();
    let asked = Asked::of(request, now)?;
    let found = find(dashboard, &asked, now).await?;
    Ok(asked.view(dashboard, &found, now))
}

/// What `GET /api/usage` answers.
pub(super) async fn as_json(
    dashboard: &Dashboard,
    request: &HttpRequest,
) -> Result<Value, Failure> {
    let now = Timestamp::now();
    let asked = Asked::of(request, now)?;
    let found = find(dashboard, &asked, now).await?;
    let named = |(name, totals): &(String, Totals)| with_figures("name", name.clone(), totals);
    let slot =
        |(from, totals): &(Timestamp, Totals)| with_figures("from", format::rfc3339(*from), totals);
    let filter = &asked.query.filter;
    Ok(json!({
        "by": asked.written().1,
        "since": filter.since.map(format::rfc3339),
        "until": filter.until.map(format::rfc3339),
        "total": figures(&found.all),
        "groups": found.groups.iter().map(named).collect::<Vec<_>>(),
        "groups_left_out": found.left_out,
        "slot_ms": found.axis.slot.as_millis(),
        "slots": found.over_time.iter().map(slot).collect::<Vec<_>>(),
    }))
}

async fn find(dashboard: &Dashboard, asked: &Asked, now: Timestamp) -> Result<Found, store::Error> {
    let filter = &asked.query.filter;
    let axis = Axis::between(filter.since.unwrap_or(now), filter.until.unwrap_or(now));
    let store = &dashboard.store;
    let (over_time, all, groups) = tokio::try_join!(
        store.totals_over_time(axis.slot, filter),
        store.totals_of(filter, u32::MAX),
        store.totals_by(asked.by, filter),
    )?;
    let mut groups: Vec<(String, Totals)> = groups.into_iter().collect();
    groups.sort_by(|(name, totals), (other_name, other)| {
        let dearer = other.cost_usd.total_cmp(&totals.cost_usd);
        let busier = totals::runs(other).cmp(&totals::runs(totals));
        dearer.then(busier).then_with(|| name.cmp(other_name))
    });
    let left_out = groups.len().saturating_sub(MOST);
    groups.truncate(MOST);
    Ok(Found {
        axis,
        over_time,
        all: all.unwrap_or_default(),
        groups,
        left_out,
    })
}

fn with_figures(key: &str, value: String, totals: &Totals) -> Value {
    let mut told = Map::from_iter([(key.to_owned(), Value::from(value))]);
    told.extend(figures(totals));
    Value::Object(told)
}

/// Figures as the run API tells them.
fn figures(totals: &Totals) -> Map<String, Value> {
    let by_state = totals.by_state.iter();
    let by_state = by_state.map(|(state, runs)| (state.name().to_owned(), (*runs).into()));
    let millis = |duration: std::time::Duration| duration.as_secs_f64() * 1e3;
    let figures = json!({
        "runs": totals::runs(totals),
        "by_state": by_state.collect::<Map<_, Value>>(),
        "input_tokens": totals.input_tokens,
        "cache_read_tokens": totals.cache_read_tokens,
        "output_tokens": totals.output_tokens,
        "cost_usd": totals.cost_usd,
        "estimated": totals.estimated,
        "duration_ms": millis(totals.duration),
        "p50_ms": totals.duration_p50_p95.map(|(half, _)| millis(half)),
        "p95_ms": totals.duration_p50_p95.map(|(_, most)| millis(most)),
    });
    match figures {
        Value::Object(figures) => figures,
        _ => Map::new(),
    }
}

impl Asked {
    fn of(request: &HttpRequest, now: Timestamp) -> Result<Self, Failure> {
        Self::parse(query_pairs(request)?, now).map_err(Failure::Bad)
    }

    fn parse(pairs: Vec<(String, String)>, now: Timestamp) -> Result<Self, String> {
        let (by, mut pairs): (Vec<_>, Vec<_>) =
            pairs.into_iter().partition(|(name, _)| name == "by");
        let by = match by.last().map(|(_, value)| value.trim()) {
            None | Some("") => By::Model,
            Some(value) => grouping(value)?,
        };
        for name in ["sort", "limit", "after"] {
            if pairs
                .iter()
                .any(|(given, value)| given == name && !value.is_empty())
            {
                return Err(format!(
                    "{name}: lists of runs are put in order and paged, figures are not; leave it out"
                ));
            }
        }
        let is_time = |(name, value): &(String, String)| {
            matches!(name.as_str(), "range" | "since") && !value.trim().is_empty()
        };
        if !pairs.iter().any(is_time) {
            pairs.push(("range".to_owned(), USUAL.to_owned()));
        }
        let query = Query::parse(&pairs, now)?;
        Ok(Self { by, query })
    }

    fn written(&self) -> (By, &'static str, &'static str, &'static str) {
        let grouping = GROUPINGS.into_iter().find(|(by, ..)| *by == self.by);
        grouping.unwrap_or(GROUPINGS[0])
    }

    fn view(&self, dashboard: &Dashboard, found: &Found, now: Timestamp) -> Page {
        let (_, by, label, _) = self.written();
        let pairs = self.query.pairs();
        let besides_time =
            |(name, _): &&(&'static str, String)| !matches!(*name, "range" | "since" | "until");
        let narrowed = pairs.iter().filter(besides_time);
        let all = TotalsView::new(&found.all);
        Page {
            shell: Shell::new(dashboard, "usage"),
            by,
            label,
            tabs: self.tabs(),
            ranges: RANGES
                .into_iter()
                .map(|range| (range, self.query.range == Some(range)))
                .collect(),
            ranged: self.query.range.is_some(),
            hidden: pairs
                .iter()
                .filter(|(name, _)| *name != "range")
                .cloned()
                .collect(),
            narrowed: narrowed
                .map(|(name, value)| format!("{name} {}", format::ellipsis(value, 60)))
                .collect(),
            runs: self.runs(&[]),
            time: self.time(),
            column: found.axis.slot_words(),
            ends: self.ends(now),
            charts: self.charts(found, all),
            width: found.axis.width(),
            groups: found
                .groups
                .iter()
                .map(|group| self.group(group, &found.all))
                .collect(),
            left_out: found.left_out,
        }
    }

    /// The address of the runs that are counted here, and more exactly of those that `more` lets through.
    fn runs(&self, more: &[(&str, String)]) -> String {
        let replaced = |(name, _): &(&str, String)| {
            let is_time = |name: &str| matches!(name, "range" | "since");
            more.iter()
                .any(|(other, _)| other == name || is_time(other) && is_time(name))
        };
        let mut pairs: Vec<(&str, String)> = self.query.pairs();
        pairs.retain(|pair| !replaced(pair));
        pairs.extend(more.iter().cloned());
        format!("/runs?{}", encode_pairs(&pairs))
    }

    fn tabs(&self) -> Vec<Tab> {
        let tab = |(by, written, label, _): (By, &str, &'static str, _)| {
            let mut pairs = self.query.pairs();
            pairs.insert(0, ("by", written.to_owned()));
            Tab {
                label,
                href: format!("/usage?{}", encode_pairs(&pairs)),
                on: by == self.by,
            }
        };
        GROUPINGS.map(tab).into()
    }

    fn time(&self) -> String {
        let until = self.query.filter.until.map_or_else(String::new, |until| {
            format!(", until {}", format::date_and_minute(until))
        });
        match (self.query.range, self.query.filter.since) {
            (Some(range), _) => format!("{}{until}", range.label),
            (None, since) => {
                let since = since.map_or_else(String::new, format::date_and_minute);
                format!("Since {since}{until}")
            }
        }
    }

    fn ends(&self, now: Timestamp) -> [String; 2] {
        let filter = &self.query.filter;
        let since = filter.since.map(|since| format::ago(since, now));
        let until = filter.until.map(|until| format::ago(until, now));
        [
            since.unwrap_or_default(),
            until.unwrap_or_else(|| "now".to_owned()),
        ]
    }

    fn charts(&self, found: &Found, all: TotalsView) -> Vec<Chart> {
        let chart = |label, measure, sort: Option<&str>, figure, notes| Chart {
            label,
            figure,
            notes,
            is_first: measure == Measure::Runs,
            columns: over_time::columns(&found.axis, &found.over_time, measure)
                .into_iter()
                .map(|column| {
                    let href = self.runs_in(&column, sort);
                    (column, href)
                })
                .collect(),
        };
        let plain = |text: String| (None, text);
        vec![
            chart(
                "Runs",
                Measure::Runs,
                None,
                all.runs,
                vec![plain(format!("{} success", all.success)), plain(all.failed)],
            ),
            chart(
                "Tokens in",
                Measure::Tokens,
                Some("tokens"),
                all.tokens_in,
                token_notes(&found.all),
            ),
            chart(
                "Cost",
                Measure::Cost,
                Some("cost"),
                all.cost,
                all.estimated.into_iter().map(plain).collect(),
            ),
            chart(
                "Duration p95",
                Measure::Duration,
                Some("duration"),
                all.p95,
                vec![
                    (Some("amount"), format!("p50 {}", all.p50)),
                    (Some("amount-more"), "p95".to_owned()),
                ],
            ),
        ]
    }

    /// The address of the runs of a column.
    fn runs_in(&self, column: &Column, sort: Option<&str>) -> String {
        // Of the first slot and the last a part may lie outside of the time that is looked at.
        let RunFilter { since, until, .. } = self.query.filter;
        let from = since.map_or(column.from, |since| since.max(column.from));
        let until = until.map_or(column.until, |until| until.min(column.until));
        let mut more = vec![
            ("since", format::rfc3339(from)),
            ("until", format::rfc3339(until)),
        ];
        more.extend(sort.map(|sort| ("sort", sort.to_owned())));
        self.runs(&more)
    }

    fn group(&self, (name, totals): &(String, Totals), all: &Totals) -> Group {
        let (.., unnamed) = self.written();
        let is_named = !name.is_empty();
        let parameter = match self.by {
            By::Model => Some("model"),
            By::Session => Some("session"),
            By::Workflow => Some("workflow"),
            By::Provider => Some("q"),
            // No filter looks for it.
            By::Client => None,
        };
        let shown = match self.by {
            By::Session => format::session(name),
            _ => name.clone(),
        };
        Group {
            name: if is_named {
                format::ellipsis(&shown, 80)
            } else {
                unnamed.to_owned()
            },
            title: format::ellipsis(name, 400),
            is_named,
            href: parameter
                .filter(|_| is_named)
                .map(|parameter| self.runs(&[(parameter, name.clone())])),
            shares: shares(&totals.by_state),
            figures: TotalsView::new(totals),
            bar: format::percent_attribute(if all.cost_usd > 0.0 {
                totals.cost_usd / all.cost_usd
            } else {
                0.0
            }),
        }
    }
}

/// What tokens are, with the colours of their drawing.
fn token_notes(all: &Totals) -> Vec<(Option<&'static str>, String)> {
    let cached = all.cache_read_tokens.clamp(0, all.input_tokens.max(0));
    [
        ("token-cache-read", cached, "cached"),
        (
            "token-fresh",
            all.input_tokens.saturating_sub(cached),
            "new",
        ),
        ("token-answer", all.output_tokens, "out"),
    ]
    .map(|(class, count, word)| (Some(class), format!("{} {word}", format::tokens(count))))
    .into()
}

fn grouping(name: &str) -> Result<By, String> {
    let known = GROUPINGS
        .into_iter()
        .find(|(_, written, ..)| *written == name);
    known.map(|(by, ..)| by).ok_or_else(|| {
        let names = GROUPINGS.map(|(_, written, ..)| written).join(", ");
        format!(
            "by: runs are not told apart by `{}`; give one of {names}",
            format::ellipsis(name, 60)
        )
    })
}
