//! Bills and lines as this house's own API shows them.

use base::Result;
use base::money::{Currency, Money};
use db::Conn;

use super::kinds::CUSTOMER_BILL;
use super::store::{self, StoredLine};
use super::types::{Amount, BillLine, BillRow, BillView, Draft, Issued, Line, TaxLine, printed};

/// A bill's row, with what its record and account say.
pub(super) fn row(conn: &mut Conn<'_>, bill: &Issued) -> Result<BillRow> {
    let record = db::records::load(conn, CUSTOMER_BILL.name, &bill.id)?;
    let (state, account_name) = match &record {
        Some(record) => (
            record.state.clone().unwrap_or_default(),
            record.at("billingAccount.name").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned(),
        ),
        None => (String::new(), String::new()),
    };
    let amount = |minor| Amount(Money { minor, currency: bill.currency });
    Ok(BillRow {
        id: bill.id.clone(),
        number: printed(bill.number),
        state,
        account: bill.account.clone(),
        account_name,
        tenant: bill.tenant.to_string(),
        period_start: bill.period_start,
        period_end: bill.period_end,
        issued_at: bill.issued_at,
        due_at: bill.due_at,
        net: amount(bill.net),
        tax: amount(bill.tax),
        total: amount(bill.total),
    })
}

/// A bill with its lines.
pub(super) fn view(conn: &mut Conn<'_>, bill: &Issued) -> Result<BillView> {
    let amount = |minor| Amount(Money { minor, currency: bill.currency });
    Ok(BillView {
        bill: row(conn, bill)?,
        lines: store::lines_of(conn, &bill.id)?.iter().map(|line| stored_line(line, bill.currency)).collect(),
        taxes: bill
            .taxes
            .iter()
            .map(|tax| TaxLine { percent: tax.percent, net: amount(tax.net), amount: amount(tax.amount) })
            .collect(),
        unknown: bill.unknown.clone(),
    })
}

/// A line that was issued.
pub(super) fn stored_line(line: &StoredLine, currency: Currency) -> BillLine {
    BillLine {
        id: line.id.clone(),
        position: line.position,
        product: line.product.clone(),
        name: line.name.clone(),
        label: line.price.name.clone(),
        price: line.price.key.clone(),
        kind: line.kind.clone(),
        month: line.month.clone(),
        from: line.from,
        until: line.until,
        quantity: line.quantity.shown(),
        unit: line.price.unit(),
        rate: line.price.amount,
        amount: Amount(Money { minor: line.amount, currency }),
        tax_percent: line.tax_percent,
    }
}

/// A line that might be issued.
pub(super) fn drafted_line(line: &Line, position: i64) -> BillLine {
    BillLine {
        id: String::new(),
        position,
        product: line.product.clone(),
        name: line.name.clone(),
        label: line.price.name.clone(),
        price: line.price.key.clone(),
        kind: line.kind.to_owned(),
        month: line.month.clone(),
        from: line.from,
        until: line.until,
        quantity: line.quantity.shown(),
        unit: line.price.unit(),
        rate: line.price.amount,
        amount: Amount(line.amount),
        tax_percent: line.tax_percent,
    }
}

/// The lines of a draft.
pub(super) fn drafted_lines(draft: &Draft) -> Vec<BillLine> {
    (1..).zip(&draft.lines).map(|(position, line)| drafted_line(line, position)).collect()
}

/// The taxes of a draft.
pub(super) fn drafted_taxes(draft: &Draft) -> Vec<TaxLine> {
    draft
        .taxes
        .iter()
        .map(|(percent, net, amount)| TaxLine { percent: *percent, net: Amount(*net), amount: Amount(*amount) })
        .collect()
}
