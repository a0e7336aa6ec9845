//! Cancelling an order (`cancelProductOrder`).

use base::{Error, Result};
use db::Record;
use gate::Tx;
use serde_json::Value as Json;

use super::types::{ItemAction, items};
use super::{CANCEL_PRODUCT_ORDER, PRODUCT_ORDER, progress, rules};
use crate::Fact;

/// `before_create` of a cancellation: decides, marks the order, and tells the
/// house. Whoever works on the order unwinds it and ends its items; that ends
/// the order and this request.
pub(super) fn request(tx: &mut Tx<'_>, request: &mut Record) -> Result<()> {
    let id = request.at("productOrder.id").and_then(Json::as_str).unwrap_or_default().to_owned();
    let mut order = tx.load_for("cancelProductOrder.create", &PRODUCT_ORDER, &id)?;
    let items = items(&order)?;
    let states = items.iter().map(|item| (item.state.as_str(), item.action == ItemAction::Delete));
    rules::cancellable(order.state.as_deref().unwrap_or_default(), states)
        .map_err(|(code, why)| Error::conflict(code, why).at("productOrder.id"))?;
    let reason = request.body.get("cancellationReason").cloned();
    progress::begin_cancellation(tx, &mut order, &request.id, reason.as_ref())?;
    request.tenant = order.tenant;
    request.state = Some("inProgress".to_owned());
    request.body.insert("state".to_owned(), "inProgress".into());
    debug_assert!(CANCEL_PRODUCT_ORDER.check_move(Some("acknowledged"), request.state.as_deref()).is_ok());
    tx.fact_once_stored(Fact::OrderCancellationRequested { order: id, revision: order.revision }, order.tenant);
    Ok(())
}
