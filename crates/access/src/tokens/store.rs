//! Every SQL statement about API tokens.

use std::net::IpAddr;

use base::id::{AccountId, TenantId};
use base::time::Timestamp;
use base::{Error, Result};
use db::{Conn, Row, args};

use super::{Token, TokenId};

const COLUMNS: &str = "id, prefix, account, tenant, name, roles, created_at, expires_at, revoked_at, used_at, sensitive, \
     scopes, networks, made_by, used_from, replaced_by";

/// A list that is kept as JSON.
fn list_of(text: &str) -> Result<Vec<String>> {
    serde_json::from_str(text).map_err(|e| Error::bug("token.lists", "a token's lists do not read").because(e))
}

fn read(row: &Row) -> Result<Token> {
    let (roles, scopes): (Option<String>, Option<String>) = (row.get(5)?, row.get(11)?);
    let roles = roles.as_deref().map(list_of).transpose()?;
    let scopes = scopes.as_deref().map(list_of).transpose()?;
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
        scopes,
        networks: list_of(&row.get::<String>(12)?)?,
        made_by: row.get(13)?,
        used_from: row.get(14)?,
        replaced_by: row.get(15)?,
    })
}

pub(crate) fn insert(conn: &mut Conn<'_>, token: &Token, hash: &[u8; 32]) -> Result<()> {
    let roles = token.roles.as_ref().map(|roles| serde_json::json!(roles));
    let scopes = token.scopes.as_ref().map(|scopes| serde_json::json!(scopes));
    conn.execute(
        &format!("INSERT INTO api_tokens ({COLUMNS}, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)"),
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
            scopes,
            serde_json::json!(token.networks),
            token.made_by,
            token.used_from,
            token.replaced_by,
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

/// Notes that a token was used, and from where. Not an action: nobody decided anything.
pub(crate) fn touch(conn: &mut Conn<'_>, id: TokenId, at: Timestamp, from: Option<IpAddr>) -> Result<()> {
    conn.execute(
        "UPDATE api_tokens SET used_at = $2, used_from = $3 WHERE id = $1 AND (used_at IS NULL OR used_at < $2)",
        args![id, at, from.map(|ip| ip.to_string())],
    )?;
    Ok(())
}

/// Lets a token work beside its successor until `until`, and no longer than it would have anyway; false
/// where it was replaced or revoked meanwhile.
pub(crate) fn replace(conn: &mut Conn<'_>, id: TokenId, by: TokenId, until: Timestamp) -> Result<bool> {
    let changed = conn.execute(
        "UPDATE api_tokens SET replaced_by = $2, expires_at = CASE WHEN expires_at IS NULL OR expires_at > $3 THEN $3 ELSE expires_at END
         WHERE id = $1 AND replaced_by IS NULL AND revoked_at IS NULL",
        args![id, by, until],
    )?;
    Ok(changed == 1)
}

/// All tokens of an account that were not revoked, the newest first.
pub(crate) fn of_account(conn: &mut Conn<'_>, account: AccountId, most: usize) -> Result<Vec<Token>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM api_tokens WHERE account = $1 AND revoked_at IS NULL ORDER BY created_at DESC, id DESC LIMIT $2"
    );
    conn.query(&sql, args![account, most], read)
}

/// Who made tokens of an account, of all that it ever had.
pub(crate) fn makers(conn: &mut Conn<'_>, account: AccountId) -> Result<Vec<String>> {
    conn.query("SELECT DISTINCT made_by FROM api_tokens WHERE account = $1 ORDER BY made_by", args![account], |row| {
        row.get(0)
    })
}
