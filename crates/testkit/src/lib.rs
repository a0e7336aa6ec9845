//! A whole installation as real processes: server, agent, hypervisor daemon.
//!
//! The demo and the whole-system tests drive it from outside, through the
//! public API and the command line, as a customer and an operator would.

pub mod activity;
mod api;
mod machines;
mod places;
mod process;
mod story;

pub use api::{Answer, Api};
pub use machines::Machines;
pub use places::{Bucket, Shelf, credential, settled};
pub use process::{Binaries, Daemon, Installation, Options, Ports, free_port};
pub use story::{Customer, DoneStep, Guest, Order, mailed_token, sign_in};

/// A fault of the installation under test, in words.
pub type Fault = Box<dyn std::error::Error + Send + Sync>;
/// The result of driving an installation.
pub type Outcome<T> = Result<T, Fault>;
