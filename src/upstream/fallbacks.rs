//! What may be asked instead when a model cannot be had, and which models failed so of late.
//!
//! A model that failed is asked last for a while: in an outage, one request in a while pays for finding out whether it is
//! over, and not every one. This file must not know what a failure is, nor where names lead.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::upstreams::Pattern;

/// Models that may step in for those of a name.
#[derive(Clone, Debug)]
pub struct Fallback {
    /// What the name is like.
    pub pattern: Pattern,
    /// Who may step in, in this order, by names as a client may write them.
    pub models: Vec<Arc<str>>,
}

/// Models whose failures are remembered. Clients make names up, so that there must be an end; then all are forgotten.
const MOST_MODELS: usize = 256;

/// Which models failed of late.
#[derive(Debug, Default)]
pub(super) struct Cooldowns {
    lasts: Duration,
    failed: Mutex<HashMap<Arc<str>, Instant>>,
}

impl Cooldowns {
    /// Remembers a failure for so long.
    pub(super) fn lasting(lasts: Duration) -> Self {
        let failed = Mutex::default();
        Self { lasts, failed }
    }

    /// Remembers that a model has failed.
    pub(super) fn begin(&self, model: &str) {
        if self.lasts.is_zero() {
            return;
        }
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed.len() >= MOST_MODELS && !failed.contains_key(model) {
            failed.clear();
        }
        failed.insert(model.into(), Instant::now());
    }

    /// How long ago a model failed; nothing when that is too long ago to count.
    pub(super) fn since(&self, model: &str) -> Option<Duration> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let since = failed.get(model)?.elapsed();
        (since < self.lasts).then_some(since)
    }
}

/// A model that may be asked for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its name; nothing for the one that the request names.
    pub instead: Option<Arc<str>>,
    /// How long ago it failed, if that counts.
    pub failed: Option<Duration>,
}

/// Those that failed of late come last; apart from that, the order stays.
pub(super) fn in_order(mut candidates: Vec<Candidate>) -> Vec<Candidate> {
    candidates.sort_by_key(|candidate| candidate.failed.is_some());
    candidates
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(name: &str, failed: bool) -> Candidate {
        Candidate {
            instead: Some(name.into()),
            failed: failed.then_some(Duration::ZERO),
        }
    }

    #[test]
    fn who_failed_of_late_is_asked_last() {
        let names = |candidates: Vec<Candidate>| -> Vec<String> {
            let names = candidates.into_iter().filter_map(|one| one.instead);
            names.map(|name| name.to_string()).collect()
        };
        let asked = [("a", true), ("b", false), ("c", true), ("d", false)];
        let asked = asked.map(|(name, failed)| candidate(name, failed)).to_vec();
        assert_eq!(names(in_order(asked)), ["b", "d", "a", "c"]);
    }

    #[test]
    fn a_failure_counts_for_as_long_as_it_is_set_to() {
        let cooldowns = Cooldowns::lasting(Duration::from_mins(1));
        assert_eq!(cooldowns.since("a"), None);
        cooldowns.begin("a");
        assert!(cooldowns.since("a").is_some());
        assert_eq!(cooldowns.since("b"), None);
        let over = Instant::now().checked_sub(Duration::from_mins(1)).unwrap();
        cooldowns.failed.lock().unwrap().insert("a".into(), over);
        assert_eq!(cooldowns.since("a"), None, "it is over");

        let none = Cooldowns::default();
        none.begin("a");
        assert_eq!(none.since("a"), None);
    }

    #[test]
    fn what_clients_make_up_does_not_fill_the_memory() {
        let cooldowns = Cooldowns::lasting(Duration::from_mins(1));
        for number in 0..2_000 {
            cooldowns.begin(&format!("name-{number}"));
        }
        assert!(cooldowns.failed.lock().unwrap().len() <= MOST_MODELS);
        assert!(cooldowns.since("name-1999").is_some());
    }
}
