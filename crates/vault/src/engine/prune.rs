//! Letting go of snapshots, and of data that no snapshot holds.

use std::collections::BTreeSet;

use rustic_core::jiff::Span;
use rustic_core::{LimitOption, PruneOptions, RepairIndexOptions};

use super::{Done, Opened, revive};
use crate::fault;
use crate::place::Kind;
use crate::request::Answer;

/// A day less a bit, and a year: outside of these a grace is a mistake.
const GRACE_HOURS_MAX: u32 = 366 * 24;

pub(super) fn forget(open: &Opened, ids: &[String]) -> Done<Answer> {
    let mut found = Vec::new();
    for id in ids {
        found.push(open.snapshot(id)?.id);
    }
    open.engine.delete_snapshots(&found)?;
    Ok(Answer::Forgotten(ids.to_vec()))
}

pub(super) fn run(open: &Opened, grace_hours: u32) -> Done<Answer> {
    if grace_hours > GRACE_HOURS_MAX {
        return Err(fault::error(fault::REQUEST_INVALID, "the grace is a year at most").into());
    }
    let locks = open.store.list(Kind::Locks)?;
    if let Some((lock, _)) = locks.first() {
        let message = format!(
            "restic holds {} lock(s) in the repository (the first is {lock}); wait, or run restic unlock where none runs",
            locks.len()
        );
        return Err(fault::error(fault::REPOSITORY_LOCKED, message).into());
    }
    // A snapshot that cannot be read would have its data taken for unused.
    let known: BTreeSet<_> = open.snapshots()?.into_iter().map(|snapshot| snapshot.id).collect();
    let mut options = PruneOptions::default();
    options.keep_delete = Span::new().hours(i64::from(grace_hours));
    options.instant_delete = grace_hours == 0;
    options.max_unused = LimitOption::Percentage(5);
    let plan = open.engine.prune_plan(&options)?;
    let sizes = plan.stats.size_sum();
    let unneeded = sizes.remove + sizes.repack + plan.stats.size_unref;
    let due = plan.stats.size_to_delete.remove;
    let waiting = plan.stats.size_to_delete.keep;
    open.engine.prune(&options, plan)?;
    // What appeared since may hold what was marked: that was not to be seen when it was decided.
    let appeared: Vec<_> = open.snapshots()?.into_iter().filter(|snapshot| !known.contains(&snapshot.id)).collect();
    if !appeared.is_empty() {
        revive::run(open, &appeared)?;
    }
    Ok(match grace_hours {
        0 => Answer::Pruned { removed_bytes: due + waiting + unneeded, marked_bytes: 0 },
        _ => Answer::Pruned { removed_bytes: due, marked_bytes: waiting + unneeded },
    })
}

pub(super) fn repair(open: &Opened) -> Done<Answer> {
    open.engine.repair_index(&RepairIndexOptions::default(), false)?;
    Ok(Answer::Repaired)
}
