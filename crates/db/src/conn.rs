//! A connection inside a transaction, the same face for both engines.

use std::ops::ControlFlow;

use base::{Error, Result};

use crate::value::{self, AsValue as _, FromValue, Value};
use crate::{Engine, postgres, sqlite};

/// A transaction's connection.
pub struct Conn<'a>(pub(crate) Inner<'a>);

pub(crate) enum Inner<'a> {
    Sqlite(&'a sqlite::Link),
    Postgres(postgres::Session<'a>),
}

/// One row of an answer.
pub struct Row<'r>(pub(crate) Vec<Value<'r>>);

impl Row<'_> {
    /// The cell in `column`, counted from 0.
    ///
    /// # Errors
    /// `Bug` where the cell is not of that type.
    pub fn get<T: FromValue>(&self, column: usize) -> Result<T> {
        value::read(self.0.get(column).ok_or_else(|| value::mismatch(column))?.as_value(), column)
    }

    /// The text in `column`, not copied.
    ///
    /// # Errors
    /// As [`Row::get`].
    pub fn text(&self, column: usize) -> Result<&str> {
        match self.0.get(column) {
            Some(Value::Text(text)) => Ok(text),
            _ => Err(value::mismatch(column)),
        }
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
        mut read: impl FnMut(&Row<'_>) -> Result<T>,
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
    pub fn each(&mut self, sql: &str, args: &[Value<'_>], mut see: impl FnMut(&Row<'_>) -> Result<()>) -> Result<()> {
        self.until(sql, args, |row| see(row).map(ControlFlow::Continue))
    }

    /// Runs a query and shows its rows to `see` until that has seen enough: the others are not fetched.
    ///
    /// # Errors
    /// As [`Conn::execute`], and those of `see`.
    pub fn until(
        &mut self,
        sql: &str,
        args: &[Value<'_>],
        see: impl FnMut(&Row<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        match &mut self.0 {
            Inner::Sqlite(conn) => sqlite::until(conn, sql, args, see),
            Inner::Postgres(session) => session.until(sql, args, see),
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
        read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        Ok(self.query(sql, args, read)?.into_iter().next())
    }

    /// The one row that must be there.
    ///
    /// # Errors
    /// As [`Conn::query`]; `Bug` where there is none.
    pub fn query_one<T>(
        &mut self,
        sql: &str,
        args: &[Value<'_>],
        read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<T> {
        self.query_opt(sql, args, read)?.ok_or_else(|| Error::bug("db.no_row", "a row that must exist is missing"))
    }

    /// Begins a part that is to leave nothing where it fails, while what came
    /// before it stays. To be handed to [`Conn::settle`] when it has ended.
    ///
    /// # Errors
    /// As [`Conn::execute`].
    pub fn mark(&mut self) -> Result<Mark> {
        if let Inner::Sqlite(link) = &self.0
            && let Some(written) = link.bare()
        {
            return Ok(Mark(Some(written)));
        }
        self.execute("SAVEPOINT part", &[]).map(|_| Mark(None))
    }

    /// Keeps what was written since the mark, or takes it back.
    ///
    /// # Errors
    /// As [`Conn::execute`]; `Contended` (`db.again`) where the transaction has to be run again for that.
    pub fn settle(&mut self, mark: Mark, keep: bool) -> Result<()> {
        match (&self.0, mark.0) {
            (Inner::Sqlite(link), Some(written)) if !keep => link.expect_unwritten(written),
            (_, Some(_)) => Ok(()),
            (_, None) => {
                if !keep {
                    self.execute("ROLLBACK TO SAVEPOINT part", &[])?;
                }
                self.execute("RELEASE SAVEPOINT part", &[]).map(drop)
            }
        }
    }
}

/// Where a part of a transaction began: what had been written by then, or a savepoint.
pub struct Mark(Option<u64>);
