//! Every round's figures as JSON, for comparing runs by program.

use serde_json::{Map, Value, json};

use crate::cpu;
use crate::crowd::Fresh;
use crate::goals::{Goal, Limit};
use crate::rig::{Results, Rounds};
use crate::scenario::Sample;

/// The document that `--json` writes.
pub(crate) fn document(results: &Results, goals: &[Goal]) -> Value {
    json!({
        "machine": {
            "cores": std::thread::available_parallelism().map_or(0, usize::from),
            "processor": cpu::model_name(),
            "load_average_at_end": cpu::load_average(),
        },
        "loads": loads(&results.loads, sample),
        "fresh": loads(&results.crowds, fresh),
        "peak_bytes": results.peaks.iter().map(|(way, peak)| (way.name().to_owned(), json!(peak))).collect::<Map<_, _>>(),
        "traces": {"exports": results.exported.0, "bytes": results.exported.1},
        "targets": goals.iter().map(goal).collect::<Vec<_>>(),
    })
}

fn loads<T>(all: &[Rounds<T>], show: fn(&T) -> Value) -> Value {
    let of = |rounds: &Rounds<T>| {
        let ways = rounds.by_way.iter().map(|(way, samples)| {
            (
                way.name().to_owned(),
                samples.iter().map(show).collect::<Value>(),
            )
        });
        (rounds.name.clone(), Value::Object(ways.collect()))
    };
    Value::Object(all.iter().map(of).collect())
}

fn sample(sample: &Sample) -> Value {
    json!({
        "requests": sample.requests, "p50_us": sample.p50, "p99_us": sample.p99, "max_us": sample.max,
        "per_second": sample.per_second, "first_token_us": sample.first_token, "cpu_us": sample.cpu,
        "cpu_us_per_chunk": sample.cpu_per_chunk, "cpu_us_by_thread": sample.cpu_by_thread, "failures": sample.failures, "first_failure": sample.first_failure,
        "upstream_calls": sample.upstream_calls,
    })
}

fn fresh(fresh: &Fresh) -> Value {
    json!({
        "ready_ms": fresh.ready_ms, "idle_bytes": fresh.idle, "bytes_per_stream": fresh.per_stream, "peak_bytes": fresh.peak,
        "completed": fresh.completed, "failures": fresh.failures, "first_failure": fresh.first_failure,
        "open_at_once": fresh.open_at_once, "seconds": fresh.seconds, "cpu_us_per_chunk": fresh.cpu_per_chunk,
    })
}

fn goal(goal: &Goal) -> Value {
    let (kind, limit) = match goal.limit {
        Limit::AtMost(limit) => ("at_most", limit),
        Limit::AtLeast(limit) => ("at_least", limit),
    };
    json!({
        "what": goal.what, "unit": goal.unit, kind: limit, "measured": goal.measured, "best": goal.best,
        "also": goal.also, "bare": goal.bare,
        "reached": goal.is_reached(),
    })
}
