//! Rows of readings.

use base::id::TenantId;
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::{Conn, Row, args};
use gate::Tx;

use super::{Reading, State};
use crate::{BackupPlaceId, ReadingId, RecoveryPointId};

const SELECT: &str = "SELECT r.id, r.tenant, r.service, r.point, r.part, r.place, p.name, r.repository, r.host, h.name, r.file, r.path, r.top, r.after_name,
     r.task, r.asked_by, r.asked_at, r.late_at, r.ends_at, r.taken_at FROM readings r
     JOIN backup_places p ON p.id = r.place JOIN hosts h ON h.id = r.host";

fn read(row: &Row) -> Result<Reading> {
    Ok(Reading {
        id: row.get(0)?,
        tenant: row.get(1)?,
        service: row.get(2)?,
        point: row.get(3)?,
        part: row.get(4)?,
        place: row.get(5)?,
        place_name: row.get(6)?,
        repository: row.get(7)?,
        host: row.get(8)?,
        host_name: row.get(9)?,
        file: row.get(10)?,
        path: row.get(11)?,
        top: row.get(12)?,
        after: row.get(13)?,
        task: row.get::<String>(14)?.parse().map_err(|e: String| Error::bug("reading.damaged", e))?,
        asked_by: row.get(15)?,
        asked_at: row.get(16)?,
        late_at: row.get(17)?,
        ends_at: row.get(18)?,
        taken_at: row.get(19)?,
        state: State::Waiting,
        progress: None,
        problem: None,
        items: Vec::new(),
        next: None,
        bytes: None,
        sha256: None,
        file_name: None,
    })
}

pub(super) fn insert(tx: &mut Tx<'_>, one: &Reading) -> Result<()> {
    tx.execute(
        "INSERT INTO readings (id, tenant, service, point, part, place, repository, host, file, path, top, after_name, task, asked_by, asked_at, late_at, ends_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
        args![
            one.id,
            one.tenant,
            one.service,
            one.point,
            one.part,
            one.place,
            one.repository,
            one.host,
            one.file,
            one.path,
            one.top,
            one.after,
            one.task.as_str(),
            one.asked_by,
            one.asked_at,
            one.late_at,
            one.ends_at
        ],
    )
    .map(drop)
}

pub(super) fn load(conn: &mut Conn<'_>, id: ReadingId) -> Result<Option<Reading>> {
    conn.query_opt(&format!("{SELECT} WHERE r.id = $1"), args![id], read)
}

/// The newest reading of the same, that is still kept.
pub(super) fn same(tx: &mut Tx<'_>, like: &Reading) -> Result<Option<Reading>> {
    let now = tx.now;
    let sql = format!(
        "{SELECT} WHERE r.point = $1 AND r.part = $2 AND r.place = $3 AND r.file = $4 AND r.path = $5 AND r.after_name = $6
         AND r.ends_at > $7 ORDER BY r.id DESC LIMIT 1"
    );
    tx.query_opt(&sql, args![like.point, like.part, like.place, like.file, like.path, like.after, now], read)
}

/// How many of a tenant's readings of one kind are open, and how many are open or there: those that
/// failed hold nobody up.
pub(super) fn count(tx: &mut Tx<'_>, tenant: TenantId, file: bool) -> Result<(usize, usize)> {
    let now = tx.now;
    let mut of = |states: &str| -> Result<usize> {
        let sql = format!(
            "SELECT COUNT(*) FROM readings r JOIN host_tasks t ON t.id = r.task
             WHERE r.tenant = $1 AND r.file = $2 AND r.ends_at > $3 AND ({states})"
        );
        let count: i64 = tx.query_one(&sql, args![tenant, file, now], |row| row.get(0))?;
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    };
    let open = of("t.state IN ('waiting', 'running') AND r.late_at > $3")?;
    Ok((open, open + of("t.state = 'succeeded'")?))
}

/// The files that were fetched from a point, the newest first.
pub(super) fn files(tx: &mut Tx<'_>, point: RecoveryPointId, limit: u32) -> Result<Vec<Reading>> {
    let sql = format!("{SELECT} WHERE r.point = $1 AND r.file = $2 ORDER BY r.id DESC LIMIT $3");
    tx.query(&sql, args![point, true, limit], read)
}

/// It is fetched: kept for so long from now on.
pub(super) fn taken(tx: &mut Tx<'_>, id: ReadingId, until: Timestamp) -> Result<()> {
    let now = tx.now;
    let sql = "UPDATE readings SET taken_at = $2, ends_at = CASE WHEN ends_at < $3 THEN ends_at ELSE $3 END
         WHERE id = $1 AND taken_at IS NULL";
    tx.execute(sql, args![id, now, until]).map(drop)
}

/// A host that could read in the place of one that is silent: one that machines stand on, for whoever reads is
/// given what opens the tenant's repository. A guest with an agent of its own carries none, and may be
/// another customer's.
pub(super) fn any_host(tx: &mut Tx<'_>) -> Result<Option<base::id::HostId>> {
    tx.query_opt(
        "SELECT h.id FROM hosts h WHERE h.reachable = $1 AND h.state = 'active'
         AND EXISTS (SELECT 1 FROM reservations v WHERE v.host = h.id AND v.state <> 'released') ORDER BY h.id LIMIT 1",
        args![true],
        |row| row.get(0),
    )
}

/// Readings whose host was too late, and those that are not kept any more: their tasks are there still.
pub(super) fn to_settle(conn: &mut Conn<'_>, now: Timestamp) -> Result<Vec<(ReadingId, TenantId)>> {
    let sql = "SELECT r.id, r.tenant FROM readings r JOIN host_tasks t ON t.id = r.task
         WHERE r.ends_at <= $1 OR (r.late_at <= $1 AND t.state IN ('waiting', 'running')) ORDER BY r.id LIMIT $2";
    conn.query(sql, args![now, limits::SWEEP_BATCH_MAX], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// A listing leaves nothing; of a file it stays known that somebody fetched it.
pub(super) fn forget(tx: &mut Tx<'_>, one: &Reading) -> Result<()> {
    if one.file {
        return Ok(());
    }
    tx.execute("DELETE FROM readings WHERE id = $1", args![one.id]).map(drop)
}

/// What was fetched long ago.
pub(super) fn forget_old(conn: &mut Conn<'_>, before: Timestamp) -> Result<()> {
    conn.execute("DELETE FROM readings WHERE ends_at < $1", args![before]).map(drop)
}

/// The tasks whose files are kept.
pub(super) fn tasks_kept(conn: &mut Conn<'_>) -> Result<Vec<String>> {
    let sql = "SELECT r.task FROM readings r JOIN host_tasks t ON t.id = r.task WHERE r.file = $1";
    conn.query(sql, args![true], |row| row.get(0))
}

/// The names of the places that a point's parts have copies at.
pub(super) fn place_name(tx: &mut Tx<'_>, id: BackupPlaceId) -> Result<String> {
    tx.query_one("SELECT name FROM backup_places WHERE id = $1", args![id], |row| row.get(0))
}
