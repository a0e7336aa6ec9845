//! Accepting an order: one transaction that checks it, completes it and freezes its price.

use base::{Error, Result, limits};
use db::Record;
use gate::{Object, Tx};
use serde_json::{Map, Value as Json, json};

use super::types::text;
use crate::catalog::characteristics::{self, Given};
use crate::catalog::{self, Offer, prices};
use crate::{Fact, products};

/// `before_create` of an order.
pub(super) fn accept(tx: &mut Tx<'_>, order: &mut Record) -> Result<()> {
    let Some(Json::Array(items)) = order.body.remove("productOrderItem") else {
        return Err(Error::invalid("attribute.missing", "`productOrderItem` is mandatory").at("productOrderItem"));
    };
    let items = spread(items)?;
    let mut accepted = Vec::with_capacity(items.len());
    for (n, item) in items.into_iter().enumerate() {
        let at = format!("productOrderItem[{n}]");
        accepted.push(one(tx, order, item).map_err(|e| within(e, &at))?);
    }
    let frozen = accepted.iter().filter_map(|item| item.get("itemPrice")?.as_array()).flatten();
    let total = prices::totals(frozen)?;
    if total.is_empty() {
        order.body.remove("orderTotalPrice");
    } else {
        order.body.insert("orderTotalPrice".to_owned(), total.into());
    }
    order.body.insert("productOrderItem".to_owned(), accepted.into());
    order.body.insert("orderDate".to_owned(), tx.now.to_string().into());
    order.body.insert("state".to_owned(), "acknowledged".into());
    order.state = Some("acknowledged".to_owned());
    tx.fact_once_stored(Fact::OrderAccepted { order: order.id.clone(), revision: order.revision }, order.tenant);
    Ok(())
}

/// Puts the item's place before the attribute that an error names.
fn within(error: Error, at: &str) -> Error {
    let place = error.attribute().map_or_else(|| at.to_owned(), |inner| format!("{at}.{inner}"));
    error.at(place)
}

/// Checks ids and numbers; an item for several of a thing becomes several items.
fn spread(items: Vec<Json>) -> Result<Vec<Json>> {
    if items.is_empty() {
        return Err(Error::invalid("order.empty", "an order has at least one item").at("productOrderItem"));
    }
    let mut spread: Vec<Json> = Vec::new();
    for (n, mut item) in items.into_iter().enumerate() {
        let fault = |code: &'static str, message: String, at: &str| {
            Err(Error::invalid(code, message).at(format!("productOrderItem[{n}].{at}")))
        };
        let id = text(&item, "id").to_owned();
        let quantity = item.get("quantity").map_or(Some(1), Json::as_i64).unwrap_or(0);
        if id.is_empty() || id.len() > limits::ORDER_ITEM_ID_MAX {
            return fault(
                "order.item_id",
                format!("an item's id has from 1 to {} bytes", limits::ORDER_ITEM_ID_MAX),
                "id",
            );
        }
        if !(1..=limits::ORDER_QUANTITY_MAX).contains(&quantity) {
            return fault(
                "order.quantity",
                format!("from 1 to {} can be ordered in one item", limits::ORDER_QUANTITY_MAX),
                "quantity",
            );
        }
        if quantity > 1 && text(&item, "action") != "add" {
            return fault("order.quantity", "only what is added can be ordered several times".to_owned(), "quantity");
        }
        item["quantity"] = 1.into();
        for copy in 1..=quantity {
            let mut item = item.clone();
            if copy > 1 {
                item["id"] = format!("{id}.{copy}").into();
                item["productOrderItemRelationship"] = json!([{ "id": id, "relationshipType": "copyOf" }]);
            }
            if spread.iter().any(|other| text(other, "id") == text(&item, "id")) {
                return fault(
                    "order.item_duplicate",
                    format!("there are two items with the id `{}`", text(&item, "id")),
                    "id",
                );
            }
            spread.push(item);
        }
        if spread.len() > limits::ORDER_ITEMS_MAX {
            return fault(
                "order.too_many_items",
                format!("an order has at most {} items, each piece counted", limits::ORDER_ITEMS_MAX),
                "id",
            );
        }
    }
    Ok(spread)
}

