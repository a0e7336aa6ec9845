//! Every SQL statement of shipping.

use base::time::{Timestamp, from_micros, micros};
use base::{Error, Result};
use db::{Conn, Row, args};

use super::{AuditPlace, Problem, State};
use crate::AuditPlaceId;

const SELECT: &str = "SELECT p.id, p.tenant, p.name, p.target, p.credential, p.secret, p.entries, p.every_seconds,
    p.behind_seconds, p.shipped, p.shipped_at, p.attempts, p.next_at, p.problem, p.revision, p.created_at,
    (SELECT c.at FROM audit_checkpoints c WHERE c.size > p.shipped ORDER BY c.size LIMIT 1),
    (SELECT COALESCE(MAX(c.size), 0) FROM audit_checkpoints c)
    FROM audit_places p";

fn read(row: &Row, now: Timestamp) -> Result<AuditPlace> {
    let damaged = || Error::bug("auditPlace.damaged", "a stored place for the audit log does not read");
    let problem: Option<String> = row.get(13)?;
    let sealed: Option<String> = row.get(5)?;
    let credential: Option<String> = row.get(4)?;
    let mut place = AuditPlace {
        id: row.get(0)?,
        tenant: row.get(1)?,
        name: row.get(2)?,
        target: serde_json::from_str(row.text(3)?).map_err(|e| damaged().because(e))?,
        has_credential: sealed.is_some(),
        sealed: sealed.map(|sealed| (credential.unwrap_or_default(), sealed)),
        entries: row.get::<i64>(6)? != 0,
        every_seconds: row.get(7)?,
        behind_seconds: row.get(8)?,
        shipped: row.get(9)?,
        shipped_at: row.get(10)?,
        attempts: row.get(11)?,
        next_at: row.get(12)?,
        problem: problem.map(|text| serde_json::from_str(&text)).transpose().map_err(|e| damaged().because(e))?,
        revision: row.get(14)?,
        created_at: row.get(15)?,
        behind_since: row.get(16)?,
        is_ahead: row.get::<i64>(17)? < row.get::<i64>(9)?,
        state: State::Waiting,
    };
    place.judge(now);
    Ok(place)
}

pub(super) fn load(conn: &mut Conn<'_>, id: AuditPlaceId, now: Timestamp) -> Result<AuditPlace> {
    let found = conn.query_opt(&format!("{SELECT} WHERE p.id = $1"), args![id], |row| read(row, now))?;
    found.ok_or_else(|| Error::not_found("auditPlace.not_found", format!("the log is shipped to no place {id}")))
}

pub(super) fn by_name(conn: &mut Conn<'_>, name: &str) -> Result<Option<AuditPlace>> {
    let now = Timestamp::UNIX_EPOCH;
    let sql = format!("{SELECT} WHERE p.name = $1 OR p.id = $1 ORDER BY p.id LIMIT 1");
    conn.query_opt(&sql, args![name], |row| read(row, now))
}

/// All places: there are few.
pub(super) fn all(conn: &mut Conn<'_>, now: Timestamp) -> Result<Vec<AuditPlace>> {
    conn.query(&format!("{SELECT} ORDER BY p.id"), &[], |row| read(row, now))
}

pub(super) fn count(conn: &mut Conn<'_>) -> Result<i64> {
    conn.query_one("SELECT COUNT(*) FROM audit_places", &[], |row| row.get(0))
}

pub(super) fn insert(conn: &mut Conn<'_>, place: &AuditPlace, target: &str) -> Result<()> {
    conn.execute(
        "INSERT INTO audit_places (id, tenant, name, target, entries, every_seconds, behind_seconds, shipped, attempts, next_at, revision, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, $8, 1, $9)",
        args![
            place.id,
            place.tenant,
            place.name,
            target,
            place.entries,
            place.every_seconds,
            place.behind_seconds,
            place.next_at,
            place.created_at
        ],
    )
    .map(drop)
}

pub(super) fn update(conn: &mut Conn<'_>, place: &AuditPlace) -> Result<()> {
    conn.execute(
        "UPDATE audit_places SET name = $2, every_seconds = $3, behind_seconds = $4, revision = revision + 1 WHERE id = $1",
        args![place.id, place.name, place.every_seconds, place.behind_seconds],
    )
    .map(drop)
}

pub(super) fn set_secret(conn: &mut Conn<'_>, id: AuditPlaceId, name: &str, sealed: &str) -> Result<()> {
    conn.execute(
        "UPDATE audit_places SET credential = $2, secret = $3, revision = revision + 1 WHERE id = $1",
        args![id, name, sealed],
    )
    .map(drop)
}

/// It is tried at the next look.
pub(super) fn hurry(conn: &mut Conn<'_>, id: AuditPlaceId, now: Timestamp) -> Result<()> {
    conn.execute("UPDATE audit_places SET next_at = $2 WHERE id = $1", args![id, now]).map(drop)
}

pub(super) fn remove(conn: &mut Conn<'_>, id: AuditPlaceId) -> Result<()> {
    conn.execute("DELETE FROM audit_places WHERE id = $1", args![id]).map(drop)
}

/// A piece has arrived.
pub(super) fn arrived(conn: &mut Conn<'_>, place: &AuditPlace, to: u64, now: Timestamp) -> Result<()> {
    let next = later(now, place.every_seconds)?;
    // Another server may have been faster and further.
    conn.execute(
        "UPDATE audit_places SET shipped = $2, shipped_at = $3, attempts = 0, next_at = $4, problem = NULL
         WHERE id = $1 AND shipped <= $2",
        args![place.id, to, now, next],
    )
    .map(drop)
}

/// A try failed.
pub(super) fn failed(
    conn: &mut Conn<'_>,
    place: &AuditPlace,
    problem: &Problem,
    wait_seconds: i64,
    now: Timestamp,
) -> Result<()> {
    let text = serde_json::to_string(problem)
        .map_err(|e| Error::bug("auditPlace.problem", "a problem cannot be written").because(e))?;
    let next = later(now, wait_seconds)?;
    conn.execute(
        "UPDATE audit_places SET attempts = attempts + 1, problem = $2, next_at = $3 WHERE id = $1",
        args![place.id, text, next],
    )
    .map(drop)
}

fn later(now: Timestamp, seconds: i64) -> Result<Timestamp> {
    from_micros(micros(now).saturating_add(seconds.saturating_mul(1_000_000)))
}
