//! The steps of the flow `backup`. All of them work inside the database: what hosts do is asked
//! for by host tasks and waited for.
//!
//! A step that waits looks at its tasks again each time, so that it may be called as often as
//! anybody likes. What goes wrong with the first copy ends the run; what goes wrong with another
//! one is written on that copy, and the point is degraded.

use std::collections::BTreeSet;
use std::time::Duration;

use base::id::HostId;
use base::{Error, Result};
use drivers::wire::{Outcome, Problem, TaskId, Work};
use durable::{About, Call, Nothing, Progress, Registry, Step, StepCx, Undo, flows};
use gate::Tx;
use resources::tasks::{self, Task};
use resources::{hosts, intents};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::points::{self, CopyState, KIND, Part, PartKind, RecoveryCopy, RecoveryPoint, SavedSet, State, Taken};
use super::verify::Verify;
use super::{findings, places, policies, repositories, store};
use crate::datasets;
use crate::{RecoveryPointId, RepositoryId};

/// How long a repository may take to be made.
const MAKING: Duration = Duration::from_secs(2 * 3_600);
/// How long each of taking, copying and looking may take.
pub(super) const WORKING: Duration = Duration::from_secs(24 * 3_600);
/// How long is waited before a host is asked again.
pub(super) const REST: Duration = Duration::from_secs(5 * 60);
/// How often a host is asked for the first copy, or to look at what nobody looked at yet.
pub(super) const TRIES: u32 = 3;

/// Which point.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct OfPoint {
    /// The recovery point.
    pub point: RecoveryPointId,
}

/// What a step remembers while it waits.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Note {
    /// What was asked for in this run already.
    #[serde(default)]
    pub(super) tried: BTreeSet<String>,
    /// How often hosts were asked after they failed.
    #[serde(default)]
    pub(super) tries: u32,
    /// It waits for time to pass, not for a host.
    #[serde(default)]
    pub(super) resting: bool,
}

impl Note {
    pub(super) fn of(cx: &StepCx<'_>) -> Result<Note> {
        Ok(cx.note()?.unwrap_or_default())
    }
}

/// The key that a step waits on while hosts work for a point.
pub(crate) fn key(point: RecoveryPointId) -> String {
    format!("point:{point}")
}

pub(super) fn wait<T>(cx: &StepCx<'_>, key: String, span: Duration, note: &Note) -> Progress<T> {
    Progress::wait(key).until(cx.since + span).noting(json!(note))
}

