-- The ledger: accounts whose balances are kept, and what made them so. Money
-- and capacity alike. A balance that breaks its account's rule cannot be stored.
CREATE TABLE ledger_accounts (
    id              TEXT PRIMARY KEY,
    unit            TEXT NOT NULL,
    debits_within_credits BIGINT NOT NULL CHECK (debits_within_credits IN (0, 1)),
    credits_within_debits BIGINT NOT NULL CHECK (credits_within_debits IN (0, 1)),
    debits_pending  BIGINT NOT NULL CHECK (debits_pending >= 0),
    debits_posted   BIGINT NOT NULL CHECK (debits_posted >= 0),
    credits_pending BIGINT NOT NULL CHECK (credits_pending >= 0),
    credits_posted  BIGINT NOT NULL CHECK (credits_posted >= 0),
    opened_at       BIGINT NOT NULL,
    CONSTRAINT debits_must_not_exceed_credits CHECK (debits_within_credits = 0 OR debits_pending + debits_posted <= credits_posted),
    CONSTRAINT credits_must_not_exceed_debits CHECK (credits_within_debits = 0 OR credits_pending + credits_posted <= debits_posted)
);

-- Transfers are never changed and never removed: a wrong one is answered by another.
CREATE TABLE ledger_transfers (
    seq     SERIAL_KEY,
    id      TEXT NOT NULL UNIQUE,
    debit   TEXT NOT NULL REFERENCES ledger_accounts (id),
    credit  TEXT NOT NULL REFERENCES ledger_accounts (id),
    amount  BIGINT NOT NULL CHECK (amount > 0),
    pending BIGINT NOT NULL CHECK (pending IN (0, 1)),
    code    TEXT NOT NULL,
    subject TEXT NOT NULL,
    at      BIGINT NOT NULL,
    CHECK (debit <> credit)
);
CREATE INDEX ledger_transfers_by_debit ON ledger_transfers (debit, seq);
CREATE INDEX ledger_transfers_by_credit ON ledger_transfers (credit, seq);
CREATE INDEX ledger_transfers_by_subject ON ledger_transfers (subject, seq);

-- How a pending transfer ended. The key allows one ending.
CREATE TABLE ledger_settlements (
    transfer TEXT PRIMARY KEY REFERENCES ledger_transfers (id),
    outcome  TEXT NOT NULL CHECK (outcome IN ('posted', 'voided')),
    at       BIGINT NOT NULL
) CLUSTERED;
