//! Files on disk: put there once, whole and under their hash; never changed.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use ring::digest::{Context, SHA256};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use tokio::sync::mpsc::Receiver;
use vault::place::{Folder, Kind, UNFINISHED, sync_folder};

/// What a file costs of a quota at least, in bytes: an empty one takes room too.
const FILE_COST: u64 = 4 << 10;
/// Key files that a host may leave in a repository.
const KEYS_MAX: usize = 16;

/// Why something was not done.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// There is no such file.
    Missing,
    /// It is there already, and is not what was sent.
    Taken,
    /// What arrived is not what its name says.
    Mismatch,
    /// Less or more arrived than was announced.
    Length,
    /// The quota is used up.
    Quota,
    /// The disk is full.
    Full,
    /// The disk fails.
    Broken(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Refusal::Missing,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Refusal::Full,
            _ => Refusal::Broken(error),
        }
    }
}

/// All repositories of a data directory.
#[derive(Debug)]
pub(crate) struct Shelf {
    root: PathBuf,
    used: Mutex<HashMap<String, Arc<AtomicU64>>>,
}

/// Room of a quota, given back unless kept.
struct Room {
    used: Arc<AtomicU64>,
    bytes: u64,
}

impl Room {
    fn keep(mut self) {
        self.bytes = 0;
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

fn cost(size: u64) -> u64 {
    size.max(FILE_COST)
}

impl Shelf {
    pub(crate) fn new(data: &Path) -> io::Result<Self> {
        let root = data.join("repositories");
        fs::create_dir_all(&root)?;
        let shelf = Shelf { root, used: Mutex::default() };
        shelf.sweep()?;
        Ok(shelf)
    }

    pub(crate) fn folder(&self, repository: &str) -> Folder {
        Folder::new(self.root.join(repository))
    }

    /// Removes what a server that died was writing.
    fn sweep(&self) -> io::Result<()> {
        let mut open = vec![self.root.clone()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    open.push(entry.path());
                } else if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                    fs::remove_file(entry.path())?;
                }
            }
        }
        Ok(())
    }

    /// What a repository takes; looked up once, then counted.
    fn used(&self, repository: &str) -> io::Result<Arc<AtomicU64>> {
        let mut all = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(used) = all.get(repository) {
            return Ok(used.clone());
        }
        let folder = self.folder(repository);
        let mut sum = 0;
        for kind in Kind::FOLDERS.into_iter().chain([Kind::Config]) {
            match folder.names(kind) {
                Ok(names) => sum += names.iter().map(|(_, size)| cost(*size)).sum::<u64>(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let used = Arc::new(AtomicU64::new(sum));
        all.insert(repository.to_owned(), used.clone());
        Ok(used)
    }

    /// Takes room of a quota.
    fn room(&self, repository: &str, size: u64, quota: Option<u64>) -> Result<Room, Refusal> {
        let (used, bytes) = (self.used(repository)?, cost(size));
        let fits = |now: u64| now.checked_add(bytes).filter(|sum| quota.is_none_or(|most| *sum <= most));
        used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).map_err(|_| Refusal::Quota)?;
        Ok(Room { used, bytes })
    }

    /// Puts a file there from the pieces of a body. Blocks; runs on a thread of its own.
    pub(crate) fn put(
        &self,
        repository: &str,
        kind: Kind,
        name: &str,
        size: u64,
        quota: Option<u64>,
        pieces: Receiver<Bytes>,
    ) -> Result<(), Refusal> {
        let folder = self.folder(repository);
        if kind == Kind::Keys && folder.names(kind)?.len() >= KEYS_MAX {
            return Err(Refusal::Quota);
        }
        let room = self.room(repository, size, quota)?;
        let path = folder.path(kind, name);
        let parent = path.parent().unwrap_or(&self.root).to_owned();
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let unfinished = parent.join(format!("{UNFINISHED}{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        let done = receive(&unfinished, kind, name, size, pieces).and_then(|()| {
            match renameat_with(CWD, &unfinished, CWD, &path, RenameFlags::NOREPLACE) {
                Ok(()) => Ok(sync_folder(&parent)?),
                Err(error) => Err(Refusal::from(io::Error::from(error))),
            }
        });
        if done.is_ok() {
            room.keep();
            return Ok(());
        }
        let _ = fs::remove_file(&unfinished);
        match done {
            // Somebody was first, or the answer to an earlier try was lost: the same name is the
            // same contents, which were verified; only the config has no hash for a name.
            Err(Refusal::Broken(error)) if error.kind() == io::ErrorKind::AlreadyExists => {
                if kind == Kind::Config {
                    Err(Refusal::Taken)
                } else {
                    Ok(())
                }
            }
            other => other,
        }
    }

    pub(crate) fn remove(&self, repository: &str, kind: Kind, name: &str) -> Result<(), Refusal> {
        let path = self.folder(repository).path(kind, name);
        let size = path.metadata()?.len();
        let used = self.used(repository)?;
        fs::remove_file(&path)?;
        used.fetch_sub(cost(size), Ordering::Relaxed);
        Ok(sync_folder(path.parent().unwrap_or(&self.root))?)
    }
}

/// Writes the pieces to a file that lasts, and makes sure that they are what the name says.
fn receive(path: &Path, kind: Kind, name: &str, size: u64, mut pieces: Receiver<Bytes>) -> Result<(), Refusal> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let mut hash = Context::new(&SHA256);
    let mut arrived = 0;
    while let Some(piece) = pieces.blocking_recv() {
        arrived += piece.len() as u64;
        if arrived > size {
            return Err(Refusal::Length);
        }
        hash.update(&piece);
        file.write_all(&piece)?;
    }
    if arrived != size {
        return Err(Refusal::Length);
    }
    if kind != Kind::Config && base::hex::encode(hash.finish().as_ref()) != name {
        return Err(Refusal::Mismatch);
    }
    Ok(file.sync_all()?)
}

/// A file and its size.
pub(crate) fn open(path: &Path) -> Result<(File, u64), Refusal> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}
