//! Every SQL statement about bills.

use std::collections::BTreeMap;

use base::id::TenantId;
use base::money::{Currency, Money};
use base::time::Timestamp;
use base::{Error, Result};
use db::records::Scope;
use db::{Conn, Row, Value, args};
use rust_decimal::Decimal;

use super::actions::ListInput;
use super::rules::Prior;
use super::types::{Adjustment, Issued, Line};
use crate::rating::{Price, Quantity};

fn json<T: serde::de::DeserializeOwned>(row: &Row, column: usize) -> Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text)
        .map_err(|e| Error::bug("billing.damaged", "a stored value does not read as expected").because(e))
}

fn text<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::bug("billing.json", "a value cannot be written as JSON").because(e))
}

fn exact(row: &Row, column: usize) -> Result<Decimal> {
    let text: String = row.get(column)?;
    text.parse().map_err(|_| Error::bug("billing.damaged", "a stored decimal does not read as one"))
}

const BILL: &str = "SELECT id, operator, number, account, tenant, currency, period_start, period_end, issued_at, due_at, net, tax, total, exempt, taxes, unknown FROM bills";

fn bill(row: &Row) -> Result<Issued> {
    let currency: String = row.get(5)?;
    Ok(Issued {
        id: row.get(0)?,
        operator: row.get(1)?,
        number: row.get(2)?,
        account: row.get(3)?,
        tenant: row.get(4)?,
        currency: currency.parse()?,
        period_start: row.get(6)?,
        period_end: row.get(7)?,
        issued_at: row.get(8)?,
        due_at: row.get(9)?,
        net: row.get(10)?,
        tax: row.get(11)?,
        total: row.get(12)?,
        exempt: row.get(13)?,
        taxes: json(row, 14)?,
        unknown: json(row, 15)?,
    })
}

/// The bill of that id.
pub(super) fn by_id(conn: &mut Conn<'_>, id: &str) -> Result<Option<Issued>> {
    conn.query_opt(&format!("{BILL} WHERE id = $1"), args![id], bill)
}

/// The account's bill up to exactly that instant.
pub(super) fn of_period(conn: &mut Conn<'_>, account: &str, end: Timestamp) -> Result<Option<Issued>> {
    conn.query_opt(&format!("{BILL} WHERE account = $1 AND period_end = $2"), args![account, end], bill)
}

/// Up to when the account has been billed.
pub(super) fn billed_until(conn: &mut Conn<'_>, account: &str) -> Result<Option<Timestamp>> {
    conn.query_one("SELECT MAX(period_end) FROM bills WHERE account = $1", args![account], |row| row.get(0))
}

/// Bills, the newest first, before the one called `before`: those that
/// `operator` issued, or those of the tenants in sight; of one account only, where named.
pub(super) fn list(
    conn: &mut Conn<'_>,
    issuer: Option<TenantId>,
    scope: &Scope,
    asked: &ListInput,
    limit: u32,
) -> Result<Vec<Issued>> {
    let mut sql = format!("{BILL} WHERE 1 = 1");
    let mut values: Vec<Value<'static>> = Vec::new();
    let mut place = |value: Value<'static>| {
        values.push(value);
        format!("${}", values.len())
    };
    match (issuer, scope) {
        (Some(operator), _) => sql.push_str(&format!(" AND operator = {}", place(owned(operator)))),
        (None, Scope::All) => {}
        (None, Scope::Tenants { own, .. }) if own.is_empty() => return Ok(Vec::new()),
        (None, Scope::Tenants { own, .. }) => {
            let places: Vec<String> = own.iter().map(|tenant| place(owned(*tenant))).collect();
            sql.push_str(&format!(" AND tenant IN ({})", places.join(", ")));
        }
    }
    if let Some(tenant) = asked.tenant {
        sql.push_str(&format!(" AND tenant = {}", place(owned(tenant))));
    }
    if let Some(account) = &asked.account {
        sql.push_str(&format!(" AND account = {}", place(Value::Text(account.clone().into()))));
    }
    if let Some(before) = &asked.before {
        sql.push_str(&format!(" AND id < {}", place(Value::Text(before.clone().into()))));
    }
    sql.push_str(&format!(" ORDER BY id DESC LIMIT {limit}"));
    conn.query(&sql, &values, bill)
}

