//! Making a bill: settle, take, rate, add up, number, issue. One transaction.

use std::collections::BTreeSet;

use base::time::Timestamp;
use base::{Error, Result};
use db::{Conn, Record};
use gate::Tx;
use rust_decimal::Decimal;

use super::kinds::{APPLIED_CUSTOMER_BILLING_RATE, CUSTOMER_BILL, bill_body, line_body};
use super::rules::{self, Prior};
use super::store;
use super::types::{Draft, Issued, StoredTax};
use crate::Fact;
use crate::accounts::{self, Account, BILLING_ACCOUNT};
use crate::rating::Calendar;
use crate::usage::{self, Entry, Meter};

/// Bills one account up to `until`. Gives the bill's id; `None` where there is
/// nothing to bill. The same call again gives the same bill.
///
/// # Errors
/// `Invalid` (`bill.future`) for an instant that has not come, `Conflict`
/// (`bill.period_closed`) where the account has been billed beyond it.
pub fn run_account(tx: &mut Tx<'_>, account: &str, until: Timestamp) -> Result<Option<String>> {
    let record = tx.peek(&BILLING_ACCOUNT, account)?.into_inner();
    let account = accounts::by_id(tx, account)?;
    if until > tx.now {
        return Err(Error::invalid("bill.future", "what has not happened cannot be billed").at("periodEnd"));
    }
    if let Some(bill) = store::of_period(tx, &account.id, until)? {
        return Ok(Some(bill.id));
    }
    let billed = store::billed_until(tx, &account.id)?;
    if let Some(billed) = billed.filter(|billed| *billed > until) {
        let message =
            format!("this account has been billed up to {billed}; what became known since goes on the next bill");
        return Err(Error::conflict("bill.period_closed", message).at("periodEnd"));
    }
    let calendar = accounts::calendar(tx)?;
    let meters = usage::meters_of(tx, &account.id)?;
    for meter in meters.iter().filter(|meter| meter.ended.is_none()) {
        usage::settle(tx, meter, until, &calendar)?;
    }
    let mut waiting = Vec::with_capacity(meters.len());
    for meter in meters {
        let entries = usage::unbilled(tx, &meter.id, until)?;
        waiting.push((meter, entries));
    }
    let start = billed.unwrap_or(account.opened).min(until);
    // A bill that ends with a month is the month's; any other was asked for in between.
    let month = calendar.month(until)?;
    let next = (month.start == until).then_some(month.end);
    let exempt = accounts::is_exempt(&record, until);
    let period = Period { start, end: until, next, exempt };
    let draft = draft(tx, &account, &waiting, &period, &calendar)?;
    let bill = match draft.lines.is_empty() {
        true => None,
        false => Some(issue(tx, &account, &record, period, draft, &waiting)?),
    };
    usage::rest(tx, &account.id)?;
    Ok(bill)
}

/// What a bill would hold: the entries given, and the account's open adjustments.
pub(super) fn draft(
    conn: &mut Conn<'_>,
    account: &Account,
    waiting: &[(Meter, Vec<Entry>)],
    period: &Period,
    calendar: &Calendar,
) -> Result<Draft> {
    let (mut lines, mut unknown) = (Vec::new(), Vec::new());
    for (meter, entries) in waiting {
        let prior = prior(conn, meter, entries, None)?;
        lines.extend(rules::lines(meter, entries, calendar, &prior)?);
        unknown.extend(usage::unknown(conn, meter, period.start, period.end)?);
    }
    for open in store::open_adjustments(conn, &account.id, account.currency, period.end)? {
        lines.push(rules::adjustment(&open, &calendar.month(open.made_at)?.label));
    }
    rules::add_up(lines, account.currency, period.exempt, unknown)
}

/// What was charged before in the months that these entries count in. Only
/// prices with an allowance or tiers look at it.
pub(super) fn prior(conn: &mut Conn<'_>, meter: &Meter, entries: &[Entry], before_bill: Option<&str>) -> Result<Prior> {
    let stepped = |price: &crate::rating::Price| price.allowance > Decimal::ZERO || !price.tiers.is_empty();
    if !meter.terms.iter().flat_map(|terms| &terms.prices).any(stepped) {
        return Ok(Prior::new());
    }
    let months: BTreeSet<&str> = entries.iter().map(|entry| entry.month.as_str()).collect();
    let months: Vec<&str> = months.into_iter().collect();
    store::prior(conn, &meter.id, &months, before_bill)
}

/// From when to when, and what else the account decides.
pub(super) struct Period {
    pub start: Timestamp,
    pub end: Timestamp,
    /// When the next bill comes, for one that ends with a month.
    pub next: Option<Timestamp>,
    pub exempt: bool,
}

fn issue(
    tx: &mut Tx<'_>,
    account: &Account,
    record: &Record,
    period: Period,
    draft: Draft,
    waiting: &[(Meter, Vec<Entry>)],
) -> Result<String> {
    let operator = tx.operator()?;
    let days = accounts::payment_days(record);
    let due_us = base::time::micros(tx.now) + days * 86_400_000_000;
    let bill = Issued {
        id: tx.ids().text(CUSTOMER_BILL.prefix, tx.now),
        operator,
        number: store::next_number(tx, operator)?,
        account: account.id.clone(),
        tenant: account.tenant,
        currency: account.currency,
        period_start: period.start,
        period_end: period.end,
        issued_at: tx.now,
        due_at: base::time::from_micros(due_us)?,
        net: draft.net.minor,
        tax: draft.tax.minor,
        total: draft.total.minor,
        exempt: period.exempt,
        taxes: draft
            .taxes
            .iter()
            .map(|(percent, net, amount)| StoredTax { percent: *percent, net: net.minor, amount: amount.minor })
            .collect(),
        unknown: draft.unknown.clone(),
    };
    store::insert(tx, &bill)?;
    let shown = Record {
        id: bill.id.clone(),
        tenant: account.tenant,
        ..CUSTOMER_BILL.draft(tx, bill_body(&bill, record, period.next.is_some(), period.next))
    };
    tx.insert(&CUSTOMER_BILL, shown)?;
    for (position, line) in draft.lines.iter().enumerate() {
        let body = line_body(&bill, line, &account.name);
        let shown = Record { tenant: account.tenant, ..APPLIED_CUSTOMER_BILLING_RATE.draft(tx, body) };
        store::insert_line(tx, &bill.id, &shown.id, i64::try_from(position).unwrap_or(i64::MAX) + 1, line)?;
        if let Some(adjustment) = &line.adjustment {
            store::bind_adjustment(tx, &bill.id, adjustment)?;
        }
        tx.insert(&APPLIED_CUSTOMER_BILLING_RATE, shown)?;
    }
    let entries: Vec<&Entry> = waiting.iter().flat_map(|(_, entries)| entries).collect();
    for entry in &entries {
        store::bind(tx, &bill.id, &entry.id)?;
    }
    usage::bill_records(tx, &entries)?;
    accounts::post(tx, operator, account, &bill.id, draft.net, draft.tax)?;
    tx.fact(Fact::BillIssued { bill: bill.id.clone(), revision: 1 }, account.tenant)?;
    Ok(bill.id)
}
