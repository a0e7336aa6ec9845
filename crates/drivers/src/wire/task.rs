//! Finite things that the server asks of a host's agent, beside intents, which say how things
//! should be for ever.
//!
//! **Invariants.**
//! - A task is named by its id: asking for it twice gives the same result once.
//! - Every answer to a poll lists all open tasks of the host. One that is no longer listed has
//!   ended or was cancelled: the agent stops it and forgets its outcome.
//! - A task holds no secret. What opens a repository is fetched just before the work
//!   ([`path::TASKS`](super::path::TASKS)) and kept nowhere.

use std::collections::BTreeMap;

use base::time::Timestamp;
use base::{Error, Result, Secret, limits};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    DRILLED, DataDrilled, DataRestored, DataSource, DataTaken, DataTarget, IntentId, Marker, Problem, RecoveryId,
    SavedItem, TaskId,
};

/// One finite thing that a host's agent is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostTask {
    /// Its name. Never used again for another one.
    pub id: TaskId,
    /// What is to be done.
    pub work: Work,
}

/// What a task is. Repositories are meant by their place in the task's access.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Work {
    /// Make the repository `access[0]`, whose key is a password. The last one of the access is the
    /// same place with a second password, which is kept elsewhere.
    MakeRepository {
        /// `access[1]` is the repository that this one will get copies from.
        alike: bool,
    },
    /// Take a recovery point of a machine's disks into `access[0]`.
    BackUpMachine {
        /// The machine.
        machine: IntentId,
        /// The tag of the snapshot, by which one that is there already is found again.
        tag: String,
    },
    /// Take a recovery point of a data set into `access[0]`.
    BackUpData {
        /// The data set's id.
        set: String,
        /// What it is.
        source: DataSource,
        /// The tag of the snapshot, by which one that is there already is found again.
        tag: String,
    },
    /// Bring a data set back from `access[0]`. What it makes is new, and bears the restore's id.
    RestoreData {
        /// The data set's id.
        set: String,
        /// What it was.
        source: DataSource,
        /// The restore's id.
        restore: String,
        /// The snapshot.
        snapshot: String,
        /// Where to.
        to: DataTarget,
    },
    /// Bring a database back from `access[0]` to see that it could be: load its dump into a new database,
    /// or recover its server, ask for its newest record, and let go of all of it. The name of what is made
    /// follows from the drill's id.
    DrillData {
        /// The data set's id.
        set: String,
        /// What it was.
        source: DataSource,
        /// The drill's id, of which there is no second one.
        drill: String,
        /// The snapshot.
        snapshot: String,
        /// The database.
        database: String,
        /// Of a server with its logs: as of when; the newest that there is unless said otherwise.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<String>")]
        at: Option<Timestamp>,
        /// The snapshot whose logs lead there, where that is another one than the base's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        logs: Option<String>,
        /// Where its newest record is.
        marker: Marker,
    },
    /// Let go of whatever a drill of that id has left here, or at the server.
    EndDrill {
        /// What it was.
        source: DataSource,
        /// The drill's id.
        drill: String,
    },
    /// Let go of what is kept for a data set between its points: logs here, and their slot at the server.
    EndData {
        /// The data set's id.
        set: String,
        /// What it was.
        source: DataSource,
    },
    /// Bring snapshots from `access[0]` into `access[1]`.
    CopySnapshots {
        /// Which, by identifier in `access[0]`.
        snapshots: Vec<String>,
    },
    /// Look whether `access[0]` is whole and holds these snapshots.
    CheckRepository {
        /// Which, by identifier.
        snapshots: Vec<String>,
        /// How much of the data is read and hashed.
        read: ReadShare,
    },
    /// Let go of snapshots of `access[0]`, then prune it.
    ForgetSnapshots {
        /// Which, by identifier.
        snapshots: Vec<String>,
        /// What no snapshot holds any more is only marked at first, and removed by a later prune after so long.
        grace_hours: u32,
    },
    /// See that damage is found: copy a snapshot from `access[0]` into a repository of its own, damage
    /// that copy, and restore a file from it. Nothing else is touched, and nothing stays.
    RestoreDamaged {
        /// The snapshot.
        snapshot: String,
        /// The file in it.
        path: String,
    },
    /// Tell what is in a directory of a snapshot of `access[0]`, also inside of a disk.
    LookInto {
        /// The snapshot.
        snapshot: String,
        /// The directory, as [`base::names`] writes paths; empty: the root.
        path: String,
        /// Only what comes after this name; empty: from the beginning.
        after: String,
    },
    /// Bring a file out of a snapshot of `access[0]`, or a directory as a tar archive, and hand it over.
    FetchFile {
        /// The snapshot.
        snapshot: String,
        /// Its path, as [`base::names`] writes paths.
        path: String,
        /// Bytes that it may have.
        bytes_max: u64,
    },
    /// End a machine that a drill made as a crash would, without a word to whoever watches it here, and tell
    /// how long it took until the server had been told by that watch.
    LoseMachine {
        /// The machine. Refused where not every disk of it was made for that recovery, or where it reaches
        /// out of its host.
        machine: IntentId,
        /// The drill's recovery.
        recovery: RecoveryId,
    },
    /// Work that this version does not know. Reported as failed.
    #[serde(other)]
    Unknown,
}

