//! `dagway runs`: runs as a table.
//!
//! It must not know how a table finds its widths.

use clap::builder::styling::{AnsiColor, Style};
use jiff::tz::TimeZone;

use super::answer::{Page, Run};
use super::args::Runs;
use super::client::Client;
use super::clock::{self, Clock};
use super::table::{Cell, Column, Row, Rows, Table, column, figures};
use super::terminal::{self, Paper, colour};
use super::text;
use crate::cli::{Failure, say_error};
use crate::dashboard::format;
use crate::dashboard::state::StateView;
use crate::events::{State, Timestamp};
use crate::facts;

/// The columns, each with the fewest places of those that may be cut.
pub(super) const COLUMNS: [Column; 14] = [
    column("STATE", 0, None, 11),
    column("STARTED", 0, None, 8),
    column("AGO", 8, None, 10),
    column("WORKFLOW", 9, None, 8),
    column("MODEL", 0, Some(20), 24),
    column("USED", 6, Some(24), 36),
    figures("IN", 2, 7),
    figures("CACHED", 7, 6),
    figures("OUT", 3, 7),
    figures("COST", 1, 9),
    figures("TIME", 0, 8),
    figures("FIRST", 5, 7),
    figures("RETRIES", 4, 7),
    Column {
        short: Some(12),
        ..column("RUN", 0, None, 36)
    },
];

/// Places of a name: a model's is what a client makes it.
const LONGEST_NAME: usize = 40;

/// Lists runs.
///
/// # Errors
/// When there is no list to be had.
pub(super) async fn run(client: &Client, args: &Runs, paper: Paper) -> Result<(), Failure> {
    let mut pairs = args.filter.pairs();
    pairs.extend(args.sort.clone().map(|sort| ("sort", sort)));
    pairs.extend(args.limit.clone().map(|limit| ("limit", limit)));
    pairs.extend(args.after.clone().map(|after| ("after", after)));
    let json = client.json("/api/runs", &pairs).await?;
    if args.json {
        return terminal::write_json(&json);
    }
    let page: Page = client.read(&json)?;
    if let Some(warning) = &page.warning {
        say_error(warning);
    }
    let runs = page.read().map_err(|error| client.unreadable(&error))?;
    if runs.is_empty() {
        say_error(if pairs.is_empty() {
            "there is no run yet"
        } else {
            "there is no such run"
        });
        return Ok(());
    }
    let mut said = table(&runs, Timestamp::now(), clock::here(), paper);
    if let (Some(next), true) = (page.next, paper.is_terminal) {
        let more = format!("there are more: --after {}", text::line(&next));
        said.push_str(&paper.paint(&more, terminal::ASIDE));
        said.push('\n');
    }
    terminal::write(said.as_bytes())
}

/// The runs as a table.
pub(super) fn table(runs: &[Run], now: Timestamp, zone: TimeZone, paper: Paper) -> String {
    let clock = Clock::new(runs.iter().map(|run| run.started), now, zone);
    let rows: Vec<Row> = runs.iter().map(|run| row(run, &clock, now)).collect();
    let table = Table::new(&COLUMNS, &rows, Rows::All, paper);
    let mut said = format!("{}\n", table.head());
    for row in &rows {
        said.push_str(&table.row(row));
        said.push('\n');
    }
    said
}

/// A run as a row.
pub(super) fn row(run: &Run, clock: &Clock, now: Timestamp) -> Row {
    let (asked, used) = run.models();
    let input = run.int(facts::INPUT_TOKENS);
    let cached = run.int(facts::CACHE_READ_TOKENS).filter(|read| *read > 0);
    let usage = |known: Option<String>| match known {
        Some(known) if run.is_estimate() => format::about(&known),
        known => known.unwrap_or_default(),
    };
    let name = |name: &str| text::name(name, LONGEST_NAME);
    let id = run.id.to_string();
    let cells = vec![
        state(run),
        Cell::plain(clock.short(run.started)),
        Cell::plain(format::ago(run.started, now)),
        Cell::plain(text::name(&run.workflow, LONGEST_NAME)),
        Cell::plain(asked.map(name).unwrap_or_default()),
        Cell::plain(used.map(name).unwrap_or_default()),
        Cell::plain(usage(input.map(format::tokens))),
        Cell::plain(
            cached
                .and_then(|read| format::share(read, input?))
                .unwrap_or_default(),
        ),
        Cell::plain(usage(run.int(facts::OUTPUT_TOKENS).map(format::tokens))),
        Cell::plain(usage(run.float(facts::COST_USD).map(format::money))),
        Cell::plain(format::duration(run.duration())),
        Cell::plain(run.first_token().map(format::duration).unwrap_or_default()),
        Cell::plain(
            run.int(facts::RETRIES)
                .map(|retries| retries.to_string())
                .unwrap_or_default(),
        ),
        Cell {
            short: Some(last_group(&id).to_owned()),
            ..Cell::plain(id)
        },
    ];
    Row {
        cells,
        remark: remark(run),
    }
}

/// That a run was replaced, or stands in for another one, and what went wrong.
fn remark(run: &Run) -> Option<String> {
    let of_run = |fact, before: &str| {
        let id = last_group(run.text(fact)?);
        Some(format!("{before} run {}", text::name(id, 12)))
    };
    let asked = || {
        Some(format!(
            "{} asked instead",
            text::line(run.text(facts::FALLBACK_MODEL)?)
        ))
    };
    let part = of_run(facts::FALLBACK_BY, "replaced by")
        .or_else(|| of_run(facts::FALLBACK_AFTER, "stands in for"))
        .or_else(asked);
    let trouble = run.trouble().map(|trouble| text::line(&trouble));
    let said: Vec<String> = part.into_iter().chain(trouble).collect();
    (!said.is_empty()).then(|| said.join(" · "))
}

/// The digits of an id that were drawn; those before them are the time, and the same for many.
fn last_group(id: &str) -> &str {
    id.rsplit('-').next().unwrap_or(id)
}

/// The state of a run.
pub(super) fn state(run: &Run) -> Cell {
    let is_streaming = run.streaming && !run.has_ended();
    state_of(&run.state, is_streaming)
}

/// A state with its sign and its colour.
pub(super) fn state_of(name: &str, is_streaming: bool) -> Cell {
    let Some(state) = State::from_name(name) else {
        return Cell::plain(text::name(name, LONGEST_NAME));
    };
    let StateView { label, sign, .. } = state.into();
    let label = if is_streaming { "Streaming" } else { label };
    Cell {
        style: style(state),
        ..Cell::plain(format!("{sign} {label}"))
    }
}

const fn style(state: State) -> Style {
    colour(match state {
        State::Completed | State::Cached => AnsiColor::Green,
        State::Failed | State::TimedOut | State::Crashed => AnsiColor::Red,
        State::Running | State::Pending | State::Scheduled => AnsiColor::Blue,
        State::Retrying | State::Cancelling | State::Cancelled | State::Paused => AnsiColor::Yellow,
        State::Skipped => AnsiColor::BrightBlack,
    })
}
