//! The `commerce` room of Yunwei.
