//! The step that looks: whether every copy of a point is there, and its repository whole.
//!
//! One look is made of each repository that the point has copies in, or should have and cannot: what it says of
//! others' copies is [`findings`]'.

use std::collections::BTreeMap;

use base::Result;
use drivers::wire::{ReadShare, Work};
use durable::{Call, Nothing, Progress, Step, StepCx, Undo};
use gate::Tx;
use serde_json::json;

use super::points::{self, CopyState, RecoveryCopy, RecoveryPoint, State};
use super::work::{
    Note, OfPoint, REST, TRIES, WORKING, ask, give_up, is_late, key, may_pass, taking, task, wait, worker,
};
use super::{findings, repositories, store};
use crate::RepositoryId;

/// Has every copy looked at: whether it is there, and whole.
pub struct Verify;

impl Verify {
    /// One repository with the point's copies in it: whether it is still being looked at.
    fn one(tx: &mut Tx<'_>, point: &RecoveryPoint, copies: &[&RecoveryCopy], note: &mut Note) -> Result<bool> {
        let Some(first) = copies.first() else { return Ok(false) };
        let name = first.repository.to_string();
        match task(tx, first.task.as_ref())? {
            Some(task) if task.is_open() => {
                note.tried.insert(name);
                Ok(true)
            }
            Some(task) if findings::outdated(tx, first.repository, &task)? => Self::ask(tx, point, copies),
            Some(task) => {
                note.tried.insert(name);
                findings::looked(tx, first.repository, &task)?;
                for copy in copies {
                    let (state, problem) = findings::verdict(copy, &task);
                    store::set_found(tx, point.id, copy, state, problem.as_ref())?;
                }
                Ok(false)
            }
            None if !note.tried.insert(name) => Ok(false),
            None => Self::ask(tx, point, copies),
        }
    }

    fn ask(tx: &mut Tx<'_>, point: &RecoveryPoint, copies: &[&RecoveryCopy]) -> Result<bool> {
        let first = copies.first().and_then(|copy| Some((copy.repository, point.part(&copy.part)?.host)));
        let Some((repository, host)) = first else { return Ok(false) };
        let repository = repositories::load(tx, repository)?;
        // Where it could not be made, or is to be made anew, nothing is to be seen.
        if !repository.made {
            return Ok(false);
        }
        let host = match worker(tx, copies, host)? {
            Ok(host) => host,
            Err(problem) => {
                for copy in copies {
                    store::set_found(tx, point.id, copy, None, Some(&problem))?;
                }
                return Ok(false);
            }
        };
        let mut snapshots: Vec<String> = copies.iter().filter_map(|copy| copy.snapshot.clone()).collect();
        let part = repositories::next_part(tx, &repository)?;
        let others = findings::also(tx, repository.id, part, snapshots.len())?;
        snapshots.extend(others);
        let read = match repository.doubt.map(|doubt| doubt.read) {
            None | Some(ReadShare::Nothing) => ReadShare::Part { part, of: repositories::PARTS },
            Some(doubted) => doubted,
        };
        let asked = ask(tx, host, &Work::CheckRepository { snapshots, read }, point.id)?;
        for copy in copies {
            store::set_copy_task(tx, point.id, copy, Some(&asked))?;
        }
        Ok(true)
    }
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
        let mut open = false;
        for copies in by_repository.values() {
            open |= Self::one(tx, &point, copies, &mut note)?;
        }
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
        Ok(if open { wait(cx, key(point.id), WORKING, &note) } else { Progress::Done(Nothing {}) })
    }

    fn undo(&self, _: &mut Tx<'_>, _: &StepCx<'_>, _: &OfPoint, _: Option<&Nothing>) -> Result<Progress<()>> {
        Ok(Progress::Done(()))
    }
}
