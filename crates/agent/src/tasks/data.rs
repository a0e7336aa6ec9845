//! Data sets: files of this host, and databases that it reaches, taken and brought back.
//!
//! ```text
//!   files     ─────────────────────────────────► snapshot of the paths themselves
//!   database  ─ its own dump ─► scratch, whole ─► snapshot of /data-sets/<set>
//!   PostgreSQL with its logs: see `instant`
//! ```
//!
//! **Invariants** (tests: `data/tests.rs`)
//! - a dump is in a snapshot only when the program that wrote it said that it was complete;
//! - what a restore makes is new and bears its id: a second try removes what the first one left,
//!   and nothing else;
//! - a password goes to a program by its environment or a file of its own, never by an argument.

mod apart;
mod contents;
mod drill;
mod instant;
mod mysql;
mod postgres;
mod program;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use base::time::{Clock, Timestamp};
use base::{Error, Result};
use drivers::wire::{Consistency, DataRestored, DataSource, DataTaken, DataTarget, Outcome, TaskId};
use vault::request::{Answer, Backup, Restore, Restored, Snapshot, Source, Task, Unreadable};

use self::contents::Contents;
pub(super) use self::drill::Drill;
use super::{Job, Scratch, instant, remove, strange, tags, took};
use crate::files::{self, failed};
use crate::restored;

/// How much of what could not be read is told by name, and how long each may be.
const UNREAD_MAX: usize = 50;
const UNREAD_CHARS_MAX: usize = 300;

/// What is to be brought back.
#[derive(Clone, Copy)]
pub(super) struct Wish<'a> {
    pub set: &'a str,
    pub source: &'a DataSource,
    pub restore: &'a str,
    pub snapshot: &'a str,
    pub to: &'a DataTarget,
}

/// What a data set's dumps are called in every snapshot of them.
fn folder(set: &str) -> String {
    format!("/data-sets/{set}")
}

