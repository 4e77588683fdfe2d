-- Runs, their journals, the blocks that their texts share, and the plans they are pinned to.

CREATE TABLE plans (
    hash TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    info TEXT NOT NULL                       -- JSON
) STRICT;

-- One row per run. The id is a UUID of version 7: its order is the order of acceptance.
-- Times are microseconds since the Unix epoch, UTC.
CREATE TABLE runs (
    row INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    state TEXT NOT NULL,
    streaming INTEGER NOT NULL,
    workflow TEXT NOT NULL,
    plan TEXT NOT NULL,                      -- plans.hash
    request_id TEXT NOT NULL,
    trace_id BLOB NOT NULL,
    started INTEGER NOT NULL,
    replied INTEGER,
    ended INTEGER,
    seen INTEGER NOT NULL,                   -- the last event: the end of a run whose process died
    pieces INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    session TEXT,
    models TEXT NOT NULL,                    -- asked, sent and used, each once, a line each
    input_tokens INTEGER,
    cache_read_tokens INTEGER,
    output_tokens INTEGER,
    cost_usd REAL,
    error TEXT,
    facts TEXT NOT NULL                      -- JSON; last, because it is the longest
) STRICT;

CREATE INDEX runs_by_state ON runs (state, id);
CREATE INDEX runs_by_workflow ON runs (workflow, id);
CREATE INDEX runs_by_session ON runs (session, id) WHERE session IS NOT NULL;
CREATE INDEX open_runs ON runs (row) WHERE ended IS NULL;

-- What happened in a run, in parts that are only ever appended.
CREATE TABLE journal (
    place INTEGER PRIMARY KEY,               -- runs.row << 24 | number of the part: one run's parts lie together
    bytes INTEGER NOT NULL,                  -- length of the data when unpacked; packed (LZ4) when shorter
    data BLOB NOT NULL
) STRICT;

-- Texts kept once. A block last used before the oldest run belongs to nobody.
CREATE TABLE blocks (
    row INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,               -- the first 16 bytes of its BLAKE3 hash
    used INTEGER NOT NULL,                   -- minutes since the Unix epoch
    bytes INTEGER NOT NULL,                  -- as in the journal
    data BLOB NOT NULL
) STRICT;

CREATE INDEX blocks_by_use ON blocks (used);
