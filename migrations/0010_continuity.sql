-- Which master key this installation has sealed its secrets with.
CREATE TABLE master_keys (
    place   BIGINT PRIMARY KEY CHECK (place = 1),
    name    TEXT NOT NULL,
    made_at BIGINT NOT NULL
);

-- Where copies lie. Secrets are sealed with the master key (continuity::keys).
CREATE TABLE backup_places (
    id           TEXT PRIMARY KEY,
    tenant       TEXT NOT NULL,
    name         TEXT NOT NULL,
    location     TEXT NOT NULL,
    site         TEXT NOT NULL,
    -- The host that it is lost with, where that is one of ours.
    host         TEXT REFERENCES hosts (id),
    immutability TEXT NOT NULL CHECK (immutability IN ('none', 'appendOnly', 'objectLock')),
    revision     BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    UNIQUE (tenant, name)
);

-- What lets one in at a place: for one tenant's repository, or (tenant '') for all.
CREATE TABLE backup_credentials (
    place  TEXT NOT NULL REFERENCES backup_places (id),
    tenant TEXT NOT NULL,
    role   TEXT NOT NULL CHECK (role IN ('append', 'maintain')),
    name   TEXT NOT NULL,
    secret TEXT NOT NULL,
    set_at BIGINT NOT NULL,
    PRIMARY KEY (place, tenant, role)
) CLUSTERED;

-- One repository for each tenant and place: its keys open that tenant's data and no other's.
CREATE TABLE backup_repositories (
    id          TEXT PRIMARY KEY,
    tenant      TEXT NOT NULL,
    place       TEXT NOT NULL REFERENCES backup_places (id),
    state       TEXT NOT NULL CHECK (state IN ('new', 'made')),
    password    TEXT NOT NULL,
    escrow      TEXT NOT NULL,
    master      TEXT,
    repository  TEXT,
    task        TEXT,
    problem     TEXT,
    checks      BIGINT NOT NULL,
    made_at     BIGINT,
    revealed_at BIGINT,
    -- When its place last refused to remove data for a host.
    guarded_at  BIGINT,
    -- When it last let one remove or change data, though it says that it keeps it; nothing since it refused.
    yielded_at  BIGINT,
    -- When something was last found wrong with it: no look that was asked for before speaks for it.
    doubted_at  BIGINT,
    -- What must be read and found whole before anything in it is called whole again: nothing,
    -- a part by its number, or everything (0).
    doubted_part BIGINT CHECK (doubted_part >= 0),
    -- The task by which everything in it is being read.
    reading     TEXT,
    -- When everything in it was last read and found whole.
    read_at     BIGINT,
    created_at  BIGINT NOT NULL,
    UNIQUE (tenant, place)
);

CREATE TABLE backup_policies (
    id         TEXT PRIMARY KEY,
    tenant     TEXT NOT NULL,
    name       TEXT NOT NULL,
    revision   BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (tenant, name)
);

-- How the platform itself is kept.
CREATE TABLE control_plane (
    place    BIGINT PRIMARY KEY CHECK (place = 1),
    policy   TEXT NOT NULL REFERENCES backup_policies (id),
    next_due BIGINT NOT NULL,
    kit_at   BIGINT,
    kit_of   TEXT
);
CREATE TABLE control_plane_points (
    id           TEXT PRIMARY KEY,
    policy       TEXT NOT NULL REFERENCES backup_policies (id),
    state        TEXT NOT NULL CHECK (state IN ('taking', 'available', 'degraded', 'lost', 'failed', 'expired')),
    problem      TEXT,
    requested_at BIGINT NOT NULL,
    taken_at     BIGINT,
    closed_at    BIGINT,
    bytes        BIGINT,
    -- What a drill that passed hashed it to.
    digest       TEXT
);
-- One at a time.
CREATE UNIQUE INDEX control_plane_taking ON control_plane_points (state) WHERE state = 'taking';
CREATE INDEX control_plane_kept ON control_plane_points (id) WHERE state NOT IN ('taking', 'expired');
CREATE TABLE control_plane_copies (
    point      TEXT NOT NULL REFERENCES control_plane_points (id),
    position   BIGINT NOT NULL,
    place      TEXT NOT NULL REFERENCES backup_places (id),
    state      TEXT NOT NULL CHECK (state IN ('pending', 'verified', 'damaged', 'missing', 'failed', 'gone')),
    snapshot   TEXT,
    problem    TEXT,
    checked_at BIGINT,
    drilled_at BIGINT,
    PRIMARY KEY (point, position)
) CLUSTERED;
CREATE INDEX control_plane_copies_by_place ON control_plane_copies (place, point);
CREATE INDEX control_plane_copies_by_snapshot ON control_plane_copies (place, snapshot) WHERE snapshot IS NOT NULL;

