//! The border to whatever does host tasks: backups, copies, checks.
//!
//! **Contract.**
//! - A task may be begun again after a crash in the middle of it: the worker first looks what is there
//!   already, so that one task makes one snapshot.
//! - Whatever a task needs only while it runs is gone when [`Worker::run`] returns, and what a crash
//!   left is removed by [`Worker::tidy`].
//!
//! **Not here.** Which tasks there are, and what becomes of their outcomes (`converge`).

use std::sync::{Arc, Mutex, PoisonError};

use base::Result;

use crate::wire::{HostTask, Outcome, TaskProgress};

/// Something that does tasks.
pub trait Worker: Send + Sync + 'static {
    /// Does a task. `access` is what opens its repositories; it is not to be kept.
    ///
    /// # Errors
    /// Any: the task has failed. Once `cancel` was asked for, any error is taken for its effect.
    fn run(
        &self,
        task: &HostTask,
        access: serde_json::Value,
        cancel: &Cancel,
        progress: &mut dyn FnMut(TaskProgress),
    ) -> Result<Outcome>;

    /// Removes what tasks left that were cut off. Called before the first one.
    ///
    /// # Errors
    /// Where something cannot be removed; work goes on all the same.
    fn tidy(&self) -> Result<()>;
}

/// Stops a task that runs: clone it, keep one, hand the other over.
#[derive(Clone, Default)]
pub struct Cancel(Arc<Mutex<Cancelled>>);

#[derive(Default)]
struct Cancelled {
    asked: bool,
    then: Vec<Box<dyn FnOnce() + Send>>,
}

impl Cancel {
    /// Stops it.
    pub fn ask(&self) {
        let then = {
            let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            inner.asked = true;
            std::mem::take(&mut inner.then)
        };
        then.into_iter().for_each(|work| work());
    }

    /// Whether it should stop.
    pub fn asked(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).asked
    }

    /// Does something as soon as it is asked for, at once if it was. Must be quick.
    pub fn then(&self, work: impl FnOnce() + Send + 'static) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.asked {
            drop(inner);
            work();
        } else {
            inner.then.push(Box::new(work));
        }
    }
}
