//! The `gate` room of Yunwei.
