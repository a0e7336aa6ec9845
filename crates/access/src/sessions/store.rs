//! Every SQL statement about sessions.

use base::id::{AccountId, TenantId};
use base::time::Timestamp;
use base::{Result, limits};
use db::{Conn, Row, args};
use gate::Strength;

use super::{Session, SessionId};

const COLUMNS: &str = "id, account, acting, address, user_agent, created_at, seen_at, expires_at, strength, proven_at";

fn read(row: &Row) -> Result<Session> {
    Ok(Session {
        id: row.get(0)?,
        account: row.get(1)?,
        acting: row.get(2)?,
        address: row.get(3)?,
        user_agent: row.get(4)?,
        created_at: row.get(5)?,
        seen_at: row.get(6)?,
        expires_at: row.get(7)?,
        strength: row.get(8)?,
        proven_at: row.get(9)?,
        current: false,
    })
}

pub(crate) fn insert(conn: &mut Conn<'_>, session: &Session, hash: &[u8; 32], csrf: &[u8; 32]) -> Result<()> {
    conn.execute(
        &format!(
            "INSERT INTO sessions ({COLUMNS}, hash, csrf) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
        ),
        args![
            session.id,
            session.account,
            session.acting,
            session.address,
            session.user_agent,
            session.created_at,
            session.seen_at,
            session.expires_at,
            session.strength,
            session.proven_at,
            hash,
            csrf
        ],
    )?;
    Ok(())
}

/// The session with that secret, and the secret of its forms.
pub(crate) fn by_hash(conn: &mut Conn<'_>, hash: &[u8; 32]) -> Result<Option<(Session, Vec<u8>)>> {
    conn.query_opt(&format!("SELECT {COLUMNS}, csrf FROM sessions WHERE hash = $1"), args![hash], |row| {
        Ok((read(row)?, row.get(10)?))
    })
}

/// How strongly a session had shown who it is, and when, while it is there; for explanations.
pub(crate) fn shown(conn: &mut Conn<'_>, id: &str) -> Result<Option<(Strength, Timestamp)>> {
    let sql = "SELECT strength, proven_at FROM sessions WHERE id = $1";
    conn.query_opt(sql, args![id], |row| Ok((row.get(0)?, row.get(1)?)))
}

pub(crate) fn of_account(conn: &mut Conn<'_>, account: AccountId) -> Result<Vec<Session>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM sessions WHERE account = $1 ORDER BY id DESC LIMIT {}",
        limits::SESSIONS_PER_ACCOUNT_MAX
    );
    conn.query(&sql, args![account], read)
}

pub(crate) fn delete(conn: &mut Conn<'_>, account: AccountId, id: SessionId) -> Result<bool> {
    Ok(conn.execute("DELETE FROM sessions WHERE id = $1 AND account = $2", args![id, account])? == 1)
}

/// Ends all sessions of an account, but for `kept`, and what was about to become one.
pub(crate) fn delete_all(conn: &mut Conn<'_>, account: AccountId, kept: Option<SessionId>) -> Result<u64> {
    let kept = kept.map(|id| id.to_string()).unwrap_or_default();
    super::sign_ins::end_all(conn, account)?;
    conn.execute("DELETE FROM sessions WHERE account = $1 AND id <> $2", args![account, kept])
}

/// Ends what is over: everybody's, and the oldest of an account that has too many.
pub(crate) fn make_room(conn: &mut Conn<'_>, account: AccountId, now: Timestamp) -> Result<()> {
    conn.execute("DELETE FROM sessions WHERE expires_at <= $1", args![now])?;
    let kept = limits::SESSIONS_PER_ACCOUNT_MAX - 1;
    conn.execute(
        &format!("DELETE FROM sessions WHERE account = $1 AND id NOT IN (SELECT id FROM sessions WHERE account = $1 ORDER BY id DESC LIMIT {kept})"),
        args![account],
    )?;
    Ok(())
}

/// Notes that a session has shown anew who it is.
pub(crate) fn prove(conn: &mut Conn<'_>, id: SessionId, strength: Strength, at: Timestamp) -> Result<()> {
    conn.execute("UPDATE sessions SET strength = $2, proven_at = $3 WHERE id = $1", args![id, strength, at])?;
    Ok(())
}

pub(crate) fn set_acting(conn: &mut Conn<'_>, id: SessionId, tenant: TenantId) -> Result<()> {
    conn.execute("UPDATE sessions SET acting = $2 WHERE id = $1", args![id, tenant])?;
    Ok(())
}

/// Sessions that act in one of `tenants` go back to where their account belongs.
pub(crate) fn stop_acting_in(conn: &mut Conn<'_>, account: AccountId, tenants: &[TenantId]) -> Result<()> {
    for tenant in tenants {
        conn.execute("UPDATE sessions SET acting = NULL WHERE account = $1 AND acting = $2", args![account, tenant])?;
    }
    Ok(())
}

/// Notes that a session was used. Not an action: nobody decided anything.
pub(crate) fn touch(conn: &mut Conn<'_>, id: SessionId, at: Timestamp) -> Result<()> {
    conn.execute("UPDATE sessions SET seen_at = $2 WHERE id = $1 AND seen_at < $2", args![id, at])?;
    Ok(())
}
