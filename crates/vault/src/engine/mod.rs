//! The engine: rustic, and nothing outside of this module knows it.
//!
//! What rustic does that we do not leave at that:
//! - It goes on where it cannot store what it copies: [`bridge`] then lets no snapshot be written.
//! - It is slow with many small files, and with disks: [`files`] and [`image`] back these up.
//! - It skips snapshots that it cannot parse, and prune would take their data for unused:
//!   [`Opened::snapshots`] counts.
//! - It marks for removal what a backup that runs beside a prune counts on: [`revive`] takes that back.
//! - It copies a snapshot without the blobs that its index misses: [`copy`] looks before and after.
//! - It counts on packs that no index names: [`bridge`] hides these from whoever writes.
//! - Its restore panics over a damaged pack and leaves files: [`restore`] works beside the target,
//!   hashes, and renames.

mod backup;
mod bridge;
mod check;
mod content;
mod copy;
mod crew;
mod cut;
mod disk;
mod ext4;
mod files;
mod image;
mod look;
mod notes;
mod pack;
mod prune;
mod queue;
mod restore;
mod revive;
mod snapshot;
mod stored;
mod tree;

use std::collections::{BTreeSet, HashSet};
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use base::{Error, Result};
use rustic_core::repofile::{IndexFile, MasterKey, SnapshotFile};
use rustic_core::{
    ConfigOptions, Credentials, ErrorKind, Id, IndexedFullStatus, IndexedIdsStatus, KeyOptions, LsOptions, OpenStatus,
    Repository as Engine, RepositoryBackends, RepositoryOptions, RusticError, RusticResult,
};

use crate::fault;
use crate::place::{self, Kind, Store};
use crate::request::{Answer, Entry, Figures, Key, Repository, Secret, Snapshot, Task};
use bridge::{Bridge, Watch};
pub(crate) use notes::{Notes, Report};
pub(crate) use restore::unfinished;

/// Most entries that are told of a directory.
const ENTRIES_MAX: usize = 10_000;
/// How often an index is loaded at most, of which a prune beside takes away what was just listed.
const LOADS: usize = 4;

/// Does what a task says; `input` is the stream of a backup that reads one.
pub(crate) fn perform(
    repository: &Repository,
    task: &Task,
    input: impl Read + Send + 'static,
    report: &Arc<dyn Report>,
    notes: &Arc<Notes>,
) -> Result<Answer> {
    if let Task::Make { escrow, alike } = task {
        return make(repository, escrow, alike.as_deref(), report);
    }
    let open = Opened::new(repository, report)?;
    let watch = open.watch.clone();
    let done = match task {
        Task::Make { .. } => return Err(fault::error(fault::REQUEST_INVALID, "a repository is made once")),
        Task::Reveal => reveal(&open.engine).map_err(Failure::Ours),
        Task::Backup(backup) => backup::run(open, backup, input, notes),
        Task::Snapshots => open.snapshots().map(|found| Answer::Snapshots(found.iter().map(snapshot_of).collect())),
        Task::Browse { snapshot, path, limit } => browse(open, snapshot, path, *limit),
        Task::Look { snapshot, path, after, limit } => look::look(open, snapshot, path, (after, *limit)),
        Task::Fetch { snapshot, path, to, bytes_max } => look::fetch(open, snapshot, path, (to, *bytes_max)),
        Task::Restore(restore) => restore::run(open, restore, notes),
        Task::Check { read } => check::run(open, *read),
        Task::Copy { to, snapshots } => copy::run(open, to, snapshots, report),
        Task::Forget { snapshots } => prune::forget(&open, snapshots),
        Task::Prune { grace_hours } => prune::run(open, *grace_hours),
        Task::Repair => prune::repair(&open),
    };
    done.map_err(|failed| ours(&watch, failed))
}

/// How a task failed: with our word for it, or with the engine's.
pub(crate) enum Failure {
    Ours(Error),
    Engine(Box<RusticError>),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Ours(error)
    }
}

impl From<Box<RusticError>> for Failure {
    fn from(error: Box<RusticError>) -> Self {
        Failure::Engine(error)
    }
}

type Done<T> = std::result::Result<T, Failure>;

/// A repository whose key fits; `S` is how much of its index is known.
pub(crate) struct Opened<S = OpenStatus> {
    repository: Repository,
    report: Arc<dyn Report>,
    engine: Engine<S>,
    store: Arc<dyn Store>,
    watch: Arc<Watch>,
}

