-- Billing: what is metered, what was used, what was billed.

-- Who is billed: one row beside each billingAccount record, for look-ups by tenant.
CREATE TABLE billing_accounts (
    id        TEXT PRIMARY KEY,
    tenant    TEXT NOT NULL,
    name      TEXT NOT NULL,
    currency  TEXT NOT NULL,
    opened_at BIGINT NOT NULL
);
CREATE INDEX billing_accounts_by_tenant ON billing_accounts (tenant, opened_at, id);

-- A meter: one service that is paid for, from its activation to its end.
CREATE TABLE meters (
    id         TEXT PRIMARY KEY,
    account    TEXT NOT NULL REFERENCES billing_accounts (id),
    tenant     TEXT NOT NULL,
    product    TEXT NOT NULL,
    service    TEXT NOT NULL UNIQUE,
    name       TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at   BIGINT,
    -- 0 once it has ended and all of it is on bills: bills do not grow dearer with what is long over.
    waiting    BIGINT NOT NULL CHECK (waiting IN (0, 1)),
    CHECK (ended_at IS NULL OR ended_at >= started_at)
);
CREATE INDEX meters_by_account ON meters (account, id);
CREATE INDEX meters_waiting ON meters (account, id) WHERE waiting = 1;
CREATE INDEX meters_by_product ON meters (product);
CREATE INDEX meters_by_tenant ON meters (tenant, id);

-- What was agreed and from when: sizes and prices, frozen. A change adds a row.
CREATE TABLE meter_terms (
    meter   TEXT NOT NULL REFERENCES meters (id),
    version BIGINT NOT NULL CHECK (version > 0),
    from_at BIGINT NOT NULL,
    sizes   TEXT NOT NULL,
    prices  TEXT NOT NULL,
    PRIMARY KEY (meter, version)
);

-- The machines whose life a meter reads, each while it serves: one that was replaced counts no
-- longer than until then, one that took its place not before.
CREATE TABLE meter_machines (
    intent   TEXT PRIMARY KEY,
    meter    TEXT NOT NULL REFERENCES meters (id),
    from_at  BIGINT,
    until_at BIGINT
);
CREATE INDEX meter_machines_by_meter ON meter_machines (meter);

-- Lives of machines as they were reported: what is known by now of each
-- unbroken run. Later accounts of one life are merged in; none is counted twice.
CREATE TABLE metered_lives (
    intent          TEXT NOT NULL,
    life            BIGINT NOT NULL,
    started_at      BIGINT NOT NULL,
    started_certain BIGINT NOT NULL,
    last_seen_at    BIGINT NOT NULL,
    ran_us          BIGINT NOT NULL CHECK (ran_us >= 0),
    ended_at        BIGINT,
    end_certain     BIGINT,
    vcpus           BIGINT NOT NULL,
    memory_mib      BIGINT NOT NULL,
    PRIMARY KEY (intent, life)
);

-- The usage ledger: appended to, never edited. An entry covers one stretch of
-- one origin (a life of a machine, a service that was held, an imported count);
-- the key makes that stretch count once. A correction is an entry of its own.
CREATE TABLE usage_entries (
    id          TEXT PRIMARY KEY,
    meter       TEXT NOT NULL REFERENCES meters (id),
    version     BIGINT NOT NULL,
    basis       TEXT NOT NULL CHECK (basis IN ('run', 'held', 'once', 'count')),
    origin      TEXT NOT NULL,
    epoch       BIGINT NOT NULL,
    from_us     BIGINT NOT NULL,
    until_us    BIGINT NOT NULL,
    from_at     BIGINT NOT NULL,
    until_at    BIGINT NOT NULL,
    month       TEXT NOT NULL,
    sign        BIGINT NOT NULL CHECK (sign IN (1, -1)),
    sizes       TEXT NOT NULL,
    corrects    TEXT REFERENCES usage_entries (id),
    reason      TEXT NOT NULL,
    recorded_at BIGINT NOT NULL,
    UNIQUE (basis, origin, epoch, from_us),
    CHECK (until_us >= from_us),
    CHECK (until_at >= from_at)
);
CREATE INDEX usage_entries_by_meter ON usage_entries (meter, id);
CREATE INDEX usage_entries_by_corrects ON usage_entries (corrects);

