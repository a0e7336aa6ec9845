//! The `yunwei` binary: configuration, wiring, routes, reactions, command line.
//!
//! What is here composes; what anything means is in the rooms. Three pages to
//! read first: [`routes`] (what can be asked for), [`reactions`] (what follows
//! from what), [`app`] (how the rooms are put together).

/// The allocator of every program that is made of this crate: orders cost less of the
/// writer's time than with the system's. C keeps its own: taking `malloc` itself over ends
/// in a crash at start beside libraries that are loaded first and allocate (libfaketime).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub mod app;
pub mod cli;
mod downloads;
mod isolated;
pub mod reactions;
pub mod routes;
pub mod serve;
mod sweep;