-- What a policy said and says. A change adds a row.
CREATE TABLE backup_policy_revisions (
    policy   TEXT NOT NULL REFERENCES backup_policies (id),
    revision BIGINT NOT NULL CHECK (revision > 0),
    body     TEXT NOT NULL,
    made_by  TEXT NOT NULL,
    made_at  BIGINT NOT NULL,
    PRIMARY KEY (policy, revision)
);

-- Which service is backed up by which policy, and when next.
CREATE TABLE protections (
    service    TEXT PRIMARY KEY,
    tenant     TEXT NOT NULL,
    policy     TEXT NOT NULL REFERENCES backup_policies (id),
    next_due   BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    ended_at   BIGINT
);
CREATE INDEX protections_due ON protections (next_due) WHERE ended_at IS NULL;
CREATE INDEX protections_by_policy ON protections (policy, service);
CREATE INDEX protections_by_tenant ON protections (tenant, service);

-- Files of a host, or databases that it reaches, which belong to a service. The password is sealed.
CREATE TABLE data_sets (
    id         TEXT PRIMARY KEY,
    tenant     TEXT NOT NULL,
    service    TEXT NOT NULL,
    host       TEXT NOT NULL REFERENCES hosts (id),
    name       TEXT NOT NULL,
    source     TEXT NOT NULL,
    password   TEXT,
    revision   BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    ended_at   BIGINT
);
CREATE UNIQUE INDEX data_sets_by_service ON data_sets (service, name) WHERE ended_at IS NULL;
CREATE INDEX data_sets_of_service ON data_sets (service, id);

-- A state of a service that was kept, or should have been.
CREATE TABLE recovery_points (
    id           TEXT PRIMARY KEY,
    service      TEXT NOT NULL,
    tenant       TEXT NOT NULL,
    policy       TEXT NOT NULL REFERENCES backup_policies (id),
    revision     BIGINT NOT NULL,
    cause        TEXT NOT NULL CHECK (cause IN ('schedule', 'person')),
    state        TEXT NOT NULL CHECK (state IN ('taking', 'available', 'degraded', 'lost', 'failed', 'expired')),
    problem      TEXT,
    attempts     BIGINT NOT NULL,
    requested_at BIGINT NOT NULL,
    taken_at     BIGINT,
    closed_at    BIGINT,
    -- When something could first be restored from it.
    kept_at      BIGINT,
    expired_at   BIGINT
);
CREATE INDEX recovery_points_by_service ON recovery_points (service, id);
CREATE INDEX recovery_points_by_tenant ON recovery_points (tenant, id);
CREATE INDEX recovery_points_degraded ON recovery_points (closed_at) WHERE state IN ('degraded', 'lost');
-- One run of a service at a time.
CREATE UNIQUE INDEX recovery_points_taking ON recovery_points (service) WHERE state = 'taking';

-- Each part of it, a machine or a data set: what its host took of it.
CREATE TABLE recovery_parts (
    point TEXT NOT NULL REFERENCES recovery_points (id),
    part  TEXT NOT NULL,
    kind  TEXT NOT NULL CHECK (kind IN ('machine', 'dataSet')),
    host  TEXT NOT NULL,
    spec  TEXT NOT NULL,
    task  TEXT,
    taken TEXT,
    PRIMARY KEY (point, part)
) CLUSTERED;

-- Each copy of each part of it.
CREATE TABLE recovery_copies (
    point      TEXT NOT NULL REFERENCES recovery_points (id),
    part       TEXT NOT NULL,
    position   BIGINT NOT NULL,
    repository TEXT NOT NULL REFERENCES backup_repositories (id),
    state      TEXT NOT NULL CHECK (state IN ('pending', 'stored', 'verified', 'damaged', 'missing', 'gone')),
    snapshot   TEXT,
    task       TEXT,
    problem    TEXT,
    stored_at  BIGINT,
    checked_at BIGINT,
    drilled_at BIGINT,
    PRIMARY KEY (point, part, position)
) CLUSTERED;
CREATE INDEX recovery_copies_by_repository ON recovery_copies (repository, point) WHERE state <> 'gone';
CREATE INDEX recovery_copies_by_snapshot ON recovery_copies (repository, snapshot) WHERE snapshot IS NOT NULL;
CREATE INDEX recovery_copies_by_task ON recovery_copies (task) WHERE task IS NOT NULL;

