//! Every SQL statement of alarms.

use base::id::TenantId;
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::{Conn, Row, args};
use gate::Tx;
use serde::Deserialize;

use super::rules::Change;
use super::{Alarm, Alarmed, Cause, Wrong, words};
use crate::backups::text;
use crate::{AlarmId, RecoveryPointId};

fn damaged() -> Error {
    Error::bug("alarm.damaged", "a stored alarm does not read")
}

/// What an alarm's object is called is looked up when it is shown.
const SELECT: &str =
    "SELECT a.id, a.tenant, a.object_kind, a.object, a.cause, a.problem, a.times, a.raised_at, a.changed_at,
    a.acknowledged_by, a.acknowledged_at, a.note, a.cleared_at, a.cleared_by,
     COALESCE(r.body, ''), COALESCE(p.name, b.name, l.name, '')
     FROM alarms a
     LEFT JOIN records r ON a.object_kind = 'service' AND r.kind = 'service' AND r.id = a.object
     LEFT JOIN drill_plans p ON a.object_kind = 'drillPlan' AND p.id = a.object
     LEFT JOIN backup_places b ON a.object_kind = 'backupPlace' AND b.id = a.object
     LEFT JOIN audit_places l ON a.object_kind = 'auditPlace' AND l.id = a.object";

#[derive(Deserialize)]
struct Called {
    #[serde(default)]
    name: String,
}

fn read(row: &Row) -> Result<Alarm> {
    let word = row.text(4)?;
    let cause = Cause::ALL.into_iter().find(|one| one.word() == word).ok_or_else(damaged)?;
    let service: Option<Called> = serde_json::from_str(row.text(14)?).ok();
    let name = service.map_or_else(|| row.get(15), |called| Ok(called.name))?;
    let problem = serde_json::from_str(row.text(5)?).map_err(|e| damaged().because(e))?;
    Ok(Alarm {
        id: row.get(0)?,
        tenant: row.get(1)?,
        alarmed_object: Alarmed { kind: row.get(2)?, id: row.get(3)?, name },
        probable_cause: cause,
        perceived_severity: cause.severity(),
        proposed_repaired_action: words::next_step(cause).en.to_owned(),
        specific_problem: problem,
        times: row.get(6)?,
        alarm_raised_time: row.get(7)?,
        alarm_changed_time: row.get(8)?,
        ack_user: row.get(9)?,
        ack_time: row.get(10)?,
        note: row.get(11)?,
        alarm_cleared_time: row.get(12)?,
        clear_user: row.get(13)?,
    })
}

pub(super) fn load(conn: &mut Conn<'_>, id: AlarmId) -> Result<Alarm> {
    let found = conn.query_opt(&format!("{SELECT} WHERE a.id = $1"), args![id], read)?;
    found.ok_or_else(|| Error::not_found("alarm.not_found", format!("there is no alarm {id}")))
}

/// Alarms of a tenant, or of all: open ones first, the newest first.
pub(super) fn list(conn: &mut Conn<'_>, whose: Option<TenantId>, cleared: bool, limit: u32) -> Result<Vec<Alarm>> {
    let sql = format!(
        "{SELECT} WHERE a.tenant = COALESCE($1, a.tenant) AND ($2 = 1 OR a.cleared_at IS NULL)
         ORDER BY CASE WHEN a.cleared_at IS NULL THEN 0 ELSE 1 END, a.id DESC LIMIT $3"
    );
    conn.query(&sql, args![whose, cleared, limit], read)
}

pub(super) fn raise(tx: &mut Tx<'_>, wrong: &Wrong<'_>) -> Result<()> {
    let (now, problem, cause) = (tx.now, text(&wrong.problem)?, wrong.cause);
    let sql = "UPDATE alarms SET times = times + 1, problem = $4, changed_at = $5
         WHERE object_kind = $1 AND object = $2 AND cause = $3 AND cleared_at IS NULL";
    if tx.execute(sql, args![wrong.kind, wrong.id, cause.word(), problem, now])? > 0 {
        return Ok(());
    }
    let id = AlarmId::fresh(tx.ids(), now);
    tx.execute(
        "INSERT INTO alarms (id, tenant, object_kind, object, cause, severity, problem, times, raised_at, changed_at, note)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, $8, '')",
        args![id, wrong.tenant, wrong.kind, wrong.id, cause.word(), cause.severity().word(), problem, now],
    )
    .map(drop)
}

