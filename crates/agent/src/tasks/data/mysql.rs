//! MariaDB and MySQL through their own dump.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use base::{Error, Result};
use drivers::wire::{DRILLED, DatabaseServer};

use super::super::Job;
use super::contents::{Contents, Dumped};
use super::program::{Run, Tool};
use crate::files::{self, failed};

const CLIENT: Tool = Tool { names: &["mariadb", "mysql"], package: "mariadb-client" };
const DUMP: Tool = Tool { names: &["mariadb-dump", "mysqldump"], package: "mariadb-client" };

/// Databases that a server keeps for itself.
const ITS_OWN: &str = "('information_schema', 'performance_schema', 'mysql', 'sys')";
/// Engines whose tables a transaction sees as of one instant, or which hold nothing that lasts.
const WITH_TRANSACTIONS: &str = "('InnoDB', 'MEMORY', 'SEQUENCE', 'BLACKHOLE')";
/// What marks a database that is being filled.
const MARK: &str = "yunwei_restore";
/// The words that a whole dump ends with.
const COMPLETED: &str = "-- Dump completed";

/// A value as an option file quotes it.
fn quoted(value: &str) -> String {
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\r', "\\r");
    format!("\"{escaped}\"")
}

/// A name as SQL quotes it.
pub(super) fn name(text: &str) -> String {
    format!("`{}`", text.replace('`', "``"))
}

