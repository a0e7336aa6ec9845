//! What is found of a place is true of every copy of the platform there, as with copies of services
//! ([`crate::backups::findings`]): the look that follows each copy, a drill that uses one.
//!
//! ```text
//!   verified ──(the place is damaged · its repository or the snapshot is gone, or does not open)──► damaged · missing
//!   damaged ──(a look that reads everything there finds it whole)──► verified
//!   missing ──(a look finds it there again)──► verified
//! ```
//!
//! Nothing of what was lost is removed before its rules let it go: a disk that is mounted again brings it
//! back.

use base::Result;
use base::time::Timestamp;
use drivers::wire::Problem;
use gate::Tx;
use vault::fault;

use super::points::CopyState;
use super::{kit, store};
use crate::backups::points::State;
use crate::backups::work::problem;
use crate::backups::{places, points};
use crate::{BackupPlaceId, ControlPlanePointId, alarms};

/// Most snapshots that are written down at a time.
pub(super) const SEEN_MAX: usize = 500;

/// What a failure at a place says of every copy there; nothing where it says nothing.
pub(crate) fn of(code: &str) -> Option<CopyState> {
    match points::damage(code) {
        // A snapshot that is not there says nothing of the others.
        _ if code == fault::SNAPSHOT_MISSING => None,
        Some(points::CopyState::Damaged) => Some(CopyState::Damaged),
        Some(_) => Some(CopyState::Missing),
        None => None,
    }
}

/// A copy was written and looked at, or could not be.
pub(super) fn copied(
    tx: &mut Tx<'_>,
    (point, place): (ControlPlanePointId, BackupPlaceId),
    snapshot: Option<&str>,
    everything: bool,
    why: Option<&Problem>,
) -> Result<()> {
    if let Some(why) = why {
        used(tx, place, why)?;
    }
    // Somebody found damage there since this look was asked for, or where it did not read.
    let doubted = store::has_damaged(tx, place)? || (!everything && store::is_doubted(tx, point, place)?);
    if why.is_none() && doubted {
        let message = "damage was found at this place while the copy was looked at; the next one reads everything";
        return store::copied(tx, point, place, None, Some(&problem(fault::REPOSITORY_DAMAGED, message)));
    }
    store::copied(tx, point, place, snapshot, why)
}

/// Whoever used what is at a place failed over it: what that says of the copies there.
pub(crate) fn used(tx: &mut Tx<'_>, place: BackupPlaceId, why: &Problem) -> Result<()> {
    let Some(state) = of(&why.code) else { return Ok(()) };
    match store::lose(tx, place, state, why)? {
        0 => Ok(()),
        lost => lost_at(tx, place, lost, &why.code, &why.message),
    }
}

/// A look at a place that found it whole saw other copies to be otherwise than they were known to be.
pub(super) fn seen(
    tx: &mut Tx<'_>,
    place: BackupPlaceId,
    asked_at: Timestamp,
    missing: &[String],
    whole: &[String],
) -> Result<()> {
    store::set_whole(tx, place, asked_at, whole)?;
    let message = "the snapshot is not at its place any more";
    match store::set_missing(tx, place, missing, &problem(fault::SNAPSHOT_MISSING, message))? {
        0 => tell(tx, None),
        lost => lost_at(tx, place, lost, fault::SNAPSHOT_MISSING, message),
    }
}

fn lost_at(tx: &mut Tx<'_>, place: BackupPlaceId, lost: u64, code: &str, message: &str) -> Result<()> {
    let name = places::load(tx, place)?.name;
    tell(tx, Some(problem(code, format!("{lost} copies of the platform at {name} that were whole are not: {message}"))))
}

/// Raises the alarm about the platform's copies, or clears it where nothing is wrong with them any more.
pub(super) fn tell(tx: &mut Tx<'_>, found: Option<Problem>) -> Result<()> {
    if found.is_some() {
        return alarms::control_plane(tx, found);
    }
    // A place that the policy names no more is nobody's to put right.
    let kept_at = if store::settings(tx)?.is_some() { kit::kept_at(tx)? } else { Vec::new() };
    let is_lost = store::with_losses(tx)?.iter().any(|place| kept_at.contains(place));
    match store::newest_state(tx)? {
        Some(State::Available | State::Expired) if !is_lost => alarms::control_plane(tx, None),
        _ => Ok(()),
    }
}
