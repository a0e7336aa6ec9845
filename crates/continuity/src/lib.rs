//! Continuity: what stops when something is lost, what brings it back, and
//! whether that was ever proven.
//!
//! | module | what |
//! |---|---|
//! | [`impact`] | what stops, for how long, and what is lost: a pure function over the graph of dependencies |

pub mod impact;
