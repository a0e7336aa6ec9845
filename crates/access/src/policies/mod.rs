//! The policies that come with the product: one file per role, in Cedar.
//!
//! The gate asks twice. First whether the action may be begun at all (an object
//! of kind `tenant`, class `internal`, relation `own`), then about each object
//! that it touches: whose it is, seen from the acting tenant (`own`, `below`,
//! `above`), and of which class. So a role that may do something to its own
//! things only has one policy, and a role that may do it to other people's
//! personal data says so.
//!
//! Not here: how decisions are made and remembered (`gate`), which roles there
//! are (`roles`).

mod matrix;
#[cfg(test)]
mod tests;

pub use matrix::{named_actions, table};

/// All policies, as one text.
pub const POLICIES: &str = concat!(
    include_str!("../../policies/everyone.cedar"),
    include_str!("../../policies/signed-in.cedar"),
    include_str!("../../policies/system.cedar"),
    include_str!("../../policies/agent.cedar"),
    include_str!("../../policies/administrator.cedar"),
    include_str!("../../policies/operations.cedar"),
    include_str!("../../policies/product-manager.cedar"),
    include_str!("../../policies/billing-clerk.cedar"),
    include_str!("../../policies/auditor.cedar"),
    include_str!("../../policies/support.cedar"),
    include_str!("../../policies/owner.cedar"),
    include_str!("../../policies/member.cedar"),
    include_str!("../../policies/billing-viewer.cedar"),
    include_str!("../../policies/viewer.cedar"),
);
