//! Prices as the catalog states them, and what they come to for chosen characteristics.
//!
//! | `priceType` | is charged | needs |
//! |---|---|---|
//! | `oneTime` | once, when the service is active | `price` |
//! | `recurring` | for each period, by the second, at its end | `price`, `recurringChargePeriodType` (and `…Length`) |
//! | `usage` | for each unit used | `price`, `unitOfMeasure` such as `{"amount": 1, "units": "vCPU-hour"}` |
//!
//! A price with `prodSpecCharValueUse` holds only where the chosen
//! characteristics have one of the values that it names. With the extension
//! attribute `quantityFrom` it is multiplied by that characteristic: a price
//! per GiB of disk.
//!
//! **Invariants.** Amounts are decimals as they were written, never floats, and
//! not negative. Nothing is rounded here: a bill line rounds once (`billing`).

use base::money::{Currency, decimal, number};
use base::{Error, Result};
use db::Record;
use rust_decimal::Decimal;
use serde_json::{Map, Value as Json, json};

/// When a price is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PriceType {
    /// Once.
    OneTime,
    /// For each period.
    Recurring,
    /// For each unit used.
    Usage,
}

impl PriceType {
    /// TM Forum's word.
    pub fn word(self) -> &'static str {
        match self {
            PriceType::OneTime => "oneTime",
            PriceType::Recurring => "recurring",
            PriceType::Usage => "usage",
        }
    }
}

/// A price of the catalog.
#[derive(Debug, Clone)]
pub struct Price {
    /// The productOfferingPrice.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it is charged.
    pub kind: PriceType,
    /// How much, for `per` units.
    pub amount: Decimal,
    /// In what.
    pub currency: Currency,
    /// How many units the amount is for.
    pub per: Decimal,
    /// What is counted, for example `vCPU-hour`; empty where nothing is.
    pub unit: String,
    /// For recurring prices, for example `month` or `3 month`.
    pub period: String,
    /// Tax on it, in percent, where the catalog says so.
    pub tax_rate: Option<Decimal>,
    applies: Vec<(String, Vec<Json>)>,
    quantity_from: Option<String>,
    extensions: Map<String, Json>,
}

/// Extension attributes that rating reads and a frozen price keeps.
const KEPT: [&str; 2] = ["allowance", "tier"];

/// The periods that recurring prices may have.
pub const PERIODS: [&str; 5] = ["hour", "day", "week", "month", "year"];

