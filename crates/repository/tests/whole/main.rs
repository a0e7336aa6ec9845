//! The repository server from outside: the vault and restic as clients, and a thief.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops on its first surprise")]

#[path = "../../../vault/tests/whole/judge.rs"]
mod judge;
#[path = "../../../vault/tests/whole/support.rs"]
mod support;

mod server;
mod stalled;
mod thief;
mod trouble;
