//! The queue in memory: a hint of what to do now. Losing it loses time, never work.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::id::{RunId, TenantId};
use base::time::{Timestamp, micros};

use crate::flows::advance::OutsideCall;
use crate::jobs::JobId;

/// Something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Work {
    /// A turn of a run.
    Run(RunId, TenantId),
    /// A call to the world for a run.
    Call(RunId, TenantId),
    /// A job.
    Job(JobId),
    /// A reconciler.
    Reconcile(&'static str),
}

#[derive(Default)]
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    quick: Condvar,
    slow: Condvar,
    clock: Condvar,
}

#[derive(Default)]
struct Inner {
    open: bool,
    quick: VecDeque<Work>,
    slow: VecDeque<Work>,
    queued: HashSet<Work>,
    /// What is being done, and whether it was asked for again meanwhile.
    busy: HashMap<Work, bool>,
    soon: BTreeSet<(Timestamp, Work)>,
    calls: HashMap<RunId, Box<OutsideCall>>,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets work in. Before that it is dropped: the first look finds it.
    pub fn open(&self) {
        self.lock().open = true;
    }

    pub fn is_open(&self) -> bool {
        self.lock().open
    }

    /// Tells everybody to stop after what they are at.
    pub fn close(&self) {
        self.lock().open = false;
        self.quick.notify_all();
        self.slow.notify_all();
        self.clock.notify_all();
    }

    /// Something is due now.
    pub fn push(&self, work: Work) {
        let mut inner = self.lock();
        if !inner.open || inner.queued.contains(&work) {
            return;
        }
        if let Some(again) = inner.busy.get_mut(&work) {
            *again = true;
            return;
        }
        inner.queued.insert(work);
        match work {
            Work::Run(..) => {
                inner.quick.push_back(work);
                self.quick.notify_one();
            }
            Work::Call(..) | Work::Job(_) | Work::Reconcile(_) => {
                inner.slow.push_back(work);
                self.slow.notify_one();
            }
        }
    }

    /// Something will be due; what is further off than a few looks is left to them.
    pub fn push_at(&self, work: Work, at: Timestamp) {
        let mut inner = self.lock();
        if inner.open && inner.soon.len() < base::limits::WRITE_QUEUE_MAX {
            inner.soon.insert((at, work));
            self.clock.notify_one();
        }
    }

    /// A call to the world, for the slow workers.
    pub fn call(&self, tenant: TenantId, call: Box<OutsideCall>) {
        let id = call.run.id;
        self.lock().calls.insert(id, call);
        self.push(Work::Call(id, tenant));
    }

    pub fn take_call(&self, id: RunId) -> Option<Box<OutsideCall>> {
        self.lock().calls.remove(&id)
    }

    /// Waits for something to do; `None` once the queue is closed.
    pub fn next(&self, slow: bool) -> Option<Work> {
        let mut inner = self.lock();
        while inner.open {
            let ready = if slow { inner.slow.pop_front() } else { inner.quick.pop_front() };
            if let Some(work) = ready {
                inner.queued.remove(&work);
                inner.busy.insert(work, false);
                return Some(work);
            }
            let bell = if slow { &self.slow } else { &self.quick };
            inner = bell.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        None
    }

    /// It was done; if it was asked for meanwhile it is done again.
    pub fn finished(&self, work: Work) {
        let again = self.lock().busy.remove(&work);
        if again == Some(true) {
            self.push(work);
        }
    }

    /// Waits until the next look is due, giving out what becomes due before.
    /// False once the queue is closed.
    pub fn pause(&self, now: Timestamp, most: Duration) -> bool {
        let mut inner = self.lock();
        let ripe: Vec<Work> = inner.soon.iter().take_while(|(at, _)| *at <= now).map(|(_, work)| *work).collect();
        if !ripe.is_empty() {
            inner.soon.retain(|(at, _)| *at > now);
            drop(inner);
            ripe.into_iter().for_each(|work| self.push(work));
            inner = self.lock();
        }
        if !inner.open {
            return false;
        }
        let next = inner
            .soon
            .first()
            .map(|(at, _)| Duration::from_micros(u64::try_from(micros(*at) - micros(now)).unwrap_or(0)));
        let wait = next.map_or(most, |next| next.clamp(Duration::from_millis(1), most));
        let (inner, _) = self.clock.wait_timeout(inner, wait).unwrap_or_else(PoisonError::into_inner);
        inner.open
    }
}
