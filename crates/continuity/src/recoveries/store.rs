//! Rows of recoveries.

use base::{Error, Result};
use db::{Conn, args};
use drivers::wire::IntentId;
use gate::Tx;

use super::{Measured, Purpose, Recovery, Target};
use crate::{BackupPlaceId, RecoveryId, RecoveryPointId};

/// How many of the last disks a place's speed is measured from.
const SPEED_FROM: i64 = 20;

pub(super) fn insert(tx: &mut Tx<'_>, one: &Recovery) -> Result<()> {
    tx.execute(
        "INSERT INTO recoveries (id, tenant, service, point, place, repository, purpose, subject_kind, subject_id, opened_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        args![
            one.id,
            one.tenant,
            one.service,
            one.point,
            one.place,
            one.repository,
            one.purpose.word(),
            one.subject.0,
            one.subject.1,
            one.opened_at
        ],
    )?;
    for target in &one.targets {
        tx.execute(
            "INSERT INTO recovery_targets (recovery, machine, snapshot) VALUES ($1, $2, $3)",
            args![one.id, target.machine, target.snapshot],
        )?;
    }
    Ok(())
}

pub(super) fn load(conn: &mut Conn<'_>, id: RecoveryId) -> Result<Option<Recovery>> {
    let sql = "SELECT id, tenant, service, point, place, repository, purpose, subject_kind, subject_id, opened_at, ended_at FROM recoveries WHERE id = $1";
    let found = conn.query_opt(sql, args![id], |row| {
        let purpose: String = row.get(6)?;
        let known = [Purpose::Restore, Purpose::Drill].into_iter().find(|known| known.word() == purpose);
        Ok(Recovery {
            id: row.get(0)?,
            tenant: row.get(1)?,
            service: row.get(2)?,
            point: row.get(3)?,
            place: row.get(4)?,
            repository: row.get(5)?,
            purpose: known.ok_or_else(|| Error::bug("recovery.damaged", "a stored recovery does not read"))?,
            subject: (row.get(7)?, row.get(8)?),
            opened_at: row.get(9)?,
            ended_at: row.get(10)?,
            targets: Vec::new(),
        })
    })?;
    let Some(mut found) = found else { return Ok(None) };
    let sql = "SELECT machine, snapshot, made FROM recovery_targets WHERE recovery = $1 ORDER BY machine";
    found.targets = conn
        .query(sql, args![id], |row| Ok(Target { machine: row.get(0)?, snapshot: row.get(1)?, made: row.get(2)? }))?;
    Ok(Some(found))
}

pub(super) fn set_made(tx: &mut Tx<'_>, id: RecoveryId, machine: &str, made: &IntentId) -> Result<()> {
    let sql = "UPDATE recovery_targets SET made = $3 WHERE recovery = $1 AND machine = $2";
    tx.execute(sql, args![id, machine, made.as_str()]).map(drop)
}

/// The subject of the recovery that makes a machine.
pub(super) fn made_for(conn: &mut Conn<'_>, machine: &str) -> Result<Option<(String, String)>> {
    let sql = "SELECT r.subject_kind, r.subject_id FROM recovery_targets t JOIN recoveries r ON r.id = t.recovery
         WHERE t.made = $1";
    conn.query_opt(sql, args![machine], |row| Ok((row.get(0)?, row.get(1)?)))
}

pub(super) fn close(tx: &mut Tx<'_>, id: RecoveryId) -> Result<()> {
    let now = tx.now;
    tx.execute("UPDATE recoveries SET ended_at = $2 WHERE id = $1 AND ended_at IS NULL", args![id, now]).map(drop)
}

/// Whole milliseconds; what is longer than the database can say is as long as it can.
#[expect(clippy::cast_possible_truncation, reason = "a float becomes the nearest integer there is")]
fn ms(seconds: f64) -> i64 {
    (seconds * 1_000.0).round() as i64
}

pub(super) fn keep_measured(tx: &mut Tx<'_>, id: RecoveryId, disk: &Measured) -> Result<()> {
    tx.execute(
        "INSERT INTO recovery_disks (recovery, machine, disk, bytes, ms, verify_ms, digest) VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (recovery, machine, disk) DO NOTHING",
        args![
            id,
            disk.machine,
            disk.disk,
            i64::try_from(disk.bytes).unwrap_or(i64::MAX),
            ms(disk.seconds),
            ms(disk.verify_seconds),
            disk.digest
        ],
    )
    .map(drop)
}

/// The digests that a disk of a point had each time that it came back.
pub(super) fn digests(conn: &mut Conn<'_>, point: RecoveryPointId, machine: &str, disk: &str) -> Result<Vec<String>> {
    let sql = "SELECT DISTINCT d.digest FROM recovery_disks d JOIN recoveries r ON r.id = d.recovery
         WHERE r.point = $1 AND d.machine = $2 AND d.disk = $3 ORDER BY d.digest";
    conn.query(sql, args![point, machine, disk], |row| row.get(0))
}

/// How long so many bytes take from a place, in seconds; `None` where its speed was never seen.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
pub(super) fn seconds(conn: &mut Conn<'_>, place: BackupPlaceId, bytes: u64) -> Result<Option<f64>> {
    Ok(speed(conn, place)?.map(|speed| bytes as f64 / speed))
}

/// Bytes in a second from a place until they are hashed where they came to, by the last disks that
/// came from there; `None` where none ever did, or none took any time.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
pub(crate) fn speed(conn: &mut Conn<'_>, place: BackupPlaceId) -> Result<Option<f64>> {
    let sql = "SELECT d.bytes, d.ms + d.verify_ms FROM recovery_disks d JOIN recoveries r ON r.id = d.recovery
         WHERE r.place = $1 AND d.bytes > 0 ORDER BY r.ended_at DESC, d.recovery, d.machine, d.disk LIMIT $2";
    let all: Vec<(i64, i64)> = conn.query(sql, args![place, SPEED_FROM], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (came, took) = all.iter().fold((0.0, 0.0), |(b, t), (bytes, ms)| (b + *bytes as f64, t + *ms as f64 / 1_000.0));
    Ok((came > 0.0 && took > 0.0).then(|| came / took))
}
