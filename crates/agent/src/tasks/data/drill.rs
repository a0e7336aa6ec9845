//! A database is brought back to see that it could be, asked for its newest record, and gone again.
//!
//! ```text
//!   dump ─► database `yunwei_drill_<drill>` of the server that it was taken from ─┐
//!   logs ─► data directory, recovered and started apart from everybody ───────────┴─► newest record ─► nothing left
//! ```
//!
//! Nothing stays, whatever happens: before the first step goes what an earlier try has left, after the
//! last one everything, also where the task was cancelled or came to nothing. What a crash leaves is
//! taken away by the next try, or by the task that ends the drill.

use std::time::Instant;

use base::time::Timestamp;
use base::{Error, Result};
use drivers::tasks::Cancel;
use drivers::wire::{
    DataDrilled, DataRestored, DataSource, DataTarget, DatabaseServer, Marker, Outcome, TaskId, drilled_database,
};
use vault::client;

use super::super::{Job, Scratch, remove};
use super::{Wish, instant, mysql, postgres};

/// Later seconds than these (the year 5138) are milliseconds.
const SECONDS_MAX: i64 = 100_000_000_000;

/// What is to be drilled.
pub(in super::super) struct Drill<'a> {
    pub set: &'a str,
    pub source: &'a DataSource,
    pub drill: &'a str,
    pub snapshot: &'a str,
    pub database: &'a str,
    pub at: Option<Timestamp>,
    pub logs: Option<&'a str>,
    pub marker: &'a Marker,
}

/// What is asked of a server that was brought back, at that address, before it is stopped; it was
/// started at that instant.
pub(super) type Look<'l> = dyn FnMut(&mut Job<'_>, &DatabaseServer, Instant) -> Result<()> + 'l;

/// The newest record, or why there is none.
type Newest = std::result::Result<Timestamp, String>;

/// What a database said once it was there.
struct Seen {
    answered: Instant,
    newest: Newest,
    read: Instant,
}

fn no_database() -> Error {
    Error::invalid("dataRestore.no_database", "a drill of a database takes a database, and no files")
}

/// An instant that a marker holds: microseconds of an instant, or a number of seconds or milliseconds.
fn record(kind: Kind, text: &str) -> Newest {
    let number = || text.trim().parse::<i64>().ok().filter(|number| *number > 0);
    let at = match kind {
        Kind::Instant => instant::micros(text).and_then(|micros| Timestamp::from_microsecond(micros).ok()),
        Kind::Number => number().and_then(|number| match number {
            seconds if seconds < SECONDS_MAX => Timestamp::from_second(seconds).ok(),
            milliseconds => Timestamp::from_millisecond(milliseconds).ok(),
        }),
    };
    at.ok_or_else(|| format!("its largest value is {}, which is no instant", text.chars().take(60).collect::<String>()))
}

/// How a column tells of an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Instant,
    Number,
}

