//! The steps of the flow `backup`. All of them work inside the database: what hosts do is asked
//! for by host tasks and waited for.
//!
//! A step that waits looks at its tasks again each time, so that it may be called as often as
//! anybody likes. What goes wrong with the first copy ends the run; what goes wrong with another
//! one is written on that copy, and the point is degraded.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base::id::HostId;
use base::{Error, Result};
use drivers::wire::{Outcome, Problem, ReadShare, TaskId, Work};
use durable::{About, Call, Nothing, Progress, Registry, Step, StepCx, Undo, flows};
use gate::Tx;
use resources::tasks::{self, Task};
use resources::{hosts, intents};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::points::{self, CopyState, KIND, Part, RecoveryCopy, RecoveryPoint, State, Taken};
use super::{places, policies, repositories, store};
use crate::{RecoveryPointId, RepositoryId};

/// How long a repository may take to be made.
const MAKING: Duration = Duration::from_secs(2 * 3_600);
/// How long each of taking, copying and looking may take.
const WORKING: Duration = Duration::from_secs(24 * 3_600);
/// How long is waited before a host is asked again.
const REST: Duration = Duration::from_secs(5 * 60);
/// How often a host is asked for the first copy.
const TRIES: u32 = 3;

/// Which point.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct OfPoint {
    /// The recovery point.
    pub point: RecoveryPointId,
}

/// What a step remembers while it waits.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Note {
    /// What was asked for in this run already.
    #[serde(default)]
    tried: BTreeSet<String>,
    /// How often hosts were asked after they failed.
    #[serde(default)]
    tries: u32,
    /// It waits for time to pass, not for a host.
    #[serde(default)]
    resting: bool,
}

impl Note {
    fn of(cx: &StepCx<'_>) -> Result<Note> {
        Ok(cx.note()?.unwrap_or_default())
    }
}

/// The key that a step waits on while hosts work for a point.
pub(crate) fn key(point: RecoveryPointId) -> String {
    format!("point:{point}")
}

fn wait<T>(cx: &StepCx<'_>, key: String, span: Duration, note: &Note) -> Progress<T> {
    Progress::wait(key).until(cx.since + span).noting(json!(note))
}

fn is_late(tx: &Tx<'_>, cx: &StepCx<'_>, span: Duration) -> bool {
    cx.call == Call::Overdue && tx.now >= cx.since + span
}

pub(crate) fn problem(code: &str, message: impl Into<String>) -> Problem {
    Problem { code: code.to_owned(), message: message.into(), retrying: false }
}

fn late() -> Problem {
    problem("backup.deadline", "the host did not finish in time; look whether it is there and how fast its places are")
}

fn elsewhere(place: &str) -> Problem {
    problem(
        "backup.place_elsewhere",
        format!(
            "{place} is a directory of another host, which this machine's host does not reach; use a repository server"
        ),
    )
}

/// The problem as what ends a run: in its own words, and never tried again by the engine.
fn fatal(problem: &Problem) -> Error {
    Error::conflict(problem.code.clone(), problem.message.clone())
}

fn may_pass(problem: &Problem) -> bool {
    vault::fault::ALL.iter().any(|(code, kind)| *code == problem.code && kind.is_transient())
}

/// Asks a host for work, for a point.
fn ask(tx: &mut Tx<'_>, host: HostId, work: &Work, point: RecoveryPointId) -> Result<TaskId> {
    let id = tasks::fresh(tx)?;
    tasks::put(tx, host, &id, work, (KIND, &point.to_string()))?;
    Ok(id)
}

/// A task by the name that a row has of it.
fn task(tx: &mut Tx<'_>, id: Option<&String>) -> Result<Option<Task>> {
    let Some(id) = id else { return Ok(None) };
    tasks::get(tx, &id.parse().map_err(|e: String| Error::bug("task.id", e))?)
}

