//! TMF666 `billingAccount`.

use std::str::FromStr as _;

use base::money::Currency;
use base::{Error, Result};
use db::records::Key;
use db::{Class, Record};
use gate::{Kind, StateMachine, Tx, Verb};
use serde_json::Value as Json;

use super::{Account, store};
use crate::shapes;

/// Days from a bill to its due date where the account says nothing else.
pub(super) const PAYMENT_DAYS: i64 = 30;

/// TMF666 `billingAccount`. States in the words of TMF666 itself.
pub static BILLING_ACCOUNT: Kind = Kind {
    name: "billingAccount",
    prefix: "bac",
    path: "/tmf-api/accountManagement/v4/billingAccount",
    class: Class::Confidential,
    shape: &shapes::BILLING_ACCOUNT,
    keys: &[Key::text("name").found(), Key::text("state"), Key::text("accountType"), Key::text("relatedParty.id")],
    states: Some(&StateMachine {
        attribute: "state",
        initial: "Active",
        moves: &[("Active", &["Suspended", "Closed"]), ("Suspended", &["Active", "Closed"]), ("Closed", &[])],
    }),
    verbs: Verb::ALL,
    before_create: create,
    before_update: update,
    before_delete: delete,
};

fn currency(record: &Record) -> Result<Currency> {
    record
        .at("creditLimit.unit")
        .and_then(Json::as_str)
        .map_or(Ok(Currency::Twd), Currency::from_str)
        .map_err(|e| e.at("creditLimit.unit"))
}

fn name(record: &Record) -> String {
    record.body.get("name").and_then(Json::as_str).unwrap_or_default().to_owned()
}

/// What only the operator decides: terms of payment, tax, and whether an account is open.
const ISSUERS: [&str; 6] = ["state", "taxExemption", "creditLimit", "billStructure", "paymentPlan", "financialAccount"];

fn issuers_only(tx: &mut Tx<'_>, before: Option<&Record>, after: &Record) -> Result<()> {
    let of = |record: &Record, name: &str| record.body.get(name).cloned();
    let initial = |name: &str| (name == "state").then(|| Json::from("Active"));
    let changed = |name: &&&str| before.map_or_else(|| initial(name), |before| of(before, name)) != of(after, name);
    match ISSUERS.iter().find(changed) {
        Some(name) if !super::is_issuer(tx)? => {
            Err(Error::forbidden("billingAccount.issuer", format!("`{name}` is decided by the operator; ask them"))
                .at(*name))
        }
        _ => Ok(()),
    }
}

fn create(tx: &mut Tx<'_>, record: &mut Record) -> Result<()> {
    issuers_only(tx, None, record)?;
    let currency = currency(record)?;
    let account =
        Account { id: record.id.clone(), tenant: record.tenant, name: name(record), currency, opened: tx.now };
    store::insert(tx, &account)?;
    tx.fact_once_stored(crate::Fact::AccountOpened { account: account.id }, record.tenant);
    record.body.insert("lastModified".to_owned(), tx.now.to_string().into());
    Ok(())
}

fn update(tx: &mut Tx<'_>, before: &Record, after: &mut Record) -> Result<()> {
    issuers_only(tx, Some(before), after)?;
    let kept = store::by_id(tx, &before.id)?;
    if after.at("creditLimit.unit").is_some()
        && kept.is_some_and(|account| currency(after).ok() != Some(account.currency))
    {
        return Err(Error::conflict("billingAccount.currency", "an account keeps its currency; open another one")
            .at("creditLimit.unit"));
    }
    store::rename(tx, &before.id, &name(after))?;
    after.body.insert("lastModified".to_owned(), tx.now.to_string().into());
    Ok(())
}

fn delete(tx: &mut Tx<'_>, record: &Record) -> Result<()> {
    if store::is_used(tx, &record.id)? {
        return Err(Error::conflict("billingAccount.used", "an account with meters or bills is closed, not deleted"));
    }
    store::delete(tx, &record.id)
}
