//! Data sets are brought back: files to a directory of their own, a database to one that is new.
//!
//! ```text
//!   running ──the host's task──► done · failed        cancelled: by a person, the host stops
//! ```
//!
//! **Invariants** (tests: `tests.rs`)
//! - only a copy that was looked at and found whole is used; what a host finds amiss is written on it;
//! - the point is kept while a restore of it runs, and the host is given what opens the repository
//!   for as long;
//! - nothing that is there is written over: the host refuses, whatever it is asked for;
//! - a customer does not choose where on a host, and has nothing run there: it brings files and dumps back
//!   to a directory; loading and recovering a database is the operator's.

use base::id::{HostId, TenantId};
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::Class;
use drivers::wire::{
    Consistency, DRILLED, DataRestored, DataSource, DataTaken, DataTarget, LogSpan, Outcome, Problem, TaskId,
    TaskProgress, Work,
};
use gate::{Action, Effect, Granted, Tx};
use provisioning::services::SERVICE;
use resources::hosts;
use resources::tasks::{self, Task};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{DataSet, granted, may_use, store};
use crate::backups::points::{self, CopyState, RecoveryCopy, RecoveryPoint, Taken};
use crate::backups::{places, repositories};
use crate::recoveries;
use crate::{BackupPlaceId, DataRestoreId, DataSetId, RecoveryPointId, RepositoryId};

/// The kind of a task's subject.
pub const KIND: &str = "dataRestore";

/// How a restore stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// The host is at it.
    Running,
    /// It is there.
    Done,
    /// It came to nothing.
    Failed,
    /// Somebody ended it.
    Cancelled,
}

impl State {
    /// The word that is stored.
    pub fn word(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Done => "done",
            State::Failed => "failed",
            State::Cancelled => "cancelled",
        }
    }

    pub(super) fn read(word: &str) -> Option<State> {
        [State::Running, State::Done, State::Failed, State::Cancelled].into_iter().find(|state| state.word() == word)
    }
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ask {
    /// The data set.
    pub id: DataSetId,
    /// From this point; the newest that will do unless said otherwise.
    #[serde(default)]
    pub point: Option<RecoveryPointId>,
    /// From the copy at this place; the first that will do unless said otherwise.
    #[serde(default)]
    pub place: Option<BackupPlaceId>,
    /// On this host, for operators; the data set's own unless said otherwise.
    #[serde(default)]
    pub host: Option<HostId>,
    /// Where to; a directory of its own unless said otherwise. A directory below which it is made
    /// is for operators to choose.
    #[serde(default)]
    pub to: Option<DataTarget>,
}

/// What a restore would do, as things stand.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The data set.
    pub data_set: DataSetId,
    /// Its name when it was taken.
    pub name: String,
    /// What it was made of then.
    pub source: DataSource,
    /// From which point.
    pub point: RecoveryPointId,
    /// The instant that it is of.
    #[schemars(with = "String")]
    pub taken_at: Timestamp,
    /// How long ago that is.
    pub loses_seconds: i64,
    /// What was done so that it is of one instant.
    pub consistency: Consistency,
    /// From the copy at which place.
    pub place: BackupPlaceId,
    /// That place's name.
    pub place_name: String,
    /// On which host.
    pub host: HostId,
    /// That host's name.
    pub host_name: String,
    /// Where to.
    pub to: DataTarget,
    /// The databases in it.
    pub databases: Vec<String>,
    /// How much of it could not be read when it was taken.
    pub unread_count: u64,
    /// Of a server with its logs: the instants that this point itself leads to; later ones lead further.
    pub span: Option<LogSpan>,
    /// The later point whose logs lead to the instant that is wanted.
    pub logs_of: Option<RecoveryPointId>,
    /// How many bytes.
    pub bytes: u64,
    /// How long that takes from there, by what was measured; nothing where nothing was yet.
    pub estimated_seconds: Option<f64>,
    #[serde(skip)]
    chosen: Chosen,
}

/// The copy that would be used.
#[derive(Debug, Clone, PartialEq)]
struct Chosen {
    repository: RepositoryId,
    snapshot: String,
}

