//! Figures over many runs, which the database adds up.

use std::time::Duration;

use deadpool_postgres::Client;
use tokio_postgres::Row;

use super::read::parameters;
use super::select::{POSTGRES, numbered};
use crate::events::{State, Timestamp};
use crate::store::Error;
use crate::store::conditions::Conditions;
use crate::store::model::{By, RunFilter, Totals, Usage};
use crate::store::stored::count;

/// The columns of runs that are added up.
const COLUMNS: &str =
    "state, started, ended, input_tokens, cache_read_tokens, output_tokens, cost_usd, estimated,
        replaced";

/// What [`figures`] reads, behind the numbers of runs in each state.
///
/// Tokens that were counted and sent to nobody are no input of a model's.
/// The percentiles are values that occur, and a run's cost is bounded, as in SQLite's engine: or else two costs of a hostile
/// upstream would be more than a sum can hold. What has no cost has to be left out by the filter: `greatest` passes over it.
const FIGURES: &str = "
    least(coalesce(sum(input_tokens) FILTER (WHERE output_tokens IS NOT NULL), 0), 9223372036854775807)::bigint,
    least(coalesce(sum(cache_read_tokens) FILTER (WHERE output_tokens IS NOT NULL), 0), 9223372036854775807)::bigint,
    least(coalesce(sum(output_tokens), 0), 9223372036854775807)::bigint,
    coalesce(sum(least(greatest(cost_usd, -1e9), 1e9)) FILTER (WHERE cost_usd <> 'NaN'), 0)::double precision,
    count(*) FILTER (WHERE estimated),
    least(coalesce(sum(greatest(ended - started, 0)), 0), 9223372036854775807)::bigint,
    coalesce(
        percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY greatest(ended - started, 0))
            FILTER (WHERE state = 'Completed' AND output_tokens IS NOT NULL),
        percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY greatest(ended - started, 0))
            FILTER (WHERE state = 'Completed')
    ),
    count(*) FILTER (WHERE replaced)";

/// Where figures begin in a row.
const FIRST: usize = 3;

/// Figures over the runs that `filter` lets through; nothing when there are more than `most`.
pub(super) async fn totals_of(
    client: &Client,
    filter: &RunFilter,
    most: u32,
) -> Result<Option<Totals>, Error> {
    let (clause, values) = numbered(Conditions::all(&POSTGRES, filter));
    let limit = u64::from(most) + 1;
    let sql = format!(
        "SELECT NULL, NULL, NULL, {} FROM (SELECT {COLUMNS} FROM dagway.runs{clause} LIMIT {limit}) AS run",
        figures_sql()
    );
    let row = client.query_one(&sql, &parameters(&values)).await?;
    let totals = figures(&row)?;
    Ok((totals.runs() <= u64::from(most)).then_some(totals))
}

/// What the runs used that `filter` lets through.
pub(super) async fn usage(
    client: &Client,
    by: By,
    slot: Duration,
    filter: &RunFilter,
) -> Result<Usage, Error> {
    let (clause, values) = numbered(Conditions::all(&POSTGRES, filter));
    let slot = i64::try_from(slot.as_micros()).unwrap_or(i64::MAX).max(1);
    let sql = format!(
        "SELECT GROUPING(name, slot), name, slot, {}
        FROM (SELECT {} AS name, started / {slot} AS slot, {COLUMNS} FROM dagway.runs{clause}) AS run
        GROUP BY GROUPING SETS ((), (name), (slot)) ORDER BY slot",
        figures_sql(),
        by.column()
    );
    let mut usage = Usage::default();
    for row in client.query(&sql, &parameters(&values)).await? {
        let totals = figures(&row)?;
        // Of the two bits, the higher one for the name, those are set by which a row is not told apart.
        match row.try_get::<_, i32>(0)? {
            0b01 => usage.groups.push((row.try_get(1)?, totals)),
            0b10 => {
                let number: i64 = row.try_get(2)?;
                let begin = Timestamp(number.saturating_mul(slot));
                usage.slots.push((begin, totals));
            }
            _ => usage.all = totals,
        }
    }
    Ok(usage)
}

/// All that [`figures`] reads.
fn figures_sql() -> String {
    let states = State::ALL.map(|state| {
        let state = state.name();
        format!("count(*) FILTER (WHERE state = '{state}' AND NOT replaced)")
    });
    format!("ARRAY[{}],{FIGURES}", states.join(", "))
}

fn figures(row: &Row) -> Result<Totals, Error> {
    let micros = |micros| Duration::from_micros(count(micros));
    let by_state: Vec<i64> = row.try_get(FIRST)?;
    let by_state = State::ALL.into_iter().zip(by_state.into_iter().map(count));
    let percentiles: Option<Vec<Option<i64>>> = row.try_get(FIRST + 7)?;
    let duration_p50_p95 = match percentiles.as_deref() {
        Some([Some(half), Some(most)]) => Some((micros(*half), micros(*most))),
        _ => None,
    };
    Ok(Totals {
        by_state: by_state.filter(|(_, runs)| *runs > 0).collect(),
        replaced: count(row.try_get(FIRST + 8)?),
        input_tokens: row.try_get(FIRST + 1)?,
        cache_read_tokens: row.try_get(FIRST + 2)?,
        output_tokens: row.try_get(FIRST + 3)?,
        cost_usd: row.try_get(FIRST + 4)?,
        estimated: count(row.try_get(FIRST + 5)?),
        duration: micros(row.try_get(FIRST + 6)?),
        duration_p50_p95,
    })
}
