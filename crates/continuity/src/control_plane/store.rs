//! Rows of the platform's own points.

use base::time::Timestamp;
use base::{Error, Result};
use db::{Conn, Row, args};
use drivers::wire::Problem;
use gate::Tx;
use serde_json::Value as Json;

use super::points::{Copy, CopyState, Point};
use crate::backups::places::BackupPlace;
use crate::backups::points::State;
use crate::backups::policies::BackupPolicy;
use crate::backups::{places, retention, text};
use crate::{BackupPlaceId, BackupPolicyId, ControlPlanePointId, RecoveryPointId};

/// By which policy, and when next.
pub(crate) struct Settings {
    pub policy: BackupPolicyId,
    pub next_due: Timestamp,
    pub kit_at: Option<Timestamp>,
    /// The places that the kit knows, as their ids.
    pub kit_of: Option<String>,
}

pub(crate) fn settings(conn: &mut Conn<'_>) -> Result<Option<Settings>> {
    conn.query_opt("SELECT policy, next_due, kit_at, kit_of FROM control_plane WHERE place = 1", &[], |row| {
        Ok(Settings { policy: row.get(0)?, next_due: row.get(1)?, kit_at: row.get(2)?, kit_of: row.get(3)? })
    })
}

pub(crate) fn protect(tx: &mut Tx<'_>, policy: BackupPolicyId, due: Timestamp) -> Result<()> {
    tx.execute(
        "INSERT INTO control_plane (place, policy, next_due) VALUES (1, $1, $2)
         ON CONFLICT (place) DO UPDATE SET policy = excluded.policy, next_due = excluded.next_due",
        args![policy, due],
    )
    .map(drop)
}

pub(crate) fn set_due(tx: &mut Tx<'_>, due: Timestamp) -> Result<()> {
    tx.execute("UPDATE control_plane SET next_due = $1", args![due]).map(drop)
}

pub(crate) fn set_kit(tx: &mut Tx<'_>, places: &[BackupPlaceId]) -> Result<()> {
    let (now, places) = (tx.now, text(&places)?);
    tx.execute("UPDATE control_plane SET kit_at = $1, kit_of = $2", args![now, places]).map(drop)
}

/// The instant of the newest point that something can be restored from.
pub(crate) fn newest(conn: &mut Conn<'_>) -> Result<Option<Timestamp>> {
    let sql = "SELECT MAX(taken_at) FROM control_plane_points WHERE state IN ('available', 'degraded')";
    conn.query_one(sql, &[], |row| row.get(0))
}

/// By which policy the platform is kept, and the instant of its newest point: where there is none, of the
/// first attempt at one. Nothing where it is not kept, or nothing was due yet.
pub(crate) fn kept_until(conn: &mut Conn<'_>) -> Result<Option<(BackupPolicyId, Timestamp)>> {
    let Some(settings) = settings(conn)? else { return Ok(None) };
    let first = |conn: &mut Conn<'_>| {
        conn.query_one("SELECT MIN(requested_at) FROM control_plane_points", &[], |row| row.get::<Option<Timestamp>>(0))
    };
    let since = match newest(conn)? {
        Some(newest) => Some(newest),
        None => first(conn)?,
    };
    Ok(since.map(|since| (settings.policy, since)))
}

/// When it last changed where the platform's copies lie or what opens the places.
pub(crate) fn access_changed_at(conn: &mut Conn<'_>) -> Result<Option<Timestamp>> {
    let sql = "SELECT MAX(c.set_at) FROM backup_credentials c WHERE c.tenant IN ($1, '')";
    conn.query_one(sql, args![super::REPOSITORY], |row| row.get(0))
}

const POINT: &str =
    "SELECT id, policy, state, problem, requested_at, taken_at, closed_at, bytes FROM control_plane_points";

fn damaged() -> Error {
    Error::bug("controlPlane.damaged", "a stored point of the platform does not read")
}

fn problem(value: Option<Json>) -> Result<Option<Problem>> {
    value.map(|value| serde_json::from_value(value).map_err(|e| damaged().because(e))).transpose()
}

