//! The agent's tasks: which the server asks for, which are at work, what came of the others.
//!
//! ```text
//!   listed ──► waiting ──► running ──► ended (on disk, then told) ──► no longer listed: forgotten
//!                 └───────────┴── no longer listed: cancelled, and never told of
//! ```
//!
//! What runs is not written down: after a crash the server still lists it, and it begins again.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base::time::Timestamp;
use base::{Error, Result, limits};

use super::book::Book;
use crate::tasks::Cancel;
use crate::wire::{HostTask, Outcome, Problem, ReadShare, TaskId, TaskProgress, TaskReport, TaskState, Work};

/// Progress is told no more often than this.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// How long a worker sleeps at most before it looks for what is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Reports of tasks that are told at once, in bytes of JSON: far from what the server takes at most.
const NEWS_BYTES_MAX: usize = limits::REPORT_BYTES_MAX / 2;
/// What is told of a problem, in bytes.
const WORDS_BYTES_MAX: usize = 4 << 10;

/// What is done one after the other, so that no kind of work waits behind another: backups behind
/// what somebody fetches, and who looks into a directory behind either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// All that nobody sits and waits for.
    Long,
    /// Looks into directories.
    Look,
    /// Files that are fetched.
    Fetch,
    /// Repositories that are read whole, which takes hours: whose ever they are, nobody's backup waits for it.
    Reading,
    /// Losses that are tried: what waits behind a backup would be no measurement.
    Loss,
}

impl Lane {
    fn of(work: &Work) -> Self {
        match work {
            Work::LookInto { .. } => Lane::Look,
            Work::FetchFile { .. } => Lane::Fetch,
            Work::CheckRepository { read: ReadShare::Everything, .. } => Lane::Reading,
            Work::LoseMachine { .. } => Lane::Loss,
            _ => Lane::Long,
        }
    }
}

/// The tasks of this host.
pub(super) struct Board {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    entries: BTreeMap<TaskId, Entry>,
    closed: bool,
}

struct Entry {
    /// Absent for what only its end is known of, from before a restart.
    work: Option<Work>,
    stage: Stage,
    cancel: Cancel,
    progress: Option<TaskProgress>,
    problem: Option<Problem>,
    tries: u32,
    due: Instant,
    /// There is something to tell, and when it was last told.
    news: bool,
    told: Option<Instant>,
}

enum Stage {
    Waiting,
    Running,
    Ended(Box<TaskReport>),
}

