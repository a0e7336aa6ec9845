-- Facts: what happened, in the order in which it was committed. A fact names
-- its object and revision only; what it was then is read from the revision.
CREATE TABLE facts (
    seq         SERIAL_KEY,
    name        TEXT NOT NULL,
    tenant      TEXT NOT NULL,
    object_kind TEXT NOT NULL,
    object_id   TEXT NOT NULL,
    revision    BIGINT NOT NULL,
    at          BIGINT NOT NULL
);
CREATE INDEX facts_by_object ON facts (object_kind, object_id, seq);

-- The audit log: entries are appended with the change that they tell of.
CREATE TABLE audit_entries (
    seq         SERIAL_KEY,
    at          BIGINT NOT NULL,
    actor       TEXT NOT NULL,
    tenant      TEXT NOT NULL,
    object_tenant TEXT NOT NULL,
    action      TEXT NOT NULL,
    object_kind TEXT NOT NULL,
    object_id   TEXT NOT NULL,
    revision    BIGINT NOT NULL,
    outcome     TEXT NOT NULL,
    reason      TEXT NOT NULL,
    request     TEXT NOT NULL,
    input_hash  BYTEA NOT NULL
);

-- Leases: who may do a piece of work that only one server may do at a time.
CREATE TABLE leases (
    name   TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    fence  BIGINT NOT NULL,
    until  BIGINT NOT NULL
);
