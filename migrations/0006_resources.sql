-- Where things stand: sites hold pools, pools hold hosts.
CREATE TABLE sites (
    id         TEXT PRIMARY KEY,
    tenant     TEXT NOT NULL,
    name       TEXT NOT NULL,
    place      TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (tenant, name)
);

-- Hosts that are alike and placed upon alike. What a host has, times the
-- factor (over / under, exact), is what may be sold of it.
CREATE TABLE pools (
    id             TEXT PRIMARY KEY,
    tenant         TEXT NOT NULL,
    site           TEXT NOT NULL REFERENCES sites (id),
    name           TEXT NOT NULL,
    factors        TEXT NOT NULL,
    port_first     BIGINT NOT NULL CHECK (port_first > 0),
    port_last      BIGINT NOT NULL CHECK (port_last >= port_first AND port_last < 65536),
    revision       BIGINT NOT NULL,
    created_at     BIGINT NOT NULL,
    UNIQUE (tenant, name)
);
CREATE INDEX pools_by_site ON pools (site, id);

CREATE TABLE hosts (
    id          TEXT PRIMARY KEY,
    tenant      TEXT NOT NULL,
    pool        TEXT NOT NULL REFERENCES pools (id),
    name        TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('enrolled', 'active', 'draining', 'retired')),
    facts       TEXT NOT NULL,
    reported_at BIGINT NOT NULL,
    seen_at     BIGINT NOT NULL,
    reachable   BIGINT NOT NULL CHECK (reachable IN (0, 1)),
    clock_ahead_ms BIGINT NOT NULL,
    feed        BIGINT NOT NULL,
    feed_floor  BIGINT NOT NULL,
    resource    TEXT NOT NULL,
    created_at  BIGINT NOT NULL
);
CREATE INDEX hosts_by_pool ON hosts (pool, id);

-- The certificate authorities that have signed for this installation.
CREATE TABLE authorities (
    sha256          TEXT PRIMARY KEY,
    certificate_pem TEXT NOT NULL,
    created_at      BIGINT NOT NULL
);

CREATE TABLE host_certificates (
    serial     TEXT PRIMARY KEY,
    host       TEXT NOT NULL REFERENCES hosts (id),
    key_sha256 TEXT NOT NULL,
    not_before BIGINT NOT NULL,
    not_after  BIGINT NOT NULL,
    revoked_at BIGINT
);
CREATE INDEX host_certificates_by_host ON host_certificates (host, not_after);

-- One-time invitations for hosts. Only the digest of the secret is kept.
CREATE TABLE host_invitations (
    id            TEXT PRIMARY KEY,
    tenant        TEXT NOT NULL,
    pool          TEXT NOT NULL REFERENCES pools (id),
    secret_sha256 TEXT NOT NULL UNIQUE,
    note          TEXT NOT NULL,
    created_at    BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    used_at       BIGINT,
    host          TEXT,
    key_sha256    TEXT
);

CREATE TABLE images (
    id         TEXT PRIMARY KEY,
    tenant     TEXT NOT NULL,
    name       TEXT NOT NULL,
    sha256     TEXT NOT NULL,
    bytes      BIGINT NOT NULL CHECK (bytes > 0),
    format     TEXT NOT NULL,
    url        TEXT,
    created_at BIGINT NOT NULL,
    UNIQUE (tenant, name)
);
CREATE INDEX images_by_sha256 ON images (sha256);

-- What one machine holds of one host. The sums are in the ledger.
CREATE TABLE reservations (
    machine     TEXT PRIMARY KEY,
    host        TEXT NOT NULL REFERENCES hosts (id),
    tenant      TEXT NOT NULL,
    service     TEXT NOT NULL,
    run         TEXT,
    apart       TEXT NOT NULL,
    vcpu        BIGINT NOT NULL CHECK (vcpu >= 0),
    memory_mib  BIGINT NOT NULL CHECK (memory_mib >= 0),
    disk_mib    BIGINT NOT NULL CHECK (disk_mib >= 0),
    state       TEXT NOT NULL CHECK (state IN ('held', 'inUse', 'released')),
    created_at  BIGINT NOT NULL,
    changed_at  BIGINT NOT NULL
);
CREATE INDEX reservations_by_host ON reservations (host, machine);
CREATE INDEX reservations_living ON reservations (machine) WHERE state <> 'released';
CREATE INDEX reservations_apart ON reservations (apart, host) WHERE state <> 'released' AND apart <> '';

