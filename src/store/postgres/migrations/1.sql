-- The log: one row per commit group, in the order of their commits. Rows are only ever inserted.
CREATE TABLE log_meta (
    name text PRIMARY KEY,
    value bytea NOT NULL
);
CREATE TABLE log_groups (
    first_position bigint PRIMARY KEY,  -- of the row's facts, which follow without gaps
    count integer NOT NULL,
    recorded_from bigint NOT NULL,      -- microseconds since 1970
    recorded_to bigint NOT NULL,
    types bigint NOT NULL,              -- set of fact types, one bit each
    batch bytea NOT NULL,               -- which append of which node: how a lost answer is found again
    seal bytea NOT NULL,                -- truncated SHA-256 over the other small columns and heads
    frontier bytea NOT NULL,            -- Merkle tree after the row: roots of its perfect subtrees
    keys bytea NOT NULL,                -- 12 bytes a key: offset with a bit for unique keys, fingerprint
    places bytea NOT NULL,              -- run lengths: facts, clicks with a seat, facts, …
    facts bytea NOT NULL,               -- zstd: NDJSON of everything but clicks with a seat
    heads bytea NOT NULL,               -- zstd: 16 bytes a click with a seat
    clicks bytea NOT NULL               -- zstd: NDJSON of clicks with a seat
);
-- Fingerprints and what zstd has compressed do not get smaller by trying once more.
ALTER TABLE log_groups
    ALTER COLUMN frontier SET STORAGE EXTERNAL,
    ALTER COLUMN keys SET STORAGE EXTERNAL,
    ALTER COLUMN facts SET STORAGE EXTERNAL,
    ALTER COLUMN heads SET STORAGE EXTERNAL,
    ALTER COLUMN clicks SET STORAGE EXTERNAL;

-- Where the next group begins.
CREATE FUNCTION log_next() RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        (SELECT g.first_position + g.count FROM log_groups g ORDER BY g.first_position DESC LIMIT 1),
        1)
$$;

-- Appends a group if it follows the last one, and says where the next one had to begin. Who comes
-- second waits for the first one's commit: the lock is held until then, and what is asked after it was
-- taken sees all that was committed before. So positions are in the order of commits, and no reader
-- ever sees a fact appear behind another.
CREATE FUNCTION log_append(
    lock_key bigint, first_position bigint, count integer, recorded_from bigint, recorded_to bigint,
    types bigint, batch bytea, seal bytea, frontier bytea, keys bytea, places bytea, facts bytea,
    heads bytea, clicks bytea
) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    begins_at bigint;
BEGIN
    PERFORM pg_advisory_xact_lock($1);
    SELECT g.first_position + g.count INTO begins_at FROM log_groups g ORDER BY g.first_position DESC LIMIT 1;
    begins_at := coalesce(begins_at, 1);
    IF begins_at = $2 THEN
        INSERT INTO log_groups VALUES ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14);
    END IF;
    RETURN begins_at;
END
$$;

-- What is in the log stays as it is, whoever asks.
CREATE FUNCTION log_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the log is never changed, only added to';
END
$$;
CREATE TRIGGER log_is_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON log_groups
    FOR EACH STATEMENT EXECUTE FUNCTION log_refuse();
