//! From quantities to amounts.

use base::money::{Currency, Money};
use base::{Error, Result};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::calendar::{Calendar, Month};
use super::price::{Charge, Cycle, Price};

/// What was used, as far as a price looks at it.
#[derive(Debug, Clone, Copy)]
pub struct Used<'a> {
    /// On what ground it counts.
    pub basis: crate::usage::Basis,
    /// For how long, in microseconds; 0 for what is counted.
    pub micros: i64,
    /// 1, or -1 where it takes back what an earlier entry said.
    pub sign: i64,
    /// How much of each measure there was.
    pub sizes: &'a std::collections::BTreeMap<String, Decimal>,
    /// The calendar month that it lies in.
    pub month: &'a Month,
}

/// A quantity as a fraction, kept in two parts so that sums of it stay exact:
/// a month's thirds of an hour add up to a whole number of hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Quantity {
    /// For example vCPU-microseconds.
    #[schemars(with = "String")]
    pub numerator: Decimal,
    /// How many of these make one unit of the price. Above zero.
    #[schemars(with = "String")]
    pub denominator: Decimal,
}

impl Quantity {
    /// The quantity itself, to six decimals, for people.
    pub fn shown(&self) -> Decimal {
        self.numerator.checked_div(self.denominator).unwrap_or_default().round_dp(6).normalize()
    }

    /// The sum of two quantities of one price in one month.
    ///
    /// # Errors
    /// `Bug` for different units, `Invalid` where the sum is too large.
    pub fn plus(self, other: Quantity) -> Result<Quantity> {
        if self.denominator != other.denominator {
            return Err(Error::bug("rating.units", "quantities of different units cannot be added"));
        }
        Ok(Quantity { numerator: sum(self.numerator, other.numerator)?, ..self })
    }
}

/// How much of what `price` charges for there is in `used`; `None` where the
/// price does not look at such usage.
///
/// # Errors
/// `Invalid` where the quantity is too large.
pub fn quantity(price: &Price, used: &Used<'_>, calendar: &Calendar) -> Result<Option<Quantity>> {
    use crate::usage::Basis;
    let sign = Decimal::from(used.sign);
    let time = Decimal::from(used.micros);
    let (numerator, denominator) = match (&price.charge, used.basis) {
        // The entry names the one-time prices that it stands for.
        (Charge::OneTime, Basis::Once) if used.sizes.contains_key(&price.key) => (sign, Decimal::ONE),
        (Charge::Recurring { cycle, length }, Basis::Held) => {
            (product(sign, time)?, product(cycle_micros(*cycle, used.month, calendar)?, Decimal::from(*length))?)
        }
        (Charge::Usage { measure, time: Some(unit), per }, Basis::Run | Basis::Held) => {
            let Some(size) = used.sizes.get(measure) else { return Ok(None) };
            (product(product(sign, time)?, *size)?, product(Decimal::from(unit.micros()), *per)?)
        }
        (Charge::Usage { measure, time: None, per }, Basis::Count) => {
            let Some(count) = used.sizes.get(measure) else { return Ok(None) };
            (product(sign, *count)?, *per)
        }
        _ => return Ok(None),
    };
    Ok(Some(Quantity { numerator, denominator }))
}

/// The length of the period of a recurring price, in microseconds.
fn cycle_micros(cycle: Cycle, month: &Month, calendar: &Calendar) -> Result<Decimal> {
    let between = |start, end| base::time::micros(end) - base::time::micros(start);
    let micros = match cycle {
        Cycle::Hour => 3_600_000_000,
        Cycle::Day => 86_400_000_000,
        Cycle::Week => 604_800_000_000,
        Cycle::Month => between(month.start, month.end),
        Cycle::Year => {
            let (start, end) = calendar.year(month.start)?;
            between(start, end)
        }
    };
    Ok(Decimal::from(micros))
}

/// What `now` costs where `before` of the same price and month has been charged
/// already. One rounding, here and nowhere else: half away from zero, to the
/// decimals of the price's currency.
///
/// Allowance and tiers count the month's units from its first; charging in two
/// parts therefore costs what charging in one does, but for the rounding.
///
/// # Errors
/// `Invalid` (`money.too_large`) where the amount does not fit.
pub fn charge(price: &Price, before: Decimal, now: Quantity) -> Result<Money> {
    let after = sum(before, now.numerator)?;
    let difference = worth(price, after, now.denominator)?
        .checked_sub(worth(price, before, now.denominator)?)
        .ok_or_else(too_large)?;
    Money::round(difference.checked_div(now.denominator).ok_or_else(too_large)?, price.currency)
}

/// The worth of a month's first `numerator`, times the denominator: no division yet.
fn worth(price: &Price, numerator: Decimal, denominator: Decimal) -> Result<Decimal> {
    let free = product(price.allowance, denominator)?;
    let counted = if price.allowance.is_zero() { numerator } else { (numerator - free).max(Decimal::ZERO) };
    let mut total = Decimal::ZERO;
    let mut rate = price.amount;
    let mut floor: Option<Decimal> = None;
    for tier in &price.tiers {
        let threshold = product(tier.above, denominator)?;
        if counted <= threshold {
            break;
        }
        total = sum(total, product(rate, threshold - floor.unwrap_or_default())?)?;
        (rate, floor) = (tier.amount, Some(threshold));
    }
    sum(total, product(rate, counted - floor.unwrap_or_default())?)
}

/// The tax on the sum of a bill's rounded lines that share a rate, rounded to
/// the currency's decimals.
///
/// Business Tax Act, Article 14: output tax is the sales amount times the rate,
/// a fraction below one dollar counted as four down, five up (四捨五入).
///
/// # Errors
/// `Invalid` where the amount does not fit.
pub fn tax(net: Money, percent: Decimal) -> Result<Money> {
    let exact = product(net.amount(), percent)?.checked_div(Decimal::ONE_HUNDRED).ok_or_else(too_large)?;
    Money::round(exact, net.currency)
}

fn product(a: Decimal, b: Decimal) -> Result<Decimal> {
    a.checked_mul(b).ok_or_else(too_large)
}

fn sum(a: Decimal, b: Decimal) -> Result<Decimal> {
    a.checked_add(b).ok_or_else(too_large)
}

fn too_large() -> Error {
    Error::invalid("money.too_large", "the amount is too large")
}

/// A sum of money that starts at nothing.
pub(crate) fn total(currency: Currency, parts: impl IntoIterator<Item = Money>) -> Result<Money> {
    parts.into_iter().try_fold(Money::zero(currency), Money::plus)
}
