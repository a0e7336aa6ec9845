//! Upkeep: what nobody asks for. Backups that are due are begun, points that lack copies are
//! completed, what rules let go is forgotten and pruned.
//!
//! | reconciler | sets right |
//! |---|---|
//! | `backups.due` | services whose next recovery point is due; what was missed is taken once |
//! | `backups.complete` | points that lack copies, less and less often |
//! | `backups.expire` | points that no rule keeps |
//! | `backups.forget` | snapshots that belong to no point any more |
//!
//! Reconcilers run on one server at a time, and a repository has one task that removes at a time:
//! so there is one scheduler that prunes. Whether a point may go is asked twice: when it is let go, and
//! again when what it held is removed. At servers and buckets this server removes by itself,
//! in a child process: the credential that can is given to no host.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base::id::TenantId;
use base::time::{Timestamp, micros};
use base::{Result, limits};
use db::{Conn, args};
use drivers::wire::{Problem, Work};
use durable::{JobCx, JobId, Patience, Registry, jobs};
use gate::{Action, Cx, Effect, Gate, Tx};
use resources::{hosts, tasks};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vault::client::Worker;
use vault::request::{Answer, Task};

use super::findings::{self, Losing};
use super::points::{self, State};
use super::retention;
use super::{Fact, places, policies, repositories, store};
use crate::stopping::heed;
use crate::{RecoveryPointId, RepositoryId, alarms};

/// How long a point that lacks copies is left alone at first; doubled each time.
const COMPLETE_AFTER: Duration = Duration::from_secs(15 * 60);
/// How often it is tried to complete a point.
pub(super) const ATTEMPTS_MAX: i64 = 8;
/// The kind of job that removes at servers and buckets.
const FORGET: &str = "backup.forget";

/// What a reconciler found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "what", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Repair {
    /// A service's recovery point is due.
    Due {
        /// The service.
        service: String,
    },
    /// A point lacks copies.
    Incomplete {
        /// The point.
        point: RecoveryPointId,
    },
    /// Rules may let points of a service go.
    Expire {
        /// The service.
        service: String,
    },
    /// A repository holds what belongs to no point any more.
    Forget {
        /// The repository.
        repository: RepositoryId,
    },
    /// A repository was found damaged or gone, and more copies in it are so.
    Lose(Losing),
    /// This server has removed snapshots from a repository, or could not.
    Forgotten {
        /// The repository.
        repository: RepositoryId,
        /// The job that did.
        job: String,
        /// What is not in it any more.
        snapshots: Vec<String>,
        /// Why not.
        problem: Option<Problem>,
    },
}

/// Sets one thing right. Looks again itself: what was found may have settled.
pub static RECONCILE: Action<Repair, ()> = Action {
    name: "backup.reconcile",
    summary: "Begins backups that are due, completes points, and lets go of what no rule keeps.",
    effect: Effect::Change,
    run: |tx, repair| match repair {
        Repair::Due { service } => due(tx, service),
        Repair::Incomplete { point } => complete(tx, *point),
        Repair::Expire { service } => expire(tx, service),
        Repair::Forget { repository } => forget(tx, *repository),
        Repair::Lose(losing) => findings::go_on(tx, losing, limits::LOST_POINTS_MAX).map(drop),
        Repair::Forgotten { repository, job, snapshots, problem } => {
            store::gone(tx, *repository, snapshots)?;
            // Another may be at work there by now.
            if repositories::load(tx, *repository)?.task.as_ref() != Some(job) {
                return Ok(());
            }
            repositories::set_task(tx, *repository, None)?;
            repositories::set_problem(tx, *repository, problem.as_ref())
        }
    },
};

/// Begins what is due, once however much was missed; not beside a run that is on its way.
fn due(tx: &mut Tx<'_>, service: &str) -> Result<()> {
    let Some(known) = store::protection(tx, service)?.filter(|known| known.next_due <= tx.now) else { return Ok(()) };
    let policy = policies::load(tx, known.policy)?;
    let next = policy.terms.schedule.next(tx.now, service)?;
    store::set_due(tx, service, next)?;
    match store::taking(tx, service)? {
        Some(_) => Ok(()),
        None => points::begin(tx, service, false).map(drop),
    }
}

