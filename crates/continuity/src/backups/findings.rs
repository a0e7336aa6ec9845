//! What is found of a repository is true of every copy in it, whichever point's backup found it: a look
//! that follows a backup, a backup that finds its repository gone, a host that is retired with its
//! directories.
//!
//! ```text
//!   verified ──(its repository is damaged or gone)──► damaged · missing ──(a later look finds it whole)──► verified
//! ```
//!
//! A look reads one of [`PARTS`](repositories::PARTS) parts of the data: where something was found damaged,
//! looks read the part that it was found in, or everything, until that is whole. One that was asked for
//! before, or that read another part, says nothing good ([`outdated`]).
//!
//! A repository may hold tens of thousands of copies. What was found is said of a hundred points in the
//! transaction that found it, the newest first, and of the others by a job, a hundred at a time.
//!
//! Each look asks after the snapshots that something is wrong with, and after one of
//! [`PARTS`](repositories::PARTS) parts of the others, so that all have their turn. What was good and
//! has no whole copy any more is *lost*, not *failed*: nothing of it is removed, for a disk that is
//! mounted again, or a repository that was mended, brings it back.

use std::collections::BTreeSet;

use base::id::HostId;
use base::time::Timestamp;
use base::{Error, Result, limits};
use drivers::wire::{Outcome, Problem, ReadShare, Work};
use durable::{JobCx, Patience, Registry, jobs};
use gate::{Action, Cx, Effect, Gate, Tx};
use resources::hosts;
use resources::tasks::{State, Task};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::places::{self, BackupPlace, PlaceRef};
use super::points::{self, CopyState, RecoveryCopy, RecoveryPoint};
use super::upkeep::Repair;
use super::work::{self, problem};
use super::{repositories, store, upkeep};
use crate::{RecoveryPointId, RepositoryId};

/// What a look asks after beside a point's own snapshots.
pub(super) fn also(tx: &mut Tx<'_>, repository: RepositoryId, part: u32, own: usize) -> Result<Vec<String>> {
    let room = limits::TASK_SNAPSHOTS_MAX.saturating_sub(own);
    let (from, to) = stretch(part, repositories::PARTS);
    store::to_look_at(tx, repository, (&from, &to), room)
}

/// Where the identifiers of a part begin and end, counted from 1: they are hexadecimal, and evenly spread.
fn stretch(part: u32, of: u32) -> (String, String) {
    let place = |n: u32| (n < of).then(|| format!("{:04x}", u64::from(n) * 0x1_0000 / u64::from(of)));
    (place(part.saturating_sub(1)).unwrap_or_default(), place(part).unwrap_or_else(|| "g".to_owned()))
}

fn not_there() -> Problem {
    problem(vault::fault::SNAPSHOT_MISSING, "the snapshot is not in its repository")
}

fn not_whole(faults: &[String]) -> Problem {
    let faults = faults.iter().take(3).cloned().collect::<Vec<_>>().join("; ");
    problem(vault::fault::REPOSITORY_DAMAGED, format!("the repository is not whole: {faults}; use another copy"))
}

/// Whether a look found everything whole before somebody else found something wrong, or without reading where
/// that was: it is made again.
pub(super) fn outdated(tx: &mut Tx<'_>, repository: RepositoryId, task: &Task) -> Result<bool> {
    let (Some(Outcome::RepositoryChecked { whole: true, faults, .. }), Work::CheckRepository { read, .. }) =
        (&task.outcome, &task.work)
    else {
        return Ok(false);
    };
    let doubt = repositories::load(tx, repository)?.doubt;
    Ok(faults.is_empty() && doubt.is_some_and(|doubt| !doubt.yields_to(task.created_at, *read)))
}

/// What a look says of a copy. A look that could not be made says nothing of it.
pub(super) fn verdict(copy: &RecoveryCopy, task: &Task) -> (Option<CopyState>, Option<Problem>) {
    let told = match &task.outcome {
        Some(Outcome::RepositoryChecked { snapshots, whole, faults, .. }) => Some((snapshots, *whole, faults)),
        _ => None,
    };
    match told {
        // It was looked at because it could not be brought there: that is what is to be said of it.
        Some(_) if copy.snapshot.is_none() => (None, copy.problem.clone()),
        Some((there, _, _)) if !copy.snapshot.as_ref().is_some_and(|id| there.contains(id)) => {
            (Some(CopyState::Missing), Some(not_there()))
        }
        Some((_, true, faults)) if faults.is_empty() => (Some(CopyState::Verified), None),
        _ => {
            let (state, problem) = wrong(task);
            (state, Some(problem))
        }
    }
}

