//! Host tasks, done with libvirt and the backup engine.
//!
//! The engine runs in child processes of its own (`yunwei-vault`); what opens a repository goes to it
//! through a pipe and is kept nowhere. Copies of disks lie in `DATA/backups/<task>` while they are read.

mod data;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use base::time::Timestamp;
use base::{Error, Result, Secret, limits};
use drivers::converge::ControlPlane;
use drivers::tasks::{Cancel, Worker};
use drivers::wire::{
    Consistency, DiskCopy, HostTask, IntentId, Outcome, Problem, ReadShare, SavedItem, SavedKind, TaskId, TaskProgress,
    Work,
};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::Deserialize;
use vault::client;
use vault::fault;
use vault::request::{
    Answer, Backup, Checked, Entry, Image, Item, ItemKind, Key, Place, Progress, Read, Repository, Restore, Snapshot,
    Source, Task, Unreadable,
};
use vault::spoil;

use crate::files::{self, failed};
use crate::libvirt::Libvirt;

/// Longest fault of a check that is passed on, and how many.
const FAULT_CHARS_MAX: usize = 500;
const FAULTS_MAX: usize = 50;
/// What the tags begin with that say of which instant a snapshot is, and how that was got.
const TAKEN: &str = "taken:";
const CONSISTENCY: &str = "consistency:";

/// Who does tasks on this host.
pub struct Hands {
    /// Absent where the agent looks after no machines.
    libvirt: Option<Arc<Libvirt>>,
    server: Arc<dyn ControlPlane>,
    vault: client::Worker,
    data: PathBuf,
    scratch: PathBuf,
}

/// What a task is given: what opens its repositories, and for a database the password there.
#[derive(Deserialize)]
#[serde(untagged)]
enum Access {
    Repositories(Vec<Repository>),
    WithPassword { repositories: Vec<Repository>, password: Secret },
}

/// One task at work.
struct Job<'a> {
    hands: &'a Hands,
    access: Vec<Repository>,
    password: Option<Secret>,
    cancel: &'a Cancel,
    stop: client::Cancel,
    told: &'a mut dyn FnMut(TaskProgress),
}

impl Hands {
    /// Works with the machines of `libvirt`, if any, hands files over to `server`, and keeps what is
    /// passing below `data`.
    pub fn new(libvirt: Option<Arc<Libvirt>>, server: Arc<dyn ControlPlane>, data: &Path) -> Self {
        let (vault, scratch) = (client::Worker::new(client::program()), data.join("backups"));
        Self { libvirt, server, vault, data: data.to_owned(), scratch }
    }
}

impl Worker for Hands {
    fn run(
        &self,
        task: &HostTask,
        access: serde_json::Value,
        cancel: &Cancel,
        told: &mut dyn FnMut(TaskProgress),
    ) -> Result<Outcome> {
        let access =
            serde_json::from_value(access).map_err(|_| senseless("what opens its repositories does not read"))?;
        let (access, password) = match access {
            Access::Repositories(repositories) => (repositories, None),
            Access::WithPassword { repositories, password } => (repositories, Some(password)),
        };
        let stop = client::Cancel::new();
        let stopped = stop.clone();
        cancel.then(move || stopped.cancel());
        let mut job = Job { hands: self, access, password, cancel, stop, told };
        match &task.work {
            Work::MakeRepository { alike } => job.make(*alike),
            Work::BackUpMachine { machine, tag } => job.back_up(&task.id, machine, tag),
            Work::BackUpData { set, source, tag } => job.back_up_data(&task.id, set, source, tag),
            Work::RestoreData { set, source, restore, snapshot, to } => {
                job.restore_data(&task.id, &data::Wish { set, source, restore, snapshot, to })
            }
            Work::DrillData { set, source, drill, snapshot, database, at, logs, marker } => {
                let (at, logs) = (*at, logs.as_deref());
                job.drill_data(&task.id, &data::Drill { set, source, drill, snapshot, database, at, logs, marker })
            }
            Work::EndDrill { source, drill } => job.end_drill(&task.id, source, drill),
            Work::EndData { set, source } => job.end_data(set, source),
            Work::CopySnapshots { snapshots } => job.copy(snapshots),
            Work::CheckRepository { snapshots, read } => job.check(snapshots, *read),
            Work::ForgetSnapshots { snapshots, grace_hours } => job.forget(snapshots, *grace_hours),
            Work::RestoreDamaged { snapshot, path } => job.restore_damaged(&task.id, snapshot, path),
            Work::LookInto { snapshot, path, after } => job.look(snapshot, path, after),
            Work::FetchFile { snapshot, path, bytes_max } => job.fetch_file(&task.id, snapshot, path, *bytes_max),
            // What is watched is not ended by this room: `converge` does it itself.
            Work::LoseMachine { .. } | Work::Unknown => {
                Err(Error::invalid("task.unsupported", "this version of the agent does not know such work; upgrade it"))
            }
        }
    }

