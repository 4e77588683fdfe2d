//! `dagway runs show`: one run whole.
//!
//! It must not know how the run was found.

use jiff::tz::TimeZone;

use super::answer::{Change, Run, Step, Whole};
use super::args::Runs;
use super::client::Client;
use super::clock::{self, Clock};
use super::list::{state, state_of};
use super::table::{Cell, Column, Row, Rows, Table, column, figures};
use super::terminal::{self, ASIDE, Paper, TITLE, WRONG};
use super::{bars, chosen, payload, text, words};
use crate::cli::Failure;
use crate::dashboard::format;
use crate::events::{State, Timestamp};

/// What is shown of a step, before its bar.
const COLUMNS: [Column; 5] = [
    column("STEP", 0, None, 0),
    column("STATE", 0, None, 0),
    figures("TRIES", 0, 0),
    figures("BEGAN", 0, 0),
    figures("TOOK", 0, 0),
];
/// Places for the names of figures.
const NAMES: usize = 10;
/// Places of a step's name.
const LONGEST_STEP: usize = 32;
/// Places of the time axis: fewer say nothing, more say no more.
const AXIS: std::ops::RangeInclusive<usize> = 12..=72;
/// Places of the time axis where lines have no end.
const USUAL_AXIS: usize = 60;

/// Shows a run.
///
/// # Errors
/// When there is no such run.
pub(super) async fn run(
    client: &Client,
    args: &Runs,
    run: &str,
    paper: Paper,
) -> Result<(), Failure> {
    let id = chosen::find(client, run, &args.filter).await?;
    let json = client.json(&format!("/api/runs/{id}"), &[]).await?;
    if args.json {
        return terminal::write_json(&json);
    }
    let whole: Whole = client.read(&json)?;
    let said = page(&whole, Timestamp::now(), clock::here(), paper);
    terminal::write(said.as_bytes())
}

/// A run whole, as text.
pub(super) fn page(whole: &Whole, now: Timestamp, zone: TimeZone, paper: Paper) -> String {
    let clock = Clock::new([whole.run.started], now, zone);
    let page = Page {
        whole,
        clock: &clock,
        now,
        paper,
    };
    page.text()
}

/// A run as it is shown.
struct Page<'a> {
    whole: &'a Whole,
    clock: &'a Clock,
    now: Timestamp,
    paper: Paper,
}

