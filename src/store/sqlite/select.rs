//! Pages of runs, and a row as a run.

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, params_from_iter};

use crate::events::{RunId, Timestamp};
use crate::store::Error;
use crate::store::conditions::{Conditions, Dialect, Value};
use crate::store::model::{Figure, RunFilter, RunPage, RunSummary};
use crate::store::stored::{self, COLUMNS, count, facts, state};

/// SQLite has no statistics, so it does not know which index narrows most, and would sort what it gets by another one.
pub(super) static SQLITE: Dialect = Dialect {
    like: "LIKE",
    runs: "runs",
    id_digits: "hex(id)",
    text_of_facts: |fact| format!("json_extract(facts, '$.\"{fact}\"')"),
    without_index: "+",
    list_for_each_state: true,
};

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Id(id) => ValueRef::Blob(id.as_bytes()),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Int(int) => ValueRef::Integer(*int),
            Self::Float(float) => ValueRef::Real(*float),
        }))
    }
}

/// A page of the runs that `filter` lets through.
pub(super) fn page(
    connection: &Connection,
    filter: &RunFilter,
    after: Option<RunId>,
    limit: u16,
) -> Result<RunPage, Error> {
    let limit = usize::from(limit);
    let mut runs = Vec::new();
    for conditions in Conditions::lists(&SQLITE, filter, after) {
        let sql = list(&conditions, limit + 1);
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(conditions.into_values()))?;
        while let Some(row) = rows.next()? {
            runs.push(summary(row)?);
        }
    }
    Ok(stored::newest(runs, limit))
}

/// A page of the runs that `filter` lets through, those with the greatest `figure` first.
pub(super) fn page_by(
    connection: &Connection,
    figure: Figure,
    filter: &RunFilter,
    after: Option<RunId>,
    limit: u16,
) -> Result<RunPage, Error> {
    let limit = usize::from(limit);
    let (conditions, order) = Conditions::greatest(&SQLITE, figure, filter, after);
    let clause = conditions.clause();
    let most = limit + 1;
    let sql = format!("SELECT {COLUMNS} FROM runs{clause} ORDER BY {order} LIMIT {most}");
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query(params_from_iter(conditions.into_values()))?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        runs.push(summary(row)?);
    }
    Ok(stored::page(runs, limit))
}

/// The newest `limit` runs that satisfy the conditions.
fn list(conditions: &Conditions, limit: usize) -> String {
    let clause = conditions.clause();
    format!("SELECT {COLUMNS} FROM runs{clause} ORDER BY id DESC LIMIT {limit}")
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::events::State;
    use crate::store::sqlite::migrate::{MIGRATIONS, migrate};

    fn plan(filter: &RunFilter) -> String {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, &MIGRATIONS).unwrap();
        let mut plan = String::new();
        for conditions in Conditions::lists(&SQLITE, filter, Some(RunId::now())) {
            let sql = format!("EXPLAIN QUERY PLAN {}", list(&conditions, 50));
            let mut statement = connection.prepare(&sql).unwrap();
            let values = params_from_iter(conditions.into_values());
            let mut rows = statement.query(values).unwrap();
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
