//! The targets that the project set itself, and whether this run reached them.
//!
//! A miss is printed, never an exit code: this is a benchmark, and machines differ. On the machine for which the limits of
//! requests were chosen, nginx added 14 µs at 1 KB and 20 at 96, and used 13 and 23 µs of processor time; beside each
//! such limit stands the same one as a multiple of nginx's, which means the same on a faster or slower machine.

use std::io::{self, Write};

use crate::crowd::Fresh;
use crate::report::{KILOBYTE, MEGABYTE, added, collect};
use crate::rig::{Results, Rounds};
use crate::scenario::Sample;
use crate::stats::{least, median};
use crate::target::Way;

/// One target with what was measured.
#[derive(Debug)]
pub(crate) struct Goal {
    pub(crate) what: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) limit: Limit,
    /// The median of the rounds; nothing when the load was left out.
    pub(crate) measured: Option<f64>,
    /// The best round.
    pub(crate) best: Option<f64>,
    /// The median of the other build, if one was given.
    pub(crate) also: Option<f64>,
    /// What the bare libraries measure, below which nothing that is built on them can come.
    pub(crate) bare: Option<f64>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    /// Whether it was reached, when it was measured.
    pub(crate) fn is_reached(&self) -> Option<bool> {
        let measured = self.measured?;
        Some(match self.limit {
            Limit::AtMost(limit) => measured <= limit,
            Limit::AtLeast(limit) => measured >= limit,
        })
    }
}

/// All targets, in the order in which they were set.
pub(crate) fn all(results: &Results) -> Vec<Goal> {
    let mut goals = requests(results);
    goals.extend(streams(results));
    goals.extend(footprint(results));
    goals
}

fn requests(results: &Results) -> Vec<Goal> {
    const TIMES_NGINX: &str = "… as a multiple of nginx's";
    let (small, turn) = ("closed/1kb/1", "closed/96kb/1");
    let added_p50 = |load| move |way| change(results, load, way, |sample| Some(sample.p50));
    let cpu = |load| move |way| of(results, load, way, |sample| sample.cpu);
    let share = |way| share_of_nginx(results, "closed/1kb/16", way);
    vec![
        at_most(45.0, "µs", "added p50, 1 KB", added_p50(small)),
        at_most(3.2, "×", TIMES_NGINX, times_nginx(added_p50(small))),
        at_most(200.0, "µs", "added p50, 96 KB", added_p50(turn)),
        at_most(10.0, "×", TIMES_NGINX, times_nginx(added_p50(turn))),
        at_most(60.0, "µs", "CPU a request, 1 KB", cpu(small)),
        at_most(4.6, "×", TIMES_NGINX, times_nginx(cpu(small))),
        at_most(250.0, "µs", "CPU a request, 96 KB", cpu(turn)),
        at_most(10.9, "×", TIMES_NGINX, times_nginx(cpu(turn))),
        at_least(40.0, "%", "req/s of nginx's, 1 KB, 16 connections", share),
    ]
}

fn streams(results: &Results) -> Vec<Goal> {
    let later = |load| {
        move |way| -> Vec<f64> {
            let later = change(results, load, way, |sample| sample.first_token);
            later.into_iter().map(|micros| micros / 1e3).collect()
        }
    };
    let chunk = |load| move |way| of(results, load, way, |sample| sample.cpu_per_chunk);
    let (small, turn) = ("first-token/1kb/3x1", "first-token/96kb/3x1");
    let (at_once, one_by_one, paced) = (
        "stream-at-once/1kb/200x16",
        "stream-one-by-one/1kb/200x16",
        "stream-paced/1kb/150x32",
    );
    vec![
        at_most(0.4, "ms", "first token later, 1 KB", later(small)),
        at_most(0.7, "ms", "first token later, 96 KB", later(turn)),
        at_most(8.0, "µs", "CPU a chunk, all at once", chunk(at_once)),
        at_most(8.0, "µs", "CPU a chunk, one by one", chunk(one_by_one)),
        at_most(8.0, "µs", "CPU a chunk, 5 ms apart", chunk(paced)),
    ]
}

