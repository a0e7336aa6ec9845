//! Every SQL statement about invitations.

use base::id::TenantId;
use base::time::Timestamp;
use base::{Error, Result};
use db::{Conn, Row, args};

use super::{Invitation, InvitationId, InvitationState};
use crate::roles::OWNER;
use crate::tenants;
use crate::text::Email;

const COLUMNS: &str = "id, tenant, email, name, locale, roles, state, invited_by, created_at, expires_at";

fn read(row: &Row) -> Result<Invitation> {
    let roles: String = row.get(5)?;
    Ok(Invitation {
        id: row.get(0)?,
        tenant: row.get(1)?,
        email: row.get(2)?,
        name: row.get(3)?,
        locale: row.get(4)?,
        roles: serde_json::from_str(&roles)
            .map_err(|e| Error::bug("invitation.roles", "an invitation's roles do not read").because(e))?,
        state: row.get(6)?,
        invited_by: row.get(7)?,
        created_at: row.get(8)?,
        expires_at: row.get(9)?,
    })
}

pub(crate) fn insert(conn: &mut Conn<'_>, it: &Invitation, email: &Email) -> Result<()> {
    conn.execute(
        &format!(
            "INSERT INTO invitations ({COLUMNS}, email_key) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
        ),
        args![
            it.id,
            it.tenant,
            it.email,
            it.name,
            it.locale,
            serde_json::json!(it.roles),
            it.state,
            it.invited_by,
            it.created_at,
            it.expires_at,
            email.key
        ],
    )?;
    Ok(())
}

pub(crate) fn find(conn: &mut Conn<'_>, id: InvitationId) -> Result<Option<Invitation>> {
    conn.query_opt(&format!("SELECT {COLUMNS} FROM invitations WHERE id = $1"), args![id], read)
}

/// The pending invitation of that address to that tenant.
pub(crate) fn pending(conn: &mut Conn<'_>, tenant: TenantId, email_key: &str) -> Result<Option<Invitation>> {
    conn.query_opt(
        &format!("SELECT {COLUMNS} FROM invitations WHERE tenant = $1 AND email_key = $2 AND state = 'pending'"),
        args![tenant, email_key],
        read,
    )
}

pub(crate) fn pending_number(conn: &mut Conn<'_>, tenant: TenantId) -> Result<u64> {
    conn.query_one("SELECT COUNT(*) FROM invitations WHERE tenant = $1 AND state = 'pending'", args![tenant], |row| {
        row.get(0)
    })
}

/// How many were made at and below the tenant of that path since an instant, whatever became of them.
pub(crate) fn made_since(conn: &mut Conn<'_>, path: &[TenantId], since: Timestamp) -> Result<u64> {
    let (from, to) = tenants::store::range(path);
    conn.query_one(
        "SELECT COUNT(*) FROM invitations i JOIN tenants t ON t.id = i.tenant
         WHERE t.path >= $1 AND t.path < $2 AND i.created_at > $3",
        args![from, to, since],
        |row| row.get(0),
    )
}

/// A page of those that wait for an answer.
pub(crate) fn list(
    conn: &mut Conn<'_>,
    tenant: TenantId,
    owners_only: bool,
    after: Option<InvitationId>,
    limit: u32,
) -> Result<Vec<Invitation>> {
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    let of_owners = serde_json::json!([OWNER]);
    conn.query(
        &format!(
            "SELECT {COLUMNS} FROM invitations WHERE tenant = $1 AND state = 'pending' AND id > $2
             AND ($3 = 0 OR roles = $4) ORDER BY id LIMIT {limit}"
        ),
        args![tenant, after, i64::from(owners_only), of_owners],
        read,
    )
}

/// Ends a pending invitation; false where it is pending no more. Two who try at
/// one time find one row between them.
pub(crate) fn close(conn: &mut Conn<'_>, id: InvitationId, state: InvitationState) -> Result<bool> {
    let closed =
        conn.execute("UPDATE invitations SET state = $2 WHERE id = $1 AND state = 'pending'", args![id, state])? == 1;
    conn.execute("DELETE FROM mail_links WHERE purpose = 'invitation' AND subject = $1", args![id])?;
    Ok(closed)
}

pub(crate) fn prolong(conn: &mut Conn<'_>, id: InvitationId, until: Timestamp) -> Result<()> {
    conn.execute("UPDATE invitations SET expires_at = $2 WHERE id = $1", args![id, until])?;
    Ok(())
}
