//! Host tasks: finite work that a host's agent is asked for, beside what should be there for ever.
//!
//! ```text
//!   put ──► waiting ──► running ──► succeeded · failed      (the agent's report; the fact HostTaskEnded)
//!              └───────────┴──────► cancelled               (by the server; the agent stops it)
//! ```
//!
//! **Invariants** (tests: `tests/tasks.rs`).
//! - An id is one piece of work: putting it again changes nothing, putting other work under it is refused.
//! - Only the host of a task sees it, reports on it and is given its access; and only while it is open.
//! - What ended stays as it ended. An outcome that is not of the work's kind is a failure.
//! - What opens a repository is in no row here: it comes from, and a new master key goes to, whoever
//!   was installed as [`Keys`].
//!
//! **How a flow uses it.** [`put`] in one step, wait for the key [`key`], look with [`get`]; [`cancel`]
//! on the way back.

use std::sync::Arc;

use base::id::HostId;
use base::time::{Timestamp, micros};
use base::{Error, Result, limits};
use db::{Conn, Row, args};
use drivers::wire::{
    DiskSource, HostTask, IntentId, Outcome, Problem, RecoveryId, TaskId, TaskProgress, TaskReport, TaskState, Work,
};
use gate::{Action, Effect, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::{Fact, hosts, intents, observe};

/// Progress is written down no more often than this.
const PROGRESS_EVERY_MICROS: i64 = 1_000_000;
/// Longest word of a progress or a problem, in bytes.
const WORDS_BYTES_MAX: usize = 2_048;

/// A piece of work and how it stands.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// The host that it is for.
    pub host: HostId,
    /// What is to be done.
    pub work: Work,
    /// What it is done for: a kind and an id.
    pub subject: (String, String),
    /// How it stands.
    pub state: State,
    /// How far it was when last heard of.
    pub progress: Option<TaskProgress>,
    /// What came of it, without its secrets.
    pub outcome: Option<Outcome>,
    /// Why it failed, or what it is held up by.
    pub problem: Option<Problem>,
    /// When it was asked for.
    #[schemars(with = "String")]
    pub created_at: Timestamp,
    /// When something of it changed last.
    #[schemars(with = "String")]
    pub updated_at: Timestamp,
}

impl Task {
    /// Whether it may still come to something.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Waiting | State::Running)
    }
}

/// How a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// The host has not taken it up.
    Waiting,
    /// The host is at it.
    Running,
    /// It is done; see the outcome.
    Succeeded,
    /// It cannot be done; see the problem.
    Failed,
    /// It is not wanted any more.
    Cancelled,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Running => "running",
            State::Succeeded => "succeeded",
            State::Failed => "failed",
            State::Cancelled => "cancelled",
        }
    }

    fn read(word: &str) -> Result<Self> {
        let all = [State::Waiting, State::Running, State::Succeeded, State::Failed, State::Cancelled];
        let found = all.into_iter().find(|state| state.word() == word);
        found.ok_or_else(|| Error::bug("task.damaged", format!("there is no state {word} of a task")))
    }
}

