//! The tenant tree: the operator, its customers, their departments.
//!
//! ```text
//!   active ⇄ suspended        (left: gone for good, kept for the record)
//! ```
//!
//! Invariants:
//! - there is one operator, and it alone has no parent (index `tenants_one_operator`,
//!   check of the table);
//! - a path holds exactly the ancestors and the tenant itself (`store::insert` is
//!   the only writer, a tenant never moves; test `paths_say_where_a_tenant_stands`);
//! - a suspended tenant suspends everything below it (`reach`).
//!
//! A tenant's entry in the tree is its parent's business as much as its own: the
//! operator sees, renames and suspends its customers without seeing inside them.
//!
//! Not here: what happens inside a tenant (every other room), who may act in it (`reach`).

pub mod actions;
pub(crate) mod store;
#[cfg(test)]
mod tests;

use base::id::TenantId;
use base::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::words::words;

words! {
    /// What a node of the tree is.
    pub enum TenantKind {
        /// The root: who runs the platform.
        Operator = "operator",
        /// Who buys from the operator.
        Customer = "customer",
        /// A part of a customer.
        Department = "department",
    }

    /// Whether its people may work.
    pub enum TenantState {
        /// They may.
        Active = "active",
        /// For now they may not.
        Suspended = "suspended",
        /// Gone for good.
        Left = "left",
    }
}

/// A node of the tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Tenant {
    /// Its identifier.
    pub id: TenantId,
    /// What it is a part or a customer of; the operator has none.
    pub parent: Option<TenantId>,
    /// What it is.
    pub kind: TenantKind,
    /// Its name.
    pub name: String,
    /// Its language.
    pub locale: String,
    /// Its IANA time zone.
    pub time_zone: String,
    /// Whether its people may work.
    pub state: TenantState,
    /// When it was made.
    #[schemars(with = "String")]
    pub created_at: Timestamp,
    /// From the root down to itself.
    #[serde(skip)]
    pub(crate) path: Vec<TenantId>,
}

/// The name of a tenant that is a customer; `None` for the operator and for departments.
///
/// # Errors
/// `Bug` where there is no such tenant.
pub fn customer_name(conn: &mut db::Conn<'_>, tenant: TenantId) -> base::Result<Option<String>> {
    let tenant = store::load(conn, tenant)?;
    Ok((tenant.kind == TenantKind::Customer).then_some(tenant.name))
}
