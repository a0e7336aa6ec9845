//! Copies of a whole database, of one instant, beside a running server; and a database made from
//! one again.
//!
//! SQLite is copied page by page inside one read transaction, so that what did not change is
//! equal, byte for byte, in the next copy. PostgreSQL is copied by its own `pg_dump` and made
//! again by its own `pg_restore`, which must be installed.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use ::postgres::config::Host;
use ::postgres::error::SqlState;
use base::{Error, Result};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use crate::{Location, migrate, postgres, sqlite};

/// The file of an SQLite database, in a data directory and in a copy.
const SQLITE: &str = "yunwei.db";
/// What an SQLite database is called while it is put into its place.
pub const PART: &str = "yunwei.db.part";
/// The file of a copy of a PostgreSQL database.
const POSTGRES: &str = "database.pgdump";

fn failed(what: &str) -> impl FnOnce(std::io::Error) -> Error {
    let what = what.to_owned();
    move |e| Error::unavailable("db.copy", format!("{what}: {e}")).because(e)
}

/// Copies the database at `location` into a directory, under a name that [`bring`] knows.
///
/// # Errors
/// `Unavailable` where there is no room, the database is away, or PostgreSQL's tools are missing.
pub fn take(location: &Location, into: &Path) -> Result<()> {
    match location {
        Location::Directory(data) => copy(&data.join(SQLITE), &into.join(SQLITE)),
        Location::Postgres(url) => {
            let file = into.join(POSTGRES);
            let arguments = [OsStr::new("--format=custom"), "--no-owner".as_ref(), "--file".as_ref(), file.as_ref()];
            tool("pg_dump", url, &arguments)?;
            File::open(&file).and_then(|file| file.sync_all()).map_err(failed("the database's dump is not kept"))
        }
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let read_only = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(from, read_only).map_err(sqlite::translate)?;
    let mut target = Connection::open(to).map_err(sqlite::translate)?;
    // All pages in one step: one read transaction, beside which the server goes on writing.
    let step = Backup::new(&source, &mut target).and_then(|backup| backup.step(-1)).map_err(sqlite::translate)?;
    if step != StepResult::Done {
        return Err(Error::unavailable("db.copy", "the database was busy for too long to be copied; try again"));
    }
    drop(target);
    sqlite::restrict_file(to).and_then(|()| File::open(to)?.sync_all()).map_err(failed("the copy is not kept"))
}

/// Whether there is no database at `location` yet, before anything is brought to make one of.
///
/// # Errors
/// `Conflict` (`db.occupied`) where there is one; `Unavailable` where PostgreSQL is away.
pub fn expect_none(location: &Location) -> Result<()> {
    let is_free = match location {
        Location::Directory(data) => !data.join(SQLITE).exists(),
        Location::Postgres(url) => migrate::is_empty(url)?,
    };
    let message = "there is a database already: nothing is put in its place; give an empty one";
    is_free.then_some(()).ok_or_else(|| Error::conflict("db.occupied", message))
}

/// Makes the database at `location` from a copy in `from`. There must be none yet.
///
/// # Errors
/// `Conflict` where there is one already, or the copy is one of another engine's (`db.copy_other`);
/// `Unavailable` where it is damaged.
pub fn bring(location: &Location, from: &Path) -> Result<()> {
    let other = |wanted: &str| {
        let message = format!("this is a copy of a database on another engine: give {wanted}");
        Err(Error::conflict("db.copy_other", message))
    };
    let there = |name: &str| from.join(name).is_file();
    match location {
        Location::Directory(_) if !there(SQLITE) => {
            other("--database with the address of an empty PostgreSQL database")
        }
        Location::Postgres(_) if !there(POSTGRES) => other("--data alone"),
        Location::Directory(data) => {
            expect_none(location)?;
            let to = data.join(SQLITE);
            examine(&from.join(SQLITE))?;
            // Under its name only when all of it is there.
            let part = data.join(PART);
            let copied = fs::copy(from.join(SQLITE), &part).and_then(|_| File::open(&part)?.sync_all());
            copied.and_then(|()| fs::rename(&part, &to)).map_err(failed("the database cannot be put in its place"))
        }
        Location::Postgres(url) => {
            expect_none(location)?;
            let file = from.join(POSTGRES);
            let arguments = [OsStr::new("--no-owner"), "--exit-on-error".as_ref(), "--single-transaction".as_ref()];
            tool("pg_restore", url, &[&arguments[..], &[file.as_ref()]].concat())
        }
    }
}

/// Whether every page and every index of a copy is as SQLite wrote it.
fn examine(copy: &Path) -> Result<()> {
    let conn = Connection::open_with_flags(copy, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(sqlite::translate)?;
    let said: String = conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(sqlite::translate)?;
    if said == "ok" {
        return Ok(());
    }
    Err(Error::unavailable("db.copy_damaged", format!("the copy of the database is damaged: {said}; use another")))
}

/// A fresh place for a database that is looked at and taken away again: in `folder` where records lie in
/// a directory, else an empty database called `name` on the same server. What is there of an earlier
/// attempt goes.
///
/// # Errors
/// `Conflict` (`db.may_not_create`) where the server does not let this user make databases;
/// `Unavailable` where it is away.
pub fn beside(location: &Location, folder: &Path, name: &str) -> Result<Location> {
    let Location::Postgres(url) = location else { return Ok(Location::Directory(folder.to_owned())) };
    remove_beside(location, name)?;
    let config = postgres::parse(url)?;
    let made = postgres::connect(&config)?.batch_execute(&format!("CREATE DATABASE {}", ident(name)?));
    made.map_err(|e| match e.code() {
        Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => {
            let user = config.get_user().unwrap_or("the user");
            let message = format!("PostgreSQL lets {user} make no database: ALTER ROLE {user} CREATEDB");
            Error::conflict("db.may_not_create", message)
        }
        _ => postgres::translate(e),
    })?;
    Ok(Location::Postgres(named(&config, name)))
}

/// Takes away what [`beside`] made on a server; nothing where it is not there.
///
/// # Errors
/// `Unavailable` where the server is away.
pub fn remove_beside(location: &Location, name: &str) -> Result<()> {
    let Location::Postgres(url) = location else { return Ok(()) };
    let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", ident(name)?);
    postgres::connect(&postgres::parse(url)?)?.batch_execute(&drop).map_err(postgres::translate)
}

/// Takes away whatever [`beside`] made on a server under names that begin so.
///
/// # Errors
/// `Unavailable` where the server is away.
pub fn sweep_beside(location: &Location, prefix: &str) -> Result<()> {
    let Location::Postgres(url) = location else { return Ok(()) };
    let sql = "SELECT datname FROM pg_database WHERE starts_with(datname::text, $1)";
    let found = postgres::connect(&postgres::parse(url)?)?.query(sql, &[&prefix]).map_err(postgres::translate)?;
    found.iter().try_for_each(|row| remove_beside(location, row.get(0)))
}

/// Names of ours need no quotes; others are not put into a statement.
fn ident(name: &str) -> Result<&str> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let fits = name.len() <= 63 && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.bytes().all(plain);
    fits.then_some(name).ok_or_else(|| Error::bug("db.name", format!("{name} is no name for a database")))
}

/// The address of another database on the same server.
fn named(config: &::postgres::Config, name: &str) -> String {
    let quoted = |value: &str| format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"));
    let (mut words, mut hosts) = (Vec::new(), Vec::new());
    for host in config.get_hosts() {
        hosts.push(match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        });
    }
    let ports: Vec<String> = config.get_ports().iter().map(u16::to_string).collect();
    let password = config.get_password().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let all = [
        ("host", Some(hosts.join(",")).filter(|hosts| !hosts.is_empty())),
        ("port", Some(ports.join(",")).filter(|ports| !ports.is_empty())),
        ("user", config.get_user().map(str::to_owned)),
        ("password", password),
        ("dbname", Some(name.to_owned())),
    ];
    words.extend(all.into_iter().filter_map(|(key, value)| Some(format!("{key}={}", quoted(&value?)))));
    words.join(" ")
}

/// Runs one of PostgreSQL's own programs. What opens the database is in its environment, where
/// other users of the machine do not see it.
fn tool(program: &str, url: &str, arguments: &[&OsStr]) -> Result<()> {
    let config = postgres::parse(url)?;
    let mut command = Command::new(program);
    let word = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let host = config.get_hosts().first().map(|host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(path) => path.display().to_string(),
    });
    let known = [
        ("PGHOST", host),
        ("PGPORT", config.get_ports().first().map(u16::to_string)),
        ("PGUSER", config.get_user().map(str::to_owned)),
        ("PGPASSWORD", config.get_password().map(word)),
    ];
    command.envs(known.into_iter().filter_map(|(name, value)| Some((name, value?))));
    let name = config.get_dbname().or(config.get_user()).unwrap_or("postgres");
    command.arg("--dbname").arg(name).args(arguments).stdin(std::process::Stdio::null());
    let absent = |e| {
        Error::unavailable("db.tool", format!("{program} does not start: {e}; install PostgreSQL's client programs"))
    };
    let output = command.output().map_err(absent)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    Err(Error::unavailable("db.tool", format!("{program} failed: {last}")))
}
