//! The `resources` room of Yunwei.

pub mod shapes;
