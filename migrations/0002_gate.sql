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

-- The audit log. An entry is appended with the change that it tells of; the
-- sequencer gives it its place in the tree afterwards, and nothing else of it
-- ever changes. `root` is the head of the tree (RFC 6962) with this leaf last.
CREATE TABLE audit_entries (
    seq           SERIAL_KEY,
    at            BIGINT NOT NULL,
    actor         TEXT NOT NULL,
    tenant        TEXT NOT NULL,
    object_tenant TEXT NOT NULL,
    action        TEXT NOT NULL,
    object_kind   TEXT NOT NULL,
    object_id     TEXT NOT NULL,
    revision      BIGINT NOT NULL,
    outcome       TEXT NOT NULL,
    session       TEXT NOT NULL,
    strength      TEXT NOT NULL,
    request       TEXT NOT NULL,
    input_hash    BYTEA NOT NULL,
    private_hash  BYTEA,
    leaf_index    BIGINT,
    leaf_hash     BYTEA,
    root          BYTEA
);
CREATE INDEX audit_pending ON audit_entries (seq) WHERE leaf_index IS NULL;
CREATE UNIQUE INDEX audit_by_index ON audit_entries (leaf_index) WHERE leaf_index IS NOT NULL;
CREATE INDEX audit_by_tenant ON audit_entries (object_tenant, leaf_index) WHERE leaf_index IS NOT NULL;
CREATE INDEX audit_by_actor ON audit_entries (actor, leaf_index) WHERE leaf_index IS NOT NULL;
CREATE INDEX audit_by_object ON audit_entries (object_id, leaf_index) WHERE leaf_index IS NOT NULL;
-- Refusals are looked for by whoever met them, by the request that was answered so.
CREATE INDEX audit_refused ON audit_entries (request, seq) WHERE outcome <> 'done';

-- Personal data of entries: the leaf holds a salted commitment to it, so that
-- it can be erased and the tree stays whole.
CREATE TABLE audit_private (
    entry BIGINT PRIMARY KEY,
    salt  BYTEA NOT NULL,
    body  TEXT NOT NULL
);

-- Heads of full subtrees of 256 leaves, of 256 of those, and so on: what makes
-- proofs cheap in a large tree.
CREATE TABLE audit_nodes (
    level BIGINT NOT NULL,
    place BIGINT NOT NULL,
    hash  BYTEA NOT NULL,
    PRIMARY KEY (level, place)
);

-- The sequencer's own state, one row.
CREATE TABLE audit_tree (
    id       BIGINT PRIMARY KEY CHECK (id = 1),
    size     BIGINT NOT NULL,
    frontier BYTEA NOT NULL
);

-- Signed heads of the tree (C2SP tlog-checkpoint), also written to a file.
CREATE TABLE audit_checkpoints (
    size BIGINT PRIMARY KEY,
    at   BIGINT NOT NULL,
    note TEXT NOT NULL
);

-- Leases: who may do a piece of work that only one server may do at a time.
CREATE TABLE leases (
    name   TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    fence  BIGINT NOT NULL,
    until  BIGINT NOT NULL
);
