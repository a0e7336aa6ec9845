//! What can be done with bills.

use base::id::TenantId;
use base::money::{Money, decimal};
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::Class;
use gate::{Action, Effect, Tx};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::kinds::CUSTOMER_BILL;
use super::run::{Period, draft, run_account};
use super::store::{self, StoredLine};
use super::types::{Adjustment, Amount, BillLine, BillRow, BillView, Issued};
use super::views;
use crate::accounts;
use crate::rating::{BUSINESS_TAX_PERCENT, Calendar};
use crate::usage::{self, Entry, Meter, Unknown};

/// Which account, and up to when.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PreviewInput {
    /// The billing account.
    pub account: String,
    /// Up to when; now, where nothing is said.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub period_end: Option<Timestamp>,
}

/// `bill.preview`.
pub static PREVIEW: Action<PreviewInput, BillView> = Action {
    name: "bill.preview",
    summary: "Shows what the next bill of an account would hold, without issuing it.",
    effect: Effect::Read,
    run: preview,
};

fn preview(tx: &mut Tx<'_>, input: &PreviewInput) -> Result<BillView> {
    let (account, record) = accounts::granted(tx, PREVIEW.name, &input.account)?;
    let until = input.period_end.unwrap_or(tx.now).min(tx.now);
    let calendar = accounts::calendar(tx)?;
    let meters = usage::meters_of(tx, &account.id)?;
    let waiting = waiting(tx, meters, until, &calendar)?;
    let start = store::billed_until(tx, &account.id)?.unwrap_or(account.opened).min(until);
    let period = Period { start, end: until, next: None, exempt: accounts::is_exempt(&record, until) };
    let draft = draft(tx, &account, &waiting, &period, &calendar)?;
    Ok(BillView {
        lines: views::drafted_lines(&draft),
        taxes: views::drafted_taxes(&draft),
        unknown: draft.unknown,
        bill: BillRow {
            id: String::new(),
            number: String::new(),
            state: "preview".to_owned(),
            account: account.id,
            account_name: account.name,
            tenant: account.tenant.to_string(),
            period_start: start,
            period_end: until,
            issued_at: tx.now,
            due_at: tx.now,
            net: Amount(draft.net),
            tax: Amount(draft.tax),
            total: Amount(draft.total),
        },
    })
}

/// The entries that wait, and those that would be written if somebody settled now.
fn waiting(
    tx: &mut Tx<'_>,
    meters: Vec<Meter>,
    until: Timestamp,
    calendar: &Calendar,
) -> Result<Vec<(Meter, Vec<Entry>)>> {
    let now = tx.now;
    let mut waiting = Vec::with_capacity(meters.len());
    for meter in meters {
        let mut entries = usage::unbilled(tx, &meter.id, until)?;
        let open = usage::open_pieces(tx, &meter, until, now, calendar)?;
        entries
            .extend((1..).zip(open).map(|(n, piece): (u32, _)| piece.into_entry(format!("open:{n}"), &meter.id, now)));
        waiting.push((meter, entries));
    }
    Ok(waiting)
}

/// Which accounts, and up to when.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RunInput {
    /// The billing account; all of them, where none is named.
    #[serde(default)]
    pub account: Option<String>,
    /// Up to when; now, where nothing is said.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub period_end: Option<Timestamp>,
    /// For all accounts: the `next` of the run before.
    #[serde(default)]
    pub after: Option<String>,
}

/// What a run has made.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunOutput {
    /// The bills, also those that an earlier run for the same period has made.
    pub bills: Vec<BillRow>,
    /// In a run over all accounts: those that could not be billed. The others were.
    pub failed: Vec<NotBilled>,
    /// Where to go on; nothing when every account has had its turn.
    pub next: Option<String>,
}

/// An account that could not be billed, and why.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotBilled {
    /// The billing account.
    pub account: String,
    /// The error's code.
    pub code: String,
    /// What to do about it.
    pub message: String,
}

/// `bill.run`.
pub static RUN: Action<RunInput, RunOutput> = Action {
    name: "bill.run",
    summary: "Bills one account, or every account, up to an instant. Running it again makes no second bill.",
    effect: Effect::Create,
    run,
};