fn read(row: &Row) -> Result<Point> {
    let state: String = row.get(2)?;
    Ok(Point {
        id: row.get(0)?,
        policy: row.get(1)?,
        state: State::ALL.into_iter().find(|known| known.word() == state).ok_or_else(damaged)?,
        problem: problem(row.get(3)?)?,
        requested_at: row.get(4)?,
        taken_at: row.get(5)?,
        closed_at: row.get(6)?,
        bytes: row.get::<Option<i64>>(7)?.and_then(|bytes| u64::try_from(bytes).ok()),
        copies: Vec::new(),
    })
}

fn read_copy(row: &Row) -> Result<Copy> {
    let state: String = row.get(2)?;
    Ok(Copy {
        place: row.get(0)?,
        place_name: row.get(1)?,
        state: CopyState::ALL.into_iter().find(|known| known.word() == state).ok_or_else(damaged)?,
        snapshot: row.get(3)?,
        problem: problem(row.get(4)?)?,
        checked_at: row.get(5)?,
        drilled_at: row.get(6)?,
    })
}

fn with_copies(conn: &mut Conn<'_>, mut point: Point) -> Result<Point> {
    let sql = "SELECT c.place, p.name, c.state, c.snapshot, c.problem, c.checked_at, c.drilled_at FROM control_plane_copies c JOIN backup_places p ON p.id = c.place WHERE c.point = $1 ORDER BY c.position";
    point.copies = conn.query(sql, args![point.id], read_copy)?;
    Ok(point)
}

pub(crate) fn point(conn: &mut Conn<'_>, id: ControlPlanePointId) -> Result<Option<Point>> {
    let found = conn.query_opt(&format!("{POINT} WHERE id = $1"), args![id], read)?;
    found.map(|point| with_copies(conn, point)).transpose()
}

/// The newest so many, newest first.
pub(crate) fn points(conn: &mut Conn<'_>, most: i64) -> Result<Vec<Point>> {
    let found = conn.query(&format!("{POINT} ORDER BY id DESC LIMIT $1"), args![most], read)?;
    found.into_iter().map(|point| with_copies(conn, point)).collect()
}

/// The points that are kept, as the rules of retention see them: they speak of recovery points, the
/// same numbers under another name.
pub(crate) fn judged(conn: &mut Conn<'_>) -> Result<Vec<retention::Point>> {
    let sql = "SELECT id, state, COALESCE(taken_at, closed_at) FROM control_plane_points WHERE state NOT IN ('taking', 'expired') AND closed_at IS NOT NULL";
    conn.query(sql, &[], |row| {
        let (id, state): (ControlPlanePointId, String) = (row.get(0)?, row.get(1)?);
        let good = state == State::Available.word();
        let (restorable, lost) = (good || state == State::Degraded.word(), state == State::Lost.word());
        Ok(retention::Point { id: RecoveryPointId(id.0), taken_at: row.get(2)?, restorable, lost, good })
    })
}

/// The point that is being taken.
pub(crate) fn taking(conn: &mut Conn<'_>) -> Result<Option<ControlPlanePointId>> {
    conn.query_opt("SELECT id FROM control_plane_points WHERE state = 'taking'", &[], |row| row.get(0))
}

/// A point to come, with its copies to come.
pub(crate) fn insert(tx: &mut Tx<'_>, id: ControlPlanePointId, policy: &BackupPolicy) -> Result<()> {
    let now = tx.now;
    let sql = "INSERT INTO control_plane_points (id, policy, state, requested_at) VALUES ($1, $2, 'taking', $3)";
    tx.execute(sql, args![id, policy.id, now])?;
    for (position, place) in policy.terms.places.iter().enumerate() {
        let sql = "INSERT INTO control_plane_copies (point, position, place, state) VALUES ($1, $2, $3, 'pending')";
        tx.execute(sql, args![id, position, place])?;
    }
    Ok(())
}

