//! Looking whether a repository is whole.
//!
//! A look says *damaged* only of damage. Three things look like it and are none:
//! - the place did not answer: the engine's walk over the trees ends at the first that it cannot get, and its
//!   loaders, to whom nobody listens any more, panic (rustic_core issue 209). Then nobody could look;
//! - a prune beside it took away what its index named: it is looked again;
//! - a prune marked what a newer snapshot holds: that is taken back ([`revive`]), and it is looked again.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rustic_core::repofile::SnapshotFile;
use rustic_core::{CheckOptions, CheckResults, ReadSubsetOption};

use super::{Done, Opened, is_damage, ours, revive};
use crate::fault;
use crate::place::Kind;
use crate::request::{Answer, Checked, Read};

/// Findings of a kind that are told.
const FINDINGS_MAX: usize = 100;
/// Looks that are made while somebody prunes beside them.
const LOOKS_MAX: usize = 4;

pub(super) fn run(open: Opened, read: Read) -> Done<Answer> {
    let (_, checked) = beside_prunes(open, |open| look(open, read), |checked| !checked.whole)?;
    Ok(Answer::Checked(checked))
}

/// That every piece of some snapshots is in the index, and every pack of the index is there.
pub(super) fn whole(open: Opened, snapshots: &[SnapshotFile]) -> Done<Opened> {
    beside_prunes(open, |open| expect_whole(open, snapshots), |()| false).map(|(open, ())| open)
}

/// Looks, and looks again where what seems amiss may be the doing of a prune beside it.
fn beside_prunes<T>(
    open: Opened,
    look: impl Fn(&Opened) -> Done<T>,
    is_amiss: impl Fn(&T) -> bool,
) -> Done<(Opened, T)> {
    let mut open = open;
    for _ in 0..LOOKS_MAX {
        let before = names(&open)?;
        let looked = look(&open).map_err(|failed| ours(&open.watch, failed));
        let suspect = looked.as_ref().map_or_else(is_damage, &is_amiss);
        if !suspect || !moved(&open, &before) {
            return Ok(looked.map(|looked| (open, looked))?);
        }
        // With no memory of what was seen amiss.
        open = Opened::new(&open.repository, &open.report)?;
    }
    let message = format!("data was removed beside each of {LOOKS_MAX} looks; look again when no prune runs");
    Err(fault::error(fault::REPOSITORY_LOCKED, message).into())
}

/// What is changed where something is let go and removed.
pub(super) fn names(open: &Opened) -> Done<BTreeSet<String>> {
    let all = [open.store.list(Kind::Index)?, open.store.list(Kind::Snapshots)?];
    Ok(all.into_iter().flatten().map(|(name, _)| name).collect())
}

/// Whether what a look found amiss may be a prune's doing: index files or snapshots are gone that were there when
/// it began, or something was marked that a snapshot holds, which is taken back now. Where that cannot be told,
/// it is not.
fn moved(open: &Opened, before: &BTreeSet<String>) -> bool {
    let pruned = names(open).is_ok_and(|now| !before.is_subset(&now));
    let all = open.engine.get_all_snapshots().unwrap_or_default();
    pruned || revive::run(open, &all).is_ok_and(|revived| revived > 0)
}

fn look(open: &Opened, read: Read) -> Done<Checked> {
    let mut options = CheckOptions::default();
    options.read_data = read != Read::Nothing;
    if let Read::Part { part, of } = read {
        if part == 0 || part > of {
            return Err(fault::error(fault::REQUEST_INVALID, format!("there is no part {part} of {of}")).into());
        }
        options.read_data_subset = ReadSubsetOption::IdSubSet((part % of, of));
    }
    // A snapshot that cannot be read is a finding, not an end of the check.
    let (snapshots, mut faults) = match open.snapshots() {
        Ok(snapshots) => (snapshots, Vec::new()),
        Err(failure) => (open.engine.get_all_snapshots()?, vec![ours(&open.watch, failure).message().to_owned()]),
    };
    let found = findings(open, options, &snapshots)?;
    // What could not be had says nothing of what is there.
    if let Some(away) = open.watch.fault().filter(|fault| !is_damage(fault)) {
        return Err(away.into());
    }
    let mut remarks = Vec::new();
    for (level, finding) in &found.0 {
        let list = if format!("{level:?}") == "Error" { &mut faults } else { &mut remarks };
        if list.len() < FINDINGS_MAX {
            list.push(finding.to_string().lines().next().unwrap_or_default().to_owned());
        }
    }
    let (snapshots, whole, guarded) = (snapshots.len() as u64, faults.is_empty(), open.store.guarded().ok().flatten());
    Ok(Checked { snapshots, whole, faults, remarks, guarded })
}

/// What the engine finds in the trees of some snapshots. Where it panics, this process is no judge of why:
/// another is asked ([`crate::client`]).
fn findings(open: &Opened, options: CheckOptions, snapshots: &[SnapshotFile]) -> Done<CheckResults> {
    let trees = snapshots.iter().map(|snapshot| snapshot.tree).collect();
    let found = catch_unwind(AssertUnwindSafe(|| open.engine.check_with_trees(options, trees)));
    match found {
        Ok(found) => Ok(found?),
        Err(panic) => Err(open.watch.fault().unwrap_or_else(|| fault::panicked(&*panic)).into()),
    }
}

fn expect_whole(open: &Opened, snapshots: &[SnapshotFile]) -> Done<()> {
    let found = findings(open, CheckOptions::default(), snapshots)?;
    let Some((_, finding)) = found.0.iter().find(|(level, _)| format!("{level:?}") == "Error") else { return Ok(()) };
    if let Some(away) = open.watch.fault().filter(|fault| !is_damage(fault)) {
        return Err(away.into());
    }
    let text = finding.to_string();
    let message = format!("the repository at {} is not whole: {text}; use another copy", open.store.describe());
    Err(fault::error(fault::REPOSITORY_INCOMPLETE, message).into())
}
