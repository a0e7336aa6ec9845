//! Service accounts: accounts of programs.
//!
//! A service account belongs to a tenant and holds roles there like a person. It has no address, no password
//! and no session; it has keys, which are API tokens ([`crate::tokens`]) that always end, are for some scopes,
//! may be bound to networks, and are rotated with a time in which the old key and the new one both work. A
//! person answers for it.
//!
//! ```text
//!   key: in force ──rotated──▶ in force until the overlap is over, beside its successor ──▶ dead
//!        in force ──(revoked · expired · account suspended or left)──▶ dead
//! ```
//!
//! Invariants (`tests`):
//! - a key does what the roles of its account, its scopes and its networks all allow (`gate::Bounds`);
//! - no key makes keys, passwords or other ways in, nor lets people in who would outlast it ([`FOR_PEOPLE`]);
//! - a key does nothing sensitive unless it was made for that and its account is for that too, which is
//!   looked at each time;
//! - a program is one person with who answers for it and with everybody who was ever shown a key of it
//!   ([`behind`]), so that nobody approves what they had a program ask for.
//!
//! Not here: suspending and removing one, which is done as with people (`accounts`); its roles (`roles`);
//! revoking a key (`tokens`).

pub mod actions;
pub(crate) mod store;
#[cfg(test)]
mod tests;

use base::id::{AccountId, TenantId};
use base::time::Timestamp;
use base::{Error, Result};
use db::Conn;
use gate::Tx;
use serde::{Deserialize, Serialize};

use crate::accounts::{self, Account, AccountState};
use crate::notices::{self, Notice, Spoken};
use crate::roles::{self, ADMINISTRATOR, OWNER};
use crate::tenants::{self, Tenant};
use crate::tokens;

/// What no program does with a key of its own: what makes further keys, or other ways in, for itself or for anybody. A key
/// that is revoked is to leave nobody behind who came in by it. (A subscription to events lets nobody in: it is the
/// organisation's, and stays.)
pub static FOR_PEOPLE: &[&str] = &[
    "account.invite",
    "factor.activate",
    "factor.enrol",
    "factor.enrol_passkey",
    "factor.register_passkey",
    "identityLink.begin",
    "identityLink.complete",
    "identityProvider.confirm_domain",
    "identityProvider.create",
    "identityProvider.set_secret",
    "identityProvider.update",
    "password.change",
    "recoveryCode.renew",
    "serviceAccount.create",
    "serviceAccount.create_key",
    "serviceAccount.rotate_key",
    "serviceAccount.update",
    // With its owner's invitation.
    "tenant.create",
    "token.create",
];

/// A program's account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ServiceAccount {
    /// The account: its `home` is the tenant that it belongs to.
    #[serde(flatten)]
    pub account: Account,
    /// What it is for.
    pub purpose: String,
    /// Who answers for it.
    pub responsible: AccountId,
    /// What they are called.
    pub responsible_name: String,
    /// Whether nobody answers for it any more: who did is suspended, has left, or has no role there.
    pub without_owner: bool,
    /// Whether keys of it can be made for sensitive actions.
    pub sensitive: bool,
    /// Its roles in the tenant that it belongs to.
    pub roles: Vec<String>,
    /// When one of its keys was last used, to about a minute.
    #[schemars(with = "Option<String>")]
    pub used_at: Option<Timestamp>,
}

/// What is kept about a service account beside the account itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Program {
    pub account: AccountId,
    pub purpose: String,
    pub responsible: AccountId,
    pub sensitive: bool,
}

/// The answer for one that is not there, and for one that is nobody's business.
pub(crate) fn absent(id: AccountId) -> Error {
    Error::not_found("serviceAccount.not_found", format!("there is no serviceAccount {id}"))
}

/// A service account with all that is shown of it.
pub(crate) fn shown(conn: &mut Conn<'_>, program: Program, account: Account) -> Result<ServiceAccount> {
    let home = tenants::store::load(conn, account.home)?;
    Ok(ServiceAccount {
        responsible_name: accounts::store::load(conn, program.responsible)?.name,
        without_owner: !answers(conn, program.responsible, &home)?,
        roles: roles::store::held(conn, account.id, account.home)?,
        used_at: store::used_at(conn, account.id)?,
        purpose: program.purpose,
        responsible: program.responsible,
        sensitive: program.sensitive,
        account,
    })
}

/// Whether somebody can answer for a program of a tenant: a person who may work and has a role there or above it.
pub(crate) fn answers(conn: &mut Conn<'_>, person: AccountId, home: &Tenant) -> Result<bool> {
    let account = accounts::store::find(conn, person)?;
    if !account.is_some_and(|account| account.is_person() && account.state == AccountState::Active) {
        return Ok(false);
    }
    let held = roles::store::of_account(conn, person)?;
    Ok(held.iter().any(|(tenant, _)| home.path.contains(tenant)))
}

/// The people behind a program: who answers for it, and who made keys of it and has seen them.
pub(crate) fn behind(conn: &mut Conn<'_>, program: AccountId) -> Result<Vec<Account>> {
    let Some(known) = store::find(conn, program)? else { return Ok(Vec::new()) };
    let mut people = vec![known.responsible];
    people.extend(tokens::store::makers(conn, program)?.iter().filter_map(|maker| maker.parse::<AccountId>().ok()));
    people.sort_unstable();
    people.dedup();
    people.into_iter().map(|person| accounts::store::load(conn, person)).collect()
}

/// Tells the managers of each program that somebody has just stopped answering for.
pub(crate) fn tell_without_owner(tx: &mut Tx<'_>, person: AccountId) -> Result<()> {
    for program in store::of_responsible(tx, person)? {
        let account = accounts::store::load(tx, program.account)?;
        let home = tenants::store::load(tx, account.home)?;
        if account.state != AccountState::Left && !answers(tx, person, &home)? {
            let notice = without_owner(&account, &accounts::store::load(tx, person)?);
            managed_in(&home).try_for_each(|tenant| notices::tell(tx, tenant, &[OWNER, ADMINISTRATOR], &notice))?;
        }
    }
    Ok(())
}

/// Where those are who manage a tenant: in it and above it, the operator only for what is its own.
fn managed_in(home: &Tenant) -> impl Iterator<Item = TenantId> {
    let above = if home.path.len() > 1 { 1 } else { 0 };
    home.path.iter().skip(above).copied()
}

fn without_owner(program: &Account, person: &Account) -> Notice {
    let (name, who) = (&program.name, &person.name);
    Notice {
        en: Spoken {
            title: format!("The service account “{name}” has nobody who answers for it"),
            text: format!(
                "{who} answered for the service account “{name}” and does not any more. Its keys go on working. Name somebody else for it, or remove it if it is not needed."
            ),
        },
        zh: Spoken {
            title: format!("服務帳號「{name}」沒有負責人"),
            text: format!(
                "{who} 原本負責服務帳號「{name}」，現在已不再負責。它的金鑰仍然有效。請指定新的負責人；若不再需要，請移除它。"
            ),
        },
        path: format!("/service-accounts/{}", program.id),
    }
}
