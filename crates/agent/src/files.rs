//! Files that are whole or not there, and that only their owner reads.

use std::fs;
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use base::{Error, Result};

/// Makes a directory that others may pass through but not list: QEMU runs as a user of its own, and
/// libvirt gives it the files that it needs, one by one.
pub fn passable_dir(path: &Path) -> Result<()> {
    let make = || -> io::Result<()> {
        if !path.is_dir() {
            fs::DirBuilder::new().recursive(true).mode(0o711).create(path)?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o711))?;
        }
        Ok(())
    };
    make().map_err(|e| failed("make", path, e))
}

/// Makes a directory that only its owner enters.
pub fn private_dir(path: &Path) -> Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| failed("make", path, e))?;
    only_owner(path)
}

/// Lets only its owner enter a directory.
pub fn only_owner(path: &Path) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(|e| failed("guard", path, e))
}

/// Writes a file with mode 0600: whole and on disk when this returns, or as it was before.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = path.with_file_name(format!(".{name}.draft"));
    let write = || -> io::Result<()> {
        remove_file(&draft)?;
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        sync_parent(path)
    };
    write().map_err(|e| {
        let _ = fs::remove_file(&draft);
        failed("write", path, e)
    })
}

/// Reads a file, `None` if it is not there.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(failed("read", path, e)),
    }
}

/// Removes a file that may not be there.
pub fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Puts the directory's entries on disk.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(dir) => fs::File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

/// The SHA-256 of a file in hexadecimal.
pub fn sha256(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
    let mut buffer = vec![0; 256 << 10];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(base::hex::encode(digest.finish().as_ref()));
        }
        digest.update(buffer.get(..read).unwrap_or_default());
    }
}

/// What became of a file operation, in the house's words.
pub fn failed(verb: &str, path: &Path, e: io::Error) -> Error {
    let message = format!("cannot {verb} {}: {e}", path.display());
    match e.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::exhausted("host.disk_full", message),
        _ => Error::unavailable("host.file_failed", message),
    }
    .because(e)
}
