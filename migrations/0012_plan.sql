-- What a tenant says of each of the nine steps of its continuity plan.
CREATE TABLE plan_steps (
    tenant     TEXT NOT NULL,
    number     BIGINT NOT NULL CHECK (number BETWEEN 1 AND 9),
    owner      TEXT NOT NULL,
    due_at     BIGINT,
    state      TEXT NOT NULL CHECK (state IN ('notStarted', 'inProgress', 'done')),
    text       TEXT NOT NULL,
    revision   BIGINT NOT NULL,
    changed_by TEXT NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, number)
);

-- Who is called by whom when something has happened. Personal data: gone when it is removed.
CREATE TABLE plan_contacts (
    id        TEXT PRIMARY KEY,
    tenant    TEXT NOT NULL,
    name      TEXT NOT NULL,
    duty      TEXT NOT NULL,
    phone     TEXT NOT NULL,
    email     TEXT NOT NULL,
    deputy    TEXT REFERENCES plan_contacts (id),
    called_by TEXT REFERENCES plan_contacts (id)
);
CREATE INDEX plan_contacts_by_tenant ON plan_contacts (tenant, id);

-- Frozen states of the plan, each approved by another account than the one that asked.
CREATE TABLE plan_versions (
    tenant       TEXT NOT NULL,
    number       BIGINT NOT NULL,
    body         TEXT NOT NULL,
    digest       TEXT NOT NULL,
    note         TEXT NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('waiting', 'approved', 'declined')),
    asked_by     TEXT NOT NULL,
    asked_at     BIGINT NOT NULL,
    decided_by   TEXT,
    decided_at   BIGINT,
    reason       TEXT NOT NULL,
    PRIMARY KEY (tenant, number),
    CHECK ((state = 'waiting') = (decided_by IS NULL)),
    CHECK (decided_by IS NULL OR decided_by <> asked_by)
);
-- One waits at a time.
CREATE UNIQUE INDEX plan_versions_waiting ON plan_versions (tenant) WHERE state = 'waiting';

-- Somebody has looked at the whole plan.
CREATE TABLE plan_reviews (
    id          TEXT PRIMARY KEY,
    tenant      TEXT NOT NULL,
    held_at     BIGINT NOT NULL,
    held_by     TEXT NOT NULL,
    conclusion  TEXT NOT NULL,
    next_due    BIGINT NOT NULL,
    recorded_by TEXT NOT NULL
);
CREATE INDEX plan_reviews_by_tenant ON plan_reviews (tenant, held_at);

-- People try the plan, at a table or for real.
CREATE TABLE exercises (
    id         TEXT PRIMARY KEY,
    tenant     TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('planned', 'passed', 'notPassed', 'cancelled')),
    planned_at BIGINT NOT NULL,
    body       TEXT NOT NULL,
    outcome    TEXT,
    created_at BIGINT NOT NULL,
    CHECK ((state IN ('passed', 'notPassed')) = (outcome IS NOT NULL))
);
CREATE INDEX exercises_by_tenant ON exercises (tenant, planned_at);

-- What a review or an exercise found.
CREATE TABLE plan_findings (
    id          TEXT PRIMARY KEY,
    tenant      TEXT NOT NULL,
    source_kind TEXT NOT NULL CHECK (source_kind IN ('planReview', 'exercise')),
    source_id   TEXT NOT NULL,
    observed_by TEXT,
    text        TEXT NOT NULL,
    owner       TEXT NOT NULL,
    due_at      BIGINT NOT NULL,
    note        TEXT NOT NULL,
    closed_by   TEXT,
    opened_at   BIGINT NOT NULL,
    closed_at   BIGINT,
    CHECK ((closed_at IS NULL) = (closed_by IS NULL))
);
CREATE INDEX plan_findings_by_tenant ON plan_findings (tenant, due_at);
CREATE INDEX plan_findings_by_source ON plan_findings (source_id);

-- What to do, step by step; every edit is kept.
CREATE TABLE runbooks (
    id       TEXT PRIMARY KEY,
    tenant   TEXT NOT NULL,
    title    TEXT NOT NULL,
    service  TEXT,
    version  BIGINT NOT NULL,
    ended_at BIGINT,
    -- The operator's staff may read it from that version on.
    shared_from BIGINT
);
CREATE INDEX runbooks_shared ON runbooks (title, id) WHERE shared_from IS NOT NULL;
CREATE INDEX runbooks_by_tenant ON runbooks (tenant, id);

CREATE TABLE runbook_versions (
    runbook    TEXT NOT NULL REFERENCES runbooks (id),
    version    BIGINT NOT NULL,
    title      TEXT NOT NULL,
    body       TEXT NOT NULL,
    note       TEXT NOT NULL,
    changed_by TEXT NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (runbook, version)
);

-- What everyone concerned is told, and who has read it.
CREATE TABLE announcements (
    id        TEXT PRIMARY KEY,
    tenant    TEXT NOT NULL,
    audience  TEXT NOT NULL CHECK (audience IN ('own', 'customers')),
    title     TEXT NOT NULL,
    text      TEXT NOT NULL,
    made_by   TEXT NOT NULL,
    made_at   BIGINT NOT NULL,
    ended_at  BIGINT
);
CREATE INDEX announcements_by_tenant ON announcements (tenant, id);

CREATE TABLE announcement_readers (
    announcement TEXT NOT NULL REFERENCES announcements (id),
    account      TEXT NOT NULL,
    tenant       TEXT NOT NULL,
    read_at      BIGINT,
    PRIMARY KEY (announcement, account)
);
CREATE INDEX announcement_readers_by_account ON announcement_readers (account, announcement);
CREATE INDEX announcement_readers_unread ON announcement_readers (account, announcement) WHERE read_at IS NULL;

-- What somebody must see to (TMF642's words). One row for each time that it began.
CREATE TABLE alarms (
    id              TEXT PRIMARY KEY,
    tenant          TEXT NOT NULL,
    object_kind     TEXT NOT NULL,
    object          TEXT NOT NULL,
    cause           TEXT NOT NULL,
    severity        TEXT NOT NULL CHECK (severity IN ('critical', 'major', 'minor')),
    problem         TEXT NOT NULL,
    times           BIGINT NOT NULL CHECK (times > 0),
    raised_at       BIGINT NOT NULL,
    changed_at      BIGINT NOT NULL,
    acknowledged_by TEXT,
    acknowledged_at BIGINT,
    note            TEXT NOT NULL,
    cleared_by      TEXT,
    cleared_at      BIGINT,
    told_at         BIGINT,
    CHECK ((cleared_at IS NULL) = (cleared_by IS NULL))
);
-- The same thing is wrong once.
CREATE UNIQUE INDEX alarms_open ON alarms (object_kind, object, cause) WHERE cleared_at IS NULL;
CREATE INDEX alarms_by_tenant ON alarms (tenant, id);
CREATE INDEX alarms_by_object ON alarms (object, id);
CREATE INDEX alarms_untold ON alarms (raised_at) WHERE cleared_at IS NULL AND told_at IS NULL;
