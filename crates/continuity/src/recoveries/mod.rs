//! Recoveries: machines that are made again from one copy of a recovery point. What a restore and
//! a drill both stand on.
//!
//! ```text
//!   choose ─► begin ─► want, for each machine ─► its host makes it ─► measured ─► end
//!                        │ the host asks for what opens the copy: access
//! ```
//!
//! | room | what |
//! |---|---|
//! | [`choose`], [`choices`] | the newest point that will do, the nearest copy of it; why others will not |
//! | [`rules`] | what a machine is to be that is made again: pure |
//! | [`begin`], [`want`], [`measured`], [`end`] | one recovery, from its opening to its end |
//!
//! **Invariants** (tests: `tests.rs`)
//! - only copies that were looked at and found whole are chosen;
//! - what opens a repository is given while the recovery is open, to the host of a machine that was
//!   wanted for it, for a disk that was saved: nobody else, nothing else;
//! - the rules of retention do not let go of a point that an open recovery stands on;
//! - a machine that is made again stands *beside* its service: it is not the service until that is
//!   switched over to it.
//!
//! **Not here.** Switching a service over (`restores`), judging what came back (drills), how a host
//! makes a disk from a snapshot (`agent`).

mod choice;
pub mod rules;
mod store;
pub(crate) use choice::unusable;
pub(crate) use store::speed;
#[cfg(test)]
mod tests;

use base::id::{HostId, TenantId};
use base::time::Timestamp;
use base::{Error, Result};
use drivers::wire::{IntentId, MachineSpec, RecoveryAccess};
use gate::Tx;
use resources::intents::{self, Standing, Want};
use resources::tasks;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

pub use choice::{Choice, Saved, Wanted, choices, choose};
pub use rules::Attached;

use crate::backups::points::{self, CopyState, RecoveryPoint};
use crate::backups::repositories;
use crate::{BackupPlaceId, RecoveryId, RecoveryPointId, RepositoryId};

/// What a recovery is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Purpose {
    /// The service is to be served again.
    Restore,
    /// To see that it could be.
    Drill,
}

impl Purpose {
    fn word(self) -> &'static str {
        match self {
            Purpose::Restore => "restore",
            Purpose::Drill => "drill",
        }
    }
}

/// A machine of a recovery: what was saved of it, and what is made from that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The machine that was saved.
    pub machine: String,
    /// Its snapshot in the recovery's repository.
    pub snapshot: String,
    /// The machine that is made from it, once it is wanted.
    pub made: Option<String>,
}

/// A recovery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// Its id; on the wire, the `RecoveryId` of the disks that are made from it.
    pub id: RecoveryId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The service that was saved.
    pub service: String,
    /// The point.
    pub point: RecoveryPointId,
    /// Where the copy lies.
    pub place: BackupPlaceId,
    /// The repository there.
    pub repository: RepositoryId,
    /// What it is for.
    pub purpose: Purpose,
    /// For which restore or drill: a kind and an id.
    pub subject: (String, String),
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Its machines.
    pub targets: Vec<Target>,
}

impl Recovery {
    fn target(&self, machine: &str) -> Result<&Target> {
        let found = self.targets.iter().find(|target| target.machine == machine);
        found.ok_or_else(|| Error::bug("recovery.machine", format!("{machine} is no machine of {}", self.id)))
    }

    /// As disks name it.
    pub(crate) fn wire_id(&self) -> Result<drivers::wire::RecoveryId> {
        self.id.to_string().parse().map_err(|e: String| Error::bug("recovery.id", e))
    }
}

/// How a disk came back, as its host measured it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// The machine that was saved.
    pub machine: String,
    /// The machine that was made.
    pub made: String,
    /// The disk.
    pub disk: String,
    /// Bytes that came back.
    pub bytes: u64,
    /// Seconds until they were there.
    pub seconds: f64,
    /// Seconds that hashing them took.
    pub verify_seconds: f64,
    /// Digest over what came back, as hashed where it came to.
    pub digest: String,
}

/// Opens a recovery for a restore or a drill (a kind and an id). Its point is kept from now on.
///
/// # Errors
/// Those of the database.
pub fn begin(tx: &mut Tx<'_>, choice: &Choice, purpose: Purpose, subject: (&str, &str)) -> Result<Recovery> {
    let id = RecoveryId::fresh(tx.ids(), tx.now);
    let target =
        |saved: &Saved| Target { machine: saved.machine.clone(), snapshot: saved.snapshot.clone(), made: None };
    let one = Recovery {
        id,
        tenant: choice.tenant,
        service: choice.service.clone(),
        point: choice.point,
        place: choice.place,
        repository: choice.repository,
        purpose,
        subject: (subject.0.to_owned(), subject.1.to_owned()),
        opened_at: tx.now,
        ended_at: None,
        targets: choice.machines.iter().map(target).collect(),
    };
    store::insert(tx, &one)?;
    Ok(one)
}

