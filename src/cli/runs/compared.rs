//! Two runs of one request beside each other: how each ended, what it took, what it cost.
//!
//! It must not know why there are two.

use super::answer::Run;
use super::list;
use super::table::{Cell, Column, Row, Rows, Table, column};
use super::terminal::{Paper, WRONG};
use super::{text, words};
use crate::dashboard::format;
use crate::facts;

/// The columns: what is compared, the recorded run, the new one.
const COLUMNS: [Column; 3] = [
    column("COMPARED", 0, None, 0),
    column("RECORDED", 0, None, 0),
    column("REPLAYED", 0, None, 0),
];
/// Places of an error or a name where lines have no end.
const LONGEST: usize = 60;
/// Places of what is compared, and of the gaps.
const NAMES: usize = 11 + 2 * 2;

/// What is compared, and how a run says it.
type Line = (&'static str, fn(&Run) -> Option<Cell>);

/// All that is compared.
const LINES: [Line; 10] = [
    ("state", |run| Some(list::state(run))),
    ("error", error),
    ("model", model),
    ("provider", provider),
    ("took", |run| Some(Cell::plain(took(run)))),
    ("first token", |run| {
        run.first_token()
            .map(|first| Cell::plain(format::duration(first)))
    }),
    ("tokens in", |run| count(run, facts::INPUT_TOKENS)),
    ("from cache", |run| count(run, facts::CACHE_READ_TOKENS)),
    ("tokens out", |run| count(run, facts::OUTPUT_TOKENS)),
    ("cost", |run| {
        let cost = format::money(run.float(facts::COST_USD)?);
        Some(Cell::plain(words::about(run, cost)))
    }),
];

/// Two runs as a table; what neither of them says is left out.
pub(super) fn table(recorded: &Run, replayed: &Run, paper: Paper) -> String {
    // Neither takes the room of the other.
    let places = paper.width.map(|width| width.saturating_sub(NAMES) / 2);
    let places = places.unwrap_or(LONGEST);
    let fitted = |cell: Option<Cell>| {
        let cell = cell.unwrap_or_else(|| Cell::plain(format::UNKNOWN));
        let text = text::cut(&cell.text, places).into_owned();
        Cell { text, ..cell }
    };
    let rows = LINES.iter().filter_map(|(name, cell)| {
        let (one, other) = (cell(recorded), cell(replayed));
        (one.is_some() || other.is_some()).then(|| Row {
            cells: vec![Cell::plain(*name), fitted(one), fitted(other)],
            remark: None,
        })
    });
    let rows: Vec<Row> = rows.collect();
    let table = Table::new(&COLUMNS, &rows, Rows::All, paper);
    let mut said = format!("{}\n", table.head());
    for row in &rows {
        said.push_str(&table.row(row));
        said.push('\n');
    }
    said
}

fn error(run: &Run) -> Option<Cell> {
    let trouble = run.trouble()?;
    Some(Cell {
        style: WRONG,
        ..Cell::plain(text::line(&trouble))
    })
}

fn model(run: &Run) -> Option<Cell> {
    let (asked, used) = run.models();
    let model = used.or(asked)?;
    Some(Cell::plain(text::line(model)))
}

fn provider(run: &Run) -> Option<Cell> {
    let provider = run.text(facts::PROVIDER_BEHIND);
    let provider = provider.or_else(|| run.text(facts::PROVIDER))?;
    Some(Cell::plain(text::line(provider)))
}

fn took(run: &Run) -> String {
    let took = format::duration(run.duration());
    if run.has_ended() {
        took
    } else {
        format!("{took} so far")
    }
}

fn count(run: &Run, fact: &str) -> Option<Cell> {
    let count = format::thousands(run.int(fact)?);
    Some(Cell::plain(words::about(run, count)))
}