/// Where a point's copies go.
pub(crate) fn wanted(tx: &mut Tx<'_>, id: ControlPlanePointId) -> Result<Vec<BackupPlace>> {
    let sql = "SELECT place FROM control_plane_copies WHERE point = $1 ORDER BY position";
    let ids: Vec<BackupPlaceId> = tx.query(sql, args![id], |row| row.get(0))?;
    ids.into_iter().map(|id| places::load(tx, id)).collect()
}

pub(crate) fn copied(
    tx: &mut Tx<'_>,
    point: ControlPlanePointId,
    place: BackupPlaceId,
    snapshot: Option<&str>,
    problem: Option<&Problem>,
) -> Result<()> {
    let state = if problem.is_none() { CopyState::Verified } else { CopyState::Failed };
    let (problem, now) = (problem.map(text).transpose()?, tx.now);
    tx.execute(
        "UPDATE control_plane_copies SET state = $3, snapshot = $4, problem = $5, checked_at = $6 WHERE point = $1 AND place = $2 AND state <> 'gone'",
        args![point, place, state.word(), snapshot, problem, now],
    )
    .map(drop)
}

pub(crate) fn close(
    tx: &mut Tx<'_>,
    id: ControlPlanePointId,
    state: State,
    taken_at: Option<Timestamp>,
    bytes: u64,
    problem: Option<&Problem>,
) -> Result<()> {
    let (problem, now) = (problem.map(text).transpose()?, tx.now);
    tx.execute(
        "UPDATE control_plane_points SET state = $2, taken_at = $3, bytes = $4, problem = $5, closed_at = $6 WHERE id = $1",
        args![id, state.word(), taken_at, bytes, problem, now],
    )
    .map(drop)
}

pub(crate) fn expire(tx: &mut Tx<'_>, id: ControlPlanePointId) -> Result<()> {
    tx.execute("UPDATE control_plane_points SET state = 'expired' WHERE id = $1 AND state <> 'taking'", args![id])
        .map(drop)
}

/// The snapshots at a place that points hold: everything else there may go.
pub(crate) fn held(conn: &mut Conn<'_>, place: BackupPlaceId) -> Result<Vec<String>> {
    let sql = "SELECT c.snapshot FROM control_plane_copies c JOIN control_plane_points p ON p.id = c.point WHERE c.place = $1 AND c.snapshot IS NOT NULL AND c.state <> 'gone' AND p.state <> 'expired'";
    conn.query(sql, args![place], |row| row.get(0))
}

/// The snapshots at a place of points that were let go.
pub(crate) fn let_go_of(conn: &mut Conn<'_>, place: BackupPlaceId) -> Result<Vec<String>> {
    let sql = "SELECT c.snapshot FROM control_plane_copies c JOIN control_plane_points p ON p.id = c.point WHERE c.place = $1 AND c.snapshot IS NOT NULL AND c.state <> 'gone' AND p.state = 'expired'";
    conn.query(sql, args![place], |row| row.get(0))
}

/// Whatever was whole at a place is not, and the points that this is of are what is left of them: how many
/// copies that are.
pub(crate) fn lose(tx: &mut Tx<'_>, place: BackupPlaceId, state: CopyState, problem: &Problem) -> Result<u64> {
    let (now, problem) = (tx.now, text(problem)?);
    let lost = tx.execute(
        "UPDATE control_plane_copies SET state = $2, problem = $3, checked_at = $4 WHERE place = $1 AND state = 'verified'
         AND point IN (SELECT p.id FROM control_plane_points p WHERE p.state IN ('taking', 'available', 'degraded'))",
        args![place, state.word(), problem, now],
    )?;
    rejudge(tx, place)?;
    Ok(lost)
}

/// Snapshots were found not to be at a place any more: how many copies that changes.
pub(crate) fn set_missing(
    tx: &mut Tx<'_>,
    place: BackupPlaceId,
    snapshots: &[String],
    problem: &Problem,
) -> Result<u64> {
    let (now, problem) = (tx.now, text(problem)?);
    let mut changed = 0;
    for snapshot in snapshots {
        let sql = "UPDATE control_plane_copies SET state = 'missing', problem = $3, checked_at = $4 WHERE place = $1 AND snapshot = $2 AND state IN ('verified', 'damaged')";
        changed += tx.execute(sql, args![place, snapshot, problem, now])?;
    }
    rejudge(tx, place)?;
    Ok(changed)
}