pub(super) fn is_late(tx: &Tx<'_>, cx: &StepCx<'_>, span: Duration) -> bool {
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

pub(super) fn may_pass(problem: &Problem) -> bool {
    if ["database.unreachable", "task.host_silent"].contains(&problem.code.as_str()) {
        return true;
    }
    vault::fault::ALL.iter().any(|(code, kind)| *code == problem.code && kind.is_transient())
}

/// Asks a host for work, for a point.
pub(super) fn ask(tx: &mut Tx<'_>, host: HostId, work: &Work, point: RecoveryPointId) -> Result<TaskId> {
    let id = tasks::fresh(tx)?;
    tasks::put(tx, host, &id, work, (KIND, &point.to_string()))?;
    Ok(id)
}

/// A task by the name that a row has of it.
pub(super) fn task(tx: &mut Tx<'_>, id: Option<&String>) -> Result<Option<Task>> {
    let Some(id) = id else { return Ok(None) };
    tasks::get(tx, &id.parse().map_err(|e: String| Error::bug("task.id", e))?)
}

/// Whether a task was asked for by this point: a look that reads everything is waited for by others too.
pub(super) fn is_of(task: &Task, point: RecoveryPointId) -> bool {
    task.subject == (KIND.to_owned(), point.to_string())
}

pub(super) fn why(task: &Task) -> Problem {
    task.problem.clone().unwrap_or_else(|| problem("backup.cancelled", "the host was told to stop"))
}

pub(super) fn mismatch() -> Problem {
    problem("backup.answer", "the host told something else than what it was asked for")
}

fn is_snapshot(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

pub(super) fn taking(tx: &mut Tx<'_>, id: RecoveryPointId) -> Result<RecoveryPoint> {
    let point = points::load(tx, id)?;
    match point.state {
        State::Taking => Ok(point),
        state => Err(Error::conflict("recoveryPoint.state", format!("the point is {} by now", state.word()))),
    }
}

/// Finds the machines and data sets, and gives each its copies to come.
pub struct Open;

impl Step for Open {
    const NAME: &'static str = "backup.open";
    const SUMMARY: &'static str =
        "Finds the machines and data sets of a service and the repositories of its policy's places.";
    // Takes back the whole run: what the later steps asked hosts for is for this point.
    const UNDO: Undo = Undo::ByStep;
    type In = OfPoint;
    type Out = Nothing;

    fn run(&self, tx: &mut Tx<'_>, _: &StepCx<'_>, input: &OfPoint) -> Result<Progress<Nothing>> {
        let point = taking(tx, input.point)?;
        let policy = policies::at(tx, point.policy, point.policy_revision)?;
        let found = found(tx, &point.service, policy.terms.what)?;
        let first_time = point.parts.is_empty();
        if first_time && found.is_empty() {
            return Err(Error::conflict("service.no_machine", "the service has nothing that its policy backs up"));
        }
        for one in found {
            if first_time || point.part(&one.id).is_some() {
                let there = within_reach_first(tx, &policy.terms.places, one.host)?.into_iter();
                let there: Result<Vec<_>> =
                    there.map(|place| Ok(repositories::at(tx, point.tenant, place)?.id)).collect();
                store::add_part(tx, point.id, (one.kind, &one.id), one.host, &one.spec, &there?)?;
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

/// What of a service is backed up.
struct Found {
    kind: PartKind,
    id: String,
    host: HostId,
    spec: serde_json::Value,
}

fn found(tx: &mut Tx<'_>, service: &str, what: policies::What) -> Result<Vec<Found>> {
    let mut all = Vec::new();
    for machine in intents::of_service(tx, service)?.into_iter().filter(|_| what.machines()) {
        if let Some(spec) = machine.desired {
            let (kind, id) = (PartKind::Machine, machine.id.to_string());
            all.push(Found { kind, id, host: machine.host, spec: json!(spec) });
        }
    }
    for set in datasets::of_service(tx, service)?.into_iter().filter(|_| what.data_sets()) {
        let (kind, id) = (PartKind::DataSet, set.id.to_string());
        all.push(Found { kind, id, host: set.host, spec: json!(SavedSet { name: set.name, source: set.source }) });
    }
    Ok(all)
}

/// The policy's places in its order, but for directories of other hosts, which come last: a machine
/// may have been brought back elsewhere since, and the first place is written by the part's host.
fn within_reach_first(
    tx: &mut Tx<'_>,
    all: &[crate::BackupPlaceId],
    host: HostId,
) -> Result<Vec<crate::BackupPlaceId>> {
    let (mut near, mut far) = (Vec::with_capacity(all.len()), Vec::new());
    for place in all {
        let own = places::load(tx, *place)?.location.host();
        if own.is_some_and(|own| own != host) { far.push(*place) } else { near.push(*place) }
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

/// Each repository of a point with the host that makes it: of the first part whose host can.
fn makers(tx: &mut Tx<'_>, point: &RecoveryPoint) -> Result<Vec<(RepositoryId, HostId)>> {
    let mut all: Vec<(RepositoryId, HostId, bool)> = Vec::new();
    for part in &point.parts {
        for copy in &part.copies {
            let can = maker(tx, copy.place, part.host)?.is_ok();
            match all.iter_mut().find(|(known, ..)| *known == copy.repository) {
                Some(known) if can && !known.2 => *known = (copy.repository, part.host, can),
                Some(_) => {}
                None => all.push((copy.repository, part.host, can)),
            }
        }
    }
    Ok(all.into_iter().map(|(repository, host, _)| (repository, host)).collect())
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
        // One after the other: those that come later are made alike the first.
        for (repository, host) in makers(tx, &point)? {
            match Self::one(tx, repository, host, &mut note, late_by_now)? {
                Ok(true) => {}
                Ok(false) => return Ok(wait(cx, repositories::key(repository), MAKING, &note)),
                Err(problem) => {
                    let written = |copy: &&RecoveryCopy| copy.repository == repository;
                    // Into the first place of a machine nothing could be taken: that is the end of it.
                    if point.machines().any(|part| part.copies.first().filter(written).is_some()) {
                        return Err(fatal(&problem));
                    }
                    for copy in point.copies().filter(written) {
                        store::set_found(tx, point.id, copy, None, Some(&problem))?;
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

/// Has everything taken into the first place.
pub struct Take;

impl Take {
    /// One part: taken, being taken, or why not.
    fn one(tx: &mut Tx<'_>, point: &RecoveryPoint, part: &Part) -> Result<std::result::Result<bool, Problem>> {
        let Some(first) = part.copies.first() else { return Ok(Err(mismatch())) };
        // What was taken once is of its instant: a first copy that is missing since is brought from another.
        if first.snapshot.is_some() || part.taken.is_some() {
            return Ok(Ok(true));
        }
        match task(tx, part.task.as_ref())? {
            None => {
                let host = match maker(tx, first.place, part.host)? {
                    Ok(host) => host,
                    Err(problem) => return Ok(Err(problem)),
                };
                if part.kind == PartKind::DataSet && datasets::load(tx, part.part.parse()?)?.ended_at.is_some() {
                    return Ok(Err(problem("dataSet.ended", "the data set has ended meanwhile")));
                }
                // Others must not wait a day for a host that may never come back.
                if part.kind == PartKind::DataSet && !hosts::load(tx, host)?.reachable {
                    return Ok(Err(problem("task.host_silent", "the host of the data set is silent")));
                }
                let asked = ask(tx, host, &work(point, part)?, point.id)?;
                store::set_part_task(tx, point.id, &part.part, Some(&asked))?;
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
        let Some((snapshot, taken)) = as_taken(outcome, part.kind) else { return Ok(Err(mismatch())) };
        // A clock of a host may be off; a state of the past is no backup of now.
        let asked = point.requested_at - Duration::from_secs(600);
        if !is_snapshot(&snapshot) || taken.taken_at < asked || !taken.seconds.is_finite() {
            return Ok(Err(mismatch()));
        }
        let mut taken = Taken { taken_at: taken.taken_at.min(tx.now), ..taken };
        if let Some(span) = taken.data.as_mut().and_then(|data| data.span.as_mut()) {
            span.until = span.until.min(tx.now);
        }
        store::set_taken(tx, point.id, &part.part, &taken, &snapshot).map(Ok)
    }
}

/// What a part's host is asked for. The tag is the part's in this point, so that a second asking finds
/// what a first one took.
fn work(point: &RecoveryPoint, part: &Part) -> Result<Work> {
    let tag = format!("{}:{}", point.id, part.part);
    Ok(match &part.data_set {
        Some(saved) => Work::BackUpData { set: part.part.clone(), source: saved.source.clone(), tag },
        None => {
            Work::BackUpMachine { machine: part.part.parse().map_err(|e: String| Error::bug("machine.id", e))?, tag }
        }
    })
}

/// The snapshot and what was taken, where that is what the part is.
fn as_taken(outcome: Outcome, kind: PartKind) -> Option<(String, Taken)> {
    match (outcome, kind) {
        (
            Outcome::MachineBackedUp {
                snapshot,
                tree,
                taken_at,
                consistency,
                disks,
                bytes,
                added_bytes,
                stored_bytes,
                seconds,
            },
            PartKind::Machine,
        ) if !disks.is_empty() => {
            let data = None;
            Some((
                snapshot,
                Taken { tree, taken_at, consistency, disks, data, bytes, added_bytes, stored_bytes, seconds },
            ))
        }
        (
            Outcome::DataBackedUp {
                snapshot,
                tree,
                taken_at,
                consistency,
                data,
                bytes,
                added_bytes,
                stored_bytes,
                seconds,
            },
            PartKind::DataSet,
        ) => {
            let (disks, data) = (Vec::new(), Some(data));
            Some((
                snapshot,
                Taken { tree, taken_at, consistency, disks, data, bytes, added_bytes, stored_bytes, seconds },
            ))
        }
        _ => None,
    }
}

impl Step for Take {
    const NAME: &'static str = "backup.take";
    const SUMMARY: &'static str = "Has hosts take disks, files and databases into the first place.";
    const UNDO: Undo = Undo::Nothing;
    type In = OfPoint;
    type Out = Nothing;

    fn run(&self, tx: &mut Tx<'_>, cx: &StepCx<'_>, input: &OfPoint) -> Result<Progress<Nothing>> {
        let (point, mut note) = (taking(tx, input.point)?, Note::of(cx)?);
        if note.resting && cx.call == Call::Overdue {
            // The rest is over: whoever failed is asked again.
            note = Note { tries: note.tries + 1, resting: false, ..note };
            for part in &point.parts {
                if task(tx, part.task.as_ref())?.is_some_and(|task| !task.is_open() && task.outcome.is_none()) {
                    store::set_part_task(tx, point.id, &part.part, None)?;
                }
            }
        }
        let point = taking(tx, input.point)?;
        let (mut open, mut taken, mut lost) = (Vec::new(), false, Vec::new());
        for part in &point.parts {
            match Self::one(tx, &point, part)? {
                Ok(true) => taken = true,
                Ok(false) => open.push(part),
                Err(problem) => lost.push((part, problem)),
            }
        }
        if !open.is_empty() && !is_late(tx, cx, WORKING) {
            return Ok(wait(cx, key(point.id), WORKING, &note));
        }
        lost.extend(open.into_iter().map(|part| (part, late())));
        if note.tries + 1 < TRIES && lost.iter().any(|(_, problem)| may_pass(problem)) {
            note.resting = true;
            return Ok(Progress::wait_until(tx.now + REST).noting(json!(note)));
        }
        // A data set that cannot be had does not cost the rest its point.
        if let Some((_, problem)) = lost.iter().find(|(part, _)| part.kind == PartKind::Machine || !taken) {
            return Err(fatal(problem));
        }
        for (part, problem) in lost {
            if let Some(task) = task(tx, part.task.as_ref())? {
                if task.is_open() {
                    tasks::cancel(tx, &task.id)?;
                } else if let Some(first) = part.copies.first() {
                    findings::used(tx, first.repository, &task)?;
                }
            }
            store::set_part_task(tx, point.id, &part.part, None)?;
            if let Some(first) = part.copies.first() {
                store::set_found(tx, point.id, first, None, Some(&problem))?;
            }
        }
        Ok(Progress::Done(Nothing {}))
    }

    fn undo(&self, _: &mut Tx<'_>, _: &StepCx<'_>, _: &OfPoint, _: Option<&Nothing>) -> Result<Progress<()>> {
        Ok(Progress::Done(()))
    }
}

/// Has the copies that are not there made from one that is.
pub struct Copy;

/// The host that can work with these places: the one that a directory is of, else the machine's.
pub(super) fn worker(
    tx: &mut Tx<'_>,
    used: &[&RecoveryCopy],
    host: HostId,
) -> Result<std::result::Result<HostId, Problem>> {
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
        if !matches!(copy.state, CopyState::Pending | CopyState::Missing) {
            return Ok(false);
        }
        let name = format!("{}/{}", part.part, copy.position);
        match task(tx, copy.task.as_ref())? {
            Some(task) if task.is_open() => {
                note.tried.insert(name);
                Ok(true)
            }
            Some(task) => {
                note.tried.insert(name);
                let id = match (&task.outcome, &task.work) {
                    (Some(Outcome::SnapshotsCopied { ids, .. }), Work::CopySnapshots { snapshots }) => {
                        snapshots.first().and_then(|source| ids.get(source)).filter(|id| is_snapshot(id))
                    }
                    _ => None,
                };
                match (id, task.state) {
                    (Some(id), _) => store::set_stored(tx, point.id, &part.part, copy.position, id)?,
                    (None, tasks::State::Succeeded) => store::set_found(tx, point.id, copy, None, Some(&mismatch()))?,
                    (None, _) => {
                        store::set_found(tx, point.id, copy, None, Some(&why(&task)))?;
                        Self::doubt(tx, part, copy, &task)?;
                    }
                }
                Ok(false)
            }
            None if !repositories::load(tx, copy.repository)?.made => Ok(false),
            None if !note.tried.insert(name) => Ok(false),
            None => match Self::source(tx, part, copy)? {
                Some(Ok((host, snapshot))) => {
                    let asked = ask(tx, host, &Work::CopySnapshots { snapshots: vec![snapshot] }, point.id)?;
                    store::set_copy_task(tx, point.id, copy, Some(&asked))?;
                    Ok(true)
                }
                Some(Err(problem)) => store::set_found(tx, point.id, copy, None, Some(&problem)).map(|()| false),
                None => Ok(false),
            },
        }
    }

    /// A copy that failed over something damaged does not say on which side that is.
    fn doubt(tx: &mut Tx<'_>, part: &Part, copy: &RecoveryCopy, task: &Task) -> Result<()> {
        let Some(state) = task.problem.as_ref().and_then(|problem| points::damage(&problem.code)) else {
            return Ok(());
        };
        let Work::CopySnapshots { snapshots } = &task.work else { return Ok(()) };
        let is_source = |one: &&RecoveryCopy| one.snapshot.as_ref() == snapshots.first();
        for side in part.copies.iter().filter(is_source).chain([copy]) {
            findings::doubted(tx, side.repository, state)?;
        }
        Ok(())
    }

    /// The snapshot that a copy is made from and the host that does it: of those that were found whole the
    /// first that some host reaches together with the copy, else of those that nobody looked at yet.
    fn source(
        tx: &mut Tx<'_>,
        part: &Part,
        copy: &RecoveryCopy,
    ) -> Result<Option<std::result::Result<(HostId, String), Problem>>> {
        let mut why = None;
        for state in [CopyState::Verified, CopyState::Stored] {
            for source in part.copies.iter().filter(|source| source.state == state) {
                let Some(snapshot) = source.snapshot.clone() else { continue };
                match worker(tx, &[source, copy], part.host)? {
                    Ok(host) => return Ok(Some(Ok((host, snapshot)))),
                    Err(problem) => why = why.or(Some(Err(problem))),
                }
            }
        }
        Ok(why)
    }
}

/// Stops what is still on its way, and says why on its copy.
pub(super) fn give_up(tx: &mut Tx<'_>, point: &RecoveryPoint) -> Result<()> {
    for copy in point.copies() {
        if let Some(open) = task(tx, copy.task.as_ref())?.filter(|open| open.is_open() && is_of(open, point.id)) {
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
    const SUMMARY: &'static str = "Has copies brought to the places that lack them, side by side.";
    const UNDO: Undo = Undo::Nothing;
    type In = OfPoint;
    type Out = Nothing;

    fn run(&self, tx: &mut Tx<'_>, cx: &StepCx<'_>, input: &OfPoint) -> Result<Progress<Nothing>> {
        let (point, mut note) = (taking(tx, input.point)?, Note::of(cx)?);
        let mut open = false;
        for part in &point.parts {
            for copy in &part.copies {
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
    let point = points::load(tx, id.parse()?)?;
    findings::failed(tx, &point)?;
    points::settle(tx, id.parse()?, Some(why)).map(drop)
}

/// A host's task has ended: whoever waits for it goes on.
///
/// # Errors
/// Those of the database.
pub fn task_ended(tx: &mut Tx<'_>, id: &str, kind: &str, subject: &str) -> Result<()> {
    let task: TaskId = id.parse().map_err(|e: String| Error::bug("task.id", e))?;
    match kind {
        KIND => {
            let others = store::points_of_task(tx, &task)?.into_iter().filter(|point| point.to_string() != subject);
            for point in others.chain([subject.parse()?]).collect::<Vec<_>>() {
                flows::wake(tx, &key(point))?;
            }
            Ok(())
        }
        repositories::KIND => repositories::task_ended(tx, subject, &task),
        datasets::KIND => datasets::task_ended(tx, subject, &task),
        datasets::restores::KIND => datasets::restores::task_ended(tx, subject, &task),
        crate::readings::KIND => crate::readings::task_ended(tx, subject, &task),
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
