//! `dagway runs usage`: what runs use, told apart.
//!
//! It must not know how a table finds its widths.

use std::time::Duration;

use serde::Deserialize;

use super::args::Runs;
use super::client::Client;
use super::table::{Cell, Column, Row, Rows, Table, column, figures};
use super::terminal::{self, Paper};
use super::text;
use crate::cli::{Failure, say_error};
use crate::dashboard::format;
use crate::dashboard::usage::asked::{GROUPINGS, Grouping};

/// Places of a name.
const LONGEST_NAME: usize = 60;

/// What the run API answers.
#[derive(Debug, Deserialize)]
pub(super) struct Usage {
    by: String,
    total: Figures,
    groups: Vec<Group>,
    groups_left_out: u64,
}

#[derive(Debug, Deserialize)]
struct Group {
    name: Option<String>,
    #[serde(flatten)]
    figures: Figures,
}

#[derive(Debug, Deserialize)]
struct Figures {
    runs: u64,
    by_state: ByState,
    /// Nothing from a Dagway that does not tell them apart.
    #[serde(default)]
    replaced: u64,
    input_tokens: i64,
    cache_read_tokens: i64,
    output_tokens: i64,
    cost_usd: f64,
    estimated: u64,
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
}

/// How many came to a good end, and how many to a bad one; a client that hung up is neither, nor is a run that a fallback
/// replaced.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ByState {
    completed: u64,
    cached: u64,
    failed: u64,
    timed_out: u64,
    crashed: u64,
}

/// Prints what runs use.
///
/// # Errors
/// When there are no figures to be had.
pub(super) async fn run(
    client: &Client,
    args: &Runs,
    by: Option<&str>,
    paper: Paper,
) -> Result<(), Failure> {
    let mut pairs = args.filter.pairs();
    pairs.extend(by.map(|by| ("by", by.to_owned())));
    pairs.extend(args.limit.clone().map(|limit| ("limit", limit)));
    let json = client.json("/api/usage", &pairs).await?;
    if args.json {
        return terminal::write_json(&json);
    }
    let usage: Usage = client.read(&json)?;
    if usage.groups.is_empty() {
        say_error(
            "there is no such run; without --since, those of the last 24 hours are looked at",
        );
        return Ok(());
    }
    terminal::write(table(&usage, paper).as_bytes())
}

/// The groups as a table, with all of them together at its end.
pub(super) fn table(usage: &Usage, paper: Paper) -> String {
    let known = GROUPINGS.into_iter().find(|known| known.name == usage.by);
    let grouping = known.unwrap_or(GROUPINGS[0]);
    let rows: Vec<Row> = usage
        .groups
        .iter()
        .map(|group| {
            let name = group.name.as_deref().unwrap_or(grouping.unnamed);
            row(name, &group.figures, &usage.total)
        })
        .chain([row("all together", &usage.total, &usage.total)])
        .collect();
    let table = Table::new(&columns(&grouping), &rows, Rows::All, paper);
    let mut said = format!("{}\n", table.head());
    for row in &rows {
        said.push_str(&table.row(row));
        said.push('\n');
    }
    if usage.groups_left_out > 0 {
        let left_out = format!(
            "{} more are left out: --limit 1000 shows more\n",
            usage.groups_left_out
        );
        said.push_str(&paper.paint(&left_out, terminal::ASIDE));
    }
    said
}

/// The columns, each with the fewest places of those that may be cut.
fn columns(grouping: &Grouping) -> [Column; 11] {
    let title = match grouping.name {
        "provider" => "PROVIDER",
        "session" => "SESSION",
        "client" => "CLIENT",
        "key" => "KEY",
        "workflow" => "WORKFLOW",
        _ => "MODEL",
    };
    [
        column(title, 0, Some(20), 24),
        figures("RUNS", 0, 5),
        figures("SUCCESS", 1, 7),
        figures("REPLACED", 8, 8),
        figures("IN", 2, 7),
        figures("CACHED", 6, 6),
        figures("OUT", 3, 7),
        figures("COST", 0, 9),
        figures("SHARE", 5, 5),
        figures("P50", 7, 8),
        figures("P95", 4, 8),
    ]
}

fn row(name: &str, figures: &Figures, all: &Figures) -> Row {
    let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let good = figures.by_state.completed + figures.by_state.cached;
    let bad = figures.by_state.failed + figures.by_state.timed_out + figures.by_state.crashed;
    let cost = format::money(figures.cost_usd);
    let duration = |millis: Option<f64>| {
        let duration = millis.and_then(|millis| Duration::try_from_secs_f64(millis / 1e3).ok());
        duration.map(format::duration).unwrap_or_default()
    };
    let cells = [
        text::name(name, LONGEST_NAME),
        format::thousands(signed(figures.runs)),
        format::share(signed(good), signed(good + bad)).unwrap_or_default(),
        match figures.replaced {
            0 => String::new(),
            replaced => format::thousands(signed(replaced)),
        },
        format::tokens(figures.input_tokens),
        format::share(figures.cache_read_tokens, figures.input_tokens).unwrap_or_default(),
        format::tokens(figures.output_tokens),
        if figures.estimated > 0 && figures.cost_usd > 0.0 {
            format::about(&cost)
        } else {
            cost
        },
        share_of_cost(figures.cost_usd, all.cost_usd),
        duration(figures.p50_ms),
        duration(figures.p95_ms),
    ];
    Row {
        cells: cells.map(Cell::plain).into(),
        remark: None,
    }
}

fn share_of_cost(part: f64, whole: f64) -> String {
    if whole > 0.0 {
        format!("{:.0} %", part / whole * 100.0)
    } else {
        String::new()
    }
}
