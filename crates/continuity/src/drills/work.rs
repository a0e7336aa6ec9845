//! The steps of the flow `drill`, and what begins drills that are due.
//!
//! All steps work inside the database: machines are wanted by intents, repositories opened by host
//! tasks, and both waited for. A step that cannot go on fails the run: the steps before it take back
//! what they made, and what is left is judged ([`closing::ended`]).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base::id::{HostId, TenantId};
use base::limits::TASK_SNAPSHOTS_MAX;
use base::{Error, Kind, Result};
use drivers::wire::{Check, IntentId, Outcome, Problem, ReadShare, TaskId, Work};
use durable::{Call, Nothing, Progress, Registry, Step, StepCx, Undo};
use gate::{Action, Cx, Effect, Gate, Tx};
use resources::capacity::{self, Ask};
use resources::claims::{self, Holder};
use resources::intents::{self, Intent};
use resources::placement::{Demand, Policy};
use resources::tasks::{self, Task};
use resources::{SiteId, hosts, places as sites};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::plans::{self, RecordAt, Scenario};
use super::rules::{self, Phase, Unread};
use super::runs::{self, Disk, DrillRun, Machine, Restored};
use super::scope::Scope;
use super::{KIND, closing, databases, detection, key, platform};
use crate::backups::repositories;
use crate::recoveries::{self, Attached, Purpose, Wanted};
use crate::{DrillPlanId, DrillRunId, RecoveryId, RepositoryId};

/// How long a repository may take to be opened.
const OPENING: Duration = Duration::from_secs(3_600);
/// How long is waited for the record of a service that answers already.
const TELLING: Duration = Duration::from_secs(90);
/// How far a guest's clock may be ahead of its host's before its record is not believed.
pub(super) const AHEAD: Duration = Duration::from_secs(120);

/// What the attribute of an error begins with that is about one service of a run: its id follows, and
/// where it is about a database, a dot and the data set.
pub(super) const OF_SERVICE: &str = "services.";

/// Which run.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct OfRun {
    /// The run.
    pub run: DrillRunId,
}

pub(super) type Stepped = Result<Progress<Nothing>>;

pub(super) fn done() -> Stepped {
    Ok(Progress::Done(Nothing {}))
}

pub(super) fn load(tx: &mut Tx<'_>, input: &OfRun) -> Result<DrillRun> {
    runs::load(tx, input.run)
}

pub(super) fn intent_id(text: &str) -> Result<IntentId> {
    text.parse().map_err(|e: String| Error::bug("machine.id", e))
}

pub(super) fn is_late(tx: &Tx<'_>, cx: &StepCx<'_>, span: Duration) -> bool {
    cx.call == Call::Overdue && tx.now >= cx.since + span
}

/// Ends a phase of every service.
fn phase(run: &mut DrillRun, phase: Phase, tx: &Tx<'_>) {
    run.body.services.iter_mut().for_each(|one| one.ended(phase, tx.now));
}

/// A step that takes nothing back: what it looked at is as it was.
macro_rules! nothing_to_undo {
    () => {
        fn undo(&self, _: &mut Tx<'_>, _: &StepCx<'_>, _: &OfRun, _: Option<&Nothing>) -> Result<Progress<()>> {
            Ok(Progress::Done(()))
        }
    };
}

/// The platform begins to act.
pub struct Begin;

impl Step for Begin {
    const NAME: &'static str = "drill.begin";
    const SUMMARY: &'static str = "Takes up a drill: from here on the platform acts.";
    const UNDO: Undo = Undo::Nothing;
    type In = OfRun;
    type Out = Nothing;

    fn run(&self, tx: &mut Tx<'_>, _: &StepCx<'_>, input: &OfRun) -> Stepped {
        let mut run = load(tx, input)?;
        phase(&mut run, Phase::Detect, tx);
        runs::save(tx, &mut run)?;
        done()
    }

    nothing_to_undo!();
}

/// What the scenario takes away.
#[derive(Debug, Default)]
struct Lost {
    hosts: Vec<HostId>,
    site: Option<SiteId>,
    places: Vec<crate::BackupPlaceId>,
}