    fn tidy(&self) -> Result<()> {
        // First the files: a copy that QEMU still writes to one that is gone harms nothing.
        files::passable_dir(&self.scratch)?;
        for entry in fs::read_dir(&self.scratch).map_err(|e| failed("list", &self.scratch, e))?.flatten() {
            remove(&entry.path())?;
        }
        self.libvirt.as_ref().map_or(Ok(()), |libvirt| libvirt.end_copies())
    }
}

impl Job<'_> {
    fn repository(&self, at: usize) -> Result<&Repository> {
        self.access.get(at).ok_or_else(|| senseless("too few repositories were opened for it"))
    }

    fn ask(&mut self, at: usize, task: &Task) -> Result<Answer> {
        let repository = self.repository(at)?.clone();
        let told = &mut *self.told;
        self.hands.vault.run(&repository, task, &self.stop, &mut |progress| told(as_told(progress)))
    }

    fn snapshots(&mut self, at: usize) -> Result<Vec<Snapshot>> {
        match self.ask(at, &Task::Snapshots)? {
            Answer::Snapshots(found) => Ok(found),
            _ => Err(strange()),
        }
    }

    /// The snapshot of that tag, where there is one.
    fn tagged(&mut self, tag: &str) -> Result<Option<Snapshot>> {
        Ok(self.snapshots(0)?.into_iter().find(|snapshot| snapshot.tags.iter().any(|one| one == tag)))
    }

    fn make(&mut self, alike: bool) -> Result<Outcome> {
        let last = self.access.len().saturating_sub(1);
        let Key::Password(escrow) = self.repository(last)?.key.clone() else {
            return Err(senseless("the last of its access must carry the second password"));
        };
        let alike = if alike { Some(Box::new(self.repository(1)?.clone())) } else { None };
        let made = match self.ask(0, &Task::Make { escrow, alike }) {
            // Made by this very task, before a crash: then both passwords open it.
            Err(e) if e.code() == fault::REPOSITORY_EXISTS => {
                let own = self.ask(0, &Task::Reveal).map_err(|_| e)?;
                self.snapshots(last)?;
                own
            }
            other => other?,
        };
        match made {
            Answer::Made { repository, master } => {
                Ok(Outcome::RepositoryMade { repository, master: Secret::new(master.reveal()) })
            }
            _ => Err(strange()),
        }
    }

    fn back_up(&mut self, id: &TaskId, machine: &IntentId, tag: &str) -> Result<Outcome> {
        // Taken by this very task, before a crash.
        if let Some(taken) = self.tagged(tag)? {
            return self.backed_up(machine, taken);
        }
        let none = || Error::conflict("agent.no_machines", "this agent looks after no machines");
        let libvirt = self.hands.libvirt.as_ref().ok_or_else(none)?;
        let scratch = Scratch::new(self.hands.scratch.join(id.as_str()))?;
        let copied = libvirt.copy_disks(machine, &scratch.0, self.cancel, self.told)?;
        let tags = tags(tag, copied.taken_at, copied.consistency);
        let image = |path: PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Image { path, name, changed: None }
        };
        let images = copied.files.into_iter().map(image).collect();
        let backup = Backup {
            source: Source::Images { named: folder(machine).into(), images },
            host: machine.to_string(),
            tags,
            label: "disks".to_owned(),
            unreadable: Unreadable::Refuse,
        };
        match self.ask(0, &Task::Backup(backup))? {
            Answer::Taken { snapshot, .. } => self.backed_up(machine, snapshot),
            _ => Err(strange()),
        }
    }

    /// What a snapshot of a machine's disks is, by what it says itself.
    fn backed_up(&mut self, machine: &IntentId, snapshot: Snapshot) -> Result<Outcome> {
        let path = folder(machine);
        let browse = Task::Browse { snapshot: snapshot.id.clone(), path: path.clone(), limit: 100 };
        let Answer::Entries { entries, .. } = self.ask(0, &browse)? else { return Err(strange()) };
        let disk = |entry: &Entry| {
            let name = entry.name.strip_suffix(".raw")?.to_owned();
            Some(DiskCopy { path: format!("{path}/{}", entry.name), name, bytes: entry.size })
        };
        let disks: Vec<DiskCopy> = entries.iter().filter_map(disk).collect();
        let (taken_at, consistency) = instant(&snapshot)?;
        let (figures, seconds) = (snapshot.figures, took(&snapshot, taken_at));
        Ok(Outcome::MachineBackedUp {
            snapshot: snapshot.id,
            tree: snapshot.tree,
            taken_at,
            consistency,
            bytes: disks.iter().map(|disk| disk.bytes).sum(),
            disks,
            added_bytes: figures.map_or(0, |figures| figures.added_bytes),
            stored_bytes: figures.map_or(0, |figures| figures.stored_bytes),
            seconds,
        })
    }

    fn copy(&mut self, snapshots: &[String]) -> Result<Outcome> {
        let to = self.repository(1)?.clone();
        self.copy_to(to, snapshots)
    }

    fn copy_to(&mut self, to: Repository, snapshots: &[String]) -> Result<Outcome> {
        let began = Instant::now();
        match self.ask(0, &Task::Copy { to: Box::new(to), snapshots: snapshots.to_vec() })? {
            Answer::Copied(ids) => match snapshots.iter().find(|id| !ids.contains_key(*id)) {
                Some(id) => Err(Error::conflict("backup.copy_incomplete", format!("snapshot {id} was not copied"))),
                None => Ok(Outcome::SnapshotsCopied { ids, seconds: began.elapsed().as_secs_f64() }),
            },
            _ => Err(strange()),
        }
    }

    fn check(&mut self, asked: &[String], read: ReadShare) -> Result<Outcome> {
        let began = Instant::now();
        let read = match read {
            ReadShare::Nothing => Read::Nothing,
            ReadShare::Part { part, of } => Read::Part { part, of },
            ReadShare::Everything => Read::Everything,
        };
        let looked = self.snapshots(0).and_then(|there| Ok((there, self.ask(0, &Task::Check { read })?)));
        let (snapshots, whole, faults, guarded) = match looked {
            Ok((there, Answer::Checked(Checked { whole, faults, guarded, .. }))) => {
                let present = asked.iter().filter(|id| there.iter().any(|snapshot| snapshot.id == **id));
                (present.cloned().collect(), whole, faults, guarded)
            }
            Ok(_) => return Err(strange()),
            // So damaged that it cannot be looked at to the end: that is what the check found.
            Err(e) if [fault::REPOSITORY_DAMAGED, fault::REPOSITORY_INCOMPLETE].contains(&e.code()) => {
                (Vec::new(), false, vec![e.message().to_owned()], None)
            }
            Err(e) => return Err(e),
        };
        let faults =
            faults.iter().take(FAULTS_MAX).map(|fault| fault.chars().take(FAULT_CHARS_MAX).collect()).collect();
        let seconds = began.elapsed().as_secs_f64();
        Ok(Outcome::RepositoryChecked { snapshots, whole, faults, guarded, seconds })
    }

    /// The negative control of a drill: a restore from a copy that is damaged on purpose.
    fn restore_damaged(&mut self, id: &TaskId, snapshot: &str, path: &str) -> Result<Outcome> {
        let began = Instant::now();
        let scratch = Scratch::new(self.hands.scratch.join(id.as_str()))?;
        let (source, folder) = (self.repository(0)?.clone(), scratch.0.join("copy"));
        // A key that nobody needs to remember: the copy does not outlive this task.
        let key = Key::Password(password()?);
        // The engine keeps directories and indexes in its cache, and no data.
        let cache = scratch.0.join("cache");
        let copy = Repository { place: Place::Folder(folder.clone()), key, cache: Some(cache.clone()) };
        self.access.push(copy.clone());
        let last = self.access.len() - 1;
        let make = Task::Make { escrow: password()?, alike: Some(Box::new(source)) };
        self.ask(last, &make)?;
        let Outcome::SnapshotsCopied { ids, .. } = self.copy_to(copy, &[snapshot.to_owned()])? else {
            return Err(strange());
        };
        let copied = ids.get(snapshot).cloned().ok_or_else(strange)?;
        let damaged = spoil::repository(&folder, &cache)?;
        if damaged == 0 {
            return Err(Error::conflict("control.nothing_to_damage", "the copy holds no data that could be damaged"));
        }
        let (path, to) = (path.to_owned(), scratch.0.join("restored"));
        let restore = Task::Restore(Restore { snapshot: copied, path, to, sparse: true, owners: false });
        let found = match self.ask(last, &restore) {
            Ok(_) => None,
            // Damage is what it must fail with: a full disk is no proof of anything.
            Err(e) if [fault::REPOSITORY_DAMAGED, fault::REPOSITORY_INCOMPLETE].contains(&e.code()) => {
                Some(Problem { code: e.code().to_owned(), message: e.message().to_owned(), retrying: false })
            }
            Err(e) => return Err(e),
        };
        Ok(Outcome::DamageTried { found, damaged, seconds: began.elapsed().as_secs_f64() })
    }

    fn look(&mut self, snapshot: &str, path: &str, after: &str) -> Result<Outcome> {
        let (snapshot, path, after) = (snapshot.to_owned(), path.to_owned(), after.to_owned());
        match self.ask(0, &Task::Look { snapshot, path, after, limit: limits::LISTING_ENTRIES_MAX })? {
            Answer::Seen { items, next } => {
                Ok(Outcome::LookedInto { items: items.into_iter().map(saved).collect(), next })
            }
            _ => Err(strange()),
        }
    }

    /// Brings a file out of a snapshot, and hands it over.
    fn fetch_file(&mut self, id: &TaskId, snapshot: &str, path: &str, bytes_max: u64) -> Result<Outcome> {
        let scratch = Scratch::new(self.hands.scratch.join(id.as_str()))?;
        let to = scratch.0.join("file");
        let fetch = Task::Fetch { snapshot: snapshot.to_owned(), path: path.to_owned(), to: to.clone(), bytes_max };
        let Answer::Fetched { bytes, sha256, archive } = self.ask(0, &fetch)? else { return Err(strange()) };
        (self.told)(TaskProgress { phase: "handing over".to_owned(), done: bytes, total: Some(bytes), bytes: true });
        let taken = self.hands.server.hand_over(id, &to)?;
        if (taken.bytes, taken.sha256.as_str()) != (bytes, sha256.as_str()) {
            let message = "what arrived at the server is not what was sent; try again";
            return Err(Error::unavailable("download.differs", message));
        }
        Ok(Outcome::FileFetched { bytes, sha256, archive })
    }

    fn forget(&mut self, snapshots: &[String], grace_hours: u32) -> Result<Outcome> {
        if !snapshots.is_empty() {
            self.ask(0, &Task::Forget { snapshots: snapshots.to_vec() })?;
        }
        match self.ask(0, &Task::Prune { grace_hours })? {
            Answer::Pruned { removed_bytes, marked_bytes } => {
                Ok(Outcome::SnapshotsForgotten { removed_bytes, marked_bytes })
            }
            _ => Err(strange()),
        }
    }
}

