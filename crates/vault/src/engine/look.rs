//! Looking into a snapshot, and bringing single files out of it.
//!
//! A path goes through the snapshot's own tree and on into the images of disks: to a partition
//! (`p1`), and to what lies in its file system. What is read was hashed ([`super::content`]).
//! Whoever wrote an image need not be a friend of who looks into it: this process has limits, and
//! all that an image can do is to end it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::rc::Rc;

use base::{Error, limits};
use ring::digest::{Context, SHA256};
use rustic_core::{IndexedFullStatus, Progress};

use super::content::{Content, Image};
use super::ext4::Files;
use super::stored::{Found, Stored};
use super::tree::{About, Tree};
use super::{Done, Failure, Opened, disk, ours};
use crate::fault;
use crate::request::{Answer, Item, ItemKind};

/// What the label of snapshots of disks is.
const DISKS: &str = "disks";
/// Files and directories of one archive.
const ARCHIVED_MAX: usize = 200_000;
/// How deep directories of an archive may lie.
const DEPTH_MAX: usize = 128;
/// How much is moved at a time.
const PIECE: usize = 1 << 20;

/// Where a path leads.
enum Place {
    /// Into a tree of files.
    Tree(Box<dyn Tree>, Vec<Vec<u8>>),
    /// To a disk that has partitions.
    Disk(Rc<dyn Image>, Vec<disk::Volume>),
}

fn malformed() -> Error {
    fault::error(fault::REQUEST_INVALID, "that is no path inside a snapshot")
}

fn parts(path: &str) -> Done<Vec<Vec<u8>>> {
    let fits = path.len() <= limits::INSIDE_PATH_BYTES_MAX;
    let parts = base::names::path(path).filter(|parts| fits && parts.len() <= limits::INSIDE_DEPTH_MAX);
    Ok(parts.ok_or_else(malformed)?)
}

/// Does it as the index tells what is there; where that misses something, as the packs tell it.
fn with<T>(open: Opened, work: impl Fn(Rc<Opened<IndexedFullStatus>>) -> Done<T>) -> Done<T> {
    let (repository, report) = (open.repository.clone(), open.report.clone());
    let known = |open: Opened<IndexedFullStatus>| {
        let watch = open.watch.clone();
        work(Rc::new(open)).map_err(|failure| Failure::Ours(ours(&watch, failure)))
    };
    match known(open.for_reading()?) {
        Err(Failure::Ours(error)) if error.code() == fault::REPOSITORY_INCOMPLETE => {
            let again = Opened::new(&repository, &report)?.for_salvage().and_then(known);
            again.map_err(|_| error.into())
        }
        done => done,
    }
}

fn stored(open: &Rc<Opened<IndexedFullStatus>>, snapshot: &str) -> Done<Stored> {
    let from = open.snapshot(snapshot)?;
    Ok(Stored::new(open, from.tree, from.label == DISKS))
}

/// Where a path leads; a file that is no disk is not looked into.
fn place(open: &Rc<Opened<IndexedFullStatus>>, tree: Stored, path: Vec<Vec<u8>>) -> Done<Place> {
    match tree.find(&path)? {
        Found::Folder(_) => Ok(Place::Tree(Box::new(tree), path)),
        Found::File(node, rest) => inside(Rc::new(Content::new(open, &node)?), rest),
    }
}

/// Where the rest of a path leads inside of a disk.
fn inside(image: Rc<dyn Image>, rest: Vec<Vec<u8>>) -> Done<Place> {
    let volumes = disk::volumes(&*image)?;
    if volumes.is_empty() {
        let length = image.length();
        return Ok(Place::Tree(Box::new(files(&image, 0, length)?), rest));
    }
    let Some((name, rest)) = rest.split_first() else { return Ok(Place::Disk(image, volumes)) };
    let found = volumes.iter().find(|volume| volume_name(volume).as_bytes() == name);
    let none = || fault::error(fault::SNAPSHOT_PATH, "the disk has no such partition; look from the top");
    let volume = found.ok_or_else(none)?;
    Ok(Place::Tree(Box::new(files(&image, volume.from, volume.length)?), rest.to_vec()))
}

fn volume_name(volume: &disk::Volume) -> String {
    format!("p{}", volume.number)
}

