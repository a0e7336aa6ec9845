//! Recovery points: states of a service that were kept, each with its copies and what is known
//! of them.
//!
//! ```text
//!   taking ──every copy stored and looked at──► available ◄─┐
//!     │ ├────some copies───────────────────────► degraded ──┤ completed later: taking again
//!     │ └────none──────────────────────────────► failed     │
//!     available, degraded ──its rules let it go──► expired ◄┘
//! ```
//!
//! **Invariants**
//! - `available` means that every copy that the policy wants is verified; [`settle`] alone says
//!   so, from the copies ([`judge`], by property test);
//! - a service has one point that is being taken at a time (a unique index).

use base::id::{HostId, RunId, TenantId};
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::{Class, Record};
use drivers::wire::{
    Consistency, DataSource, DataTaken, DiskCopy, MachineSpec, Problem, ReadShare, TaskProgress, Work,
};
use durable::{Subject, flows};
use gate::{Action, Effect, Granted, Tx};
use provisioning::services::SERVICE;
use resources::tasks;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BACKUP, Fact, findings, policies, repositories, store, whole, work};
use crate::{BackupPlaceId, BackupPolicyId, RecoveryPointId, RepositoryId};

/// The kind of a task's and a run's subject.
pub const KIND: &str = "recoveryPoint";

/// How a point stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// It is being taken, or completed.
    Taking,
    /// Every copy is there and was looked at.
    Available,
    /// Something can be restored from it, and not every copy is there.
    Degraded,
    /// It was good, or nobody could look at it before its time was over, and no copy of it was found whole since. It stays while its rules keep it: a disk that is
    /// mounted again, or a repository that was mended, brings it back.
    Lost,
    /// Nothing could ever be restored from it.
    Failed,
    /// Its rules have let it go.
    Expired,
}

impl State {
    pub(crate) const ALL: [State; 6] =
        [State::Taking, State::Available, State::Degraded, State::Lost, State::Failed, State::Expired];

    /// The word that is stored.
    pub fn word(self) -> &'static str {
        match self {
            State::Taking => "taking",
            State::Available => "available",
            State::Degraded => "degraded",
            State::Lost => "lost",
            State::Failed => "failed",
            State::Expired => "expired",
        }
    }

    /// Whether something can be restored from it.
    pub fn is_restorable(self) -> bool {
        matches!(self, State::Available | State::Degraded)
    }
}

/// How a copy stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CopyState {
    /// It is not there yet.
    Pending,
    /// It was written; nobody has looked yet.
    Stored,
    /// It was looked at and is whole.
    Verified,
    /// Its repository is not whole.
    Damaged,
    /// It should be there and is not.
    Missing,
    /// It was let go.
    Gone,
}

impl CopyState {
    pub(crate) const ALL: [CopyState; 6] = [
        CopyState::Pending,
        CopyState::Stored,
        CopyState::Verified,
        CopyState::Damaged,
        CopyState::Missing,
        CopyState::Gone,
    ];

    /// The word that is stored.
    pub fn word(self) -> &'static str {
        match self {
            CopyState::Pending => "pending",
            CopyState::Stored => "stored",
            CopyState::Verified => "verified",
            CopyState::Damaged => "damaged",
            CopyState::Missing => "missing",
            CopyState::Gone => "gone",
        }
    }
}

/// One copy of a part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecoveryCopy {
    /// The place.
    pub place: BackupPlaceId,
    /// Its name.
    pub place_name: String,
    /// The repository there.
    pub repository: RepositoryId,
    /// How it stands.
    pub state: CopyState,
    /// The snapshot's identifier there.
    pub snapshot: Option<String>,
    /// Why it is not as it should be.
    pub problem: Option<Problem>,
    /// When it was written.
    #[schemars(with = "Option<String>")]
    pub stored_at: Option<Timestamp>,
    /// When it was looked at last.
    #[schemars(with = "Option<String>")]
    pub checked_at: Option<Timestamp>,
    /// When a restore from it was made last and its data was right.
    #[schemars(with = "Option<String>")]
    pub drilled_at: Option<Timestamp>,
    /// Which of the point's places, from 0: the first is written, the others are copied from it.
    pub position: i64,
    #[serde(skip)]
    pub(crate) part: String,
    #[serde(skip)]
    pub(crate) task: Option<String>,
}

