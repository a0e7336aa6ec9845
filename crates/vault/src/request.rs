//! What can be asked of the vault, what it answers, and what it tells meanwhile.
//!
//! These types are the boundary: nothing outside sees the engine behind them. They cross to the
//! child process as JSON.

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use base::Secret;
use serde::{Deserialize, Serialize};

/// A repository: where it lies and what opens it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Repository {
    /// Where it lies.
    pub place: Place,
    /// What opens it.
    pub key: Key,
    /// A directory in which indexes and trees of a far repository are kept, encrypted as they are
    /// there. Worth having for servers and buckets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<PathBuf>,
}

/// Where a repository lies.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// A directory of this machine.
    Folder(PathBuf),
    /// A server that speaks restic's REST protocol.
    Server {
        /// Its address with the repository's name: `https://backup.example.com:8430/acme`.
        url: String,
        /// The credential's name.
        user: String,
        /// Its secret.
        secret: Secret,
        /// The authority that its certificate must come from (PEM); none: one that browsers trust.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        authority: Option<String>,
    },
    /// S3-compatible object storage.
    Bucket(Bucket),
}

/// A part of a bucket in S3-compatible object storage.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Bucket {
    /// The service's address: `https://s3.example.com`.
    pub endpoint: String,
    /// The bucket, which must be there.
    pub bucket: String,
    /// Where in it the repository lies; empty: at its root.
    #[serde(default)]
    pub prefix: String,
    /// The region, in the service's own words.
    pub region: String,
    /// The access key.
    pub access_key: String,
    /// Its secret.
    pub secret_key: Secret,
    /// Whether the bucket is a part of the host's name, as AWS wants it.
    #[serde(default)]
    pub virtual_hosted: bool,
    /// The authority that the service's certificate must come from (PEM); none: one that browsers trust.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
}

/// What opens a repository.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// A password of one of its key files, as restic takes it. Half a second and 135 MB each time.
    Password(Secret),
    /// The master key that [`Answer::Made`] told. Costs nothing, opens as long as the repository
    /// lives, and cannot be revoked: keep it wrapped.
    Master(Secret),
}

/// One thing to be done.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Make a repository. Its key must be a password.
    Make {
        /// A second password, which also opens it: kept elsewhere, so that its owner can always
        /// leave with plain restic.
        escrow: Secret,
        /// The repository that this one will get copies from: both then cut data alike, and a
        /// copy takes no second room beside what is there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        alike: Option<Box<Repository>>,
    },
    /// Tell the identifier and the master key of a repository that is there, as [`Task::Make`] did.
    Reveal,
    /// Take a snapshot.
    Backup(Backup),
    /// Tell the snapshots.
    Snapshots,
    /// Tell what is in a directory of a snapshot.
    Browse {
        /// The snapshot's identifier.
        snapshot: String,
        /// The directory, as it was named when backed up. Empty: the root.
        #[serde(default)]
        path: String,
        /// Entries at most, 1 to 10,000; [`Answer::Entries`] says when there are more.
        limit: usize,
    },
    /// Tell what is in a directory of a snapshot, or of a file system on a disk image in it:
    /// `/machines/m1/root.raw/p1/etc`. Nothing is restored for that.
    Look {
        /// The snapshot's identifier.
        snapshot: String,
        /// The directory, as [`base::names`] writes paths. Empty: the root.
        path: String,
        /// Only what comes after this name, as [`base::names`] writes it. Empty: from the beginning.
        after: String,
        /// Entries at most.
        limit: usize,
    },
    /// Bring one file out, or a directory as a tar archive; also from within a disk image.
    Fetch {
        /// The snapshot's identifier.
        snapshot: String,
        /// The file or directory, as [`base::names`] writes paths.
        path: String,
        /// The file that it becomes, which must not be there.
        to: PathBuf,
        /// Bytes that it may have.
        bytes_max: u64,
    },
    /// Bring data back.
    Restore(Restore),
    /// Look whether the repository is whole.
    Check {
        /// How much of the data is read and hashed.
        read: Read,
    },
    /// Bring snapshots into another repository, by transferring their data.
    Copy {
        /// Where to.
        to: Box<Repository>,
        /// Which; those already there are not copied twice.
        snapshots: Vec<String>,
    },
    /// Let go of snapshots; those that are gone already are let go of. Their data stays until it is pruned.
    Forget {
        /// Which, by full identifier.
        snapshots: Vec<String>,
    },
    /// Remove data that no snapshot holds. For the one scheduler that owns it, never beside another.
    Prune {
        /// Data is only marked at first, and removed by a later prune after this many hours:
        /// what a backup that ran meanwhile counts on is still there.
        grace_hours: u32,
    },
    /// Make the index tell what is there: after packs were lost and their data was stored again,
    /// or the index itself was lost. For the one who may prune.
    Repair,
}

