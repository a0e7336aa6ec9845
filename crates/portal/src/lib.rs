//! The `portal` room of Yunwei.
