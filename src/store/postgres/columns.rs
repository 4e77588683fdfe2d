//! A batch as statements: a text for each table, and the batch as columns that are its values.
//!
//! Every statement can be repeated: a batch whose commit was not confirmed is written again, as it has become meanwhile.
//! This file must not know how statements are sent.

use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::session::{Audience, announcements};
use super::without_nul;
use crate::events::{RunId, Timestamp};
use crate::facts;
use crate::store::batch::{Batch, Change, RunRow, RunWrite};
use crate::store::block::{LONG_BLOCK, LONG_PART, Packer};
use crate::store::model::By;

/// What a run's row counts for, with its place in the indexes.
pub(super) const RUN_BYTES: i64 = 1024;

/// The place of each statement in [`STATEMENTS`].
#[derive(Clone, Copy)]
pub(super) enum Sql {
    Plans,
    Lock,
    Blocks,
    /// Gives the hashes of the blocks that are gone.
    Touched,
    Runs,
    Progress,
    Parts,
    Announce,
}

/// The statements of a batch. `$1` is this process's number wherever a statement needs it.
///
/// Plans and blocks are common to all processes, which lock their rows in the same order.
pub(super) static STATEMENTS: [&str; 8] = [
    "INSERT INTO dagway.plans (hash, name, info) SELECT * FROM unnest($1::text[], $2::text[], $3::text[])
    ORDER BY 1 ON CONFLICT DO NOTHING",
    "SELECT 1 FROM dagway.blocks WHERE hash = ANY($1) ORDER BY hash FOR NO KEY UPDATE",
    "WITH put AS (
        INSERT INTO dagway.blocks AS known (hash, used, bytes, data)
        SELECT DISTINCT ON (hash) * FROM unnest($2::bytea[], $3::bigint[], $4::bigint[], $5::bytea[])
            AS block (hash, used, bytes, data) ORDER BY hash, used DESC
        ON CONFLICT (hash) DO UPDATE SET used = greatest(known.used, excluded.used)
        RETURNING octet_length(data) AS size, xmax = 0 AS is_new)
    UPDATE dagway.processes
        SET bytes = bytes + (SELECT coalesce(sum(size) FILTER (WHERE is_new), 0) FROM put)::bigint
    WHERE number = $1",
    "WITH touched AS (
        SELECT hash, max(used) AS used FROM unnest($1::bytea[], $2::bigint[]) AS each (hash, used) GROUP BY hash),
    put AS (
        UPDATE dagway.blocks AS block SET used = touched.used FROM touched
        WHERE block.hash = touched.hash AND block.used < touched.used)
    SELECT hash FROM touched
    WHERE NOT EXISTS (SELECT FROM dagway.blocks AS block WHERE block.hash = touched.hash)",
    "WITH put AS (
        INSERT INTO dagway.runs AS run (process, id, workflow, plan, request_id, trace_id, started, state, streaming,
            replied, ended, seen, pieces, bytes, session, models, input_tokens, cache_read_tokens, output_tokens,
            cost_usd, error, facts, estimated, retries, model, provider, client,
            key_name, replaced)
        SELECT $1::integer, * FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::bigint[],
            $8::text[], $9::boolean[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[],
            $15::text[], $16::text[], $17::bigint[], $18::bigint[], $19::bigint[], $20::double precision[],
            $21::text[], $22::text[], $23::boolean[], $24::bigint[], $25::text[], $26::text[],
            $27::text[], $28::text[], $29::boolean[])
        ON CONFLICT (id) DO UPDATE SET (state, streaming, replied, ended, seen, pieces, bytes, session, models,
            input_tokens, cache_read_tokens, output_tokens, cost_usd, error, facts, estimated, retries, model,
            provider, client, key_name, replaced)
        = (excluded.state, excluded.streaming, excluded.replied, excluded.ended, excluded.seen, excluded.pieces,
            excluded.bytes, excluded.session, excluded.models, excluded.input_tokens, excluded.cache_read_tokens,
            excluded.output_tokens, excluded.cost_usd, excluded.error, excluded.facts, excluded.estimated,
            excluded.retries, excluded.model, excluded.provider, excluded.client,
            excluded.key_name, excluded.replaced)
        WHERE run.process = excluded.process
        RETURNING xmax = 0 AS is_new)
    UPDATE dagway.processes SET bytes = bytes + $30 * (SELECT count(*) FROM put WHERE is_new) WHERE number = $1",
    "UPDATE dagway.runs AS run SET seen = now.seen, pieces = now.pieces, bytes = now.bytes
    FROM unnest($2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[]) AS now (id, seen, pieces, bytes)
    WHERE run.id = now.id AND run.process = $1",
    "WITH put AS (
        INSERT INTO dagway.journal (run, part, bytes, data)
        SELECT part.* FROM unnest($2::uuid[], $3::integer[], $4::bigint[], $5::bytea[])
            AS part (run, part, bytes, data) JOIN dagway.runs AS run ON run.id = part.run AND run.process = $1
        ON CONFLICT (run, part) DO UPDATE SET bytes = excluded.bytes, data = excluded.data
        RETURNING octet_length(data) AS size, xmax = 0 AS is_new)
    UPDATE dagway.processes
        SET bytes = bytes + (SELECT coalesce(sum(size) FILTER (WHERE is_new), 0) FROM put)::bigint
    WHERE number = $1",
    "SELECT pg_notify('dagway_runs', runs) FROM unnest($1::text[]) AS runs",
];

