//! The HTTP kit: TM Forum routes over records, our own API from a table of
//! actions, event subscriptions, and what every request passes
//! through (identifiers, limits, logs, metrics, TLS).
//!
//! Architecture invariants:
//! - a handler does nothing but translate: what happens is an action or a kind
//!   run through the gate, under the context of whoever asks ([`Caller`]);
//! - every refusal leaves as a TM Forum error body ([`Refusal`]); a fault of
//!   ours says nothing but the request's identifier;
//! - everything that comes in has a bound in [`base::limits`].
//!
//! Not here: who people are (`access` implements [`Authenticator`]), pages
//! (`portal`), which routes there are (`server`).

pub mod api;
mod asking;
mod attachment;
mod body;
mod house;
pub mod hub;
pub mod idempotency;
pub mod layers;
mod limit;
mod metrics;
mod outgoing;
mod peer;
mod reply;
pub mod second;
pub mod serve;
mod sweep;
#[cfg(test)]
mod tests;
pub mod tmf;

pub use asking::{Asking, Authenticator, Caller, Traced, bearer, same_origin};
pub use attachment::attachment;
pub use base::address::Network;
pub use house::{Settings, Web};
pub use metrics::Metrics;
pub use outgoing::Outgoing;
pub use reply::{Refusal, Reply};
pub use sweep::sweep;
