//! What becomes of accepted items: told by `provisioning`, inside its own transactions.
//!
//! Each function may be called again with the same words and then changes
//! nothing, so that a step may be repeated.

use base::Result;
use db::Record;
use gate::{Granted, Tx};
use serde_json::{Map, Value as Json, json};

use super::types::{Item, ItemAction, find, raw, text};
use super::{CANCEL_PRODUCT_ORDER, PRODUCT_ORDER, rules};
use crate::{Fact, products};

/// Why an item did not come true, for whoever must act on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The error's code.
    pub code: String,
    /// What happened and what to do, in English.
    pub english: String,
    /// The same in Traditional Chinese.
    pub chinese: String,
    /// Who must act: `customer` or `operator`.
    pub who: &'static str,
}

/// How an item ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// It came true; for an added item this is the product.
    Completed(String),
    /// It did not, and everything was taken back.
    Failed(Reason),
    /// It was taken back as asked.
    Cancelled,
}

/// Reads an order and one of its items, whoever acts.
///
/// # Errors
/// `Dangling` where there is no such order, `NotFound` for no such item.
pub fn look(tx: &mut Tx<'_>, order: &str, item: &str) -> Result<(Granted<Record>, Item)> {
    let order = tx.peek(&PRODUCT_ORDER, order)?;
    let item = find(&order, item)?;
    Ok((order, item))
}

/// Work on an item has begun. Says whether it still may: an item that is being
/// cancelled, or has ended, may not.
///
/// # Errors
/// As [`look`].
pub fn begin(tx: &mut Tx<'_>, order: &mut Granted<Record>, item: &str) -> Result<bool> {
    let state = find(order, item)?.state;
    if state != "acknowledged" {
        return Ok(state == "inProgress");
    }
    set_item(order, item, |json| json["state"] = "inProgress".into())?;
    settle(tx, order)?;
    Ok(true)
}

/// An item has come to its end.
///
/// # Errors
/// As [`look`]; `Bug` where the item ended otherwise before.
pub fn end(tx: &mut Tx<'_>, order: &mut Granted<Record>, item: &str, end: &End) -> Result<()> {
    let known = find(order, item)?;
    let state = match end {
        End::Completed(_) => "completed",
        End::Failed(_) => "failed",
        End::Cancelled => "cancelled",
    };
    if rules::is_ended(&known.state) {
        return Ok(());
    }
    if !rules::item_may_go(&known.state, state) {
        return Err(base::Error::bug(
            "order.item_move",
            format!("item {item} of {} cannot go from {} to {state}", order.id, known.state),
        ));
    }
    if known.action == ItemAction::Delete
        && let Some(product) = &known.product
        && state != "completed"
    {
        products::keep(tx, product)?;
    }
    set_item(order, item, |json| {
        json["state"] = state.into();
        if let End::Completed(product) = end {
            json["product"]["id"] = product.clone().into();
        }
    })?;
    if let End::Failed(reason) = end {
        note(order, tx.now, item, reason);
    }
    settle(tx, order)
}

/// An item is held up: says so on the order, once for as long as nothing else is said of the item.
///
/// # Errors
/// As [`look`].
pub fn tell(tx: &mut Tx<'_>, order: &mut Granted<Record>, item: &str, reason: &Reason) -> Result<()> {
    let notes = order.body.get("note").and_then(Json::as_array);
    let last = notes.and_then(|notes| notes.iter().rev().find(|note| text(note, "productOrderItem") == item));
    let said = last.is_some_and(|note| text(note, "code") == reason.code);
    if said || rules::is_ended(&find(order, item)?.state) {
        return Ok(());
    }
    note(order, tx.now, item, reason);
    tx.save(&PRODUCT_ORDER, order)
}