impl Job<'_> {
    /// Brings a database back, asks for its newest record, and lets go of everything.
    pub(in super::super) fn drill_data(&mut self, id: &TaskId, drill: &Drill<'_>) -> Result<Outcome> {
        self.clear(id, drill.source, drill.drill)?;
        let drilled = match drill.source {
            DataSource::Postgresql { logs: true, .. } => self.drill_logs(id, drill),
            DataSource::Postgresql { .. } | DataSource::Mysql { .. } => self.drill_dump(id, drill),
            DataSource::Files { .. } | DataSource::Unknown => Err(no_database()),
        };
        let began = Instant::now();
        // Also where it was cancelled: what is left is ours to take away.
        let cleared = self.clear(id, drill.source, drill.drill);
        let drilled = drilled?;
        cleared?;
        Ok(Outcome::DataDrilled(DataDrilled { clear_seconds: began.elapsed().as_secs_f64(), ..drilled }))
    }

    /// Lets go of whatever a drill has left.
    pub(in super::super) fn end_drill(&mut self, id: &TaskId, source: &DataSource, drill: &str) -> Result<Outcome> {
        self.clear(id, source, drill)?;
        Ok(Outcome::DrillEnded {})
    }

    /// Removes what bears a drill's id: here, and at the server.
    fn clear(&self, id: &TaskId, source: &DataSource, drill: &str) -> Result<()> {
        remove(&self.hands.data.join(crate::restored::FOLDER).join(drill))?;
        let never = Cancel::default();
        let job = Job {
            hands: self.hands,
            access: Vec::new(),
            password: self.password.clone(),
            cancel: &never,
            stop: client::Cancel::new(),
            told: &mut |_| {},
        };
        let name = drilled_database(drill);
        match source {
            DataSource::Postgresql { server, logs: false, .. } => {
                // Only where it is there: whoever may not drop is not asked to where there is nothing.
                let look = format!(
                    "SELECT pg_catalog.current_setting('server_version_num') FROM pg_catalog.pg_database WHERE datname = {}",
                    postgres::text(&name)
                );
                let there = job.rows(server, postgres::ANY, &look)?.concat();
                let Some(version) = there.first() else { return Ok(()) };
                let force =
                    if version.parse::<u32>().is_ok_and(|known| known >= 130_000) { " WITH (FORCE)" } else { "" };
                job.rows(server, postgres::ANY, &format!("DROP DATABASE {}{force}", postgres::name(&name))).map(drop)
            }
            DataSource::Mysql { server, .. } => {
                let scratch = Scratch::private(self.hands.scratch.join(format!("{id}-clear")))?;
                let options = mysql::options(&job, server, &scratch.0)?;
                let look = format!(
                    "SELECT schema_name FROM information_schema.schemata WHERE schema_name = {}",
                    mysql::text(&name)
                );
                if mysql::rows(&job, &options, &look)?.is_empty() {
                    return Ok(());
                }
                mysql::rows(&job, &options, &format!("DROP DATABASE {}", mysql::name(&name))).map(drop)
            }
            DataSource::Postgresql { .. } | DataSource::Files { .. } | DataSource::Unknown => Ok(()),
        }
    }

    fn drill_dump(&mut self, id: &TaskId, drill: &Drill<'_>) -> Result<DataDrilled> {
        let name = drilled_database(drill.drill);
        let to = DataTarget::Database { database: drill.database.to_owned(), name: name.clone() };
        let wish =
            Wish { set: drill.set, source: drill.source, restore: drill.drill, snapshot: drill.snapshot, to: &to };
        let restored = self.database(id, &wish, drill.database, &name)?;
        let there = Instant::now();
        let seen = match drill.source {
            DataSource::Mysql { server, .. } => {
                let scratch = Scratch::private(self.hands.scratch.join(id.as_str()))?;
                let options = mysql::options(self, server, &scratch.0)?;
                let ask = |sql: &str| mysql::rows(self, &options, sql);
                ask(&format!(
                    "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = {}",
                    mysql::text(&name)
                ))?;
                let answered = Instant::now();
                let newest = newest_of_mysql(&name, drill.marker, ask)?;
                Seen { answered, newest, read: Instant::now() }
            }
            source => {
                let server = source.server().ok_or_else(no_database)?;
                self.seen(server, &name, drill.marker)?
            }
        };
        Ok(told(&restored, there, seen))
    }

    fn drill_logs(&mut self, id: &TaskId, drill: &Drill<'_>) -> Result<DataDrilled> {
        let to = DataTarget::Instant { below: None, at: drill.at, logs: drill.logs.map(str::to_owned) };
        let wish =
            Wish { set: drill.set, source: drill.source, restore: drill.drill, snapshot: drill.snapshot, to: &to };
        let (began, mut seen) = (Instant::now(), None);
        let restored = self.instant(id, &wish, None, drill.at, drill.logs, &mut |job, server, started| {
            seen = Some((started, job.seen(server, drill.database, drill.marker)?));
            Ok(())
        })?;
        let (started, seen) = seen.ok_or_else(super::strange)?;
        // Until it was started it was fetched and hashed; recovering is told as answering.
        let hash_seconds = (started.duration_since(began).as_secs_f64() - restored.seconds).max(0.0);
        Ok(DataDrilled { hash_seconds, ..told(&restored, started, seen) })
    }

    /// What a PostgreSQL database says: that it is there, and its newest record.
    fn seen(&self, server: &DatabaseServer, database: &str, marker: &Marker) -> Result<Seen> {
        let ask = |sql: &str| {
            // Nothing that a database brings along comes before the server's own functions.
            // And rows that a policy would hide are an error, not an older newest record.
            self.rows(
                server,
                database,
                &format!("SET search_path = pg_catalog, pg_temp; SET row_security = off; {sql}"),
            )
        };
        ask("SELECT count(*) FROM pg_catalog.pg_tables")?;
        let answered = Instant::now();
        let newest = newest_of_postgres(marker, ask)?;
        Ok(Seen { answered, newest, read: Instant::now() })
    }
}

