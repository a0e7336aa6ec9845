//! Pure values that every room shares: identifiers, time, money, errors, limits.
//!
//! Architecture invariant: nothing in here does I/O. The clock is read and
//! random numbers are drawn by values that the caller hands in ([`time::Clock`],
//! [`id::Ids`]), so that a test or a simulator can own both.

pub mod address;
pub mod error;
pub mod hex;
pub mod id;
pub mod limits;
pub mod money;
pub mod names;
pub mod percent;
mod secret;
pub mod time;

pub use error::{Error, Kind, Result};
pub use secret::Secret;
