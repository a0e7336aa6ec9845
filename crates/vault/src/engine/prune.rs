//! Letting go of snapshots, and of data that no snapshot holds.

use std::collections::BTreeSet;

use rustic_core::jiff::Span;
use rustic_core::repofile::SnapshotId;
use rustic_core::{LimitOption, PruneOptions, PrunePlan, RepairIndexOptions};

use super::{Done, Failure, Opened, check, is_damage, is_whole_id, ours, revive};
use crate::fault;
use crate::place::Kind;
use crate::request::Answer;

/// A year: a longer grace is a mistake.
const GRACE_HOURS_MAX: u32 = 366 * 24;
/// How often it is decided what goes while somebody lets go of snapshots beside that.
const PLANS_MAX: usize = 4;

/// Lets go of snapshots, by their names alone: of one that cannot be read too. What somebody else has let go of
/// meanwhile is let go of.
pub(super) fn forget(open: &Opened, ids: &[String]) -> Done<Answer> {
    let there: BTreeSet<String> = open.store.list(Kind::Snapshots)?.into_iter().map(|(name, _)| name).collect();
    let mut found: Vec<SnapshotId> = Vec::new();
    for id in ids {
        let known = id.parse().ok().filter(|_| is_whole_id(id)).ok_or_else(|| super::no_snapshot(id))?;
        if there.contains(id) {
            found.push(known);
        }
    }
    open.engine.delete_snapshots(&found)?;
    Ok(Answer::Forgotten(ids.to_vec()))
}

/// Marks what no snapshot holds, and removes what was marked long enough ago.
///
/// Where somebody lets go of snapshots beside it, one that it is about to read may be gone. That is no damage, and
/// nothing was changed until then: it is decided again what goes.
pub(super) fn run(open: Opened, grace_hours: u32) -> Done<Answer> {
    if grace_hours > GRACE_HOURS_MAX {
        return Err(fault::error(fault::REQUEST_INVALID, "the grace is a year at most").into());
    }
    let mut options = PruneOptions::default();
    options.keep_delete = Span::new().hours(i64::from(grace_hours));
    options.instant_delete = grace_hours == 0;
    options.max_unused = LimitOption::Percentage(5);
    let mut open = open;
    for _ in 0..PLANS_MAX {
        expect_no_locks(&open)?;
        let before = check::names(&open)?;
        match decide(&open, &options) {
            Ok(decided) if open.watch.fault().is_none() => {
                return carry_out(&open, &options, decided).map_err(|failed| ours(&open.watch, failed).into());
            }
            // One was missed on the way that nobody misses; a fault after that must not be taken for it.
            Ok(_) => {}
            Err(failed) => expect_moved(&open, &before, failed)?,
        }
        open = Opened::new(&open.repository, &open.report)?;
    }
    Err(beside(&format!("each of {PLANS_MAX} tries to prune; nothing was changed")))
}

/// What was met is no damage where something came or went meanwhile: a snapshot may be gone that was listed, or be
/// there without what came with it.
fn expect_moved(open: &Opened, before: &BTreeSet<String>, failed: Failure) -> Done<()> {
    let error = ours(&open.watch, failed);
    if !is_damage(&error) || *before == check::names(open)? {
        return Err(error.into());
    }
    Ok(())
}

fn beside(what: &str) -> Failure {
    let message = format!("snapshots came or went beside {what}: prune again when nobody adds or removes any");
    fault::error(fault::REPOSITORY_LOCKED, message).into()
}

fn expect_no_locks(open: &Opened) -> Done<()> {
    let locks = open.store.list(Kind::Locks)?;
    if let Some((lock, _)) = locks.first() {
        let message = format!(
            "restic holds {} lock(s) in the repository (the first is {lock}); wait, or run restic unlock where none runs",
            locks.len()
        );
        return Err(fault::error(fault::REPOSITORY_LOCKED, message).into());
    }
    Ok(())
}

/// What was decided: the snapshots that were there then, and what goes.
type Decided = (BTreeSet<SnapshotId>, PrunePlan);

fn decide(open: &Opened, options: &PruneOptions) -> Done<Decided> {
    // A snapshot that cannot be read would have its data taken for unused.
    let known = open.snapshots()?.into_iter().map(|snapshot| snapshot.id).collect();
    Ok((known, open.engine.prune_plan(options)?))
}

fn carry_out(open: &Opened, options: &PruneOptions, (known, plan): Decided) -> Done<Answer> {
    let sizes = plan.stats.size_sum();
    let unneeded = sizes.remove + sizes.repack + plan.stats.size_unref;
    let due = plan.stats.size_to_delete.remove;
    let waiting = plan.stats.size_to_delete.keep;
    open.engine.prune(options, plan)?;
    hold(open, &known)?;
    Ok(match options.instant_delete {
        true => Answer::Pruned { removed_bytes: due + waiting + unneeded, marked_bytes: 0 },
        false => Answer::Pruned { removed_bytes: due, marked_bytes: waiting + unneeded },
    })
}

/// What appeared since may hold what was marked: that was not to be seen when it was decided. It is held again, also
/// while somebody lets go of snapshots.
fn hold(open: &Opened, known: &BTreeSet<SnapshotId>) -> Done<()> {
    for _ in 0..PLANS_MAX {
        let look = Opened::new(&open.repository, &open.report)?;
        let before = check::names(&look)?;
        let held = look.snapshots().and_then(|all| {
            let appeared: Vec<_> = all.into_iter().filter(|snapshot| !known.contains(&snapshot.id)).collect();
            if appeared.is_empty() { Ok(()) } else { revive::run(&look, &appeared).map(drop) }
        });
        match held {
            Ok(()) => return Ok(()),
            Err(failed) => expect_moved(&look, &before, failed)?,
        }
    }
    Err(beside("the prune, each time when what came meanwhile was looked at"))
}

pub(super) fn repair(open: &Opened) -> Done<Answer> {
    open.engine.repair_index(&RepairIndexOptions::default(), false)?;
    Ok(Answer::Repaired)
}
