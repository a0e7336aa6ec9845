//! The threads of a backup of files: they read, cut, hash, compress and encrypt what they are given.
//!
//! A file is read and cut by one thread. Where it is a large one and others have nothing to do,
//! they compress, encrypt and store its pieces. Nobody waits for that: a file's entry names its
//! pieces by their hashes, and only the snapshot, which is written last, counts on them being there.

use std::io::{self, Read};
use std::sync::{Mutex, PoisonError};
use std::thread;

use rustic_core::{DataId, IndexedFullStatus, Progress};

use super::bridge::Bridge;
use super::cut::{Cutter, Room};
use super::pack::{Kind, Name, Packer, Press};
use super::queue::Queue;
use super::{Done, Failure, Opened};

/// Threads that read and compress.
const THREADS: usize = 4;
/// Work that waits for a thread.
const WAITING: usize = 256;
/// Smallest piece that is worth handing over, in bytes.
const HANDED: usize = 256 << 10;

/// Something to do; `J` is what this backup has beside pieces.
enum Work<J> {
    Job(J),
    /// A piece that is not in the repository yet.
    Piece(Name, Vec<u8>),
}

/// What one thread has to itself.
pub(super) struct Hands {
    pub(super) press: Press,
    room: Room,
}

/// What the threads of a backup share.
pub(super) struct Crew<'a, J> {
    pub(super) packer: Packer<'a, IndexedFullStatus>,
    pub(super) progress: Progress,
    cutter: Cutter,
    queue: Queue<Work<J>>,
    threads: usize,
    failure: Mutex<Option<Failure>>,
}

/// The pieces of a file, and how many bytes these have.
pub(super) type Contents = (Vec<DataId>, u64);

impl<'a, J: Send> Crew<'a, J> {
    pub(super) fn new(open: &'a Opened<IndexedFullStatus>) -> Done<Self> {
        let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS);
        Ok(Crew {
            packer: Packer::new(&open.engine, Bridge::new(open.store.clone(), open.watch.clone()))?,
            progress: open.engine.progress_bytes("backing up..."),
            cutter: Cutter::new(open.engine.config())?,
            queue: Queue::new(threads, WAITING),
            threads,
            failure: Mutex::default(),
        })
    }

    /// Runs `lead` on this thread, and what it gives to the crew on others; done when all is. The
    /// first failure ends it.
    pub(super) fn run(
        &self,
        lead: impl FnOnce(&mut Hands) -> Done<()>,
        job: impl Fn(&mut Hands, J) -> Done<()> + Sync,
    ) -> Done<()> {
        thread::scope(|scope| {
            let _stop = StopOnPanic(&self.queue);
            for _ in 0..self.threads {
                scope.spawn(|| self.guard(|hands| self.work(hands, &job)));
            }
            self.guard(lead);
            self.queue.close();
        });
        match self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    fn guard(&self, work: impl FnOnce(&mut Hands) -> Done<()>) {
        let _stop = StopOnPanic(&self.queue);
        let hands = self.packer.press().map(|press| Hands { press, room: self.cutter.room() });
        if let Err(failure) = hands.and_then(|mut hands| work(&mut hands)) {
            self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
            self.queue.stop();
        }
    }

    fn work(&self, hands: &mut Hands, job: &impl Fn(&mut Hands, J) -> Done<()>) -> Done<()> {
        while let Some(work) = self.queue.take() {
            match work {
                Work::Job(one) => job(hands, one)?,
                Work::Piece(name, data) => self.packer.store(&mut hands.press, Kind::Data, name, &data)?,
            }
        }
        Ok(())
    }

    /// Gives the crew something to do; for the thread that leads.
    pub(super) fn give(&self, job: J) {
        self.queue.put(Work::Job(job));
    }

    /// Whether somebody failed, so that nothing more is worth doing.
    pub(super) fn has_failed(&self) -> bool {
        self.queue.is_stopped()
    }

    /// Stores what a reader gives; an error of the reader is for the caller to judge.
    pub(super) fn store(&self, hands: &mut Hands, input: impl Read) -> Done<io::Result<Contents>> {
        let (mut names, mut bytes) = (Vec::new(), 0);
        let mut pieces = self.cutter.pieces(&mut hands.room, input);
        loop {
            let piece = match pieces.next() {
                Ok(Some(piece)) if !self.has_failed() => piece,
                Ok(_) => return Ok(Ok((names, bytes))),
                Err(error) => return Ok(Err(error)),
            };
            let name = Name::of(piece);
            let id = name.id()?;
            if self.packer.lacks(Kind::Data, name, id) {
                if piece.len() >= HANDED && self.queue.wants() {
                    self.queue.give(Work::Piece(name, piece.to_vec()));
                } else {
                    self.packer.store(&mut hands.press, Kind::Data, name, piece)?;
                }
            }
            names.push(id.into());
            bytes += piece.len() as u64;
            self.progress.inc(piece.len() as u64);
        }
    }
}

/// The others would wait for ever for one that is gone.
struct StopOnPanic<'a, T>(&'a Queue<T>);

impl<T> Drop for StopOnPanic<'_, T> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop();
        }
    }
}
