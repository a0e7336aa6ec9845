//! Facts: what happened, past tense, by id and revision.

use std::any::Any;

use base::id::TenantId;
use base::time::Timestamp;
use base::{Result, limits};
use db::{Conn, args};

/// Something that happened. Stated inside the transaction that made it so;
/// reactions to it run in the same transaction.
pub trait Fact: Any + std::fmt::Debug {
    /// Past tense, for example `OrderAccepted`.
    fn name(&self) -> &'static str;
    /// The object's kind and id.
    fn object(&self) -> (&str, &str);
    /// The object's revision, 0 where it has none.
    fn revision(&self) -> i64 {
        0
    }
    /// Whether it is written down. Not so for what stands elsewhere in full: it is only reacted to.
    fn is_kept(&self) -> bool {
        true
    }
}

/// What happens to any record; TM Forum notifications are made from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordFact {
    /// `RecordCreated`, `RecordChanged`, `RecordStateChanged` or `RecordDeleted`.
    pub name: &'static str,
    /// The kind, for example `productOrder`.
    pub kind: &'static str,
    /// The record.
    pub id: String,
    /// Its revision after the change (before it, for a deletion).
    pub revision: i64,
    /// Whose it is.
    pub tenant: TenantId,
}

impl Fact for RecordFact {
    fn name(&self) -> &'static str {
        self.name
    }
    fn object(&self) -> (&str, &str) {
        (self.kind, &self.id)
    }
    fn revision(&self) -> i64 {
        self.revision
    }
    /// Its revision is kept with the record's others.
    fn is_kept(&self) -> bool {
        false
    }
}

/// Forgets facts from before `before`: one batch, the oldest first. Gives how
/// many. Reactions, notifications and live pages took theirs when they happened.
///
/// # Errors
/// Those of the database.
pub fn forget(conn: &mut Conn<'_>, before: Timestamp) -> Result<u64> {
    conn.execute(
        "DELETE FROM facts WHERE at < $1 AND seq IN (SELECT seq FROM facts ORDER BY seq LIMIT $2)",
        args![before, limits::SWEEP_BATCH_MAX],
    )
}
