//! The `billing` room of Yunwei.

pub mod shapes;
