//! Transfers: what moves an amount, and how it ends.

use base::time::Timestamp;
use base::{Error, Result, limits};
use db::{Conn, Row, args};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An amount that moves from one account's debit side to another's credit side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer<'a> {
    /// Made by the caller; the same transfer sent again is the same transfer.
    pub id: &'a str,
    /// The account that is debited.
    pub debit: &'a str,
    /// The account that is credited.
    pub credit: &'a str,
    /// How much, in the accounts' unit; above zero.
    pub amount: i64,
    /// Whether it is only set aside until it is posted or voided.
    pub pending: bool,
    /// What kind of transfer, `noun.verb`.
    pub code: &'a str,
    /// What it is about: a reservation, a bill.
    pub subject: &'a str,
}

/// One step of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move<'a> {
    /// Makes a transfer.
    Transfer(Transfer<'a>),
    /// Makes the pending transfer of that id final.
    Post(&'a str),
    /// Takes the pending transfer of that id back.
    Void(&'a str),
}

/// How a pending transfer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// It became final.
    Posted,
    /// It was taken back.
    Voided,
}

impl Outcome {
    /// The word that is stored.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Posted => "posted",
            Outcome::Voided => "voided",
        }
    }
}

/// Where a transfer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// Set aside.
    Pending,
    /// Final.
    Posted,
    /// Taken back.
    Voided,
}

/// A transfer as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TransferRow {
    /// Its place in the ledger.
    pub seq: i64,
    /// Its id.
    pub id: String,
    /// The account that is debited.
    pub debit: String,
    /// The account that is credited.
    pub credit: String,
    /// How much.
    pub amount: i64,
    /// Where it stands.
    pub state: State,
    /// Whether it was made pending.
    pub two_phase: bool,
    /// What kind of transfer.
    pub code: String,
    /// What it is about.
    pub subject: String,
    /// When it was made.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// When it was settled, where it was pending first.
    #[schemars(with = "Option<String>")]
    pub settled_at: Option<Timestamp>,
}

pub(crate) const SELECT: &str =
    "SELECT t.seq, t.id, t.debit, t.credit, t.amount, t.pending, t.code, t.subject, t.at, s.outcome, s.at
     FROM ledger_transfers t LEFT JOIN ledger_settlements s ON s.transfer = t.id";

pub(crate) fn read(row: &Row) -> Result<TransferRow> {
    let (two_phase, outcome): (bool, Option<String>) = (row.get(5)?, row.get(9)?);
    let state = match (two_phase, outcome.as_deref()) {
        (false, None) | (true, Some("posted")) => State::Posted,
        (true, None) => State::Pending,
        (true, Some("voided")) => State::Voided,
        _ => return Err(Error::bug("ledger.damaged", "a settlement is not one")),
    };
    Ok(TransferRow {
        seq: row.get(0)?,
        id: row.get(1)?,
        debit: row.get(2)?,
        credit: row.get(3)?,
        amount: row.get(4)?,
        state,
        two_phase,
        code: row.get(6)?,
        subject: row.get(7)?,
        at: row.get(8)?,
        settled_at: row.get(10)?,
    })
}

impl TransferRow {
    /// Whether this is what `asked` would have made.
    pub(crate) fn is(&self, asked: &Transfer<'_>) -> bool {
        self.debit == asked.debit
            && self.credit == asked.credit
            && self.amount == asked.amount
            && self.two_phase == asked.pending
            && self.code == asked.code
            && self.subject == asked.subject
    }
}

/// The transfer of that id.
///
/// # Errors
/// Those of the database.
pub fn transfer(conn: &mut Conn<'_>, id: &str) -> Result<Option<TransferRow>> {
    conn.query_opt(&format!("{SELECT} WHERE t.id = $1"), args![id], read)
}

/// Every transfer about `subject`, oldest first; at most a page after `after` (0 for the first).
///
/// # Errors
/// Those of the database.
pub fn about(conn: &mut Conn<'_>, subject: &str, after: i64) -> Result<Vec<TransferRow>> {
    conn.query(
        &format!("{SELECT} WHERE t.subject = $1 AND t.seq > $2 ORDER BY t.seq LIMIT $3"),
        args![subject, after, limits::PAGE_MAX],
        read,
    )
}

/// What moved on an account, oldest first; at most `limit` after `after` (0 for the first).
///
/// # Errors
/// Those of the database.
pub fn history(conn: &mut Conn<'_>, account: &str, after: i64, limit: u32) -> Result<Vec<TransferRow>> {
    let mut rows = Vec::new();
    for side in ["debit", "credit"] {
        rows.extend(conn.query(
            &format!("{SELECT} WHERE t.{side} = $1 AND t.seq > $2 ORDER BY t.seq LIMIT $3"),
            args![account, after, limit.min(limits::PAGE_MAX)],
            read,
        )?);
    }
    rows.sort_by_key(|row| row.seq);
    rows.truncate(limit.min(limits::PAGE_MAX) as usize);
    Ok(rows)
}
