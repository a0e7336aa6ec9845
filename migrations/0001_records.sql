-- Records: every document that TM Forum's Open APIs define, one row each.
CREATE TABLE records (
    id         TEXT PRIMARY KEY,
    kind       TEXT NOT NULL,
    tenant     TEXT NOT NULL,
    revision   BIGINT NOT NULL CHECK (revision > 0),
    state      TEXT,
    class      TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    -- The declared paths with their values, as `record_keys` has them: {"path": ["value"]}.
    keys       TEXT NOT NULL,
    -- Last, as it is long: what stands behind it would be slow to reach.
    body       TEXT NOT NULL
);
CREATE INDEX records_by_kind ON records (kind, id);
CREATE INDEX records_by_tenant ON records (kind, tenant, id);
-- What tenants show to those below them; little, among much that they do not.
CREATE INDEX records_shown ON records (kind, tenant, id) WHERE class = 'public';

-- What a record was before each change; its present form is in `records`.
CREATE TABLE record_revisions (
    id         TEXT NOT NULL,
    revision   BIGINT NOT NULL,
    kind       TEXT NOT NULL,
    tenant     TEXT NOT NULL,
    state      TEXT,
    class      TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    body       TEXT NOT NULL,
    PRIMARY KEY (id, revision)
);

-- The declared paths of each record, for filtering and sorting. `path` is a
-- number for the kind and its path; see `db::records::number`. A path that the
-- record lacks is kept as '', so that sorting by it leaves nobody out.
CREATE TABLE record_keys (
    path   BIGINT NOT NULL,
    value  TEXT NOT NULL,
    id     TEXT NOT NULL,
    tenant TEXT NOT NULL,
    PRIMARY KEY (path, value, id)
) CLUSTERED;
CREATE INDEX record_keys_by_tenant ON record_keys (path, tenant, value, id);

-- How many records there are, in shards so that writers do not queue for one row.
CREATE TABLE record_counts (
    kind   TEXT NOT NULL,
    tenant TEXT NOT NULL,
    shard  BIGINT NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (kind, tenant, shard)
) CLUSTERED;

-- Words that things are found by, records and others; see `db::words`.
CREATE TABLE search_words (
    id     TEXT NOT NULL,
    word   TEXT NOT NULL,
    kind   TEXT NOT NULL,
    tenant TEXT NOT NULL,
    PRIMARY KEY (id, word)
) CLUSTERED;
CREATE INDEX search_words_by_word ON search_words (kind, word, id);
CREATE INDEX search_words_by_tenant ON search_words (kind, tenant, word, id);
