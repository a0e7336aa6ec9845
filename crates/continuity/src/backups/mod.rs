//! Backups: the rules that decide when one is due, what is kept, and how well a service is
//! protected. Pure functions; nothing calls them yet.

pub mod digits;
pub mod retention;
pub mod schedule;
