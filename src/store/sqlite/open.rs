//! Takes the folder for this process, opens the database in it, and marks what a dead process left behind.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use super::migrate::{self, MIGRATIONS, migrate};
use super::read::SqliteStore;
use super::readers::Readers;
use super::write::SqliteSink;
use crate::store::Opened;
use crate::store::live::Live;
use crate::store::private;
use crate::store::recorder::Recorder;
use crate::store::settings::Settings;
use crate::store::stats::RecorderStats;

/// How long the writer waits for a program that looks into the database by hand.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the store cannot be opened, and the cure.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be made or written.
    #[error("the data folder {} cannot be used: {source}; make it writable for this user or choose another one (DAGWAY_DATA)", .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is a file where the folder, or one above it, should be.
    #[error("the data folder {} cannot be made: {} is a file, not a folder; choose another one (DAGWAY_DATA)", .folder.display(), .file.display())]
    NoFolder {
        /// The folder.
        folder: PathBuf,
        /// The file.
        file: PathBuf,
    },
    /// Another process records into the folder.
    #[error("another Dagway records into {} already; stop it or choose another data folder for this one (DAGWAY_DATA)", .folder.display())]
    Locked {
        /// The folder.
        folder: PathBuf,
    },
    /// The database was written by a later version.
    #[error("the run store {} has schema {found}, and this Dagway knows {known}; use the newer Dagway that wrote it or choose another data folder (DAGWAY_DATA)", .file.display())]
    Newer {
        /// The database.
        file: PathBuf,
        /// Its schema.
        found: u32,
        /// The schema of this version.
        known: u32,
    },
    /// The database is not ours.
    #[error("{} belongs to another program; choose another data folder (DAGWAY_DATA)", .file.display())]
    Foreign {
        /// The database.
        file: PathBuf,
    },
    /// The database is not as it was written.
    #[error("the run store {at} is damaged ({found}); to start afresh, move it away, together with {at}-wal and {at}-shm; `sqlite3 {at} .recover` may save runs", at = .file.display())]
    Damaged {
        /// The database.
        file: PathBuf,
        /// The first damage that was found.
        found: String,
    },
    /// The database cannot be used at present.
    #[error("the run store {} cannot be opened: {source}; {cure}", .file.display())]
    Database {
        /// The database.
        file: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
        /// What helps.
        cure: &'static str,
    },
}

impl OpenError {
    /// What it means that SQLite said so of the database.
    pub(super) fn of_database(file: &Path, source: rusqlite::Error) -> Self {
        let file = file.to_owned();
        let cure = match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                let found = source.to_string();
                return Self::Damaged { file, found };
            }
            Some(ErrorCode::DiskFull) => "free some disk space",
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                "end the program that has it open"
            }
            _ => {
                "see whether the disk is well and this user may write there, or choose another data folder (DAGWAY_DATA)"
            }
        };
        Self::Database { file, source, cure }
    }
}

/// Holds the folder for this process. The system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct FolderLock {
    file: File,
}

impl FolderLock {
    /// Writes into it who has it, for whoever asks. Without that it is as good a lock.
    fn sign(&self) {
        let signed = self.file.set_len(0);
        let _ = signed.and_then(|()| write!(&mut &self.file, "{}", std::process::id()));
    }
}

/// The process that records into a folder which is taken, if it can be told.
#[must_use]
pub fn holder(folder: &Path) -> Option<u32> {
    let text = fs::read_to_string(folder.join(LOCK)).ok()?;
    text.trim().parse().ok()
}

/// The file in the folder whose lock shows that it is taken.
const LOCK: &str = "dagway.lock";