/// Gives what opens the repositories of an open task: a JSON array of `vault::request::Repository`
/// (see [`Work`] for which is which).
pub type Access = Arc<dyn Fn(&mut Tx<'_>, &Task) -> Result<Json> + Send + Sync>;
/// Keeps what is secret in an outcome. It is stored without it afterwards.
pub type Seal = Arc<dyn Fn(&mut Tx<'_>, &Task, &Outcome) -> Result<()> + Send + Sync>;
/// Gives what a disk is recovered from: `drivers::wire::RecoveryAccess` as JSON.
pub type Recover = Arc<dyn Fn(&mut Tx<'_>, &Recovery) -> Result<Json> + Send + Sync>;

/// Who knows the keys. Installed by the server with `Gate::install(Arc::new(Keys { … }))`; none of
/// the three may hold the gate itself.
pub struct Keys {
    /// Opens.
    pub access: Access,
    /// Seals.
    pub seal: Seal,
    /// Opens for a disk that is made from a snapshot.
    pub recover: Recover,
}

/// A disk that a host is about to make from a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Recovery {
    /// The machine that it is for.
    pub machine: IntentId,
    /// What it is recovered from, in the words of who wrote the machine's specification.
    pub recovery: RecoveryId,
    /// Which disk of what was saved.
    pub disk: String,
}

/// The key that a flow waits on, woken when the task ends.
pub fn key(id: &TaskId) -> String {
    format!("task:{id}")
}

/// An id for a new task.
///
/// # Errors
/// None in practice; the alphabet is checked.
pub fn fresh(tx: &Tx<'_>) -> Result<TaskId> {
    tx.ids().text("htsk", tx.now).parse().map_err(|e: String| Error::bug("task.id", e))
}

const SELECT: &str = "SELECT id, host, work, subject_kind, subject_id, state, progress, outcome, problem, created_at, updated_at FROM host_tasks";

fn read(row: &Row) -> Result<Task> {
    let (progress, outcome, problem): (Option<String>, Option<String>, Option<String>) =
        (row.get(6)?, row.get(7)?, row.get(8)?);
    Ok(Task {
        id: row.get::<String>(0)?.parse().map_err(|e: String| Error::bug("task.damaged", e))?,
        host: row.get(1)?,
        work: stored(row.text(2)?)?,
        subject: (row.get(3)?, row.get(4)?),
        state: State::read(row.text(5)?)?,
        progress: progress.map(|text| stored(&text)).transpose()?,
        outcome: outcome.map(|text| stored(&text)).transpose()?,
        problem: problem.map(|text| stored(&text)).transpose()?,
        created_at: row.get(9)?,
        updated_at: row.get(10)?,
    })
}

fn stored<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| Error::bug("task.damaged", "a stored task does not read").because(e))
}

fn text(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::bug("task.text", "a task cannot be written").because(e))
}

/// The task of that id.
///
/// # Errors
/// Those of the database.
pub fn get(conn: &mut Conn<'_>, id: &TaskId) -> Result<Option<Task>> {
    conn.query_opt(&format!("{SELECT} WHERE id = $1"), args![id.as_str()], read)
}

/// The newest tasks of a subject, newest first.
///
/// # Errors
/// Those of the database.
pub fn of_subject(conn: &mut Conn<'_>, (kind, id): (&str, &str)) -> Result<Vec<Task>> {
    let sql = format!("{SELECT} WHERE subject_kind = $1 AND subject_id = $2 ORDER BY id DESC LIMIT $3");
    conn.query(&sql, args![kind, id, limits::PAGE_MAX], read)
}

/// Asks a host for a piece of work, once: the same again changes nothing.
///
/// # Errors
/// `Invalid` (`task.malformed`) for work that no agent takes; `Conflict` where the id stands for
/// other work (`task.reused`) or the host is retired; `Exhausted` (`task.too_many`) where the host
/// has too much to do.
pub fn put(tx: &mut Tx<'_>, host: HostId, id: &TaskId, work: &Work, subject: (&str, &str)) -> Result<()> {
    work.check()?;
    if let Some(known) = get(tx, id)? {
        if known.host == host && known.work == *work && (known.subject.0.as_str(), known.subject.1.as_str()) == subject
        {
            return Ok(());
        }
        return Err(Error::conflict("task.reused", format!("task {id} is another piece of work already")));
    }
    if open(tx, host)?.len() >= limits::HOST_TASKS_MAX {
        let message = format!("host {host} has {} open tasks; try again when some have ended", limits::HOST_TASKS_MAX);
        return Err(Error::exhausted("task.too_many", message));
    }
    let (now, text) = (tx.now, text(work)?);
    intents::next_feed(tx, host)?;
    tx.execute(
        "INSERT INTO host_tasks (id, host, work, subject_kind, subject_id, state, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, 'waiting', $6, $6)",
        args![id.as_str(), host, text, subject.0, subject.1, now],
    )
    .map(drop)
}

/// Does not want a task any more. One that has ended stays as it ended.
///
/// # Errors
/// Those of the database.
pub fn cancel(tx: &mut Tx<'_>, id: &TaskId) -> Result<()> {
    let Some(task) = get(tx, id)?.filter(Task::is_open) else { return Ok(()) };
    let now = tx.now;
    tx.execute("UPDATE host_tasks SET state = 'cancelled', updated_at = $2 WHERE id = $1", args![id.as_str(), now])?;
    match intents::next_feed(tx, task.host) {
        Err(e) if e.code() == "host.retired" => Ok(()),
        other => other.map(drop),
    }
}

