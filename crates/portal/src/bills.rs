//! Bills, and the usage behind each of their lines.

use crate::i18n::Messages;
use crate::page::{Page, ok};
use crate::records::ROWS;
use crate::ui::Pager;
use crate::visit::{Answer, Signed};
use access::tenants::actions as tenants;
use askama::Template;
use axum::extract::Path;
use base::Error;
use base::money::Money;
use base::time::Timestamp;
use billing::bills as actions;
use std::collections::HashMap;

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
    /// (per cent, amount)
    pub taxes: Vec<(String, Money)>,
    pub total: Money,
    /// What is not on it because it is not known yet, in words.
    pub unknown: Option<String>,
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

// Handlers.

/// `2026年11月1日 – 2026年11月30日`, the last day included.
fn period(p: &Page, start: &Timestamp, end: &Timestamp) -> String {
    let same_day = p.date(start) == p.date(end);
    if same_day {
        return format!("{} – {}", crate::fmt::date_time(*start, p.lang), crate::fmt::time(*end));
    }
    let last = *end - jiff::SignedDuration::from_micros(1);
    format!("{} – {}", p.date(start), p.date(&last))
}

/// A bill as a row of a list.
pub(crate) fn row(p: &Page, bill: &billing::bills::BillRow) -> BillRow {
    BillRow {
        id: bill.id.clone(),
        number: bill.number.clone(),
        period: period(p, &bill.period_start, &bill.period_end),
        customer: bill.account_name.clone(),
        state: bill.state.clone(),
        issued: Some(bill.issued_at),
        total: bill.total.0,
    }
}

/// `GET /bills`
pub(crate) async fn list(s: Signed) -> Answer {
    let p = s.p();
    let before = s.visit.query.get("after").to_owned();
    let beyond = !before.is_empty();
    let input =
        actions::ListInput { before: Some(before).filter(|b| !b.is_empty()), limit: Some(ROWS), ..Default::default() };
    let found = s.call(&actions::LIST, input).await?;
    let bills: Vec<BillRow> = found.bills.iter().map(|bill| row(p, bill)).collect();
    let pager = p.pager("/bills", bills.len(), found.next.as_deref(), beyond);
    Ok(ok(&BillList { p, bills, pager }))
}

/// The unit of a line, in words: `vCPU·hour`, `month`, `once`.
fn unit_words(t: &'static Messages, unit: &str) -> String {
    if unit == "once" { t.billing.once.to_owned() } else { crate::catalog::unit(t, unit) }
}

/// How much, with its unit in words.
pub(crate) fn quantity(t: &'static Messages, line: &billing::bills::BillLine) -> String {
    match line.unit.as_str() {
        "" | "once" => crate::fmt::number(line.quantity),
        unit => format!("{} {}", crate::fmt::number(line.quantity), crate::catalog::unit(t, unit)),
    }
}

/// What a line charges for, in the reader's language.
fn label(names: &HashMap<String, String>, line: &billing::bills::BillLine) -> String {
    names.get(&line.price).unwrap_or(&line.label).clone()
}

fn line(p: &Page, bill: &str, names: &HashMap<String, String>, line: &billing::bills::BillLine) -> BillLine {
    let open = !line.id.is_empty() && line.kind != "appliedBillingCredit";
    BillLine {
        href: open.then(|| format!("/bills/{bill}/lines/{}", line.id)),
        name: label(names, line),
        note: if line.name.is_empty() { line.month.clone() } else { format!("{} · {}", line.name, line.month) },
        quantity: quantity(p.t, line),
        unit_price: format!(
            "{} / {}",
            crate::fmt::price(line.rate, line.amount.0.currency),
            unit_words(p.t, &line.unit)
        ),
        amount: line.amount.0,
    }
}

