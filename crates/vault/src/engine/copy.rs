//! Bringing snapshots into another repository.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustic_core::repofile::SnapshotFile;

use super::{Done, Opened, Report, check, hex, ours};
use crate::fault;
use crate::request::{Answer, Repository};

pub(super) fn run(open: Opened, to: &Repository, ids: &[String], report: &Arc<dyn Report>) -> Done<Answer> {
    let there = Opened::new(to, report)?;
    if there.engine.config().id == open.engine.config().id {
        return Err(fault::error(fault::REQUEST_INVALID, "a repository is no copy of itself; name another").into());
    }
    let mut wanted = Vec::new();
    for id in ids {
        let mut snapshot = open.snapshot(id)?;
        // What it is a copy of, through all copies of copies.
        snapshot.original = snapshot.original.or(Some(snapshot.id));
        wanted.push(snapshot);
    }
    // The engine would copy a snapshot without the pieces that are missing here.
    let open = check::whole(open, &wanted)?;
    let (from, watch) = (open.watch.clone(), there.watch.clone());
    let arrived = transfer(open, there, &wanted).map_err(|failed| {
        // The fault may be of either side.
        from.fault().unwrap_or_else(|| ours(&watch, failed))
    })?;
    Ok(Answer::Copied(arrived))
}

/// Transfers what is not there yet; each snapshot's identifier and its copy's.
fn transfer(open: Opened, there: Opened, wanted: &[SnapshotFile]) -> Done<BTreeMap<String, String>> {
    let (already, to, report) = (there.snapshots()?, there.repository.clone(), there.report.clone());
    let missing: Vec<&SnapshotFile> = wanted.iter().filter(|s| !already.iter().any(|o| same(s, o))).collect();
    let there = there.for_copies()?;
    if !missing.is_empty() {
        open.for_reading()?.engine.copy(&there.engine, missing)?;
    }
    let now = there.snapshots()?;
    let mut copies = Vec::new();
    let mut pairs = BTreeMap::new();
    for snapshot in wanted {
        let lost = || fault::error(fault::REPOSITORY_INCOMPLETE, "a copy did not arrive; copy again");
        let copy = now.iter().find(|other| same(snapshot, other)).ok_or_else(lost)?;
        pairs.insert(hex(&snapshot.id), hex(&copy.id));
        copies.push(copy.clone());
    }
    check::whole(Opened::new(&to, &report)?, &copies)?;
    Ok(pairs)
}

/// Whether a snapshot is the copy of another.
fn same(from: &SnapshotFile, copy: &SnapshotFile) -> bool {
    let original = from.original.or(Some(from.id));
    copy.tree == from.tree && copy.time.timestamp() == from.time.timestamp() && copy.original == original
}
