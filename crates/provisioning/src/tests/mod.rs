//! The room on a real database, on both engines, with agents that are played.

mod bad_days;
mod catalog;
mod delivery;
mod end_to_end;
