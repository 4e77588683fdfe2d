//! The [`Store`] over PostgreSQL: a few connections that only read, each read with a deadline.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::{
    Client, Hook, HookError, Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime,
    Transaction,
};
use tokio_postgres::IsolationLevel;
use tokio_postgres::types::ToSql;

use super::address::Address;
use super::columns::{key, uuid};
use super::open::Trouble;
use super::select::{POSTGRES, numbered, summary};
use super::totals::{totals_of, usage};
use crate::events::{PlanInfo, RunId, Timestamp};
use crate::store::block::BlockHash;
use crate::store::conditions::{Conditions, Value};
use crate::store::detail::{Journal, OwnedPiece};
use crate::store::model::{By, Figure, RunDetail, RunFilter, RunPage, RunSummary, Totals, Usage};
use crate::store::stats::RecorderStats;
use crate::store::stored::{self, COLUMNS, unpacked};
use crate::store::{Error, Refused, Store};

/// Reads at the same time.
const MOST: usize = 4;

/// Reads the runs of all processes that record into one database.
#[derive(Debug)]
pub struct PostgresStore {
    pool: Pool,
    limit: Duration,
    stats: Arc<RecorderStats>,
}

impl PostgresStore {
    /// Nothing connects before the first read, whose time is limited to `limit` as that of each.
    pub(super) fn new(
        address: &Address,
        limit: Duration,
        stats: Arc<RecorderStats>,
    ) -> Result<Self, Trouble> {
        let recycling = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let manager = Manager::from_config(address.config().clone(), address.tls()?, recycling);
        // The server gives up what nobody waits for any more. A plan for any state would be a bad one for a rare state.
        let manners = format!(
            "SET default_transaction_read_only = on; SET plan_cache_mode = force_custom_plan; SET statement_timeout = {}",
            limit.as_millis()
        );
        let prepare = Hook::async_fn(move |client, _| {
            let manners = manners.clone();
            Box::pin(async move {
                let done = client.batch_execute(&manners).await;
                done.map_err(HookError::Backend)
            })
        });
        let pool = Pool::builder(manager)
            .max_size(MOST)
            .runtime(Runtime::Tokio1)
            .post_create(prepare)
            .build()
            .map_err(|error| Error::Database(Box::new(error)))?;
        Ok(Self { pool, limit, stats })
    }

    /// Waits for a connection and for `work` on it, no longer than a read may take.
    async fn read<T>(
        &self,
        work: impl AsyncFnOnce(&mut Client) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let read = async {
            let mut loan = Loan(Some(self.pool.get().await?));
            let Some(client) = &mut loan.0 else {
                return Err(Error::Corrupt("a connection that is not there".to_owned()));
            };
            let result = work(client).await;
            loan.give_back();
            result
        };
        let done = tokio::time::timeout(self.limit, read).await;
        done.unwrap_or_else(|_| Err(Error::TooSlow(self.limit)))
    }
}

/// A connection for one read. When the read is given up, so is the connection: the next read should not wait for the rest
/// of it, nor for a server that is silent.
struct Loan(Option<Client>);

impl Loan {
    fn give_back(mut self) {
        self.0 = None;
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            drop(Client::take(client));
        }
    }
}

