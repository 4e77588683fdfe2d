//! Writes batches: prepared statements, one transaction a batch.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use foldhash::fast::RandomState;
use rusqlite::{CachedStatement, Connection, Transaction, TransactionBehavior, params};

use super::checkpoint::Checkpointer;
use super::open::{BUSY_TIMEOUT, FolderLock};
use super::tidy::Tidy;
use crate::events::{PlanInfo, RunId, Timestamp};
use crate::facts;
use crate::store::Error;
use crate::store::batch::{Batch, Change, Keep, RunRow, RunWrite, Sink, Tidied};
use crate::store::block::{LONG_BLOCK, LONG_PART, NewBlock, Packer, Touched};
use crate::store::model::By;

const INSERT_PLAN: &str =
    "INSERT INTO plans (hash, name, info) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
const INSERT_RUN: &str =
    "INSERT INTO runs (state, streaming, replied, ended, seen, pieces, bytes, session, models,
        input_tokens, cache_read_tokens, output_tokens, cost_usd, error, facts, estimated, retries,
        model, provider, client, key_name, replaced, id, workflow, plan, request_id, trace_id, started)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
const UPDATE_RUN: &str = "UPDATE runs SET state = ?, streaming = ?, replied = ?, ended = ?, seen = ?, pieces = ?, bytes = ?,
        session = ?, models = ?, input_tokens = ?, cache_read_tokens = ?, output_tokens = ?, cost_usd = ?, error = ?, facts = ?,
        estimated = ?, retries = ?, model = ?, provider = ?, client = ?, key_name = ?, replaced = ?
    WHERE row = ?";
const UPDATE_PROGRESS: &str = "UPDATE runs SET seen = ?, pieces = ?, bytes = ? WHERE row = ?";
const INSERT_PART: &str = "INSERT INTO journal (place, bytes, data) VALUES (?, ?, ?)";
const INSERT_BLOCK: &str = "INSERT INTO blocks (hash, used, bytes, data) VALUES (?, ?, ?, ?)
    ON CONFLICT (hash) DO UPDATE SET used = excluded.used WHERE used < excluded.used";
const ALIVE: &str =
    "INSERT INTO alive (one, at) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET at = excluded.at";
const TOUCH_BLOCK: &str = "UPDATE blocks SET used = ?2 WHERE hash = ?1 AND used < ?2";

/// How many parts a run's journal can have, as bits of their place.
pub(super) const PART_BITS: u32 = 24;

/// The writer of one database.
pub(super) struct SqliteSink {
    connection: Connection,
    checkpointer: Option<Checkpointer>,
    tidy: Tidy,
    file: OpenedFile,
    /// Rows of runs that are not over.
    rows: HashMap<RunId, i64, RandomState>,
    scratch: Scratch,
    /// When the process ends, once it does.
    until: Option<Instant>,
    _lock: Arc<FolderLock>,
}

/// A file by its path, and what tells it from another one there.
struct OpenedFile {
    path: PathBuf,
    identity: Option<(u64, u64)>,
}

impl OpenedFile {
    fn of(path: &Path) -> Self {
        let path = path.to_owned();
        let identity = identity(&path);
        Self { path, identity }
    }

    /// Whether it is still there: SQLite writes on into one that was deleted.
    fn check(&self) -> Result<(), Error> {
        if identity(&self.path) == self.identity {
            return Ok(());
        }
        Err(Error::Gone(self.path.clone()))
    }
}

/// The device and the number of the file that stands there.
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let about = path.metadata().ok()?;
    Some((about.dev(), about.ino()))
}

#[derive(Default)]
struct Scratch {
    packer: Packer,
    facts: Vec<u8>,
    models: String,
}

impl SqliteSink {
    pub(super) fn new(
        connection: Connection,
        file: &Path,
        lock: Arc<FolderLock>,
    ) -> rusqlite::Result<Self> {
        Ok(Self {
            connection,
            checkpointer: Some(Checkpointer::start(file)?),
            tidy: Tidy::default(),
            file: OpenedFile::of(file),
            rows: HashMap::default(),
            scratch: Scratch::default(),
            until: None,
            _lock: lock,
        })
    }

