//! Counting it all again: do the balances follow from the transfers?

use base::{Result, limits};
use db::{Conn, args};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::account::{self, Account};

/// An account whose balance does not follow from its transfers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// What is kept.
    pub kept: Account,
    /// What its transfers make: debits pending and posted, credits pending and posted.
    pub counted: [i64; 4],
}

const COUNT: &str = "SELECT
    CAST(COALESCE(SUM(CASE WHEN t.pending = 1 AND s.outcome IS NULL THEN t.amount ELSE 0 END), 0) AS BIGINT),
    CAST(COALESCE(SUM(CASE WHEN t.pending = 0 OR s.outcome = 'posted' THEN t.amount ELSE 0 END), 0) AS BIGINT)
    FROM ledger_transfers t LEFT JOIN ledger_settlements s ON s.transfer = t.id WHERE t.";

/// Counts every account again, a page at a time. Gives the faulty ones: none, on any good day.
///
/// # Errors
/// Those of the database.
pub fn audit(conn: &mut Conn<'_>) -> Result<Vec<Fault>> {
    let mut faults = Vec::new();
    let mut after = String::new();
    loop {
        let page = account::accounts(conn, "", &after, limits::PAGE_MAX)?;
        let Some(last) = page.last() else { return Ok(faults) };
        after.clone_from(&last.id);
        for kept in page {
            let count = |conn: &mut Conn<'_>, side: &str| -> Result<(i64, i64)> {
                conn.query_one(&format!("{COUNT}{side} = $1"), args![kept.id], |row| Ok((row.get(0)?, row.get(1)?)))
            };
            let (debits, credits) = (count(conn, "debit")?, count(conn, "credit")?);
            let counted = [debits.0, debits.1, credits.0, credits.1];
            let sums = [kept.debits_pending, kept.debits_posted, kept.credits_pending, kept.credits_posted];
            if counted != sums || !kept.obeys() {
                faults.push(Fault { kept, counted });
            }
        }
    }
}
