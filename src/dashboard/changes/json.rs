//! A comparison as the run API tells it. It must not know how it is shown.

use serde_json::{Value, json};

use super::diff::{self, Group, Line};
use super::{Form, Pair, verdict};
use crate::dashboard::api::Summary;
use crate::events::Timestamp;
use crate::store::RunSummary;

/// What became of an earlier turn's request.
pub(super) fn of(pair: &Pair, now: Timestamp) -> Value {
    let (before, after) = (&pair.earlier.request.pieces, &pair.later.request.pieces);
    let diff = diff::between(before, after);
    let verdict = verdict::judge(&pair.earlier, &pair.later, diff.same_first);
    let settings = verdict
        .settings
        .iter()
        .map(|(name, earlier, now)| json!({ "name": name, "earlier": earlier, "now": now }));
    let settings: Vec<Value> = settings.collect();
    json!({
        "run": Summary::new(&pair.later.run, now),
        "earlier": Summary::new(&pair.earlier.run, now),
        "nothing": null,
        "compared": match pair.form {
            Form::Sent => "sent",
            Form::Asked => "asked",
        },
        "verdict": {
            "sentence": verdict.sentence,
            "goes_on": verdict.goes_on,
            "same_first": diff.same_first,
            "parts": before.len(),
            "same": verdict.same,
            "cached": verdict.cached,
            "hints": verdict.hints,
            "settings": settings,
        },
        "changes": diff.groups.iter().map(group).collect::<Vec<_>>(),
        "left_out": diff.left_out,
    })
}

/// Why there is nothing to compare.
pub(super) fn of_nothing(run: &RunSummary, why: &str, now: Timestamp) -> Value {
    json!({
        "run": Summary::new(run, now),
        "earlier": null,
        "nothing": why,
        "compared": null,
        "verdict": null,
        "changes": [],
        "left_out": 0,
    })
}

fn group(group: &Group) -> Value {
    match group {
        Group::Same { what } => json!({ "kind": "same", "label": what }),
        Group::CacheEnd => json!({ "kind": "cache_end" }),
        Group::Other(other) => json!({
            "kind": other.kind.name(),
            "label": other.label,
            "lines": other.lines.iter().map(line).collect::<Vec<_>>(),
            "cut": other.cut,
        }),
    }
}

fn line(line: &Line) -> Value {
    let parts = line.parts.iter().map(|(_, text)| text.as_str());
    json!({ "sign": line.sign.class(), "text": parts.collect::<String>() })
}