fn run(tx: &mut Tx<'_>, input: &RunInput) -> Result<RunOutput> {
    if !accounts::is_issuer(tx)? {
        return Err(Error::forbidden("bill.issuer", "bills are issued by the operator"));
    }
    let until = input.period_end.unwrap_or(tx.now);
    let mut out = RunOutput { bills: Vec::new(), failed: Vec::new(), next: None };
    if let Some(id) = &input.account {
        let account = accounts::granted(tx, RUN.name, id)?.0;
        let made = run_account(tx, &account.id, until)?;
        issued(tx, made, &mut out)?;
        return Ok(out);
    }
    let list = accounts::all(tx, input.after.as_deref().unwrap_or_default(), limits::BILL_RUN_ACCOUNTS_MAX)?;
    let full = list.len() == limits::BILL_RUN_ACCOUNTS_MAX as usize;
    out.next = list.last().filter(|_| full).map(|account| account.id.clone());
    for account in list {
        // One account that cannot be billed keeps nobody else from being billed.
        match tx.attempt(|tx| run_account(tx, &account.id, until)) {
            Ok(made) => issued(tx, made, &mut out)?,
            Err(e) if e.kind().is_transient() || e.code() == "bill.future" => return Err(e),
            // An account that is ahead of the others has had its bill.
            Err(e) if e.code() == "bill.period_closed" => {}
            Err(e) => {
                tracing::error!(account = account.id, error = ?e, "an account could not be billed");
                let message = match e.kind() {
                    base::Kind::Bug => "an internal error; the operator's log has the details".to_owned(),
                    _ => e.to_string(),
                };
                out.failed.push(NotBilled { account: account.id, code: e.code().to_owned(), message });
            }
        }
    }
    Ok(out)
}

fn issued(tx: &mut Tx<'_>, bill: Option<String>, out: &mut RunOutput) -> Result<()> {
    if let Some(bill) = bill.map(|id| store::by_id(tx, &id)).transpose()?.flatten() {
        out.bills.push(views::row(tx, &bill)?);
    }
    Ok(())
}

/// Which bills.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListInput {
    /// Of one account only.
    #[serde(default)]
    pub account: Option<String>,
    /// Of one customer only.
    #[serde(default)]
    pub tenant: Option<TenantId>,
    /// Older than the bill of this id: the last one of the page before.
    #[serde(default)]
    pub before: Option<String>,
    /// At most so many.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// A page of bills, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BillList {
    /// The bills.
    pub bills: Vec<BillRow>,
    /// The `before` of the next page, where there is one.
    pub next: Option<String>,
}

/// `bill.list`.
pub static LIST: Action<ListInput, BillList> = Action {
    name: "bill.list",
    summary: "Lists bills, the newest first: the operator's own, or those of the tenants within reach.",
    effect: Effect::Read,
    run: list,
};

fn list(tx: &mut Tx<'_>, input: &ListInput) -> Result<BillList> {
    let issuer = if accounts::is_issuer(tx)? { Some(tx.cx().tenant()) } else { None };
    let limit = input.limit.unwrap_or(limits::PAGE_DEFAULT).clamp(1, limits::PAGE_MAX);
    let scope = tx.cx().scope().clone();
    let found = store::list(tx, issuer, &scope, input, limit)?;
    let next = found.last().filter(|_| found.len() == limit as usize).map(|bill| bill.id.clone());
    let bills = found.iter().map(|bill| views::row(tx, bill)).collect::<Result<_>>()?;
    Ok(BillList { bills, next })
}

/// A bill by its id.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BillRef {
    /// The bill.
    pub bill: String,
}

/// `bill.get`.
pub static GET: Action<BillRef, BillView> = Action {
    name: "bill.get",
    summary: "Shows a bill with its lines.",
    effect: Effect::Read,
    run: |tx, input| {
        let bill = granted(tx, GET.name, &input.bill)?;
        views::view(tx, &bill)
    },
};

/// A bill for `action`: the issuer sees what it issued, others what is within their reach.
pub(super) fn granted(tx: &mut Tx<'_>, action: &str, id: &str) -> Result<Issued> {
    let absent = || Error::not_found("customerBill.not_found", format!("there is no customerBill {id}"));
    let bill = store::by_id(tx, id)?.ok_or_else(absent)?;
    if bill.operator == tx.cx().tenant() {
        tx.require(action)?;
        tx.touch(CUSTOMER_BILL.name, id, bill.tenant, 0);
        return Ok(bill);
    }
    let owner = bill.tenant;
    Ok(tx.grant(action, CUSTOMER_BILL.name, id, owner, Class::Confidential, bill)?.into_inner())
}

/// Which bill, and where to.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MoveInput {
    /// The bill.
    pub bill: String,
    /// `onHold`, `validated`, `sent` or `settled`.
    pub state: String,
}

/// `bill.move`.
pub static MOVE: Action<MoveInput, BillRow> = Action {
    name: "bill.move",
    summary: "Moves an issued bill to its next state: held, validated, sent, settled. Nothing else of a bill changes.",
    effect: Effect::Change,
    run: |tx, input| {
        if !accounts::is_issuer(tx)? {
            return Err(Error::forbidden("bill.issuer", "a bill is moved by the operator that issued it"));
        }
        let bill = granted(tx, MOVE.name, &input.bill)?;
        super::kinds::move_to(tx, &bill.id, &input.state)?;
        views::row(tx, &bill)
    },
};

