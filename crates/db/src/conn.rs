//! A connection inside a transaction, the same face for both engines.

use base::{Error, Result};

use crate::value::{self, FromValue, Value};
use crate::{Engine, postgres, sqlite};

/// A transaction's connection.
pub struct Conn<'a>(pub(crate) Inner<'a>);

pub(crate) enum Inner<'a> {
    Sqlite(&'a rusqlite::Connection),
    Postgres(postgres::Session<'a>),
}

/// One row of an answer.
pub struct Row(pub(crate) Vec<Value<'static>>);

impl Row {
    /// The cell in `column`, counted from 0.
    ///
    /// # Errors
    /// `Bug` where the cell is not of that type.
    pub fn get<T: FromValue>(&self, column: usize) -> Result<T> {
        value::read(self.0.get(column).cloned().ok_or_else(|| value::mismatch(column))?, column)
    }
}

impl Conn<'_> {
    /// The same connection for a shorter while, to be kept inside another value.
    pub fn reborrow(&mut self) -> Conn<'_> {
        Conn(match &mut self.0 {
            Inner::Sqlite(conn) => Inner::Sqlite(conn),
            Inner::Postgres(session) => Inner::Postgres(session.reborrow()),
        })
    }

    /// Which engine is behind it.
    pub fn engine(&self) -> Engine {
        match self.0 {
            Inner::Sqlite(_) => Engine::Sqlite,
            Inner::Postgres(_) => Engine::Postgres,
        }
    }

    /// Runs a statement; gives the number of rows it changed.
    ///
    /// # Errors
    /// `Conflict` (`db.duplicate`, `db.check`) and `Dangling` (`db.reference`)
    /// where a constraint forbids it, `Contended`, `Unavailable`, or `Bug`.
    pub fn execute(&mut self, sql: &str, args: &[Value<'_>]) -> Result<u64> {
        match &mut self.0 {
            Inner::Sqlite(conn) => sqlite::execute(conn, sql, args),
            Inner::Postgres(session) => session.execute(sql, args),
        }
    }

    /// Runs a query and reads every row with `read`.
    ///
    /// # Errors
    /// As [`Conn::execute`], and those of `read`.
    pub fn query<T>(
        &mut self,
        sql: &str,
        args: &[Value<'_>],
        mut read: impl FnMut(&Row) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut out = Vec::new();
        self.each(sql, args, |row| {
            out.push(read(row)?);
            Ok(())
        })?;
        Ok(out)
    }

    /// Runs a query and shows each row to `see`.
    ///
    /// # Errors
    /// As [`Conn::execute`], and those of `see`.
    pub fn each(&mut self, sql: &str, args: &[Value<'_>], see: impl FnMut(&Row) -> Result<()>) -> Result<()> {
        match &mut self.0 {
            Inner::Sqlite(conn) => sqlite::each(conn, sql, args, see),
            Inner::Postgres(session) => session.each(sql, args, see),
        }
    }

    /// The first row, if there is one.
    ///
    /// # Errors
    /// As [`Conn::query`].
    pub fn query_opt<T>(
        &mut self,
        sql: &str,
        args: &[Value<'_>],
        read: impl FnMut(&Row) -> Result<T>,
    ) -> Result<Option<T>> {
        Ok(self.query(sql, args, read)?.into_iter().next())
    }

    /// The one row that must be there.
    ///
    /// # Errors
    /// As [`Conn::query`]; `Bug` where there is none.
    pub fn query_one<T>(&mut self, sql: &str, args: &[Value<'_>], read: impl FnMut(&Row) -> Result<T>) -> Result<T> {
        self.query_opt(sql, args, read)?.ok_or_else(|| Error::bug("db.no_row", "a row that must exist is missing"))
    }
}
