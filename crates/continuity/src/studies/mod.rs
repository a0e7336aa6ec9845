//! Studies: what the loss of something leads to, with what the platform measured and what people say.
//!
//! ```text
//!   inventory ─┐
//!   objectives ┼─► graph ─► impact::Study ─► what stops, for how long, what is lost, what misses its objective
//!   measured ──┘   speeds of real restores, sizes and ages of real copies, free capacity, start times
//! ```
//!
//! **Invariants** (tests: `tests.rs`)
//! - what was never measured is said to be so and never a figure;
//! - a service that no activity of the inventory needs stands for itself: that it stops is counted;
//! - the number of statements that a study takes does not depend on how much there is, but for the
//!   places of copies.
//!
//! **Not here.** The engine (`impact`: pure), what a restore really does (`restores`).

pub mod actions;
mod load;
mod store;
#[cfg(test)]
mod tests;

use gate::AnyAction;

pub use actions::{RANK, STUDY};

/// Every action of this capability.
pub static ACTIONS: &[&dyn AnyAction] = &[&STUDY, &RANK];
