//! What follows from what: who reacts to which fact, on one page.
//!
//! Everything here runs in the fact's own transaction and only writes rows.
//! Each room's facts are matched without a wildcard: a new fact does not
//! compile until somebody decides what follows from it.

use std::any::Any;

use base::Result;
use durable::flows;
use gate::{Fact, RecordFact, Tx};

/// Lets the house react to a fact.
///
/// # Errors
/// Those of the reactions; the action that stated the fact then fails with them.
pub fn react(tx: &mut Tx<'_>, fact: &dyn Fact) -> Result<()> {
    let any: &dyn Any = fact;
    if let Some(fact) = any.downcast_ref::<RecordFact>() {
        return record(tx, fact);
    }
    if let Some(fact) = any.downcast_ref::<access::Fact>() {
        return of_access(tx, fact);
    }
    if let Some(fact) = any.downcast_ref::<commerce::Fact>() {
        return of_commerce(tx, fact);
    }
    if let Some(fact) = any.downcast_ref::<resources::Fact>() {
        return of_resources(tx, fact);
    }
    if let Some(fact) = any.downcast_ref::<provisioning::Fact>() {
        return of_provisioning(tx, fact);
    }
    if let Some(fact) = any.downcast_ref::<billing::Fact>() {
        return of_billing(tx, fact);
    }
    if let Some(fact) = any.downcast_ref::<durable::Fact>() {
        return of_durable(tx, fact);
    }
    Err(base::Error::bug("fact.unknown", format!("nobody knows the fact {}", fact.name())))
}
