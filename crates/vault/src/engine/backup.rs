//! Taking a snapshot.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::iter::{Once, once};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustic_core::jiff::Timestamp;
use rustic_core::repofile::{Metadata, Node, NodeType, SnapshotFile};
use rustic_core::{
    BackupOptions, ErrorKind, IndexedIdsStatus, LocalSource, LocalSourceFilterOptions, LocalSourceSaveOptions, Open,
    ReadSource, ReadSourceEntry, Repository as Engine, RusticError, RusticResult,
};

use super::bridge::Watch;
use super::image;
use super::{Done, Failure, Notes, Opened, hex, snapshot};
use crate::fault;
use crate::request::{Answer, Backup, Source, Unreadable};

pub(super) fn run(
    open: Opened,
    backup: &Backup,
    input: impl Read + Send + 'static,
    notes: &Arc<Notes>,
) -> Done<Answer> {
    let form = form(backup)?;
    if backup.unreadable == Unreadable::Refuse {
        open.watch.refuse_what_is_left_out(notes);
    }
    match &backup.source {
        Source::Path { path, named, except } => {
            let named = named.as_ref().unwrap_or(path);
            let is_tree = look(path)?.is_dir();
            by_engine(open, notes, |open| match is_tree {
                true => Ok(tree(&open.engine, std::slice::from_ref(path), Some(named), except, form)?),
                false => file(open, path, named, form),
            })
        }
        Source::Paths { paths, except } => {
            for path in paths {
                look(path)?;
            }
            by_engine(open, notes, |open| Ok(tree(&open.engine, &outermost(paths), None, except, form)?))
        }
        Source::Stream { named } => by_engine(open, notes, |open| stream(open, named, input, form)),
        Source::Images { named, images } => {
            for image in images {
                look(&image.path)?;
            }
            let open = open.for_images()?;
            let taken = image::run(&open, named, images, form)?;
            answer(&open, &taken, notes)
        }
    }
}

fn by_engine(
    open: Opened,
    notes: &Notes,
    archive: impl FnOnce(&Opened<IndexedIdsStatus>) -> Done<SnapshotFile>,
) -> Done<Answer> {
    let open = open.for_writing()?;
    let taken = archive(&open).map_err(|failure| open.watch.refusal().map_or(failure, Failure::Ours))?;
    answer(&open, &taken, notes)
}

fn file(open: &Opened<IndexedIdsStatus>, path: &Path, named: &PathBuf, form: SnapshotFile) -> Done<SnapshotFile> {
    let message = format!("{} could not be read to its end, so nothing was recorded; look at its disk", path.display());
    let cut = fault::error(fault::SOURCE_UNREADABLE, message);
    let file = File::open(path).map_err(|e| unreadable(path, &e))?;
    let about = about(&file).map_err(|e| unreadable(path, &e))?;
    let source = One::new(named, about, file, open.watch.clone(), cut);
    Ok(open.engine.archive(&BackupOptions::default(), &source, form, std::slice::from_ref(named))?)
}

fn stream(
    open: &Opened<IndexedIdsStatus>,
    named: &PathBuf,
    input: impl Read + Send + 'static,
    form: SnapshotFile,
) -> Done<SnapshotFile> {
    let message = "the stream ended before it was complete, so nothing was recorded; look at its writer";
    let cut = fault::error(fault::SOURCE_CUT, message);
    let mut options = BackupOptions::default();
    options.parent_opts.force = true;
    let source = One::new(named, Metadata::default(), input, open.watch.clone(), cut);
    Ok(open.engine.archive(&options, &source, form, std::slice::from_ref(named))?)
}

/// The snapshot as it is kept, not as the engine remembers it.
fn answer<S: Open>(open: &Opened<S>, taken: &SnapshotFile, notes: &Notes) -> Done<Answer> {
    let kept = open.snapshot(&hex(&taken.id))?;
    Ok(Answer::Taken { snapshot: snapshot(&kept), unread: notes.left_out() })
}

/// Paths that lie in none of the others.
fn outermost(paths: &[PathBuf]) -> Vec<PathBuf> {
    let mut kept: Vec<PathBuf> = Vec::new();
    let mut sorted: Vec<&PathBuf> = paths.iter().collect();
    sorted.sort();
    for path in sorted {
        if !kept.iter().any(|outer| path.starts_with(outer)) {
            kept.push(path.clone());
        }
    }
    kept
}

