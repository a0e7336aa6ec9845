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
use vault::request::{Answer, Repository, Restore, Snapshot, Task};

use super::kit::Kit;
use super::take::{MANIFEST, Manifest, root};
use super::{REPOSITORY, granted, points, store};
use crate::ControlPlanePointId;

/// What is brought lies here until it has its place.
const DRAFT: &str = ".recovering";

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

/// Makes the data directory and the database.
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
    let (place, repository, snapshot) = choose(wanted, &keys, &worker, listener)?;
    listener(Stage::Bringing(snapshot.time.clone(), place.clone()));
    private(wanted.data)?;
    let draft = wanted.data.join(DRAFT);
    let brought = draft.join("brought");
    clear(&draft)?;
    private(&draft)?;
    let restore = Restore {
        snapshot: snapshot.id.clone(),
        path: root().display().to_string(),
        to: brought.clone(),
        sparse: false,
        owners: false,
    };
    let mut told = |progress: vault::request::Progress| {
        if progress.bytes {
            listener(Stage::Brought(progress.done, progress.total));
        }
    };
    let restored = match worker.run(&repository, &Task::Restore(restore), wanted.cancel, &mut told)? {
        Answer::Restored(restored) => restored,
        _ => return Err(Error::bug("recover.answer", "the vault answered something else than it was asked")),
    };
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
        place,
        snapshot: snapshot.id,
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

/// The newest copy that any place holds.
fn choose(
    wanted: &Wanted<'_>,
    keys: &Keys,
    worker: &Worker,
    listener: &mut dyn FnMut(Stage),
) -> Result<(String, Repository, Snapshot)> {
    let named = |name: &str| wanted.place.is_none_or(|wanted| wanted == name);
    let mut newest: Option<(Timestamp, String, Repository, Snapshot)> = None;
    let mut away = Vec::new();
    for place in wanted.kit.places.iter().filter(|place| named(&place.name)) {
        let repository = wanted.kit.open(keys, place)?;
        listener(Stage::Asking(place.name.clone()));
        match worker.run(&repository, &Task::Snapshots, wanted.cancel, &mut |_| {}) {
            Ok(Answer::Snapshots(all)) => {
                for snapshot in all.into_iter().filter(|one| one.label == REPOSITORY) {
                    let Ok(at) = snapshot.time.parse::<Timestamp>() else { continue };
                    let fits = wanted.not_after.is_none_or(|latest| at <= latest);
                    if fits && newest.as_ref().is_none_or(|(known, ..)| at > *known) {
                        newest = Some((at, place.name.clone(), repository.clone(), snapshot));
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
    newest.map(|(_, place, repository, snapshot)| (place, repository, snapshot)).ok_or_else(|| {
        let why = if away.is_empty() { "none of them has one".to_owned() } else { away.join("; ") };
        Error::not_found("recover.nothing", format!("no copy of the platform was found at the kit's places: {why}"))
    })
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
