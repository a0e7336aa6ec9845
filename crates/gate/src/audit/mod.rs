//! The audit log's appending end.

use base::Result;
use base::id::TenantId;
use base::time::Timestamp;
use db::{Conn, args};
use serde::Serialize;

use crate::Cx;

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

/// SHA-256 of an action's input as JSON.
pub fn digest(input: &impl Serialize) -> [u8; 32] {
    let text = serde_json::to_vec(input).unwrap_or_default();
    let mut out = [0; 32];
    out.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, &text).as_ref());
    out
}

/// Appends an entry, in the transaction of the change that it tells of.
///
/// # Errors
/// Those of the database.
pub fn append(conn: &mut Conn<'_>, entry: &Entry<'_>) -> Result<()> {
    conn.execute(
        "INSERT INTO audit_entries (at, actor, tenant, object_tenant, action, object_kind, object_id, revision, outcome, reason, request, input_hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        args![
            entry.at,
            entry.cx.actor().to_string(),
            entry.cx.tenant(),
            entry.object_tenant,
            entry.action,
            entry.object_kind,
            entry.object_id,
            entry.revision,
            entry.outcome,
            entry.cx.reason(),
            entry.cx.request(),
            entry.digest
        ],
    )?;
    Ok(())
}