/// The hosts that a service's machines stand on; where it has none any more, those of its newest point.
fn stands_on(tx: &mut Tx<'_>, service: &str) -> Result<BTreeSet<HostId>> {
    let living: BTreeSet<HostId> = intents::of_service(tx, service)?.iter().map(|machine| machine.host).collect();
    if !living.is_empty() {
        return Ok(living);
    }
    let Some(newest) = crate::backups::store::newest(tx, service)? else { return Ok(living) };
    let point = crate::backups::points::load(tx, newest)?;
    Ok(point.machines().map(|part| part.host).collect())
}

fn lost(tx: &mut Tx<'_>, run: &DrillRun) -> Result<Lost> {
    Ok(match &run.body.terms.scenario {
        Scenario::MachineLost | Scenario::Ransomware { .. } | Scenario::DatabaseLost { .. } => Lost::default(),
        Scenario::ControlPlaneLost => Lost::default(),
        Scenario::HostLost => {
            let mut hosts = BTreeSet::new();
            for one in &run.body.services {
                hosts.extend(stands_on(tx, &one.service)?);
            }
            Lost { hosts: hosts.into_iter().collect(), ..Lost::default() }
        }
        Scenario::BackupServerLost { place } => Lost { places: vec![*place], ..Lost::default() },
        Scenario::SiteLost => match site(tx, &run.body.terms.scope)? {
            Some(site) => Lost { hosts: hosts::at_site(tx, site)?, site: Some(site), places: Vec::new() },
            None => Lost::default(),
        },
    })
}

/// The site that is lost with what a plan names: the one that it says, or that of its first service.
fn site(tx: &mut Tx<'_>, scope: &Scope) -> Result<Option<SiteId>> {
    let first = match scope {
        Scope::Site { site, .. } => return Ok(Some(*site)),
        Scope::ControlPlane => return Ok(None),
        Scope::Services { services, .. } => services.first(),
    };
    let hosts = first.map_or(Ok(BTreeSet::new()), |service| stands_on(tx, service))?;
    let Some(host) = hosts.first() else { return Ok(None) };
    let pool = hosts::load(tx, *host)?.pool;
    Ok(Some(sites::pool(tx, pool)?.site))
}

/// An error about one of a run's services: its name is for people, its id for whoever goes on with it.
fn about(e: Error, one: &Restored) -> Error {
    if e.kind() == Kind::Bug || e.kind().is_transient() {
        return e;
    }
    let message = format!("{}: {}", one.name, e.message());
    let set = one.database.as_ref().map(|database| format!(".{}", database.data_set)).unwrap_or_default();
    Error::new(e.kind(), e.code().to_owned(), message).at(format!("{OF_SERVICE}{}{set}", one.service))
}

/// Which point and which copy, for each service.
pub struct Decide;

impl Step for Decide {
    const NAME: &'static str = "drill.decide";
    const SUMMARY: &'static str =
        "Chooses for each service the newest point and the nearest copy that the scenario leaves.";
    const UNDO: Undo = Undo::ByStep;
    type In = OfRun;
    type Out = Nothing;

    fn run(&self, tx: &mut Tx<'_>, _: &StepCx<'_>, input: &OfRun) -> Stepped {
        let mut run = load(tx, input)?;
        let lost = lost(tx, &run)?;
        let (place, bad_after, id) = (run.body.terms.place, run.body.bad_after, run.id.to_string());
        for one in run.body.services.iter_mut().filter(|one| one.recovery.is_none()) {
            if one.database.is_some() {
                databases::decide(tx, &id, one, place, bad_after).map_err(|e| about(e, one))?;
                continue;
            }
            let wanted = Wanted {
                service: one.service.clone(),
                place,
                not_after: bad_after,
                without_hosts: lost.hosts.clone(),
                without_site: lost.site,
                without_places: lost.places.clone(),
                ..Wanted::default()
            };
            let choice = recoveries::choose(tx, &wanted).map_err(|e| about(e, one))?;
            let recovery = recoveries::begin(tx, &choice, Purpose::Drill, (KIND, &id))?;
            one.point = Some(choice.point);
            one.taken_at = Some(choice.taken_at);
            one.place = Some(choice.place);
            one.place_name = Some(choice.place_name);
            one.repository = Some(choice.repository);
            one.recovery = Some(recovery.id);
            let machine = |saved: &recoveries::Saved| Machine {
                saved: saved.machine.clone(),
                snapshot: saved.snapshot.clone(),
                made: None,
                // A directory is reached by its own host alone.
                host: choice.host,
                disks: Vec::new(),
                unseen_milliseconds: None,
                loss_task: None,
            };
            one.machines = choice.machines.iter().map(machine).collect();
        }
        phase(&mut run, Phase::Decide, tx);
        runs::save(tx, &mut run)?;
        done()
    }

