//! The platform itself: a copy of it is brought back beside it, and a server started on that.
//!
//! ```text
//!   decide ─► room ─► places opened ─► data and database ─► a server answers ─► audit log verified ─► gone
//! ```
//!
//! The same flow of phases, the same evidence and the same verdict as for services; what is different is
//! that no host does it, but this server, in its data directory ([`crate::control_plane::trial`]).
//!
//! **What such a run shows**: that the copies are there, open with what follows from the master key, come
//! back whole, and that a server of this version serves from them. **What it does not**: see
//! [`Platform::not_shown`].

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use base::time::Timestamp;
use base::{Error, Kind, Result, limits};
use drivers::wire::Problem;
use durable::{Call, Nothing, Outside, Progress, Registry, Step, StepCx, Undo, flows};
use gate::{Cx, Effect, Gate, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vault::client::Cancel;

use super::order::{Order, Placed};
use super::plans::{Scenario, Terms, invalid};
use super::rules::{Control, Phase};
use super::runs::{self, DrillRun, Restored};
use super::scope::Scope;
use super::work::{OfRun, RECONCILE, Stepped, Turn, done, load};
use crate::backups::places;
use crate::backups::work::problem;
use crate::control_plane::brought::{self, Brought, Witnessed};
use crate::control_plane::trial::{Asked, Looked, Rig, Told};
use crate::control_plane::{findings, kit, store};
use crate::{BackupPlaceId, ControlPlanePointId, DrillPlanId, DrillRunId};

/// What the platform is called where services have their ids.
pub const SERVICE: &str = "controlPlane";
/// Its name for people.
const NAME: &str = "Control plane";
/// The name of the flow.
pub(super) const FLOW: &str = "drill-platform";
/// An attempt may take hours, and is let be for as long as its server lives. Where several servers share a
/// database, another goes on this long after a server was last heard of.
const TERM: Duration = Duration::from_secs(15 * 60);
/// How often it is looked whether somebody has stopped a run.
const LOOK: Duration = Duration::from_millis(250);

/// The platform on its way back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Platform {
    /// The point of the platform.
    pub point: Option<ControlPlanePointId>,
    /// The snapshot at the place that served.
    pub snapshot: Option<String>,
    /// The version of the program that had taken it.
    pub version: Option<String>,
    /// Bytes that were brought.
    pub bytes: Option<u64>,
    /// Digest over every path and its contents, as hashed where they came to.
    pub digest: Option<String>,
    /// Entries of the audit log that came back, all of which are what they were.
    pub audit_entries: Option<u64>,
    /// How many of them the newest signature covers that holds.
    pub audit_signed: Option<u64>,
    /// What people showed with what they keep.
    pub witnessed: Witnessed,
}

impl Platform {
    /// What a run has not shown, as words for programs: `anotherMachine` and `agentsReturn` never are;
    /// `keyShares` and `recoveryKit` only where people brought them.
    pub fn not_shown(&self) -> Vec<&'static str> {
        let lacking = [
            ("keyShares", !self.witnessed.shares),
            ("recoveryKit", self.witnessed.kit_made_at.is_none()),
            ("anotherMachine", true),
            ("agentsReturn", true),
        ];
        lacking.into_iter().filter_map(|(what, lacks)| lacks.then_some(what)).collect()
    }
}

// What can be planned, and what a run begins with.

/// Whether scope and scenario are of one kind.
pub(super) fn check(terms: &Terms) -> Result<()> {
    match (&terms.scope, &terms.scenario) {
        (Scope::ControlPlane, Scenario::ControlPlaneLost) => Ok(()),
        (Scope::ControlPlane, _) | (_, Scenario::ControlPlaneLost) => {
            let message = "the control plane is drilled by a plan of its own, with the scenario controlPlaneLost";
            Err(invalid("drillPlan.scenario", message, "scenario"))
        }
        _ => Ok(()),
    }
}

