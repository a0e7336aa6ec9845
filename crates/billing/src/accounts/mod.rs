//! Billing accounts: who pays, in which currency, and what they owe.
//!
//! **What.** TMF666 `billingAccount` records, each with a row in
//! `billing_accounts` for look-ups. A tenant's account is opened with its first
//! meter at the latest ([`open`]); a department without one of its own uses that
//! of the nearest tenant above it.
//!
//! ```text
//!   Active ◄──► Suspended
//!      └──► Closed ◄──┘        nothing further can be metered for it
//! ```
//!
//! **Invariants** and what holds them:
//! - an account has one currency for good (`before_update`; prices in another
//!   are refused where a meter starts: `payable`);
//! - its balance is what the ledger says, not an attribute that somebody writes
//!   (`accountBalance` is filled in from `ledger` whenever a bill is posted).
//!
//! **Not here.** Bills (`bills`), the tenants themselves (`access`), parties (`commerce`).

mod kinds;
mod ledger;
mod store;

pub use kinds::BILLING_ACCOUNT;
pub(crate) use ledger::{post, settle};

use base::id::TenantId;
use base::money::Currency;
use base::time::Timestamp;
use base::{Error, Result};
use db::Record;
use gate::{Granted, Tx};
use serde_json::{Value as Json, json};

use crate::Fact;
use crate::rating::{Calendar, Price};

/// A billing account, as far as rules look at it.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// In what it is billed.
    pub currency: Currency,
    /// Since when it exists.
    pub opened: Timestamp,
}

/// The party that an account belongs to, as TM Forum refers to it.
#[derive(Debug, Clone)]
pub struct Party {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `Customer`, `Organization` or `Individual`.
    pub kind: String,
}

/// The account that pays for a tenant: its own, or that of the nearest tenant
/// above it; else one is opened for it. The operator's own account is not used
/// for its customers.
///
/// # Errors
/// Those of the database.
pub fn open(tx: &mut Tx<'_>, tenant: TenantId, party: Option<&Party>) -> Result<Account> {
    if let Some(found) = store::nearest(tx, tenant)? {
        return Ok(found);
    }
    let name = match party {
        Some(party) => party.name.clone(),
        None => store::tenant_name(tx, tenant)?.unwrap_or_else(|| tenant.to_string()),
    };
    let related = match party {
        Some(party) => json!({ "id": party.id, "name": party.name, "role": "customer", "@referredType": party.kind }),
        None => json!({ "id": tenant.to_string(), "name": name, "role": "customer", "@referredType": "Tenant" }),
    };
    let body = json!({
        "name": name,
        "accountType": "customer",
        "state": "Active",
        "relatedParty": [related],
        "billStructure": { "cycleSpecification": {
            "isRef": false, "name": "monthly", "frequency": "month", "paymentDueDateOffset": kinds::PAYMENT_DAYS,
        } },
    });
    let Json::Object(body) = body else { return Err(Error::bug("billing.json", "an account is an object")) };
    let record = Record { tenant, ..BILLING_ACCOUNT.draft(tx, body) };
    let account = Account { id: record.id.clone(), tenant, name, currency: Currency::Twd, opened: tx.now };
    store::insert(tx, &account)?;
    tx.insert(&BILLING_ACCOUNT, record)?;
    tx.fact(Fact::AccountOpened { account: account.id.clone() }, tenant)?;
    Ok(account)
}

/// The account of that id, whoever asks.
///
/// # Errors
/// `Dangling` (`billingAccount.absent`) where there is none.
pub(crate) fn by_id(tx: &mut Tx<'_>, id: &str) -> Result<Account> {
    store::by_id(tx, id)?
        .ok_or_else(|| Error::dangling("billingAccount.absent", format!("there is no billing account {id}")))
}

/// The account of that id, for `action`. The operator's staff may act on every
/// account that the operator bills; everybody else on those within their reach.
///
/// # Errors
/// `NotFound`, `Forbidden`.
pub(crate) fn granted(tx: &mut Tx<'_>, action: &str, id: &str) -> Result<(Account, Granted<Record>)> {
    let record = if is_issuer(tx)? {
        tx.require(action)?;
        let record = tx.peek(&BILLING_ACCOUNT, id).map_err(|_| not_found(id))?;
        tx.touch(BILLING_ACCOUNT.name, id, record.tenant, record.revision);
        record
    } else {
        tx.load_for(action, &BILLING_ACCOUNT, id)?
    };
    let account = store::by_id(tx, id)?.ok_or_else(|| not_found(id))?;
    Ok((account, record))
}

/// Accounts after the one called `after`, for runs over all of them.
pub(crate) fn all(tx: &mut Tx<'_>, after: &str, limit: u32) -> Result<Vec<Account>> {
    store::all(tx, after, limit)
}

/// Whether the actor acts for the operator, who issues every bill.
pub(crate) fn is_issuer(tx: &mut Tx<'_>) -> Result<bool> {
    Ok(tx.cx().tenant() == tx.operator()?)
}

/// Sees to it that an account may be charged with something new: `Conflict` (`billingAccount.closed`).
pub(crate) fn expect_open(tx: &mut Tx<'_>, account: &Account) -> Result<()> {
    if store::is_open(tx, &account.id)? {
        return Ok(());
    }
    let message = format!("billing account {} is closed: nothing new is charged to it; name another one", account.id);
    Err(Error::conflict("billingAccount.closed", message).at("billingAccount"))
}

/// Sees to it that an account can pay prices.
///
/// # Errors
/// `Invalid` (`price.currency`).
pub(crate) fn payable(account: &Account, prices: &[Price]) -> Result<()> {
    match prices.iter().find(|price| price.currency != account.currency) {
        Some(price) => Err(Error::invalid(
            "price.currency",
            format!(
                "`{}` is priced in {}, but account {} is billed in {}",
                price.name, price.currency, account.id, account.currency
            ),
        )),
        None => Ok(()),
    }
}

/// The operator's calendar, by which months are counted.
///
/// # Errors
/// `Invalid` (`time_zone.unknown`).
pub(crate) fn calendar(tx: &mut Tx<'_>) -> Result<Calendar> {
    Calendar::of(&store::operator_zone(tx)?)
}

/// The operator's time zone, by its IANA name.
///
/// # Errors
/// Those of the database.
pub(crate) fn operator_zone(tx: &mut Tx<'_>) -> Result<String> {
    store::operator_zone(tx)
}

/// How many days after its date a bill of this account is due.
pub(crate) fn payment_days(record: &Record) -> i64 {
    let offset = record.at("billStructure.cycleSpecification.paymentDueDateOffset").and_then(Json::as_i64);
    offset.filter(|days| (0..=365).contains(days)).unwrap_or(kinds::PAYMENT_DAYS)
}

/// Whether the account is exempt from tax at an instant (TMF666 `taxExemption`).
pub(crate) fn is_exempt(record: &Record, at: Timestamp) -> bool {
    let list = record.body.get("taxExemption").and_then(Json::as_array);
    list.into_iter().flatten().any(|exemption| {
        let bound = |name: &str| {
            exemption
                .pointer(&format!("/validFor/{name}"))
                .and_then(Json::as_str)
                .and_then(|text| text.parse::<Timestamp>().ok())
        };
        bound("startDateTime").is_none_or(|start| start <= at) && bound("endDateTime").is_none_or(|end| at < end)
    })
}

fn not_found(id: &str) -> Error {
    Error::not_found("billingAccount.not_found", format!("there is no billingAccount {id}"))
}
