//! Readings: somebody looks into a recovery point, or fetches a single file of it, and nothing is
//! restored for that. A host reads it out of a copy, as a task of its own.
//!
//! ```text
//!   asked ──► waiting ──► running ──► ready ──(fetched, or nobody did)──► over
//!                └───────────┴──────► failed: why is told; a copy found damaged is marked so
//! ```
//!
//! **Invariants** (tests: `tests.rs`)
//! - who may restore may read; a task is given the key of the one repository that its reading is of;
//! - only copies that were looked at and found whole are read;
//! - a recovery point does not change: the same directory is asked for once, and told again;
//! - what was read is kept for an hour at most, whoever dies meanwhile; that somebody fetched a
//!   file, which and when, is kept.
//!
//! **Not here.** How a snapshot is read (`vault`), how a file comes to this server
//! (`resources::handed`).

pub mod actions;
mod store;
#[cfg(test)]
mod tests;

use base::id::{HostId, TenantId};
use base::time::{Timestamp, from_micros, micros};
use base::{Error, Result, limits};
use drivers::wire::{Outcome, Problem, SavedItem, TaskId, TaskProgress, Work};
use gate::{AnyAction, Cx, Gate, Tx, audit};
use resources::handed::Handed;
use resources::tasks::{self, Task};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::backups::points::{self, Part, RecoveryPoint};
use crate::backups::repositories;
use crate::{BackupPlaceId, ReadingId, RecoveryPointId, RepositoryId};

/// The kind of a task's subject.
pub const KIND: &str = "reading";

/// Every action of this capability.
pub static ACTIONS: &[&dyn AnyAction] =
    &[&actions::BROWSE, &actions::FETCH, &actions::GET, &actions::LIST, &actions::DOWNLOAD, &actions::SETTLE];

/// How a reading stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// The host has not taken it up.
    Waiting,
    /// The host reads.
    Running,
    /// What was asked for is there.
    Ready,
    /// It cannot be had; the problem says why.
    Failed,
    /// It is not kept any more.
    Over,
}

impl State {
    /// Whether it may still come to something.
    pub fn is_open(self) -> bool {
        matches!(self, State::Waiting | State::Running)
    }
}

/// Somebody reads in a recovery point.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reading {
    /// Its id.
    pub id: ReadingId,
    /// Whose data it is.
    pub tenant: TenantId,
    /// The service.
    pub service: String,
    /// The point.
    pub point: RecoveryPointId,
    /// Which part of it: the machine that was saved, say.
    pub part: String,
    /// Where the copy lies.
    pub place: BackupPlaceId,
    /// That place's name.
    pub place_name: String,
    /// The host that reads it.
    pub host: HostId,
    /// That host's name.
    pub host_name: String,
    /// Whether a file is fetched, or else a directory looked into.
    pub file: bool,
    /// What is read, within the part's snapshot.
    pub path: String,
    /// Where the part begins in there: nothing above it is of interest.
    pub top: String,
    /// The page that comes after this name.
    pub after: String,
    /// How it stands.
    pub state: State,
    /// How far it is.
    pub progress: Option<TaskProgress>,
    /// Why it failed, or what holds it up.
    pub problem: Option<Problem>,
    /// What is in the directory.
    pub items: Vec<SavedItem>,
    /// There is more after this name.
    pub next: Option<String>,
    /// The file's size.
    pub bytes: Option<u64>,
    /// The file's SHA-256.
    pub sha256: Option<String>,
    /// The name under which the file is fetched.
    pub file_name: Option<String>,
    /// Who asked for it.
    pub asked_by: String,
    /// When.
    #[schemars(with = "String")]
    pub asked_at: Timestamp,
    /// When the file was fetched first.
    #[schemars(with = "Option<String>")]
    pub taken_at: Option<Timestamp>,
    /// Until when it is kept.
    #[schemars(with = "String")]
    pub ends_at: Timestamp,
    #[serde(skip)]
    pub(crate) repository: RepositoryId,
    #[serde(skip)]
    pub(crate) task: TaskId,
    #[serde(skip)]
    late_at: Timestamp,
}

/// So many seconds after an instant.
fn after(at: Timestamp, seconds: i64) -> Result<Timestamp> {
    from_micros(micros(at) + seconds * 1_000_000)
}

/// Where a part begins in its snapshot.
fn top(part: &Part) -> String {
    let first = part.taken.as_ref().and_then(|taken| taken.disks.first());
    let folder = first.and_then(|disk| disk.path.rsplit_once('/')).map(|(folder, _)| folder.to_owned());
    folder.unwrap_or_default()
}

/// The part that is meant: the one that is named, or the only one.
fn part<'a>(point: &'a RecoveryPoint, named: Option<&str>) -> Result<&'a Part> {
    match (named, point.parts.as_slice()) {
        (Some(name), _) => point
            .part(name)
            .ok_or_else(|| Error::not_found("reading.part", format!("{} has no part {name}", point.id)).at("part")),
        (None, [only]) => Ok(only),
        (None, parts) => {
            let names: Vec<&str> = parts.iter().map(|part| part.part.as_str()).collect();
            Err(Error::invalid("reading.part", format!("say which part: {}", names.join(", "))).at("part"))
        }
    }
}

fn late() -> Problem {
    let message = "the host did not answer in time; try again when it is back, or another copy";
    Problem { code: "reading.late".to_owned(), message: message.to_owned(), retrying: false }
}