fn one(tx: &mut Tx<'_>, order: &Record, mut item: Json) -> Result<Json> {
    if item.get("productOrderItem").and_then(Json::as_array).is_some_and(|inner| !inner.is_empty()) {
        return Err(Error::invalid("order.nested", "items within items are not taken; order each by itself")
            .at("productOrderItem"));
    }
    match text(&item, "action") {
        "add" => add(tx, order, &mut item)?,
        "delete" => end(tx, order, &mut item)?,
        "modify" => {
            return Err(Error::invalid(
                "order.modify_unsupported",
                "a product is not changed by an order yet; order another and end this one",
            )
            .at("action"));
        }
        other => {
            return Err(
                Error::invalid("order.action", format!("there is nothing to do for the action `{other}`")).at("action")
            );
        }
    }
    item["state"] = "acknowledged".into();
    Ok(item)
}

/// An item priced: what the order form shows and what an order freezes.
pub(super) struct Priced {
    pub characteristics: Map<String, Json>,
    pub prices: Vec<Json>,
}

/// Completes the characteristics and freezes the prices that apply to them.
pub(super) fn price(offer: &Offer, chosen: &Map<String, Json>) -> Result<Priced> {
    let characteristics = offer.choices.complete(chosen, Given::ByCustomer)?;
    let applying = offer.prices.iter().filter(|price| price.applies_to(&characteristics));
    let prices = applying.map(|price| price.freeze(&characteristics)).collect::<Result<Vec<Json>>>()?;
    Ok(Priced { characteristics, prices })
}

fn add(tx: &mut Tx<'_>, order: &Record, item: &mut Json) -> Result<()> {
    let id = item.get("productOffering").map(|offering| text(offering, "id").to_owned()).unwrap_or_default();
    if id.is_empty() {
        return Err(Error::invalid("attribute.missing", "an item that adds names its product offering")
            .at("productOffering.id"));
    }
    let mut product = item.get("product").and_then(Json::as_object).cloned().unwrap_or_default();
    if product.contains_key("id") {
        return Err(Error::invalid("order.product_given", "an item that adds makes a product; it cannot name one")
            .at("product.id"));
    }
    let offer = catalog::offer(tx, &id)?;
    let chosen = characteristics::read_list(product.get("productCharacteristic"), "product.productCharacteristic")?;
    let priced = price(&offer, &chosen).map_err(|e| within(e, "product.productCharacteristic"))?;
    let called = |record: &Record| record.body.get("name").cloned().unwrap_or_default();
    let name =
        product.get("name").and_then(Json::as_str).map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
    let name = name.unwrap_or_else(|| called(&offer.offering).as_str().unwrap_or_default().to_owned());
    if name.len() > limits::PRODUCT_NAME_MAX {
        return Err(Error::invalid(
            "product.name_too_long",
            format!("a product's name has at most {} bytes", limits::PRODUCT_NAME_MAX),
        )
        .at("product.name"));
    }
    for by_platform in products::SETTLED.iter().chain(&["status"]) {
        product.remove(*by_platform);
    }
    product.insert("name".to_owned(), name.into());
    product.insert("productCharacteristic".to_owned(), characteristics::write_list(&priced.characteristics));
    product.insert(
        "productSpecification".to_owned(),
        json!({ "id": offer.specification.record.id, "name": called(&offer.specification.record), "@referredType": "ProductSpecification" }),
    );
    item["product"] = product.into();
    item["productOffering"] = json!({ "id": id, "name": called(&offer.offering), "@referredType": "ProductOffering" });
    item["itemTotalPrice"] = prices::totals(&priced.prices)?.into();
    item["itemPrice"] = priced.prices.into();
    if item.get("billingAccount").is_none()
        && let Some(account) = order.body.get("billingAccount")
    {
        item["billingAccount"] = account.clone();
    }
    Ok(())
}

fn end(tx: &mut Tx<'_>, order: &Record, item: &mut Json) -> Result<()> {
    let id = item.get("product").map(|product| text(product, "id").to_owned()).unwrap_or_default();
    if id.is_empty() {
        return Err(Error::invalid("attribute.missing", "an item that deletes names its product").at("product.id"));
    }
    let product = products::begin_end(tx, order.tenant, &id)?;
    // An order like any other by its name; what stands on the product goes with it.
    let object = Object {
        kind: product.kind.clone(),
        id: product.id.clone(),
        tenant: Some(product.tenant),
        revision: product.revision,
    };
    tx.amounts_to("service.terminate", object);
    let keep = |name: &str| product.body.get(name).cloned().unwrap_or_default();
    item["product"] = json!({
        "id": product.id,
        "name": keep("name"),
        "productCharacteristic": keep("productCharacteristic"),
        "productSpecification": keep("productSpecification"),
    });
    item["productOffering"] = keep("productOffering");
    for settled in ["itemPrice", "itemTotalPrice"] {
        item.as_object_mut().map(|item| item.remove(settled));
    }
    Ok(())
}
