//! Sessions: browsers that are signed in.
//!
//! ```text
//!   password right ──▶ sign-in ──right code──▶ open        (where the account has a second factor)
//!   password right ─────────────────────────▶ open        (where it has none)
//!   open ──(idle limit · absolute limit · closed · account suspended or left · password changed)──▶ deleted
//! ```
//!
//! The cookie is 256 random bits, made at sign-in and never before, so there is
//! nothing to plant in somebody's browser beforehand; its SHA-256 is kept. Each
//! session has a secret of its own for forms.
//!
//! Invariants:
//! - signing in never continues a session that was there (`actions::OPEN`, test
//!   `signing_in_always_makes_a_new_session`);
//! - known and unknown addresses get the same answer after the same work.
//!
//! Not here: what a session may do (`reach`), the limits on guessing (`passwords::attempts`).

pub mod actions;
pub mod confirm;
pub mod cookie;
pub(crate) mod sign_ins;
pub(crate) mod store;
#[cfg(test)]
mod tests;

use base::id::{AccountId, TenantId};
use base::time::Timestamp;
use gate::Strength;
use serde::{Deserialize, Serialize};

base::ids! {
    /// A browser that is signed in.
    pub struct SessionId = "ses";
}
db::id_columns!(SessionId);

/// A session, as its account sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Session {
    /// The identifier; not the secret.
    pub id: SessionId,
    /// Whose.
    pub account: AccountId,
    /// The tenant that was chosen to act in, where one was.
    pub acting: Option<TenantId>,
    /// The address from which it was opened.
    pub address: String,
    /// What the browser said of itself.
    pub user_agent: String,
    /// When it was opened.
    #[schemars(with = "String")]
    pub created_at: Timestamp,
    /// When it was last used, to about a minute.
    #[schemars(with = "String")]
    pub seen_at: Timestamp,
    /// When it ends in any case.
    #[schemars(with = "String")]
    pub expires_at: Timestamp,
    /// How the account had shown last who it is.
    pub strength: Strength,
    /// When it had.
    #[schemars(with = "String")]
    pub proven_at: Timestamp,
    /// Whether it is the one that asks.
    pub current: bool,
}
