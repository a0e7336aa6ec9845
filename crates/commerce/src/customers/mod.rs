//! Customers: parties that buy from us (TMF629).
//!
//! **Invariants.** A customer is engaged by a party that exists (the shape's
//! reference). `status` is the operator's own word; nothing here reads it.
//!
//! **Not here.** The tenant in which a customer's people act (`access`), what
//! is billed to whom (`billing`).

use db::Class;
use db::records::Key;
use gate::{Kind, Verb, free};

use crate::shapes;

/// TMF629 `customer`.
pub static CUSTOMER: Kind = Kind {
    name: "customer",
    prefix: "cus",
    path: "/tmf-api/customerManagement/v4/customer",
    class: Class::Internal,
    shape: &shapes::CUSTOMER,
    keys: &[Key::text("name"), Key::text("status"), Key::text("engagedParty.id")],
    states: None,
    verbs: Verb::ALL,
    before_create: free::create,
    before_update: free::update,
    before_delete: free::delete,
};
