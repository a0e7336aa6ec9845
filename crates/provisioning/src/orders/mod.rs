//! Service orders: how an item of a product order is carried out (TMF641).
//!
//! ```text
//!   acknowledged ─► inProgress ─► completed
//!                       ├───────► failed      errorMessage says why
//!                       └───────► cancelled
//! ```
//!
//! The platform makes one for each item that it begins; there is one flow run
//! behind it. `externalReference` leads back to the product order.
//!
//! **Invariants.** A service order that the platform made moves with its flow
//! and by nothing else: PATCH cannot touch its items, and it is cancelled
//! through its product order, so that price and delivery never part.
//!
//! **Not here.** The flow (`fulfilment`), the services (`services`).

use base::{Error, Result};
use commerce::orders::OPEN;
use db::records::Key;
use db::{Class, Record};
use gate::{Granted, Kind, StateMachine, Tx, Verb, free};
use serde_json::{Value as Json, json};

use crate::shapes;

/// TMF641 `serviceOrder`.
pub static SERVICE_ORDER: Kind = Kind {
    name: "serviceOrder",
    prefix: "sord",
    path: "/tmf-api/serviceOrdering/v4/serviceOrder",
    class: Class::Internal,
    shape: &shapes::SERVICE_ORDER,
    keys: &[Key::text("state"), Key::time("orderDate"), Key::text("externalReference.id")],
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
                    "failed",
                    "cancelled",
                    "pendingCancellation",
                    "assessingCancellation",
                ],
            ),
            ("pending", OPEN),
            ("held", OPEN),
            ("inProgress", OPEN),
            ("assessingCancellation", &["inProgress", "pendingCancellation"]),
            ("pendingCancellation", &["cancelled", "failed", "partial", "completed"]),
            ("completed", &[]),
            ("failed", &[]),
            ("partial", &[]),
            ("cancelled", &[]),
            ("rejected", &[]),
        ],
    }),
    verbs: Verb::ALL,
    before_create: receive,
    before_update: keep_what_was_accepted,
    before_delete: only_ended,
};

/// TMF641 `cancelServiceOrder`.
pub static CANCEL_SERVICE_ORDER: Kind = Kind {
    name: "cancelServiceOrder",
    prefix: "scan",
    path: "/tmf-api/serviceOrdering/v4/cancelServiceOrder",
    class: Class::Internal,
    shape: &shapes::CANCEL_SERVICE_ORDER,
    keys: &[Key::text("state"), Key::text("serviceOrder.id")],
    states: Some(&StateMachine {
        attribute: "state",
        initial: "accepted",
        moves: &[
            ("accepted", &["inProgress", "done", "terminatedWithError"]),
            ("inProgress", &["done", "terminatedWithError"]),
            ("done", &[]),
            ("terminatedWithError", &[]),
        ],
    }),
    verbs: &[Verb::Create, Verb::Get, Verb::List],
    before_create: cancel,
    before_update: free::update,
    before_delete: free::delete,
};

/// Marks service orders that the platform made itself.
const BY_PRODUCT_ORDER: &str = "ProductOrder";

/// What is said on an order that the platform will not carry out.
const KEPT_NOTE: &str = "No flow was started: this order is kept for the system that placed it, which moves its state by PATCH. The platform itself carries out product orders (TMF622), because only these have a price. 本訂單未啟動任何流程，僅代為保存，狀態由下單的系統以 PATCH 更新。平台只執行產品訂單（TMF622），因為只有產品訂單有價格。";

/// A service order from another system: kept for that system's own workers.
/// It stays `acknowledged` until they move it; the platform's flows begin with
/// product orders, because only these have a price. Its note says so.
fn receive(tx: &mut Tx<'_>, order: &mut Record) -> Result<()> {
    let items = order.body.get_mut("serviceOrderItem").and_then(Json::as_array_mut);
    let Some(items) = items.filter(|items| !items.is_empty()) else {
        return Err(Error::invalid("order.empty", "a service order has at least one item").at("serviceOrderItem"));
    };
    if items.len() > base::limits::ORDER_ITEMS_MAX {
        return Err(Error::invalid(
            "order.too_many_items",
            format!("a service order has at most {} items", base::limits::ORDER_ITEMS_MAX),
        )
        .at("serviceOrderItem"));
    }
    for item in items {
        item["state"] = "acknowledged".into();
    }
    let claims_ours = order
        .values("externalReference.externalReferenceType")
        .iter()
        .any(|kind| kind.as_str() == Some(BY_PRODUCT_ORDER));
    if claims_ours {
        return Err(Error::invalid(
            "order.reference_reserved",
            "only the platform refers a service order to a product order",
        )
        .at("externalReference"));
    }
    let now = tx.now.to_string();
    order.body.insert("orderDate".to_owned(), now.clone().into());
    let notes = order.body.entry("note").or_insert_with(|| Json::Array(Vec::new()));
    if let Json::Array(notes) = notes {
        notes.push(json!({ "author": "yunwei", "date": now, "text": KEPT_NOTE }));
    }
    Ok(())
}

