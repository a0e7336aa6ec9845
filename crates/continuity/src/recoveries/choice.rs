//! Which point and which copy: the newest point that will do, the nearest copy of it, and in words
//! why each other one will not.

use base::id::{HostId, TenantId};
use base::time::Timestamp;
use base::{Error, Result};
use drivers::wire::{Consistency, DiskCopy, MachineSpec};
use gate::Tx;
use provisioning::services::SERVICE;
use resources::{SiteId, hosts, places as sites};

use super::{Target, store};
use crate::backups::places::{self, BackupPlace};
use crate::backups::points::{self, CopyState, Part, RecoveryPoint, State};
use crate::{BackupPlaceId, RecoveryPointId, RepositoryId};

/// What is to come back, and what may not be used for it.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The service; a customer-facing one.
    pub service: String,
    /// Only this point.
    pub point: Option<RecoveryPointId>,
    /// Only from this place.
    pub place: Option<BackupPlaceId>,
    /// Nothing that was taken after this instant: all of it is bad.
    pub not_after: Option<Timestamp>,
    /// Only onto this host: a directory of another one does not reach it.
    pub onto: Option<HostId>,
    /// Nothing that lies on one of these hosts: they are lost.
    pub without_hosts: Vec<HostId>,
    /// Nothing that lies at this site: it is lost.
    pub without_site: Option<SiteId>,
    /// Nothing from these places: they are lost.
    pub without_places: Vec<BackupPlaceId>,
}

/// A machine as it was saved.
#[derive(Debug, Clone, PartialEq)]
pub struct Saved {
    /// The machine.
    pub machine: String,
    /// Its snapshot in the chosen repository.
    pub snapshot: String,
    /// What was done so that its disks are of one instant.
    pub consistency: Consistency,
    /// Its disks.
    pub disks: Vec<DiskCopy>,
    /// Their bytes.
    pub bytes: u64,
    /// What it was wanted to be.
    pub spec: MachineSpec,
}

/// What will be brought back, and from where.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The service.
    pub service: String,
    /// Whose it is.
    pub tenant: TenantId,
    /// The point.
    pub point: RecoveryPointId,
    /// The instant that it is of.
    pub taken_at: Timestamp,
    /// Where the copy lies.
    pub place: BackupPlaceId,
    /// That place's name.
    pub place_name: String,
    /// The repository there.
    pub repository: RepositoryId,
    /// The host that alone reaches the copy, where it is a directory: the machines must stand there.
    pub host: Option<HostId>,
    /// The machines.
    pub machines: Vec<Saved>,
    /// Bytes of all their disks.
    pub bytes: u64,
    /// How long reading and hashing that takes, by what was measured from that place; `None`: nothing was yet.
    pub estimated_seconds: Option<f64>,
}

/// The best choice: see [`choices`].
///
/// # Errors
/// As [`choices`].
pub fn choose(tx: &mut Tx<'_>, wanted: &Wanted) -> Result<Choice> {
    let mut all = choices(tx, wanted)?;
    Ok(all.swap_remove(0))
}

