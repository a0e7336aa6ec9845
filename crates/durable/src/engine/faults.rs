//! Faults on demand: how tests kill the engine at each journal write, fail each
//! step and repeat each step. Unarmed it costs one load.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

use base::{Error, Result};

/// What shall go wrong.
#[derive(Default)]
pub(crate) struct Faults {
    armed: AtomicBool,
    dead: AtomicBool,
    kill_at: AtomicI64,
    points: AtomicI64,
    fail: Mutex<Option<String>>,
    repeat: AtomicBool,
    repeat_undo: AtomicBool,
}

impl Faults {
    /// A journal write, or the moment after a commit: where a process may end.
    pub fn point(&self) -> Result<()> {
        if !self.armed.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.alive()?;
        let n = self.points.fetch_add(1, Ordering::SeqCst) + 1;
        if n == self.kill_at.load(Ordering::SeqCst) {
            self.dead.store(true, Ordering::SeqCst);
        }
        self.alive()
    }

    /// Whether the process that a test plays is still there.
    pub fn alive(&self) -> Result<()> {
        if self.dead.load(Ordering::Relaxed) {
            return Err(Error::unavailable("testing.killed", "killed by a test"));
        }
        Ok(())
    }

    /// Called before a step is.
    pub fn before(&self, step: &str, backward: bool) -> Result<()> {
        if !self.armed.load(Ordering::Relaxed) || backward {
            return Ok(());
        }
        match &*self.fail.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(fails) if fails == step => Err(Error::conflict("testing.failed", "failed by a test")),
            _ => Ok(()),
        }
    }

    /// Whether steps, or undos, are called twice.
    pub fn repeats(&self, backward: bool) -> bool {
        self.armed.load(Ordering::Relaxed)
            && if backward { &self.repeat_undo } else { &self.repeat }.load(Ordering::Relaxed)
    }
}

#[cfg(any(test, feature = "testing"))]
impl Faults {
    /// Ends the process that the test plays at the `n`th point (from 1).
    pub fn kill_at(&self, n: i64) {
        self.kill_at.store(n, Ordering::SeqCst);
        self.armed.store(true, Ordering::SeqCst);
    }

    /// Points that were passed.
    pub fn points(&self) -> i64 {
        self.points.load(Ordering::SeqCst)
    }

    /// Whether the end came.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// Lets a step fail whenever it is called.
    pub fn fail(&self, step: &str) {
        *self.fail.lock().unwrap_or_else(PoisonError::into_inner) = Some(step.to_owned());
        self.armed.store(true, Ordering::SeqCst);
    }

    /// Calls steps twice.
    pub fn repeat_steps(&self) {
        self.repeat.store(true, Ordering::SeqCst);
        self.armed.store(true, Ordering::SeqCst);
    }

    /// Calls undos twice.
    pub fn repeat_undos(&self) {
        self.repeat_undo.store(true, Ordering::SeqCst);
        self.armed.store(true, Ordering::SeqCst);
    }
}
