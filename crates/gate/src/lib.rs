//! The gate: the one door through which everything is done.
//!
//! A use case is an [`Action`]: a value with a name, a typed input and the
//! function that runs it inside a transaction [`Tx`]. The gate decides by
//! policy whether the actor in [`Cx`] may, runs it, and commits the change,
//! its facts and its audit entry together. A refusal is recorded too.
//!
//! Architecture invariants:
//! - there is no transaction without an actor and a scope;
//! - an object is read for use only through [`Tx::load`], which decides;
//!   changing a record wants the [`Granted`] that it gave;
//! - an action touches nothing outside the database: it may be run again.
//!
//! Not here: who has which role and how people sign in (`access`), routes (`web`).

mod action;
pub mod audit;
mod bounds;
mod cx;
mod decide;
mod explain;
pub mod facts;
mod guard;
pub mod keys;
mod kind;
mod known;
pub mod lease;
mod proof;
mod run;
pub mod search;
pub mod shape;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod tx;

pub use action::{Action, AnyAction, Catalogue, Effect, read_input, write_output};
pub use bounds::Bounds;
pub use cx::{Actor, Cx, Relation};
pub use decide::{Forbidding, Policies};
pub use explain::Thing;
pub use facts::{Fact, RecordFact};
pub use guard::{Deed, Done, Guard, Object, OfRecord};
pub use kind::{Kind, Page, StateMachine, Verb, free};
pub use proof::{Fresh, Proof, Strength, step_up_wanted};
pub use run::{Gate, Reactions};
pub use tx::{Granted, Tx};
