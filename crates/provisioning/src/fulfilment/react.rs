//! What the house does about orders and runs; called by the reactions of `server`.

use base::{Error, Result};
use commerce::orders::progress::{self, End};
use commerce::orders::types::{self, ItemAction};
use commerce::orders::{PRODUCT_ORDER, rules};
use durable::flows::{self, Run};
use durable::{About, Fact as FlowFact, Subject};
use gate::Tx;
use serde_json::{Value as Json, json};

use super::{FULFIL, TERMINATE};
use crate::{orders, texts};

/// An order was accepted: a run for each item.
///
/// # Errors
/// Those of the database; `NotFound` where the flows were not installed.
pub fn accepted(tx: &mut Tx<'_>, order: &str) -> Result<()> {
    let record = tx.peek(&PRODUCT_ORDER, order)?;
    for item in types::items(&record)?.iter().filter(|item| item.state == "acknowledged") {
        let flow = match item.action {
            ItemAction::Add => FULFIL,
            ItemAction::Delete => TERMINATE,
        };
        flows::start(tx, flow, json!({ "order": order, "item": item.id }), subject(order, record.tenant))?;
    }
    Ok(())
}

fn subject(order: &str, tenant: base::id::TenantId) -> Subject {
    Subject::new(PRODUCT_ORDER.name, order, tenant)
}

fn item_of(run: &Run) -> Option<&str> {
    run.input.get("item").and_then(Json::as_str)
}

/// An order is to be taken back: its runs turn round. Items that nobody has
/// begun end at once.
///
/// # Errors
/// `Contended` where a run cannot be turned this instant.
pub fn cancelled(tx: &mut Tx<'_>, order: &str) -> Result<()> {
    let runs = flows::of_subject(tx, PRODUCT_ORDER.name, order)?;
    let mut record = tx.peek(&PRODUCT_ORDER, order)?;
    for item in types::items(&record)?.iter().filter(|item| item.state == "pendingCancellation") {
        let mut of_item = runs.iter().filter(|run| item_of(run) == Some(&item.id));
        match of_item.find(|run| !run.state.is_final()) {
            Some(run) => flows::unwind(tx, run.id, "the order is cancelled").map_err(|e| match e.code() {
                "flow.past_return" => Error::conflict(
                    "order.past_no_return",
                    "the order can no longer be taken back; end its products instead",
                ),
                _ => e,
            })?,
            None => progress::end(tx, &mut record, &item.id, &End::Cancelled)?,
        }
    }
    Ok(())
}

/// A run got somewhere: where it ended without success, or waits for a person,
/// the order says why and who must act.
///
/// # Errors
/// Those of the database.
pub fn ended(tx: &mut Tx<'_>, fact: &FlowFact) -> Result<()> {
    let (about, given_up) = match fact {
        FlowFact::FlowUndone(about) => (about, false),
        FlowFact::FlowGivenUp(about) => (about, true),
        _ => return Ok(()),
    };
    if about.subject.kind != PRODUCT_ORDER.name || !matches!(about.flow.as_str(), FULFIL | TERMINATE) {
        return Ok(());
    }
    let Some(run) = find(tx, about)? else { return Ok(()) };
    let Some(item) = item_of(&run).map(str::to_owned) else { return Ok(()) };
    let (mut order, known) = progress::look(tx, &about.subject.id, &item)?;
    if rules::is_ended(&known.state) {
        return Ok(());
    }
    let end = match (&run.failure, known.state.as_str()) {
        _ if given_up => End::Failed(texts::reason("flow.given_up", "")),
        (_, "pendingCancellation") => End::Cancelled,
        (Some(failure), _) => End::Failed(texts::reason(&failure.code, &failure.message)),
        (None, _) => End::Failed(texts::reason("flow.given_up", "")),
    };
    if let Some(mut service_order) = orders::of_item(tx, &about.subject.id, &item)? {
        match &end {
            End::Failed(reason) => {
                // The customer's words stand on the product order; here is what was seen.
                let details = run.failure.as_ref().map_or(reason.english.as_str(), |failure| &failure.message);
                orders::end(tx, &mut service_order, "failed", Some((&reason.code, details)))?;
            }
            _ => orders::end(tx, &mut service_order, "cancelled", None)?,
        }
    }
    progress::end(tx, &mut order, &item, &end)
}

/// A run waits for a person: whoever ordered sees that it does, and for whom.
/// The order stays open, for the run may go on.
///
/// # Errors
/// Those of the database.
pub fn stuck(tx: &mut Tx<'_>, about: &About) -> Result<()> {
    if about.subject.kind != PRODUCT_ORDER.name || !matches!(about.flow.as_str(), FULFIL | TERMINATE) {
        return Ok(());
    }
    let Some(item) = find(tx, about)?.as_ref().and_then(item_of).map(str::to_owned) else { return Ok(()) };
    let (mut order, _) = progress::look(tx, &about.subject.id, &item)?;
    progress::tell(tx, &mut order, &item, &texts::reason("flow.stuck", ""))
}

fn find(tx: &mut Tx<'_>, about: &About) -> Result<Option<Run>> {
    let runs = flows::of_subject(tx, &about.subject.kind, &about.subject.id)?;
    Ok(runs.into_iter().find(|run| run.id == about.run))
}

/// Orders that were accepted and that no run carries out: after a restore from
/// a copy, or where a flow was missing when they came. Gives how many were begun.
///
/// # Errors
/// Those of the database.
pub(crate) fn begin_forgotten(tx: &mut Tx<'_>, order: &str) -> Result<bool> {
    let record = tx.peek(&PRODUCT_ORDER, order)?;
    let open = matches!(record.state.as_deref(), Some("acknowledged" | "inProgress"));
    if !open || !flows::of_subject(tx, PRODUCT_ORDER.name, order)?.is_empty() {
        return Ok(false);
    }
    accepted(tx, order)?;
    Ok(true)
}
