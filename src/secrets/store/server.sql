-- Secrets of all nodes: never part of the log, and never in its backups alone.
CREATE TABLE IF NOT EXISTS keys (name text PRIMARY KEY, bytes bytea NOT NULL);
CREATE TABLE IF NOT EXISTS tokens (
    id text PRIMARY KEY, hash bytea NOT NULL, name text NOT NULL, role text NOT NULL,
    offer text, partner text, created_at bigint NOT NULL, revoked_at bigint
);
CREATE TABLE IF NOT EXISTS offer_secrets (
    id text PRIMARY KEY, hash bytea NOT NULL, offer text NOT NULL,
    created_at bigint NOT NULL, valid_until bigint, kind text NOT NULL DEFAULT 'secret', kept bytea
);
CREATE TABLE IF NOT EXISTS unrecorded (id text PRIMARY KEY, fact text NOT NULL);

-- By this nodes see that another has changed something.
CREATE TABLE IF NOT EXISTS secrets_version (version bigint NOT NULL);
INSERT INTO secrets_version SELECT 0 WHERE NOT EXISTS (SELECT FROM secrets_version);
CREATE OR REPLACE FUNCTION secrets_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE secrets_version SET version = version + 1;
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER keys_changed AFTER INSERT OR UPDATE OR DELETE ON keys
    FOR EACH STATEMENT EXECUTE FUNCTION secrets_changed();
CREATE OR REPLACE TRIGGER tokens_changed AFTER INSERT OR UPDATE OR DELETE ON tokens
    FOR EACH STATEMENT EXECUTE FUNCTION secrets_changed();
CREATE OR REPLACE TRIGGER offer_secrets_changed AFTER INSERT OR UPDATE OR DELETE ON offer_secrets
    FOR EACH STATEMENT EXECUTE FUNCTION secrets_changed();
CREATE OR REPLACE TRIGGER unrecorded_changed AFTER INSERT ON unrecorded
    FOR EACH STATEMENT EXECUTE FUNCTION secrets_changed();
