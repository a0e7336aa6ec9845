//! Every SQL statement about service accounts.

use base::Result;
use base::id::{AccountId, TenantId};
use base::time::Timestamp;
use db::{Conn, Row, args};

use super::Program;

const COLUMNS: &str = "s.account, s.purpose, s.responsible, s.sensitive";

fn read(row: &Row) -> Result<Program> {
    Ok(Program { account: row.get(0)?, purpose: row.get(1)?, responsible: row.get(2)?, sensitive: row.get(3)? })
}

pub(crate) fn find(conn: &mut Conn<'_>, account: AccountId) -> Result<Option<Program>> {
    conn.query_opt(&format!("SELECT {COLUMNS} FROM service_accounts s WHERE s.account = $1"), args![account], read)
}

pub(crate) fn insert(conn: &mut Conn<'_>, program: &Program) -> Result<()> {
    conn.execute(
        "INSERT INTO service_accounts (account, purpose, responsible, sensitive) VALUES ($1, $2, $3, $4)",
        args![program.account, program.purpose, program.responsible, program.sensitive],
    )
    .map(drop)
}

pub(crate) fn update(conn: &mut Conn<'_>, program: &Program) -> Result<()> {
    conn.execute(
        "UPDATE service_accounts SET purpose = $2, responsible = $3, sensitive = $4 WHERE account = $1",
        args![program.account, program.purpose, program.responsible, program.sensitive],
    )
    .map(drop)
}

/// How many are at home in a tenant and have not left.
pub(crate) fn count(conn: &mut Conn<'_>, home: TenantId) -> Result<u64> {
    conn.query_one(
        "SELECT COUNT(*) FROM accounts WHERE home = $1 AND kind = 'service' AND state <> 'left'",
        args![home],
        |row| row.get(0),
    )
}

/// A page of those at home in a tenant that have not left, by identifier.
pub(crate) fn list(conn: &mut Conn<'_>, home: TenantId, after: Option<AccountId>, limit: u32) -> Result<Vec<Program>> {
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    let sql = format!(
        "SELECT {COLUMNS} FROM service_accounts s JOIN accounts a ON a.id = s.account
         WHERE a.home = $1 AND a.state <> 'left' AND a.id > $2 ORDER BY a.id LIMIT {limit}"
    );
    conn.query(&sql, args![home, after], read)
}

/// Those that somebody answers for.
pub(crate) fn of_responsible(conn: &mut Conn<'_>, person: AccountId) -> Result<Vec<Program>> {
    let sql = format!("SELECT {COLUMNS} FROM service_accounts s WHERE s.responsible = $1 ORDER BY s.account");
    conn.query(&sql, args![person], read)
}

/// When one of its keys was last used.
pub(crate) fn used_at(conn: &mut Conn<'_>, account: AccountId) -> Result<Option<Timestamp>> {
    conn.query_one("SELECT MAX(used_at) FROM api_tokens WHERE account = $1", args![account], |row| row.get(0))
}
