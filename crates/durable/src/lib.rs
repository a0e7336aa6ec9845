//! Work that survives a crash: flows, jobs, reconcilers.
//!
//! A *flow* is a versioned definition (data) over registered, typed steps, each
//! with an undo or declared the point of no return. A *job* is one idempotent
//! thing, done again until it succeeds. A *reconciler* takes no input, compares
//! what is with what should be, and acts. If you want to pass a reconciler an
//! argument, it is a job; if a job has an undo, it is a flow.
//!
//! Rooms register steps, jobs, reconcilers and definitions in a [`Registry`];
//! `server` makes an [`Engine`] of it and starts it. Everything that the engine
//! knows is in the database: any server may go on where another stopped.
//!
//! Not here: what the steps do (each room's `work.rs`), leases (`gate::lease`,
//! as the audit log below this room needs one too).

mod engine;
pub mod expression;
pub mod flows;
pub mod jobs;
pub mod reconcilers;
mod registry;
mod step;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use base::id::RunId;
use base::{Error, Result};
use gate::search::{Findable, Reach};
use gate::{AnyAction, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use engine::{Engine, Handle, is_stopped, stopped, stopping};
pub use gate::lease;
pub use jobs::{JobCx, JobId, Patience};
pub use registry::Registry;
pub use step::{Call, Outside, Progress, Step, StepCx, Subject, Undo, Wait};

pub(crate) use engine::Workshop;
use flows::{Run, State};

/// No input, or no output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// What a fact about a run tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The run.
    pub run: RunId,
    /// Its id as text.
    pub id: String,
    /// The flow's name.
    pub flow: String,
    /// What the run is about, and whose it is.
    pub subject: Subject,
    /// Number of journal events so far.
    pub revision: i64,
}

/// What happens in this room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A run was asked for.
    FlowStarted(About),
    /// A run got somewhere: live pages show it.
    FlowAdvanced(About),
    /// Every step of a run has succeeded.
    FlowDone(About),
    /// A run failed and took back everything that it did.
    FlowUndone(About),
    /// A run waits for a person's decision.
    FlowStuck(About),
    /// A person ended a run where it stood.
    FlowGivenUp(About),
    /// A person dropped a job.
    JobDiscarded {
        /// The job.
        job: String,
        /// Its kind.
        kind: String,
    },
}

impl Fact {
    pub(crate) fn started(run: &Run) -> Self {
        Fact::FlowStarted(About::new(run))
    }

    pub(crate) fn stuck(run: &Run) -> Self {
        Fact::FlowStuck(About::new(run))
    }

    /// The fact that fits the state of a run that has just moved.
    pub(crate) fn about(run: &Run) -> Self {
        let about = About::new(run);
        match run.state {
            State::Running | State::Waiting | State::Unwinding => Fact::FlowAdvanced(about),
            State::Done => Fact::FlowDone(about),
            State::Undone => Fact::FlowUndone(about),
            State::Stuck => Fact::FlowStuck(about),
            State::GivenUp => Fact::FlowGivenUp(about),
        }
    }

    /// The run that it is about, if it is about one.
    pub fn run(&self) -> Option<&About> {
        match self {
            Fact::FlowStarted(about)
            | Fact::FlowAdvanced(about)
            | Fact::FlowDone(about)
            | Fact::FlowUndone(about)
            | Fact::FlowStuck(about)
            | Fact::FlowGivenUp(about) => Some(about),
            Fact::JobDiscarded { .. } => None,
        }
    }
}

impl About {
    fn new(run: &Run) -> Self {
        About {
            run: run.id,
            id: run.id.to_string(),
            flow: run.flow.clone(),
            subject: run.subject.clone(),
            revision: run.events,
        }
    }
}

impl gate::Fact for Fact {
    fn name(&self) -> &'static str {
        match self {
            Fact::FlowStarted(_) => "FlowStarted",
            Fact::FlowAdvanced(_) => "FlowAdvanced",
            Fact::FlowDone(_) => "FlowDone",
            Fact::FlowUndone(_) => "FlowUndone",
            Fact::FlowStuck(_) => "FlowStuck",
            Fact::FlowGivenUp(_) => "FlowGivenUp",
            Fact::JobDiscarded { .. } => "JobDiscarded",
        }
    }
    fn object(&self) -> (&str, &str) {
        match self {
            Fact::JobDiscarded { job, .. } => ("job", job),
            other => ("flow", other.run().map_or("", |about| &about.id)),
        }
    }
    fn revision(&self) -> i64 {
        self.run().map_or(0, |about| about.revision)
    }
    // How far a run has come is in its journal.
    fn is_kept(&self) -> bool {
        !matches!(self, Fact::FlowAdvanced(_))
    }
}

/// Everything that can be done here.
pub fn actions() -> Vec<&'static dyn AnyAction> {
    [flows::actions::ACTIONS, jobs::ACTIONS, reconcilers::ACTIONS].concat()
}

/// What of this room is found; see [`gate::search`].
pub static FINDABLE: &[Findable] = &[
    Findable::table(["flow", RunId::PREFIX], "flow.list", "flow_runs t", "t.flow")
        .state("t.state")
        .found_by("t.subject_id"),
    // Who may list jobs lists everybody's.
    Findable::table(["job", jobs::JobId::PREFIX], "job.list", "jobs t", "t.kind")
        .state("t.state")
        .reach(Reach::Everybodys),
];

/// What [`Engine::new`] installed in the gate.
pub(crate) fn workshop(tx: &Tx<'_>) -> Result<Arc<Workshop>> {
    tx.installed().ok_or_else(|| Error::bug("durable.absent", "no engine for lasting work was installed in this gate"))
}