/// A restore of a data set.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataRestore {
    /// Its id.
    pub id: DataRestoreId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The service.
    pub service: String,
    /// The data set.
    pub data_set: DataSetId,
    /// The data set's name.
    pub name: String,
    /// From which point.
    pub point: RecoveryPointId,
    /// From the copy at which place.
    pub place: BackupPlaceId,
    /// That place's name.
    pub place_name: String,
    /// On which host.
    pub host: HostId,
    /// That host's name.
    pub host_name: String,
    /// Where to.
    pub to: DataTarget,
    /// How it stands.
    pub state: State,
    /// What came back, and where it is.
    pub restored: Option<DataRestored>,
    /// Why it failed.
    pub problem: Option<Problem>,
    /// When it was asked for.
    #[schemars(with = "String")]
    pub requested_at: Timestamp,
    /// When it ended, one way or the other.
    #[schemars(with = "Option<String>")]
    pub closed_at: Option<Timestamp>,
    /// Until when what came back stays in the agent's own directory, where nobody takes it over before.
    #[schemars(with = "Option<String>")]
    pub kept_until: Option<Timestamp>,
    /// The later point whose logs lead to the instant that is wanted.
    pub logs_of: Option<RecoveryPointId>,
    #[serde(skip)]
    pub(super) repository: RepositoryId,
    #[serde(skip)]
    pub(super) task: String,
}

/// Until when what came back stays: in the agent's own directory for its time, elsewhere as its owner likes. Reckoned
/// from the wish, which came before the directory: a host that was cut off tells late when it was done.
pub(super) fn kept_until(to: &DataTarget, state: State, requested_at: Timestamp) -> Option<Timestamp> {
    let own = matches!(to, DataTarget::Directory { below: None, .. } | DataTarget::Instant { below: None, .. });
    (own && state == State::Done).then(|| requested_at + std::time::Duration::from_secs(limits::RESTORED_DAYS * 86_400))
}

/// A restore, and how far its host is.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataRestoreDetail {
    /// The restore.
    #[serde(flatten)]
    pub restore: DataRestore,
    /// How far it is, while it runs.
    pub progress: Option<TaskProgress>,
    /// What holds it up.
    pub held_up: Option<Problem>,
}

/// The data set that the actor may bring back so. Where on a host is the operator's to say.
fn allowed(tx: &mut Tx<'_>, action: &str, ask: &Ask) -> Result<DataSet> {
    let set = granted(tx, action, ask.id)?;
    // To load a dump or to recover a server is to run what its owner left in it, on the operator's host.
    let (named, runs) = match &ask.to {
        Some(DataTarget::Directory { below, .. }) => (below.is_some(), false),
        Some(DataTarget::Database { .. } | DataTarget::Instant { .. }) => (false, true),
        None => (false, false),
    };
    if !named && !runs && ask.host.is_none() {
        return Ok(set);
    }
    match may_use(tx, action, ask.host.unwrap_or(set.host)) {
        Err(_) if runs && ask.host.is_none() => Err(operators()),
        other => other.map(|()| set),
    }
}

fn operators() -> Error {
    let message = "a database is loaded or recovered by the operator: ask it to, or bring the dump back to a directory";
    Error::forbidden("dataRestore.operator", message).at("to")
}

/// Whether the actor may have a data set loaded or recovered on its host.
///
/// # Errors
/// `Forbidden` (`dataRestore.operator`); as loading the data set.
pub(crate) fn may_run(tx: &mut Tx<'_>, action: &str, set: &DataSet) -> Result<()> {
    granted(tx, action, set.id)?;
    may_use(tx, action, set.host).map_err(|e| match e.kind() {
        base::Kind::Conflict => e,
        _ => operators(),
    })
}

/// The copy of a database that a drill brings back.
#[derive(Debug, Clone)]
pub(crate) struct ForDrill {
    pub point: RecoveryPointId,
    pub taken_at: Timestamp,
    /// As of when it comes back.
    pub until: Timestamp,
    pub place: BackupPlaceId,
    pub place_name: String,
    pub repository: RepositoryId,
    pub snapshot: String,
    pub host: HostId,
    /// What it was when it was taken.
    pub source: DataSource,
    /// The instant to go to; the newest where absent.
    pub at: Option<Timestamp>,
    /// The snapshot with the logs that lead there, and the point that it is of.
    pub logs: Option<String>,
    pub logs_of: Option<RecoveryPointId>,
    pub bytes: u64,
    /// Whether the database is all of its data set.
    pub whole: bool,
}

