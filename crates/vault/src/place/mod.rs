//! Where repositories lie. A place keeps files of six kinds by name and knows nothing of what is
//! in them: the layout is restic's, so that restic reads what lies there.

mod bucket;
mod folder;
mod http;
mod lock;
mod server;

use std::ops::Range;
use std::sync::Arc;

use base::Result;
use bytes::Bytes;

pub(crate) use bucket::Bucket;
pub use folder::{Folder, UNFINISHED, put, sync_folder};

use crate::request::Place;

/// The kinds of file in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The repository's particulars, one file.
    Config,
    /// Its master key, under a password each.
    Keys,
    /// Who works in it, as restic says so.
    Locks,
    /// Snapshots.
    Snapshots,
    /// Which piece is in which pack.
    Index,
    /// Packs of pieces.
    Data,
}

impl Kind {
    /// All that are directories.
    pub const FOLDERS: [Kind; 5] = [Kind::Keys, Kind::Locks, Kind::Snapshots, Kind::Index, Kind::Data];

    /// The directory of the kind, or the file's own name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Config => "config",
            Kind::Keys => "keys",
            Kind::Locks => "locks",
            Kind::Snapshots => "snapshots",
            Kind::Index => "index",
            Kind::Data => "data",
        }
    }
}

/// A place in which one repository lies.
pub(crate) trait Store: Send + Sync + 'static {
    /// How to speak of it; holds no secret.
    fn describe(&self) -> String;
    /// Makes it ready for a new repository.
    fn create(&self) -> Result<()>;
    /// Names and sizes of all files of a kind, in no order.
    fn list(&self, kind: Kind) -> Result<Vec<(String, u64)>>;
    /// A file, or the part of it in a range.
    fn read(&self, kind: Kind, name: &str, range: Option<Range<u64>>) -> Result<Bytes>;
    /// Puts a file there, whole or not at all; it stays through a loss of power.
    fn write(&self, kind: Kind, name: &str, parts: &[Bytes]) -> Result<()>;
    /// Removes a file; it is no error when it is gone already.
    fn remove(&self, kind: Kind, name: &str) -> Result<()>;
    /// Whether the place itself refuses to remove data for whoever opened it so; `None` where that cannot
    /// be tried without doing harm.
    ///
    /// # Errors
    /// Where the place cannot be asked.
    fn guarded(&self) -> Result<Option<bool>> {
        Ok(None)
    }
}

/// The place that a request names.
pub(crate) fn open(place: &Place) -> Result<Arc<dyn Store>> {
    Ok(match place {
        Place::Folder(path) => Arc::new(Folder::new(path.clone())),
        Place::Server { url, user, secret, authority } => {
            Arc::new(server::Server::new(url, user, secret, authority.as_deref())?)
        }
        Place::Bucket(bucket) => Arc::new(bucket::Bucket::new(bucket)?),
    })
}