/// `GET /bills/{id}`
pub(crate) async fn show_bill(s: Signed, Path(id): Path<String>) -> Answer {
    let (p, t) = (s.p(), s.t());
    let view = s.call(&actions::GET, actions::BillRef { bill: id.clone() }).await?;
    let operator = s.portal.gate.operator()?;
    let seller =
        s.call(&tenants::GET, tenants::TenantRef { tenant: operator }).await.map(|o| o.name).unwrap_or_default();
    let seal = match view.bill.state.as_str() {
        "settled" => Some(t.billing.seal_paid),
        "preview" => None,
        _ => Some(t.billing.seal_issued),
    };
    let names = crate::catalog::price_names(&s, view.lines.iter().map(|line| line.price.clone()).collect()).await;
    let taxes = view.taxes.iter().map(|tax| (crate::fmt::number(tax.percent), tax.amount.0)).collect();
    let page = BillPage {
        p,
        number: view.bill.number.clone(),
        seal,
        buyer: view.bill.account_name.clone(),
        buyer_lines: vec![format!("{} {}", t.billing.account, view.bill.account)],
        seller,
        period: period(p, &view.bill.period_start, &view.bill.period_end),
        issued: Some(view.bill.issued_at),
        due: Some(view.bill.due_at),
        lines: view.lines.iter().map(|l| line(p, &id, &names, l)).collect(),
        subtotal: view.bill.net.0,
        taxes,
        total: view.bill.total.0,
        unknown: unknown_words(p, &view.unknown),
    };
    Ok(ok(&page))
}

/// How much is not known, in words; nothing where all is.
pub(crate) fn unknown_words(p: &Page, unknown: &[billing::usage::Unknown]) -> Option<String> {
    let seconds: i64 = unknown.iter().map(|u| u.until.as_second() - u.since.as_second()).sum();
    (!unknown.is_empty()).then(|| p.with(p.t.ordering.usage_unknown, p.span(seconds)))
}

/// `GET /bills/{id}/lines/{line}`
pub(crate) async fn show_line(s: Signed, Path((id, line)): Path<(String, String)>) -> Answer {
    let (p, t) = (s.p(), s.t());
    let after = s.visit.query.get("after").to_owned();
    let beyond = !after.is_empty();
    let input =
        actions::LineUsageInput { line: line.clone(), after: Some(after).filter(|a| !a.is_empty()), limit: Some(100) };
    let found = s.call(&actions::LINE_USAGE, input).await?;
    if found.bill.id != id {
        return Err(Error::not_found("bill_line.not_found", "there is no such line on this bill").into());
    }
    let records: Vec<UsageRow> = found
        .usage
        .iter()
        .map(|item| UsageRow {
            from: item.entry.from,
            until: item.entry.until,
            source: source(&item.entry),
            quantity: match found.line.unit.as_str() {
                "" | "once" => crate::fmt::number(item.quantity),
                unit => format!("{} {}", crate::fmt::number(item.quantity), crate::catalog::unit(t, unit)),
            },
        })
        .collect();
    let base = format!("/bills/{id}/lines/{line}");
    let pager = p.pager(&base, records.len(), found.next.as_deref(), beyond);
    let href = format!("/bills/{id}");
    let names = crate::catalog::price_names(&s, [found.line.price.clone()].into()).await;
    let label = label(&names, &found.line);
    let title = if found.line.name.is_empty() { label } else { format!("{label} · {}", found.line.name) };
    let view = UsagePage {
        p,
        bill_href: &href,
        bill_number: &found.bill.number,
        line_name: title,
        quantity: quantity(t, &found.line),
        unit_price: crate::fmt::price(found.line.rate, found.line.amount.0.currency),
        amount: found.line.amount.0,
        records,
        pager,
    };
    Ok(ok(&view))
}

/// What the usage was counted from: the machine or meter, and which of its lives.
fn source(entry: &billing::usage::Entry) -> String {
    if entry.epoch > 0 { format!("{} · {}", entry.origin, entry.epoch) } else { entry.origin.clone() }
}