/// What a host took of a part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Taken {
    /// The root of its contents: equal for equal contents.
    pub tree: String,
    /// The instant that it is of.
    #[schemars(with = "String")]
    pub taken_at: Timestamp,
    /// What was done so that it is of one instant.
    pub consistency: Consistency,
    /// A machine's disks.
    #[serde(default)]
    pub disks: Vec<DiskCopy>,
    /// What is in a data set.
    #[serde(default)]
    pub data: Option<DataTaken>,
    /// Bytes of all of it.
    pub bytes: u64,
    /// Bytes that were new.
    pub added_bytes: u64,
    /// What these took.
    pub stored_bytes: u64,
    /// How long it took.
    pub seconds: f64,
}

/// What a part of a point is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PartKind {
    /// All disks of a machine.
    Machine,
    /// Files, or databases.
    DataSet,
}

impl PartKind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            PartKind::Machine => "machine",
            PartKind::DataSet => "dataSet",
        }
    }
}

/// A data set as it was when it was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SavedSet {
    /// Its name.
    pub name: String,
    /// What it was made of.
    pub source: DataSource,
}

/// A part of a point: a machine, or a data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// Which of the two.
    pub kind: PartKind,
    /// The machine's id, or the data set's.
    pub part: String,
    /// The data set, where it is one.
    pub data_set: Option<SavedSet>,
    /// The host that it stood on, or was reached from.
    pub host: HostId,
    /// What was taken of it.
    pub taken: Option<Taken>,
    /// Its copies, in the policy's order of places.
    pub copies: Vec<RecoveryCopy>,
    #[serde(skip)]
    pub(crate) task: Option<String>,
    /// What it was wanted to be when it was taken. Not shown: it holds what its guest was told.
    #[serde(skip)]
    pub(crate) spec: Option<MachineSpec>,
}

/// A recovery point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecoveryPoint {
    /// Its id.
    pub id: RecoveryPointId,
    /// The service.
    pub service: String,
    /// Whose it is.
    pub tenant: TenantId,
    /// The policy that it was taken by.
    pub policy: BackupPolicyId,
    /// Which revision of it.
    pub policy_revision: i64,
    /// Whether a person asked for it, or else the schedule.
    pub by_hand: bool,
    /// How it stands.
    pub state: State,
    /// Why it is not available.
    pub problem: Option<Problem>,
    /// When it was asked for.
    #[schemars(with = "String")]
    pub requested_at: Timestamp,
    /// The instant that it is of: the earliest of its parts'.
    #[schemars(with = "Option<String>")]
    pub taken_at: Option<Timestamp>,
    /// When the last attempt at it ended.
    #[schemars(with = "Option<String>")]
    pub closed_at: Option<Timestamp>,
    /// When it was let go.
    #[schemars(with = "Option<String>")]
    pub expired_at: Option<Timestamp>,
    /// Its parts, each with its copies.
    pub parts: Vec<Part>,
    #[serde(skip)]
    pub(crate) attempts: i64,
    /// Something could be restored from it once.
    #[serde(skip)]
    pub(crate) was_good: bool,
}

impl RecoveryPoint {
    /// All copies of all parts.
    pub fn copies(&self) -> impl Iterator<Item = &RecoveryCopy> {
        self.parts.iter().flat_map(|part| &part.copies)
    }

    /// The parts that are machines.
    pub fn machines(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| part.kind == PartKind::Machine)
    }

    /// The part of that id.
    pub(crate) fn part(&self, id: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.part == id)
    }
}

/// What a point is, from its copies alone: one that lacks any is never `available`, nor one of which
/// something could not be read.
pub(crate) fn judge(parts: &[Part]) -> State {
    let whole = |part: &Part| !part.copies.is_empty() && part.copies.iter().all(verified) && unread(part).is_none();
    let some = |part: &Part| part.copies.iter().any(verified);
    match parts {
        [] => State::Failed,
        parts if parts.iter().all(whole) => State::Available,
        // A data set that could not be had does not cost the machines their point.
        parts if parts.iter().any(some) && parts.iter().all(|part| some(part) || part.kind == PartKind::DataSet) => {
            State::Degraded
        }
        _ => State::Failed,
    }
}

