//! Bills, and the usage behind each of their lines.

use crate::page::Page;
use crate::ui::Pager;
use askama::Template;
use base::money::Money;
use base::time::Timestamp;

/// A bill in a list.
#[derive(Clone, Debug)]
pub(crate) struct BillRow {
    pub id: String,
    pub number: String,
    pub period: String,
    pub customer: String,
    pub state: String,
    pub issued: Option<Timestamp>,
    pub total: Money,
}

/// The list.
#[derive(Template)]
#[template(path = "bills/list.html")]
pub(crate) struct BillList<'a> {
    pub p: &'a Page,
    pub bills: Vec<BillRow>,
    pub pager: Pager,
}

/// A line of a bill.
#[derive(Clone, Debug)]
pub(crate) struct BillLine {
    /// Where the usage behind it is shown.
    pub href: Option<String>,
    pub name: String,
    pub note: String,
    pub quantity: String,
    pub unit_price: String,
    pub amount: Money,
}

/// One bill, as it also leaves the printer.
#[derive(Template)]
#[template(path = "bills/show.html")]
pub(crate) struct BillPage<'a> {
    pub p: &'a Page,
    pub number: String,
    pub seal: Option<&'static str>,
    pub buyer: String,
    pub buyer_lines: Vec<String>,
    pub seller: String,
    pub period: String,
    pub issued: Option<Timestamp>,
    pub due: Option<Timestamp>,
    pub lines: Vec<BillLine>,
    pub subtotal: Money,
    pub tax: Money,
    pub tax_rate: String,
    pub total: Money,
}

/// One usage record.
#[derive(Clone, Debug)]
pub(crate) struct UsageRow {
    pub from: Timestamp,
    pub until: Timestamp,
    pub source: String,
    pub quantity: String,
}

/// The usage behind one line.
#[derive(Template)]
#[template(path = "bills/usage.html")]
pub(crate) struct UsagePage<'a> {
    pub p: &'a Page,
    pub bill_href: &'a str,
    pub bill_number: &'a str,
    pub line_name: String,
    pub quantity: String,
    pub unit_price: String,
    pub amount: Money,
    pub records: Vec<UsageRow>,
    pub pager: Pager,
}
