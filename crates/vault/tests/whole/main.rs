//! The vault from outside: the real program, real repositories, and Debian's restic as a judge
//! that has never seen our code.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod beside;
mod buckets;
mod ends;
mod files;
mod folders;
mod images;
mod judge;
mod kills;
mod looks;
mod support;