fn is_ours(order: &Record) -> bool {
    order.values("externalReference.externalReferenceType").iter().any(|kind| kind.as_str() == Some(BY_PRODUCT_ORDER))
}

fn keep_what_was_accepted(_: &mut Tx<'_>, before: &Record, after: &mut Record) -> Result<()> {
    let settled = ["serviceOrderItem", "orderDate", "startDate", "completionDate", "externalReference", "state"];
    match settled.iter().find(|name| before.body.get(**name) != after.body.get(**name)) {
        Some(name) if is_ours(before) => {
            Err(Error::conflict("order.settled", format!("`{name}` moves with the order's flow")).at(*name))
        }
        _ => Ok(()),
    }
}

fn only_ended(_: &mut Tx<'_>, order: &Record) -> Result<()> {
    match order.state.as_deref() {
        Some("inProgress" | "completed" | "partial" | "pendingCancellation") => {
            Err(Error::conflict("order.kept", "a service order that is open or was delivered is kept").at("state"))
        }
        _ => Ok(()),
    }
}

fn cancel(tx: &mut Tx<'_>, request: &mut Record) -> Result<()> {
    let id = request.at("serviceOrder.id").and_then(Json::as_str).unwrap_or_default().to_owned();
    let mut order = tx.load_for("cancelServiceOrder.create", &SERVICE_ORDER, &id)?;
    if is_ours(&order) {
        let of = order.at("externalReference.id").and_then(Json::as_str).unwrap_or_default().to_owned();
        return Err(Error::conflict(
            "order.of_product_order",
            format!("this service order carries out product order {of}; cancel that one"),
        )
        .at("serviceOrder.id"));
    }
    if matches!(order.state.as_deref(), Some("completed" | "failed" | "cancelled" | "rejected" | "partial")) {
        return Err(Error::conflict("order.ended", "the service order has come to its end").at("serviceOrder.id"));
    }
    end(tx, &mut order, "cancelled", None)?;
    request.tenant = order.tenant;
    request.state = Some("done".to_owned());
    let now = tx.now.to_string();
    request.body.insert("state".to_owned(), "done".into());
    request.body.insert("effectiveCancellationDate".to_owned(), now.into());
    Ok(())
}

/// Makes the service order for an item of a product order, in progress.
pub(crate) fn make(
    tx: &mut Tx<'_>,
    order: &Record,
    item: &str,
    action: &str,
    services: Vec<Json>,
) -> Result<Granted<Record>> {
    let now = tx.now.to_string();
    let items: Vec<Json> = services
        .into_iter()
        .enumerate()
        .map(|(n, service)| json!({ "id": (n + 1).to_string(), "action": action, "state": "inProgress", "service": service }))
        .collect();
    let body = json!({
        "state": "inProgress",
        "orderDate": now,
        "startDate": now,
        "externalReference": [{ "id": order.id, "name": item, "externalReferenceType": BY_PRODUCT_ORDER }],
        "serviceOrderItem": items,
    });
    let mut record = SERVICE_ORDER.draft(tx, body.as_object().cloned().unwrap_or_default());
    record.tenant = order.tenant;
    tx.insert(&SERVICE_ORDER, record)
}

/// Brings a service order to its end; again changes nothing.
pub(crate) fn end(
    tx: &mut Tx<'_>,
    order: &mut Granted<Record>,
    state: &str,
    error: Option<(&str, &str)>,
) -> Result<()> {
    if matches!(order.state.as_deref(), Some("completed" | "failed" | "cancelled" | "rejected" | "partial")) {
        return Ok(());
    }
    let now = tx.now.to_string();
    let moment = if state == "cancelled" { "cancellationDate" } else { "completionDate" };
    let body = order.body_mut();
    body.insert(moment.to_owned(), now.clone().into());
    for item in body.get_mut("serviceOrderItem").and_then(Json::as_array_mut).into_iter().flatten() {
        item["state"] = state.into();
    }
    if let Some((code, message)) = error {
        body.insert(
            "errorMessage".to_owned(),
            json!([{ "code": code, "reason": code, "message": message, "timestamp": now }]),
        );
    }
    order.set_state("state", state);
    tx.save(&SERVICE_ORDER, order)
}

/// The service order that carries out an item of a product order.
pub(crate) fn of_item(tx: &mut Tx<'_>, order: &str, item: &str) -> Result<Option<Granted<Record>>> {
    let query = db::records::Query {
        kind: SERVICE_ORDER.name,
        scope: &db::records::Scope::All,
        conditions: vec![db::records::Condition {
            path: "externalReference.id".to_owned(),
            op: db::records::Op::Eq,
            values: vec![order.to_owned()],
        }],
        sort: None,
        descending: true,
        after: None,
        offset: 0,
        limit: u32::try_from(2 * base::limits::ORDER_ITEMS_MAX).unwrap_or(u32::MAX),
    };
    let found = db::records::list(tx, &query)?.into_iter().map(|(record, _)| record);
    let id = found
        .filter(|record| record.at("externalReference.name").and_then(Json::as_str) == Some(item))
        .map(|record| record.id)
        .next();
    id.map(|id| tx.peek(&SERVICE_ORDER, &id)).transpose()
}
