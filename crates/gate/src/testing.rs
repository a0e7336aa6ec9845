//! A gate for the tests of rooms: real database, policies that allow everything
//! to accounts and workers and nothing to nobody.

#![expect(clippy::unwrap_used, reason = "only tests use it")]

pub mod swagger;

use base::id::{AccountId, Ids, TenantId};
use base::time::{Clock, Timestamp};
use db::Db;
use db::records::Scope;

use crate::{Actor, Catalogue, Cx, Gate};

/// The instant at which test clocks stand: 2026-01-01T00:00:00Z.
pub const START: &str = "2026-01-01T00:00:00Z";

/// A gate over `db` with a fixed clock at [`START`] and seeded identifiers.
pub fn gate(db: Db, catalogue: Catalogue) -> Gate {
    let names: Vec<String> = catalogue.names().iter().map(|name| format!("Action::{name:?}")).collect();
    let policies = if names.is_empty() {
        String::new()
    } else {
        format!("permit(principal, action in [{}], resource) unless {{ principal is Nobody }};", names.join(", "))
    };
    let start: Timestamp = START.parse().unwrap();
    Gate::new(db, Clock::fixed(start), Ids::seeded(1), &policies, catalogue).unwrap()
}

/// Somebody who acts in `tenant` and sees it alone.
pub fn somebody(tenant: TenantId) -> Cx {
    Cx::new(
        Actor::Account(AccountId(7)),
        tenant,
        Scope::Tenants { own: vec![tenant], above: vec![] },
        ["owner".to_owned()].into(),
    )
}