/// What to back up, and how the snapshot is to be found again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Backup {
    /// What.
    pub source: Source,
    /// The host it belongs to.
    pub host: String,
    /// Tags; no commas.
    #[serde(default)]
    pub tags: Vec<String>,
    /// A label; snapshots of the same host, label and path continue one another.
    #[serde(default)]
    pub label: String,
    /// What happens when a part cannot be read.
    #[serde(default)]
    pub unreadable: Unreadable,
}

/// What is backed up.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A file, or a directory with all that is below it; of a symbolic link what it leads to.
    Path {
        /// Where it is now.
        path: PathBuf,
        /// The name it has in the snapshot, the same each time, where `path` is a passing one
        /// such as a mounted file-system snapshot.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        named: Option<PathBuf>,
        /// Patterns in gitignore's syntax that are left out.
        #[serde(default)]
        except: Vec<String>,
    },
    /// Files and directories, each under its own path; of a symbolic link among them what it leads to.
    Paths {
        /// Where they are: whole paths. What lies below another one of them is in it already.
        paths: Vec<PathBuf>,
        /// Patterns in gitignore's syntax that are left out.
        #[serde(default)]
        except: Vec<String>,
    },
    /// Disks: image files or block devices. They are cut into pieces of one size, so that what
    /// changes is stored and little else; holes are not read. Restored, they are files.
    Images {
        /// The directory that they lie in, in the snapshot: the same each time.
        named: PathBuf,
        /// The disks; one at the least.
        images: Vec<Image>,
    },
    /// A stream, such as a database's dump: [`crate::client::Worker::run`] is given it.
    Stream {
        /// The name of the file that it becomes.
        named: PathBuf,
    },
}

/// A disk that is backed up.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Image {
    /// Where it is now.
    pub path: PathBuf,
    /// The name of the file that it is in the snapshot; each once.
    pub name: String,
    /// What changed since an earlier snapshot, where that is known. Without it all of a disk
    /// is read, unless its file system says that nothing was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<Changed>,
}

/// What changed of a disk, as a hypervisor's dirty bitmap tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// The snapshot since which nothing else changed. Where it is gone, or was not taken as an
    /// image, all is read.
    pub since: String,
    /// Where: offset and length in bytes, in any order. Too much does no harm; some 200,000 at
    /// most, as requests have a largest size: join those that lie near one another.
    pub ranges: Vec<(u64, u64)>,
}

/// What a backup does when a part of its source cannot be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unreadable {
    /// No snapshot is written.
    #[default]
    Refuse,
    /// The snapshot is written without it, and the answer names it. For live directories, in
    /// which files come and go.
    Report,
}

/// What to bring back, and where to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Restore {
    /// The snapshot's identifier.
    pub snapshot: String,
    /// A file or directory in it; empty: everything.
    #[serde(default)]
    pub path: String,
    /// The directory that it becomes or, for a file, that it comes to lie in. Must not be there
    /// yet, or be empty: it appears under this name only when all of it was restored and hashed.
    pub to: PathBuf,
    /// Leave holes where there are only zeros, as suits disk images.
    #[serde(default)]
    pub sparse: bool,
    /// Keep the owners of files by number; needs to run as root.
    #[serde(default)]
    pub owners: bool,
}

/// How much of a repository's data a check reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Read {
    /// None: only that everything that should be there is, with its right size.
    Nothing,
    /// Part `of` parts, 1-based: reading each in turn reads everything.
    Part {
        /// Which.
        part: u32,
        /// Of how many.
        of: u32,
    },
    /// All of it.
    Everything,
}

/// What the child process may use.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Limits {
    /// Memory it may fill, in MiB.
    pub memory_mib: u64,
    /// How long it may take, in seconds.
    pub seconds: u64,
    /// How much it steps behind others for the processor, 0 to 19.
    pub nice: i32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { memory_mib: 2_048, seconds: 24 * 3_600, nice: 10 }
    }
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What is being done, in the engine's English words.
    pub phase: String,
    /// How much of it is done.
    pub done: u64,
    /// Out of how much, where known.
    pub total: Option<u64>,
    /// Whether these are bytes, or else things.
    pub bytes: bool,
}

