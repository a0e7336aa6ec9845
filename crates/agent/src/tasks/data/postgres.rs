//! PostgreSQL through its own dump.

use std::path::Path;

use base::{Error, Result};
use drivers::wire::{DRILLED, DatabaseServer};

use super::super::Job;
use super::contents::{Contents, Dumped};
use super::program::{Run, Tool};

const PACKAGE: &str = "postgresql-client";
const PSQL: Tool = Tool { names: &["psql"], package: PACKAGE };
const PG_DUMP: Tool = Tool { names: &["pg_dump"], package: PACKAGE };
const PG_DUMPALL: Tool = Tool { names: &["pg_dumpall"], package: PACKAGE };
const PG_RESTORE: Tool = Tool { names: &["pg_restore"], package: PACKAGE };

/// The database that every server has.
pub(super) const ANY: &str = "postgres";
/// What parts the values of a row.
const BETWEEN: char = '\u{1f}';

impl Job<'_> {
    /// A run of one of PostgreSQL's programs that knows its server from its environment. A database's
    /// name as an argument could say more than a name.
    pub(super) fn postgres(&self, tool: Tool, server: &DatabaseServer, database: &str) -> Result<Run> {
        let at = server.socket.as_deref().or(server.host.as_deref()).unwrap_or_default();
        let mut run = Run::new(tool)?
            .env("PGHOST", at)
            .env("PGUSER", &server.user)
            .env("PGDATABASE", database)
            .env("PGCONNECT_TIMEOUT", "10")
            .env("PGAPPNAME", "yunwei");
        if let Some(port) = server.port {
            run = run.env("PGPORT", port.to_string());
        }
        if let Some(password) = &self.password {
            run = run.env("PGPASSWORD", password.reveal());
        }
        Ok(run.arg("--no-password"))
    }

    /// The rows of a query.
    pub(super) fn rows(&self, server: &DatabaseServer, database: &str, sql: &str) -> Result<Vec<Vec<String>>> {
        let between = BETWEEN.to_string();
        let run = self.postgres(PSQL, server, database)?;
        let run = run.args(["-X", "-A", "-t", "-0", "-q", "-v", "ON_ERROR_STOP=1", "-F", &between, "-c", sql]);
        let answer = run.answer(self.cancel)?;
        let text = String::from_utf8_lossy(&answer).into_owned();
        let rows = text.split('\0').filter(|row| !row.trim().is_empty());
        Ok(rows.map(|row| row.trim_end_matches('\n').split(BETWEEN).map(str::to_owned).collect()).collect())
    }
}

