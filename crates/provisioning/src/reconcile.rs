//! Reconcilers: they take no input, compare what is with what should be, act.
//!
//! | reconciler | sets right |
//! |---|---|
//! | `orders.forgotten` | orders that were accepted and that no run carries out |
//! | `services.unseen` | services whose state does not follow what is seen of their machines |

use std::time::Duration;

use base::id::TenantId;
use base::{Result, limits};
use commerce::orders::PRODUCT_ORDER;
use db::records::{self, Condition, Op, Query, Scope};
use durable::Registry;
use gate::{Action, Cx, Effect, Gate};
use resources::intents;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fulfilment;
use crate::services::{self, SERVICE};

/// What a reconciler found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "what", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Repair {
    /// An order that no run carries out.
    OrderForgotten {
        /// The order.
        order: String,
    },
    /// A service that is not in the state that is seen.
    ServiceUnseen {
        /// The service.
        service: String,
    },
}

/// Sets one thing right. Looks again itself: what was found may have settled.
pub static REPAIR: Action<Repair, ()> = Action {
    name: "service.reconcile",
    summary: "Sets right what differs from what should be among orders and services.",
    effect: Effect::Change,
    run: |tx, repair| match repair {
        Repair::OrderForgotten { order } => fulfilment::begin_forgotten(tx, order).map(drop),
        Repair::ServiceUnseen { service } => services::observe(tx, service),
    },
};

/// Adds the reconcilers.
#[must_use]
pub fn register(registry: Registry) -> Registry {
    registry.reconciler("orders.forgotten", Duration::from_secs(60), forgotten).reconciler(
        "services.unseen",
        Duration::from_secs(300),
        unseen,
    )
}

/// The ids of records of a kind in one of these states, page by page.
fn in_states(
    gate: &Gate,
    kind: &'static str,
    states: &[&str],
    mut each: impl FnMut(&str, TenantId) -> Result<()>,
) -> Result<()> {
    let mut after = String::new();
    loop {
        let (from, states) = (after.clone(), states.iter().map(|state| (*state).to_owned()).collect::<Vec<String>>());
        let page = gate.db().read(move |conn| {
            let conditions = vec![Condition { path: "state".to_owned(), op: Op::Eq, values: states.clone() }];
            let after = (!from.is_empty()).then(|| (String::new(), from.clone()));
            let query = Query {
                kind,
                scope: &Scope::All,
                conditions,
                sort: None,
                descending: false,
                after,
                offset: 0,
                limit: limits::PAGE_MAX,
            };
            let found = records::list(conn, &query)?;
            Ok(found.into_iter().map(|(record, _)| (record.id, record.tenant)).collect::<Vec<(String, TenantId)>>())
        })?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after.clone_from(last);
        for (id, tenant) in &page {
            each(id, *tenant)?;
        }
    }
}

fn repair(gate: &Gate, repair: Repair, tenant: TenantId) -> Result<()> {
    gate.run(&Cx::system("provisioning", tenant), &REPAIR, repair)
}

/// Orders that were accepted and that no run carries out.
///
/// # Errors
/// Those of the database.
pub fn forgotten(gate: &Gate) -> Result<()> {
    in_states(gate, PRODUCT_ORDER.name, &["acknowledged"], |id, tenant| {
        let order = id.to_owned();
        let runs = gate.db().read(move |conn| durable::flows::of_subject(conn, PRODUCT_ORDER.name, &order))?;
        if runs.is_empty() {
            tracing::info!(order = id, "an accepted order is begun");
            repair(gate, Repair::OrderForgotten { order: id.to_owned() }, tenant)?;
        }
        Ok(())
    })
}

/// Services whose state does not follow what is seen of their machines.
///
/// # Errors
/// Those of the database.
pub fn unseen(gate: &Gate) -> Result<()> {
    in_states(gate, SERVICE.name, &["active", "inactive"], |id, tenant| {
        let service = id.to_owned();
        let differs = gate.db().read(move |conn| {
            let Some(record) = records::load(conn, SERVICE.name, &service)? else { return Ok(false) };
            let follows = services::follows(&intents::of_service(conn, &service)?);
            Ok(follows.is_some_and(|state| record.state.as_deref() != Some(state)))
        })?;
        if differs { repair(gate, Repair::ServiceUnseen { service: id.to_owned() }, tenant) } else { Ok(()) }
    })
}
