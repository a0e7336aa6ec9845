//! What can be done: look into a directory, fetch a file, see how far it is, take the file.

use base::id::HostId;
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::Class;
use drivers::wire::Work;
use gate::{Action, Effect, Granted, Tx};
use resources::{hosts, tasks};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{KIND, Reading, State, after, judged, load, part, store, top};
use crate::backups::places;
use crate::backups::points::{self, CopyState, Part, RecoveryCopy};
use crate::{BackupPlaceId, ReadingId, RecoveryPointId};

/// How long a file that was fetched can be fetched again, where that broke off.
const AGAIN_SECONDS: i64 = 10 * 60;

/// What is looked at.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Browse {
    /// The recovery point.
    pub id: RecoveryPointId,
    /// Which part of it, where it has several.
    #[serde(default)]
    pub part: Option<String>,
    /// From the copy at this place; the first that will do unless said otherwise.
    #[serde(default)]
    pub place: Option<BackupPlaceId>,
    /// The directory; where the part begins unless said otherwise. A disk is a directory of its
    /// partitions (`p1`) or, where it has none, of what is in its file system.
    #[serde(default)]
    pub path: String,
    /// The page after this name.
    #[serde(default)]
    pub after: String,
}

/// What is fetched.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fetch {
    /// The recovery point.
    pub id: RecoveryPointId,
    /// Which part of it, where it has several.
    #[serde(default)]
    pub part: Option<String>,
    /// From the copy at this place; the first that will do unless said otherwise.
    #[serde(default)]
    pub place: Option<BackupPlaceId>,
    /// The file, or a directory: that comes as a tar archive.
    pub path: String,
}

/// Looks into a directory of a recovery point.
pub static BROWSE: Action<Browse, Reading> = Action {
    name: "recoveryPoint.browse",
    summary: "Looks into a directory of a recovery point, also inside of its disks, without restoring it. Follow it with reading.get.",
    effect: Effect::Create,
    run: |tx, input| {
        let what = What { file: false, path: &input.path, after: &input.after };
        begin(tx, "recoveryPoint.browse", (input.id, input.part.as_deref(), input.place), &what)
    },
};

/// Fetches a file of a recovery point.
pub static FETCH: Action<Fetch, Reading> = Action {
    name: "recoveryPoint.fetch",
    summary: "Fetches a file of a recovery point, or a directory as a tar archive, without restoring it. Follow it with reading.get, then take it from /readings/{id}/file.",
    effect: Effect::Create,
    run: |tx, input| {
        if base::names::path(&input.path).is_none_or(|names| names.is_empty()) {
            return Err(malformed());
        }
        let what = What { file: true, path: &input.path, after: "" };
        begin(tx, "recoveryPoint.fetch", (input.id, input.part.as_deref(), input.place), &what)
    },
};

struct What<'a> {
    file: bool,
    path: &'a str,
    after: &'a str,
}

impl What<'_> {
    fn work(&self, snapshot: &str, path: &str) -> Work {
        let (snapshot, path) = (snapshot.to_owned(), path.to_owned());
        if self.file {
            return Work::FetchFile { snapshot, path, bytes_max: limits::DOWNLOAD_BYTES_MAX };
        }
        Work::LookInto { snapshot, path, after: self.after.to_owned() }
    }

    /// How many a tenant may have: that are read just now, and these with those that are there.
    fn most(&self) -> [usize; 2] {
        if self.file {
            [limits::DOWNLOADS_OPEN_PER_TENANT_MAX, limits::DOWNLOADS_PER_TENANT_MAX]
        } else {
            [limits::LOOKS_OPEN_PER_TENANT_MAX, limits::LOOKS_PER_TENANT_MAX]
        }
    }

    fn seconds(&self) -> i64 {
        if self.file { limits::READING_SECONDS } else { limits::LOOK_SECONDS_MAX }
    }
}

fn malformed() -> Error {
    let message = "a path has names between slashes: no `..`, and what is no text as `%` and two hexadecimal digits";
    Error::invalid("reading.path", message).at("path")
}

