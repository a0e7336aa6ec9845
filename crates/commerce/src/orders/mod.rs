//! Product orders: what somebody wants, at the price of that moment (TMF622).
//!
//! ```text
//!                     ┌──────────► cancelled ◄────────┐
//!   acknowledged ─────┼─► inProgress ──► completed    │
//!        │            │       │  ├─────► partial      │   some items done, some not
//!        │            │       │  └─────► failed       │
//!        └────────────┴───► pendingCancellation ──────┘   the flow is unwinding
//! ```
//! (`pending`, `held` and `assessingCancellation` are TM Forum's too; the
//! platform uses none of them yet.)
//!
//! An item has the same states; the order's state follows from its items
//! ([`rules::derive`]). Everything that is delivered is delivered per item.
//!
//! **Invariants**
//! - an order is accepted as a whole or refused as a whole, in one transaction:
//!   offering on sale, characteristics allowed, price frozen (`acceptance`);
//! - what was accepted does not change: items and prices are refused to PATCH,
//!   whatever happens to the catalog (`a_price_stays_what_it_was_when_ordered`);
//! - what the platform follows from an order it has written itself: a caller
//!   cannot say which cancellation an order waits for (`progress`);
//! - an order cannot be cancelled once an item has passed its point of no
//!   return, that is: once that item is completed (`cancelling`);
//! - a product has at most one open order (its state `pendingTerminate`).
//!
//! **Not here.** How an item comes true: `provisioning`, which reacts to
//! [`crate::Fact::OrderAccepted`] and tells [`progress`] what came of it.

mod acceptance;
mod actions;
mod cancelling;
pub mod progress;
pub mod rules;
#[cfg(test)]
mod tests;
pub mod types;

use base::{Error, Result};
use db::records::{self, Condition, Key, KeyType, Op, Query, Scope, sortable};
use db::{Class, Record};
use gate::{Cx, Effect, Gate, Granted, Kind, StateMachine, Tx, Verb, free};
use serde_json::{Map, Value as Json};

use crate::shapes;

pub use actions::{ORDER_PRICE, PriceInput, PriceItem, PriceOutput, PricedItem};

/// POST of an order that is placed once: where the acting tenant has one with this `externalId`, that
/// is given, however often and at whatever moment it is sent again.
///
/// # Errors
/// As [`Kind::create`].
pub fn place_once(gate: &Gate, cx: &Cx, body: Map<String, Json>) -> Result<Record> {
    let digest = gate::audit::digest(&body);
    gate.perform(cx, "productOrder.create", Effect::Create, digest, move |tx| {
        match placed(tx, body.get("externalId"))? {
            Some(first) => tx.load(&PRODUCT_ORDER, Verb::Get, &first).map(Granted::into_inner),
            None => PRODUCT_ORDER.request_in(tx, &body).map(Granted::into_inner),
        }
    })
}

/// The acting tenant's order of that external id.
fn placed(tx: &mut Tx<'_>, external: Option<&Json>) -> Result<Option<String>> {
    let given = external.and_then(|id| sortable(KeyType::Text, id)).filter(|id| !id.is_empty());
    let Some(value) = given else { return Ok(None) };
    let scope = Scope::Tenants { own: vec![tx.cx().tenant()], above: vec![] };
    let query = Query {
        kind: PRODUCT_ORDER.name,
        scope: &scope,
        conditions: vec![Condition { path: "externalId".to_owned(), op: Op::Eq, values: vec![value] }],
        sort: None,
        descending: false,
        after: None,
        offset: 0,
        limit: 1,
    };
    Ok(records::list(tx, &query)?.into_iter().next().map(|(record, _)| record.id))
}

/// Where an order that is not at its end may go; one for services too.
pub const OPEN: &[&str] = &[
    "pending",
    "held",
    "inProgress",
    "assessingCancellation",
    "pendingCancellation",
    "completed",
    "failed",
    "partial",
    "cancelled",
];

/// TMF622 `productOrder`.
pub static PRODUCT_ORDER: Kind = Kind {
    name: "productOrder",
    prefix: "pord",
    path: "/tmf-api/productOrderingManagement/v4/productOrder",
    class: Class::Internal,
    shape: &shapes::PRODUCT_ORDER,
    keys: &[
        Key::text("state"),
        Key::time("orderDate"),
        Key::text("externalId").found(),
        Key::text("productOrderItem.product.name").found(),
    ],
    states: Some(&StateMachine {
        attribute: "state",
        initial: "acknowledged",
        moves: &[
            (
                "acknowledged",
                &[
                    "rejected",
                    "pending",
                    "held",
                    "inProgress",
                    "assessingCancellation",
                    "pendingCancellation",
                    "failed",
                    "cancelled",
                ],
            ),
            ("pending", OPEN),
            ("held", OPEN),
            ("inProgress", OPEN),
            ("assessingCancellation", &["inProgress", "pendingCancellation"]),
            ("pendingCancellation", &["inProgress", "cancelled", "failed", "partial", "completed"]),
            ("completed", &[]),
            ("failed", &[]),
            ("partial", &[]),
            ("cancelled", &[]),
            ("rejected", &[]),
        ],
    }),
    verbs: Verb::ALL,
    before_create: acceptance::accept,
    before_update: keep_what_was_accepted,
    before_delete: only_ended,
};

/// TMF622 `cancelProductOrder`.
pub static CANCEL_PRODUCT_ORDER: Kind = Kind {
    name: "cancelProductOrder",
    prefix: "pcan",
    path: "/tmf-api/productOrderingManagement/v4/cancelProductOrder",
    class: Class::Internal,
    shape: &shapes::CANCEL_PRODUCT_ORDER,
    keys: &[Key::text("state"), Key::text("productOrder.id")],
    states: Some(&StateMachine {
        attribute: "state",
        initial: "acknowledged",
        moves: &[
            ("acknowledged", &["inProgress", "done", "terminatedWithError"]),
            ("inProgress", &["done", "terminatedWithError"]),
            ("done", &[]),
            ("terminatedWithError", &[]),
        ],
    }),
    verbs: &[Verb::Create, Verb::Get, Verb::List],
    before_create: cancelling::request,
    before_update: free::update,
    before_delete: free::delete,
};

/// Attributes of an order that are settled when it is accepted.
const SETTLED: [&str; 10] = [
    "productOrderItem",
    "orderTotalPrice",
    "orderDate",
    "completionDate",
    "expectedCompletionDate",
    "billingAccount",
    "state",
    "cancelProductOrder",
    "cancellationDate",
    "cancellationReason",
];

fn keep_what_was_accepted(_: &mut Tx<'_>, before: &Record, after: &mut Record) -> Result<()> {
    match SETTLED.iter().find(|name| before.body.get(**name) != after.body.get(**name)) {
        Some(name) => Err(Error::conflict(
            "order.settled",
            format!("`{name}` was settled when the order was accepted; cancel it, or order again"),
        )
        .at(*name)),
        None => Ok(()),
    }
}

fn only_ended(_: &mut Tx<'_>, record: &Record) -> Result<()> {
    match record.state.as_deref() {
        Some("cancelled" | "failed" | "rejected") => Ok(()),
        _ => Err(Error::conflict(
            "order.kept",
            "an order that is open or was delivered is kept; cancel it, or end its products",
        )
        .at("state")),
    }
}