    /// Waits for other programs no longer than the process may take to end.
    fn wait_as_long_as_is_left(&self) -> rusqlite::Result<()> {
        let Some(until) = self.until else {
            return Ok(());
        };
        let left = until.saturating_duration_since(Instant::now());
        self.connection.busy_timeout(left.min(BUSY_TIMEOUT))
    }

    fn committed(&mut self) {
        if let Some(checkpointer) = &mut self.checkpointer {
            checkpointer.committed(&self.connection);
        }
    }
}

impl Sink for SqliteSink {
    fn write(&mut self, batch: &Batch<'_>) -> Result<usize, Error> {
        self.file.check()?;
        self.wait_as_long_as_is_left()?;
        let behavior = TransactionBehavior::Immediate;
        let transaction = self.connection.transaction_with_behavior(behavior)?;
        insert_plans(&transaction, batch.plans)?;
        insert_blocks(&transaction, batch.blocks, &mut self.scratch.packer)?;
        touch_blocks(&transaction, batch.touched)?;
        let new_rows = write_runs(&transaction, &batch.runs, &self.rows, &mut self.scratch)?;
        transaction.commit()?;
        self.rows.extend(new_rows);
        for run in batch.runs.iter().filter(|run| run.row.ended.is_some()) {
            self.rows.remove(&run.row.start.id);
        }
        self.committed();
        Ok(0)
    }

    fn alive(&mut self, at: Timestamp) -> Result<(), Error> {
        self.connection.prepare_cached(ALIVE)?.execute([at.0])?;
        self.committed();
        Ok(())
    }

    fn tidy(&mut self, keep: &Keep) -> Result<Tidied, Error> {
        let tidied = self.tidy.step(&mut self.connection, keep);
        // Also when it failed: a part of it may have been committed.
        self.committed();
        tidied
    }

    /// A lock is waited for no longer. A disk that hangs holds the thread up inside of the system, where nothing can end it
    /// but the disk: whoever waits for the recorder must not do so without a limit.
    fn end_by(&mut self, until: Instant) {
        self.until = Some(until);
    }

    fn close(&mut self) -> Result<(), Error> {
        self.checkpointer = None;
        self.wait_as_long_as_is_left()?;
        let truncate = "PRAGMA wal_checkpoint(TRUNCATE)";
        self.connection.query_row(truncate, [], |_| Ok(()))?;
        Ok(())
    }
}

fn insert_plans(transaction: &Transaction<'_>, plans: &[Arc<PlanInfo>]) -> Result<(), Error> {
    for plan in plans {
        let info = serde_json::to_string(plan).map_err(|error| Error::Database(Box::new(error)))?;
        transaction
            .prepare_cached(INSERT_PLAN)?
            .execute((&plan.hash, &plan.name, info))?;
    }
    Ok(())
}

fn insert_blocks(
    transaction: &Transaction<'_>,
    blocks: &[NewBlock],
    packer: &mut Packer,
) -> rusqlite::Result<()> {
    if blocks.is_empty() {
        return Ok(());
    }
    let mut insert = transaction.prepare_cached(INSERT_BLOCK)?;
    for block in blocks {
        let data = packer.pack(&block.data, LONG_BLOCK);
        insert.execute((&block.hash.0, block.used.0, length(&block.data), data))?;
    }
    Ok(())
}

fn touch_blocks(transaction: &Transaction<'_>, touched: &[Touched]) -> rusqlite::Result<()> {
    if touched.is_empty() {
        return Ok(());
    }
    let mut touch = transaction.prepare_cached(TOUCH_BLOCK)?;
    for block in touched {
        touch.execute((&block.hash.0, block.used.0))?;
    }
    Ok(())
}

