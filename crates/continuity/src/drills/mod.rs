//! Drills: services are really brought back, beside the real ones, from the copies that would have
//! to serve; what that took is measured, and what was promised is held against it.
//!
//! ```text
//!   plan ─► run ─► flow `drill`: begin ─► decide ─► reserve ─► key ─► restore ─► verify ─► clean ─► control ═► close
//!                                                                                                          │
//!     corrective actions (opened by misses, closed by a run that passes) ◄── verdict ─► signed evidence ◄──┘
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`plans`] | which services, what is lost, what is promised, how often |
//! | [`runs`] | what was restored, what was measured, what it came to |
//! | [`corrective`] | what must be put right, by whom, by when |
//! | [`work`], [`closing`] | the flow's steps |
//! | [`promises`] | what the contract promises, and whether a run saw it kept |
//! | [`rules`] | from measurements to a verdict: pure |
//!
//! **Invariants** (each with its test in `tests`)
//! - passed means that every service answered in time, with data young enough, from a copy that the
//!   scenario left; what was not measured is missed, never passed;
//! - a drill's machines stand beside their services on a network without a way out, are never part
//!   of a bill, and are gone with all that they held before a run is closed, however it ended;
//! - what a miss opened, only a passing run of the same plan closes; what no run can close any more is
//!   withdrawn, not closed.
//!
//! **Not here.** Choosing a copy and making machines of it (`recoveries`), what evidence is and how
//! it is looked at (`evidence`).

pub mod closing;
pub mod corrective;
pub mod plans;
pub mod promises;
pub mod rules;
pub mod runs;
#[cfg(test)]
pub(crate) mod tests;
pub mod work;

use gate::AnyAction;

/// The name of the flow.
pub const DRILL: &str = "drill";
/// The kind of a run, of its flow's subject and of its tasks' and recoveries'.
pub const KIND: &str = "drill";

/// Every action of this capability.
pub static ACTIONS: &[&dyn AnyAction] = &[
    &plans::CREATE,
    &plans::LIST,
    &plans::GET,
    &plans::UPDATE,
    &plans::END,
    &runs::RUN,
    &runs::LIST,
    &runs::GET,
    &corrective::LIST,
    &corrective::UPDATE,
    &work::RECONCILE,
    &crate::evidence::GET,
];

/// Adds steps, flow and reconciler.
#[must_use]
pub fn register(registry: durable::Registry) -> durable::Registry {
    work::register(registry)
}

/// What happened here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A run saw everything that its plan promises.
    DrillPassed {
        /// The run.
        run: String,
    },
    /// A run did not.
    DrillFailed {
        /// The run.
        run: String,
    },
    /// A run could not be made: nothing was proven.
    DrillImpossible {
        /// The run.
        run: String,
    },
    /// A run saw a promise of the contract broken: something is owed for it.
    RecoveryPromiseBroken {
        /// The run.
        run: String,
        /// The service.
        service: String,
        /// What is owed, before tax, in the currency of whoever pays.
        credit: String,
        /// How, for people.
        how: String,
    },
    /// Something must be put right.
    CorrectiveActionOpened {
        /// The action.
        action: String,
    },
    /// A passing run shows that it was.
    CorrectiveActionClosed {
        /// The action.
        action: String,
    },
    /// Its plan or its service is no more: nothing will show that it was put right.
    CorrectiveActionWithdrawn {
        /// The action.
        action: String,
    },
}

impl gate::Fact for Fact {
    fn name(&self) -> &'static str {
        match self {
            Fact::DrillPassed { .. } => "DrillPassed",
            Fact::DrillFailed { .. } => "DrillFailed",
            Fact::DrillImpossible { .. } => "DrillImpossible",
            Fact::RecoveryPromiseBroken { .. } => "RecoveryPromiseBroken",
            Fact::CorrectiveActionOpened { .. } => "CorrectiveActionOpened",
            Fact::CorrectiveActionClosed { .. } => "CorrectiveActionClosed",
            Fact::CorrectiveActionWithdrawn { .. } => "CorrectiveActionWithdrawn",
        }
    }
    fn object(&self) -> (&str, &str) {
        match self {
            Fact::DrillPassed { run } | Fact::DrillFailed { run } | Fact::DrillImpossible { run } => (KIND, run),
            Fact::RecoveryPromiseBroken { run, .. } => (KIND, run),
            Fact::CorrectiveActionOpened { action }
            | Fact::CorrectiveActionClosed { action }
            | Fact::CorrectiveActionWithdrawn { action } => (corrective::KIND, action),
        }
    }
}
