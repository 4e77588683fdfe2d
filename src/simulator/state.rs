//! What the simulator remembers between requests: answers to come, failures due, caches. All of it is bounded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::script::{Answer, Script};
use super::seen::{Log, Seen};
use super::server::Settings;

const MOST_REMEMBERED: usize = 4_096;

#[derive(Debug)]
pub(super) struct State {
    pub(super) settings: Settings,
    pub(super) log: Arc<Log>,
    script: Mutex<Script>,
    /// How often a turn has failed so far, by the turn's name.
    failures: Mutex<HashMap<String, u32>>,
    /// Input tokens of the last request of a session: what its cache holds.
    cached: Mutex<HashMap<String, u64>>,
}

impl State {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            log: Arc::new(Log::of(settings.keeps)),
            settings,
            script: Mutex::default(),
            failures: Mutex::default(),
            cached: Mutex::default(),
        }
    }

    /// Adds answers to those that are still to come.
    pub(super) fn add(&self, script: Script) {
        lock(&self.script).append(script);
    }

    /// The answer that was written for this request, if any.
    pub(super) fn scripted(&self, seen: &Seen) -> Option<Answer> {
        lock(&self.script).take(seen)
    }

    /// Whether the turn of that name has still to fail; each question counts.
    pub(super) fn has_to_fail(&self, name: &str, times: u32) -> bool {
        let mut failures = lock(&self.failures);
        if failures.len() > MOST_REMEMBERED {
            failures.clear();
        }
        let count = failures.entry(name.to_owned()).or_default();
        *count = count.saturating_add(1);
        *count <= times
    }

    /// What the session's cache holds, and from now on.
    pub(super) fn cache(&self, session: String, tokens: u64) -> u64 {
        let mut cached = lock(&self.cached);
        if cached.len() > MOST_REMEMBERED {
            cached.clear();
        }
        cached.insert(session, tokens).unwrap_or(0)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
