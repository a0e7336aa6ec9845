//! What bills owe, as double entry in the house's ledger.
//!
//! A bill debits the customer's receivable and credits revenue and tax; what is
//! negative goes the other way. Amounts are minor units of the currency.

use base::Result;
use base::id::TenantId;
use base::money::Money;
use gate::Tx;
use ledger::{Move, NewAccount, Rule, Transfer};
use serde_json::json;

use super::{Account, BILLING_ACCOUNT};

/// The ledger's account of what a billing account owes.
fn receivable(account: &str) -> String {
    format!("money:receivable:{account}")
}

/// Posts a bill, and writes the new balance on the account's record.
pub(crate) fn post(
    tx: &mut Tx<'_>,
    operator: TenantId,
    account: &Account,
    bill: &str,
    net: Money,
    tax: Money,
) -> Result<()> {
    let code = account.currency.code();
    let owed = receivable(&account.id);
    let (revenue, taxes) = (format!("money:revenue:{operator}:{code}"), format!("money:tax:{operator}:{code}"));
    let now = tx.now;
    for id in [&owed, &revenue, &taxes] {
        ledger::open(tx, now, &NewAccount { id, unit: code, rule: Rule::Free })?;
    }
    let ids = [format!("{bill}:net"), format!("{bill}:tax")];
    let mut moves = Vec::new();
    for (amount, other, id, what) in [(net, &revenue, &ids[0], "bill.net"), (tax, &taxes, &ids[1], "bill.tax")] {
        let (debit, credit) = if amount.minor >= 0 { (&owed, other) } else { (other, &owed) };
        if amount.minor != 0 {
            moves.push(Move::Transfer(Transfer {
                id,
                debit,
                credit,
                amount: amount.minor.abs(),
                pending: false,
                code: what,
                subject: bill,
            }));
        }
    }
    ledger::apply(tx, now, &moves)?;
    show_balance(tx, account, &owed)
}

/// Notes that a bill has been paid outside this platform: a clerk says so.
pub(crate) fn settle(tx: &mut Tx<'_>, operator: TenantId, account: &str, bill: &str, total: Money) -> Result<()> {
    let account = super::by_id(tx, account)?;
    let (owed, received) = (receivable(&account.id), format!("money:received:{operator}:{}", account.currency.code()));
    let now = tx.now;
    ledger::open(tx, now, &NewAccount { id: &received, unit: account.currency.code(), rule: Rule::Free })?;
    if total.minor != 0 {
        let (debit, credit) = if total.minor > 0 { (&received, &owed) } else { (&owed, &received) };
        let (id, amount) = (format!("{bill}:settled"), total.minor.abs());
        ledger::apply(
            tx,
            now,
            &[Move::Transfer(Transfer {
                id: &id,
                debit,
                credit,
                amount,
                pending: false,
                code: "bill.settled",
                subject: bill,
            })],
        )?;
    }
    show_balance(tx, &account, &owed)
}

fn show_balance(tx: &mut Tx<'_>, account: &Account, owed: &str) -> Result<()> {
    // Debits less credits: what the customer owes.
    let minor = ledger::account(tx, owed)?.map_or(0, |sums| -sums.balance());
    let balance = Money { minor, currency: account.currency };
    let shown = json!([{
        "balanceType": "receivable balance",
        "amount": balance.to_tmf(),
        "validFor": { "startDateTime": tx.now.to_string() },
    }]);
    let mut record = tx.peek(&BILLING_ACCOUNT, &account.id)?;
    record.body_mut().insert("accountBalance".to_owned(), shown);
    tx.save(&BILLING_ACCOUNT, &mut record)
}
