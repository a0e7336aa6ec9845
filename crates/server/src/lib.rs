//! The `yunwei` binary: configuration, wiring, routes, reactions, command line.
//!
//! What is here composes; what anything means is in the rooms. Three pages to
//! read first: [`routes`] (what can be asked for), [`reactions`] (what follows
//! from what), [`app`] (how the rooms are put together).

/// The allocator of every program that is made of this crate, SQLite's part included:
/// orders cost a quarter less of the writer's time than with the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub mod app;
pub mod cli;
pub mod reactions;
pub mod routes;
mod serve;
mod sweep;
