//! From ledger entries to the lines and sums of a bill. Pure.

use std::collections::BTreeMap;

use base::Result;
use base::money::{Currency, Money};
use rust_decimal::Decimal;

use super::types::{Adjustment, Draft, Line};
use crate::rating::{self, Calendar, Charge, Month, Price};
use crate::usage::{Entry, Meter, Unknown};

/// What was charged before of a price in a month, by (price identity, month).
pub(crate) type Prior = BTreeMap<(String, String), Decimal>;

/// The lines that a meter's entries make: one per rate and calendar month.
/// What adds up to nothing (usage that was taken back before it was billed) makes none.
pub(crate) fn lines(meter: &Meter, entries: &[Entry], calendar: &Calendar, prior: &Prior) -> Result<Vec<Line>> {
    let mut months: BTreeMap<&str, Month> = BTreeMap::new();
    let mut groups: BTreeMap<(String, usize, String), Line> = BTreeMap::new();
    for entry in entries {
        let month = match months.get(entry.month.as_str()) {
            Some(month) => month.clone(),
            None => calendar.labelled(&entry.month)?,
        };
        months.insert(&entry.month, month.clone());
        let Some(terms) = meter.terms_of(entry.version) else { continue };
        for price in &terms.prices {
            let Some(quantity) = rating::quantity(price, &entry.used(&month), calendar)? else { continue };
            let share = (entry.id.clone(), quantity.numerator);
            match groups.entry((entry.month.clone(), rank(price), price.identity())) {
                std::collections::btree_map::Entry::Vacant(place) => {
                    place.insert(Line {
                        meter: meter.id.clone(),
                        product: meter.product.clone(),
                        name: meter.name.clone(),
                        kind: price.kind(),
                        price: price.clone(),
                        month: entry.month.clone(),
                        from: entry.from,
                        until: entry.until,
                        quantity,
                        amount: Money::zero(price.currency),
                        tax_percent: price.tax_percent,
                        entries: vec![share],
                        adjustment: None,
                    });
                }
                std::collections::btree_map::Entry::Occupied(mut place) => {
                    let line = place.get_mut();
                    line.quantity = line.quantity.plus(quantity)?;
                    line.from = line.from.min(entry.from);
                    line.until = line.until.max(entry.until);
                    line.entries.push(share);
                }
            }
        }
    }
    let mut lines = Vec::with_capacity(groups.len());
    for ((month, _, identity), mut line) in groups {
        if line.quantity.numerator.is_zero() {
            continue;
        }
        let before = prior.get(&(identity, month)).copied().unwrap_or_default();
        line.amount = rating::charge(&line.price, before, line.quantity)?;
        lines.push(line);
    }
    Ok(lines)
}

/// One-time charges first, then recurring, then usage.
fn rank(price: &Price) -> usize {
    match price.charge {
        Charge::OneTime => 0,
        Charge::Recurring { .. } => 1,
        Charge::Usage { .. } => 2,
    }
}

/// The line of an adjustment.
pub(crate) fn adjustment(adjustment: &Adjustment, month: &str) -> Line {
    let price = Price {
        key: adjustment.id.clone(),
        name: adjustment.reason.clone(),
        charge: Charge::OneTime,
        amount: adjustment.amount.amount(),
        currency: adjustment.amount.currency,
        tax_percent: adjustment.tax_percent,
        allowance: Decimal::ZERO,
        tiers: Vec::new(),
    };
    Line {
        meter: String::new(),
        product: String::new(),
        name: String::new(),
        kind: if adjustment.amount.minor < 0 { "appliedBillingCredit" } else { "oneTimeCharge" },
        price,
        month: month.to_owned(),
        from: adjustment.made_at,
        until: adjustment.made_at,
        quantity: rating::Quantity { numerator: Decimal::ONE, denominator: Decimal::ONE },
        amount: adjustment.amount,
        tax_percent: adjustment.tax_percent,
        entries: Vec::new(),
        adjustment: Some(adjustment.id.clone()),
    }
}

/// Adds lines up: tax on the sum of each rate, and the total of it all.
///
/// # Panics
/// Where the parts do not make the whole; such a bill must not be issued.
pub(crate) fn add_up(mut lines: Vec<Line>, currency: Currency, exempt: bool, unknown: Vec<Unknown>) -> Result<Draft> {
    let mut rates: BTreeMap<Decimal, Money> = BTreeMap::new();
    for line in &mut lines {
        if exempt {
            line.tax_percent = Decimal::ZERO;
        }
        let sum = rates.entry(line.tax_percent.normalize()).or_insert(Money::zero(currency));
        *sum = sum.plus(line.amount)?;
    }
    let mut taxes = Vec::with_capacity(rates.len());
    for (percent, net) in rates {
        taxes.push((percent, net, rating::tax(net, percent)?));
    }
    let net = rating::total(currency, lines.iter().map(|line| line.amount))?;
    let tax = rating::total(currency, taxes.iter().map(|(_, _, amount)| *amount))?;
    let total = net.plus(tax)?;
    assert_eq!(
        rating::total(currency, taxes.iter().map(|(_, net, _)| *net))?,
        net,
        "the sums by rate of tax are not the sum of the lines"
    );
    Ok(Draft { lines, taxes, net, tax, total, unknown })
}
