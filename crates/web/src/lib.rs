//! The `web` room of Yunwei.
