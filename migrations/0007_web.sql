-- Answers to requests that carried an Idempotency-Key, kept for repeats.
CREATE TABLE idempotency (
    tenant     TEXT NOT NULL,
    actor      TEXT NOT NULL,
    route      TEXT NOT NULL,
    key        TEXT NOT NULL,
    input_hash BYTEA NOT NULL,
    expires_at BIGINT NOT NULL,
    status     BIGINT NOT NULL,
    kind       TEXT NOT NULL,
    id         TEXT NOT NULL,
    revision   BIGINT NOT NULL,
    location   TEXT,
    -- NULL where the answer held a secret.
    body       TEXT,
    PRIMARY KEY (tenant, actor, route, key)
);
CREATE INDEX idempotency_by_expiry ON idempotency (expires_at);