/// Snapshots at a place were found whole by a look that was asked for at an instant: what was found wrong
/// with one since is not undone by it.
pub(crate) fn set_whole(
    tx: &mut Tx<'_>,
    place: BackupPlaceId,
    asked_at: Timestamp,
    snapshots: &[String],
) -> Result<()> {
    let now = tx.now;
    for snapshot in snapshots {
        let sql = "UPDATE control_plane_copies SET state = 'verified', problem = NULL, checked_at = $4 WHERE place = $1 AND snapshot = $2 AND state IN ('damaged', 'missing') AND checked_at <= $3";
        tx.execute(sql, args![place, snapshot, asked_at, now])?;
    }
    rejudge(tx, place)
}

/// The points that were good and have a copy at a place are what their copies are now.
fn rejudge(tx: &mut Tx<'_>, place: BackupPlaceId) -> Result<()> {
    tx.execute(
        "UPDATE control_plane_points SET
           problem = (SELECT c.problem FROM control_plane_copies c WHERE c.point = control_plane_points.id AND c.state <> 'verified' AND c.problem IS NOT NULL ORDER BY c.position LIMIT 1),
           state = CASE WHEN NOT EXISTS (SELECT 1 FROM control_plane_copies c WHERE c.point = control_plane_points.id AND c.state = 'verified') THEN 'lost'
             WHEN EXISTS (SELECT 1 FROM control_plane_copies c WHERE c.point = control_plane_points.id AND c.state <> 'verified') THEN 'degraded'
             ELSE 'available' END
         WHERE state IN ('available', 'degraded', 'lost')
           AND EXISTS (SELECT 1 FROM control_plane_copies c WHERE c.point = control_plane_points.id AND c.place = $1)",
        args![place],
    )
    .map(drop)
}

/// The copies at a place of points that are kept, as they are known to be, by their snapshots.
pub(crate) fn known_at(conn: &mut Conn<'_>, place: BackupPlaceId) -> Result<Vec<(String, CopyState)>> {
    let sql = "SELECT c.snapshot, c.state FROM control_plane_copies c JOIN control_plane_points p ON p.id = c.point
         WHERE c.place = $1 AND c.snapshot IS NOT NULL AND p.state IN ('available', 'degraded', 'lost')";
    conn.query(sql, args![place], |row| {
        let state: String = row.get(1)?;
        Ok((row.get(0)?, CopyState::ALL.into_iter().find(|known| known.word() == state).ok_or_else(damaged)?))
    })
}

/// Places with copies of kept points that were whole once and are not.
pub(crate) fn with_losses(conn: &mut Conn<'_>) -> Result<Vec<BackupPlaceId>> {
    let sql = "SELECT DISTINCT c.place FROM control_plane_copies c JOIN control_plane_points p ON p.id = c.point
         WHERE c.state IN ('damaged', 'missing') AND p.state IN ('available', 'degraded', 'lost')";
    conn.query(sql, &[], |row| row.get(0))
}

/// How the newest point stands that is not being taken.
pub(crate) fn newest_state(conn: &mut Conn<'_>) -> Result<Option<State>> {
    let sql = "SELECT state FROM control_plane_points WHERE state <> 'taking' ORDER BY id DESC LIMIT 1";
    let found: Option<String> = conn.query_opt(sql, &[], |row| row.get(0))?;
    Ok(found.and_then(|state| State::ALL.into_iter().find(|known| known.word() == state)))
}

/// Where a point has copies that were found whole.
pub(crate) fn whole_at(conn: &mut Conn<'_>, point: ControlPlanePointId) -> Result<Vec<BackupPlaceId>> {
    let sql = "SELECT place FROM control_plane_copies WHERE point = $1 AND state = 'verified' ORDER BY position";
    conn.query(sql, args![point], |row| row.get(0))
}