fn files(image: &Rc<dyn Image>, from: u64, length: u64) -> Done<Files> {
    let what = match disk::filesystem(&**image, from, length)? {
        known if disk::opens(known) => return Files::new(image, from, length),
        "" => "nothing that this version knows".to_owned(),
        other => format!("{other}, which cannot be looked into"),
    };
    let message = format!("there is {what}; restore the machine beside the service to look into it");
    Err(fault::error(fault::FILESYSTEM_UNKNOWN, message).into())
}

/// What is in a directory, a page of it.
pub(super) fn look(open: Opened, snapshot: &str, path: &str, (after, limit): (&str, usize)) -> Done<Answer> {
    let path = parts(path)?;
    let after = if after.is_empty() { Vec::new() } else { base::names::name(after).ok_or_else(malformed)? };
    let limit = limit.clamp(1, limits::LISTING_ENTRIES_MAX);
    with(open, |open| {
        let tree = stored(&open, snapshot)?;
        match place(&open, tree, path.clone())? {
            Place::Disk(image, volumes) => Ok(Answer::Seen { items: partitions(&image, &volumes)?, next: None }),
            Place::Tree(tree, path) => page(&*tree, &path, &after, limit),
        }
    })
}

fn page(tree: &dyn Tree, path: &[Vec<u8>], after: &[u8], limit: usize) -> Done<Answer> {
    let names = tree.names(path)?;
    let from = if after.is_empty() { 0 } else { names.partition_point(|name| name.as_slice() <= after) };
    let rest = names.get(from..).unwrap_or_default();
    let (mut items, mut size): (Vec<Item>, usize) = (Vec::new(), 0);
    for name in rest.iter().take(limit) {
        let mut item = tree.about(path, name)?.item(name);
        // The first of a page is always told, so that there is a next one: by itself it has to fit.
        if told(&item) > limits::LISTING_BYTES_MAX {
            item.target = None;
        }
        size += told(&item);
        if size > limits::LISTING_BYTES_MAX && !items.is_empty() {
            break;
        }
        items.push(item);
    }
    let next = items.last().filter(|_| items.len() < rest.len()).map(|last| last.name.clone());
    Ok(Answer::Seen { items, next })
}

/// What an item takes in a listing, in bytes.
fn told(item: &Item) -> usize {
    serde_json::to_vec(item).map_or(0, |text| text.len())
}

fn partitions(image: &Rc<dyn Image>, volumes: &[disk::Volume]) -> Done<Vec<Item>> {
    let one = |volume: &disk::Volume| -> Done<Item> {
        let filesystem = disk::filesystem(&**image, volume.from, volume.length)?;
        let opens = disk::opens(filesystem);
        let label = match opens.then(|| Files::new(image, volume.from, volume.length)) {
            Some(Ok(files)) => Some(files.label()).filter(|label| !label.is_empty()),
            Some(Err(Failure::Ours(error))) if super::is_damage(&error) => return Err(error.into()),
            _ => None,
        };
        let named = Some(volume.label.clone()).filter(|label| !label.is_empty());
        let name = volume_name(volume);
        Ok(Item {
            kind: ItemKind::Volume,
            size: volume.length,
            filesystem: Some(filesystem.to_owned()),
            label: label.or(named),
            opens,
            ..About::unknown().item(name.as_bytes())
        })
    };
    volumes.iter().map(one).collect()
}

/// Brings a file out, or a directory as an archive.
pub(super) fn fetch(open: Opened, snapshot: &str, path: &str, (to, most): (&Path, u64)) -> Done<Answer> {
    let path = parts(path)?;
    let fetched = with(open, |open| {
        let tree = stored(&open, snapshot)?;
        let progress = open.engine.progress_bytes("fetching...");
        let _ = std::fs::remove_file(to);
        let mut target = Target::new(to, most, progress)?;
        let (tree, path): (Box<dyn Tree>, _) = match tree.find(&path)? {
            Found::Folder(_) => (Box::new(tree), path.clone()),
            Found::File(_, rest) if rest.is_empty() => (Box::new(tree), path.clone()),
            Found::File(node, rest) => match inside(Rc::new(Content::new(&open, &node)?), rest)? {
                Place::Tree(tree, path) => (tree, path),
                Place::Disk(..) => return Err(malformed().into()),
            },
        };
        let archive = write(&*tree, &path, &mut target)?;
        target.finish(archive)
    });
    if fetched.is_err() {
        let _ = std::fs::remove_file(to);
    }
    fetched
}

