-- Runs, their journals, the blocks that their texts share, the plans they are pinned to, and the processes that record.
-- Everything stands in a schema of its own, so that the database may hold other things too.
-- Times are microseconds since the Unix epoch, UTC, unless a column says otherwise.

CREATE SCHEMA dagway;

CREATE TABLE dagway.version (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    number integer NOT NULL                   -- migrations applied
);

-- A row for each process that records here. While it lives, it holds the advisory lock of its number.
CREATE SEQUENCE dagway.process_numbers AS integer;

CREATE TABLE dagway.processes (
    number integer PRIMARY KEY,
    at bigint,                                -- when it was last known to live and to have runs under way
    bytes bigint NOT NULL DEFAULT 0           -- what it has stored, less what it has deleted: all together, the size
);

CREATE TABLE dagway.plans (
    hash text PRIMARY KEY,
    name text NOT NULL,
    info text NOT NULL                        -- JSON
);

-- One row per run. The id is a UUID of version 7: its order is the order of acceptance.
CREATE TABLE dagway.runs (
    id uuid PRIMARY KEY,
    process integer NOT NULL,                 -- processes.number: whose it is to change
    state text NOT NULL,
    streaming boolean NOT NULL,
    workflow text NOT NULL,
    plan text NOT NULL,                       -- plans.hash
    request_id text NOT NULL,
    trace_id bytea NOT NULL,
    started bigint NOT NULL,
    replied bigint,
    ended bigint,
    seen bigint NOT NULL,                     -- the last event: the end of a run whose process died
    pieces bigint NOT NULL,
    bytes bigint NOT NULL,
    session text,
    models text NOT NULL,                     -- asked, sent and used, each once, a line each
    input_tokens bigint,
    cache_read_tokens bigint,
    output_tokens bigint,
    cost_usd double precision,
    error text,
    facts text NOT NULL                       -- JSON
) WITH (fillfactor = 80);

CREATE INDEX runs_by_state ON dagway.runs (state, id);
CREATE INDEX runs_by_workflow ON dagway.runs (workflow, id);
CREATE INDEX runs_by_session ON dagway.runs (session, id) WHERE session IS NOT NULL;
CREATE INDEX open_runs ON dagway.runs (process) WHERE ended IS NULL;

-- What happened in a run, in parts that are only ever appended.
CREATE TABLE dagway.journal (
    run uuid NOT NULL,                        -- runs.id
    part integer NOT NULL,                    -- from 0
    bytes bigint NOT NULL,                    -- length of the data when unpacked; packed (LZ4) when shorter
    data bytea NOT NULL,
    PRIMARY KEY (run, part)
);

-- Texts kept once. A block last used before the oldest run belongs to nobody.
CREATE TABLE dagway.blocks (
    hash bytea PRIMARY KEY,                   -- the first 16 bytes of its BLAKE3 hash
    used bigint NOT NULL,                     -- minutes since the Unix epoch
    bytes bigint NOT NULL,                    -- as in the journal
    data bytea NOT NULL
);

CREATE INDEX blocks_by_use ON dagway.blocks (used);

-- It is packed already.
ALTER TABLE dagway.journal ALTER COLUMN data SET STORAGE EXTERNAL;
ALTER TABLE dagway.blocks ALTER COLUMN data SET STORAGE EXTERNAL;

-- Blocks are deleted in two steps, because each process remembers which ones are there: first it is announced that those
-- last used before a minute will go; when every process has had the time to hear of it, they do.
CREATE TABLE dagway.retention (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    announced bigint NOT NULL DEFAULT 0,      -- minutes since the Unix epoch
    announced_at timestamptz NOT NULL DEFAULT now(),
    heard bigint NOT NULL DEFAULT 0           -- minutes since the Unix epoch
);

INSERT INTO dagway.retention DEFAULT VALUES;