    fn undo(&self, tx: &mut Tx<'_>, _: &StepCx<'_>, input: &OfRun, _: Option<&Nothing>) -> Result<Progress<()>> {
        let run = load(tx, input)?;
        end_recoveries(tx, &run)?;
        Ok(Progress::Done(()))
    }
}

pub(super) fn end_recoveries(tx: &mut Tx<'_>, run: &DrillRun) -> Result<()> {
    let own = run.body.services.iter().filter_map(|one| one.recovery);
    for id in own.chain(databases::logs_recoveries(run)) {
        let recovery = recoveries::load(tx, id)?;
        recoveries::end(tx, &recovery)?;
    }
    Ok(())
}

pub(super) fn recovery(tx: &mut Tx<'_>, one: &Restored) -> Result<recoveries::Recovery> {
    let id: Option<RecoveryId> = one.recovery;
    recoveries::load(tx, id.ok_or_else(|| Error::bug("drill.no_recovery", "a service has no recovery"))?)
}

/// A host with room for each machine.
pub struct Reserve;

impl Reserve {
    fn one(tx: &mut Tx<'_>, cx: &StepCx<'_>, one: &mut Restored, of: (TenantId, &Lost)) -> Result<()> {
        let (recovery, (tenant, lost)) = (recovery(tx, one)?, of);
        for machine in one.machines.iter_mut().filter(|machine| machine.made.is_none()) {
            let made = tx.ids().text("vm", tx.now);
            let id = intent_id(&made)?;
            let spec = recoveries::spec(tx, &recovery, &machine.saved, &id, &[])?;
            let ask = Ask {
                machine: id,
                tenant,
                service: one.service.clone(),
                run: Some(cx.run),
                demand: Demand::of_machine(&spec),
                policy: Policy { only: machine.host, not_on: lost.hosts.clone(), ..Policy::default() },
            };
            machine.host = Some(capacity::reserve(tx, &ask)?.host);
            machine.made = Some(made);
        }
        Ok(())
    }
}

impl Step for Reserve {
    const NAME: &'static str = "drill.reserve";
    const SUMMARY: &'static str = "Reserves room for each machine on a host that the scenario leaves.";
    const UNDO: Undo = Undo::ByStep;
    type In = OfRun;
    type Out = Nothing;

    fn run(&self, tx: &mut Tx<'_>, cx: &StepCx<'_>, input: &OfRun) -> Stepped {
        let mut run = load(tx, input)?;
        let (lost, tenant) = (lost(tx, &run)?, run.tenant);
        let mut services = run.body.services.clone();
        for one in &mut services {
            Self::one(tx, cx, one, (tenant, &lost)).map_err(|e| about(e, one))?;
        }
        run.body.services = services;
        phase(&mut run, Phase::Reserve, tx);
        runs::save(tx, &mut run)?;
        done()
    }

    fn undo(&self, tx: &mut Tx<'_>, _: &StepCx<'_>, input: &OfRun, _: Option<&Nothing>) -> Result<Progress<()>> {
        let run = load(tx, input)?;
        made(&run)?.iter().try_for_each(|id| capacity::free(tx, id))?;
        Ok(Progress::Done(()))
    }
}

