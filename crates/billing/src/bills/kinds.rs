//! TMF678: how a bill and its lines are shown to the world.

use base::Result;
use base::money::{Money, number};
use db::records::Key;
use db::{Class, Record};
use gate::{Kind, StateMachine, Tx, Verb, free};
use serde_json::{Map, Value as Json, json};

use super::store;
use super::types::{Issued, Line, printed};
use crate::{accounts, shapes};

/// TMF678 `customerBill`. Made by `bill.run` only; a clerk moves its state.
pub static CUSTOMER_BILL: Kind = Kind {
    name: "customerBill",
    prefix: "bill",
    path: "/tmf-api/customerBillManagement/v4/customerBill",
    class: Class::Confidential,
    shape: &shapes::CUSTOMER_BILL,
    keys: &[
        Key::text("billNo").found(),
        Key::time("billDate"),
        Key::text("state"),
        Key::text("category"),
        Key::text("billingAccount.id"),
        Key::time("paymentDueDate"),
        Key::number("taxIncludedAmount.value"),
    ],
    states: Some(&StateMachine {
        attribute: "state",
        initial: "new",
        moves: &[
            ("new", &["onHold", "validated"]),
            ("onHold", &["validated"]),
            ("validated", &["onHold", "sent"]),
            ("sent", &["settled"]),
            ("partiallyPaid", &["settled"]),
            ("settled", &[]),
        ],
    }),
    verbs: &[Verb::Get, Verb::List, Verb::Update],
    before_create: free::create,
    before_update: moved,
    before_delete: free::delete,
};

/// TMF678 `appliedCustomerBillingRate`: a line of a bill.
pub static APPLIED_CUSTOMER_BILLING_RATE: Kind = Kind {
    name: "appliedCustomerBillingRate",
    prefix: "acbr",
    path: "/tmf-api/customerBillManagement/v4/appliedCustomerBillingRate",
    class: Class::Confidential,
    shape: &shapes::APPLIED_CUSTOMER_BILLING_RATE,
    keys: &[
        Key::text("bill.id"),
        Key::text("billingAccount.id"),
        Key::text("product.id"),
        Key::text("type"),
        Key::time("date"),
    ],
    states: None,
    verbs: &[Verb::Get, Verb::List],
    before_create: free::create,
    before_update: free::update,
    before_delete: free::delete,
};

/// A settled bill owes nothing more.
fn moved(tx: &mut Tx<'_>, before: &Record, after: &mut Record) -> Result<()> {
    if after.state.as_deref() == Some("settled")
        && before.state.as_deref() != Some("settled")
        && let Some(bill) = store::by_id(tx, &before.id)?
    {
        let total = Money { minor: bill.total, currency: bill.currency };
        accounts::settle(tx, bill.operator, &bill.account, &bill.id, total)?;
        after.body.insert("remainingAmount".to_owned(), Money::zero(bill.currency).to_tmf());
    }
    Ok(())
}

/// Moves a bill to another state for the operator that issued it.
pub(super) fn move_to(tx: &mut Tx<'_>, id: &str, state: &str) -> Result<()> {
    let mut record = tx.peek(&CUSTOMER_BILL, id)?;
    let before = (*record).clone();
    CUSTOMER_BILL.check_move(before.state.as_deref(), Some(state))?;
    let mut after = before.clone();
    after.state = Some(state.to_owned());
    moved(tx, &before, &mut after)?;
    *record.body_mut() = after.body;
    record.set_state("state", state);
    tx.save(&CUSTOMER_BILL, &mut record)
}

/// The document of a bill.
pub(super) fn bill_body(
    bill: &Issued,
    account: &Record,
    on_cycle: bool,
    next: Option<base::time::Timestamp>,
) -> Map<String, Json> {
    let money = |minor| Money { minor, currency: bill.currency }.to_tmf();
    let taxes: Vec<Json> = bill
        .taxes
        .iter()
        .map(|tax| {
            let category = if bill.exempt { "exempt" } else { "businessTax" };
            json!({ "taxCategory": category, "taxRate": number(tax.percent), "taxAmount": money(tax.amount) })
        })
        .collect();
    let mut body = Map::new();
    let mut set = |name: &str, value: Json| drop(body.insert(name.to_owned(), value));
    set("billNo", printed(bill.number).into());
    set("billDate", bill.issued_at.to_string().into());
    set("category", if bill.total < 0 { "credit note" } else { "normal" }.into());
    set("runType", if on_cycle { "onCycle" } else { "offCycle" }.into());
    set("state", "new".into());
    set("billingAccount", json!({ "id": bill.account, "name": account.body.get("name") }));
    set(
        "billingPeriod",
        json!({ "startDateTime": bill.period_start.to_string(), "endDateTime": bill.period_end.to_string() }),
    );
    set("paymentDueDate", bill.due_at.to_string().into());
    if let Some(next) = next {
        set("nextBillDate", next.to_string().into());
    }
    set("taxExcludedAmount", money(bill.net));
    set("taxIncludedAmount", money(bill.total));
    set("taxItem", taxes.into());
    set("amountDue", money(bill.total.max(0)));
    set("remainingAmount", money(bill.total));
    if let Some(parties) = account.body.get("relatedParty") {
        set("relatedParty", parties.clone());
    }
    body
}

/// The document of a line.
pub(super) fn line_body(bill: &Issued, line: &Line, account_name: &str) -> Map<String, Json> {
    let tax = json!({ "taxCategory": if bill.exempt { "exempt" } else { "businessTax" }, "taxRate": number(line.tax_percent) });
    let mut body = Map::new();
    let mut set = |name: &str, value: Json| drop(body.insert(name.to_owned(), value));
    set("name", line.price.name.clone().into());
    if !line.name.is_empty() {
        set("description", line.name.clone().into());
    }
    set("type", line.kind.into());
    set("date", bill.issued_at.to_string().into());
    set("isBilled", true.into());
    set("bill", json!({ "id": bill.id }));
    set("billingAccount", json!({ "id": bill.account, "name": account_name }));
    set("periodCoverage", json!({ "startDateTime": line.from.to_string(), "endDateTime": line.until.to_string() }));
    if !line.product.is_empty() {
        set("product", json!({ "id": line.product, "name": line.name }));
    }
    set("taxExcludedAmount", line.amount.to_tmf());
    set("appliedTax", json!([tax]));
    if line.adjustment.is_none() {
        set(
            "characteristic",
            json!([
                { "name": "quantity", "valueType": "number", "value": number(line.quantity.shown()) },
                { "name": "unit", "valueType": "string", "value": line.price.unit() },
                { "name": "rate", "valueType": "number", "value": number(line.price.amount) },
                { "name": "month", "valueType": "string", "value": line.month },
            ]),
        );
    }
    body
}
