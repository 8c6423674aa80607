-- The first schema.
--
-- Hot tables carry no foreign keys: one code path writes them, inside one transaction, and a parent look-up per row
-- would cost more than the row. Record ids are random, so they appear in exactly one index; everything else refers to
-- a record by its small, growing `pk`, which keeps related rows on neighbouring pages.

CREATE TABLE tenants (
    pk         INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE,
    feed_head  INTEGER NOT NULL DEFAULT 0, -- the last change
    feed_floor INTEGER NOT NULL DEFAULT 0  -- changes up to here have been dropped
) STRICT;

CREATE TABLE connections (
    pk              INTEGER PRIMARY KEY,
    tenant          INTEGER NOT NULL,
    name            TEXT    NOT NULL,
    credentials     BLOB,                  -- sealed, never plain
    credentials_at  INTEGER,
    clock_offset_ms INTEGER,
    UNIQUE (tenant, name)
) STRICT;

CREATE TABLE records (
    pk               INTEGER PRIMARY KEY,
    id               BLOB    NOT NULL UNIQUE,
    tenant           INTEGER NOT NULL,
    model            TEXT    NOT NULL,
    revision         INTEGER NOT NULL,     -- counts commits; what compare-and-swap compares
    version          INTEGER NOT NULL,     -- counts visible changes
    changed          INTEGER NOT NULL,     -- place in the feed of the last visible change
    first_seen_at    INTEGER NOT NULL,
    last_modified_at INTEGER NOT NULL,
    deleted_at       INTEGER,
    match_keys       BLOB    NOT NULL,     -- the record's rows in `match_keys`, 16 bytes each
    origins          TEXT    NOT NULL,     -- who wrote the value that stands, by field
    fields           TEXT    NOT NULL,     -- the values that stand
    genesis          TEXT,                 -- the journal entry that created the document
    heads            BLOB    NOT NULL,     -- the document's heads, 32 bytes each
    document         BLOB    NOT NULL
) STRICT;

-- The time comes along so that a list of recent changes need not look at the records before them.
CREATE INDEX records_by_change ON records (tenant, model, changed, last_modified_at);

CREATE TABLE journal (
    record   INTEGER NOT NULL,
    revision INTEGER NOT NULL,             -- the commit that brought the entry
    n        INTEGER NOT NULL,             -- its place in that commit
    entry    TEXT    NOT NULL,
    PRIMARY KEY (record, revision, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE replicas (
    record     INTEGER NOT NULL,
    connection INTEGER NOT NULL,
    delivery   INTEGER NOT NULL,           -- 0 clean, 1 dirty, 2 parked
    due        INTEGER,                    -- dirty: not before; parked: since
    replica    TEXT    NOT NULL,           -- without its baseline
    baseline   TEXT,                       -- as a difference from the record's fields; null where there is none
    PRIMARY KEY (record, connection)
) STRICT, WITHOUT ROWID;

CREATE INDEX replicas_owed ON replicas (connection, delivery, due) WHERE delivery <> 0;

-- Which record an object is, by its present ids and by those it had before.
CREATE TABLE links (
    connection  INTEGER NOT NULL,
    object      TEXT    NOT NULL,
    external_id TEXT    NOT NULL,
    record      INTEGER NOT NULL,
    PRIMARY KEY (connection, object, external_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE match_keys (
    hash   BLOB    NOT NULL,               -- 16 bytes over tenant, model, key name and value
    record INTEGER NOT NULL,
    PRIMARY KEY (hash, record)
) STRICT, WITHOUT ROWID;

CREATE TABLE feed (
    tenant  INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    record  BLOB    NOT NULL,
    model   TEXT    NOT NULL,
    action  TEXT    NOT NULL,
    version INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    fields  TEXT    NOT NULL,
    changed TEXT    NOT NULL,
    PRIMARY KEY (tenant, seq)
) STRICT;

CREATE TABLE conflicts (
    pk        INTEGER PRIMARY KEY,
    tenant    INTEGER NOT NULL,
    record    INTEGER NOT NULL,
    model     TEXT    NOT NULL,
    field     TEXT    NOT NULL,
    loser     BLOB    NOT NULL,
    winner    BLOB    NOT NULL,
    conflict  TEXT    NOT NULL,
    closed_at INTEGER,
    closed_by TEXT,
    choice    TEXT,
    UNIQUE (record, field, loser, winner)
) STRICT;

CREATE INDEX conflicts_by_tenant ON conflicts (tenant);
CREATE INDEX conflicts_open ON conflicts (tenant) WHERE closed_at IS NULL;

CREATE TABLE checkpoints (
    tenant     INTEGER NOT NULL,
    sync       TEXT    NOT NULL,
    connection INTEGER NOT NULL,
    stream     TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    PRIMARY KEY (tenant, sync, connection, stream)
) STRICT, WITHOUT ROWID;

CREATE TABLE syncs (
    tenant          INTEGER NOT NULL,
    sync            TEXT    NOT NULL,
    connection      INTEGER NOT NULL,
    phase           TEXT    NOT NULL,
    approved        INTEGER NOT NULL,
    read            INTEGER NOT NULL,
    expected        INTEGER,
    last_error      TEXT,
    started_at      INTEGER,
    last_success_at INTEGER,
    PRIMARY KEY (tenant, sync, connection)
) STRICT, WITHOUT ROWID;

CREATE TABLE quarantine (
    pk          INTEGER PRIMARY KEY,
    tenant      INTEGER NOT NULL,
    connection  INTEGER NOT NULL,
    object      TEXT    NOT NULL,
    subject     TEXT    NOT NULL,          -- `id:` and the external id, or `row:` and a hash of the row
    external_id TEXT,
    sync        TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    raw         TEXT    NOT NULL,
    attempts    INTEGER NOT NULL,
    first_at    INTEGER NOT NULL,
    last_at     INTEGER NOT NULL,
    UNIQUE (connection, object, subject)
) STRICT;

CREATE INDEX quarantine_by_tenant ON quarantine (tenant);

CREATE TABLE inbox (
    pk          INTEGER PRIMARY KEY,
    connection  INTEGER NOT NULL,
    dedupe      TEXT    NOT NULL,
    object      TEXT    NOT NULL,
    external_id TEXT    NOT NULL,
    account     TEXT,
    at          INTEGER NOT NULL,
    done        INTEGER NOT NULL DEFAULT 0,
    UNIQUE (connection, dedupe)
) STRICT;

CREATE INDEX inbox_pending ON inbox (connection) WHERE done = 0;
CREATE INDEX inbox_done ON inbox (connection, at) WHERE done = 1;

CREATE TABLE api_keys (
    hash         BLOB    NOT NULL PRIMARY KEY,
    name         TEXT    NOT NULL UNIQUE,
    tenant       TEXT,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE settings (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