/// What a look that did not find a repository whole, or could not be made, says of every copy there.
pub(super) fn wrong(task: &Task) -> (Option<CopyState>, Problem) {
    if let Some(Outcome::RepositoryChecked { faults, .. }) = &task.outcome {
        return (Some(CopyState::Damaged), not_whole(faults));
    }
    let problem = if task.state == State::Succeeded { work::mismatch() } else { work::why(task) };
    (points::damage(&problem.code), problem)
}

/// A look that is not [`outdated`] has ended: what it says of the copies of other points.
pub(super) fn looked(tx: &mut Tx<'_>, repository: RepositoryId, task: &Task) -> Result<()> {
    let Work::CheckRepository { snapshots: asked, read } = &task.work else { return Ok(()) };
    if let Some(Outcome::RepositoryChecked { guarded, .. }) = &task.outcome {
        repositories::set_guarded(tx, repository, *guarded)?;
    }
    match &task.outcome {
        Some(Outcome::RepositoryChecked { snapshots: there, whole: true, faults, .. }) if faults.is_empty() => {
            repositories::trust(tx, repository)?;
            let (mut changed, at) = (BTreeSet::new(), task.created_at);
            for snapshot in asked {
                changed.extend(match there.contains(snapshot) {
                    true => store::seen(tx, repository, at, snapshot, CopyState::Verified, None)?,
                    false => store::seen(tx, repository, at, snapshot, CopyState::Missing, Some(&not_there()))?,
                });
            }
            changed.into_iter().try_for_each(|point| points::rejudge(tx, point))
        }
        Some(Outcome::RepositoryChecked { faults, .. }) => {
            lose(tx, repository, (CopyState::Damaged, *read), &not_whole(faults))
        }
        _ => used(tx, repository, task),
    }
}

/// Work in a repository came to nothing: what that says of all that lies there.
pub(super) fn used(tx: &mut Tx<'_>, repository: RepositoryId, task: &Task) -> Result<()> {
    let Some(problem) = &task.problem else { return Ok(()) };
    match points::damage(&problem.code) {
        // A snapshot that is not there says nothing of the others.
        Some(state) if problem.code != vault::fault::SNAPSHOT_MISSING => {
            lose(tx, repository, (state, suspect(state)), problem)
        }
        _ => Ok(()),
    }
}

/// A backup came to nothing: what that says of the repositories that its parts were written to.
pub(super) fn failed(tx: &mut Tx<'_>, point: &RecoveryPoint) -> Result<()> {
    for part in &point.parts {
        if let (Some(task), Some(first)) = (work::task(tx, part.task.as_ref())?, part.copies.first()) {
            used(tx, first.repository, &task)?;
        }
    }
    Ok(())
}

/// What must be read where a use of a repository failed so: where the damage is nobody knows.
fn suspect(state: CopyState) -> ReadShare {
    if state == CopyState::Damaged { ReadShare::Everything } else { ReadShare::Nothing }
}

/// Whoever used a copy in a repository, and did not look at all of it, found it so.
pub(super) fn doubted(tx: &mut Tx<'_>, repository: RepositoryId, state: CopyState) -> Result<()> {
    match suspect(state) {
        ReadShare::Nothing => Ok(()),
        read => repositories::doubt(tx, repository, read),
    }
}

/// A repository that was found damaged or gone, while there may be copies in it that are not said to be so yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Losing {
    /// The repository.
    pub repository: RepositoryId,
    /// What every copy in it is that was whole.
    pub state: CopyState,
    /// Why.
    pub problem: Problem,
    /// When it was found: what was found whole later stays so.
    #[schemars(with = "String")]
    pub found_at: Timestamp,
}

/// The kind of job that goes on with it.
const LOSE: &str = "backup.lose";

