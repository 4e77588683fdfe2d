//! What runs are told apart by, as SQL for every database, and its values read back.
//!
//! This file must not know how a query is sent.

use std::collections::HashMap;
use std::time::Duration;

use super::Error;
use super::conditions::Dialect;
use super::model::{By, Totals};
use crate::events::Timestamp;
use crate::facts;

impl By {
    /// An expression that gives the text for each run, or nothing.
    pub(crate) fn key(self, dialect: &Dialect) -> String {
        let first_of = |names: &[&str]| {
            let facts: Vec<String> = names
                .iter()
                .map(|name| (dialect.text_of_facts)(name))
                .collect();
            format!("coalesce({}, '')", facts.join(", "))
        };
        match self {
            Self::Model => first_of(&[facts::MODEL_USED, facts::MODEL_SENT, facts::MODEL_ASKED]),
            Self::Provider => first_of(&[facts::PROVIDER_BEHIND, facts::PROVIDER]),
            Self::Client => first_of(&[facts::USER_AGENT]),
            Self::Session => "coalesce(session, '')".to_owned(),
            Self::Workflow => "workflow".to_owned(),
        }
    }
}

/// An expression that gives the number of the slot in which a run was accepted, as a text.
pub(crate) fn slot_key(slot: Duration) -> String {
    format!("CAST(started / {} AS TEXT)", micros(slot))
}

/// Figures by the number of their slot, as figures by the moment at which it begins, oldest first.
pub(crate) fn by_moment(
    slot: Duration,
    by_number: HashMap<String, Totals>,
) -> Result<Vec<(Timestamp, Totals)>, Error> {
    let begin = |number: &str| {
        let begin = number.parse::<i64>().ok()?.checked_mul(micros(slot))?;
        Some(Timestamp(begin))
    };
    let mut slots = Vec::with_capacity(by_number.len());
    for (number, totals) in by_number {
        let begin =
            begin(&number).ok_or_else(|| Error::Corrupt(format!("a slot numbered `{number}`")))?;
        slots.push((begin, totals));
    }
    slots.sort_unstable_by_key(|(begin, _)| *begin);
    Ok(slots)
}

fn micros(slot: Duration) -> i64 {
    i64::try_from(slot.as_micros()).unwrap_or(i64::MAX).max(1)
}
