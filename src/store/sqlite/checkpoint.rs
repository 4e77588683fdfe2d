//! Moves the write-ahead log into the database, beside the writer, which never waits for the disk.
//!
//! A passive checkpoint hinders nobody, but under constant writing it never quite catches up, and the log can only
//! start over when it has. When the log has grown too long for that, the writer itself does the rest.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use rusqlite::Connection;

use super::open::BUSY_TIMEOUT;

/// Pages in the log that are worth a checkpoint: 4 MB.
const WORTH_IT: i64 = 1000;
/// Pages in the log at which the writer helps: 64 MB.
const TOO_LONG: i64 = 16 << 10;

/// The thread that moves the log.
#[derive(Debug)]
pub(super) struct Checkpointer {
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts the thread.
    pub(super) fn start(file: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(file)?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
        let (wake, woken) = sync_channel(1);
        let thread = Builder::new()
            .name("dagway-checkpoint".to_owned())
            .spawn(move || run(&connection, &woken))
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        Ok(Self {
            wake: Some(wake),
            thread: Some(thread),
        })
    }

    /// Called by the writer after a commit, which stands whatever happens here.
    pub(super) fn committed(&self, writer: &Connection) {
        if let Err(error) = self.look(writer) {
            tracing::warn!(%error, "the log of the run store could not be moved; it is tried again");
        }
    }

    fn look(&self, writer: &Connection) -> rusqlite::Result<()> {
        let log = Log::checkpoint(writer, "NOOP")?;
        if log.pages - log.moved >= WORTH_IT
            && let Some(wake) = &self.wake
        {
            // When it is at work already, it will be woken after a later commit.
            let _ = wake.try_send(());
        }
        if log.pages >= TOO_LONG {
            // It must not wait for a reader: then it comes to nothing and is tried again.
            writer.busy_timeout(Duration::ZERO)?;
            let restarted = Log::checkpoint(writer, "RESTART");
            writer.busy_timeout(BUSY_TIMEOUT)?;
            restarted?;
        }
        Ok(())
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(connection: &Connection, woken: &Receiver<()>) {
    while let Ok(()) = woken.recv() {
        if let Err(error) = Log::checkpoint(connection, "PASSIVE") {
            tracing::warn!(%error, "the log of the run store could not be moved; it is tried again");
        }
    }
}

/// The state of the log.
#[derive(Debug)]
struct Log {
    pages: i64,
    moved: i64,
}

impl Log {
    fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<Self> {
        let mut statement = connection.prepare_cached(match mode {
            "NOOP" => "PRAGMA wal_checkpoint(NOOP)",
            "PASSIVE" => "PRAGMA wal_checkpoint(PASSIVE)",
            _ => "PRAGMA wal_checkpoint(RESTART)",
        })?;
        statement.query_row([], |row| {
            Ok(Self {
                pages: row.get(1)?,
                moved: row.get(2)?,
            })
        })
    }
}
