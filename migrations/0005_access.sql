-- The tenant tree: the operator, its customers, their departments. `path` holds
-- the identifiers from the root down to and including the tenant itself, each
-- followed by `/`, so that a subtree is a range of the index.
CREATE TABLE tenants (
    id         TEXT PRIMARY KEY,
    parent     TEXT REFERENCES tenants (id),
    path       TEXT NOT NULL,
    kind       TEXT NOT NULL DEFAULT 'operator' CHECK (kind IN ('operator', 'customer', 'department')),
    name       TEXT NOT NULL DEFAULT '',
    locale     TEXT NOT NULL DEFAULT 'zh-TW',
    time_zone  TEXT NOT NULL DEFAULT 'Asia/Taipei',
    state      TEXT NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'suspended', 'left')),
    created_at BIGINT NOT NULL DEFAULT 0,
    CHECK ((parent IS NULL AND kind = 'operator') OR (parent IS NOT NULL AND kind <> 'operator'))
);
CREATE UNIQUE INDEX tenants_by_path ON tenants (path);
CREATE UNIQUE INDEX tenants_one_operator ON tenants (kind) WHERE kind = 'operator';
CREATE INDEX tenants_by_parent ON tenants (parent, id);

-- People, who sign in, and service accounts, which do not. `email_key` is the
-- address in the form in which two spellings of one address are equal; who has
-- left gives it back. A service account has no address: its key is `service:`
-- and its identifier, which no address can be.
CREATE TABLE accounts (
    id           TEXT PRIMARY KEY,
    home         TEXT NOT NULL REFERENCES tenants (id),
    kind         TEXT NOT NULL CHECK (kind IN ('person', 'service')),
    email        TEXT NOT NULL,
    email_key    TEXT NOT NULL,
    name         TEXT NOT NULL,
    locale       TEXT NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('active', 'suspended', 'left')),
    created_at   BIGINT NOT NULL,
    signed_in_at BIGINT
);
CREATE UNIQUE INDEX accounts_by_email ON accounts (email_key) WHERE state <> 'left';
CREATE INDEX accounts_by_home ON accounts (home, id);

-- Passwords, as Argon2id strings in PHC form; an account may have none.
CREATE TABLE credentials (
    account    TEXT PRIMARY KEY REFERENCES accounts (id),
    password   TEXT NOT NULL,
    changed_at BIGINT NOT NULL
);

-- Second factors. The secret is sealed with the master key beside the database; `used_step` is the
-- newest time step whose code was taken, so that none is taken twice. One without `active_at` was
-- never confirmed and shows nothing.
CREATE TABLE factors (
    id         TEXT PRIMARY KEY,
    account    TEXT NOT NULL REFERENCES accounts (id),
    kind       TEXT NOT NULL CHECK (kind IN ('totp', 'passkey')),
    name       TEXT NOT NULL,
    secret     TEXT NOT NULL,
    used_step  BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    active_at  BIGINT,
    used_at    BIGINT
);
CREATE INDEX factors_by_account ON factors (account, id);

-- Public keys of passkeys and security keys, each with its factor.
CREATE TABLE passkeys (
    factor     TEXT PRIMARY KEY REFERENCES factors (id),
    account    TEXT NOT NULL REFERENCES accounts (id),
    credential BYTEA NOT NULL,
    public_key BYTEA NOT NULL,
    counter    BIGINT NOT NULL CHECK (counter >= 0),
    UNIQUE (credential)
);
CREATE INDEX passkeys_by_account ON passkeys (account, factor);