/// Writes rows and journals; returns the rows of the runs that are new.
fn write_runs(
    transaction: &Transaction<'_>,
    runs: &[RunWrite<'_>],
    known: &HashMap<RunId, i64, RandomState>,
    scratch: &mut Scratch,
) -> rusqlite::Result<Vec<(RunId, i64)>> {
    let mut insert_part = transaction.prepare_cached(INSERT_PART)?;
    let mut writer = RowWriter {
        transaction,
        insert: transaction.prepare_cached(INSERT_RUN)?,
        update: transaction.prepare_cached(UPDATE_RUN)?,
        update_progress: transaction.prepare_cached(UPDATE_PROGRESS)?,
    };
    let mut new_rows = Vec::new();
    for run in runs {
        let id = run.row.start.id;
        let row = match run.change {
            Change::New => match writer.insert(run.row, scratch)? {
                Some(row) => {
                    new_rows.push((id, row));
                    row
                }
                // A run of this name is there already, and it is not this process's to change.
                None => continue,
            },
            Change::Whole | Change::Progress => match known.get(&id) {
                Some(row) => {
                    writer.update(*row, run, scratch)?;
                    *row
                }
                None => continue,
            },
        };
        if !run.journal.is_empty() {
            let place = row << PART_BITS | i64::from(run.part);
            let data = scratch.packer.pack(run.journal, LONG_PART);
            insert_part.execute((place, length(run.journal), data))?;
        }
    }
    Ok(new_rows)
}

struct RowWriter<'a> {
    transaction: &'a Transaction<'a>,
    insert: CachedStatement<'a>,
    update: CachedStatement<'a>,
    update_progress: CachedStatement<'a>,
}

impl RowWriter<'_> {
    /// Inserts a run; `None` when one of its name is there.
    fn insert(&mut self, row: &RunRow, scratch: &mut Scratch) -> rusqlite::Result<Option<i64>> {
        bind_changeable(&mut self.insert, row, scratch)?;
        let start = &row.start;
        let fixed = params![
            start.id.as_bytes(),
            row.plan.name,
            row.plan.hash,
            &*start.request_id,
            start.trace.trace_id,
            start.at.0,
        ];
        for (index, value) in fixed.iter().enumerate() {
            self.insert
                .raw_bind_parameter(CHANGEABLE + 1 + index, value)?;
        }
        let inserted = self.insert.raw_execute()?;
        Ok((inserted > 0).then(|| self.transaction.last_insert_rowid()))
    }

    fn update(
        &mut self,
        row: i64,
        run: &RunWrite<'_>,
        scratch: &mut Scratch,
    ) -> rusqlite::Result<()> {
        if run.change == Change::Progress {
            let RunRow {
                seen,
                pieces,
                bytes,
                ..
            } = run.row;
            let values = (seen.0, clamp(*pieces), clamp(*bytes), row);
            self.update_progress.execute(values)?;
        } else {
            bind_changeable(&mut self.update, run.row, scratch)?;
            self.update.raw_bind_parameter(CHANGEABLE + 1, row)?;
            self.update.raw_execute()?;
        }
        Ok(())
    }
}

/// The columns that can change stand first in both statements.
const CHANGEABLE: usize = 22;

fn bind_changeable(
    statement: &mut CachedStatement<'_>,
    row: &RunRow,
    scratch: &mut Scratch,
) -> rusqlite::Result<()> {
    row.models(&mut scratch.models);
    row.facts_json(&mut scratch.facts);
    let facts_json = std::str::from_utf8(&scratch.facts)?;
    let time = |at: Option<Timestamp>| at.map(|at| at.0);
    let values = params![
        row.state.name(),
        row.streaming,
        time(row.replied),
        time(row.ended),
        row.seen.0,
        clamp(row.pieces),
        clamp(row.bytes),
        row.text(facts::SESSION),
        scratch.models,
        row.int(facts::INPUT_TOKENS),
        row.int(facts::CACHE_READ_TOKENS),
        row.int(facts::OUTPUT_TOKENS),
        row.float(facts::COST_USD),
        row.error.as_deref(),
        facts_json,
        row.is(facts::USAGE_IS_ESTIMATE),
        row.int(facts::RETRIES).unwrap_or(0),
        row.name(By::Model),
        row.name(By::Provider),
        row.name(By::Client),
        row.name(By::Key),
        row.is_replaced(),
    ];
    for (index, value) in values.iter().enumerate() {
        statement.raw_bind_parameter(index + 1, value)?;
    }
    Ok(())
}

fn length(data: &[u8]) -> i64 {
    clamp(data.len() as u64)
}

/// SQLite's integers are signed.
fn clamp(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