/// Writes what lies at a path: says whether that is a directory.
fn write(tree: &dyn Tree, path: &[Vec<u8>], target: &mut Target) -> Done<bool> {
    let about = match path.split_last() {
        Some((name, dir)) => Some(tree.about(dir, name)?),
        None => None,
    };
    match about.map(|about| (about.kind, about)) {
        Some((ItemKind::File | ItemKind::Disk, _)) => {
            let (file, length) = tree.file(path)?;
            target.expect(length)?;
            target.copy(&mut Exact { file, left: length })?;
            Ok(false)
        }
        None | Some((ItemKind::Dir, _)) => archive(tree, path, target).map(|()| true),
        Some((ItemKind::Symlink, about)) => {
            let to = about.target.map(|to| String::from_utf8_lossy(&to).into_owned()).unwrap_or_default();
            let message =
                format!("that is a symbolic link to {}; fetch what it leads to", base::names::text(to.as_bytes()));
            Err(fault::error(fault::SNAPSHOT_KIND, message).into())
        }
        Some(_) => Err(fault::error(fault::SNAPSHOT_KIND, "that is neither a file nor a directory").into()),
    }
}

/// Writes a directory with all that is below it.
fn archive(tree: &dyn Tree, top: &[Vec<u8>], target: &mut Target) -> Done<()> {
    let mut count = 0;
    let mut made = tar::Builder::new(target);
    made.follow_symlinks(false);
    let mut open = vec![Vec::new()];
    while let Some(below) = open.pop() {
        let dir: Vec<Vec<u8>> = [top, below.as_slice()].concat();
        let names = tree.names(&dir)?;
        count += names.len();
        if count > ARCHIVED_MAX || below.len() > DEPTH_MAX {
            let message = format!("more than {ARCHIVED_MAX} files, or too deep: fetch a directory further down");
            return Err(fault::error(fault::FETCH_TOO_LARGE, message).into());
        }
        let known = names.into_iter().map(|name| Ok((tree.about(&dir, &name)?, name))).collect::<Done<Vec<_>>>()?;
        for (about, name) in known {
            let inner: Vec<Vec<u8>> = [below.as_slice(), &[name]].concat();
            add(&mut made, tree, (top, &inner), &about)?;
            if about.kind == ItemKind::Dir {
                open.push(inner);
            }
        }
    }
    made.finish().map_err(|e| unwritable(&e))?;
    Ok(())
}

/// Adds one thing to an archive; what is neither file, directory nor link that leads somewhere is left out.
fn add(
    made: &mut tar::Builder<&mut Target>,
    tree: &dyn Tree,
    (top, below): (&[Vec<u8>], &[Vec<u8>]),
    about: &About,
) -> Done<()> {
    use std::os::unix::ffi::OsStrExt;
    let path = below.join(&b'/');
    let path = Path::new(std::ffi::OsStr::from_bytes(&path));
    let mut head = tar::Header::new_gnu();
    // Whoever unpacks it gets no program that runs as somebody else.
    head.set_mode(about.mode.unwrap_or(0o600) & 0o777);
    head.set_mtime(about.modified.and_then(|(seconds, _)| u64::try_from(seconds).ok()).unwrap_or_default());
    head.set_size(0);
    let failed = |e: io::Error| unwritable(&e);
    match about.kind {
        ItemKind::File | ItemKind::Disk => {
            let (file, length) = tree.file(&[top, below].concat())?;
            made.get_mut().expect(length)?;
            head.set_size(length);
            made.append_data(&mut head, path, Exact { file, left: length }).map_err(failed)?;
        }
        ItemKind::Dir => {
            head.set_entry_type(tar::EntryType::Directory);
            made.append_data(&mut head, path, io::empty()).map_err(failed)?;
        }
        ItemKind::Symlink => {
            let Some(to) = &about.target else { return Ok(()) };
            head.set_entry_type(tar::EntryType::Symlink);
            made.append_link(&mut head, path, std::ffi::OsStr::from_bytes(to)).map_err(failed)?;
        }
        ItemKind::Volume | ItemKind::Other => {}
    }
    Ok(())
}

/// As many bytes as were announced, no more; fewer are an error: what follows them would be taken for them.
struct Exact {
    file: Box<dyn Read>,
    left: u64,
}

