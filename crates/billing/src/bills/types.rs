//! The nouns of a bill, as this house's own API shows them.

use std::borrow::Cow;

use base::money::{Currency, Money};
use base::time::Timestamp;
use rust_decimal::Decimal;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};

use crate::rating::{Price, Quantity};
use crate::usage::Unknown;

/// Money as JSON has it: TM Forum's `Money`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount(pub Money);

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.to_tmf().serialize(serializer)
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "required": ["unit", "value"],
            "properties": { "unit": { "type": "string" }, "value": { "type": "number" } },
        })
    }
}

/// A bill with its lines.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BillView {
    /// The bill itself.
    #[serde(flatten)]
    pub bill: BillRow,
    /// Its lines in order.
    pub lines: Vec<BillLine>,
    /// Its taxes, one entry per rate.
    pub taxes: Vec<TaxLine>,
    /// What was not known when it was issued: not on it, and on a later one when it is known.
    pub unknown: Vec<Unknown>,
}

/// A bill without its lines.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BillRow {
    /// Its id, also that of its TMF678 customerBill; empty for a preview.
    pub id: String,
    /// Its number in the operator's sequence, as printed; empty for a preview.
    pub number: String,
    /// `new`, `onHold`, `validated`, `sent`, `partiallyPaid`, `settled`; `preview` for one.
    pub state: String,
    /// The billing account.
    pub account: String,
    /// The account's name.
    pub account_name: String,
    /// Whose it is.
    pub tenant: String,
    /// From when.
    #[schemars(with = "String")]
    pub period_start: Timestamp,
    /// To when.
    #[schemars(with = "String")]
    pub period_end: Timestamp,
    /// When it was issued.
    #[schemars(with = "String")]
    pub issued_at: Timestamp,
    /// When it is due.
    #[schemars(with = "String")]
    pub due_at: Timestamp,
    /// Before tax.
    pub net: Amount,
    /// All taxes.
    pub tax: Amount,
    /// What is owed.
    pub total: Amount,
}

/// A line of a bill.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BillLine {
    /// Its id, also that of its TMF678 appliedCustomerBillingRate; empty for a preview.
    pub id: String,
    /// Its place on the bill, from 1.
    pub position: i64,
    /// The product; empty for an adjustment.
    pub product: String,
    /// What the customer calls the product.
    pub name: String,
    /// What is charged: the price's name, or the reason of an adjustment.
    pub label: String,
    /// What that price was frozen from, a productOfferingPrice; the adjustment, where it is one.
    pub price: String,
    /// `oneTimeCharge`, `recurringCharge`, `usageCharge` or `appliedBillingCredit`.
    pub kind: String,
    /// The calendar month that it counts in, `2026-07`.
    pub month: String,
    /// The earliest use on it.
    #[schemars(with = "String")]
    pub from: Timestamp,
    /// The latest use on it.
    #[schemars(with = "String")]
    pub until: Timestamp,
    /// How much, to six decimals.
    #[schemars(with = "String")]
    pub quantity: Decimal,
    /// Of what: `vCPU-hour`, `month`, `once`.
    pub unit: String,
    /// The amount for one unit, before tax; the first tier's, where there are tiers.
    #[schemars(with = "String")]
    pub rate: Decimal,
    /// What the line adds to the bill, before tax.
    pub amount: Amount,
    /// The rate of tax, in per cent.
    #[schemars(with = "String")]
    pub tax_percent: Decimal,
}

/// The tax on all lines of one rate.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaxLine {
    /// The rate, in per cent.
    #[schemars(with = "String")]
    pub percent: Decimal,
    /// The sum of the lines.
    pub net: Amount,
    /// The tax.
    pub amount: Amount,
}

/// A line before it is issued, with the entries behind it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    pub meter: String,
    pub product: String,
    pub name: String,
    pub kind: &'static str,
    pub price: Price,
    pub month: String,
    pub from: Timestamp,
    pub until: Timestamp,
    pub quantity: Quantity,
    pub amount: Money,
    pub tax_percent: Decimal,
    /// Each entry with how much of it counts here.
    pub entries: Vec<(String, Decimal)>,
    /// The adjustment behind it, where it is one.
    pub adjustment: Option<String>,
}

/// A bill before it is issued.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Draft {
    pub lines: Vec<Line>,
    pub taxes: Vec<(Decimal, Money, Money)>,
    pub net: Money,
    pub tax: Money,
    pub total: Money,
    pub unknown: Vec<Unknown>,
}

/// A credit or debit that waits for the next bill.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Adjustment {
    pub id: String,
    pub amount: Money,
    pub tax_percent: Decimal,
    pub reason: String,
    pub made_at: Timestamp,
}

/// A bill's row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Issued {
    pub id: String,
    pub operator: base::id::TenantId,
    pub number: i64,
    pub account: String,
    pub tenant: base::id::TenantId,
    pub currency: Currency,
    pub period_start: Timestamp,
    pub period_end: Timestamp,
    pub issued_at: Timestamp,
    pub due_at: Timestamp,
    pub net: i64,
    pub tax: i64,
    pub total: i64,
    pub exempt: bool,
    pub taxes: Vec<StoredTax>,
    pub unknown: Vec<Unknown>,
}

/// A tax as it is stored with its bill, in minor units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredTax {
    pub percent: Decimal,
    pub net: i64,
    pub amount: i64,
}

/// The number as it is printed.
pub(crate) fn printed(number: i64) -> String {
    format!("{number:08}")
}
