//! Bringing data back: beside its target, hashed, then renamed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use base::Error;
use ring::digest::{Context, SHA256};
use rustic_core::repofile::{Node, NodeType};
use rustic_core::{IndexedFullStatus, LocalDestination, LsOptions, Repository as Engine, RestoreOptions};

use super::{Done, Failure, Notes, Opened, hex, no_path, ours};
use crate::fault;
use crate::request::{Answer, Restore, Restored};

/// How much is read at a time when contents are hashed.
const PIECE: usize = 1 << 20;

/// The directory in which a restore works until it is whole; whoever finds one may remove it.
pub(crate) fn unfinished(to: &Path) -> PathBuf {
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    to.with_file_name(format!(".{name}.unfinished"))
}

pub(super) fn run(open: Opened, restore: &Restore, notes: &Arc<Notes>) -> Done<Answer> {
    let work = free(&restore.to)?;
    let (repository, report) = (open.repository.clone(), open.report.clone());
    let restored = clean(&work).and_then(|()| whole(open.for_reading()?, restore, &work, notes));
    let restored = restored.or_else(|failure| match &failure {
        Failure::Ours(error) if error.code() == fault::REPOSITORY_INCOMPLETE => {
            // The index may be wrong about what is there; the packs know.
            clean(&work)?;
            let again = Opened::new(&repository, &report)?.for_salvage().and_then(|o| whole(o, restore, &work, notes));
            again.map_err(|_| failure)
        }
        _ => Err(failure),
    });
    if restored.is_err() {
        // Left behind it would look like data; the error that matters is the first one.
        let _ = fs::remove_dir_all(&work);
    }
    restored
}

/// The name to work under, beside the target, which must be free.
fn free(to: &Path) -> Done<PathBuf> {
    if !to.is_absolute() || to.file_name().is_none() {
        return Err(fault::error(fault::REQUEST_INVALID, "say with a whole path where the data goes").into());
    }
    let taken = match fs::read_dir(to) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    };
    if taken {
        let message = format!("there is something at {} already; restore to a new place", to.display());
        return Err(fault::error(fault::TARGET_TAKEN, message).into());
    }
    Ok(unfinished(to))
}

/// Makes an empty directory.
fn clean(work: &Path) -> Done<()> {
    let made = match fs::remove_dir_all(work) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => fs::create_dir_all(work),
    };
    Ok(made.map_err(|e| fault::of_target(&e, &format!("making {}", work.display())))?)
}

fn whole(open: Opened<IndexedFullStatus>, restore: &Restore, work: &Path, notes: &Arc<Notes>) -> Done<Answer> {
    let begun = Instant::now();
    let Opened { engine, watch, .. } = &open;
    let snapshot = open.snapshot(&restore.snapshot)?;
    let node =
        engine.node_from_snapshot_and_path(&snapshot, &restore.path).map_err(|e| no_path(watch, &e, &restore.path))?;
    // A file comes to lie in the directory under its own name.
    let place = if node.is_dir() { work.to_owned() } else { work.join(&*node.name()) };
    let known = |failure| Failure::Ours(ours(watch, failure));
    let expected = contents(engine, &node).map_err(known)?;
    room(&expected, work, restore.sparse)?;
    let transferred = catch_unwind(AssertUnwindSafe(|| transfer(engine, &node, &place, restore)));
    transferred
        .unwrap_or_else(|_| {
            let message = "a piece does not decrypt or decompress; check the repository and use another copy";
            Err(watch.fault().unwrap_or_else(|| fault::error(fault::REPOSITORY_DAMAGED, message)).into())
        })
        .map_err(known)?;
    let seconds = begun.elapsed().as_secs_f64();
    let hashed = Instant::now();
    let digest = verify(&expected, work)?;
    let land = |e: &std::io::Error| fault::of_target(e, &format!("renaming to {}", restore.to.display()));
    fs::rename(work, &restore.to).map_err(|e| land(&e))?;
    if let Some(parent) = restore.to.parent() {
        File::open(parent).and_then(|folder| folder.sync_all()).map_err(|e| land(&e))?;
    }
    Ok(Answer::Restored(Restored {
        files: expected.len() as u64,
        bytes: expected.iter().map(Expected::bytes).sum(),
        digest,
        seconds,
        verify_seconds: hashed.elapsed().as_secs_f64(),
        warnings: notes.all(),
    }))
}