/// What came of a task.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// A repository was made, or opens.
    Made {
        /// Its identifier.
        repository: String,
        /// Its master key: see [`Key::Master`].
        master: Secret,
    },
    /// A snapshot was taken.
    Taken {
        /// The snapshot.
        snapshot: Snapshot,
        /// What was not read, where [`Unreadable::Report`] was asked for. Not empty: not all is in it.
        unread: Vec<String>,
    },
    /// The snapshots, oldest first.
    Snapshots(Vec<Snapshot>),
    /// What is in a directory.
    Entries {
        /// In order of name.
        entries: Vec<Entry>,
        /// There are more than were asked for.
        more: bool,
    },
    /// What is in a directory that was looked into.
    Seen {
        /// In order of the names' bytes.
        items: Vec<Item>,
        /// There is more after this name.
        next: Option<String>,
    },
    /// A file was brought out.
    Fetched {
        /// Its bytes.
        bytes: u64,
        /// Their SHA-256.
        sha256: String,
        /// It is a directory, as a tar archive.
        archive: bool,
    },
    /// Data was brought back and hashed.
    Restored(Restored),
    /// The repository was looked at.
    Checked(Checked),
    /// Snapshots are in the other repository now: identifiers here → there.
    Copied(BTreeMap<String, String>),
    /// Snapshots were let go.
    Forgotten(Vec<String>),
    /// Data was marked or removed.
    Pruned {
        /// Bytes that this run removed.
        removed_bytes: u64,
        /// Bytes that a later run will remove, when their grace has passed.
        marked_bytes: u64,
    },
    /// The index tells what is there.
    Repaired,
}

/// A state of something, kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its identifier, 64 hexadecimal digits.
    pub id: String,
    /// When it was taken, RFC 3339.
    pub time: String,
    /// The host it belongs to.
    pub host: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its label.
    pub label: String,
    /// The paths in it.
    pub paths: Vec<String>,
    /// The root of its contents: equal for equal contents and attributes.
    pub tree: String,
    /// In a copy: the identifier of what it is a copy of.
    pub original: Option<String>,
    /// Figures, where the program that took it left any.
    pub figures: Option<Figures>,
}

/// What a backup did.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Files looked at.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that were new or changed.
    pub files_changed: u64,
    /// Bytes that were new to the repository.
    pub added_bytes: u64,
    /// What these took in the repository.
    pub stored_bytes: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// `file`, `dir`, `symlink` and so on, in restic's words.
    pub kind: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was changed last, RFC 3339.
    pub modified: Option<String>,
    /// Its permission bits.
    pub mode: Option<u32>,
}

/// What lies in a directory that is looked into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its name, as [`base::names`] writes it.
    pub name: String,
    /// What it is.
    pub kind: ItemKind,
    /// Its size in bytes.
    pub size: u64,
    /// When it was changed last, RFC 3339.
    pub modified: Option<String>,
    /// Its permission bits.
    pub mode: Option<u32>,
    /// Where a symbolic link leads, as [`base::names`] writes a name, slashes kept.
    pub target: Option<String>,
    /// The file system on a volume, in the words of Linux; empty where nobody knows it.
    pub filesystem: Option<String>,
    /// What a volume is called.
    pub label: Option<String>,
    /// Whether there is something in it to look at.
    pub opens: bool,
}

/// What something is that lies in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemKind {
    /// A file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link; it is not followed.
    Symlink,
    /// The image of a disk.
    Disk,
    /// A part of a disk.
    Volume,
    /// A device, a pipe, a socket, or something whose description is damaged.
    Other,
}

/// What a restore brought back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Restored {
    /// Files whose contents were hashed and are those of the snapshot: all of them.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// SHA-256 over every path and its contents' hashes, in order of path.
    pub digest: String,
    /// Seconds until the data was there.
    pub seconds: f64,
    /// Seconds that hashing it took.
    pub verify_seconds: f64,
    /// Attributes (owner, mode, times) that could not be set. The contents are whole.
    pub warnings: Vec<String>,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    /// The snapshots whose trees were walked.
    pub snapshots: u64,
    /// Whether there is anything in `faults`.
    pub whole: bool,
    /// What is wrong; at most 100.
    pub faults: Vec<String>,
    /// What is odd and does no harm; at most 100.
    pub remarks: Vec<String>,
    /// Whether the place refused to remove data for whoever looked; `None` where that cannot be tried.
    #[serde(default)]
    pub guarded: Option<bool>,
}
