//! The `billing` room of Yunwei.