impl Page<'_> {
    fn text(&self) -> String {
        let mut lines = vec![self.head(), String::new()];
        lines.extend(self.figures());
        lines.push(String::new());
        lines.extend(self.steps());
        if !self.whole.logs.is_empty() {
            lines.push(String::new());
            lines.push(self.paper.paint("LOG", TITLE));
            lines.extend(self.log());
        }
        if !self.whole.payloads.is_empty() {
            lines.push(String::new());
            lines.push(self.paper.paint("PAYLOADS", TITLE));
            lines.extend(self.payloads());
        }
        lines.join("\n") + "\n"
    }

    fn head(&self) -> String {
        let run = &self.whole.run;
        let state = state(run);
        format!(
            "{}  {}  {}",
            self.paper.paint(&state.text, state.style.bold()),
            text::line(&run.workflow),
            run.id
        )
    }

    fn figures(&self) -> Vec<String> {
        let run = &self.whole.run;
        let trouble = run.trouble();
        let trouble = trouble.map(|trouble| self.named("error", &text::lines(&trouble)));
        let trouble = trouble.unwrap_or_default().into_iter();
        let mut lines: Vec<String> = trouble.map(|line| self.paper.paint(&line, WRONG)).collect();
        for (name, value) in words::all(run, self.clock, self.now) {
            lines.extend(self.named(name, &value));
        }
        lines
    }

    /// A value of one line or several with its name before it.
    fn named(&self, name: &str, value: &str) -> Vec<String> {
        let places = self
            .paper
            .width
            .map(|width| width.saturating_sub(NAMES + 2));
        let wrapped = text::wrap(value, places).into_iter();
        let lines = wrapped.enumerate().map(|(number, line)| {
            let name = if number == 0 { name } else { "" };
            format!("{}{line}", text::left(&format!("  {name}"), NAMES + 2))
        });
        lines.map(|line| line.trim_end().to_owned()).collect()
    }

    fn steps(&self) -> Vec<String> {
        let run = &self.whole.run;
        let rows: Vec<Row> = self.whole.steps.iter().map(|step| row(run, step)).collect();
        let endless = Paper {
            width: None,
            ..self.paper
        };
        let table = Table::new(&COLUMNS, &rows, Rows::All, endless);
        let axis = self.axis(table.width() + 2);
        let total = format::duration(run.duration());
        let scale = axis.map(|axis| format!("  0{}", text::right(&total, axis - 1)));
        let scale = self.paper.paint(&scale.unwrap_or_default(), TITLE);
        let mut lines = vec![table.head() + &scale];
        for (step, row) in self.whole.steps.iter().zip(&rows) {
            let bar = axis.map(|axis| match why_not(step) {
                Some(why) => self.paper.paint(&text::cut(&why, axis), ASIDE),
                None => bars::bar(run, step, axis, self.paper),
            });
            let line = format!("{}  {}", table.row(row), bar.unwrap_or_default());
            lines.push(line.trim_end().to_owned());
            lines.extend(step.history.iter().flat_map(|change| self.failure(change)));
        }
        if axis.is_some() {
            lines.push(self.paper.paint(bars::LEGEND, ASIDE));
        }
        lines
    }

    /// Places of the time axis beside so many others; nothing when there are too few.
    fn axis(&self, taken: usize) -> Option<usize> {
        let Some(width) = self.paper.width else {
            return Some(USUAL_AXIS);
        };
        let left = width.saturating_sub(taken).min(*AXIS.end());
        AXIS.contains(&left).then_some(left)
    }

    /// What an attempt failed with, and the pause before the next one.
    fn failure(&self, change: &Change) -> Vec<String> {
        const INDENT: &str = "  └ ";
        let Some(message) = change.message.as_ref().filter(|_| change.attempt > 0) else {
            return Vec::new();
        };
        // What the run failed with stands above all.
        let trouble = self.whole.run.trouble();
        if change.retry_in_ms.is_none()
            && trouble.is_some_and(|all| all.ends_with(message.as_str()))
        {
            return Vec::new();
        }
        let pause = change.retry_in_ms.map(|pause| {
            let pause = format::duration(pause);
            format!(", then a pause of {pause}")
        });
        let (attempt, pause) = (change.attempt, pause.unwrap_or_default());
        let said = format!("attempt {attempt}{pause}: {}", text::lines(message));
        let places = self.paper.width;
        let places = places.map(|width| width.saturating_sub(text::width(INDENT)));
        let style = match State::from_name(&change.state) {
            Some(State::Retrying) => ASIDE,
            _ => WRONG,
        };
        let lines = text::wrap(&said, places).into_iter().enumerate();
        let lines = lines.map(|(number, line)| {
            let indent = if number == 0 { INDENT } else { "    " };
            self.paper.paint(&format!("{indent}{line}"), style)
        });
        lines.collect()
    }

    fn log(&self) -> Vec<String> {
        let run = &self.whole.run;
        let lines = self.whole.logs.iter().map(|line| {
            let after = format::duration(line.at.since(run.started));
            let step = line
                .step
                .as_deref()
                .map_or_else(|| "run".to_owned(), step_name);
            let level = text::name(&line.level, 5);
            (
                format!("{}  {level:5}  {step}", text::right(&after, 8)),
                &line.message,
            )
        });
        let lines: Vec<(String, &String)> = lines.collect();
        let widest = lines
            .iter()
            .map(|(head, _)| text::width(head))
            .max()
            .unwrap_or(0);
        let places = self
            .paper
            .width
            .map(|width| width.saturating_sub(widest + 2).max(20));
        let shown = lines.iter().flat_map(|(head, message)| {
            let wrapped = text::wrap(&text::lines(message), places).into_iter();
            wrapped.enumerate().map(|(number, line)| {
                let head = if number == 0 { head.as_str() } else { "" };
                format!("{}  {line}", text::left(head, widest))
                    .trim_end()
                    .to_owned()
            })
        });
        shown.collect()
    }

    fn payloads(&self) -> impl Iterator<Item = String> {
        let widest = self
            .whole
            .payloads
            .iter()
            .map(|payload| text::width(&payload.name));
        let widest = widest.max().unwrap_or(0);
        self.whole.payloads.iter().map(move |payload| {
            let size = if payload.gone {
                "gone".to_owned()
            } else {
                format::bytes(payload.bytes)
            };
            let name = text::left(&text::line(&payload.name), widest);
            let short = payload::short_name(&payload.name).unwrap_or_default();
            format!("{name}  {}  {short}", text::right(&size, 9))
                .trim_end()
                .to_owned()
        })
    }
}

/// A step as a row: its attempts, when it began after the run did, and how long it took.
fn row(run: &Run, step: &Step) -> Row {
    let unknown = || format::UNKNOWN.to_owned();
    let began = step.started.map(|started| started.since(run.started));
    let took = step.started.map(|started| {
        let ended = step.ended.unwrap_or_else(|| run.until());
        ended.since(started)
    });
    let attempts = (step.attempts > 0).then(|| step.attempts.to_string());
    let name = step.name.as_deref().map(step_name);
    let figures = [
        attempts,
        began.map(format::duration),
        took.map(format::duration),
    ];
    let mut cells = vec![
        Cell::plain(name.unwrap_or_else(unknown)),
        state_of(&step.state, step.streaming),
    ];
    cells.extend(figures.map(|figure| Cell::plain(figure.unwrap_or_else(unknown))));
    Row {
        cells,
        remark: None,
    }
}

fn step_name(name: &str) -> String {
    text::name(name, LONGEST_STEP)
}

/// Why a step never began, where that is known.
fn why_not(step: &Step) -> Option<String> {
    let last = step.history.last().filter(|_| step.started.is_none())?;
    last.message.as_deref().map(text::line)
}