fn owned(tenant: TenantId) -> Value<'static> {
    Value::Text(tenant.to_string().into())
}

/// The next number of the operator's sequence.
pub(super) fn next_number(conn: &mut Conn<'_>, operator: TenantId) -> Result<i64> {
    conn.query_one(
        "INSERT INTO bill_numbers (operator, last) VALUES ($1, 1)
         ON CONFLICT (operator) DO UPDATE SET last = bill_numbers.last + 1 RETURNING last",
        args![operator],
        |row| row.get(0),
    )
}

/// Writes a bill.
pub(super) fn insert(conn: &mut Conn<'_>, new: &Issued) -> Result<()> {
    conn.execute(
        "INSERT INTO bills (id, operator, number, account, tenant, currency, period_start, period_end, issued_at, due_at, net, tax, total, exempt, taxes, unknown)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        args![
            new.id,
            new.operator,
            new.number,
            new.account,
            new.tenant,
            new.currency.code(),
            new.period_start,
            new.period_end,
            new.issued_at,
            new.due_at,
            new.net,
            new.tax,
            new.total,
            new.exempt,
            text(&new.taxes)?,
            text(&new.unknown)?
        ],
    )
    .map_err(|e| match e.code() {
        // Two runs for one account met: the one that comes second finds the first one's bill when it runs again.
        "db.duplicate" => Error::contended("bill.concurrent", "another run is billing this account; try again"),
        _ => e,
    })?;
    Ok(())
}

/// Writes a line with its charges.
pub(super) fn insert_line(conn: &mut Conn<'_>, bill: &str, id: &str, position: i64, line: &Line) -> Result<()> {
    conn.execute(
        "INSERT INTO bill_lines (id, bill, position, meter, product, name, kind, price, month, from_at, until_at, numerator, denominator, amount, tax_percent)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
        args![
            id,
            bill,
            position,
            line.meter,
            line.product,
            line.name,
            line.kind,
            text(&line.price)?,
            line.month,
            line.from,
            line.until,
            line.quantity.numerator.to_string(),
            line.quantity.denominator.to_string(),
            line.amount.minor,
            line.tax_percent.to_string()
        ],
    )?;
    for (entry, numerator) in &line.entries {
        conn.execute(
            "INSERT INTO charges (entry, price, line, numerator) VALUES ($1, $2, $3, $4)",
            args![entry, line.price.key, id, numerator.to_string()],
        )?;
    }
    Ok(())
}

/// Says that entries are on a bill.
pub(super) fn bind(conn: &mut Conn<'_>, bill: &str, entry: &str) -> Result<()> {
    conn.execute("INSERT INTO billed_entries (entry, bill) VALUES ($1, $2)", args![entry, bill])?;
    Ok(())
}

/// A line as it was issued.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StoredLine {
    pub id: String,
    pub bill: String,
    pub position: i64,
    pub meter: String,
    pub product: String,
    pub name: String,
    pub kind: String,
    pub price: Price,
    pub month: String,
    pub from: Timestamp,
    pub until: Timestamp,
    pub quantity: Quantity,
    pub amount: i64,
    pub tax_percent: Decimal,
}

const LINE: &str = "SELECT id, bill, position, meter, product, name, kind, price, month, from_at, until_at, numerator, denominator, amount, tax_percent FROM bill_lines";

fn line(row: &Row) -> Result<StoredLine> {
    Ok(StoredLine {
        id: row.get(0)?,
        bill: row.get(1)?,
        position: row.get(2)?,
        meter: row.get(3)?,
        product: row.get(4)?,
        name: row.get(5)?,
        kind: row.get(6)?,
        price: json(row, 7)?,
        month: row.get(8)?,
        from: row.get(9)?,
        until: row.get(10)?,
        quantity: Quantity { numerator: exact(row, 11)?, denominator: exact(row, 12)? },
        amount: row.get(13)?,
        tax_percent: exact(row, 14)?,
    })
}

