//! Databases that were dropped: the data sets of services come back, machines are not touched.
//!
//! ```text
//!   decide: newest copy ─► key ─► the host's task: restore · answer · newest record · nothing left
//!                                    └─ where it came to nothing: a second task, until nothing is left
//! ```
//!
//! To load a dump or to recover a server is to run what its owner left in it, on the operator's host:
//! plans about databases are made, changed and run by who may use that host ([`permit`]).

use std::collections::BTreeSet;
use std::time::Duration;

use base::id::{HostId, TenantId};
use base::time::Timestamp;
use base::{Error, Result};
use drivers::wire::{DataDrilled, DataSource, Marker, Outcome, Problem, Work};
use durable::Progress;
use gate::Tx;
use resources::hosts;
use resources::tasks::{self, Task};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::plans::{Scenario, invalid};
use super::rules::Phase;
use super::runs::{self, DrillRun, Restored};
use super::scope::{SERVICES_MAX, Scope};
use super::work::{AHEAD, ask, task};
use super::{KIND, key};
use crate::backups::repositories;
use crate::datasets::{self, DataSet, restores};
use crate::recoveries::{self, Choice, Purpose};
use crate::{BackupPlaceId, DataSetId, RecoveryId};

/// How long is waited before a host is asked again to take away what is left.
const AGAIN: Duration = Duration::from_secs(60);
/// Why a host is never given what opens a repository or a server.
const REFUSED: [&str; 2] = ["dataSet.stale", "recovery.no_copy"];

/// A database that was dropped, and how its newest record is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LostDatabase {
    /// The data set that it is in; one of the plan's services'.
    pub data_set: DataSetId,
    /// Its name at its server.
    pub database: String,
    /// Where its newest record is.
    pub marker: Marker,
}

/// A database on its way back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Database {
    /// The data set that it is in.
    pub data_set: DataSetId,
    /// Its name at its server.
    pub database: String,
    /// Where its newest record is.
    pub marker: Marker,
    /// The host whose agent brings it back.
    pub host: Option<HostId>,
    /// The snapshot in the repository.
    pub snapshot: Option<String>,
    /// As of when it comes back: nothing that was written later can be in it.
    #[schemars(with = "Option<String>")]
    pub until: Option<Timestamp>,
    /// The later snapshot whose logs lead there.
    pub logs: Option<String>,
    /// Bytes that came out of the repository.
    pub bytes: Option<u64>,
    /// Digest over them, as hashed where they came to.
    pub digest: Option<String>,
    /// Of a dump: how many tables it has.
    pub tables: Option<u64>,
    /// What the data set was when it was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<DataSource>,
    /// The instant that a server is recovered to; its newest where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub(crate) at: Option<Timestamp>,
    /// Whether it is all of its data set.
    #[serde(default)]
    pub(crate) whole: bool,
    /// What keeps the point of the logs meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) logs_recovery: Option<RecoveryId>,
    /// The host's task that brings it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) task: Option<String>,
    /// The host's task that takes away what the first one left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) end_task: Option<String>,
}

impl Database {
    fn new(lost: &LostDatabase) -> Database {
        Database {
            data_set: lost.data_set,
            database: lost.database.clone(),
            marker: lost.marker.clone(),
            host: None,
            snapshot: None,
            until: None,
            logs: None,
            bytes: None,
            digest: None,
            tables: None,
            source: None,
            at: None,
            whole: false,
            logs_recovery: None,
            task: None,
            end_task: None,
        }
    }

    /// The snapshots that it is made from.
    pub(crate) fn snapshots(&self) -> impl Iterator<Item = &String> {
        self.snapshot.iter().chain(&self.logs)
    }
}

// What can be planned, and by whom.

/// What can be said without looking anything up.
pub(super) fn check(lost: &[LostDatabase], scope: &Scope) -> Result<()> {
    let distinct: BTreeSet<_> = lost.iter().map(|one| (one.data_set, &one.database)).collect();
    if lost.is_empty() || lost.len() > SERVICES_MAX || distinct.len() != lost.len() {
        let message = format!("from 1 to {SERVICES_MAX} databases are dropped, each once");
        return Err(invalid("drillPlan.scenario", message, "scenario"));
    }
    if matches!(scope, Scope::Site { .. }) {
        let message = "databases are dropped of services that the plan names, not of a whole site";
        return Err(invalid("drillPlan.scenario", message, "scenario"));
    }
    lost.iter().try_for_each(|one| one.marker.check())
}