/// [`judge`], of a point that may have been good before.
fn standing(point: &RecoveryPoint) -> State {
    match judge(&point.parts) {
        State::Failed if point.was_good => State::Lost,
        state => state,
    }
}

/// Whether everything of a point was written somewhere, and nobody found anything wrong with it.
fn is_unseen(point: &RecoveryPoint) -> bool {
    let may_be_whole = |copy: &RecoveryCopy| copy.state == CopyState::Stored && copy.snapshot.is_some();
    let is_there = |part: &Part| part.copies.iter().any(|copy| verified(copy) || may_be_whole(copy));
    let machines = |part: &&Part| part.kind != PartKind::DataSet;
    point.parts.iter().any(is_there) && point.parts.iter().filter(machines).all(is_there)
}

fn verified(copy: &RecoveryCopy) -> bool {
    copy.state == CopyState::Verified
}

/// What of a part could not be read, in a line.
fn unread(part: &Part) -> Option<Problem> {
    let data = part.taken.as_ref()?.data.as_ref().filter(|data| data.unread_count > 0)?;
    let name = part.data_set.as_ref().map(|set| set.name.as_str()).unwrap_or_default();
    let first = data.unread.iter().take(3).cloned().collect::<Vec<_>>().join("; ");
    let message =
        format!("{} of {name} could not be read: {first}; leave out what need not be kept", data.unread_count);
    Some(Problem { code: "backup.unread".to_owned(), message, retrying: false })
}

/// The point of that id, with machines and copies.
///
/// # Errors
/// `NotFound`.
pub fn load(tx: &mut Tx<'_>, id: RecoveryPointId) -> Result<RecoveryPoint> {
    store::point(tx, id)?
        .ok_or_else(|| Error::not_found("recoveryPoint.not_found", format!("there is no recovery point {id}")))
}

pub(crate) fn granted(tx: &mut Tx<'_>, action: &str, id: RecoveryPointId) -> Result<RecoveryPoint> {
    let found = load(tx, id)?;
    let tenant = found.tenant;
    tx.grant(action, KIND, &id.to_string(), tenant, Class::Internal, found).map(Granted::into_inner)
}

/// A service that the actor may use so.
pub(crate) fn service(tx: &mut Tx<'_>, action: &str, id: &str) -> Result<Granted<Record>> {
    tx.load_for(action, &SERVICE, id)
}

/// Begins a point of a protected service, in the transaction of what asks for it.
///
/// # Errors
/// `Conflict` where the service has no policy (`backup.no_policy`) or one is being taken (`backup.running`).
pub(crate) fn begin(tx: &mut Tx<'_>, service: &str, by_hand: bool) -> Result<RecoveryPoint> {
    let known = store::protection(tx, service)?.ok_or_else(|| super::unprotected(service))?;
    if let Some(taking) = store::taking(tx, service)? {
        return Err(busy(tx, taking)?);
    }
    let policy = policies::load(tx, known.policy)?;
    let (id, now) = (RecoveryPointId::fresh(tx.ids(), tx.now), tx.now);
    store::insert(tx, id, &known, policy.revision, by_hand, now)?;
    start(tx, id, known.tenant)?;
    load(tx, id)
}

/// Works on a point once more: what is missing is brought, every copy is looked at again.
pub(crate) fn again(tx: &mut Tx<'_>, point: &RecoveryPoint) -> Result<()> {
    if !point.state.is_restorable() && point.state != State::Lost {
        let message = format!("the point is {}: there is nothing to look at", point.state.word());
        return Err(Error::conflict("recoveryPoint.state", message));
    }
    if let Some(taking) = store::taking(tx, &point.service)? {
        return Err(busy(tx, taking)?);
    }
    store::reopen(tx, point.id)?;
    start(tx, point.id, point.tenant).map(drop)
}

/// Why nothing else is begun for a service while a point of it is in hand: what that waits for, and how long.
fn busy(tx: &mut Tx<'_>, taking: RecoveryPointId) -> Result<Error> {
    let point = load(tx, taking)?;
    for copy in point.copies().filter(|copy| copy.task.is_some()) {
        let one = repositories::load(tx, copy.repository)?;
        if let Some(reading) = whole::open(tx, &one)?.filter(|_| one.reading_task == copy.task) {
            let message = format!(
                "damage was found in the repository at {}, and everything in it is being read since {}; the point in hand waits for that, two hours at the most where it is whole elsewhere: ask again then",
                one.place_name, reading.created_at
            );
            return Ok(Error::conflict("backup.reading", message));
        }
    }
    let message = "a recovery point of this service is being taken just now; wait for it";
    Ok(Error::conflict("backup.running", message))
}