impl Work {
    /// Whether this can be asked of an agent.
    ///
    /// # Errors
    /// `Invalid` (`task.malformed`) naming what is wrong.
    pub fn check(&self) -> Result<()> {
        let malformed = |message: &str| Err(Error::invalid("task.malformed", message));
        match self {
            Work::Unknown => malformed("there is no such work"),
            Work::BackUpMachine { tag, .. } if !is_tag(tag) => {
                malformed("a tag is 1 to 128 letters, digits and any of : . _ -")
            }
            Work::CheckRepository { read: ReadShare::Part { part, of }, .. } if *part == 0 || part > of => {
                malformed("parts are counted from 1")
            }
            Work::CopySnapshots { snapshots } | Work::ForgetSnapshots { snapshots, .. } if snapshots.is_empty() => {
                malformed("no snapshot is named")
            }
            Work::CopySnapshots { snapshots }
            | Work::CheckRepository { snapshots, .. }
            | Work::ForgetSnapshots { snapshots, .. } => match snapshots.iter().all(|id| is_snapshot(id)) {
                _ if snapshots.len() > limits::TASK_SNAPSHOTS_MAX => malformed("too many snapshots for one task"),
                true => Ok(()),
                false => malformed("a snapshot is named by 64 hexadecimal digits"),
            },
            Work::RestoreDamaged { snapshot, path } if !is_snapshot(snapshot) || path.is_empty() => {
                malformed("a file is named by its snapshot's 64 hexadecimal digits and its path")
            }
            Work::BackUpData { set, tag, .. } if !is_tag(set) || !is_tag(tag) => {
                malformed("a data set and a tag are 1 to 128 letters, digits and any of : . _ -")
            }
            Work::EndData { set, .. } if !is_tag(set) => malformed("a data set is named by its id"),
            Work::BackUpData { source, .. } | Work::EndData { source, .. } => source.check(),
            Work::RestoreData { set, restore, snapshot, .. }
                if !is_tag(set) || !is_tag(restore) || !is_snapshot(snapshot) =>
            {
                malformed("a restore is named by its id, its data set's and the snapshot's 64 hexadecimal digits")
            }
            Work::RestoreData { source, to, .. } => source.check().and_then(|()| to.check()),
            Work::DrillData { set, drill, snapshot, logs, .. }
                if !is_tag(set)
                    || !is_drill(drill)
                    || !is_snapshot(snapshot)
                    || !logs.iter().all(|id| is_snapshot(id)) =>
            {
                malformed("a drill is named by its id, its data set's and its snapshots' 64 hexadecimal digits")
            }
            Work::EndDrill { drill, .. } if !is_drill(drill) => malformed("a drill is named by its id"),
            Work::EndDrill { source, .. } => source.check(),
            Work::DrillData { source, database, marker, .. } => {
                source.check()?;
                marker.fits(source)?;
                // The same rules as for a restore of it.
                DataTarget::Database { database: database.clone(), name: DRILLED.to_owned() }.check()
            }
            Work::LookInto { snapshot, path, .. } | Work::FetchFile { snapshot, path, .. }
                if !is_snapshot(snapshot) || !is_inside(path) =>
            {
                malformed("what is looked at is named by its snapshot's 64 hexadecimal digits and a path inside")
            }
            Work::LookInto { after, .. } if !after.is_empty() && !is_name(after) => {
                malformed("a page begins after a name")
            }
            Work::MakeRepository { .. } | Work::BackUpMachine { .. } | Work::RestoreDamaged { .. } => Ok(()),
            Work::LookInto { .. } | Work::FetchFile { .. } | Work::LoseMachine { .. } => Ok(()),
        }
    }
}

