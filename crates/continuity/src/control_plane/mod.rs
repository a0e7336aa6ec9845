//! The control plane is the first service that must come back: without its database and keys,
//! every backup is noise.
//!
//! ```text
//!   policy ─► due ─► point ─► job: database of one instant, keys, images ─► a copy at each place, looked at
//!                                                                            │
//!   an empty machine + recovery kit + shares of the master key ─► `recover` ◄┘
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`points`] | what was kept of the platform itself, and where |
//! | [`findings`] | what is found of a place is true of every copy there |
//! | [`take`] | how a point is taken: by this server, in child processes |
//! | [`kit`] | the recovery kit: where copies lie, sealed, for a day on which nothing else is there |
//! | [`recover`] | a data directory made from a copy |
//! | [`trial`] | a copy is brought back beside the platform, and a server started on it: what a drill does to the world |
//! | [`brought`] | what only people can show: that their shares make the master key, that their kit is right |
//!
//! **Invariants** (tests in `tests`)
//! - a point is `available` only where every place of the policy holds it and was looked at, and
//!   stays so only while nobody finds one of these places damaged or without it;
//! - the master key is in no copy: a place that is broken into, with the password of its
//!   repository, opens no customer's backup;
//! - what opens the copies follows from the master key: shares of it and the kit are enough;
//! - nothing is put in the place of data that is there.
//!
//! Only repository servers and buckets hold copies of the platform: a directory of a host is
//! reached by that host alone, and on the bad day it has nobody to ask.

pub mod brought;
pub(crate) mod findings;
#[cfg(test)]
mod kills;
pub mod kit;
pub mod points;
pub mod recover;
pub(crate) mod store;
pub mod take;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod trial;

pub use trial::sweep;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base::id::Ids;
use base::time::Timestamp;
use base::{Error, Result};
use db::{Class, Location};
use durable::Registry;
use gate::{Action, AnyAction, Effect, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::backups::places;
use crate::backups::policies::{self, BackupPolicy};
use crate::backups::schedule::Schedule;
use crate::{BackupPlaceId, BackupPolicyId};
use points::Point;
pub(crate) use store::kept_until;

/// The name of the platform's own repository at each place.
pub const REPOSITORY: &str = "control-plane";

/// Every action of this capability.
pub static ACTIONS: &[&dyn AnyAction] =
    &[&GET, &PROTECT, &points::TAKE, &points::POINT, &points::RECONCILE, &kit::MAKE, &recover::RECOVERED];

/// What there is to be kept.
#[derive(Debug, Clone)]
pub struct Installation {
    /// The data directory.
    pub data: PathBuf,
    /// The database.
    pub database: Location,
    /// `yunwei-vault`.
    pub program: PathBuf,
    /// `yunwei`: what is started on a copy that a drill brings back.
    pub server: PathBuf,
}

/// What is called by its name in [`home`].
const HOME: &str = "home";

/// The name of a data directory, among those of servers that share a database: sixteen hexadecimal digits, made the
/// first time and in no copy. What a process leaves in the database or on its server is found by it when the next
/// one of the directory starts.
///
/// # Errors
/// `Unavailable` where it cannot be read or written; `Conflict` (`data.home`) where it is something else.
pub fn home(data: &Path) -> Result<String> {
    let path = data.join(HOME);
    let unusable =
        |e: io::Error| Error::unavailable("data.unusable", format!("cannot use {}: {e}", path.display())).because(e);
    match fs::read_to_string(&path) {
        Ok(name) => {
            let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            let fits = name.len() == 16 && name.bytes().all(is_digit);
            let message = format!("{} does not hold the name of this directory: remove it", path.display());
            return fits.then_some(name).ok_or_else(|| Error::conflict("data.home", message));
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(unusable(e)),
    }
    // Of an id the half that is by chance.
    let name = format!("{:016x}", Ids::default().next(Timestamp::UNIX_EPOCH) & u128::from(u64::MAX));
    // Under its own name only when all of it is there.
    let part = data.join(format!("{HOME}.{name}.part"));
    fs::write(&part, &name).and_then(|()| fs::rename(&part, &path)).map_err(unusable)?;
    Ok(name)
}

/// A data directory in which no other server works for as long as this is kept.
#[derive(Debug)]
pub struct Alone {
    /// Its name ([`home`]).
    pub home: String,
    /// Held by the process, and gone with it.
    _lock: fs::File,
}

/// Claims a data directory. Nothing where another server works in it: what an earlier one left there is not to be
/// told from what that one is at.
///
/// # Errors
/// As [`home`].
pub fn alone(data: &Path) -> Result<Option<Alone>> {
    let home = home(data)?;
    let unusable = |e: io::Error| Error::unavailable("data.unusable", format!("cannot lock {HOME}: {e}")).because(e);
    let lock = fs::File::open(data.join(HOME)).map_err(unusable)?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(Alone { home, _lock: lock })),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(e)) => Err(unusable(e)),
    }
}

