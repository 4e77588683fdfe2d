//! A filter as SQL, and a row as a run.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use crate::events::{FactValue, RunId, State, Timestamp};
use crate::store::Error;
use crate::store::model::{RunFilter, RunPage, RunSummary};

/// The columns that [`summary`] reads, in its order.
pub(super) const COLUMNS: &str = "id, state, streaming, workflow, plan, request_id, trace_id, started, replied, ended, error, pieces, bytes, facts";

/// A page of the runs that `filter` lets through.
pub(super) fn page(
    connection: &Connection,
    filter: &RunFilter,
    after: Option<RunId>,
    limit: u16,
) -> Result<RunPage, Error> {
    let limit = usize::from(limit);
    let mut runs = Vec::new();
    for conditions in Conditions::lists(filter, after) {
        let sql = conditions.list(limit + 1);
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(conditions.values))?;
        while let Some(row) = rows.next()? {
            runs.push(summary(row)?);
        }
    }
    runs.sort_unstable_by_key(|run| Reverse(run.id));
    let has_more = runs.len() > limit;
    runs.truncate(limit);
    let next = runs.last().filter(|_| has_more).map(|last| last.id);
    Ok(RunPage { runs, next })
}

/// Reads a row of [`COLUMNS`].
pub(super) fn summary(row: &Row<'_>) -> Result<RunSummary, Error> {
    let time = |index| row.get::<_, Option<i64>>(index).map(|at| at.map(Timestamp));
    let trace_id = u128::from_be_bytes(row.get(6)?);
    Ok(RunSummary {
        id: RunId::from_bytes(row.get(0)?),
        state: state(row.get_ref(1)?.as_str().unwrap_or_default())?,
        streaming: row.get(2)?,
        workflow: row.get(3)?,
        plan: row.get(4)?,
        request_id: row.get(5)?,
        trace_id: format!("{trace_id:032x}"),
        started: Timestamp(row.get(7)?),
        replied: time(8)?,
        ended: time(9)?,
        error: row.get(10)?,
        pieces: count(row.get(11)?),
        bytes: count(row.get(12)?),
        facts: facts(row.get_ref(13)?.as_str().unwrap_or_default())?,
    })
}

/// Reads the name of a state.
pub(super) fn state(name: &str) -> Result<State, Error> {
    State::from_name(name).ok_or_else(|| Error::Corrupt(format!("a run in the state `{name}`")))
}

/// SQLite's integers are signed.
pub(super) fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn facts(json: &str) -> Result<BTreeMap<String, FactValue>, Error> {
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

/// What runs have to satisfy, as SQL with its values.
#[derive(Default)]
pub(super) struct Conditions {
    conditions: Vec<String>,
    values: Vec<Value>,
}

impl Conditions {
    /// What `filter` says of runs older than `after`, as lists to be merged, each of which one index gives in order.
    ///
    /// Without statistics SQLite does not know which index narrows most, and sorts what it gets by another one;
    /// a `+` before a column keeps it from using that column's index.
    pub(super) fn lists(filter: &RunFilter, after: Option<RunId>) -> Vec<Self> {
        let is_one_list = filter.session.is_some() || filter.states.is_empty();
        let mut lists = Vec::new();
        if is_one_list {
            let mut list = Self::of(filter, after);
            if !filter.states.is_empty() {
                let marks = vec!["?"; filter.states.len()].join(", ");
                let names = filter.states.iter().map(|state| text(state.name()));
                list.add(&format!("+state IN ({marks})"), names);
            }
            lists.push(list);
            return lists;
        }
        let is_wanted = |state: &State| filter.states.contains(state);
        for state in State::ALL.into_iter().filter(is_wanted) {
            let mut list = Self::of(filter, after);
            list.add("state = ?", [text(state.name())]);
            lists.push(list);
        }
        lists
    }

    /// All that `filter` says except for the states.
    fn of(filter: &RunFilter, after: Option<RunId>) -> Self {
        let mut all = Self::default();
        if let Some(after) = after {
            all.add("id < ?", [blob(after)]);
        }
        if let Some(session) = &filter.session {
            all.add("session = ?", [text(session)]);
        }
        if let Some(request_id) = &filter.request_id {
            // A request id is made from the run's id, by which the run is found at once.
            if let Some(id) = RunId::of_request(request_id) {
                all.add("id = ?", [blob(id)]);
            }
            all.add("request_id = ?", [text(request_id)]);
        }
        if let Some(workflow) = &filter.workflow {
            let is_narrowest = filter.session.is_none() && filter.states.is_empty();
            let column = if is_narrowest {
                "workflow"
            } else {
                "+workflow"
            };
            all.add(&format!("{column} = ?"), [text(workflow)]);
        }
        if let Some(model) = &filter.model {
            all.add("models LIKE ? ESCAPE '\\'", [containing(model)]);
        }
        if let Some(words) = &filter.search {
            all.search(words.trim());
        }
        if let Some(since) = filter.since {
            all.since(since);
        }
        if let Some(until) = filter.until {
            all.until(until);
        }
        all.at_least(filter.min_duration, filter.min_cost);
        all
    }

    /// Runs accepted at or after `since`. The id narrows the rows to look at, since it is made at acceptance.
    pub(super) fn since(&mut self, since: Timestamp) {
        let first = first_id(Timestamp(since.0.saturating_sub(CLOCK_SLACK)));
        self.add("id >= ?", [blob(first)]);
        self.add("started >= ?", [Value::from(since.0)]);
    }

    fn until(&mut self, until: Timestamp) {
        let last = first_id(Timestamp(until.0.saturating_add(CLOCK_SLACK)));
        self.add("id < ?", [blob(last)]);
        self.add("started < ?", [Value::from(until.0)]);
    }

    fn at_least(&mut self, duration: Option<Duration>, cost: Option<f64>) {
        if let Some(duration) = duration {
            let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
            let values = [Timestamp::now().0, micros].map(Value::from);
            self.add("ifnull(ended, ?) - started >= ?", values);
        }
        if let Some(cost) = cost {
            self.add("cost_usd >= ?", [Value::from(cost)]);
        }
    }

    fn search(&mut self, words: &str) {
        let mut columns = vec!["error", "models", "session", "request_id"];
        let mut values = vec![containing(words); columns.len()];
        // A run's id is shown with hyphens and stored without. Few digits occur in many ids by chance.
        let digits = words.replace('-', "");
        if digits.len() >= MEANT_AS_ID && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            columns.push("hex(id)");
            values.push(containing(&digits));
        }
        let tests: Vec<String> = columns
            .iter()
            .map(|column| format!("{column} LIKE ? ESCAPE '\\'"))
            .collect();
        self.add(&format!("({})", tests.join(" OR ")), values);
    }

    fn add(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.conditions.push(condition.to_owned());
        self.values.extend(values);
    }

    /// The newest `limit` runs that satisfy them.
    fn list(&self, limit: usize) -> String {
        let clause = self.clause();
        format!("SELECT {COLUMNS} FROM runs{clause} ORDER BY id DESC LIMIT {limit}")
    }

    /// The `WHERE` clause; empty when everything is let through.
    pub(super) fn clause(&self) -> String {
        if self.conditions.is_empty() {
            return String::new();
        }
        format!(" WHERE {}", self.conditions.join(" AND "))
    }

    /// The values of its question marks.
    pub(super) fn into_values(self) -> Vec<Value> {
        self.values
    }
}

