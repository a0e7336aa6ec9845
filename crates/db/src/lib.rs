//! Storage: connections, migrations, records. The only room that knows SQLite
//! from PostgreSQL.
//!
//! Everybody else writes plain SQL in the dialect that both take alike, with
//! `$1` parameters, through [`Conn`]. See `docs/reference/sql.md` for what is
//! portable and what is not.
//!
//! Architecture invariant: one write transaction is one closure, and that
//! closure can be run again. PostgreSQL asks for it after a serialisation
//! failure; nothing in it may reach outside the database.

mod conn;
pub mod copies;
mod migrate;
mod postgres;
pub mod records;
mod sqlite;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod value;
pub mod words;

use std::path::PathBuf;
use std::sync::Arc;

use base::{Error, Result};

pub use conn::{Conn, Row};
pub use records::{Class, Record};
pub use value::{AsValue, FromValue, Value};

/// A boxed write: run once or, after a serialisation failure, again.
type Job = Box<dyn FnMut(&mut Conn<'_>) -> Result<()> + Send>;
/// What is called when a job's fate is durable.
type Done = Box<dyn FnOnce(Result<()>) + Send>;

/// An open database.
#[derive(Clone)]
pub struct Db(Arc<Backend>);

enum Backend {
    Sqlite(sqlite::Sqlite),
    Postgres(postgres::Postgres),
}

/// Where the data lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A directory with `yunwei.db` in it.
    Directory(PathBuf),
    /// A PostgreSQL server, `postgres://user:password@host/database`.
    Postgres(String),
}

/// Which of the two engines is behind a [`Conn`], for the few statements that differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// SQLite 3.
    Sqlite,
    /// PostgreSQL 14 or newer.
    Postgres,
}

impl Db {
    /// Opens the database, brings its schema up to date and claims it for writing.
    ///
    /// # Errors
    /// `Conflict` where another server holds the directory or the schema is
    /// newer than this program; `Unavailable` where the database is away.
    pub fn open(location: &Location) -> Result<Db> {
        let backend = match location {
            Location::Directory(path) => Backend::Sqlite(sqlite::Sqlite::open(path)?),
            Location::Postgres(url) => Backend::Postgres(postgres::Postgres::open(url)?),
        };
        Ok(Db(Arc::new(backend)))
    }

    /// Opens an existing database for looking only, beside a running server.
    /// Nothing is changed, the schema neither.
    ///
    /// # Errors
    /// `NotFound` where there is none, `Conflict` where its schema is not this
    /// program's; `Unavailable` where the database is away.
    pub fn open_read_only(location: &Location) -> Result<Db> {
        let backend = match location {
            Location::Directory(path) => Backend::Sqlite(sqlite::Sqlite::open_read_only(path)?),
            Location::Postgres(url) => Backend::Postgres(postgres::Postgres::open_read_only(url)?),
        };
        Ok(Db(Arc::new(backend)))
    }

    /// Which engine this is.
    pub fn engine(&self) -> Engine {
        match &*self.0 {
            Backend::Sqlite(_) => Engine::Sqlite,
            Backend::Postgres(_) => Engine::Postgres,
        }
    }

    /// Runs `work` in a write transaction and waits until its result is durable.
    /// Not for async tasks: see [`Db::write_async`].
    ///
    /// # Errors
    /// Those of `work`, in which case nothing was written; `Unavailable` where
    /// the commit failed (a full disk, a lost connection) or the queue is full.
    pub fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Conn<'_>) -> Result<T> + Send + 'static,
    {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        self.submit(work, move |result| drop(sender.send(result)));
        receiver.recv().unwrap_or_else(|_| Err(closed()))
    }

    /// [`Db::write`] for async tasks.
    ///
    /// # Errors
    /// As [`Db::write`].
    pub async fn write_async<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Conn<'_>) -> Result<T> + Send + 'static,
    {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        self.submit(work, move |result| drop(sender.send(result)));
        receiver.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Hands `work` to a writer; `done` hears of it once its fate is durable.
    pub fn submit<T, F, D>(&self, mut work: F, done: D)
    where
        T: Send + 'static,
        F: FnMut(&mut Conn<'_>) -> Result<T> + Send + 'static,
        D: FnOnce(Result<T>) + Send + 'static,
    {
        let slot = Arc::new(std::sync::Mutex::new(None));
        let filled = slot.clone();
        let job: Job = Box::new(move |conn| {
            let value = work(conn)?;
            *filled.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(value);
            Ok(())
        });
        let done: Done = Box::new(move |result| {
            let value = slot.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
            done(result.and_then(|()| value.ok_or_else(closed)));
        });
        match &*self.0 {
            Backend::Sqlite(sqlite) => sqlite.submit(job, done),
            Backend::Postgres(postgres) => postgres.submit(job, done),
        }
    }

    /// Runs `work` on a consistent snapshot. On SQLite it runs right here and
    /// takes microseconds; on PostgreSQL it waits for a connection.
    /// Not for async tasks on PostgreSQL: see [`Db::read_async`].
    ///
    /// # Errors
    /// Those of `work`; `Unavailable` where the database is away.
    pub fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Conn<'_>) -> Result<T> + Send + 'static,
    {
        match &*self.0 {
            Backend::Sqlite(sqlite) => sqlite.read(work),
            Backend::Postgres(postgres) => {
                let (sender, receiver) = std::sync::mpsc::sync_channel(1);
                postgres.read(work, move |result| drop(sender.send(result)));
                receiver.recv().unwrap_or_else(|_| Err(closed()))
            }
        }
    }

    /// [`Db::read`] for async tasks: short look-ups by key. What may take
    /// longer (lists, searches) belongs on a blocking thread.
    ///
    /// # Errors
    /// As [`Db::read`].
    pub async fn read_async<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Conn<'_>) -> Result<T> + Send + 'static,
    {
        match &*self.0 {
            Backend::Sqlite(sqlite) => sqlite.read(work),
            Backend::Postgres(postgres) => {
                let (sender, receiver) = tokio::sync::oneshot::channel();
                postgres.read(work, move |result| drop(sender.send(result)));
                receiver.await.unwrap_or_else(|_| Err(closed()))
            }
        }
    }
}

fn closed() -> Error {
    Error::unavailable("db.closed", "the database is shutting down")
}
