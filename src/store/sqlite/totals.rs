//! Figures over many runs, in one pass over their rows.

use std::collections::HashMap;
use std::time::Duration;

use rusqlite::{Connection, Row, params_from_iter};

use super::select::SQLITE;
use crate::events::State;
use crate::store::Error;
use crate::store::conditions::Conditions;
use crate::store::model::{RunFilter, Totals};
use crate::store::stored::{count, state};

/// Figures over the runs that `filter` lets through, for each value of `key`, an expression that gives a text.
pub(super) fn totals_by(
    connection: &Connection,
    key: &str,
    filter: &RunFilter,
) -> Result<HashMap<String, Totals>, Error> {
    let conditions = Conditions::all(&SQLITE, filter);
    let sql = format!("SELECT {FIGURES}, {key} FROM runs{}", conditions.clause());
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(conditions.into_values()))?;
    let mut gathered: HashMap<String, Gathered> = HashMap::new();
    while let Some(row) = rows.next()? {
        let name = row.get_ref(KEY)?.as_str().unwrap_or_default();
        if !gathered.contains_key(name) {
            gathered.insert(name.to_owned(), Gathered::default());
        }
        if let Some(gathered) = gathered.get_mut(name) {
            gathered.add(row)?;
        }
    }
    Ok(gathered
        .into_iter()
        .map(|(name, gathered)| (name, gathered.totals()))
        .collect())
}

/// Figures over the runs that `filter` lets through; nothing when there are more than `most`.
pub(super) fn totals_of(
    connection: &Connection,
    filter: &RunFilter,
    most: u32,
) -> Result<Option<Totals>, Error> {
    let mut gathered = Gathered::default();
    let mut left = most;
    for conditions in Conditions::lists(&SQLITE, filter, None) {
        let sql = format!(
            "SELECT {FIGURES} FROM runs{} LIMIT {}",
            conditions.clause(),
            u64::from(left) + 1
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(conditions.into_values()))?;
        while let Some(row) = rows.next()? {
            let Some(one_less) = left.checked_sub(1) else {
                return Ok(None);
            };
            left = one_less;
            gathered.add(row)?;
        }
    }
    Ok(Some(gathered.totals()))
}

/// The columns that [`Gathered::add`] reads, and what comes after them.
const FIGURES: &str =
    "state, started, ended, input_tokens, cache_read_tokens, output_tokens, cost_usd, estimated";
const KEY: usize = 8;

/// What a run's cost counts for at most, as in PostgreSQL's engine: two costs of a hostile upstream may be more than a sum
/// can hold.
const MOST_COST: f64 = 1e9;

#[derive(Default)]
struct Gathered {
    totals: Totals,
    runs: [u64; State::ALL.len()],
    duration: u64,
    /// Those of the runs that came to their end and in which a model answered. One that is refused at once is not quick, nor
    /// is one that counts tokens.
    answered: Vec<u64>,
    /// Those of the others that came to their end, which count where no model answers.
    completed: Vec<u64>,
}

impl Gathered {
    fn add(&mut self, row: &Row<'_>) -> Result<(), Error> {
        let state = state(row.get_ref(0)?.as_str().unwrap_or_default())?;
        if let Some(index) = State::ALL.iter().position(|known| *known == state) {
            self.runs[index] += 1;
        }
        if let Some(ended) = row.get::<_, Option<i64>>(2)? {
            let duration = count(ended - row.get::<_, i64>(1)?);
            self.duration = self.duration.saturating_add(duration);
            if state == State::Completed {
                let has_answer = row.get::<_, Option<i64>>(5)?.is_some();
                let kind = if has_answer {
                    &mut self.answered
                } else {
                    &mut self.completed
                };
                kind.push(duration);
            }
        }
        let int = |index| {
            row.get::<_, Option<i64>>(index)
                .map(Option::unwrap_or_default)
        };
        // Tokens that were counted and sent to nobody are no input of a model's.
        if row.get::<_, Option<i64>>(5)?.is_some() {
            self.totals.input_tokens = self.totals.input_tokens.saturating_add(int(3)?);
            self.totals.cache_read_tokens = self.totals.cache_read_tokens.saturating_add(int(4)?);
        }
        self.totals.output_tokens = self.totals.output_tokens.saturating_add(int(5)?);
        let cost = row.get::<_, Option<f64>>(6)?.unwrap_or_default();
        self.totals.cost_usd += cost.clamp(-MOST_COST, MOST_COST);
        self.totals.estimated += u64::from(row.get::<_, bool>(7)?);
        Ok(())
    }

    fn totals(mut self) -> Totals {
        let states = State::ALL.into_iter().zip(self.runs);
        self.totals.duration = Duration::from_micros(self.duration);
        self.totals.by_state = states.filter(|(_, runs)| *runs > 0).collect();
        let told = if self.answered.is_empty() {
            &mut self.completed
        } else {
            &mut self.answered
        };
        self.totals.duration_p50_p95 = percentile(told, 50).zip(percentile(told, 95));
        self.totals
    }
}

/// The nearest-rank percentile: the smallest value that so many percent do not exceed.
fn percentile(micros: &mut [u64], percent: usize) -> Option<Duration> {
    let rank = (micros.len() * percent).div_ceil(100).checked_sub(1)?;
    let (_, value, _) = micros.select_nth_unstable(rank);
    Some(Duration::from_micros(*value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occur() {
        let micros = |values: &[u64], percent| {
            percentile(&mut values.to_vec(), percent).map(|value| value.as_micros())
        };
        assert_eq!(micros(&[], 50), None);
        assert_eq!(micros(&[7], 95), Some(7));
        assert_eq!(micros(&[3, 1, 2, 4], 50), Some(2));
        let hundred: Vec<u64> = (1..=100).rev().collect();
        assert_eq!(micros(&hundred, 95), Some(95));
    }
}