/// The machines of a run that were made, or are about to be.
pub(super) fn made(run: &DrillRun) -> Result<Vec<IntentId>> {
    let all = run.body.services.iter().flat_map(|one| &one.machines).filter_map(|machine| machine.made.as_deref());
    all.map(intent_id).collect()
}

/// What the task of a run is given: the one repository that it opens.
pub(crate) fn access(tx: &mut Tx<'_>, task: &Task) -> Result<Json> {
    let run = runs::load(tx, task.subject.1.parse()?)?;
    for one in &run.body.services {
        if let Some(given) = databases::access(tx, one, task)? {
            return Ok(given);
        }
    }
    let id = Some(task.id.to_string());
    // Ending a machine opens nothing.
    if run.body.services.iter().flat_map(|one| &one.machines).any(|machine| machine.loss_task == id) {
        return Ok(json!([]));
    }
    let own = run.body.services.iter().find(|one| one.task == id);
    let own = own.or_else(|| run.body.services.first().filter(|_| run.body.control_task == id));
    let none = || Error::not_found("task.not_found", format!("task {} opens nothing", task.id));
    let repository = own.and_then(|one| one.repository).ok_or_else(none)?;
    Ok(json!([repositories::for_reading(tx, repository)?]))
}

pub(super) fn task(tx: &mut Tx<'_>, id: &str) -> Result<Option<Task>> {
    let id: TaskId = id.parse().map_err(|e: String| Error::bug("task.id", e))?;
    tasks::get(tx, &id)
}

pub(super) fn ask(tx: &mut Tx<'_>, run: &DrillRun, host: HostId, work: &Work) -> Result<TaskId> {
    let id = tasks::fresh(tx)?;
    tasks::put(tx, host, &id, work, (KIND, &run.id.to_string()))?;
    Ok(id)
}

pub(super) fn stop_tasks(tx: &mut Tx<'_>, run: DrillRunId) -> Result<()> {
    for open in tasks::of_subject(tx, (KIND, &run.to_string()))? {
        tasks::cancel(tx, &open.id)?;
    }
    Ok(())
}

fn failed(problem: Option<Problem>) -> Error {
    let (code, message) = match problem {
        Some(problem) => (problem.code, problem.message),
        None => ("backup.cancelled".to_owned(), "the host was told to stop".to_owned()),
    };
    Error::conflict(code, message)
}

/// The key is unsealed, and the repository really opened with it where it will be needed.
pub struct Open;

impl Open {
    /// Has each repository opened on each host that restores from it: once for all services that do.
    fn ask(tx: &mut Tx<'_>, run: &DrillRun, services: &mut [Restored]) -> Result<()> {
        let mut groups: BTreeMap<(HostId, RepositoryId), Vec<Vec<usize>>> = BTreeMap::new();
        let count = |services: &[Restored], group: &[usize]| -> usize {
            group.iter().map(|n| services[*n].snapshots().len()).sum()
        };
        for n in 0..services.len() {
            let one = &services[n];
            if one.task.is_some() || one.ends.contains_key(&Phase::Key) {
                continue;
            }
            let (host, repository) = one
                .host()
                .zip(one.repository)
                .ok_or_else(|| Error::bug("drill.no_host", "a service has no host, or no repository"))?;
            let of = groups.entry((host, repository)).or_default();
            match of.last_mut().filter(|last| count(services, last) + one.snapshots().len() <= TASK_SNAPSHOTS_MAX) {
                Some(last) => last.push(n),
                None => of.push(vec![n]),
            }
        }
        for ((host, _), groups) in groups {
            for group in groups {
                let snapshots = group.iter().flat_map(|n| services[*n].snapshots()).cloned().collect();
                let task = ask(tx, run, host, &Work::CheckRepository { snapshots, read: ReadShare::Nothing })?;
                group.iter().for_each(|n| services[*n].task = Some(task.to_string()));
            }
        }
        Ok(())
    }

