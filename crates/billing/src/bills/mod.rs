//! Bills: what is owed, why, and proof that nothing is on two of them.
//!
//! **What.** `bill.run` settles an account's meters up to an instant, takes every
//! entry of the usage ledger that is on no bill and ends by then, rates it, and
//! issues one bill with a number of the operator's own sequence. What is not yet
//! known waits for the next bill. What was wrong is put right by a line of the
//! next bill, never by changing one.
//!
//! ```text
//!   new ──► validated ──► sent ──► settled
//!    └─► onHold ─┘          └─► partiallyPaid ─► settled     (with payments)
//! ```
//!
//! **Invariants** and what holds them:
//! - a usage entry is on one bill at most (`billed_entries`' primary key), and is
//!   charged once per price (`charges`' primary key);
//! - numbers have no gaps and are given once (taken from `bill_numbers` in the
//!   bill's own transaction; `UNIQUE (operator, number)`);
//! - one bill per account and end of period, however many runs there are
//!   (`UNIQUE (account, period_end)`);
//! - total = Σ rounded lines + Σ rounded taxes (`CHECK`, an assertion that stays
//!   on, and `tests/billing/rebill.py`, which computes each bill a second time);
//! - an issued bill does not change but in its state (`fixed` attributes of the shape).
//!
//! **Not here.** Metering (`usage`), arithmetic (`rating`), payments and dunning (to come).

mod actions;
mod compensation;
mod export;
mod kinds;
mod rules;
mod run;
mod store;
mod types;
mod views;
pub mod work;

pub use actions::{
    ADJUST, AdjustInput, Adjusted, BillList, BillRef, GET, LINE_USAGE, LIST, LineUsage, LineUsageInput, LineUsageItem,
    ListInput, MOVE, MoveInput, NotBilled, PREVIEW, PreviewInput, RUN, RunInput, RunOutput, SummaryInput,
    USAGE_SUMMARY, UsageSummary, UsageSummaryItem,
};
pub use compensation::{Compensation, compensate};
pub use export::{EXPORT, Exported, ExportedAdjustment, ExportedMeter, ExportedPrior};
pub use kinds::{APPLIED_CUSTOMER_BILLING_RATE, CUSTOMER_BILL};
pub use run::run_account;
pub use types::{Amount, BillLine, BillRow, BillView, TaxLine};
pub use work::{CLOSE, CloseInput, Closing};

#[cfg(test)]
mod tests;
