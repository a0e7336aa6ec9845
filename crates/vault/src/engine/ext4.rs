//! The tree of an ext2, ext3 or ext4 file system on a disk image.
//!
//! Symbolic links on the way are followed as the machine itself would: they cannot leave the file
//! system. A journal that was not written back is read as if it were.

use std::cell::RefCell;
use std::io::Read;
use std::rc::Rc;

use base::{Error, limits};
use ext4_view::{Ext4, Ext4Error, Ext4Read, FileType, Metadata};

use super::content::{Image, beyond};
use super::tree::{About, Tree};
use super::{Done, Failure};
use crate::fault;
use crate::request::ItemKind;

/// A part of a disk, as the reader of file systems wants it.
struct Window {
    image: Rc<dyn Image>,
    from: u64,
    length: u64,
    failed: Rc<RefCell<Option<Error>>>,
}

impl Ext4Read for Window {
    fn read(&mut self, at: u64, into: &mut [u8]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let inside = at.checked_add(into.len() as u64).is_some_and(|end| end <= self.length);
        let read = if inside { self.image.read(self.from + at, into) } else { Err(beyond()) };
        read.map_err(|error| {
            let text = error.to_string();
            self.failed.borrow_mut().get_or_insert(error);
            text.into()
        })
    }
}

/// A file system.
#[derive(Clone)]
pub(super) struct Files {
    system: Ext4,
    failed: Rc<RefCell<Option<Error>>>,
}

impl Files {
    pub(super) fn new(image: &Rc<dyn Image>, from: u64, length: u64) -> Done<Self> {
        let failed = Rc::default();
        let window = Window { image: image.clone(), from, length, failed: Rc::clone(&failed) };
        let system = Ext4::load(Box::new(window)).map_err(|e| named(&failed, &e))?;
        Ok(Files { system, failed })
    }

    /// What the file system is called.
    pub(super) fn label(&self) -> String {
        // Shorter ones are filled up with zeros.
        let name = self.system.label().as_bytes().split(|byte| *byte == 0).next();
        base::names::text(name.unwrap_or_default())
    }

    fn failure(&self, error: &Ext4Error) -> Failure {
        named(&self.failed, error)
    }
}

/// What a failure to read a file system means.
fn named(failed: &RefCell<Option<Error>>, error: &Ext4Error) -> Failure {
    let (code, message) = match error {
        // What was wrong below: a repository that is damaged or away.
        Ext4Error::Io(_) => match failed.borrow_mut().take() {
            Some(error) => return error.into(),
            None => (fault::FILESYSTEM_DAMAGED, error.to_string()),
        },
        Ext4Error::NotFound => (fault::SNAPSHOT_PATH, "there is nothing there; look from the top".to_owned()),
        Ext4Error::NotADirectory | Ext4Error::IsADirectory | Ext4Error::IsASpecialFile | Ext4Error::TooManySymlinks => {
            (fault::SNAPSHOT_KIND, error.to_string())
        }
        Ext4Error::MalformedPath | Ext4Error::PathTooLong | Ext4Error::NotAbsolute => {
            (fault::REQUEST_INVALID, error.to_string())
        }
        Ext4Error::Encrypted | Ext4Error::Incompatible(_) => {
            (fault::FILESYSTEM_UNKNOWN, format!("{error}; restore the machine beside the service to look into it"))
        }
        // A hole as ext2 and ext3 have them, larger than the reader knows.
        Ext4Error::Corrupt(_) if error.to_string().contains("from block 0 (originally 0)") => {
            let message = "the file has holes in the manner of ext3, which cannot be read; restore the machine beside the service";
            (fault::FILESYSTEM_UNKNOWN, message.to_owned())
        }
        _ => (fault::FILESYSTEM_DAMAGED, format!("{error}; it was so when it was backed up: look at an earlier point")),
    };
    fault::error(code, message).into()
}

/// A path as the file system has it.
fn joined(dir: &[Vec<u8>], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::new();
    for part in dir.iter().map(Vec::as_slice).chain((!name.is_empty()).then_some(name)) {
        path.push(b'/');
        path.extend_from_slice(part);
    }
    if path.is_empty() {
        path.push(b'/');
    }
    path
}

fn kind(of: FileType) -> ItemKind {
    match of {
        FileType::Regular => ItemKind::File,
        FileType::Directory => ItemKind::Dir,
        FileType::Symlink => ItemKind::Symlink,
        _ => ItemKind::Other,
    }
}

fn about(meta: &Metadata) -> About {
    let at = meta.modified();
    About {
        kind: kind(meta.file_type()),
        size: meta.len(),
        modified: Some((at.seconds(), at.nanoseconds())),
        mode: Some(u32::from(meta.mode())),
        target: None,
    }
}

impl Tree for Files {
    fn names(&self, dir: &[Vec<u8>]) -> Done<Vec<Vec<u8>>> {
        let path = joined(dir, b"");
        let mut names = Vec::new();
        for entry in self.system.read_dir(path.as_slice()).map_err(|e| self.failure(&e))? {
            let entry = entry.map_err(|e| self.failure(&e))?;
            let name = entry.file_name().as_ref().to_vec();
            if !matches!(name.as_slice(), b"." | b"..") {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn about(&self, dir: &[Vec<u8>], name: &[u8]) -> Done<About> {
        let path = joined(dir, name);
        let meta = match self.system.symlink_metadata(path.as_slice()) {
            Ok(meta) => meta,
            // One that is damaged is shown as that, beside the others.
            Err(Ext4Error::Corrupt(_)) => return Ok(About::unknown()),
            Err(error) => return Err(self.failure(&error)),
        };
        let mut found = about(&meta);
        // Whoever made the image says how long a link is; one that no system would make is not told.
        if meta.is_symlink() && meta.len() <= limits::LINK_BYTES_MAX {
            found.target = self.system.read_link(path.as_slice()).ok().map(|to| to.as_ref().to_vec());
        }
        Ok(found)
    }

    fn file(&self, path: &[Vec<u8>]) -> Done<(Box<dyn Read>, u64)> {
        let file = self.system.open(joined(path, b"").as_slice()).map_err(|e| self.failure(&e))?;
        let length = file.metadata().len();
        Ok((Box::new(Reading { file, failed: self.failed.clone() }), length))
    }
}

/// A file that is read from its beginning to its end.
struct Reading {
    file: ext4_view::File,
    failed: Rc<RefCell<Option<Error>>>,
}

impl Read for Reading {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        self.file.read_bytes(into).map_err(|e| match named(&self.failed, &e) {
            Failure::Ours(error) => std::io::Error::other(error),
            Failure::Engine(error) => std::io::Error::other(error.to_string()),
        })
    }
}
