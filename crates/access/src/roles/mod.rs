//! Roles: what somebody is, in which tenant; and who may make whom what.
//!
//! A role is granted to an account in a tenant. A role in a customer holds in
//! its departments as well; a role in the operator holds nowhere else, unless
//! the holder has [`SUPPORT`] too (see [`crate::reach`]). What a role may do is
//! said by its policy in `policies/NAME.cedar`, nowhere in code.
//!
//! Invariants:
//! - nobody grants a role above their own (`rules::may_grant`);
//! - the operator keeps an active administrator, and a customer that has an
//!   active owner keeps one (`store::last_keeper`, tests here and in `accounts`);
//! - a role is held only in tenants of the kind it is for (`rules::role_for`).

pub mod actions;
pub(crate) mod rules;
pub(crate) mod store;
#[cfg(test)]
mod tests;

use crate::tenants::TenantKind;

/// Manages the operator: accounts, tenants, tokens, and everything else there.
pub const ADMINISTRATOR: &str = "administrator";
/// Lets its holder see and act inside customers' tenants; shown to the customer.
pub const SUPPORT: &str = "support";
/// Manages a customer's tenant.
pub const OWNER: &str = "owner";

/// A role.
#[derive(Debug)]
pub struct Role {
    /// Its name, as granted and as policies compare it.
    pub name: &'static str,
    /// Whether it is held in the operator's tenant (else in customers' and departments').
    pub operator: bool,
    /// What it is for, in a sentence.
    pub summary: &'static str,
}

/// All roles, the widest of each sort first.
pub static ROLES: &[Role] = &[
    Role {
        name: ADMINISTRATOR,
        operator: true,
        summary: "Manages the operator's accounts, tenants and tokens, and may do everything there.",
    },
    Role { name: "operations", operator: true, summary: "Runs hosts, pools, images and flows." },
    Role { name: "product-manager", operator: true, summary: "Puts offerings on sale, changes and withdraws them." },
    Role { name: "billing-clerk", operator: true, summary: "Closes the month: usage, bills, corrections." },
    Role {
        name: "auditor",
        operator: true,
        summary: "Reads the audit log and everything that can be read; changes nothing.",
    },
    Role {
        name: SUPPORT,
        operator: true,
        summary: "Sees and acts inside customers' tenants; every customer sees who can.",
    },
    Role {
        name: OWNER,
        operator: false,
        summary: "Manages the organisation: its members, its services and its bills.",
    },
    Role { name: "member", operator: false, summary: "Orders and manages services." },
    Role { name: "billing-viewer", operator: false, summary: "Reads bills and usage." },
    Role { name: "viewer", operator: false, summary: "Reads catalog, orders and services." },
];

impl Role {
    /// The role of that name.
    pub fn find(name: &str) -> Option<&'static Role> {
        ROLES.iter().find(|role| role.name == name)
    }

    /// Whether it can be held in tenants of that kind.
    pub fn fits(&self, kind: TenantKind) -> bool {
        self.operator == (kind == TenantKind::Operator)
    }
}
