//! Points of the platform itself.
//!
//! ```text
//!   taking ──a copy at every place, looked at──► available ─┐
//!     │ ├────at some──────────────────────────► degraded ───┼─► expired
//!     │ └────at none──────────────────────────► failed ─────┤
//!   available · degraded ◄──a place is damaged or gone · whole again──► degraded · lost
//! ```

use base::time::Timestamp;
use base::{Error, Result};
use drivers::wire::Problem;
use durable::jobs;
use gate::{Action, Effect, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::take::{Payload, TAKE_JOB};
use super::{Nothing, findings, granted, store};
use crate::backups::points::State;
use crate::backups::{policies, retention};
use crate::{BackupPlaceId, BackupPolicyId, ControlPlanePointId};

/// How long a point may be taken, in hours: longer than its job may work on it.
const TAKING_HOURS_MAX: i64 = 27;

/// How a copy of the platform stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CopyState {
    /// It is not there yet.
    Pending,
    /// It is there, and was looked at.
    Verified,
    /// It was whole, and what is at its place was found damaged since.
    Damaged,
    /// It was whole, and is not at its place any more, or nothing there opens.
    Missing,
    /// It could not be written, or was never whole.
    Failed,
    /// It was let go.
    Gone,
}

impl CopyState {
    pub(crate) const ALL: [CopyState; 6] = [
        CopyState::Pending,
        CopyState::Verified,
        CopyState::Damaged,
        CopyState::Missing,
        CopyState::Failed,
        CopyState::Gone,
    ];

    /// The word that is stored.
    pub fn word(self) -> &'static str {
        match self {
            CopyState::Pending => "pending",
            CopyState::Verified => "verified",
            CopyState::Damaged => "damaged",
            CopyState::Missing => "missing",
            CopyState::Failed => "failed",
            CopyState::Gone => "gone",
        }
    }
}

/// One copy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Copy {
    /// The place.
    pub place: BackupPlaceId,
    /// Its name.
    pub place_name: String,
    /// How it stands.
    pub state: CopyState,
    /// The snapshot's identifier there.
    pub snapshot: Option<String>,
    /// Why it is not as it should be.
    pub problem: Option<Problem>,
    /// When it was written and looked at.
    #[schemars(with = "Option<String>")]
    pub checked_at: Option<Timestamp>,
    /// When a drill that passed last brought the platform back from it.
    #[schemars(with = "Option<String>")]
    pub drilled_at: Option<Timestamp>,
}

/// A state of the platform that was kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    /// Its id.
    pub id: ControlPlanePointId,
    /// The policy that it was taken by.
    pub policy: BackupPolicyId,
    /// How it stands.
    pub state: State,
    /// Why it is not available.
    pub problem: Option<Problem>,
    /// When it was asked for.
    #[schemars(with = "String")]
    pub requested_at: Timestamp,
    /// The instant that it is of.
    #[schemars(with = "Option<String>")]
    pub taken_at: Option<Timestamp>,
    /// When it was done.
    #[schemars(with = "Option<String>")]
    pub closed_at: Option<Timestamp>,
    /// How many bytes it holds.
    pub bytes: Option<u64>,
    /// Its copies, in the policy's order of places.
    pub copies: Vec<Copy>,
}

/// What a point is, from its copies alone.
pub(crate) fn judge(copies: &[Copy]) -> State {
    let whole = copies.iter().filter(|copy| copy.state == CopyState::Verified).count();
    match whole {
        0 => State::Failed,
        all if all == copies.len() => State::Available,
        _ => State::Degraded,
    }
}

/// The point of that id.
///
/// # Errors
/// `NotFound`.
pub fn load(tx: &mut Tx<'_>, id: ControlPlanePointId) -> Result<Point> {
    let absent = || Error::not_found("controlPlane.point_not_found", format!("there is no point {id} of the platform"));
    store::point(tx, id)?.ok_or_else(absent)
}

/// Begins a point.
///
/// # Errors
/// `Conflict`: `controlPlane.unprotected`, `backup.running`.
pub(crate) fn begin(tx: &mut Tx<'_>) -> Result<Point> {
    let known = store::settings(tx)?.ok_or_else(|| {
        let message = "the platform itself has no backup policy: `yunwei control-plane protect` gives it one";
        Error::conflict("controlPlane.unprotected", message)
    })?;
    give_up_stale(tx)?;
    if store::taking(tx)?.is_some() {
        let message = "a point of the platform is being taken just now; wait for it";
        return Err(Error::conflict("backup.running", message));
    }
    let policy = policies::load(tx, known.policy)?;
    let id = ControlPlanePointId::fresh(tx.ids(), tx.now);
    store::insert(tx, id, &policy)?;
    jobs::enqueue(tx, TAKE_JOB, Payload { point: id }, None)?;
    load(tx, id)
}

/// Takes a point of the platform now.
pub static TAKE: Action<Nothing, Point> = Action {
    name: "controlPlane.backup",
    summary: "Takes a recovery point of the platform itself now. Follow it with controlPlane.point.",
    effect: Effect::Create,
    run: |tx, _| {
        granted(tx, "controlPlane.backup")?;
        begin(tx)
    },
};

