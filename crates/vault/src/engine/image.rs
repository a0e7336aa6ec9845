//! Taking a snapshot of disk images: those of a machine together, as they are of one instant.
//!
//! The engine cuts a file where its contents suggest it, into pieces of about 1 MiB: 4 KiB written
//! to a disk store one or two of these again. It also reads and hashes every byte of a file that
//! changed, in one thread, holes included. So images are cut here, where disks are: at multiples
//! of one size. Holes are not read, zeros are stored once, and what the caller knows to be
//! unchanged is taken from the snapshot before. In the repository it is a file like any other, and
//! comes out of plain restic as the image it was.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use rustic_core::repofile::{Metadata, Node, NodeType, SnapshotFile, SnapshotSummary};
use rustic_core::{DataId, IndexedFull, IndexedFullStatus, Progress, Repository as Engine};
use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::backup::{about, unreadable};
use super::bridge::Bridge;
use super::pack::{Kind, Name, Packer, Press};
use super::snapshot;
use super::{Done, Failure, Opened};
use crate::fault;
use crate::request::{Changed, Image};

/// Smallest size of a piece, in bytes.
const PIECE_MIN: u64 = 64 << 10;
/// Largest size of a piece, in bytes.
const PIECE_MAX: u64 = 4 << 20;
/// Pieces of an image beyond which larger ones are chosen: the snapshot names each.
const PIECES: u64 = 1 << 19;
/// Bytes that a thread takes at a time.
const TURN: u64 = 4 << 20;
/// Threads that read, hash and compress.
const THREADS: usize = 4;

/// The size of the pieces of an image.
fn piece_size(image: u64) -> u64 {
    let mut size = PIECE_MIN;
    while size < PIECE_MAX && image.div_ceil(size) > PIECES {
        size *= 2;
    }
    size
}

/// The image in an earlier snapshot.
struct Before {
    about: Metadata,
    pieces: Vec<DataId>,
    /// The size of its pieces.
    size: u64,
}

/// What became of one image.
struct Kept {
    node: Node,
    size: u64,
    was_there: bool,
    is_same: bool,
}

pub(super) fn run(
    open: &Opened<IndexedFullStatus>,
    named: &Path,
    images: &[Image],
    form: SnapshotFile,
) -> Done<SnapshotFile> {
    let form = particulars(form, named, images)?;
    let last = snapshot::last(open, &form);
    let packer = Packer::new(&open.engine, Bridge::new(open.store.clone(), open.watch.clone()))?;
    let progress = open.engine.progress_bytes("backing up...");
    let sizes =
        images.iter().map(|image| Ok(about(&File::open(&image.path)?)?.size)).collect::<std::io::Result<Vec<_>>>();
    progress.set_length(sizes.unwrap_or_default().iter().sum());
    let mut kept = Vec::with_capacity(images.len());
    for image in images {
        kept.push(keep(open, &packer, &progress, (named, image), last.as_ref())?);
    }
    let counts = |wanted: fn(&Kept) -> bool| kept.iter().filter(|one| wanted(one)).count() as u64;
    let mut counted = SnapshotSummary::default();
    counted.total_bytes_processed = kept.iter().map(|one| one.size).sum();
    counted.total_files_processed = images.len() as u64;
    counted.files_new = counts(|one| !one.was_there);
    counted.files_changed = counts(|one| one.was_there && !one.is_same);
    counted.files_unmodified = counts(|one| one.is_same);
    let mut nodes: Vec<Node> = kept.into_iter().map(|one| one.node).collect();
    // As the format wants them.
    nodes.sort_by(|a, b| a.name().cmp(&b.name()));
    let tree = snapshot::above(&packer, &mut packer.press()?, named, nodes)?;
    let taken = snapshot::record(open, &packer, form, last.as_ref(), (tree, counted))?;
    progress.finish();
    Ok(taken)
}

/// Keeps one image.
fn keep(
    open: &Opened<IndexedFullStatus>,
    packer: &Packer<'_, IndexedFullStatus>,
    progress: &Progress,
    (named, image): (&Path, &Image),
    last: Option<&SnapshotFile>,
) -> Done<Kept> {
    let file = File::open(&image.path).map_err(|e| unreadable(&image.path, &e))?;
    let about = about(&file).map_err(|e| unreadable(&image.path, &e))?;
    let before = before(open, &named.join(&image.name), image.changed.as_ref(), last);
    let cut = Cut::new(image, &about, before.as_ref());
    let pieces = match &before {
        Some(before) if image.changed.is_none() && is_same(&about, before) => before.pieces.clone(),
        _ => cut.pieces(packer, progress)?,
    };
    let is_same = before.as_ref().is_some_and(|before| before.pieces == pieces);
    let size = about.size;
    let mut node = Node::new_node(std::ffi::OsStr::new(&image.name), NodeType::File, about);
    node.content = Some(pieces);
    Ok(Kept { node, size, was_there: before.is_some(), is_same })
}

