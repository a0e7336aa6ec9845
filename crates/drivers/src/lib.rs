//! The `drivers` room of Yunwei.
