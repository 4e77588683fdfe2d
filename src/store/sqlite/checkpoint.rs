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

/// Bytes in the log that are worth a checkpoint.
const WORTH_IT: i64 = 4 << 20;
/// Bytes in the log at which the writer helps.
const TOO_LONG: i64 = 64 << 20;
/// How often the writer looks at the log: looking costs as much as writing a row.
const LOOK_EVERY: u32 = 8;

/// The thread that moves the log.
#[derive(Debug)]
pub(super) struct Checkpointer {
    wake: Option<SyncSender<()>>,
    /// Bytes of a page.
    page: i64,
    commits: u32,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts the thread.
    pub(super) fn start(file: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(file)?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
        let page = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        let (wake, woken) = sync_channel(1);
        let thread = Builder::new()
            .name("dagway-checkpoint".to_owned())
            .spawn(move || run(&connection, &woken))
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        Ok(Self {
            wake: Some(wake),
            page,
            commits: 0,
            thread: Some(thread),
        })
    }

    /// Called by the writer after a commit, which stands whatever happens here.
    pub(super) fn committed(&mut self, writer: &Connection) {
        self.commits += 1;
        if self.commits < LOOK_EVERY {
            return;
        }
        self.commits = 0;
        if let Err(error) = self.look(writer, TOO_LONG) {
            tracing::warn!(%error, "the log of the run store could not be moved; it is tried again");
        }
    }

    fn look(&self, writer: &Connection, too_long: i64) -> rusqlite::Result<()> {
        let log = Log::checkpoint(writer, "NOOP")?;
        if (log.pages - log.moved) * self.page >= WORTH_IT
            && let Some(wake) = &self.wake
        {
            // When it is at work already, it will be woken after a later commit.
            let _ = wake.try_send(());
        }
        if log.pages * self.page >= too_long {
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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::store::sqlite::open::connect;

    /// A database with so many bytes in its log.
    fn with_log(bytes: i64) -> (tempfile::TempDir, Connection, Checkpointer) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("test.db");
        let writer = connect(&file).unwrap();
        writer.execute("CREATE TABLE t (a)", []).unwrap();
        let page: i64 = writer
            .query_row("PRAGMA page_size", [], |row| row.get(0))
            .unwrap();
        while Log::checkpoint(&writer, "NOOP").unwrap().pages * page < bytes {
            write(&writer);
        }
        let checkpointer = Checkpointer::start(&file).unwrap();
        (folder, writer, checkpointer)
    }

    fn write(writer: &Connection) {
        writer
            .execute("INSERT INTO t VALUES (zeroblob(100000))", [])
            .unwrap();
    }

    #[test]
    fn a_log_that_is_worth_it_is_moved_beside_the_writer() {
        let (_folder, writer, mut checkpointer) = with_log(WORTH_IT);
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            checkpointer.committed(&writer);
            let log = Log::checkpoint(&writer, "NOOP").unwrap();
            if log.moved == log.pages {
                break;
            }
            assert!(Instant::now() < deadline, "it was never moved: {log:?}");
        }
        write(&writer);
        let log = Log::checkpoint(&writer, "NOOP").unwrap();
        assert!(
            log.pages * checkpointer.page < WORTH_IT,
            "it did not start over: {log:?}"
        );
    }

    #[test]
    fn the_writer_shortens_a_log_that_is_too_long_but_never_waits_for_a_reader() {
        let (folder, writer, checkpointer) = with_log(800_000);
        let reader = Connection::open(folder.path().join("test.db")).unwrap();
        let reading = reader.unchecked_transaction().unwrap();
        let count = "SELECT count(*) FROM t";
        let _: i64 = reading.query_row(count, [], |row| row.get(0)).unwrap();
        write(&writer);
        let begun = Instant::now();
        checkpointer.look(&writer, 400_000).unwrap();
        assert!(begun.elapsed() < BUSY_TIMEOUT / 2);
        write(&writer);
        assert!(Log::checkpoint(&writer, "NOOP").unwrap().pages * checkpointer.page > 800_000);

        drop(reading);
        checkpointer.look(&writer, 400_000).unwrap();
        write(&writer);
        let log = Log::checkpoint(&writer, "NOOP").unwrap();
        assert!(log.pages * checkpointer.page < 400_000, "{log:?}");
    }
}
