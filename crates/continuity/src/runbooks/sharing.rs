//! Sharing: a tenant's runbook that the operator's staff carry out.
//!
//! Who reads a runbook is its tenant. What the operator's people are to do on a bad day they must be able to
//! read before it, without being let into everything else that the tenant has: so a tenant shares single
//! runbooks, and both see that it has. Nobody else does, another customer least of all.
//!
//! **Invariants** (tests: `plan::tests`)
//! - only its own tenant shares a runbook, and takes that back;
//! - what is shared is what it says from then on: the version of that moment and later ones, while it is
//!   in use; to be read, and not to be changed;
//! - that it was shared, and by whom, is on the audit log of its tenant.

use base::id::TenantId;
use base::{Error, Result, limits};
use db::{Class, args};
use gate::{Action, Effect, Relation, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{KIND, Runbook, SELECT, granted, in_use, read};
use crate::RunbookId;

/// Whether the actor reads another tenant's runbook because it was shared, in a version that was.
pub(super) fn reads(tx: &mut Tx<'_>, action: &str, found: &Runbook) -> Result<bool> {
    // Whoever sees into the tenant anyway needs no sharing.
    let sees = tx.cx().relation(found.tenant) != Relation::Elsewhere;
    if sees || !matches!(action, "runbook.get" | "runbook.versions") {
        return Ok(false);
    }
    let operator = tx.operator()?;
    if tx.cx().tenant() != operator || !is_open(found) {
        return Ok(false);
    }
    // The entry is about the tenant's runbook; whether the actor reads runbooks is asked of the operator.
    tx.touch(KIND, &found.id.to_string(), found.tenant, 0);
    tx.grant(action, KIND, &found.id.to_string(), operator, Class::Internal, ())?;
    Ok(true)
}

/// Whether a version is shared: it was the newest then, or came later.
pub(super) fn is_open(found: &Runbook) -> bool {
    found.ended_at.is_none() && found.shared_from.is_some_and(|from| found.version >= from)
}

/// Runbooks of all tenants that were shared with the operator, by title.
pub(super) fn with_operator(tx: &mut Tx<'_>, acting: TenantId) -> Result<Vec<Runbook>> {
    if acting != tx.operator()? {
        return Ok(Vec::new());
    }
    let sql = format!(
        "{SELECT} AND v.version = r.version
         WHERE r.shared_from IS NOT NULL AND r.ended_at IS NULL AND r.tenant <> $1 ORDER BY r.title, r.id LIMIT $2"
    );
    tx.query(&sql, args![acting, limits::PAGE_MAX], read)
}

/// Whether a runbook is shared from now on.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShareRunbook {
    /// Which.
    pub id: RunbookId,
    /// Whether the operator's staff may read it.
    pub shared: bool,
}

/// Shares a runbook with the operator's staff, or no more.
pub static SHARE: Action<ShareRunbook, Runbook> = Action {
    name: "runbook.share",
    summary: "Shares a runbook with the operator's staff who carry it out, from this version on; or no more.",
    effect: Effect::Change,
    run: |tx, input| {
        let found = granted(tx, "runbook.share", input.id, None)?;
        in_use(&found)?;
        if found.tenant == tx.operator()? {
            let message = "the operator's own runbooks are its staff's already";
            return Err(Error::conflict("runbook.own", message));
        }
        // Who shares what is shared changes nothing: since when stays.
        let from = input.shared.then(|| found.shared_from.unwrap_or(found.version));
        tx.execute("UPDATE runbooks SET shared_from = $2 WHERE id = $1", args![input.id, from])?;
        granted(tx, "runbook.share", input.id, None)
    },
};