    /// Whether the repository of a service is open, as its task says.
    fn look(tx: &mut Tx<'_>, one: &mut Restored) -> Result<bool> {
        let Some(asked) = one.task.as_ref().filter(|_| !one.ends.contains_key(&Phase::Key)) else { return Ok(true) };
        match task(tx, asked)? {
            Some(open) if open.is_open() => Ok(false),
            Some(Task { outcome: Some(Outcome::RepositoryChecked { snapshots, whole, faults, .. }), .. }) => {
                if !whole {
                    let faults = faults.into_iter().take(3).collect::<Vec<_>>().join("; ");
                    let message = format!("the repository at {} is not whole: {faults}", place(one));
                    return Err(Error::conflict(vault::fault::REPOSITORY_DAMAGED, message));
                }
                if one.snapshots().into_iter().any(|snapshot| !snapshots.contains(snapshot)) {
                    let message = format!("the copy at {} does not hold the snapshot", place(one));
                    return Err(Error::conflict(vault::fault::SNAPSHOT_MISSING, message));
                }
                one.ended(Phase::Key, tx.now);
                Ok(true)
            }
            ended => Err(failed(ended.and_then(|task| task.problem))),
        }
    }
}

fn place(one: &Restored) -> &str {
    one.place_name.as_deref().unwrap_or("its place")
}

impl Step for Open {
    const NAME: &'static str = "drill.key";
    const SUMMARY: &'static str =
        "Unseals the keys and has the repositories opened with them on the hosts that will restore.";
    const UNDO: Undo = Undo::ByStep;
    type In = OfRun;
    type Out = Nothing;

    fn run(&self, tx: &mut Tx<'_>, cx: &StepCx<'_>, input: &OfRun) -> Stepped {
        let mut run = load(tx, input)?;
        let mut services = run.body.services.clone();
        let mut open = None;
        Self::ask(tx, &run, &mut services)?;
        for one in &mut services {
            if !Self::look(tx, one).map_err(|e| about(e, one))? {
                open = open.or(one.task.clone());
            }
        }
        run.body.services = services;
        runs::save(tx, &mut run)?;
        match open {
            None => done(),
            Some(_) if is_late(tx, cx, OPENING) => {
                let message = "the repository was not opened in time; look whether its place can be reached";
                Err(Error::conflict(vault::fault::DEADLINE, message))
            }
            Some(_) => Ok(Progress::wait(key(&run.id.to_string())).until(cx.since + OPENING)),
        }
    }

    fn undo(&self, tx: &mut Tx<'_>, _: &StepCx<'_>, input: &OfRun, _: Option<&Nothing>) -> Result<Progress<()>> {
        stop_tasks(tx, input.run)?;
        Ok(Progress::Done(()))
    }
}

/// The machines are made from the copies and start, until the services answer: each as soon as those
/// answer that it waits for.
pub struct BringBack;

