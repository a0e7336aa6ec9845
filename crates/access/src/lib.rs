//! Access: who people are, where they belong, and what they may do.
//!
//! Tenants, accounts of people and of programs, roles, invitations, passwords, second factors, sessions,
//! API tokens, identity providers, approvals by a second person, the policies that come with the product, and the [`Authenticator`] that turns a
//! token or a cookie into the context in which everything else is done.
//!
//! Architecture invariants:
//! - a secret is shown once and kept as a hash; what is kept opens nothing;
//! - what somebody may do is said by `policies/*.cedar` alone; code says only how
//!   far they see (`reach`) and who may make whom what (`roles`);
//! - nothing slow (hashing, mail) happens inside a transaction (`prepared`, `mail`).
//!
//! Not here: decisions and the audit log (`gate`), the agents of hosts, which
//! show certificates (`resources`), limits on requests (`web`).

pub mod accounts;
pub mod announcements;
pub mod approvals;
pub mod factors;
mod found;
pub mod invitations;
pub mod mail;
pub mod notices;
pub mod operator;
pub mod passwords;
pub mod permissions;
pub mod policies;
mod prepared;
pub mod providers;
pub mod reach;
pub mod roles;
mod secret;
mod sensitive;
pub mod service_accounts;
pub mod sessions;
pub mod sign_in_rules;
mod sweep;
pub mod tenants;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
pub mod text;
pub mod tokens;
mod words;

use base::limits;
use gate::AnyAction;
use serde::{Deserialize, Serialize};

pub use found::FINDABLE;
pub use mail::Postman;
pub use policies::POLICIES;
pub use prepared::Prepared;
pub use reach::authenticator::{Authenticator, Visitor, wanted_tenant};
pub use secret::Secret;
pub use sweep::sweep;

/// Marks what is sensitive, in all rooms, what is open to those who have yet to enrol a factor, and what no
/// program does; and says who is asked where a second person is needed.
#[must_use]
pub fn guarded(catalogue: gate::Catalogue) -> gate::Catalogue {
    catalogue
        .sensitive(sensitive::SENSITIVE)
        .open_to_unenrolled(sign_in_rules::OPEN_TO_UNENROLLED)
        .for_people(service_accounts::FOR_PEOPLE)
        .guarded(&approvals::guard::GUARD)
}

/// Every action of this room.
pub fn actions() -> Vec<&'static dyn AnyAction> {
    [
        operator::ACTIONS,
        tenants::actions::ACTIONS,
        accounts::actions::ACTIONS,
        announcements::actions::ACTIONS,
        approvals::ACTIONS,
        invitations::actions::ACTIONS,
        roles::actions::ACTIONS,
        passwords::actions::ACTIONS,
        sessions::actions::ACTIONS,
        factors::actions::ACTIONS,
        factors::passkeys::actions::ACTIONS,
        sign_in_rules::actions::ACTIONS,
        tokens::actions::ACTIONS,
        service_accounts::actions::ACTIONS,
        providers::actions::ACTIONS,
        permissions::ACTIONS,
    ]
    .concat()
}

/// A page of a list, by key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// What to send as `after` for the next page; nothing on the last.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// How many to show when `asked` for so many.
    pub(crate) fn limit(asked: Option<u32>) -> u32 {
        asked.unwrap_or(limits::PAGE_DEFAULT).clamp(1, limits::PAGE_MAX)
    }

    /// Cuts what was found with one entry too many.
    pub(crate) fn cut(mut found: Vec<T>, limit: u32, key: impl Fn(&T) -> String) -> Self {
        let more = found.len() > limit as usize;
        found.truncate(limit as usize);
        let next = if more { found.last().map(key) } else { None };
        Page { items: found, next }
    }
}

/// Something is no more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Removed {
    /// Whether an account has left altogether with it.
    pub left: bool,
}

/// What happens here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A customer or department was made (or the operator).
    TenantCreated {
        /// Which.
        tenant: String,
    },
    /// Its name, language or time zone was changed.
    TenantChanged {
        /// Which.
        tenant: String,
    },
    /// Its people were locked out.
    TenantSuspended {
        /// Which.
        tenant: String,
    },
    /// Its people were let in again.
    TenantResumed {
        /// Which.
        tenant: String,
    },
    /// Somebody was asked to join.
    InvitationMade {
        /// Which invitation.
        invitation: String,
    },
    /// Somebody joined the fact's tenant.
    AccountJoined {
        /// Who.
        account: String,
    },
    /// Somebody was locked out.
    AccountSuspended {
        /// Who.
        account: String,
    },
    /// Somebody was let in again.
    AccountResumed {
        /// Who.
        account: String,
    },
    /// Somebody's part in the fact's tenant ended.
    AccountRemoved {
        /// Who.
        account: String,
        /// Whether they have no part anywhere any more.
        left: bool,
    },
    /// A role was granted in the fact's tenant.
    RoleGranted {
        /// To whom.
        account: String,
        /// Which.
        role: String,
    },
    /// A role was taken away in the fact's tenant.
    RoleRevoked {
        /// From whom.
        account: String,
        /// Which.
        role: String,
    },
    /// A password was set.
    PasswordChanged {
        /// Whose.
        account: String,
    },
    /// Somebody signed in.
    SessionOpened {
        /// Which session.
        session: String,
    },
    /// An API token was made.
    TokenCreated {
        /// Which.
        token: String,
    },
    /// An API token was revoked.
    TokenRevoked {
        /// Which.
        token: String,
    },
}

impl gate::Fact for Fact {
    fn name(&self) -> &'static str {
        match self {
            Fact::TenantCreated { .. } => "TenantCreated",
            Fact::TenantChanged { .. } => "TenantChanged",
            Fact::TenantSuspended { .. } => "TenantSuspended",
            Fact::TenantResumed { .. } => "TenantResumed",
            Fact::InvitationMade { .. } => "InvitationMade",
            Fact::AccountJoined { .. } => "AccountJoined",
            Fact::AccountSuspended { .. } => "AccountSuspended",
            Fact::AccountResumed { .. } => "AccountResumed",
            Fact::AccountRemoved { .. } => "AccountRemoved",
            Fact::RoleGranted { .. } => "RoleGranted",
            Fact::RoleRevoked { .. } => "RoleRevoked",
            Fact::PasswordChanged { .. } => "PasswordChanged",
            Fact::SessionOpened { .. } => "SessionOpened",
            Fact::TokenCreated { .. } => "TokenCreated",
            Fact::TokenRevoked { .. } => "TokenRevoked",
        }
    }

    fn object(&self) -> (&str, &str) {
        match self {
            Fact::TenantCreated { tenant }
            | Fact::TenantChanged { tenant }
            | Fact::TenantSuspended { tenant }
            | Fact::TenantResumed { tenant } => ("tenant", tenant),
            Fact::InvitationMade { invitation } => ("invitation", invitation),
            Fact::AccountJoined { account }
            | Fact::AccountSuspended { account }
            | Fact::AccountResumed { account }
            | Fact::AccountRemoved { account, .. }
            | Fact::RoleGranted { account, .. }
            | Fact::RoleRevoked { account, .. }
            | Fact::PasswordChanged { account } => ("account", account),
            Fact::SessionOpened { session } => ("session", session),
            Fact::TokenCreated { token } | Fact::TokenRevoked { token } => ("token", token),
        }
    }
}