fn transfer(engine: &Engine<IndexedFullStatus>, node: &Node, place: &Path, restore: &Restore) -> Done<()> {
    let text = place.to_str().ok_or_else(|| fault::error(fault::REQUEST_INVALID, "the target's name is not UTF-8"))?;
    let target = LocalDestination::new(text, true, !node.is_dir())?;
    let mut options = RestoreOptions::default();
    options.no_ownership = !restore.owners;
    options.numeric_id = restore.owners;
    if restore.sparse {
        // The engine does not export the type, but reads it.
        options.sparse = serde_json::from_str("\"ByContent\"").ok();
    }
    let entries = engine.ls(node, &LsOptions::default())?;
    let plan = engine.prepare_restore(&options, entries.clone(), &target, false)?;
    engine.restore(plan, &options, entries, &target)?;
    Ok(())
}

/// A file as the snapshot describes it: its path, and the hash and length of each of its pieces.
struct Expected {
    path: PathBuf,
    pieces: Vec<(String, u64)>,
}

impl Expected {
    fn bytes(&self) -> u64 {
        self.pieces.iter().map(|(_, length)| length).sum()
    }
}

/// Every file below a node; an error when the index misses one of its pieces, or when a name
/// would lead out of the target: who wrote the repository need not be a friend of who restores.
fn contents(engine: &Engine<IndexedFullStatus>, node: &Node) -> Done<Vec<Expected>> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for item in engine.ls(node, &LsOptions::default())? {
        let (path, node) = item?;
        let inside = node.name().as_bytes().iter().all(|b| *b != b'/' && *b != 0)
            && path.components().all(|part| matches!(part, Component::Normal(_)));
        if !inside || !seen.insert(path.clone()) {
            let message = format!("the snapshot holds {path:?} twice or outside of itself; use another copy");
            return Err(fault::error(fault::REPOSITORY_DAMAGED, message).into());
        }
        if node.node_type != NodeType::File {
            continue;
        }
        let mut pieces = Vec::new();
        for id in node.content.iter().flatten() {
            pieces.push((hex(id), u64::from(engine.get_index_entry(id)?.data_length())));
        }
        found.push(Expected { path, pieces });
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Says before hours of work that there is no room for the result.
fn room(expected: &[Expected], work: &Path, sparse: bool) -> Done<()> {
    let wanted: u64 = expected.iter().map(Expected::bytes).sum();
    let there = rustix::fs::statvfs(work).map_err(|e| fault::of_target(&e.into(), "looking at the disk"))?;
    let free = there.f_bavail.saturating_mul(there.f_frsize);
    if !sparse && wanted > free {
        let message = format!("the restore takes {wanted} bytes and the disk has {free} free; restore to a larger one");
        return Err(fault::error(fault::TARGET_FULL, message).into());
    }
    Ok(())
}

/// Hashes what lies there against the snapshot; the digest of it all.
fn verify(expected: &[Expected], place: &Path) -> Done<String> {
    let next = AtomicUsize::new(0);
    let failed: Mutex<Option<Error>> = Mutex::new(None);
    let threads = thread::available_parallelism().map_or(1, usize::from).min(8);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(file) = expected.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = compare(file, &place.join(&file.path)) {
                        failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                        return;
                    }
                }
            });
        }
    });
    if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(Failure::Ours(error));
    }
    let mut all = Context::new(&SHA256);
    for file in expected {
        let path = file.path.as_os_str().as_bytes();
        all.update(&(path.len() as u64).to_be_bytes());
        all.update(path);
        all.update(&(file.pieces.len() as u64).to_be_bytes());
        for (hash, _) in &file.pieces {
            all.update(hash.as_bytes());
        }
    }
    Ok(base::hex::encode(all.finish().as_ref()))
}

/// Whether a file holds exactly these pieces.
fn compare(expected: &Expected, path: &Path) -> base::Result<()> {
    let read = |e: &std::io::Error| fault::of_target(e, &format!("reading back {}", path.display()));
    let differs = || {
        let message = format!("{} is not what was backed up; check the repository, use another copy", path.display());
        fault::error(fault::REPOSITORY_DAMAGED, message)
    };
    let mut file = File::open(path).map_err(|e| read(&e))?;
    if file.metadata().map_err(|e| read(&e))?.len() != expected.bytes() {
        return Err(differs());
    }
    let mut buffer = vec![0; PIECE];
    for (hash, length) in &expected.pieces {
        let mut context = Context::new(&SHA256);
        let mut left = *length;
        while left > 0 {
            let piece = buffer.get_mut(..usize::try_from(left).unwrap_or(PIECE).min(PIECE)).unwrap_or_default();
            file.read_exact(piece).map_err(|e| read(&e))?;
            context.update(piece);
            left -= piece.len() as u64;
        }
        if base::hex::encode(context.finish().as_ref()) != *hash {
            return Err(differs());
        }
    }
    Ok(())
}