-- Bills, as they were issued. Their lines and sums never change.
CREATE TABLE bills (
    id           TEXT PRIMARY KEY,
    operator     TEXT NOT NULL,
    number       BIGINT NOT NULL CHECK (number > 0),
    account      TEXT NOT NULL REFERENCES billing_accounts (id),
    tenant       TEXT NOT NULL,
    currency     TEXT NOT NULL,
    period_start BIGINT NOT NULL,
    period_end   BIGINT NOT NULL,
    issued_at    BIGINT NOT NULL,
    due_at       BIGINT NOT NULL,
    net          BIGINT NOT NULL,
    tax          BIGINT NOT NULL,
    total        BIGINT NOT NULL,
    exempt       BIGINT NOT NULL,
    taxes        TEXT NOT NULL,
    unknown      TEXT NOT NULL,
    UNIQUE (operator, number),
    UNIQUE (account, period_end),
    CHECK (total = net + tax)
);
CREATE INDEX bills_by_tenant ON bills (tenant, id);

-- How far the close of a month has got: which accounts have been handed to a job.
CREATE TABLE month_closes (
    month   TEXT PRIMARY KEY,
    reached TEXT NOT NULL,
    done    BIGINT NOT NULL CHECK (done IN (0, 1))
);

-- The last number given out, per operator: taken in the bill's own transaction,
-- so that a bill that is not issued leaves no gap.
CREATE TABLE bill_numbers (
    operator TEXT PRIMARY KEY,
    last     BIGINT NOT NULL
);

CREATE TABLE bill_lines (
    id          TEXT PRIMARY KEY,
    bill        TEXT NOT NULL REFERENCES bills (id),
    position    BIGINT NOT NULL,
    meter       TEXT NOT NULL,
    product     TEXT NOT NULL,
    name        TEXT NOT NULL,
    kind        TEXT NOT NULL,
    price       TEXT NOT NULL,
    month       TEXT NOT NULL,
    from_at     BIGINT NOT NULL,
    until_at    BIGINT NOT NULL,
    numerator   TEXT NOT NULL,
    denominator TEXT NOT NULL,
    amount      BIGINT NOT NULL,
    tax_percent TEXT NOT NULL,
    UNIQUE (bill, position)
);
CREATE INDEX bill_lines_by_price ON bill_lines (meter, month);

-- Each usage entry is on one bill, once.
CREATE TABLE billed_entries (
    entry TEXT PRIMARY KEY REFERENCES usage_entries (id),
    bill  TEXT NOT NULL REFERENCES bills (id)
);
CREATE INDEX billed_entries_by_bill ON billed_entries (bill);

-- Each usage entry is charged once at each price, and this is the line that does it.
CREATE TABLE charges (
    entry     TEXT NOT NULL REFERENCES usage_entries (id),
    price     TEXT NOT NULL,
    line      TEXT NOT NULL REFERENCES bill_lines (id),
    numerator TEXT NOT NULL,
    PRIMARY KEY (entry, price)
);
CREATE INDEX charges_by_line ON charges (line, entry);

-- Credits and debits that a clerk or a rule grants; each goes on the next bill, once.
CREATE TABLE bill_adjustments (
    id          TEXT PRIMARY KEY,
    account     TEXT NOT NULL REFERENCES billing_accounts (id),
    tenant      TEXT NOT NULL,
    amount      BIGINT NOT NULL CHECK (amount <> 0),
    tax_percent TEXT NOT NULL,
    reason      TEXT NOT NULL,
    refers_to   TEXT,
    -- What it is for, where that is owed once.
    cause       TEXT UNIQUE,
    made_by     TEXT NOT NULL,
    made_at     BIGINT NOT NULL
);
CREATE INDEX bill_adjustments_by_account ON bill_adjustments (account, id);

CREATE TABLE billed_adjustments (
    adjustment TEXT PRIMARY KEY REFERENCES bill_adjustments (id),
    bill       TEXT NOT NULL REFERENCES bills (id)
);
