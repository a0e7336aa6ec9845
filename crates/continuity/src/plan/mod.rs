//! The continuity plan of a tenant: nine steps, each with an owner, a date, a state and a text, and
//! each held against the live records that fulfil it.
//!
//! ```text
//!   draft (steps, contacts, runbooks) ─ask─► version waiting ─another account─► approved
//!      ▲                                            └───────────────────────► declined
//!      └── every later change makes the draft differ from the approved version: shown
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`steps`] | the nine steps: our words (a data file), the tenant's state, `plan.get` |
//! | [`links`] | what is really there for each step, looked up when it is shown |
//! | [`contacts`] | the team: duties, deputies, who calls whom |
//! | [`reviews`], [`findings`] | somebody looked at the whole; what was found, by whom it is put right |
//! | [`versions`] | frozen states, approved by another account than the one that asked; differences |
//! | [`paper`] | everything that is needed when all systems are down, in one answer |
//! | [`words`] | texts that people type: pure |
//!
//! **Invariants** (tests: `tests`)
//! - a step that says *done* while something it is held against fails is shown as contradicted;
//! - nobody approves what they have asked for (also a constraint of the table);
//! - a frozen version says who by identifier, never by telephone or mail: those stay in the
//!   contacts alone, and are gone when somebody is removed;
//! - the contact tree has no circles.
//!
//! **Not here.** Exercises and runbooks (beside this), announcements (`access`).

pub mod contacts;
pub mod findings;
pub mod links;
pub mod paper;
pub mod reviews;
pub mod steps;
#[cfg(test)]
mod tests;
pub mod versions;
pub mod words;

use gate::AnyAction;

/// Every action of this capability.
pub static ACTIONS: &[&dyn AnyAction] = &[
    &steps::GET,
    &steps::UPDATE,
    &contacts::LIST,
    &contacts::CREATE,
    &contacts::UPDATE,
    &contacts::GET,
    &contacts::REMOVE,
    &reviews::RECORD,
    &reviews::LIST,
    &findings::LIST,
    &findings::ADD,
    &findings::CLOSE,
    &versions::ASK,
    &versions::DECIDE,
    &versions::LIST,
    &versions::GET,
    &paper::PRINT,
    &crate::exercises::CREATE,
    &crate::exercises::LIST,
    &crate::exercises::GET,
    &crate::exercises::UPDATE,
    &crate::exercises::CANCEL,
    &crate::exercises::CONCLUDE,
    &crate::runbooks::CREATE,
    &crate::runbooks::LIST,
    &crate::runbooks::GET,
    &crate::runbooks::UPDATE,
    &crate::runbooks::END,
    &crate::runbooks::sharing::SHARE,
    &crate::runbooks::VERSIONS,
    &crate::runbooks::draft::DRAFT,
];

/// Of whom one asks nothing but what is there.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}
