//! Looks whether the store could be opened, and changes nothing in it: for a person who asks what is wrong.

use std::fs::OpenOptions;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::migrate::{self, MIGRATIONS};
use super::open::{self, BUSY_TIMEOUT, OpenError};

/// Looks at the store in `folder` as [`open`](open::open) would. The folder is made when it is missing, a database is not.
///
/// # Errors
/// Those that opening the store would have.
pub fn examine(folder: &Path) -> Result<(), OpenError> {
    let _lock = open::take_folder(folder)?;
    let unusable = |source| OpenError::Folder {
        folder: folder.to_owned(),
        source,
    };
    let file = folder.join("dagway.db");
    if !file.try_exists().map_err(unusable)? {
        return Ok(());
    }
    let mut writable = OpenOptions::new();
    writable.append(true).open(&file).map_err(unusable)?;
    look(&file).map_err(|fault| open::refusal(&file, fault))
}

/// Reads what opening the store reads.
fn look(file: &Path) -> Result<(), migrate::Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    if migrate::schema(&connection, &MIGRATIONS)? > 0 {
        let open = "SELECT count(*) FROM runs WHERE ended IS NULL";
        connection.query_row(open, [], |row| row.get::<_, i64>(0))?;
    }
    Ok(())
}
