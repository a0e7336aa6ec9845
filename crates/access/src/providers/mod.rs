//! Identity providers: signing in at a firm's own provider (OpenID Connect Core 1.0, the code flow with PKCE).
//!
//! ```text
//!   begin ──▶ at the provider ──code──▶ ID token verified ──known here──▶ session, or a second factor is to come
//!                                            │
//!                                            ├──not known, an account is to be made──▶ account, roles, session
//!                                            └──otherwise──▶ refused
//! ```
//!
//! A tenant names a provider. Whom that knows by a name of its own (`sub`) is an account here once one of
//! them said so: the person, signed in to the account, by connecting it; or the tenant, which lets accounts be
//! made for those who come first, with mail addresses in a domain that the operator confirmed is the tenant's.
//!
//! Invariants (`tests`):
//! - no account is taken over by a mail address: one that is there already is connected by its own person, by a
//!   provider of its home or above, or not at all ([`sign_in`]);
//! - what comes back is for the browser that went, once, for ten minutes: `state`, `nonce` and the verifier of
//!   PKCE are made from a secret that only that browser keeps ([`Errand`]), which is used up before the provider
//!   is asked;
//! - what comes back is sent to the provider to whose own address it came, where the browser went to that one: no
//!   provider is given another's code ([`client::RETURN_PATH`]);
//! - an ID token counts only where its signature, issuer, audience, times and nonce are right ([`jwt`]);
//! - who was removed is not back with their next sign-in: no account is made again for whom the provider means;
//! - two factors at the provider count where its settings name them and the sign-in rules of all tenants that
//!   the account has a role in say so;
//! - nothing is fetched from loopback or private addresses unless the operator allows it ([`client`]).
//!
//! Not here: sessions (`sessions`), the pages (`portal`).

pub mod actions;
pub mod client;
mod jwt;
mod places;
pub(crate) mod rules;
pub mod sign_in;
pub(crate) mod store;
#[cfg(test)]
mod tests;

use base::id::{AccountId, TenantId};
use base::time::Timestamp;
use base::{Error, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use db::Conn;
use gate::keys::For;
use serde::{Deserialize, Serialize};

use crate::secret::{self, Of, Secret};
use crate::words::words;

pub use client::{Client, install};

base::ids! {
    /// An identity provider.
    pub struct ProviderId = "idp";
}
db::id_columns!(ProviderId);

words! {
    /// Whether people sign in with it.
    pub enum ProviderState {
        /// They do.
        Active = "active",
        /// They do not; passwords that it replaced work again.
        Off = "off",
    }
}

/// Who is in a group at the provider has a role here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupRole {
    /// The group, as the provider spells it.
    pub group: String,
    /// The role, in the provider's tenant.
    pub role: String,
}

/// What a tenant settles about its provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// What is asked for besides `openid`.
    pub scopes: Vec<String>,
    /// Whether an account is made for somebody who comes first, with an address in a confirmed domain.
    pub makes_accounts: bool,
    /// The roles of accounts that it makes.
    pub default_roles: Vec<String>,
    /// The claim that names groups; empty where none does.
    pub groups_claim: String,
    /// What groups give accounts that it made, at each sign-in.
    pub group_roles: Vec<GroupRole>,
    /// Whether accounts that are connected with it may sign in with a password, too.
    pub passwords: bool,
    /// The values of `amr` that stand for two factors.
    pub two_factor_amr: Vec<String>,
    /// The values of `acr` that stand for two factors.
    pub two_factor_acr: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            scopes: vec!["email".to_owned(), "profile".to_owned()],
            makes_accounts: false,
            default_roles: Vec::new(),
            groups_claim: String::new(),
            group_roles: Vec::new(),
            passwords: true,
            two_factor_amr: Vec::new(),
            two_factor_acr: Vec::new(),
        }
    }
}

/// A mail domain of a provider's people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Domain {
    /// The domain.
    pub domain: String,
    /// Since when the operator has confirmed that it is the tenant's; nothing where that is still to come.
    #[schemars(with = "Option<String>")]
    pub confirmed_at: Option<Timestamp>,
}

/// An identity provider, without its secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Provider {
    /// The identifier.
    pub id: ProviderId,
    /// Whose it is.
    pub tenant: TenantId,
    /// What people read on the button.
    pub name: String,
    /// Its issuer, as its discovery document says it.
    pub issuer: String,
    /// As whom the platform is known there.
    pub client_id: String,
    /// The address that the provider must know people to be sent back to.
    pub redirect: String,
    /// Whether the client's secret was set.
    pub has_secret: bool,
    /// What is settled about it.
    pub settings: Settings,
    /// The mail domains of its people; none where their addresses may be in any.
    pub domains: Vec<Domain>,
    /// Whether people sign in with it.
    pub state: ProviderState,
    /// Counts the changes of its settings.
    pub revision: i64,
    /// When it was made.
    #[schemars(with = "String")]
    pub created_at: Timestamp,
}

/// What the client's secret of a provider is sealed for.
fn sealed_for(id: &str) -> For<'_> {
    For { row: id, purpose: "client secret" }
}

/// The answer for one that is not there, and for one that is nobody's business.
pub(crate) fn absent(id: ProviderId) -> Error {
    Error::not_found("identityProvider.not_found", format!("there is no identityProvider {id}"))
}

/// One answer for a sign-in that is unknown, done, too late, or another browser's.
pub(crate) fn over() -> Error {
    Error::unauthenticated("provider.over", "this sign-in took too long, is done, or began elsewhere; begin again")
}

/// What one browser keeps while it is at a provider: a secret, and what is made of it. The database has its
/// hash and nothing that helps anybody.
pub(crate) struct Errand(String);

impl Errand {
    fn of(ticket: &Secret, of: Of) -> Result<Errand> {
        if secret::looks_like(of, ticket.reveal()) { Ok(Errand(ticket.reveal().to_owned())) } else { Err(over()) }
    }

    fn made(&self, what: &str) -> String {
        URL_SAFE_NO_PAD.encode(secret::hash(&format!("{what}\n{}", self.0)))
    }

    /// What the provider sends back with the browser.
    pub(crate) fn state(&self) -> String {
        self.made("state")
    }
    /// What the ID token is made for.
    pub(crate) fn nonce(&self) -> String {
        self.made("nonce")
    }
    /// What only whoever began can show with the code (RFC 7636).
    pub(crate) fn verifier(&self) -> String {
        self.made("verifier")
    }
    /// The verifier's hash, which goes ahead.
    pub(crate) fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(secret::hash(&self.verifier()))
    }
    pub(crate) fn hash(&self) -> [u8; 32] {
        secret::hash(&self.0)
    }
}

/// Whether an account is connected with a provider that is on.
pub(crate) fn vouches(conn: &mut Conn<'_>, account: AccountId) -> Result<bool> {
    Ok(store::of_account(conn, account)?.iter().any(store::is_active))
}

/// Refuses a password of an account whose provider does not leave it that.
///
/// # Errors
/// `Forbidden` (`provider.only`).
pub(crate) fn keep_to_provider(conn: &mut Conn<'_>, account: AccountId) -> Result<()> {
    match store::of_account(conn, account)?
        .iter()
        .find(|one| one.state == ProviderState::Active && !one.settings.passwords)
    {
        None => Ok(()),
        Some(one) => Err(Error::forbidden(
            "provider.only",
            format!("your organisation wants you to sign in with {}, not with a password", one.name),
        )),
    }
}