/// The one thing that comes back.
pub(super) fn order() -> Order {
    let placed = Placed { service: SERVICE.to_owned(), name: NAME.to_owned(), wave: 1, after: Vec::new() };
    Order { placed: vec![placed], circles: Vec::new() }
}

/// What comes back of a plan: for the platform, what it is instead of machines.
pub(super) fn instead(scope: &Scope, services: Vec<Restored>) -> Vec<Restored> {
    if *scope != Scope::ControlPlane {
        return services;
    }
    let with = |one| Restored { platform: Some(Platform::default()), ..one };
    services.into_iter().map(with).collect()
}

/// Writes down what people brought to a run that begins.
pub(super) fn witness(tx: &mut Tx<'_>, plan: DrillPlanId, run: &mut DrillRun, brought: &Brought) -> Result<()> {
    let Some(platform) = run.body.services.iter_mut().find_map(|one| one.platform.as_mut()) else {
        let message = "shares and kit are for drills of the control plane; this plan is about something else";
        return Err(Error::conflict("drill.brought", message));
    };
    platform.witnessed = brought::look(tx, plan, brought)?;
    runs::save(tx, run)
}

fn one(run: &mut DrillRun) -> Result<(&mut Restored, Platform)> {
    let none = || Error::bug("drill.no_platform", "a drill of the platform has no platform");
    let one = run.body.services.first_mut().ok_or_else(none)?;
    let platform = one.platform.clone().ok_or_else(none)?;
    Ok((one, platform))
}

/// The places that may serve: the plan's, or all that the platform is kept at.
fn places_of(tx: &mut Tx<'_>, run: &DrillRun) -> Result<Vec<BackupPlaceId>> {
    let all = kit::kept_at(tx)?;
    let Some(only) = run.body.terms.place else { return Ok(all) };
    if all.contains(&only) {
        return Ok(vec![only]);
    }
    let name = places::load(tx, only)?.name;
    let message = format!("the platform keeps no copy at {name}, which the plan says must serve");
    Err(Error::conflict("recovery.no_copy", message))
}

/// What is lost is lost at the incident: a copy that was finished later, while a run waits or is gone on with,
/// would not be there on the day.
fn not_after(run: &DrillRun) -> Timestamp {
    run.body.bad_after.unwrap_or(run.incident_at)
}

/// The newest point that will do, and its bytes.
fn choice(tx: &mut Tx<'_>, run: &DrillRun) -> Result<(ControlPlanePointId, u64)> {
    let wanted = places_of(tx, run)?;
    store::newest_at(tx, &wanted, not_after(run))?.ok_or_else(|| {
        let message = "no copy of the platform is left that the scenario allows: none was found whole at these places before that instant";
        Error::conflict("recovery.no_copy", message)
    })
}

// The steps.

/// Which point and which copies there are.
pub struct Decide;

impl Step for Decide {
    const NAME: &'static str = "drill.decide_platform";
    const SUMMARY: &'static str = "Looks whether a copy of the platform is left that the scenario allows.";
    const UNDO: Undo = Undo::Nothing;
    type In = OfRun;
    type Out = Nothing;

    fn run(&self, tx: &mut Tx<'_>, _: &StepCx<'_>, input: &OfRun) -> Stepped {
        let mut run = load(tx, input)?;
        choice(tx, &run)?;
        one(&mut run)?.0.ended(Phase::Decide, tx.now);
        runs::save(tx, &mut run)?;
        done()
    }

    fn undo(&self, _: &mut Tx<'_>, _: &StepCx<'_>, _: &OfRun, _: Option<&Nothing>) -> Result<Progress<()>> {
        Ok(Progress::Done(()))
    }
}

/// Who drills: this server, for the tenant of the run.
fn system(cx: &StepCx<'_>) -> Cx {
    Cx::system("drills", cx.subject.tenant)
}

/// Reads what a step needs.
fn read<T: Send + 'static>(
    gate: &Gate,
    cx: &StepCx<'_>,
    run: DrillRunId,
    look: impl Fn(&mut Tx<'_>, DrillRun) -> Result<T> + Send + 'static,
) -> Result<T> {
    gate.perform(&system(cx), RECONCILE.name, Effect::Change, gate::audit::digest(&run), move |tx| {
        let found = runs::load(tx, run)?;
        look(tx, found)
    })
}

