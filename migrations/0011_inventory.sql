-- What people added to a tenant's inventory, and what they say of things that the platform knows
-- by itself (`known`): those are read live and never stored here.
CREATE TABLE inventory_nodes (
    tenant         TEXT NOT NULL,
    id             TEXT NOT NULL,
    -- The name of the row in the firm's own lists.
    own_key        TEXT NOT NULL,
    known          BIGINT NOT NULL CHECK (known IN (0, 1)),
    kind           TEXT NOT NULL,
    name           TEXT NOT NULL,
    within         TEXT,
    repair_seconds BIGINT CHECK (repair_seconds >= 0),
    start_seconds  BIGINT CHECK (start_seconds >= 0),
    importance     BIGINT CHECK (importance BETWEEN 1 AND 5),
    likelihood     BIGINT CHECK (likelihood BETWEEN 1 AND 5),
    owner          TEXT NOT NULL,
    note           TEXT NOT NULL,
    revision       BIGINT NOT NULL CHECK (revision > 0),
    changed_by     TEXT NOT NULL,
    changed_at     BIGINT NOT NULL,
    created_at     BIGINT NOT NULL,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, own_key)
) CLUSTERED;

-- What must run for a node to run, as people say. The members of a set stand in for each other.
CREATE TABLE inventory_needs (
    tenant   TEXT NOT NULL,
    node     TEXT NOT NULL,
    set_no   BIGINT NOT NULL,
    member   TEXT NOT NULL,
    at_least BIGINT NOT NULL CHECK (at_least > 0),
    PRIMARY KEY (tenant, node, set_no, member)
) CLUSTERED;
CREATE INDEX inventory_needs_by_member ON inventory_needs (tenant, member);

-- By which a firm says how bad something is.
CREATE TABLE harm_scales (
    tenant      TEXT PRIMARY KEY,
    unit        TEXT NOT NULL,
    levels      TEXT NOT NULL,
    intolerable BIGINT NOT NULL CHECK (intolerable >= 0),
    revision    BIGINT NOT NULL CHECK (revision > 0),
    changed_by  TEXT NOT NULL,
    changed_at  BIGINT NOT NULL
);

-- What it would mean to be without an activity.
CREATE TABLE impact_assessments (
    tenant      TEXT NOT NULL,
    activity    TEXT NOT NULL,
    harm        TEXT NOT NULL,
    rto_seconds BIGINT,
    rpo_seconds BIGINT,
    minimum     TEXT NOT NULL,
    assessed_by TEXT NOT NULL,
    assessed_on TEXT NOT NULL,
    review_by   TEXT NOT NULL,
    revision    BIGINT NOT NULL CHECK (revision > 0),
    changed_by  TEXT NOT NULL,
    changed_at  BIGINT NOT NULL,
    PRIMARY KEY (tenant, activity)
) CLUSTERED;
