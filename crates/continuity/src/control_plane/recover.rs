//! A data directory made from a copy: on an empty machine, with the kit and the shares.
//!
//! Everything is brought into [`DRAFT`], inside the data directory: it may be a disk of its own,
//! and what is above it somebody else's. The database is made last. A recovery that is cut off
//! before that is begun again; afterwards it is complete.
//!
//! What happened after the copy was taken is lost from the database and not from the world. Hosts
//! sort it out by what they hold (`resources::observe`): generations go above what they have seen,
//! machines that nobody here knows are shown as found, and machines that they were told to remove
//! are not made again.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Instant;

use base::time::Timestamp;
use base::{Error, Result};
use db::{Location, copies};
use gate::keys::{Keys, MasterKey};
use gate::{Action, Effect};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vault::client::{Cancel, Worker};
use vault::request::{Answer, Repository, Restore, Restored, Snapshot, Task};

use super::kit::Kit;
use super::take::{MANIFEST, Manifest, root};
use super::{REPOSITORY, granted, points, store};
use crate::ControlPlanePointId;

/// What is brought lies here until it has its place.
const DRAFT: &str = ".recovering";
/// How many copies are tried, one after the other, where they turn out damaged.
const COPIES_TRIED_MAX: usize = 8;

/// What is to be recovered, from where.
pub struct Wanted<'a> {
    /// The data directory to come: not there yet, or empty.
    pub data: &'a Path,
    /// The database to come.
    pub database: &'a Location,
    /// The kit.
    pub kit: &'a Kit,
    /// The master key, from its shares.
    pub master: &'a MasterKey,
    /// The only place to be asked, by its name.
    pub place: Option<&'a str>,
    /// Nothing newer than this.
    pub not_after: Option<Timestamp>,
    /// Only copies of this point, the first of which must do: a drill is to find damage, and not to pass it over.
    pub point: Option<ControlPlanePointId>,
    /// `yunwei-vault`.
    pub program: &'a Path,
    /// Stops it.
    pub cancel: &'a Cancel,
}

/// How far it is.
#[derive(Debug, Clone)]
pub enum Stage {
    /// A place is asked what it holds.
    Asking(String),
    /// A place could not be asked; the others are.
    Away(String, Error),
    /// This is being brought: the instant that it is of, and from where.
    Bringing(String, String),
    /// What was to be brought from there is damaged or gone; the next copy is tried.
    Damaged(String, Error),
    /// How many bytes of it are there, and of how many.
    Brought(u64, Option<u64>),
    /// The database is made from its copy.
    Database,
}

/// What was recovered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Recovered {
    /// The point.
    pub point: ControlPlanePointId,
    /// The instant that it is of: what was done after it is not in this database.
    #[schemars(with = "String")]
    pub taken_at: Timestamp,
    /// The place that served.
    pub place: String,
    /// The snapshot there.
    pub snapshot: String,
    /// The version of the program that had taken it.
    pub version: String,
    /// How many bytes were brought and hashed.
    pub bytes: u64,
    /// SHA-256 over every path and its contents.
    pub digest: String,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// Makes the data directory and the database. A copy that turns out damaged is passed over for the next one.
///
/// # Errors
/// `Conflict`: `recover.occupied` where there is data already, `db.occupied` where the database is
/// not empty, `secret.key_wrong` where the shares
/// are of another installation; `NotFound` (`recover.nothing`) where no place holds a copy; those
/// of the vault and of the database.
pub fn recover(wanted: &Wanted<'_>, listener: &mut dyn FnMut(Stage)) -> Result<Recovered> {
    let began = Instant::now();
    let keys = Keys::of(wanted.master)?;
    expect_empty(wanted.data)?;
    copies::expect_none(wanted.database)?;
    let worker = Worker::new(wanted.program);
    let mut copies = found(wanted, &keys, &worker, listener)?;
    copies.truncate(if wanted.point.is_some() { 1 } else { COPIES_TRIED_MAX });
    private(wanted.data)?;
    let draft = wanted.data.join(DRAFT);
    let brought = draft.join("brought");
    let (copy, restored) = bring(copies, &draft, (&worker, wanted.cancel), listener)?;
    let manifest = manifest(&brought)?;
    if manifest.master_key != keys.name() {
        return Err(Error::conflict("recover.key", "this copy was sealed with another master key: take another one"));
    }
    listener(Stage::Database);
    assemble(wanted, &brought)?;
    clear(&draft)?;
    Ok(Recovered {
        point: manifest.point,
        taken_at: manifest.taken_at,
        place: copy.place,
        snapshot: copy.snapshot.id,
        version: manifest.version,
        bytes: restored.bytes,
        digest: restored.digest,
        seconds: began.elapsed().as_secs_f64(),
    })
}

