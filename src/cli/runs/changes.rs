//! `dagway runs changes`: what a turn's request changed since the turn before, and what that means for a cache.
//!
//! It must not know how the two were compared.

use clap::builder::styling::AnsiColor;
use jiff::tz::TimeZone;

use super::answer::{Changes, Difference, Line, Verdict};
use super::args::{Filter, Runs};
use super::client::Client;
use super::clock::{self, Clock};
use super::list::state;
use super::terminal::{self, ASIDE, Paper, TITLE, colour};
use super::{chosen, text};
use crate::cli::Failure;
use crate::dashboard::format;
use crate::events::Timestamp;

/// Places for the names of figures.
const NAMES: usize = 10;

/// Compares a run with the one before it, or with another.
///
/// # Errors
/// When there is no such run.
pub(super) async fn run(
    client: &Client,
    args: &Runs,
    run: &str,
    against: Option<&str>,
    paper: Paper,
) -> Result<(), Failure> {
    let id = chosen::find(client, run, &args.filter).await?;
    let mut pairs = Vec::new();
    if let Some(other) = against {
        let other = chosen::find(client, other, &Filter::default()).await?;
        pairs.push(("against", other.to_string()));
    }
    let path = format!("/api/runs/{id}/changes");
    let json = client.json(&path, &pairs).await?;
    if args.json {
        return terminal::write_json(&json);
    }
    let changes: Changes = client.read(&json)?;
    let said = page(&changes, Timestamp::now(), clock::here(), paper);
    terminal::write(said.as_bytes())
}

/// A comparison, as text.
pub(super) fn page(changes: &Changes, now: Timestamp, zone: TimeZone, paper: Paper) -> String {
    let clock = Clock::new([changes.run.started], now, zone);
    let mut lines = Vec::new();
    if let Some(why) = &changes.nothing {
        lines.extend(wrapped(why, 0, paper));
    }
    if let Some(verdict) = &changes.verdict {
        let sentence = wrapped(&verdict.sentence, 0, paper).into_iter();
        lines.extend(sentence.map(|line| paper.paint(&line, TITLE)));
        lines.push(String::new());
        for (name, value) in figures(changes, verdict, &clock) {
            lines.extend(named(name, &value, paper));
        }
        lines.extend(settings(verdict, paper));
    }
    if !changes.changes.is_empty() {
        lines.push(String::new());
        lines.push(paper.paint("CHANGES", TITLE));
    }
    for change in &changes.changes {
        lines.extend(difference(change, paper));
    }
    if changes.left_out > 0 {
        let left_out = format!("  … and {} more that are not shown", changes.left_out);
        lines.push(paper.paint(&left_out, ASIDE));
    }
    lines.join("\n") + "\n"
}

fn figures(changes: &Changes, verdict: &Verdict, clock: &Clock) -> Vec<(&'static str, String)> {
    let earlier = changes.earlier.as_ref().map(|earlier| {
        let (before, after) = (earlier.started, changes.run.started);
        let apart = if before > after {
            format!("{} after this one", format::duration(before.since(after)))
        } else {
            format!("{} before", format::duration(after.since(before)))
        };
        let state = state(earlier);
        let begun = clock.long(before);
        format!("{} {begun}, {apart}: {}", state.text, earlier.id)
    });
    let compared = changes.compared.as_deref().map(|compared| match compared {
        "sent" => "what was sent upstream".to_owned(),
        "asked" => "what the clients asked".to_owned(),
        other => text::line(other),
    });
    let cached = verdict.cached.as_deref().map(text::line);
    let all = [
        ("earlier", earlier),
        ("compared", compared),
        ("same", Some(text::line(&verdict.same))),
        ("cached", cached),
    ];
    let known = all
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    let hints = verdict.hints.iter().map(|hint| ("hint", text::line(hint)));
    known.chain(hints).collect()
}

fn settings(verdict: &Verdict, paper: Paper) -> Vec<String> {
    if verdict.settings.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![String::new(), paper.paint("SETTINGS THAT DIFFER", TITLE)];
    for setting in &verdict.settings {
        let [name, earlier, now] =
            [&setting.name, &setting.earlier, &setting.now].map(|text| text::line(text));
        lines.extend(wrapped(&format!("{name}: {earlier} → {now}"), 2, paper));
    }
    lines
}

fn difference(change: &Difference, paper: Paper) -> Vec<String> {
    let label = text::line(&change.label);
    let (head, style) = match change.kind.as_str() {
        "same" => (format!("= {label}: the same"), ASIDE),
        "cache_end" => (
            "┄ a cache of the earlier turn ends here ┄".to_owned(),
            colour(AnsiColor::Yellow),
        ),
        kind => (format!("{kind} {label}"), TITLE),
    };
    let mut lines: Vec<String> = wrapped(&head, 2, paper)
        .into_iter()
        .map(|line| paper.paint(&line, style))
        .collect();
    for line in &change.lines {
        lines.extend(changed_line(line, paper));
    }
    if change.cut {
        lines.push(paper.paint("    … more lines, which are not shown", ASIDE));
    }
    lines
}

fn changed_line(line: &Line, paper: Paper) -> Vec<String> {
    let (sign, style) = match line.sign.as_str() {
        "plus" => ("+", colour(AnsiColor::Green)),
        "minus" => ("-", colour(AnsiColor::Red)),
        "gap" => ("⋯", ASIDE),
        _ => (" ", ASIDE),
    };
    // Blanks at the beginning of a line are a part of what changed.
    let shown = text::lines(&line.text).replace('\n', "⏎");
    let places = paper.width.map(|width| width.saturating_sub(6));
    let mut rows = text::wrap(&shown, places);
    if rows.is_empty() {
        rows.push(String::new());
    }
    let rows = rows.into_iter().map(|row| format!("    {sign} {row}"));
    rows.map(|row| paper.paint(row.trim_end(), style)).collect()
}

/// A value with its name before it.
fn named(name: &str, value: &str, paper: Paper) -> Vec<String> {
    let rows = wrapped(value, NAMES + 2, paper).into_iter().enumerate();
    let with_name = rows.map(|(number, row)| match number {
        0 => text::left(&format!("  {name}"), NAMES + 2) + row.trim_start(),
        _ => row,
    });
    with_name.collect()
}

/// A text in lines that begin with so many blanks.
fn wrapped(text: &str, blanks: usize, paper: Paper) -> Vec<String> {
    let places = paper.width.map(|width| width.saturating_sub(blanks));
    let rows = text::wrap(&text::line(text), places).into_iter();
    rows.map(|row| format!("{:blanks$}{row}", "")).collect()
}