fn why(task: &Task) -> Problem {
    task.problem.clone().unwrap_or_else(|| problem("backup.cancelled", "the host was told to stop"))
}

fn mismatch() -> Problem {
    problem("backup.answer", "the host told something else than what it was asked for")
}

fn is_snapshot(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn taking(tx: &mut Tx<'_>, id: RecoveryPointId) -> Result<RecoveryPoint> {
    let point = points::load(tx, id)?;
    match point.state {
        State::Taking => Ok(point),
        state => Err(Error::conflict("recoveryPoint.state", format!("the point is {} by now", state.word()))),
    }
}

/// Finds the machines, and gives each its copies to come.
pub struct Open;

impl Step for Open {
    const NAME: &'static str = "backup.open";
    const SUMMARY: &'static str = "Finds the machines of a service and the repositories of its policy's places.";
    // Takes back the whole run: what the later steps asked hosts for is for this point.
    const UNDO: Undo = Undo::ByStep;
    type In = OfPoint;
    type Out = Nothing;

    fn run(&self, tx: &mut Tx<'_>, _: &StepCx<'_>, input: &OfPoint) -> Result<Progress<Nothing>> {
        let point = taking(tx, input.point)?;
        let policy = policies::at(tx, point.policy, point.policy_revision)?;
        let all = intents::of_service(tx, &point.service)?.into_iter();
        let living: Vec<_> =
            all.filter_map(|machine| Some((machine.id.to_string(), machine.host, machine.desired?))).collect();
        let there = within_reach_first(tx, &policy.terms.places, living.first().map(|(_, host, _)| *host))?;
        let there: Result<Vec<_>> =
            there.into_iter().map(|place| Ok(repositories::at(tx, point.tenant, place)?.id)).collect();
        let there = there?;
        let first_time = point.machines.is_empty();
        if first_time && living.is_empty() {
            return Err(Error::conflict("service.no_machine", "the service has no machine to take disks of"));
        }
        for (id, host, spec) in living {
            if first_time || point.part(&id).is_some() {
                store::add_machine(tx, point.id, &id, host, &spec, &there)?;
            }
        }
        Ok(Progress::Done(Nothing {}))
    }

    fn undo(&self, tx: &mut Tx<'_>, _: &StepCx<'_>, input: &OfPoint, _: Option<&Nothing>) -> Result<Progress<()>> {
        // What the point is now is said when the run has ended (`ended`): why it failed is known then.
        stop(tx, &input.point.to_string())?;
        Ok(Progress::Done(()))
    }
}

/// The policy's places in its order, but for directories of other hosts, which come last: the machine
/// may have been brought back elsewhere since, and the first place is written by its host.
fn within_reach_first(
    tx: &mut Tx<'_>,
    all: &[crate::BackupPlaceId],
    host: Option<HostId>,
) -> Result<Vec<crate::BackupPlaceId>> {
    let (mut near, mut far) = (Vec::with_capacity(all.len()), Vec::new());
    for place in all {
        let own = places::load(tx, *place)?.location.host();
        if own.is_some() && host.is_some() && own != host { far.push(*place) } else { near.push(*place) }
    }
    near.append(&mut far);
    Ok(near)
}

/// Hosts stop working for a point.
fn stop(tx: &mut Tx<'_>, point: &str) -> Result<()> {
    for task in tasks::of_subject(tx, (KIND, point))? {
        tasks::cancel(tx, &task.id)?;
    }
    Ok(())
}

/// Has the repositories made that are not there yet.
pub struct Prepare;

/// Where a repository is made: at its own host, else at the machine's.
fn maker(tx: &mut Tx<'_>, place: crate::BackupPlaceId, host: HostId) -> Result<std::result::Result<HostId, Problem>> {
    let place = places::load(tx, place)?;
    Ok(match place.location.host() {
        Some(own) if own != host => Err(elsewhere(&place.name)),
        _ => Ok(host),
    })
}

impl Prepare {
    /// One repository: there (`Ok(true)`), being made (`Ok(false)`), or not to be had.
    fn one(
        tx: &mut Tx<'_>,
        id: RepositoryId,
        host: HostId,
        note: &mut Note,
        late_by_now: bool,
    ) -> Result<std::result::Result<bool, Problem>> {
        let one = repositories::load(tx, id)?;
        if one.made {
            return Ok(Ok(true));
        }
        if task(tx, one.task.as_ref())?.is_some_and(|task| task.is_open()) {
            note.tried.insert(id.to_string());
            // The host stays asked: other runs may wait for it, and the next one will.
            return Ok(if late_by_now { Err(late()) } else { Ok(false) });
        }
        if !note.tried.insert(id.to_string()) {
            let known = one.problem.clone();
            return Ok(Err(known.unwrap_or_else(|| problem("backup.cancelled", "the host was told to stop"))));
        }
        let host = match maker(tx, one.place, host)? {
            Ok(host) => host,
            Err(problem) => return Ok(Err(problem)),
        };
        let (alike, task) = (repositories::model(tx, &one)?.is_some(), tasks::fresh(tx)?);
        tasks::put(tx, host, &task, &Work::MakeRepository { alike }, (repositories::KIND, &id.to_string()))?;
        repositories::set_task(tx, id, Some(task.as_str()))?;
        Ok(Ok(false))
    }
}

impl Step for Prepare {
    const NAME: &'static str = "backup.prepare";
    const SUMMARY: &'static str = "Has a tenant's repositories made where there are none yet.";
    // Repositories stay: the next run uses them.
    const UNDO: Undo = Undo::Nothing;
    type In = OfPoint;
    type Out = Nothing;

    fn run(&self, tx: &mut Tx<'_>, cx: &StepCx<'_>, input: &OfPoint) -> Result<Progress<Nothing>> {
        let (point, mut note) = (taking(tx, input.point)?, Note::of(cx)?);
        let late_by_now = is_late(tx, cx, MAKING);
        let Some(part) = point.machines.first() else { return Ok(Progress::Done(Nothing {})) };
        // One after the other: those that come later are made alike the first.
        for copy in &part.copies {
            match Self::one(tx, copy.repository, part.host, &mut note, late_by_now)? {
                Ok(true) => {}
                Ok(false) => return Ok(wait(cx, repositories::key(copy.repository), MAKING, &note)),
                Err(problem) if copy.position == 0 => return Err(fatal(&problem)),
                Err(problem) => {
                    for same in point.copies().filter(|other| other.position == copy.position) {
                        store::set_found(tx, point.id, same, None, Some(&problem))?;
                    }
                }
            }
        }
        Ok(Progress::Done(Nothing {}))
    }

    fn undo(&self, _: &mut Tx<'_>, _: &StepCx<'_>, _: &OfPoint, _: Option<&Nothing>) -> Result<Progress<()>> {
        Ok(Progress::Done(()))
    }
}

/// Has the disks taken into the first place.
pub struct Take;

impl Take {
    /// One machine: taken, being taken, or why not.
    fn one(tx: &mut Tx<'_>, point: &RecoveryPoint, part: &Part) -> Result<std::result::Result<bool, Problem>> {
        let Some(first) = part.copies.first() else { return Ok(Err(mismatch())) };
        if first.snapshot.is_some() {
            return Ok(Ok(true));
        }
        match task(tx, part.task.as_ref())? {
            None => {
                let host = match maker(tx, first.place, part.host)? {
                    Ok(host) => host,
                    Err(problem) => return Ok(Err(problem)),
                };
                let machine = part.machine.parse().map_err(|e: String| Error::bug("machine.id", e))?;
                // The tag is the machine's in this point, so that a second asking finds what a first one took.
                let work = Work::BackUpMachine { machine, tag: format!("{}:{}", point.id, part.machine) };
                let asked = ask(tx, host, &work, point.id)?;
                store::set_machine_task(tx, point.id, &part.machine, Some(&asked))?;
                Ok(Ok(false))
            }
            Some(task) if task.is_open() => Ok(Ok(false)),
            Some(Task { outcome: Some(outcome), state: tasks::State::Succeeded, .. }) => {
                Ok(Self::taken(tx, point, part, outcome)?.map(|()| true))
            }
            Some(task) => Ok(Err(why(&task))),
        }
    }

    fn taken(
        tx: &mut Tx<'_>,
        point: &RecoveryPoint,
        part: &Part,
        outcome: Outcome,
    ) -> Result<std::result::Result<(), Problem>> {
        let Outcome::MachineBackedUp {
            snapshot,
            tree,
            taken_at,
            consistency,
            disks,
            bytes,
            added_bytes,
            stored_bytes,
            seconds,
        } = outcome
        else {
            return Ok(Err(mismatch()));
        };
        // A clock of a host may be off; a state of the past is no backup of now.
        let asked = point.requested_at - Duration::from_secs(600);
        if !is_snapshot(&snapshot) || disks.is_empty() || taken_at < asked || !seconds.is_finite() {
            return Ok(Err(mismatch()));
        }
        let taken_at = taken_at.min(tx.now);
        let taken = Taken { tree, taken_at, consistency, disks, bytes, added_bytes, stored_bytes, seconds };
        store::set_taken(tx, point.id, &part.machine, &taken, &snapshot).map(Ok)
    }
}

impl Step for Take {
    const NAME: &'static str = "backup.take";
    const SUMMARY: &'static str = "Has a host take the disks of its machines into the first place.";
    const UNDO: Undo = Undo::Nothing;
    type In = OfPoint;
    type Out = Nothing;

    fn run(&self, tx: &mut Tx<'_>, cx: &StepCx<'_>, input: &OfPoint) -> Result<Progress<Nothing>> {
        let (point, mut note) = (taking(tx, input.point)?, Note::of(cx)?);
        if note.resting && cx.call == Call::Overdue {
            // The rest is over: whoever failed is asked again.
            note = Note { tries: note.tries + 1, resting: false, ..note };
            for part in &point.machines {
                if task(tx, part.task.as_ref())?.is_some_and(|task| !task.is_open() && task.outcome.is_none()) {
                    store::set_machine_task(tx, point.id, &part.machine, None)?;
                }
            }
        }
        let point = taking(tx, input.point)?;
        let (mut open, mut failed) = (false, None);
        for part in &point.machines {
            match Self::one(tx, &point, part)? {
                Ok(there) => open |= !there,
                Err(problem) => failed = Some(problem),
            }
        }
        match failed {
            _ if open && is_late(tx, cx, WORKING) => Err(fatal(&late())),
            _ if open => Ok(wait(cx, key(point.id), WORKING, &note)),
            None => Ok(Progress::Done(Nothing {})),
            Some(problem) if may_pass(&problem) && note.tries + 1 < TRIES => {
                note.resting = true;
                Ok(Progress::wait_until(tx.now + REST).noting(json!(note)))
            }
            Some(problem) => Err(fatal(&problem)),
        }
    }

    fn undo(&self, _: &mut Tx<'_>, _: &StepCx<'_>, _: &OfPoint, _: Option<&Nothing>) -> Result<Progress<()>> {
        Ok(Progress::Done(()))
    }
}

/// Has the other copies made from the first.
pub struct Copy;

/// The host that can work with these places: the one that a directory is of, else the machine's.
fn worker(tx: &mut Tx<'_>, used: &[&RecoveryCopy], host: HostId) -> Result<std::result::Result<HostId, Problem>> {
    let mut own = None;
    for copy in used {
        let place = places::load(tx, copy.place)?;
        match (place.location.host(), own) {
            (Some(host), Some(other)) if host != other => return Ok(Err(elsewhere(&place.name))),
            (Some(host), _) => own = Some(host),
            (None, _) => {}
        }
    }
    let host = own.unwrap_or(host);
    let known = hosts::load(tx, host)?;
    Ok(match known.state {
        hosts::State::Retired => Err(problem("task.host_gone", "the host that could do this was retired")),
        // A backup does not wait a day for a host that may never come back: its copy there is made later.
        _ if !known.reachable => {
            Err(problem("task.host_silent", "the host that could do this is silent; it is tried again by itself"))
        }
        _ => Ok(host),
    })
}

impl Copy {
    /// One copy: whether it is still on its way.
    fn one(tx: &mut Tx<'_>, point: &RecoveryPoint, part: &Part, copy: &RecoveryCopy, note: &mut Note) -> Result<bool> {
        let missing = matches!(copy.state, CopyState::Pending | CopyState::Missing);
        let source = part.copies.first().filter(|first| first.state != CopyState::Missing);
        let Some((source, snapshot)) = source.and_then(|first| Some((first, first.snapshot.clone()?))) else {
            return Ok(false);
        };
        if !missing {
            return Ok(false);
        }
        let name = format!("{}/{}", part.machine, copy.position);
        match task(tx, copy.task.as_ref())? {
            Some(task) if task.is_open() => {
                note.tried.insert(name);
                Ok(true)
            }
            Some(task) => {
                note.tried.insert(name);
                let id = match &task.outcome {
                    Some(Outcome::SnapshotsCopied { ids, .. }) => ids.get(&snapshot).filter(|id| is_snapshot(id)),
                    _ => None,
                };
                match (id, task.state) {
                    (Some(id), _) => store::set_stored(tx, point.id, &part.machine, copy.position, id)?,
                    (None, tasks::State::Succeeded) => store::set_found(tx, point.id, copy, None, Some(&mismatch()))?,
                    (None, _) => store::set_found(tx, point.id, copy, None, Some(&why(&task)))?,
                }
                Ok(false)
            }
            None if !repositories::load(tx, copy.repository)?.made => Ok(false),
            None if !note.tried.insert(name) => Ok(false),
            None => match worker(tx, &[source, copy], part.host)? {
                Ok(host) => {
                    let asked = ask(tx, host, &Work::CopySnapshots { snapshots: vec![snapshot] }, point.id)?;
                    store::set_copy_task(tx, point.id, copy, Some(&asked))?;
                    Ok(true)
                }
                Err(problem) => store::set_found(tx, point.id, copy, None, Some(&problem)).map(|()| false),
            },
        }
    }
}

/// Stops what is still on its way, and says why on its copy.
fn give_up(tx: &mut Tx<'_>, point: &RecoveryPoint) -> Result<()> {
    for copy in point.copies() {
        if let Some(open) = task(tx, copy.task.as_ref())?.filter(Task::is_open) {
            tasks::cancel(tx, &open.id)?;
        }
        if copy.task.is_some() {
            store::set_found(tx, point.id, copy, None, Some(&late()))?;
        }
    }
    Ok(())
}

impl Step for Copy {
    const NAME: &'static str = "backup.copy";
    const SUMMARY: &'static str = "Has the first copy brought to the other places, side by side.";
    const UNDO: Undo = Undo::Nothing;
    type In = OfPoint;
    type Out = Nothing;

    fn run(&self, tx: &mut Tx<'_>, cx: &StepCx<'_>, input: &OfPoint) -> Result<Progress<Nothing>> {
        let (point, mut note) = (taking(tx, input.point)?, Note::of(cx)?);
        let mut open = false;
        for part in &point.machines {
            for copy in part.copies.iter().skip(1) {
                open |= Self::one(tx, &point, part, copy, &mut note)?;
            }
        }
        if open && is_late(tx, cx, WORKING) {
            let point = taking(tx, input.point)?;
            give_up(tx, &point)?;
            open = false;
        }
        Ok(if open { wait(cx, key(point.id), WORKING, &note) } else { Progress::Done(Nothing {}) })
    }

    fn undo(&self, _: &mut Tx<'_>, _: &StepCx<'_>, _: &OfPoint, _: Option<&Nothing>) -> Result<Progress<()>> {
        Ok(Progress::Done(()))
    }
}

/// Has every copy looked at: whether it is there, and whole.
pub struct Verify;

impl Verify {
    /// One repository with the point's copies in it: whether it is still being looked at.
    fn one(tx: &mut Tx<'_>, point: &RecoveryPoint, copies: &[&RecoveryCopy], note: &mut Note) -> Result<bool> {
        let Some(first) = copies.first() else { return Ok(false) };
        let name = first.repository.to_string();
        match task(tx, first.task.as_ref())? {
            Some(task) if task.is_open() => {
                note.tried.insert(name);
                Ok(true)
            }
            Some(task) => {
                note.tried.insert(name);
                for copy in copies {
                    let (state, problem) = verdict(copy, &task);
                    store::set_found(tx, point.id, copy, state, problem.as_ref())?;
                }
                Ok(false)
            }
            None if !note.tried.insert(name) => Ok(false),
            None => Self::ask(tx, point, copies),
        }
    }

    fn ask(tx: &mut Tx<'_>, point: &RecoveryPoint, copies: &[&RecoveryCopy]) -> Result<bool> {
        let host = copies.first().and_then(|copy| point.part(&copy.machine)).map(|part| part.host);
        let Some(host) = host else { return Ok(false) };
        let host = match worker(tx, copies, host)? {
            Ok(host) => host,
            Err(problem) => {
                for copy in copies {
                    store::set_found(tx, point.id, copy, None, Some(&problem))?;
                }
                return Ok(false);
            }
        };
        let snapshots = copies.iter().filter_map(|copy| copy.snapshot.clone()).collect();
        let repository = repositories::load(tx, copies[0].repository)?;
        let part = repositories::next_part(tx, &repository)?;
        let read = ReadShare::Part { part, of: repositories::PARTS };
        let asked = ask(tx, host, &Work::CheckRepository { snapshots, read }, point.id)?;
        for copy in copies {
            store::set_copy_task(tx, point.id, copy, Some(&asked))?;
        }
        Ok(true)
    }
}

/// What a look says of a copy. A look that could not be made says nothing of it.
fn verdict(copy: &RecoveryCopy, task: &Task) -> (Option<CopyState>, Option<Problem>) {
    let told = match &task.outcome {
        Some(Outcome::RepositoryChecked { snapshots, whole, faults, .. }) => Some((snapshots, *whole, faults)),
        _ => None,
    };
    match told {
        Some((there, _, _)) if !copy.snapshot.as_ref().is_some_and(|id| there.contains(id)) => {
            let message = "the snapshot is not in its repository";
            (Some(CopyState::Missing), Some(problem(vault::fault::SNAPSHOT_MISSING, message)))
        }
        Some((_, true, faults)) if faults.is_empty() => (Some(CopyState::Verified), None),
        Some((_, _, faults)) => {
            let faults = faults.iter().take(3).cloned().collect::<Vec<_>>().join("; ");
            let message = format!("the repository is not whole: {faults}; use another copy");
            (Some(CopyState::Damaged), Some(problem(vault::fault::REPOSITORY_DAMAGED, message)))
        }
        None => {
            let problem = if task.state == tasks::State::Succeeded { mismatch() } else { why(task) };
            let damaged = [vault::fault::REPOSITORY_DAMAGED, vault::fault::REPOSITORY_INCOMPLETE];
            let lost = [vault::fault::REPOSITORY_MISSING, vault::fault::SNAPSHOT_MISSING];
            let state = match problem.code.as_str() {
                code if damaged.contains(&code) => Some(CopyState::Damaged),
                code if lost.contains(&code) => Some(CopyState::Missing),
                _ => None,
            };
            (state, Some(problem))
        }
    }
}

impl Step for Verify {
    const NAME: &'static str = "backup.verify";
    const SUMMARY: &'static str = "Has every copy looked at: whether it is there, and its repository whole.";
    const UNDO: Undo = Undo::Nothing;
    type In = OfPoint;
    type Out = Nothing;

    fn run(&self, tx: &mut Tx<'_>, cx: &StepCx<'_>, input: &OfPoint) -> Result<Progress<Nothing>> {
        let (point, mut note) = (taking(tx, input.point)?, Note::of(cx)?);
        let mut by_repository: BTreeMap<RepositoryId, Vec<&RecoveryCopy>> = BTreeMap::new();
        for copy in point.copies().filter(|copy| copy.snapshot.is_some() && copy.state != CopyState::Gone) {
            by_repository.entry(copy.repository).or_default().push(copy);
        }
        let mut open = false;
        for copies in by_repository.values() {
            open |= Self::one(tx, &point, copies, &mut note)?;
        }
        if open && is_late(tx, cx, WORKING) {
            let point = taking(tx, input.point)?;
            give_up(tx, &point)?;
            open = false;
        }
        Ok(if open { wait(cx, key(point.id), WORKING, &note) } else { Progress::Done(Nothing {}) })
    }

    fn undo(&self, _: &mut Tx<'_>, _: &StepCx<'_>, _: &OfPoint, _: Option<&Nothing>) -> Result<Progress<()>> {
        Ok(Progress::Done(()))
    }
}

/// Writes down what the point is, from its copies.
pub struct Close;

impl Step for Close {
    const NAME: &'static str = "backup.close";
    const SUMMARY: &'static str = "Says what the recovery point is: available only where every copy was looked at.";
    const UNDO: Undo = Undo::Impossible;
    type In = OfPoint;
    type Out = Nothing;

    fn run(&self, tx: &mut Tx<'_>, _: &StepCx<'_>, input: &OfPoint) -> Result<Progress<Nothing>> {
        points::settle(tx, input.point, None)?;
        Ok(Progress::Done(Nothing {}))
    }

    fn undo(&self, _: &mut Tx<'_>, _: &StepCx<'_>, _: &OfPoint, _: Option<&Nothing>) -> Result<Progress<()>> {
        Ok(Progress::Done(()))
    }
}

/// A run was undone, or a person ended it where it stood: its hosts stop, and the point is what
/// its copies say.
///
/// # Errors
/// Those of the database.
pub fn ended(tx: &mut Tx<'_>, about: &About) -> Result<()> {
    if about.subject.kind != KIND {
        return Ok(());
    }
    let id = &about.subject.id;
    stop(tx, id)?;
    let run = flows::of_subject(tx, KIND, id)?.into_iter().find(|run| run.id == about.run);
    let why = match run.and_then(|run| run.failure) {
        Some(failure) => problem(&failure.code, failure.message),
        None => problem("backup.given_up", "somebody ended the run"),
    };
    points::settle(tx, id.parse()?, Some(why)).map(drop)
}

/// A host's task has ended: whoever waits for it goes on.
///
/// # Errors
/// Those of the database.
pub fn task_ended(tx: &mut Tx<'_>, id: &str, kind: &str, subject: &str) -> Result<()> {
    let task: TaskId = id.parse().map_err(|e: String| Error::bug("task.id", e))?;
    match kind {
        KIND => flows::wake(tx, &key(subject.parse()?)).map(drop),
        repositories::KIND => repositories::task_ended(tx, subject, &task),
        _ => flows::wake(tx, &tasks::key(&task)).map(drop),
    }
}

/// Adds the steps and the flow.
pub(crate) fn register(registry: Registry) -> Registry {
    registry
        .step(Open)
        .step(Prepare)
        .step(Take)
        .step(Copy)
        .step(Verify)
        .step(Close)
        .definition(include_str!("../../flows/backup.yaml"))
}
