//! Taking a point of the platform: this server copies its database, keys and images of one
//! instant into a directory beside them, and has child processes bring that to each place.
//!
//! The copies are made from the same directory, each by itself: a place that is away delays none
//! of the others. A job that died begins again with a fresh directory; what it had written is let
//! go when the next point is whole.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::time::Timestamp;
use base::{Error, Result};
use db::copies;
use drivers::wire::Problem;
use durable::{JobCx, Patience, Registry, jobs};
use gate::{Cx, Effect, Gate};
use serde::{Deserialize, Serialize};
use vault::client::Worker;
use vault::fault;
use vault::request::{Answer, Backup, Key, Read, Repository, Secret, Source, Task, Unreadable};

use super::points::CopyState;
use super::points::{self, RECONCILE, Turn};
use super::{Installation, REPOSITORY, findings, kit, store};
use crate::backups::places::Role;
use crate::backups::points::State;
use crate::backups::{keys, policies, repositories, work};
use crate::stopping::heed;
use crate::{BackupPlaceId, ControlPlanePointId};

/// The kind of job that takes a point.
pub(crate) const TAKE_JOB: &str = "controlPlane.take";
/// The directory in which a copy is put together, in the data directory.
const SCRATCH: &str = ".control-plane";
/// What describes a copy, in it.
pub(crate) const MANIFEST: &str = "manifest.json";
/// A look at a place reads one of so many parts of what is there.
const PARTS: u32 = 30;
/// What keeps the master key. It is in no copy.
const MASTER: &str = "master.key";

/// Which point.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Payload {
    pub point: ControlPlanePointId,
}

/// What a copy is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The point.
    pub point: ControlPlanePointId,
    /// The instant that it is of.
    pub taken_at: Timestamp,
    /// The version of the program that took it.
    pub version: String,
    /// The master key that seals what is in it.
    pub master_key: String,
}

/// A place that a copy goes to, and what opens it; or why not.
struct Goal {
    place: BackupPlaceId,
    append: Result<Repository>,
    /// What can remove there, where this server was given it.
    maintain: Option<Repository>,
    /// How much of what is there is read afterwards.
    read: Read,
    /// What opens it without the cost of a password, once that is known.
    master: Option<Key>,
}

/// What a point asks for.
struct Asked {
    goals: Vec<Goal>,
    escrow: Secret,
    master_key: String,
    grace_hours: u32,
    /// Whether it is still to be brought about.
    is_open: bool,
}

fn read(gate: &Gate, cx: &Cx, id: ControlPlanePointId) -> Result<Asked> {
    gate.perform(cx, RECONCILE.name, Effect::Change, gate::audit::digest(&id), move |tx| {
        let point = points::load(tx, id)?;
        let keys = keys(tx)?;
        let turn = u32::try_from(id.0 % u128::from(PARTS)).unwrap_or(0) + 1;
        let mut goals = Vec::new();
        for place in store::wanted(tx, id)? {
            // Somebody found damage there, who read another part: everything is read until it is whole.
            let read = match store::is_doubted(tx, id, place.id)? {
                true => Read::Everything,
                false => Read::Part { part: turn, of: PARTS },
            };
            let mut open =
                |role| repositories::lies(tx, &place, REPOSITORY, role).and_then(|lies| kit::repository(&keys, lies));
            let (append, maintain) = (open(Role::Append), open(Role::Maintain).ok());
            goals.push(Goal { place: place.id, append, maintain, read, master: None });
        }
        let grace_hours = policies::load(tx, point.policy)?.terms.grace_hours();
        let escrow = kit::escrow(&keys)?;
        let is_open = point.state == State::Taking;
        Ok(Asked { goals, escrow, master_key: keys.name().to_owned(), grace_hours, is_open })
    })
}

fn told(e: &Error) -> Problem {
    work::problem(e.code(), e.message())
}

/// Does the job. One that died begins again: where its point is closed, with what is left to be removed.
fn take(gate: &Gate, cx: &JobCx, here: &Installation, id: ControlPlanePointId) -> Result<()> {
    let (system, worker) = (Cx::system("continuity", cx.tenant), Worker::new(&here.program));
    let (scratch, mut asked) = (here.data.join(SCRATCH), read(gate, &system, id)?);
    jobs::moment(gate)?;
    if asked.is_open && !bring_about(gate, &system, here, &mut asked, id)? {
        return clear(&scratch);
    }
    for goal in &asked.goals {
        match let_go(gate, &worker, goal, asked.grace_hours, &system) {
            Err(e) if durable::is_stopped(&e) => return Err(e),
            Err(e) => {
                tracing::warn!(place = %goal.place, error = ?e, "old copies of the platform are still there; the next point tries again");
            }
            Ok(()) => {}
        }
    }
    jobs::moment(gate)?;
    match gate.db().read(store::taking)? {
        // What is being put together now is another's.
        Some(_) => Ok(()),
        None => clear(&scratch),
    }
}