-- Ranges of addresses that machines are given theirs from.
CREATE TABLE subnets (
    id         TEXT PRIMARY KEY,
    tenant     TEXT NOT NULL,
    pool       TEXT NOT NULL REFERENCES pools (id),
    name       TEXT NOT NULL,
    cidr       TEXT NOT NULL,
    gateway    TEXT,
    bridge     TEXT NOT NULL,
    first      BIGINT NOT NULL,
    last       BIGINT NOT NULL CHECK (last >= first),
    created_at BIGINT NOT NULL,
    UNIQUE (pool, name)
);

-- One of a kind: an address in a subnet, a port of a host, a station address.
-- The keys are what keeps two machines from holding the same one.
CREATE TABLE claims (
    kind    TEXT NOT NULL,
    scope   TEXT NOT NULL,
    number  BIGINT NOT NULL,
    value   TEXT NOT NULL,
    machine TEXT NOT NULL,
    slot    TEXT NOT NULL,
    tenant  TEXT NOT NULL,
    at      BIGINT NOT NULL,
    PRIMARY KEY (kind, scope, number),
    UNIQUE (kind, scope, value),
    UNIQUE (machine, kind, slot)
) CLUSTERED;
-- What somebody who has only the address looks for.
CREATE INDEX claims_by_value ON claims (value, kind, scope);

-- What should be on a host, and what its agent saw there last.
CREATE TABLE intents (
    id                  TEXT PRIMARY KEY,
    host                TEXT NOT NULL REFERENCES hosts (id),
    kind                TEXT NOT NULL,
    generation          BIGINT NOT NULL CHECK (generation > 0),
    desired             TEXT,
    tenant              TEXT NOT NULL,
    service             TEXT NOT NULL,
    standing            TEXT NOT NULL DEFAULT 'serving' CHECK (standing IN ('serving', 'beside', 'replaced')),
    feed                BIGINT NOT NULL,
    observed            TEXT,
    observed_generation BIGINT NOT NULL,
    observed_revision   BIGINT NOT NULL,
    observed_at         BIGINT,
    resource            TEXT NOT NULL,
    freed_at            BIGINT,
    -- Removed in a time that was lost with a database: not to be made again unasked.
    withheld_at         BIGINT,
    created_at          BIGINT NOT NULL,
    changed_at          BIGINT NOT NULL
);
CREATE INDEX intents_by_feed ON intents (host, feed);
CREATE INDEX intents_by_service ON intents (service, id);
-- What of a tenant stands where: asked for by site.
CREATE INDEX intents_serving ON intents (tenant, host, service) WHERE standing = 'serving' AND desired IS NOT NULL;
CREATE INDEX intents_going ON intents (id) WHERE desired IS NULL AND freed_at IS NULL;

-- The lives of machines: the truth that metering is made from.
CREATE TABLE lives (
    intent      TEXT NOT NULL REFERENCES intents (id),
    seq         BIGINT NOT NULL CHECK (seq > 0),
    host        TEXT NOT NULL,
    tenant      TEXT NOT NULL,
    service     TEXT NOT NULL,
    life        TEXT NOT NULL,
    started_at  BIGINT NOT NULL,
    ran_ms      BIGINT NOT NULL,
    ended_at    BIGINT,
    received_at BIGINT NOT NULL,
    PRIMARY KEY (intent, seq)
);
CREATE INDEX lives_by_service ON lives (service, intent, seq);

-- Machines with our mark that no intent explains, as their host reported them.
CREATE TABLE orphans (
    host     TEXT NOT NULL REFERENCES hosts (id),
    id       TEXT NOT NULL,
    orphan   TEXT NOT NULL,
    first_at BIGINT NOT NULL,
    seen_at  BIGINT NOT NULL,
    PRIMARY KEY (host, id)
);

-- The last end of a console that somebody asked for.
CREATE TABLE consoles (
    intent      TEXT PRIMARY KEY REFERENCES intents (id),
    request     TEXT NOT NULL,
    bytes_max   BIGINT NOT NULL,
    asked_at    BIGINT NOT NULL,
    answered    BIGINT NOT NULL CHECK (answered IN (0, 1)),
    captured_at BIGINT,
    text        TEXT NOT NULL,
    truncated   BIGINT NOT NULL,
    problem     TEXT
);
CREATE INDEX consoles_open ON consoles (intent) WHERE answered = 0;