/// Which line, and which page of what is behind it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LineUsageInput {
    /// The line.
    pub line: String,
    /// The `next` of the page before.
    #[serde(default)]
    pub after: Option<String>,
    /// At most so many.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// The usage behind a line.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LineUsage {
    /// The bill.
    pub bill: BillRow,
    /// The line.
    pub line: BillLine,
    /// Its usage, in the order in which it was written down.
    pub usage: Vec<LineUsageItem>,
    /// Where to go on.
    pub next: Option<String>,
}

/// An entry with how much of it counts on a line.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LineUsageItem {
    /// The entry of the usage ledger.
    #[serde(flatten)]
    pub entry: Entry,
    /// How much of the line's unit it adds, to six decimals.
    #[schemars(with = "String")]
    pub quantity: Decimal,
}

/// `bill.line_usage`.
pub static LINE_USAGE: Action<LineUsageInput, LineUsage> = Action {
    name: "bill.line_usage",
    summary: "Opens a line of a bill down to the usage behind it.",
    effect: Effect::Read,
    run: line_usage,
};

fn line_usage(tx: &mut Tx<'_>, input: &LineUsageInput) -> Result<LineUsage> {
    let absent = || Error::not_found("bill_line.not_found", format!("there is no line {}", input.line));
    let line: StoredLine = store::line_by_id(tx, &input.line)?.ok_or_else(absent)?;
    let bill = granted(tx, LINE_USAGE.name, &line.bill)
        .map_err(|e| if e.kind() == base::Kind::NotFound { absent() } else { e })?;
    let limit = input.limit.unwrap_or(limits::PAGE_DEFAULT).clamp(1, limits::PAGE_MAX);
    let found = usage::entries_of_line(tx, &line.id, input.after.as_deref().unwrap_or_default(), limit)?;
    let next = found.last().filter(|_| found.len() == limit as usize).map(|(entry, _)| entry.id.clone());
    let mut items = Vec::with_capacity(found.len());
    for (entry, numerator) in found {
        let numerator: Decimal =
            numerator.parse().map_err(|_| Error::bug("billing.damaged", "a stored decimal does not read as one"))?;
        let quantity = crate::rating::Quantity { numerator, denominator: line.quantity.denominator }.shown();
        items.push(LineUsageItem { entry, quantity });
    }
    Ok(LineUsage { bill: views::row(tx, &bill)?, line: views::stored_line(&line, bill.currency), usage: items, next })
}

/// What to credit or debit, and why.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdjustInput {
    /// The billing account.
    pub account: String,
    /// Before tax; below zero for a credit. A number, or digits in a string.
    pub amount: Json,
    /// The rate of tax, in per cent: that of what is being corrected.
    #[serde(default)]
    pub tax_percent: Option<Json>,
    /// What the customer reads on the bill.
    pub reason: String,
    /// The bill that it puts right.
    #[serde(default)]
    pub bill: Option<String>,
}

/// An adjustment that waits for the next bill.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Adjusted {
    /// Its id.
    pub id: String,
    /// Before tax.
    pub amount: Amount,
}

/// `bill.adjust`.
pub static ADJUST: Action<AdjustInput, Adjusted> = Action {
    name: "bill.adjust",
    summary: "Puts a credit or a debit on the next bill of an account. Issued bills are not changed.",
    effect: Effect::Create,
    run: adjust,
};

/// Beyond this, as with prices, it is a slip of the hand, and sums could run over.
const ADJUSTMENT_MAX: i64 = 1_000_000_000_000;

