//! API tokens: keys for programs.
//!
//! ```text
//!   in force ──(revoked · expired · account left)──▶ dead, kept for the record
//! ```
//!
//! A token is 256 random bits behind `ywt_`; it is shown once, its SHA-256 is
//! kept. It acts as its account, in the tenant in which it was made (and below),
//! with all roles the account has there at that moment, or with those it was
//! limited to.
//!
//! Invariants:
//! - a token never does what its account could not (`reach::standing`);
//! - a token made with a limited token is limited as much (`actions::CREATE`),
//!   and nobody turns one into a password ([`limits_of`]);
//! - a token does nothing sensitive unless it was made for that ([`crate::guarded`]).

pub mod actions;
pub(crate) mod store;
#[cfg(test)]
mod tests;

use base::Result;
use base::id::{AccountId, TenantId};
use base::time::Timestamp;
use db::Conn;
use gate::Cx;
use serde::{Deserialize, Serialize};

base::ids! {
    /// A key for a program.
    pub struct TokenId = "tok";
}
db::id_columns!(TokenId);

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Token {
    /// The identifier; not the secret.
    pub id: TokenId,
    /// How the secret begins, to tell tokens apart.
    pub prefix: String,
    /// As whom it acts.
    pub account: AccountId,
    /// In which tenant it acts.
    pub tenant: TenantId,
    /// What it is for.
    pub name: String,
    /// The roles it is limited to; nothing where it may do all that its account may.
    pub roles: Option<Vec<String>>,
    /// Whether it was made for sensitive actions: those that give or take control over access and keys.
    pub sensitive: bool,
    /// When it was made.
    #[schemars(with = "String")]
    pub created_at: Timestamp,
    /// When it stops working.
    #[schemars(with = "Option<String>")]
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    #[schemars(with = "Option<String>")]
    pub revoked_at: Option<Timestamp>,
    /// When it was last used, to about a minute.
    #[schemars(with = "Option<String>")]
    pub used_at: Option<Timestamp>,
}

/// Whether the actor came with a token that is for less than its account: for some of its roles, or
/// for one tenant that is not the account's own.
pub(crate) fn is_narrow(conn: &mut Conn<'_>, cx: &Cx, home: TenantId) -> Result<bool> {
    let Some(id) = cx.session().and_then(|text| text.parse::<TokenId>().ok()) else { return Ok(false) };
    Ok(store::find(conn, id)?.is_some_and(|token| token.roles.is_some() || token.tenant != home))
}

/// The token that the actor came with, where it was limited to some of the roles of its account.
pub(crate) fn limits_of(conn: &mut Conn<'_>, cx: &Cx) -> Result<Option<Token>> {
    match cx.session().and_then(|text| text.parse::<TokenId>().ok()) {
        Some(id) => Ok(store::find(conn, id)?.filter(|token| token.roles.is_some())),
        None => Ok(None),
    }
}
