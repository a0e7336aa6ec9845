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
//! so there is one scheduler that prunes. At servers and buckets this server removes by itself,
//! in a child process: the credential that can is given to no host.

use std::path::PathBuf;
use std::time::Duration;

use base::id::TenantId;
use base::time::{Timestamp, micros};
use base::{Result, limits};
use db::args;
use drivers::wire::{Problem, Work};
use durable::{JobCx, Patience, Registry, jobs};
use gate::{Action, Cx, Effect, Gate, Tx};
use resources::{hosts, tasks};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vault::client::{Cancel, Worker};
use vault::request::{Answer, Task};

use super::points::{self, State};
use super::retention;
use super::{Fact, places, policies, repositories, store};
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
    /// This server has removed snapshots from a repository, or could not.
    Forgotten {
        /// The repository.
        repository: RepositoryId,
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
        Repair::Forgotten { repository, snapshots, problem } => {
            repositories::set_task(tx, *repository, None)?;
            store::gone(tx, *repository, snapshots)?;
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
    let sql = "SELECT policy FROM protections WHERE service = $1";
    let Some(policy) = tx.query_opt(sql, args![service], |row| row.get(0))? else { return Ok(()) };
    let policy = policies::load(tx, policy)?;
    let judged = store::judged(tx, service)?;
    let table = retention::keep(&judged, &policy.terms.retention, &policy.terms.schedule.zone());
    let held = store::last_of_parts(tx, service)?;
    let goes: Vec<_> = table.iter().filter(|verdict| verdict.goes() && !held.contains(&verdict.point)).collect();
    if goes.is_empty() || alarms::holds_points(tx, service)? || !store::may_let_go(tx, &judged, &policy)? {
        return Ok(());
    }
    for verdict in goes {
        // One that never came about says what went wrong: it stays to be read for a month.
        let restorable = judged.iter().any(|point| point.id == verdict.point && point.restorable);
        let recent = micros(tx.now) - micros(verdict.taken_at) < 30 * 86_400 * 1_000_000;
        if !restorable && recent {
            continue;
        }
        let point = points::load(tx, verdict.point)?;
        if store::expire(tx, point.id)? {
            let (id, service) = (point.id.to_string(), point.service.clone());
            tx.fact(Fact::RecoveryPointExpired { point: id, service }, point.tenant)?;
        }
    }
    Ok(())
}

/// Has a repository let go of what belongs to no point; one at a time.
fn forget(tx: &mut Tx<'_>, id: RepositoryId) -> Result<()> {
    let (one, snapshots) = (repositories::load(tx, id)?, store::to_forget(tx, id)?);
    if one.task.is_some() || snapshots.is_empty() {
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
fn remove(gate: &Gate, cx: &JobCx, program: &PathBuf, id: RepositoryId) -> Result<()> {
    let system = Cx::system("continuity", cx.tenant);
    // Read as the platform itself: the secrets stay in this process and its child.
    let asked = gate.perform(&system, RECONCILE.name, Effect::Change, gate::audit::digest(&id), move |tx| {
        Ok((repositories::for_upkeep(tx, id), store::to_forget(tx, id)?, store::grace(tx, id)?))
    })?;
    let (repository, snapshots, grace_hours) = asked;
    let removed = repository.and_then(|repository| {
        let worker = Worker::new(program);
        let ask = |task: Task| worker.run(&repository, &task, &Cancel::new(), &mut |_| {});
        let there: Vec<String> = match ask(Task::Snapshots)? {
            Answer::Snapshots(all) => all.into_iter().map(|snapshot| snapshot.id).collect(),
            _ => Vec::new(),
        };
        let snapshots: Vec<String> = snapshots.iter().filter(|id| there.contains(id)).cloned().collect();
        if !snapshots.is_empty() {
            ask(Task::Forget { snapshots })?;
        }
        ask(Task::Prune { grace_hours })
    });
    let (snapshots, problem) = match removed {
        Ok(_) => (snapshots, None),
        Err(e) => (Vec::new(), Some(super::work::problem(e.code(), e.message()))),
    };
    gate.run(&system, &RECONCILE, Repair::Forgotten { repository: id, snapshots, problem })
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
    let before: Timestamp = gate.now() - COMPLETE_AFTER;
    let found = gate.db().read(move |conn| store::degraded(conn, before))?;
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
    let service = service.to_owned();
    gate.db().read(move |conn| {
        let sql = "SELECT policy FROM protections WHERE service = $1";
        let policy = conn.query_one(sql, args![service], |row| row.get(0))?;
        let terms = policies::load(conn, policy)?.terms;
        let table = retention::keep(&store::judged(conn, &service)?, &terms.retention, &terms.schedule.zone());
        if !table.iter().any(retention::Verdict::goes) || alarms::holds_points(conn, &service)? {
            return Ok(false);
        }
        let held = store::last_of_parts(conn, &service)?;
        Ok(table.iter().any(|verdict| verdict.goes() && !held.contains(&verdict.point)))
    })
}

/// Repositories that hold what belongs to no point any more.
///
/// # Errors
/// Those of the database.
pub fn look_for_leftovers(gate: &Gate) -> Result<()> {
    let found = gate.db().read(store::with_leftovers)?;
    each(found.into_iter().map(|(repository, tenant)| (Repair::Forget { repository }, tenant)), gate);
    Ok(())
}

/// Adds the reconcilers and the job. `program` is `yunwei-vault`.
pub(crate) fn register(registry: Registry, program: PathBuf) -> Registry {
    let seconds = Duration::from_secs;
    let patience = Patience { term: seconds(26 * 3_600), ..Patience::default() };
    registry
        .reconciler("backups.due", seconds(15), look_for_due)
        .reconciler("backups.complete", seconds(120), look_for_incomplete)
        .reconciler("backups.expire", seconds(600), look_for_expired)
        .reconciler("backups.forget", seconds(300), look_for_leftovers)
        .job(FORGET, patience, move |gate, cx, payload: Payload| remove(gate, cx, &program, payload.repository))
}
