//! Approvals: what one person may not do alone.
//!
//! A tenant's *rule* names the actions that need a second person there and below. The gate's guard
//! ([`guard::GUARD`]) refuses such an action when an account does it, whatever way it came; the account
//! can ask for it instead. What is asked for is run once, as a rehearsal that is taken back, so that
//! what would fail is refused at once; its exact value is stored with a hash over all of it.
//!
//! ```text
//!                  ┌─ approve ─┬─► done        it was run, as whoever asked
//!   ask ─► waiting ┼           └─► failed      it could not be any more; nothing was changed
//!                  ├─ decline ───► declined
//!                  ├─ withdraw ──► withdrawn
//!                  └─ (72 hours) ► expired     not stored: what waits and is past its time
//! ```
//!
//! Invariants (`tests`, both databases):
//! - what is run is what was stored, once: the row leaves `waiting` in the transaction of the run, and
//!   whoever approves names the hash of what they saw (`approved_twice_runs_once`);
//! - what it was asked about must be as it was then (`a_changed_object_fails_the_approval`);
//! - whoever asked must still be entitled; whoever approves must be entitled to the same action on the
//!   same object, by rights that have been theirs for a day, and be another person;
//! - the rule is made stronger by one, and weaker by two.
//!
//! Who is the same person: one account, two accounts whose mail addresses lead into one mailbox, and
//! those of which a tenant says so ([`people`]).
//!
//! Not here: which factor an approval takes (`sessions`), a way past the rule in an emergency: it would
//! stand beside [`guard::GUARD`]'s check, which is the only place that refuses.

pub mod actions;
pub mod approvable;
pub mod guard;
mod people;
mod rules;
pub mod settings;
mod store;
#[cfg(test)]
mod tests;

use base::id::{AccountId, TenantId};
use base::time::Timestamp;
use gate::AnyAction;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::words::words;

pub use actions::{APPROVE, ASK, DECLINE, GET, LIST, WITHDRAW};
pub use settings::{GET_RULE, LINK, SET_RULE, UNLINK};

/// All of them.
pub static ACTIONS: &[&dyn AnyAction] =
    &[&ASK, &LIST, &GET, &APPROVE, &DECLINE, &WITHDRAW, &GET_RULE, &SET_RULE, &LINK, &UNLINK];

base::ids! {
    /// Something that somebody asked a second person to agree to.
    pub struct ApprovalId = "apr";
}
db::id_columns!(ApprovalId);

words! {
    /// How far an approval is.
    pub enum State {
        /// Nobody has decided yet.
        Waiting = "waiting",
        /// It was approved and done.
        Done = "done",
        /// It was approved and could not be done; nothing was changed.
        Failed = "failed",
        /// It was declined.
        Declined = "declined",
        /// Whoever asked took it back.
        Withdrawn = "withdrawn",
        /// Nobody decided in time.
        Expired = "expired",
    }
}

/// What something is asked about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct About {
    /// Its kind; empty where it is nothing that is there already.
    pub kind: String,
    /// Which one.
    pub id: String,
    /// Whose it is.
    pub tenant: Option<TenantId>,
    /// Its revision when it was asked for, 0 where it has none.
    pub revision: i64,
}

/// Why it could not be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Problem {
    /// The error's code.
    pub code: String,
    /// The error's words.
    pub message: String,
}

/// Something that somebody asked a second person to agree to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// The identifier.
    pub id: ApprovalId,
    /// In which tenant it is to be done.
    pub tenant: TenantId,
    /// The action.
    pub action: String,
    /// What it amounts to: the action itself, or what an order, say, does.
    pub amounts_to: String,
    /// What that is, in words.
    pub summary: String,
    /// About what.
    pub object: About,
    /// What that is called, where it has a name.
    pub object_name: Option<String>,
    /// The exact value.
    pub input: Json,
    /// What it was asked about, as that was, as far as it can be shown.
    pub seen: Json,
    /// SHA-256 over all of it, in hexadecimal digits; sent along by whoever approves.
    pub digest: String,
    /// Who asked.
    pub requester: AccountId,
    /// What they are called.
    pub requester_name: String,
    /// Why, in their words.
    pub reason: String,
    /// How far it is.
    pub state: State,
    /// When it was asked for.
    #[schemars(with = "String")]
    pub created_at: Timestamp,
    /// Until when it waits.
    #[schemars(with = "String")]
    pub expires_at: Timestamp,
    /// Who decided.
    pub decided_by: Option<AccountId>,
    /// What they are called.
    pub decided_by_name: Option<String>,
    /// When.
    #[schemars(with = "Option<String>")]
    pub decided_at: Option<Timestamp>,
    /// What they said to it.
    pub note: String,
    /// Why it could not be done, where it could not.
    pub problem: Option<Problem>,
    /// What the action gave, where it was done.
    pub result: Option<Json>,
}