fn backends(store: &Arc<dyn Store>, watch: &Arc<Watch>) -> RepositoryBackends {
    RepositoryBackends::new(Arc::new(Bridge::new(store.clone(), watch.clone())), None)
}

fn credentials(key: &Key) -> Result<Credentials> {
    Ok(match key {
        Key::Password(password) => Credentials::password(password.reveal()),
        Key::Master(master) => {
            let master: MasterKey = serde_json::from_str(master.reveal())
                .map_err(|_| fault::error(fault::REPOSITORY_KEY, "this is not a master key as the vault tells it"))?;
            Credentials::Masterkey(master)
        }
    })
}

impl Opened {
    fn new(repository: &Repository, report: &Arc<dyn Report>) -> Result<Self> {
        let store = place::open(&repository.place)?;
        let watch = Arc::new(Watch::default());
        let mut options = RepositoryOptions::default();
        options.no_cache = repository.cache.is_none();
        options.cache_dir.clone_from(&repository.cache);
        let key = credentials(&repository.key)?;
        let missing = || {
            fault::error(
                fault::REPOSITORY_MISSING,
                format!("there is no repository at {}; make one there first", store.describe()),
            )
        };
        match store.list(Kind::Config) {
            Ok(found) if found.is_empty() => return Err(missing()),
            Err(error) if error.code() == fault::REPOSITORY_INCOMPLETE => return Err(missing()),
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        let engine = Engine::new_with_progress(&options, &backends(&store, &watch), notes::Bars(report.clone()))
            .and_then(|engine| engine.open(&key))
            .map_err(|e| because(&watch, &e))?;
        Ok(Opened { repository: repository.clone(), report: report.clone(), engine, store, watch })
    }

    /// With an index, which `load` gets.
    fn with<S>(self, load: fn(Engine<OpenStatus>) -> RusticResult<Engine<S>>) -> Done<Opened<S>> {
        self.again(|open| open.loaded(load))
    }

    /// Does it, and again where a prune beside took an index file away meanwhile.
    fn again<S>(self, load: impl Fn(Opened) -> Done<Opened<S>>) -> Done<Opened<S>> {
        let (repository, report) = (self.repository.clone(), self.report.clone());
        let mut done = load(self);
        for _ in 1..LOADS {
            match &done {
                Err(Failure::Ours(error)) if error.code() == fault::REPOSITORY_INCOMPLETE => {
                    done = load(Opened::new(&repository, &report)?);
                }
                _ => break,
            }
        }
        done
    }

    fn loaded<S>(self, load: fn(Engine<OpenStatus>) -> RusticResult<Engine<S>>) -> Done<Opened<S>> {
        let Opened { repository, report, engine, store, watch } = self;
        // The engine reckons with the sizes of packs, and gives up over one of which hardly anything is left.
        let engine = catch_unwind(AssertUnwindSafe(|| load(engine)))
            .map_err(|panic| watch.fault().unwrap_or_else(|| fault::panicked(&*panic)))?
            .map_err(|e| because(&watch, &e))?;
        Ok(Opened { repository, report, engine, store, watch })
    }

    /// With all that is needed to read, as the index tells it.
    fn for_reading(self) -> Done<Opened<IndexedFullStatus>> {
        self.with(Engine::to_indexed)
    }

    /// The same as the packs themselves tell it: for when the index is wrong about them. Where something among
    /// them is none, over which the engine stops, what the index names of them must do.
    fn for_salvage(self) -> Done<Opened<IndexedFullStatus>> {
        let (repository, report) = (self.repository.clone(), self.report.clone());
        self.with(Engine::to_indexed_checked).or_else(|_| Opened::new(&repository, &report)?.for_writing())
    }

    /// With what the engine needs to write.
    fn for_copies(self) -> Done<Opened<IndexedIdsStatus>> {
        self.named(Engine::to_indexed_ids_checked)
    }

    /// With what we need to write by our own hand: the engine tells only then what it knows.
    fn for_writing(self) -> Done<Opened<IndexedFullStatus>> {
        self.named(Engine::to_indexed_checked)
    }

    /// With an index that is checked against the packs, so that a piece that was lost is stored again. It counts
    /// on no pack without a name, as somebody leaves who is killed, or who is still at it: the engine would, and
    /// a snapshot whose pieces no index names can never be restored.
    fn named<S>(self, load: fn(Engine<OpenStatus>) -> RusticResult<Engine<S>>) -> Done<Opened<S>> {
        self.again(|open| open.show_named()?.loaded(load))
    }

    /// Lets the engine see only packs that the index names and nobody has marked, in their sizes.
    fn show_named(self) -> Done<Opened> {
        let mut named = HashSet::new();
        let mut read = || {
            for file in self.engine.stream_files::<IndexFile>()? {
                let (_, file) = file?;
                named.extend(file.packs.iter().map(|pack| (pack.id.into_inner(), pack.pack_size())));
            }
            Ok(())
        };
        read().map_err(|failed| ours(&self.watch, Failure::Engine(failed)))?;
        self.watch.show_only(named);
        Ok(self)
    }
}

/// Whether it is an identifier and not a beginning of one.
fn is_whole_id(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Whether another look at the same repository may find what this one missed.
fn is_damage(error: &Error) -> bool {
    [fault::REPOSITORY_DAMAGED, fault::REPOSITORY_INCOMPLETE].contains(&error.code())
}

impl<S: rustic_core::Open> Opened<S> {
    /// Every snapshot, oldest first; an error when one cannot be read.
    fn snapshots(&self) -> Done<Vec<SnapshotFile>> {
        let there = self.store.list(Kind::Snapshots)?;
        let mut found = self.engine.get_all_snapshots()?;
        if found.len() < there.len() {
            let read: BTreeSet<String> = found.iter().map(|snapshot| hex(&snapshot.id)).collect();
            let still: BTreeSet<String> = self.store.list(Kind::Snapshots)?.into_iter().map(|(name, _)| name).collect();
            // One that was let go meanwhile is not lost.
            let lost = there.iter().filter(|(name, _)| still.contains(name) && !read.contains(name)).count();
            if lost > 0 {
                let message = format!("{lost} of {} snapshots cannot be read; use another copy", there.len());
                let damaged = fault::error(fault::REPOSITORY_DAMAGED, message);
                return Err(self.watch.fault().unwrap_or(damaged).into());
            }
        }
        found.sort_by_key(|snapshot| snapshot.time.timestamp());
        Ok(found)
    }

    /// The snapshot with an identifier, which must be whole and not a beginning of one.
    fn snapshot(&self, id: &str) -> Done<SnapshotFile> {
        let missing = || no_snapshot(id);
        if !is_whole_id(id) || !self.store.list(Kind::Snapshots)?.iter().any(|(name, _)| name == id) {
            return Err(missing().into());
        }
        Ok(self.engine.get_snapshots(&[id])?.pop().ok_or_else(missing)?)
    }
}

fn no_snapshot(id: &str) -> Error {
    fault::error(fault::SNAPSHOT_MISSING, format!("there is no snapshot {id}; list them again"))
}

/// Our error for a failure.
fn ours(watch: &Watch, failure: Failure) -> Error {
    match failure {
        Failure::Ours(error) => error,
        Failure::Engine(error) => because(watch, &error),
    }
}

/// What a failure of the engine was: the place's first fault where it had one, else by its kind.
fn because(watch: &Watch, error: &RusticError) -> Error {
    if let Some(known) = watch.fault().or_else(|| watch.refusal()) {
        return known;
    }
    named(error)
}

/// A failure of the engine by its kind.
fn named(error: &RusticError) -> Error {
    let text = error.display_log();
    if error.is_incorrect_password() {
        return fault::error(fault::REPOSITORY_KEY, "none of the repository's keys opens with this password");
    }
    let is = |kind: ErrorKind| text.contains(&format!("related to {kind}"));
    let text = text.trim_start_matches("Error: ").lines().next().unwrap_or_default().to_owned();
    if is(ErrorKind::Cryptography) || is(ErrorKind::Verification) || error.is_code("C003") {
        let message = format!("what the repository holds does not decrypt ({text}); check it and use another copy");
        return fault::error(fault::REPOSITORY_DAMAGED, message);
    }
    if text.contains("not found in index") || text.contains("was not found in the index") {
        let message = format!("the repository misses a piece ({text}); check it and use another copy");
        return fault::error(fault::REPOSITORY_INCOMPLETE, message);
    }
    fault::error(fault::ENGINE, text)
}

fn make(
    repository: &Repository,
    escrow: &Secret,
    alike: Option<&Repository>,
    report: &Arc<dyn Report>,
) -> Result<Answer> {
    let Key::Password(password) = &repository.key else {
        return Err(fault::error(fault::REQUEST_INVALID, "a repository is made with a password, not a master key"));
    };
    if password.reveal().is_empty() || escrow.reveal().is_empty() || password == escrow {
        let message = "a repository needs two passwords that differ, the second kept elsewhere";
        return Err(fault::error(fault::REQUEST_INVALID, message));
    }
    let store = place::open(&repository.place)?;
    store.create()?;
    if !store.list(Kind::Config)?.is_empty() || !store.list(Kind::Keys)?.is_empty() {
        let message = format!("there is a repository at {} already; use it or choose another place", store.describe());
        return Err(fault::error(fault::REPOSITORY_EXISTS, message));
    }
    let watch = Arc::new(Watch::default());
    let mut options = RepositoryOptions::default();
    options.no_cache = true;
    let key = Credentials::password(password.reveal());
    let keys = KeyOptions::default().with_created(true);
    let fail = |e: Box<RusticError>| because(&watch, &e);
    let engine = Engine::new(&options, &backends(&store, &watch)).map_err(fail)?;
    let engine = match alike {
        None => engine.init(&key, &keys, &ConfigOptions::default()),
        Some(other) => {
            let mut config = Opened::new(other, report)?.engine.config().clone();
            config.id = Id::random().into();
            engine.init_with_config(&key, &keys, config)
        }
    }
    .map_err(fail)?;
    engine.add_key(escrow.reveal(), &keys).map_err(fail)?;
    reveal(&engine)
}

/// What a repository is called and what opens it for ever.
fn reveal<S: rustic_core::Open>(engine: &Engine<S>) -> Result<Answer> {
    let master = serde_json::to_string(&engine.key())
        .map_err(|e| fault::error(fault::ENGINE, format!("the master key cannot be told: {e}")))?;
    Ok(Answer::Made { repository: hex(&engine.config().id), master: Secret::new(master) })
}

fn browse(open: Opened, id: &str, path: &str, limit: usize) -> Done<Answer> {
    let limit = limit.clamp(1, ENTRIES_MAX);
    let from = open.snapshot(id)?;
    let Opened { engine, watch, .. } = open.for_reading()?;
    let node = engine.node_from_snapshot_and_path(&from, path).map_err(|e| no_path(&watch, &e, path))?;
    let mut flat = LsOptions::default();
    flat.recursive = false;
    let mut entries = Vec::new();
    for item in engine.ls(&node, &flat)?.take(limit + 1) {
        let (place, node) = item?;
        entries.push(Entry {
            name: place.to_string_lossy().into_owned(),
            kind: node.node_type.to_string(),
            size: node.meta.size,
            modified: node.meta.mtime.map(|t| t.to_string()),
            mode: node.meta.mode.map(|mode| mode & 0o7777),
        });
    }
    let more = entries.len() > limit;
    entries.truncate(limit);
    Ok(Answer::Entries { entries, more })
}

/// Looking up a path fails without a code when the path is not there.
fn no_path(watch: &Watch, error: &RusticError, path: &str) -> Error {
    let known = because(watch, error);
    if known.code() == fault::ENGINE {
        return fault::error(fault::SNAPSHOT_PATH, format!("the snapshot holds no {path}; browse it from the top"));
    }
    known
}

fn snapshot_of(from: &SnapshotFile) -> Snapshot {
    Snapshot {
        id: hex(&from.id),
        time: from.time.timestamp().to_string(),
        host: from.hostname.clone(),
        tags: split(&from.tags.to_string()),
        label: from.label.clone(),
        paths: split(&from.paths.to_string()),
        tree: hex(&from.tree),
        original: from.original.map(|id| hex(&id)),
        figures: from.summary.as_ref().map(|summary| Figures {
            files: summary.total_files_processed,
            bytes: summary.total_bytes_processed,
            files_changed: summary.files_new + summary.files_changed,
            added_bytes: summary.data_added,
            stored_bytes: summary.data_added_packed,
            seconds: summary.total_duration,
        }),
    }
}

/// All of an identifier; the engine shows only its beginning.
fn hex(id: &Id) -> String {
    id.to_hex().as_str().to_owned()
}

fn split(list: &str) -> Vec<String> {
    list.split(',').filter(|part| !part.is_empty()).map(ToOwned::to_owned).collect()
}