/// A text as SQL quotes it.
pub(super) fn text(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// A file that says who is asked and as whom; only its owner reads it, and it goes with the scratch.
pub(super) fn options(job: &Job<'_>, server: &DatabaseServer, scratch: &Path) -> Result<PathBuf> {
    let mut lines = vec![
        "[client]".to_owned(),
        "default-character-set=utf8mb4".to_owned(),
        format!("user={}", quoted(&server.user)),
    ];
    if let Some(socket) = &server.socket {
        lines.push(format!("socket={}", quoted(socket)));
    }
    if let Some(host) = &server.host {
        lines.extend([format!("host={}", quoted(host)), "protocol=tcp".to_owned()]);
    }
    lines.extend(server.port.map(|port| format!("port={port}")));
    lines.extend(job.password.as_ref().map(|password| format!("password={}", quoted(password.reveal()))));
    lines.push("connect-timeout=10\n".to_owned());
    let path = scratch.join("client.cnf");
    // Not all of them know how long to wait.
    let text = lines.join("\n").replace("connect-timeout", "loose-connect-timeout");
    files::write_private(&path, text.as_bytes())?;
    Ok(path)
}

fn run(tool: Tool, options: &Path) -> Result<Run> {
    // Only this file: what else is on the host is not meant for us.
    let mut first = std::ffi::OsString::from("--defaults-file=");
    first.push(options);
    Ok(Run::new(tool)?.arg(first))
}

pub(super) fn rows(job: &Job<'_>, options: &Path, sql: &str) -> Result<Vec<String>> {
    let asked = run(CLIENT, options)?.args(["--batch", "--skip-column-names", "--raw", "--execute", sql]);
    let answer = asked.answer(job.cancel)?;
    Ok(String::from_utf8_lossy(&answer).lines().map(str::to_owned).collect())
}

/// Dumps databases, each as one transaction sees it; tables that know none are named.
pub(super) fn dump(
    job: &mut Job<'_>,
    server: &DatabaseServer,
    wanted: &[String],
    scratch: &Path,
    into: &Path,
) -> Result<Contents> {
    let options = options(job, server, scratch)?;
    let there = rows(
        job,
        &options,
        &format!("SELECT schema_name FROM information_schema.schemata WHERE schema_name NOT IN {ITS_OWN} ORDER BY 1"),
    )?;
    if let Some(absent) = wanted.iter().find(|one| !there.contains(one)) {
        return Err(Error::not_found("database.absent", format!("the server has no database {absent}")));
    }
    // What a drill made is gone in a moment, perhaps in the middle of its dump.
    let wanted = |one: &&String| if wanted.is_empty() { !one.starts_with(DRILLED) } else { wanted.contains(one) };
    let chosen: Vec<&String> = there.iter().filter(wanted).collect();
    let version = rows(job, &options, "SELECT VERSION()")?.concat();
    let mut contents = Contents { server: version, ..Contents::default() };
    for (at, database) in chosen.into_iter().enumerate() {
        let of = |column: &str| {
            let sql =
                format!("SELECT {column} FROM information_schema.schemata WHERE schema_name = {}", text(database));
            Ok::<_, Error>(rows(job, &options, &sql)?.concat())
        };
        let (encoding, collate) = (of("default_character_set_name")?, of("default_collation_name")?);
        let dumped = Dumped { encoding, collate, ..Dumped::new(at, database, "sql") };
        let file = into.join(&dumped.file);
        let asked = run(DUMP, &options)?
            .args(["--single-transaction", "--quick", "--routines", "--events", "--triggers", "--hex-blob"])
            .args(["--default-character-set=utf8mb4", "--", database]);
        asked.to(&file)?.done(job.cancel, job.told)?;
        complete(&file)?;
        let sql = format!(
            "SELECT CONCAT(table_schema, '.', table_name) FROM information_schema.tables WHERE table_schema = {}
             AND table_type = 'BASE TABLE' AND engine NOT IN {WITH_TRANSACTIONS} ORDER BY 1",
            text(database)
        );
        contents.loose.extend(rows(job, &options, &sql)?);
        contents.databases.push(dumped);
    }
    Ok(contents)
}

/// Whether a dump was written to its end.
fn complete(file: &Path) -> Result<()> {
    let mut end = String::new();
    let mut read = || -> std::io::Result<()> {
        let mut file = File::open(file)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(200)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        end = String::from_utf8_lossy(&bytes).into_owned();
        Ok(())
    };
    read().map_err(|e| failed("read", file, e))?;
    match end.contains(COMPLETED) {
        true => Ok(()),
        false => Err(Error::unavailable("database.failed", "the dump does not say that it is complete")),
    }
}

/// Loads a dump into a new database; how many tables that has then. One that is there already is not
/// touched, unless this very restore has left it half filled.
pub(super) fn load(
    job: &mut Job<'_>,
    server: &DatabaseServer,
    scratch: &Path,
    dumped: &Dumped,
    file: &Path,
    new: &str,
    restore: &str,
) -> Result<u64> {
    let options = options(job, server, scratch)?;
    let marked = format!(
        "SELECT table_comment FROM information_schema.tables WHERE table_schema = {} AND table_name = '{MARK}'",
        text(new)
    );
    if rows(job, &options, &marked)?.concat() == restore {
        rows(job, &options, &format!("DROP DATABASE {}", name(new)))?;
    }
    let plain = |word: &&String| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let form = |word: &str, value: &String| {
        Some(value).filter(plain).map_or_else(String::new, |value| format!(" {word} {value}"))
    };
    let form = [form("CHARACTER SET", &dumped.encoding), form("COLLATE", &dumped.collate)].concat();
    rows(job, &options, &format!("CREATE DATABASE {}{form}", name(new)))?;
    let mark = format!("CREATE TABLE {}.{MARK} (one INT) COMMENT {}", name(new), text(restore));
    let filled = rows(job, &options, &mark).and_then(|_| {
        // No commands of the client's own out of a dump: only what the server understands.
        let asked =
            run(CLIENT, &options)?.args(["--binary-mode", "--default-character-set=utf8mb4", "--database", new]);
        asked.from(file)?.done(job.cancel, job.told)?;
        rows(job, &options, &format!("DROP TABLE {}.{MARK}", name(new)))
    });
    if let Err(e) = filled {
        // Half a database is none. It is this restore's own: it was made above.
        let _ = rows(job, &options, &format!("DROP DATABASE {}", name(new)));
        return Err(e);
    }
    let sql = format!(
        "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = {} AND table_type = 'BASE TABLE'",
        text(new)
    );
    Ok(rows(job, &options, &sql)?.concat().parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_ends_where_it_should() {
        assert_eq!(quoted("a\"b\\c\nd"), "\"a\\\"b\\\\c\\nd\"");
        assert_eq!(name("a`b"), "`a``b`");
        assert_eq!(text("a'b\\"), "'a''b\\\\'");
    }
}
