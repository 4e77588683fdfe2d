//! Figures over many runs, in one pass over their rows.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use rusqlite::{Connection, Row, params_from_iter};

use super::select::SQLITE;
use crate::events::{State, Timestamp};
use crate::store::Error;
use crate::store::conditions::Conditions;
use crate::store::model::{By, RunFilter, Totals, Usage};
use crate::store::stored::{count, state};

/// What the runs used that `filter` lets through.
pub(super) fn usage(
    connection: &Connection,
    by: By,
    slot: Duration,
    filter: &RunFilter,
) -> Result<Usage, Error> {
    let slot = i64::try_from(slot.as_micros()).unwrap_or(i64::MAX).max(1);
    let conditions = Conditions::all(&SQLITE, filter);
    let sql = format!(
        "SELECT {FIGURES}, {} FROM runs{}",
        by.column(),
        conditions.clause()
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(conditions.into_values()))?;
    let mut all = Gathered::default();
    let mut groups: HashMap<Option<String>, Gathered> = HashMap::new();
    let mut slots: BTreeMap<i64, Gathered> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let run = Figures::of(row)?;
        all.add(&run);
        groups.entry(row.get(KEY)?).or_default().add(&run);
        slots
            .entry(run.started.div_euclid(slot))
            .or_default()
            .add(&run);
    }
    Ok(Usage {
        all: all.totals(),
        groups: groups
            .into_iter()
            .map(|(name, gathered)| (name, gathered.totals()))
            .collect(),
        slots: slots
            .into_iter()
            .map(|(number, gathered)| (Timestamp(number * slot), gathered.totals()))
            .collect(),
    })
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
            gathered.add(&Figures::of(row)?);
        }
    }
    Ok(Some(gathered.totals()))
}

/// The columns that [`Figures::of`] reads, and what comes after them.
const FIGURES: &str =
    "state, started, ended, input_tokens, cache_read_tokens, output_tokens, cost_usd, estimated,
        replaced";
const KEY: usize = 9;

/// What a run's cost counts for at most, as in PostgreSQL's engine: two costs of a hostile upstream may be more than a sum
/// can hold.
const MOST_COST: f64 = 1e9;

/// What of a run is added up.
struct Figures {
    state: State,
    started: i64,
    /// In microseconds, of a run that is over.
    duration: Option<u64>,
    input_tokens: i64,
    cache_read_tokens: i64,
    output_tokens: Option<i64>,
    cost_usd: f64,
    is_estimate: bool,
    is_replaced: bool,
}

impl Figures {
    fn of(row: &Row<'_>) -> Result<Self, Error> {
        let int = |index| row.get::<_, Option<i64>>(index);
        let started: i64 = row.get(1)?;
        let cost: Option<f64> = row.get(6)?;
        Ok(Self {
            state: state(row.get_ref(0)?.as_str().unwrap_or_default())?,
            started,
            duration: int(2)?.map(|ended| count(ended - started)),
            input_tokens: int(3)?.unwrap_or_default(),
            cache_read_tokens: int(4)?.unwrap_or_default(),
            output_tokens: int(5)?,
            cost_usd: cost.unwrap_or_default().clamp(-MOST_COST, MOST_COST),
            is_estimate: row.get(7)?,
            is_replaced: row.get(8)?,
        })
    }
}

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
    fn add(&mut self, run: &Figures) {
        if run.is_replaced {
            self.totals.replaced += 1;
        } else if let Some(index) = State::ALL.iter().position(|known| *known == run.state) {
            self.runs[index] += 1;
        }
        if let Some(duration) = run.duration {
            self.duration = self.duration.saturating_add(duration);
            if run.state == State::Completed {
                let kind = if run.output_tokens.is_some() {
                    &mut self.answered
                } else {
                    &mut self.completed
                };
                kind.push(duration);
            }
        }
        let totals = &mut self.totals;
        // Tokens that were counted and sent to nobody are no input of a model's.
        if let Some(output) = run.output_tokens {
            totals.input_tokens = totals.input_tokens.saturating_add(run.input_tokens);
            totals.cache_read_tokens = totals
                .cache_read_tokens
                .saturating_add(run.cache_read_tokens);
            totals.output_tokens = totals.output_tokens.saturating_add(output);
        }
        totals.cost_usd += run.cost_usd;
        totals.estimated += u64::from(run.is_estimate);
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
