//! Commerce: parties and customers, what is on sale, what is ordered, what customers have.
//!
//! ```text
//!   parties ◄── customers          catalog ──► orders ──► products
//! ```
//!
//! **What.** TM Forum's 632, 629, 620, 622 and 637 as records with their rules.
//! An accepted order states [`Fact::OrderAccepted`]; whoever delivers tells
//! [`orders::progress`] what came of each item.
//!
//! **Not here.** Services and how they come to be (`provisioning`), hosts
//! (`resources`), usage and bills (`billing`), who may do what (`access`).

pub mod catalog;
pub mod customers;
pub mod orders;
pub mod parties;
pub mod products;
// Rows of attributes, packed by hand.
#[rustfmt::skip]
pub mod shapes;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

use gate::{AnyAction, Kind};

/// Every kind of record of this room.
pub static KINDS: &[&Kind] = &[
    &parties::ORGANIZATION,
    &parties::INDIVIDUAL,
    &customers::CUSTOMER,
    &catalog::CATALOG,
    &catalog::CATEGORY,
    &catalog::PRODUCT_SPECIFICATION,
    &catalog::PRODUCT_OFFERING,
    &catalog::PRODUCT_OFFERING_PRICE,
    &orders::PRODUCT_ORDER,
    &orders::CANCEL_PRODUCT_ORDER,
    &products::PRODUCT,
];

/// What can be done here beside the TMF routes.
pub static ACTIONS: &[&dyn AnyAction] = &[&orders::ORDER_PRICE];

/// What happened here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// An order was accepted at a frozen price; it is to be fulfilled.
    OrderAccepted {
        /// The order.
        order: String,
        /// Its revision.
        revision: i64,
    },
    /// An accepted order is to be taken back.
    OrderCancellationRequested {
        /// The order.
        order: String,
        /// Its revision.
        revision: i64,
    },
    /// An order came to its end: completed, partial, failed or cancelled.
    OrderEnded {
        /// The order.
        order: String,
        /// Its revision.
        revision: i64,
    },
}

impl gate::Fact for Fact {
    fn name(&self) -> &'static str {
        match self {
            Fact::OrderAccepted { .. } => "OrderAccepted",
            Fact::OrderCancellationRequested { .. } => "OrderCancellationRequested",
            Fact::OrderEnded { .. } => "OrderEnded",
        }
    }
    fn object(&self) -> (&str, &str) {
        match self {
            Fact::OrderAccepted { order, .. }
            | Fact::OrderCancellationRequested { order, .. }
            | Fact::OrderEnded { order, .. } => ("productOrder", order),
        }
    }
    fn revision(&self) -> i64 {
        match self {
            Fact::OrderAccepted { revision, .. }
            | Fact::OrderCancellationRequested { revision, .. }
            | Fact::OrderEnded { revision, .. } => *revision,
        }
    }
}