/// The recovery of that id.
///
/// # Errors
/// `NotFound`.
pub fn load(tx: &mut Tx<'_>, id: RecoveryId) -> Result<Recovery> {
    store::load(tx, id)?.ok_or_else(|| Error::not_found("recovery.not_found", format!("there is no recovery {id}")))
}

fn open(tx: &mut Tx<'_>, id: RecoveryId) -> Result<Recovery> {
    let found = load(tx, id)?;
    match found.ended_at {
        None => Ok(found),
        Some(_) => Err(Error::conflict("recovery.ended", format!("recovery {id} has ended"))),
    }
}

/// What a machine was when it was saved.
///
/// # Errors
/// `Bug` where the recovery has no such machine.
pub fn saved(tx: &mut Tx<'_>, recovery: &Recovery, machine: &str) -> Result<Saved> {
    let point = points::load(tx, recovery.point)?;
    choice::saved(&point, recovery.target(machine)?)
}

/// The specification of a machine that is made again: as it was when it was saved, with disks from
/// this recovery and these networks.
///
/// # Errors
/// As [`saved`].
pub fn spec(
    tx: &mut Tx<'_>,
    recovery: &Recovery,
    machine: &str,
    made: &IntentId,
    networks: &[Attached],
) -> Result<MachineSpec> {
    let saved = saved(tx, recovery, machine)?;
    Ok(rules::again(&saved, &recovery.wire_id()?, made, networks))
}

/// Wants a machine made again, beside its service, on a host where `made` has reserved what it takes
/// (`resources::placement::Demand::of_machine` of its [`spec`]). Doing it again changes nothing.
///
/// # Errors
/// `Conflict` (`recovery.ended`, `recovery.made`) where the recovery is over or made another machine
/// of it; as `resources::intents::put`.
pub fn want(
    tx: &mut Tx<'_>,
    recovery: &Recovery,
    machine: &str,
    made: &IntentId,
    host: HostId,
    networks: &[Attached],
) -> Result<()> {
    let recovery = open(tx, recovery.id)?;
    if recovery.target(machine)?.made.as_ref().is_some_and(|known| known != made.as_str()) {
        let message = format!("recovery {} makes another machine of {machine}", recovery.id);
        return Err(Error::conflict("recovery.made", message));
    }
    let spec = spec(tx, &recovery, machine, made, networks)?;
    store::set_made(tx, recovery.id, machine, made)?;
    let (tenant, service, standing) = (recovery.tenant, &recovery.service, Standing::Beside);
    intents::put(tx, &Want { id: made, host, spec: &spec, tenant, service, standing })
}

/// What opens the copy that a disk is made from: `resources`' hook. The caller has seen that the
/// machine is wanted on the host that asks, with such a disk.
pub(crate) fn access(tx: &mut Tx<'_>, asked: &tasks::Recovery) -> Result<Json> {
    let absent = || Error::not_found("recovery.not_found", format!("nothing is recovered from {}", asked.recovery));
    let id: RecoveryId = asked.recovery.as_str().parse().map_err(|_| absent())?;
    let recovery = store::load(tx, id)?.filter(|found| found.ended_at.is_none()).ok_or_else(absent)?;
    let made = |target: &&Target| target.made.as_deref() == Some(asked.machine.as_str());
    let target = recovery.targets.iter().find(made).ok_or_else(absent)?;
    let intent = intents::get(tx, &asked.machine)?.ok_or_else(absent)?;
    let point = points::load(tx, recovery.point)?;
    if intent.tenant != recovery.tenant || point.tenant != recovery.tenant {
        return Err(absent());
    }
    let saved = choice::saved(&point, target)?;
    let disk = saved.disks.iter().find(|disk| disk.name == asked.disk).ok_or_else(absent)?;
    if !is_whole(&point, &recovery, target) {
        let message = format!("the copy of {} was found damaged or missing meanwhile; use another", point.id);
        return Err(Error::conflict("recovery.no_copy", message));
    }
    let (snapshot, path, bytes) = (target.snapshot.clone(), disk.path.clone(), disk.bytes);
    let repository = repositories::for_reading(tx, recovery.repository)?;
    serde_json::to_value(RecoveryAccess { repository, snapshot, path, bytes })
        .map_err(|e| Error::bug("recovery.access", "an access cannot be written").because(e))
}

/// Whether nobody has found the copy damaged or gone since it was chosen.
fn is_whole(point: &RecoveryPoint, recovery: &Recovery, target: &Target) -> bool {
    let copies = point.part(&target.machine).map(|part| part.copies.as_slice()).unwrap_or_default();
    copies.iter().any(|copy| copy.repository == recovery.repository && copy.state == CopyState::Verified)
}