/// A directory that goes away whatever happens; after a crash [`Hands::tidy`] sees to it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(path: PathBuf) -> Result<Self> {
        remove(&path)?;
        files::passable_dir(&path)?;
        Ok(Self(path))
    }

    /// One that nobody else enters: what lies in it is somebody's data.
    fn private(path: PathBuf) -> Result<Self> {
        let made = Self::new(path)?;
        files::only_owner(&made.0)?;
        Ok(made)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(e) = remove(&self.0) {
            tracing::warn!(code = e.code(), "{e}");
        }
    }
}

/// A password that nobody needs to remember.
fn password() -> Result<Secret> {
    let mut bytes = [0; 32];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| Error::unavailable("random.absent", "the machine gives no random numbers"))?;
    Ok(Secret::new(base::hex::encode(&bytes)))
}

fn remove(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(failed("remove", dir, e)),
        _ => Ok(()),
    }
}

/// What a machine's disks are called in every snapshot of them.
fn folder(machine: &IntentId) -> String {
    format!("/machines/{machine}")
}

/// What a snapshot says of itself: whose it is, of which instant, and how that was got.
fn tags(tag: &str, taken_at: Timestamp, consistency: Consistency) -> Vec<String> {
    vec![tag.to_owned(), format!("{TAKEN}{taken_at}"), format!("{CONSISTENCY}{}", word(consistency))]
}

