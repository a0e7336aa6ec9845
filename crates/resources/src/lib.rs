//! The `resources` room of Yunwei.