/// The newest copy of a database that will do, and where nothing counts from an instant on, the last
/// state before that.
///
/// # Errors
/// As [`PLAN`].
pub(crate) fn for_drill(
    tx: &mut Tx<'_>,
    set: &DataSet,
    database: &str,
    place: Option<BackupPlaceId>,
    bad_after: Option<Timestamp>,
) -> Result<ForDrill> {
    let logs = set.source.keeps_logs();
    let to = |at| match logs {
        true => DataTarget::Instant { below: None, at, logs: None },
        false => DataTarget::Database { database: database.to_owned(), name: DRILLED.to_owned() },
    };
    let ask = |at| Ask { id: set.id, point: None, place, host: None, to: Some(to(at)) };
    let found = match bad_after.filter(|_| logs) {
        Some(last) => match plan(tx, set, &ask(Some(last)), None) {
            // No logs lead as far as that: the newest that ends before it.
            Err(e) if e.code() == "recovery.no_copy" => plan(tx, set, &ask(None), bad_after),
            other => other,
        },
        None => plan(tx, set, &ask(None), bad_after),
    }?;
    let (at, logs) = match &found.to {
        DataTarget::Instant { at, logs, .. } => (*at, logs.clone()),
        _ => (None, None),
    };
    let until = at.or(found.span.as_ref().map(|span| span.until));
    let until = until.map_or_else(|| dumped_until(tx, &found), Ok)?;
    Ok(ForDrill {
        point: found.point,
        taken_at: found.taken_at,
        until,
        place: found.place,
        place_name: found.place_name,
        repository: found.chosen.repository,
        snapshot: found.chosen.snapshot,
        host: found.host,
        whole: found.source.keeps_logs() || found.databases.len() == 1,
        source: found.source,
        at,
        logs,
        logs_of: found.logs_of,
        bytes: found.bytes,
    })
}

/// Until when what is in a dump may have been written: databases are dumped one after the other, and
/// which of them when is not told.
fn written_until(taken: &Taken) -> Timestamp {
    taken.taken_at + std::time::Duration::try_from_secs_f64(taken.seconds.clamp(0.0, 1e7)).unwrap_or_default()
}

fn dumped_until(tx: &mut Tx<'_>, found: &Plan) -> Result<Timestamp> {
    let point = points::load(tx, found.point)?;
    let taken = point.part(&found.data_set.to_string()).and_then(|part| part.taken.as_ref());
    Ok(taken.map_or(found.taken_at, written_until))
}

/// Whether nobody has found a copy of a data set damaged or gone since it was chosen.
///
/// # Errors
/// `Conflict` (`recovery.no_copy`).
pub(crate) fn still_whole(
    tx: &mut Tx<'_>,
    point: RecoveryPointId,
    set: DataSetId,
    repository: RepositoryId,
) -> Result<()> {
    let point = points::load(tx, point)?;
    let copies = point.part(&set.to_string()).map(|part| part.copies.as_slice()).unwrap_or_default();
    if copies.iter().any(|copy| copy.repository == repository && copy.state == CopyState::Verified) {
        return Ok(());
    }
    let message = format!("the copy of {} was found damaged or missing meanwhile; use another", point.id);
    Err(Error::conflict("recovery.no_copy", message))
}

fn target(ask: &Ask, source: &DataSource) -> Result<DataTarget> {
    let to = ask.to.clone().unwrap_or(DataTarget::Directory { below: None, only: String::new() });
    to.check()?;
    let fits = matches!(
        (&to, source),
        (DataTarget::Directory { .. }, _)
            | (DataTarget::Database { .. }, DataSource::Mysql { .. } | DataSource::Postgresql { logs: false, .. })
            | (DataTarget::Instant { .. }, DataSource::Postgresql { logs: true, .. })
    );
    if !fits {
        let message = "this data set cannot be brought back so; a dump becomes a database, a server with its logs an instant, and everything a directory";
        return Err(Error::invalid("dataRestore.target", message).at("to"));
    }
    if matches!(to, DataTarget::Instant { logs: Some(_), .. }) {
        return Err(Error::invalid("dataRestore.target", "which logs lead there is looked up").at("to"));
    }
    Ok(to)
}

/// What the request means: which point, which copy, where to. Nothing that is of a later instant than
/// `not_after`.
fn plan(tx: &mut Tx<'_>, set: &DataSet, ask: &Ask, not_after: Option<Timestamp>) -> Result<Plan> {
    let mut ids = crate::backups::store::restorable(tx, &set.service, not_after)?;
    ids.extend(ask.point.filter(|id| !ids.contains(id)));
    let (mut reasons, mut later) = (Vec::new(), Vec::new());
    for id in ids {
        let point = points::load(tx, id)?;
        if point.service != set.service || point.tenant != set.tenant {
            return Err(Error::not_found("recoveryPoint.not_found", format!("there is no recovery point {id}")));
        }
        let wanted = ask.point.is_none_or(|asked| asked == id);
        if wanted && let Some(plan) = of_point(tx, set, ask, (&point, &later, not_after), &mut reasons)? {
            return Ok(plan);
        }
        later.push(point);
    }
    if reasons.is_empty() {
        let message = "the service has no recovery point that anything could be brought back from";
        return Err(Error::conflict("recovery.no_point", message));
    }
    reasons.truncate(8);
    Err(Error::conflict("recovery.no_copy", format!("no copy will do: {}", reasons.join("; "))))
}

