//! Every SQL statement about identity providers.

use std::time::Duration;

use base::id::{AccountId, TenantId};
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::{Conn, Row, args};

use super::{Domain, Provider, ProviderId, ProviderState, Settings};

const COLUMNS: &str =
    "p.id, p.tenant, p.name, p.issuer, p.client_id, p.client_secret, p.settings, p.state, p.revision, p.created_at";

fn read(row: &Row) -> Result<Provider> {
    let settings: String = row.get(6)?;
    let settings = serde_json::from_str(&settings)
        .map_err(|e| Error::bug("provider.settings", "the settings of a provider do not read").because(e))?;
    Ok(Provider {
        id: row.get(0)?,
        tenant: row.get(1)?,
        name: row.get(2)?,
        issuer: row.get(3)?,
        client_id: row.get(4)?,
        // Filled in where somebody is shown it: it depends on where the site is.
        redirect: String::new(),
        has_secret: !row.get::<String>(5)?.is_empty(),
        settings,
        domains: Vec::new(),
        state: row.get(7)?,
        revision: row.get(8)?,
        created_at: row.get(9)?,
    })
}

fn with_domains(conn: &mut Conn<'_>, mut provider: Provider) -> Result<Provider> {
    provider.domains = conn.query(
        "SELECT domain, confirmed_at FROM provider_domains WHERE provider = $1 ORDER BY domain",
        args![provider.id],
        |row| Ok(Domain { domain: row.get(0)?, confirmed_at: row.get(1)? }),
    )?;
    Ok(provider)
}

fn settings(settings: &Settings) -> Result<serde_json::Value> {
    serde_json::to_value(settings)
        .map_err(|e| Error::bug("provider.settings", "the settings of a provider cannot be written").because(e))
}

pub(crate) fn find(conn: &mut Conn<'_>, id: ProviderId) -> Result<Option<Provider>> {
    let sql = format!("SELECT {COLUMNS} FROM identity_providers p WHERE p.id = $1");
    conn.query_opt(&sql, args![id], read)?.map(|found| with_domains(conn, found)).transpose()
}

/// The one to which a mail domain leads: confirmed, and in use.
pub(crate) fn of_domain(conn: &mut Conn<'_>, domain: &str) -> Result<Option<ProviderId>> {
    conn.query_opt(
        "SELECT p.id FROM provider_domains d JOIN identity_providers p ON p.id = d.provider
         WHERE d.domain = $1 AND d.confirmed_at IS NOT NULL AND p.state = 'active'",
        args![domain],
        |row| row.get(0),
    )
}

pub(crate) fn list(conn: &mut Conn<'_>, tenant: TenantId) -> Result<Vec<Provider>> {
    let sql = format!("SELECT {COLUMNS} FROM identity_providers p WHERE p.tenant = $1 ORDER BY p.id LIMIT 100");
    let found = conn.query(&sql, args![tenant], read)?;
    found.into_iter().map(|one| with_domains(conn, one)).collect()
}

/// Those that an account is connected with.
pub(crate) fn of_account(conn: &mut Conn<'_>, account: AccountId) -> Result<Vec<Provider>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM identity_providers p JOIN provider_accounts a ON a.provider = p.id
         WHERE a.account = $1 ORDER BY p.id"
    );
    conn.query(&sql, args![account], read)
}

pub(crate) fn insert(conn: &mut Conn<'_>, provider: &Provider) -> Result<()> {
    let taken = |e: Error| match e.code() {
        "db.duplicate" => Error::conflict("provider.known", "that client of that issuer is set up here already"),
        _ => e,
    };
    conn.execute(
        "INSERT INTO identity_providers (id, tenant, name, issuer, client_id, client_secret, settings, state, revision, created_at)
         VALUES ($1, $2, $3, $4, $5, '', $6, $7, $8, $9)",
        args![
            provider.id,
            provider.tenant,
            provider.name,
            provider.issuer,
            provider.client_id,
            settings(&provider.settings)?,
            provider.state,
            provider.revision,
            provider.created_at
        ],
    )
    .map(drop)
    .map_err(taken)
}

pub(crate) fn update(conn: &mut Conn<'_>, provider: &Provider) -> Result<()> {
    conn.execute(
        "UPDATE identity_providers SET name = $2, settings = $3, state = $4, revision = revision + 1 WHERE id = $1",
        args![provider.id, provider.name, settings(&provider.settings)?, provider.state],
    )
    .map(drop)
}

