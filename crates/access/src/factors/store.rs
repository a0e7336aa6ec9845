//! Every SQL statement about second factors and recovery codes.

use base::Result;
use base::id::AccountId;
use base::time::Timestamp;
use db::{Conn, Row, args};

use super::{Factor, FactorId, passkeys};

const COLUMNS: &str = "id, account, kind, name, created_at, active_at, used_at";

fn read(row: &Row) -> Result<Factor> {
    Ok(Factor {
        id: row.get(0)?,
        account: row.get(1)?,
        kind: row.get(2)?,
        name: row.get(3)?,
        created_at: row.get(4)?,
        active_at: row.get(5)?,
        used_at: row.get(6)?,
    })
}

pub(crate) fn insert(conn: &mut Conn<'_>, factor: &Factor, sealed: &str) -> Result<()> {
    conn.execute(
        &format!("INSERT INTO factors ({COLUMNS}, secret, used_step) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0)"),
        args![
            factor.id,
            factor.account,
            factor.kind,
            factor.name,
            factor.created_at,
            factor.active_at,
            factor.used_at,
            sealed
        ],
    )?;
    Ok(())
}

/// The confirmed factors of an account, the oldest first.
pub(crate) fn of_account(conn: &mut Conn<'_>, account: AccountId) -> Result<Vec<Factor>> {
    let sql = format!("SELECT {COLUMNS} FROM factors WHERE account = $1 AND active_at IS NOT NULL ORDER BY id");
    conn.query(&sql, args![account], read)
}

/// Whether the account has a confirmed factor.
pub(crate) fn has_active(conn: &mut Conn<'_>, account: AccountId) -> Result<bool> {
    let sql = "SELECT id FROM factors WHERE account = $1 AND active_at IS NOT NULL LIMIT 1";
    Ok(conn.query_opt(sql, args![account], |row| row.get::<FactorId>(0))?.is_some())
}

/// A factor's secret as it is kept, and the newest step whose code was taken.
pub(crate) struct Held {
    pub id: FactorId,
    pub sealed: String,
    pub used_step: i64,
}

/// The secrets of the confirmed authenticator apps.
pub(crate) fn active(conn: &mut Conn<'_>, account: AccountId) -> Result<Vec<Held>> {
    let sql = "SELECT id, secret, used_step FROM factors WHERE account = $1 AND kind = 'totp' AND active_at IS NOT NULL ORDER BY id";
    conn.query(sql, args![account], |row| Ok(Held { id: row.get(0)?, sealed: row.get(1)?, used_step: row.get(2)? }))
}

/// A factor that waits for its first code, with its secret.
pub(crate) fn pending(conn: &mut Conn<'_>, account: AccountId, id: FactorId) -> Result<Option<(Factor, String)>> {
    let sql = format!("SELECT {COLUMNS}, secret FROM factors WHERE id = $1 AND account = $2 AND active_at IS NULL");
    conn.query_opt(&sql, args![id, account], |row| Ok((read(row)?, row.get(7)?)))
}

pub(crate) fn delete_pending(conn: &mut Conn<'_>, account: AccountId) -> Result<()> {
    conn.execute("DELETE FROM factors WHERE account = $1 AND active_at IS NULL", args![account])?;
    Ok(())
}

/// Makes a factor count from now on; false where another did so at the same moment.
pub(crate) fn activate(conn: &mut Conn<'_>, id: FactorId, step: i64, at: Timestamp) -> Result<bool> {
    let sql = "UPDATE factors SET active_at = $3, used_at = $3, used_step = $2 WHERE id = $1 AND active_at IS NULL";
    Ok(conn.execute(sql, args![id, step, at])? == 1)
}

/// Writes down that the code of a step was taken; false where it, or a later one, was taken before.
pub(crate) fn use_step(conn: &mut Conn<'_>, id: FactorId, step: i64, at: Timestamp) -> Result<bool> {
    let sql = "UPDATE factors SET used_step = $2, used_at = $3 WHERE id = $1 AND used_step < $2";
    Ok(conn.execute(sql, args![id, step, at])? == 1)
}

pub(crate) fn delete(conn: &mut Conn<'_>, account: AccountId, id: FactorId) -> Result<bool> {
    passkeys::store::delete(conn, account, id)?;
    let sql = "DELETE FROM factors WHERE id = $1 AND account = $2 AND active_at IS NOT NULL";
    Ok(conn.execute(sql, args![id, account])? == 1)
}

/// Takes all factors and recovery codes from an account.
pub(crate) fn delete_all(conn: &mut Conn<'_>, account: AccountId) -> Result<u64> {
    conn.execute("DELETE FROM recovery_codes WHERE account = $1", args![account])?;
    passkeys::store::delete_all(conn, account)?;
    conn.execute("DELETE FROM factors WHERE account = $1", args![account])
}

/// How many recovery codes are left.
pub(crate) fn codes_left(conn: &mut Conn<'_>, account: AccountId) -> Result<u32> {
    conn.query_one("SELECT COUNT(*) FROM recovery_codes WHERE account = $1", args![account], |row| row.get(0))
}

/// A new set in the place of what there was.
pub(crate) fn set_codes(conn: &mut Conn<'_>, account: AccountId, hashes: &[[u8; 32]]) -> Result<()> {
    conn.execute("DELETE FROM recovery_codes WHERE account = $1", args![account])?;
    for hash in hashes {
        conn.execute("INSERT INTO recovery_codes (account, hash) VALUES ($1, $2)", args![account, hash])?;
    }
    Ok(())
}

/// Uses up a recovery code; false where it is none, or is used up.
pub(crate) fn spend(conn: &mut Conn<'_>, account: AccountId, hash: &[u8; 32]) -> Result<bool> {
    Ok(conn.execute("DELETE FROM recovery_codes WHERE account = $1 AND hash = $2", args![account, hash])? == 1)
}
