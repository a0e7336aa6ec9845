//! Jobs: one idempotent thing each, asked for inside a transaction and done
//! after it, again and again until it succeeds or is dead.
//!
//! ```text
//!  enqueue ► ready ─ claimed ─► running ─ done ─► (gone)
//!              ▲                   │ fails, may pass
//!              └──── after a wait ─┘        fails for good, or too often ─► dead ─ retry ─► ready
//! ```
//!
//! Invariant: a job is never lost: it leaves the table only by success or by a
//! person's decision. It may be done twice; its handler is idempotent.

use std::time::Duration;

use base::id::TenantId;
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::{Conn, Row, args};
use gate::{Action, AnyAction, Effect, Gate, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::engine::{Work, is_stopped};
use crate::flows::advance::later;
use crate::flows::{Failure, Retry, Span};
use crate::{Fact, Nothing, Workshop, workshop};

base::ids! {
    /// A job.
    pub struct JobId = "job";
}
db::id_columns!(JobId);

/// What a handler knows about its job.
#[derive(Debug, Clone)]
pub struct JobCx {
    /// Which job: a key for idempotent effects.
    pub id: JobId,
    /// For whom.
    pub tenant: TenantId,
    /// How often it failed before.
    pub attempt: u32,
    /// When it was asked for.
    pub created: Timestamp,
}

pub(crate) type Handler = Box<dyn Fn(&Gate, &JobCx, Json) -> Result<()> + Send + Sync>;

/// How patient a kind of job is.
#[derive(Debug, Clone)]
pub struct Patience {
    /// Calls altogether before it is dead.
    pub attempts: u32,
    /// Wait after the first failure; doubles with each further one.
    pub first: Duration,
    /// Longest wait.
    pub most: Duration,
    /// How long one call may take at the most; another server takes over after that.
    pub term: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            attempts: limits::JOB_ATTEMPTS,
            first: Duration::from_secs(2),
            most: Duration::from_secs(3_600),
            term: Duration::from_secs(120),
        }
    }
}

/// Asks for a job, to be done after this transaction and not before `run_at`.
///
/// # Errors
/// `Invalid` for a payload that is too large; those of the database.
pub fn enqueue(
    tx: &mut Tx<'_>,
    kind: &'static str,
    payload: impl Serialize,
    run_at: Option<Timestamp>,
) -> Result<JobId> {
    let payload = serde_json::to_string(&payload)
        .map_err(|e| Error::bug("job.payload", "a payload cannot be written as JSON").because(e))?;
    if payload.len() > limits::JOB_PAYLOAD_BYTES_MAX {
        return Err(Error::invalid(
            "job.payload",
            format!("the payload of a job {kind} is larger than {} bytes", limits::JOB_PAYLOAD_BYTES_MAX),
        ));
    }
    let (id, now, tenant) = (JobId::fresh(tx.ids(), tx.now), tx.now, tx.cx().tenant());
    let due = run_at.map_or(now, |at| at.max(now));
    tx.execute(
        "INSERT INTO jobs (id, kind, tenant, payload, state, attempt, due_at, fence, created_at, updated_at) VALUES ($1, $2, $3, $4, 'ready', 0, $5, 0, $6, $6)",
        args![id, kind, tenant, payload, due, now],
    )?;
    if let (Some(workshop), true) = (tx.installed::<Workshop>(), due <= now) {
        tx.after_commit(move || workshop.queue.push(Work::Job(id)));
    }
    Ok(id)
}

/// Whether a job will still be done by itself: it is neither done nor discarded, nor dead.
///
/// # Errors
/// Those of the database.
pub fn is_open(conn: &mut Conn<'_>, id: JobId) -> Result<bool> {
    let found = conn.query_opt("SELECT state FROM jobs WHERE id = $1", args![id], |row| row.get::<String>(0))?;
    Ok(found.is_some_and(|state| state != "dead"))
}

/// A moment between two effects of a job: where a process may end. A handler with several effects passes one
/// between any two of them, so that tests can end it there.
///
/// # Errors
/// Where a test has ended the process that it plays.
pub fn moment(gate: &Gate) -> Result<()> {
    gate.installed::<Workshop>().map_or(Ok(()), |workshop| workshop.faults.point())
}

struct Claimed {
    kind: String,
    payload: Json,
    fence: i64,
    cx: JobCx,
}