/// Opens the store in `settings.folder`, making folder and database when they are missing.
///
/// # Errors
/// With a sentence that names the folder and the cure.
pub fn open(settings: Settings) -> Result<Opened, OpenError> {
    let file = settings.folder.join("dagway.db");
    let lock = Arc::new(take_folder(&settings.folder)?);
    lock.sign();
    // SQLite gives its other files the permissions of this one.
    private::file(&file).map_err(|source| OpenError::Folder {
        folder: settings.folder.clone(),
        source,
    })?;
    let database = |source| OpenError::of_database(&file, source);
    let mut connection = connect(&file).map_err(database)?;
    migrate(&mut connection, &MIGRATIONS).map_err(|fault| refusal(&file, fault))?;
    let crashed = mark_crashed(&connection).map_err(database)?;
    let live = Live::default();
    let stats = Arc::new(RecorderStats::of_a_start(crashed));
    let readers = Readers::new(file.clone(), settings.read_limit);
    let sink = SqliteSink::new(connection, &file, Arc::clone(&lock)).map_err(database)?;
    Ok(Opened {
        store: Arc::new(SqliteStore::new(readers, Arc::clone(&stats), lock)),
        recorder: Recorder::new(Box::new(sink), settings, live.clone(), stats),
        live,
        crashed,
    })
}

/// The sentence for a database that cannot be brought to the present schema.
pub(super) fn refusal(file: &Path, fault: migrate::Fault) -> OpenError {
    match fault {
        migrate::Fault::Newer { found, known } => OpenError::Newer {
            file: file.to_owned(),
            found,
            known,
        },
        migrate::Fault::Foreign => OpenError::Foreign {
            file: file.to_owned(),
        },
        migrate::Fault::Database(source) => OpenError::of_database(file, source),
    }
}

/// Makes the folder, for this user alone, and takes it for this process.
pub(super) fn take_folder(folder: &Path) -> Result<FolderLock, OpenError> {
    let unusable = |source| OpenError::Folder {
        folder: folder.to_owned(),
        source,
    };
    if let Some(file) = folder.ancestors().find(|path| path.is_file()) {
        return Err(OpenError::NoFolder {
            folder: folder.to_owned(),
            file: file.to_owned(),
        });
    }
    private::folder(folder).map_err(unusable)?;
    let file = private::file(&folder.join(LOCK)).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(FolderLock { file }),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked {
            folder: folder.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(unusable(source)),
    }
}

/// A connection that writes.
pub(super) fn connect(file: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(file)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Before the first table is made: these two cannot be changed later. A commit writes every page whole that it touches, and
    // one of a few runs touches a page of each index, so that small pages are half the log; a short run's journal fits into
    // a third of one.
    connection.pragma_update(None, "page_size", 4096)?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    // The log is moved by a thread of its own: the writer must not wait for the disk.
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    // In KiB. What is no page of the last batches is in the memory of the system, too: eight MiB made no difference that
    // could be measured, with 55 MB of runs.
    connection.pragma_update(None, "cache_size", -2048)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// Nobody else has the folder, so a run that is not over belongs to a process that is gone. When that ended nobody knows;
/// the run lasted at least until its last event, and until the process was last known to live.
fn mark_crashed(connection: &Connection) -> rusqlite::Result<usize> {
    let crashed = connection.execute(
        "UPDATE runs SET state = 'Crashed', streaming = 0,
             ended = max(seen, started, coalesce((SELECT at FROM alive), 0)),
             error = coalesce(error, 'the process ended while the run was under way')
         WHERE ended IS NULL",
        [],
    )?;
    connection.execute("DELETE FROM alive", [])?;
    Ok(crashed)
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn every_fault_of_a_database_has_its_own_cure() {
        let said = |code| {
            let fault = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            OpenError::of_database(Path::new("/d/dagway.db"), fault).to_string()
        };
        for (code, expected) in [
            (
                ffi::SQLITE_CORRUPT,
                "move it away, together with /d/dagway.db-wal and /d/dagway.db-shm",
            ),
            (
                ffi::SQLITE_NOTADB,
                "`sqlite3 /d/dagway.db .recover` may save runs",
            ),
            (ffi::SQLITE_FULL, "; free some disk space"),
            (ffi::SQLITE_BUSY, "; end the program that has it open"),
            (ffi::SQLITE_IOERR, "whether the disk is well"),
        ] {
            let said = said(code);
            assert!(said.contains(expected), "{said}");
            let is_full = code == ffi::SQLITE_FULL;
            assert_eq!(said.contains("free some disk space"), is_full, "{said}");
        }
    }
}