fn of_point(
    tx: &mut Tx<'_>,
    set: &DataSet,
    ask: &Ask,
    (point, later, not_after): (&RecoveryPoint, &[RecoveryPoint], Option<Timestamp>),
    reasons: &mut Vec<String>,
) -> Result<Option<Plan>> {
    let mut say = |why: String| reasons.push(format!("{} {why}", point.id));
    if matches!(point.state, points::State::Failed | points::State::Expired) {
        say(format!("is {}", point.state.word()));
        return Ok(None);
    }
    let part = point.part(&set.id.to_string());
    let Some((part, saved, taken)) = part.and_then(|part| Some((part, part.data_set.clone()?, part.taken.clone()?)))
    else {
        say(format!("holds nothing of {}", set.name));
        return Ok(None);
    };
    let span = taken.data.as_ref().and_then(|data| data.span.as_ref());
    let of = span.map_or_else(|| written_until(&taken), |span| span.until.max(taken.taken_at));
    if not_after.is_some_and(|last| of > last) {
        say("was taken after the instant from which everything is bad".to_owned());
        return Ok(None);
    }
    let to = target(ask, &saved.source)?;
    let host = hosts::load(tx, ask.host.unwrap_or(set.host))?;
    if !host.reachable || host.state == hosts::State::Retired {
        let message = format!("the host {} is not heard of; choose another, or bring it back", host.name);
        return Err(Error::conflict("task.host_silent", message));
    }
    for copy in &part.copies {
        if let Some(why) = unfit(tx, ask, copy, host.id)? {
            say(format!("at {} {why}", copy.place_name));
            continue;
        }
        let data = taken.data.clone().unwrap_or_default();
        if let DataTarget::Database { database, .. } = &to
            && !data.databases.contains(database)
        {
            let message = format!("there is no database {database} in it; there are {}", data.databases.join(", "));
            return Err(Error::not_found("dataRestore.database", message).at("to"));
        }
        let (to, logs_of) = match reach(&to, &data, copy, set.id, later) {
            Ok(reached) => reached,
            Err(why) => {
                say(why.to_owned());
                continue;
            }
        };
        let snapshot = copy.snapshot.clone().unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let estimated_seconds = recoveries::speed(tx, copy.place)?.map(|speed| taken.bytes as f64 / speed);
        return Ok(Some(Plan {
            data_set: set.id,
            name: saved.name,
            source: saved.source,
            point: point.id,
            taken_at: taken.taken_at,
            loses_seconds: tx.now.duration_since(taken.taken_at).as_secs().max(0),
            consistency: taken.consistency,
            place: copy.place,
            place_name: copy.place_name.clone(),
            host: host.id,
            host_name: host.name,
            to,
            databases: data.databases,
            unread_count: data.unread_count,
            span: data.span,
            logs_of,
            bytes: taken.bytes,
            estimated_seconds,
            chosen: Chosen { repository: copy.repository, snapshot },
        }));
    }
    Ok(None)
}

/// How a copy of a base leads to an instant: by its own logs, or by those of the first later point in the
/// same place that reach it.
fn reach(
    to: &DataTarget,
    data: &DataTaken,
    base: &RecoveryCopy,
    set: DataSetId,
    later: &[RecoveryPoint],
) -> std::result::Result<(DataTarget, Option<RecoveryPointId>), &'static str> {
    let DataTarget::Instant { below, at: Some(at), .. } = to else { return Ok((to.clone(), None)) };
    let span = data.span.as_ref().ok_or("does not say how far its logs lead")?;
    if *at < span.from {
        return Err("is of a later instant");
    }
    if *at <= span.until {
        return Ok((to.clone(), None));
    }
    let id = set.to_string();
    // From the newest to the oldest they came: the first that reaches it is the last of these.
    let reached = later.iter().rev().find_map(|point| {
        let part = point.part(&id)?;
        let span = part.taken.as_ref()?.data.as_ref()?.span.as_ref()?;
        let same = |copy: &&RecoveryCopy| copy.repository == base.repository && copy.state == CopyState::Verified;
        let snapshot = part.copies.iter().find(same)?.snapshot.clone()?;
        (span.until >= *at).then_some((point.id, snapshot))
    });
    let (point, snapshot) = reached.ok_or("has no logs that lead to that instant")?;
    Ok((DataTarget::Instant { below: below.clone(), at: Some(*at), logs: Some(snapshot) }, Some(point)))
}

