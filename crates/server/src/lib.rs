//! The `yunwei` binary: configuration, wiring, routes, reactions, command line.
//!
//! What is here composes; what anything means is in the rooms. Three pages to
//! read first: [`routes`] (what can be asked for), [`reactions`] (what follows
//! from what), [`app`] (how the rooms are put together).

pub mod app;
pub mod cli;
pub mod reactions;
pub mod routes;
mod serve;
mod sweep;
