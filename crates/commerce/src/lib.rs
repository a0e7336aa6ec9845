//! The `commerce` room of Yunwei.

pub mod shapes;