fn tree(
    engine: &Engine<IndexedIdsStatus>,
    paths: &[PathBuf],
    named: Option<&PathBuf>,
    except: &[String],
    form: SnapshotFile,
) -> RusticResult<SnapshotFile> {
    let mut options = BackupOptions::default();
    options.as_path = named.cloned();
    options.excludes.globs = except.iter().map(|pattern| format!("!{pattern}")).collect();
    let filter = LocalSourceFilterOptions::default();
    let source = LocalSource::new(LocalSourceSaveOptions::default(), &options.excludes, &filter, paths)?;
    engine.archive(&options, &source, form, paths)
}

/// The snapshot's own particulars.
fn form(backup: &Backup) -> Done<SnapshotFile> {
    if let Some(tag) = backup.tags.iter().find(|tag| tag.is_empty() || tag.contains(',')) {
        return Err(fault::error(fault::REQUEST_INVALID, format!("{tag:?} cannot be a tag: no commas")).into());
    }
    if backup.host.is_empty() {
        return Err(fault::error(fault::REQUEST_INVALID, "say which host this belongs to").into());
    }
    let mut form = SnapshotFile::default();
    form.hostname.clone_from(&backup.host);
    form.label.clone_from(&backup.label);
    for tag in &backup.tags {
        form.tags.add(tag.clone());
    }
    Ok(form)
}

/// What the source is, before an empty snapshot says that it was.
fn look(path: &Path) -> Done<fs::Metadata> {
    if !path.is_absolute() {
        return Err(fault::error(fault::REQUEST_INVALID, "what is backed up is named by its whole path").into());
    }
    Ok(path.metadata().map_err(|e| unreadable(path, &e))?)
}

pub(super) fn unreadable(path: &Path, error: &io::Error) -> base::Error {
    let path = path.display();
    if error.kind() == io::ErrorKind::NotFound {
        return fault::error(fault::SOURCE_MISSING, format!("there is no {path}; look whether it moved"));
    }
    fault::error(fault::SOURCE_UNREADABLE, format!("{path}: {error}; look at its owner, mode and disk"))
}

/// What the engine knows a file again by: when none of it changed, the file is not read.
pub(super) fn about(file: &File) -> io::Result<Metadata> {
    let meta = file.metadata()?;
    let mut about =
        Metadata { mode: Some(meta.mode()), uid: Some(meta.uid()), gid: Some(meta.gid()), ..Metadata::default() };
    if meta.is_file() {
        about.size = meta.len();
        about.mtime = Timestamp::new(meta.mtime(), i32::try_from(meta.mtime_nsec()).unwrap_or_default()).ok();
        about.ctime = Timestamp::new(meta.ctime(), i32::try_from(meta.ctime_nsec()).unwrap_or_default()).ok();
        return Ok(about);
    }
    // A disk tells its size by its end, and never when it changed: no time is equal to this one.
    let mut disk = file;
    about.size = disk.seek(SeekFrom::End(0))?;
    disk.rewind()?;
    about.mtime = Some(rustic_core::jiff::Zoned::now().timestamp());
    Ok(about)
}

/// One file: a disk, an image, a stream.
struct One<R> {
    named: PathBuf,
    about: Metadata,
    input: Mutex<Option<R>>,
    watch: Arc<Watch>,
    cut: base::Error,
}

impl<R: Read + Send + 'static> One<R> {
    fn new(named: &Path, about: Metadata, input: R, watch: Arc<Watch>, cut: base::Error) -> Self {
        One { named: named.to_owned(), about, input: Mutex::new(Some(input)), watch, cut }
    }
}

/// Its reader: when it fails before the end, no snapshot is written.
struct Watched<R> {
    input: R,
    watch: Arc<Watch>,
    cut: base::Error,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.input.read(buffer).inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                self.watch.refuse(&self.cut);
            }
        })
    }
}

impl<R: Read + Send + 'static> ReadSource for One<R> {
    type Open = Watched<R>;
    type Iter = Once<RusticResult<ReadSourceEntry<Watched<R>>>>;

    fn size(&self) -> RusticResult<Option<u64>> {
        Ok((self.about.size > 0).then_some(self.about.size))
    }

    fn entries(&self) -> Self::Iter {
        let input = self.input.lock().unwrap_or_else(PoisonError::into_inner).take();
        once(match (self.named.file_name(), input) {
            (Some(name), Some(input)) => Ok(ReadSourceEntry {
                path: self.named.clone(),
                node: Node::new_node(name, NodeType::File, self.about.clone()),
                open: Some(Watched { input, watch: self.watch.clone(), cut: self.cut.clone() }),
            }),
            _ => Err(RusticError::new(ErrorKind::InvalidInput, "a file needs a name")),
        })
    }
}
