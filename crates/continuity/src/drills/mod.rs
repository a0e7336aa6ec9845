//! Drills: services are really brought back, beside the real ones, from the copies that would have
//! to serve; what that took is measured, and what was promised is held against it.
//!
//! ```text
//!   plan ─► run ─► flow `drill`: begin ─► decide ─► reserve ─► key ─► restore ─► verify ─► detect ─► clean ─► control ═► close
//!                                                                                                                     │
//!                corrective actions (opened by misses, closed by a run that passes) ◄── verdict ─► signed evidence ◄──┘
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`plans`] | what comes back, what is lost, what is promised, how often |
//! | [`scope`] | services by name, or all of a tenant's at a site when a run begins |
//! | [`order`] | which of them wait for which: pure |
//! | [`runs`] | what was restored, what was measured, what it came to |
//! | [`corrective`] | what must be put right, by whom, by when |
//! | [`work`], [`closing`] | the flow's steps |
//! | [`detection`] | how long a loss goes unseen, and what that figure is made of |
//! | [`databases`] | what they do where databases were dropped, and machines are not touched |
//! | [`platform`] | the platform itself: a flow of its own, the same phases, evidence and verdict |
//! | [`promises`] | what the contract promises, and whether a run saw it kept |
//! | [`rules`] | from measurements to a verdict: pure |
//!
//! **Invariants** (each with its test in `tests`)
//! - passed means that every service answered in time, with data young enough, from a copy that the
//!   scenario left; what was not measured is missed, never passed;
//! - a run that somebody stopped proves nothing and misses nothing: it opens and closes nothing;
//! - a drill's machines stand beside their services on a network without a way out, are never part
//!   of a bill, and are gone with all that they held before a run is closed, however it ended;
//! - a service begins to come back when all that it relies on answer, and waits for nothing else;
//! - what a miss opened, only a passing run of the same plan closes; what no run can close any more is
//!   withdrawn, not closed.
//!
//! **Not here.** Choosing a copy and making machines of it (`recoveries`), what evidence is and how
//! it is looked at (`evidence`).

pub mod closing;
pub mod corrective;
pub mod databases;
pub mod detection;
pub mod order;
pub mod plans;
pub mod platform;
pub mod promises;
pub mod rules;
pub mod runs;
pub mod scope;
#[cfg(test)]
pub(crate) mod tests;
pub mod work;

use std::sync::Arc;

use base::Result;
use durable::flows;
use gate::{AnyAction, Tx};

use crate::control_plane::Installation;

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
    &runs::STOP,
    &runs::LIST,
    &runs::GET,
    &corrective::LIST,
    &corrective::UPDATE,
    &work::RECONCILE,
    &crate::evidence::GET,
];

/// Adds steps, flows and reconciler. The platform itself is drilled at `here`.
#[must_use]
pub fn register(registry: durable::Registry, here: Installation) -> durable::Registry {
    platform::register(work::register(registry), Arc::new(here))
}

/// The key that a run's flow waits on while several of its services are on their way.
fn key(run: &str) -> String {
    format!("{KIND}:{run}")
}

/// Something about a machine was seen: the run that made it, if one did, looks at it. The reaction to
/// resources' `MachineObserved`.
///
/// # Errors
/// Those of the database.
pub fn machine_seen(tx: &mut Tx<'_>, machine: &str) -> Result<()> {
    match crate::recoveries::made_for(tx, machine)? {
        Some((kind, run)) if kind == KIND => flows::wake(tx, &key(&run)).map(drop),
        _ => Ok(()),
    }
}

/// A host's task has ended: the run that asked for it, if one did, looks at it. The reaction to
/// resources' `HostTaskEnded`.
///
/// # Errors
/// Those of the database.
pub fn task_ended(tx: &mut Tx<'_>, subject_kind: &str, subject_id: &str) -> Result<()> {
    match subject_kind {
        KIND => flows::wake(tx, &key(subject_id)).map(drop),
        _ => Ok(()),
    }
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
    /// Somebody stopped a run: nothing was proven, and nothing was missed.
    DrillStopped {
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
            Fact::DrillStopped { .. } => "DrillStopped",
            Fact::RecoveryPromiseBroken { .. } => "RecoveryPromiseBroken",
            Fact::CorrectiveActionOpened { .. } => "CorrectiveActionOpened",
            Fact::CorrectiveActionClosed { .. } => "CorrectiveActionClosed",
            Fact::CorrectiveActionWithdrawn { .. } => "CorrectiveActionWithdrawn",
        }
    }
    fn object(&self) -> (&str, &str) {
        match self {
            Fact::DrillPassed { run }
            | Fact::DrillFailed { run }
            | Fact::DrillImpossible { run }
            | Fact::DrillStopped { run }
            | Fact::RecoveryPromiseBroken { run, .. } => (KIND, run),
            Fact::CorrectiveActionOpened { action }
            | Fact::CorrectiveActionClosed { action }
            | Fact::CorrectiveActionWithdrawn { action } => (corrective::KIND, action),
        }
    }
}
