//! The `durable` room of Yunwei.
