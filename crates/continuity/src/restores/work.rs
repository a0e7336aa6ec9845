//! The steps of the flow `restore`. All of them work inside the database: machines are wanted by
//! intents and waited for (`machine.run`, `machine.answer`, the steps of orders).

use std::time::Duration;

use base::{Error, Result};
use drivers::wire::{IntentId, NetworkSpec, Problem};
use durable::{About, Nothing, Progress, Registry, Step, StepCx, Undo, flows};
use gate::{Cx, Gate, Tx};
use provisioning::fulfilment;
use provisioning::services;
use resources::capacity::{self, Ask as Reserve};
use resources::intents;
use resources::placement::Policy;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::actions::{self, RestoreRef};
use super::{KIND, Restore, RestoredMachine, State, load, plan, store};
use crate::RestoreId;
use crate::backups::points;
use crate::inventory;
use crate::recoveries::{self, Attached, Purpose, Recovery, Saved, rules};

/// Which restore.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct OfRestore {
    /// The restore.
    pub restore: RestoreId,
}

fn running(tx: &mut Tx<'_>, id: RestoreId) -> Result<Restore> {
    let found = load(tx, id)?;
    match found.state {
        State::Running => Ok(found),
        state => Err(Error::conflict("restore.state", format!("the restore is {} by now", state.word()))),
    }
}

fn recovery(tx: &mut Tx<'_>, restore: &Restore) -> Result<Recovery> {
    let id = restore.recovery.ok_or_else(|| Error::bug("restore.unchosen", "a restore has chosen nothing"))?;
    recoveries::load(tx, id)
}

fn made(machine: &RestoredMachine) -> Result<IntentId> {
    machine.made.parse().map_err(|e: String| Error::bug("machine.id", e))
}

fn ids(restore: &Restore) -> Vec<String> {
    restore.machines.iter().map(|machine| machine.made.clone()).collect()
}

/// Lets go of what the machines hold that were never wanted, or are gone.
fn free(tx: &mut Tx<'_>, id: RestoreId) -> Result<Progress<()>> {
    for machine in &load(tx, id)?.machines {
        capacity::free(tx, &made(machine)?)?;
    }
    Ok(Progress::Done(()))
}

/// Settles what comes back and from where.
pub struct Choose;

/// A machine that will be made.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Made {
    /// The id of its intent.
    pub id: String,
}

/// The machines that will be made.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Chosen {
    /// The machines.
    pub machines: Vec<Made>,
}

impl Step for Choose {
    const NAME: &'static str = "restore.choose";
    const SUMMARY: &'static str = "Chooses the recovery point and the copy, and keeps the point while it is needed.";
    const UNDO: Undo = Undo::ByStep;
    type In = OfRestore;
    type Out = Chosen;

    fn run(&self, tx: &mut Tx<'_>, _: &StepCx<'_>, input: &OfRestore) -> Result<Progress<Chosen>> {
        let restore = running(tx, input.restore)?;
        if restore.recovery.is_none() {
            let choice = plan::placed(tx, &restore.wish)?.choice;
            let subject = input.restore.to_string();
            let recovery = recoveries::begin(tx, &choice, Purpose::Restore, (KIND, &subject))?;
            store::set_recovery(tx, restore.id, recovery.id)?;
            for saved in &choice.machines {
                let made = tx.ids().text("vm", tx.now);
                store::add_machine(tx, restore.id, &saved.machine, &made)?;
            }
        }
        let machines = ids(&running(tx, input.restore)?).into_iter().map(|id| Made { id }).collect();
        Ok(Progress::Done(Chosen { machines }))
    }

    fn undo(&self, tx: &mut Tx<'_>, _: &StepCx<'_>, input: &OfRestore, _: Option<&Chosen>) -> Result<Progress<()>> {
        let restore = load(tx, input.restore)?;
        if restore.recovery.is_some() {
            let recovery = recovery(tx, &restore)?;
            recoveries::end(tx, &recovery)?;
        }
        Ok(Progress::Done(()))
    }
}

