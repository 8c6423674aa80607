-- Documents' seals, the log that damaged ones are rebuilt from, and which are damaged.

-- Length and checksum of the document, over its heads as well; null: not known yet, filled in by the next write.
ALTER TABLE records ADD COLUMN document_bytes INTEGER;
ALTER TABLE records ADD COLUMN document_sum INTEGER;
-- Whether `changes` holds every change of the document. A document that nobody has edited is implied by the row's values.
ALTER TABLE records ADD COLUMN logged INTEGER NOT NULL DEFAULT 0;

-- The changes of records' documents, apart from the documents: the whole as of the first edit, then what each commit added.
CREATE TABLE changes (
    record   INTEGER NOT NULL,
    revision INTEGER NOT NULL,             -- the commit that brought them
    chunk    BLOB    NOT NULL,             -- Automerge's format
    PRIMARY KEY (record, revision)
) STRICT, WITHOUT ROWID;

-- Documents that have been edited, or that a client began.
INSERT INTO changes (record, revision, chunk)
    SELECT r.pk, r.revision, r.document FROM records r
    WHERE r.genesis ->> '$.origin.kind' = 'client'
       OR EXISTS (SELECT 1 FROM journal j WHERE j.record = r.pk AND j.revision >= r.epoch_revision);
UPDATE records SET logged = 1 WHERE pk IN (SELECT record FROM changes);

-- The checksum of one chunk; null: not known.
ALTER TABLE document_chunks ADD COLUMN sum INTEGER;

-- Records whose document is damaged and could not be rebuilt. Nothing is written of them until a person has looked.
CREATE TABLE damages (
    record   INTEGER PRIMARY KEY,
    tenant   INTEGER NOT NULL,
    found_at INTEGER NOT NULL,
    what     TEXT    NOT NULL
) STRICT;
