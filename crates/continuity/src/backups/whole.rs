//! Reading everything that lies in a repository: hours for a large one. So it is done once at a time, for all who
//! wait for it, and belongs to the repository and to no point.
//!
//! ```text
//!   a look is due where damage was found somewhere ─┐
//!   a person asks ──────────────────────────────────┴─► being read ─┬─► whole: there is no doubt any more
//!                                                                   ├─► not whole: nor is any copy there
//!                                                                   └─► could not be read: why
//! ```
//!
//! Who waits for it may be gone when it ends: what it says is written down once, by whoever hears of its end.

use base::id::HostId;
use base::time::Timestamp;
use base::{Error, Result};
use db::Class;
use drivers::wire::{Outcome, ReadShare, TaskId, TaskProgress, Work};
use durable::flows;
use gate::{Action, Effect, Granted, Tx};
use resources::hosts;
use resources::tasks::{self, Task};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::repositories::{self, BackupRepository, KIND};
use super::work::{self, WORKING};
use super::{findings, places, store};
use crate::RepositoryId;

/// Everything in a repository is being read.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reading {
    /// By which host.
    pub host: HostId,
    /// Since when it is asked for.
    #[schemars(with = "String")]
    pub since: Timestamp,
    /// How it stands.
    pub state: tasks::State,
    /// How far it is.
    pub progress: Option<TaskProgress>,
}

impl From<Task> for Reading {
    fn from(task: Task) -> Self {
        Reading { host: task.host, since: task.created_at, state: task.state, progress: task.progress }
    }
}

/// The task by which everything in a repository is being read, if it is.
pub(super) fn open(tx: &mut Tx<'_>, repository: &BackupRepository) -> Result<Option<Task>> {
    Ok(work::task(tx, repository.reading_task.as_ref())?.filter(Task::is_open))
}

/// [`open`]; but one that does not come to an end within what a host's work may take is called off, and one of a
/// host that has fallen silent where another can read.
pub(super) fn under_way(tx: &mut Tx<'_>, repository: &BackupRepository) -> Result<Option<Task>> {
    let Some(open) = open(tx, repository)? else { return Ok(None) };
    let goes_on = hosts::load(tx, open.host)?.reachable || reader(tx, repository).is_err();
    if goes_on && tx.now < open.created_at + WORKING {
        return Ok(Some(open));
    }
    tasks::cancel(tx, &open.id)?;
    Ok(None)
}

/// Has everything read, and asks after some snapshots. Who waits for one that came to nothing waits for this one.
pub(super) fn begin(tx: &mut Tx<'_>, repository: &BackupRepository, host: HostId, own: Vec<String>) -> Result<TaskId> {
    let part = repositories::next_part(tx, repository)?;
    let others = findings::also(tx, repository.id, part, own.len())?;
    let snapshots = [own, others].concat();
    let (id, read) = (tasks::fresh(tx)?, ReadShare::Everything);
    tasks::put(tx, host, &id, &Work::CheckRepository { snapshots, read }, (KIND, &repository.id.to_string()))?;
    if let Some(before) = &repository.reading_task {
        store::wait_for(tx, before, &id)?;
    }
    repositories::set_reading(tx, repository.id, Some(&id))?;
    Ok(id)
}

/// It has come to its end: what it says is said of all that lies there, and whoever waits for it goes on.
pub(super) fn ended(tx: &mut Tx<'_>, id: RepositoryId, task: &Task) -> Result<()> {
    repositories::set_reading(tx, id, None)?;
    if !findings::outdated(tx, id, task)? {
        findings::looked(tx, id, task)?;
        match &task.outcome {
            Some(Outcome::RepositoryChecked { whole: true, faults, .. }) if faults.is_empty() => {
                repositories::set_read(tx, id)?;
                repositories::set_problem(tx, id, None)?;
                store::bring_forward(tx, id)?;
            }
            _ if task.state == tasks::State::Cancelled => {}
            _ => repositories::set_problem(tx, id, Some(&findings::wrong(task).1))?,
        }
    }
    wake(tx, &task.id)
}

/// Whoever waits for a look that has ended goes on.
pub(super) fn wake(tx: &mut Tx<'_>, task: &TaskId) -> Result<()> {
    for point in store::points_of_task(tx, task)? {
        flows::wake(tx, &work::key(point))?;
    }
    Ok(())
}

/// A host that reaches it and is heard of: of a directory its own, else one that its copies were taken on.
fn reader(tx: &mut Tx<'_>, repository: &BackupRepository) -> Result<HostId> {
    let own = places::load(tx, repository.place)?.location.host();
    let all = own.map_or_else(|| store::hosts_of(tx, repository.id), |own| Ok(vec![own]))?;
    for host in all {
        let known = hosts::load(tx, host)?;
        if known.reachable && known.state != hosts::State::Retired {
            return Ok(host);
        }
    }
    let message = "no host that reaches this repository is heard of; ask again when one is back";
    Err(Error::conflict("task.host_silent", message))
}

/// Which repository.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RepositoryRef {
    /// Its id.
    pub id: RepositoryId,
}

/// Has everything in a repository read.
pub static CHECK: Action<RepositoryRef, BackupRepository> = Action {
    name: "backupRepository.check",
    summary: "Has everything in a backup repository read and hashed, which takes hours for a large one. Where that is under way, says since when and how far it is.",
    effect: Effect::Change,
    run: |tx, input| {
        let one = repositories::load(tx, input.id)?;
        let (id, tenant) = (input.id.to_string(), one.tenant);
        let one =
            tx.grant("backupRepository.check", KIND, &id, tenant, Class::Internal, one).map(Granted::into_inner)?;
        if !one.made {
            return Err(Error::conflict("backupRepository.not_made", "there is no repository yet: nothing to read"));
        }
        if under_way(tx, &one)?.is_none() {
            let host = reader(tx, &one)?;
            begin(tx, &one, host, Vec::new())?;
        }
        let one = repositories::load(tx, input.id)?;
        repositories::with_reading(tx, one)
    },
};
