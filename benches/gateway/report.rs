//! What is printed: a table for each load, in absolute numbers and as ratios to nginx and to the bare libraries in
//! the same run.
//!
//! A figure is the median of the rounds, with the best round in parentheses where one is shown. Differences to the direct
//! way are taken round by round.

use std::io::{self, Write};

use crate::cpu;
use crate::crowd::Fresh;
use crate::rig::{Results, Rounds};
use crate::scenario::Sample;
use crate::stats::{least, median};
use crate::target::Way;

/// The line about the machine.
pub(crate) fn machine(workers: usize) -> io::Result<()> {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "machine: {cores} cores, {}, load average {}; {workers} workers each",
        cpu::model_name(),
        cpu::load_average()
    )?;
    writeln!(
        out,
        "dagway records every run and exports every trace; bare is its two HTTP libraries with nothing between them\n\
         figures are medians of the rounds (best round)\n"
    )
}

/// The table of one load.
pub(crate) fn load(rounds: &Rounds<Sample>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{:<28}{:>9}{:>9}{:>10}{:>18}{:>9}{:>10}{:>18}{:>9}{:>12}",
        rounds.name,
        "p50 µs",
        "p99 µs",
        "max µs",
        "added p50",
        "+ p99",
        "req/s",
        "CPU µs",
        "/chunk",
        "token later"
    )?;
    for (way, samples) in &rounds.by_way {
        let middle = |figure: fn(&Sample) -> f64| median(samples.iter().map(figure));
        writeln!(
            out,
            "  {:<26}{:>9}{:>9}{:>10}{:>18}{:>9}{:>10}{:>18}{:>9}{:>12}",
            way.name(),
            number(middle(|sample| sample.p50)),
            number(middle(|sample| sample.p99)),
            number(middle(|sample| sample.max)),
            both(&added(rounds, *way, |sample| Some(sample.p50))),
            number(median(added(rounds, *way, |sample| Some(sample.p99)))),
            number(middle(|sample| sample.per_second)),
            both(&collect(samples, |sample| sample.cpu)),
            number(median(collect(samples, |sample| sample.cpu_per_chunk))),
            number(median(added(rounds, *way, |sample| sample.first_token))),
        )?;
        faults(&mut out, *way, samples)?;
    }
    for way in [Way::Dagway, Way::Also] {
        for yardstick in [Way::Nginx, Way::Bare] {
            if [yardstick, way]
                .iter()
                .all(|way| !rounds.of(*way).is_empty())
            {
                ratio_row(&mut out, rounds, way, yardstick)?;
            }
        }
    }
    threads(&mut out, rounds.of(Way::Dagway))?;
    writeln!(out)
}

/// Which threads of Dagway used the processor, the busiest first.
fn threads(out: &mut impl Write, samples: &[Sample]) -> io::Result<()> {
    let mut names: Vec<(&String, f64)> = Vec::new();
    for name in samples
        .iter()
        .flat_map(|sample| sample.cpu_by_thread.keys())
    {
        if names.iter().all(|(known, _)| *known != name) {
            let rounds = samples
                .iter()
                .map(|sample| sample.cpu_by_thread.get(name).copied().unwrap_or(0.0));
            names.push((name, median(rounds).unwrap_or(0.0)));
        }
    }
    names.sort_unstable_by(|left, right| right.1.total_cmp(&left.1));
    names.retain(|(_, micros)| *micros >= 0.1);
    if names.is_empty() {
        return Ok(());
    }
    let parts = names
        .iter()
        .map(|(name, micros)| format!("{name} {}", number(Some(*micros))));
    writeln!(
        out,
        "  of dagway's CPU µs: {}",
        parts.collect::<Vec<_>>().join(" · ")
    )
}

fn ratio_row(
    out: &mut impl Write,
    rounds: &Rounds<Sample>,
    way: Way,
    yardstick: Way,
) -> io::Result<()> {
    let of = |figure: fn(&Sample) -> Option<f64>| {
        ratio(
            median(collect(rounds.of(way), figure)),
            median(collect(rounds.of(yardstick), figure)),
        )
    };
    let of_added = |figure: fn(&Sample) -> Option<f64>| {
        ratio(
            median(added(rounds, way, figure)),
            median(added(rounds, yardstick, figure)),
        )
    };
    writeln!(
        out,
        "  {:<26}{:>9}{:>9}{:>10}{:>18}{:>9}{:>10}{:>18}{:>9}{:>12}",
        format!("{} ÷ {}", way.name(), yardstick.name()),
        of(|sample| Some(sample.p50)),
        of(|sample| Some(sample.p99)),
        of(|sample| Some(sample.max)),
        of_added(|sample| Some(sample.p50)),
        of_added(|sample| Some(sample.p99)),
        of(|sample| Some(sample.per_second)),
        of(|sample| sample.cpu),
        of(|sample| sample.cpu_per_chunk),
        of_added(|sample| sample.first_token),
    )
}

