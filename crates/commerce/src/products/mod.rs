//! Products: what a customer has (TMF637).
//!
//! ```text
//!   created ─► pendingActive ─► active ◄─► suspended
//!      │             │            │ ▲          │
//!      └─► cancelled ◄┘           ▼ │          ▼
//!                            pendingTerminate ──► terminated
//! ```
//!
//! An ordered product is born `active`, in the transaction in which its service
//! answers; before that there is an order and no product. The earlier states
//! are for products that an operator imports.
//!
//! **Invariants**
//! - a product's prices are those that were frozen with its order (`active`);
//! - `status` moves by orders only, never by PATCH;
//! - a product in `pendingTerminate` has exactly one open order that ends it.
//!
//! **Not here.** The services that realise it (`provisioning`), its bill (`billing`).

#[cfg(test)]
mod tests;

use base::id::TenantId;
use base::{Error, Result};
use db::records::Key;
use db::{Class, Record};
use gate::{Granted, Kind, Relation, StateMachine, Tx, Verb, free};
use serde_json::{Map, Value as Json, json};

use crate::shapes;

/// TMF637 `product`.
pub static PRODUCT: Kind = Kind {
    name: "product",
    prefix: "prd",
    path: "/tmf-api/productInventory/v4/product",
    class: Class::Internal,
    shape: &shapes::PRODUCT,
    keys: &[
        Key::text("name"),
        Key::text("status"),
        Key::text("productOffering.id"),
        Key::time("startDate"),
        Key::text("billingAccount.id"),
    ],
    states: Some(&StateMachine {
        attribute: "status",
        initial: "created",
        moves: &[
            ("created", &["pendingActive", "active", "cancelled"]),
            ("pendingActive", &["active", "cancelled"]),
            ("active", &["suspended", "pendingTerminate"]),
            ("suspended", &["active", "pendingTerminate"]),
            ("pendingTerminate", &["active", "suspended", "terminated"]),
            ("terminated", &[]),
            ("cancelled", &[]),
        ],
    }),
    verbs: Verb::ALL,
    before_create: free::create,
    before_update: only_names,
    before_delete: only_ended,
};

/// What the platform says of a product: by its order, and by what came of it.
pub(crate) const SETTLED: [&str; 9] = [
    "productPrice",
    "productOffering",
    "productSpecification",
    "productCharacteristic",
    "realizingService",
    "realizingResource",
    "productOrderItem",
    "startDate",
    "terminationDate",
];

fn only_names(_: &mut Tx<'_>, before: &Record, after: &mut Record) -> Result<()> {
    if before.state != after.state {
        return Err(Error::conflict(
            "product.by_order",
            "a product's status moves by product orders; order its end instead",
        )
        .at("status"));
    }
    match SETTLED.iter().find(|name| before.body.get(**name) != after.body.get(**name)) {
        Some(name) => {
            Err(Error::conflict("product.settled", format!("`{name}` was settled by the product's order")).at(*name))
        }
        None => Ok(()),
    }
}

fn only_ended(_: &mut Tx<'_>, record: &Record) -> Result<()> {
    match record.state.as_deref() {
        Some("terminated" | "cancelled" | "created") => Ok(()),
        _ => Err(Error::conflict("product.in_use", "the product is in use; order its end first").at("status")),
    }
}

/// Makes the product that an order's item became, active from now on.
///
/// # Errors
/// Those of the database; `Bug` where the item has no product in it.
pub fn activate(
    tx: &mut Tx<'_>,
    order: &Record,
    item: &Json,
    services: &[(String, String)],
) -> Result<Granted<Record>> {
    let text = |name: &str| item.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
    let Some(Json::Object(wanted)) = item.get("product") else {
        return Err(Error::bug("order.product", format!("item {} of {} describes no product", text("id"), order.id)));
    };
    let mut body: Map<String, Json> = wanted.clone();
    body.insert("status".to_owned(), "active".into());
    body.insert("isCustomerVisible".to_owned(), true.into());
    body.insert("productOffering".to_owned(), item.get("productOffering").cloned().unwrap_or_default());
    body.insert("productPrice".to_owned(), item.get("itemPrice").cloned().unwrap_or_else(|| json!([])));
    body.insert("startDate".to_owned(), tx.now.to_string().into());
    body.insert(
        "productOrderItem".to_owned(),
        json!([{ "productOrderId": order.id, "orderItemId": text("id"), "orderItemAction": "add", "role": "fulfils", "@referredType": "ProductOrder" }]),
    );
    let services: Vec<Json> =
        services.iter().map(|(id, name)| json!({ "id": id, "name": name, "@referredType": "Service" })).collect();
    body.insert("realizingService".to_owned(), services.into());
    for name in ["orderDate", "billingAccount", "relatedParty"] {
        let value = item.get(name).or_else(|| order.body.get(name));
        if let Some(value) = value.filter(|value| !value.is_null()) {
            body.entry(name).or_insert_with(|| value.clone());
        }
    }
    let mut record = PRODUCT.draft(tx, body);
    record.tenant = order.tenant;
    tx.insert(&PRODUCT, record)
}

/// Sets a product apart for the order of `tenant` that is to end it.
///
/// # Errors
/// `Dangling` where the actor has no such product, `Conflict` where it cannot end now.
pub(crate) fn begin_end(tx: &mut Tx<'_>, tenant: TenantId, id: &str) -> Result<Granted<Record>> {
    let absent = || Error::dangling("product.absent", format!("there is no product {id}")).at("product.id");
    let mut product = tx.peek(&PRODUCT, id).map_err(|_| absent())?;
    if !matches!(tx.cx().relation(product.tenant), Relation::Own | Relation::Below) || product.tenant != tenant {
        return Err(absent());
    }
    match product.state.as_deref() {
        Some("active" | "suspended") => {}
        Some("pendingTerminate") => {
            return Err(
                Error::conflict("product.ending", "another order is ending the product already").at("product.id")
            );
        }
        other => {
            return Err(Error::conflict(
                "product.not_active",
                format!("the product is {}, so it cannot be ended", other.unwrap_or("unknown")),
            )
            .at("product.id"));
        }
    }
    product.set_state("status", "pendingTerminate");
    tx.save(&PRODUCT, &mut product)?;
    Ok(product)
}

/// The order that was to end the product did not.
///
/// # Errors
/// `Dangling` where there is no such product.
pub(crate) fn keep(tx: &mut Tx<'_>, id: &str) -> Result<()> {
    let mut product = tx.peek(&PRODUCT, id)?;
    if product.state.as_deref() == Some("pendingTerminate") {
        product.set_state("status", "active");
        tx.save(&PRODUCT, &mut product)?;
    }
    Ok(())
}

/// The product has ended: what realised it is gone.
///
/// # Errors
/// `Dangling` where there is no such product.
pub fn terminate(tx: &mut Tx<'_>, id: &str) -> Result<()> {
    let mut product = tx.peek(&PRODUCT, id)?;
    if product.state.as_deref() != Some("terminated") {
        let now = tx.now.to_string();
        product.body_mut().insert("terminationDate".to_owned(), now.into());
        product.set_state("status", "terminated");
        tx.save(&PRODUCT, &mut product)?;
    }
    Ok(())
}
