//! The last steps of the flow `drill`: the negative control, and what a run comes to, however it ended.

use std::time::Duration;

use base::Result;
use base::id::HostId;
use drivers::wire::{Outcome, Problem, Work};
use durable::{About, Nothing, Progress, Step, StepCx, Undo, flows};
use gate::Tx;
use resources::intents;
use resources::tasks::{self, Task};

use super::rules::{Control, Failure, Phase, Verdict};
use super::runs::{self, DrillRun, State, Stopped};
use super::work::{
    OF_SERVICE, OfRun, Stepped, ask, done, end_recoveries, is_late, load, made, recovery, stop_tasks, task,
};
use super::{Fact, KIND, corrective, databases, platform, promises};
use crate::backups::{points, text};
use crate::{evidence, recoveries};

/// Somebody ended a drill before it was over.
pub(super) const GIVEN_UP: &str = "drill.given_up";
/// How long the negative control may take.
const CONTROLLING: Duration = Duration::from_secs(6 * 3_600);

/// The negative control: a copy that is damaged on purpose must not come back.
pub struct TryDamage;

impl TryDamage {
    /// What is restored from a damaged copy: the disk that the first machine boots from, where it was
    /// restored from the whole one. Others may hold nothing but holes, which no damage can spoil.
    fn work(tx: &mut Tx<'_>, run: &DrillRun) -> Result<Option<(HostId, Work)>> {
        let Some(one) = run.body.services.first() else { return Ok(None) };
        if let Some(database) = &one.database {
            return Ok(databases::damaged(database));
        }
        let Some(machine) = one.machines.first() else { return Ok(None) };
        let recovery = recovery(tx, one)?;
        let saved = recoveries::saved(tx, &recovery, &machine.saved)?;
        let boots = saved.spec.disks.first().map(|disk| disk.name.as_str());
        let disk = saved.disks.iter().find(|disk| Some(disk.name.as_str()) == boots);
        Ok(disk.zip(machine.host).map(|(disk, host)| {
            (host, Work::RestoreDamaged { snapshot: machine.snapshot.clone(), path: disk.path.clone() })
        }))
    }

    /// The copy that was to be damaged may be so already: that is found like any other damage.
    fn note_source(tx: &mut Tx<'_>, run: &DrillRun, task: &Task) -> Result<()> {
        let (Some(problem), Some(one)) = (&task.problem, run.body.services.first()) else { return Ok(()) };
        let set = one.database.as_ref().map(|database| database.data_set.to_string());
        let service = Some(one.service.clone());
        let failure = Failure { code: problem.code.clone(), message: problem.message.clone(), service };
        note_damage(tx, run, &failure, set.as_deref())
    }

    fn found(task: Task) -> Control {
        match (task.outcome, task.problem) {
            (Some(Outcome::DamageTried { found: Some(problem), .. }), _) => Control::DamageFound { code: problem.code },
            (Some(Outcome::DamageTried { found: None, .. }), _) => Control::DamageMissed,
            (_, problem) => {
                Control::NotMade { code: problem.map_or_else(|| "backup.cancelled".to_owned(), |problem| problem.code) }
            }
        }
    }
}

impl Step for TryDamage {
    const NAME: &'static str = "drill.control";
    const SUMMARY: &'static str =
        "Where it is due: damages a copy that was made for it, and sees that its restore fails.";
    const UNDO: Undo = Undo::ByStep;
    type In = OfRun;
    type Out = Nothing;

    fn run(&self, tx: &mut Tx<'_>, cx: &StepCx<'_>, input: &OfRun) -> Stepped {
        let mut run = load(tx, input)?;
        if run.body.control != Control::Due {
            return done();
        }
        let asked = match run.body.control_task.clone() {
            Some(asked) => asked,
            None => {
                let Some((host, work)) = Self::work(tx, &run)? else { return done() };
                let asked = ask(tx, &run, host, &work)?.to_string();
                run.body.control_task = Some(asked.clone());
                runs::save(tx, &mut run)?;
                asked
            }
        };
        let found = task(tx, &asked)?;
        run.body.control = match found {
            Some(open) if open.is_open() && !is_late(tx, cx, CONTROLLING) => {
                return Ok(Progress::wait(tasks::key(&open.id)).until(cx.since + CONTROLLING));
            }
            Some(open) if open.is_open() => {
                tasks::cancel(tx, &open.id)?;
                Control::NotMade { code: vault::fault::DEADLINE.to_owned() }
            }
            Some(ended) => {
                Self::note_source(tx, &run, &ended)?;
                Self::found(ended)
            }
            None => Control::NotMade { code: "task.not_found".to_owned() },
        };
        runs::save(tx, &mut run)?;
        done()
    }

    fn undo(&self, tx: &mut Tx<'_>, _: &StepCx<'_>, input: &OfRun, _: Option<&Nothing>) -> Result<Progress<()>> {
        stop_tasks(tx, input.run)?;
        Ok(Progress::Done(()))
    }
}

/// The run is judged, its evidence signed, and what it missed is given to somebody.
pub struct Close;

impl Step for Close {
    const NAME: &'static str = "drill.close";
    const SUMMARY: &'static str =
        "Holds what was measured against what was promised, signs the evidence, opens or closes corrective actions.";
    const UNDO: Undo = Undo::Impossible;
    type In = OfRun;
    type Out = Nothing;

    fn run(&self, tx: &mut Tx<'_>, _: &StepCx<'_>, input: &OfRun) -> Stepped {
        let mut run = load(tx, input)?;
        run.body.failure = run.body.stopped.as_ref().map(given_up);
        close(tx, run, Phase::Verify)?;
        done()
    }

