//! Connections that only read. They do not hinder the writer, and no read lasts longer than it may:
//! when its time is up, or nobody waits for it any more, it is interrupted.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, InterruptHandle, OpenFlags};
use tokio::sync::Semaphore;

use crate::store::Error;

/// Reads at the same time.
const MOST: usize = 4;

/// A read did not happen: it panicked, or the process is ending.
#[derive(Debug, thiserror::Error)]
#[error("a read was cut off")]
struct CutOff;

/// The pool.
#[derive(Debug)]
pub(super) struct Readers {
    file: PathBuf,
    limit: Duration,
    permits: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Readers {
    /// A pool for the database `file`, whose reads last at most `limit`.
    pub(super) fn new(file: PathBuf, limit: Duration) -> Self {
        Self {
            file,
            limit,
            permits: Arc::new(Semaphore::new(MOST)),
            idle: Arc::default(),
        }
    }

    /// Does `work` on a connection, away from the async threads.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        match tokio::time::timeout(self.limit, self.unlimited(work)).await {
            Ok(result) => result,
            Err(_) => Err(Error::TooSlow(self.limit)),
        }
    }

    async fn unlimited<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let cut_off = || Error::Database(Box::new(CutOff));
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|_| cut_off())?;
        let caller = Caller::default();
        let progress = Arc::clone(&caller.0);
        let idle = Arc::clone(&self.idle);
        let file = self.file.clone();
        let read = move || {
            let _permit = permit;
            let connection = lock(&idle).pop();
            let connection = connection.map_or_else(|| connect(&file), Ok)?;
            if !progress.begin(&connection) {
                lock(&idle).push(connection);
                return Err(Error::Database(Box::new(CutOff)));
            }
            let result = work(&connection);
            progress.end();
            lock(&idle).push(connection);
            result
        };
        tokio::task::spawn_blocking(read)
            .await
            .map_err(|_| cut_off())?
    }
}

fn connect(file: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(Duration::from_secs(1))?;
    connection.pragma_update(None, "cache_size", -1024)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// How far a read is. Interrupting happens under its lock, so that it never meets the next read on the connection.
#[derive(Default)]
enum Progress {
    #[default]
    Waiting,
    Reading(InterruptHandle),
    Over,
}

#[derive(Default)]
struct SharedProgress(Mutex<Progress>);

impl SharedProgress {
    /// Returns false when nobody waits any more.
    fn begin(&self, connection: &Connection) -> bool {
        let mut progress = lock(&self.0);
        let is_wanted = matches!(*progress, Progress::Waiting);
        if is_wanted {
            *progress = Progress::Reading(connection.get_interrupt_handle());
        }
        is_wanted
    }

    fn end(&self) {
        *lock(&self.0) = Progress::Over;
    }
}

/// Whoever waits for a read. Dropped early, it interrupts the read.
#[derive(Default)]
struct Caller(Arc<SharedProgress>);

impl Drop for Caller {
    fn drop(&mut self) {
        let mut progress = lock(&self.0.0);
        if let Progress::Reading(handle) = &*progress {
            handle.interrupt();
        }
        *progress = Progress::Over;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const ENDLESS: &str =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";

    fn readers(limit: Duration) -> (tempfile::TempDir, Readers) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("test.db");
        let writer = Connection::open(&file).unwrap();
        writer.execute("CREATE TABLE t (a)", []).unwrap();
        (folder, Readers::new(file, limit))
    }

    async fn number(readers: &Readers, sql: &'static str) -> Result<i64, Error> {
        let read = readers
            .read(move |connection| Ok(connection.query_row(sql, [], |row| row.get::<_, i64>(0))?));
        read.await
    }

    #[tokio::test]
    async fn an_endless_read_is_given_up_and_its_connection_can_be_used_again() {
        let (_folder, readers) = readers(Duration::from_millis(50));
        let begun = Instant::now();
        let error = number(&readers, ENDLESS).await.unwrap_err();
        assert!(error.to_string().contains("longer than"), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(5));
        // Every connection of the pool comes back only if the interrupt ended the read.
        let deadline = Instant::now() + Duration::from_secs(10);
        while readers.permits.available_permits() < MOST {
            assert!(Instant::now() < deadline, "the read was not interrupted");
            tokio::task::yield_now().await;
        }
        assert_eq!(lock(&readers.idle).len(), 1);
        assert_eq!(number(&readers, "SELECT 7").await.unwrap(), 7);
    }

    #[test]
    fn a_read_that_nobody_waits_for_any_more_leaves_its_connection() {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime
            .enable_all()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (_folder, readers) = readers(Duration::from_secs(5));
            assert_eq!(number(&readers, "SELECT 7").await.unwrap(), 7);
            let (release, held) = std::sync::mpsc::channel::<()>();
            let busy = tokio::task::spawn_blocking(move || held.recv());
            tokio::select! {
                biased;
                _ = number(&readers, "SELECT 1") => panic!("no thread was free to read"),
                () = tokio::task::yield_now() => {}
            }
            release.send(()).unwrap();
            busy.await.unwrap().unwrap();
            tokio::task::spawn_blocking(|| ()).await.unwrap();
            assert_eq!(lock(&readers.idle).len(), 1);
        });
    }

    #[tokio::test]
    async fn a_read_cannot_write() {
        let (_folder, readers) = readers(Duration::from_secs(5));
        let read =
            readers.read(|connection| Ok(connection.execute("INSERT INTO t VALUES (1)", [])?));
        assert!(read.await.is_err());
    }

    #[tokio::test]
    async fn a_read_that_panics_is_an_error_and_the_pool_lives_on() {
        let (_folder, readers) = readers(Duration::from_secs(5));
        for _ in 0..2 * MOST {
            let read = readers.read(|_| -> Result<(), Error> { panic!("on purpose") });
            assert!(read.await.is_err());
        }
        assert_eq!(number(&readers, "SELECT 7").await.unwrap(), 7);
    }
}