impl Price {
    /// Reads and checks a productOfferingPrice.
    ///
    /// # Errors
    /// `Invalid` naming the attribute.
    pub fn read(record: &Record) -> Result<Self> {
        let body = &record.body;
        let word = |name: &str| body.get(name).and_then(Json::as_str).unwrap_or_default();
        let kind = match word("priceType") {
            "oneTime" => PriceType::OneTime,
            "recurring" => PriceType::Recurring,
            "usage" => PriceType::Usage,
            other => {
                return Err(Error::invalid(
                    "price.type",
                    format!("`{other}` is not a kind of price (oneTime, recurring, usage)"),
                )
                .at("priceType"));
            }
        };
        let money = body.get("price").cloned().unwrap_or_default();
        let amount = decimal(money.get("value").unwrap_or(&Json::Null), "price.value")?;
        if amount.is_sign_negative() && !amount.is_zero() {
            return Err(Error::invalid("price.negative", "a price is not negative; a discount is a price alteration")
                .at("price.value"));
        }
        if amount >= Decimal::from(AMOUNT_MAX) {
            return Err(too_large("price.value"));
        }
        let currency = money.get("unit").and_then(Json::as_str).unwrap_or_default();
        let currency = currency.parse::<Currency>().map_err(|e| e.at("price.unit"))?;
        let measure = body.get("unitOfMeasure");
        let per = measure
            .and_then(|m| m.get("amount"))
            .map_or(Ok(Decimal::ONE), |amount| decimal(amount, "unitOfMeasure.amount"))?;
        let unit = measure.and_then(|m| m.get("units")).and_then(Json::as_str).unwrap_or_default().to_owned();
        if per <= Decimal::ZERO {
            return Err(
                Error::invalid("price.unit_amount", "a price is for more than no units").at("unitOfMeasure.amount")
            );
        }
        // What an order freezes is the price of one unit: it must be a number that can be written down.
        if amount.checked_div(per).and_then(|one| one.checked_mul(per)) != Some(amount) {
            return Err(Error::invalid(
                "price.inexact",
                format!(
                    "{amount} for {per} units has no exact price for one unit; state it for another number of units"
                ),
            )
            .at("unitOfMeasure.amount"));
        }
        let quantity_from = body.get("quantityFrom").and_then(Json::as_str).map(str::to_owned);
        // What is frozen is the price of one; thresholds and allowances are kept as they are written.
        if KEPT.iter().any(|name| body.contains_key(*name)) && (per != Decimal::ONE || quantity_from.is_some()) {
            let message = "a price with tiers or an allowance is for one unit, and not multiplied by a characteristic";
            return Err(Error::invalid("price.graded", message).at("unitOfMeasure.amount"));
        }
        if kind == PriceType::Usage && unit.is_empty() {
            return Err(Error::invalid(
                "price.unit_missing",
                "a price by usage says what is counted, for example vCPU-hour",
            )
            .at("unitOfMeasure.units"));
        }
        let taxes = body.get("tax").and_then(Json::as_array).into_iter().flatten().filter_map(|tax| tax.get("taxRate"));
        let tax_rate = taxes
            .map(|rate| decimal(rate, "tax.taxRate"))
            .try_fold(None, |sum: Option<Decimal>, rate| rate.map(|rate| Some(sum.unwrap_or_default() + rate)))?;
        Ok(Price {
            id: record.id.clone(),
            name: word("name").to_owned(),
            period: if kind == PriceType::Recurring { period(body)? } else { String::new() },
            applies: conditions(body.get("prodSpecCharValueUse")),
            extensions: KEPT.iter().filter_map(|name| Some(((*name).to_owned(), body.get(*name)?.clone()))).collect(),
            quantity_from,
            kind,
            amount,
            currency,
            per,
            unit,
            tax_rate,
        })
    }

    /// Whether it is charged for these characteristics.
    pub fn applies_to(&self, chosen: &Map<String, Json>) -> bool {
        self.applies.iter().all(|(name, values)| chosen.get(name).is_some_and(|value| values.contains(value)))
    }

    /// The amount for these characteristics, before rounding and tax.
    ///
    /// # Errors
    /// `Invalid` where the characteristic that it is multiplied by is not a
    /// number, or the product is too large to keep its digits.
    pub fn for_characteristics(&self, chosen: &Map<String, Json>) -> Result<Decimal> {
        let Some(name) = &self.quantity_from else { return Ok(self.amount) };
        let quantity = decimal(chosen.get(name).unwrap_or(&Json::Null), name)?;
        self.amount
            .checked_mul(quantity)
            .filter(|amount| !amount.is_sign_negative() && *amount < Decimal::from(AMOUNT_MAX))
            .ok_or_else(|| too_large(name))
    }

    /// What an order line, and later the product, keeps of it: TMF's `OrderPrice`.
    ///
    /// # Errors
    /// As [`Price::for_characteristics`].
    pub fn freeze(&self, chosen: &Map<String, Json>) -> Result<Json> {
        let amount = self.for_characteristics(chosen)?.checked_div(self.per).unwrap_or_default();
        let mut price = json!({ "dutyFreeAmount": { "unit": self.currency.code(), "value": number(amount) } });
        if let Some(rate) = self.tax_rate {
            price["taxRate"] = number(rate);
        }
        let mut frozen = json!({
            "name": self.name,
            "priceType": self.kind.word(),
            "price": price,
            "productOfferingPrice": { "id": self.id, "name": self.name, "@referredType": "ProductOfferingPrice" },
        });
        if !self.period.is_empty() {
            frozen["recurringChargePeriod"] = self.period.clone().into();
        }
        if !self.unit.is_empty() {
            frozen["unitOfMeasure"] = self.unit.clone().into();
        }
        for (name, value) in &self.extensions {
            frozen["@type"] = "GradedPrice".into();
            frozen[name.as_str()] = value.clone();
        }
        Ok(frozen)
    }
}