/// The snapshot's particulars with its path.
fn particulars(mut form: SnapshotFile, named: &Path, images: &[Image]) -> Done<SnapshotFile> {
    let invalid = |message: &str| fault::error(fault::REQUEST_INVALID, message);
    let path = named.to_str().filter(|_| named.is_absolute());
    let path = path.ok_or_else(|| invalid("images are named by the whole path of their directory, in UTF-8"))?;
    let plain = |name: &str| !name.is_empty() && Path::new(name).file_name() == Some(std::ffi::OsStr::new(name));
    let names: BTreeSet<&str> = images.iter().map(|image| image.name.as_str()).collect();
    if names.is_empty() || names.len() < images.len() || !names.iter().all(|name| plain(name)) {
        return Err(
            invalid("each image has a file name of its own, without a path, and there is one at the least").into()
        );
    }
    form.paths.add(path.to_owned());
    Ok(form)
}

/// The image in the snapshot that the caller names, else in the last one. Where it cannot be used
/// all is read, which costs time and nothing else.
fn before(
    open: &Opened<IndexedFullStatus>,
    at: &Path,
    changed: Option<&Changed>,
    last: Option<&SnapshotFile>,
) -> Option<Before> {
    let tree = match changed {
        Some(changed) => open.snapshot(&changed.since).ok()?.tree,
        None => last?.tree,
    };
    let node = open.engine.node_from_path(tree, at.strip_prefix("/").ok()?).ok()?;
    let pieces = node.content?;
    let size = regular(&open.engine, &pieces, node.meta.size)?;
    Some(Before { about: node.meta, pieces, size })
}

/// The size of pieces that are all of one size but the last, and all there.
fn regular(engine: &Engine<IndexedFullStatus>, pieces: &[DataId], image: u64) -> Option<u64> {
    let length = |id: &DataId| Some(u64::from(engine.get_index_entry(id).ok()?.data_length()));
    let (last, full) = pieces.split_last()?;
    let size = full.first().map_or(Some(piece_size(image)), length)?;
    let whole = full.iter().all(|id| length(id) == Some(size)) && size * full.len() as u64 + length(last)? == image;
    (whole && (PIECE_MIN..=PIECE_MAX).contains(&size) && size.is_power_of_two()).then_some(size)
}

/// Whether the file system says that nothing was written since.
fn is_same(about: &Metadata, before: &Before) -> bool {
    let then = &before.about;
    about.ctime.is_some() && (about.size, about.mtime, about.ctime) == (then.size, then.mtime, then.ctime)
}

/// Parts of an image: from, to.
type Ranges = Vec<(u64, u64)>;

/// The pieces that an image had, and where it changed since.
struct Known<'a> {
    pieces: &'a [DataId],
    changed: Ranges,
}

/// How an image is cut, and what of it needs no reading.
struct Cut<'a> {
    path: &'a Path,
    length: u64,
    /// The size of its pieces.
    size: u64,
    /// The pieces it had, where the caller says what changed since.
    known: Option<Known<'a>>,
    zeros: Vec<u8>,
    zero: Name,
}

impl<'a> Cut<'a> {
    fn new(image: &'a Image, about: &Metadata, before: Option<&'a Before>) -> Self {
        // An image that grew a little keeps its pieces.
        let fits = |before: &&Before| about.size.div_ceil(before.size) <= 2 * PIECES;
        let size = before.filter(fits).map_or_else(|| piece_size(about.size), |before| before.size);
        let known = image.changed.as_ref().zip(before).filter(|(_, before)| before.size == size);
        let known = known.map(|(told, before)| Known { pieces: &before.pieces, changed: ranges(&told.ranges) });
        let zeros = vec![0; usize::try_from(size).unwrap_or_default()];
        let zero = Name::of(&zeros);
        Cut { path: &image.path, length: about.size, size, known, zeros, zero }
    }

