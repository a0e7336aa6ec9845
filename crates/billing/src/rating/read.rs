//! Reading prices out of TM Forum documents: a productOfferingPrice (TMF620),
//! or an orderPrice or productPrice frozen from one (TMF622, TMF637).

use std::str::FromStr as _;

use base::money::{Currency, decimal};
use base::{Error, Result};
use rust_decimal::Decimal;
use serde_json::Value as Json;

use super::price::{Charge, Cycle, Price, Tier, TimeUnit, measure};

/// Reads a list of price documents.
///
/// # Errors
/// `Invalid` naming the attribute that makes no price.
pub fn prices(documents: &[Json]) -> Result<Vec<Price>> {
    documents.iter().enumerate().map(|(n, document)| price(document, &format!("[{n}]"))).collect()
}

fn price(document: &Json, at: &str) -> Result<Price> {
    let text = |path: &str| document.pointer(path).and_then(Json::as_str);
    let name = text("/name").or_else(|| text("/productOfferingPrice/name")).unwrap_or_default();
    let key = text("/productOfferingPrice/id").or_else(|| text("/id")).unwrap_or(name);
    let money = ["/price/dutyFreeAmount", "/price"]
        .iter()
        .filter_map(|path| document.pointer(path))
        .find(|money| money.get("value").is_some())
        .ok_or_else(|| {
            Error::invalid("price.amount_missing", "a price needs an amount before tax").at(format!("{at}.price"))
        })?;
    let currency = money.get("unit").and_then(Json::as_str).unwrap_or("TWD");
    Ok(Price {
        key: key.to_owned(),
        name: if name.is_empty() { key.to_owned() } else { name.to_owned() },
        charge: charge(document, at)?,
        amount: number(money, "value", &format!("{at}.price.value"))?.unwrap_or_default(),
        currency: Currency::from_str(currency).map_err(|e| e.at(format!("{at}.price.unit")))?,
        tax_percent: tax_percent(document, at)?,
        allowance: quantity(document, "allowance", at)?.unwrap_or_default(),
        tiers: tiers(document, at)?,
    })
}

fn charge(document: &Json, at: &str) -> Result<Charge> {
    let word = document.get("priceType").and_then(Json::as_str).unwrap_or("oneTime");
    let bare: String = word.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    match bare.as_str() {
        "onetime" | "onetimecharge" => Ok(Charge::OneTime),
        "recurring" | "recurringcharge" => recurring(document, at),
        "usage" | "usagecharge" => usage(document, at),
        _ => Err(Error::invalid("price.type_unknown", format!("`{word}` is not oneTime, recurring or usage"))
            .at(format!("{at}.priceType"))),
    }
}

/// `recurringChargePeriod: "1 month"`, or TMF620's period type and length.
fn recurring(document: &Json, at: &str) -> Result<Charge> {
    let period = ["recurringChargePeriod", "recurringChargePeriodType"]
        .iter()
        .find_map(|name| document.get(*name)?.as_str())
        .unwrap_or("month");
    let mut words = period.split_whitespace();
    let (first, second) = (words.next().unwrap_or_default(), words.next());
    let (length, cycle) = match second {
        Some(unit) => (first.parse().ok(), unit),
        None => (
            document
                .get("recurringChargePeriodLength")
                .and_then(Json::as_u64)
                .map_or(Some(1), |n| u32::try_from(n).ok()),
            first,
        ),
    };
    let cycle = cycle.to_ascii_lowercase();
    match (Cycle::read(&cycle).or_else(|| Cycle::read(cycle.trim_end_matches('s'))), length) {
        (Some(cycle), Some(length)) => Ok(Charge::Recurring { cycle, length: length.max(1) }),
        _ => Err(Error::invalid(
            "price.period_unknown",
            format!("`{period}` is not a period of hours, days, weeks, months or years"),
        )
        .at(format!("{at}.recurringChargePeriod"))),
    }
}

/// `unitOfMeasure: "vCPU-hour"`, or TMF620's `{amount, units}`.
fn usage(document: &Json, at: &str) -> Result<Charge> {
    let at = format!("{at}.unitOfMeasure");
    let given = document.get("unitOfMeasure");
    let (units, per) = match given {
        Some(Json::String(units)) => (units.as_str(), Decimal::ONE),
        Some(of @ Json::Object(_)) => (
            of.get("units").and_then(Json::as_str).unwrap_or_default(),
            number(of, "amount", &at)?.unwrap_or(Decimal::ONE),
        ),
        _ => ("", Decimal::ONE),
    };
    if units.is_empty() || per <= Decimal::ZERO {
        return Err(Error::invalid("price.unit_missing", "a usage price needs its unit, for example vCPU-hour").at(at));
    }
    let (what, last) = units.rsplit_once(['-', '·', '*', ' ', '_']).unwrap_or(("", units));
    match TimeUnit::read(&last.to_ascii_lowercase()) {
        Some(time) => Ok(Charge::Usage { measure: measure(what), time: Some(time), per }),
        None => Ok(Charge::Usage { measure: measure(units), time: None, per }),
    }
}

fn tax_percent(document: &Json, at: &str) -> Result<Decimal> {
    let at = format!("{at}.taxRate");
    let frozen = document.pointer("/price").filter(|price| price.get("taxRate").is_some());
    let offered = document.pointer("/tax/0").filter(|tax| tax.get("taxRate").is_some());
    let percent = match frozen.or(offered) {
        Some(holder) => number(holder, "taxRate", &at)?.unwrap_or(super::BUSINESS_TAX_PERCENT),
        None => super::BUSINESS_TAX_PERCENT,
    };
    if percent < Decimal::ZERO || percent > Decimal::ONE_HUNDRED {
        return Err(Error::invalid("price.tax_rate", "a tax rate is given in per cent, from 0 to 100").at(at));
    }
    Ok(percent)
}

fn tiers(document: &Json, at: &str) -> Result<Vec<Tier>> {
    let at = format!("{at}.tier");
    let Some(listed) = document.get("tier").and_then(Json::as_array) else { return Ok(Vec::new()) };
    let mut tiers = Vec::with_capacity(listed.len());
    for tier in listed {
        let amount = match tier.get("price") {
            Some(price) => number(price, "value", &at)?,
            None => number(tier, "amount", &at)?,
        };
        let (Some(above), Some(amount)) = (number(tier, "above", &at)?, amount) else {
            return Err(Error::invalid("price.tier", "a tier needs `above` and an amount").at(at));
        };
        tiers.push(Tier { above, amount });
    }
    if tiers.iter().any(|tier| tier.above < Decimal::ZERO)
        || tiers.windows(2).any(|pair| pair[0].above >= pair[1].above)
    {
        return Err(Error::invalid("price.tier", "tiers begin at zero or later and rise").at(at));
    }
    Ok(tiers)
}

/// A number, or TM Forum's `Quantity`.
fn quantity(document: &Json, name: &str, at: &str) -> Result<Option<Decimal>> {
    let at = format!("{at}.{name}");
    let found = match document.get(name) {
        Some(of @ Json::Object(_)) => number(of, "amount", &at)?,
        _ => number(document, name, &at)?,
    };
    match found {
        Some(below) if below < Decimal::ZERO => {
            Err(Error::invalid("price.allowance", "an allowance is not negative").at(at))
        }
        other => Ok(other),
    }
}

fn number(holder: &Json, name: &str, at: &str) -> Result<Option<Decimal>> {
    match holder.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(json) => decimal(json, at).map(Some),
    }
}
