//! A list of runs as a query, and a row as a run.

use bytes::BytesMut;
use tokio_postgres::Row;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use super::columns::uuid;
use super::without_nul;
use crate::events::{RunId, Timestamp};
use crate::store::Error;
use crate::store::conditions::{Conditions, Dialect, Value};
use crate::store::model::RunSummary;
use crate::store::stored::{count, facts, state};

/// PostgreSQL's planner has statistics and chooses its indexes itself.
pub(super) static POSTGRES: Dialect = Dialect {
    like: "ILIKE",
    runs: "dagway.runs",
    id_digits: "encode(uuid_send(id), 'hex')",
    // Without a question mark, which stands for a value; and not as JSON, which is refused whole when anything in it cannot be a text of the database.
    text_of_facts: |fact| format!(r#"substring(facts from '"{fact}":"(([^"\\]|\\.)*)"')"#),
    without_index: "",
    list_for_each_state: false,
};

impl ToSql for Value {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Id(id) => uuid(*id).to_sql(kind, out),
            Self::Text(text) => without_nul(text).to_sql(kind, out),
            Self::Int(int) => int.to_sql(kind, out),
            Self::Float(float) => float.to_sql(kind, out),
        }
    }

    fn accepts(kind: &Type) -> bool {
        [Type::UUID, Type::TEXT, Type::INT8, Type::FLOAT8].contains(kind)
    }

    to_sql_checked!();
}

/// The `WHERE` clause with PostgreSQL's numbered marks, and its values.
pub(super) fn numbered(conditions: Conditions) -> (String, Vec<Value>) {
    let clause = conditions.clause();
    let mut pieces = clause.split('?');
    let mut sql = pieces.next().unwrap_or_default().to_owned();
    for (number, piece) in (1..).zip(pieces) {
        sql.push('$');
        sql.push_str(&usize::to_string(&number));
        sql.push_str(piece);
    }
    (sql, conditions.into_values())
}

/// Reads a row of [`COLUMNS`](crate::store::stored::COLUMNS).
pub(super) fn summary(row: &Row) -> Result<RunSummary, Error> {
    let time = |index| {
        row.try_get::<_, Option<i64>>(index)
            .map(|at| at.map(Timestamp))
    };
    let id: uuid::Uuid = row.try_get(0)?;
    let trace_id: &[u8] = row.try_get(6)?;
    let trace_id = trace_id
        .try_into()
        .map_err(|_| Error::Corrupt(format!("the trace id of run {id}")))?;
    Ok(RunSummary {
        id: RunId::from_bytes(id.into_bytes()),
        state: state(row.try_get(1)?)?,
        streaming: row.try_get(2)?,
        workflow: row.try_get(3)?,
        plan: row.try_get(4)?,
        request_id: row.try_get(5)?,
        trace_id: format!("{:032x}", u128::from_be_bytes(trace_id)),
        started: Timestamp(row.try_get(7)?),
        replied: time(8)?,
        ended: time(9)?,
        error: row.try_get(10)?,
        pieces: count(row.try_get(11)?),
        bytes: count(row.try_get(12)?),
        facts: facts(row.try_get(13)?)?,
    })
}
