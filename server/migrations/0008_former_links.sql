-- Which records objects belonged to in the store that a restore has put aside, where the restored store does not know the record: a
-- record that is found again in an account gets the id that it had.

CREATE TABLE former_links (
    connection  INTEGER NOT NULL,
    object      TEXT    NOT NULL,
    external_id TEXT    NOT NULL,
    record      BLOB    NOT NULL,          -- the record's id; there is no such row until it is found again
    PRIMARY KEY (connection, object, external_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX former_links_by_record ON former_links (record);
