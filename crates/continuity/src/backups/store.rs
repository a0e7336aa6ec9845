//! Rows of protections, points and copies.

use std::collections::BTreeSet;
use std::time::Duration;

use base::Result;
use base::id::TenantId;
use base::time::Timestamp;
use base::{Error, limits};
use db::{Conn, Row, args};
use drivers::wire::{Problem, TaskId, Work};
use gate::Tx;
use serde::Serialize;
use serde_json::Value as Json;

use super::findings::Losing;
use super::points::{CopyState, Part, PartKind, RecoveryCopy, RecoveryPoint, State, Taken};
use super::policies::BackupPolicy;
use super::protections::Protection;
use super::retention::{self, Point};
use super::schedule::Schedule;
use super::text;
use crate::{BackupPolicyId, RecoveryPointId, RepositoryId};

fn damaged(what: &str) -> Error {
    Error::bug("backup.damaged", format!("a stored {what} does not read"))
}

fn from_json<T: serde::de::DeserializeOwned>(what: &str, value: Option<Json>) -> Result<Option<T>> {
    value.map(|value| serde_json::from_value(value).map_err(|e| damaged(what).because(e))).transpose()
}

fn kind(word: &str) -> Result<PartKind> {
    let all = [PartKind::Machine, PartKind::DataSet];
    all.into_iter().find(|known| known.word() == word).ok_or_else(|| damaged("part"))
}

// Protections.

fn read_protection(row: &Row) -> Result<Protection> {
    Ok(Protection {
        service: row.get(0)?,
        tenant: row.get(1)?,
        policy: row.get(2)?,
        next_due: row.get(3)?,
        created_at: row.get(4)?,
    })
}

const PROTECTION: &str = "SELECT service, tenant, policy, next_due, created_at FROM protections";

/// The protection of a service that has not ended.
pub(crate) fn protection(conn: &mut Conn<'_>, service: &str) -> Result<Option<Protection>> {
    let sql = format!("{PROTECTION} WHERE service = $1 AND ended_at IS NULL");
    conn.query_opt(&sql, args![service], read_protection)
}

/// The policy that judges the points of a service: also after its protection has ended.
pub(crate) fn judge(conn: &mut Conn<'_>, service: &str) -> Result<Option<BackupPolicyId>> {
    conn.query_opt("SELECT policy FROM protections WHERE service = $1", args![service], |row| row.get(0))
}

/// Attaches a policy to a service, or another one.
pub(crate) fn protect(
    tx: &mut Tx<'_>,
    service: &str,
    tenant: TenantId,
    policy: BackupPolicyId,
    due: Timestamp,
) -> Result<()> {
    let now = tx.now;
    tx.execute(
        "INSERT INTO protections (service, tenant, policy, next_due, created_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (service) DO UPDATE SET policy = excluded.policy, next_due = excluded.next_due, ended_at = NULL",
        args![service, tenant, policy, due, now],
    )
    .map(drop)
}

/// Ends a protection; says whether there was one.
pub(crate) fn unprotect(tx: &mut Tx<'_>, service: &str) -> Result<bool> {
    let now = tx.now;
    let sql = "UPDATE protections SET ended_at = $2 WHERE service = $1 AND ended_at IS NULL";
    Ok(tx.execute(sql, args![service, now])? > 0)
}

/// When a service is due next.
pub(crate) fn set_due(tx: &mut Tx<'_>, service: &str, due: Timestamp) -> Result<()> {
    tx.execute("UPDATE protections SET next_due = $2 WHERE service = $1", args![service, due]).map(drop)
}

/// A policy has another schedule from now on.
pub(crate) fn reschedule(tx: &mut Tx<'_>, policy: BackupPolicyId, schedule: &Schedule) -> Result<()> {
    let sql = "SELECT service FROM protections WHERE policy = $1 AND ended_at IS NULL ORDER BY service";
    let services: Vec<String> = tx.query(sql, args![policy], |row| row.get(0))?;
    let now = tx.now;
    for service in services {
        let due = schedule.next(now, &service)?;
        set_due(tx, &service, due)?;
    }
    Ok(())
}

/// Protections of tenants in sight, by service.
pub(crate) fn protections(conn: &mut Conn<'_>, tenant: TenantId, after: &str, limit: u32) -> Result<Vec<Protection>> {
    let sql = format!("{PROTECTION} WHERE tenant = $1 AND ended_at IS NULL AND service > $2 ORDER BY service LIMIT $3");
    conn.query(&sql, args![tenant, after, limit], read_protection)
}

