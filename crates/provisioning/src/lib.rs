//! Provisioning: what was ordered becomes services that answer.
//!
//! ```text
//!   OrderAccepted ─► fulfilment (flow) ─► specifications (design) ─► services, service orders
//!                          │
//!                          └─► resources: reservation, claims, intents ─► seen ─► ServiceActivated
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`specifications`] | TMF633: what services are; decomposition |
//! | [`orders`] | TMF641: how an item is carried out |
//! | [`services`] | TMF638: what was made; start, stop, reboot, console, end |
//! | [`fulfilment`] | the flows `fulfil` and `terminate`, and what the house does about orders |
//! | [`starter`] | a catalog to begin with, as data |
//!
//! **Not here.** Prices and acceptance (`commerce`), hosts and placement
//! (`resources`), metering (`billing`).

pub mod fulfilment;
pub mod orders;
pub mod reconcile;
pub mod services;
pub mod specifications;
pub mod starter;
pub mod texts;
// Rows of attributes, packed by hand.
#[rustfmt::skip]
pub mod shapes;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;

use gate::{AnyAction, Kind};

/// Every kind of record of this room.
pub static KINDS: &[&Kind] = &[
    &specifications::SERVICE_CATALOG,
    &specifications::SERVICE_CATEGORY,
    &specifications::SERVICE_SPECIFICATION,
    &orders::SERVICE_ORDER,
    &orders::CANCEL_SERVICE_ORDER,
    &services::SERVICE,
];

/// What can be done here beside the TMF routes.
pub static ACTIONS: &[&dyn AnyAction] = &[
    &services::START,
    &services::STOP,
    &services::REBOOT,
    &services::STATUS,
    &services::CAPTURE,
    &services::CONSOLE,
    &services::TERMINATE,
    &starter::SEED,
    &reconcile::REPAIR,
];

/// Adds the room's steps, flows and reconcilers.
#[must_use]
pub fn register(registry: durable::Registry) -> durable::Registry {
    reconcile::register(fulfilment::register(registry))
}

/// What happened here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A customer-facing service answers and is its customer's from now on.
    ServiceActivated {
        /// The service.
        service: String,
        /// Its revision.
        revision: i64,
    },
    /// Other machines serve a customer-facing service from now on.
    ServiceMoved {
        /// The service.
        service: String,
        /// Its revision.
        revision: i64,
    },
    /// A customer-facing service was given back: its machines are being removed,
    /// and it costs nothing from now on, however long that takes.
    ServiceReleased {
        /// The service.
        service: String,
        /// Its revision.
        revision: i64,
    },
    /// A customer-facing service has ended, and its machines are gone.
    ServiceTerminated {
        /// The service.
        service: String,
        /// Its revision.
        revision: i64,
    },
}

impl gate::Fact for Fact {
    fn name(&self) -> &'static str {
        match self {
            Fact::ServiceActivated { .. } => "ServiceActivated",
            Fact::ServiceMoved { .. } => "ServiceMoved",
            Fact::ServiceReleased { .. } => "ServiceReleased",
            Fact::ServiceTerminated { .. } => "ServiceTerminated",
        }
    }
    fn object(&self) -> (&str, &str) {
        match self {
            Fact::ServiceActivated { service, .. }
            | Fact::ServiceMoved { service, .. }
            | Fact::ServiceReleased { service, .. }
            | Fact::ServiceTerminated { service, .. } => ("service", service),
        }
    }
    fn revision(&self) -> i64 {
        match self {
            Fact::ServiceActivated { revision, .. }
            | Fact::ServiceMoved { revision, .. }
            | Fact::ServiceReleased { revision, .. }
            | Fact::ServiceTerminated { revision, .. } => *revision,
        }
    }
}
