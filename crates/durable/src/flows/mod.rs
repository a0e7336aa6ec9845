//! Flows: whatever takes time or touches the world, as a versioned graph of steps.
//!
//! ```text
//!            ┌────────── wait ──────────┐
//!            ▼                          │
//!  start ► running ──────────────► waiting          running|waiting ─ fails ─► unwinding
//!            │  last step                            unwinding ─ all taken back ─► undone
//!            ▼                                       a fault of ours, a failure past the point of
//!           done                                     no return, a failing undo ─► stuck
//!  stuck ─ retry ─► running|unwinding    stuck ─ skip ─► the next step    stuck ─ give up ─► givenup
//! ```
//!
//! Invariants:
//! - what a step did and the journal's word for it are one commit; before the
//!   world is touched, that it will be is in the journal
//!   (`killed_at_every_journal_write_a_run_still_ends_the_same`);
//! - a run stays with the version of the definition that it began with;
//! - a step that may have left something is undone before the run is `undone`
//!   (`whatever_step_fails_nothing_is_left_behind`);
//! - a definition whose paths, types or undos do not fit is refused when it is loaded.
//!
//! Not here: threads and the queue (`engine`), the steps themselves (each room's
//! `work.rs`), parallel branches, timers, human tasks and flows inside flows.

pub mod actions;
pub(crate) mod advance;
mod definition;
pub(crate) mod plan;
mod schema;
pub(crate) mod store;
mod types;

use base::id::RunId;
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::Conn;
use gate::Tx;
use serde::Serialize;

pub use definition::{Definition, Retry, Span, StepDefinition, Title};
pub use types::{
    Decision, Event, Failure, JournalEvent, Run, RunDetail, RunSummary, State, StepProgress, StepState, ToSkip,
};

use crate::engine::Work;
use crate::step::Subject;
use crate::{Fact, workshop};
use types::Phase;

/// Starts the newest version of a flow, in the transaction of what asks for it.
/// The run acts on the authority of the actor of this transaction.
///
/// # Errors
/// `NotFound` where there is no such flow; `Invalid` (`flow.input`) where the
/// input is not what the flow needs.
pub fn start(tx: &mut Tx<'_>, flow: &str, input: impl Serialize, subject: Subject) -> Result<RunId> {
    let workshop = workshop(tx)?;
    let version = store::newest_version(tx, flow)?
        .ok_or_else(|| Error::not_found("flow.unknown", format!("there is no flow called {flow}")))?;
    let input = serde_json::to_value(input)
        .map_err(|e| Error::bug("flow.input", "an input cannot be written as JSON").because(e))?;
    if input.to_string().len() > limits::FLOW_VALUE_BYTES_MAX {
        return Err(Error::invalid(
            "flow.input",
            format!("the input of flow {flow} is larger than {} bytes", limits::FLOW_VALUE_BYTES_MAX),
        ));
    }
    workshop.plan(tx, flow, version)?.check_input(&input)?;
    let run = Run {
        id: RunId::fresh(tx.ids(), tx.now),
        flow: flow.to_owned(),
        version,
        requested_by: tx.cx().actor().to_string(),
        subject,
        input,
        state: State::Running,
        failure: None,
        events: 0,
        created: tx.now,
        updated: tx.now,
        backward: false,
        past_return: false,
        step: 0,
        phase: Phase::First,
        attempt: 0,
        step_since: None,
        note: None,
        wait_key: None,
        due: Some(tx.now),
        fence: 0,
        claimed_by: None,
    };
    store::insert(tx, &run)?;
    let (id, tenant) = (run.id, run.subject.tenant);
    tx.fact(Fact::started(&run), tenant)?;
    tx.after_commit(move || workshop.queue.push(Work::Run(id, tenant)));
    Ok(id)
}

/// Wakes whatever waits for `key`, in the transaction of what was observed.
/// Gives the number of runs that it woke.
///
/// # Errors
/// Those of the database.
pub fn wake(tx: &mut Tx<'_>, key: &str) -> Result<usize> {
    let now = tx.now;
    let woken = store::wake(tx, key, now)?;
    let number = woken.len();
    if let (Some(workshop), true) = (tx.installed::<crate::Workshop>(), number > 0) {
        tx.after_commit(move || woken.into_iter().for_each(|(id, tenant)| workshop.queue.push(Work::Run(id, tenant))));
    }
    Ok(number)
}

/// Turns a run round: what it did is taken back. For orders that are cancelled.
///
/// # Errors
/// `Conflict` (`flow.past_return`, `flow.ended`) where it is too late;
/// `Contended` while a step is touching the world: try again when it has answered.
pub fn unwind(tx: &mut Tx<'_>, id: RunId, reason: &str) -> Result<()> {
    let mut run = find(tx, id)?;
    if run.state.is_final() {
        return Err(Error::conflict("flow.ended", format!("run {id} has ended: {}", run.state.word())));
    }
    if run.past_return {
        return Err(Error::conflict("flow.past_return", format!("run {id} is past its point of no return")));
    }
    if run.backward {
        return Ok(());
    }
    if run.claimed_by.is_some() {
        return Err(Error::contended(
            "flow.calling",
            "a step of this run is touching the world just now; try again in a moment",
        ));
    }
    let note = run.note.take();
    run.backward = true;
    run.go_to(run.step, tx.now);
    run.note = note;
    actions::decided(tx, &mut run, "unwind", reason)
}

/// The runs about a subject, oldest first.
///
/// # Errors
/// Those of the database.
pub fn of_subject(conn: &mut Conn<'_>, kind: &str, id: &str) -> Result<Vec<Run>> {
    store::of_subject(conn, kind, id, limits::FLOW_RUNS_OF_SUBJECT_MAX)
}

/// Whether a call to the world ([`crate::StepCx::fence`]) is the newest of its run: who took over from one that was
/// given up has the word.
///
/// # Errors
/// `Conflict` (`flow.superseded`) where it is not; `NotFound`.
pub fn check_call(conn: &mut Conn<'_>, id: RunId, fence: i64) -> Result<()> {
    let newest = find(conn, id)?.fence;
    let over = || Error::conflict("flow.superseded", "this call was given up, and another one is made in its place");
    if newest == fence { Ok(()) } else { Err(over()) }
}

/// A run with the progress of its steps, for a page that the caller has decided to show.
///
/// # Errors
/// `NotFound`.
pub fn progress(tx: &mut Tx<'_>, id: RunId) -> Result<RunDetail> {
    let run = find(tx, id)?;
    actions::detail(tx, &run)
}

/// Whether nothing will happen to a run any more. One that nobody knows is over.
///
/// # Errors
/// Those of the database.
pub fn is_over(conn: &mut Conn<'_>, id: RunId) -> Result<bool> {
    Ok(store::load(conn, id)?.is_none_or(|run| run.state.is_final()))
}

/// Forgets runs that ended before `before`, their journals and decisions with
/// them: one batch. Gives how many. What they did stays: records, ledgers, audit log.
///
/// # Errors
/// Those of the database.
pub fn forget(conn: &mut Conn<'_>, before: Timestamp) -> Result<usize> {
    let old = store::ended_before(conn, before)?;
    for run in &old {
        store::delete(conn, *run)?;
    }
    Ok(old.len())
}

pub(crate) fn find(conn: &mut Conn<'_>, id: RunId) -> Result<Run> {
    store::load(conn, id)?.ok_or_else(|| Error::not_found("flow.not_found", format!("there is no run {id}")))
}