/// Services that have a policy, with whose they are, by their ids.
pub(crate) fn services_of(
    conn: &mut Conn<'_>,
    policy: BackupPolicyId,
    after: &str,
    limit: u32,
) -> Result<Vec<(String, TenantId)>> {
    let sql = "SELECT service, tenant FROM protections WHERE policy = $1 AND ended_at IS NULL AND service > $2 ORDER BY service LIMIT $3";
    conn.query(sql, args![policy, after, limit], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Services that are due, the longest waiting first.
pub(crate) fn due(conn: &mut Conn<'_>, now: Timestamp) -> Result<Vec<(String, TenantId)>> {
    let sql =
        "SELECT service, tenant FROM protections WHERE ended_at IS NULL AND next_due <= $1 ORDER BY next_due LIMIT $2";
    conn.query(sql, args![now, limits::PAGE_MAX], |row| Ok((row.get(0)?, row.get(1)?)))
}

// Points.

fn read_copy(row: &Row) -> Result<RecoveryCopy> {
    let state: String = row.get(5)?;
    Ok(RecoveryCopy {
        part: row.get(0)?,
        position: row.get(1)?,
        repository: row.get(2)?,
        place: row.get(3)?,
        place_name: row.get(4)?,
        state: CopyState::ALL.into_iter().find(|known| known.word() == state).ok_or_else(|| damaged("copy"))?,
        snapshot: row.get(6)?,
        task: row.get(7)?,
        problem: from_json("problem", row.get(8)?)?,
        stored_at: row.get(9)?,
        checked_at: row.get(10)?,
        drilled_at: row.get(11)?,
    })
}

/// A point with all that is in it.
pub(crate) fn point(conn: &mut Conn<'_>, id: RecoveryPointId) -> Result<Option<RecoveryPoint>> {
    let sql = "SELECT id, service, tenant, policy, revision, cause, state, problem, attempts, requested_at, taken_at, closed_at, expired_at, kept_at FROM recovery_points WHERE id = $1";
    let found = conn.query_opt(sql, args![id], |row| {
        let (cause, state): (String, String) = (row.get(5)?, row.get(6)?);
        Ok(RecoveryPoint {
            id: row.get(0)?,
            service: row.get(1)?,
            tenant: row.get(2)?,
            policy: row.get(3)?,
            policy_revision: row.get(4)?,
            by_hand: cause == "person",
            state: State::ALL.into_iter().find(|known| known.word() == state).ok_or_else(|| damaged("point"))?,
            problem: from_json("problem", row.get(7)?)?,
            attempts: row.get(8)?,
            requested_at: row.get(9)?,
            taken_at: row.get(10)?,
            closed_at: row.get(11)?,
            expired_at: row.get(12)?,
            was_good: row.get::<Option<i64>>(13)?.is_some(),
            parts: Vec::new(),
        })
    })?;
    let Some(mut point) = found else { return Ok(None) };
    let sql =
        "SELECT part, host, task, taken, spec, kind FROM recovery_parts WHERE point = $1 ORDER BY kind DESC, part";
    point.parts = conn.query(sql, args![id], |row| {
        let taken = from_json::<Taken>("part of a point", row.get(3)?)?;
        let (kind, mut spec, mut data_set) = (kind(row.text(5)?)?, None, None);
        match kind {
            PartKind::Machine => spec = from_json("machine's specification", row.get(4)?)?,
            PartKind::DataSet => data_set = from_json("data set of a point", row.get(4)?)?,
        }
        let (part, host, task) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Part { kind, part, data_set, host, task, taken, spec, copies: Vec::new() })
    })?;
    let sql = "SELECT c.part, c.position, c.repository, r.place, p.name, c.state, c.snapshot, c.task, c.problem, c.stored_at, c.checked_at, c.drilled_at
         FROM recovery_copies c JOIN backup_repositories r ON r.id = c.repository JOIN backup_places p ON p.id = r.place
         WHERE c.point = $1 ORDER BY c.part, c.position";
    for copy in conn.query(sql, args![id], read_copy)? {
        if let Some(part) = point.parts.iter_mut().find(|part| part.part == copy.part) {
            part.copies.push(copy);
        }
    }
    Ok(Some(point))
}

/// A new point.
pub(crate) fn insert(
    tx: &mut Tx<'_>,
    id: RecoveryPointId,
    of: &Protection,
    revision: i64,
    by_hand: bool,
    now: Timestamp,
) -> Result<()> {
    let cause = if by_hand { "person" } else { "schedule" };
    tx.execute(
        "INSERT INTO recovery_points (id, service, tenant, policy, revision, cause, state, attempts, requested_at) VALUES ($1, $2, $3, $4, $5, $6, 'taking', 0, $7)",
        args![id, of.service, of.tenant, of.policy, revision, cause, now],
    )
    .map(drop)
}

/// The point of a service that is being taken.
pub(crate) fn taking(conn: &mut Conn<'_>, service: &str) -> Result<Option<RecoveryPointId>> {
    let sql = "SELECT id FROM recovery_points WHERE service = $1 AND state = 'taking'";
    conn.query_opt(sql, args![service], |row| row.get(0))
}

/// A point is worked on once more.
pub(crate) fn reopen(tx: &mut Tx<'_>, id: RecoveryPointId) -> Result<()> {
    tx.execute("UPDATE recovery_points SET state = 'taking' WHERE id = $1", args![id])?;
    tx.execute("UPDATE recovery_copies SET task = NULL WHERE point = $1", args![id]).map(drop)
}

/// An attempt at a point has ended.
pub(crate) fn close(tx: &mut Tx<'_>, id: RecoveryPointId, state: State, problem: Option<&Problem>) -> Result<()> {
    let (now, problem) = (tx.now, problem.map(text).transpose()?);
    tx.execute(
        "UPDATE recovery_points SET state = $2, problem = $3, closed_at = $4, attempts = attempts + 1,
             kept_at = CASE WHEN $5 = 1 THEN COALESCE(kept_at, $4) ELSE kept_at END WHERE id = $1",
        args![id, state.word(), problem, now, state.is_restorable() || state == State::Lost],
    )
    .map(drop)
}

/// Points of a service, newest first.
pub(crate) fn ids(
    conn: &mut Conn<'_>,
    service: &str,
    expired: bool,
    after: Option<RecoveryPointId>,
    limit: u32,
) -> Result<Vec<RecoveryPointId>> {
    let before = after.map_or_else(|| "s".to_owned(), |after| after.to_string());
    let sql = "SELECT id FROM recovery_points WHERE service = $1 AND id < $2 AND ($3 = 1 OR state <> 'expired') ORDER BY id DESC LIMIT $4";
    conn.query(sql, args![service, before, expired, limit], |row| row.get(0))
}

/// The newest point of a service that something can be restored from.
pub(crate) fn newest(conn: &mut Conn<'_>, service: &str) -> Result<Option<RecoveryPointId>> {
    let sql = "SELECT id FROM recovery_points WHERE service = $1 AND state IN ('available', 'degraded') ORDER BY taken_at DESC, id DESC LIMIT 1";
    conn.query_opt(sql, args![service], |row| row.get(0))
}

/// The newest point of a service that is not being taken.
pub(crate) fn newest_closed(conn: &mut Conn<'_>, service: &str) -> Result<Option<RecoveryPointId>> {
    let sql = "SELECT id FROM recovery_points WHERE service = $1 AND state <> 'taking' ORDER BY id DESC LIMIT 1";
    conn.query_opt(sql, args![service], |row| row.get(0))
}

/// Points of a service that something was taken into, by the instant that they are of, newest first.
pub(crate) fn restorable(
    conn: &mut Conn<'_>,
    service: &str,
    not_after: Option<Timestamp>,
) -> Result<Vec<RecoveryPointId>> {
    let sql = "SELECT id FROM recovery_points WHERE service = $1 AND taken_at <= COALESCE($2, taken_at) AND state NOT IN ('failed', 'expired')
         ORDER BY taken_at DESC, id DESC LIMIT $3";
    conn.query(sql, args![service, not_after, limits::PAGE_MAX], |row| row.get(0))
}

/// A part's copy was used, and what came of it was right.
pub(crate) fn set_part_proven(
    tx: &mut Tx<'_>,
    point: RecoveryPointId,
    part: &str,
    repository: RepositoryId,
) -> Result<()> {
    let now = tx.now;
    let sql = "UPDATE recovery_copies SET drilled_at = $4 WHERE point = $1 AND part = $2 AND repository = $3";
    tx.execute(sql, args![point, part, repository, now]).map(drop)
}

/// Copies of a point's machines were used, and what came of it was right.
pub(crate) fn set_proven(tx: &mut Tx<'_>, point: RecoveryPointId, repository: RepositoryId) -> Result<()> {
    let now = tx.now;
    let sql = "UPDATE recovery_copies SET drilled_at = $3 WHERE point = $1 AND repository = $2
         AND part IN (SELECT m.part FROM recovery_parts m WHERE m.point = $1 AND m.kind = 'machine')";
    tx.execute(sql, args![point, repository, now]).map(drop)
}

/// Points that lack a copy, were tried fewer times than that, and were last worked on `first` ago, doubled with
/// each try: those that are given up take nobody's place.
pub(crate) fn degraded(
    conn: &mut Conn<'_>,
    now: Timestamp,
    first: Duration,
    attempts: i64,
) -> Result<Vec<(RecoveryPointId, TenantId)>> {
    let first = i64::try_from(first.as_micros()).unwrap_or(i64::MAX);
    let sql = "SELECT id, tenant FROM recovery_points WHERE state IN ('degraded', 'lost') AND attempts < $3
         AND closed_at <= $1 - (CAST($2 AS BIGINT) << CAST(CASE WHEN attempts > 1 THEN attempts - 1 ELSE 0 END AS INTEGER))
         AND EXISTS (SELECT 1 FROM recovery_copies c WHERE c.point = recovery_points.id AND c.state <> 'verified') ORDER BY closed_at LIMIT $4";
    conn.query(sql, args![now, first, attempts, limits::PAGE_MAX], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// The points of a service as retention sees them. One that is being worked on is not judged.
pub(crate) fn judged(conn: &mut Conn<'_>, service: &str) -> Result<Vec<Point>> {
    let sql = "SELECT id, COALESCE(taken_at, requested_at), state FROM recovery_points WHERE service = $1 AND state IN ('available', 'degraded', 'lost', 'failed')";
    conn.query(sql, args![service], |row| {
        let state: String = row.get(2)?;
        let (good, lost) = (state == "available", state == "lost");
        let restorable = good || state == "degraded";
        Ok(Point { id: row.get(0)?, taken_at: row.get(1)?, restorable, lost, good })
    })
}

/// Whether anything of a service may be let go: see [`retention::may_let_go`].
pub(crate) fn may_let_go(conn: &mut Conn<'_>, points: &[Point], policy: &BackupPolicy) -> Result<bool> {
    let newest = points.iter().filter(|point| point.good).max_by_key(|point| (point.taken_at, point.id));
    let Some(newest) = newest else { return Ok(false) };
    let Some(point) = point(conn, newest.id)? else { return Ok(false) };
    let mut silent = BTreeSet::new();
    for copy in point.copies() {
        let place = super::places::load(conn, copy.place)?;
        if super::places::out_of_reach(conn, &place)?.is_some() {
            silent.insert(copy.place);
        }
    }
    let whole = |copy: &&RecoveryCopy| copy.state == CopyState::Verified && !silent.contains(&copy.place);
    let least = point.parts.iter().map(|part| part.copies.iter().filter(whole).count()).min().unwrap_or(0);
    let wanted = super::policies::at(conn, point.policy, point.policy_revision)?.terms.places.len();
    Ok(retention::may_let_go(least, wanted.min(policy.terms.places.len())))
}

/// Of each part that the newest point has, the newest point with a copy of it that was found whole: where
/// one part fails for long, what is left of it is not let go with its time.
pub(crate) fn last_of_parts(conn: &mut Conn<'_>, service: &str) -> Result<BTreeSet<RecoveryPointId>> {
    let sql = "SELECT MAX(c.point) FROM recovery_points p JOIN recovery_copies c ON c.point = p.id AND c.state = 'verified'
         WHERE p.service = $1 AND p.state IN ('available', 'degraded') AND c.part IN (
             SELECT r.part FROM recovery_parts r WHERE r.point =
                 (SELECT MAX(n.id) FROM recovery_points n WHERE n.service = $1 AND n.state IN ('available', 'degraded', 'lost', 'failed')))
         GROUP BY c.part";
    Ok(conn.query(sql, args![service], |row| row.get(0))?.into_iter().collect())
}

/// Lets a point go: it is offered no more; its copies follow. One that something is being restored
/// from stays for as long as that lasts.
pub(crate) fn expire(tx: &mut Tx<'_>, id: RecoveryPointId) -> Result<bool> {
    let now = tx.now;
    let sql = "UPDATE recovery_points SET state = 'expired', expired_at = $2 WHERE id = $1 AND state IN ('available', 'degraded', 'lost', 'failed')
         AND NOT EXISTS (SELECT 1 FROM recoveries r WHERE r.point = recovery_points.id AND r.ended_at IS NULL)
         AND NOT EXISTS (SELECT 1 FROM data_restores d WHERE recovery_points.id IN (d.point, d.logs_of) AND d.state = 'running')";
    Ok(tx.execute(sql, args![id, now])? > 0)
}

// Parts and copies.

/// A part of a point, with its copies to come.
pub(crate) fn add_part(
    tx: &mut Tx<'_>,
    point: RecoveryPointId,
    (kind, part): (PartKind, &str),
    host: base::id::HostId,
    spec: &impl Serialize,
    repositories: &[RepositoryId],
) -> Result<()> {
    let spec = text(spec)?;
    tx.execute(
        "INSERT INTO recovery_parts (point, part, kind, host, spec) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (point, part) DO UPDATE SET host = excluded.host,
             spec = CASE WHEN recovery_parts.taken IS NULL THEN excluded.spec ELSE recovery_parts.spec END",
        args![point, part, kind.word(), host, spec],
    )?;
    for (position, repository) in repositories.iter().enumerate() {
        tx.execute(
            "INSERT INTO recovery_copies (point, part, position, repository, state) VALUES ($1, $2, $3, $4, 'pending') ON CONFLICT (point, part, position) DO NOTHING",
            args![point, part, position, repository],
        )?;
    }
    Ok(())
}

/// Which task takes a part.
pub(crate) fn set_part_task(tx: &mut Tx<'_>, point: RecoveryPointId, part: &str, task: Option<&TaskId>) -> Result<()> {
    let task = task.map(TaskId::as_str);
    tx.execute("UPDATE recovery_parts SET task = $3 WHERE point = $1 AND part = $2", args![point, part, task]).map(drop)
}

/// A part was taken: its first copy is there.
pub(crate) fn set_taken(
    tx: &mut Tx<'_>,
    point: RecoveryPointId,
    part: &str,
    taken: &Taken,
    snapshot: &str,
) -> Result<()> {
    let taken_text = text(taken)?;
    tx.execute("UPDATE recovery_parts SET taken = $3 WHERE point = $1 AND part = $2", args![point, part, taken_text])?;
    tx.execute(
        "UPDATE recovery_points SET taken_at = CASE WHEN taken_at IS NULL OR taken_at > $2 THEN $2 ELSE taken_at END WHERE id = $1",
        args![point, taken.taken_at],
    )?;
    set_stored(tx, point, part, 0, snapshot)
}

/// A copy was written.
pub(crate) fn set_stored(
    tx: &mut Tx<'_>,
    point: RecoveryPointId,
    part: &str,
    position: i64,
    snapshot: &str,
) -> Result<()> {
    let now = tx.now;
    tx.execute(
        "UPDATE recovery_copies SET state = 'stored', snapshot = $4, stored_at = $5, task = NULL, problem = NULL WHERE point = $1 AND part = $2 AND position = $3",
        args![point, part, position, snapshot, now],
    )
    .map(drop)
}

/// Which task works on a copy.
pub(crate) fn set_copy_task(
    tx: &mut Tx<'_>,
    point: RecoveryPointId,
    copy: &RecoveryCopy,
    task: Option<&TaskId>,
) -> Result<()> {
    let task = task.map(TaskId::as_str);
    tx.execute(
        "UPDATE recovery_copies SET task = $4 WHERE point = $1 AND part = $2 AND position = $3",
        args![point, copy.part, copy.position, task],
    )
    .map(drop)
}

/// What was found of a copy; a problem alone leaves its state as it is.
pub(crate) fn set_found(
    tx: &mut Tx<'_>,
    point: RecoveryPointId,
    copy: &RecoveryCopy,
    state: Option<CopyState>,
    problem: Option<&Problem>,
) -> Result<()> {
    let (now, problem) = (tx.now, problem.map(text).transpose()?);
    let checked = state.is_some_and(|state| state != CopyState::Pending);
    tx.execute(
        "UPDATE recovery_copies SET state = COALESCE($4, state), problem = $5, task = NULL,
            checked_at = CASE WHEN $6 = 1 THEN $7 ELSE checked_at END
         WHERE point = $1 AND part = $2 AND position = $3",
        args![point, copy.part, copy.position, state.map(CopyState::word), problem, checked, now],
    )
    .map(drop)
}

/// The repositories that a task of a point needs, in the order that its work names them.
pub(crate) fn repositories_of_task(
    tx: &mut Tx<'_>,
    point: RecoveryPointId,
    task: &TaskId,
    work: &Work,
) -> Result<Vec<RepositoryId>> {
    let of = |tx: &mut Tx<'_>, sql: &str| tx.query(sql, args![point, task.as_str()], |row| row.get(0));
    let first =
        "SELECT c.repository FROM recovery_copies c JOIN recovery_parts m ON m.point = c.point AND m.part = c.part
         WHERE c.point = $1 AND m.task = $2 AND c.position = 0";
    let own = "SELECT DISTINCT repository FROM recovery_copies WHERE point = $1 AND task = $2";
    let source = "SELECT DISTINCT f.repository FROM recovery_copies f JOIN recovery_copies c ON c.point = f.point AND c.part = f.part
         WHERE c.point = $1 AND c.task = $2 AND f.position <> c.position AND f.snapshot = $3";
    match work {
        Work::BackUpMachine { .. } | Work::BackUpData { .. } => of(tx, first),
        Work::CopySnapshots { snapshots } => {
            let named = snapshots.first();
            let from: Vec<RepositoryId> = tx.query(source, args![point, task.as_str(), named], |row| row.get(0))?;
            let to: Vec<RepositoryId> = of(tx, own)?;
            Ok([from, to].concat())
        }
        Work::CheckRepository { .. } => of(tx, own),
        _ => Ok(Vec::new()),
    }
}

/// Whoever waits for one task waits for another one in its place.
pub(crate) fn wait_for(tx: &mut Tx<'_>, before: &str, task: &TaskId) -> Result<()> {
    tx.execute("UPDATE recovery_copies SET task = $2 WHERE task = $1", args![before, task.as_str()]).map(drop)
}

/// The hosts that what lies in a repository was taken on, of the newest points first.
pub(crate) fn hosts_of(conn: &mut Conn<'_>, repository: RepositoryId) -> Result<Vec<base::id::HostId>> {
    let sql = "SELECT m.host, MAX(c.point) FROM recovery_copies c JOIN recovery_parts m ON m.point = c.point AND m.part = c.part
         WHERE c.repository = $1 AND c.state <> 'gone' GROUP BY m.host ORDER BY 2 DESC LIMIT $2";
    conn.query(sql, args![repository, limits::PAGE_MAX], |row| row.get(0))
}

/// A repository was found whole: points that lack nothing there but a look are looked at soon.
pub(crate) fn bring_forward(tx: &mut Tx<'_>, repository: RepositoryId) -> Result<()> {
    let sql = "UPDATE recovery_points SET attempts = 0 WHERE state IN ('degraded', 'lost')
         AND EXISTS (SELECT 1 FROM recovery_copies c WHERE c.point = recovery_points.id AND c.repository = $1 AND c.state = 'stored')";
    tx.execute(sql, args![repository]).map(drop)
}

/// The points with copies that wait for a task.
pub(crate) fn points_of_task(conn: &mut Conn<'_>, task: &TaskId) -> Result<Vec<RecoveryPointId>> {
    let sql = "SELECT DISTINCT point FROM recovery_copies WHERE task = $1 ORDER BY point";
    conn.query(sql, args![task.as_str()], |row| row.get(0))
}

/// What lies in a repository and belongs to no point any more: of points that never came about, and of those of
/// a service that were let go.
pub(crate) fn left(conn: &mut Conn<'_>, repository: RepositoryId, of: Option<&str>) -> Result<Vec<String>> {
    let from = "SELECT c.snapshot FROM recovery_copies c JOIN recovery_points p ON p.id = c.point
         WHERE c.repository = $1 AND c.state <> 'gone' AND c.snapshot IS NOT NULL";
    let order = "ORDER BY c.snapshot LIMIT $2";
    let most = limits::TASK_SNAPSHOTS_MAX;
    let sql = match of {
        None => format!("{from} AND p.state = 'failed' {order}"),
        Some(_) => format!("{from} AND p.state = 'expired' AND p.service = $3 {order}"),
    };
    match of {
        None => conn.query(&sql, args![repository, most], |row| row.get(0)),
        Some(service) => conn.query(&sql, args![repository, most, service], |row| row.get(0)),
    }
}

/// So many services, after that one, with points that were let go and are still in a repository.
pub(crate) fn let_go_of(conn: &mut Conn<'_>, repository: RepositoryId, after: &str, most: u32) -> Result<Vec<String>> {
    let sql = "SELECT DISTINCT p.service FROM recovery_copies c JOIN recovery_points p ON p.id = c.point
         WHERE c.repository = $1 AND c.state <> 'gone' AND c.snapshot IS NOT NULL AND p.state = 'expired' AND p.service > $3 ORDER BY p.service LIMIT $2";
    conn.query(sql, args![repository, most, after], |row| row.get(0))
}

/// So many repositories, after that one, with something to forget.
pub(crate) fn with_leftovers(conn: &mut Conn<'_>, after: &str, most: u32) -> Result<Vec<(RepositoryId, TenantId)>> {
    let sql = "SELECT DISTINCT r.id, r.tenant FROM recovery_copies c JOIN recovery_points p ON p.id = c.point JOIN backup_repositories r ON r.id = c.repository
         WHERE c.state <> 'gone' AND c.snapshot IS NOT NULL AND p.state IN ('expired', 'failed') AND r.id > $2 ORDER BY r.id LIMIT $1";
    conn.query(sql, args![most, after], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// How long what is let go in a repository stays recoverable: the longest that a policy asks for
/// whose points are in it.
pub(crate) fn grace(tx: &mut Tx<'_>, repository: RepositoryId) -> Result<u32> {
    let sql = "SELECT DISTINCT p.policy FROM recovery_copies c JOIN recovery_points p ON p.id = c.point WHERE c.repository = $1";
    let policies: Vec<BackupPolicyId> = tx.query(sql, args![repository], |row| row.get(0))?;
    let mut longest = limits::PRUNE_DELAY_HOURS_MIN;
    for policy in policies {
        longest = longest.max(super::policies::load(tx, policy)?.terms.grace_hours());
    }
    Ok(longest)
}

/// These are not in a repository any more.
pub(crate) fn gone(tx: &mut Tx<'_>, repository: RepositoryId, snapshots: &[String]) -> Result<()> {
    for snapshot in snapshots {
        tx.execute(
            "UPDATE recovery_copies SET state = 'gone', task = NULL WHERE repository = $1 AND snapshot = $2",
            args![repository, snapshot],
        )?;
    }
    Ok(())
}

// What is found of a repository.

/// Copies in a repository that were found whole, not after an instant.
const WHOLE: &str = "FROM recovery_copies c JOIN recovery_points p ON p.id = c.point
     WHERE c.repository = $1 AND c.state = 'verified' AND COALESCE(c.checked_at, 0) <= $2 AND p.state IN ('taking', 'available', 'degraded')";

/// Whether anything in a repository that was found damaged or gone is still said to be whole.
pub(crate) fn is_to_lose(conn: &mut Conn<'_>, losing: &Losing) -> Result<bool> {
    let sql = format!("SELECT p.id {WHOLE} LIMIT 1");
    let one: Option<RecoveryPointId> =
        conn.query_opt(&sql, args![losing.repository, losing.found_at], |row| row.get(0))?;
    Ok(one.is_some())
}

/// Whatever was whole in a repository is not: so many of the points that this is of, those that are being taken or
/// looked at again first, then the newest. They are not completed by themselves, for there is nowhere to bring
/// their copies.
pub(crate) fn lose(tx: &mut Tx<'_>, losing: &Losing, attempts: i64, most: usize) -> Result<Vec<RecoveryPointId>> {
    let (now, repository, problem) = (tx.now, losing.repository, text(&losing.problem)?);
    let sql = format!(
        "SELECT DISTINCT p.id, CASE WHEN p.state = 'taking' THEN 0 ELSE 1 END {WHOLE} ORDER BY 2, 1 DESC LIMIT $3"
    );
    let points: Vec<RecoveryPointId> = tx.query(&sql, args![repository, losing.found_at, most], |row| row.get(0))?;
    for point in &points {
        tx.execute(
            "UPDATE recovery_copies SET state = $3, problem = $4, checked_at = $5 WHERE point = $1 AND repository = $2 AND state = 'verified'",
            args![point, repository, losing.state.word(), problem, now],
        )?;
        tx.execute("UPDATE recovery_points SET attempts = $2 WHERE id = $1", args![point, attempts])?;
    }
    Ok(points)
}

/// A snapshot was looked at on the way, by a look that was asked for at an instant: the points of which a copy
/// stands otherwise now. What was found wrong with a copy since then is not undone by it.
pub(crate) fn seen(
    tx: &mut Tx<'_>,
    repository: RepositoryId,
    asked_at: Timestamp,
    snapshot: &str,
    state: CopyState,
    problem: Option<&Problem>,
) -> Result<Vec<RecoveryPointId>> {
    let (now, problem) = (tx.now, problem.map(text).transpose()?);
    let known_by = if state == CopyState::Verified { asked_at } else { now };
    let sql = "SELECT c.point, c.state FROM recovery_copies c JOIN recovery_points p ON p.id = c.point
         WHERE c.repository = $1 AND c.snapshot = $2 AND c.state IN ('verified', 'damaged', 'missing')
         AND p.state IN ('available', 'degraded', 'lost') AND (c.state = 'verified' OR COALESCE(c.checked_at, 0) <= $3)";
    let known: Vec<(RecoveryPointId, String)> =
        tx.query(sql, args![repository, snapshot, known_by], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for (point, was) in &known {
        tx.execute(
            "UPDATE recovery_copies SET state = $4, problem = $5, checked_at = $6 WHERE point = $1 AND repository = $2 AND snapshot = $3",
            args![point, repository, snapshot, state.word(), problem, now],
        )?;
        // What it lacks elsewhere may be brought by itself again.
        if state == CopyState::Verified && was != state.word() {
            tx.execute("UPDATE recovery_points SET attempts = 0 WHERE id = $1", args![point])?;
        }
    }
    Ok(known.into_iter().filter(|(_, was)| was != state.word()).map(|(point, _)| point).collect())
}

/// Snapshots in a repository that something is wrong with, and those from one to another; of each first those
/// that nobody looked at for longest. What is wrong leaves half of the room to the others.
pub(crate) fn to_look_at(
    conn: &mut Conn<'_>,
    repository: RepositoryId,
    (from, to): (&str, &str),
    limit: usize,
) -> Result<Vec<String>> {
    let of = "SELECT c.snapshot FROM recovery_copies c JOIN recovery_points p ON p.id = c.point
         WHERE c.repository = $1 AND c.snapshot >= $2 AND c.snapshot < $3 AND p.state IN ('available', 'degraded', 'lost')";
    let (wrong, others) = ("c.state IN ('damaged', 'missing')", "c.state = 'verified'");
    let mut all: Vec<String> = Vec::new();
    for (which, from, to, most) in [(wrong, "", "g", limit / 2), (others, from, to, limit)] {
        let sql = format!(
            "{of} AND {which} GROUP BY c.snapshot ORDER BY MIN(COALESCE(c.checked_at, 0)), c.snapshot LIMIT $4"
        );
        let room = i64::try_from(most.saturating_sub(all.len())).unwrap_or(0);
        all.extend(conn.query(&sql, args![repository, from, to, room], |row| row.get::<String>(0))?);
    }
    Ok(all)
}

/// Repositories in directories of a host.
pub(crate) fn in_directories_of(tx: &mut Tx<'_>, host: base::id::HostId) -> Result<Vec<RepositoryId>> {
    let sql = "SELECT r.id, r.place FROM backup_repositories r JOIN backup_places p ON p.id = r.place WHERE p.host = $1 ORDER BY r.id";
    let all: Vec<(RepositoryId, crate::BackupPlaceId)> =
        tx.query(sql, args![host], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut found = Vec::new();
    for (repository, place) in all {
        if super::places::load(tx, place)?.location.host() == Some(host) {
            found.push(repository);
        }
    }
    Ok(found)
}

/// The repositories at a place, each with the number of its copies that were found whole.
pub(crate) fn wholes(conn: &mut Conn<'_>, place: crate::BackupPlaceId) -> Result<Vec<(RepositoryId, i64)>> {
    let sql = "SELECT r.id, (SELECT COUNT(*) FROM recovery_copies c WHERE c.repository = r.id AND c.state = 'verified'
             AND EXISTS (SELECT 1 FROM recovery_points p WHERE p.id = c.point AND p.state IN ('taking', 'available', 'degraded', 'lost')))
         FROM backup_repositories r WHERE r.place = $1 AND r.state = 'made' ORDER BY r.id";
    conn.query(sql, args![place], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// A repository is to be made anew: what was in it is missing, and is brought again from other copies.
pub(crate) fn renew(tx: &mut Tx<'_>, repository: RepositoryId) -> Result<()> {
    let now = tx.now;
    tx.execute(
        "UPDATE backup_repositories SET state = 'new', master = NULL, repository = NULL, made_at = NULL, problem = NULL, task = NULL, checks = 0, reading = NULL, read_at = NULL WHERE id = $1",
        args![repository],
    )?;
    tx.execute(
        "UPDATE recovery_copies SET state = 'missing', snapshot = NULL WHERE repository = $1 AND state IN ('stored', 'damaged', 'missing')
         AND NOT EXISTS (SELECT 1 FROM recovery_points p WHERE p.id = recovery_copies.point AND p.state = 'taking')",
        args![repository],
    )?;
    tx.execute(
        "UPDATE recovery_points SET attempts = 0, closed_at = $2 WHERE state = 'degraded'
         AND EXISTS (SELECT 1 FROM recovery_copies c WHERE c.point = recovery_points.id AND c.repository = $1 AND c.state = 'missing')",
        args![repository, now],
    )
    .map(drop)
}

/// When restores from each repository were right last, since it was made: of a service's machines, and of each of its data sets.
pub(crate) fn proven(conn: &mut Conn<'_>, service: &str) -> Result<Vec<Proven>> {
    let sql = "SELECT CASE WHEN m.kind = 'machine' THEN '' ELSE m.part END, c.repository, MAX(c.drilled_at)
         FROM recovery_points p JOIN recovery_copies c ON c.point = p.id JOIN recovery_parts m ON m.point = c.point AND m.part = c.part
         JOIN backup_repositories r ON r.id = c.repository
         WHERE p.service = $1 AND c.drilled_at IS NOT NULL AND (r.made_at IS NULL OR c.drilled_at >= r.made_at) GROUP BY 1, 2";
    conn.query(sql, args![service], |row| Ok(Proven { part: row.get(0)?, repository: row.get(1)?, at: row.get(2)? }))
}

/// When a restore from a repository was right last.
pub(crate) struct Proven {
    /// The data set; empty for machines.
    pub part: String,
    /// The repository.
    pub repository: RepositoryId,
    /// When.
    pub at: Timestamp,
}