/// Does a job, if it is due.
pub(crate) fn perform(gate: &Gate, workshop: &Workshop, id: JobId) -> Result<()> {
    let now = gate.now();
    let terms: std::collections::BTreeMap<&'static str, Duration> =
        workshop.registry.jobs.iter().map(|(kind, (_, patience))| (*kind, patience.term)).collect();
    let by = workshop.server.clone();
    let claimed = gate.db().write(move |conn| claim(conn, (id, &by), now, &terms))?;
    let Some(job) = claimed else { return Ok(()) };
    workshop.faults.point()?;
    let known = workshop.registry.jobs.get(job.kind.as_str());
    let result = match known {
        Some((handler, _)) => {
            let guarded = std::panic::AssertUnwindSafe(|| handler(gate, &job.cx, job.payload.clone()));
            std::panic::catch_unwind(guarded)
                .unwrap_or_else(|_| Err(Error::bug("job.panic", "a job stopped on a broken invariant")))
        }
        None => Err(Error::bug("job.unknown", format!("there is no kind of job called {}", job.kind))),
    };
    if result.as_ref().is_err_and(is_stopped) {
        let now = gate.now();
        return gate.db().write(move |conn| release(conn, id, job.fence, now)).map(drop);
    }
    workshop.faults.point()?;
    let patience = known.map(|(_, patience)| patience.clone()).unwrap_or_default();
    let next = result.as_ref().err().and_then(|e| next_attempt(gate, &job, e, &patience));
    if let (Err(e), None) = (&result, next) {
        tracing::error!(job = %id, kind = job.kind, error = ?e, "a job is dead");
    }
    let now = gate.now();
    gate.db().write(move |conn| finish(conn, id, &job, &result, next, now))?;
    if let Some(next) = next {
        workshop.queue.push_at(Work::Job(id), next);
    }
    Ok(())
}

fn claim(
    conn: &mut Conn<'_>,
    (id, by): (JobId, &str),
    now: Timestamp,
    terms: &std::collections::BTreeMap<&'static str, Duration>,
) -> Result<Option<Claimed>> {
    let read = |row: &Row| {
        let cx = JobCx { id, tenant: row.get(2)?, attempt: row.get(4)?, created: row.get(5)? };
        Ok(Claimed { kind: row.get(0)?, payload: row.get(1)?, fence: row.get::<i64>(3)? + 1, cx })
    };
    let due = conn.query_opt(
        "SELECT kind, payload, tenant, fence, attempt, created_at FROM jobs WHERE id = $1 AND due_at <= $2",
        args![id, now],
        read,
    )?;
    let Some(job) = due else { return Ok(None) };
    let until = later(now, terms.get(job.kind.as_str()).copied().unwrap_or(Patience::default().term));
    conn.execute(
        "UPDATE jobs SET state = 'running', fence = $2, due_at = $3, updated_at = $4, claimed_by = $5 WHERE id = $1",
        args![id, job.fence, until, now, by],
    )?;
    Ok(Some(job))
}

/// When a failed job is tried again; `None` where it is dead.
fn next_attempt(gate: &Gate, job: &Claimed, e: &Error, patience: &Patience) -> Option<Timestamp> {
    if !e.kind().is_transient() || job.cx.attempt + 1 >= patience.attempts {
        return None;
    }
    let now = gate.now();
    let retry = Retry { attempts: patience.attempts, first: Span(patience.first), most: Span(patience.most) };
    let chance = (gate.ids().next(now) & 0xffff) as u16;
    Some(later(now, retry.wait(job.cx.attempt, chance).max(e.wait().unwrap_or_default())))
}

fn finish(
    conn: &mut Conn<'_>,
    id: JobId,
    job: &Claimed,
    result: &Result<()>,
    next: Option<Timestamp>,
    now: Timestamp,
) -> Result<()> {
    let Err(e) = result else {
        return conn.execute("DELETE FROM jobs WHERE id = $1 AND fence = $2", args![id, job.fence]).map(drop);
    };
    let failure = serde_json::to_string(&Failure::of(e, "")).unwrap_or_default();
    let state = if next.is_some() { "ready" } else { "dead" };
    conn.execute(
        "UPDATE jobs SET state = $3, attempt = attempt + 1, due_at = $4, failure = $5, updated_at = $6 WHERE id = $1 AND fence = $2",
        args![id, job.fence, state, next, failure, now],
    )
    .map(drop)
}

/// It ended because its process does: whoever is there next does it again, at once.
fn release(conn: &mut Conn<'_>, id: JobId, fence: i64, now: Timestamp) -> Result<u64> {
    conn.execute("UPDATE jobs SET state = 'ready', due_at = $3 WHERE id = $1 AND fence = $2", args![id, fence, now])
}

pub(crate) fn due(conn: &mut Conn<'_>, now: Timestamp, most: usize) -> Result<Vec<JobId>> {
    conn.query("SELECT id FROM jobs WHERE due_at <= $1 ORDER BY due_at LIMIT $2", args![now, most], |row| row.get(0))
}

pub(crate) fn next_due(conn: &mut Conn<'_>) -> Result<Option<Timestamp>> {
    conn.query_one("SELECT MIN(due_at) FROM jobs WHERE due_at IS NOT NULL", &[], |row| row.get(0))
}

/// What earlier processes were at is done again at once: of those whose name is like that, but for one.
pub(crate) fn release_claims(conn: &mut Conn<'_>, now: Timestamp, of: &str, but: &str) -> Result<u64> {
    let sql = "UPDATE jobs SET state = 'ready', due_at = $1 WHERE state = 'running' AND claimed_by LIKE $2 AND claimed_by <> $3";
    conn.execute(sql, args![now, of, but])
}

