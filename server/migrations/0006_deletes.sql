-- Deletes that wait for a person, and records that were erased for good.

-- What the guard of each source of deletes has counted of late, and what it asks a person.
CREATE TABLE delete_guards (
    tenant INTEGER NOT NULL,
    sync   TEXT    NOT NULL,
    source INTEGER NOT NULL,               -- a connection, or 0: the product's own clients
    state  TEXT    NOT NULL,
    PRIMARY KEY (tenant, sync, source)
) STRICT, WITHOUT ROWID;

CREATE TABLE held_deletes (
    source      INTEGER NOT NULL,
    record      INTEGER NOT NULL,
    tenant      INTEGER NOT NULL,
    sync        TEXT    NOT NULL,
    external_id TEXT,                      -- the object that is gone; null where clients deleted the record
    standing    INTEGER NOT NULL,          -- 0 waits, 1 approved, 2 rejected
    at          INTEGER NOT NULL,
    PRIMARY KEY (source, record)
) STRICT, WITHOUT ROWID;

CREATE INDEX held_deletes_by_standing ON held_deletes (tenant, sync, source, standing, record);

-- Receipts of erasures: without personal data.
CREATE TABLE erasures (
    pk      INTEGER PRIMARY KEY,
    tenant  INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    record  BLOB,                          -- while its objects are being deleted in connected systems; null once it is erased
    receipt TEXT    NOT NULL
) STRICT;

CREATE INDEX erasures_by_tenant ON erasures (tenant, pk);
CREATE INDEX erasures_under_way ON erasures (tenant, pk) WHERE record IS NOT NULL;

-- What must not come back by accident: keyed hashes of the ids that an erased record had. The key is not in the database.
CREATE TABLE erased (
    tenant  INTEGER NOT NULL,
    hash    BLOB    NOT NULL,              -- 32 bytes
    erasure INTEGER NOT NULL,
    PRIMARY KEY (tenant, hash)
) STRICT, WITHOUT ROWID;

CREATE INDEX erased_by_erasure ON erased (erasure);

-- Since when a document's content is elsewhere; null for what moved before this was written down.
ALTER TABLE documents ADD COLUMN moved_at INTEGER;

-- Records of which earlier epochs have left a history, and documents that may be dropped some day.
CREATE INDEX records_renewed ON records (tenant) WHERE epoch > 0;
CREATE INDEX documents_kept ON documents (tenant, moved_at) WHERE kind = 'moved' AND bytes > 0;
CREATE INDEX conflicts_closed ON conflicts (tenant, closed_at) WHERE closed_at IS NOT NULL;
