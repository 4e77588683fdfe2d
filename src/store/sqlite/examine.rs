//! Looks whether the store could be opened, and changes nothing in it: for a person who asks what is wrong.

use std::fs::OpenOptions;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::migrate::{self, MIGRATIONS};
use super::open::{self, BUSY_TIMEOUT, OpenError};

/// How long the database is searched for damage.
const SEARCH: Duration = Duration::from_secs(10);

/// How soon a search that goes on is interrupted again.
const AGAIN: Duration = Duration::from_millis(1);

/// What was seen of a store that can be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Examined {
    /// It was looked through, or there is none yet.
    Whole,
    /// It is so large that it was looked through in part.
    InPart,
}

/// Looks at the store in `folder` as [`open`](open::open) would, and then for damage, ten seconds at most.
/// The folder is made when it is missing, a database is not.
///
/// # Errors
/// Those that opening the store would have, and damage.
pub fn examine(folder: &Path) -> Result<Examined, OpenError> {
    examine_within(folder, SEARCH)
}

fn examine_within(folder: &Path, search: Duration) -> Result<Examined, OpenError> {
    let _lock = open::take_folder(folder)?;
    let unusable = |source| OpenError::Folder {
        folder: folder.to_owned(),
        source,
    };
    let file = folder.join("dagway.db");
    if !file.try_exists().map_err(unusable)? {
        return Ok(Examined::Whole);
    }
    let mut writable = OpenOptions::new();
    writable.append(true).open(&file).map_err(unusable)?;
    let connection = look(&file).map_err(|fault| open::refusal(&file, fault))?;
    match first_damage(&connection, search) {
        Ok(None) => Ok(Examined::Whole),
        Ok(Some(found)) => Err(OpenError::Damaged { file, found }),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
            Ok(Examined::InPart)
        }
        Err(source) => Err(open::refusal(&file, source.into())),
    }
}

/// Reads what opening the store reads.
fn look(file: &Path) -> Result<Connection, migrate::Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    if migrate::schema(&connection, &MIGRATIONS)? > 0 {
        let open = "SELECT count(*) FROM runs WHERE ended IS NULL";
        connection.query_row(open, [], |row| row.get::<_, i64>(0))?;
    }
    Ok(connection)
}

/// The first damage that is found; an error with the code of an interruption when the time is up.
fn first_damage(connection: &Connection, search: Duration) -> rusqlite::Result<Option<String>> {
    let handle = connection.get_interrupt_handle();
    let (done, searched) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut wait = search;
            // An interruption between two statements, or before the first, comes to nothing.
            while searched.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                handle.interrupt();
                wait = AGAIN;
            }
        });
        let found = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
        drop(done);
        found.map(|found: String| (found != "ok").then(|| in_one_line(&found)))
    })
}

fn in_one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_ends_when_its_time_is_up() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("dagway.db");
        let connection = Connection::open(file).unwrap();
        connection
            .execute_batch(
                "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT UNIQUE);
                WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
                INSERT INTO t SELECT i, hex(i) FROM n",
            )
            .unwrap();
        let found = first_damage(&connection, Duration::ZERO).unwrap_err();
        let code = found.sqlite_error_code();
        assert_eq!(code, Some(ErrorCode::OperationInterrupted), "{found}");
        let found = first_damage(&connection, Duration::from_secs(60)).unwrap();
        assert_eq!(found, None);
    }
}
