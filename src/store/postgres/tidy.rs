//! Deletes what is too old or too much: the oldest runs first, a few at a time, then the blocks that nobody uses any
//! more. Of all processes one does it at a time.
//!
//! What is counted is what was stored and not deleted: a table of PostgreSQL does not get shorter by deleting, its space is
//! used again.
//!
//! A run that stays open keeps its blocks, and those of all runs after it, until there is too much: then it may lose texts.

use std::time::{Duration, Instant};

use tokio_postgres::{Error, Transaction};

use super::columns::RUN_BYTES;
use super::presence::{ALONE, bury};
use super::session::Session;
use crate::events::Timestamp;
use crate::store::batch::{Keep, Shrinking, Tidied};
use crate::store::block::Minute;

/// Runs deleted between two looks at the clock, and at the size.
const RUNS: i64 = 16;
/// Blocks deleted between two looks at the clock.
const BLOCKS: i64 = 512;

/// Of which runs the blocks are kept.
const ALL: &str = "";
const FINISHED: &str = "WHERE ended IS NOT NULL";

/// Retention, step by step.
#[derive(Debug)]
pub(super) struct Tidy {
    shrinking: Shrinking,
    heard_after: Duration,
}

impl Tidy {
    /// Blocks go `heard_after` their announcement: every process asks every minute.
    pub(super) fn new(heard_after: Duration) -> Self {
        Self {
            shrinking: Shrinking::default(),
            heard_after,
        }
    }

    /// Works until nothing is left to do or the budget is spent.
    pub(super) async fn step(
        &mut self,
        session: &mut Session,
        keep: &Keep,
    ) -> Result<Tidied, Error> {
        let deadline = Instant::now() + keep.budget;
        let mut tidied = Tidied::default();
        let own = session.process;
        loop {
            let transaction = session.client.transaction().await?;
            let try_alone = format!("SELECT pg_try_advisory_xact_lock({ALONE})");
            let is_alone: bool = transaction.query_one(&try_alone, &[]).await?.get(0);
            if !is_alone {
                tidied.blocks_before = Some(announced(&transaction).await?);
                transaction.commit().await?;
                return Ok(tidied);
            }
            let crashed = bury(&transaction, own).await?;
            let done = self.delete_some(&transaction, keep, &mut tidied).await?;
            let counted = "UPDATE dagway.processes SET bytes = bytes - $2 WHERE number = $1";
            transaction.execute(counted, &[&own, &done.bytes]).await?;
            tidied.blocks_before = Some(announced(&transaction).await?);
            transaction.commit().await?;
            tidied.crashed += crashed;
            if done.count == 0 {
                return Ok(tidied);
            }
            if Instant::now() >= deadline {
                tidied.more = true;
                return Ok(tidied);
            }
        }
    }

    /// Deletes blocks, or runs when there are no blocks to delete.
    async fn delete_some(
        &mut self,
        transaction: &Transaction<'_>,
        keep: &Keep,
        tidied: &mut Tidied,
    ) -> Result<Deleted, Error> {
        let before = unused_before(transaction, ALL).await?;
        let done = self.delete_unused(transaction, before).await?;
        if done.count > 0 {
            return Ok(done);
        }
        let mut is_too_big = self.is_too_big(transaction, before, keep.bytes).await?;
        if is_too_big {
            // A run that stays open holds the blocks of all that came after it, and these would be deleted in vain.
            let finished = unused_before(transaction, FINISHED).await?;
            if finished > before {
                let done = self.delete_unused(transaction, finished).await?;
                if done.count > 0 {
                    return Ok(done);
                }
                is_too_big = self.is_too_big(transaction, finished, keep.bytes).await?;
            }
        }
        let done = delete_runs(transaction, keep.since, is_too_big).await?;
        tidied.runs += done.count;
        Ok(done)
    }

    /// Deletes blocks last used before `minute`, as far as everybody has heard of it. What was heard may be about a later
    /// minute: an older run has been written since.
    async fn delete_unused(
        &self,
        transaction: &Transaction<'_>,
        minute: Minute,
    ) -> Result<Deleted, Error> {
        let heard = self.announce(transaction, minute).await?;
        delete_blocks(transaction, heard.min(minute)).await
    }

