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

-- Who wants to be told what happens to a tenant's records at one API.
CREATE TABLE hub_subscriptions (
    id         TEXT PRIMARY KEY,
    tenant     TEXT NOT NULL,
    api        TEXT NOT NULL,
    callback   TEXT NOT NULL,
    query      TEXT NOT NULL,
    secret     TEXT NOT NULL,
    actor      TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    gone_at    BIGINT
);
CREATE INDEX hub_subscriptions_by_tenant ON hub_subscriptions (tenant, api);

-- Notifications: written with the fact that they tell of, sent by workers.
CREATE TABLE hub_deliveries (
    id           TEXT PRIMARY KEY,
    subscription TEXT NOT NULL,
    tenant       TEXT NOT NULL,
    event        TEXT NOT NULL,
    kind         TEXT NOT NULL,
    record       TEXT NOT NULL,
    revision     BIGINT NOT NULL,
    at           BIGINT NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('waiting', 'done', 'dead')),
    attempts     BIGINT NOT NULL,
    due_at       BIGINT NOT NULL,
    failure      TEXT NOT NULL DEFAULT ''
);
CREATE INDEX hub_deliveries_due ON hub_deliveries (state, due_at);
CREATE INDEX hub_deliveries_by_subscription ON hub_deliveries (subscription, id);