/// Adds the reconciler and the job.
#[must_use]
pub fn register(registry: Registry, installation: Installation) -> Registry {
    take::register(registry, installation)
}

/// How the platform itself is kept.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ControlPlane {
    /// The policy; none: it is not backed up.
    pub policy: Option<BackupPolicy>,
    /// The names of the policy's places.
    pub place_names: Vec<String>,
    /// When the next point is due.
    #[schemars(with = "Option<String>")]
    pub next_due: Option<Timestamp>,
    /// How much would be lost now, in seconds: the age of the newest point that something can be restored from.
    pub age_seconds: Option<i64>,
    /// The points, newest first; at most 50.
    pub points: Vec<Point>,
    /// When a recovery kit was made last.
    #[schemars(with = "Option<String>")]
    pub kit_made_at: Option<Timestamp>,
    /// Whether places or credentials changed since: the kit does not know them.
    pub kit_is_old: bool,
}

/// What anybody here must be entitled to.
fn granted(tx: &mut Tx<'_>, action: &str) -> Result<()> {
    let tenant = tx.cx().tenant();
    tx.grant(action, "controlPlane", REPOSITORY, tenant, Class::Internal, ()).map(drop)
}

fn state(tx: &mut Tx<'_>) -> Result<ControlPlane> {
    let settings = store::settings(tx)?;
    let policy = settings.as_ref().map(|known| policies::load(tx, known.policy)).transpose()?;
    let mut place_names = Vec::new();
    for place in policy.iter().flat_map(|policy| policy.terms.places.clone()).collect::<Vec<_>>() {
        place_names.push(places::load(tx, place)?.name);
    }
    let points = store::points(tx, 50)?;
    let newest = store::newest(tx)?;
    let kit_made_at = settings.as_ref().and_then(|known| known.kit_at);
    let changed = store::access_changed_at(tx)?;
    let places = policy.as_ref().map(|policy| crate::backups::text(&policy.terms.places)).transpose()?;
    let other_places = settings.as_ref().is_some_and(|known| known.kit_of != places);
    Ok(ControlPlane {
        policy,
        place_names,
        next_due: settings.as_ref().map(|known| known.next_due),
        age_seconds: newest.map(|at| tx.now.duration_since(at).as_secs()),
        points,
        kit_made_at,
        kit_is_old: other_places || kit_made_at.is_none_or(|made| changed.is_some_and(|changed| changed > made)),
    })
}

/// Whether the platform itself is kept by that policy.
pub(crate) fn is_kept_by(tx: &mut Tx<'_>, policy: BackupPolicyId) -> Result<bool> {
    Ok(store::settings(tx)?.is_some_and(|known| known.policy == policy))
}

/// The platform's copies go where they can be had without it.
pub(crate) fn check_places(tx: &mut Tx<'_>, all: &[BackupPlaceId]) -> Result<()> {
    for id in all {
        let place = places::load(tx, *id)?;
        if place.location.host().is_some() {
            let message = format!(
                "{} is a directory of a host: on the day the platform is gone nobody can ask that host for it; name repository servers and buckets",
                place.name
            );
            return Err(Error::conflict("controlPlane.place", message).at("places"));
        }
    }
    Ok(())
}

/// Its policy says another time.
pub(crate) fn reschedule(tx: &mut Tx<'_>, schedule: &Schedule) -> Result<()> {
    let due = schedule.next(tx.now, REPOSITORY)?;
    store::set_due(tx, due)
}

/// Nothing to say.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// Shows how the platform itself is kept.
pub static GET: Action<Nothing, ControlPlane> = Action {
    name: "controlPlane.get",
    summary: "Shows how the platform itself is backed up: policy, points with their copies, recovery kit.",
    effect: Effect::Read,
    run: |tx, _| {
        granted(tx, "controlPlane.get")?;
        state(tx)
    },
};

/// By which policy.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Protect {
    /// The policy; its places are repository servers and buckets.
    pub policy: BackupPolicyId,
}

/// Has the platform itself backed up by a policy.
pub static PROTECT: Action<Protect, ControlPlane> = Action {
    name: "controlPlane.protect",
    summary: "Has the platform itself backed up: database, keys and images, by a policy of at least two places.",
    effect: Effect::Change,
    run: |tx, input| {
        granted(tx, "controlPlane.protect")?;
        let here = tx.cx().tenant();
        let absent = || Error::dangling("backupPolicy.absent", format!("there is no backup policy {}", input.policy));
        let policy = policies::load(tx, input.policy).ok().filter(|policy| policy.tenant == here);
        let policy = policy.ok_or_else(|| absent().at("policy"))?;
        check_places(tx, &policy.terms.places)?;
        let due = policy.terms.schedule.next(tx.now, REPOSITORY)?;
        store::protect(tx, policy.id, due)?;
        state(tx)
    },
};