fn faults(out: &mut impl Write, way: Way, samples: &[Sample]) -> io::Result<()> {
    let failures: u64 = samples.iter().map(|sample| sample.failures).sum();
    if let Some(first) = samples
        .iter()
        .find_map(|sample| sample.first_failure.as_deref())
    {
        writeln!(
            out,
            "  ! {}: {failures} requests failed, the first because: {first}",
            way.name()
        )?;
    }
    let is_off = |calls: &f64| (calls - 1.0).abs() > 0.001;
    if let Some(calls) = samples
        .iter()
        .map(|sample| sample.upstream_calls)
        .find(is_off)
    {
        writeln!(
            out,
            "  ! {}: the upstream was called {calls:.3} times for each request",
            way.name()
        )?;
    }
    Ok(())
}

/// The table of fresh processes with many open streams.
pub(crate) fn crowd(rounds: &Rounds<Fresh>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{:<28}{:>18}{:>18}{:>18}{:>10}{:>10}{:>10}{:>9}{:>9}",
        rounds.name,
        "ready ms",
        "idle MB",
        "KB/stream",
        "peak MB",
        "complete",
        "at once",
        "s",
        "/chunk"
    )?;
    for (way, samples) in &rounds.by_way {
        let scaled = |figure: fn(&Fresh) -> Option<f64>, unit: f64| -> Vec<f64> {
            samples
                .iter()
                .filter_map(figure)
                .map(|value| value / unit)
                .collect()
        };
        let completed: usize = samples.iter().map(|fresh| fresh.completed).sum();
        let failed: usize = samples.iter().map(|fresh| fresh.failures).sum();
        let at_once = samples.iter().map(|fresh| fresh.open_at_once).min();
        writeln!(
            out,
            "  {:<26}{:>18}{:>18}{:>18}{:>10}{:>10}{:>10}{:>9}{:>9}",
            way.name(),
            both(&scaled(|fresh| fresh.ready_ms, 1.0)),
            both(&scaled(|fresh| fresh.idle, MEGABYTE)),
            both(&scaled(|fresh| fresh.per_stream, KILOBYTE)),
            number(median(scaled(|fresh| fresh.peak, MEGABYTE))),
            format!("{completed}/{}", completed + failed),
            at_once.unwrap_or(0),
            number(median(samples.iter().map(|fresh| fresh.seconds))),
            number(median(scaled(|fresh| fresh.cpu_per_chunk, 1.0))),
        )?;
        if let Some(first) = samples
            .iter()
            .find_map(|fresh| fresh.first_failure.as_deref())
        {
            writeln!(
                out,
                "  ! {}: {failed} streams failed, the first because: {first}",
                way.name()
            )?;
        }
    }
    writeln!(out)
}

/// What belongs to no single load.
pub(crate) fn ending(results: &Results) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for (way, peak) in &results.peaks {
        writeln!(
            out,
            "{}: resident memory was {:.1} MB at most over all loads",
            way.name(),
            peak / MEGABYTE
        )?;
    }
    let (exports, bytes) = results.exported;
    writeln!(
        out,
        "traces: {exports} exports with {:.1} MB came in; load average at the end {}\n",
        bytes as f64 / MEGABYTE,
        cpu::load_average()
    )
}

pub(crate) const KILOBYTE: f64 = 1024.0;
pub(crate) const MEGABYTE: f64 = 1024.0 * 1024.0;

/// The figure in each round that has it.
pub(crate) fn collect(samples: &[Sample], figure: fn(&Sample) -> Option<f64>) -> Vec<f64> {
    samples.iter().filter_map(figure).collect()
}

/// By how much a way exceeds the direct one, round by round; nothing for the direct way itself.
pub(crate) fn added(
    rounds: &Rounds<Sample>,
    way: Way,
    figure: fn(&Sample) -> Option<f64>,
) -> Vec<f64> {
    if way == Way::Direct {
        return Vec::new();
    }
    let pairs = rounds.of(way).iter().zip(rounds.of(Way::Direct));
    pairs
        .filter_map(|(sample, direct)| Some(figure(sample)? - figure(direct)?))
        .collect()
}

fn ratio(dagway: Option<f64>, yardstick: Option<f64>) -> String {
    match (dagway, yardstick) {
        (Some(dagway), Some(yardstick)) if yardstick > 0.0 => {
            format!("{:.2}×", dagway / yardstick)
        }
        _ => String::new(),
    }
}

fn both(values: &[f64]) -> String {
    match (
        median(values.iter().copied()),
        least(values.iter().copied()),
    ) {
        (Some(middle), Some(best)) => format!("{} ({})", number(Some(middle)), number(Some(best))),
        _ => String::new(),
    }
}

/// Enough digits to see a difference, and no more.
pub(crate) fn number(value: Option<f64>) -> String {
    match value {
        None => String::new(),
        Some(value) if value.abs() < 100.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.0}"),
    }
}