/// Brings what a point lacks.
fn complete(tx: &mut Tx<'_>, id: RecoveryPointId) -> Result<()> {
    let point = points::load(tx, id)?;
    let waited = point.closed_at.map_or(0, |closed| micros(tx.now) - micros(closed));
    let patience = i64::try_from(COMPLETE_AFTER.as_micros()).unwrap_or(i64::MAX);
    let patience = patience.saturating_mul(1 << point.attempts.clamp(1, 16) >> 1);
    let rest =
        !matches!(point.state, State::Degraded | State::Lost) || point.attempts >= ATTEMPTS_MAX || waited < patience;
    if rest || store::taking(tx, &point.service)?.is_some() {
        return Ok(());
    }
    points::again(tx, &point)
}

/// Lets go of the points that no rule keeps, while the newest good one is there in every place.
fn expire(tx: &mut Tx<'_>, service: &str) -> Result<()> {
    let now = tx.now;
    let goes = going(tx, service, now)?;
    if goes.is_empty() || !may_let_go(tx, service)? {
        return Ok(());
    }
    for id in goes {
        let point = points::load(tx, id)?;
        if store::expire(tx, point.id)? {
            let (id, service) = (point.id.to_string(), point.service.clone());
            tx.fact(Fact::RecoveryPointExpired { point: id, service }, point.tenant)?;
        }
    }
    Ok(())
}

/// The points of a service that no rule keeps.
fn going(conn: &mut Conn<'_>, service: &str, now: Timestamp) -> Result<Vec<RecoveryPointId>> {
    let Some(policy) = store::judge(conn, service)? else { return Ok(Vec::new()) };
    let terms = policies::load(conn, policy)?.terms;
    let judged = store::judged(conn, service)?;
    let table = retention::keep(&judged, &terms.retention, &terms.schedule.zone());
    if !table.iter().any(retention::Verdict::goes) || alarms::holds_points(conn, service)? {
        return Ok(Vec::new());
    }
    let held = store::last_of_parts(conn, service)?;
    // One that never came about says what went wrong: it stays to be read for a month.
    let old = |verdict: &retention::Verdict| micros(now) - micros(verdict.taken_at) >= 30 * 86_400 * 1_000_000;
    let came = |id| judged.iter().any(|point| point.id == id && (point.restorable || point.lost));
    let goes = table.iter().filter(|verdict| verdict.goes() && !held.contains(&verdict.point));
    Ok(goes.filter(|verdict| came(verdict.point) || old(verdict)).map(|verdict| verdict.point).collect())
}

/// Whether anything that was kept of a service may be let go now, and removed.
fn may_let_go(conn: &mut Conn<'_>, service: &str) -> Result<bool> {
    let Some(policy) = store::judge(conn, service)? else { return Ok(false) };
    if alarms::holds_points(conn, service)? {
        return Ok(false);
    }
    let (policy, judged) = (policies::load(conn, policy)?, store::judged(conn, service)?);
    store::may_let_go(conn, &judged, &policy)
}

/// What may be removed from a repository. That a point may be let go was decided some time ago: where the good
/// ones on the strength of which that was are not there any more, or somebody holds what there is, what is left
/// of it stays.
fn to_forget(conn: &mut Conn<'_>, id: RepositoryId) -> Result<Vec<String>> {
    by_pages(conn, id, limits::PAGE_MAX)
}

/// [`to_forget`], so many services at a time: what is held takes nobody's place.
pub(super) fn by_pages(conn: &mut Conn<'_>, id: RepositoryId, page: u32) -> Result<Vec<String>> {
    let (mut all, mut after) = (store::left(conn, id, None)?, String::new());
    loop {
        let services = store::let_go_of(conn, id, &after, page)?;
        let Some(last) = services.last() else { break };
        after.clone_from(last);
        for service in services {
            if all.len() < limits::TASK_SNAPSHOTS_MAX && may_let_go(conn, &service)? {
                all.extend(store::left(conn, id, Some(&service))?);
            }
        }
        if all.len() >= limits::TASK_SNAPSHOTS_MAX {
            break;
        }
    }
    all.truncate(limits::TASK_SNAPSHOTS_MAX);
    Ok(all)
}

