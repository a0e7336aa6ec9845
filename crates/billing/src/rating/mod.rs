//! Rating: from usage and prices to amounts. Pure functions; no database, no clock.
//!
//! **What.** A [`Price`] says what one unit of something costs. [`charge`] turns
//! what was used into an amount: everything up to the last step is exact, the
//! last step rounds once ([`base::money::Money::round`]: half away from zero,
//! to the decimals of the currency). [`tax`] is computed on sums of such lines.
//!
//! **Invariants** and what holds them:
//! - the order in which usage arrives never changes an amount, nor does cutting
//!   one stretch of usage into several (`tests`: both as properties);
//! - what is charged in several bills for one price and month adds up to what
//!   one bill would have charged, before rounding (property);
//! - no floats; an amount that does not fit is an error, never a wrapped number.
//!
//! The rules and their sources: `docs/explanation/rating.md`.
//!
//! **Not here.** What was used (`usage`), which usage a bill takes (`bills`).

mod calendar;
mod estimate;
mod price;
mod read;
mod rules;
#[cfg(test)]
mod tests;

pub use calendar::{Calendar, Month};
pub use estimate::{Estimate, MONTH_HOURS, month};
pub use price::{Charge, Cycle, Price, Tier, TimeUnit, measure};
pub use read::prices;
pub(crate) use rules::total;
pub use rules::{Quantity, Used, charge, quantity, tax};

use rust_decimal::Decimal;

/// Taiwan's business tax in per cent, the rate of a price that names none.
///
/// Value-added and Non-value-added Business Tax Act (加值型及非加值型營業稅法),
/// Article 10: not less than 5 %, not more than 10 %, set by the Executive
/// Yuan, which has set 5 %.
pub const BUSINESS_TAX_PERCENT: Decimal = Decimal::from_parts(5, 0, 0, false, 0);
