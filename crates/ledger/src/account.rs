//! Accounts: four sums and a rule.

use base::time::Timestamp;
use base::{Error, Result, limits};
use db::{Conn, Row, args};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an account's balance must obey. Pending amounts count as spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Rule {
    /// Nothing: the other side of everything.
    Free,
    /// Debits, pending and posted, must not exceed posted credits: a stock that is drawn from.
    DebitsWithinCredits,
    /// Credits, pending and posted, must not exceed posted debits.
    CreditsWithinDebits,
}

/// An account to be opened.
#[derive(Debug, Clone, Copy)]
pub struct NewAccount<'a> {
    /// Made by the caller, for example `cap:hst_…:vcpu:free`.
    pub id: &'a str,
    /// What is counted: `vcpu`, `memory_mib`, `TWD`. Transfers stay within one unit.
    pub unit: &'a str,
    /// What its balance must obey.
    pub rule: Rule,
}

/// An account with its sums, in its unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// Its id.
    pub id: String,
    /// What is counted.
    pub unit: String,
    /// What its balance must obey.
    pub rule: Rule,
    /// Debits set aside.
    pub debits_pending: i64,
    /// Debits made.
    pub debits_posted: i64,
    /// Credits set aside.
    pub credits_pending: i64,
    /// Credits made.
    pub credits_posted: i64,
}

impl Account {
    /// What can still be debited under [`Rule::DebitsWithinCredits`].
    pub fn available(&self) -> i64 {
        self.credits_posted - self.debits_posted - self.debits_pending
    }

    /// Posted credits less posted debits.
    pub fn balance(&self) -> i64 {
        self.credits_posted - self.debits_posted
    }

    /// Whether the sums obey the account's rule.
    pub fn obeys(&self) -> bool {
        let sums = [self.debits_pending, self.debits_posted, self.credits_pending, self.credits_posted];
        sums.iter().all(|sum| *sum >= 0)
            && match self.rule {
                Rule::Free => true,
                Rule::DebitsWithinCredits => {
                    self.debits_pending.checked_add(self.debits_posted).is_some_and(|sum| sum <= self.credits_posted)
                }
                Rule::CreditsWithinDebits => {
                    self.credits_pending.checked_add(self.credits_posted).is_some_and(|sum| sum <= self.debits_posted)
                }
            }
    }
}

pub(crate) const COLUMNS: &str = "id, unit, debits_within_credits, credits_within_debits, debits_pending, debits_posted, credits_pending, credits_posted";

pub(crate) fn read(row: &Row) -> Result<Account> {
    let (debits, credits): (bool, bool) = (row.get(2)?, row.get(3)?);
    Ok(Account {
        id: row.get(0)?,
        unit: row.get(1)?,
        rule: match (debits, credits) {
            (true, _) => Rule::DebitsWithinCredits,
            (false, true) => Rule::CreditsWithinDebits,
            (false, false) => Rule::Free,
        },
        debits_pending: row.get(4)?,
        debits_posted: row.get(5)?,
        credits_pending: row.get(6)?,
        credits_posted: row.get(7)?,
    })
}

/// Opens an account. Opening the same one again changes nothing.
///
/// # Errors
/// `Conflict` (`ledger.account_differs`) where one of that id exists with
/// another unit or rule, `Invalid` for an id that is empty or too long.
pub fn open(conn: &mut Conn<'_>, now: Timestamp, new: &NewAccount<'_>) -> Result<()> {
    if new.id.is_empty() || new.id.len() > limits::TEXT_INDEXED_MAX || new.unit.is_empty() {
        return Err(Error::invalid("ledger.account_id", "an account needs an id and a unit"));
    }
    conn.execute(
        "INSERT INTO ledger_accounts (id, unit, debits_within_credits, credits_within_debits, debits_pending, debits_posted, credits_pending, credits_posted, opened_at)
         VALUES ($1, $2, $3, $4, 0, 0, 0, 0, $5) ON CONFLICT (id) DO NOTHING",
        args![new.id, new.unit, new.rule == Rule::DebitsWithinCredits, new.rule == Rule::CreditsWithinDebits, now],
    )?;
    match account(conn, new.id)? {
        Some(found) if found.unit == new.unit && found.rule == new.rule => Ok(()),
        _ => Err(Error::conflict(
            "ledger.account_differs",
            format!("account {} exists with another unit or rule", new.id),
        )),
    }
}

/// The account of that id.
///
/// # Errors
/// Those of the database.
pub fn account(conn: &mut Conn<'_>, id: &str) -> Result<Option<Account>> {
    conn.query_opt(&format!("SELECT {COLUMNS} FROM ledger_accounts WHERE id = $1"), args![id], read)
}

/// The accounts of those ids, in no order; ids that name none are passed over.
///
/// # Errors
/// `Invalid` for more than [`limits::LEDGER_BATCH_MAX`] ids, and those of the database.
pub fn named(conn: &mut Conn<'_>, ids: &[&str]) -> Result<Vec<Account>> {
    if ids.len() > limits::LEDGER_BATCH_MAX {
        return Err(Error::invalid("ledger.batch_too_large", "too many accounts are asked for at once"));
    }
    crate::book::select(conn, &format!("SELECT {COLUMNS} FROM ledger_accounts"), "id", ids, read)
}

/// The accounts whose ids begin with `prefix`, in the order of their ids, after `after`.
///
/// # Errors
/// Those of the database.
pub fn accounts(conn: &mut Conn<'_>, prefix: &str, after: &str, limit: u32) -> Result<Vec<Account>> {
    // The end of the range is the prefix with its last possible continuation: text is compared by bytes.
    let end = format!("{prefix}\u{10ffff}");
    conn.query(
        &format!("SELECT {COLUMNS} FROM ledger_accounts WHERE id >= $1 AND id < $2 AND id > $3 ORDER BY id LIMIT $4"),
        args![prefix, end, after, limit.min(limits::PAGE_MAX)],
        read,
    )
}