    /// Announces that blocks last used before `minute` will go, unless an earlier announcement is not yet old enough;
    /// returns what everybody has heard.
    async fn announce(
        &self,
        transaction: &Transaction<'_>,
        minute: Minute,
    ) -> Result<Minute, Error> {
        let row = transaction
            .query_one(
                "WITH now AS (SELECT *, announced_at <= clock_timestamp() - $2 * interval '1 second' AS is_old
                    FROM dagway.retention FOR UPDATE)
                 UPDATE dagway.retention AS kept SET
                    heard = CASE WHEN is_old THEN now.announced ELSE now.heard END,
                    announced = CASE WHEN is_old THEN greatest(now.announced, $1) ELSE now.announced END,
                    announced_at = CASE WHEN is_old AND $1 > now.announced THEN clock_timestamp()
                        ELSE now.announced_at END
                 FROM now RETURNING kept.heard",
                &[&minute.0, &self.heard_after.as_secs_f64()],
            )
            .await?;
        Ok(Minute(row.get(0)))
    }

    /// Blocks that will go soon are not counted: or else runs would be deleted until they have gone. Nor is what the tables
    /// do not hold, however it has left them.
    async fn is_too_big(
        &mut self,
        transaction: &Transaction<'_>,
        unused_before: Minute,
        bytes: u64,
    ) -> Result<bool, Error> {
        let row = transaction
            .query_one(
                "SELECT least((SELECT sum(bytes) FROM dagway.processes),
                        pg_total_relation_size('dagway.blocks') + pg_total_relation_size('dagway.journal')
                        + pg_total_relation_size('dagway.runs'))::bigint
                    - (SELECT coalesce(sum(octet_length(data)), 0) FROM dagway.blocks WHERE used < $1)::bigint",
                &[&unused_before.0],
            )
            .await?;
        let used = u64::try_from(row.get::<_, i64>(0)).unwrap_or(0);
        Ok(self.shrinking.is_due(used, bytes))
    }
}

/// What was deleted.
#[derive(Debug)]
struct Deleted {
    count: usize,
    bytes: i64,
}

/// Deletes the oldest finished runs: those accepted before `since`, or any when there is too much.
async fn delete_runs(
    transaction: &Transaction<'_>,
    since: Timestamp,
    is_too_big: bool,
) -> Result<Deleted, Error> {
    let row = transaction
        .query_one(
            "WITH oldest AS (
                SELECT id, started FROM dagway.runs WHERE ended IS NOT NULL ORDER BY id LIMIT $1),
            leaving AS MATERIALIZED (SELECT id FROM oldest WHERE started < $2 OR $3),
            runs AS (DELETE FROM dagway.runs WHERE id IN (SELECT id FROM leaving) RETURNING 1),
            parts AS (
                DELETE FROM dagway.journal WHERE run IN (SELECT id FROM leaving)
                RETURNING octet_length(data) AS size)
            SELECT (SELECT count(*) FROM runs), (SELECT coalesce(sum(size), 0) FROM parts)::bigint",
            &[&RUNS, &since.0, &is_too_big],
        )
        .await?;
    let (runs, parts): (i64, i64) = (row.get(0), row.get(1));
    Ok(Deleted {
        count: usize::try_from(runs).unwrap_or(0),
        bytes: runs * RUN_BYTES + parts,
    })
}

/// Blocks last used before this minute belong to none of these runs, as far as they are left.
///
/// A minute is left for runs that are known to a recorder and not yet written.
async fn unused_before(transaction: &Transaction<'_>, runs: &str) -> Result<Minute, Error> {
    const SLACK: i64 = 1;
    let sql = format!(
        "SELECT min(started) FROM (SELECT started FROM dagway.runs {runs} ORDER BY id LIMIT 64) AS oldest"
    );
    let oldest: Option<i64> = transaction.query_one(&sql, &[]).await?.get(0);
    let oldest = oldest.map_or_else(Timestamp::now, Timestamp);
    Ok(Minute(Minute::of(oldest).0 - SLACK))
}

/// Blocks last used before this minute will go, or are gone already.
async fn announced(transaction: &Transaction<'_>) -> Result<Minute, Error> {
    let sql = "SELECT announced FROM dagway.retention";
    Ok(Minute(transaction.query_one(sql, &[]).await?.get(0)))
}

async fn delete_blocks(transaction: &Transaction<'_>, before: Minute) -> Result<Deleted, Error> {
    let row = transaction
        .query_one(
            "WITH leaving AS MATERIALIZED (
                SELECT hash FROM dagway.blocks WHERE used < $1 ORDER BY used LIMIT $2 FOR UPDATE SKIP LOCKED),
            blocks AS (
                DELETE FROM dagway.blocks WHERE hash IN (SELECT hash FROM leaving)
                RETURNING octet_length(data) AS size)
            SELECT count(*), coalesce(sum(size), 0)::bigint FROM blocks",
            &[&before.0, &BLOCKS],
        )
        .await?;
    Ok(Deleted {
        count: usize::try_from(row.get::<_, i64>(0)).unwrap_or(0),
        bytes: row.get(1),
    })
}
