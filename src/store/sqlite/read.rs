//! The [`Store`] over SQLite.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension};

use super::open::FolderLock;
use super::readers::Readers;
use super::select::{page, page_by, summary};
use super::totals::{totals_of, usage};
use super::write::PART_BITS;
use crate::events::{PlanInfo, RunId, Timestamp};
use crate::store::block::BlockHash;
use crate::store::detail::Journal;
use crate::store::model::{By, Figure, RunDetail, RunFilter, RunPage, RunSummary, Totals, Usage};
use crate::store::stats::RecorderStats;
use crate::store::stored::{self, COLUMNS, unpacked};
use crate::store::{Error, Refused, Store};

/// Reads the runs of one folder.
#[derive(Debug)]
pub struct SqliteStore {
    readers: Readers,
    stats: Arc<RecorderStats>,
    _lock: Arc<FolderLock>,
}

impl SqliteStore {
    pub(super) const fn new(
        readers: Readers,
        stats: Arc<RecorderStats>,
        lock: Arc<FolderLock>,
    ) -> Self {
        Self {
            readers,
            stats,
            _lock: lock,
        }
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn runs(
        &self,
        filter: &RunFilter,
        after: Option<RunId>,
        limit: u16,
    ) -> Result<RunPage, Error> {
        let filter = filter.clone();
        let limit = limit.max(1);
        let read = move |connection: &Connection| page(connection, &filter, after, limit);
        self.readers.read(read).await
    }

    async fn runs_by(
        &self,
        figure: Figure,
        filter: &RunFilter,
        after: Option<RunId>,
        limit: u16,
    ) -> Result<RunPage, Error> {
        let filter = filter.clone();
        let limit = limit.max(1);
        let read =
            move |connection: &Connection| page_by(connection, figure, &filter, after, limit);
        self.readers.read(read).await
    }

    async fn runs_by_id(&self, ids: &[RunId]) -> Result<Vec<RunSummary>, Error> {
        let ids = ids.to_vec();
        let read = move |connection: &Connection| {
            let rows = ids.iter().map(|id| row_of(connection, *id));
            rows.filter_map(|row| row.map(|row| row.map(|(_, run)| run)).transpose())
                .collect()
        };
        self.readers.read(read).await
    }

    async fn run(&self, id: RunId) -> Result<Option<RunDetail>, Error> {
        let read = move |connection: &Connection| detail(connection, id);
        self.readers.read(read).await
    }

    async fn payload(&self, id: RunId, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let name = name.to_owned();
        let read = move |connection: &Connection| text(connection, id, &name);
        self.readers.read(read).await
    }

    async fn plan(&self, hash: &str) -> Result<Option<PlanInfo>, Error> {
        let hash = hash.to_owned();
        let read = move |connection: &Connection| plan(connection, &hash);
        self.readers.read(read).await
    }

    async fn totals(&self, since: Timestamp) -> Result<Totals, Error> {
        let filter = RunFilter::accepted_since(since);
        let all = self.totals_of(&filter, u32::MAX).await?;
        Ok(all.unwrap_or_default())
    }

    async fn totals_of(&self, filter: &RunFilter, most: u32) -> Result<Option<Totals>, Error> {
        let filter = filter.clone();
        let read = move |connection: &Connection| totals_of(connection, &filter, most);
        self.readers.read(read).await
    }

    async fn oldest(&self) -> Result<Option<Timestamp>, Error> {
        let read = |connection: &Connection| {
            let sql = "SELECT started FROM runs ORDER BY id LIMIT 1";
            let oldest = connection.query_row(sql, [], |row| row.get(0)).optional()?;
            Ok(oldest.map(Timestamp))
        };
        self.readers.read(read).await
    }

    async fn usage(&self, by: By, slot: Duration, filter: &RunFilter) -> Result<Usage, Error> {
        let filter = filter.clone();
        let read = move |connection: &Connection| usage(connection, by, slot, &filter);
        self.readers.read(read).await
    }

    fn refuses_since(&self) -> Option<Timestamp> {
        self.stats.failing_since()
    }

    async fn ready(&self) -> Result<(), Error> {
        if self.stats.is_failing() {
            return Err(Error::Database(Box::new(Refused)));
        }
        let read = |connection: &Connection| {
            Ok(connection.query_row("SELECT count(*) FROM plans", [], |_| Ok(()))?)
        };
        self.readers.read(read).await
    }
}

fn row_of(connection: &Connection, id: RunId) -> Result<Option<(i64, RunSummary)>, Error> {
    let sql = format!("SELECT {COLUMNS}, row FROM runs WHERE id = ?");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([id.as_bytes()])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    Ok(Some((row.get("row")?, summary(row)?)))
}

fn detail(connection: &Connection, id: RunId) -> Result<Option<RunDetail>, Error> {
    let snapshot = connection.unchecked_transaction()?;
    let Some((row, summary)) = row_of(&snapshot, id)? else {
        return Ok(None);
    };
    let plan = plan(&snapshot, &summary.plan)?
        .ok_or_else(|| Error::Corrupt(format!("run {id} has no plan")))?;
    let mut journal = journal(&snapshot, row, summary.started)?;
    let mut blocks = HashMap::new();
    for hash in journal.preview_blocks() {
        if let Some(data) = block(&snapshot, hash)? {
            blocks.insert(hash, data);
        }
    }
    for name in texts_with_missing_blocks(&snapshot, &journal)? {
        journal.lose_text(&name);
    }
    Ok(Some(journal.into_detail(summary, plan, &blocks)))
}

fn texts_with_missing_blocks(
    connection: &Connection,
    journal: &Journal,
) -> Result<Vec<String>, Error> {
    let mut exists = connection.prepare_cached("SELECT 1 FROM blocks WHERE hash = ?")?;
    let mut names = Vec::new();
    for (name, hash) in journal.payload_blocks() {
        if !exists.exists([&hash.0])? {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// A large text; `None` as well when a block of it is missing.
fn text(connection: &Connection, id: RunId, name: &str) -> Result<Option<Vec<u8>>, Error> {
    let snapshot = connection.unchecked_transaction()?;
    let Some((row, summary)) = row_of(&snapshot, id)? else {
        return Ok(None);
    };
    let journal = journal(&snapshot, row, summary.started)?;
    let Some(text) = journal.into_text(name) else {
        return Ok(None);
    };
    let mut whole = Vec::new();
    for piece in text.pieces {
        let data = match piece.block() {
            Some(hash) => match block(&snapshot, hash)? {
                Some(data) => Some(data),
                None => return Ok(None),
            },
            None => None,
        };
        whole.extend_from_slice(&piece.text(data.as_deref())?);
    }
    Ok(Some(whole))
}

fn journal(connection: &Connection, row: i64, started: Timestamp) -> Result<Journal, Error> {
    let mut parts = connection.prepare_cached(
        "SELECT bytes, data FROM journal WHERE place >= ? AND place < ? ORDER BY place",
    )?;
    let mut parts = parts.query([row << PART_BITS, (row + 1) << PART_BITS])?;
    let mut journal = Journal::default();
    while let Some(part) = parts.next()? {
        let part = unpacked(part.get(0)?, part.get(1)?)?;
        journal.read(&part, started)?;
    }
    Ok(journal)
}

fn block(connection: &Connection, hash: BlockHash) -> Result<Option<Vec<u8>>, Error> {
    let found: Option<(i64, Vec<u8>)> = connection
        .prepare_cached("SELECT bytes, data FROM blocks WHERE hash = ?")?
        .query_row([&hash.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((bytes, data)) = found else {
        return Ok(None);
    };
    unpacked(bytes, data).map(Some)
}

fn plan(connection: &Connection, hash: &str) -> Result<Option<PlanInfo>, Error> {
    let info: Option<String> = connection
        .prepare_cached("SELECT info FROM plans WHERE hash = ?")?
        .query_row([hash], |row| row.get(0))
        .optional()?;
    info.map(|info| stored::plan(hash, &info)).transpose()
}
