//! Accounts: people who sign in, and programs that have keys (`service_accounts`).
//!
//! ```text
//!   active ⇄ suspended
//!     └──────┴──▶ left      (no roles anywhere any more; final)
//! ```
//!
//! An account has a home: the tenant that it was first invited to. Its home
//! (and what lies above) may suspend it; any other tenant that it has a role in
//! can only end its own part. Who has left keeps the row, so that the record
//! can still say who acted, and gives the mail address back.
//!
//! Invariants:
//! - one account per mail address, among those that have not left (index `accounts_by_email`);
//! - who has left has no role, no session, no password, no second factor, no token in force
//!   (`store::leave`, test `leaving_loses_everything_at_once`).
//!
//! Not here: how one joins (`invitations`), what one may do (`roles`, `policies`).

pub mod actions;
pub(crate) mod store;
#[cfg(test)]
mod tests;

use base::Result;
use base::id::{AccountId, TenantId};
use base::time::Timestamp;
use db::Conn;
use serde::{Deserialize, Serialize};

use crate::words::words;

words! {
    /// Who or what an account is of.
    pub enum AccountKind {
        /// A person, who signs in.
        Person = "person",
        /// A program, which has keys and nothing else ([`crate::service_accounts`]).
        Service = "service",
    }

    /// Whether somebody may work.
    pub enum AccountState {
        /// They may.
        Active = "active",
        /// For now they may not.
        Suspended = "suspended",
        /// Gone for good.
        Left = "left",
    }
}

/// Somebody who signs in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Account {
    /// The identifier.
    pub id: AccountId,
    /// The tenant that answers for the account.
    pub home: TenantId,
    /// Whose it is: a person's or a program's.
    pub kind: AccountKind,
    /// The mail address, as it was written; empty for a program.
    pub email: String,
    /// What the person or the program is called.
    pub name: String,
    /// The person's language.
    pub locale: String,
    /// Whether they may work.
    pub state: AccountState,
    /// When it was made.
    #[schemars(with = "String")]
    pub created_at: Timestamp,
    /// When they last signed in with a password.
    #[schemars(with = "Option<String>")]
    pub signed_in_at: Option<Timestamp>,
}

/// What the account of that id is called, if it is one and is known.
///
/// # Errors
/// Those of the database.
pub fn called(conn: &mut Conn<'_>, id: &str) -> Result<Option<String>> {
    let Ok(id) = id.parse::<AccountId>() else { return Ok(None) };
    Ok(store::find(conn, id)?.map(|account| account.name))
}

/// The account with that mail address, for the platform's own command line.
///
/// # Errors
/// `Invalid` where it is no address; `NotFound` (`account.not_found`); those of the database.
pub fn with_email(conn: &mut Conn<'_>, email: &str) -> Result<Account> {
    let key = crate::text::email(email)?.key;
    store::by_email(conn, &key)?
        .ok_or_else(|| base::Error::not_found("account.not_found", "there is no account with that mail address"))
}

impl Account {
    /// Whether it is a person's, who can sign in, be written to and decide.
    pub fn is_person(&self) -> bool {
        self.kind == AccountKind::Person
    }
}

/// An account and the roles it holds in one tenant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Member {
    /// Who.
    #[serde(flatten)]
    pub account: Account,
    /// The roles, in the tenant that was asked about.
    pub roles: Vec<String>,
}

/// Somebody who is to be invited.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NewPerson {
    /// The mail address.
    pub email: String,
    /// What the person is called; they can change it when they accept.
    pub name: String,
    /// The language of the mail, `zh-TW` or `en`; the tenant's where it is left out.
    #[serde(default)]
    pub locale: Option<String>,
}