-- What waits to be answered by a passkey, by its hash: once, for one purpose, in one session or sign-in.
CREATE TABLE passkey_challenges (
    hash       BYTEA PRIMARY KEY,
    purpose    TEXT NOT NULL,
    bound      TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX passkey_challenges_by_expiry ON passkey_challenges (expires_at);

-- Recovery codes that were not used yet, as SHA-256 of account and code.
CREATE TABLE recovery_codes (
    account TEXT NOT NULL REFERENCES accounts (id),
    hash    BYTEA NOT NULL,
    PRIMARY KEY (account, hash)
);

-- Who holds which role where.
CREATE TABLE role_grants (
    account    TEXT NOT NULL REFERENCES accounts (id),
    tenant     TEXT NOT NULL REFERENCES tenants (id),
    role       TEXT NOT NULL,
    granted_at BIGINT NOT NULL,
    granted_by TEXT NOT NULL,
    PRIMARY KEY (account, tenant, role)
);
CREATE INDEX role_grants_by_tenant ON role_grants (tenant, role, account);

-- What tenants ask of the sign-ins of their people. `factor_roles` is a JSON list.
CREATE TABLE sign_in_rules (
    tenant           TEXT PRIMARY KEY REFERENCES tenants (id),
    factor_roles     TEXT NOT NULL,
    idle_seconds     BIGINT,
    session_seconds  BIGINT,
    password_history BIGINT NOT NULL,
    token_days       BIGINT,
    provider_factors BIGINT,
    updated_at       BIGINT NOT NULL
);

-- Passwords that were replaced, as far as a rule asks that they are not used again.
CREATE TABLE former_passwords (
    account     TEXT NOT NULL REFERENCES accounts (id),
    password    TEXT NOT NULL,
    replaced_at BIGINT NOT NULL
);
CREATE INDEX former_passwords_by_account ON former_passwords (account, replaced_at);

-- What service accounts are for, and who answers for each.
CREATE TABLE service_accounts (
    account     TEXT PRIMARY KEY REFERENCES accounts (id),
    purpose     TEXT NOT NULL,
    responsible TEXT NOT NULL REFERENCES accounts (id),
    sensitive   BIGINT NOT NULL
);
CREATE INDEX service_accounts_by_responsible ON service_accounts (responsible);

-- Keys for programs. Only the SHA-256 of the secret is kept. `roles` and
-- `scopes` are JSON lists, or NULL where the token may do all that its account
-- may; `networks` is a JSON list, empty where it is used from anywhere.
CREATE TABLE api_tokens (
    id          TEXT PRIMARY KEY,
    hash        BYTEA NOT NULL UNIQUE,
    prefix      TEXT NOT NULL,
    account     TEXT NOT NULL REFERENCES accounts (id),
    tenant      TEXT NOT NULL REFERENCES tenants (id),
    name        TEXT NOT NULL,
    roles       TEXT,
    scopes      TEXT,
    networks    TEXT NOT NULL,
    sensitive   BIGINT NOT NULL,
    made_by     TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT,
    revoked_at  BIGINT,
    used_at     BIGINT,
    used_from   TEXT,
    replaced_by TEXT
);
CREATE INDEX api_tokens_by_account ON api_tokens (account, id);
CREATE INDEX api_tokens_by_tenant ON api_tokens (tenant, id);

-- Browsers that are signed in. A session that ends is deleted.
CREATE TABLE sessions (
    id         TEXT PRIMARY KEY,
    hash       BYTEA NOT NULL UNIQUE,
    account    TEXT NOT NULL REFERENCES accounts (id),
    acting     TEXT REFERENCES tenants (id),
    csrf       BYTEA NOT NULL,
    address    TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    strength   TEXT NOT NULL CHECK (strength IN ('password', 'password+code', 'password+recovery', 'password+passkey', 'passkey', 'provider', 'provider+factor')),
    proven_at  BIGINT NOT NULL
);
CREATE INDEX sessions_by_account ON sessions (account, id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- Sign-ins whose password was right, or that an identity provider vouched for, and
-- whose second factor is still to come.
CREATE TABLE sign_ins (
    hash       BYTEA PRIMARY KEY,
    account    TEXT NOT NULL REFERENCES accounts (id),
    first      TEXT NOT NULL CHECK (first IN ('password', 'provider')),
    user_agent TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sign_ins_by_account ON sign_ins (account, created_at);
CREATE INDEX sign_ins_by_expiry ON sign_ins (expires_at);

-- Identity providers of tenants (OpenID Connect). The client's secret is sealed
-- with the master key; empty where there is none. `settings` is JSON.
CREATE TABLE identity_providers (
    id            TEXT PRIMARY KEY,
    tenant        TEXT NOT NULL REFERENCES tenants (id),
    name          TEXT NOT NULL,
    issuer        TEXT NOT NULL,
    client_id     TEXT NOT NULL,
    client_secret TEXT NOT NULL,
    settings      TEXT NOT NULL,
    state         TEXT NOT NULL CHECK (state IN ('active', 'off')),
    revision      BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    UNIQUE (tenant, issuer, client_id)
);

-- The mail domains of a provider's people. One that was confirmed is one provider's alone.
CREATE TABLE provider_domains (
    provider     TEXT NOT NULL REFERENCES identity_providers (id),
    domain       TEXT NOT NULL,
    confirmed_at BIGINT,
    confirmed_by TEXT,
    PRIMARY KEY (provider, domain)
);
CREATE UNIQUE INDEX provider_domains_confirmed ON provider_domains (domain) WHERE confirmed_at IS NOT NULL;

-- Whom a provider knows here: its name for somebody, and the account that this is.
-- `made` where the account was made for it.
CREATE TABLE provider_accounts (
    provider TEXT NOT NULL REFERENCES identity_providers (id),
    subject  TEXT NOT NULL,
    account  TEXT NOT NULL REFERENCES accounts (id),
    made     BIGINT NOT NULL,
    bound_at BIGINT NOT NULL,
    used_at  BIGINT,
    PRIMARY KEY (provider, subject)
);
CREATE UNIQUE INDEX provider_accounts_by_account ON provider_accounts (account, provider);

-- Whom somebody removed from the organisation, by the provider's name for them: no
-- account is made for them again when they come from there.
CREATE TABLE provider_removals (
    provider   TEXT NOT NULL REFERENCES identity_providers (id),
    subject    TEXT NOT NULL,
    removed_at BIGINT NOT NULL,
    PRIMARY KEY (provider, subject)
);

-- Sign-ins that are at a provider at present, by the hash of what the browser
-- keeps: once, for one purpose, in one session where it is to be connected.
CREATE TABLE provider_sign_ins (
    hash       BYTEA PRIMARY KEY,
    provider   TEXT NOT NULL REFERENCES identity_providers (id),
    bound      TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX provider_sign_ins_by_expiry ON provider_sign_ins (expires_at);

-- Who has been asked to join. `roles` is a JSON list.
CREATE TABLE invitations (
    id          TEXT PRIMARY KEY,
    tenant      TEXT NOT NULL REFERENCES tenants (id),
    email       TEXT NOT NULL,
    email_key   TEXT NOT NULL,
    name        TEXT NOT NULL,
    locale      TEXT NOT NULL,
    roles       TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('pending', 'accepted', 'withdrawn')),
    invited_by  TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL
);
CREATE UNIQUE INDEX invitations_pending ON invitations (tenant, email_key) WHERE state = 'pending';
CREATE INDEX invitations_by_tenant ON invitations (tenant, id);

-- Links that were sent by mail: an invitation's or a password reset's. A link
-- is made when its mail is written, so that its secret is never stored; a mail
-- that had to be sent again has a link of its own.
CREATE TABLE mail_links (
    hash       BYTEA PRIMARY KEY,
    purpose    TEXT NOT NULL CHECK (purpose IN ('invitation', 'reset')),
    subject    TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX mail_links_by_subject ON mail_links (subject);
CREATE INDEX mail_links_by_expiry ON mail_links (expires_at);

-- Attempts at signing in, by a hash of who was tried and where from.
CREATE TABLE attempts (
    subject    BYTEA PRIMARY KEY,
    number     BIGINT NOT NULL,
    last_at    BIGINT NOT NULL,
    closed_until BIGINT NOT NULL
);
CREATE INDEX attempts_by_time ON attempts (last_at);

-- From where accounts have signed in lately, as hashes: a stranger's guesses
-- from elsewhere do not make those wait.
CREATE TABLE sign_in_networks (
    account TEXT NOT NULL REFERENCES accounts (id),
    network BYTEA NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (account, network)
);
CREATE INDEX sign_in_networks_by_time ON sign_in_networks (seen_at);

-- Which actions need a second person in a tenant and all below it.
CREATE TABLE approval_rules (
    tenant TEXT NOT NULL REFERENCES tenants (id),
    action TEXT NOT NULL,
    set_by TEXT NOT NULL,
    set_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, action)
);

-- Accounts that a tenant declares to be one person. What was taken back counts
-- for a while still, so that nobody becomes two people at once.
CREATE TABLE same_persons (
    tenant      TEXT NOT NULL REFERENCES tenants (id),
    one         TEXT NOT NULL REFERENCES accounts (id),
    other       TEXT NOT NULL REFERENCES accounts (id),
    declared_by TEXT NOT NULL,
    declared_at BIGINT NOT NULL,
    ended_at    BIGINT,
    PRIMARY KEY (tenant, one, other)
);

-- What somebody asked a second person to agree to: the exact value, what it was
-- asked about as that was, and a hash over all of it. `input`, `seen` and
-- `result` are JSON; `roles` a JSON list of those that whoever asked had, and
-- `strength` how strongly they had shown then who they are: the session may end.
CREATE TABLE approvals (
    id            TEXT PRIMARY KEY,
    tenant        TEXT NOT NULL REFERENCES tenants (id),
    action        TEXT NOT NULL,
    amounts_to    TEXT NOT NULL,
    input         TEXT NOT NULL,
    object_kind   TEXT NOT NULL,
    object_id     TEXT NOT NULL,
    object_tenant TEXT,
    revision      BIGINT NOT NULL,
    seen          TEXT NOT NULL,
    hash          BYTEA NOT NULL,
    requester     TEXT NOT NULL REFERENCES accounts (id),
    session       TEXT NOT NULL,
    strength      TEXT,
    roles         TEXT NOT NULL,
    reason        TEXT NOT NULL,
    state         TEXT NOT NULL CHECK (state IN ('waiting', 'done', 'failed', 'declined', 'withdrawn')),
    created_at    BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL,
    decided_by    TEXT REFERENCES accounts (id),
    decided_at    BIGINT,
    note          TEXT NOT NULL DEFAULT '',
    problem       TEXT,
    result        TEXT
);
CREATE INDEX approvals_waiting ON approvals (expires_at, id) WHERE state = 'waiting';
CREATE INDEX approvals_by_tenant ON approvals (tenant, id);
CREATE INDEX approvals_by_requester ON approvals (requester, id);
CREATE INDEX approvals_by_object ON approvals (object_id, id);