/// A name as SQL quotes it.
pub(super) fn name(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// A text as SQL quotes it.
pub(super) fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Dumps databases, each as one transaction sees it, and what all of them share where all are wanted.
pub(super) fn dump(job: &mut Job<'_>, server: &DatabaseServer, wanted: &[String], into: &Path) -> Result<Contents> {
    let any = wanted.first().map_or(ANY, String::as_str);
    let sql = "SELECT datname, pg_encoding_to_char(encoding), datcollate, datctype FROM pg_database
         WHERE datallowconn AND NOT datistemplate ORDER BY datname";
    let there = job.rows(server, any, sql)?;
    if let Some(absent) = wanted.iter().find(|one| !there.iter().any(|row| row.first() == Some(*one))) {
        return Err(Error::not_found("database.absent", format!("the server has no database {absent}")));
    }
    let version = job.rows(server, any, "SHOW server_version")?.concat().concat();
    let mut contents = Contents { server: format!("PostgreSQL {version}"), ..Contents::default() };
    if wanted.is_empty() {
        // Who is given some of them has no claim to the passwords of everybody else on the server.
        globals(job, server, any, into)?;
    }
    // What a drill made is gone in a moment, perhaps in the middle of its dump.
    let chosen = there.iter().filter(|row| match row.first() {
        Some(one) if wanted.is_empty() => !one.starts_with(DRILLED),
        Some(one) => wanted.contains(one),
        None => false,
    });
    for (at, row) in chosen.enumerate() {
        let value = |n: usize| row.get(n).cloned().unwrap_or_default();
        let dumped =
            Dumped { encoding: value(1), collate: value(2), ctype: value(3), ..Dumped::new(at, &value(0), "pgdump") };
        // Not compressed here: the repository does that, and stores what did not change only once.
        let run = job.postgres(PG_DUMP, server, &dumped.name)?.args(["--format=custom", "--compress=0"]);
        run.to(&into.join(&dumped.file))?.done(job.cancel, job.told)?;
        contents.databases.push(dumped);
    }
    Ok(contents)
}

/// Roles and tablespaces; without passwords where the user may not read them.
fn globals(job: &mut Job<'_>, server: &DatabaseServer, any: &str, into: &Path) -> Result<()> {
    let file = into.join("globals.sql");
    let all = job.postgres(PG_DUMPALL, server, any)?.args(["--globals-only", "--database", any]);
    match all.to(&file)?.done(job.cancel, job.told) {
        Err(e) if e.code() == "database.forbidden" => {
            crate::files::remove_file(&file).map_err(|e| crate::files::failed("remove", &file, e))?;
            let bare = job.postgres(PG_DUMPALL, server, any)?;
            let bare = bare.args(["--globals-only", "--no-role-passwords", "--database", any]);
            bare.to(&file)?.done(job.cancel, job.told)
        }
        other => other,
    }
}

/// Loads a dump into a new database; how many tables that has then. One that is there already is not
/// touched, unless this very restore has left it.
pub(super) fn load(
    job: &mut Job<'_>,
    server: &DatabaseServer,
    dumped: &Dumped,
    file: &Path,
    new: &str,
    restore: &str,
) -> Result<u64> {
    let (loading, whole) = (format!("yunwei {restore}: loading"), format!("yunwei {restore}"));
    let sql = format!("SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = {}", text(new));
    let there = job.rows(server, ANY, &sql)?.concat().concat();
    if there == whole {
        return tables(job, server, new);
    }
    if there == loading {
        job.rows(server, ANY, &format!("DROP DATABASE {}", name(new)))?;
    }
    let of =
        |word: &str, value: &str| if value.is_empty() { String::new() } else { format!(" {word} {}", text(value)) };
    let form =
        [of("ENCODING", &dumped.encoding), of("LC_COLLATE", &dumped.collate), of("LC_CTYPE", &dumped.ctype)].concat();
    job.rows(server, ANY, &format!("CREATE DATABASE {} TEMPLATE template0{form}", name(new)))?;
    let filled = job.rows(server, ANY, &comment(new, &loading)).and_then(|_| {
        let run = job.postgres(PG_RESTORE, server, new)?;
        // Whoever loads it owns it: the roles of the dump need not be here, and making others the owners
        // takes a superuser. A plain name by its form: it is checked before it comes here.
        let run = run.args(["--exit-on-error", "--no-owner", "--no-privileges", "--dbname", new]).arg(file);
        run.done(job.cancel, job.told)?;
        job.rows(server, ANY, &comment(new, &whole))
    });
    match filled {
        Ok(_) => tables(job, server, new),
        Err(e) => {
            // Half a database is none. It is this restore's own: it was made above.
            let _ = job.rows(server, ANY, &format!("DROP DATABASE {}", name(new)));
            Err(e)
        }
    }
}

fn comment(database: &str, words: &str) -> String {
    format!("COMMENT ON DATABASE {} IS {}", name(database), text(words))
}

pub(super) fn tables(job: &Job<'_>, server: &DatabaseServer, database: &str) -> Result<u64> {
    let sql = "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')";
    Ok(job.rows(server, database, sql)?.concat().concat().parse().unwrap_or(0))
}