/// Forgets a task with what came of it. One that is open is cancelled first.
///
/// # Errors
/// Those of the database.
pub fn forget(tx: &mut Tx<'_>, id: &TaskId) -> Result<()> {
    cancel(tx, id)?;
    tx.execute("DELETE FROM host_tasks WHERE id = $1", args![id.as_str()]).map(drop)
}

/// A host is given up: nothing comes of its open tasks.
pub(crate) fn host_gone(tx: &mut Tx<'_>, host: HostId) -> Result<()> {
    for task in open(tx, host)? {
        end(
            tx,
            &task,
            State::Failed,
            None,
            Some(problem("task.host_gone", "the host was retired before this was done")),
        )?;
    }
    Ok(())
}

fn open(conn: &mut Conn<'_>, host: HostId) -> Result<Vec<Task>> {
    let sql = format!("{SELECT} WHERE host = $1 AND state IN ('waiting', 'running') ORDER BY id LIMIT $2");
    conn.query(&sql, args![host, limits::HOST_TASKS_MAX], read)
}

/// What the agent of a host is asked for now.
pub(crate) fn wanted(conn: &mut Conn<'_>, host: HostId) -> Result<Vec<HostTask>> {
    Ok(open(conn, host)?.into_iter().map(|task| HostTask { id: task.id, work: task.work }).collect())
}

/// Takes in how a task goes. What is not open on this host, and what is older than what is known, changes nothing.
pub(crate) fn reported(tx: &mut Tx<'_>, host: HostId, told: &TaskReport) -> Result<()> {
    let Some(task) = get(tx, &told.id)?.filter(|task| task.host == host && task.is_open()) else { return Ok(()) };
    match told.state {
        TaskState::Running => progressed(tx, &task, told),
        TaskState::Succeeded => succeeded(tx, &task, told),
        TaskState::Failed => {
            let untold = || problem("task.failed", "the agent did not say why");
            end(tx, &task, State::Failed, None, Some(told.problem.clone().unwrap_or_else(untold)))
        }
        TaskState::Unknown => Ok(()),
    }
}

fn progressed(tx: &mut Tx<'_>, task: &Task, told: &TaskReport) -> Result<()> {
    let now = tx.now;
    if task.state == State::Running && micros(now) - micros(task.updated_at) < PROGRESS_EVERY_MICROS {
        return Ok(());
    }
    let progress = told.progress.clone().map(|progress| TaskProgress { phase: short(&progress.phase), ..progress });
    let progress = progress.as_ref().map(text).transpose()?;
    let problem = told.problem.clone().map(shortened).as_ref().map(text).transpose()?;
    tx.execute(
        "UPDATE host_tasks SET state = 'running', progress = COALESCE($2, progress), problem = $3, told_at = $4, updated_at = $5
         WHERE id = $1 AND (told_at IS NULL OR told_at <= $4)",
        args![task.id.as_str(), progress, problem, told.at, now],
    )
    .map(drop)
}

fn succeeded(tx: &mut Tx<'_>, task: &Task, told: &TaskReport) -> Result<()> {
    let Some(outcome) = told.outcome.clone().filter(|outcome| outcome.fits(&task.work)) else {
        let why = problem(
            "task.outcome_mismatch",
            "what the agent told is not what comes of this work; upgrade the older of the two",
        );
        return end(tx, task, State::Failed, None, Some(why));
    };
    if outcome.is_secret() {
        let keys = keys(tx)?;
        (keys.seal)(tx, task, &outcome)?;
    }
    end(tx, task, State::Succeeded, Some(outcome.without_secrets()), None)
}

