//! Business impact analysis: what it would mean to be without an activity, for how long that can be
//! borne, and how fast it must be back (ISO 22301, 8.2.2).
//!
//! ```text
//!   scale of the firm: levels with amounts, one of them intolerable
//!   activity: after so long ─► this level    ──first intolerable──►  maximum tolerable period
//!             RTO (shorter than that), RPO, the least that must go on
//!   everything that an activity depends on inherits the least of all that reach it
//! ```
//!
//! **Invariants** (tests: `tests.rs`)
//! - harm grows with time, and an RTO is shorter than the period that can be borne;
//! - what a service inherits is the least of all activities that reach it, whatever lies between;
//! - a change of the scale leaves no assessment without its level.
//!
//! **Not here.** What depends on what (`inventory`), what a loss leads to (`studies`), whether an
//! objective is kept (`drills`).

mod actions;
mod rules;
mod store;
#[cfg(test)]
pub(crate) mod tests;
mod types;

use std::collections::BTreeMap;

use base::Result;
use base::id::TenantId;
use gate::{AnyAction, Tx};

pub use actions::{
    ASSESS, Assessed, AssessmentRef, GET, GET_SCALE, LIST, ListAssessments, ListObjectives, OBJECTIVES, SET_SCALE,
    ScaleRef,
};
pub use types::{Assess, Assessment, Because, HarmAt, HarmScale, Inherited, Level, SetScale};

use crate::inventory::{self, View};

/// Every action of this capability.
pub static ACTIONS: &[&dyn AnyAction] = &[&GET, &LIST, &ASSESS, &GET_SCALE, &SET_SCALE, &OBJECTIVES];

/// What services of a tenant inherit from the activities that depend on them: how fast they must be
/// back, how much may be lost, and because of what. A service that no assessed activity depends on
/// is not in the answer. The caller has decided that it may be used.
///
/// # Errors
/// Those of the database.
pub fn objectives_of(tx: &mut Tx<'_>, tenant: TenantId, services: &[String]) -> Result<BTreeMap<String, Inherited>> {
    let (there, _) = inventory::read(tx, View { tenant, operator: false })?;
    let mut all = rules::roll(&there, &assessed(tx, tenant)?);
    all.retain(|id, _| services.contains(id));
    Ok(all)
}

/// The assessments of a tenant, by activity.
pub(crate) fn assessed(tx: &mut Tx<'_>, tenant: TenantId) -> Result<BTreeMap<String, Assessment>> {
    let scale = scale(tx, tenant)?;
    let (now, mut all) = (rules::today(tx.now), BTreeMap::new());
    for mut one in store::assessments(tx, tenant)? {
        rules::derive(&mut one, &scale, now);
        all.insert(one.activity.clone(), one);
    }
    Ok(all)
}

/// The scale of a tenant; one to begin with where it set none.
pub(crate) fn scale(tx: &mut Tx<'_>, tenant: TenantId) -> Result<HarmScale> {
    Ok(store::scale(tx, tenant)?.unwrap_or_else(HarmScale::to_begin_with))
}

/// An activity is there no more.
pub(crate) fn forget(tx: &mut Tx<'_>, tenant: TenantId, activity: &str) -> Result<()> {
    store::remove(tx, tenant, activity)
}
