//! A bill with everything that it was computed from, so that another program
//! can compute it again (`tests/billing/rebill.py` does).

use std::collections::BTreeMap;

use base::time::Timestamp;
use gate::{Action, Effect};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;

use super::actions::{BillRef, granted};
use super::types::BillView;
use super::{run, store, views};
use crate::accounts;
use crate::rating::Price;
use crate::usage::{self, Entry};

/// A bill and its sources.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Exported {
    /// The bill as it was issued.
    pub bill: BillView,
    /// The time zone whose months count.
    pub time_zone: String,
    /// Whether the account was exempt from tax.
    pub exempt: bool,
    /// The meters whose usage is on it.
    pub meters: Vec<ExportedMeter>,
    /// The adjustments on it.
    pub adjustments: Vec<ExportedAdjustment>,
}

/// A meter's part of a bill.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportedMeter {
    /// The meter.
    pub meter: String,
    /// The product.
    pub product: String,
    /// The prices, by version of the terms.
    pub prices: BTreeMap<i64, Vec<Price>>,
    /// The entries of the usage ledger that this bill took.
    pub entries: Vec<Entry>,
    /// What earlier bills charged in the same months, for allowances and tiers.
    pub prior: Vec<ExportedPrior>,
}

/// What was charged before.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportedPrior {
    /// The price without its name, as JSON text.
    pub price: String,
    /// The month.
    pub month: String,
    /// How much, as a numerator over the price's unit.
    #[schemars(with = "String")]
    pub numerator: Decimal,
}

/// An adjustment on a bill.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportedAdjustment {
    /// Before tax, in whole units of the currency.
    #[schemars(with = "String")]
    pub amount: Decimal,
    /// The rate of tax, in per cent.
    #[schemars(with = "String")]
    pub tax_percent: Decimal,
    /// When it was made.
    #[schemars(with = "String")]
    pub made_at: Timestamp,
}

/// `bill.export`.
pub static EXPORT: Action<BillRef, Exported> = Action {
    name: "bill.export",
    summary: "Gives a bill with the usage and the prices that it was computed from.",
    effect: Effect::Read,
    run: |tx, input| {
        let bill = granted(tx, EXPORT.name, &input.bill)?;
        let mut by_meter: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
        for (meter, id) in store::entries_on(tx, &bill.id)? {
            by_meter.entry(meter).or_default().extend(usage::entry_of(tx, &id)?);
        }
        let mut meters = Vec::with_capacity(by_meter.len());
        for (id, entries) in by_meter {
            let Some(meter) = usage::meter_by_id(tx, &id)? else { continue };
            let prior = run::prior(tx, &meter, &entries, Some(&bill.id))?;
            meters.push(ExportedMeter {
                meter: id,
                product: meter.product.clone(),
                prices: meter.terms.iter().map(|terms| (terms.version, terms.prices.clone())).collect(),
                entries,
                prior: prior
                    .into_iter()
                    .map(|((price, month), numerator)| ExportedPrior { price, month, numerator })
                    .collect(),
            });
        }
        let adjustments = store::lines_of(tx, &bill.id)?
            .into_iter()
            .filter(|line| line.meter.is_empty())
            .map(|line| ExportedAdjustment {
                amount: line.price.amount,
                tax_percent: line.price.tax_percent,
                made_at: line.from,
            })
            .collect();
        Ok(Exported {
            bill: views::view(tx, &bill)?,
            time_zone: accounts::operator_zone(tx)?,
            exempt: bill.exempt,
            meters,
            adjustments,
        })
    },
};
