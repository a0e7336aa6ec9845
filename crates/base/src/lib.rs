//! The `base` room of Yunwei.