    fn undo(&self, _: &mut Tx<'_>, _: &StepCx<'_>, _: &OfRun, _: Option<&Nothing>) -> Result<Progress<()>> {
        Ok(Progress::Done(()))
    }
}

/// What a run came to that somebody stopped.
fn given_up(by: &Stopped) -> Failure {
    let message = format!("{} stopped it: {}", by.by, by.reason);
    Failure { code: GIVEN_UP.to_owned(), message, service: None }
}

/// Ends a run: once, however often it is asked for.
fn close(tx: &mut Tx<'_>, mut run: DrillRun, reached: Phase) -> Result<()> {
    if run.state != State::Running {
        return Ok(());
    }
    if let (Control::Due, Some(failure)) = (&run.body.control, &run.body.failure) {
        run.body.control = Control::NotMade { code: failure.code.clone() };
    }
    let (verdict, misses) = run.judge(reached);
    run.state = verdict.into();
    run.body.misses = misses;
    run.ended_at = Some(tx.now);
    // Reckoned first: the evidence says what the row does.
    runs::save(tx, &mut run)?;
    let signed = evidence::sign(tx, &run)?;
    runs::close(tx, &mut run, &text(&signed)?)?;
    let proves = verdict != Verdict::Stopped;
    for one in run.body.services.iter().filter(|one| proves && one.is_right()) {
        if let Some(platform) = &one.platform {
            platform::proven(tx, one, platform)?;
            continue;
        }
        let recovery = recovery(tx, one)?;
        match &one.database {
            None => recoveries::proven(tx, &recovery)?,
            Some(database) if database.whole => {
                let set = database.data_set.to_string();
                crate::backups::store::set_part_proven(tx, recovery.point, &set, recovery.repository)?;
            }
            Some(_) => {}
        }
    }
    for miss in run.body.misses.clone() {
        corrective::found(tx, &run, &miss)?;
    }
    promises::hold(tx, &run)?;
    let id = run.id.to_string();
    let fact = match verdict {
        Verdict::Passed => {
            corrective::passed(tx, &run)?;
            Fact::DrillPassed { run: id }
        }
        Verdict::Stopped => Fact::DrillStopped { run: id },
        Verdict::Failed => Fact::DrillFailed { run: id },
        Verdict::Impossible => Fact::DrillImpossible { run: id },
    };
    tx.fact(fact, run.tenant)
}

/// The phase that a step of the flow is of.
fn phase_of(step: &str) -> Phase {
    match step {
        "begin" => Phase::Detect,
        "decide" => Phase::Decide,
        "reserve" => Phase::Reserve,
        "key" => Phase::Key,
        "restore" => Phase::Restore,
        _ => Phase::Verify,
    }
}

/// What a drill saw of a copy is written on it: the next restore takes another one.
fn note_damage(tx: &mut Tx<'_>, run: &DrillRun, failure: &Failure, data_set: Option<&str>) -> Result<()> {
    let Some(state) = points::damage(&failure.code) else { return Ok(()) };
    let is_of = |one: &&runs::Restored| {
        let set = one.database.as_ref().map(|database| database.data_set.to_string());
        Some(&one.service) == failure.service.as_ref() && set.as_deref() == data_set
    };
    let tried = run.body.services.iter().find(is_of);
    let Some((one, point)) = tried.and_then(|one| Some((one, one.point?))) else { return Ok(()) };
    let problem = Problem { code: failure.code.clone(), message: failure.message.clone(), retrying: false };
    for machine in &one.machines {
        points::found(tx, point, one.place, &machine.saved, state, &problem)?;
    }
    match &one.database {
        // Of two snapshots nobody knows which one it was: the next look at the copies finds it.
        Some(database) if database.logs.is_none() => {
            points::found(tx, point, one.place, &database.data_set.to_string(), state, &problem)
        }
        _ => Ok(()),
    }
}

/// A run was undone, or a person ended it where it stood: what it came to is written down.
///
/// # Errors
/// Those of the database.
pub fn ended(tx: &mut Tx<'_>, about: &About) -> Result<()> {
    if about.subject.kind != KIND {
        return Ok(());
    }
    let mut run = runs::load(tx, about.subject.id.parse()?)?;
    if run.state != State::Running {
        return Ok(());
    }
    stop_tasks(tx, run.id)?;
    // Given up, it has taken nothing back itself: what is there still is wanted away.
    for id in made(&run)? {
        intents::absent(tx, &id)?;
    }
    databases::let_go(tx, &mut run, true)?;
    end_recoveries(tx, &run)?;
    let flow = flows::of_subject(tx, KIND, &about.subject.id)?.into_iter().find(|flow| flow.id == about.run);
    let mut data_set = None;
    let stopped = run.body.stopped.as_ref().map(given_up);
    let (failure, reached) = match flow.and_then(|flow| flow.failure) {
        Some(failure) if stopped.is_none() => {
            let reached = phase_of(&failure.step);
            let about = failure.attribute.as_deref().and_then(|at| at.strip_prefix(OF_SERVICE));
            let service = about.map(|about| about.split_once('.').map_or(about, |(service, _)| service).to_owned());
            data_set = about.and_then(|about| about.split_once('.')).map(|(_, set)| set.to_owned());
            (Failure { code: failure.code, message: failure.message, service }, reached)
        }
        _ => {
            let unknown = || Failure {
                code: GIVEN_UP.to_owned(),
                message: "somebody ended the drill before it was over".to_owned(),
                service: None,
            };
            (stopped.unwrap_or_else(unknown), Phase::Verify)
        }
    };
    note_damage(tx, &run, &failure, data_set.as_deref())?;
    run.body.failure = Some(failure);
    close(tx, run, reached)
}
