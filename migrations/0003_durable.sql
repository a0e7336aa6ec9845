-- Definitions of flows: data, each version kept for the runs that are pinned to it.
CREATE TABLE flow_definitions (
    name       TEXT NOT NULL,
    version    BIGINT NOT NULL CHECK (version > 0),
    body       TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    PRIMARY KEY (name, version)
);

-- Runs of flows. What happened is in the journal; this is where each stands.
CREATE TABLE flow_runs (
    id            TEXT PRIMARY KEY,
    flow          TEXT NOT NULL,
    version       BIGINT NOT NULL,
    tenant        TEXT NOT NULL,
    requested_by  TEXT NOT NULL,
    subject_kind  TEXT NOT NULL,
    subject_id    TEXT NOT NULL,
    input         TEXT NOT NULL,
    state         TEXT NOT NULL,
    backward      BIGINT NOT NULL,
    past_return   BIGINT NOT NULL,
    step          BIGINT NOT NULL,
    phase         TEXT NOT NULL,
    attempt       BIGINT NOT NULL,
    step_since    BIGINT,
    note          TEXT,
    wait_key      TEXT,
    due_at        BIGINT,
    fence         BIGINT NOT NULL,
    claimed_by    TEXT,
    failure       TEXT,
    events        BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL
);
CREATE INDEX flow_runs_due ON flow_runs (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX flow_runs_by_key ON flow_runs (wait_key) WHERE wait_key IS NOT NULL;
CREATE INDEX flow_runs_by_subject ON flow_runs (subject_id, subject_kind, id);
CREATE INDEX flow_runs_by_state ON flow_runs (state, id);
CREATE INDEX flow_runs_by_tenant ON flow_runs (tenant, id);

-- The journal: six kinds of event, appended before or with each effect, never edited.
CREATE TABLE flow_journal (
    run     TEXT NOT NULL,
    seq     BIGINT NOT NULL,
    at      BIGINT NOT NULL,
    step    TEXT NOT NULL,
    event   TEXT NOT NULL CHECK (event IN ('started', 'succeeded', 'failed', 'undo_started', 'undo_finished', 'undo_failed')),
    attempt BIGINT NOT NULL,
    detail  TEXT NOT NULL,
    PRIMARY KEY (run, seq)
) CLUSTERED;

-- What a person decided about a run, and why.
CREATE TABLE flow_decisions (
    run    TEXT NOT NULL,
    seq    BIGINT NOT NULL,
    at     BIGINT NOT NULL,
    actor  TEXT NOT NULL,
    verb   TEXT NOT NULL,
    step   TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (run, seq, verb, at)
);

-- Jobs: one idempotent thing each, done again until it succeeds or is dead.
CREATE TABLE jobs (
    id         TEXT PRIMARY KEY,
    kind       TEXT NOT NULL,
    tenant     TEXT NOT NULL,
    payload    TEXT NOT NULL,
    state      TEXT NOT NULL,
    attempt    BIGINT NOT NULL,
    due_at     BIGINT,
    fence      BIGINT NOT NULL,
    claimed_by TEXT,
    failure    TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX jobs_due ON jobs (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX jobs_by_state ON jobs (state, id);

-- Reconcilers: when each last looked, and what it ran into.
CREATE TABLE reconcilers (
    name        TEXT PRIMARY KEY,
    last_run_at BIGINT NOT NULL,
    failure     TEXT
);
