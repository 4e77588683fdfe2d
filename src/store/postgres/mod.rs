//! The PostgreSQL engine: one database for all replicas behind a load balancer.
//!
//! Every replica writes its own runs and reads everybody's. What one process commits, the others announce to their pages.
//!
//! | file | what |
//! | --- | --- |
//! | [`address`] | where the database is, how it is reached, and how that is said without the password |
//! | [`open`](mod@open) | connects, migrates, marks what dead processes left behind; the sentences when it cannot |
//! | [`migrate`] | brings a database to the present schema |
//! | [`session`] | the writer's connection: its statements, its place among the processes, what others announce |
//! | [`link`] | the session, and a new one when it is lost; lets a thread wait for it |
//! | [`write`](mod@write) | writes batches |
//! | [`columns`] | a batch as statements and their values |
//! | [`presence`] | which processes live, and the runs of those that do not |
//! | [`tidy`] | deletes what is too old or too much |
//! | [`read`] | the [`Store`](super::Store) |
//! | [`select`] | a row as a run |
//! | [`totals`] | figures over many runs |

mod address;
mod columns;
mod link;
mod migrate;
mod open;
mod presence;
mod read;
mod select;
mod session;
mod tidy;
mod totals;
mod write;

pub use address::{Address, Fault as AddressFault, ORIGIN};
pub use open::{OpenError, examine, open};
pub use read::PostgresStore;

use tokio_postgres::error::SqlState;

use super::Error;

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(Box::new(Said {
            words: said(&error),
            code: error.code().cloned(),
        }))
    }
}

/// What the database, or the way to it, said. The driver's own text leaves out the best part.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
struct Said {
    words: String,
    code: Option<SqlState>,
}

fn said(error: &tokio_postgres::Error) -> String {
    if let Some(answer) = error.as_db_error() {
        let detail = answer.detail().map(|detail| format!(" ({detail})"));
        return format!("{}{}", answer.message(), detail.unwrap_or_default());
    }
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause {
        let words = deeper.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = deeper.source();
    }
    text
}

/// It did not answer in time.
#[derive(Debug, thiserror::Error)]
#[error("the database did not answer within {} s", .0.as_secs_f32())]
struct TooSlow(std::time::Duration);

/// That of a write; a read that takes too long is [`Error::TooSlow`].
impl From<TooSlow> for Error {
    fn from(error: TooSlow) -> Self {
        Self::NoAnswer(error.0)
    }
}

/// PostgreSQL's texts cannot hold the character NUL; it becomes the mark of what cannot be shown.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_write_that_takes_too_long_is_not_called_a_read() {
        let error = Error::from(TooSlow(Duration::from_secs(5)));
        assert_eq!(error.to_string(), "the database did not answer within 5 s");
    }
}
