//! The step that looks: whether every copy of a point is there, and its repository whole.
//!
//! One look is made of each repository that the point has copies in, or should have and cannot: what it says of
//! others' copies is [`findings`]'. Where everything must be read, that is the repository's own ([`whole`]), and the
//! points wait for what comes of it.

use std::collections::BTreeMap;
use std::time::Duration;

use base::Result;
use drivers::wire::{Outcome, Problem, ReadShare, TaskId, Work};
use durable::{Call, Nothing, Progress, Step, StepCx, Undo};
use gate::Tx;
use resources::tasks::{self, Task};
use serde_json::json;

use super::points::{self, CopyState, RecoveryCopy, RecoveryPoint, State};
use super::work::{
    Note, OfPoint, REST, TRIES, WORKING, ask, give_up, is_late, is_of, key, may_pass, problem, taking, task, wait,
    worker,
};
use super::{findings, repositories, store, whole};
use crate::RepositoryId;

/// How long a point that is whole elsewhere waits while everything in a repository is read: its service's next point
/// is not begun before.
const READING: Duration = Duration::from_secs(2 * 3_600);

/// How far a look at a repository is.
#[derive(PartialEq)]
enum Look {
    /// It says what there is to say.
    Over,
    /// A host is at it.
    Open,
    /// A host is at reading everything, for all who wait for it.
    Shared,
}

/// Has every copy looked at: whether it is there, and whole.
pub struct Verify;

impl Verify {
    /// One repository with the point's copies in it.
    fn one(tx: &mut Tx<'_>, point: &RecoveryPoint, copies: &[&RecoveryCopy], note: &mut Note) -> Result<Look> {
        let Some(first) = copies.first() else { return Ok(Look::Over) };
        let name = first.repository.to_string();
        match task(tx, first.task.as_ref())? {
            Some(task) if task.is_open() => {
                note.tried.insert(name);
                Ok(if is_of(&task, point.id) { Look::Open } else { Look::Shared })
            }
            Some(task) if findings::outdated(tx, first.repository, &task)? => Self::ask(tx, point, copies),
            Some(task) if !is_of(&task, point.id) => Self::heard(tx, point, copies, &task),
            Some(task) => {
                note.tried.insert(name);
                findings::looked(tx, first.repository, &task)?;
                Self::judge(tx, point, copies, &task)
            }
            None if !note.tried.insert(name) => Ok(Look::Over),
            None => Self::ask(tx, point, copies),
        }
    }

    /// What a look says of each copy is written on it.
    fn judge(tx: &mut Tx<'_>, point: &RecoveryPoint, copies: &[&RecoveryCopy], task: &Task) -> Result<Look> {
        for copy in copies {
            let (state, problem) = findings::verdict(copy, task);
            store::set_found(tx, point.id, copy, state, problem.as_ref())?;
        }
        Ok(Look::Over)
    }

    /// Everything was read, or could not be. Where that found it whole and did not ask after these snapshots, which
    /// may be younger, it is enough to ask after them; where it is not, that is true of them too.
    fn heard(tx: &mut Tx<'_>, point: &RecoveryPoint, copies: &[&RecoveryCopy], task: &Task) -> Result<Look> {
        // It was called off.
        if task.state == tasks::State::Cancelled {
            return Self::ask(tx, point, copies);
        }
        let asked_after = |copy: &&RecoveryCopy| match (&task.work, &copy.snapshot) {
            (Work::CheckRepository { snapshots, .. }, Some(own)) => snapshots.contains(own),
            (_, own) => own.is_none(),
        };
        if copies.iter().all(asked_after) {
            return Self::judge(tx, point, copies, task);
        }
        match &task.outcome {
            Some(Outcome::RepositoryChecked { whole: true, faults, .. }) if faults.is_empty() => {
                Self::ask(tx, point, copies)
            }
            _ => {
                let (state, problem) = findings::wrong(task);
                for copy in copies {
                    store::set_found(tx, point.id, copy, state, Some(&problem))?;
                }
                Ok(Look::Over)
            }
        }
    }