/// Whether the databases are of these services, and some of each.
pub(super) fn belong(tx: &mut Tx<'_>, lost: &[LostDatabase], tenant: TenantId, services: &[String]) -> Result<()> {
    let mut with = BTreeSet::new();
    for one in lost {
        let absent = || Error::dangling("dataSet.absent", format!("there is no data set {}", one.data_set));
        let set = datasets::load(tx, one.data_set).ok().filter(|set| set.tenant == tenant);
        let set = set.ok_or_else(|| absent().at("scenario"))?;
        if set.source.server().is_none() {
            let message = format!("{} holds files: name a data set with databases", set.name);
            return Err(invalid("drillPlan.scenario", message, "scenario"));
        }
        one.marker.fits(&set.source)?;
        with.insert(set.service);
    }
    if services.iter().any(|service| !with.contains(service)) || with.iter().any(|one| !services.contains(one)) {
        let message =
            "the plan's services are those of its databases: name for each service at least one, and no other's";
        return Err(invalid("drillPlan.scenario", message, "scenario"));
    }
    Ok(())
}

/// Whether the actor may have these databases brought back: the operator's hosts do it.
///
/// # Errors
/// `Forbidden` (`dataRestore.operator`).
pub(super) fn permit(tx: &mut Tx<'_>, action: &str, scenario: &Scenario) -> Result<()> {
    let Scenario::DatabaseLost { databases } = scenario else { return Ok(()) };
    for one in databases {
        let set = datasets::load(tx, one.data_set)?;
        restores::may_run(tx, action, &set).map_err(|e| e.at("scenario"))?;
    }
    Ok(())
}

/// A service is no more, and its databases with it.
pub(super) fn without(tx: &mut Tx<'_>, scenario: &mut Scenario, service: &str) -> Result<()> {
    let Scenario::DatabaseLost { databases } = scenario else { return Ok(()) };
    let mut left = Vec::with_capacity(databases.len());
    for one in databases.drain(..) {
        if datasets::load(tx, one.data_set)?.service != service {
            left.push(one);
        }
    }
    *databases = left;
    Ok(())
}

// A run.

/// What comes back of a plan's services: for each of them its databases, instead of its machines.
pub(super) fn instead(tx: &mut Tx<'_>, scenario: &Scenario, services: Vec<Restored>) -> Result<Vec<Restored>> {
    let Scenario::DatabaseLost { databases } = scenario else { return Ok(services) };
    let mut all = Vec::new();
    for service in services {
        for lost in databases {
            let set = datasets::load(tx, lost.data_set)?;
            if set.service == service.service {
                let name = format!("{} · {}", service.name, lost.database);
                all.push(Restored { name, database: Some(Database::new(lost)), ..service.clone() });
            }
        }
    }
    Ok(all)
}

/// Whether the server that a copy was taken from can still be reached as it was then: nothing is begun
/// that could not be taken away again.
fn may_come_back(set: &DataSet, source: &DataSource) -> Result<()> {
    if set.ended_at.is_some() {
        let message = format!("the data set {} has ended, and what opens its server is forgotten", set.name);
        return Err(Error::conflict("dataSet.ended", message));
    }
    if !source.keeps_logs() && set.source.server() != source.server() {
        let message = format!(
            "the data set {} names another server or user than its newest copy is of: take a recovery point first",
            set.name
        );
        return Err(Error::conflict("dataSet.stale", message));
    }
    Ok(())
}

/// Chooses the newest copy that will do, and keeps its point meanwhile.
pub(super) fn decide(
    tx: &mut Tx<'_>,
    run: &str,
    one: &mut Restored,
    place: Option<BackupPlaceId>,
    bad_after: Option<Timestamp>,
) -> Result<()> {
    let Some(mut database) = one.database.clone() else { return Ok(()) };
    let set = datasets::load(tx, database.data_set)?;
    let copy = restores::for_drill(tx, &set, &database.database, place, bad_after)?;
    database.marker.fits(&copy.source)?;
    may_come_back(&set, &copy.source)?;
    let kept = |point| Choice {
        service: set.service.clone(),
        tenant: set.tenant,
        point,
        taken_at: copy.taken_at,
        place: copy.place,
        place_name: copy.place_name.clone(),
        repository: copy.repository,
        host: None,
        machines: Vec::new(),
        bytes: copy.bytes,
        estimated_seconds: None,
    };
    let recovery = recoveries::begin(tx, &kept(copy.point), Purpose::Drill, (KIND, run))?;
    let logs =
        copy.logs_of.map(|point| recoveries::begin(tx, &kept(point), Purpose::Drill, (KIND, run))).transpose()?;
    database.host = Some(copy.host);
    database.snapshot = Some(copy.snapshot.clone());
    database.until = Some(copy.until);
    (database.at, database.logs) = (copy.at, copy.logs.clone());
    database.whole = copy.whole;
    database.logs_recovery = logs.map(|recovery| recovery.id);
    database.source = Some(copy.source.clone());
    one.point = Some(copy.point);
    one.taken_at = Some(copy.taken_at);
    one.place = Some(copy.place);
    one.place_name = Some(copy.place_name.clone());
    one.repository = Some(copy.repository);
    one.recovery = Some(recovery.id);
    one.database = Some(database);
    Ok(())
}