/// Adds what happened to the order's notes, in both languages.
fn note(order: &mut Granted<Record>, now: base::time::Timestamp, item: &str, reason: &Reason) {
    let notes = order.body_mut().entry("note").or_insert_with(|| Json::Array(Vec::new()));
    if let Json::Array(notes) = notes {
        notes.push(json!({
            "@type": "OutcomeNote",
            "author": "yunwei",
            "date": now.to_string(),
            "text": reason.english,
            "translation": { "zh-TW": { "text": reason.chinese } },
            "code": reason.code,
            "whoMustAct": reason.who,
            "productOrderItem": item,
        }));
    }
}

fn set_item(order: &mut Granted<Record>, id: &str, change: impl FnOnce(&mut Json)) -> Result<()> {
    let place = raw(order)?.iter().position(|json| text(json, "id") == id);
    let items = order.body_mut().get_mut("productOrderItem").and_then(Json::as_array_mut);
    if let Some(item) = items.zip(place).and_then(|(items, place)| items.get_mut(place)) {
        change(item);
    }
    Ok(())
}

/// Sets the order's state from its items, stores it, and ends what waited for that.
fn settle(tx: &mut Tx<'_>, order: &mut Granted<Record>) -> Result<()> {
    let state = rules::derive(raw(order)?.iter().map(|item| text(item, "state")));
    let was = order.state.clone().unwrap_or_default();
    // A cancellation that was asked for is not forgotten while an item is still on its way.
    let state = if was == "pendingCancellation" && !rules::is_ended(state) { "pendingCancellation" } else { state };
    order.set_state("state", state);
    if rules::is_ended(state) {
        let moment = if state == "cancelled" { "cancellationDate" } else { "completionDate" };
        let now = tx.now.to_string();
        order.body_mut().insert(moment.to_owned(), now.into());
    }
    tx.save(&PRODUCT_ORDER, order)?;
    if rules::is_ended(state) && !rules::is_ended(&was) {
        if was == "pendingCancellation" {
            end_cancellation(tx, order, state)?;
        }
        let (id, revision, tenant) = (order.id.clone(), order.revision, order.tenant);
        tx.fact(Fact::OrderEnded { order: id, revision }, tenant)?;
    }
    Ok(())
}

/// The request to cancel is done where the order was cancelled, else it came too late.
fn end_cancellation(tx: &mut Tx<'_>, order: &Record, state: &str) -> Result<()> {
    let Some(id) = order.body.get("cancelProductOrder").and_then(|link| link.get("id")).and_then(Json::as_str) else {
        return Ok(());
    };
    let mut request = tx.peek(&CANCEL_PRODUCT_ORDER, id)?;
    let now = tx.now.to_string();
    request.body_mut().insert("effectiveCancellationDate".to_owned(), now.into());
    request.set_state("state", if state == "cancelled" { "done" } else { "terminatedWithError" });
    tx.save(&CANCEL_PRODUCT_ORDER, &mut request)
}

/// Marks every item that has not ended as being cancelled; gives the items that
/// nobody has begun, which are cancelled at once.
pub(super) fn begin_cancellation(
    tx: &mut Tx<'_>,
    order: &mut Granted<Record>,
    request: &str,
    reason: Option<&Json>,
) -> Result<()> {
    let items: Vec<Item> = super::types::items(order)?;
    for item in items.iter().filter(|item| !rules::is_ended(&item.state)) {
        set_item(order, &item.id, |json| json["state"] = "pendingCancellation".into())?;
    }
    let body: &mut Map<String, Json> = order.body_mut();
    // What a caller named their extension stays; ours needs a name only where there is none.
    if body.get("@type").and_then(Json::as_str).is_none_or(|name| name == "ProductOrder") {
        body.insert("@type".to_owned(), "CancelledProductOrder".into());
    }
    body.insert("cancelProductOrder".to_owned(), json!({ "id": request, "@referredType": "CancelProductOrder" }));
    if let Some(reason) = reason {
        body.insert("cancellationReason".to_owned(), reason.clone());
    }
    settle(tx, order)
}