fn end(tx: &mut Tx<'_>, task: &Task, state: State, outcome: Option<Outcome>, problem: Option<Problem>) -> Result<()> {
    let (now, outcome) = (tx.now, outcome.as_ref().map(text).transpose()?);
    if outcome.as_ref().is_some_and(|outcome| outcome.len() > limits::TASK_OUTCOME_BYTES_MAX) {
        return end(
            tx,
            task,
            State::Failed,
            None,
            Some(self::problem("task.outcome_too_large", "the agent told too much of what came of it")),
        );
    }
    let problem = problem.map(shortened).as_ref().map(text).transpose()?;
    tx.execute(
        "UPDATE host_tasks SET state = $2, outcome = $3, problem = $4, updated_at = $5 WHERE id = $1",
        args![task.id.as_str(), state.word(), outcome, problem, now],
    )?;
    let tenant = hosts::load(tx, task.host)?.tenant;
    let (kind, id) = task.subject.clone();
    tx.fact(Fact::HostTaskEnded { task: task.id.to_string(), subject_kind: kind, subject_id: id }, tenant)
}

fn problem(code: &str, message: &str) -> Problem {
    Problem { code: code.to_owned(), message: message.to_owned(), retrying: false }
}

fn shortened(problem: Problem) -> Problem {
    Problem { code: short(&problem.code), message: short(&problem.message), ..problem }
}

/// The beginning of a text. PostgreSQL takes no NUL.
fn short(text: &str) -> String {
    let mut text = text.replace('\0', "\u{fffd}");
    let mut end = text.len().min(WORDS_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

fn keys(tx: &Tx<'_>) -> Result<Arc<Keys>> {
    let none = || Error::unavailable("task.no_keys", "this server keeps no keys of repositories");
    tx.installed::<Keys>().ok_or_else(none)
}

/// Which task.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TaskRef {
    /// Its id.
    pub id: TaskId,
}

/// Gives what opens the repositories of a task. A change, so that each time is on the audit log.
pub static ACCESS: Action<TaskRef, Json> = Action {
    name: "agent.access",
    summary: "Gives a host's agent what opens the repositories of an open task of its own.",
    effect: Effect::Change,
    run: |tx, input| {
        let host = observe::speaker(tx)?;
        let found = get(tx, &input.id)?.filter(|task| task.host == host && task.is_open());
        let none = || Error::not_found("task.not_found", format!("there is no open task {} on this host", input.id));
        let task = found.ok_or_else(none)?;
        let tenant = hosts::load(tx, host)?.tenant;
        tx.touch("hostTask", task.id.as_str(), tenant, 0);
        let keys = keys(tx)?;
        (keys.access)(tx, &task)
    },
};

/// How large the file of an open task may be, for the host that hands it over.
pub static HAND_OVER: Action<TaskRef, Allowance> = Action {
    name: "agent.hand_over",
    summary: "Lets a host's agent hand over the file that an open task of its own was to fetch.",
    effect: Effect::Read,
    run: |tx, input| {
        let host = observe::speaker(tx)?;
        let found = get(tx, &input.id)?.filter(|task| task.host == host && task.is_open());
        match found.map(|task| task.work) {
            Some(Work::FetchFile { bytes_max, .. }) => Ok(Allowance { bytes_max }),
            _ => {
                let message = format!("there is no open task {} on this host that fetches a file", input.id);
                Err(Error::not_found("task.not_found", message))
            }
        }
    },
};

/// How much may be handed over.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Allowance {
    /// Bytes at most.
    pub bytes_max: u64,
}

/// Gives what a disk is made from, to the host on which a machine with such a disk is wanted.
pub static RECOVER: Action<Recovery, Json> = Action {
    name: "agent.recover",
    summary: "Gives a host's agent what a disk of a machine that is wanted there is recovered from.",
    effect: Effect::Change,
    run: |tx, input| {
        let host = observe::speaker(tx)?;
        let found = intents::get(tx, &input.machine)?.filter(|intent| intent.host == host);
        let from = |source: &DiskSource| matches!(source, DiskSource::Recovery { recovery, disk, .. } if *recovery == input.recovery && *disk == input.disk);
        let wanted = found
            .and_then(|intent| intent.desired)
            .is_some_and(|spec| spec.disks.iter().any(|disk| from(&disk.source)));
        if !wanted {
            let message =
                format!("no machine {} with a disk from {} is wanted on this host", input.machine, input.recovery);
            return Err(Error::not_found("recovery.not_found", message));
        }
        let tenant = hosts::load(tx, host)?.tenant;
        tx.touch("intent", input.machine.as_str(), tenant, 0);
        let keys = keys(tx)?;
        (keys.recover)(tx, input)
    },
};
