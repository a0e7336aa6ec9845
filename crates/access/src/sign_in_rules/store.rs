//! Every SQL statement about sign-in rules and former passwords.

use base::id::{AccountId, TenantId};
use base::time::Timestamp;
use base::{Error, Result};
use db::{Conn, args};

use super::Rules;

pub(crate) fn find(conn: &mut Conn<'_>, tenant: TenantId) -> Result<Option<Rules>> {
    let sql = "SELECT factor_roles, idle_seconds, session_seconds, password_history, token_days, provider_factors
         FROM sign_in_rules WHERE tenant = $1";
    let found = conn.query_opt(sql, args![tenant], |row| {
        Ok((row.get::<String>(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
    })?;
    let Some((roles, idle_seconds, session_seconds, password_history, token_days, provider_factors)) = found else {
        return Ok(None);
    };
    let factor_roles = serde_json::from_str(&roles)
        .map_err(|e| Error::bug("sign_in_rules.roles", "the roles of a sign-in rule do not read").because(e))?;
    Ok(Some(Rules { factor_roles, idle_seconds, session_seconds, password_history, token_days, provider_factors }))
}

pub(crate) fn put(conn: &mut Conn<'_>, tenant: TenantId, rules: &Rules, at: Timestamp) -> Result<()> {
    let roles = serde_json::json!(rules.factor_roles);
    conn.execute(
        "INSERT INTO sign_in_rules (tenant, factor_roles, idle_seconds, session_seconds, password_history, token_days, provider_factors, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (tenant) DO UPDATE SET factor_roles = excluded.factor_roles, idle_seconds = excluded.idle_seconds,
             session_seconds = excluded.session_seconds, password_history = excluded.password_history,
             token_days = excluded.token_days, provider_factors = excluded.provider_factors, updated_at = excluded.updated_at",
        args![
            tenant,
            roles,
            rules.idle_seconds,
            rules.session_seconds,
            rules.password_history,
            rules.token_days,
            rules.provider_factors,
            at
        ],
    )?;
    Ok(())
}

/// The newest `most` former passwords of an account, as they were kept.
pub(crate) fn former(conn: &mut Conn<'_>, account: AccountId, most: u32) -> Result<Vec<String>> {
    let sql = "SELECT password FROM former_passwords WHERE account = $1 ORDER BY replaced_at DESC LIMIT $2";
    conn.query(sql, args![account, most], |row| row.get(0))
}

/// Keeps the password that is being replaced, and no more than `most` former ones.
pub(crate) fn keep_former(conn: &mut Conn<'_>, account: AccountId, phc: &str, most: u32, at: Timestamp) -> Result<()> {
    conn.execute(
        "INSERT INTO former_passwords (account, password, replaced_at) VALUES ($1, $2, $3)",
        args![account, phc, at],
    )?;
    conn.execute(
        "DELETE FROM former_passwords WHERE account = $1 AND password NOT IN
             (SELECT password FROM former_passwords WHERE account = $1 ORDER BY replaced_at DESC LIMIT $2)",
        args![account, most],
    )?;
    Ok(())
}
