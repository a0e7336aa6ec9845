//! The log as lines, for keeping elsewhere, for other verifiers, for spreadsheets and for event management.
//!
//! A page at a time, whatever the size of the log: the memory that an export takes does not grow with it.

use std::io::Write;
use std::path::Path;

use base::{Error, Result, hex, limits};
use db::{Conn, Db, Location, Value};
use serde_json::{Map, Value as Json, json};

use super::filter::{Conditions, Filter};
use super::key::{VerifyingKey, notes_in};
use super::lines;
use super::store::{self, Stored};

/// How entries are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// Lines of JSON with leaves, hashes and signed heads: what can be verified.
    #[default]
    JsonLines,
    /// Comma-separated values (RFC 4180), a row for each entry.
    Csv,
    /// ArcSight's Common Event Format, a line for each entry.
    Cef,
}

/// Writes the log. As lines of JSON: one on the log, one per entry in the order of the tree, one on the
/// tree, one per checkpoint; the other formats have the entries alone. All are in
/// `docs/reference/audit-log.md`. A damaged log is written as it is: finding the damage is for who reads it.
/// `kept` are checkpoints from beside the database: witnesses of their own.
///
/// # Errors
/// Those of the database; `Unavailable` where `out` takes no more.
pub fn export<W>(db: &Db, key: &VerifyingKey, kept: Vec<String>, what: (Filter, Format), out: W) -> Result<()>
where
    W: Write + Send + 'static,
{
    let (filter, format) = what;
    let mut log = Map::from_iter([("key".to_owned(), Json::from(key.text()))]);
    filter.describe(&mut log);
    let mut out = Lines(std::io::BufWriter::new(out));
    db.read(move |conn| {
        match format {
            Format::JsonLines => {
                out.put(&json!({ "log": log }).to_string())?;
                entries(conn, &filter, |index, stored| out.put(&json_line(index, stored)?))?;
                heads(conn, &kept, &mut out)?;
            }
            Format::Csv => {
                out.raw(&lines::csv_heading())?;
                entries(conn, &filter, |index, stored| out.raw(&lines::csv(index, stored)))?;
            }
            Format::Cef => entries(conn, &filter, |index, stored| out.put(&lines::cef(index, stored)))?,
        }
        out.0.flush().map_err(cut_short)
    })
}

/// [`export`] of a location, beside a running server, with the key and the file of checkpoints in `keys`.
///
/// # Errors
/// As [`export`]; `NotFound` where there is no database or no key.
pub fn export_at<W>(location: &Location, keys: &Path, what: (Filter, Format), out: W) -> Result<()>
where
    W: Write + Send + 'static,
{
    let key = VerifyingKey::in_directory(keys)?;
    export(&Db::open_read_only(location)?, &key, notes_in(keys)?, what, out)
}

struct Lines<W: Write>(std::io::BufWriter<W>);

impl<W: Write> Lines<W> {
    fn put(&mut self, line: &str) -> Result<()> {
        writeln!(self.0, "{line}").map_err(cut_short)
    }

    /// A row that ends as its format has it.
    fn raw(&mut self, row: &str) -> Result<()> {
        self.0.write_all(row.as_bytes()).map_err(cut_short)
    }
}

fn cut_short(e: std::io::Error) -> Error {
    Error::unavailable("export.cut_short", format!("the export was cut short: {e}")).because(e)
}

fn entries(
    conn: &mut Conn<'_>,
    filter: &Filter,
    mut each: impl FnMut(i64, Option<&Stored>) -> Result<()>,
) -> Result<()> {
    let mut last = -1i64;
    loop {
        let mut where_ = Conditions::placed();
        where_.and("e.leaf_index >", Value::Int(last));
        where_.filter(filter);
        let (columns, from, conditions, most) = (store::COLUMNS, store::FROM, where_.sql, limits::AUDIT_READ_MAX);
        let sql = format!("SELECT {columns} FROM {from} WHERE {conditions} ORDER BY e.leaf_index LIMIT {most}");
        let page = conn.query(&sql, &where_.values, |row| Ok((row.get::<i64>(18)?, store::read(row).ok())))?;
        let Some((end, _)) = page.last() else { return Ok(()) };
        last = *end;
        page.iter().try_for_each(|(index, stored)| each(*index, stored.as_ref()))?;
    }
}

/// What the sequencer placed, and what it signed.
fn heads<W: Write>(conn: &mut Conn<'_>, kept: &[String], out: &mut Lines<W>) -> Result<()> {
    let placed = store::tree(conn)?.map_or(0, |(size, _)| size);
    out.put(&json!({ "tree": { "size": placed } }).to_string())?;
    for note in store::checkpoints(conn)? {
        out.put(&json!({ "checkpoint": note }).to_string())?;
    }
    kept.iter().try_for_each(|note| out.put(&json!({ "checkpoint": note, "from": "file" }).to_string()))
}

fn json_line(index: i64, stored: Option<&Stored>) -> Result<String> {
    let Some(stored) = stored else { return Ok(json!({ "index": index, "leaf": null }).to_string()) };
    let hexed = |bytes: &Option<Vec<u8>>| bytes.as_deref().map(hex::encode);
    let private = stored.private.as_ref().map(|(salt, body)| json!({ "salt": hex::encode(salt), "body": body }));
    let (hash, root) = (hexed(&stored.hash), hexed(&stored.root));
    let line = json!({ "index": index, "leaf": stored.leaf.text()?, "hash": hash, "root": root, "private": private });
    Ok(line.to_string())
}
