//! Customers: parties that buy from us (TMF629).
//!
//! **Invariants.** A customer is engaged by a party that exists (the shape's
//! reference). `status` is the operator's own word; nothing here reads it.
//!
//! **Not here.** The tenant in which a customer's people act (`access`), what
//! is billed to whom (`billing`).

use base::id::TenantId;
use base::{Error, Result};
use db::records::Key;
use db::{Class, Record};
use gate::{Kind, Tx, Verb, free};
use serde_json::{Value as Json, json};

use crate::parties::ORGANIZATION;
use crate::shapes;

/// TMF629 `customer`.
pub static CUSTOMER: Kind = Kind {
    name: "customer",
    prefix: "cus",
    path: "/tmf-api/customerManagement/v4/customer",
    class: Class::Internal,
    shape: &shapes::CUSTOMER,
    keys: &[Key::text("name").found(), Key::text("status"), Key::text("engagedParty.id")],
    states: None,
    verbs: Verb::ALL,
    before_create: free::create,
    before_update: free::update,
    before_delete: free::delete,
};

/// A new tenant joins as a customer: its organisation and its customer record,
/// both its own. Gives the customer's id.
///
/// # Errors
/// Those of the database.
pub fn join(tx: &mut Tx<'_>, tenant: TenantId, name: &str) -> Result<String> {
    let organization = json!({ "tradingName": name, "isLegalEntity": true, "status": "validated" });
    let organization = insert(tx, &ORGANIZATION, tenant, organization)?;
    let party = json!({ "id": organization, "name": name, "@referredType": "Organization" });
    insert(tx, &CUSTOMER, tenant, json!({ "name": name, "status": "Active", "engagedParty": party }))
}

fn insert(tx: &mut Tx<'_>, kind: &'static Kind, tenant: TenantId, body: Json) -> Result<String> {
    let Json::Object(body) = body else { return Err(Error::bug("customer.body", "a document is an object")) };
    let record = Record { tenant, ..kind.draft(tx, body) };
    tx.insert(kind, record).map(|made| made.id.clone())
}
