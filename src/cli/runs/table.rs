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

/// A column of texts.
pub(super) const fn column(
    title: &'static str,
    rank: u8,
    least: Option<usize>,
    usual: usize,
) -> Column {
    Column {
        title,
        is_figure: false,
        rank,
        least,
        short: None,
        usual,
    }
}

/// A column of figures.
pub(super) const fn figures(title: &'static str, rank: u8, usual: usize) -> Column {
    Column {
        is_figure: true,
        ..column(title, rank, None, usual)
    }
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
        let natural: Vec<Placed> = columns
            .iter()
            .enumerate()
            .filter_map(|(index, column)| natural(index, *column, rows, known))
            .collect();
        let has_remarks = known == Rows::First || rows.iter().any(|row| row.remark.is_some());
        let (columns, room) = match paper.width {
            None => (natural, LONGEST_REMARK),
            Some(width) => fitted(&natural, width),
        };
        Self {
            columns,
            remarks: (has_remarks && room >= ROOM_FOR_REMARKS).then_some(room),
            paper,
        }
    }

    /// Places that the columns take.
    pub(super) fn width(&self) -> usize {
        taken(&self.columns)
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
        let cells = self.columns.iter().filter_map(|placed| {
            let cell = row.cells.get(placed.index)?;
            let said = placed.said(cell);
            let said = aligned(&said, placed.width, placed.column.is_figure);
            Some(self.paper.paint(&said, cell.style))
        });
        let mut cells: Vec<String> = cells.collect();
        let beside = self.remarks.zip(row.remark.as_deref());
        let beside = beside.map(|(places, remark)| text::cut(remark, places));
        cells.extend(beside.map(|remark| self.paper.paint(&remark, WRONG)));
        let mut line = cells.join(&" ".repeat(GAP)).trim_end().to_owned();
        if let (None, Some(remark)) = (self.remarks, &row.remark) {
            let below = format!("{BELOW}{remark}");
            let below = text::cut(&below, self.paper.width.unwrap_or(LONGEST_REMARK));
            line.push('\n');
            line.push_str(&self.paper.paint(&below, WRONG));
        }
        line
    }
}

impl Placed {
    /// As much of a cell as there is room for. What may not be cut stands out instead.
    fn said<'a>(&self, cell: &'a Cell) -> Cow<'a, str> {
        let short = cell.short.as_deref().filter(|_| self.is_short);
        let said = short.unwrap_or(&cell.text);
        match self.column.least {
            Some(_) => text::cut(said, self.width),
            None => Cow::Borrowed(said),
        }
    }

    /// As narrow as makes sense.
    fn narrowed(mut self) -> Self {
        let least = self.column.least.or(self.column.short);
        self.width = self.width.min(least.unwrap_or(self.width));
        self.is_short = self.column.short.is_some();
        self
    }
}

/// The columns that fit, and the places that are left beside them. What is left out first is what matters least; what is
/// cut gets back what nobody else needs.
fn fitted(natural: &[Placed], room: usize) -> (Vec<Placed>, usize) {
    let mut by_rank = natural.to_vec();
    by_rank.sort_by_key(|placed| placed.column.rank);
    let mut chosen: Vec<Placed> = Vec::new();
    for placed in by_rank {
        chosen.push(placed.narrowed());
        if placed.column.rank > 0 && taken(&chosen) > room {
            chosen.pop();
        }
    }
    chosen.sort_by_key(|placed| placed.index);
    let mut spare = room.saturating_sub(taken(&chosen));
    for placed in &mut chosen {
        let whole = natural.iter().find(|whole| whole.index == placed.index);
        let wanted = whole.map_or(0, |whole| whole.width - placed.width);
        // A short text is said until there is room for all of the other.
        if placed.is_short && wanted > spare {
            continue;
        }
        let more = wanted.min(spare);
        placed.is_short = false;
        placed.width += more;
        spare -= more;
    }
    (chosen, spare.saturating_sub(GAP))
}

/// Places that columns take, with the gaps between them.
fn taken(columns: &[Placed]) -> usize {
    let gaps = columns.len().saturating_sub(1) * GAP;
    columns.iter().map(|placed| placed.width).sum::<usize>() + gaps
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
