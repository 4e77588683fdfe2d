//! The SQLite engine: one file, one writer, many readers.
//!
//! | file | what |
//! | --- | --- |
//! | [`open`](mod@open) | takes the folder, opens the database, marks what a dead process left behind |
//! | [`examine`](mod@examine) | looks whether it could be opened, and changes nothing |
//! | [`migrate`] | brings a database to the present schema |
//! | [`write`](mod@write) | writes batches |
//! | [`checkpoint`] | moves the log into the database, beside the writer |
//! | [`tidy`] | deletes what is too old or too much |
//! | [`readers`] | connections that only read, each read with a deadline |
//! | [`read`] | the [`Store`](super::Store) |
//! | [`select`] | a filter as SQL, a row as a run |
//! | [`totals`] | figures over many runs |

mod checkpoint;
mod examine;
mod migrate;
mod open;
mod read;
mod readers;
mod select;
mod tidy;
mod totals;
mod write;

pub use examine::{Examined, examine};
pub use open::{OpenError, holder, open};
pub use read::SqliteStore;

use rusqlite::ErrorCode;

use super::Error;

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged(Box::new(error))
            }
            _ => Self::Database(Box::new(error)),
        }
    }
}
