//! Every SQL statement about accounts.

use base::id::{AccountId, TenantId};
use base::time::Timestamp;
use base::{Error, Result};
use db::{Conn, Row, args};

use super::{Account, AccountState};
use crate::text::Email;

const COLUMNS: &str = "a.id, a.home, a.kind, a.email, a.name, a.locale, a.state, a.created_at, a.signed_in_at";

fn read(row: &Row) -> Result<Account> {
    Ok(Account {
        id: row.get(0)?,
        home: row.get(1)?,
        kind: row.get(2)?,
        email: row.get(3)?,
        name: row.get(4)?,
        locale: row.get(5)?,
        state: row.get(6)?,
        created_at: row.get(7)?,
        signed_in_at: row.get(8)?,
    })
}

/// The answer for an account that is not there, and for one that is nobody's business.
pub(crate) fn absent(id: AccountId) -> Error {
    Error::not_found("account.not_found", format!("there is no account {id}"))
}

pub(crate) fn find(conn: &mut Conn<'_>, id: AccountId) -> Result<Option<Account>> {
    conn.query_opt(&format!("SELECT {COLUMNS} FROM accounts a WHERE a.id = $1"), args![id], read)
}

pub(crate) fn load(conn: &mut Conn<'_>, id: AccountId) -> Result<Account> {
    find(conn, id)?.ok_or_else(|| absent(id))
}

/// The account with that address that has not left.
pub(crate) fn by_email(conn: &mut Conn<'_>, key: &str) -> Result<Option<Account>> {
    conn.query_opt(
        &format!("SELECT {COLUMNS} FROM accounts a WHERE a.email_key = $1 AND a.state <> 'left'"),
        args![key],
        read,
    )
}

pub(crate) fn insert(conn: &mut Conn<'_>, account: &Account, email: &Email) -> Result<()> {
    conn.execute(
        "INSERT INTO accounts (id, home, kind, email, email_key, name, locale, state, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        args![account.id, account.home, account.kind, email.shown, email.key, account.name, account.locale, account.state, account.created_at],
    )
    .map_err(|e| if e.code() == "db.duplicate" { Error::conflict("account.exists", "there is an account with that mail address already").at("email") } else { e })?;
    keep_words(conn, account)
}

/// Somebody who has left is found no more.
fn keep_words(conn: &mut Conn<'_>, account: &Account) -> Result<()> {
    let texts = [account.name.as_str(), account.email.as_str()];
    let texts = if account.state == AccountState::Left { &[][..] } else { &texts[..] };
    db::words::keep(conn, "account", account.home, &account.id.to_string(), texts)
}

/// Those at home in one of `homes` whose names or addresses have words that begin like those of `text`; so many at most.
pub(crate) fn search(
    conn: &mut Conn<'_>,
    homes: Option<&[TenantId]>,
    text: &str,
    limit: usize,
) -> Result<Vec<Account>> {
    let mut found = Vec::new();
    for id in db::words::find(conn, "account", homes, text, limit)? {
        found.extend(find(conn, id.parse()?)?);
    }
    Ok(found)
}

pub(crate) fn update(conn: &mut Conn<'_>, account: &Account) -> Result<()> {
    conn.execute(
        "UPDATE accounts SET name = $2, locale = $3, state = $4 WHERE id = $1",
        args![account.id, account.name, account.locale, account.state],
    )?;
    keep_words(conn, account)
}

pub(crate) fn signed_in(conn: &mut Conn<'_>, id: AccountId, at: Timestamp) -> Result<()> {
    conn.execute("UPDATE accounts SET signed_in_at = $2 WHERE id = $1", args![id, at])?;
    Ok(())
}

/// A page of the people who hold a role in `tenant`, by identifier.
pub(crate) fn members(
    conn: &mut Conn<'_>,
    tenant: TenantId,
    after: Option<AccountId>,
    limit: u32,
) -> Result<Vec<Account>> {
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    conn.query(
        &format!("SELECT {COLUMNS} FROM accounts a WHERE a.id > $2 AND a.kind = 'person' AND EXISTS (SELECT 1 FROM role_grants g WHERE g.account = a.id AND g.tenant = $1) ORDER BY a.id LIMIT {limit}"),
        args![tenant, after],
        read,
    )
}

/// Active accounts that hold `role` in `tenant`.
pub(crate) fn holders(conn: &mut Conn<'_>, tenant: TenantId, role: &str) -> Result<Vec<(Account, Timestamp)>> {
    conn.query(
        &format!("SELECT {COLUMNS}, g.granted_at FROM role_grants g JOIN accounts a ON a.id = g.account WHERE g.tenant = $1 AND g.role = $2 AND a.state = 'active' ORDER BY a.id LIMIT 1000"),
        args![tenant, role],
        |row| Ok((read(row)?, row.get(9)?)),
    )
}

/// Takes everything from an account: it has left.
pub(crate) fn leave(conn: &mut Conn<'_>, account: &mut Account, at: Timestamp) -> Result<()> {
    account.state = AccountState::Left;
    update(conn, account)?;
    conn.execute("DELETE FROM role_grants WHERE account = $1", args![account.id])?;
    conn.execute("DELETE FROM sessions WHERE account = $1", args![account.id])?;
    conn.execute("DELETE FROM sign_ins WHERE account = $1", args![account.id])?;
    conn.execute("DELETE FROM sign_in_networks WHERE account = $1", args![account.id])?;
    conn.execute("DELETE FROM recovery_codes WHERE account = $1", args![account.id])?;
    crate::factors::passkeys::store::delete_all(conn, account.id)?;
    conn.execute("DELETE FROM factors WHERE account = $1", args![account.id])?;
    conn.execute("DELETE FROM credentials WHERE account = $1", args![account.id])?;
    conn.execute("DELETE FROM former_passwords WHERE account = $1", args![account.id])?;
    conn.execute("DELETE FROM provider_accounts WHERE account = $1", args![account.id])?;
    conn.execute("DELETE FROM mail_links WHERE purpose = 'reset' AND subject = $1", args![account.id])?;
    conn.execute(
        "UPDATE api_tokens SET revoked_at = $2 WHERE account = $1 AND revoked_at IS NULL",
        args![account.id, at],
    )?;
    // Where a person was is not kept longer than the person.
    conn.execute("UPDATE api_tokens SET used_from = NULL WHERE account = $1", args![account.id])?;
    Ok(())
}

/// The kept password of an account, if it has one.
pub(crate) fn password(conn: &mut Conn<'_>, account: AccountId) -> Result<Option<String>> {
    conn.query_opt("SELECT password FROM credentials WHERE account = $1", args![account], |row| row.get(0))
}

pub(crate) fn set_password(conn: &mut Conn<'_>, account: AccountId, phc: &str, at: Timestamp) -> Result<()> {
    conn.execute(
        "INSERT INTO credentials (account, password, changed_at) VALUES ($1, $2, $3)
         ON CONFLICT (account) DO UPDATE SET password = excluded.password, changed_at = excluded.changed_at",
        args![account, phc, at],
    )?;
    Ok(())
}
