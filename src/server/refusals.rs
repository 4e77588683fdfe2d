//! Requests that were not let in: counted, and logged now and then. They are no runs, and would leave no trace otherwise.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::dev::ServiceRequest;
use actix_web::http::header::{HeaderValue, USER_AGENT};

/// Seconds between two log lines about one reason.
const BETWEEN_LINES: u64 = 60;
/// The most of a client's name that is logged.
const LONGEST_NAME: usize = 100;

/// Why a request was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It came under a name that is not ours.
    Host,
    /// A web page of another origin made it.
    Origin,
    /// It had none of the client keys.
    ClientKey,
    /// It had a wrong password, or none.
    Password,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Host, Self::Origin, Self::ClientKey, Self::Password];

    /// Its name, as a label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Origin => "origin",
            Self::ClientKey => "client_key",
            Self::Password => "password",
        }
    }
}

/// How many there were, of each [`Reason`].
#[derive(Debug, Default)]
pub struct Refusals([Count; Reason::ALL.len()]);

#[derive(Debug, Default)]
struct Count {
    all: AtomicU64,
    /// How many had been logged.
    told: AtomicU64,
    /// When, in seconds since 1970.
    told_at: AtomicU64,
}

impl Refusals {
    /// How many there were.
    #[must_use]
    pub fn count(&self, reason: Reason) -> u64 {
        self.0[reason as usize].all.load(Ordering::Relaxed)
    }

    /// Counts one; `is_news` when it may be logged.
    pub(super) fn note(&self, reason: Reason, request: &ServiceRequest, is_news: bool) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_secs());
        let Some(since_last) = self.0[reason as usize].add(now, is_news) else {
            return;
        };
        let client = request.headers().get(USER_AGENT);
        let client = client.and_then(|name: &HeaderValue| name.to_str().ok());
        let client: String = client
            .unwrap_or_default()
            .chars()
            .take(LONGEST_NAME)
            .collect();
        let peer = request.peer_addr().map(|peer| peer.ip().to_string());
        tracing::warn!(
            reason = reason.name(),
            client.address = peer.unwrap_or_default(),
            user_agent.original = client,
            requests = since_last,
            "requests were refused"
        );
    }
}

impl Count {
    /// Adds one, and gives how many there were since the last line, when it is time for the next.
    fn add(&self, now: u64, is_news: bool) -> Option<u64> {
        let all = self.all.fetch_add(1, Ordering::Relaxed) + 1;
        let told_at = self.told_at.load(Ordering::Relaxed);
        let is_due = is_news && now >= told_at + BETWEEN_LINES;
        // Of those who come at the same moment, one tells it.
        let tells = is_due
            && self
                .told_at
                .compare_exchange(told_at, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        // Another may have told of more meanwhile.
        tells.then(|| all.saturating_sub(self.told.swap(all, Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_minute_tells_how_many_there_were() {
        let count = Count::default();
        let told: Vec<Option<u64>> = [1_000, 1_001, 1_059, 1_060, 1_061, 2_000]
            .into_iter()
            .map(|now| count.add(now, true))
            .collect();
        assert_eq!(told, [Some(1), None, None, Some(3), None, Some(2)]);
        assert_eq!(count.add(3_000, false), None);
        assert_eq!(count.all.load(Ordering::Relaxed), 7);
    }
}
