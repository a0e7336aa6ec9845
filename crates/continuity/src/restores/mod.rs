//! Restores: a service is served again by machines that were made from a recovery point; or such
//! machines stand *beside* it, to be looked at.
//!
//! ```text
//!   running ──its machines answer──► done ──(beside: let go, or its time is over)──► ended
//!      └──anything fails──► failed        the service is as it was, nothing is held
//! ```
//!
//! **Invariants** (tests: `tests.rs`)
//! - the service is served by its old machines or by the new ones, never by none and never by both:
//!   it moves in one transaction (`provisioning::services::move_to`), after the new ones answered;
//! - what was lost is wanted away in that transaction; what it held is free when its host was seen
//!   to have nothing of it any more, or a person answered for that host;
//! - a restore that fails leaves no reservation, no claim, no machine and no open recovery;
//! - a service that answers is not replaced unless somebody says so.
//!
//! **Not here.** Which point and copy ([`crate::recoveries`]), how disks come back (`agent`).

pub mod actions;
mod plan;
mod store;
#[cfg(test)]
mod tests;
pub mod work;

use std::time::Duration;

use base::id::{HostId, TenantId};
use base::time::Timestamp;
use base::{Error, Result};
use drivers::wire::Problem;
use gate::{AnyAction, Tx};
use provisioning::fulfilment::Claimed;
use resources::SiteId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use plan::{Plan, PlannedMachine};

use crate::{BackupPlaceId, RecoveryId, RecoveryPointId, RestoreId};

/// The name of the flow.
pub const RESTORE: &str = "restore";
/// The kind of a run's subject.
pub const KIND: &str = "restore";

/// Every action of this capability.
pub static ACTIONS: &[&dyn AnyAction] =
    &[&actions::PLAN, &actions::SITES, &actions::START, &actions::LIST, &actions::GET, &actions::KEEP, &actions::END];

/// Adds the steps and the flow.
#[must_use]
pub fn register(registry: durable::Registry) -> durable::Registry {
    work::register(registry)
}

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ask {
    /// The service; a customer-facing one.
    pub id: String,
    /// From this point; the newest that will do unless said otherwise.
    #[serde(default)]
    pub point: Option<RecoveryPointId>,
    /// From the copy at this place; the nearest that will do unless said otherwise.
    #[serde(default)]
    pub place: Option<BackupPlaceId>,
    /// Nothing that was taken after this instant: all of it is bad.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub not_after: Option<Timestamp>,
    /// Onto this host, for operators; otherwise onto any but those that the service stands on.
    #[serde(default)]
    pub host: Option<HostId>,
    /// At this site; where the service stands unless said otherwise.
    #[serde(default)]
    pub site: Option<SiteId>,
    /// A second machine, for looking at: on no network but its own, and the service goes on.
    #[serde(default)]
    pub beside: bool,
    /// How long that one is kept, in hours: a week unless said otherwise, at most 30 days.
    #[serde(default)]
    pub keep_hours: Option<u32>,
    /// Replace the service though it answers.
    #[serde(default)]
    pub even_if_alive: bool,
}

/// How long what stands beside a service is kept, in hours, unless said otherwise.
const KEEP_HOURS: u32 = 7 * 24;
/// How long at most: it holds capacity that nobody is billed for.
const KEEP_HOURS_MAX: u32 = 30 * 24;

impl Ask {
    /// How long what stands beside the service is kept.
    fn keep(&self) -> Duration {
        Duration::from_secs(u64::from(self.keep_hours.unwrap_or(KEEP_HOURS)) * 3_600)
    }

    /// What can be said without looking anything up.
    fn check(&self) -> Result<()> {
        let message = match self.keep_hours {
            Some(_) if !self.beside => "only a machine beside the service is kept for a time",
            Some(hours) if !(1..=KEEP_HOURS_MAX).contains(&hours) => {
                "a machine beside the service is kept from 1 to 720 hours"
            }
            _ => return Ok(()),
        };
        Err(Error::invalid("restore.keep", message).at("keepHours"))
    }
}

/// How a restore stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// It is on its way.
    Running,
    /// What it was for is there.
    Done,
    /// It came to nothing; everything is as it was before.
    Failed,
    /// The machine beside the service is not wanted any more.
    Ended,
}

impl State {
    const ALL: [State; 4] = [State::Running, State::Done, State::Failed, State::Ended];

    /// The word that is stored.
    pub fn word(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Done => "done",
            State::Failed => "failed",
            State::Ended => "ended",
        }
    }
}

/// A machine of a restore.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoredMachine {
    /// The machine that was saved.
    pub machine: String,
    /// The machine that is made from that.
    pub made: String,
    /// The host that it stands on, once there is one.
    pub host: Option<HostId>,
    /// Where its HTTP is reached; empty for nowhere.
    pub url: String,
    #[serde(skip)]
    pub(crate) claimed: Option<Claimed>,
}

/// A restore.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Restore {
    /// Its id.
    pub id: RestoreId,
    /// The service.
    pub service: String,
    /// Whose it is.
    pub tenant: TenantId,
    /// Whether the machines stand beside the service, or else serve it.
    pub beside: bool,
    /// How it stands.
    pub state: State,
    /// Why it failed.
    pub problem: Option<Problem>,
    /// The point, once it is chosen.
    pub point: Option<RecoveryPointId>,
    /// The instant that the point is of.
    #[schemars(with = "Option<String>")]
    pub taken_at: Option<Timestamp>,
    /// Where the copy lies.
    pub place: Option<BackupPlaceId>,
    /// That place's name.
    pub place_name: Option<String>,
    /// When it was asked for.
    #[schemars(with = "String")]
    pub requested_at: Timestamp,
    /// When its machines answered.
    #[schemars(with = "Option<String>")]
    pub answered_at: Option<Timestamp>,
    /// When it ended, one way or the other.
    #[schemars(with = "Option<String>")]
    pub closed_at: Option<Timestamp>,
    /// Until when the machines stand beside the service; then they are let go, with their disks.
    #[schemars(with = "Option<String>")]
    pub keep_until: Option<Timestamp>,
    /// Its machines.
    pub machines: Vec<RestoredMachine>,
    #[serde(skip)]
    pub(crate) wish: Ask,
    #[serde(skip)]
    pub(crate) recovery: Option<RecoveryId>,
}

/// The restore of that id.
///
/// # Errors
/// `NotFound`.
pub(crate) fn load(tx: &mut Tx<'_>, id: RestoreId) -> Result<Restore> {
    store::load(tx, id)?.ok_or_else(|| Error::not_found("restore.not_found", format!("there is no restore {id}")))
}
