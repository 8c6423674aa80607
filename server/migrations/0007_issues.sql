-- What a person should see, found by an index: parked, failing and uncertain deliveries, parked fields, quarantined rows by
-- cause, and since when a side is in its phase or a connection waits to be authorised again.

-- Bits: 1 delivery parked, 2 outcome uncertain, 4 delivery failing, 8 field refused or unfit, 16 field flapping, 32 field
-- undecided, 64 field missing at the provider. Kept in step with `store/issues.rs`.
ALTER TABLE replicas ADD COLUMN marks INTEGER NOT NULL DEFAULT 0;

UPDATE replicas SET marks =
    (CASE WHEN delivery = 2 THEN 1 ELSE 0 END)
    | (CASE WHEN replica ->> '$.intent.uncertain' THEN 2 ELSE 0 END)
    | (CASE WHEN delivery = 1 AND replica ->> '$.delivery.attempts' >= 5 THEN 4 ELSE 0 END)
    | (CASE WHEN replica -> '$.parked' IS NOT NULL THEN 8 ELSE 0 END)
WHERE delivery <> 0 OR replica -> '$.parked' IS NOT NULL OR replica -> '$.intent' IS NOT NULL;

CREATE INDEX replicas_marked ON replicas (connection, marks, record) WHERE marks <> 0;

ALTER TABLE quarantine ADD COLUMN cause TEXT NOT NULL DEFAULT 'invalid';

CREATE INDEX quarantine_by_cause ON quarantine (connection, cause);

-- Since when the side is in its phase.
ALTER TABLE syncs ADD COLUMN since INTEGER;

-- Since when the provider refuses the connection's credentials, in which words, and a hash of those that were configured
-- then; null while it takes them.
ALTER TABLE connections ADD COLUMN revoked_at INTEGER;
ALTER TABLE connections ADD COLUMN revoked_why TEXT;
ALTER TABLE connections ADD COLUMN revoked_of TEXT;