/// Puts a copy together and brings it to each place; says whether there was anything to bring.
fn bring_about(
    gate: &Gate,
    system: &Cx,
    here: &Installation,
    asked: &mut Asked,
    id: ControlPlanePointId,
) -> Result<bool> {
    let (write, scratch) = (|turn| gate.run(system, &RECONCILE, turn), here.data.join(SCRATCH));
    let manifest = Manifest {
        point: id,
        taken_at: gate.now(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        master_key: asked.master_key.clone(),
    };
    let bytes = match gather(here, &scratch, &manifest) {
        Ok(bytes) => bytes,
        Err(e) => {
            // First: the disk may be full of it, and then nothing can be written down.
            clear(&scratch)?;
            write(Turn::Closed { point: id, taken_at: None, bytes: 0, problem: Some(told(&e)) })?;
            return Ok(false);
        }
    };
    jobs::moment(gate)?;
    for goal in &mut asked.goals {
        let copied = copy(gate, here, goal, &asked.escrow, id);
        jobs::moment(gate)?;
        let (snapshot, problem, changes) = match copied {
            Ok(Copied { snapshot, changes }) => (Some(snapshot), None, changes),
            // It has not failed: the next process begins the whole point again.
            Err(e) if durable::is_stopped(&e) => return Err(e),
            Err(e) => (None, Some(told(&e)), Vec::new()),
        };
        // First: what was found whole by reading everything is no reason for doubt any more.
        for seen in changes {
            write(seen)?;
        }
        let everything = goal.read == Read::Everything;
        write(Turn::Copied { point: id, place: goal.place, snapshot, everything, problem })?;
        jobs::moment(gate)?;
    }
    write(Turn::Closed { point: id, taken_at: Some(manifest.taken_at), bytes, problem: None })?;
    jobs::moment(gate)?;
    Ok(true)
}

fn clear(scratch: &Path) -> Result<()> {
    match fs::remove_dir_all(scratch) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(unwritable(scratch, e)),
        _ => Ok(()),
    }
}

fn unwritable(path: &Path, e: std::io::Error) -> Error {
    Error::unavailable("controlPlane.scratch", format!("cannot write {}: {e}", path.display())).because(e)
}

/// Puts a copy together: what it takes up.
fn gather(here: &Installation, scratch: &Path, manifest: &Manifest) -> Result<u64> {
    use std::os::unix::fs::DirBuilderExt as _;
    clear(scratch)?;
    let folder = |name: &str| {
        let path = scratch.join(name);
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map(|()| path.clone()).map_err(|e| unwritable(&path, e))
    };
    // Before the database: the file of signatures beside the keys must speak of no entry that is not in it.
    carry(&here.data.join("keys"), &folder("keys")?, false)?;
    copies::take(&here.database, &folder("database")?)?;
    // After it: whatever image it knows is there.
    carry(&here.data.join("images"), &folder("images")?, true)?;
    let text = serde_json::to_vec_pretty(manifest)
        .map_err(|e| Error::bug("controlPlane.manifest", "a manifest cannot be written").because(e))?;
    let path = scratch.join(MANIFEST);
    fs::write(&path, text).map_err(|e| unwritable(&path, e))?;
    size(scratch).map_err(|e| unwritable(scratch, e))
}

/// Brings the files of a directory over. Images never change under their names: a second name
/// takes no room.
fn carry(from: &Path, to: &Path, link: bool) -> Result<()> {
    let fault = |e| unwritable(to, e);
    for entry in fs::read_dir(from).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        let (name, source) = (entry.file_name(), entry.path());
        let passing = name.to_string_lossy().ends_with(".part") || name == MASTER;
        if passing || !entry.file_type().map_err(fault)?.is_file() {
            continue;
        }
        let target = to.join(name);
        let linked = if link { fs::hard_link(&source, &target) } else { Err(io::ErrorKind::Unsupported.into()) };
        // Images may lie on a disk of their own.
        let carried = linked.or_else(|_| fs::copy(&source, &target).map(drop));
        match carried {
            // An image that was removed meanwhile is wanted by nobody.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            other => other.map_err(fault)?,
        }
    }
    Ok(())
}