/// The lines of a bill, in order.
pub(super) fn lines_of(conn: &mut Conn<'_>, bill: &str) -> Result<Vec<StoredLine>> {
    conn.query(&format!("{LINE} WHERE bill = $1 ORDER BY position"), args![bill], line)
}

/// The line of that id.
pub(super) fn line_by_id(conn: &mut Conn<'_>, id: &str) -> Result<Option<StoredLine>> {
    conn.query_opt(&format!("{LINE} WHERE id = $1"), args![id], line)
}

/// What was charged of a meter before `bill`, by price and month; of the months named only.
pub(super) fn prior(conn: &mut Conn<'_>, meter: &str, months: &[&str], before_bill: Option<&str>) -> Result<Prior> {
    let mut sums: BTreeMap<(String, String), Decimal> = BTreeMap::new();
    for month in months {
        let found = conn.query(
            "SELECT price, numerator FROM bill_lines WHERE meter = $1 AND month = $2 AND ($3 = '' OR bill < $3)",
            args![meter, month, before_bill.unwrap_or_default()],
            |row| Ok((json::<Price>(row, 0)?, exact(row, 1)?)),
        )?;
        for (price, numerator) in found {
            let sum = sums.entry((price.identity(), (*month).to_owned())).or_default();
            *sum = sum
                .checked_add(numerator)
                .ok_or_else(|| Error::invalid("money.too_large", "the amount is too large"))?;
        }
    }
    Ok(sums)
}

/// The entries on a bill, by meter.
pub(super) fn entries_on(conn: &mut Conn<'_>, bill: &str) -> Result<Vec<(String, String)>> {
    conn.query(
        "SELECT e.meter, e.id FROM billed_entries b JOIN usage_entries e ON e.id = b.entry WHERE b.bill = $1 ORDER BY e.meter, e.id",
        args![bill],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// Where an adjustment comes from.
pub(super) struct Ground<'a> {
    /// The bill that it puts right.
    pub refers_to: Option<&'a str>,
    /// What it is for, where that is never owed twice.
    pub cause: Option<&'a str>,
    /// Who made it.
    pub made_by: &'a str,
}

/// Writes an adjustment.
pub(super) fn insert_adjustment(
    conn: &mut Conn<'_>,
    account: &str,
    tenant: TenantId,
    new: &Adjustment,
    ground: &Ground<'_>,
) -> Result<()> {
    conn.execute(
        "INSERT INTO bill_adjustments (id, account, tenant, amount, tax_percent, reason, refers_to, cause, made_by, made_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        args![
            new.id,
            account,
            tenant,
            new.amount.minor,
            new.tax_percent.to_string(),
            new.reason,
            ground.refers_to,
            ground.cause,
            ground.made_by,
            new.made_at
        ],
    )?;
    Ok(())
}

/// The account's adjustments that are on no bill.
pub(super) fn open_adjustments(
    conn: &mut Conn<'_>,
    account: &str,
    currency: Currency,
    until: Timestamp,
) -> Result<Vec<Adjustment>> {
    conn.query(
        "SELECT a.id, a.amount, a.tax_percent, a.reason, a.made_at FROM bill_adjustments a WHERE a.account = $1 AND a.made_at <= $2
         AND NOT EXISTS (SELECT 1 FROM billed_adjustments b WHERE b.adjustment = a.id) ORDER BY a.id",
        args![account, until],
        |row| {
            Ok(Adjustment {
                id: row.get(0)?,
                amount: Money { minor: row.get(1)?, currency },
                tax_percent: exact(row, 2)?,
                reason: row.get(3)?,
                made_at: row.get(4)?,
            })
        },
    )
}

/// Says that an adjustment is on a bill.
pub(super) fn bind_adjustment(conn: &mut Conn<'_>, bill: &str, adjustment: &str) -> Result<()> {
    conn.execute("INSERT INTO billed_adjustments (adjustment, bill) VALUES ($1, $2)", args![adjustment, bill])?;
    Ok(())
}
