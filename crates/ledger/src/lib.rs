//! The `ledger` room of Yunwei.
