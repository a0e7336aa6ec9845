//! Backups: recovery points of services, in at least two places, of which none is called good
//! before somebody looked.
//!
//! ```text
//!   policy ─(protection)─ service ─► due ─► flow `backup` ─► recovery point ─► copies ─► expired
//!                                             │ host tasks: make repository · take · copy · check
//!                                             └─► agents (and the vault in their child processes)
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`places`] | where copies lie, and what lets one in there |
//! | [`repositories`] | one for each tenant and place; their keys, and who is given them |
//! | [`policies`] | what, when, where to, for how long |
//! | [`offers`] | the policies that customers may choose themselves |
//! | [`protections`] | which service by which policy, and how well: 3-2-1-1-0 |
//! | [`points`] | recovery points and their copies |
//! | [`work`], [`verify`] | the flow's steps |
//! | [`whole`] | reading everything in a repository, once for all who wait for it or ask |
//! | [`findings`] | what is found of a repository is true of every copy in it |
//! | [`upkeep`] | the scheduler: due, incomplete, expired, forgotten |
//! | [`schedule`], [`retention`], [`digits`] | the rules, pure |
//!
//! **Invariants** (each with its test in `tests`)
//! - a point is `available` only where every copy of its policy was stored and looked at;
//! - what is found of a repository is said of every copy in it, and nothing of a point that was good is
//!   removed because of it;
//! - what was found damaged is whole again only when somebody read it where it was damaged, and was asked to
//!   after it was;
//! - a copy is let go, and later removed, only while the newest good point of its service is in every place;
//! - what opens a repository is in no task, no outcome and no row in clear; a host is given it
//!   for an open task of its own, and never what lets one remove at a server or in a bucket.
//!
//! **Not here.** The engine (`vault`), how a host takes disks (`agent`), bringing back ([`crate::recoveries`]).

pub mod digits;
pub mod findings;
pub mod offers;
pub mod places;
pub mod points;
pub mod policies;
pub mod protections;
pub mod repositories;
pub mod retention;
pub mod schedule;
pub(crate) mod store;
#[cfg(test)]
pub(crate) mod tests;
pub mod upkeep;
pub mod verify;
pub mod whole;
pub mod work;

use std::path::PathBuf;

use base::{Error, Result};
use gate::AnyAction;
pub(crate) use gate::keys::installed as keys;
use serde::Serialize;

/// The name of the flow.
pub const BACKUP: &str = "backup";

/// Every action of this capability.
pub static ACTIONS: &[&dyn AnyAction] = &[
    &places::CREATE,
    &places::LIST,
    &places::GET,
    &places::UPDATE,
    &findings::RENEW,
    &places::SET_CREDENTIAL,
    &repositories::LIST,
    &repositories::REVEAL,
    &whole::CHECK,
    &policies::CREATE,
    &policies::LIST,
    &policies::GET,
    &policies::UPDATE,
    &policies::PREVIEW,
    &policies::PREVIEW_ALL,
    &offers::LIST,
    &offers::CHOOSE,
    &protections::GET,
    &protections::SET,
    &protections::END,
    &protections::LIST,
    &points::TAKE,
    &points::LIST,
    &points::GET,
    &points::CHECK,
    &upkeep::RECONCILE,
];

/// Adds steps, flow and reconcilers. `program` is `yunwei-vault`.
#[must_use]
pub fn register(registry: durable::Registry, program: PathBuf) -> durable::Registry {
    upkeep::register(work::register(registry), program)
}

pub(crate) fn text(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::bug("backup.text", "a value cannot be written").because(e))
}

pub(crate) fn unprotected(service: &str) -> Error {
    Error::conflict("backup.no_policy", format!("service {service} has no backup policy; attach one to it first"))
}

/// What happened here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A service is backed up from now on, or by another policy.
    ServiceProtected {
        /// The service.
        service: String,
    },
    /// A service is not backed up any more.
    ProtectionEnded {
        /// The service.
        service: String,
    },
    /// Every copy of a point is there and was looked at.
    RecoveryPointAvailable {
        /// The point.
        point: String,
        /// The service.
        service: String,
    },
    /// Something can be restored from a point, and not every copy is there.
    RecoveryPointDegraded {
        /// The point.
        point: String,
        /// The service.
        service: String,
    },
    /// Nothing can be restored from a point.
    RecoveryPointFailed {
        /// The point.
        point: String,
        /// The service.
        service: String,
    },
    /// Its rules have let a point go.
    RecoveryPointExpired {
        /// The point.
        point: String,
        /// The service.
        service: String,
    },
}

impl Fact {
    pub(crate) fn closed(state: points::State, point: String, service: String) -> Self {
        match state {
            points::State::Available => Fact::RecoveryPointAvailable { point, service },
            points::State::Degraded => Fact::RecoveryPointDegraded { point, service },
            _ => Fact::RecoveryPointFailed { point, service },
        }
    }
}

impl gate::Fact for Fact {
    fn name(&self) -> &'static str {
        match self {
            Fact::ServiceProtected { .. } => "ServiceProtected",
            Fact::ProtectionEnded { .. } => "ProtectionEnded",
            Fact::RecoveryPointAvailable { .. } => "RecoveryPointAvailable",
            Fact::RecoveryPointDegraded { .. } => "RecoveryPointDegraded",
            Fact::RecoveryPointFailed { .. } => "RecoveryPointFailed",
            Fact::RecoveryPointExpired { .. } => "RecoveryPointExpired",
        }
    }
    fn object(&self) -> (&str, &str) {
        match self {
            Fact::ServiceProtected { service } | Fact::ProtectionEnded { service } => ("service", service),
            Fact::RecoveryPointAvailable { point, .. }
            | Fact::RecoveryPointDegraded { point, .. }
            | Fact::RecoveryPointFailed { point, .. }
            | Fact::RecoveryPointExpired { point, .. } => (points::KIND, point),
        }
    }
}