fn lose(
    tx: &mut Tx<'_>,
    repository: RepositoryId,
    (state, read): (CopyState, ReadShare),
    problem: &Problem,
) -> Result<()> {
    lose_some(tx, repository, (state, read), problem, limits::LOST_POINTS_MAX).map(drop)
}

/// Says it of the copies of so many points, the newest first, and leaves the others to a job: a repository may
/// hold tens of thousands, and nobody else could write meanwhile. How many that were.
pub(super) fn lose_some(
    tx: &mut Tx<'_>,
    repository: RepositoryId,
    (state, read): (CopyState, ReadShare),
    problem: &Problem,
    most: usize,
) -> Result<usize> {
    repositories::doubt(tx, repository, read)?;
    let losing = Losing { repository, state, problem: problem.clone(), found_at: tx.now };
    let lost = go_on(tx, &losing, most)?;
    if lost >= most && store::is_to_lose(tx, &losing)? {
        jobs::enqueue(tx, LOSE, losing, None)?;
    }
    Ok(lost)
}

/// Says it of the copies of so many points more: how many those were.
pub(super) fn go_on(tx: &mut Tx<'_>, losing: &Losing, most: usize) -> Result<usize> {
    let points: Vec<RecoveryPointId> = store::lose(tx, losing, upkeep::ATTEMPTS_MAX, most)?;
    let lost = points.len();
    points.into_iter().try_for_each(|point| points::rejudge(tx, point))?;
    Ok(lost)
}

/// Goes on until there is none left. Whoever takes over from one that died finds what that one left.
fn finish(gate: &Gate, cx: &JobCx, losing: &Losing) -> Result<()> {
    let system = Cx::system("continuity", cx.tenant);
    loop {
        let asked = losing.clone();
        if !gate.db().read(move |conn| store::is_to_lose(conn, &asked))? {
            return Ok(());
        }
        jobs::moment(gate)?;
        gate.run(&system, &upkeep::RECONCILE, Repair::Lose(losing.clone()))?;
        jobs::moment(gate)?;
    }
}

/// Adds the job.
pub(super) fn register(registry: Registry) -> Registry {
    registry.job(LOSE, Patience::default(), |gate, cx, losing: Losing| finish(gate, cx, &losing))
}

/// A host is another than it was: with one that is retired its directories are gone.
///
/// # Errors
/// Those of the database.
pub fn host_changed(tx: &mut Tx<'_>, host: HostId) -> Result<()> {
    if hosts::load(tx, host)?.state != hosts::State::Retired {
        return Ok(());
    }
    let gone = problem("task.host_gone", "the host of this directory was retired");
    let mut most = limits::LOST_POINTS_MAX;
    for repository in store::in_directories_of(tx, host)? {
        most -= lose_some(tx, repository, (CopyState::Missing, ReadShare::Nothing), &gone, most)?;
    }
    Ok(())
}

/// Has the repositories of a place made anew.
pub static RENEW: Action<PlaceRef, BackupPlace> = Action {
    name: "backupPlace.renew",
    summary: "Has the repositories of a place made anew in which nothing is whole any more, and brings copies there again from other places. What still lies there must be moved away first.",
    effect: Effect::Change,
    run: |tx, input| {
        let place = places::granted(tx, "backupPlace.renew", input.id)?;
        let (lost, whole): (Vec<_>, Vec<_>) =
            store::wholes(tx, input.id)?.into_iter().partition(|(_, whole)| *whole == 0);
        if lost.is_empty() {
            let message = format!(
                "nothing at {} is lost: {} of its repositories hold copies that were found whole; if that is not so any more, have a recovery point looked at again first",
                place.name,
                whole.len()
            );
            return Err(Error::conflict("backupPlace.not_lost", message));
        }
        for (repository, _) in lost {
            store::renew(tx, repository)?;
        }
        Ok(place)
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_all_there_is_and_do_not_overlap() {
        let all: Vec<_> = (1..=repositories::PARTS).map(|part| stretch(part, repositories::PARTS)).collect();
        assert_eq!((all[0].0.as_str(), all[all.len() - 1].1.as_str()), ("0000", "g"));
        assert!(all.windows(2).all(|pair| pair[0].1 == pair[1].0 && pair[0].0 < pair[0].1), "{all:?}");
    }
}
