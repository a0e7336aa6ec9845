//! Passwords: hashing, what is refused, and how often one may guess.
//!
//! Argon2id in PHC form; one pass takes about 20 ms and 19 MiB, so it never runs
//! inside a transaction or on an async thread, and only a few run at one time.
//!
//! What is refused follows NIST SP 800-63B: length counts, rules of composition
//! do not; refused are passwords that everybody uses, that are made of the
//! person's own or the product's name, and plain sequences.
//!
//! Invariants:
//! - an unknown account costs the same hash as a known one (`hashing::verify`);
//! - an attempt is counted before it is tried, so that many at once are not
//!   more guesses than one after another (`attempts::admit`).
//!
//! Not here: sign-in itself (`sessions`).

pub mod actions;
pub(crate) mod attempts;
pub(crate) mod hashing;
pub(crate) mod networks;
mod refused;
pub mod strength;
#[cfg(test)]
mod tests;
