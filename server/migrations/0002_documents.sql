-- Documents that clients hold and that are no record's own: free ones, drafts of records, and those whose content moved
-- into a record. A record's document stands in its own row.

CREATE TABLE documents (
    tenant    INTEGER NOT NULL,
    id        BLOB    NOT NULL,            -- 16 bytes
    kind      TEXT    NOT NULL,            -- free, draft, moved
    record    BLOB,                        -- of a moved one: the record that it went into
    principal TEXT    NOT NULL,            -- who began it
    heads     BLOB    NOT NULL,            -- 32 bytes each
    bytes     INTEGER NOT NULL,            -- of all its chunks
    ops       INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX documents_moved ON documents (tenant, record) WHERE record IS NOT NULL;

-- A document's saved form: a whole first, then what came later.
CREATE TABLE document_chunks (
    tenant INTEGER NOT NULL,
    id     BLOB    NOT NULL,
    n      INTEGER NOT NULL,
    chunk  BLOB    NOT NULL,
    PRIMARY KEY (tenant, id, n)
) STRICT;

-- Which principal first used an Automerge actor; nobody else may.
CREATE TABLE actors (
    tenant    INTEGER NOT NULL,
    actor     BLOB    NOT NULL,
    principal TEXT    NOT NULL,
    PRIMARY KEY (tenant, actor)
) STRICT, WITHOUT ROWID;

-- Changes of clients that were refused, for whoever asks later.
CREATE TABLE refusals (
    pk        INTEGER PRIMARY KEY,
    tenant    INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    principal TEXT    NOT NULL,
    document  BLOB    NOT NULL,
    reason    TEXT    NOT NULL
) STRICT;

CREATE INDEX refusals_by_tenant ON refusals (tenant, pk);
