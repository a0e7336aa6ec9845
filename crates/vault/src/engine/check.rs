//! Looking whether a repository is whole.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rustic_core::repofile::SnapshotFile;
use rustic_core::{CheckOptions, CheckResults, Open, ReadSubsetOption};

use super::{Done, Opened, ours};
use crate::fault;
use crate::request::{Answer, Checked, Read};

/// Findings of a kind that are told.
const FINDINGS_MAX: usize = 100;

pub(super) fn run(open: &Opened, read: Read) -> Done<Answer> {
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
    let mut remarks = Vec::new();
    for (level, finding) in &found.0 {
        let list = if format!("{level:?}") == "Error" { &mut faults } else { &mut remarks };
        if list.len() < FINDINGS_MAX {
            list.push(finding.to_string().lines().next().unwrap_or_default().to_owned());
        }
    }
    let (snapshots, whole, guarded) = (snapshots.len() as u64, faults.is_empty(), open.store.guarded().ok().flatten());
    Ok(Answer::Checked(Checked { snapshots, whole, faults, remarks, guarded }))
}

/// What the engine finds in the trees of some snapshots; its panics are findings of damage.
fn findings<S: Open>(open: &Opened<S>, options: CheckOptions, snapshots: &[SnapshotFile]) -> Done<CheckResults> {
    let trees = snapshots.iter().map(|snapshot| snapshot.tree).collect();
    let found = catch_unwind(AssertUnwindSafe(|| open.engine.check_with_trees(options, trees)));
    let damaged = || fault::error(fault::REPOSITORY_DAMAGED, "a piece cannot be read at all; use another copy");
    Ok(found.unwrap_or_else(|_| Err(super::bridge::wrapped(open.watch.fault().unwrap_or_else(damaged))))?)
}

/// That every piece of some snapshots is in the index, and every pack of the index is there.
pub(super) fn whole<S: Open>(open: &Opened<S>, snapshots: &[SnapshotFile]) -> Done<()> {
    let found = findings(open, CheckOptions::default(), snapshots)?;
    let Some((_, finding)) = found.0.iter().find(|(level, _)| format!("{level:?}") == "Error") else { return Ok(()) };
    let text = finding.to_string();
    let message = format!("the repository at {} is not whole: {text}; use another copy", open.store.describe());
    Err(fault::error(fault::REPOSITORY_INCOMPLETE, message).into())
}
