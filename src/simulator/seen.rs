//! The log of what arrived at the simulator, bounded in number and in size.
//!
//! It must not know what is answered, beyond the status and whether the client stayed to the end.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde_json::Value;

const MOST_BYTES: usize = 128 * 1024 * 1024;

/// A request that arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its place among all that arrived, from 0.
    pub number: u64,
    /// When it was read whole.
    pub at: SystemTime,
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: String,
    /// Its headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its body; null when it was not JSON.
    pub body: Arc<Value>,
    /// The status of the answer; absent before there is one, and when there is none.
    pub status: Option<u16>,
    /// What was wrong with it.
    pub refused: Option<String>,
    /// The answer was sent whole.
    pub finished: bool,
    /// The client hung up before the answer was whole.
    pub hung_up: bool,
}

impl Seen {
    /// A header by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// The log, shared by all connections.
#[derive(Debug)]
pub(super) struct Log {
    most: usize,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    seen: VecDeque<(Seen, usize)>,
    bytes: usize,
    next: u64,
}

impl Log {
    /// Keeps the last `most` requests.
    pub(super) fn of(most: usize) -> Self {
        Self {
            most,
            entries: Mutex::default(),
        }
    }

    /// Writes a request down and watches what becomes of it.
    pub(super) fn arrived(self: &Arc<Self>, mut seen: Seen, bytes: usize) -> Watch {
        let mut entries = self.lock();
        let number = entries.next;
        seen.number = number;
        entries.next += 1;
        entries.bytes += bytes;
        entries.seen.push_back((seen, bytes));
        while entries.seen.len() > self.most || entries.bytes > MOST_BYTES {
            let Some((_, gone)) = entries.seen.pop_front() else {
                break;
            };
            entries.bytes -= gone;
        }
        Watch {
            log: Arc::clone(self),
            number,
            is_over: false,
        }
    }

    /// All that is kept, oldest first.
    pub(super) fn all(&self) -> Vec<Seen> {
        self.lock()
            .seen
            .iter()
            .map(|(seen, _)| seen.clone())
            .collect()
    }

    fn change(&self, number: u64, change: impl FnOnce(&mut Seen)) {
        let mut entries = self.lock();
        let place = entries
            .seen
            .binary_search_by_key(&number, |(seen, _)| seen.number);
        if let Ok(place) = place
            && let Some((seen, _)) = entries.seen.get_mut(place)
        {
            change(seen);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Follows one request; dropped before [`Watch::finished`], it notes that the client hung up.
#[derive(Debug)]
pub(super) struct Watch {
    log: Arc<Log>,
    number: u64,
    is_over: bool,
}

impl Watch {
    pub(super) fn answered(&self, status: u16) {
        self.log
            .change(self.number, |seen| seen.status = Some(status));
    }

    pub(super) fn refused(&self, status: u16, message: &str) {
        self.log.change(self.number, |seen| {
            seen.status = Some(status);
            seen.refused = Some(message.to_owned());
        });
    }

    /// The answer is out, as whole as it was meant to be.
    pub(super) fn finished(&mut self) {
        self.is_over = true;
        self.log.change(self.number, |seen| seen.finished = true);
    }

    pub(super) fn snapshot(&self) -> Option<Seen> {
        let entries = self.log.lock();
        let mut newest_first = entries.seen.iter().rev();
        newest_first
            .find(|(seen, _)| seen.number == self.number)
            .map(|(seen, _)| seen.clone())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.is_over {
            self.log.change(self.number, |seen| seen.hung_up = true);
        }
    }
}
