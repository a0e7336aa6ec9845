//! The calls to the world that this process is at, of steps that allow no other beside them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::id::RunId;
use base::time::Timestamp;

use crate::flows::advance::later;

/// One call, by the claim that it is made under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    pub fence: i64,
    /// Until when it is claimed.
    pub until: Timestamp,
    pub term: Duration,
}

/// What is at work, by its run.
#[derive(Default)]
pub(crate) struct Calls(Mutex<HashMap<RunId, Claim>>);

/// A call that is at work until this is dropped.
pub(crate) struct AtWork<'c> {
    calls: &'c Calls,
    run: RunId,
}

impl Calls {
    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, Claim>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call begins.
    pub fn begin(&self, run: RunId, claim: Claim) -> AtWork<'_> {
        self.lock().insert(run, claim);
        AtWork { calls: self, run }
    }

    /// The fence of the call that is at work for a run.
    pub fn fence(&self, run: RunId) -> Option<i64> {
        self.lock().get(&run).map(|claim| claim.fence)
    }

    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// The claims of which half has passed.
    pub fn fading(&self, now: Timestamp) -> Vec<(RunId, Claim)> {
        let fades = |claim: &Claim| later(now, claim.term / 2) > claim.until;
        self.lock().iter().filter(|(_, claim)| fades(claim)).map(|(run, claim)| (*run, *claim)).collect()
    }

    /// A claim lasts until then; or is another's by now, and is not asked after before.
    pub fn prolonged(&self, run: RunId, until: Timestamp) {
        if let Some(claim) = self.lock().get_mut(&run) {
            claim.until = until;
        }
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.calls.lock().remove(&self.run);
    }
}