/// What is to be brought back: the newest point that will do, from where it is known to be whole.
fn asked(gate: &Gate, cx: &StepCx<'_>, run: DrillRunId) -> Result<Asked> {
    read(gate, cx, run, |tx, run| {
        let (mut wanted, (point, _)) = (places_of(tx, &run)?, choice(tx, &run)?);
        let whole = store::whole_at(tx, point)?;
        wanted.retain(|place| whole.contains(place));
        // Which is of before the incident; its snapshot may have been written after it.
        Ok(Asked { run: run.id, kit: kit::of(tx, &wanted)?, not_after: None, point: Some(point) })
    })
}

/// Any copy, to be damaged.
fn any(gate: &Gate, cx: &StepCx<'_>, run: DrillRunId) -> Result<Asked> {
    read(gate, cx, run, |tx, run| {
        let wanted = places_of(tx, &run)?;
        Ok(Asked { run: run.id, kit: kit::of(tx, &wanted)?, not_after: Some(not_after(&run)), point: None })
    })
}

/// A drill that meets something has found it: it is not tried until it passes.
fn found(e: Error) -> Error {
    if e.kind() == Kind::Bug { e } else { Error::conflict(e.code().to_owned(), e.message().to_owned()) }
}

/// Does what may take hours, unless somebody stops the run, or this server: then it is cancelled. A run that was
/// stopped ends with that; one whose server stops is gone on with by the next. Whoever stops a run may ask another
/// server than this one, so the run itself is looked at.
fn stoppable<T>(gate: &Gate, run: DrillRunId, work: impl FnOnce(&Cancel) -> Result<T>) -> Result<T> {
    let (stopping, stopped) =
        (durable::stopping(gate), || gate.db().read(move |conn| Ok(runs::load(conn, run)?.body.stopped.is_some())));
    let given_up = || Error::conflict("drill.stopped", "somebody stopped the drill");
    if stopped()? {
        return Err(given_up());
    }
    let cancel = Cancel::new();
    let result = thread::scope(|scope| {
        let (working, over) = channel::<()>();
        let (cancel, stopping, stopped) = (&cancel, &stopping, &stopped);
        scope.spawn(move || {
            while over.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                // What cannot be read just now is read the next time.
                if stopping.load(Ordering::SeqCst) || stopped().unwrap_or(false) {
                    cancel.cancel();
                    return;
                }
            }
        });
        let result = work(cancel);
        drop(working);
        result
    });
    // Also who stopped it in its last moment has stopped it.
    match (stopped()?, cancel.asked()) {
        (true, _) => Err(given_up()),
        (false, true) => Err(durable::stopped()),
        (false, false) => result,
    }
}

/// The copy and the database that is made of it need room, beside the platform that works on.
pub(crate) struct Room(pub Arc<dyn Rig>);

impl Outside for Room {
    const NAME: &'static str = "drill.make_room";
    const SUMMARY: &'static str = "Looks whether a copy can be brought beside the platform without filling its disk.";
    const UNDO: Undo = Undo::Nothing;
    type In = OfRun;
    type Out = Nothing;

    fn run(&self, gate: &Gate, cx: &StepCx<'_>, input: &OfRun) -> Stepped {
        let (_, bytes) = read(gate, cx, input.run, |tx, run| choice(tx, &run))?;
        let free = self.0.room().map_err(found)?;
        // What is brought, the database that is made of it, and what the platform goes on with.
        let needed = bytes.saturating_mul(2).saturating_add(limits::DRILL_DISK_LEFT_BYTES);
        if free < needed {
            let message = format!(
                "bringing {bytes} bytes back needs {needed} free in the data directory, and there are {free}: make room, or give the directory a larger disk"
            );
            return Err(Error::conflict("drill.no_room", message));
        }
        seen(gate, cx, input.run, Seen::Room)?;
        done()
    }

