CREATE OR REPLACE FUNCTION syncline.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET datestyle = 'ISO, MDY' SET timezone = 'UTC' SET intervalstyle = 'iso_8601' SET bytea_output = 'hex'
    SET extra_float_digits = 2
AS $note$
DECLARE
    -- Who a write of Syncline says that it is.
    author text := nullif(current_setting('syncline.author', true), '');
    id text;
    touched text;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        INSERT INTO syncline.changes (object, id, deleted, author, at)
        VALUES (TG_RELID, NULL, true, author, date_trunc('milliseconds', clock_timestamp()));
    ELSE
        -- The key of a row r: its text, or a JSON array of the texts of several columns.
        SELECT CASE count(*) WHEN 1 THEN min(k.part)
               ELSE 'json_build_array(' || string_agg(k.part, ', ' ORDER BY k.place) || ')::text' END
        INTO STRICT id
        FROM (SELECT format('r.%I::text', a.attname) AS part, c.place
              FROM pg_index i CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY AS c(number, place)
              JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = c.number
              WHERE i.indrelid = TG_RELID AND i.indisprimary AND c.place <= i.indnkeyatts) AS k;
        touched := CASE TG_OP
            WHEN 'INSERT' THEN format('SELECT %s AS id, false AS deleted FROM syncline_new r', id)
            WHEN 'DELETE' THEN format('SELECT %s AS id, true AS deleted FROM syncline_old r', id)
            -- A row whose key was changed is gone under the old one.
            ELSE format('SELECT u.id, bool_and(u.deleted) AS deleted
                         FROM (SELECT %1$s AS id, false AS deleted FROM syncline_new r
                               UNION ALL SELECT %1$s, true FROM syncline_old r) AS u GROUP BY u.id', id)
        END;
        -- No two states of a row have one time, however fast they follow each other.
        EXECUTE format(
            'INSERT INTO syncline.changes (object, id, deleted, author, at)
             SELECT $1, n.id, n.deleted, $2, GREATEST(
                 date_trunc(''milliseconds'', clock_timestamp()),
                 COALESCE((SELECT max(c.at) FROM syncline.changes c WHERE c.object = $1 AND c.id = n.id),
                          (SELECT s.since FROM syncline.kept s WHERE s.object = $1)) + interval ''1 millisecond'')
             FROM (%s) AS n', touched)
        USING TG_RELID, author;
    END IF;
    PERFORM pg_notify('syncline_' || TG_RELID, '');
    RETURN NULL;
END
$note$
