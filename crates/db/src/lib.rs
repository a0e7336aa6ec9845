//! The `db` room of Yunwei.
