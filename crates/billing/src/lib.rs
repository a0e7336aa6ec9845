//! The `billing` room of Yunwei.

// Rows of attributes, packed by hand.
#[rustfmt::skip]
pub mod shapes;