impl From<PoolError> for Error {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => error.into(),
            error => Self::Database(Box::new(error)),
        }
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn runs(
        &self,
        filter: &RunFilter,
        after: Option<RunId>,
        limit: u16,
    ) -> Result<RunPage, Error> {
        let filter = findable(filter);
        self.read(async |client| page(client, &filter, after, limit.max(1)).await)
            .await
    }

    async fn runs_by(
        &self,
        figure: Figure,
        filter: &RunFilter,
        after: Option<RunId>,
        limit: u16,
    ) -> Result<RunPage, Error> {
        let filter = findable(filter);
        let limit = limit.max(1);
        self.read(async |client| page_by(client, figure, &filter, after, limit).await)
            .await
    }

    async fn runs_by_id(&self, ids: &[RunId]) -> Result<Vec<RunSummary>, Error> {
        let ids: Vec<_> = ids.iter().map(|id| uuid(*id)).collect();
        let sql = format!("SELECT {COLUMNS} FROM dagway.runs WHERE id = ANY($1)");
        let read = self.read(async |client| {
            let statement = client.prepare_cached(&sql).await?;
            let rows = client.query(&statement, &[&ids]).await?;
            rows.iter().map(summary).collect()
        });
        read.await
    }

    async fn run(&self, id: RunId) -> Result<Option<RunDetail>, Error> {
        self.read(async |client| detail(&snapshot(client).await?, id).await)
            .await
    }

    async fn payload(&self, id: RunId, name: &str) -> Result<Option<Vec<u8>>, Error> {
        self.read(async |client| text(&snapshot(client).await?, id, name).await)
            .await
    }

    async fn plan(&self, hash: &str) -> Result<Option<PlanInfo>, Error> {
        self.read(async |client| plan(&snapshot(client).await?, hash).await)
            .await
    }

    async fn totals(&self, since: Timestamp) -> Result<Totals, Error> {
        let filter = RunFilter::accepted_since(since);
        let all = self.totals_of(&filter, u32::MAX).await?;
        Ok(all.unwrap_or_default())
    }

    async fn totals_of(&self, filter: &RunFilter, most: u32) -> Result<Option<Totals>, Error> {
        let filter = findable(filter);
        self.read(async |client| totals_of(client, &filter, most).await)
            .await
    }

    async fn oldest(&self) -> Result<Option<Timestamp>, Error> {
        let read = self.read(async |client| {
            let sql = "SELECT started FROM dagway.runs ORDER BY id LIMIT 1";
            let oldest = client.query_opt(sql, &[]).await?;
            Ok(oldest.map(|row| row.try_get(0)).transpose()?.map(Timestamp))
        });
        read.await
    }

    async fn usage(&self, by: By, slot: Duration, filter: &RunFilter) -> Result<Usage, Error> {
        let filter = findable(filter);
        self.read(async |client| usage(client, by, slot, &filter).await)
            .await
    }

    fn refuses_since(&self) -> Option<Timestamp> {
        self.stats.failing_since()
    }

    async fn ready(&self) -> Result<(), Error> {
        if self.stats.is_failing() {
            return Err(Error::Database(Box::new(Refused)));
        }
        self.read(async |client| Ok(client.batch_execute("SELECT FROM dagway.version").await?))
            .await
    }
}

/// Values as the driver takes them.
pub(super) fn parameters(values: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(|value| value as _).collect()
}

/// A filter that finds what is kept under a [`key`].
fn findable(filter: &RunFilter) -> RunFilter {
    RunFilter {
        session: filter.session.as_deref().map(key),
        workflow: filter.workflow.as_deref().map(key),
        ..filter.clone()
    }
}

/// All reads in it see the same moment.
async fn snapshot(client: &mut Client) -> Result<Transaction<'_>, Error> {
    let snapshot = client
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .read_only(true);
    Ok(snapshot.start().await?)
}

async fn page(
    client: &Client,
    filter: &RunFilter,
    after: Option<RunId>,
    limit: u16,
) -> Result<RunPage, Error> {
    let limit = usize::from(limit);
    let mut runs = Vec::new();
    for conditions in Conditions::lists(&POSTGRES, filter, after) {
        let (clause, values) = numbered(conditions);
        let sql = format!(
            "SELECT {COLUMNS} FROM dagway.runs{clause} ORDER BY id DESC LIMIT {}",
            limit + 1
        );
        for row in client.query(&sql, &parameters(&values)).await? {
            runs.push(summary(&row)?);
        }
    }
    Ok(stored::newest(runs, limit))
}

async fn page_by(
    client: &Client,
    figure: Figure,
    filter: &RunFilter,
    after: Option<RunId>,
    limit: u16,
) -> Result<RunPage, Error> {
    let limit = usize::from(limit);
    let (conditions, order) = Conditions::greatest(&POSTGRES, figure, filter, after);
    let (clause, values) = numbered(conditions);
    let most = limit + 1;
    let sql = format!("SELECT {COLUMNS} FROM dagway.runs{clause} ORDER BY {order} LIMIT {most}");
    let rows = client.query(&sql, &parameters(&values)).await?;
    let runs: Result<_, _> = rows.iter().map(summary).collect();
    Ok(stored::page(runs?, limit))
}

async fn row_of(snapshot: &Transaction<'_>, id: RunId) -> Result<Option<RunSummary>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM dagway.runs WHERE id = $1");
    let statement = snapshot.prepare_cached(&sql).await?;
    let row = snapshot.query_opt(&statement, &[&uuid(id)]).await?;
    row.as_ref().map(summary).transpose()
}