fn begin(
    tx: &mut Tx<'_>,
    action: &str,
    (id, named, place): (RecoveryPointId, Option<&str>, Option<BackupPlaceId>),
    what: &What<'_>,
) -> Result<Reading> {
    let point = points::granted(tx, action, id)?;
    let part = part(&point, named)?;
    let top = top(part);
    let path = if what.path.is_empty() { top.clone() } else { what.path.to_owned() };
    let name = |text: &str| text.len() <= limits::INSIDE_NAME_BYTES_MAX && base::names::name(text).is_some();
    let inside = |path: &str| {
        path.len() <= limits::INSIDE_PATH_BYTES_MAX
            && base::names::path(path).is_some_and(|names| names.len() <= limits::INSIDE_DEPTH_MAX)
    };
    if !inside(&path) || !(what.after.is_empty() || name(what.after)) {
        return Err(malformed());
    }
    let (copy, snapshot, host) = source(tx, part, place)?;
    let kept = limits::READING_SECONDS + if what.file { limits::READING_SECONDS } else { 0 };
    let (repository, host_name) = (copy.repository, hosts::load(tx, host)?.name);
    let one = Reading {
        id: ReadingId::fresh(tx.ids(), tx.now),
        tenant: point.tenant,
        service: point.service.clone(),
        point: id,
        part: part.part.clone(),
        place: copy.place,
        place_name: store::place_name(tx, copy.place)?,
        host,
        host_name,
        file: what.file,
        path: path.clone(),
        top,
        after: what.after.to_owned(),
        state: State::Waiting,
        progress: None,
        problem: None,
        items: Vec::new(),
        next: None,
        bytes: None,
        sha256: None,
        file_name: None,
        asked_by: tx.cx().actor().to_string(),
        asked_at: tx.now,
        taken_at: None,
        ends_at: after(tx.now, kept)?,
        late_at: after(tx.now, what.seconds())?,
        repository,
        task: tasks::fresh(tx)?,
    };
    if let Some(known) = store::same(tx, &one)? {
        let task = tasks::get(tx, &known.task)?;
        let known = judged(known, task, tx.now);
        if known.state.is_open() || known.state == State::Ready {
            return Ok(known);
        }
    }
    let (open, kept) = store::count(tx, point.tenant, what.file)?;
    let [open_max, kept_max] = what.most();
    if open >= open_max {
        let message = format!("{open_max} of these are read at a time; wait until one is there");
        return Err(Error::exhausted("reading.too_many", message));
    }
    if kept >= kept_max {
        let message = format!("{kept_max} of these are kept at a time; wait until some are over: an hour at most");
        return Err(Error::exhausted("reading.too_many", message));
    }
    store::insert(tx, &one)?;
    tasks::put(tx, host, &one.task, &what.work(&snapshot, &path), (KIND, &one.id.to_string()))?;
    Ok(one)
}

/// The copy that is read, its snapshot, and the host that can read it now.
fn source<'a>(
    tx: &mut Tx<'_>,
    part: &'a Part,
    place: Option<BackupPlaceId>,
) -> Result<(&'a RecoveryCopy, String, HostId)> {
    let whole = |copy: &&RecoveryCopy| copy.state == CopyState::Verified && place.is_none_or(|id| id == copy.place);
    let mut silent = None;
    for copy in part.copies.iter().filter(whole) {
        let Some(snapshot) = copy.snapshot.clone() else { continue };
        match reader(tx, part.host, copy)? {
            Some(host) => return Ok((copy, snapshot, host)),
            None => silent = Some(copy.place_name.clone()),
        }
    }
    Err(match silent {
        Some(place) => {
            let message = format!("no host that could read the copy at {place} is heard of now; try again later");
            Error::unavailable("reading.no_host", message)
        }
        None => {
            let message = "no copy of it was looked at and found whole; have the point checked, or take another";
            Error::conflict("reading.no_copy", message)
        }
    })
}

