//! The writer's session, and a new one when it is lost; lets a thread wait for the database, never for long.
//!
//! The recorder's thread must not wait for a server that is gone: connecting again happens beside it, and until that has
//! come about every write fails at once.

use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use super::address::Address;
use super::columns::STATEMENTS;
use super::open::Trouble;
use super::session::{Session, Wire};
use super::{Said, TooSlow};
use crate::store::Error;
use crate::store::live::Live;

/// The longest that the database may take for one piece of work, besides the time for its bytes.
const LONGEST: Duration = Duration::from_secs(5);
/// The slowest way to a database that is still good enough, in bytes a second.
const SLOWEST: usize = 1 << 20;
/// How long after a connection was found closed a write waits for the next one, before it fails: a server that has just
/// been restarted, or has closed an idle connection, is back at once.
const FIRST_WAIT: Duration = Duration::from_millis(1500);
/// Between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(250);

/// The way to the database.
pub(super) struct Link {
    address: Address,
    live: Live,
    runtime: Handle,
    session: Option<Session>,
    /// This process's number.
    process: i32,
    again: Option<Again>,
    /// A session was lost, and nobody has been told yet.
    was_lost: bool,
    /// When the process ends, once it does.
    until: Option<Instant>,
}

/// A session on its way.
struct Again {
    /// When the one before was found closed.
    since: Instant,
    arrives: Receiver<Session>,
    trouble: Arc<Mutex<String>>,
    connecting: AbortOnDropHandle<()>,
}

impl Link {
    pub(super) fn new(address: Address, live: Live, runtime: Handle, session: Session) -> Self {
        Self {
            address,
            live,
            runtime,
            process: session.process,
            session: Some(session),
            again: None,
            was_lost: false,
            until: None,
        }
    }

    /// Waits for nothing beyond `until` from now on.
    pub(super) const fn end_by(&mut self, until: Instant) {
        self.until = Some(until);
    }

    /// As much of `limit` as is left.
    fn left(&self, limit: Duration) -> Duration {
        self.until.map_or(limit, |until| {
            limit.min(until.saturating_duration_since(Instant::now()))
        })
    }

    /// Lets `work`, which sends so many bytes, have the session, and waits for it. A session that is closed afterwards, or
    /// did not answer in time, is given up: what it had begun is undone by the server.
    ///
    /// It fails when there is none, see [`Link::reach`]: work that was made for one session must not go over the next.
    pub(super) fn work<T>(
        &mut self,
        bytes: usize,
        work: impl AsyncFnOnce(&mut Session) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, Error> {
        let limit = self.left(LONGEST + Duration::from_secs((bytes / SLOWEST) as u64));
        let Some(session) = &mut self.session else {
            return Err(self.why_not());
        };
        let _runtime = self.runtime.enter();
        let work = async { tokio::time::timeout(limit, work(&mut *session)).await };
        let result = match futures_executor::block_on(work) {
            Ok(result) => result.map_err(Error::from),
            Err(_) => {
                self.session = None;
                self.was_lost = true;
                return Err(TooSlow(limit).into());
            }
        };
        if session.client.is_closed() {
            self.session = None;
            self.was_lost = true;
        }
        result
    }

    /// Whether a session was lost since this was asked last: the server may have lost what was written over it.
    pub(super) fn was_lost(&mut self) -> bool {
        std::mem::take(&mut self.was_lost)
    }

    /// Whether there is a session at present.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn ready(&self) -> Result<(), Error> {
        match self.session {
            Some(_) => Ok(()),
            None => Err(self.why_not()),
        }
    }

    /// Sees to it that there is a session to work with, and waits a moment for it.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn reach(&mut self) -> Result<(), Error> {
        self.mend(FIRST_WAIT)
    }

    /// Has a session that was lost unnoticed replaced, without waiting for it.
    pub(super) fn look(&mut self) {
        // Whoever writes next is told why there is none.
        let _ = self.mend(Duration::ZERO);
    }

    /// Sees to it that there is a session, if there can be one so long after the last one was found closed.
    fn mend(&mut self, first_wait: Duration) -> Result<(), Error> {
        if self
            .session
            .as_ref()
            .is_some_and(|session| session.client.is_closed())
        {
            self.session = None;
            self.was_lost = true;
        }
        if self.session.is_some() {
            return Ok(());
        }
        let first_wait = self.left(first_wait);
        let again = self.again.get_or_insert_with(|| {
            connect_again(
                &self.runtime,
                self.address.clone(),
                self.live.clone(),
                self.process,
            )
        });
        let patience = first_wait.saturating_sub(again.since.elapsed());
        let arrived = match again.arrives.try_recv() {
            Err(TryRecvError::Empty) => again.arrives.recv_timeout(patience).ok(),
            arrived => arrived.ok(),
        };
        let Some(session) = arrived else {
            if again.connecting.is_finished() {
                // It ended without a session: the process is ending, or it panicked.
                self.again = None;
            }
            return Err(self.why_not());
        };
        self.session = Some(session);
        self.again = None;
        // What others announced meanwhile was not heard.
        self.live.missed();
        Ok(())
    }

    fn why_not(&self) -> Error {
        let trouble = self.again.as_ref().map(|again| {
            let trouble = again.trouble.lock().unwrap_or_else(PoisonError::into_inner);
            trouble.clone()
        });
        let why = trouble.filter(|why| !why.is_empty());
        let why = why.unwrap_or_else(|| "the connection was lost".to_owned());
        Error::Database(Box::new(Said {
            words: why,
            code: None,
        }))
    }
}

/// Tries until it succeeds, or nobody waits any more.
fn connect_again(runtime: &Handle, address: Address, live: Live, process: i32) -> Again {
    let (arrived, arrives) = sync_channel(1);
    let trouble = Arc::<Mutex<String>>::default();
    let said = Arc::clone(&trouble);
    #[expect(
        clippy::disallowed_methods,
        reason = "the handle that is returned owns it: dropped, it ends"
    )]
    let connecting = runtime.spawn(async move {
        loop {
            let begun = async {
                let wire = Wire::connect(&address, live.clone()).await?;
                wire.begin(&STATEMENTS, Some(process)).await
            };
            let why = match tokio::time::timeout(LONGEST, begun).await {
                Ok(Ok(session)) => {
                    // The receiver is gone when the process ends.
                    let _ = arrived.try_send(session);
                    return;
                }
                Ok(Err(trouble)) => trouble.to_string(),
                Err(_) => Trouble::from(TooSlow(LONGEST)).to_string(),
            };
            *said.lock().unwrap_or_else(PoisonError::into_inner) = why;
            tokio::time::sleep(PAUSE).await;
        }
    });
    Again {
        since: Instant::now(),
        arrives,
        trouble,
        connecting: AbortOnDropHandle::new(connecting),
    }
}