/// What can be a part of a database's name.
fn is_drill(id: &str) -> bool {
    (1..=48).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn is_tag(tag: &str) -> bool {
    (1..=128).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b":._-".contains(&b))
}

/// Whether a path leads to something inside of a snapshot, and nowhere else.
fn is_inside(path: &str) -> bool {
    path.len() <= limits::INSIDE_PATH_BYTES_MAX
        && base::names::path(path).is_some_and(|names| names.len() <= limits::INSIDE_DEPTH_MAX)
}

/// Whether something in a directory can be called so.
fn is_name(name: &str) -> bool {
    name.len() <= limits::INSIDE_NAME_BYTES_MAX && base::names::name(name).is_some()
}

fn is_snapshot(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// How much of a repository's data a check reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ReadShare {
    /// None: only that everything that should be there is, with its right size.
    Nothing,
    /// Part `part` of `of`, counted from 1: reading each in turn reads everything.
    Part {
        /// Which.
        part: u32,
        /// Of how many.
        of: u32,
    },
    /// All of it.
    Everything,
}

/// How a task goes, in a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskReport {
    /// The task.
    pub id: TaskId,
    /// How it stands.
    pub state: TaskState,
    /// How far it is, while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<TaskProgress>,
    /// What came of it, once it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Why it failed, or what it is held up by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// The host's clock when this was so.
    #[schemars(with = "String")]
    pub at: Timestamp,
}

/// How a task stands on its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum TaskState {
    /// It is being done, or waits for its turn.
    Running,
    /// It is done; the outcome says what came of it.
    Succeeded,
    /// It cannot be done; the problem says why.
    Failed,
    /// A state that this version does not know.
    #[serde(other)]
    Unknown,
}

/// How far a task is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskProgress {
    /// What is being done, in the words of who does it.
    pub phase: String,
    /// How much of it is done.
    pub done: u64,
    /// Out of how much, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Whether these are bytes, or else things.
    pub bytes: bool,
}

