-- What people decided about which object is which record.

-- The record that this one was merged into; such a record is deleted.
ALTER TABLE records ADD COLUMN merged_into BLOB;
-- The same, as subscribers were told.
ALTER TABLE feed ADD COLUMN merged_into BLOB;

CREATE INDEX records_merged ON records (tenant, merged_into) WHERE merged_into IS NOT NULL;

-- Objects that a person has cut off from a record: matching does not link them to it again.
CREATE TABLE not_same (
    connection  INTEGER NOT NULL,
    object      TEXT    NOT NULL,
    external_id TEXT    NOT NULL,
    record      INTEGER NOT NULL,
    PRIMARY KEY (connection, object, external_id, record)
) STRICT, WITHOUT ROWID;

-- Operations on identity, each with what was before.
CREATE TABLE identity_operations (
    tenant    INTEGER NOT NULL,
    id        INTEGER NOT NULL,            -- the tick at which it was carried out
    record    BLOB    NOT NULL,
    other     BLOB,                        -- the other record, of a merge or a split
    operation TEXT    NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX identity_operations_by_record ON identity_operations (tenant, record, id);
CREATE INDEX identity_operations_by_other ON identity_operations (tenant, other, id) WHERE other IS NOT NULL;