/// The instant that a snapshot is of and how that was got, by its tags.
fn instant(snapshot: &Snapshot) -> Result<(Timestamp, Consistency)> {
    let tagged = |start: &str| snapshot.tags.iter().find_map(|tag| tag.strip_prefix(start));
    let unread = || Error::conflict("backup.tags_missing", "the snapshot does not say of which instant it is");
    let taken_at: Timestamp = tagged(TAKEN).and_then(|text| text.parse().ok()).ok_or_else(unread)?;
    Ok((taken_at, tagged(CONSISTENCY).map_or(Consistency::Unknown, consistency)))
}

/// Seconds from the instant that a snapshot is of to its end, also where a crash came after it.
fn took(snapshot: &Snapshot, taken_at: Timestamp) -> f64 {
    let read_from: Timestamp = snapshot.time.parse().unwrap_or(taken_at);
    let reading = snapshot.figures.map_or(0.0, |figures| figures.seconds);
    (read_from.duration_since(taken_at).as_secs_f64() + reading).max(0.0)
}

fn word(consistency: Consistency) -> &'static str {
    match consistency {
        Consistency::Stopped => "stopped",
        Consistency::CrashConsistent => "crash-consistent",
        Consistency::FilesystemFrozen => "filesystem-frozen",
        Consistency::FileByFile => "file-by-file",
        Consistency::Transaction => "transaction",
        Consistency::TableByTable => "table-by-table",
        Consistency::Unknown => "unknown",
    }
}

