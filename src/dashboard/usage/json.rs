//! What runs use as the run API tells it.

use std::time::Duration;

use actix_web::HttpRequest;
use serde_json::{Map, Value, json};

use super::asked::Asked;
use super::find;
use crate::dashboard::page::Failure;
use crate::dashboard::{Dashboard, format};
use crate::store::Totals;

/// What `GET /api/usage` answers: groups, those that cost most first, and the slots of time in which a run began. A group
/// without a name has the name `null`; a run that a fallback replaced counts as that, and in no state; the first slot may begin before `since`.
pub(in crate::dashboard) async fn answer(
    dashboard: &Dashboard,
    request: &HttpRequest,
) -> Result<Value, Failure> {
    let asked = Asked::of(request)?;
    let found = find(dashboard, &asked).await?;
    let groups = found.groups.iter();
    let groups = groups.map(|(name, totals)| with_figures("name", name.as_deref().into(), totals));
    let slots = found.slots.iter();
    let slots =
        slots.map(|(from, totals)| with_figures("from", format::rfc3339(*from).into(), totals));
    let filter = &asked.query.filter;
    Ok(json!({
        "by": asked.grouping.name,
        "since": filter.since.map(format::rfc3339),
        "until": filter.until.map(format::rfc3339),
        "total": figures(&found.all),
        "groups": groups.collect::<Vec<_>>(),
        "groups_left_out": found.left_out,
        "slot_ms": found.axis.slot.as_millis(),
        "slots": slots.collect::<Vec<_>>(),
    }))
}

fn with_figures(key: &str, value: Value, totals: &Totals) -> Value {
    let mut told = Map::from_iter([(key.to_owned(), value)]);
    told.extend(figures(totals));
    Value::Object(told)
}

fn figures(totals: &Totals) -> Map<String, Value> {
    let by_state = totals.by_state.iter();
    let by_state = by_state.map(|(state, runs)| (state.name().to_owned(), (*runs).into()));
    let millis = |duration: Duration| duration.as_secs_f64() * 1e3;
    let [p50, p95] = match totals.duration_p50_p95 {
        Some((half, most)) => [Some(millis(half)), Some(millis(most))],
        None => [None, None],
    };
    let figures: [(&str, Value); 11] = [
        ("runs", totals.runs().into()),
        ("by_state", Value::Object(by_state.collect())),
        ("replaced", totals.replaced.into()),
        ("input_tokens", totals.input_tokens.into()),
        ("cache_read_tokens", totals.cache_read_tokens.into()),
        ("output_tokens", totals.output_tokens.into()),
        ("cost_usd", totals.cost_usd.into()),
        ("estimated", totals.estimated.into()),
        ("duration_ms", millis(totals.duration).into()),
        ("p50_ms", p50.into()),
        ("p95_ms", p95.into()),
    ];
    figures
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect()
}
