//! Files that hosts hand over: what a task was to fetch lies under the task's name, for nobody but
//! this server, until it was fetched or its time is over.
//!
//! ```text
//!   PUT ──► part-<task>.<n> ──(all of it came)──► <task> ──(whoever owns the folder)──► gone
//! ```
//!
//! **Invariants** (tests below)
//! - under a task's name lies a whole file or none: what was cut off is removed, and at the latest
//!   by [`Handed::keep`], whichever side died;
//! - what is larger than was asked for, or leaves the disk too little room, is refused before it is there:
//!   its room is taken when it begins, so that several that come at once do not count on the same.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use base::{Error, Result, hex, limits};
use drivers::wire::{FileTaken, TaskId};
use ring::digest::{Context, SHA256};

/// How the names of files begin that are on their way: then comes the task, a dot, and a number, so
/// that a host that begins again does not write into what it had begun before.
const PART: &str = "part-";
/// Files that have begun to come since this program started.
static BEGUN: AtomicU64 = AtomicU64::new(0);

/// The folder of such files.
#[derive(Debug, Clone)]
pub struct Handed(PathBuf);

impl Handed {
    /// At that path; made, for its owner only, where it is not there yet.
    ///
    /// # Errors
    /// `Unavailable` (`download.not_stored`) where it cannot be made.
    pub fn open(folder: &Path) -> Result<Self> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|e| not_stored(folder, e))?;
        Ok(Handed(folder.to_owned()))
    }

    /// Where the file of a task lies.
    pub fn path(&self, task: &str) -> PathBuf {
        self.0.join(task)
    }

    /// A file begins to come.
    ///
    /// # Errors
    /// `Exhausted`: `download.too_large` where it is larger than `most`, `download.no_room` where the
    /// disk would be too full; `Unavailable` (`download.not_stored`).
    pub fn begin(&self, task: &TaskId, length: u64, most: u64) -> Result<Coming> {
        if length > most {
            let message = format!("the file has {length} bytes, and {most} were asked for at most");
            return Err(Error::exhausted("download.too_large", message));
        }
        let there = rustix::fs::statvfs(&self.0).map_err(|e| not_stored(&self.0, e.into()))?;
        let free = there.f_bavail.saturating_mul(there.f_frsize);
        if free < length.saturating_add(limits::DOWNLOAD_ROOM_LEFT) {
            let message = format!("the server's disk has {free} bytes free, too few for a file of {length}");
            return Err(Error::exhausted("download.no_room", message));
        }
        let number = BEGUN.fetch_add(1, Ordering::Relaxed);
        let part = self.0.join(format!("{PART}{task}.{}-{number}", std::process::id()));
        let file = fs::File::options().write(true).create_new(true).mode(0o600).open(&part);
        let file = file.map_err(|e| not_stored(&part, e))?;
        let to = self.path(task.as_str());
        let coming = Coming { part, to, file, digest: Context::new(&SHA256), bytes: 0, length };
        coming.take_room()?;
        Ok(coming)
    }

    /// Removes every file but those of these tasks.
    ///
    /// # Errors
    /// `Unavailable` (`download.not_stored`) where one cannot be removed.
    pub fn keep(&self, tasks: &HashSet<String>) -> Result<()> {
        for entry in fs::read_dir(&self.0).map_err(|e| not_stored(&self.0, e))?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let part = name.strip_prefix(PART).and_then(|part| part.split_once('.')).map(|(task, _)| task);
            if !tasks.contains(part.unwrap_or(&name)) {
                removed(&entry.path())?;
            }
        }
        Ok(())
    }
}

fn removed(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(not_stored(path, e)),
        _ => Ok(()),
    }
}

fn not_stored(path: &Path, e: io::Error) -> Error {
    Error::unavailable("download.not_stored", format!("cannot write {}: {e}", path.display())).because(e)
}

/// A file on its way. Dropped before its end it leaves nothing.
pub struct Coming {
    part: PathBuf,
    to: PathBuf,
    file: File,
    digest: Context,
    bytes: u64,
    length: u64,
}