    fn undo(&self, _: &Gate, _: &StepCx<'_>, _: &OfRun, _: Option<&Nothing>) -> Result<Progress<()>> {
        Ok(Progress::Done(()))
    }
}

/// A copy is brought back, a server answers on it, its data is looked at, and all of it goes.
pub(crate) struct BringBack(pub Arc<dyn Rig>);

impl Outside for BringBack {
    const NAME: &'static str = "drill.bring_back_platform";
    const SUMMARY: &'static str = "Recovers a copy of the platform beside it, starts an isolated server on it, verifies its audit log, and takes it away.";
    const UNDO: Undo = Undo::ByStep;
    const TERM: Duration = TERM;
    const ALONE: bool = true;
    type In = OfRun;
    type Out = Nothing;

    fn run(&self, gate: &Gate, cx: &StepCx<'_>, input: &OfRun) -> Stepped {
        // Done, and only its journal entry was lost.
        if cx.call == Call::Uncertain && is_over(gate, cx, input.run)? {
            self.0.clear(input.run).map_err(found)?;
            return done();
        }
        let asked = asked(gate, cx, input.run)?;
        let mut tell = |told| seen(gate, cx, input.run, Seen::Told(told));
        let tried = stoppable(gate, input.run, |cancel| self.0.try_out(&asked, cancel, &mut tell).map_err(found));
        if let Err(e) = &tried
            && findings::of(e.code()).is_some()
        {
            seen(gate, cx, input.run, Seen::Damaged(problem(e.code(), e.message())))?;
        }
        tried?;
        done()
    }

    fn undo(&self, _: &Gate, _: &StepCx<'_>, input: &OfRun, _: Option<&Nothing>) -> Result<Progress<()>> {
        self.0.clear(input.run)?;
        Ok(Progress::Done(()))
    }
}

fn is_over(gate: &Gate, cx: &StepCx<'_>, run: DrillRunId) -> Result<bool> {
    read(gate, cx, run, |_, run| Ok(run.body.services.iter().all(|one| one.ends.contains_key(&Phase::Verify))))
}

/// The negative control: a copy that is damaged on purpose must not come back.
pub(crate) struct TryDamage(pub Arc<dyn Rig>);

impl Outside for TryDamage {
    const NAME: &'static str = "drill.damage_platform";
    const SUMMARY: &'static str =
        "Where it is due: damages a copy of the platform that was made for it, and sees that its restore fails.";
    const UNDO: Undo = Undo::ByStep;
    const TERM: Duration = TERM;
    const ALONE: bool = true;
    type In = OfRun;
    type Out = Nothing;

    fn run(&self, gate: &Gate, cx: &StepCx<'_>, input: &OfRun) -> Stepped {
        let due = read(gate, cx, input.run, |_, mut run| {
            let is_due = run.body.control == Control::Due;
            let (one, platform) = one(&mut run)?;
            Ok(one.place_name.clone().zip(platform.snapshot).filter(|_| is_due))
        })?;
        let Some((place, snapshot)) = due else { return done() };
        let tried = |cancel: &Cancel| {
            // Whatever becomes of it is an answer, unless somebody stops it.
            let tried = any(gate, cx, input.run);
            Ok(tried.and_then(|asked| self.0.damage(&asked, cancel, (&place, &snapshot))))
        };
        let control = match stoppable(gate, input.run, tried)? {
            Ok(Some(code)) => Control::DamageFound { code },
            Ok(None) => Control::DamageMissed,
            Err(e) => {
                // The copy that was to be damaged may be so already: that is found like any other damage.
                if findings::of(e.code()).is_some() {
                    seen(gate, cx, input.run, Seen::Damaged(problem(e.code(), e.message())))?;
                }
                Control::NotMade { code: e.code().to_owned() }
            }
        };
        seen(gate, cx, input.run, Seen::Control(control))?;
        done()
    }

