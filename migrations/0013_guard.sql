-- Places off this host that the audit log is shipped to, and how far each has got: `shipped` entries lie
-- there, or are covered by the newest signed head there.
CREATE TABLE audit_places (
    id             TEXT PRIMARY KEY,
    tenant         TEXT NOT NULL,
    name           TEXT NOT NULL,
    target         TEXT NOT NULL,
    credential     TEXT,
    secret         TEXT,
    entries        BIGINT NOT NULL,
    every_seconds  BIGINT NOT NULL,
    behind_seconds BIGINT NOT NULL,
    shipped        BIGINT NOT NULL,
    shipped_at     BIGINT,
    attempts       BIGINT NOT NULL,
    next_at        BIGINT NOT NULL,
    problem        TEXT,
    revision       BIGINT NOT NULL,
    created_at     BIGINT NOT NULL,
    UNIQUE (tenant, name)
);