impl BringBack {
    /// Wants the machines of a service, on a network without a way out and with ports of their own.
    fn want(tx: &mut Tx<'_>, one: &Restored, record: &RecordAt) -> Result<()> {
        let recovery = recovery(tx, one)?;
        for machine in &one.machines {
            let (Some(made), Some(host)) = (&machine.made, machine.host) else { continue };
            let id = intent_id(made)?;
            if intents::get(tx, &id)?.is_some() {
                continue;
            }
            let saved = recoveries::saved(tx, &recovery, &machine.saved)?.spec;
            let mut forwards = Vec::new();
            for guest in recoveries::rules::ports(&saved) {
                let slot = format!("port{guest}");
                let holder = Holder { machine: &id, slot: &slot, tenant: recovery.tenant };
                forwards.push((claims::port(tx, holder, host)?, guest));
            }
            let network = Attached::user(&saved, &forwards);
            recoveries::want(tx, &recovery, &machine.saved, &id, host, &[network])?;
            intents::edit(tx, &id, |spec| {
                if let Some(Check::Http { tell, .. }) = &mut spec.check {
                    *tell = Some(record.path.clone());
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    fn one(tx: &mut Tx<'_>, run: &DrillRun, one: &mut Restored, record: &RecordAt) -> Result<()> {
        if one.database.is_some() {
            return databases::bring_back(tx, run, one);
        }
        Self::want(tx, one, record)?;
        one.ended(Phase::Wait, tx.now);
        Self::look(tx, one)
    }

    /// Looks at the machines of a service: how far they are.
    fn look(tx: &mut Tx<'_>, one: &mut Restored) -> Result<()> {
        let recovery = recovery(tx, one)?;
        let measured = recoveries::measured(tx, &recovery)?;
        let (mut answers, mut booted, mut whole) = (true, 0, true);
        for machine in &mut one.machines {
            let Some(made) = machine.made.clone() else { continue };
            let found = intents::get(tx, &intent_id(&made)?)?.filter(|found| found.desired.is_some());
            let found = found.ok_or_else(|| {
                Error::conflict("machine.taken_away", format!("somebody took machine {made} away during the drill"))
            })?;
            if let Some(problem) = found.failure() {
                return Err(failed(Some(problem.clone())));
            }
            let own = measured.iter().filter(|disk| disk.made == made);
            machine.disks = own.map(disk).collect();
            whole &= found.desired.as_ref().is_some_and(|spec| spec.disks.len() == machine.disks.len());
            booted = booted.max(boot_milliseconds(&found));
            answers &= found.answers();
        }
        if answers {
            // The host knows better than we how long the start took, within what we saw.
            let from = one.ends.get(&Phase::Wait).copied().unwrap_or(tx.now);
            let restored = (tx.now - Duration::from_millis(booted)).max(from);
            one.ends.insert(Phase::Restore, restored);
            one.ended(Phase::Boot, tx.now);
        } else if whole {
            one.ended(Phase::Restore, tx.now);
        }
        Ok(())
    }
}

fn boot_milliseconds(intent: &Intent) -> u64 {
    intent.current().and_then(|seen| seen.check.as_ref()).and_then(|check| check.boot_ms).unwrap_or(0)
}

/// Whole milliseconds of what a host measured, which is plausible.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "neither negative nor long")]
fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1_000.0).round().clamp(0.0, 1e12) as u64
}

fn disk(one: &recoveries::Measured) -> Disk {
    Disk {
        disk: one.disk.clone(),
        bytes: one.bytes,
        milliseconds: milliseconds(one.seconds),
        verify_milliseconds: milliseconds(one.verify_seconds),
        digest: one.digest.clone(),
    }
}

impl Step for BringBack {
    const NAME: &'static str = "drill.restore";
    const SUMMARY: &'static str =
        "Has the machines made from the copies: each service's when those answer that it relies on, until all do.";
    const UNDO: Undo = Undo::ByStep;
    type In = OfRun;
    type Out = Nothing;

    fn run(&self, tx: &mut Tx<'_>, _: &StepCx<'_>, input: &OfRun) -> Stepped {
        let mut run = load(tx, input)?;
        let record = run.body.terms.record.clone();
        let mut services = run.body.services.clone();
        let mut silent = BTreeSet::new();
        // Each comes after all that it waits for: one way through sees whatever can begin now.
        for one in &mut services {
            let ready = !one.after.iter().any(|before| silent.contains(before));
            if ready && !one.ends.contains_key(&Phase::Boot) {
                Self::one(tx, &run, one, &record).map_err(|e| about(e, one))?;
            }
            if !one.ends.contains_key(&Phase::Boot) {
                silent.insert(one.service.clone());
            }
        }
        let all = services.iter().all(|one| one.ends.contains_key(&Phase::Boot));
        run.body.services = services;
        runs::save(tx, &mut run)?;
        if all { done() } else { Ok(Progress::wait(key(&run.id.to_string()))) }
    }

    fn undo(&self, tx: &mut Tx<'_>, _: &StepCx<'_>, input: &OfRun, _: Option<&Nothing>) -> Result<Progress<()>> {
        let mut run = load(tx, input)?;
        match databases::let_go(tx, &mut run, false)? {
            Progress::Done(()) => take_away(tx, &run),
            wait => Ok(wait),
        }
    }
}

/// Wants a run's machines not to be there, and waits until that was seen.
fn take_away(tx: &mut Tx<'_>, run: &DrillRun) -> Result<Progress<()>> {
    let all = made(run)?;
    for id in &all {
        intents::absent(tx, id)?;
    }
    for id in &all {
        if intents::get(tx, id)?.is_some_and(|intent| !intent.is_gone()) {
            return Ok(Progress::wait(intents::key(id)));
        }
    }
    Ok(Progress::Done(()))
}

/// The data that came back is looked at.
pub struct Verify;

impl Verify {
    /// What the machines of a service tell of their newest records: the oldest of them counts.
    /// `Ok(None)`: one has told nothing yet.
    fn newest(tx: &mut Tx<'_>, one: &Restored, record: &RecordAt) -> Result<Told> {
        let mut newest = None;
        for machine in &one.machines {
            let Some(made) = &machine.made else { continue };
            let Some(intent) = intents::get(tx, &intent_id(made)?)? else { continue };
            let checked = intent.desired.as_ref().is_some_and(|spec| spec.check.is_some());
            if !checked {
                continue;
            }
            let seen = intent.current().and_then(|seen| seen.check.as_ref());
            let Some(body) = seen.and_then(|check| check.body.as_deref()) else { return Ok(Told::NotYet(intent.id)) };
            match rules::newest_record(body, &record.pointer) {
                Ok(at) => newest = Some(newest.map_or(at, |known: base::time::Timestamp| known.min(at))),
                Err(why) => return Ok(Told::Unread(words(&why, record))),
            }
        }
        Ok(match (newest, one.taken_at) {
            (None, _) => Told::Unread("none of its machines is asked anything".to_owned()),
            (Some(at), Some(taken)) if at > taken + AHEAD => Told::Unread(format!(
                "{} tells of {at}, which is later than the copy itself: it is of what was written since",
                record.pointer
            )),
            (Some(at), _) => Told::Newest(at),
        })
    }

    /// Whether every disk is there, and as every earlier recovery of the same point found it.
    fn is_same(tx: &mut Tx<'_>, one: &Restored) -> Result<bool> {
        let recovery = recovery(tx, one)?;
        for machine in &one.machines {
            let saved = recoveries::saved(tx, &recovery, &machine.saved)?;
            if saved.disks.len() != machine.disks.len() {
                return Ok(false);
            }
            for disk in &machine.disks {
                let before = recoveries::digests(tx, recovery.point, &machine.saved, &disk.disk)?;
                if disk.digest.is_empty() || before.iter().any(|known| *known != disk.digest) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

enum Told {
    Newest(base::time::Timestamp),
    NotYet(IntentId),
    Unread(String),
}

fn words(why: &Unread, record: &RecordAt) -> String {
    let RecordAt { path, pointer } = record;
    match why {
        Unread::NotJson => format!("what {path} answers is no JSON, or longer than 4 KiB"),
        Unread::Absent => format!("there is nothing at {pointer} of what {path} answers"),
        Unread::NotAnInstant => format!("what is at {pointer} of {path} is no instant"),
    }
}

impl Step for Verify {
    const NAME: &'static str = "drill.verify";
    const SUMMARY: &'static str = "Reads the newest record inside what came back, and compares its digests.";
    const UNDO: Undo = Undo::Nothing;
    type In = OfRun;
    type Out = Nothing;

    fn run(&self, tx: &mut Tx<'_>, cx: &StepCx<'_>, input: &OfRun) -> Stepped {
        let mut run = load(tx, input)?;
        let record = run.body.terms.record.clone();
        let mut services = run.body.services.clone();
        let late = is_late(tx, cx, TELLING);
        for one in services.iter_mut().filter(|one| !one.ends.contains_key(&Phase::Verify)) {
            match Self::newest(tx, one, &record)? {
                Told::Newest(at) => one.newest_record = Some(at),
                Told::Unread(why) => one.record_problem = Some(why),
                Told::NotYet(_) if late => {
                    one.record_problem = Some(format!("{} did not answer with 2xx", record.path));
                }
                Told::NotYet(id) => return Ok(Progress::wait(intents::key(&id)).until(cx.since + TELLING)),
            }
            one.data_is_same = Some(Self::is_same(tx, one)?);
            one.ended(Phase::Verify, tx.now);
        }
        run.body.services = services;
        runs::save(tx, &mut run)?;
        done()
    }

    nothing_to_undo!();
}

/// The drill's machines go, and what they held is free.
pub struct Clean;

impl Step for Clean {
    const NAME: &'static str = "drill.clean";
    const SUMMARY: &'static str = "Takes the drill's machines away, sees that they are gone, and frees what they held.";
    const UNDO: Undo = Undo::Nothing;
    type In = OfRun;
    type Out = Nothing;

    fn run(&self, tx: &mut Tx<'_>, _: &StepCx<'_>, input: &OfRun) -> Stepped {
        let mut run = load(tx, input)?;
        // First: what was measured is kept, and a machine that is gone tells of nothing.
        end_recoveries(tx, &run)?;
        if let Progress::Wait(wait) = databases::let_go(tx, &mut run, false)? {
            return Ok(Progress::Wait(wait));
        }
        if let Progress::Wait(wait) = take_away(tx, &run)? {
            return Ok(Progress::Wait(wait));
        }
        made(&run)?.iter().try_for_each(|id| capacity::free(tx, id))?;
        done()
    }

    nothing_to_undo!();
}

/// What the platform itself does about drills.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "turn", rename_all = "camelCase", deny_unknown_fields)]
pub enum Turn {
    /// A plan is due.
    Due {
        /// The plan.
        plan: DrillPlanId,
    },
    /// Something was seen of a drill of the platform itself.
    Seen {
        /// The run.
        run: DrillRunId,
        /// The call of its flow that saw it.
        call: i64,
        /// What.
        seen: platform::Seen,
    },
}

/// Begins a drill that is due, or writes down what was seen of one.
pub static RECONCILE: Action<Turn, ()> = Action {
    name: "drill.reconcile",
    summary: "Begins drills that are due, and writes down what was seen of one of the platform itself.",
    effect: Effect::Change,
    run: |tx, turn| match turn {
        Turn::Due { plan } => due(tx, *plan),
        Turn::Seen { run, call, seen } => platform::note(tx, *run, *call, seen),
    },
};

/// Begins a drill that is due. Looks again itself: what was found may have settled.
fn due(tx: &mut Tx<'_>, plan: DrillPlanId) -> Result<()> {
    let plan = plans::load(tx, plan)?;
    if plan.ended_at.is_some() || plan.next_due.is_none_or(|due| due > tx.now) {
        return Ok(());
    }
    plans::reschedule(tx, &plan)?;
    if runs::running(tx, plan.id)?.is_some() {
        return Ok(());
    }
    match runs::begin(tx, &plan, false, None) {
        // Nobody says any more what is promised, or nothing stands at the site: the next date looks again.
        Err(e) if e.code().starts_with("drillPlan.") => {
            tracing::warn!(plan = %plan.id, code = e.code(), "a drill is due and cannot begin: {e}");
            Ok(())
        }
        other => other.map(drop),
    }
}

/// Plans that are due.
///
/// # Errors
/// Those of the database.
pub fn look_for_due(gate: &Gate) -> Result<()> {
    let now = gate.now();
    let found: Vec<(DrillPlanId, TenantId)> = gate.db().read(move |conn| plans::due(conn, now))?;
    for (plan, tenant) in found {
        let system = Cx::system("drills", tenant);
        if let Err(e) = gate.run(&system, &RECONCILE, Turn::Due { plan }) {
            tracing::warn!(%plan, code = e.code(), "a drill could not be begun: {e}");
        }
    }
    Ok(())
}

/// Adds the steps, the flow and the scheduler.
pub(crate) fn register(registry: Registry) -> Registry {
    registry
        .step(Begin)
        .step(Decide)
        .step(Reserve)
        .step(Open)
        .step(BringBack)
        .step(Verify)
        .step(detection::Detect)
        .step(Clean)
        .step(closing::TryDamage)
        .step(closing::Close)
        .definition(include_str!("../../flows/drill.yaml"))
        .reconciler("drills.due", Duration::from_secs(15), look_for_due)
}
