//! A directory: each piece a new file, none ever changed.

use std::io::ErrorKind;
use std::path::Path;

use base::{Error, Result};
use gate::audit::{Shipment, VerifyingKey};

pub(super) fn put(folder: &Path, piece: &Shipment, key: &VerifyingKey) -> Result<()> {
    let (path, text) = (folder.join(piece.name()).with_extension("jsonl"), piece.lines(key));
    let unwritable = |e: std::io::Error| {
        Error::unavailable("shipping.directory", format!("cannot write {}: {e}", path.display())).because(e)
    };
    // A directory that is not there may be a disk that is not mounted: to make one would fill this host's.
    if !folder.is_dir() {
        let message = format!("the directory {} is not there; is the other host's disk mounted?", folder.display());
        return Err(Error::unavailable("shipping.directory", message));
    }
    match std::fs::read(&path) {
        // Sent before a crash, and not remembered.
        Ok(there) if there == text.as_bytes() => return Ok(()),
        Ok(_) => {
            let message = format!(
                "{} is there with something else in it: another log, or this one with another history; look at it before anything else",
                path.display()
            );
            return Err(Error::conflict("shipping.taken", message));
        }
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) => return Err(unwritable(e)),
    }
    vault::place::put(&path, &[text.into()]).map_err(unwritable)
}