fn adjust(tx: &mut Tx<'_>, input: &AdjustInput) -> Result<Adjusted> {
    if !accounts::is_issuer(tx)? {
        return Err(Error::forbidden("bill.issuer", "bills are adjusted by the operator"));
    }
    let (account, _) = accounts::granted(tx, ADJUST.name, &input.account)?;
    let exact = decimal(&input.amount, "amount")?;
    let amount = Money::round(exact, account.currency).map_err(|e| e.at("amount"))?;
    if exact.abs() >= Decimal::from(ADJUSTMENT_MAX) {
        return Err(Error::invalid("bill.amount", "an adjustment is below a million million").at("amount"));
    }
    if amount.amount() != exact || amount.minor == 0 {
        let message =
            format!("an amount in {} is not zero and has {} decimals", account.currency, account.currency.decimals());
        return Err(Error::invalid("bill.amount", message).at("amount"));
    }
    let tax_percent =
        input.tax_percent.as_ref().map_or(Ok(BUSINESS_TAX_PERCENT), |given| decimal(given, "taxPercent"))?;
    if tax_percent < Decimal::ZERO || tax_percent > Decimal::ONE_HUNDRED {
        return Err(Error::invalid("price.tax_rate", "a tax rate is given in per cent, from 0 to 100").at("taxPercent"));
    }
    let reason = input.reason.trim();
    if reason.is_empty() || reason.len() > limits::TEXT_INDEXED_MAX {
        return Err(
            Error::invalid("bill.reason", "say in a sentence why; the customer reads it on the bill").at("reason")
        );
    }
    if let Some(bill) = &input.bill {
        let known = store::by_id(tx, bill)?.is_some_and(|bill| bill.account == account.id);
        if !known {
            return Err(
                Error::dangling("customerBill.absent", format!("account {} has no bill {bill}", account.id)).at("bill")
            );
        }
    }
    let new = Adjustment {
        id: tx.ids().text("adj", tx.now),
        amount,
        tax_percent,
        reason: reason.to_owned(),
        made_at: tx.now,
    };
    let actor = tx.cx().actor().to_string();
    let ground = store::Ground { refers_to: input.bill.as_deref(), cause: None, made_by: &actor };
    store::insert_adjustment(tx, &account.id, account.tenant, &new, &ground)?;
    Ok(Adjusted { id: new.id, amount: Amount(amount) })
}

/// Whose usage.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SummaryInput {
    /// Of one service; of every service of the acting tenant, where none is named.
    #[serde(default)]
    pub service: Option<String>,
    /// The `next` of the page before.
    #[serde(default)]
    pub after: Option<String>,
    /// At most so many services.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// What services have used and what that comes to, as far as it is on no bill.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageSummary {
    /// One entry per metered service.
    pub services: Vec<UsageSummaryItem>,
    /// Where to go on.
    pub next: Option<String>,
}

/// What a service has used since its last bill.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageSummaryItem {
    /// The service.
    pub service: String,
    /// The product.
    pub product: String,
    /// What the customer calls it.
    pub name: String,
    /// Metered since when.
    #[schemars(with = "String")]
    pub started: Timestamp,
    /// Metered until when.
    #[schemars(with = "Option<String>")]
    pub ended: Option<Timestamp>,
    /// One line per rate, as the next bill would have it.
    pub lines: Vec<BillLine>,
    /// Their sum, before tax.
    pub net: Amount,
    /// What is not known: shown, not counted.
    pub unknown: Vec<Unknown>,
}

/// `usage.summary`.
pub static USAGE_SUMMARY: Action<SummaryInput, UsageSummary> = Action {
    name: "usage.summary",
    summary: "Shows what services have used since their last bill, what it comes to, and what is unknown.",
    effect: Effect::Read,
    run: summary,
};

fn summary(tx: &mut Tx<'_>, input: &SummaryInput) -> Result<UsageSummary> {
    let (now, calendar) = (tx.now, accounts::calendar(tx)?);
    let limit = input.limit.unwrap_or(limits::PAGE_DEFAULT).clamp(1, 100);
    let meters = match &input.service {
        Some(service) => {
            let absent = || Error::not_found("meter.not_found", format!("service {service} is not metered"));
            let meter = usage::meter_of_service(tx, service)?.ok_or_else(absent)?;
            if !accounts::is_issuer(tx)? {
                let owner = meter.tenant;
                tx.grant(USAGE_SUMMARY.name, "meter", service, owner, Class::Confidential, ()).map_err(|e| match e
                    .kind()
                {
                    base::Kind::NotFound => absent(),
                    _ => e,
                })?;
            }
            vec![meter]
        }
        None => {
            let tenant = tx.cx().tenant();
            usage::meters_of_tenant(tx, tenant, input.after.as_deref().unwrap_or_default(), limit)?
        }
    };
    let next = meters
        .last()
        .filter(|_| meters.len() == limit as usize && input.service.is_none())
        .map(|meter| meter.id.clone());
    let mut services = Vec::with_capacity(meters.len());
    for (meter, entries) in waiting(tx, meters, now, &calendar)? {
        let currency = accounts::by_id(tx, &meter.account)?.currency;
        let billed = store::billed_until(tx, &meter.account)?.unwrap_or(meter.started);
        let prior = super::run::prior(tx, &meter, &entries, None)?;
        let lines = super::rules::lines(&meter, &entries, &calendar, &prior)?;
        let net = crate::rating::total(currency, lines.iter().map(|line| line.amount))?;
        services.push(UsageSummaryItem {
            unknown: usage::unknown(tx, &meter, billed, now)?,
            service: meter.service,
            product: meter.product,
            name: meter.name,
            started: meter.started,
            ended: meter.ended,
            lines: (1..).zip(&lines).map(|(position, line)| views::drafted_line(line, position)).collect(),
            net: Amount(net),
        });
    }
    Ok(UsageSummary { services, next })
}