fn told(restored: &DataRestored, there: Instant, seen: Seen) -> DataDrilled {
    let (newest, unread) = match seen.newest {
        Ok(newest) => (Some(newest), None),
        Err(why) => (None, Some(why)),
    };
    DataDrilled {
        bytes: restored.bytes,
        digest: restored.digest.clone(),
        fetch_seconds: restored.seconds,
        hash_seconds: restored.verify_seconds,
        tables: restored.tables,
        answer_seconds: seen.answered.saturating_duration_since(there).as_secs_f64(),
        read_seconds: seen.read.duration_since(seen.answered).as_secs_f64(),
        clear_seconds: 0.0,
        newest,
        unread,
    }
}

/// Which kind a column is, or why it is none.
fn kind(table: &str, column: &str, of: &str) -> std::result::Result<Kind, String> {
    match of {
        "" => Err(format!("table {table} has no column {column}")),
        "timestamp with time zone" | "timestamp without time zone" | "timestamp" | "datetime" => Ok(Kind::Instant),
        "bigint" | "integer" | "int" => Ok(Kind::Number),
        other => Err(format!(
            "column {column} of {table} is {other}: a marker is an instant, or a whole number of seconds or milliseconds"
        )),
    }
}

const EMPTY: &str = "the marker holds nothing: there is no row, or no value in any";

fn newest_of_postgres(marker: &Marker, ask: impl Fn(&str) -> Result<Vec<Vec<String>>>) -> Result<Newest> {
    let schema = marker.schema.as_deref().unwrap_or("public");
    let (table, column) = (format!("{schema}.{}", marker.table), &marker.column);
    let sql = format!(
        "SELECT c.relkind, COALESCE(pg_catalog.format_type(a.atttypid, NULL), '') FROM pg_catalog.pg_class c
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = {} AND a.attnum > 0 AND NOT a.attisdropped
         WHERE n.nspname = {} AND c.relname = {}",
        postgres::text(column),
        postgres::text(schema),
        postgres::text(&marker.table)
    );
    let found = ask(&sql)?.concat();
    let [is, of] = found.as_slice() else { return Ok(Err(format!("there is no table {table}"))) };
    // To ask a view is to run what its owner wrote.
    if !["r", "p"].contains(&is.as_str()) {
        return Ok(Err(format!("{table} is no table")));
    }
    // A part of it may lie on another server: what it says did not come back.
    let sql = format!(
        "WITH RECURSIVE part AS (SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = {} AND c.relname = {} UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN part ON i.inhparent = part.oid)
         SELECT count(*) FROM part JOIN pg_catalog.pg_class c ON c.oid = part.oid WHERE c.relkind NOT IN ('r', 'p')",
        postgres::text(schema),
        postgres::text(&marker.table)
    );
    if ask(&sql)?.concat() != ["0"] {
        return Ok(Err(format!("a part of {table} is no table of this database")));
    }
    let kind = match kind(&table, column, of) {
        Ok(kind) => kind,
        Err(why) => return Ok(Err(why)),
    };
    let largest = format!("pg_catalog.max({})", postgres::name(column));
    let value = match of.as_str() {
        "timestamp with time zone" => format!("extract(epoch FROM {largest})"),
        "timestamp without time zone" => format!("extract(epoch FROM {largest} AT TIME ZONE 'UTC')"),
        _ => largest,
    };
    let from = format!("{}.{}", postgres::name(schema), postgres::name(&marker.table));
    let told = ask(&format!("SELECT COALESCE(({value})::text, 'none') FROM {from}"))?.concat().concat();
    Ok(if told == "none" { Err(EMPTY.to_owned()) } else { record(kind, &told) })
}

