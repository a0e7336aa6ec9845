//! Fulfilment: an accepted item becomes a service that answers, or nothing at all.
//!
//! ```text
//!   fulfil      order.design ─► capacity.reserve ─► network.claim ─► machine.want
//!                 ─► machine.run ─► machine.answer ─► service.activate ═► (no return)
//!   terminate   order.end ─► machine.remove ═► machine.gone ─► service.terminate
//! ```
//!
//! The flows are data (`flows/*.yaml`), the steps are here. One run carries out
//! one item of an order, on the authority of whoever placed it; its subject is
//! the order. [`accepted`] starts runs, [`cancelled`] turns them round,
//! [`ended`] tells the order what came of them.
//!
//! **Invariants**
//! - until `service.activate` has committed, everything can be taken back; that
//!   step ends the item in the same transaction, so an order is cancellable
//!   exactly as long as its run can be turned round;
//! - what was reserved is let go only when its machine is seen to be gone
//!   (undo of `machine.want` waits; `resources::capacity::free` refuses else);
//! - a run that is undone leaves no reservation, claim or intent
//!   (`whichever_step_fails_the_slate_is_clean`).
//!
//! **Not here.** Which host (`resources::placement`), how it is made so
//! (`drivers::converge`), what it costs (`commerce`).

mod machine;
mod react;
mod start;
mod stop;

use durable::Registry;

pub use machine::{Claimed, Forwarded, Machine, Placed};
pub(crate) use react::begin_forgotten;
pub use react::{accepted, cancelled, ended, stuck};
pub use start::{await_gone, claim_network, claim_ports, remove};

/// The flow that carries out an item that adds.
pub const FULFIL: &str = "fulfil";
/// The flow that carries out an item that ends a product.
pub const TERMINATE: &str = "terminate";

/// Adds the steps and the definitions that come with the product.
#[must_use]
pub fn register(registry: Registry) -> Registry {
    registry
        .step(start::DesignOrder)
        .step(start::ReserveCapacity)
        .step(start::ClaimNetwork)
        .step(start::WantMachines)
        .step(start::AwaitRunning)
        .step(start::AwaitAnswer)
        .step(start::ActivateServices)
        .step(stop::EndProduct)
        .step(stop::RemoveMachines)
        .step(stop::AwaitGone)
        .step(stop::TerminateServices)
        .definition(include_str!("../../flows/fulfil.yaml"))
        .definition(include_str!("../../flows/terminate.yaml"))
}
