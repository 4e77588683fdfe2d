//! Values as every database keeps them, read back: states, counts, figures, pages, plans, packed texts.
//!
//! It must not know which database they come from.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::events::{FactValue, PlanInfo, State};
use crate::store::Error;
use crate::store::block::unpack;
use crate::store::model::{RunPage, RunSummary};

/// The columns of a run's row that make a [`RunSummary`], in the order in which every engine reads them.
pub(crate) const COLUMNS: &str = "id, state, streaming, workflow, plan, request_id, trace_id, started, replied, ended, error, pieces, bytes, facts";

/// Reads the name of a state.
pub(crate) fn state(name: &str) -> Result<State, Error> {
    State::from_name(name).ok_or_else(|| Error::Corrupt(format!("a run in the state `{name}`")))
}

/// Databases count with signed integers.
pub(crate) fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Reads the figures of a run.
pub(crate) fn facts(json: &str) -> Result<BTreeMap<String, FactValue>, Error> {
    use serde_json::Value as Json;
    let members: serde_json::Map<String, Json> = serde_json::from_str(json)
        .map_err(|error| Error::Corrupt(format!("the figures of a run: {error}")))?;
    let value = |value| match value {
        Json::String(text) => Some(FactValue::from(text)),
        Json::Bool(flag) => Some(FactValue::Bool(flag)),
        Json::Number(number) => match number.as_i64() {
            Some(int) => Some(FactValue::Int(int)),
            None => number.as_f64().map(FactValue::Float),
        },
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    };
    let members = members.into_iter();
    Ok(members
        .filter_map(|(name, member)| Some((name, value(member)?)))
        .collect())
}

/// A page of the newest `limit` runs out of those found, which are more when there are more.
pub(crate) fn newest(mut found: Vec<RunSummary>, limit: usize) -> RunPage {
    found.sort_unstable_by_key(|run| Reverse(run.id));
    page(found, limit)
}

/// A page of the first `limit` runs out of those found, which are more when there are more.
pub(crate) fn page(mut found: Vec<RunSummary>, limit: usize) -> RunPage {
    let has_more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| has_more).map(|last| last.id);
    RunPage { runs: found, next }
}

/// Reads a plan.
pub(crate) fn plan(hash: &str, info: &str) -> Result<PlanInfo, Error> {
    serde_json::from_str(info).map_err(|error| Error::Corrupt(format!("plan {hash}: {error}")))
}

/// Unpacks a text that is `bytes` long.
pub(crate) fn unpacked(bytes: i64, data: Vec<u8>) -> Result<Vec<u8>, Error> {
    let length = usize::try_from(bytes).ok();
    length
        .and_then(|length| unpack(data, length))
        .ok_or_else(|| Error::Corrupt("a text that cannot be unpacked".to_owned()))
}
