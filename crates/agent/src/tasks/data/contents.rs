//! What a snapshot of dumps says of itself, in a file beside them: for a restore, and for people who
//! look at it with plain restic.

use std::path::Path;

use base::{Error, Result};
use drivers::wire::{Consistency, DataTaken};
use serde::{Deserialize, Serialize};
use vault::request::Snapshot;

use crate::files::{self, failed};

/// Its name.
pub(super) const FILE: &str = "contents.json";

/// What is in a directory of dumps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Contents {
    /// The server's own words for what it is.
    pub server: String,
    /// The databases.
    pub databases: Vec<Dumped>,
    /// Tables that know no transactions.
    #[serde(default)]
    pub loose: Vec<String>,
}

/// A database and its file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Dumped {
    /// Its name.
    pub name: String,
    /// The file's name.
    pub file: String,
    /// How its text is encoded.
    #[serde(default)]
    pub encoding: String,
    /// How it is sorted.
    #[serde(default)]
    pub collate: String,
    /// What its letters are.
    #[serde(default)]
    pub ctype: String,
}

impl Dumped {
    /// The database that comes at that place: its file has a name that any file system takes.
    pub fn new(at: usize, name: &str, end: &str) -> Dumped {
        Dumped { name: name.to_owned(), file: format!("{:04}.{end}", at + 1), ..Dumped::default() }
    }
}

impl Contents {
    pub fn write(&self, into: &Path) -> Result<()> {
        let bytes = serde_json::to_vec_pretty(self)
            .map_err(|e| Error::bug("dataSet.contents", "what was dumped cannot be written down").because(e))?;
        files::write_private(&into.join(FILE), &bytes)
    }

    pub fn read(from: &Path) -> Result<Contents> {
        let path = from.join(FILE);
        let bytes = std::fs::read(&path).map_err(|e| failed("read", &path, e))?;
        let read: Contents = serde_json::from_slice(&bytes)
            .map_err(|e| Error::conflict("dataSet.contents", "the snapshot does not say what it holds").because(e))?;
        // A file's name comes from a repository, and leads nowhere else.
        match read.databases.iter().any(|one| one.file.contains('/') || one.file.starts_with('.')) {
            true => Err(Error::conflict("dataSet.contents", "the snapshot names a file outside of it")),
            false => Ok(read),
        }
    }

    pub fn find(&self, database: &str) -> Result<&Dumped> {
        self.databases.iter().find(|one| one.name == database).ok_or_else(|| {
            let known: Vec<&str> = self.databases.iter().map(|one| one.name.as_str()).collect();
            let message = format!("there is no database {database} in it; there are {}", known.join(", "));
            Error::not_found("dataRestore.database", message)
        })
    }

    pub fn consistency(&self) -> Consistency {
        if self.loose.is_empty() { Consistency::Transaction } else { Consistency::TableByTable }
    }

    pub fn data(&self, snapshot: &Snapshot) -> DataTaken {
        DataTaken {
            files: snapshot.figures.map_or(0, |figures| figures.files),
            databases: self.databases.iter().map(|one| one.name.clone()).collect(),
            loose: self.loose.iter().take(super::UNREAD_MAX).cloned().collect(),
            ..DataTaken::default()
        }
    }
}