fn start(tx: &mut Tx<'_>, id: RecoveryPointId, tenant: TenantId) -> Result<RunId> {
    let input = serde_json::json!({ "point": id });
    flows::start(tx, BACKUP, input, Subject::new(KIND, id.to_string(), tenant))
}

/// What a failure to use a copy says of it; nothing where it says nothing.
pub(crate) fn damage(code: &str) -> Option<CopyState> {
    use vault::fault::{
        REPOSITORY_DAMAGED, REPOSITORY_INCOMPLETE, REPOSITORY_KEY, REPOSITORY_MISSING, SNAPSHOT_MISSING,
    };
    match code {
        REPOSITORY_DAMAGED | REPOSITORY_INCOMPLETE => Some(CopyState::Damaged),
        // What opens with none of our keys is another repository: ours is not there.
        REPOSITORY_MISSING | REPOSITORY_KEY | SNAPSHOT_MISSING => Some(CopyState::Missing),
        _ => None,
    }
}

/// Somebody who used a part's copy found it not to be as it should: that is written on it, and
/// the point is what its copies are now.
pub(crate) fn found(
    tx: &mut Tx<'_>,
    id: RecoveryPointId,
    place: Option<BackupPlaceId>,
    part: &str,
    state: CopyState,
    problem: &Problem,
) -> Result<()> {
    let point = load(tx, id)?;
    let copy = point.copies().find(|copy| Some(copy.place) == place && copy.part == part);
    let Some(copy) = copy.filter(|copy| verified(copy)) else { return Ok(()) };
    store::set_found(tx, id, copy, Some(state), Some(problem))?;
    findings::doubted(tx, copy.repository, state)?;
    rejudge(tx, id)
}

/// A point whose copies stand otherwise than they did is what they are now.
pub(crate) fn rejudge(tx: &mut Tx<'_>, id: RecoveryPointId) -> Result<()> {
    let point = load(tx, id)?;
    let now = standing(&point);
    if !matches!(point.state, State::Available | State::Degraded | State::Lost) || now == point.state {
        return Ok(());
    }
    let why = lacking(&point).filter(|_| now != State::Available);
    store::close(tx, id, now, why.as_ref())?;
    tx.fact(Fact::closed(now, id.to_string(), point.service.clone()), point.tenant)
}

/// What a point's copies lack, by the first that says so.
fn lacking(point: &RecoveryPoint) -> Option<Problem> {
    let copies = point.copies().find(|copy| !verified(copy)).and_then(|copy| copy.problem.clone());
    copies.or_else(|| point.parts.iter().find_map(unread))
}

/// Ends an attempt: what the point is now follows from its copies, and why from whoever says so.
pub(crate) fn settle(tx: &mut Tx<'_>, id: RecoveryPointId, problem: Option<Problem>) -> Result<RecoveryPoint> {
    let point = load(tx, id)?;
    if point.state != State::Taking {
        return Ok(point);
    }
    let state = match standing(&point) {
        // It came to its end, and nobody could look at what was written: that may be all that there is of that time.
        State::Failed if problem.is_none() && is_unseen(&point) => State::Lost,
        state => state,
    };
    let untold = || Problem {
        code: "backup.incomplete".to_owned(),
        message: "not every copy is there".to_owned(),
        retrying: false,
    };
    let problem = match state {
        State::Available => None,
        _ => Some(problem.or_else(|| lacking(&point)).unwrap_or_else(untold)),
    };
    store::close(tx, id, state, problem.as_ref())?;
    let (point_id, service, tenant) = (id.to_string(), point.service.clone(), point.tenant);
    tx.fact(Fact::closed(state, point_id, service), tenant)?;
    load(tx, id)
}

/// Which service.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceRef {
    /// The service; a customer-facing one.
    pub id: String,
}

/// Takes a recovery point of a service now.
pub static TAKE: Action<ServiceRef, RecoveryPoint> = Action {
    name: "service.backup",
    summary: "Takes a recovery point of a service now. Follow it with recoveryPoint.get.",
    effect: Effect::Create,
    run: |tx, input| {
        service(tx, "service.backup", &input.id)?;
        begin(tx, &input.id, true)
    },
};

