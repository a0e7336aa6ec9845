//! Damage on purpose, for the negative controls of drills: a copy that was made for it rots, as on a
//! disk that goes bad, and its restore must fail.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::Path;

use base::{Error, Result};

/// The least that a blob takes in a pack: its nonce and its seal (restic's format).
const BLOB_BYTES_MIN: usize = 32;

fn failed(what: &str, path: &Path, e: io::Error) -> Error {
    Error::unavailable("control.spoil", format!("cannot {what} {}: {e}", path.display())).because(e)
}

/// Spoils every pack of data of a repository that lies in `folder`, but for those that `cache` knows:
/// what leads to the data is left, so that the data itself is what is found damaged. Says how many
/// packs there were.
///
/// # Errors
/// `Unavailable` (`control.spoil`) where something cannot be read or written.
pub fn repository(folder: &Path, cache: &Path) -> Result<u32> {
    packs(&folder.join("data"), &names(cache)?)
}

/// The names of all files of a directory, however deep.
fn names(dir: &Path) -> Result<HashSet<OsString>> {
    let mut all = HashSet::new();
    for entry in fs::read_dir(dir).map_err(|e| failed("list", dir, e))?.flatten() {
        if entry.path().is_dir() {
            all.extend(names(&entry.path())?);
        } else {
            all.insert(entry.file_name());
        }
    }
    Ok(all)
}

/// Spoils every blob of every pack, but for those in `spared`.
fn packs(dir: &Path, spared: &HashSet<OsString>) -> Result<u32> {
    let mut damaged = 0;
    for entry in fs::read_dir(dir).map_err(|e| failed("list", dir, e))?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            damaged += packs(&path, spared)?;
        } else if !spared.contains(&entry.file_name()) {
            flip(&path).map_err(|e| failed("damage", &path, e))?;
            damaged += 1;
        }
    }
    Ok(damaged)
}

fn flip(path: &Path) -> io::Result<()> {
    // What the engine writes it makes read-only.
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    let file = fs::File::options().read(true).write(true).open(path)?;
    let (length, mut at, mut piece) = (file.metadata()?.len(), 0, vec![0; 1 << 20]);
    while at < length {
        let read = file.read_at(&mut piece, at)?;
        piece[..read].iter_mut().step_by(BLOB_BYTES_MIN).for_each(|byte| *byte ^= 0xff);
        file.write_all_at(&piece[..read], at)?;
        at += (read as u64).max(1);
    }
    file.sync_all()
}
