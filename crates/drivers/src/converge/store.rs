//! What survives the agent: one SQLite file.
//!
//! SQLite rather than files of our own, because a batch of intents must be taken as a whole, and
//! because what happens to a half-written page after a power cut is a question that SQLite has
//! answered. One row per intent, the record as JSON; tombstones are rows too.

use std::{path::Path, time::Duration};

use base::time::Timestamp;
use base::{Error, Result};
use rusqlite::Connection;

use super::record::Record;
use crate::wire::{TaskId, TaskReport};

/// The layout of the file; a newer one is refused.
const LAYOUT: i64 = 1;

/// Where an agent keeps what it must not forget.
pub struct Store {
    db: Connection,
    /// Writes left before the store fails, for tests of crashes.
    #[cfg(test)]
    pub(super) writes_left: Option<u32>,
}

impl Store {
    /// Opens the store at `path`, making it if needed. A second opening of the same file is refused
    /// while the first lasts.
    ///
    /// # Errors
    /// `Conflict` where another agent holds it or has a newer layout, `Unavailable` where the disk
    /// does not let it.
    pub fn open(path: &Path) -> Result<Self> {
        let db = Connection::open(path).map_err(failed)?;
        db.busy_timeout(Duration::from_millis(500)).map_err(failed)?;
        db.pragma_update(None, "locking_mode", "EXCLUSIVE").map_err(failed)?;
        let mode: String = db.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).map_err(|e| {
            match e.sqlite_error_code() {
                Some(rusqlite::ErrorCode::DatabaseBusy) => {
                    Error::conflict("agent.already_running", "another agent works with this data directory").because(e)
                }
                _ => failed(e),
            }
        })?;
        tracing::debug!(mode, "agent store opened");
        db.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        Self::prepared(db)
    }

    /// A store that lasts as long as the program, for simulated agents.
    ///
    /// # Errors
    /// `Unavailable` where SQLite cannot start.
    pub fn in_memory() -> Result<Self> {
        Self::prepared(Connection::open_in_memory().map_err(failed)?)
    }

    fn prepared(db: Connection) -> Result<Self> {
        let layout: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
        if layout > LAYOUT {
            let message = format!("the data directory was written by a newer agent (layout {layout}); use that one");
            return Err(Error::conflict("agent.data_too_new", message));
        }
        db.execute_batch(
            "BEGIN EXCLUSIVE;
             CREATE TABLE IF NOT EXISTS record (id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
             CREATE TABLE IF NOT EXISTS task (id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
             CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
             PRAGMA user_version = 1;
             COMMIT;",
        )
        .map_err(failed)?;
        Ok(Self {
            db,
            #[cfg(test)]
            writes_left: None,
        })
    }

    /// Counts the times this store was taken up. Begins with the present second, so that a store that was
    /// lost and made anew goes on above the old one and not below it.
    pub(super) fn next_epoch(&mut self, now: Timestamp) -> Result<u64> {
        let sql = "INSERT INTO counter VALUES ('epoch', ?1)
                   ON CONFLICT (name) DO UPDATE SET value = MAX(value + 1, ?1) RETURNING value";
        let value: i64 = self.db.query_row(sql, [now.as_second().max(1)], |row| row.get(0)).map_err(failed)?;
        u64::try_from(value).map_err(|e| Error::bug("agent.epoch_negative", "the agent's store is damaged").because(e))
    }

    /// Everything.
    pub(super) fn load(&self) -> Result<Vec<Record>> {
        let mut statement = self.db.prepare("SELECT body FROM record ORDER BY id").map_err(failed)?;
        let bodies = statement.query_map([], |row| row.get::<_, String>(0)).map_err(failed)?;
        bodies
            .map(|body| {
                serde_json::from_str(&body.map_err(failed)?).map_err(|e| {
                    Error::bug("agent.record_unreadable", "a record in the agent's store cannot be read").because(e)
                })
            })
            .collect()
    }

    /// Stores records, all or none, and returns when they are on disk.
    pub(super) fn save<'a>(&mut self, records: impl IntoIterator<Item = &'a Record>) -> Result<()> {
        #[cfg(test)]
        if let Some(left) = &mut self.writes_left {
            if *left == 0 {
                return Err(Error::unavailable("agent.store_crashed", "crashed, as told to"));
            }
            *left -= 1;
        }
        let tx = self.db.transaction().map_err(failed)?;
        {
            let sql = "INSERT INTO record VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET body = excluded.body";
            let mut statement = tx.prepare_cached(sql).map_err(failed)?;
            for record in records {
                let body = serde_json::to_string(record)
                    .map_err(|e| Error::bug("agent.record_unwritable", "a record cannot be written").because(e))?;
                statement.execute((record.id.as_str(), body)).map_err(failed)?;
            }
        }
        tx.commit().map_err(failed)
    }

    /// What came of tasks.
    pub(super) fn tasks(&self) -> Result<Vec<TaskReport>> {
        let mut statement = self.db.prepare("SELECT body FROM task ORDER BY id").map_err(failed)?;
        let bodies = statement.query_map([], |row| row.get::<_, String>(0)).map_err(failed)?;
        let bodies: Vec<String> = bodies.collect::<Result<_, _>>().map_err(failed)?;
        // One that another version wrote is done again rather than in the way.
        Ok(bodies.iter().filter_map(|body| serde_json::from_str(body).ok()).collect())
    }

    /// Stores what came of a task, and returns when it is on disk.
    pub(super) fn save_task(&mut self, report: &TaskReport) -> Result<()> {
        let body = serde_json::to_string(report)
            .map_err(|e| Error::bug("agent.record_unwritable", "a record cannot be written").because(e))?;
        let sql = "INSERT INTO task VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET body = excluded.body";
        self.db.execute(sql, (report.id.as_str(), body)).map(drop).map_err(failed)
    }

    /// Forgets what came of tasks.
    pub(super) fn forget_tasks(&mut self, ids: &[TaskId]) -> Result<()> {
        for id in ids {
            self.db.execute("DELETE FROM task WHERE id = ?1", [id.as_str()]).map_err(failed)?;
        }
        Ok(())
    }

    /// Forgets records, tombstones that are old enough.
    pub(super) fn forget<'a>(&mut self, ids: impl IntoIterator<Item = &'a str>) -> Result<()> {
        let tx = self.db.transaction().map_err(failed)?;
        for id in ids {
            tx.execute("DELETE FROM record WHERE id = ?1", [id]).map_err(failed)?;
        }
        tx.commit().map_err(failed)
    }
}

fn failed(e: rusqlite::Error) -> Error {
    Error::unavailable("agent.store_failed", format!("the agent's store failed: {e}")).because(e)
}