    fn ask(tx: &mut Tx<'_>, point: &RecoveryPoint, copies: &[&RecoveryCopy]) -> Result<Look> {
        let first = copies.first().and_then(|copy| Some((copy.repository, point.part(&copy.part)?.host)));
        let Some((repository, host)) = first else { return Ok(Look::Over) };
        let repository = repositories::load(tx, repository)?;
        // Where it could not be made, or is to be made anew, nothing is to be seen.
        if !repository.made {
            return Ok(Look::Over);
        }
        let doubted = repository.doubt.map_or(ReadShare::Nothing, |doubt| doubt.read);
        let reading = if doubted == ReadShare::Everything { whole::under_way(tx, &repository)? } else { None };
        if let Some(reading) = reading {
            return Self::share(tx, point, copies, &reading.id);
        }
        let host = match worker(tx, copies, host)? {
            Ok(host) => host,
            Err(problem) => {
                for copy in copies {
                    store::set_found(tx, point.id, copy, None, Some(&problem))?;
                }
                return Ok(Look::Over);
            }
        };
        let mut snapshots: Vec<String> = copies.iter().filter_map(|copy| copy.snapshot.clone()).collect();
        if doubted == ReadShare::Everything {
            let reading = whole::begin(tx, &repository, host, snapshots)?;
            return Self::share(tx, point, copies, &reading);
        }
        let part = repositories::next_part(tx, &repository)?;
        let others = findings::also(tx, repository.id, part, snapshots.len())?;
        snapshots.extend(others);
        let read = match doubted {
            ReadShare::Nothing => ReadShare::Part { part, of: repositories::PARTS },
            doubted => doubted,
        };
        let asked = ask(tx, host, &Work::CheckRepository { snapshots, read }, point.id)?;
        for copy in copies {
            store::set_copy_task(tx, point.id, copy, Some(&asked))?;
        }
        Ok(Look::Open)
    }

    /// Waits for what a host reads for all.
    fn share(tx: &mut Tx<'_>, point: &RecoveryPoint, copies: &[&RecoveryCopy], reading: &TaskId) -> Result<Look> {
        for copy in copies {
            store::set_copy_task(tx, point.id, copy, Some(reading))?;
        }
        Ok(Look::Shared)
    }
}

fn being_read() -> Problem {
    problem(
        "backup.reading",
        "damage was found in this repository, and reading all of it takes long; it is looked at again by itself",
    )
}

/// What is there, and what could not be brought because something is amiss there: what else lies there is
/// no better.
fn is_to_be_looked_at(copy: &RecoveryCopy) -> bool {
    match &copy.snapshot {
        Some(_) => copy.state != CopyState::Gone,
        None => copy.problem.as_ref().is_some_and(|problem| points::damage(&problem.code).is_some()),
    }
}

/// It was written, and nobody could look at it for a reason that may pass.
fn not_looked_at_yet(copy: &RecoveryCopy) -> bool {
    copy.state == CopyState::Stored && copy.problem.as_ref().is_some_and(may_pass)
}

impl Step for Verify {
    const NAME: &'static str = "backup.verify";
    const SUMMARY: &'static str = "Has every copy looked at: whether it is there, and its repository whole.";
    const UNDO: Undo = Undo::Nothing;
    type In = OfPoint;
    type Out = Nothing;

    fn run(&self, tx: &mut Tx<'_>, cx: &StepCx<'_>, input: &OfPoint) -> Result<Progress<Nothing>> {
        let (point, mut note) = (taking(tx, input.point)?, Note::of(cx)?);
        if note.resting && cx.call == Call::Overdue {
            note = Note { tries: note.tries + 1, resting: false, ..note };
            for copy in point.copies().filter(|copy| not_looked_at_yet(copy)) {
                note.tried.remove(&copy.repository.to_string());
            }
        }
        let mut by_repository: BTreeMap<RepositoryId, Vec<&RecoveryCopy>> = BTreeMap::new();
        for copy in point.copies().filter(|copy| is_to_be_looked_at(copy)) {
            by_repository.entry(copy.repository).or_default().push(copy);
        }
        let (mut open, mut shared) = (false, Vec::new());
        for copies in by_repository.values() {
            match Self::one(tx, &point, copies, &mut note)? {
                Look::Over => {}
                Look::Open => open = true,
                Look::Shared => shared.extend(copies.iter().copied()),
            }
        }
        let patient = tx.now < cx.since + READING;
        if !open && !patient && points::judge(&taking(tx, input.point)?.parts) != State::Failed {
            // What is whole elsewhere does not keep its service from the next point.
            for copy in std::mem::take(&mut shared) {
                store::set_found(tx, point.id, copy, None, Some(&being_read()))?;
            }
        }
        let span = if patient && !shared.is_empty() { READING } else { WORKING };
        open |= !shared.is_empty();
        if open && is_late(tx, cx, WORKING) {
            let point = taking(tx, input.point)?;
            give_up(tx, &point)?;
            open = false;
        }
        // What was taken is not thrown away because nobody could look at it just then.
        let point = taking(tx, input.point)?;
        let unseen = points::judge(&point.parts) == State::Failed && point.copies().any(not_looked_at_yet);
        if !open && unseen && note.tries + 1 < TRIES {
            note.resting = true;
            return Ok(Progress::wait_until(tx.now + REST).noting(json!(note)));
        }
        Ok(if open { wait(cx, key(point.id), span, &note) } else { Progress::Done(Nothing {}) })
    }

    fn undo(&self, _: &mut Tx<'_>, _: &StepCx<'_>, _: &OfPoint, _: Option<&Nothing>) -> Result<Progress<()>> {
        Ok(Progress::Done(()))
    }
}
