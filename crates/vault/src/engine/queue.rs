//! Work that threads share: one brings it, others take it, and those may bring some in turn.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Work that waits; bounded.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    /// Those that take from it.
    workers: usize,
    most: usize,
}

struct State<T> {
    waiting: VecDeque<T>,
    /// Workers that wait for something to do.
    idle: usize,
    closed: bool,
    stopped: bool,
}

impl<T> Queue<T> {
    pub(super) fn new(workers: usize, most: usize) -> Self {
        let state = State { waiting: VecDeque::new(), idle: 0, closed: false, stopped: false };
        Queue { state: Mutex::new(state), changed: Condvar::new(), workers, most }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State<T>>) -> MutexGuard<'a, State<T>> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings some, when there is room. Not for workers: were all of them to wait for room, none
    /// would make any.
    pub(super) fn put(&self, work: T) {
        let mut state = self.state();
        while state.waiting.len() >= self.most && !state.stopped {
            state = self.wait(state);
        }
        if !state.stopped {
            state.waiting.push_back(work);
            self.changed.notify_all();
        }
    }

    /// Whether somebody is free to do some at once.
    pub(super) fn wants(&self) -> bool {
        let state = self.state();
        state.idle > state.waiting.len() && !state.stopped
    }

    /// Brings some without waiting: for workers, when it is wanted.
    pub(super) fn give(&self, work: T) {
        self.state().waiting.push_back(work);
        self.changed.notify_all();
    }

    /// Some to do, for a worker; none: there will be no more.
    pub(super) fn take(&self) -> Option<T> {
        let mut state = self.state();
        state.idle += 1;
        loop {
            if state.stopped {
                return None;
            }
            if let Some(work) = state.waiting.pop_front() {
                state.idle -= 1;
                self.changed.notify_all();
                return Some(work);
            }
            // As long as one works, it may bring more.
            if state.closed && state.idle == self.workers {
                self.changed.notify_all();
                return None;
            }
            state = self.wait(state);
        }
    }

    /// No more is brought but by workers.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    /// Nothing more is done.
    pub(super) fn stop(&self) {
        let mut state = self.state();
        state.stopped = true;
        state.waiting.clear();
        self.changed.notify_all();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.state().stopped
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn all_is_done_also_what_workers_bring() {
        let queue = Queue::new(3, 4);
        let done = AtomicU64::new(0);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while let Some(work) = queue.take() {
                        // Whoever has much to do gives half of it away, where somebody takes it.
                        let mut work: u64 = work;
                        while work > 1 && queue.wants() {
                            queue.give(1);
                            work -= 1;
                        }
                        done.fetch_add(work, Ordering::Relaxed);
                    }
                });
            }
            (0..1_000).for_each(|_| queue.put(5));
            queue.close();
        });
        assert_eq!(done.into_inner(), 5_000);
    }

    #[test]
    fn one_that_is_stopped_holds_nobody() {
        let queue = Queue::new(2, 1);
        thread::scope(|scope| {
            scope.spawn(|| while queue.take().is_some() {});
            scope.spawn(|| {
                queue.take();
                queue.stop();
            });
            (0..100).for_each(|number| queue.put(number));
        });
        assert!(queue.is_stopped());
    }
}