/// Whether somebody is at work on a repository: a host, or a job of this server that was not given up.
fn is_busy(conn: &mut Conn<'_>, one: &repositories::BackupRepository) -> Result<bool> {
    match one.task.as_ref().map(|task| task.parse::<JobId>()) {
        Some(Ok(job)) => jobs::is_open(conn, job),
        task => Ok(task.is_some()),
    }
}

/// Whether anything would be removed from a repository: what is held needs no entry each time.
fn would_forget(gate: &Gate, id: RepositoryId) -> Result<bool> {
    gate.db().read(move |conn| {
        let one = repositories::load(conn, id)?;
        Ok(!is_busy(conn, &one)? && !to_forget(conn, id)?.is_empty())
    })
}

/// Has a repository let go of what belongs to no point; one at a time.
fn forget(tx: &mut Tx<'_>, id: RepositoryId) -> Result<()> {
    let (one, snapshots) = (repositories::load(tx, id)?, to_forget(tx, id)?);
    if snapshots.is_empty() || is_busy(tx, &one)? {
        return Ok(());
    }
    let Some(host) = places::load(tx, one.place)?.location.host() else {
        let job = jobs::enqueue(tx, FORGET, Payload { repository: id }, None)?;
        return repositories::set_task(tx, id, Some(&job.to_string()));
    };
    if hosts::load(tx, host)?.state == hosts::State::Retired {
        let problem = super::work::problem("task.host_gone", "the host of this directory was retired");
        return repositories::set_problem(tx, id, Some(&problem));
    }
    let (task, grace_hours) = (tasks::fresh(tx)?, store::grace(tx, id)?);
    let work = Work::ForgetSnapshots { snapshots, grace_hours };
    tasks::put(tx, host, &task, &work, (repositories::KIND, &id.to_string()))?;
    repositories::set_task(tx, id, Some(task.as_str()))
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Payload {
    repository: RepositoryId,
}

/// Removes at a server or in a bucket, from this server, in a child process.
fn remove(gate: &Gate, cx: &JobCx, program: &Path, id: RepositoryId) -> Result<()> {
    let (system, job) = (Cx::system("continuity", cx.tenant), cx.id.to_string());
    let own = job.clone();
    // Read as the platform itself: the secrets stay in this process and its child.
    let asked = gate.perform(&system, RECONCILE.name, Effect::Change, gate::audit::digest(&id), move |tx| {
        // One that died and was tried again by hand may have been replaced meanwhile.
        if repositories::load(tx, id)?.task.as_ref() != Some(&own) {
            return Ok(None);
        }
        Ok(Some((repositories::for_upkeep(tx, id), to_forget(tx, id)?, store::grace(tx, id)?)))
    })?;
    let Some((repository, snapshots, grace_hours)) = asked else { return Ok(()) };
    jobs::moment(gate)?;
    let worker = Worker::new(program);
    let removed = repository.and_then(|repository| {
        let ask = |task: Task| heed(gate, |cancel| worker.run(&repository, &task, cancel, &mut |_| {}));
        removed(gate, &ask, &snapshots, grace_hours)
    });
    jobs::moment(gate)?;
    let (snapshots, problem) = match removed {
        Ok(()) => (snapshots, None),
        Err(e) if durable::is_stopped(&e) => return Err(e),
        Err(e) => (Vec::new(), Some(super::work::problem(e.code(), e.message()))),
    };
    gate.run(&system, &RECONCILE, Repair::Forgotten { repository: id, job, snapshots, problem })
}

/// Removes snapshots from a repository, where they are still there, and what they alone held.
fn removed(gate: &Gate, ask: &dyn Fn(Task) -> Result<Answer>, snapshots: &[String], grace_hours: u32) -> Result<()> {
    if !snapshots.is_empty() {
        ask(Task::Forget { snapshots: snapshots.to_vec() })?;
    }
    jobs::moment(gate)?;
    ask(Task::Prune { grace_hours }).map(drop)
}

fn repair(gate: &Gate, repair: Repair, tenant: TenantId) -> Result<()> {
    gate.run(&Cx::system("continuity", tenant), &RECONCILE, repair)
}

/// One that fails must not keep the others waiting.
fn each(found: impl IntoIterator<Item = (Repair, TenantId)>, gate: &Gate) {
    for (what, tenant) in found {
        if let Err(e) = repair(gate, what.clone(), tenant) {
            tracing::warn!(?what, error = ?e, "a backup could not be looked after; it will be tried again");
        }
    }
}

/// Services that are due.
///
/// # Errors
/// Those of the database.
pub fn look_for_due(gate: &Gate) -> Result<()> {
    let now = gate.now();
    let found = gate.db().read(move |conn| store::due(conn, now))?;
    each(found.into_iter().map(|(service, tenant)| (Repair::Due { service }, tenant)), gate);
    Ok(())
}

/// Points that lack copies.
///
/// # Errors
/// Those of the database.
pub fn look_for_incomplete(gate: &Gate) -> Result<()> {
    let now = gate.now();
    let found = gate.db().read(move |conn| store::degraded(conn, now, COMPLETE_AFTER, ATTEMPTS_MAX))?;
    each(found.into_iter().map(|(point, tenant)| (Repair::Incomplete { point }, tenant)), gate);
    Ok(())
}

/// Points that no rule keeps.
///
/// # Errors
/// Those of the database.
pub fn look_for_expired(gate: &Gate) -> Result<()> {
    let mut after = String::new();
    loop {
        let from = after.clone();
        let page: Vec<(String, TenantId)> = gate.db().read(move |conn| {
            let sql = "SELECT service, tenant FROM protections WHERE service > $1 ORDER BY service LIMIT $2";
            conn.query(sql, args![from, limits::PAGE_MAX], |row| Ok((row.get(0)?, row.get(1)?)))
        })?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after.clone_from(last);
        let mut found = Vec::new();
        for (service, tenant) in page {
            if would_expire(gate, &service)? {
                found.push((Repair::Expire { service }, tenant));
            }
        }
        each(found, gate);
    }
}

/// Whether anything would go: nearly always nothing, and that needs no transaction and no entry.
fn would_expire(gate: &Gate, service: &str) -> Result<bool> {
    let (service, now) = (service.to_owned(), gate.now());
    gate.db().read(move |conn| going(conn, &service, now).map(|goes| !goes.is_empty()))
}

/// Repositories that hold what belongs to no point any more.
///
/// # Errors
/// Those of the database.
pub fn look_for_leftovers(gate: &Gate) -> Result<()> {
    leftovers(gate, limits::PAGE_MAX)
}

/// So many repositories at a time: what is held takes nobody's place.
pub(super) fn leftovers(gate: &Gate, page: u32) -> Result<()> {
    let mut after = String::new();
    loop {
        let from = after.clone();
        let found = gate.db().read(move |conn| store::with_leftovers(conn, &from, page))?;
        let Some((last, _)) = found.last() else { return Ok(()) };
        after = last.to_string();
        for (repository, tenant) in found {
            // What cannot be told is said where it fails.
            if would_forget(gate, repository).unwrap_or(true) {
                each([(Repair::Forget { repository }, tenant)], gate);
            }
        }
    }
}

/// Adds the reconcilers and the job. `program` is `yunwei-vault`.
pub(crate) fn register(registry: Registry, program: PathBuf) -> Registry {
    let seconds = Duration::from_secs;
    let patience = Patience { term: seconds(26 * 3_600), ..Patience::default() };
    findings::register(registry)
        .reconciler("backups.due", seconds(15), look_for_due)
        .reconciler("backups.complete", seconds(120), look_for_incomplete)
        .reconciler("backups.expire", seconds(600), look_for_expired)
        .reconciler("backups.forget", seconds(300), look_for_leftovers)
        .job(FORGET, patience, move |gate, cx, payload: Payload| remove(gate, cx, &program, payload.repository))
}