/// Nothing is put in the place of what is there, but for what a recovery left that was cut off.
fn expect_empty(data: &Path) -> Result<()> {
    let names = match fs::read_dir(data) {
        Ok(entries) => entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(e),
    };
    let names = names.map_err(|e| unwritable(data, e))?;
    let begun = names.iter().any(|name| name == DRAFT);
    let ours = |name: &&OsString| begun && [DRAFT, "keys", "images", copies::PART].iter().any(|one| *name == one);
    // The root of a file system of its own has this one.
    if names.iter().filter(|name| *name != "lost+found").all(|name| ours(&name)) {
        return Ok(());
    }
    let message =
        format!("{} is not empty: nothing is put in the place of what is there; name a fresh one", data.display());
    Err(Error::conflict("recover.occupied", message))
}

/// A copy that some place holds.
struct Copy {
    at: Timestamp,
    place: String,
    repository: Repository,
    snapshot: Snapshot,
}

/// Brings the first of these copies that is whole, each into a fresh draft.
fn bring(
    copies: Vec<Copy>,
    draft: &Path,
    worker: (&Worker, &Cancel),
    listener: &mut dyn FnMut(Stage),
) -> Result<(Copy, Restored)> {
    let mut copies = copies.into_iter().peekable();
    while let Some(copy) = copies.next() {
        listener(Stage::Bringing(copy.snapshot.time.clone(), copy.place.clone()));
        clear(draft)?;
        private(draft)?;
        match restore(&copy, &draft.join("brought"), worker, listener) {
            Ok(restored) => return Ok((copy, restored)),
            Err(e) if crate::backups::points::damage(e.code()).is_some() && copies.peek().is_some() => {
                listener(Stage::Damaged(copy.place, e));
            }
            Err(e) => return Err(e),
        }
    }
    Err(nothing("none of them has one"))
}

fn restore(
    copy: &Copy,
    to: &Path,
    (worker, cancel): (&Worker, &Cancel),
    listener: &mut dyn FnMut(Stage),
) -> Result<Restored> {
    let restore = Restore {
        snapshot: copy.snapshot.id.clone(),
        path: root().display().to_string(),
        to: to.to_owned(),
        sparse: false,
        owners: false,
    };
    let mut told = |progress: vault::request::Progress| {
        if progress.bytes {
            listener(Stage::Brought(progress.done, progress.total));
        }
    };
    match worker.run(&copy.repository, &Task::Restore(restore), cancel, &mut told)? {
        Answer::Restored(restored) => Ok(restored),
        _ => Err(Error::bug("recover.answer", "the vault answered something else than it was asked")),
    }
}

fn nothing(why: &str) -> Error {
    Error::not_found("recover.nothing", format!("no copy of the platform was found at the kit's places: {why}"))
}

