//! Usage: what a service used, taken from what was observed of it.
//!
//! **What.** A meter is attached to a service when it becomes active, and reads
//! two things: the lives of its machines as agents report them (`run`), and that
//! the service was held for its customer (`held`). Activation itself is an entry
//! (`once`), and so is what somebody else counted and handed in (`count`).
//!
//! ```text
//!   agent ─► life seen ─► metered_lives ─┐                       (known by now, may grow)
//!   service activated ─► meter, terms ───┴► pieces ─► usage_entries ─► a bill
//!                                           pure       append-only, once each
//! ```
//!
//! A life is measured by how long it has certainly run (`ran`), a length that
//! only grows, and is placed in time by its start. Its ledger entries are
//! consecutive pieces of that length, cut at months, at changes of the terms,
//! and wherever somebody settled. What lies beyond `ran` is unknown: it is shown
//! ([`Unknown`]) and not billed until it is known.
//!
//! **Invariants** and what holds them:
//! - replays, late news and any order of arrival give the same money: lives are
//!   merged ([`LifeSeen::absorb`] is commutative and idempotent: property), and a
//!   piece begins where the last one ended (`UNIQUE (basis, origin, epoch, from_us)`);
//! - where it is cut changes nothing (property, in `rating`);
//! - the ledger is appended to: a correction is an entry with the sign turned,
//!   beside the one that it corrects;
//! - what never became active has no meter and is not metered; what ran before
//!   its activation is not either.
//!
//! **Not here.** What usage costs (`rating`), who pays (`accounts`, `bills`),
//! how lives are observed (`resources`, the agent).

mod kinds;
mod life;
mod pieces;
mod store;
mod types;
mod work;

pub use kinds::{USAGE, USAGE_SPECIFICATION};
pub use life::{LifeEnd, LifeSeen};
pub use pieces::{Piece, Stretch, pieces};
pub use types::{Basis, Entry, Meter, MeterStart, Metered, Sizes, Terms, Unknown};
pub use work::{change, end, life_observed, life_seen, order_accepted, service_activated, service_moved, start};

pub(crate) use store::{
    by_id as meter_by_id, entries_of_line, entry_of, meters_of, meters_of_tenant, of_service as meter_of_service, rest,
    unbilled,
};
pub(crate) use work::{bill_records, open_pieces, settle, unknown};

#[cfg(test)]
mod tests;