/// Finds room.
pub struct Reserving;

impl Step for Reserving {
    const NAME: &'static str = "restore.reserve";
    const SUMMARY: &'static str =
        "Chooses a host for each machine, rather none that the service stands on, and reserves what it takes.";
    const UNDO: Undo = Undo::ByStep;
    type In = OfRestore;
    type Out = Nothing;

    fn run(&self, tx: &mut Tx<'_>, cx: &StepCx<'_>, input: &OfRestore) -> Result<Progress<Nothing>> {
        let restore = running(tx, input.restore)?;
        let recovery = recovery(tx, &restore)?;
        let place = crate::backups::places::load(tx, recovery.place)?;
        let serving = intents::of_service(tx, &restore.service)?;
        let policy = plan::policy(tx, &restore.wish, place.location.host(), &serving)?;
        for machine in &restore.machines {
            let saved = recoveries::saved(tx, &recovery, &machine.machine)?;
            let apart = capacity::apart(tx, &machine.machine)?;
            let ask = Reserve {
                machine: made(machine)?,
                tenant: restore.tenant,
                service: restore.service.clone(),
                run: Some(cx.run),
                demand: rules::demand(&saved),
                policy: Policy { apart, ..policy.clone() },
            };
            let host = capacity::reserve(tx, &ask)?.host;
            store::set_host(tx, restore.id, &machine.machine, host)?;
        }
        Ok(Progress::Done(Nothing {}))
    }

    fn undo(&self, tx: &mut Tx<'_>, _: &StepCx<'_>, input: &OfRestore, _: Option<&Nothing>) -> Result<Progress<()>> {
        free(tx, input.restore)
    }
}

/// Takes its part of the network.
pub struct Claim;

impl Step for Claim {
    const NAME: &'static str = "restore.claim";
    const SUMMARY: &'static str = "Claims each machine's address, or its host's ports.";
    const UNDO: Undo = Undo::ByStep;
    type In = OfRestore;
    type Out = Nothing;

    fn run(&self, tx: &mut Tx<'_>, _: &StepCx<'_>, input: &OfRestore) -> Result<Progress<Nothing>> {
        let restore = running(tx, input.restore)?;
        let recovery = recovery(tx, &restore)?;
        for machine in &restore.machines {
            let (id, saved) = (made(machine)?, recoveries::saved(tx, &recovery, &machine.machine)?);
            let host = machine.host.ok_or_else(|| Error::bug("machine.unplaced", format!("{id} has no host")))?;
            let (port, ports) = (rules::port(&saved.spec).unwrap_or(0), rules::ports(&saved.spec));
            let claimed = if restore.beside {
                fulfilment::claim_ports(tx, &id, restore.tenant, host, port, &ports)?
            } else {
                fulfilment::claim_network(tx, &id, restore.tenant, host, port, &ports)?
            };
            store::set_claimed(tx, restore.id, &machine.machine, &claimed)?;
        }
        Ok(Progress::Done(Nothing {}))
    }

    fn undo(&self, tx: &mut Tx<'_>, _: &StepCx<'_>, input: &OfRestore, _: Option<&Nothing>) -> Result<Progress<()>> {
        free(tx, input.restore)
    }
}

/// How a machine is attached to what it has claimed.
fn attached(machine: &RestoredMachine, saved: &Saved) -> Result<Attached> {
    let claimed = machine.claimed.as_ref();
    let claimed = claimed.ok_or_else(|| Error::bug("machine.unclaimed", format!("{} has no network", machine.made)))?;
    if claimed.bridge.is_empty() {
        let forwards: Vec<(u16, u16)> = claimed.forwards.iter().map(|port| (port.host, port.guest)).collect();
        return Ok(Attached::user(&saved.spec, &forwards));
    }
    let mac = claimed.mac.parse().map_err(|e: String| Error::bug("claim.damaged", e))?;
    let (bridge, addresses) = (claimed.bridge.clone(), vec![claimed.address.clone()]);
    let gateway = Some(claimed.gateway.clone()).filter(|gateway| !gateway.is_empty());
    Ok(Attached { network: NetworkSpec::Bridge { bridge, mac, addresses }, gateway })
}