fn footprint(results: &Results) -> Vec<Goal> {
    let per_stream = |opened| {
        move |way| {
            fresh(results, opened, way, |fresh| {
                Some(fresh.per_stream? / KILOBYTE)
            })
        }
    };
    let idle = |way| {
        fresh(results, "streams-", way, |fresh| {
            Some(fresh.idle? / MEGABYTE)
        })
    };
    let ready = |way| fresh(results, "streams-", way, |fresh| fresh.ready_ms);
    let (in_turn, at_once) = (per_stream("streams-in-turn"), per_stream("streams-at-once"));
    vec![
        at_most(50.0, "KB", "memory a stream, opened in turn", in_turn),
        at_most(50.0, "KB", "memory a stream, opened at once", at_once),
        at_most(25.0, "MB", "memory idle", idle),
        at_most(100.0, "ms", "ready after", ready),
    ]
}

/// Prints them.
pub(crate) fn print(goals: &[Goal]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "targets{:>46}{:>12}{:>12}{:>14}{:>12}",
        "measured", "best", "also", "limit", "bare"
    )?;
    for goal in goals {
        let word = match goal.is_reached() {
            Some(true) => "reached",
            Some(false) => "missed",
            None => "not run",
        };
        let value = |value: Option<f64>| {
            value.map_or_else(|| "–".to_owned(), |value| format!("{value:.2}"))
        };
        let limit = match goal.limit {
            Limit::AtMost(limit) => format!("≤ {limit} {}", goal.unit),
            Limit::AtLeast(limit) => format!("≥ {limit} {}", goal.unit),
        };
        writeln!(
            out,
            "  {:<39}{:>12}{:>12}{:>12}{limit:>14}{:>12}  {word}",
            goal.what,
            value(goal.measured),
            value(goal.best),
            value(goal.also),
            value(goal.bare)
        )?;
    }
    Ok(())
}

fn at_most(
    limit: f64,
    unit: &'static str,
    what: &'static str,
    rounds: impl Fn(Way) -> Vec<f64>,
) -> Goal {
    let dagway = rounds(Way::Dagway);
    Goal {
        what,
        unit,
        limit: Limit::AtMost(limit),
        measured: median(dagway.iter().copied()),
        best: least(dagway.iter().copied()),
        also: median(rounds(Way::Also)),
        bare: median(rounds(Way::Bare)),
    }
}

fn at_least(
    limit: f64,
    unit: &'static str,
    what: &'static str,
    rounds: impl Fn(Way) -> Vec<f64>,
) -> Goal {
    let best = least(rounds(Way::Dagway).iter().map(|value| -value));
    Goal {
        limit: Limit::AtLeast(limit),
        best: best.map(|value| -value),
        ..at_most(limit, unit, what, rounds)
    }
}

fn load<'a>(results: &'a Results, name: &str) -> Option<&'a Rounds<Sample>> {
    results.loads.iter().find(|rounds| rounds.name == name)
}

fn of(results: &Results, name: &str, way: Way, figure: fn(&Sample) -> Option<f64>) -> Vec<f64> {
    load(results, name)
        .map(|rounds| collect(rounds.of(way), figure))
        .unwrap_or_default()
}

fn change(results: &Results, name: &str, way: Way, figure: fn(&Sample) -> Option<f64>) -> Vec<f64> {
    load(results, name)
        .map(|rounds| added(rounds, way, figure))
        .unwrap_or_default()
}

/// A figure of each round, divided by nginx's.
fn times_nginx(rounds: impl Fn(Way) -> Vec<f64>) -> impl Fn(Way) -> Vec<f64> {
    move |way| {
        // A single round of nginx's can come out near nothing; its median is a sound divisor.
        let nginx = median(rounds(Way::Nginx)).filter(|nginx| *nginx > 0.0);
        nginx
            .map(|nginx| rounds(way).into_iter().map(|ours| ours / nginx).collect())
            .unwrap_or_default()
    }
}

fn share_of_nginx(results: &Results, name: &str, way: Way) -> Vec<f64> {
    let Some(rounds) = load(results, name) else {
        return Vec::new();
    };
    let pairs = rounds.of(way).iter().zip(rounds.of(Way::Nginx));
    pairs
        .map(|(ours, nginx)| 100.0 * ours.per_second / nginx.per_second)
        .collect()
}

/// Of the first crowd whose name begins so.
fn fresh(results: &Results, name: &str, way: Way, figure: fn(&Fresh) -> Option<f64>) -> Vec<f64> {
    let mut crowds = results.crowds.iter();
    let first = crowds.find(|crowd| crowd.name.starts_with(name));
    first
        .map(|rounds| rounds.of(way).iter().filter_map(figure).collect())
        .unwrap_or_default()
}
