//! What one can do with orders beside their TMF routes.

use base::{Error, Result, limits};
use gate::{Action, Effect, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::acceptance;
use crate::catalog::{self, characteristics, prices};

/// What to price.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PriceInput {
    /// What would be ordered.
    pub items: Vec<PriceItem>,
}

/// One thing to price.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PriceItem {
    /// The product offering's id.
    pub product_offering: String,
    /// The characteristics chosen, by name; defaults hold for the rest.
    #[serde(default)]
    pub characteristics: Map<String, Json>,
    /// How many; 1 unless said otherwise.
    #[serde(default = "one")]
    pub quantity: u32,
}

fn one() -> u32 {
    1
}

/// What an order would cost now. Not an offer: the price counts that is frozen
/// when the order is accepted.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PriceOutput {
    /// Each thing with its prices.
    pub items: Vec<PricedItem>,
    /// The sums, one for each kind and period; usage has none. TMF's `OrderPrice`.
    pub total: Vec<Json>,
}

/// One thing, priced.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PricedItem {
    /// The product offering's id.
    pub product_offering: String,
    /// Its name.
    pub name: String,
    /// All characteristics, defaults filled in.
    pub characteristics: Map<String, Json>,
    /// The prices of one piece. TMF's `OrderPrice`.
    pub prices: Vec<Json>,
    /// The sums of all pieces.
    pub total: Vec<Json>,
}

/// Prices an order without placing it.
pub static ORDER_PRICE: Action<PriceInput, PriceOutput> = Action {
    name: "order.price",
    summary: "Says what an order would cost, with every default filled in, without placing it.",
    effect: Effect::Read,
    run: |tx, input| {
        if input.items.is_empty() || input.items.len() > limits::ORDER_ITEMS_MAX {
            return Err(Error::invalid(
                "order.items",
                format!("from 1 to {} things can be priced at once", limits::ORDER_ITEMS_MAX),
            )
            .at("items"));
        }
        let items = input.items.iter().map(|item| price(tx, item)).collect::<Result<Vec<PricedItem>>>()?;
        let total = prices::totals(items.iter().flat_map(|item| &item.total))?;
        Ok(PriceOutput { items, total })
    },
};

fn price(tx: &mut Tx<'_>, item: &PriceItem) -> Result<PricedItem> {
    if !(1..=limits::ORDER_QUANTITY_MAX).contains(&i64::from(item.quantity)) {
        return Err(Error::invalid(
            "order.quantity",
            format!("from 1 to {} can be ordered in one item", limits::ORDER_QUANTITY_MAX),
        )
        .at("quantity"));
    }
    let offer = catalog::offer(tx, &item.product_offering)?;
    // Characteristics come from a form: a name that is twice in JSON is its last value.
    let given = characteristics::write_list(&item.characteristics);
    let priced = acceptance::price(&offer, &characteristics::read_list(Some(&given), "characteristics")?)?;
    let total = prices::totals((0..item.quantity).flat_map(|_| &priced.prices))?;
    Ok(PricedItem {
        product_offering: item.product_offering.clone(),
        name: offer.offering.body.get("name").and_then(Json::as_str).unwrap_or_default().to_owned(),
        characteristics: priced.characteristics,
        prices: priced.prices,
        total,
    })
}
