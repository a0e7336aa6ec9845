//! The `access` room of Yunwei.
