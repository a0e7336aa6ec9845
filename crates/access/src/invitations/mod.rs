//! Invitations: how people join a tenant.
//!
//! ```text
//!   pending ──▶ accepted        (once, by whoever holds the link that was mailed)
//!      └──────▶ withdrawn       (or past its time)
//! ```
//!
//! Holding the link shows that the mailbox is one's own. Somebody who has an
//! account already just gets the roles; somebody new chooses a password.
//!
//! Invariants:
//! - one pending invitation per tenant and address (index `invitations_pending`);
//! - accepted once, however many try at one time (`store::close`, test
//!   `one_invitation_is_accepted_once`);
//! - an accepted invitation never sets the password of an account that was there.
//!
//! Not here: the mail (`mail`).

pub mod actions;
pub(crate) mod store;
#[cfg(test)]
mod tests;

use base::id::TenantId;
use base::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::words::words;

pub(crate) use actions::make;

base::ids! {
    /// Somebody who has been asked to join.
    pub struct InvitationId = "inv";
}
db::id_columns!(InvitationId);

words! {
    /// What has become of an invitation.
    pub enum InvitationState {
        /// Waiting for an answer.
        Pending = "pending",
        /// The person has joined.
        Accepted = "accepted",
        /// Taken back.
        Withdrawn = "withdrawn",
    }
}

/// An invitation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Invitation {
    /// The identifier; not the secret of its link.
    pub id: InvitationId,
    /// Where to.
    pub tenant: TenantId,
    /// Whom.
    pub email: String,
    /// What they are called.
    pub name: String,
    /// The language of the mail.
    pub locale: String,
    /// The roles they will have.
    pub roles: Vec<String>,
    /// What has become of it.
    pub state: InvitationState,
    /// Who invites.
    pub invited_by: String,
    /// When it was made.
    #[schemars(with = "String")]
    pub created_at: Timestamp,
    /// Until when it can be accepted.
    #[schemars(with = "String")]
    pub expires_at: Timestamp,
}
