//! Every SQL statement about billing accounts.

use base::id::TenantId;
use base::{Result, limits};
use db::{Conn, Row, args};

use super::Account;

/// It is not closed: its document says so.
const OPEN: &str = "NOT EXISTS (SELECT 1 FROM records r WHERE r.id = a.id AND r.state = 'Closed')";

const COLUMNS: &str = "id, tenant, name, currency, opened_at";

fn read(row: &Row) -> Result<Account> {
    let currency: String = row.get(3)?;
    Ok(Account {
        id: row.get(0)?,
        tenant: row.get(1)?,
        name: row.get(2)?,
        currency: currency.parse()?,
        opened: row.get(4)?,
    })
}

pub(super) fn insert(conn: &mut Conn<'_>, account: &Account) -> Result<()> {
    conn.execute(
        "INSERT INTO billing_accounts (id, tenant, name, currency, opened_at) VALUES ($1, $2, $3, $4, $5)",
        args![account.id, account.tenant, account.name, account.currency.code(), account.opened],
    )?;
    Ok(())
}

pub(super) fn rename(conn: &mut Conn<'_>, id: &str, name: &str) -> Result<()> {
    conn.execute("UPDATE billing_accounts SET name = $2 WHERE id = $1", args![id, name])?;
    Ok(())
}

pub(super) fn delete(conn: &mut Conn<'_>, id: &str) -> Result<()> {
    conn.execute("DELETE FROM billing_accounts WHERE id = $1", args![id])?;
    Ok(())
}

pub(super) fn is_used(conn: &mut Conn<'_>, id: &str) -> Result<bool> {
    let found = conn.query_opt(
        "SELECT 1 FROM meters WHERE account = $1 UNION ALL SELECT 1 FROM bill_adjustments WHERE account = $1
         UNION ALL SELECT 1 FROM bills WHERE account = $1 LIMIT 1",
        args![id],
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}

pub(super) fn by_id(conn: &mut Conn<'_>, id: &str) -> Result<Option<Account>> {
    conn.query_opt(&format!("SELECT {COLUMNS} FROM billing_accounts WHERE id = $1"), args![id], read)
}

/// Whether an account may be charged with something new.
pub(super) fn is_open(conn: &mut Conn<'_>, id: &str) -> Result<bool> {
    let sql = format!("SELECT 1 FROM billing_accounts a WHERE id = $1 AND {OPEN}");
    Ok(conn.query_opt(&sql, args![id], |_| Ok(()))?.is_some())
}

pub(super) fn all(conn: &mut Conn<'_>, after: &str, limit: u32) -> Result<Vec<Account>> {
    conn.query(
        &format!("SELECT {COLUMNS} FROM billing_accounts WHERE id > $1 ORDER BY id LIMIT $2"),
        args![after, limit],
        read,
    )
}

/// The oldest account of the tenant that is not closed, or of the nearest one above it below the operator.
pub(super) fn nearest(conn: &mut Conn<'_>, tenant: TenantId) -> Result<Option<Account>> {
    let mut here = Some(tenant);
    for _ in 0..limits::TENANT_DEPTH_MAX {
        let Some(at) = here else { break };
        let found = conn.query_opt(
            &format!(
                "SELECT {COLUMNS} FROM billing_accounts a WHERE tenant = $1 AND {OPEN} ORDER BY opened_at, id LIMIT 1"
            ),
            args![at],
            read,
        )?;
        if found.is_some() {
            return Ok(found);
        }
        // The operator is nobody's payer: the walk ends below the root.
        here = conn.query_opt(
            "SELECT above.id FROM tenants here JOIN tenants above ON above.id = here.parent WHERE here.id = $1 AND above.parent IS NOT NULL",
            args![at],
            |row| row.get(0),
        )?;
    }
    Ok(None)
}

pub(super) fn tenant_name(conn: &mut Conn<'_>, tenant: TenantId) -> Result<Option<String>> {
    let found: Option<String> =
        conn.query_opt("SELECT name FROM tenants WHERE id = $1", args![tenant], |row| row.get(0))?;
    Ok(found.filter(|name| !name.is_empty()))
}

pub(super) fn operator_zone(conn: &mut Conn<'_>) -> Result<String> {
    let found: Option<String> =
        conn.query_opt("SELECT time_zone FROM tenants WHERE parent IS NULL", &[], |row| row.get(0))?;
    Ok(found.unwrap_or_else(|| "Asia/Taipei".to_owned()))
}