/// The values of a statement.
pub(super) type Values<'a> = Vec<&'a (dyn ToSql + Sync)>;

/// A batch as columns.
pub(super) struct Columns {
    plans: Plans,
    /// The hashes of all blocks.
    locked: Vec<Vec<u8>>,
    blocks: Blocks,
    touched: TouchedBlocks,
    runs: Runs,
    progress: Progress,
    parts: Parts,
    announcements: Vec<String>,
}

#[derive(Default)]
struct Plans {
    hash: Vec<String>,
    name: Vec<String>,
    info: Vec<String>,
}

#[derive(Default)]
struct Blocks {
    hash: Vec<Vec<u8>>,
    used: Vec<i64>,
    bytes: Vec<i64>,
    data: Vec<Vec<u8>>,
}

#[derive(Default)]
struct TouchedBlocks {
    hash: Vec<Vec<u8>>,
    used: Vec<i64>,
}

#[derive(Default)]
struct Progress {
    id: Vec<Uuid>,
    seen: Vec<i64>,
    pieces: Vec<i64>,
    bytes: Vec<i64>,
}

#[derive(Default)]
struct Parts {
    run: Vec<Uuid>,
    part: Vec<i32>,
    bytes: Vec<i64>,
    data: Vec<Vec<u8>>,
}

#[derive(Default)]
struct Runs {
    id: Vec<Uuid>,
    workflow: Vec<String>,
    plan: Vec<String>,
    request_id: Vec<String>,
    trace_id: Vec<Vec<u8>>,
    started: Vec<i64>,
    state: Vec<&'static str>,
    streaming: Vec<bool>,
    replied: Vec<Option<i64>>,
    ended: Vec<Option<i64>>,
    seen: Vec<i64>,
    pieces: Vec<i64>,
    bytes: Vec<i64>,
    session: Vec<Option<String>>,
    models: Vec<String>,
    input_tokens: Vec<Option<i64>>,
    cache_read_tokens: Vec<Option<i64>>,
    output_tokens: Vec<Option<i64>>,
    cost_usd: Vec<Option<f64>>,
    error: Vec<Option<String>>,
    facts: Vec<String>,
    estimated: Vec<bool>,
    retries: Vec<i64>,
    model: Vec<Option<String>>,
    provider: Vec<Option<String>>,
    client: Vec<Option<String>>,
    key_name: Vec<Option<String>>,
    replaced: Vec<bool>,
}

impl Columns {
    pub(super) fn of(batch: &Batch<'_>, packer: &mut Packer) -> Self {
        let ids: Vec<RunId> = batch.runs.iter().map(|run| run.row.start.id).collect();
        let mut columns = Self {
            plans: Plans::default(),
            locked: Vec::new(),
            blocks: Blocks::default(),
            touched: TouchedBlocks::default(),
            runs: Runs::default(),
            progress: Progress::default(),
            parts: Parts::default(),
            announcements: announcements(&ids, Audience::Others),
        };
        for plan in batch.plans {
            // What cannot be written as JSON cannot be read either: such a run is shown as corrupt.
            let info = serde_json::to_string(plan).unwrap_or_default();
            columns.plans.hash.push(plan.hash.clone());
            columns.plans.name.push(without_nul(&plan.name));
            columns.plans.info.push(info);
        }
        for block in batch.blocks {
            let blocks = &mut columns.blocks;
            blocks.hash.push(block.hash.0.to_vec());
            blocks.used.push(block.used.0);
            blocks.bytes.push(length(&block.data));
            blocks
                .data
                .push(packer.pack(&block.data, LONG_BLOCK).to_vec());
        }
        for block in batch.touched {
            columns.touched.hash.push(block.hash.0.to_vec());
            columns.touched.used.push(block.used.0);
        }
        columns.locked = [&columns.blocks.hash[..], &columns.touched.hash].concat();
        for run in &batch.runs {
            columns.add(run, packer);
        }
        columns
    }

    /// What is long in it, together.
    pub(super) fn bytes(&self) -> usize {
        let texts = self.blocks.data.iter().chain(&self.parts.data);
        let facts = self.runs.facts.iter().map(String::len);
        texts.map(Vec::len).sum::<usize>() + facts.sum::<usize>()
    }

