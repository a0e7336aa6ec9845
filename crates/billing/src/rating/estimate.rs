//! What a month will cost, before anything was used.

use std::collections::BTreeMap;

use base::Result;
use base::money::Money;
use rust_decimal::Decimal;

use super::calendar::Calendar;
use super::price::{Charge, Price, measure};
use super::rules::{Used, charge, quantity};
use crate::usage::Basis;

/// The hours of the month that an estimate is for: 30 days, never stopped.
pub const MONTH_HOURS: i64 = 720;

/// A price, and what it comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Estimate {
    /// How many of its units; `None` for what is charged once or counted as it
    /// comes, which no month can tell in advance.
    pub units: Option<Decimal>,
    /// The unit as a bill says it, `vCPU-hour`.
    pub unit: String,
    /// Its share of the month, before tax.
    pub amount: Option<Money>,
}

/// What each of `prices` comes to in a month of [`MONTH_HOURS`] for something
/// with these characteristics that runs all the time. The same rules rate what
/// was really used, so a month that goes as estimated is billed as estimated.
///
/// # Errors
/// `Invalid` where an amount does not fit.
pub fn month(prices: &[Price], characteristics: &BTreeMap<String, Decimal>) -> Result<Vec<Estimate>> {
    let mut sizes: BTreeMap<String, Decimal> =
        characteristics.iter().map(|(name, size)| (measure(name), *size)).collect();
    sizes.insert("running".to_owned(), Decimal::ONE);
    // Any month of 30 days will do; June is one in every year and zone.
    let calendar = Calendar::of("UTC")?;
    let june = calendar.month(jiff::Timestamp::from_second(MIDSUMMER).unwrap_or_default())?;
    let used = Used { basis: Basis::Held, micros: MONTH_HOURS * 3_600_000_000, sign: 1, sizes: &sizes, month: &june };
    prices
        .iter()
        .map(|price| {
            let units = match price.charge {
                Charge::OneTime => None,
                _ => quantity(price, &used, &calendar)?,
            };
            let amount = units.map(|units| charge(price, Decimal::ZERO, units)).transpose()?;
            Ok(Estimate { units: units.map(|units| units.shown()), unit: price.unit(), amount })
        })
        .collect()
}

/// 21 June 2026.
const MIDSUMMER: i64 = 1_782_000_000;