fn consistency(word: &str) -> Consistency {
    use Consistency::{CrashConsistent, FileByFile, FilesystemFrozen, Stopped, TableByTable, Transaction};
    let all = [Stopped, CrashConsistent, FilesystemFrozen, FileByFile, Transaction, TableByTable];
    all.into_iter().find(|one| self::word(*one) == word).unwrap_or(Consistency::Unknown)
}

/// What lies in a snapshot, as it is told.
fn saved(item: Item) -> SavedItem {
    SavedItem {
        name: item.name,
        kind: match item.kind {
            ItemKind::File => SavedKind::File,
            ItemKind::Dir => SavedKind::Directory,
            ItemKind::Symlink => SavedKind::Link,
            ItemKind::Disk => SavedKind::Disk,
            ItemKind::Volume => SavedKind::Partition,
            ItemKind::Other => SavedKind::Other,
        },
        size: item.size,
        modified: item.modified.and_then(|at| at.parse().ok()),
        mode: item.mode,
        target: item.target,
        filesystem: item.filesystem,
        label: item.label,
        opens: item.opens,
    }
}

fn as_told(progress: Progress) -> TaskProgress {
    TaskProgress { phase: progress.phase, done: progress.done, total: progress.total, bytes: progress.bytes }
}

fn senseless(why: &str) -> Error {
    Error::invalid("task.access", why)
}

fn strange() -> Error {
    Error::bug("task.answer", "the backup engine answered something else")
}
