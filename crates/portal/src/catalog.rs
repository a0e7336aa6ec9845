//! What is on sale, and the form that orders it.

use crate::page::Page;
use crate::ui::{Field, Summary};
use askama::Template;

/// A price as a card or an order shows it, written out already.
#[derive(Clone, Debug)]
pub(crate) struct PriceLine {
    pub name: String,
    pub amount: String,
    /// `per hour`, `once`; may be empty.
    pub per: String,
    /// The charge's kind in words: one-time, recurring, by usage.
    pub kind: String,
}

/// One offering on sale.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub id: String,
    pub name: String,
    pub category: Option<String>,
    pub description: String,
    pub prices: Vec<PriceLine>,
}

/// The catalog's page.
#[derive(Template)]
#[template(path = "catalog.html")]
pub(crate) struct Catalog<'a> {
    pub p: &'a Page,
    pub offers: Vec<Offer>,
}

/// One line of the price beside the form.
#[derive(Clone, Debug)]
pub(crate) struct ReceiptLine {
    pub name: String,
    /// How it comes about: `2 vCPU × NT$0.5`.
    pub how: String,
    pub amount: String,
    pub per: String,
}

/// The price of the configuration in the form.
#[derive(Clone, Debug, Default)]
pub(crate) struct Receipt {
    pub lines: Vec<ReceiptLine>,
    pub once: Option<String>,
    pub month: Option<String>,
}

/// The order form of one offering.
#[derive(Template)]
#[template(path = "orders/form.html")]
pub(crate) struct OrderForm<'a> {
    pub p: &'a Page,
    pub id: String,
    pub name: String,
    pub description: String,
    /// Makes a repeated press of the button the same order.
    pub once: String,
    pub summary: Summary,
    pub service_name: Field,
    pub fields: Vec<Field>,
    pub receipt: Receipt,
}

/// The price alone, as the script asks for it.
#[derive(Template)]
#[template(path = "orders/receipt.html")]
pub(crate) struct ReceiptView<'a> {
    pub p: &'a Page,
    pub receipt: Receipt,
}