-- Machines that are made again from one copy of a point: a restore, or a drill. While one is open,
-- its point is kept and hosts are given what opens its repository.
CREATE TABLE recoveries (
    id           TEXT PRIMARY KEY,
    tenant       TEXT NOT NULL,
    service      TEXT NOT NULL,
    point        TEXT NOT NULL REFERENCES recovery_points (id),
    place        TEXT NOT NULL REFERENCES backup_places (id),
    repository   TEXT NOT NULL REFERENCES backup_repositories (id),
    purpose      TEXT NOT NULL CHECK (purpose IN ('restore', 'drill')),
    subject_kind TEXT NOT NULL,
    subject_id   TEXT NOT NULL,
    opened_at    BIGINT NOT NULL,
    ended_at     BIGINT
);
CREATE INDEX recoveries_open ON recoveries (point) WHERE ended_at IS NULL;
CREATE INDEX recoveries_by_place ON recoveries (place, ended_at);

-- Each machine of one: what was saved of it, and the machine that is made from that.
CREATE TABLE recovery_targets (
    recovery TEXT NOT NULL REFERENCES recoveries (id),
    machine  TEXT NOT NULL,
    snapshot TEXT NOT NULL,
    made     TEXT UNIQUE,
    PRIMARY KEY (recovery, machine)
) CLUSTERED;

-- How each disk came back, as its host measured it.
CREATE TABLE recovery_disks (
    recovery  TEXT NOT NULL REFERENCES recoveries (id),
    machine   TEXT NOT NULL,
    disk      TEXT NOT NULL,
    bytes     BIGINT NOT NULL,
    ms        BIGINT NOT NULL,
    verify_ms BIGINT NOT NULL,
    digest    TEXT NOT NULL,
    PRIMARY KEY (recovery, machine, disk)
) CLUSTERED;

-- A data set that is brought back from one copy of a point, to a place that is new.
CREATE TABLE data_restores (
    id           TEXT PRIMARY KEY,
    tenant       TEXT NOT NULL,
    service      TEXT NOT NULL,
    point        TEXT NOT NULL REFERENCES recovery_points (id),
    data_set     TEXT NOT NULL REFERENCES data_sets (id),
    place        TEXT NOT NULL REFERENCES backup_places (id),
    repository   TEXT NOT NULL REFERENCES backup_repositories (id),
    host         TEXT NOT NULL,
    target       TEXT NOT NULL,
    -- A later point whose logs lead to the instant that is wanted.
    logs_of      TEXT REFERENCES recovery_points (id),
    task         TEXT NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed', 'cancelled')),
    restored     TEXT,
    problem      TEXT,
    requested_at BIGINT NOT NULL,
    closed_at    BIGINT
);
CREATE INDEX data_restores_by_service ON data_restores (service, id);
CREATE INDEX data_restores_by_tenant ON data_restores (tenant, id);
CREATE INDEX data_restores_running ON data_restores (point) WHERE state = 'running';

-- What is to be brought back when what is lost, how fast, with how little loss, how often.
CREATE TABLE drill_plans (
    id         TEXT PRIMARY KEY,
    tenant     TEXT NOT NULL,
    name       TEXT NOT NULL,
    revision   BIGINT NOT NULL,
    body       TEXT NOT NULL,
    next_due   BIGINT,
    changed_by TEXT NOT NULL,
    changed_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    ended_at   BIGINT
);
CREATE INDEX drill_plans_by_tenant ON drill_plans (tenant, id);
CREATE INDEX drill_plans_due ON drill_plans (next_due) WHERE ended_at IS NULL AND next_due IS NOT NULL;