/// Wants the machines.
pub struct WantAgain;

impl Step for WantAgain {
    const NAME: &'static str = "restore.want";
    const SUMMARY: &'static str = "Wants the machines, with disks from the copy, beside the service.";
    const UNDO: Undo = Undo::ByStep;
    type In = OfRestore;
    type Out = Nothing;

    fn run(&self, tx: &mut Tx<'_>, _: &StepCx<'_>, input: &OfRestore) -> Result<Progress<Nothing>> {
        let restore = running(tx, input.restore)?;
        let recovery = recovery(tx, &restore)?;
        for machine in &restore.machines {
            let saved = recoveries::saved(tx, &recovery, &machine.machine)?;
            let (id, network) = (made(machine)?, attached(machine, &saved)?);
            let host = machine.host.ok_or_else(|| Error::bug("machine.unplaced", format!("{id} has no host")))?;
            recoveries::want(tx, &recovery, &machine.machine, &id, host, &[network])?;
        }
        Ok(Progress::Done(Nothing {}))
    }

    /// Wants them away and waits until that was seen: an uncertain machine may still take its core.
    fn undo(&self, tx: &mut Tx<'_>, _: &StepCx<'_>, input: &OfRestore, _: Option<&Nothing>) -> Result<Progress<()>> {
        let restore = load(tx, input.restore)?;
        note_damage(tx, &restore)?;
        fulfilment::remove(tx, &ids(&restore))?;
        fulfilment::await_gone(tx, &ids(&restore))
    }
}

/// What hosts found wrong with the copy is written on it: the next restore takes another one.
fn note_damage(tx: &mut Tx<'_>, restore: &Restore) -> Result<()> {
    let Some(point) = restore.point else { return Ok(()) };
    for machine in &restore.machines {
        let found = intents::get(tx, &made(machine)?)?;
        let Some(problem) = found.as_ref().and_then(intents::Intent::failure) else { continue };
        let Some(state) = points::damage(&problem.code) else { continue };
        points::found(tx, point, restore.place, &machine.machine, state, problem)?;
    }
    Ok(())
}

/// The point of no return: the service is served by the new machines.
pub struct Switch;

impl Step for Switch {
    const NAME: &'static str = "restore.switch";
    const SUMMARY: &'static str =
        "Lets the service be served by the machines that were brought back, and wants those that were lost away.";
    const UNDO: Undo = Undo::Impossible;
    type In = OfRestore;
    type Out = Nothing;

    fn run(&self, tx: &mut Tx<'_>, _: &StepCx<'_>, input: &OfRestore) -> Result<Progress<Nothing>> {
        let restore = load(tx, input.restore)?;
        if restore.state == State::Done {
            return Ok(Progress::Done(Nothing {}));
        }
        let restore = running(tx, input.restore)?;
        // It may have been ended meanwhile: nothing is put beside what is not there.
        let serving = plan::there(tx, &restore.service)?;
        if !restore.beside && !restore.wish.even_if_alive && plan::is_alive(&serving) {
            // Its host was silent when this began, and has come back: what was written since is there.
            let message = "the service answers again by itself and was left as it is; say evenIfAlive to replace it";
            return Err(Error::conflict("restore.service_alive", message));
        }
        if !restore.beside {
            stop_backup(tx, &restore.service)?;
            let pairs: Result<Vec<_>> = restore.machines.iter().map(|one| Ok((old(one)?, made(one)?))).collect();
            let url = restore.machines.iter().map(|one| one.url.as_str()).find(|url| !url.is_empty());
            services::move_to(tx, &restore.service, &pairs?, url)?;
            for one in &restore.machines {
                inventory::machine_replaced(tx, restore.tenant, &one.machine, &one.made)?;
            }
        }
        let recovery = recovery(tx, &restore)?;
        recoveries::proven(tx, &recovery)?;
        recoveries::end(tx, &recovery)?;
        store::answered(tx, &restore)?;
        Ok(Progress::Done(Nothing {}))
    }