impl Board {
    /// Takes up what ended before.
    pub fn open(book: &Book) -> Result<Self> {
        let mut inner = Inner::default();
        for report in book.tasks()? {
            let mut entry = Entry::new(None);
            let id = report.id.clone();
            entry.stage = Stage::Ended(Box::new(bounded(report)));
            entry.news = true;
            inner.entries.insert(id, entry);
        }
        Ok(Self { inner: Mutex::new(inner), changed: Condvar::new() })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the list of what the server asks for now.
    ///
    /// # Errors
    /// Where forgetting what it asks for no more cannot be written down.
    pub fn accept(&self, listed: Vec<HostTask>, book: &Book) -> Result<()> {
        let mut inner = self.inner();
        let unwanted: Vec<TaskId> =
            inner.entries.keys().filter(|id| !listed.iter().any(|task| task.id == **id)).cloned().collect();
        let mut cancelled = Vec::new();
        let mut ended = Vec::new();
        for id in unwanted {
            match inner.entries.get(&id).map(|entry| &entry.stage) {
                // Its worker takes it off the board.
                Some(Stage::Running) => cancelled.extend(inner.entries.get(&id).map(|entry| entry.cancel.clone())),
                Some(Stage::Ended(_)) => ended.push(id),
                _ => drop(inner.entries.remove(&id)),
            }
        }
        book.forget_tasks(&ended)?;
        for id in &ended {
            inner.entries.remove(id);
        }
        for task in listed.into_iter().take(limits::HOST_TASKS_MAX) {
            let entry = inner.entries.entry(task.id).or_insert_with(|| Entry::new(None));
            if let Stage::Ended(_) = entry.stage {
                // The server does not know yet.
                entry.news = true;
            }
            entry.work = Some(task.work);
        }
        drop(inner);
        cancelled.iter().for_each(Cancel::ask);
        self.changed.notify_all();
        Ok(())
    }

    /// The next task to be done in that lane; waits for one. `None` when there is to be no more.
    pub fn take(&self, lane: Lane) -> Option<(HostTask, Cancel)> {
        let mut inner = self.inner();
        loop {
            if inner.closed {
                return None;
            }
            if let Some(task) = inner.next(lane) {
                return Some(task);
            }
            inner = self.changed.wait_timeout(inner, LOOK_EVERY).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Notes how far a task is. Answers whether that is worth telling now.
    pub fn progressed(&self, id: &TaskId, progress: TaskProgress) -> bool {
        let mut inner = self.inner();
        let Some(entry) = inner.entries.get_mut(id) else { return false };
        entry.progress = Some(progress);
        let due = entry.told.is_none_or(|at| at.elapsed() >= PROGRESS_EVERY);
        entry.news |= due;
        due
    }

    /// What opens its repositories cannot be had for now: it waits.
    pub fn held_up(&self, id: &TaskId, error: &Error, pause: impl FnOnce(u32) -> Duration) {
        let mut inner = self.inner();
        let Some(entry) = inner.entries.get_mut(id) else { return };
        if entry.cancel.asked() {
            inner.entries.remove(id);
            return;
        }
        entry.stage = Stage::Waiting;
        entry.tries = entry.tries.saturating_add(1);
        entry.due = Instant::now() + pause(entry.tries);
        entry.problem = Some(problem(error, true));
        entry.news = true;
    }

    /// A task came to its end, which is on disk when this returns.
    pub fn ended(&self, id: &TaskId, result: Result<Outcome>, at: Timestamp, book: &Book) {
        let mut inner = self.inner();
        let Some(entry) = inner.entries.get_mut(id) else { return };
        if entry.cancel.asked() {
            // Nobody waits for it, or the agent stops and begins it again when it is back.
            inner.entries.remove(id);
            return;
        }
        let (state, outcome, problem) = match result {
            Ok(outcome) => (TaskState::Succeeded, Some(outcome), None),
            Err(error) => (TaskState::Failed, None, Some(problem(&error, false))),
        };
        let report = bounded(TaskReport { id: id.clone(), state, progress: None, outcome, problem, at });
        if let Err(error) = book.save_task(&report) {
            tracing::error!(%id, code = error.code(), "what came of a task is not on disk: {error}");
        }
        entry.stage = Stage::Ended(Box::new(report));
        entry.news = true;
        drop(inner);
        self.changed.notify_all();
    }

    /// What the server should be told.
    pub fn news(&self, now: Timestamp) -> Vec<TaskReport> {
        let mut inner = self.inner();
        let due = inner.entries.iter_mut().filter(|(_, entry)| entry.news).take(limits::HOST_TASKS_MAX);
        let (mut news, mut size): (Vec<TaskReport>, usize) = (Vec::new(), 0);
        for (id, entry) in due {
            let report = match &entry.stage {
                Stage::Ended(report) => TaskReport::clone(report),
                Stage::Waiting | Stage::Running => TaskReport {
                    id: id.clone(),
                    state: TaskState::Running,
                    progress: entry.progress.clone(),
                    outcome: None,
                    problem: entry.problem.clone(),
                    at: now,
                },
            };
            size += bytes(&report);
            if size > NEWS_BYTES_MAX && !news.is_empty() {
                break;
            }
            entry.news = false;
            entry.told = Some(Instant::now());
            news.push(report);
        }
        news
    }

    /// Whether there is something to tell.
    pub fn has_news(&self) -> bool {
        self.inner().entries.values().any(|entry| entry.news)
    }

    /// A report did not reach the server: the same is told again.
    pub fn untold(&self, reports: &[TaskReport]) {
        let mut inner = self.inner();
        for report in reports {
            if let Some(entry) = inner.entries.get_mut(&report.id) {
                entry.news = true;
            }
        }
    }

    /// The server has stored a report. What was secret in it is kept here no longer.
    ///
    /// # Errors
    /// Where that cannot be written down.
    pub fn told(&self, reports: &[TaskReport], book: &Book) -> Result<()> {
        let mut inner = self.inner();
        for report in reports {
            let Some(outcome) = report.outcome.clone().filter(Outcome::is_secret) else { continue };
            let bare = TaskReport { outcome: Some(outcome.without_secrets()), ..report.clone() };
            book.save_task(&bare)?;
            if let Some(entry) = inner.entries.get_mut(&report.id) {
                entry.stage = Stage::Ended(Box::new(bare));
            }
        }
        Ok(())
    }

    /// The agent stops: what runs is cancelled, and begun again by the next one.
    pub fn close(&self) {
        let mut inner = self.inner();
        inner.closed = true;
        let running: Vec<Cancel> = inner.entries.values().map(|entry| entry.cancel.clone()).collect();
        drop(inner);
        running.iter().for_each(Cancel::ask);
        self.changed.notify_all();
    }
}

impl Inner {
    /// The first that is due and whose machine, or drill, has no other at work.
    fn next(&mut self, lane: Lane) -> Option<(HostTask, Cancel)> {
        let busy: Vec<String> = self
            .entries
            .values()
            .filter(|entry| matches!(entry.stage, Stage::Running))
            .filter_map(|entry| entry.alone().map(str::to_owned))
            .collect();
        let now = Instant::now();
        let due = |entry: &Entry| {
            matches!(entry.stage, Stage::Waiting)
                && entry.due <= now
                && entry.work.as_ref().is_some_and(|work| Lane::of(work) == lane)
                && entry.alone().is_none_or(|alone| !busy.iter().any(|one| one == alone))
        };
        let (id, entry) = self.entries.iter_mut().find(|(_, entry)| due(entry))?;
        let work = entry.work.clone()?;
        entry.stage = Stage::Running;
        entry.cancel = Cancel::default();
        entry.news = true;
        Some((HostTask { id: id.clone(), work }, entry.cancel.clone()))
    }
}

impl Entry {
    fn new(work: Option<Work>) -> Self {
        Self {
            work,
            stage: Stage::Waiting,
            cancel: Cancel::default(),
            progress: None,
            problem: None,
            tries: 0,
            due: Instant::now(),
            news: false,
            told: None,
        }
    }

    /// What no two tasks work on at once: a machine's disks, and what a drill makes, which must not be
    /// cleared away before the one that was cancelled has seen that it was.
    fn alone(&self) -> Option<&str> {
        match &self.work {
            Some(Work::BackUpMachine { machine, .. }) => Some(machine.as_str()),
            Some(Work::DrillData { drill, .. } | Work::EndDrill { drill, .. }) => Some(drill),
            _ => None,
        }
    }
}

fn problem(error: &Error, retrying: bool) -> Problem {
    let mut message = error.to_string();
    message.truncate(message.floor_char_boundary(WORDS_BYTES_MAX));
    Problem { code: error.code().to_owned(), message, retrying }
}

fn bytes<T: serde::Serialize>(what: &T) -> usize {
    serde_json::to_vec(what).map_or(0, |text| text.len())
}

/// An end that the server can take: one that it refuses would be told again for ever, and all the
/// others with it.
fn bounded(report: TaskReport) -> TaskReport {
    if report.outcome.as_ref().is_none_or(|outcome| bytes(outcome) <= limits::TASK_OUTCOME_BYTES_MAX) {
        return report;
    }
    let message = "what came of it is more than the server takes; ask for less of it at a time";
    let too_large = Error::exhausted("task.outcome_too_large", message);
    TaskReport { state: TaskState::Failed, outcome: None, problem: Some(problem(&too_large, false)), ..report }
}
