//! Every SQL statement about role grants.

use base::id::{AccountId, TenantId};
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::{Conn, args};

use super::rules;
use crate::tenants;

/// All roles of an account, everywhere.
pub(crate) fn of_account(conn: &mut Conn<'_>, account: AccountId) -> Result<Vec<(TenantId, String)>> {
    conn.query("SELECT tenant, role FROM role_grants WHERE account = $1 ORDER BY tenant, role", args![account], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })
}

/// All roles of an account with who granted each.
pub(crate) fn granted(conn: &mut Conn<'_>, account: AccountId) -> Result<Vec<(TenantId, String, String)>> {
    let sql = "SELECT tenant, role, granted_by FROM role_grants WHERE account = $1 ORDER BY tenant, role";
    conn.query(sql, args![account], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
}

/// The next accounts, by identifier, that hold one of `roles` in a tenant. Each role is a walk along the index
/// by tenant, role and account that ends after `most`.
pub(crate) fn next_holders(
    conn: &mut Conn<'_>,
    tenant: TenantId,
    roles: impl Iterator<Item = &'static str>,
    after: Option<AccountId>,
    most: usize,
) -> Result<Vec<AccountId>> {
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    let sql =
        "SELECT account FROM role_grants WHERE tenant = $1 AND role = $2 AND account > $3 ORDER BY account LIMIT $4";
    let mut found = Vec::new();
    for role in roles {
        found.extend(conn.query(sql, args![tenant, role, after, most], |row| row.get::<AccountId>(0))?);
    }
    Ok(found)
}

/// The roles of an account that it held by an instant and has held since: one that is taken away and
/// granted again begins anew.
pub(crate) fn of_account_since(
    conn: &mut Conn<'_>,
    account: AccountId,
    held_by: Timestamp,
) -> Result<Vec<(TenantId, String)>> {
    conn.query(
        "SELECT tenant, role FROM role_grants WHERE account = $1 AND granted_at <= $2 ORDER BY tenant, role",
        args![account, held_by],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// The roles of an account in one tenant.
pub(crate) fn held(conn: &mut Conn<'_>, account: AccountId, tenant: TenantId) -> Result<Vec<String>> {
    conn.query(
        "SELECT role FROM role_grants WHERE account = $1 AND tenant = $2 ORDER BY role",
        args![account, tenant],
        |row| row.get(0),
    )
}

/// Grants a role; false where it was held already.
pub(crate) fn insert(
    conn: &mut Conn<'_>,
    account: AccountId,
    tenant: TenantId,
    role: &str,
    by: &str,
    at: Timestamp,
) -> Result<bool> {
    let held: u64 =
        conn.query_one("SELECT COUNT(*) FROM role_grants WHERE account = $1", args![account], |row| row.get(0))?;
    if held >= limits::ROLES_PER_ACCOUNT_MAX {
        return Err(Error::exhausted(
            "role.too_many",
            format!("an account holds at most {} roles", limits::ROLES_PER_ACCOUNT_MAX),
        ));
    }
    let made = conn.execute(
        "INSERT INTO role_grants (account, tenant, role, granted_at, granted_by) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (account, tenant, role) DO NOTHING",
        args![account, tenant, role, at, by],
    )?;
    Ok(made == 1)
}

/// Takes a role away; false where it was not held.
pub(crate) fn delete(conn: &mut Conn<'_>, account: AccountId, tenant: TenantId, role: &str) -> Result<bool> {
    Ok(conn.execute(
        "DELETE FROM role_grants WHERE account = $1 AND tenant = $2 AND role = $3",
        args![account, tenant, role],
    )? == 1)
}

/// Refuses to let go of the last active administrator of the operator, or of
/// the last active owner of a customer. A program manages nobody: it does not count.
pub(crate) fn keep_one(conn: &mut Conn<'_>, tenant: TenantId, role: &str, going: AccountId) -> Result<()> {
    let kind = tenants::store::load(conn, tenant)?.kind;
    if rules::keeper(kind) != Some(role) {
        return Ok(());
    }
    let others: u64 = conn.query_one(
        "SELECT COUNT(*) FROM role_grants g JOIN accounts a ON a.id = g.account WHERE g.tenant = $1 AND g.role = $2 AND a.state = 'active' AND a.kind = 'person' AND a.id <> $3",
        args![tenant, role, going],
        |row| row.get(0),
    )?;
    // Somebody suspended or already without the role is not the last one to keep.
    let keeps: u64 = conn.query_one(
        "SELECT COUNT(*) FROM role_grants g JOIN accounts a ON a.id = g.account WHERE g.tenant = $1 AND g.role = $2 AND a.state = 'active' AND a.kind = 'person' AND a.id = $3",
        args![tenant, role, going],
        |row| row.get(0),
    )?;
    if keeps > 0 && others == 0 {
        return Err(Error::conflict(
            "role.last_holder",
            format!("this is the last active {role}; make somebody else {role} first"),
        ));
    }
    Ok(())
}
