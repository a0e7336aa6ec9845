//! Who is due for a pass, and when. A name is in the queue at most once and with at most one worker.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::wire::IntentId;

/// The queue.
#[derive(Default)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    /// May hold outdated entries; `due` decides.
    heap: BinaryHeap<Reverse<(Instant, IntentId)>>,
    due: HashMap<IntentId, Instant>,
    busy: std::collections::HashSet<IntentId>,
    closed: bool,
}

impl Queue {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes `id` due after `delay`, unless it is due earlier already.
    pub fn push(&self, id: &IntentId, delay: Duration) {
        let at = Instant::now() + delay;
        let mut inner = self.inner();
        if inner.due.get(id).is_some_and(|due| *due <= at) {
            return;
        }
        inner.due.insert(id.clone(), at);
        if !inner.busy.contains(id) {
            inner.heap.push(Reverse((at, id.clone())));
            self.changed.notify_one();
        }
    }

    /// Waits for the next name that is due. `None`: the queue is closed.
    pub fn pop(&self) -> Option<IntentId> {
        let mut inner = self.inner();
        loop {
            if inner.closed {
                return None;
            }
            let now = Instant::now();
            let wait = match inner.heap.peek() {
                Some(Reverse((at, _))) if *at <= now => {
                    let Some(Reverse((at, id))) = inner.heap.pop() else { continue };
                    if inner.due.get(&id) != Some(&at) || inner.busy.contains(&id) {
                        continue;
                    }
                    inner.due.remove(&id);
                    inner.busy.insert(id.clone());
                    return Some(id);
                }
                Some(Reverse((at, _))) => *at - now,
                None => Duration::from_secs(3_600),
            };
            inner = self.changed.wait_timeout(inner, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The worker is through with `id`; it may be handed out again.
    pub fn done(&self, id: &IntentId) {
        let mut inner = self.inner();
        inner.busy.remove(id);
        if let Some(at) = inner.due.get(id).copied() {
            inner.heap.push(Reverse((at, id.clone())));
            self.changed.notify_one();
        }
    }

    /// Lets every worker go.
    pub fn close(&self) {
        self.inner().closed = true;
        self.changed.notify_all();
    }
}
