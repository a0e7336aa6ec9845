//! The audit log: a Merkle tree (RFC 6962) over everything that was done or refused.
//!
//! An entry is committed with the change that it tells of, not yet in the tree.
//! One leased sequencer gives entries their places, keeps the tree's heads and
//! signs checkpoints (C2SP tlog-checkpoint, signed note), which also go into an
//! append-only file. So a writer never waits for the tree, and whoever changes,
//! removes, moves or cuts entries afterwards is found out by [`verify`].
//!
//! ```text
//!  append (in the change's own commit) ► pending ─ sequencer ─► in the tree at `leaf_index`
//!                                                                 └► covered by a checkpoint
//! ```
//!
//! Invariants:
//! - one INSERT for an entry, one more where it has personal data;
//! - the leaf's bytes are made from the columns, so no column can change unseen;
//! - personal data is in a table of its own, bound to the leaf by a salted
//!   commitment: erasing it leaves the tree whole, changing it is found;
//! - a tree that is shorter than, or differs from, what was signed before is
//!   never signed again.
//!
//! Not here: who may read it (`access`), shipping it to other places (`guard`).

pub mod actions;
mod export;
mod filter;
mod kept;
mod key;
mod leaf;
mod lines;
mod proof;
mod refusals;
mod sequencer;
mod shipment;
mod store;
#[cfg(test)]
mod tests;
mod tree;
mod verify;

use base::Result;
use base::id::TenantId;
use base::time::Timestamp;
use db::Conn;
use serde::Serialize;

use crate::Cx;

pub use export::{Format, export, export_at};
pub use filter::Filter;
pub use kept::Kept;
pub use key::{Checkpoint, Key, VerifyingKey};
pub use leaf::{Leaf, Private};
pub use proof::{Proven, check, prove, prove_at, prove_growth, prove_growth_at};
pub use refusals::{Named, Refusal, refusals};
pub use sequencer::{Head, Sequencer, erase, sequence};
pub use shipment::Shipment;
pub use tree::{leaf_hash, root_from_inclusion, verify_consistency};
pub use verify::{Bad, Report, Signed, Verify, verify, verify_at};

/// One entry, on its way into the log.
pub struct Entry<'a> {
    /// When.
    pub at: Timestamp,
    /// Who, where from, in which session, why.
    pub cx: &'a Cx,
    /// What.
    pub action: &'a str,
    /// On what kind of thing; empty where nothing was touched.
    pub object_kind: &'a str,
    /// On which one.
    pub object_id: &'a str,
    /// Whose it is.
    pub object_tenant: TenantId,
    /// Its revision.
    pub revision: i64,
    /// `done`, or `refused:` and the error's code.
    pub outcome: &'a str,
    /// SHA-256 of the input as JSON.
    pub digest: [u8; 32],
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref());
    out
}

/// SHA-256 of an action's input as JSON.
pub fn digest(input: &impl Serialize) -> [u8; 32] {
    sha256(&serde_json::to_vec(input).unwrap_or_default())
}

/// Appends an entry, in the transaction of the change that it tells of.
///
/// # Errors
/// Those of the database.
pub fn append(conn: &mut Conn<'_>, entry: &Entry<'_>) -> Result<()> {
    let cx = entry.cx;
    let private = Private { address: cx.address().map(|address| address.to_string()), reason: cx.reason().to_owned() };
    if private.is_empty() {
        return store::insert(conn, entry, None).map(drop);
    }
    let (salt, body) = (leaf::salt()?, private.text()?);
    let seq = store::insert(conn, entry, Some(leaf::commitment(&salt, &body)))?;
    store::insert_private(conn, seq, &salt, &body)
}