fn undecided() -> Error {
    Error::bug("drill.undecided", "a database comes back before its copy was chosen")
}

fn work(one: &Restored, database: &Database) -> Option<(HostId, Work)> {
    let work = Work::DrillData {
        set: database.data_set.to_string(),
        source: database.source.clone()?,
        drill: one.recovery?.to_string(),
        snapshot: database.snapshot.clone()?,
        database: database.database.clone(),
        at: database.at,
        logs: database.logs.clone(),
        marker: database.marker.clone(),
    };
    Some((database.host?, work))
}

/// Has a database brought back and asked; what its host says of it is written down once it is over.
pub(super) fn bring_back(tx: &mut Tx<'_>, run: &DrillRun, one: &mut Restored) -> Result<()> {
    let Some(mut database) = one.database.clone() else { return Ok(()) };
    one.ended(Phase::Wait, tx.now);
    let Some(asked) = &database.task else {
        let (host, work) = work(one, &database).ok_or_else(undecided)?;
        database.task = Some(ask(tx, run, host, &work)?.to_string());
        one.database = Some(database);
        return Ok(());
    };
    match task(tx, asked)? {
        // What would open it is refused, and will be: waiting for it comes to nothing.
        Some(open)
            if open.is_open() && open.problem.as_ref().is_some_and(|why| REFUSED.contains(&why.code.as_str())) =>
        {
            tasks::cancel(tx, &open.id)?;
            Err(failed(open.problem))
        }
        Some(open) if open.is_open() => Ok(()),
        Some(Task { outcome: Some(Outcome::DataDrilled(drilled)), .. }) => {
            seen(one, database, &drilled, tx.now);
            one.data_is_same = Some(is_same(tx, one)?);
            Ok(())
        }
        ended => Err(failed(ended.and_then(|task| task.problem))),
    }
}

fn failed(problem: Option<Problem>) -> Error {
    let cancelled = ("backup.cancelled".to_owned(), "the host was told to stop".to_owned());
    let (code, message) = problem.map_or(cancelled, |problem| (problem.code, problem.message));
    Error::conflict(code, message)
}

/// Whole milliseconds of what a host measured, which is plausible.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "neither negative nor long")]
fn span(seconds: f64) -> Duration {
    Duration::from_millis((seconds * 1_000.0).round().clamp(0.0, 1e12) as u64)
}

/// Writes down what a host says. It knows better than we how long each part took, within what we saw.
fn seen(one: &mut Restored, mut database: Database, drilled: &DataDrilled, now: Timestamp) {
    let from = one.ends.get(&Phase::Wait).copied().unwrap_or(now);
    let read = (now - span(drilled.clear_seconds)).max(from);
    let answered = (read - span(drilled.read_seconds)).max(from);
    let restored = (answered - span(drilled.answer_seconds)).max(from);
    one.ended(Phase::Restore, restored);
    one.ended(Phase::Boot, answered);
    one.ended(Phase::Verify, read);
    match (drilled.newest, &drilled.unread) {
        (Some(newest), _) if database.until.is_none_or(|until| newest <= until + AHEAD) => {
            one.newest_record = Some(newest);
        }
        (Some(newest), _) => {
            let message = format!("the marker holds {newest}, which is later than the copy itself");
            one.record_problem = Some(message);
        }
        (None, why) => {
            one.record_problem = Some(why.clone().unwrap_or_else(|| "the host did not say why".to_owned()));
        }
    }
    database.bytes = Some(drilled.bytes);
    database.digest = Some(drilled.digest.clone());
    database.tables = drilled.tables;
    one.database = Some(database);
}

