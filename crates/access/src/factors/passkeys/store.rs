//! Every SQL statement about passkeys and the challenges that they answer.

use std::time::Duration;

use base::id::AccountId;
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::{Conn, args};
use ring::digest::{SHA256, digest};

use super::Bound;
use crate::factors::FactorId;

/// A passkey as it is kept.
pub(super) struct Kept {
    pub factor: FactorId,
    pub account: AccountId,
    pub key: Vec<u8>,
}

fn hashed(challenge: &[u8]) -> Vec<u8> {
    digest(&SHA256, challenge).as_ref().to_vec()
}

/// Keeps a challenge for as long as somebody may take to answer it.
pub(super) fn keep(conn: &mut Conn<'_>, challenge: &[u8], bound: &Bound, now: Timestamp) -> Result<()> {
    conn.execute("DELETE FROM passkey_challenges WHERE expires_at <= $1", args![now])?;
    let until = now + Duration::from_secs(limits::PASSKEY_SECONDS.unsigned_abs());
    conn.execute(
        "INSERT INTO passkey_challenges (hash, purpose, bound, expires_at) VALUES ($1, $2, $3, $4)",
        args![hashed(challenge), bound.purpose.word(), bound.to, until],
    )
    .map(drop)
}

/// Uses a challenge up; false where there is none that was drawn for this.
pub(super) fn take(conn: &mut Conn<'_>, challenge: &[u8], bound: &Bound, now: Timestamp) -> Result<bool> {
    let sql = "DELETE FROM passkey_challenges WHERE hash = $1 AND purpose = $2 AND bound = $3 AND expires_at > $4";
    Ok(conn.execute(sql, args![hashed(challenge), bound.purpose.word(), bound.to, now])? == 1)
}

pub(super) fn insert(
    conn: &mut Conn<'_>,
    factor: FactorId,
    account: AccountId,
    credential: &[u8],
    key: &[u8],
    counter: u32,
) -> Result<()> {
    let known = |e: Error| match e.code() {
        "db.duplicate" => Error::conflict("passkey.known", "this passkey is enrolled already"),
        _ => e,
    };
    conn.execute(
        "INSERT INTO passkeys (factor, account, credential, public_key, counter) VALUES ($1, $2, $3, $4, $5)",
        args![factor, account, credential, key, i64::from(counter)],
    )
    .map(drop)
    .map_err(known)
}

/// The one with that identifier, of a factor that counts.
pub(super) fn find(conn: &mut Conn<'_>, credential: &[u8]) -> Result<Option<Kept>> {
    let sql = "SELECT factor, account, public_key FROM passkeys WHERE credential = $1";
    conn.query_opt(sql, args![credential], |row| {
        Ok(Kept { factor: row.get(0)?, account: row.get(1)?, key: row.get(2)? })
    })
}

/// The identifiers of an account's passkeys, the oldest first.
pub(super) fn of_account(conn: &mut Conn<'_>, account: AccountId) -> Result<Vec<Vec<u8>>> {
    let sql = "SELECT credential FROM passkeys WHERE account = $1 ORDER BY factor";
    conn.query(sql, args![account], |row| row.get(0))
}

/// Writes a use down; false where the authenticator counted further before. Many do not count: zero
/// then stays zero.
pub(super) fn count(conn: &mut Conn<'_>, factor: FactorId, counter: u32, now: Timestamp) -> Result<bool> {
    let sql = "UPDATE passkeys SET counter = $2 WHERE factor = $1 AND (counter < $2 OR (counter = 0 AND $2 = 0))";
    if conn.execute(sql, args![factor, i64::from(counter)])? == 0 {
        return Ok(false);
    }
    conn.execute("UPDATE factors SET used_at = $2 WHERE id = $1", args![factor, now])?;
    Ok(true)
}

/// With a factor its passkey goes.
pub(crate) fn delete(conn: &mut Conn<'_>, account: AccountId, factor: FactorId) -> Result<()> {
    conn.execute("DELETE FROM passkeys WHERE factor = $1 AND account = $2", args![factor, account]).map(drop)
}

/// With all factors all passkeys go.
pub(crate) fn delete_all(conn: &mut Conn<'_>, account: AccountId) -> Result<()> {
    conn.execute("DELETE FROM passkeys WHERE account = $1", args![account]).map(drop)
}
