//! The tables.

/// The schema's version, kept as the file's `user_version`.
pub(super) const VERSION: i64 = 1;

/// The statements that make the tables, in order; the last one states [`VERSION`].
pub(super) const TABLES: [&str; 11] = [
    "CREATE TABLE record (
        id BLOB PRIMARY KEY,
        model TEXT NOT NULL,
        document BLOB NOT NULL,
        fields TEXT NOT NULL,
        deleted INTEGER,
        version INTEGER NOT NULL,
        held INTEGER NOT NULL,
        stale INTEGER NOT NULL,
        pending INTEGER NOT NULL,
        refused TEXT,
        moving_to BLOB,
        listed INTEGER NOT NULL
    ) WITHOUT ROWID",
    "CREATE INDEX record_model ON record (model, id)",
    "CREATE INDEX record_document ON record (document)",
    "CREATE INDEX record_moving ON record (moving_to) WHERE moving_to IS NOT NULL",
    "CREATE INDEX record_stale ON record (id) WHERE stale = 1 AND refused IS NULL",
    "CREATE INDEX record_pending ON record (pending) WHERE pending > 0",
    "CREATE TABLE document (
        id BLOB PRIMARY KEY,
        actor BLOB NOT NULL,
        saved BLOB NOT NULL,
        acked BLOB NOT NULL
    ) WITHOUT ROWID",
    "CREATE TABLE change (
        document BLOB NOT NULL,
        number INTEGER NOT NULL,
        bytes BLOB NOT NULL,
        PRIMARY KEY (document, number)
    ) WITHOUT ROWID",
    "CREATE TABLE subset (
        subset TEXT PRIMARY KEY,
        cursor INTEGER,
        listing INTEGER NOT NULL
    ) WITHOUT ROWID",
    "CREATE TABLE set_field (model TEXT NOT NULL, field TEXT NOT NULL, PRIMARY KEY (model, field)) WITHOUT ROWID",
    "PRAGMA user_version = 1",
];