async fn detail(snapshot: &Transaction<'_>, id: RunId) -> Result<Option<RunDetail>, Error> {
    let Some(summary) = row_of(snapshot, id).await? else {
        return Ok(None);
    };
    let plan = plan(snapshot, &summary.plan)
        .await?
        .ok_or_else(|| Error::Corrupt(format!("run {id} has no plan")))?;
    let mut journal = journal(snapshot, id, summary.started).await?;
    let blocks = blocks(snapshot, journal.preview_blocks()).await?;
    for name in texts_with_missing_blocks(snapshot, &journal).await? {
        journal.lose_text(&name);
    }
    Ok(Some(journal.into_detail(summary, plan, &blocks)))
}

async fn texts_with_missing_blocks(
    snapshot: &Transaction<'_>,
    journal: &Journal,
) -> Result<Vec<String>, Error> {
    let (names, hashes): (Vec<_>, Vec<_>) = journal
        .payload_blocks()
        .map(|(name, hash)| (name.to_owned(), hash.0.to_vec()))
        .unzip();
    let statement = snapshot
        .prepare_cached(
            "SELECT DISTINCT name FROM unnest($1::text[], $2::bytea[]) AS text (name, hash)
             WHERE NOT EXISTS (SELECT FROM dagway.blocks AS block WHERE block.hash = text.hash)",
        )
        .await?;
    let rows = snapshot.query(&statement, &[&names, &hashes]).await?;
    let names = rows.iter().map(|row| row.try_get(0));
    Ok(names.collect::<Result<_, _>>()?)
}

/// A large text; `None` as well when a block of it is missing.
async fn text(snapshot: &Transaction<'_>, id: RunId, name: &str) -> Result<Option<Vec<u8>>, Error> {
    let Some(summary) = row_of(snapshot, id).await? else {
        return Ok(None);
    };
    let journal = journal(snapshot, id, summary.started).await?;
    let Some(text) = journal.into_text(name) else {
        return Ok(None);
    };
    let hashes = text.pieces.iter().filter_map(OwnedPiece::block);
    let blocks = blocks(snapshot, hashes).await?;
    let mut whole = Vec::new();
    for piece in text.pieces {
        let block = match piece.block() {
            Some(hash) => match blocks.get(&hash) {
                Some(data) => Some(data.as_slice()),
                None => return Ok(None),
            },
            None => None,
        };
        whole.extend_from_slice(&piece.text(block)?);
    }
    Ok(Some(whole))
}

async fn journal(
    snapshot: &Transaction<'_>,
    id: RunId,
    started: Timestamp,
) -> Result<Journal, Error> {
    let statement = snapshot
        .prepare_cached("SELECT bytes, data FROM dagway.journal WHERE run = $1 ORDER BY part")
        .await?;
    let mut journal = Journal::default();
    for part in snapshot.query(&statement, &[&uuid(id)]).await? {
        let part = unpacked(part.try_get(0)?, part.try_get(1)?)?;
        journal.read(&part, started)?;
    }
    Ok(journal)
}

/// Those of the blocks that are there.
async fn blocks(
    snapshot: &Transaction<'_>,
    hashes: impl IntoIterator<Item = BlockHash>,
) -> Result<HashMap<BlockHash, Vec<u8>>, Error> {
    let hashes: Vec<Vec<u8>> = hashes.into_iter().map(|hash| hash.0.to_vec()).collect();
    let statement = snapshot
        .prepare_cached("SELECT hash, bytes, data FROM dagway.blocks WHERE hash = ANY($1)")
        .await?;
    let rows = snapshot.query(&statement, &[&hashes]).await?;
    let block = |row: &tokio_postgres::Row| {
        let hash: &[u8] = row.try_get(0)?;
        let hash = hash
            .try_into()
            .map_err(|_| Error::Corrupt("the hash of a text".to_owned()))?;
        let data = unpacked(row.try_get(1)?, row.try_get(2)?)?;
        Ok((BlockHash(hash), data))
    };
    rows.iter().map(block).collect()
}

async fn plan(snapshot: &Transaction<'_>, hash: &str) -> Result<Option<PlanInfo>, Error> {
    let statement = snapshot
        .prepare_cached("SELECT info FROM dagway.plans WHERE hash = $1")
        .await?;
    let hash = super::without_nul(hash);
    let row = snapshot.query_opt(&statement, &[&hash]).await?;
    let Some(row) = row else {
        return Ok(None);
    };
    stored::plan(&hash, row.try_get(0)?).map(Some)
}