    fn undo(&self, _: &Gate, _: &StepCx<'_>, input: &OfRun, _: Option<&Nothing>) -> Result<Progress<()>> {
        self.0.clear(input.run)?;
        Ok(Progress::Done(()))
    }
}

// What was seen is written down as it happens.

/// What was seen of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Seen {
    /// There is room.
    Room,
    /// How far an attempt is.
    Told(Told),
    /// What was to be brought back is damaged or gone.
    Damaged(Problem),
    /// What came of the negative control.
    Control(Control),
}

fn seen(gate: &Gate, cx: &StepCx<'_>, run: DrillRunId, seen: Seen) -> Result<()> {
    gate.run(&system(cx), &RECONCILE, Turn::Seen { run, call: cx.fence, seen })
}

/// Writes down what was seen of a run that is on its way, by the newest call of its flow: an attempt that another
/// took over from has nothing more to say, and ends with that.
pub(super) fn note(tx: &mut Tx<'_>, run: DrillRunId, call: i64, seen: &Seen) -> Result<()> {
    let mut run = runs::load(tx, run)?;
    if run.state != runs::State::Running {
        return Ok(());
    }
    if let Some(flow) = run.flow {
        flows::check_call(tx, flow, call)?;
    }
    match seen {
        Seen::Room => one(&mut run)?.0.ended(Phase::Reserve, tx.now),
        Seen::Damaged(why) => {
            if let Some(place) = run.body.services.first().and_then(|one| one.place) {
                findings::used(tx, place, why)?;
            }
        }
        Seen::Control(control) => run.body.control = control.clone(),
        Seen::Told(told) => hear(tx, &mut run, told)?,
    }
    runs::save(tx, &mut run)
}

fn hear(tx: &mut Tx<'_>, run: &mut DrillRun, told: &Told) -> Result<()> {
    let now = tx.now;
    let places = kit::kept_at(tx)?;
    let (one, mut platform) = one(run)?;
    match told {
        // Whatever an attempt had come to that was cut off is not what this one comes to.
        Told::Begun => one.ends.retain(|phase, _| *phase <= Phase::Reserve),
        Told::Opened { place } => {
            for id in places {
                if places::load(tx, id)?.name == *place {
                    one.place = Some(id);
                }
            }
            one.place_name = Some(place.clone());
            one.ended(Phase::Key, now);
            one.ended(Phase::Wait, now);
        }
        Told::Restored(back) => {
            one.taken_at = Some(back.taken_at);
            let before = store::digest(tx, back.point)?;
            one.data_is_same = Some(before.is_none_or(|before| before == back.digest));
            platform.point = Some(back.point);
            platform.snapshot = Some(back.snapshot.clone());
            platform.version = Some(back.version.clone());
            platform.bytes = Some(back.bytes);
            platform.digest = Some(back.digest.clone());
            one.ended(Phase::Restore, now);
        }
        Told::Answered => one.ended(Phase::Boot, now),
        Told::Looked(Looked { newest, entries, signed }) => {
            one.newest_record = *newest;
            one.record_problem = newest.is_none().then(|| "the audit log that came back is empty".to_owned());
            (platform.audit_entries, platform.audit_signed) = (Some(*entries), Some(*signed));
            one.ended(Phase::Verify, now);
        }
    }
    one.platform = Some(platform);
    Ok(())
}

/// What came back of a copy was right: that is written on it.
pub(super) fn proven(tx: &mut Tx<'_>, one: &Restored, platform: &Platform) -> Result<()> {
    match (platform.point, one.place, &platform.digest) {
        (Some(point), Some(place), Some(digest)) => store::proven(tx, point, place, digest),
        _ => Ok(()),
    }
}

/// Adds the flow, with what its steps do to the world.
pub(super) fn register(registry: Registry, rig: Arc<dyn Rig>) -> Registry {
    registry
        .step(Decide)
        .outside(Room(rig.clone()))
        .outside(BringBack(rig.clone()))
        .outside(TryDamage(rig))
        .definition(include_str!("../../flows/drill-platform.yaml"))
}