pub(super) fn clear(tx: &mut Tx<'_>, kind: &str, object: &str, cause: Cause, by: &str) -> Result<()> {
    let now = tx.now;
    let sql = "UPDATE alarms SET cleared_at = $4, cleared_by = $5, changed_at = $4
         WHERE object_kind = $1 AND object = $2 AND cause = $3 AND cleared_at IS NULL";
    tx.execute(sql, args![kind, object, cause.word(), now, by]).map(drop)
}

pub(super) fn acknowledge(tx: &mut Tx<'_>, id: AlarmId, note: &str) -> Result<()> {
    let (now, by) = (tx.now, tx.cx().actor().to_string());
    let sql = "UPDATE alarms SET acknowledged_by = $2, acknowledged_at = $3, note = $4, changed_at = $3 WHERE id = $1";
    tx.execute(sql, args![id, by, now, note]).map(drop)
}

pub(super) fn is_open(conn: &mut Conn<'_>, kind: &str, object: &str, cause: Cause) -> Result<bool> {
    let sql =
        "SELECT COUNT(*) FROM alarms WHERE object_kind = $1 AND object = $2 AND cause = $3 AND cleared_at IS NULL";
    Ok(conn.query_one(sql, args![kind, object, cause.word()], |row| row.get::<i64>(0))? > 0)
}

/// The things of a kind about which there is an open alarm.
pub(super) fn open_about(conn: &mut Conn<'_>, kind: &str) -> Result<Vec<String>> {
    conn.query("SELECT object FROM alarms WHERE object_kind = $1 AND cleared_at IS NULL", args![kind], |row| row.get(0))
}

/// Alarms that are open since then and that nobody was told of.
pub(super) fn untold(conn: &mut Conn<'_>, before: Timestamp) -> Result<Vec<Alarm>> {
    let sql = format!(
        "{SELECT} WHERE a.cleared_at IS NULL AND a.told_at IS NULL AND a.raised_at <= $1 ORDER BY a.raised_at, a.id LIMIT $2"
    );
    conn.query(&sql, args![before, limits::PAGE_MAX], read)
}

pub(super) fn told(tx: &mut Tx<'_>, id: AlarmId) -> Result<()> {
    let now = tx.now;
    tx.execute("UPDATE alarms SET told_at = $2 WHERE id = $1", args![id, now]).map(drop)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TakenBytes {
    bytes: u64,
    added_bytes: u64,
}

/// How much was new in a service's latest points up to that one, the newest first, of at most ten
/// before it. A point that let a part out says nothing of the whole, and is left out.
pub(super) fn changes(
    conn: &mut Conn<'_>,
    service: &str,
    upto: RecoveryPointId,
) -> Result<Vec<(RecoveryPointId, Change)>> {
    let sql = "SELECT m.point, m.taken FROM recovery_parts m
         JOIN (SELECT id FROM recovery_points WHERE service = $1 AND id <= $2 AND state IN ('available', 'degraded', 'expired')
               ORDER BY id DESC LIMIT 11) p ON p.id = m.point
         ORDER BY m.point DESC";
    let rows = conn
        .query(sql, args![service, upto], |row| Ok((row.get::<RecoveryPointId>(0)?, row.get::<Option<String>>(1)?)))?;
    let mut all: Vec<(RecoveryPointId, Change)> = Vec::new();
    for (point, taken) in rows {
        let Some(taken) = taken.and_then(|taken| serde_json::from_str::<TakenBytes>(&taken).ok()) else { continue };
        match all.last_mut().filter(|(last, _)| *last == point) {
            Some((_, sum)) => {
                sum.bytes = sum.bytes.saturating_add(taken.bytes);
                sum.added = sum.added.saturating_add(taken.added_bytes);
            }
            None => all.push((point, Change { bytes: taken.bytes, added: taken.added_bytes })),
        }
    }
    Ok(all)
}

/// Protected services a page at a time, with the instant of their newest point that something can be
/// restored from, or since when they are protected.
pub(super) fn kept_until(
    conn: &mut Conn<'_>,
    after: &str,
) -> Result<Vec<(String, TenantId, crate::BackupPolicyId, Timestamp)>> {
    let sql = "SELECT s.service, s.tenant, s.policy, COALESCE(
             (SELECT MAX(p.taken_at) FROM recovery_points p WHERE p.service = s.service AND p.state IN ('available', 'degraded')),
             s.created_at)
         FROM protections s WHERE s.service > $1 AND s.ended_at IS NULL ORDER BY s.service LIMIT $2";
    conn.query(sql, args![after, limits::PAGE_MAX], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
}