/// The copies that places hold, newest first; one at least.
fn found(wanted: &Wanted<'_>, keys: &Keys, worker: &Worker, listener: &mut dyn FnMut(Stage)) -> Result<Vec<Copy>> {
    let named = |name: &str| wanted.place.is_none_or(|wanted| wanted == name);
    let of = |one: &Snapshot| wanted.point.is_none_or(|point| one.tags.contains(&point.to_string()));
    let (mut copies, mut away) = (Vec::new(), Vec::new());
    for place in wanted.kit.places.iter().filter(|place| named(&place.name)) {
        let repository = wanted.kit.open(keys, place)?;
        listener(Stage::Asking(place.name.clone()));
        match worker.run(&repository, &Task::Snapshots, wanted.cancel, &mut |_| {}) {
            Ok(Answer::Snapshots(all)) => {
                for snapshot in all.into_iter().filter(|one| one.label == REPOSITORY && of(one)) {
                    let Ok(at) = snapshot.time.parse::<Timestamp>() else { continue };
                    if wanted.not_after.is_none_or(|latest| at <= latest) {
                        let (place, repository) = (place.name.clone(), repository.clone());
                        copies.push(Copy { at, place, repository, snapshot });
                    }
                }
            }
            Ok(_) => {}
            Err(e) => {
                away.push(format!("{}: {}", place.name, e.message()));
                listener(Stage::Away(place.name.clone(), e));
            }
        }
    }
    copies.sort_by_key(|copy| std::cmp::Reverse(copy.at));
    match copies.is_empty() {
        false => Ok(copies),
        true if away.is_empty() => Err(nothing("none of them has one")),
        true => Err(nothing(&away.join("; "))),
    }
}

fn unwritable(path: &Path, e: io::Error) -> Error {
    Error::unavailable("recover.write", format!("cannot write {}: {e}", path.display())).because(e)
}

fn clear(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(unwritable(folder, e)),
        _ => Ok(()),
    }
}

fn private(folder: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|e| unwritable(folder, e))
}

fn manifest(brought: &Path) -> Result<Manifest> {
    let strange =
        || Error::conflict("recover.manifest", "this snapshot is no copy of the platform that this version reads");
    let text = fs::read(brought.join(MANIFEST)).map_err(|_| strange())?;
    serde_json::from_slice(&text).map_err(|_| strange())
}

/// Gives files and keys their places, and makes the database of its copy.
fn assemble(wanted: &Wanted<'_>, brought: &Path) -> Result<()> {
    for name in ["keys", "images"] {
        let (from, to) = (brought.join(name), wanted.data.join(name));
        clear(&to)?;
        fs::rename(&from, &to).map_err(|e| unwritable(&to, e))?;
    }
    Keys::put(&wanted.data.join("keys"), wanted.master)?;
    copies::bring(wanted.database, &brought.join("database"))?;
    fs::File::open(wanted.data).and_then(|data| data.sync_all()).map_err(|e| unwritable(wanted.data, e))
}

/// Writes on the record that this database is one of the past.
pub static RECOVERED: Action<Recovered, ()> = Action {
    name: "controlPlane.recovered",
    summary: "Writes on the record that the platform was brought back from a copy, and from which.",
    effect: Effect::Change,
    run: |tx, input| {
        granted(tx, "controlPlane.recovered")?;
        // In a copy its own point is still being taken. What is known of it now is the copy that served.
        let Some(point) = store::point(tx, input.point)? else { return Ok(()) };
        if let Some(served) = point.copies.iter().find(|copy| copy.place_name == input.place) {
            store::copied(tx, point.id, served.place, Some(&input.snapshot), None)?;
        }
        points::close(tx, point.id, Some(input.taken_at), input.bytes, None)
    },
};

#[cfg(test)]
mod tests {
    use db::testing::Scratch;

    use super::*;

    #[test]
    fn what_is_there_stays_and_what_a_recovery_left_is_begun_again() {
        let folder = Scratch::new();
        let data = folder.path().join("data");
        expect_empty(&data).unwrap();
        for name in ["lost+found", DRAFT, "keys", "images"] {
            fs::create_dir_all(data.join(name)).unwrap();
            expect_empty(&data).unwrap();
        }
        fs::write(data.join(copies::PART), "half").unwrap();
        expect_empty(&data).unwrap();
        // A database has its name only when it is whole: then the recovery is over.
        fs::write(data.join("yunwei.db"), "whole").unwrap();
        assert_eq!(expect_empty(&data).unwrap_err().code(), "recover.occupied");
        fs::remove_file(data.join("yunwei.db")).unwrap();
        // Keys without a recovery under way are somebody's.
        fs::remove_dir(data.join(DRAFT)).unwrap();
        assert_eq!(expect_empty(&data).unwrap_err().code(), "recover.occupied");
    }
}
