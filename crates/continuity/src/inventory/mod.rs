//! Inventory: what a firm does, what that depends on, down to hosts, sites, power, routes, suppliers
//! and people (ISO 22301, 8.2).
//!
//! ```text
//!   known to the platform, read live:  service ─► machine ─► host ─► site      backup place ─► host or site
//!   added by people:                   activity, outside service, rack, power, cooling, route, supplier, person …
//!   said by people, of both:           needs ("2 of these 3"), stands in, repair time, importance, likelihood, owner
//! ```
//!
//! **Invariants** (tests: `tests.rs`)
//! - nothing that the platform knows is stored a second time: what stands where and what serves what
//!   is as it is now, also a moment after a service was restored elsewhere;
//! - a tenant's inventory has its own services, machines and additions, and of the operator's hosts and
//!   sites those that its machines and copies are on;
//! - nothing stands in itself, and what is known to stand in a site cannot be said to stand elsewhere;
//! - an import does all of it or nothing, and the second time nothing.
//!
//! **Not here.** What it would mean to be without something (`bia`), what its loss leads to
//! (`impact`, `studies`).

pub mod actions;
pub mod csv;
pub mod import;
pub(crate) mod rules;
pub(crate) mod store;
#[cfg(test)]
pub(crate) mod tests;
mod types;

use base::Result;
use base::id::TenantId;
use db::Class;
use gate::{AnyAction, Tx};

pub use rules::ADDED;
pub(crate) use rules::{Inventory, View, things};
pub(crate) use types::Known;
pub use types::{Kind, Needs, Said, Thing};

/// The kind of an inventory's things, in audit and policies.
pub const KIND: &str = "inventory";

/// Every action of this capability.
pub static ACTIONS: &[&dyn AnyAction] = &[
    &actions::LIST,
    &actions::GET,
    &actions::ADD,
    &actions::PUT,
    &actions::REMOVE,
    &import::PREVIEW,
    &import::IMPORT,
    &import::EXPORT,
];

/// Whose inventory is asked for, where the actor may: the acting tenant's unless another is named.
///
/// # Errors
/// `Forbidden`, `NotFound`.
pub(crate) fn whose(tx: &mut Tx<'_>, action: &str, named: Option<TenantId>) -> Result<View> {
    let tenant = named.unwrap_or(tx.cx().tenant());
    tx.grant(action, "tenant", &tenant.to_string(), tenant, Class::Confidential, ())?;
    let operator = tx.operator()? == tenant;
    Ok(View { tenant, operator })
}

/// A machine was made again and is another one now: what its tenant and the operator said of it, and
/// what they said that needs it, is said of the new one.
///
/// # Errors
/// Those of the database.
pub(crate) fn machine_replaced(tx: &mut Tx<'_>, tenant: TenantId, old: &str, new: &str) -> Result<()> {
    store::rename(tx, tenant, old, new)?;
    let operator = tx.operator()?;
    if operator != tenant { store::rename(tx, operator, old, new) } else { Ok(()) }
}

/// A tenant's inventory, and what the platform knows that it was made from.
///
/// # Errors
/// Those of the database.
pub(crate) fn read(tx: &mut Tx<'_>, view: View) -> Result<(Inventory, Known)> {
    let known = store::known(tx, (!view.operator).then_some(view.tenant))?;
    let (entries, stated) = (store::entries(tx, view.tenant)?, store::stated(tx, view.tenant)?);
    let things = rules::complete(rules::things(&known, view), view, entries, stated);
    Ok((Inventory::new(things), known))
}
