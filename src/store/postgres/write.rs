//! Writes batches: a statement for each table, sent one after the other without waiting for answers, in one transaction.

use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, FutureExt, TryFutureExt, join_all};
use tokio_postgres::error::SqlState;

use super::columns::{Columns, Sql};
use super::link::Link;
use super::session::Session;
use super::tidy::Tidy;
use super::{Said, presence};
use crate::events::Timestamp;
use crate::store::Error;
use crate::store::batch::{Batch, Keep, Sink, Tidied};
use crate::store::block::Packer;

/// The writer of one process.
pub(super) struct PostgresSink {
    link: Link,
    tidy: Tidy,
    packer: Packer,
}

impl PostgresSink {
    pub(super) fn new(link: Link, heard_after: Duration) -> Self {
        Self {
            link,
            tidy: Tidy::new(heard_after),
            packer: Packer::default(),
        }
    }

    /// Writes a batch. Processes that get in each other's way try again: the server has chosen one to give way.
    ///
    /// It fails as well when a touched block is gone: the batch is written, and has to be written again with that block.
    fn write_at_once(&mut self, batch: &Batch<'_>) -> Result<(), Error> {
        const TRIES: usize = 3;
        // Packing is work, and in vain while there is nobody to send it to.
        self.link.ready()?;
        let columns = Columns::of(batch, &mut self.packer);
        let mut tries = 0;
        loop {
            tries += 1;
            let written = self.link.work(columns.bytes(), async |session| {
                write(session, &columns).await
            });
            match written {
                Err(error) if tries < TRIES && has_to_give_way(&error) => {}
                Ok(1..) => return Err(gone()),
                written => return written.map(drop),
            }
        }
    }

    /// Writes each run in a transaction of its own, and gives up those that hold what cannot be kept: nobody should have to
    /// wait for them.
    fn write_one_by_one(&mut self, batch: &Batch<'_>) -> Result<usize, Error> {
        let mut given_up = 0;
        let without_runs = Batch {
            runs: Vec::new(),
            ..*batch
        };
        self.write_at_once(&without_runs)?;
        for run in &batch.runs {
            let alone = Batch {
                plans: &[],
                runs: vec![*run],
                blocks: &[],
                touched: &[],
            };
            match self.write_at_once(&alone) {
                Err(error) if is_about_a_value(&error) => {
                    let run = run.row.start.id;
                    tracing::error!(%error, %run, "a run could not be kept");
                    given_up += 1;
                }
                written => written?,
            }
        }
        Ok(given_up)
    }
}

/// A touched block is not there.
fn gone() -> Error {
    Error::Database(Box::new(Said {
        words: "a text that was there before is gone".to_owned(),
        code: None,
    }))
}

/// Whether another try may succeed at once.
fn has_to_give_way(error: &Error) -> bool {
    let code = code_of(error);
    code == Some(&SqlState::T_R_DEADLOCK_DETECTED)
        || code == Some(&SqlState::T_R_SERIALIZATION_FAILURE)
}

/// Whether no other try will succeed: a value that a column or an index cannot hold.
fn is_about_a_value(error: &Error) -> bool {
    const CLASSES: [&str; 3] = ["22", "23", "54"];
    let is_of = |code: &SqlState| CLASSES.iter().any(|class| code.code().starts_with(class));
    code_of(error).is_some_and(is_of)
}

fn code_of(error: &Error) -> Option<&SqlState> {
    match error {
        Error::Database(source) => source.downcast_ref::<Said>()?.code.as_ref(),
        Error::Damaged(_)
        | Error::Gone(_)
        | Error::TooSlow(_)
        | Error::NoAnswer(_)
        | Error::Corrupt(_) => None,
    }
}

impl Sink for PostgresSink {
    fn reach(&mut self) -> bool {
        // The write that follows is told why there is no session.
        let _ = self.link.reach();
        self.link.was_lost()
    }

    fn write(&mut self, batch: &Batch<'_>) -> Result<usize, Error> {
        match self.write_at_once(batch) {
            Err(error) if is_about_a_value(&error) => {
                tracing::error!(%error, "the run store cannot hold a value; each run is written by itself");
                self.write_one_by_one(batch)
            }
            written => written.map(|()| 0),
        }
    }

    fn look(&mut self) -> bool {
        self.link.look();
        self.link.was_lost()
    }

    fn alive(&mut self, at: Timestamp) -> Result<(), Error> {
        self.link.reach()?;
        self.link.work(0, async |session| {
            presence::alive(&session.client, session.process, at).await
        })
    }

    fn end_by(&mut self, until: Instant) {
        self.link.end_by(until);
    }

    fn tidy(&mut self, keep: &Keep) -> Result<Tidied, Error> {
        self.link.reach()?;
        let tidy = &mut self.tidy;
        self.link
            .work(0, async |session| tidy.step(session, keep).await)
    }

    fn close(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

/// Gives how many blocks it has found gone.
type Sent<'a> = BoxFuture<'a, Result<usize, tokio_postgres::Error>>;

/// Everything is sent before the first answer is awaited. A statement that fails makes those after it fail, and turns the
/// commit into a rollback.
///
/// Returns how many of the touched blocks are gone.
async fn write(session: &Session, columns: &Columns) -> Result<usize, tokio_postgres::Error> {
    let client = &session.client;
    let mut sent: Vec<Sent<'_>> = vec![client.batch_execute("BEGIN").map_ok(|()| 0).boxed()];
    for (sql, values) in columns.with_statements(&session.process) {
        let statement = &session.statements[sql as usize];
        let answer = async move {
            if matches!(sql, Sql::Touched) {
                let gone = client.query(statement, &values).await;
                gone.map(|blocks| blocks.len())
            } else {
                client.execute(statement, &values).await.map(|_| 0)
            }
        };
        sent.push(answer.boxed());
    }
    sent.push(client.batch_execute("COMMIT").map_ok(|()| 0).boxed());
    // In order, which decides what is sent first.
    join_all(sent).await.into_iter().sum()
}