/// Why a copy will not do for a host.
fn unfit(tx: &mut Tx<'_>, ask: &Ask, copy: &RecoveryCopy, host: HostId) -> Result<Option<&'static str>> {
    if ask.place.is_some_and(|asked| asked != copy.place) {
        return Ok(Some("is not the place that was asked for"));
    }
    if let Some(why) = recoveries::unusable(copy.state) {
        return Ok(Some(why));
    }
    let own = places::load(tx, copy.place)?.location.host();
    Ok(own.filter(|own| *own != host).map(|_| "is a directory of another host than it is wanted on"))
}

/// Shows what a restore of a data set would do.
pub static PLAN: Action<Ask, Plan> = Action {
    name: "dataSet.plan_restore",
    summary: "Shows what bringing a data set back would do now: from which point and copy, where to, how long.",
    effect: Effect::Read,
    run: |tx, input| {
        let set = allowed(tx, "dataSet.plan_restore", input)?;
        plan(tx, &set, input, None)
    },
};

/// Brings a data set back, to a place that is new.
pub static START: Action<Ask, DataRestore> = Action {
    name: "dataSet.restore",
    summary: "Brings a data set back, to a place that is new. Follow it with dataRestore.get.",
    effect: Effect::Create,
    run: |tx, input| {
        let set = allowed(tx, "dataSet.restore", input)?;
        if store::running(tx, set.id)? {
            let message = "this data set is being brought back just now; wait for it, or cancel that";
            return Err(Error::conflict("restore.running", message));
        }
        let plan = plan(tx, &set, input, None)?;
        let (id, task) = (DataRestoreId::fresh(tx.ids(), tx.now), tasks::fresh(tx)?);
        let work = Work::RestoreData {
            set: set.id.to_string(),
            source: plan.source,
            restore: id.to_string(),
            snapshot: plan.chosen.snapshot,
            to: plan.to.clone(),
        };
        tasks::put(tx, plan.host, &task, &work, (KIND, &id.to_string()))?;
        let one = DataRestore {
            id,
            tenant: set.tenant,
            service: set.service,
            data_set: set.id,
            name: set.name,
            point: plan.point,
            place: plan.place,
            place_name: plan.place_name,
            host: plan.host,
            host_name: plan.host_name,
            to: plan.to,
            state: State::Running,
            restored: None,
            problem: None,
            requested_at: tx.now,
            closed_at: None,
            kept_until: None,
            logs_of: plan.logs_of,
            repository: plan.chosen.repository,
            task: task.to_string(),
        };
        tx.touch(KIND, &id.to_string(), one.tenant, 1);
        store::insert_restore(tx, &one)?;
        Ok(one)
    },
};

/// What opens the copy that a task brings back, and its server.
pub(crate) fn access(tx: &mut Tx<'_>, task: &Task) -> Result<Json> {
    let none = || Error::not_found("task.not_found", format!("task {} opens nothing", task.id));
    let one = store::restore(tx, task.subject.1.parse()?)?.ok_or_else(none)?;
    if one.state != State::Running || one.task != task.id.as_str() {
        return Err(none());
    }
    still_whole(tx, one.point, one.data_set, one.repository)?;
    let repository = repositories::for_reading(tx, one.repository)?;
    let password = match (&one.to, &task.work) {
        (DataTarget::Database { .. }, Work::RestoreData { source, .. }) => {
            super::password_for(tx, one.data_set, source)?
        }
        _ => None,
    };
    Ok(repositories::with_password(vec![repository], password))
}

/// Whether a restore that is done shows that all of a data set comes back, and not just that bytes of it do.
fn proves(tx: &mut Tx<'_>, one: &DataRestore) -> Result<bool> {
    let point = points::load(tx, one.point)?;
    let part = point.part(&one.data_set.to_string());
    let is_files = part.and_then(|part| part.data_set.as_ref()).is_some_and(|set| set.source.server().is_none());
    let databases = part.and_then(|part| part.taken.as_ref()?.data.as_ref()).map_or(0, |data| data.databases.len());
    Ok(match &one.to {
        DataTarget::Directory { only, .. } => is_files && only.is_empty(),
        DataTarget::Database { .. } => databases == 1,
        DataTarget::Instant { .. } => true,
    })
}

/// A restore's task has ended.
pub(crate) fn task_ended(tx: &mut Tx<'_>, id: &str, task: &TaskId) -> Result<()> {
    let Some(one) = store::restore(tx, id.parse()?)?.filter(|one| one.task == task.as_str()) else { return Ok(()) };
    let Some(ended) = tasks::get(tx, task)?.filter(|_| one.state == State::Running) else { return Ok(()) };
    match (ended.state, &ended.outcome) {
        (tasks::State::Succeeded, Some(Outcome::DataRestored(restored))) => {
            store::close_restore(tx, one.id, State::Done, Some(restored), None)?;
            match proves(tx, &one)? {
                true => {
                    crate::backups::store::set_part_proven(tx, one.point, &one.data_set.to_string(), one.repository)
                }
                false => Ok(()),
            }
        }
        _ => {
            let problem = ended.problem.clone().unwrap_or_else(|| {
                crate::backups::work::problem("task.outcome_mismatch", "the host told something else than it was asked")
            });
            store::close_restore(tx, one.id, State::Failed, None, Some(&problem))?;
            match points::damage(&problem.code) {
                // Of two snapshots nobody knows which one it was: the next look at the copies finds it.
                Some(_) if one.logs_of.is_some() => Ok(()),
                Some(state) => {
                    let part = one.data_set.to_string();
                    points::found(tx, one.point, Some(one.place), &part, state, &problem)
                }
                None => Ok(()),
            }
        }
    }
}

/// Whose restores.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListDataRestores {
    /// The service.
    pub id: String,
    /// How many.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// Restores, at most a page.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DataRestorePage {
    /// The restores, newest first.
    pub items: Vec<DataRestore>,
}

