//! Taking a snapshot.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustic_core::jiff::Timestamp;
use rustic_core::repofile::{Metadata, SnapshotFile};
use rustic_core::{IndexedFullStatus, Open};

use super::files::Root;
use super::{Done, Notes, Opened, files, hex, image, snapshot_of};
use crate::fault;
use crate::request::{Answer, Backup, Source};

pub(super) fn run(
    open: Opened,
    backup: &Backup,
    input: impl Read + Send + 'static,
    notes: &Arc<Notes>,
) -> Done<Answer> {
    let form = form(backup)?;
    let trees = |open: Opened, roots: &[Root], except: &[String]| {
        let open = open.for_writing()?;
        let taken = files::run(&open, roots, except, backup.unreadable, notes, form.clone())?;
        answer(&open, &taken, notes)
    };
    match &backup.source {
        Source::Path { path, named, except } => {
            let named = named.as_ref().unwrap_or(path);
            match look(path)?.is_dir() {
                true => trees(open, &[root(path, named)?], except),
                false => file(open.for_writing()?, path, named, form, notes),
            }
        }
        Source::Paths { paths, except } => {
            for path in paths {
                look(path)?;
            }
            let roots = outermost(paths).iter().map(|path| root(path, path)).collect::<Done<Vec<Root>>>()?;
            trees(open, &roots, except)
        }
        Source::Stream { named } => stream(open.for_writing()?, named, input, form, notes),
        Source::Images { named, images } => {
            for image in images {
                look(&image.path)?;
            }
            let open = open.for_writing()?;
            let taken = image::run(&open, named, images, form)?;
            answer(&open, &taken, notes)
        }
    }
}

/// What is walked: where a link leads, when it is one that was named.
fn root(path: &Path, named: &Path) -> Done<Root> {
    let path = if path.is_symlink() { path.canonicalize().map_err(|e| unreadable(path, &e))? } else { path.to_owned() };
    Ok(Root { path, named: named.to_owned() })
}

fn file(open: Opened<IndexedFullStatus>, path: &Path, named: &Path, form: SnapshotFile, notes: &Notes) -> Done<Answer> {
    let file = File::open(path).map_err(|e| unreadable(path, &e))?;
    let about = about(&file).map_err(|e| unreadable(path, &e))?;
    let message = format!("{} could not be read to its end, so nothing was recorded; look at its disk", path.display());
    let cut = fault::error(fault::SOURCE_UNREADABLE, message);
    let taken = files::one(&open, named, about, file, cut, form)?;
    answer(&open, &taken, notes)
}

fn stream(
    open: Opened<IndexedFullStatus>,
    named: &Path,
    input: impl Read,
    form: SnapshotFile,
    notes: &Notes,
) -> Done<Answer> {
    let message = "the stream ended before it was complete, so nothing was recorded; look at its writer";
    let cut = fault::error(fault::SOURCE_CUT, message);
    // Nobody else's business, and new: there is no file that could be the same as before.
    let about = Metadata { mode: Some(0o600), mtime: Some(form.time.timestamp()), ..Metadata::default() };
    let taken = files::one(&open, named, about, input, cut, form)?;
    answer(&open, &taken, notes)
}

/// The snapshot as it is kept, not as the engine remembers it.
fn answer<S: Open>(open: &Opened<S>, taken: &SnapshotFile, notes: &Notes) -> Done<Answer> {
    let kept = open.snapshot(&hex(&taken.id))?;
    Ok(Answer::Taken { snapshot: snapshot_of(&kept), unread: notes.left_out() })
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
