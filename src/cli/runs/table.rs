//! A table for a terminal: which columns there is room for, and how wide each is.
//!
//! Pure text; it must not know what a run is.

use std::borrow::Cow;

use clap::builder::styling::Style;

use super::terminal::{Paper, TITLE, WRONG};
use super::text;

/// Blanks between two columns.
const GAP: usize = 2;
/// A remark has a column where this much is left for it, and a line of its own elsewhere.
const ROOM_FOR_REMARKS: usize = 40;
/// The longest remark where lines have no end.
const LONGEST_REMARK: usize = 300;
/// What stands before a remark on a line of its own.
const BELOW: &str = "  └ ";

/// A column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) title: &'static str,
    /// Figures stand to the right.
    pub(super) is_figure: bool,
    /// When there is too little room: the columns of the lowest rank are the last to be left out, those of rank 0 never.
    pub(super) rank: u8,
    /// The fewest places that make sense, where it may be cut.
    pub(super) least: Option<usize>,
    /// Places of its short texts, where it has such.
    pub(super) short: Option<usize>,
    /// Places that will be needed by rows that are not known yet.
    pub(super) usual: usize,
}

/// A row: a cell for each column, and what is remarked.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) cells: Vec<Cell>,
    pub(super) remark: Option<String>,
}

/// A cell.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    pub(super) text: String,
    /// Said where there is no room for the text.
    pub(super) short: Option<String>,
    pub(super) style: Style,
}

impl Cell {
    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }
}

/// Whether more rows will come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rows {
    /// These are all: a column without any text is left out.
    All,
    /// These are the first.
    First,
}

/// A table, laid out.
#[derive(Debug)]
pub(super) struct Table {
    /// Each with the places it takes.
    columns: Vec<Placed>,
    /// Places for remarks beside the columns; `None`: below.
    remarks: Option<usize>,
    paper: Paper,
}

#[derive(Clone, Copy, Debug)]
struct Placed {
    index: usize,
    column: Column,
    width: usize,
    /// The short texts are said.
    is_short: bool,
}

impl Table {
    /// Lays out columns for rows.
    pub(super) fn new(columns: &[Column], rows: &[Row], known: Rows, paper: Paper) -> Self {
        let mut natural: Vec<Placed> = columns
            .iter()
            .enumerate()
            .filter_map(|(index, column)| natural(index, *column, rows, known))
            .collect();
        let has_remarks = known == Rows::First || rows.iter().any(|row| row.remark.is_some());
        let Some(room) = paper.width else {
            return Self {
                columns: natural,
                remarks: has_remarks.then_some(LONGEST_REMARK),
                paper,
            };
        };
        let mut by_rank = natural.clone();
        by_rank.sort_by_key(|placed| placed.column.rank);
        let mut taken = 0;
        let mut chosen: Vec<Placed> = Vec::new();
        for mut placed in by_rank {
            let whole = placed.width;
            placed.width = whole.min(placed.column.least.unwrap_or(whole));
            if let Some(short) = placed.column.short {
                placed.width = whole.min(short);
                placed.is_short = true;
            }
            let gap = if chosen.is_empty() { 0 } else { GAP };
            if placed.column.rank == 0 || taken + gap + placed.width <= room {
                taken += gap + placed.width;
                chosen.push(placed);
            }
        }
        natural.retain(|placed| chosen.iter().any(|one| one.index == placed.index));
        let mut spare = room.saturating_sub(taken);
        chosen.sort_by_key(|placed| placed.index);
        for (placed, whole) in chosen.iter_mut().zip(&natural) {
            let wanted = whole.width.saturating_sub(placed.width);
            if placed.is_short && wanted > spare {
                continue;
            }
            placed.is_short = false;
            placed.width += wanted.min(spare);
            spare -= wanted.min(spare);
        }
        let beside = spare
            .checked_sub(GAP)
            .filter(|left| *left >= ROOM_FOR_REMARKS);
        Self {
            columns: chosen,
            remarks: beside.filter(|_| has_remarks),
            paper,
        }
    }

    /// The line of titles.
    pub(super) fn head(&self) -> String {
        let titles = self.columns.iter().map(|placed| {
            let Placed { column, width, .. } = placed;
            aligned(column.title, *width, column.is_figure)
        });
        let mut cells: Vec<String> = titles.collect();
        cells.extend(self.remarks.map(|_| "ERROR".to_owned()));
        let line = cells.join(&" ".repeat(GAP));
        self.paper.paint(line.trim_end(), TITLE)
    }

    /// A row in a line, or in two: its remark may stand below.
    pub(super) fn row(&self, row: &Row) -> String {
        let mut line = String::new();
        let remark = self
            .remarks
            .and_then(|places| Some(text::cut(row.remark.as_deref()?, places).into_owned()));
        let last = self.columns.len().saturating_sub(1);
        for (place, placed) in self.columns.iter().enumerate() {
            let Some(cell) = row.cells.get(placed.index) else {
                continue;
            };
            if place > 0 {
                line.push_str(&" ".repeat(GAP));
            }
            let said = cell.short.as_ref().filter(|_| placed.is_short);
            let said = said.unwrap_or(&cell.text);
            let said = placed
                .column
                .least
                .map_or(Cow::Borrowed(said.as_str()), |_| {
                    text::cut(said, placed.width)
                });
            let width = if place == last && remark.is_none() && !placed.column.is_figure {
                0
            } else {
                placed.width
            };
            let said = aligned(&said, width, placed.column.is_figure);
            line.push_str(&self.paper.paint(&said, cell.style));
        }
        match (remark, &row.remark) {
            (Some(remark), _) => {
                line.push_str(&" ".repeat(GAP));
                line.push_str(&self.paper.paint(&remark, WRONG));
            }
            (None, Some(below)) => {
                let places = self.paper.width.unwrap_or(LONGEST_REMARK);
                let below = format!("{BELOW}{below}");
                let below = text::cut(&below, places);
                line.push('\n');
                line.push_str(&self.paper.paint(&below, WRONG));
            }
            (None, None) => {}
        }
        line
    }
}

fn aligned(said: &str, width: usize, is_figure: bool) -> String {
    if is_figure {
        text::right(said, width)
    } else {
        text::left(said, width)
    }
}

/// A column as wide as its widest cell; nothing when all its cells are empty and no more will come.
fn natural(index: usize, column: Column, rows: &[Row], known: Rows) -> Option<Placed> {
    let widest = rows
        .iter()
        .filter_map(|row| row.cells.get(index))
        .map(|cell| text::width(&cell.text))
        .max()
        .unwrap_or(0);
    let usual = if known == Rows::First {
        column.usual
    } else {
        0
    };
    (widest.max(usual) > 0).then(|| Placed {
        index,
        column,
        width: widest.max(usual).max(text::width(column.title)),
        is_short: false,
    })
}