    /// The statements that have something to do, each with its values.
    pub(super) fn with_statements<'a>(&'a self, own: &'a i32) -> Vec<(Sql, Values<'a>)> {
        let Self {
            plans,
            locked,
            blocks,
            touched,
            runs,
            progress,
            parts,
            announcements,
        } = self;
        let mut runs_values: Values<'_> = vec![own];
        runs_values.extend(runs.columns());
        runs_values.push(&RUN_BYTES);
        let all: [(usize, Sql, Values<'_>); 8] = [
            (
                plans.hash.len(),
                Sql::Plans,
                vec![&plans.hash, &plans.name, &plans.info],
            ),
            (locked.len(), Sql::Lock, vec![locked]),
            (
                blocks.hash.len(),
                Sql::Blocks,
                vec![own, &blocks.hash, &blocks.used, &blocks.bytes, &blocks.data],
            ),
            (
                touched.hash.len(),
                Sql::Touched,
                vec![&touched.hash, &touched.used],
            ),
            (runs.id.len(), Sql::Runs, runs_values),
            (
                progress.id.len(),
                Sql::Progress,
                vec![
                    own,
                    &progress.id,
                    &progress.seen,
                    &progress.pieces,
                    &progress.bytes,
                ],
            ),
            (
                parts.run.len(),
                Sql::Parts,
                vec![own, &parts.run, &parts.part, &parts.bytes, &parts.data],
            ),
            (announcements.len(), Sql::Announce, vec![announcements]),
        ];
        let with_work = all.into_iter().filter(|(rows, ..)| *rows > 0);
        with_work.map(|(_, sql, values)| (sql, values)).collect()
    }

    fn add(&mut self, run: &RunWrite<'_>, packer: &mut Packer) {
        let id = uuid(run.row.start.id);
        if run.change == Change::Progress {
            self.progress.id.push(id);
            self.progress.seen.push(run.row.seen.0);
            self.progress.pieces.push(clamp(run.row.pieces));
            self.progress.bytes.push(clamp(run.row.bytes));
        } else {
            self.runs.add(run.row);
        }
        if !run.journal.is_empty() {
            self.parts.run.push(id);
            self.parts
                .part
                .push(i32::try_from(run.part).unwrap_or(i32::MAX));
            self.parts.bytes.push(length(run.journal));
            self.parts
                .data
                .push(packer.pack(run.journal, LONG_PART).to_vec());
        }
    }
}

impl Runs {
    fn add(&mut self, row: &RunRow) {
        let time = |at: Option<Timestamp>| at.map(|at| at.0);
        let (mut models, mut facts_json) = (String::new(), Vec::new());
        row.models(&mut models);
        row.facts_json(&mut facts_json);
        self.id.push(uuid(row.start.id));
        self.workflow.push(key(&row.plan.name));
        self.plan.push(row.plan.hash.clone());
        self.request_id.push(without_nul(&row.start.request_id));
        self.trace_id.push(row.start.trace.trace_id.to_vec());
        self.started.push(row.start.at.0);
        self.state.push(row.state.name());
        self.streaming.push(row.streaming);
        self.replied.push(time(row.replied));
        self.ended.push(time(row.ended));
        self.seen.push(row.seen.0);
        self.pieces.push(clamp(row.pieces));
        self.bytes.push(clamp(row.bytes));
        self.session.push(row.text(facts::SESSION).map(key));
        self.models.push(without_nul(&models));
        self.input_tokens.push(row.int(facts::INPUT_TOKENS));
        self.cache_read_tokens
            .push(row.int(facts::CACHE_READ_TOKENS));
        self.output_tokens.push(row.int(facts::OUTPUT_TOKENS));
        self.cost_usd.push(row.float(facts::COST_USD));
        self.error.push(row.error.as_deref().map(without_nul));
        // JSON, in which a NUL is written as an escape.
        self.facts
            .push(String::from_utf8_lossy(&facts_json).into_owned());
        self.estimated.push(row.is(facts::USAGE_IS_ESTIMATE));
        self.retries.push(row.int(facts::RETRIES).unwrap_or(0));
        let name = |by| row.name(by).map(without_nul);
        self.model.push(name(By::Model));
        self.provider.push(name(By::Provider));
        self.client.push(name(By::Client));
        self.key_name.push(name(By::Key));
        self.replaced.push(row.is_replaced());
    }

    /// In the order of the statement.
    fn columns(&self) -> [&(dyn ToSql + Sync); 28] {
        [
            &self.id,
            &self.workflow,
            &self.plan,
            &self.request_id,
            &self.trace_id,
            &self.started,
            &self.state,
            &self.streaming,
            &self.replied,
            &self.ended,
            &self.seen,
            &self.pieces,
            &self.bytes,
            &self.session,
            &self.models,
            &self.input_tokens,
            &self.cache_read_tokens,
            &self.output_tokens,
            &self.cost_usd,
            &self.error,
            &self.facts,
            &self.estimated,
            &self.retries,
            &self.model,
            &self.provider,
            &self.client,
            &self.key_name,
            &self.replaced,
        ]
    }
}

/// A text by which runs are found. PostgreSQL's indexes take no longer ones; the figures hold the whole of it.
pub(super) fn key(text: &str) -> String {
    const LONGEST: usize = 512;
    let short: String = text.chars().take(LONGEST).collect();
    without_nul(&short)
}

pub(super) fn uuid(id: RunId) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}

fn length(data: &[u8]) -> i64 {
    clamp(data.len() as u64)
}

/// PostgreSQL's integers are signed.
fn clamp(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
