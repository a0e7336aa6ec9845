//! From where somebody has signed in lately: there a stranger's guesses from elsewhere close no door.
//!
//! Kept as hashes, so that the rows name no address.

use base::address::household;
use base::id::AccountId;
use base::{Result, limits};
use db::{Conn, args};
use gate::{Cx, Gate, Tx};

use crate::secret;

fn hash(cx: &Cx) -> Option<[u8; 32]> {
    cx.address().map(|address| secret::hash(&format!("network\n{}", household(address))))
}

/// Whether the account with that mail address, if there is one, has signed in from there lately. The work is
/// the same where there is none.
///
/// # Errors
/// Those of the database.
pub(crate) fn is_known(gate: &Gate, email_key: &str, cx: &Cx) -> Result<bool> {
    let Some(network) = hash(cx) else { return Ok(false) };
    let since = base::time::micros(gate.now()) - limits::NETWORK_KNOWN_SECONDS * 1_000_000;
    let key = email_key.to_owned();
    gate.db().read(move |conn| {
        let sql = "SELECT n.seen_at FROM sign_in_networks n JOIN accounts a ON a.id = n.account
             WHERE a.email_key = $1 AND a.state <> 'left' AND n.network = $2 AND n.seen_at > $3";
        Ok(conn.query_opt(sql, args![key, network, since], |row| row.get::<i64>(0))?.is_some())
    })
}

/// Notes that an account has signed in from there, and forgets the oldest beyond the limit.
///
/// # Errors
/// Those of the database.
pub(crate) fn note(tx: &mut Tx<'_>, account: AccountId) -> Result<()> {
    let Some(network) = hash(tx.cx()) else { return Ok(()) };
    let now = tx.now;
    tx.execute(
        "INSERT INTO sign_in_networks (account, network, seen_at) VALUES ($1, $2, $3)
         ON CONFLICT (account, network) DO UPDATE SET seen_at = excluded.seen_at",
        args![account, network, now],
    )?;
    tx.execute(
        "DELETE FROM sign_in_networks WHERE account = $1 AND network NOT IN
             (SELECT network FROM sign_in_networks WHERE account = $1 ORDER BY seen_at DESC LIMIT $2)",
        args![account, limits::NETWORKS_PER_ACCOUNT_MAX],
    )
    .map(drop)
}

/// Forgets what an account has not used for long.
///
/// # Errors
/// Those of the database.
pub(crate) fn sweep(conn: &mut Conn<'_>, now: i64) -> Result<()> {
    let since = now - limits::NETWORK_KNOWN_SECONDS * 1_000_000;
    conn.execute("DELETE FROM sign_in_networks WHERE seen_at <= $1", args![since]).map(drop)
}
