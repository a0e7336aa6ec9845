//! A whole installation as real processes: server, agent, hypervisor daemon.
//!
//! The demo and the whole-system tests drive it from outside, through the
//! public API and the command line, as a customer and an operator would.

mod api;
mod process;

pub use api::Api;
pub use process::{Binaries, Daemon, Installation, Options, free_port};

/// A fault of the installation under test, in words.
pub type Fault = Box<dyn std::error::Error + Send + Sync>;
/// The result of driving an installation.
pub type Outcome<T> = Result<T, Fault>;