/// Refuses what is the agent's own, and what leads over a link: whoever may write on the way to a
/// directory would choose what else of the host is taken in its place.
fn leads_nowhere_else(path: &str, own: &[&Path]) -> Result<()> {
    let refused = |real: &Path| match own.iter().any(|own| real.starts_with(own)) {
        true => {
            let message = format!("{path} is the agent's own, with disks and keys of others in it");
            Err(Error::forbidden("dataSet.own_files", message))
        }
        false => Ok(()),
    };
    let named = Path::new(path);
    refused(named)?;
    match fs::canonicalize(named) {
        Ok(real) => {
            refused(&real)?;
            if real == named {
                return Ok(());
            }
            let message = format!("{path} leads over a symbolic link to {}; name that itself", real.display());
            Err(Error::invalid("dataSet.path", message))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => match fs::symlink_metadata(named).is_ok() {
            true => Err(Error::invalid("dataSet.path", format!("{path} is a symbolic link to nowhere"))),
            // Who reads it says so.
            false => Ok(()),
        },
        Err(e) => Err(failed("use", named, e)),
    }
}

fn unknown() -> Error {
    Error::invalid("task.unsupported", "this version of the agent does not know such data; upgrade it")
}

impl Job<'_> {
    /// Takes a recovery point of a data set.
    pub(super) fn back_up_data(&mut self, id: &TaskId, set: &str, source: &DataSource, tag: &str) -> Result<Outcome> {
        if let Some(there) = self.tagged(tag)? {
            return self.taken_before(id, set, source, there);
        }
        match source {
            DataSource::Files { paths, except } => self.take_files(set, paths, except, tag),
            DataSource::Postgresql { server, databases, logs: false } => {
                self.take_dump(id, set, tag, |job, _, into| postgres::dump(job, server, databases, into))
            }
            DataSource::Mysql { server, databases } => {
                self.take_dump(id, set, tag, |job, scratch, into| mysql::dump(job, server, databases, scratch, into))
            }
            DataSource::Postgresql { server, logs: true, .. } => self.take_with_logs(id, set, server, tag),
            DataSource::Unknown => Err(unknown()),
        }
    }

    fn take_files(&mut self, set: &str, paths: &[String], except: &[String], tag: &str) -> Result<Outcome> {
        let own = &self.hands.data;
        let real = fs::canonicalize(own).map_err(|e| failed("use", own, e))?;
        for path in paths {
            leads_nowhere_else(path, &[own, &real])?;
        }
        let taken_at = Clock::System.now();
        let own = [own, &real].map(|own| own.display().to_string());
        let backup = Backup {
            source: Source::Paths {
                paths: paths.iter().map(PathBuf::from).collect(),
                except: except.iter().cloned().chain(own).collect(),
            },
            host: set.to_owned(),
            tags: tags(tag, taken_at, Consistency::FileByFile),
            label: "files".to_owned(),
            unreadable: Unreadable::Report,
        };
        let Answer::Taken { snapshot, unread } = self.ask(0, &Task::Backup(backup))? else { return Err(strange()) };
        let short = |text: &String| text.chars().take(UNREAD_CHARS_MAX).collect();
        let data = DataTaken {
            files: snapshot.figures.map_or(0, |figures| figures.files),
            unread_count: unread.len() as u64,
            unread: unread.iter().take(UNREAD_MAX).map(short).collect(),
            ..DataTaken::default()
        };
        outcome(&snapshot, data)
    }

    /// Has a program write a dump into a directory of its own, and takes that.
    fn take_dump(
        &mut self,
        id: &TaskId,
        set: &str,
        tag: &str,
        dump: impl FnOnce(&mut Self, &Path, &Path) -> Result<Contents>,
    ) -> Result<Outcome> {
        let scratch = Scratch::private(self.hands.scratch.join(id.as_str()))?;
        let into = scratch.0.join("dump");
        files::private_dir(&into)?;
        let taken_at = Clock::System.now();
        let contents = dump(self, &scratch.0, &into)?;
        contents.write(&into)?;
        let backup = Backup {
            source: Source::Path { path: into, named: Some(folder(set).into()), except: Vec::new() },
            host: set.to_owned(),
            tags: tags(tag, taken_at, contents.consistency()),
            label: "dump".to_owned(),
            unreadable: Unreadable::Refuse,
        };
        let Answer::Taken { snapshot, .. } = self.ask(0, &Task::Backup(backup))? else { return Err(strange()) };
        outcome(&snapshot, contents.data(&snapshot))
    }

    /// A snapshot that this very task took before a crash, by what it says itself.
    fn taken_before(&mut self, id: &TaskId, set: &str, source: &DataSource, there: Snapshot) -> Result<Outcome> {
        let data = match source {
            // What could not be read was told to nobody.
            DataSource::Files { .. } => DataTaken {
                files: there.figures.map_or(0, |figures| figures.files),
                unread: vec!["the agent was interrupted: what could not be read is not known".to_owned()],
                unread_count: 1,
                ..DataTaken::default()
            },
            DataSource::Postgresql { logs: true, .. } => self.with_logs_before(id, set, &there)?,
            _ => {
                let scratch = Scratch::private(self.hands.scratch.join(id.as_str()))?;
                self.contents(set, &there.id, &scratch.0)?.data(&there)
            }
        };
        outcome(&there, data)
    }

    /// What a snapshot of dumps says of itself.
    fn contents(&mut self, set: &str, snapshot: &str, scratch: &Path) -> Result<Contents> {
        let to = scratch.join("contents");
        self.bring(snapshot, &format!("{}/{}", folder(set), contents::FILE), &to, false, false)?;
        Contents::read(&to)
    }

    /// Brings a part of a snapshot to a new place, hashed. Holes are left in files of a host alone, which
    /// may have had them: of what a database wrote it is said beforehand whether there is room.
    fn bring(&mut self, snapshot: &str, path: &str, to: &Path, sparse: bool, owners: bool) -> Result<Restored> {
        let (snapshot, path, to) = (snapshot.to_owned(), path.to_owned(), to.to_owned());
        match self.ask(0, &Task::Restore(Restore { snapshot, path, to, sparse, owners }))? {
            Answer::Restored(restored) => Ok(restored),
            _ => Err(strange()),
        }
    }

    /// Lets go of what is kept for a data set between its points.
    pub(super) fn end_data(&mut self, set: &str, source: &DataSource) -> Result<Outcome> {
        if let DataSource::Postgresql { server, logs: true, .. } = source {
            self.end_logs(set, server)?;
        }
        Ok(Outcome::DataEnded {})
    }

    /// Brings a data set back.
    pub(super) fn restore_data(&mut self, id: &TaskId, wish: &Wish<'_>) -> Result<Outcome> {
        let restored = match wish.to {
            DataTarget::Directory { below, only } => self.directory(wish, below.as_deref(), only),
            DataTarget::Database { database, name } => self.database(id, wish, database, name),
            DataTarget::Instant { below, at, logs } => {
                self.instant(id, wish, below.as_deref(), *at, logs.as_deref(), &mut |_, _, _| Ok(()))
            }
        };
        restored.map(Outcome::DataRestored)
    }

    fn directory(&mut self, wish: &Wish<'_>, below: Option<&str>, only: &str) -> Result<DataRestored> {
        let to = self.place(wish.restore, below)?;
        let root = rustix::process::geteuid().is_root();
        let sparse = matches!(wish.source, DataSource::Files { .. });
        let restored = self.bring(wish.snapshot, only, &to, sparse, root)?;
        files::only_owner(&to)?;
        Ok(of(&restored, to.display().to_string()))
    }

    /// The directory of a restore: what a try before a crash has left there is removed.
    fn place(&self, restore: &str, below: Option<&str>) -> Result<PathBuf> {
        let own = self.hands.data.join(restored::FOLDER);
        let below = match below {
            None => {
                files::passable_dir(&own)?;
                own
            }
            Some(named) if Path::new(named).starts_with(&self.hands.data) && Path::new(named) != own => {
                let message = format!("{named} is the agent's own; choose another directory");
                return Err(Error::forbidden("dataRestore.own_files", message));
            }
            Some(named) => PathBuf::from(named),
        };
        let to = below.join(restore);
        remove(&to)?;
        Ok(to)
    }

    fn database(&mut self, id: &TaskId, wish: &Wish<'_>, database: &str, name: &str) -> Result<DataRestored> {
        let scratch = Scratch::private(self.hands.scratch.join(id.as_str()))?;
        let contents = self.contents(wish.set, wish.snapshot, &scratch.0)?;
        let dumped = contents.find(database)?.clone();
        let to = scratch.0.join("dump");
        let path = format!("{}/{}", folder(wish.set), dumped.file);
        let restored = self.bring(wish.snapshot, &path, &to, false, false)?;
        let (file, began) = (to.join(&dumped.file), Instant::now());
        let tables = match wish.source {
            DataSource::Postgresql { server, .. } => postgres::load(self, server, &dumped, &file, name, wish.restore),
            DataSource::Mysql { server, .. } => {
                mysql::load(self, server, &scratch.0, &dumped, &file, name, wish.restore)
            }
            DataSource::Files { .. } | DataSource::Unknown => {
                Err(Error::invalid("dataRestore.no_database", "files are brought back to a directory"))
            }
        }?;
        let seconds = restored.seconds + began.elapsed().as_secs_f64();
        Ok(DataRestored { tables: Some(tables), seconds, ..of(&restored, name.to_owned()) })
    }
}

fn outcome(snapshot: &Snapshot, data: DataTaken) -> Result<Outcome> {
    let (taken_at, consistency): (Timestamp, Consistency) = instant(snapshot)?;
    let figures = snapshot.figures;
    Ok(Outcome::DataBackedUp {
        snapshot: snapshot.id.clone(),
        tree: snapshot.tree.clone(),
        taken_at,
        consistency,
        data,
        bytes: figures.map_or(0, |figures| figures.bytes),
        added_bytes: figures.map_or(0, |figures| figures.added_bytes),
        stored_bytes: figures.map_or(0, |figures| figures.stored_bytes),
        seconds: took(snapshot, taken_at),
    })
}

fn of(restored: &Restored, at: String) -> DataRestored {
    let short = |text: &String| text.chars().take(UNREAD_CHARS_MAX).collect();
    DataRestored {
        at,
        files: restored.files,
        bytes: restored.bytes,
        digest: restored.digest.clone(),
        seconds: restored.seconds,
        verify_seconds: restored.verify_seconds,
        warnings: restored.warnings.iter().take(UNREAD_MAX).map(short).collect(),
        ..DataRestored::default()
    }
}
