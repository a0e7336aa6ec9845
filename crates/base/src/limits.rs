//! Every limit of the house, in one place.

/// Largest HTTP request body, in bytes.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// Deepest nesting of a JSON document.
pub const JSON_DEPTH_MAX: usize = 32;
/// Largest stored record, in bytes of JSON.
pub const RECORD_BYTES_MAX: usize = 512 << 10;
/// Longest identifier, name or other indexed text, in bytes.
pub const TEXT_INDEXED_MAX: usize = 1_024;
/// Entries of a list when nobody asks for a number.
pub const PAGE_DEFAULT: u32 = 20;
/// Most entries of a list in one answer.
pub const PAGE_MAX: u32 = 1_000;
/// Furthest that `offset` may reach; beyond it one follows the next link.
pub const OFFSET_MAX: u64 = 10_000;
/// Largest number of matches that is counted exactly.
pub const COUNT_EXACT_MAX: u64 = 10_000;
/// Records looked at for a filter on a path without an index.
pub const SCAN_MAX: u64 = 10_000;
/// Most conditions in one filter.
pub const FILTERS_MAX: usize = 16;
/// Tenants in one customer's subtree.
pub const SUBTREE_MAX: usize = 1_000;
/// Deepest tenant tree.
pub const TENANT_DEPTH_MAX: usize = 8;
/// Write transactions that share one commit.
pub const GROUP_COMMIT_MAX: usize = 512;
/// Writes that may wait for the writer before new ones are turned away.
pub const WRITE_QUEUE_MAX: usize = 10_000;
/// Times that a transaction is run again after a serialisation failure.
pub const CONTENTION_RETRIES_MAX: u32 = 20;
/// Items of one order.
pub const ORDER_ITEMS_MAX: usize = 50;
/// Decisions kept in the cache.
pub const DECISIONS_CACHED_MAX: usize = 100_000;