/// Beyond this an amount no longer keeps its digits as a JSON number.
const AMOUNT_MAX: i64 = 1_000_000_000_000;

fn too_large(at: &str) -> Error {
    Error::invalid("price.too_large", "the price comes to more than can be billed").at(at.to_owned())
}

fn period(body: &Map<String, Json>) -> Result<String> {
    let word = body.get("recurringChargePeriodType").and_then(Json::as_str).unwrap_or_default().to_ascii_lowercase();
    let word = word
        .strip_suffix("ly")
        .map_or_else(|| word.clone(), |stem| if stem == "dai" { "day".to_owned() } else { stem.to_owned() });
    if !PERIODS.contains(&word.as_str()) {
        return Err(Error::invalid("price.period", format!("a recurring price is for one of {}", PERIODS.join(", ")))
            .at("recurringChargePeriodType"));
    }
    match body.get("recurringChargePeriodLength").map_or(Some(1), Json::as_i64) {
        Some(1) => Ok(word),
        Some(length @ 2..=120) => Ok(format!("{length} {word}")),
        _ => Err(Error::invalid("price.period", "a period is from 1 to 120 long").at("recurringChargePeriodLength")),
    }
}

fn conditions(uses: Option<&Json>) -> Vec<(String, Vec<Json>)> {
    let values = |entry: &Json| -> Vec<Json> {
        let list = entry.get("productSpecCharacteristicValue").and_then(Json::as_array);
        list.into_iter().flatten().filter_map(|allowed| allowed.get("value").cloned()).collect()
    };
    let entries = uses.and_then(Json::as_array).into_iter().flatten();
    entries.filter_map(|entry| Some((entry.get("name")?.as_str()?.to_owned(), values(entry)))).collect()
}

/// Sums of frozen prices, one entry for each kind and period that is not by usage.
///
/// # Errors
/// `Invalid` for two currencies in one sum, or a sum that is too large.
pub fn totals<'j>(frozen: impl IntoIterator<Item = &'j Json>) -> Result<Vec<Json>> {
    let mut sums: Vec<(String, String, String, Decimal)> = Vec::new();
    for price in frozen {
        let word = |name: &str| price.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
        let (kind, period) = (word("priceType"), word("recurringChargePeriod"));
        let money = price.get("price").and_then(|p| p.get("dutyFreeAmount")).cloned().unwrap_or_default();
        let currency = money.get("unit").and_then(Json::as_str).unwrap_or_default().to_owned();
        if kind == PriceType::Usage.word() {
            continue;
        }
        let amount = decimal(money.get("value").unwrap_or(&Json::Null), "price.dutyFreeAmount.value")?;
        match sums.iter_mut().find(|sum| sum.0 == kind && sum.1 == period) {
            Some(sum) if sum.2 != currency => {
                return Err(Error::invalid(
                    "price.currencies",
                    format!("one order cannot be priced in both {} and {currency}", sum.2),
                ));
            }
            Some(sum) => {
                sum.3 = sum
                    .3
                    .checked_add(amount)
                    .filter(|s| *s < Decimal::from(AMOUNT_MAX))
                    .ok_or_else(|| Error::invalid("price.too_large", "the sum is too large to be billed"))?
            }
            None => sums.push((kind, period, currency, amount)),
        }
    }
    let line = |(kind, period, currency, amount): (String, String, String, Decimal)| {
        let mut line =
            json!({ "priceType": kind, "price": { "dutyFreeAmount": { "unit": currency, "value": number(amount) } } });
        if !period.is_empty() {
            line["recurringChargePeriod"] = period.into();
        }
        line
    };
    Ok(sums.into_iter().map(line).collect())
}