/// Which points.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListPoints {
    /// The service.
    pub id: String,
    /// Also those that were let go.
    #[serde(default)]
    pub expired: bool,
    /// Continue after this id; from the newest to the oldest.
    #[serde(default)]
    pub after: Option<RecoveryPointId>,
    /// How many.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// A page of points.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PointPage {
    /// The points, newest first.
    pub items: Vec<RecoveryPoint>,
    /// Where to go on; absent at the end.
    pub next: Option<RecoveryPointId>,
}

/// Lists a service's recovery points.
pub static LIST: Action<ListPoints, PointPage> = Action {
    name: "recoveryPoint.list",
    summary: "Lists a service's recovery points with their copies, newest first.",
    effect: Effect::Read,
    run: |tx, input| {
        service(tx, "recoveryPoint.list", &input.id)?;
        let limit = input.limit.unwrap_or(limits::PAGE_DEFAULT).clamp(1, 100);
        let ids = store::ids(tx, &input.id, input.expired, input.after, limit)?;
        let next = ids.last().copied().filter(|_| ids.len() >= limit as usize);
        let items: Result<Vec<_>> = ids.into_iter().map(|id| load(tx, id)).collect();
        Ok(PointPage { items: items?, next })
    },
};

/// Which point.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PointRef {
    /// Its id.
    pub id: RecoveryPointId,
}

/// One thing that a host does for a point.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Doing {
    /// `backUp`, `copy`, `check`, or `read` where everything in a repository is read for all who wait for it.
    pub what: String,
    /// The host.
    pub host: HostId,
    /// Since when it is asked for.
    #[schemars(with = "String")]
    pub since: Timestamp,
    /// How it stands.
    pub state: tasks::State,
    /// How far it is.
    pub progress: Option<TaskProgress>,
    /// What holds it up, or why it failed.
    pub problem: Option<Problem>,
}

/// A point, and what is being done for it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PointDetail {
    /// The point.
    #[serde(flatten)]
    pub point: RecoveryPoint,
    /// What hosts do for it, the newest first.
    pub work: Vec<Doing>,
}

fn doing(task: tasks::Task) -> Doing {
    let what = match task.work {
        Work::BackUpMachine { .. } | Work::BackUpData { .. } => "backUp",
        Work::CopySnapshots { .. } => "copy",
        Work::CheckRepository { read: ReadShare::Everything, .. } => "read",
        Work::CheckRepository { .. } => "check",
        _ => "other",
    };
    let (what, since) = (what.to_owned(), task.created_at);
    Doing { what, host: task.host, since, state: task.state, progress: task.progress, problem: task.problem }
}

/// What hosts do for all who wait for it, this point among them.
fn shared(tx: &mut Tx<'_>, point: &RecoveryPoint) -> Result<Vec<tasks::Task>> {
    let mut found: Vec<tasks::Task> = Vec::new();
    for copy in point.copies() {
        if let Some(task) = work::task(tx, copy.task.as_ref())?.filter(|task| !work::is_of(task, point.id))
            && !found.contains(&task)
        {
            found.push(task);
        }
    }
    Ok(found)
}

/// Shows a point and how far it is.
pub static GET: Action<PointRef, PointDetail> = Action {
    name: "recoveryPoint.get",
    summary: "Shows a recovery point with its copies, and how far hosts are with it.",
    effect: Effect::Read,
    run: |tx, input| {
        let point = granted(tx, "recoveryPoint.get", input.id)?;
        let own = tasks::of_subject(tx, (KIND, &input.id.to_string()))?;
        let work = shared(tx, &point)?.into_iter().chain(own).map(doing).collect();
        Ok(PointDetail { point, work })
    },
};

/// Looks at every copy of a point again, and brings those that are missing.
pub static CHECK: Action<PointRef, RecoveryPoint> = Action {
    name: "recoveryPoint.check",
    summary: "Looks at every copy of a recovery point again, and brings those that are missing.",
    effect: Effect::Change,
    run: |tx, input| {
        let point = granted(tx, "recoveryPoint.check", input.id)?;
        again(tx, &point)?;
        load(tx, input.id)
    },
};