/// The host that reads a copy: the one that its directory is of; else the one that it was taken on, or any.
fn reader(tx: &mut Tx<'_>, taken_on: HostId, copy: &RecoveryCopy) -> Result<Option<HostId>> {
    let heard = |tx: &mut Tx<'_>, id| -> Result<Option<HostId>> {
        let host = hosts::load(tx, id)?;
        Ok((host.state != hosts::State::Retired && host.reachable).then_some(id))
    };
    match places::load(tx, copy.place)?.location.host() {
        Some(own) => heard(tx, own),
        None => match heard(tx, taken_on)? {
            Some(host) => Ok(Some(host)),
            None => store::any_host(tx),
        },
    }
}

/// Which reading.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReadingRef {
    /// Its id.
    pub id: ReadingId,
}

fn known(tx: &mut Tx<'_>, action: &str, id: ReadingId) -> Result<Reading> {
    let found = load(tx, id)?;
    let tenant = found.tenant;
    tx.grant(action, KIND, &id.to_string(), tenant, Class::Internal, found).map(Granted::into_inner)
}

/// Shows a reading: how far it is, and what came of it.
pub static GET: Action<ReadingRef, Reading> = Action {
    name: "reading.get",
    summary: "Shows how far a look into a recovery point is: what is in the directory, or whether the file is there.",
    effect: Effect::Read,
    run: |tx, input| known(tx, "reading.get", input.id),
};

/// Of which point.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListReadings {
    /// The recovery point.
    pub id: RecoveryPointId,
}

/// Files that were fetched.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ReadingPage {
    /// The newest first.
    pub items: Vec<Reading>,
}

/// Lists the files that were fetched from a point.
pub static LIST: Action<ListReadings, ReadingPage> = Action {
    name: "recoveryPoint.list_fetched",
    summary: "Lists the files that were fetched from a recovery point: which, by whom, when.",
    effect: Effect::Read,
    run: |tx, input| {
        points::granted(tx, "recoveryPoint.list_fetched", input.id)?;
        let mut items = Vec::new();
        for one in store::files(tx, input.id, limits::PAGE_DEFAULT)? {
            let task = tasks::get(tx, &one.task)?;
            items.push(judged(one, task, tx.now));
        }
        Ok(ReadingPage { items })
    },
};

/// A file that is there to be taken.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ticket {
    /// The name under which it is saved.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
    /// Their SHA-256.
    pub sha256: String,
    /// Until when it can be taken.
    #[schemars(with = "String")]
    pub until: Timestamp,
    /// Under which name it lies here.
    #[serde(skip)]
    pub file: String,
}

/// Takes a file that was fetched. A change, so that each time is on the audit log.
pub static DOWNLOAD: Action<ReadingRef, Ticket> = Action {
    name: "reading.download",
    summary: "Takes a file that was fetched from a recovery point; each time is on the audit log. It can be taken for ten minutes from then on.",
    effect: Effect::Change,
    run: |tx, input| {
        let found = known(tx, "reading.download", input.id)?;
        let (State::Ready, Some(name), Some(bytes), Some(sha256)) =
            (found.state, found.file_name, found.bytes, found.sha256)
        else {
            let message = "there is no file to take: it is not there yet, could not be had, or is not kept any more";
            return Err(Error::conflict("reading.not_ready", message));
        };
        let until = after(tx.now, AGAIN_SECONDS)?;
        store::taken(tx, input.id, until)?;
        Ok(Ticket { name, bytes, sha256, until: until.min(found.ends_at), file: found.task.to_string() })
    },
};

/// Ends a reading whose host was too late, or that is not kept any more.
pub static SETTLE: Action<ReadingRef, Reading> = Action {
    name: "reading.settle",
    summary: "Ends a look into a recovery point whose host was too late, or whose time is over; the platform does so by itself.",
    effect: Effect::Change,
    run: |tx, input| {
        let found = known(tx, "reading.settle", input.id)?;
        if found.ends_at <= tx.now {
            tasks::forget(tx, &found.task)?;
            store::forget(tx, &found)?;
        } else if found.late_at <= tx.now {
            tasks::cancel(tx, &found.task)?;
        }
        Ok(found)
    },
};
