//! Files that a command names.

use std::path::{Path, PathBuf};

use base::{Error, Result};

/// A file's text: a certificate, a secret.
///
/// # Errors
/// `Invalid` (`file.unreadable`).
pub fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file)
        .map_err(|e| Error::invalid("file.unreadable", format!("cannot read {}: {e}", file.display())))
}

/// The text of a file that may be named.
///
/// # Errors
/// Those of [`read`].
pub fn read_named(file: Option<&PathBuf>) -> Result<Option<String>> {
    file.map(|file| read(file)).transpose()
}