fn newest_of_mysql(database: &str, marker: &Marker, ask: impl Fn(&str) -> Result<Vec<String>>) -> Result<Newest> {
    let (table, column) = (&marker.table, &marker.column);
    let sql = format!(
        "SELECT t.table_type, COALESCE(t.engine, ''), COALESCE(c.data_type, '') FROM information_schema.tables t
         LEFT JOIN information_schema.columns c ON c.table_schema = t.table_schema AND c.table_name = t.table_name AND c.column_name = {}
         WHERE t.table_schema = {} AND t.table_name = {}",
        mysql::text(column),
        mysql::text(database),
        mysql::text(table)
    );
    let found = ask(&sql)?.concat();
    let fields: Vec<&str> = found.split('\t').collect();
    let [is, engine, of] = fields[..] else { return Ok(Err(format!("there is no table {table}"))) };
    if is != "BASE TABLE" {
        return Ok(Err(format!("{table} is no table")));
    }
    // Others may lie on another server: what they say did not come back.
    if !["InnoDB", "Aria", "MyISAM", "ROCKSDB"].contains(&engine) {
        return Ok(Err(format!("{table} is kept by {engine}, which may keep it elsewhere")));
    }
    let kind = match kind(table, column, of) {
        Ok(kind) => kind,
        Err(why) => return Ok(Err(why)),
    };
    let largest = format!("MAX({})", mysql::name(column));
    let value = match kind {
        Kind::Instant => format!("UNIX_TIMESTAMP({largest})"),
        Kind::Number => largest,
    };
    let from = format!("{}.{}", mysql::name(database), mysql::name(table));
    // What has no time zone is in UTC.
    let sql = format!("SET time_zone = '+00:00'; SELECT COALESCE(CAST({value} AS CHAR), 'none') FROM {from}");
    let told = ask(&sql)?.concat();
    Ok(if told == "none" { Err(EMPTY.to_owned()) } else { record(kind, &told) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_an_instant_or_a_number_and_anything_else_says_what_it_is() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(record(Kind::Instant, "1763800000.25"), Ok(at("2025-11-22T08:26:40.25Z")));
        assert_eq!(record(Kind::Number, "1763800000"), Ok(at("2025-11-22T08:26:40Z")));
        assert_eq!(record(Kind::Number, "1763800000123"), Ok(at("2025-11-22T08:26:40.123Z")));
        for (kind, bad) in [(Kind::Instant, "Infinity"), (Kind::Number, "0"), (Kind::Number, "-5"), (Kind::Number, "x")]
        {
            assert!(record(kind, bad).unwrap_err().contains("no instant"), "{bad}");
        }
        assert_eq!(super::kind("t", "c", "bigint"), Ok(Kind::Number));
        assert!(super::kind("t", "c", "text").unwrap_err().contains("is text"));
        assert!(super::kind("t", "c", "").unwrap_err().contains("no column"));
    }
}