impl Read for Exact {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(into.len());
        if most == 0 {
            return Ok(0);
        }
        let length = self.file.read(into.get_mut(..most).unwrap_or_default())?;
        if length == 0 {
            let message = format!("a file ends {} bytes before its end; it was so when it was backed up", self.left);
            return Err(io::Error::other(fault::error(fault::FILESYSTEM_DAMAGED, message)));
        }
        self.left -= length as u64;
        Ok(length)
    }
}

/// What stopped a copy: our own error where one came through, else the disk that is written to.
fn unwritable(error: &io::Error) -> Error {
    let own = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    own.cloned().unwrap_or_else(|| fault::of_target(error, "writing the file"))
}

/// The file that is written, its digest, and how much it may still get.
struct Target {
    file: io::BufWriter<File>,
    digest: Context,
    bytes: u64,
    most: u64,
    progress: Progress,
}

impl Target {
    fn new(to: &Path, most: u64, progress: Progress) -> Done<Self> {
        let file = File::create_new(to).map_err(|e| fault::of_target(&e, "making the file"))?;
        let file = io::BufWriter::with_capacity(PIECE, file);
        Ok(Target { file, digest: Context::new(&SHA256), bytes: 0, most, progress })
    }

    /// So much is about to come.
    fn expect(&self, bytes: u64) -> Done<()> {
        if self.bytes.saturating_add(bytes) <= self.most {
            return Ok(());
        }
        Err(self.too_large().into())
    }

    fn too_large(&self) -> Error {
        let message = format!(
            "that is more than {} MiB, which is the most that is fetched; restore it beside the service",
            self.most >> 20
        );
        fault::error(fault::FETCH_TOO_LARGE, message)
    }

    fn copy(&mut self, from: &mut dyn Read) -> Done<()> {
        let mut piece = vec![0; PIECE];
        loop {
            let length = from.read(&mut piece).map_err(|e| unwritable(&e))?;
            if length == 0 {
                return Ok(());
            }
            self.write_all(piece.get(..length).unwrap_or_default()).map_err(|e| unwritable(&e))?;
        }
    }

    fn finish(mut self, archive: bool) -> Done<Answer> {
        let synced = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        synced.map_err(|e| fault::of_target(&e, "writing the file"))?;
        self.progress.finish();
        let sha256 = base::hex::encode(self.digest.finish().as_ref());
        Ok(Answer::Fetched { bytes: self.bytes, sha256, archive })
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.saturating_add(bytes.len() as u64) > self.most {
            return Err(io::Error::other(self.too_large()));
        }
        self.file.write_all(bytes)?;
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
        self.progress.inc(bytes.len() as u64);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// A directory of one link, whose target is as long as somebody liked.
    struct Link(usize);

    impl Tree for Link {
        fn names(&self, _: &[Vec<u8>]) -> Done<Vec<Vec<u8>>> {
            Ok(vec![b"link".to_vec(), b"other".to_vec()])
        }

        fn about(&self, _: &[Vec<u8>], _: &[u8]) -> Done<About> {
            Ok(About { kind: ItemKind::Symlink, target: Some(vec![b'x'; self.0]), ..About::unknown() })
        }

        fn file(&self, _: &[Vec<u8>]) -> Done<(Box<dyn Read>, u64)> {
            Err(malformed().into())
        }
    }

    #[test]
    fn a_page_is_small_whatever_its_first_item_is() {
        for (length, told) in [(20, true), (20 << 20, false)] {
            let Ok(Answer::Seen { items, next }) = page(&Link(length), &[], b"", 500) else { unreachable!() };
            assert!(serde_json::to_vec(&items).unwrap().len() <= limits::LISTING_BYTES_MAX);
            assert_eq!((items[0].target.is_some(), items.len(), next), (told, 2, None));
        }
    }

    #[test]
    fn a_file_is_as_long_as_it_was_announced_or_fails_by_name() {
        let read = |bytes: &'static [u8], left| {
            let mut found = Vec::new();
            Exact { file: Box::new(bytes), left }.read_to_end(&mut found).map(|_| found)
        };
        assert_eq!(read(b"abc", 3).unwrap(), b"abc");
        assert_eq!(read(b"abcdef", 3).unwrap(), b"abc");
        assert_eq!(unwritable(&read(b"ab", 3).unwrap_err()).code(), fault::FILESYSTEM_DAMAGED);
    }
}