/// Which point.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PointRef {
    /// Its id.
    pub id: ControlPlanePointId,
}

/// Shows a point of the platform.
pub static POINT: Action<PointRef, Point> = Action {
    name: "controlPlane.point",
    summary: "Shows a recovery point of the platform itself with its copies.",
    effect: Effect::Read,
    run: |tx, input| {
        granted(tx, "controlPlane.point")?;
        load(tx, input.id)
    },
};

/// What this server did for a point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "what", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Turn {
    /// The schedule's time has come.
    Due,
    /// A copy was written and looked at, or could not be.
    Copied {
        /// The point.
        point: ControlPlanePointId,
        /// The place.
        place: BackupPlaceId,
        /// The snapshot, where it is whole.
        snapshot: Option<String>,
        /// Whether everything there was read to see that it is whole.
        everything: bool,
        /// Why it is not there.
        problem: Option<Problem>,
    },
    /// A look at a place found other copies there to be otherwise than they were known to be.
    Seen {
        /// The place.
        place: BackupPlaceId,
        /// When the look was asked for.
        #[schemars(with = "String")]
        asked_at: Timestamp,
        /// Snapshots that are not there any more.
        missing: Vec<String>,
        /// Snapshots that are whole again.
        whole: Vec<String>,
    },
    /// There is nothing more to be done for a point.
    Closed {
        /// The point.
        point: ControlPlanePointId,
        /// The instant that it is of; none: nothing could be taken.
        #[schemars(with = "Option<String>")]
        taken_at: Option<Timestamp>,
        /// How many bytes it holds.
        bytes: u64,
        /// Why nothing could be taken.
        problem: Option<Problem>,
    },
    /// Snapshots are gone from a place.
    Forgotten {
        /// The place.
        place: BackupPlaceId,
        /// Which.
        snapshots: Vec<String>,
    },
}

/// Writes down what this server did.
pub static RECONCILE: Action<Turn, ()> = Action {
    name: "controlPlane.reconcile",
    summary: "Begins points of the platform that are due, and writes down what became of their copies.",
    effect: Effect::Change,
    run: |tx, turn| match turn {
        Turn::Due => due(tx),
        Turn::Copied { point, place, snapshot, everything, problem } => {
            findings::copied(tx, (*point, *place), snapshot.as_deref(), *everything, problem.as_ref())
        }
        Turn::Seen { place, asked_at, missing, whole } => findings::seen(tx, *place, *asked_at, missing, whole),
        Turn::Closed { point, taken_at, bytes, problem } => close(tx, *point, *taken_at, *bytes, problem.as_ref()),
        Turn::Forgotten { place, snapshots } => store::gone(tx, *place, snapshots),
    },
};

fn due(tx: &mut Tx<'_>) -> Result<()> {
    let Some(known) = store::settings(tx)?.filter(|known| known.next_due <= tx.now) else { return Ok(()) };
    let policy = policies::load(tx, known.policy)?;
    let next = policy.terms.schedule.next(tx.now, super::REPOSITORY)?;
    store::set_due(tx, next)?;
    give_up_stale(tx)?;
    match store::taking(tx)? {
        Some(_) => Ok(()),
        None => begin(tx).map(drop),
    }
}

/// A point that nobody works on any more must not keep the next ones from being taken.
fn give_up_stale(tx: &mut Tx<'_>) -> Result<()> {
    let Some(id) = store::taking(tx)? else { return Ok(()) };
    let point = load(tx, id)?;
    if tx.now.duration_since(point.requested_at).as_secs() < TAKING_HOURS_MAX * 3_600 {
        return Ok(());
    }
    let late = crate::backups::work::problem("backup.deadline", "it was not taken in time; see Jobs for why");
    close(tx, id, None, 0, Some(&late))
}

/// Says what a point is, from its copies.
pub(super) fn close(
    tx: &mut Tx<'_>,
    id: ControlPlanePointId,
    taken_at: Option<Timestamp>,
    bytes: u64,
    problem: Option<&Problem>,
) -> Result<()> {
    let point = load(tx, id)?;
    if point.state != State::Taking {
        return Ok(());
    }
    let state = judge(&point.copies);
    let lacking = point.copies.iter().find_map(|copy| copy.problem.as_ref());
    let problem = problem.or(lacking).filter(|_| state != State::Available);
    store::close(tx, id, state, taken_at, bytes, problem)?;
    if state == State::Available {
        expire(tx, point.policy)?;
    }
    findings::tell(tx, problem.cloned())
}

/// Lets go of the points that no rule keeps. Called where the newest is in every place.
fn expire(tx: &mut Tx<'_>, policy: BackupPolicyId) -> Result<()> {
    let terms = policies::load(tx, policy)?.terms;
    let judged = store::judged(tx)?;
    for verdict in retention::keep(&judged, &terms.retention, &terms.schedule.zone()) {
        if verdict.goes() {
            store::expire(tx, ControlPlanePointId(verdict.point.0))?;
        }
    }
    Ok(())
}
