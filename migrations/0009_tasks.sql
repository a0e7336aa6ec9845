-- Finite work that a host's agent is asked for, such as a backup. No secret is ever in here.
CREATE TABLE host_tasks (
    id           TEXT PRIMARY KEY,
    host         TEXT NOT NULL REFERENCES hosts (id),
    work         TEXT NOT NULL,
    subject_kind TEXT NOT NULL,
    subject_id   TEXT NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'succeeded', 'failed', 'cancelled')),
    progress     TEXT,
    outcome      TEXT,
    problem      TEXT,
    told_at      BIGINT,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL
);
CREATE INDEX host_tasks_open ON host_tasks (host, id) WHERE state IN ('waiting', 'running');
CREATE INDEX host_tasks_by_subject ON host_tasks (subject_kind, subject_id, id);