/// What came of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Outcome {
    /// A repository was made.
    RepositoryMade {
        /// Its identifier.
        repository: String,
        /// Its master key. The server seals it at once and stores it nowhere else.
        master: Secret,
    },
    /// A recovery point was taken.
    MachineBackedUp {
        /// The snapshot.
        snapshot: String,
        /// The root of its contents: equal for equal contents.
        tree: String,
        /// The instant that the disks are of.
        #[schemars(with = "String")]
        taken_at: Timestamp,
        /// What was done so that they are of one instant.
        consistency: Consistency,
        /// The disks.
        disks: Vec<DiskCopy>,
        /// Their bytes, all together.
        bytes: u64,
        /// Bytes that were new to the repository.
        added_bytes: u64,
        /// What these took in the repository.
        stored_bytes: u64,
        /// How long it took, from the instant that the disks are of.
        seconds: f64,
    },
    /// A recovery point of a data set was taken.
    DataBackedUp {
        /// The snapshot.
        snapshot: String,
        /// The root of its contents: equal for equal contents.
        tree: String,
        /// The instant that it is of; of files, when reading them began.
        #[schemars(with = "String")]
        taken_at: Timestamp,
        /// What was done so that it is of one instant.
        consistency: Consistency,
        /// What is in it.
        data: DataTaken,
        /// Bytes of it.
        bytes: u64,
        /// Bytes that were new to the repository.
        added_bytes: u64,
        /// What these took in the repository.
        stored_bytes: u64,
        /// How long it took.
        seconds: f64,
    },
    /// Nothing is kept for a data set any more.
    DataEnded {},
    /// A data set was brought back.
    DataRestored(DataRestored),
    /// A database came back, was asked for its newest record, and is gone again.
    DataDrilled(DataDrilled),
    /// Nothing of a drill is left.
    DrillEnded {},
    /// Snapshots are in the other repository.
    SnapshotsCopied {
        /// Identifiers in the first → identifiers in the other.
        ids: BTreeMap<String, String>,
        /// How long it took.
        seconds: f64,
    },
    /// A repository was looked at.
    RepositoryChecked {
        /// Which of the snapshots that were asked for are there.
        snapshots: Vec<String>,
        /// Whether all that was looked at is as it should be.
        whole: bool,
        /// What is not.
        faults: Vec<String>,
        /// Whether the place refused to remove data for this host; absent where that cannot be tried.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        guarded: Option<bool>,
        /// How long it took.
        seconds: f64,
    },
    /// Snapshots were let go.
    SnapshotsForgotten {
        /// Bytes that this prune removed.
        removed_bytes: u64,
        /// Bytes that a later one will remove.
        marked_bytes: u64,
    },
    /// A copy that was damaged on purpose was restored from.
    DamageTried {
        /// What the restore failed with; `None`: it did not.
        found: Option<Problem>,
        /// How many files of the copy were damaged.
        damaged: u32,
        /// How long it took.
        seconds: f64,
    },
    /// What is in a directory.
    LookedInto {
        /// In order of the names' bytes.
        items: Vec<SavedItem>,
        /// There is more after this name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<String>,
    },
    /// A file was handed over.
    FileFetched {
        /// Its bytes.
        bytes: u64,
        /// Their SHA-256.
        sha256: String,
        /// It is a directory, as a tar archive.
        archive: bool,
    },
    /// A machine was ended, and the server has been told so by whoever watches it.
    LossSeen {
        /// The life that was ended.
        life: u64,
        /// From just before its end until the server had acknowledged the report of it, in milliseconds by the
        /// host's steady clock.
        milliseconds: u64,
    },
    /// Something that this version does not know.
    #[serde(other)]
    Unknown,
}

/// The server's receipt for a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileTaken {
    /// Bytes that came.
    pub bytes: u64,
    /// Their SHA-256.
    pub sha256: String,
}

impl Outcome {
    /// Whether this can have come of that work.
    pub fn fits(&self, work: &Work) -> bool {
        matches!(
            (work, self),
            (Work::MakeRepository { .. }, Outcome::RepositoryMade { .. })
                | (Work::BackUpMachine { .. }, Outcome::MachineBackedUp { .. })
                | (Work::BackUpData { .. }, Outcome::DataBackedUp { .. })
                | (Work::RestoreData { .. }, Outcome::DataRestored(_))
                | (Work::DrillData { .. }, Outcome::DataDrilled(_))
                | (Work::EndDrill { .. }, Outcome::DrillEnded {})
                | (Work::EndData { .. }, Outcome::DataEnded {})
                | (Work::CopySnapshots { .. }, Outcome::SnapshotsCopied { .. })
                | (Work::CheckRepository { .. }, Outcome::RepositoryChecked { .. })
                | (Work::ForgetSnapshots { .. }, Outcome::SnapshotsForgotten { .. })
                | (Work::RestoreDamaged { .. }, Outcome::DamageTried { .. })
                | (Work::LookInto { .. }, Outcome::LookedInto { .. })
                | (Work::FetchFile { .. }, Outcome::FileFetched { .. })
                | (Work::LoseMachine { .. }, Outcome::LossSeen { .. })
        )
    }

    /// Whether it carries something that must not be stored in clear.
    pub fn is_secret(&self) -> bool {
        matches!(self, Outcome::RepositoryMade { .. })
    }

    /// The same with its secrets left out.
    #[must_use]
    pub fn without_secrets(self) -> Self {
        match self {
            Outcome::RepositoryMade { repository, .. } => {
                Outcome::RepositoryMade { repository, master: Secret::default() }
            }
            other => other,
        }
    }
}

/// What a disk is made from that was saved in a snapshot.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecoveryAccess {
    /// The repository and what opens it, as the vault reads it: with secrets.
    pub repository: serde_json::Value,
    /// The snapshot in it.
    pub snapshot: String,
    /// Where the disk is in the snapshot.
    pub path: String,
    /// The disk's size as its guest saw it.
    pub bytes: u64,
}

