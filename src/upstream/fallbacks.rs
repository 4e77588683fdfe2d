//! What may be asked instead when a model cannot be had, and which models could not be had of late.
//!
//! Those are asked last for a while: in an outage, one request in a while pays for finding out whether it is over, and not
//! every one. This file must not know what a failure is, nor where names lead.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::upstreams::Pattern;

/// Models that may step in for those of a name.
#[derive(Clone, Debug)]
pub struct Fallback {
    /// What the name is like.
    pub pattern: Pattern,
    /// Who may step in, in this order, by names as a client may write them.
    pub models: Vec<Arc<str>>,
    /// How long each has until its answer begins, while another may be asked.
    pub patience: Option<Duration>,
}

/// A model that may be asked for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its name; nothing for the one that the request names.
    pub instead: Option<Arc<str>>,
    /// How long ago it could not be had, if that still counts.
    pub failed: Option<Duration>,
    /// How long it has until the first piece of its answer's content is there, before the next is asked; the last one has
    /// as long as it takes.
    pub patience: Option<Duration>,
}

/// Models whose failures are remembered. Clients make names up, so that there must be an end; then all are forgotten.
const MOST_MODELS: usize = 256;

/// Which models could not be had of late.
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

    /// Remembers that a model could not be had.
    pub(super) fn begin(&self, place: &str) {
        if self.lasts.is_zero() {
            return;
        }
        let mut failed = self.failed();
        if failed.len() >= MOST_MODELS && !failed.contains_key(place) {
            failed.clear();
        }
        failed.insert(place.into(), Instant::now());
    }

    /// Forgets it: the model has answered.
    pub(super) fn end(&self, place: &str) {
        self.failed().remove(place);
    }

    /// Puts those that could not be had of late behind the others; apart from that, their order stays.
    ///
    /// When a cooldown is over, one request tries whether the model is back: until that has an answer, the others go on as
    /// if it were not.
    pub(super) fn in_order(&self, candidates: Vec<(Option<Arc<str>>, Arc<str>)>) -> Vec<Candidate> {
        let mut failed = self.failed();
        let mut aged: Vec<(Candidate, Arc<str>)> = candidates
            .into_iter()
            .map(|(instead, place)| {
                let age = failed.get(&place).map(Instant::elapsed);
                let failed = age.filter(|age| *age < self.lasts);
                let patience = None;
                let candidate = Candidate {
                    instead,
                    failed,
                    patience,
                };
                (candidate, place)
            })
            .collect();
        aged.sort_by_key(|(candidate, _)| candidate.failed.is_some());
        if let Some((Candidate { failed: None, .. }, place)) = aged.first()
            && let Some(mark) = failed.get_mut(place)
        {
            *mark = Instant::now();
        }
        aged.into_iter().map(|(candidate, _)| candidate).collect()
    }

    fn failed(&self) -> MutexGuard<'_, HashMap<Arc<str>, Instant>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    /// The models in the order in which they are asked.
    fn ordered(cooldowns: &Cooldowns, models: &[&str]) -> Vec<String> {
        let models = models
            .iter()
            .map(|&model| (Some(model.into()), model.into()));
        let candidates = cooldowns.in_order(models.collect());
        let names = candidates.into_iter().filter_map(|one| one.instead);
        names.map(|name| name.to_string()).collect()
    }

    fn let_pass(cooldowns: &Cooldowns) {
        for mark in cooldowns.failed().values_mut() {
            *mark = mark.checked_sub(MINUTE).unwrap();
        }
    }

    #[test]
    fn who_could_not_be_had_of_late_is_asked_last() {
        let cooldowns = Cooldowns::lasting(MINUTE);
        cooldowns.begin("a");
        cooldowns.begin("c");
        let models = ["a", "b", "c", "d"];
        assert_eq!(ordered(&cooldowns, &models), ["b", "d", "a", "c"]);
        cooldowns.end("a");
        assert_eq!(ordered(&cooldowns, &models), ["a", "b", "d", "c"]);
    }

    #[test]
    fn one_request_tries_whether_a_model_is_back() {
        let cooldowns = Cooldowns::lasting(MINUTE);
        cooldowns.begin("a");
        cooldowns.begin("b");
        let_pass(&cooldowns);
        let models = ["a", "b"];
        assert_eq!(ordered(&cooldowns, &models), ["a", "b"]);
        assert_eq!(ordered(&cooldowns, &models), ["b", "a"]);
        assert_eq!(
            ordered(&cooldowns, &models),
            ["a", "b"],
            "neither is known to be back"
        );
        let_pass(&cooldowns);
        assert_eq!(ordered(&cooldowns, &models), ["a", "b"]);
        cooldowns.end("a");
        for _ in 0..3 {
            assert_eq!(ordered(&cooldowns, &models), ["a", "b"], "it is back");
        }
    }

    #[test]
    fn without_a_cooldown_nothing_is_remembered() {
        let none = Cooldowns::default();
        none.begin("a");
        assert_eq!(ordered(&none, &["a", "b"]), ["a", "b"]);
    }

    #[test]
    fn what_clients_make_up_does_not_fill_the_memory() {
        let cooldowns = Cooldowns::lasting(MINUTE);
        for number in 0..2_000 {
            cooldowns.begin(&format!("name-{number}"));
        }
        assert!(cooldowns.failed().len() <= MOST_MODELS);
        assert_eq!(ordered(&cooldowns, &["name-1999", "b"]), ["b", "name-1999"]);
    }
}