impl Coming {
    /// Takes the room of all that will come, where the file system can.
    fn take_room(&self) -> Result<()> {
        let flags = rustix::fs::FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(&self.file, flags, 0, self.length.max(1)) {
            Err(rustix::io::Errno::NOSPC) => {
                let message = format!("the server's disk has no room for a file of {} bytes", self.length);
                Err(Error::exhausted("download.no_room", message))
            }
            // It fills up as it comes, then.
            _ => Ok(()),
        }
    }

    /// The next bytes.
    ///
    /// # Errors
    /// `Invalid` (`download.length`) beyond what was announced; `Unavailable` (`download.not_stored`).
    pub fn write(&mut self, chunk: &[u8]) -> Result<()> {
        self.bytes = self.bytes.saturating_add(chunk.len() as u64);
        if self.bytes > self.length {
            return Err(wrong_length(self.length));
        }
        self.digest.update(chunk);
        self.file.write_all(chunk).map_err(|e| not_stored(&self.part, e))
    }

    /// All has come.
    ///
    /// # Errors
    /// `Invalid` (`download.length`) where it is not as much as was announced; `Unavailable` (`download.not_stored`).
    pub fn finish(self) -> Result<FileTaken> {
        if self.bytes != self.length {
            return Err(wrong_length(self.length));
        }
        let stored = self.file.sync_all().and_then(|()| fs::rename(&self.part, &self.to));
        stored.map_err(|e| not_stored(&self.to, e))?;
        Ok(FileTaken { bytes: self.bytes, sha256: hex::encode(self.digest.clone().finish().as_ref()) })
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        // Not there any more once all has come.
        let _ = fs::remove_file(&self.part);
    }
}

fn wrong_length(length: u64) -> Error {
    Error::invalid("download.length", format!("{length} bytes were announced, and something else came"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut found: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        found.sort();
        found
    }

    #[test]
    fn a_file_is_there_whole_or_not_at_all() {
        let scratch = db::testing::Scratch::new();
        let folder = scratch.path().join("downloads");
        let handed = Handed::open(&folder).unwrap();
        let task: TaskId = "htsk_1".parse().unwrap();
        let mut cut = handed.begin(&task, 10, 10).unwrap();
        cut.write(b"half").unwrap();
        assert_eq!(names(&folder).len(), 1);
        assert!(names(&folder)[0].starts_with("part-htsk_1."));
        assert_eq!(cut.finish().unwrap_err().code(), "download.length");
        assert_eq!(names(&folder), Vec::<String>::new());
        let mut long = handed.begin(&task, 2, 10).unwrap();
        assert_eq!(long.write(b"three").unwrap_err().code(), "download.length");
        // Whoever begins anew does not write into what is there, nor take it away.
        let again = handed.begin(&task, 2, 10).unwrap();
        drop(long);
        assert_eq!(names(&folder).len(), 1);
        drop(again);
        assert_eq!(handed.begin(&task, 11, 10).err().unwrap().code(), "download.too_large");
        assert_eq!(handed.begin(&task, 1 << 60, u64::MAX).err().unwrap().code(), "download.no_room");
        let mut whole = handed.begin(&task, 3, 10).unwrap();
        whole.write(b"a").unwrap();
        whole.write(b"bc").unwrap();
        let taken = whole.finish().unwrap();
        assert_eq!(taken.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(fs::read(handed.path("htsk_1")).unwrap(), b"abc");
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(handed.path("htsk_1")).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_nobody_waits_for_is_removed_also_what_a_crash_left() {
        let scratch = db::testing::Scratch::new();
        let handed = Handed::open(scratch.path()).unwrap();
        for name in ["htsk_1", "htsk_2", "part-htsk_1.7-0", "part-htsk_3.7-1", "part-htsk_1"] {
            fs::write(scratch.path().join(name), b"x").unwrap();
        }
        handed.keep(&HashSet::from(["htsk_1".to_owned()])).unwrap();
        assert_eq!(names(scratch.path()), ["htsk_1", "part-htsk_1.7-0"]);
    }
}
