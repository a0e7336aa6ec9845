//! Billing: from what was observed to a bill that can be opened down to its last second.
//!
//! Four rooms, in the order in which money comes about: [`usage`] meters,
//! [`rating`] turns usage into amounts, [`accounts`] says who pays, [`bills`]
//! takes what is not billed yet and issues it.
//!
//! ```text
//!   ServiceActivated ─► usage::start     LifeSeen ─► usage::life_seen     ServiceReleased ─► usage::end
//!                                   │
//!   bill.run ─► settle ─► usage_entries ─► rating ─► bill, lines, charges ─► ledger, TMF678, BillIssued
//! ```
//!
//! Nothing here knows the name of a thing that is sold: a service has numeric
//! characteristics, machines that live, and prices that name what they measure.

pub mod accounts;
pub mod bills;
pub mod rating;
// Rows of attributes, packed by hand.
#[rustfmt::skip]
pub mod shapes;
pub mod usage;

use gate::AnyAction;

/// Adds the room's jobs and reconcilers: the monthly close.
#[must_use]
pub fn register(registry: durable::Registry) -> durable::Registry {
    bills::work::register(registry)
}

/// What happened in billing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// Somebody can be billed from now on.
    AccountOpened {
        /// The billing account.
        account: String,
    },
    /// A service is metered from now on.
    MeterStarted {
        /// The meter.
        meter: String,
    },
    /// A service is not metered any more.
    MeterEnded {
        /// The meter.
        meter: String,
    },
    /// A bill was issued.
    BillIssued {
        /// The customerBill.
        bill: String,
        /// The revision of its record.
        revision: i64,
    },
}

impl gate::Fact for Fact {
    fn name(&self) -> &'static str {
        match self {
            Fact::AccountOpened { .. } => "AccountOpened",
            Fact::MeterStarted { .. } => "MeterStarted",
            Fact::MeterEnded { .. } => "MeterEnded",
            Fact::BillIssued { .. } => "BillIssued",
        }
    }
    fn object(&self) -> (&str, &str) {
        match self {
            Fact::AccountOpened { account } => ("billingAccount", account),
            Fact::MeterStarted { meter } | Fact::MeterEnded { meter } => ("meter", meter),
            Fact::BillIssued { bill, .. } => ("customerBill", bill),
        }
    }
    fn revision(&self) -> i64 {
        match self {
            Fact::BillIssued { revision, .. } => *revision,
            _ => 0,
        }
    }
}

/// Everything that can be done here.
pub static ACTIONS: &[&dyn AnyAction] = &[
    &bills::PREVIEW,
    &bills::RUN,
    &bills::CLOSE,
    &bills::work::CLOSE_DUE,
    &bills::LIST,
    &bills::GET,
    &bills::LINE_USAGE,
    &bills::MOVE,
    &bills::ADJUST,
    &bills::EXPORT,
    &bills::USAGE_SUMMARY,
];

/// The kinds of record that are kept here.
pub static KINDS: &[&gate::Kind] = &[
    &accounts::BILLING_ACCOUNT,
    &bills::CUSTOMER_BILL,
    &bills::APPLIED_CUSTOMER_BILLING_RATE,
    &usage::USAGE,
    &usage::USAGE_SPECIFICATION,
];