/// The copies that will do of the newest point that has any, the nearest first. Never none.
///
/// # Errors
/// `NotFound` where the point is not one of the service; `Conflict` (`recovery.no_point`) where there
/// is none, (`recovery.no_copy`) saying of each copy why it will not do.
pub fn choices(tx: &mut Tx<'_>, wanted: &Wanted) -> Result<Vec<Choice>> {
    let tenant = tx.peek(&SERVICE, &wanted.service)?.tenant;
    let ids = match wanted.point {
        Some(id) => vec![id],
        None => crate::backups::store::restorable(tx, &wanted.service, wanted.not_after)?,
    };
    if ids.is_empty() {
        let message = "the service has no recovery point that anything could be brought back from";
        return Err(Error::conflict("recovery.no_point", message));
    }
    let home = home(tx, wanted)?;
    let mut reasons = Vec::new();
    for id in ids {
        let point = points::load(tx, id)?;
        if point.service != wanted.service || point.tenant != tenant {
            return Err(Error::not_found("recoveryPoint.not_found", format!("there is no recovery point {id}")));
        }
        let found = of_point(tx, wanted, &point, home.as_deref(), &mut reasons)?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Err(Error::conflict("recovery.no_copy", format!("no copy will do: {}", told(&reasons))))
}

/// The first few reasons, in a line.
fn told(reasons: &[String]) -> String {
    const MOST: usize = 8;
    let more = reasons.len().saturating_sub(MOST);
    let mut text = reasons.iter().take(MOST).cloned().collect::<Vec<_>>().join("; ");
    if more > 0 {
        text.push_str(&format!("; and {more} more"));
    }
    text
}

/// The site that the machines will stand at, as far as that is known: what lies there is near.
fn home(tx: &mut Tx<'_>, wanted: &Wanted) -> Result<Option<String>> {
    let host = match wanted.onto {
        Some(host) => Some(host),
        None => resources::intents::of_service(tx, &wanted.service)?.first().map(|machine| machine.host),
    };
    let Some(host) = host else { return Ok(None) };
    let pool = hosts::load(tx, host)?.pool;
    Ok(Some(sites::pool(tx, pool)?.site.to_string()))
}

fn of_point(
    tx: &mut Tx<'_>,
    wanted: &Wanted,
    point: &RecoveryPoint,
    home: Option<&str>,
    reasons: &mut Vec<String>,
) -> Result<Vec<Choice>> {
    let mut say = |why: String| reasons.push(format!("{} {why}", point.id));
    let (Some(first), Some(taken_at)) = (point.machines().next(), point.taken_at) else {
        say("holds no machine".to_owned());
        return Ok(Vec::new());
    };
    if matches!(point.state, State::Failed | State::Expired) {
        say(format!("is {}", point.state.word()));
        return Ok(Vec::new());
    }
    // Its machines may be of different instants: the latest counts.
    let late =
        |limit: Timestamp| point.machines().any(|part| part.taken.as_ref().is_some_and(|taken| taken.taken_at > limit));
    if wanted.not_after.is_some_and(late) {
        say("was taken after the instant from which everything is bad".to_owned());
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for copy in &first.copies {
        let place = places::load(tx, copy.place)?;
        if let Some(why) = unfit(tx, wanted, point, &place)? {
            say(format!("at {} {why}", place.name));
            continue;
        }
        match machines(point, copy.repository) {
            Err(e) => say(format!("at {} {}", place.name, e.message())),
            Ok(machines) => {
                let bytes = machines.iter().map(|saved| saved.bytes).sum();
                let far = home.is_some_and(|home| home != place.site);
                let choice = Choice {
                    service: point.service.clone(),
                    tenant: point.tenant,
                    point: point.id,
                    taken_at,
                    place: place.id,
                    repository: copy.repository,
                    host: place.location.host(),
                    machines,
                    bytes,
                    estimated_seconds: store::seconds(tx, place.id, bytes)?,
                    place_name: place.name,
                };
                found.push((far, copy.position, choice));
            }
        }
    }
    found.sort_by_key(|(far, position, _)| (*far, *position));
    Ok(found.into_iter().map(|(_, _, choice)| choice).collect())
}

/// Why a place will not do for a point.
fn unfit(tx: &mut Tx<'_>, wanted: &Wanted, point: &RecoveryPoint, place: &BackupPlace) -> Result<Option<&'static str>> {
    if wanted.place.is_some_and(|asked| asked != place.id) {
        return Ok(Some("is not the place that was asked for"));
    }
    if wanted.without_places.contains(&place.id) {
        return Ok(Some("is lost with its place"));
    }
    if wanted.without_site.is_some_and(|site| site.to_string() == place.site) {
        return Ok(Some("is lost with its site"));
    }
    if let Some(why) = point.machines().find_map(|part| lacking(part, place.id)) {
        return Ok(Some(why));
    }
    if place.host.is_some_and(|host| wanted.without_hosts.contains(&host)) {
        return Ok(Some("is lost with its host"));
    }
    // Others reach a server themselves; a directory only its host.
    let Some(host) = place.location.host() else { return Ok(None) };
    let known = hosts::load(tx, host)?;
    Ok(match () {
        () if wanted.onto.is_some_and(|onto| onto != host) => {
            Some("is a directory of another host than the machine is wanted on")
        }
        () if known.state == hosts::State::Retired => Some("is a directory of a host that was retired"),
        () if !known.reachable => Some("is a directory of a host that is not heard of"),
        () => None,
    })
}

/// What is amiss with a machine's copy at a place.
fn lacking(part: &Part, place: BackupPlaceId) -> Option<&'static str> {
    let copy = part.copies.iter().find(|copy| copy.place == place);
    copy.map_or(Some("is not there"), |copy| self::unusable(copy.state))
}

/// Why a copy that stands so cannot be used.
pub(crate) fn unusable(state: CopyState) -> Option<&'static str> {
    match state {
        CopyState::Verified => None,
        CopyState::Stored => Some("was not looked at yet"),
        CopyState::Damaged => Some("is damaged"),
        CopyState::Missing => Some("is missing"),
        CopyState::Gone => Some("was let go"),
        CopyState::Pending => Some("is not there"),
    }
}

/// The machines of a point as they lie in a repository.
fn machines(point: &RecoveryPoint, repository: RepositoryId) -> Result<Vec<Saved>> {
    let each = point.machines().map(|part| {
        let copy = part.copies.iter().find(|copy| copy.repository == repository);
        let snapshot = copy.and_then(|copy| copy.snapshot.clone()).unwrap_or_default();
        saved(point, &Target { machine: part.part.clone(), snapshot, made: None })
    });
    each.collect()
}

/// A machine as it was saved in a point.
pub(super) fn saved(point: &RecoveryPoint, target: &Target) -> Result<Saved> {
    let unusable = |what: &str| Error::conflict("recovery.incomplete", what.to_owned());
    let part = point.part(&target.machine).ok_or_else(|| unusable("lacks a machine"))?;
    let taken = part.taken.as_ref().ok_or_else(|| unusable("lacks the disks of a machine"))?;
    let spec = part.spec.clone().ok_or_else(|| unusable("does not say what its machine was"))?;
    if target.snapshot.is_empty() || spec.disks.iter().any(|disk| taken.disks.iter().all(|copy| copy.name != disk.name))
    {
        return Err(unusable("lacks a disk of its machine"));
    }
    Ok(Saved {
        machine: part.part.clone(),
        snapshot: target.snapshot.clone(),
        consistency: taken.consistency,
        disks: taken.disks.clone(),
        bytes: taken.disks.iter().map(|disk| disk.bytes).sum(),
        spec,
    })
}