-- What was restored from where, what was measured, what it came to; with the signed evidence of it.
CREATE TABLE drill_runs (
    id          TEXT PRIMARY KEY,
    plan        TEXT NOT NULL REFERENCES drill_plans (id),
    tenant      TEXT NOT NULL,
    number      BIGINT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('running', 'passed', 'failed', 'impossible', 'stopped')),
    incident_at BIGINT NOT NULL,
    ended_at    BIGINT,
    started_by  TEXT NOT NULL,
    by_hand     BIGINT NOT NULL,
    flow        TEXT,
    body        TEXT NOT NULL,
    evidence    TEXT,
    UNIQUE (plan, number),
    CHECK ((state = 'running') = (evidence IS NULL))
);
CREATE INDEX drill_runs_by_tenant ON drill_runs (tenant, id);
CREATE INDEX drill_runs_by_plan ON drill_runs (plan, id);
-- One run of a plan at a time.
CREATE UNIQUE INDEX drill_runs_running ON drill_runs (plan) WHERE state = 'running';

-- What must be put right: opened by a miss, closed by a run of the same plan that passes.
CREATE TABLE corrective_actions (
    id            TEXT PRIMARY KEY,
    tenant        TEXT NOT NULL,
    plan          TEXT NOT NULL REFERENCES drill_plans (id),
    service       TEXT NOT NULL,
    code          TEXT NOT NULL,
    message       TEXT NOT NULL,
    owner         TEXT NOT NULL,
    due_at        BIGINT NOT NULL,
    state         TEXT NOT NULL CHECK (state IN ('open', 'closed', 'withdrawn')),
    found_by      TEXT NOT NULL REFERENCES drill_runs (id),
    last_found_by TEXT NOT NULL REFERENCES drill_runs (id),
    times         BIGINT NOT NULL,
    closed_by     TEXT REFERENCES drill_runs (id),
    opened_at     BIGINT NOT NULL,
    closed_at     BIGINT,
    CHECK ((state = 'closed') = (closed_by IS NOT NULL))
);
CREATE INDEX corrective_actions_by_tenant ON corrective_actions (tenant, state, due_at);
CREATE UNIQUE INDEX corrective_actions_open ON corrective_actions (plan, service, code) WHERE state = 'open';
CREATE INDEX corrective_actions_by_plan ON corrective_actions (plan, id);
-- A service, or a second machine beside it, that is brought back from a recovery point.
CREATE TABLE restores (
    id           TEXT PRIMARY KEY,
    tenant       TEXT NOT NULL,
    service      TEXT NOT NULL,
    beside       BIGINT NOT NULL,
    wish         TEXT NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed', 'ended')),
    problem      TEXT,
    recovery     TEXT REFERENCES recoveries (id),
    requested_at BIGINT NOT NULL,
    answered_at  BIGINT,
    closed_at    BIGINT,
    -- Of what stands beside a service: when it is let go.
    keep_until   BIGINT
);
CREATE INDEX restores_by_service ON restores (service, id);
CREATE INDEX restores_by_tenant ON restores (tenant, id);
CREATE INDEX restores_over ON restores (keep_until) WHERE state = 'done' AND keep_until IS NOT NULL;
-- One at a time.
CREATE UNIQUE INDEX restores_running ON restores (service) WHERE state = 'running';

-- Each machine of one: the one that was saved, the one that is made.
CREATE TABLE restore_machines (
    restore TEXT NOT NULL REFERENCES restores (id),
    machine TEXT NOT NULL,
    made    TEXT NOT NULL,
    host    TEXT,
    claimed TEXT,
    PRIMARY KEY (restore, machine)
) CLUSTERED;

-- Somebody looks into a recovery point, or fetches a file of it: what, and the task that a host does for it.
CREATE TABLE readings (
    id         TEXT PRIMARY KEY,
    tenant     TEXT NOT NULL,
    service    TEXT NOT NULL,
    point      TEXT NOT NULL REFERENCES recovery_points (id),
    part       TEXT NOT NULL,
    place      TEXT NOT NULL REFERENCES backup_places (id),
    repository TEXT NOT NULL REFERENCES backup_repositories (id),
    host       TEXT NOT NULL REFERENCES hosts (id),
    file       BIGINT NOT NULL,
    path       TEXT NOT NULL,
    top        TEXT NOT NULL,
    after_name TEXT NOT NULL,
    task       TEXT NOT NULL,
    asked_by   TEXT NOT NULL,
    asked_at   BIGINT NOT NULL,
    late_at    BIGINT NOT NULL,
    ends_at    BIGINT NOT NULL,
    taken_at   BIGINT
);
CREATE INDEX readings_by_tenant ON readings (tenant, file, ends_at);
CREATE INDEX readings_by_point ON readings (point, id);
CREATE INDEX readings_by_task ON readings (task);
CREATE INDEX readings_by_end ON readings (ends_at);