fn size(folder: &Path) -> std::io::Result<u64> {
    let mut all = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let known = entry.metadata()?;
        all += if known.is_dir() { size(&entry.path())? } else { known.len() };
    }
    Ok(all)
}

/// A copy that was found whole at its place.
struct Copied {
    snapshot: String,
    /// What the look found of others there.
    changes: Vec<Turn>,
}

fn unexpected() -> Error {
    Error::bug("controlPlane.answer", "the vault answered something else than it was asked")
}

/// Opens the repository that a copy goes to; where there is none yet, it is made.
fn opened(gate: &Gate, worker: &Worker, goal: &mut Goal, escrow: &Secret) -> Result<Repository> {
    let append = goal.append.clone()?;
    let master = match heed(gate, |cancel| worker.master(&append, cancel)) {
        Err(e) if e.code() == fault::REPOSITORY_MISSING => {
            let make = Task::Make { escrow: escrow.clone(), alike: None };
            let made = heed(gate, |cancel| worker.run(&append, &make, cancel, &mut |_| {}))?;
            jobs::moment(gate)?;
            let Answer::Made { master, .. } = made else { return Err(unexpected()) };
            Key::Master(master)
        }
        other => other?,
    };
    goal.master = Some(master.clone());
    Ok(Repository { key: master, ..append })
}

/// Brings the copy to one place and looks at it there.
fn copy(gate: &Gate, here: &Installation, goal: &mut Goal, escrow: &Secret, id: ControlPlanePointId) -> Result<Copied> {
    let worker = Worker::new(&here.program);
    let to = opened(gate, &worker, goal, escrow)?;
    let ask = |task: &Task| heed(gate, |cancel| worker.run(&to, task, cancel, &mut |_| {}));
    let backup = Task::Backup(Backup {
        source: Source::Path { path: here.data.join(SCRATCH), named: Some(root()), except: Vec::new() },
        host: REPOSITORY.to_owned(),
        tags: vec![id.to_string()],
        label: REPOSITORY.to_owned(),
        unreadable: Unreadable::Refuse,
    });
    let Answer::Taken { snapshot, .. } = ask(&backup)? else { return Err(unexpected()) };
    jobs::moment(gate)?;
    let asked_at = gate.now();
    let Answer::Checked(looked) = ask(&Task::Check { read: goal.read })? else { return Err(unexpected()) };
    if !looked.whole {
        return Err(fault::error(fault::REPOSITORY_DAMAGED, looked.faults.join("; ")));
    }
    let Answer::Snapshots(there) = ask(&Task::Snapshots)? else { return Err(unexpected()) };
    let there: BTreeSet<String> = there.into_iter().map(|one| one.id).collect();
    if !there.contains(&snapshot.id) {
        return Err(fault::error(fault::SNAPSHOT_MISSING, "what was just written is not there any more"));
    }
    Ok(Copied { snapshot: snapshot.id, changes: changes(gate, goal, asked_at, &there)? })
}

/// What a look that found a place whole says of the other copies there. One that read a part says nothing
/// good of what was found damaged.
fn changes(gate: &Gate, goal: &Goal, asked_at: Timestamp, there: &BTreeSet<String>) -> Result<Vec<Turn>> {
    let place = goal.place;
    let (mut missing, mut whole) = (Vec::new(), Vec::new());
    for (snapshot, state) in gate.db().read(move |conn| store::known_at(conn, place))? {
        match (state, there.contains(&snapshot)) {
            (CopyState::Verified | CopyState::Damaged, false) => missing.push(snapshot),
            (CopyState::Missing, true) => whole.push(snapshot),
            (CopyState::Damaged, true) if goal.read == Read::Everything => whole.push(snapshot),
            _ => {}
        }
    }
    let seen = |missing: &[String], whole: &[String]| {
        let (missing, whole) = (missing.to_vec(), whole.to_vec());
        Turn::Seen { place, asked_at, missing, whole }
    };
    let back = whole.chunks(findings::SEEN_MAX).map(|some| seen(&[], some));
    let gone = missing.chunks(findings::SEEN_MAX).map(|some| seen(some, &[]));
    Ok(back.chain(gone).collect())
}

/// Where a copy lies inside a snapshot.
pub(crate) fn root() -> PathBuf {
    PathBuf::from("/control-plane")
}