/// Lists the restores of a service's data sets.
pub static LIST: Action<ListDataRestores, DataRestorePage> = Action {
    name: "dataRestore.list",
    summary: "Lists the restores of a service's data sets, newest first.",
    effect: Effect::Read,
    run: |tx, input| {
        tx.load_for("dataRestore.list", &SERVICE, &input.id)?;
        let limit = input.limit.unwrap_or(limits::PAGE_DEFAULT).clamp(1, limits::PAGE_MAX);
        Ok(DataRestorePage { items: store::restores(tx, &input.id, limit)? })
    },
};

/// Which restore.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DataRestoreRef {
    /// Its id.
    pub id: DataRestoreId,
}

fn known(tx: &mut Tx<'_>, action: &str, id: DataRestoreId) -> Result<DataRestore> {
    let found = store::restore(tx, id)?
        .ok_or_else(|| Error::not_found("dataRestore.not_found", format!("there is no restore {id}")))?;
    let tenant = found.tenant;
    tx.grant(action, KIND, &id.to_string(), tenant, Class::Internal, found).map(Granted::into_inner)
}

/// Shows a restore and how far it is.
pub static GET: Action<DataRestoreRef, DataRestoreDetail> = Action {
    name: "dataRestore.get",
    summary: "Shows a restore of a data set: how far it is, where it went, how long it took.",
    effect: Effect::Read,
    run: |tx, input| {
        let restore = known(tx, "dataRestore.get", input.id)?;
        let task = restore.task.parse().map_err(|e: String| Error::bug("task.id", e))?;
        let open = tasks::get(tx, &task)?.filter(Task::is_open);
        let (progress, held_up) = open.map(|task| (task.progress, task.problem)).unwrap_or_default();
        Ok(DataRestoreDetail { restore, progress, held_up })
    },
};

/// Ends a restore that runs. Nothing half made is left: the host removes it.
pub static CANCEL: Action<DataRestoreRef, DataRestore> = Action {
    name: "dataRestore.cancel",
    summary: "Ends a restore of a data set that runs.",
    effect: Effect::Change,
    run: |tx, input| {
        let found = known(tx, "dataRestore.cancel", input.id)?;
        if found.state != State::Running {
            let message = format!("the restore is {} already", found.state.word());
            return Err(Error::conflict("restore.state", message));
        }
        tasks::cancel(tx, &found.task.parse().map_err(|e: String| Error::bug("task.id", e))?)?;
        store::close_restore(tx, input.id, State::Cancelled, None, None)?;
        known(tx, "dataRestore.cancel", input.id)
    },
};
