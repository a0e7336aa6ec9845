//! A repository in a directory, in restic's layout: packs in 256 directories by the first two
//! digits of their names, everything else flat.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use base::Result;
use bytes::Bytes;

use super::{Kind, Store};
use crate::fault;

/// How the names of files begin that are not finished yet.
pub const UNFINISHED: &str = ".part-";

/// A directory that holds a repository.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// A directory, whether there is a repository in it or not.
    pub fn new(root: PathBuf) -> Self {
        Folder { root }
    }

    /// Where a file lies.
    pub fn path(&self, kind: Kind, name: &str) -> PathBuf {
        match kind {
            Kind::Config => self.root.join("config"),
            Kind::Data => self.root.join("data").join(name.get(..2).unwrap_or("00")).join(name),
            _ => self.root.join(kind.name()).join(name),
        }
    }

    /// Makes the directories of a repository.
    ///
    /// # Errors
    /// As the file system has them.
    pub fn make(&self) -> io::Result<()> {
        for kind in Kind::FOLDERS {
            fs::create_dir_all(self.root.join(kind.name()))?;
        }
        for first in 0..=255_u8 {
            let path = self.root.join("data").join(format!("{first:02x}"));
            if !path.is_dir() {
                fs::create_dir(path)?;
            }
        }
        sync_folder(&self.root.join("data"))?;
        sync_folder(&self.root)
    }

    /// Names and sizes of the finished files of a kind.
    ///
    /// # Errors
    /// As the file system has them.
    pub fn names(&self, kind: Kind) -> io::Result<Vec<(String, u64)>> {
        let mut found = Vec::new();
        match kind {
            Kind::Config => match fs::metadata(self.path(kind, "")) {
                Ok(meta) => found.push(("config".to_owned(), meta.len())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            },
            Kind::Data => {
                let parent = self.root.join("data");
                for entry in fs::read_dir(parent)? {
                    let entry = entry?;
                    if entry.file_type()?.is_dir() {
                        files(&entry.path(), &mut found)?;
                    }
                }
            }
            _ => files(&self.root.join(kind.name()), &mut found)?,
        }
        Ok(found)
    }

    fn named(&self, kind: Kind, name: &str) -> String {
        if kind == Kind::Config { "config".to_owned() } else { format!("{}/{name}", kind.name()) }
    }
}

/// The finished files of a directory.
fn files(folder: &Path, found: &mut Vec<(String, u64)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(UNFINISHED) {
            continue;
        }
        match entry.metadata() {
            Ok(meta) if meta.is_file() => found.push((name, meta.len())),
            Ok(_) => {}
            // Another program removed it between the two looks.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Makes what was created, renamed or removed in a directory outlast a loss of power.
///
/// # Errors
/// As the file system has them.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Puts a file in its place, whole or not at all: written under another name, made to last, renamed.
///
/// # Errors
/// As the file system has them; then it is not there.
pub fn put(path: &Path, parts: &[Bytes]) -> io::Result<()> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let folder = path.parent().unwrap_or(Path::new("/"));
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    // Process numbers begin anew in each container, where what a killed one left may still lie: hence the time.
    let since = UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
    let unfinished = folder.join(format!("{UNFINISHED}{}-{since}-{number}", std::process::id()));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).open(&unfinished)?;
        for part in parts {
            file.write_all(part)?;
        }
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        sync_folder(folder)
    })();
    if written.is_err() {
        // It may be there or not; nobody reads a file of that name.
        let _ = fs::remove_file(&unfinished);
    }
    written
}

/// A file, or the part of it in a range.
pub(crate) fn get(path: &Path, range: Option<Range<u64>>) -> io::Result<Bytes> {
    let Some(range) = range else { return fs::read(path).map(Bytes::from) };
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(range.start))?;
    let length = usize::try_from(range.end.saturating_sub(range.start)).map_err(io::Error::other)?;
    let mut part = vec![0; length];
    file.read_exact(&mut part)?;
    Ok(part.into())
}

impl Store for Folder {
    fn describe(&self) -> String {
        self.root.display().to_string()
    }

    fn create(&self) -> Result<()> {
        self.make().map_err(|e| fault::of_place(&e, &format!("making {}", self.describe())))
    }

    fn list(&self, kind: Kind) -> Result<Vec<(String, u64)>> {
        self.names(kind).map_err(|e| fault::of_place(&e, &format!("listing {}", kind.name())))
    }

    fn read(&self, kind: Kind, name: &str, range: Option<Range<u64>>) -> Result<Bytes> {
        get(&self.path(kind, name), range).map_err(|e| {
            let what = format!("reading {}", self.named(kind, name));
            if e.kind() == io::ErrorKind::UnexpectedEof {
                return fault::error(
                    fault::REPOSITORY_DAMAGED,
                    format!("{what}: it is shorter than it should be; use another copy"),
                );
            }
            fault::of_place(&e, &what)
        })
    }

    fn write(&self, kind: Kind, name: &str, parts: &[Bytes]) -> Result<()> {
        put(&self.path(kind, name), parts)
            .map_err(|e| fault::of_place(&e, &format!("writing {}", self.named(kind, name))))
    }

    fn remove(&self, kind: Kind, name: &str) -> Result<()> {
        let path = self.path(kind, name);
        let removed = match fs::remove_file(&path) {
            Ok(()) => sync_folder(path.parent().unwrap_or(&self.root)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        removed.map_err(|e| fault::of_place(&e, &format!("removing {}", self.named(kind, name))))
    }
}
