//! A place as the engine wants to see it.
//!
//! The engine carries on over faults that matter to us: it leaves out what it cannot store, and skips snapshots that it cannot parse. So the bridge keeps watch: it remembers
//! the first thing that went wrong, and lets nothing be recorded as good after it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use base::{Error, Result};
use bytes::Bytes;
use ring::digest;
use rustic_core::{BytesList, ErrorKind, FileType, Id, ReadBackend, RusticError, RusticResult, WriteBackend};

use crate::fault;
use crate::place::{Kind, Store};

/// How long is waited before each new try of something that may pass.
const PAUSES: [Duration; 3] = [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(3)];

/// What went wrong so far.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// The first fault of the place.
    place: Mutex<Option<Error>>,
    /// Why no snapshot may be written any more.
    refusal: Mutex<Option<Error>>,
    /// The packs that the engine may see, with their sizes; all where none are said.
    shown: OnceLock<HashSet<(Id, u32)>>,
}

impl Watch {
    fn keep(slot: &Mutex<Option<Error>>, error: &Error) {
        slot.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.clone());
    }

    fn kept(slot: &Mutex<Option<Error>>) -> Option<Error> {
        slot.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on the engine finds only these packs, with their sizes.
    pub(super) fn show_only(&self, packs: HashSet<(Id, u32)>) {
        let _ = self.shown.set(packs);
    }

    /// From now on no snapshot is written.
    pub(super) fn refuse(&self, error: &Error) {
        Self::keep(&self.refusal, error);
    }

    /// Why none may be.
    pub(super) fn refusal(&self) -> Option<Error> {
        Self::kept(&self.refusal)
    }

    /// The first fault of the place.
    pub(super) fn fault(&self) -> Option<Error> {
        Self::kept(&self.place)
    }
}

/// The place, tried again where that may help, and watched.
pub(super) struct Bridge {
    store: Arc<dyn Store>,
    watch: Arc<Watch>,
}

impl Bridge {
    pub(super) fn new(store: Arc<dyn Store>, watch: Arc<Watch>) -> Self {
        Bridge { store, watch }
    }

    /// Writes a file. Where that fails, nothing may be recorded that counts on it.
    pub(super) fn keep(&self, kind: Kind, name: &str, parts: &[Bytes]) -> Result<()> {
        // The engine would go on without what was in this.
        self.attempt(|| self.store.write(kind, name, parts)).inspect_err(|error| self.watch.refuse(error))
    }

    /// Does it, again where it may pass, and keeps the error that stays.
    fn attempt<T>(&self, work: impl Fn() -> Result<T>) -> Result<T> {
        let mut pauses = PAUSES.iter();
        loop {
            let error = match work() {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let passing = [fault::REPOSITORY_UNREACHABLE, fault::REPOSITORY_SLOW].contains(&error.code());
            match pauses.next() {
                Some(pause) if passing => sleep(*pause),
                _ => {
                    Watch::keep(&self.watch.place, &error);
                    return Err(error);
                }
            }
        }
    }
}

/// Our error as the engine carries it.
pub(super) fn wrapped(error: Error) -> Box<RusticError> {
    RusticError::new(ErrorKind::Backend, error.message()).attach_error_code(error.code())
}

fn kind(of: FileType) -> Kind {
    match of {
        FileType::Config => Kind::Config,
        FileType::Index => Kind::Index,
        FileType::Key => Kind::Keys,
        FileType::Snapshot => Kind::Snapshots,
        FileType::Pack => Kind::Data,
    }
}

fn name(of: FileType, id: &Id) -> String {
    if of == FileType::Config { "config".to_owned() } else { id.to_hex().as_str().to_owned() }
}

/// Files are called after the hash of what is in them.
pub(crate) fn matches_name(data: &[u8], name: &str) -> bool {
    base::hex::encode(digest::digest(&digest::SHA256, data).as_ref()) == name
}

impl ReadBackend for Bridge {
    fn location(&self) -> String {
        self.store.describe()
    }

    fn list_with_size(&self, of: FileType) -> RusticResult<Vec<(Id, u32)>> {
        let found = self.attempt(|| self.store.list(kind(of))).map_err(wrapped)?;
        if of == FileType::Config {
            return Ok(found.iter().map(|(_, size)| (Id::default(), size_of(*size))).collect());
        }
        let shown = self.watch.shown.get().filter(|_| of == FileType::Pack);
        let files = found.iter().filter_map(|(name, size)| Some((name.parse().ok()?, size_of(*size))));
        Ok(files.filter(|file| shown.is_none_or(|shown| shown.contains(file))).collect())
    }

    fn read_full(&self, of: FileType, id: &Id) -> RusticResult<Bytes> {
        let name = name(of, id);
        self.attempt(|| {
            let data = self.store.read(kind(of), &name, None)?;
            if of == FileType::Config || matches_name(&data, &name) {
                return Ok(data);
            }
            Err(fault::error(
                fault::REPOSITORY_DAMAGED,
                format!("{}/{name} is not what was written; use another copy", kind(of).name()),
            ))
        })
        .map_err(wrapped)
    }

    fn read_partial(&self, of: FileType, id: &Id, _: bool, offset: u32, length: u32) -> RusticResult<Bytes> {
        let start = u64::from(offset);
        let range = start..start + u64::from(length);
        self.attempt(|| self.store.read(kind(of), &name(of, id), Some(range.clone()))).map_err(wrapped)
    }

    fn warmup_path(&self, of: FileType, id: &Id) -> String {
        format!("{}/{}", kind(of).name(), name(of, id))
    }
}

fn size_of(size: u64) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

impl WriteBackend for Bridge {
    fn create(&self) -> RusticResult<()> {
        self.attempt(|| self.store.create()).map_err(wrapped)
    }

    fn write_bytes(&self, of: FileType, id: &Id, _: bool, content: BytesList) -> RusticResult<()> {
        if of == FileType::Snapshot
            && let Some(refusal) = self.watch.refusal()
        {
            return Err(wrapped(refusal));
        }
        self.keep(kind(of), &name(of, id), content.slice()).map_err(wrapped)
    }

    fn remove(&self, of: FileType, id: &Id, _: bool) -> RusticResult<()> {
        self.attempt(|| self.store.remove(kind(of), &name(of, id))).map_err(wrapped)
    }
}
