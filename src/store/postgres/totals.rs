//! Figures over many runs, which the database adds up.

use std::collections::HashMap;
use std::time::Duration;

use deadpool_postgres::Client;
use tokio_postgres::Row;

use super::read::parameters;
use super::select::{POSTGRES, numbered};
use crate::store::Error;
use crate::store::conditions::Conditions;
use crate::store::model::{RunFilter, Totals};
use crate::store::stored::{count, state};

/// The columns of runs that are added up.
const COLUMNS: &str =
    "state, started, ended, input_tokens, cache_read_tokens, output_tokens, cost_usd, estimated";

/// What [`gather`] reads. A row without a state tells of all runs of its name.
///
/// Tokens that were counted and sent to nobody are no input of a model's.
/// The percentiles are values that occur, and a run's cost is bounded, as in SQLite's engine: or else two costs of a hostile
/// upstream would be more than a sum can hold. What has no cost has to be left out by the filter: `greatest` passes over it.
const FIGURES: &str = "name, state, count(*),
    least(coalesce(sum(input_tokens) FILTER (WHERE output_tokens IS NOT NULL), 0), 9223372036854775807)::bigint,
    least(coalesce(sum(cache_read_tokens) FILTER (WHERE output_tokens IS NOT NULL), 0), 9223372036854775807)::bigint,
    least(coalesce(sum(output_tokens), 0), 9223372036854775807)::bigint,
    coalesce(sum(least(greatest(cost_usd, -1e9), 1e9)) FILTER (WHERE cost_usd <> 'NaN'), 0)::double precision,
    least(coalesce(sum(greatest(ended - started, 0)), 0), 9223372036854775807)::bigint,
    coalesce(
        percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY greatest(ended - started, 0))
            FILTER (WHERE state = 'Completed' AND output_tokens IS NOT NULL),
        percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY greatest(ended - started, 0))
            FILTER (WHERE state = 'Completed')
    ),
    count(*) FILTER (WHERE estimated)";
const GROUPS: &str = "GROUP BY GROUPING SETS ((name), (name, state))";

/// Figures over the runs that `filter` lets through, for each value of `key`, an expression that gives a text.
pub(super) async fn totals_by(
    client: &Client,
    key: &str,
    filter: &RunFilter,
) -> Result<HashMap<String, Totals>, Error> {
    let (clause, values) = numbered(Conditions::all(&POSTGRES, filter));
    let sql = format!(
        "SELECT {FIGURES} FROM (SELECT {key} AS name, {COLUMNS} FROM dagway.runs{clause}) AS run {GROUPS}"
    );
    let rows = client.query(&sql, &parameters(&values)).await?;
    gather(&rows)
}

/// Figures over the runs that `filter` lets through; nothing when there are more than `most`.
pub(super) async fn totals_of(
    client: &Client,
    filter: &RunFilter,
    most: u32,
) -> Result<Option<Totals>, Error> {
    let Some(conditions) = Conditions::lists(&POSTGRES, filter, None).pop() else {
        return Ok(None);
    };
    let (clause, values) = numbered(conditions);
    let limit = u64::from(most) + 1;
    let sql = format!(
        "SELECT {FIGURES} FROM (SELECT ''::text AS name, {COLUMNS} FROM dagway.runs{clause} LIMIT {limit}) AS run {GROUPS}"
    );
    let rows = client.query(&sql, &parameters(&values)).await?;
    let totals = gather(&rows)?.into_values().next().unwrap_or_default();
    let runs: u64 = totals.by_state.iter().map(|(_, runs)| runs).sum();
    Ok((runs <= u64::from(most)).then_some(totals))
}

fn gather(rows: &[Row]) -> Result<HashMap<String, Totals>, Error> {
    let mut gathered: HashMap<String, Totals> = HashMap::new();
    for row in rows {
        let name: &str = row.try_get(0)?;
        let totals = gathered.entry(name.to_owned()).or_default();
        match row.try_get::<_, Option<&str>>(1)? {
            Some(name) => totals.by_state.push((state(name)?, count(row.try_get(2)?))),
            None => add_figures(totals, row)?,
        }
    }
    for totals in gathered.values_mut() {
        let order = |state| {
            crate::events::State::ALL
                .iter()
                .position(|known| *known == state)
        };
        totals.by_state.sort_by_key(|(state, _)| order(*state));
    }
    Ok(gathered)
}

fn add_figures(totals: &mut Totals, row: &Row) -> Result<(), Error> {
    let micros = |micros| Duration::from_micros(count(micros));
    totals.input_tokens = row.try_get(3)?;
    totals.cache_read_tokens = row.try_get(4)?;
    totals.output_tokens = row.try_get(5)?;
    totals.cost_usd = row.try_get(6)?;
    totals.estimated = count(row.try_get(9)?);
    totals.duration = micros(row.try_get(7)?);
    let percentiles: Option<Vec<Option<i64>>> = row.try_get(8)?;
    if let Some([Some(half), Some(most)]) = percentiles.as_deref() {
        totals.duration_p50_p95 = Some((micros(*half), micros(*most)));
    }
    Ok(())
}
