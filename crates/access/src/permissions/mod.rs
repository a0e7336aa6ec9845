//! Permissions explained: why somebody was refused, and who can do something.
//!
//! Both are asked of the gate itself, as a request would: nothing here decides. A refusal is found by the
//! request that met it, and told from its entry of the audit log; beside it stands what the gate would say today.
//! Who can do something is found by asking for one account after another, a page at a time.
//!
//! Invariants (`tests`):
//! - what was answered as if it were not there is not explained to whoever was told so, and asking for the
//!   explanation of such an answer is answered as for one that never was ([`refusals`]);
//! - one sees one's own refusals, a program's key those of that key; those of others who may read the audit log
//!   about whose things it was;
//! - who can is what the gate says for each account (`holders::tests`: a property over random grants), and serving one
//!   tenant looks at accounts with roles in it and above it alone, a bounded number for each answer.
//!
//! Not here: deciding (`gate`), what roles may do (`policies`).

pub mod holders;
mod people;
pub mod refusals;
mod stages;
#[cfg(test)]
mod tests;

use gate::AnyAction;

use crate::words::words;

pub use holders::HOLDERS;
pub use refusals::EXPLAIN;

/// All of them.
pub static ACTIONS: &[&dyn AnyAction] = &[&EXPLAIN, &HOLDERS];

words! {
    /// The gates that a request goes through, in the order in which they stand.
    pub enum Stage {
        /// Whether it is known who asks: a session, a token, an account that may work.
        SignIn = "signIn",
        /// Whether they may act in that tenant.
        Tenant = "tenant",
        /// Whether the token was made for this, and is used from where it may be.
        Token = "token",
        /// Whether a policy permits the action, and none forbids it.
        Policy = "policy",
        /// Whether they have shown strongly enough, and lately enough, who they are.
        Proof = "proof",
        /// Whether they may do it to this object.
        Object = "object",
        /// What the action itself asks for.
        Rule = "rule",
        /// Whether a second person has to agree.
        SecondPerson = "secondPerson",
    }

    /// What became of a request at a gate.
    pub enum Passage {
        /// It went through.
        Passed = "passed",
        /// It was refused here.
        Refused = "refused",
        /// It did not come so far.
        NotReached = "notReached",
    }
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Stage; 8] = [
        Stage::SignIn,
        Stage::Tenant,
        Stage::Token,
        Stage::Policy,
        Stage::Proof,
        Stage::Object,
        Stage::Rule,
        Stage::SecondPerson,
    ];
}