    fn undo(&self, _: &mut Tx<'_>, _: &StepCx<'_>, _: &OfRestore, _: Option<&Nothing>) -> Result<Progress<()>> {
        Err(Error::bug(
            "service.moved",
            "a service that has moved does not move back; bring it back from another point",
        ))
    }
}

fn old(machine: &RestoredMachine) -> Result<IntentId> {
    machine.machine.parse().map_err(|e: String| Error::bug("machine.id", e))
}

/// A backup that waits for a host that may never come back would keep the next one from beginning.
fn stop_backup(tx: &mut Tx<'_>, service: &str) -> Result<()> {
    let Some(point) = crate::backups::store::taking(tx, service)? else { return Ok(()) };
    unwind(tx, points::KIND, &point.to_string(), "the service moves to other machines")
}

/// Undoes what runs about that, unless it is past undoing.
fn unwind(tx: &mut Tx<'_>, kind: &str, id: &str, why: &str) -> Result<()> {
    let runs = flows::of_subject(tx, kind, id)?;
    for run in runs.iter().filter(|run| !run.state.is_final()) {
        match flows::unwind(tx, run.id, why) {
            Err(e) if matches!(e.code(), "flow.past_return" | "flow.ended") => {}
            other => other?,
        }
    }
    Ok(())
}

/// A service ends: what is being brought back of it is not any more, and what stands beside it goes
/// with its machines. The reaction to provisioning's `ServiceReleased`.
///
/// # Errors
/// Those of the database.
pub fn service_released(tx: &mut Tx<'_>, service: &str) -> Result<()> {
    if let Some(running) = store::running(tx, service)? {
        unwind(tx, KIND, &running.to_string(), "the service is being ended")?;
    }
    store::released(tx, service)
}

/// What stood beside its service for as long as it was asked for.
pub(super) fn look_for_over(gate: &Gate) -> Result<()> {
    let now = gate.now();
    for (id, tenant) in gate.db().read(move |conn| store::over(conn, now))? {
        if let Err(e) = gate.run(&Cx::system("restores", tenant), &actions::END, RestoreRef { id }) {
            tracing::warn!(%id, code = e.code(), "what stands beside a service could not be let go: {e}");
        }
    }
    Ok(())
}

/// A run was undone, or a person ended it where it stood: nothing of it is wanted any more.
///
/// # Errors
/// Those of the database.
pub fn ended(tx: &mut Tx<'_>, about: &About) -> Result<()> {
    if about.subject.kind != KIND {
        return Ok(());
    }
    let restore = load(tx, about.subject.id.parse()?)?;
    if restore.state != State::Running {
        return Ok(());
    }
    fulfilment::remove(tx, &ids(&restore))?;
    if restore.recovery.is_some() {
        let recovery = recovery(tx, &restore)?;
        recoveries::end(tx, &recovery)?;
    }
    let run = flows::of_subject(tx, KIND, &about.subject.id)?.into_iter().find(|run| run.id == about.run);
    let problem = |code: &str, message: String| Problem { code: code.to_owned(), message, retrying: false };
    let why = match run.and_then(|run| run.failure) {
        Some(failure) => problem(&failure.code, failure.message),
        None => problem("restore.given_up", "somebody ended the run".to_owned()),
    };
    store::failed(tx, restore.id, &why).map(drop)
}

/// Adds the steps and the flow.
pub(super) fn register(registry: Registry) -> Registry {
    registry
        .step(Choose)
        .step(Reserving)
        .step(Claim)
        .step(WantAgain)
        .step(Switch)
        .definition(include_str!("../../flows/restore.yaml"))
        .reconciler("restores.over", Duration::from_secs(60), look_for_over)
}