/// What is known of a reading by now, from the task that a host does for it.
fn judged(mut one: Reading, task: Option<Task>, now: Timestamp) -> Reading {
    one.state = match task.as_ref().map(|task| task.state) {
        _ if one.ends_at <= now => State::Over,
        None => State::Over,
        Some(tasks::State::Waiting | tasks::State::Running) if one.late_at <= now => State::Failed,
        Some(tasks::State::Waiting) => State::Waiting,
        Some(tasks::State::Running) => State::Running,
        Some(tasks::State::Succeeded) => State::Ready,
        Some(tasks::State::Failed | tasks::State::Cancelled) => State::Failed,
    };
    let Some(task) = task.filter(|_| one.state != State::Over) else { return one };
    one.progress = task.progress.filter(|_| one.state.is_open());
    one.problem = task.problem.or_else(|| (one.state == State::Failed).then(late));
    match task.outcome {
        Some(Outcome::LookedInto { items, next }) => (one.items, one.next) = (items, next),
        Some(Outcome::FileFetched { bytes, sha256, archive }) => {
            (one.bytes, one.sha256) = (Some(bytes), Some(sha256));
            one.file_name = Some(file_name(&one.path, archive));
        }
        _ => {}
    }
    one
}

/// What a file is called where it is saved: its own name, as text without what would mislead.
fn file_name(path: &str, archive: bool) -> String {
    let last = path.rsplit('/').find(|part| !part.is_empty()).unwrap_or("files");
    let name = base::names::shown(last);
    if archive { format!("{name}.tar") } else { name }
}

/// The reading of that id.
///
/// # Errors
/// `NotFound`.
pub(crate) fn load(tx: &mut Tx<'_>, id: ReadingId) -> Result<Reading> {
    let found = store::load(tx, id)?;
    let one = found.ok_or_else(|| Error::not_found("reading.not_found", format!("there is no reading {id}")))?;
    let task = tasks::get(tx, &one.task)?;
    Ok(judged(one, task, tx.now))
}

/// What opens the repository of a reading's open task.
pub(crate) fn access(tx: &mut Tx<'_>, task: &Task) -> Result<Json> {
    let none = || Error::not_found("task.not_found", format!("task {} opens nothing", task.id));
    let one = load(tx, task.subject.1.parse()?)?;
    let fits = matches!(task.work, Work::LookInto { .. } | Work::FetchFile { .. });
    if one.task != task.id || !one.state.is_open() || !fits {
        return Err(none());
    }
    Ok(json!([repositories::for_reading(tx, one.repository)?]))
}

/// A reading's task has ended: a copy that was found damaged or gone is not taken for whole any more.
pub(crate) fn task_ended(tx: &mut Tx<'_>, id: &str, task: &TaskId) -> Result<()> {
    let Some(one) = store::load(tx, id.parse()?)? else { return Ok(()) };
    let problem = tasks::get(tx, task)?.and_then(|task| task.problem);
    match problem.as_ref().and_then(|problem| Some((points::damage(&problem.code)?, problem))) {
        Some((state, problem)) => points::found(tx, one.point, Some(one.place), &one.part, state, problem),
        None => Ok(()),
    }
}

/// Takes a file that was fetched: what it is, and its bytes.
///
/// # Errors
/// As [`actions::DOWNLOAD`]; `Conflict` (`reading.not_ready`) where the file is gone or another one.
pub async fn take(gate: &Gate, cx: &Cx, id: &str) -> Result<(actions::Ticket, std::fs::File)> {
    let (action, text) = (&actions::DOWNLOAD, id.to_owned());
    // Read where it has been decided already: whoever may not is told so, whatever the identifier.
    let ticket = gate.perform_async(cx, action.name, action.effect, audit::digest(&text), move |tx| {
        (action.run)(tx, &actions::ReadingRef { id: text.parse()? })
    });
    let ticket = ticket.await?;
    let gone = || Error::conflict("reading.not_ready", "the file is not kept any more; fetch it again");
    let path = gate.installed::<Handed>().ok_or_else(gone)?.path(&ticket.file);
    let file = std::fs::File::open(path).map_err(|_| gone())?;
    let length = file.metadata().map_err(|_| gone())?.len();
    if length == ticket.bytes { Ok((ticket, file)) } else { Err(gone()) }
}

/// What is not kept any more, and files that nobody waits for.
fn sweep(gate: &Gate) -> Result<()> {
    let now = gate.now();
    for (id, tenant) in gate.db().read(move |conn| store::to_settle(conn, now))? {
        let done = gate.run(&Cx::system("readings", tenant), &actions::SETTLE, actions::ReadingRef { id });
        if let Err(e) = done {
            tracing::warn!(%id, code = e.code(), "a reading could not be ended: {e}");
        }
    }
    gate.db().write(move |conn| store::forget_old(conn, after(now, -limits::FETCHED_DAYS * 24 * 3_600)?))?;
    let kept = gate.db().read(store::tasks_kept)?;
    match gate.installed::<Handed>() {
        Some(handed) => handed.keep(&kept.into_iter().collect()),
        None => Ok(()),
    }
}

/// Adds the reconciler.
#[must_use]
pub fn register(registry: durable::Registry) -> durable::Registry {
    registry.reconciler("readings.over", std::time::Duration::from_secs(60), sweep)
}
