//! The outside world as traits and wire types: what Yunwei touches, and how it speaks of it.
//!
//! **What.** Each module is one border: its trait or wire types, and a second, in-memory or
//! file-based implementation that tests and small installations really use.
//!
//! **Not here.** Business. Nothing in this crate knows a tenant, an order or a price.

pub mod converge;
pub mod hypervisor;
pub mod mail;
pub mod moment;
pub mod seed;
pub mod tasks;
pub mod wire;
