//! API tokens: keys for programs.
//!
//! ```text
//!   in force ──(revoked · expired · account left)──▶ dead, kept for the record
//! ```
//!
//! A token is 256 random bits behind `ywt_`; it is shown once, its SHA-256 is
//! kept. It acts as its account, in the tenant in which it was made (and below),
//! with all roles the account has there at that moment, or with those it was
//! limited to; for the actions in its scopes, from the networks it is bound to,
//! where it has such ([`gate::Bounds`]). The key of a service account is a token.
//!
//! Invariants:
//! - a token never does what its account could not (`reach::standing`);
//! - a token made with a limited token is limited as much (`actions::CREATE`, `rules`),
//!   and nobody turns one into a password ([`limits_of`]);
//! - a token does nothing sensitive unless it was made for that ([`crate::guarded`]).

pub mod actions;
pub(crate) mod rules;
pub(crate) mod store;
#[cfg(test)]
mod tests;

use base::address::Network;
use base::id::{AccountId, TenantId};
use base::time::Timestamp;
use base::{Error, Result};
use db::Conn;
use gate::{Bounds, Catalogue, Cx};
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
    /// The scopes that it is for, such as `service:read` or `service.reboot`; nothing where it is for all
    /// that its account may do.
    pub scopes: Option<Vec<String>>,
    /// The networks that it is used from, such as `192.0.2.0/24`; none where that may be anywhere.
    pub networks: Vec<String>,
    /// Whether it was made for sensitive actions: those that give or take control over access and keys.
    pub sensitive: bool,
    /// Who made it.
    pub made_by: String,
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
    /// From which address that was.
    pub used_from: Option<String>,
    /// The key that it was replaced by; it works beside that until it expires.
    pub replaced_by: Option<TokenId>,
}

impl Token {
    /// What it is limited to beside its roles; nothing where it is not. `program`: it is a service account's.
    pub(crate) fn bounds(&self, catalogue: &Catalogue, program: bool) -> Result<Option<Bounds>> {
        if self.scopes.is_none() && self.networks.is_empty() && !program {
            return Ok(None);
        }
        let networks = self.networks.iter().map(|text| text.parse::<Network>()).collect::<Result<Vec<_>>>()?;
        Ok(Some(Bounds::new(catalogue, self.scopes.as_deref(), networks, program)))
    }

    /// Whether it works at an instant.
    pub(crate) fn is_in_force(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| end > now)
    }

    /// Refuses a token that works no more.
    ///
    /// # Errors
    /// `Unauthenticated` (`token.revoked`, `token.expired`).
    pub(crate) fn check_in_force(&self, now: Timestamp) -> Result<()> {
        if self.revoked_at.is_some() {
            return Err(Error::unauthenticated("token.revoked", "that API token has been revoked"));
        }
        if !self.is_in_force(now) {
            return Err(Error::unauthenticated("token.expired", "that API token has expired; make a new one"));
        }
        Ok(())
    }

    fn is_limited(&self) -> bool {
        self.roles.is_some() || self.scopes.is_some() || !self.networks.is_empty()
    }
}

/// Whether the actor came with a token that is for less than its account: for some of its roles or actions,
/// from some networks, or for one tenant that is not the account's own.
pub(crate) fn is_narrow(conn: &mut Conn<'_>, cx: &Cx, home: TenantId) -> Result<bool> {
    Ok(came_with(conn, cx)?.is_some_and(|token| token.is_limited() || token.tenant != home))
}

/// The token that the actor came with, if it is one.
pub(crate) fn came_with(conn: &mut Conn<'_>, cx: &Cx) -> Result<Option<Token>> {
    match cx.session().and_then(|text| text.parse::<TokenId>().ok()) {
        Some(id) => store::find(conn, id),
        None => Ok(None),
    }
}

/// The token that the actor came with, where it was limited to some of the roles of its account.
pub(crate) fn limits_of(conn: &mut Conn<'_>, cx: &Cx) -> Result<Option<Token>> {
    Ok(came_with(conn, cx)?.filter(|token| token.roles.is_some()))
}
