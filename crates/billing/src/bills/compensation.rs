//! Compensation: a credit for a promise that was measured and found broken.
//!
//! Nobody has to ask for it. It is on the next bill of whoever pays for the service, once for each
//! service, ground and calendar month, however often the promise was seen broken in it.

use base::Result;
use base::money::Money;
use db::args;
use gate::Tx;
use rust_decimal::Decimal;

use super::store;
use super::types::Adjustment;
use crate::accounts;
use crate::rating::BUSINESS_TAX_PERCENT;
use crate::usage;

/// What is owed, and why.
#[derive(Debug, Clone)]
pub struct Compensation<'a> {
    /// The service that the promise was about.
    pub service: &'a str,
    /// The ground, in a word: `recovery`.
    pub ground: &'a str,
    /// How much, before tax, in the currency of whoever pays.
    pub amount: Decimal,
    /// What the customer reads on the bill.
    pub reason: &'a str,
}

/// Puts a credit on the next bill. Says whether there was none yet on that ground this month, and
/// anybody who pays: a service without a meter was never active.
///
/// # Errors
/// Those of the database.
pub fn compensate(tx: &mut Tx<'_>, owed: &Compensation<'_>) -> Result<bool> {
    let Some(meter) = usage::meter_of_service(tx, owed.service)? else { return Ok(false) };
    let account = accounts::by_id(tx, &meter.account)?;
    let amount = Money::round(-owed.amount.abs(), account.currency)?;
    let month = accounts::calendar(tx)?.month(tx.now)?;
    let cause = format!("{}/{}/{}", owed.ground, owed.service, month.label);
    let sql = "SELECT id FROM bill_adjustments WHERE cause = $1";
    let known = tx.query_opt(sql, args![cause], |row| row.get::<String>(0))?;
    if known.is_some() || amount.minor == 0 {
        return Ok(false);
    }
    let new = Adjustment {
        id: tx.ids().text("adj", tx.now),
        amount,
        tax_percent: BUSINESS_TAX_PERCENT,
        reason: owed.reason.to_owned(),
        made_at: tx.now,
    };
    let actor = tx.cx().actor().to_string();
    let ground = store::Ground { refers_to: None, cause: Some(&cause), made_by: &actor };
    store::insert_adjustment(tx, &account.id, account.tenant, &new, &ground)?;
    Ok(true)
}
