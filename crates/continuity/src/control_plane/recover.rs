//! A data directory made from a copy: on an empty machine, with the kit and the shares.
//!
//! Everything is put together beside the place and given its name in the end: a recovery that is
//! cut off has made nothing, and is begun again.
//!
//! What happened after the copy was taken is lost from the database and not from the world. Hosts
//! sort it out by what they hold (`resources::observe`): generations go above what they have seen,
//! machines that nobody here knows are shown as found, and machines that they were told to remove
//! are not made again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use base::time::Timestamp;
use base::{Error, Result};
use db::{Location, copies};
use gate::{Action, Effect};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vault::client::{Cancel, Worker};
use vault::request::{Answer, Repository, Restore, Snapshot, Task};

use super::kit::Kit;
use super::take::{MANIFEST, Manifest, root};
use super::{REPOSITORY, granted, points, store};
use crate::ControlPlanePointId;
use crate::keys::{Keys, MasterKey};

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
/// `Conflict`: `recover.occupied` where there is data already, `secret.key_wrong` where the shares
/// are of another installation; `NotFound` (`recover.nothing`) where no place holds a copy; those
/// of the vault and of the database.
pub fn recover(wanted: &Wanted<'_>, listener: &mut dyn FnMut(Stage)) -> Result<Recovered> {
    let began = Instant::now();
    let keys = Keys::of(wanted.master)?;
    expect_empty(wanted.data)?;
    let worker = Worker::new(wanted.program);
    let (place, repository, snapshot) = choose(wanted, &keys, &worker, listener)?;
    listener(Stage::Bringing(snapshot.time.clone(), place.clone()));
    let draft = draft(wanted.data);
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
    let restored = match worker.run(&repository, &Task::Restore(restore), &Cancel::new(), &mut told)? {
        Answer::Restored(restored) => restored,
        _ => return Err(Error::bug("recover.answer", "the vault answered something else than it was asked")),
    };
    let manifest = manifest(&brought)?;
    if manifest.master_key != keys.name() {
        return Err(Error::conflict("recover.key", "this copy was sealed with another master key: take another one"));
    }
    listener(Stage::Database);
    assemble(wanted, &draft, &brought)?;
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

/// Nothing is put in the place of what is there.
fn expect_empty(data: &Path) -> Result<()> {
    let empty = match fs::read_dir(data) {
        Ok(mut entries) => entries.next().is_none(),
        Err(e) => e.kind() == io::ErrorKind::NotFound,
    };
    if empty {
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
        match worker.run(&repository, &Task::Snapshots, &Cancel::new(), &mut |_| {}) {
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

/// What a directory is called while it is put together.
fn draft(data: &Path) -> PathBuf {
    let mut name = data.file_name().unwrap_or_default().to_owned();
    name.push(".recovering");
    data.with_file_name(name)
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

/// Puts files, keys and database together, and gives the directory its name.
fn assemble(wanted: &Wanted<'_>, draft: &Path, brought: &Path) -> Result<()> {
    for name in ["keys", "images"] {
        let (from, to) = (brought.join(name), draft.join(name));
        fs::rename(&from, &to).map_err(|e| unwritable(&to, e))?;
    }
    Keys::put(&draft.join("keys"), wanted.master)?;
    let database = match wanted.database {
        Location::Directory(_) => Location::Directory(draft.to_owned()),
        Location::Postgres(url) => Location::Postgres(url.clone()),
    };
    copies::bring(&database, &brought.join("database"))?;
    clear(brought)?;
    if wanted.data.exists() {
        fs::remove_dir(wanted.data).map_err(|e| unwritable(wanted.data, e))?;
    }
    fs::rename(draft, wanted.data).map_err(|e| unwritable(wanted.data, e))?;
    let parent = wanted.data.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(parent).and_then(|parent| parent.sync_all()).map_err(|e| unwritable(parent, e))
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