/// Jobs that were put off before the clock was set back are tried now.
pub(crate) fn look_again(conn: &mut Conn<'_>, now: Timestamp) -> Result<u64> {
    conn.execute("UPDATE jobs SET due_at = $1 WHERE due_at > $1 AND updated_at > $1 AND state = 'ready'", args![now])
}

/// A job as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// Which one.
    pub id: JobId,
    /// Its kind.
    pub kind: String,
    /// For whom.
    pub tenant: TenantId,
    /// `ready`, `running` or `dead`.
    pub state: String,
    /// How often it failed.
    pub attempt: u32,
    /// When it is tried next.
    #[schemars(with = "Option<String>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due: Option<Timestamp>,
    /// How it failed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// When it was asked for.
    #[schemars(with = "String")]
    pub created: Timestamp,
}

const COLUMNS: &str = "id, kind, tenant, state, attempt, due_at, failure, created_at";

fn read(row: &Row) -> Result<Job> {
    Ok(Job {
        id: row.get(0)?,
        kind: row.get(1)?,
        tenant: row.get(2)?,
        state: row.get(3)?,
        attempt: row.get(4)?,
        due: row.get(5)?,
        failure: row.get::<Option<Json>>(6)?.and_then(|failure| serde_json::from_value(failure).ok()),
        created: row.get(7)?,
    })
}

/// Which jobs to list, newest first.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ListJobs {
    /// Only those in this state; `dead` are those that wait for a person.
    pub state: Option<String>,
    /// Only those before this one.
    pub after: Option<JobId>,
    /// At most so many.
    pub limit: Option<u32>,
}

/// A page of jobs.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Jobs {
    /// Newest first.
    pub items: Vec<Job>,
    /// Give this as `after` for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<JobId>,
}

/// A decision about a job.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DecideJob {
    /// The job.
    pub id: JobId,
    /// Why.
    pub reason: String,
}

/// Lists.
pub static LIST: Action<ListJobs, Jobs> = Action {
    name: "job.list",
    summary: "Lists jobs that are not done yet, newest first.",
    effect: Effect::Read,
    run: |tx, input| {
        let most = input.limit.unwrap_or(limits::PAGE_DEFAULT).clamp(1, limits::PAGE_MAX);
        let after = input.after.map_or_else(|| "job_~".to_owned(), |id| id.to_string());
        let any = i64::from(input.state.is_none());
        let state = input.state.clone().unwrap_or_default();
        let sql = format!(
            "SELECT {COLUMNS} FROM jobs WHERE id < $1 AND ($2 = 1 OR state = $3) ORDER BY id DESC LIMIT {}",
            most + 1
        );
        let mut items = tx.query(&sql, args![after, any, state], read)?;
        let more = items.len() > most as usize;
        items.truncate(most as usize);
        let next = if more { items.last().map(|job| job.id) } else { None };
        Ok(Jobs { items, next })
    },
};

fn decide(tx: &mut Tx<'_>, action: &str, input: &DecideJob) -> Result<Job> {
    let absent = || Error::not_found("job.not_found", format!("there is no job {}", input.id));
    let job = tx
        .query_opt(&format!("SELECT {COLUMNS} FROM jobs WHERE id = $1"), args![input.id], read)?
        .ok_or_else(absent)?;
    if input.reason.trim().is_empty() || input.reason.len() > limits::REASON_BYTES_MAX {
        return Err(Error::invalid("reason.missing", "say why").at("reason"));
    }
    let owner = job.tenant;
    let job = tx.grant(action, "job", &input.id.to_string(), owner, db::Class::Internal, job)?.into_inner();
    if job.state == "running" {
        return Err(Error::conflict("job.running", "the job is being done just now"));
    }
    Ok(job)
}

/// Tries again.
pub static RETRY: Action<DecideJob, Nothing> = Action {
    name: "job.retry",
    summary: "Lets a job that failed be tried again now.",
    effect: Effect::Change,
    run: |tx, input| {
        decide(tx, "job.retry", input)?;
        let (id, now) = (input.id, tx.now);
        tx.execute(
            "UPDATE jobs SET state = 'ready', attempt = 0, due_at = $2, updated_at = $2 WHERE id = $1",
            args![id, now],
        )?;
        let workshop = workshop(tx)?;
        tx.after_commit(move || workshop.queue.push(Work::Job(id)));
        Ok(Nothing {})
    },
};

/// Drops a job.
pub static DISCARD: Action<DecideJob, Nothing> = Action {
    name: "job.discard",
    summary: "Drops a job that failed; it will not be done.",
    effect: Effect::Delete,
    run: |tx, input| {
        let job = decide(tx, "job.discard", input)?;
        tx.execute("DELETE FROM jobs WHERE id = $1", args![input.id])?;
        tx.fact(Fact::JobDiscarded { job: input.id.to_string(), kind: job.kind }, job.tenant)?;
        Ok(Nothing {})
    },
};

/// The actions of jobs.
pub static ACTIONS: &[&dyn AnyAction] = &[&LIST, &RETRY, &DISCARD];
