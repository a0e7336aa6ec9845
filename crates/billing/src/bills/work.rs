//! The monthly close: what is done without anybody asking.
//!
//! A reconciler looks at the operator's calendar. When a month is over, and an
//! hour has passed in which agents could still report, it hands every account to
//! a job, page by page; `month_closes` keeps how far it has got, so that a
//! restart goes on and a second server does nothing twice. A job bills its
//! account up to the month's end; done again, it finds the bill.

use std::time::Duration;

use base::time::{Timestamp, micros};
use base::{Result, limits};
use db::{Conn, args};
use durable::{Registry, jobs};
use gate::{Action, Cx, Effect, Gate, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::actions::{RUN, RunInput};
use crate::accounts;

const JOB: &str = "bill.run";

/// How often the calendar is looked at.
const EVERY: Duration = Duration::from_secs(300);

/// Adds the monthly close to the lasting work of the house.
#[must_use]
pub fn register(registry: Registry) -> Registry {
    registry.reconciler("billing.close_month", EVERY, close).job(
        JOB,
        jobs::Patience::default(),
        |gate, cx, job: AccountJob| {
            let input = RunInput { account: Some(job.account), period_end: Some(job.period_end), after: None };
            match gate.run(&Cx::system("billing", cx.tenant), &RUN, input) {
                // Somebody has billed this account beyond the month's end by hand: nothing is left to do.
                Err(e) if e.code() == "bill.period_closed" => Ok(()),
                other => other.map(drop),
            }
        },
    )
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccountJob {
    account: String,
    period_end: Timestamp,
}

fn close(gate: &Gate) -> Result<()> {
    let Ok(operator) = gate.operator() else { return Ok(()) };
    let cx = Cx::system("billing", operator);
    // Looking first keeps the audit log free of closes that had nothing to do.
    while gate.run(&cx, &CLOSE_DUE, CloseInput {})? {
        gate.run(&cx, &CLOSE, CloseInput {})?;
    }
    Ok(())
}

/// Nothing needs to be said.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseInput {}

/// How far a close has got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Closing {
    /// The month that is being closed: the last one that is over.
    pub month: String,
    /// Its end.
    #[schemars(with = "String")]
    pub period_end: Timestamp,
    /// Accounts handed to jobs by this call.
    pub accounts: usize,
    /// Whether there are accounts left for a further call.
    pub more: bool,
}

/// `bill.close`.
pub static CLOSE: Action<CloseInput, Closing> = Action {
    name: "bill.close",
    summary: "Closes the last month that is over: hands accounts to jobs that bill them. Happens by itself; doing it again does no harm.",
    effect: Effect::Change,
    run: hand_out,
};

/// `bill.close_due`.
pub static CLOSE_DUE: Action<CloseInput, bool> = Action {
    name: "bill.close_due",
    summary: "Says whether a month is over whose accounts have not all been handed out for billing.",
    effect: Effect::Read,
    run: |tx, _| {
        let month = last_month(tx)?;
        Ok(progress(tx, &month.label)?.is_none_or(|(_, done)| !done))
    },
};

/// The last month that has been over for long enough.
fn last_month(tx: &mut Tx<'_>) -> Result<crate::rating::Month> {
    let delay = i64::try_from(limits::MONTH_CLOSE_DELAY_MINUTES).unwrap_or(i64::MAX) * 60_000_000;
    let calendar = accounts::calendar(tx)?;
    let present = calendar.month(base::time::from_micros(micros(tx.now) - delay)?)?;
    calendar.month(base::time::from_micros(micros(present.start) - 1)?)
}

fn progress(conn: &mut Conn<'_>, month: &str) -> Result<Option<(String, bool)>> {
    conn.query_opt("SELECT reached, done FROM month_closes WHERE month = $1", args![month], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })
}

fn hand_out(tx: &mut Tx<'_>, _: &CloseInput) -> Result<Closing> {
    let month = last_month(tx)?;
    let closing = |accounts, more| Closing { month: month.label.clone(), period_end: month.end, accounts, more };
    let reached = match progress(tx, &month.label)? {
        Some((_, true)) => return Ok(closing(0, false)),
        Some((reached, false)) => reached,
        None => String::new(),
    };
    let page = accounts::all(tx, &reached, limits::BILL_RUN_ACCOUNTS_MAX)?;
    let more = page.len() == limits::BILL_RUN_ACCOUNTS_MAX as usize;
    let reached = page.last().map_or(reached, |account| account.id.clone());
    let mut handed = 0;
    for account in page.into_iter().filter(|account| account.opened < month.end) {
        jobs::enqueue(tx, JOB, AccountJob { account: account.id, period_end: month.end }, None)?;
        handed += 1;
    }
    tx.execute(
        "INSERT INTO month_closes (month, reached, done) VALUES ($1, $2, $3)
         ON CONFLICT (month) DO UPDATE SET reached = excluded.reached, done = excluded.done",
        args![month.label, reached, !more],
    )?;
    Ok(closing(handed, more))
}
