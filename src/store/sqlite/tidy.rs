//! Deletes what is too old or too much: the oldest runs first, a few at a time, then the blocks that nobody uses any
//! more, then pages from the end of the file.
//!
//! A run that stays open keeps its blocks, and those of all runs after it, until there is too much: then it may lose texts.

use std::time::Instant;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::write::PART_BITS;
use crate::events::Timestamp;
use crate::store::Error;
use crate::store::batch::{Keep, Shrinking, Tidied};
use crate::store::block::Minute;

/// Runs deleted between two looks at the clock, and at the size.
const RUNS: u32 = 16;
/// Blocks deleted between two looks at the clock.
const BLOCKS: u32 = 64;
/// Pages given back between two looks at the clock.
const PAGES: i64 = 64;

/// Of which runs the blocks are kept.
const ALL: &str = "";
const FINISHED: &str = "WHERE ended IS NOT NULL";

/// Retention, step by step.
#[derive(Debug, Default)]
pub(super) struct Tidy {
    shrinking: Shrinking,
}

impl Tidy {
    /// Works until nothing is left to do or the budget is spent.
    pub(super) fn step(
        &mut self,
        connection: &mut Connection,
        keep: &Keep,
    ) -> Result<Tidied, Error> {
        let deadline = Instant::now() + keep.budget;
        let mut tidied = Tidied::default();
        loop {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut before = unused_before(&transaction, ALL)?;
            let mut blocks = delete_blocks(&transaction, before)?;
            // Only what is still too much without the blocks that nobody uses may cost more runs.
            let mut runs = 0;
            if blocks == 0 {
                let used = Pages::of(&transaction)?.used_bytes();
                let is_too_big = self.shrinking.is_due(used, keep.bytes);
                if is_too_big {
                    // A run that stays open holds the blocks of all that came after it, and these would be deleted in vain.
                    before = before.max(unused_before(&transaction, FINISHED)?);
                    blocks = delete_blocks(&transaction, before)?;
                }
                if blocks == 0 {
                    runs = delete_runs(&transaction, keep.since, is_too_big)?;
                }
            }
            transaction.commit()?;
            tidied.runs += runs;
            tidied.blocks_before = tidied.blocks_before.max(Some(before));
            if runs + blocks == 0 {
                break;
            }
            if Instant::now() >= deadline {
                tidied.more = true;
                return Ok(tidied);
            }
        }
        while Pages::of(connection)?.file_is_too_long(keep.bytes) {
            give_pages_back(connection)?;
            if Instant::now() >= deadline {
                tidied.more = true;
                break;
            }
        }
        Ok(tidied)
    }
}

/// Deletes the oldest finished runs: those accepted before `since`, or any when there is too much.
fn delete_runs(
    transaction: &Transaction<'_>,
    since: Timestamp,
    is_too_big: bool,
) -> rusqlite::Result<usize> {
    let mut oldest = transaction.prepare_cached(
        "SELECT row, started FROM runs WHERE ended IS NOT NULL ORDER BY id LIMIT ?",
    )?;
    let oldest: Vec<(i64, i64)> = oldest
        .query_map([RUNS], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut delete_run = transaction.prepare_cached("DELETE FROM runs WHERE row = ?")?;
    let mut delete_parts =
        transaction.prepare_cached("DELETE FROM journal WHERE place >= ? AND place < ?")?;
    let mut deleted = 0;
    for (row, started) in oldest {
        if started >= since.0 && !is_too_big {
            break;
        }
        delete_parts.execute((row << PART_BITS, (row + 1) << PART_BITS))?;
        deleted += delete_run.execute([row])?;
    }
    Ok(deleted)
}

/// Blocks last used before this minute belong to none of these runs, as far as they are left.
///
/// A minute is left for runs that are known to the recorder and not yet written.
fn unused_before(transaction: &Transaction<'_>, runs: &str) -> rusqlite::Result<Minute> {
    const SLACK: i64 = 1;
    let sql =
        format!("SELECT min(started) FROM (SELECT started FROM runs {runs} ORDER BY id LIMIT 64)");
    let oldest: Option<i64> = transaction.query_row(&sql, [], |row| row.get(0))?;
    let oldest = oldest.map_or_else(Timestamp::now, Timestamp);
    Ok(Minute(Minute::of(oldest).0 - SLACK))
}

fn delete_blocks(transaction: &Transaction<'_>, before: Minute) -> rusqlite::Result<usize> {
    transaction
        .prepare_cached(
            "DELETE FROM blocks WHERE row IN (SELECT row FROM blocks WHERE used < ? ORDER BY used LIMIT ?)",
        )?
        .execute((before.0, BLOCKS))
}

fn give_pages_back(connection: &Connection) -> rusqlite::Result<()> {
    let mut vacuum = connection.prepare(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
    let mut rows = vacuum.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

#[derive(Debug)]
struct Pages {
    all: u64,
    free: u64,
    size: u64,
}

impl Pages {
    fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let number = |pragma: &str| {
            let mut statement = connection.prepare_cached(pragma)?;
            let number: i64 = statement.query_row([], |row| row.get(0))?;
            Ok::<_, rusqlite::Error>(u64::try_from(number).unwrap_or(0))
        };
        Ok(Self {
            all: number("PRAGMA page_count")?,
            free: number("PRAGMA freelist_count")?,
            size: number("PRAGMA page_size")?,
        })
    }

    const fn used_bytes(&self) -> u64 {
        (self.all - self.free) * self.size
    }

    /// Free pages are used again, so that giving them back is worth it only when there are many.
    const fn file_is_too_long(&self, bytes: u64) -> bool {
        const MANY: u64 = 1024;
        let is_over = self.all * self.size > bytes && self.free > 0;
        is_over || self.free > MANY && self.free > self.all / 4
    }
}