/// How the disks came back that are there by now, from what hosts observed.
///
/// # Errors
/// Those of the database.
pub fn measured(tx: &mut Tx<'_>, recovery: &Recovery) -> Result<Vec<Measured>> {
    let (recovery, mut all) = (load(tx, recovery.id)?, Vec::new());
    let id = recovery.wire_id()?;
    for target in &recovery.targets {
        let Some(made) = &target.made else { continue };
        let intent = intents::get(tx, &made.parse().map_err(|e: String| Error::bug("recovery.made", e))?)?;
        for disk in intent.and_then(|intent| intent.observed).into_iter().flat_map(|seen| seen.recovered) {
            // A host's figures are its word: what cannot be is left out.
            let plausible = [disk.seconds, disk.verify_seconds].iter().all(|s| s.is_finite() && *s >= 0.0);
            if disk.recovery == id && plausible {
                all.push(Measured {
                    machine: target.machine.clone(),
                    made: made.clone(),
                    disk: disk.disk,
                    bytes: disk.bytes,
                    seconds: disk.seconds,
                    verify_seconds: disk.verify_seconds,
                    digest: disk.digest,
                });
            }
        }
    }
    Ok(all)
}

/// A disk that comes back just now, and how far it is by its host's word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnderWay {
    /// The machine that was saved.
    pub machine: String,
    /// The machine that is made.
    pub made: String,
    /// The disk.
    pub disk: String,
    /// Bytes that are there; all of them: they are being hashed.
    pub done: u64,
    /// Bytes that come.
    pub total: u64,
    /// Bytes a second, so far.
    pub bytes_per_second: Option<u64>,
    /// Seconds until the rest is there, at that speed.
    pub seconds_left: Option<u64>,
}

/// The disks of a recovery that come back just now.
///
/// # Errors
/// Those of the database.
pub fn under_way(tx: &mut Tx<'_>, recovery: &Recovery) -> Result<Vec<UnderWay>> {
    let (id, mut all) = (recovery.wire_id()?, Vec::new());
    for target in &load(tx, recovery.id)?.targets {
        let Some(made) = &target.made else { continue };
        let intent = intents::get(tx, &made.parse().map_err(|e: String| Error::bug("recovery.made", e))?)?;
        for disk in intent.and_then(|intent| intent.observed).into_iter().flat_map(|seen| seen.recovering) {
            if disk.recovery != id {
                continue;
            }
            // Whole milliseconds: nothing is said of a speed before the first second.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded when it was stored")]
            let millis = (disk.seconds.clamp(0.0, 1e9) * 1_000.0) as u64;
            let speed = u128::from(disk.done) * 1_000 / u128::from(millis.max(1));
            let speed = u64::try_from(speed).ok().filter(|speed| *speed > 0 && millis >= 1_000);
            all.push(UnderWay {
                machine: target.machine.clone(),
                made: made.clone(),
                disk: disk.disk,
                done: disk.done,
                total: disk.total,
                bytes_per_second: speed,
                seconds_left: speed.map(|speed| disk.total.saturating_sub(disk.done).div_ceil(speed)),
            });
        }
    }
    Ok(all)
}

/// For which restore or drill a machine was made: a kind and an id; nothing where it is no recovery's.
///
/// # Errors
/// Those of the database.
pub fn made_for(tx: &mut Tx<'_>, machine: &str) -> Result<Option<(String, String)>> {
    store::made_for(tx, machine)
}

/// The digests that a disk of a point had each time that it came back.
///
/// # Errors
/// Those of the database.
pub fn digests(tx: &mut Tx<'_>, point: RecoveryPointId, machine: &str, disk: &str) -> Result<Vec<String>> {
    store::digests(tx, point, machine, disk)
}

/// Keeps the digest of what came back beside machines, so that the next recovery of the same point can
/// be held against it. It says nothing of how fast disks come back.
///
/// # Errors
/// Those of the database.
pub(crate) fn keep_digest(tx: &mut Tx<'_>, id: RecoveryId, part: &str, name: &str, digest: &str) -> Result<()> {
    let (machine, disk, digest) = (part.to_owned(), name.to_owned(), digest.to_owned());
    let made = String::new();
    store::keep_measured(tx, id, &Measured { machine, made, disk, bytes: 0, seconds: 0.0, verify_seconds: 0.0, digest })
}

/// A service answered from what came back: the copy is proven, by a restore.
///
/// # Errors
/// Those of the database.
pub fn proven(tx: &mut Tx<'_>, recovery: &Recovery) -> Result<()> {
    crate::backups::store::set_proven(tx, recovery.point, recovery.repository)
}

/// Ends a recovery: nobody is given its access any more, and what was measured is kept. Doing it
/// again changes nothing.
///
/// # Errors
/// Those of the database.
pub fn end(tx: &mut Tx<'_>, recovery: &Recovery) -> Result<()> {
    if load(tx, recovery.id)?.ended_at.is_some() {
        return Ok(());
    }
    for disk in measured(tx, recovery)? {
        store::keep_measured(tx, recovery.id, &disk)?;
    }
    store::close(tx, recovery.id)
}