pub(crate) fn set_secret(conn: &mut Conn<'_>, id: ProviderId, sealed: &str) -> Result<()> {
    conn.execute("UPDATE identity_providers SET client_secret = $2 WHERE id = $1", args![id, sealed]).map(drop)
}

/// The client's secret as it is sealed; empty where there is none.
pub(crate) fn secret(conn: &mut Conn<'_>, id: ProviderId) -> Result<String> {
    conn.query_one("SELECT client_secret FROM identity_providers WHERE id = $1", args![id], |row| row.get(0))
}

pub(crate) fn remove(conn: &mut Conn<'_>, id: ProviderId) -> Result<()> {
    for table in ["provider_sign_ins", "provider_removals", "provider_accounts", "provider_domains"] {
        conn.execute(&format!("DELETE FROM {table} WHERE provider = $1"), args![id])?;
    }
    conn.execute("DELETE FROM identity_providers WHERE id = $1", args![id]).map(drop)
}

/// Sets the domains; those that stay keep their confirmation.
pub(crate) fn set_domains(conn: &mut Conn<'_>, id: ProviderId, domains: &[String]) -> Result<()> {
    let known: Vec<String> =
        conn.query("SELECT domain FROM provider_domains WHERE provider = $1", args![id], |row| row.get(0))?;
    for gone in known.iter().filter(|known| !domains.contains(known)) {
        conn.execute("DELETE FROM provider_domains WHERE provider = $1 AND domain = $2", args![id, gone])?;
    }
    for domain in domains.iter().filter(|domain| !known.contains(domain)) {
        conn.execute("INSERT INTO provider_domains (provider, domain) VALUES ($1, $2)", args![id, domain])?;
    }
    Ok(())
}

/// Confirms a domain; false where the provider does not name it.
pub(crate) fn confirm(conn: &mut Conn<'_>, id: ProviderId, domain: &str, by: &str, at: Timestamp) -> Result<bool> {
    let taken = |e: Error| match e.code() {
        "db.duplicate" => Error::conflict("provider.domain_taken", "that domain is another provider's already"),
        _ => e,
    };
    let sql = "UPDATE provider_domains SET confirmed_at = $3, confirmed_by = $4 WHERE provider = $1 AND domain = $2";
    Ok(conn.execute(sql, args![id, domain, at, by]).map_err(taken)? == 1)
}

/// Whom a provider knows by a name of its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Binding {
    pub account: AccountId,
    /// Whether the account was made for it.
    pub made: bool,
}

pub(crate) fn binding(conn: &mut Conn<'_>, provider: ProviderId, subject: &str) -> Result<Option<Binding>> {
    conn.query_opt(
        "SELECT account, made FROM provider_accounts WHERE provider = $1 AND subject = $2",
        args![provider, subject],
        |row| Ok(Binding { account: row.get(0)?, made: row.get(1)? }),
    )
}

pub(crate) fn bind(
    conn: &mut Conn<'_>,
    provider: ProviderId,
    subject: &str,
    binding: Binding,
    now: Timestamp,
) -> Result<()> {
    let taken = |e: Error| match e.code() {
        "db.duplicate" => {
            Error::conflict("provider.connected", "this account, or whoever signed in there, is connected already")
        }
        _ => e,
    };
    conn.execute(
        "INSERT INTO provider_accounts (provider, subject, account, made, bound_at) VALUES ($1, $2, $3, $4, $5)",
        args![provider, subject, binding.account, binding.made, now],
    )
    .map(drop)
    .map_err(taken)
}

pub(crate) fn used(conn: &mut Conn<'_>, provider: ProviderId, subject: &str, now: Timestamp) -> Result<()> {
    let sql = "UPDATE provider_accounts SET used_at = $3 WHERE provider = $1 AND subject = $2";
    conn.execute(sql, args![provider, subject, now]).map(drop)
}

/// Ends what connects an account with a provider; false where nothing does.
pub(crate) fn unbind(conn: &mut Conn<'_>, provider: ProviderId, account: AccountId) -> Result<bool> {
    let sql = "DELETE FROM provider_accounts WHERE provider = $1 AND account = $2";
    Ok(conn.execute(sql, args![provider, account])? == 1)
}

