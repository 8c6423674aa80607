-- Records whose history begins anew: how often it did, and where the present epoch begins.

ALTER TABLE records ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
-- The commit that began the present epoch; journal entries of earlier commits are of earlier epochs.
ALTER TABLE records ADD COLUMN epoch_revision INTEGER NOT NULL DEFAULT 0;
-- The id of the record's document, where it is not the record's own id.
ALTER TABLE records ADD COLUMN document_id BLOB;

CREATE UNIQUE INDEX records_by_document ON records (document_id) WHERE document_id IS NOT NULL;