/// A search for fewer hexadecimal digits, such as `529`, does not mean a run's id.
const MEANT_AS_ID: usize = 6;

/// How far the clock may be set while a request is accepted: an hour, in microseconds.
const CLOCK_SLACK: i64 = 3_600_000_000;

/// The smallest id of a run accepted at `at`: UUIDs of version 7 begin with the milliseconds in 48 bits.
fn first_id(at: Timestamp) -> RunId {
    let millis = u128::try_from(at.0.max(0) / 1000).unwrap_or(0);
    RunId::from_bytes((millis << 80).to_be_bytes())
}

fn blob(id: RunId) -> Value {
    Value::from(id.as_bytes().to_vec())
}

fn text(text: &str) -> Value {
    Value::from(text.to_owned())
}

/// A pattern for `LIKE` that finds `words` anywhere.
fn containing(words: &str) -> Value {
    let mut pattern = String::with_capacity(words.len() + 2);
    pattern.push('%');
    for character in words.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    Value::from(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::migrate::{MIGRATIONS, migrate};

    fn plan(filter: &RunFilter) -> String {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, &MIGRATIONS).unwrap();
        let mut plan = String::new();
        for list in Conditions::lists(filter, Some(RunId::now())) {
            let sql = format!("EXPLAIN QUERY PLAN {}", list.list(50));
            let mut statement = connection.prepare(&sql).unwrap();
            let mut rows = statement.query(params_from_iter(list.values)).unwrap();
            while let Some(row) = rows.next().unwrap() {
                plan += &row.get::<_, String>(3).unwrap();
                plan.push('\n');
            }
        }
        plan
    }

    #[test]
    fn every_list_comes_from_the_narrowest_index_and_is_never_sorted() {
        let some = |text: &str| Some(text.to_owned());
        let any = RunFilter::default();
        let since = RunFilter {
            since: Some(Timestamp::now()),
            ..any.clone()
        };
        let workflow = RunFilter {
            workflow: some("messages"),
            ..since.clone()
        };
        let states = RunFilter {
            states: vec![State::Failed, State::TimedOut, State::Failed],
            ..workflow.clone()
        };
        let session = RunFilter {
            session: some("session"),
            ..states.clone()
        };
        let request = RunFilter {
            request_id: Some(RunId::now().request_id()),
            ..any.clone()
        };
        let search = RunFilter {
            search: some("words"),
            model: some("opus"),
            min_duration: Some(Duration::from_secs(2)),
            min_cost: Some(0.1),
            ..any.clone()
        };
        let cases = [
            (any, "sqlite_autoindex_runs_1 (id<?)"),
            (since, "sqlite_autoindex_runs_1 (id>? AND id<?)"),
            (workflow, "runs_by_workflow (workflow=? AND id>? AND id<?)"),
            (states, "runs_by_state (state=? AND id>? AND id<?)"),
            (session, "runs_by_session (session=? AND id>? AND id<?)"),
            (request, "sqlite_autoindex_runs_1 (id=?)"),
            (search, "sqlite_autoindex_runs_1 (id<?)"),
        ];
        for (filter, index) in cases {
            let plan = plan(&filter);
            let lists = if index.contains("by_state") { 2 } else { 1 };
            let expected = format!("SEARCH runs USING INDEX {index}\n").repeat(lists);
            assert_eq!(plan, expected, "{filter:?}");
        }
    }
}