/// Whether kept points have copies at a place that were whole and were found damaged.
pub(crate) fn has_damaged(conn: &mut Conn<'_>, place: BackupPlaceId) -> Result<bool> {
    let sql = "SELECT COUNT(*) FROM control_plane_copies c JOIN control_plane_points p ON p.id = c.point
         WHERE c.place = $1 AND c.state = 'damaged' AND p.state IN ('available', 'degraded', 'lost')";
    conn.query_one(sql, args![place], |row| row.get::<i64>(0)).map(|damaged| damaged > 0)
}

/// Whether what is at a place was found damaged, and nothing there was found whole since; a point's own copy
/// does not count.
pub(crate) fn is_doubted(conn: &mut Conn<'_>, own: ControlPlanePointId, place: BackupPlaceId) -> Result<bool> {
    if has_damaged(conn, place)? {
        return Ok(true);
    }
    // What has a snapshot was found whole when it was written, whatever became of it since.
    let sql = "SELECT c.problem FROM control_plane_copies c WHERE c.place = $1 AND c.point <> $2 AND c.checked_at IS NOT NULL
         AND (c.problem IS NULL OR c.snapshot IS NOT NULL OR c.problem LIKE '%\"repository.damaged\"%' OR c.problem LIKE '%\"repository.incomplete\"%')
         ORDER BY c.point DESC LIMIT 1";
    let last: Option<Option<String>> = conn.query_opt(sql, args![place, own], |row| row.get(0))?;
    let is_damage = |problem: String| {
        ["\"repository.damaged\"", "\"repository.incomplete\""].iter().any(|code| problem.contains(code))
    };
    Ok(last.flatten().is_some_and(is_damage))
}

pub(crate) fn gone(tx: &mut Tx<'_>, place: BackupPlaceId, snapshots: &[String]) -> Result<()> {
    for snapshot in snapshots {
        let sql = "UPDATE control_plane_copies SET state = 'gone' WHERE place = $1 AND snapshot = $2";
        tx.execute(sql, args![place, snapshot])?;
    }
    Ok(())
}

/// The newest point of not after an instant with a copy that was found whole at one of these places, and
/// how many bytes it holds.
pub(crate) fn newest_at(
    conn: &mut Conn<'_>,
    places: &[BackupPlaceId],
    not_after: Timestamp,
) -> Result<Option<(ControlPlanePointId, u64)>> {
    let sql = "SELECT p.id, p.bytes, c.place FROM control_plane_points p JOIN control_plane_copies c ON c.point = p.id
         WHERE p.state IN ('available', 'degraded') AND p.taken_at <= $1 AND c.state = 'verified' ORDER BY p.taken_at DESC, p.id DESC";
    let good: Vec<(ControlPlanePointId, Option<i64>, BackupPlaceId)> =
        conn.query(sql, args![not_after], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let found = good.into_iter().find(|(_, _, place)| places.contains(place));
    Ok(found.map(|(point, bytes, _)| (point, bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0))))
}

/// What a drill that passed hashed a point to.
pub(crate) fn digest(conn: &mut Conn<'_>, point: ControlPlanePointId) -> Result<Option<String>> {
    let sql = "SELECT digest FROM control_plane_points WHERE id = $1";
    let found: Option<Option<String>> = conn.query_opt(sql, args![point], |row| row.get(0))?;
    Ok(found.flatten())
}

/// A drill brought the platform back from a copy, and what came of it was right.
pub(crate) fn proven(tx: &mut Tx<'_>, point: ControlPlanePointId, place: BackupPlaceId, digest: &str) -> Result<()> {
    let now = tx.now;
    let sql = "UPDATE control_plane_copies SET drilled_at = $3 WHERE point = $1 AND place = $2";
    tx.execute(sql, args![point, place, now])?;
    let sql = "UPDATE control_plane_points SET digest = COALESCE(digest, $2) WHERE id = $1";
    tx.execute(sql, args![point, digest]).map(drop)
}