/// What was done so that what was taken is of one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Consistency {
    /// The machine did not run.
    Stopped,
    /// All disks are of one instant, as after a power cut.
    CrashConsistent,
    /// The guest had written down everything and held still.
    FilesystemFrozen,
    /// Each file is as it was when it was read; together they are of no one instant.
    FileByFile,
    /// A database as one transaction sees it.
    Transaction,
    /// A database of which some tables know no transactions: these are as they were when they were read.
    TableByTable,
    /// A word that this version does not know.
    #[serde(other)]
    Unknown,
}

/// One disk in a recovery point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiskCopy {
    /// The disk's name within its machine.
    pub name: String,
    /// Its size as the guest sees it.
    pub bytes: u64,
    /// Where it is in the snapshot.
    pub path: String,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn work_that_cannot_be_asked_for_is_refused() {
        let snapshots = vec!["a".repeat(64)];
        let read = ReadShare::Part { part: 2, of: 2 };
        assert!(Work::CheckRepository { snapshots: snapshots.clone(), read }.check().is_ok());
        assert!(Work::ForgetSnapshots { snapshots: snapshots.clone(), grace_hours: 0 }.check().is_ok());
        let backup = |tag: &str| Work::BackUpMachine { machine: "m1".parse().unwrap(), tag: tag.into() };
        assert!(backup("task:htsk_1").check().is_ok());
        let none = ReadShare::Part { part: 0, of: 2 };
        for bad in [
            Work::Unknown,
            backup(""),
            backup("a,b"),
            backup(&"a".repeat(129)),
            Work::CopySnapshots { snapshots: vec![] },
            Work::CopySnapshots { snapshots: vec!["latest".into()] },
            Work::CopySnapshots { snapshots: vec!["a".repeat(64); limits::TASK_SNAPSHOTS_MAX + 1] },
            Work::CheckRepository { snapshots, read: none },
            Work::LookInto { snapshot: "latest".into(), path: "/etc".into(), after: String::new() },
            Work::LookInto { snapshot: "a".repeat(64), path: "/etc/../x".into(), after: String::new() },
            Work::LookInto { snapshot: "a".repeat(64), path: "/etc".into(), after: "..".into() },
            Work::FetchFile { snapshot: "a".repeat(64), path: "/%2e%2e".into(), bytes_max: 1 },
            Work::LookInto { snapshot: "a".repeat(64), path: "/etc".into(), after: "x".repeat(1_025) },
            Work::LookInto { snapshot: "a".repeat(64), path: "/x".repeat(129), after: String::new() },
            Work::FetchFile { snapshot: "a".repeat(64), path: "/x".repeat(129), bytes_max: 1 },
            Work::FetchFile { snapshot: "a".repeat(64), path: format!("/{}", "x".repeat(9_000)), bytes_max: 1 },
        ] {
            assert_eq!(bad.check().unwrap_err().code(), "task.malformed", "{bad:?}");
        }
    }

    #[test]
    fn work_and_outcomes_of_another_age_are_tolerated() {
        let task: HostTask =
            serde_json::from_value(json!({ "id": "htsk_1", "work": { "type": "defragment", "how": 1 } })).unwrap();
        assert_eq!(task.work, Work::Unknown);
        let outcome: Outcome = serde_json::from_value(json!({ "type": "defragmented", "by": 3 })).unwrap();
        assert_eq!(outcome, Outcome::Unknown);
        assert!(!outcome.fits(&task.work));
        for bad in ["", "../x", "a/b", "-a"] {
            assert!(
                serde_json::from_value::<HostTask>(json!({ "id": bad, "work": { "type": "x" } })).is_err(),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn a_master_key_is_not_printed_and_can_be_left_out() {
        let made = Outcome::RepositoryMade { repository: "r".into(), master: Secret::new("hush") };
        assert!(!format!("{made:?}").contains("hush"));
        assert!(made.is_secret());
        assert!(!serde_json::to_string(&made.without_secrets()).unwrap().contains("hush"));
    }
}