/// Lets go of what points of ours held and hold no more, and removes what that leaves, where this server may.
fn let_go(gate: &Gate, worker: &Worker, goal: &Goal, grace_hours: u32, system: &Cx) -> Result<()> {
    let (Some(maintain), place) = (goal.maintain.clone(), goal.place) else { return Ok(()) };
    let key = match goal.master.clone() {
        Some(known) => known,
        None => heed(gate, |cancel| worker.master(&maintain, cancel))?,
    };
    let repository = Repository { key, ..maintain };
    let ask = |task: &Task| heed(gate, |cancel| worker.run(&repository, task, cancel, &mut |_| {}));
    let Answer::Snapshots(there) = ask(&Task::Snapshots)? else { return Ok(()) };
    let (goes, gone) = gate.db().read(move |conn| {
        let held = store::held(conn, place)?;
        let (mut goes, mut gone) = (Vec::new(), store::let_go_of(conn, place)?);
        gone.retain(|id| !there.iter().any(|one| one.id == *id));
        for one in there {
            // What was taken after the copy that we were brought back from is of points that we do
            // not know: it is all that is left of that time, and stays.
            let ours = one.tags.first().and_then(|tag| tag.parse().ok());
            let known = ours.map(|point| store::point(conn, point)).transpose()?.flatten();
            // And what is being written now is written down a moment later.
            let closed = known.is_some_and(|point| point.state != State::Taking);
            if closed && !held.contains(&one.id) {
                goes.push(one.id);
            }
        }
        Ok((goes, gone))
    })?;
    // What is gone without anybody having heard of it was removed by somebody who died over it.
    if goes.is_empty() && gone.is_empty() {
        return Ok(());
    }
    jobs::moment(gate)?;
    if !goes.is_empty() {
        ask(&Task::Forget { snapshots: goes.clone() })?;
        jobs::moment(gate)?;
    }
    ask(&Task::Prune { grace_hours })?;
    jobs::moment(gate)?;
    gate.run(system, &RECONCILE, Turn::Forgotten { place, snapshots: [goes, gone].concat() })
}

/// Whether the platform's next point is due.
fn look(gate: &Gate) -> Result<()> {
    let now = gate.now();
    let due = gate.db().read(store::settings)?.is_some_and(|known| known.next_due <= now);
    if !due {
        return Ok(());
    }
    let operator = gate.operator()?;
    gate.run(&Cx::system("continuity", operator), &RECONCILE, Turn::Due)
}

pub(super) fn register(registry: Registry, here: Installation) -> Registry {
    let patience = Patience { term: Duration::from_secs(26 * 3_600), ..Patience::default() };
    registry.reconciler("controlPlane.due", Duration::from_secs(15), look).job(
        TAKE_JOB,
        patience,
        move |gate, cx, payload: Payload| take(gate, cx, &here, payload.point),
    )
}

#[cfg(test)]
mod tests {
    use db::testing::Scratch;
    use db::{Db, Location};

    use super::*;

    #[test]
    fn the_master_key_and_what_is_passing_are_in_no_copy() {
        let (data, scratch) = (Scratch::new(), Scratch::new());
        let database = Location::Directory(data.path().to_owned());
        drop(Db::open(&database).unwrap());
        for (name, files) in [("keys", ["ca.key", MASTER, "x.part"]), ("images", ["aa", "bb", "cc.part"])] {
            fs::create_dir_all(data.path().join(name)).unwrap();
            files.iter().for_each(|file| fs::write(data.path().join(name).join(file), "0123456789").unwrap());
        }
        let here = Installation {
            data: data.path().to_owned(),
            database,
            program: "yunwei-vault".into(),
            server: "yunwei".into(),
        };
        let manifest = Manifest {
            point: ControlPlanePointId(1),
            taken_at: Timestamp::UNIX_EPOCH,
            version: "0".to_owned(),
            master_key: "name".to_owned(),
        };
        let into = scratch.path().join("copy");
        for _ in 0..2 {
            let bytes = gather(&here, &into, &manifest).unwrap();
            assert!(bytes > 30, "the second time begins anew: {bytes}");
        }
        let there = |name: &str| {
            let all = fs::read_dir(into.join(name)).unwrap().map(|one| one.unwrap().file_name().into_string().unwrap());
            let mut all: Vec<String> = all.collect();
            all.sort();
            all
        };
        assert_eq!(
            (there("keys"), there("images")),
            (vec!["ca.key".to_owned()], vec!["aa".to_owned(), "bb".to_owned()])
        );
        assert_eq!(there("database"), ["yunwei.db"]);
        let read: Manifest = serde_json::from_slice(&fs::read(into.join(MANIFEST)).unwrap()).unwrap();
        assert_eq!(read, manifest);
    }
}