/// Whether what came has the digest that it had in every earlier drill of the same point.
fn is_same(tx: &mut Tx<'_>, one: &Restored) -> Result<bool> {
    let Some((database, point)) = one.database.as_ref().zip(one.point) else { return Ok(false) };
    let Some(digest) = database.digest.clone().filter(|digest| !digest.is_empty()) else { return Ok(false) };
    let (set, name) = (database.data_set.to_string(), &database.database);
    let before = recoveries::digests(tx, point, &set, name)?;
    recoveries::keep_digest(tx, one.recovery.ok_or_else(undecided)?, &set, name, &digest)?;
    Ok(before.iter().all(|known| *known == digest))
}

/// Ends what keeps the points of logs.
pub(super) fn logs_recoveries(run: &DrillRun) -> impl Iterator<Item = RecoveryId> {
    run.body.services.iter().filter_map(|one| one.database.as_ref()?.logs_recovery)
}

/// Sees to it that nothing of a run's databases is left at any host, and waits until that is said. For
/// the `last` time, whoever just came to nothing is asked once more: nobody looks again.
pub(super) fn let_go(tx: &mut Tx<'_>, run: &mut DrillRun, last: bool) -> Result<Progress<()>> {
    let mut services = run.body.services.clone();
    let (mut open, mut again) = (false, None);
    for one in &mut services {
        match leave(tx, run, one, last)? {
            Left::Nothing => {}
            Left::Asked => open = true,
            Left::Later(at) => again = Some(again.map_or(at, |known: Timestamp| known.min(at))),
        }
    }
    run.body.services = services;
    runs::save(tx, run)?;
    let wait = Progress::wait(key(&run.id.to_string()));
    Ok(match again {
        Some(at) => wait.until(at),
        None if open => wait,
        None => Progress::Done(()),
    })
}

enum Left {
    Nothing,
    Asked,
    Later(Timestamp),
}

fn leave(tx: &mut Tx<'_>, run: &DrillRun, one: &mut Restored, last: bool) -> Result<Left> {
    let Some((database, drill)) = one.database.as_mut().zip(one.recovery) else { return Ok(Left::Nothing) };
    let Some(asked) = database.task.clone() else { return Ok(Left::Nothing) };
    match task(tx, &asked)? {
        // It says so only when nothing is left.
        Some(Task { outcome: Some(Outcome::DataDrilled(_)), .. }) => return Ok(Left::Nothing),
        Some(open) if open.is_open() => tasks::cancel(tx, &open.id)?,
        _ => {}
    }
    let (host, source) = database.host.zip(database.source.clone()).ok_or_else(undecided)?;
    // Whoever retired a host has answered for what was on it.
    if hosts::load(tx, host)?.state == hosts::State::Retired {
        return Ok(Left::Nothing);
    }
    let ended = database.end_task.as_ref().map(|id| task(tx, id)).transpose()?.flatten();
    match ended {
        Some(Task { outcome: Some(Outcome::DrillEnded {}), .. }) => return Ok(Left::Nothing),
        Some(open) if open.is_open() => return Ok(Left::Asked),
        Some(failed) if !last && tx.now < failed.updated_at + AGAIN => {
            return Ok(Left::Later(failed.updated_at + AGAIN));
        }
        _ => {}
    }
    let id = ask(tx, run, host, &Work::EndDrill { source, drill: drill.to_string() })?;
    database.end_task = Some(id.to_string());
    Ok(Left::Asked)
}

/// What a task about a database is given: its repository while it comes back, and the password there.
pub(super) fn access(tx: &mut Tx<'_>, one: &Restored, task: &Task) -> Result<Option<Json>> {
    let id = Some(task.id.to_string());
    let Some(database) = one.database.as_ref().filter(|database| database.task == id || database.end_task == id) else {
        return Ok(None);
    };
    let none = || Error::not_found("task.not_found", format!("task {} opens nothing", task.id));
    let (source, point) = (database.source.as_ref().ok_or_else(none)?, one.point.ok_or_else(none)?);
    let password = match source.keeps_logs() {
        true => None,
        false => datasets::password_for(tx, database.data_set, source)?,
    };
    if database.task != id {
        return Ok(Some(repositories::with_password(Vec::new(), password)));
    }
    let repository = one.repository.ok_or_else(none)?;
    restores::still_whole(tx, point, database.data_set, repository)?;
    Ok(Some(repositories::with_password(vec![repositories::for_reading(tx, repository)?], password)))
}

/// What is restored from a damaged copy: everything of the data set.
pub(super) fn damaged(database: &Database) -> Option<(HostId, Work)> {
    let path = format!("/data-sets/{}", database.data_set);
    Some((database.host?, Work::RestoreDamaged { snapshot: database.snapshot.clone()?, path }))
}
