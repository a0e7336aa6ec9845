//! Impact: given what depends on what, what does the loss of this stop, for how
//! long, what data is gone, and which objectives break?
//!
//! Pure: no clock, no database, no chance. The same graph and the same loss give
//! the same outcome everywhere.
//!
//! ```text
//!  failed ──► lost        what stands inside the failed is lost with it
//!             │
//!             ▼
//!            stopped      what needs more than is left is stopped, not lost
//!             │
//!             ├─ waits    until what it needs is back
//!             └─ moves    restored from a copy onto another host, in the order of
//!                         urgency, over hosts and places that restore so much at once
//! ```
//!
//! **Invariants** (each held by a test against a brute force over random graphs):
//! - a node is stopped if and only if it is lost, its container is stopped, or one
//!   of its needs has fewer than `at_least` running members;
//! - no host takes more than it has free, no lane restores two things at a time;
//! - a node is back at the earliest moment at which all it needs is back;
//! - what cannot come back has a reason, and a circle of mutual needs is one.
//!
//! **Not here.** Where the graph comes from, who may see it, and what a drill
//! measured: this room is told.

mod graph;
mod rules;
#[cfg(test)]
mod tests;
mod types;

pub use graph::Graph;
pub use rules::{Rank, Study};
pub use types::{
    Activity, Back, Copy, Data, Harm, Host, Kind, Loss, Move, Need, Node, NodeIx, Outcome, Source, Stop, Why,
};