/// Ends what connects an account with the providers of some tenants, for somebody who was removed there, and keeps that
/// they were: otherwise they would be back with their next sign-in.
pub(crate) fn shut_out(conn: &mut Conn<'_>, account: AccountId, tenants: &[TenantId], now: Timestamp) -> Result<()> {
    let bound: Vec<(ProviderId, TenantId, String)> = conn.query(
        "SELECT a.provider, p.tenant, a.subject FROM provider_accounts a JOIN identity_providers p ON p.id = a.provider
         WHERE a.account = $1 ORDER BY a.provider",
        args![account],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    for (provider, _, subject) in bound.into_iter().filter(|(_, tenant, _)| tenants.contains(tenant)) {
        conn.execute(
            "INSERT INTO provider_removals (provider, subject, removed_at) VALUES ($1, $2, $3)
             ON CONFLICT (provider, subject) DO NOTHING",
            args![provider, subject, now],
        )?;
        unbind(conn, provider, account)?;
    }
    Ok(())
}

/// Whether somebody removed whom a provider knows by that name.
pub(crate) fn is_shut_out(conn: &mut Conn<'_>, provider: ProviderId, subject: &str) -> Result<bool> {
    let sql = "SELECT 1 FROM provider_removals WHERE provider = $1 AND subject = $2";
    Ok(conn.query_opt(sql, args![provider, subject], |row| row.get::<i64>(0))?.is_some())
}

/// Forgets that they were removed: they have an account here again, and connected it.
pub(crate) fn let_in_again(conn: &mut Conn<'_>, provider: ProviderId, subject: &str) -> Result<()> {
    let sql = "DELETE FROM provider_removals WHERE provider = $1 AND subject = $2";
    conn.execute(sql, args![provider, subject]).map(drop)
}

/// What connects an account with a provider.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Connected {
    /// Since when.
    pub bound_at: Timestamp,
    /// When it was last used.
    pub used_at: Option<Timestamp>,
    /// Whether the account was made for it.
    pub made: bool,
}

pub(crate) fn connected(conn: &mut Conn<'_>, provider: ProviderId, account: AccountId) -> Result<Option<Connected>> {
    conn.query_opt(
        "SELECT bound_at, used_at, made FROM provider_accounts WHERE provider = $1 AND account = $2",
        args![provider, account],
        |row| Ok(Connected { bound_at: row.get(0)?, used_at: row.get(1)?, made: row.get(2)? }),
    )
}

/// How long a sign-in at a provider may take.
const LASTS: Duration = Duration::from_secs(limits::SIGN_IN_SECONDS.unsigned_abs());

/// Begins a sign-in at a provider, for `bound`.
pub(crate) fn begin(
    conn: &mut Conn<'_>,
    hash: &[u8; 32],
    provider: ProviderId,
    bound: &str,
    now: Timestamp,
) -> Result<Timestamp> {
    conn.execute("DELETE FROM provider_sign_ins WHERE expires_at <= $1", args![now])?;
    let until = now + LASTS;
    conn.execute(
        "INSERT INTO provider_sign_ins (hash, provider, bound, expires_at) VALUES ($1, $2, $3, $4)",
        args![hash, provider, bound, until],
    )?;
    Ok(until)
}

/// Uses up a sign-in that began for `bound`: at which provider it is, and when it began. Nothing where there is none, or
/// another used it up at the same moment.
pub(crate) fn end(
    conn: &mut Conn<'_>,
    hash: &[u8; 32],
    bound: &str,
    now: Timestamp,
) -> Result<Option<(ProviderId, Timestamp)>> {
    let found = conn.query_opt(
        "SELECT provider, expires_at FROM provider_sign_ins WHERE hash = $1 AND bound = $2 AND expires_at > $3",
        args![hash, bound, now],
        |row| Ok((row.get(0)?, row.get::<Timestamp>(1)? - LASTS)),
    )?;
    let ended = conn.execute("DELETE FROM provider_sign_ins WHERE hash = $1 AND bound = $2", args![hash, bound])? == 1;
    Ok(found.filter(|_| ended))
}

/// Roles of an account in a tenant that a provider gave.
pub(crate) fn given(conn: &mut Conn<'_>, account: AccountId, tenant: TenantId, by: &str) -> Result<Vec<String>> {
    conn.query(
        "SELECT role FROM role_grants WHERE account = $1 AND tenant = $2 AND granted_by = $3 ORDER BY role",
        args![account, tenant, by],
        |row| row.get(0),
    )
}

/// Who was given which roles by a provider, in its tenant.
pub(crate) fn given_by(conn: &mut Conn<'_>, provider: &Provider) -> Result<Vec<(AccountId, String)>> {
    conn.query(
        "SELECT account, role FROM role_grants WHERE tenant = $1 AND granted_by = $2 ORDER BY account, role",
        args![provider.tenant, provider.id.to_string()],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// Whether people sign in with it.
pub(crate) fn is_active(provider: &Provider) -> bool {
    provider.state == ProviderState::Active
}
