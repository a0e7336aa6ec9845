//! The vault: copies of data that can be brought back.
//!
//! A *repository* is a place in restic's format: encrypted, deduplicated, readable with plain
//! restic by whoever has the key. This room backs up into repositories, restores from them,
//! checks, copies and prunes them, and serves them over HTTP to hosts that may add and never
//! take away. It knows no tenants, records or database: who backs up what, when and where to is
//! decided elsewhere.
//!
//! - [`request`]: what can be asked, what is answered, what is told meanwhile.
//! - [`client::Worker`]: asks. Each request runs in a child process of its own
//!   (`yunwei-vault work`), with limits, and every way in which that can end has a code
//!   ([`fault`]).
//! - [`work`]: the child's side. `engine`: the one module that knows rustic. [`place`]: where
//!   repositories lie.
//! - [`objects`]: single objects in object storage, for what is no repository.
//! - [`spoil`]: damage on purpose, for the negative controls of drills.
//!
//! Invariants, each with a test beside the engine it holds for:
//! - A snapshot is written only when all that it names was read and stored (`engine::bridge`).
//! - A restore is under its final name only when its contents were hashed (`engine::restore`).
//! - A copy is one only when every piece of it is in the index of its new home (`engine::copy`).

pub mod client;
mod engine;
pub mod fault;
mod frame;
pub mod objects;
pub mod place;
pub mod request;
pub mod spoil;
pub mod work;