    /// The names of all pieces, stored where they were not.
    fn pieces<S: IndexedFull>(&self, packer: &Packer<'_, S>, progress: &Progress) -> Done<Vec<DataId>>
    where
        Engine<S>: Sync,
    {
        let (next, failed) = (AtomicU64::new(0), AtomicBool::new(false));
        let first: Mutex<Option<Failure>> = Mutex::new(None);
        let found: Mutex<Vec<(u64, Vec<DataId>)>> = Mutex::default();
        let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS);
        let work = || -> Done<()> {
            // Each has a file of its own: the system reads ahead of each.
            let file = File::open(self.path).map_err(|e| unreadable(self.path, &e))?;
            let (mut press, mut buffer) = (packer.press()?, self.zeros.clone());
            while !failed.load(Ordering::Relaxed) {
                let from = next.fetch_add(TURN, Ordering::Relaxed);
                let to = self.length.min(from + TURN);
                if from >= to {
                    break;
                }
                let names =
                    (from..to).step_by(buffer.len()).map(|at| self.piece(packer, &mut press, &file, &mut buffer, at));
                let names = names.collect::<Done<Vec<DataId>>>()?;
                found.lock().unwrap_or_else(PoisonError::into_inner).push((from, names));
                progress.inc(to - from);
            }
            Ok(())
        };
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    if let Err(failure) = work() {
                        failed.store(true, Ordering::Relaxed);
                        first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
                    }
                });
            }
        });
        if let Some(failure) = first.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(failure);
        }
        let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        found.sort_unstable_by_key(|(from, _)| *from);
        Ok(found.into_iter().flat_map(|(_, names)| names).collect())
    }

    /// The name of the piece that begins at `at`.
    fn piece<S: IndexedFull>(
        &self,
        packer: &Packer<'_, S>,
        press: &mut Press,
        file: &File,
        buffer: &mut [u8],
        at: u64,
    ) -> Done<DataId> {
        let end = self.length.min(at + self.size);
        if let Some(known) = self.unchanged(at, end) {
            return Ok(known);
        }
        let is_full = end - at == self.size;
        if is_full && is_hole(file, at, end) {
            return Ok(packer.add(press, Kind::Data, self.zero, &self.zeros)?.into());
        }
        let piece = buffer.get_mut(..usize::try_from(end - at).unwrap_or_default()).unwrap_or_default();
        file.read_exact_at(piece, at).map_err(|e| unreadable(self.path, &e))?;
        let name = if is_full && *piece == *self.zeros { self.zero } else { Name::of(piece) };
        Ok(packer.add(press, Kind::Data, name, piece)?.into())
    }

    /// The piece that was there before, where nothing of it changed.
    fn unchanged(&self, at: u64, end: u64) -> Option<DataId> {
        let Known { pieces, changed } = self.known.as_ref()?;
        let after = changed.partition_point(|(_, to)| *to <= at);
        if changed.get(after).is_some_and(|(from, _)| *from < end) {
            return None;
        }
        let number = usize::try_from(at / self.size).ok()?;
        // The last one may have had another length.
        (number + 1 < pieces.len()).then(|| pieces.get(number).copied()).flatten()
    }
}

/// Ranges from offsets and lengths: in order, none that touch.
fn ranges(told: &[(u64, u64)]) -> Ranges {
    let mut told: Vec<_> = told.iter().map(|(from, length)| (*from, from.saturating_add(*length))).collect();
    told.sort_unstable();
    let mut ranges: Ranges = Vec::with_capacity(told.len());
    for (from, to) in told {
        match ranges.last_mut() {
            Some((_, end)) if *end >= from => *end = (*end).max(to),
            _ => ranges.push((from, to)),
        }
    }
    ranges
}

/// Whether the file system has nothing there; where it cannot tell, there is something.
fn is_hole(file: &File, from: u64, to: u64) -> bool {
    match rustix::fs::seek(file, SeekFrom::Data(from)) {
        Ok(data) => data >= to,
        Err(Errno::NXIO) => true,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn larger_images_have_larger_pieces() {
        assert_eq!(piece_size(0), PIECE_MIN);
        assert_eq!(piece_size(PIECE_MIN * PIECES), PIECE_MIN);
        assert_eq!(piece_size(PIECE_MIN * PIECES + 1), PIECE_MIN * 2);
        assert_eq!(piece_size(1 << 60), PIECE_MAX);
    }

    proptest! {
        #[test]
        fn what_changed_is_never_taken_for_unchanged(
            told in proptest::collection::vec((0_u64..40, 0_u64..6), 0..12),
            length in 1_u64..40,
        ) {
            let size = 4;
            let pieces = vec![DataId::default(); usize::try_from(length.div_ceil(size)).unwrap()];
            let zeros = vec![0; 4];
            let cut = Cut {
                path: Path::new("/"), length, size, known: Some(Known { pieces: &pieces, changed: ranges(&told) }), zero: Name::of(&zeros), zeros,
            };
            for at in (0..length).step_by(4) {
                let end = length.min(at + size);
                let touched = told.iter().any(|(from, much)| *from < end && from + much > at);
                let is_last = end == length;
                prop_assert_eq!(cut.unchanged(at, end).is_some(), !touched && !is_last);
            }
        }
    }
}
