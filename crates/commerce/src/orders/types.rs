//! An order's items, read where rules look at them.

use base::{Error, Result};
use db::Record;
use serde_json::{Map, Value as Json};

use crate::catalog::characteristics;

/// What is to happen to a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ItemAction {
    /// A new product.
    Add,
    /// The end of a product.
    Delete,
}

/// One item of an accepted order.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Its id within the order.
    pub id: String,
    /// What is to happen.
    pub action: ItemAction,
    /// Its state.
    pub state: String,
    /// The product: what is to end, or what came of an added item.
    pub product: Option<String>,
    /// What people call it.
    pub name: String,
    /// The offering.
    pub offering: String,
    /// The product specification.
    pub specification: String,
    /// The characteristics, completed.
    pub characteristics: Map<String, Json>,
}

/// Reads an accepted order's items.
///
/// # Errors
/// `Bug` where the record is no accepted order.
pub fn items(order: &Record) -> Result<Vec<Item>> {
    raw(order)?.iter().map(item).collect()
}

/// Reads one item.
///
/// # Errors
/// `NotFound` (`order.item_absent`).
pub fn find(order: &Record, id: &str) -> Result<Item> {
    let found = raw(order)?.iter().find(|json| text(json, "id") == id);
    item(found.ok_or_else(|| Error::not_found("order.item_absent", format!("order {} has no item {id}", order.id)))?)
}

/// The items as they are stored.
pub(super) fn raw(order: &Record) -> Result<&Vec<Json>> {
    order
        .body
        .get("productOrderItem")
        .and_then(Json::as_array)
        .ok_or_else(|| Error::bug("order.items", format!("order {} has no items", order.id)))
}

fn item(json: &Json) -> Result<Item> {
    let action = match text(json, "action") {
        "add" => ItemAction::Add,
        "delete" => ItemAction::Delete,
        other => {
            return Err(Error::bug("order.action", format!("an accepted order has an item with the action `{other}`")));
        }
    };
    let product = json.get("product").cloned().unwrap_or_default();
    let inner = |name: &str| product.get(name).map(|part| text(part, "id").to_owned()).unwrap_or_default();
    Ok(Item {
        id: text(json, "id").to_owned(),
        action,
        state: text(json, "state").to_owned(),
        product: product.get("id").and_then(Json::as_str).map(str::to_owned),
        name: text(&product, "name").to_owned(),
        offering: json.get("productOffering").map(|part| text(part, "id").to_owned()).unwrap_or_default(),
        specification: inner("productSpecification"),
        characteristics: characteristics::read_list(product.get("productCharacteristic"), "productCharacteristic")?,
    })
}

pub(super) fn text<'j>(json: &'j Json, name: &str) -> &'j str {
    json.get(name).and_then(Json::as_str).unwrap_or_default()
}
