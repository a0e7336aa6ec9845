//! Every SQL statement about API tokens.

use base::id::{AccountId, TenantId};
use base::time::Timestamp;
use base::{Error, Result};
use db::{Conn, Row, args};

use super::{Token, TokenId};

const COLUMNS: &str =
    "id, prefix, account, tenant, name, roles, created_at, expires_at, revoked_at, used_at, sensitive";

fn read(row: &Row) -> Result<Token> {
    let roles: Option<String> = row.get(5)?;
    let roles = roles
        .map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|e| Error::bug("token.roles", "a token's roles do not read").because(e))?;
    Ok(Token {
        id: row.get(0)?,
        prefix: row.get(1)?,
        account: row.get(2)?,
        tenant: row.get(3)?,
        name: row.get(4)?,
        roles,
        created_at: row.get(6)?,
        expires_at: row.get(7)?,
        revoked_at: row.get(8)?,
        used_at: row.get(9)?,
        sensitive: row.get(10)?,
    })
}

pub(crate) fn insert(conn: &mut Conn<'_>, token: &Token, hash: &[u8; 32]) -> Result<()> {
    let roles = token.roles.as_ref().map(|roles| serde_json::json!(roles));
    conn.execute(
        &format!("INSERT INTO api_tokens ({COLUMNS}, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"),
        args![
            token.id,
            token.prefix,
            token.account,
            token.tenant,
            token.name,
            roles,
            token.created_at,
            token.expires_at,
            token.revoked_at,
            token.used_at,
            token.sensitive,
            hash
        ],
    )?;
    Ok(())
}

pub(crate) fn by_hash(conn: &mut Conn<'_>, hash: &[u8; 32]) -> Result<Option<Token>> {
    conn.query_opt(&format!("SELECT {COLUMNS} FROM api_tokens WHERE hash = $1"), args![hash], read)
}

pub(crate) fn find(conn: &mut Conn<'_>, id: TokenId) -> Result<Option<Token>> {
    conn.query_opt(&format!("SELECT {COLUMNS} FROM api_tokens WHERE id = $1"), args![id], read)
}

/// How many tokens of the account are in force.
pub(crate) fn in_force(conn: &mut Conn<'_>, account: AccountId, now: Timestamp) -> Result<u64> {
    conn.query_one(
        "SELECT COUNT(*) FROM api_tokens WHERE account = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)",
        args![account, now],
        |row| row.get(0),
    )
}

/// A page of tokens that act in `tenant`: one account's, or everybody's.
pub(crate) fn list(
    conn: &mut Conn<'_>,
    tenant: TenantId,
    account: Option<AccountId>,
    after: Option<TokenId>,
    limit: u32,
) -> Result<Vec<Token>> {
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    let whose = account.map(|id| id.to_string()).unwrap_or_default();
    conn.query(
        &format!("SELECT {COLUMNS} FROM api_tokens WHERE tenant = $1 AND ($2 = '' OR account = $2) AND id > $3 AND revoked_at IS NULL ORDER BY id LIMIT {limit}"),
        args![tenant, whose, after],
        read,
    )
}

pub(crate) fn revoke(conn: &mut Conn<'_>, id: TokenId, at: Timestamp) -> Result<bool> {
    Ok(conn.execute("UPDATE api_tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL", args![id, at])? == 1)
}

/// Revokes what an account has in any of `tenants`.
pub(crate) fn revoke_in(conn: &mut Conn<'_>, account: AccountId, tenants: &[TenantId], at: Timestamp) -> Result<()> {
    for tenant in tenants {
        conn.execute(
            "UPDATE api_tokens SET revoked_at = $3 WHERE account = $1 AND tenant = $2 AND revoked_at IS NULL",
            args![account, tenant, at],
        )?;
    }
    Ok(())
}

/// Notes that a token was used. Not an action: nobody decided anything.
pub(crate) fn touch(conn: &mut Conn<'_>, id: TokenId, at: Timestamp) -> Result<()> {
    conn.execute(
        "UPDATE api_tokens SET used_at = $2 WHERE id = $1 AND (used_at IS NULL OR used_at < $2)",
        args![id, at],
    )?;
    Ok(())
}
