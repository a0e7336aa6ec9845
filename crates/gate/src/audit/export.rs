//! The log as lines of JSON, for keeping elsewhere and for other verifiers.

use std::io::Write;
use std::path::Path;

use base::time::{Timestamp, micros};
use base::{Error, Result, hex, limits};
use db::{Conn, Db, Location, args};
use serde_json::{Value as Json, json};

use super::key::{VerifyingKey, notes_in};
use super::store::{self, Stored};

/// A stretch of time; everything by default.
#[derive(Debug, Clone, Copy, Default)]
pub struct Span {
    /// Entries of this instant and later.
    pub since: Option<Timestamp>,
    /// Entries before this instant.
    pub until: Option<Timestamp>,
}

impl Span {
    fn micros(self) -> (i64, i64) {
        (self.since.map_or(i64::MIN, micros), self.until.map_or(i64::MAX, micros))
    }

    /// What a reader must know of a part: that it is one.
    fn describe(self, log: &mut Json) {
        for (name, bound) in [("since", self.since), ("until", self.until)] {
            if let Some(at) = bound {
                log[name] = at.to_string().into();
            }
        }
    }
}

/// Writes the log: one line on the log, one per entry in the order of the tree,
/// one on the tree, one per checkpoint. The format is in
/// `docs/reference/audit-log.md`. A damaged log is written as it is: finding
/// the damage is for who reads it. `kept` are checkpoints from beside the
/// database: witnesses of their own.
///
/// # Errors
/// Those of the database; `Unavailable` where `out` takes no more.
pub fn export<W>(db: &Db, key: &VerifyingKey, kept: Vec<String>, span: Span, out: W) -> Result<()>
where
    W: Write + Send + 'static,
{
    let mut log = json!({ "key": key.text() });
    span.describe(&mut log);
    let mut out = Lines(std::io::BufWriter::new(out));
    db.read(move |conn| {
        out.put(&json!({ "log": log }))?;
        entries(conn, span, &mut out)?;
        let placed = store::tree(conn)?.map_or(0, |(size, _)| size);
        out.put(&json!({ "tree": { "size": placed } }))?;
        store::checkpoints(conn)?.iter().try_for_each(|note| out.put(&json!({ "checkpoint": note })))?;
        kept.iter().try_for_each(|note| out.put(&json!({ "checkpoint": note, "from": "file" })))?;
        out.0.flush().map_err(cut_short)
    })
}

/// [`export`] of a location, beside a running server, with the key and the file of checkpoints in `keys`.
///
/// # Errors
/// As [`export`]; `NotFound` where there is no database or no key.
pub fn export_at<W>(location: &Location, keys: &Path, span: Span, out: W) -> Result<()>
where
    W: Write + Send + 'static,
{
    let key = VerifyingKey::in_directory(keys)?;
    export(&Db::open_read_only(location)?, &key, notes_in(keys)?, span, out)
}

struct Lines<W: Write>(std::io::BufWriter<W>);

impl<W: Write> Lines<W> {
    fn put(&mut self, line: &Json) -> Result<()> {
        writeln!(self.0, "{line}").map_err(cut_short)
    }
}

fn cut_short(e: std::io::Error) -> Error {
    Error::unavailable("export.cut_short", format!("the export was cut short: {e}")).because(e)
}

fn entries<W: Write>(conn: &mut Conn<'_>, span: Span, out: &mut Lines<W>) -> Result<()> {
    let sql = format!(
        "SELECT {} FROM {} WHERE e.leaf_index > $1 AND e.at >= $3 AND e.at < $4 ORDER BY e.leaf_index LIMIT $2",
        store::COLUMNS,
        store::FROM
    );
    let (since, until) = span.micros();
    let mut last = -1i64;
    loop {
        let page = conn.query(&sql, args![last, limits::AUDIT_READ_MAX, since, until], |row| {
            Ok((row.get::<i64>(18)?, store::read(row).ok()))
        })?;
        let Some((end, _)) = page.last() else { return Ok(()) };
        last = *end;
        for (index, stored) in &page {
            out.put(&line(*index, stored.as_ref())?)?;
        }
    }
}

fn line(index: i64, stored: Option<&Stored>) -> Result<Json> {
    let Some(stored) = stored else { return Ok(json!({ "index": index, "leaf": null })) };
    let hexed = |bytes: &Option<Vec<u8>>| bytes.as_deref().map(hex::encode);
    let private = stored.private.as_ref().map(|(salt, body)| json!({ "salt": hex::encode(salt), "body": body }));
    let (hash, root) = (hexed(&stored.hash), hexed(&stored.root));
    Ok(json!({ "index": index, "leaf": stored.leaf.text()?, "hash": hash, "root": root, "private": private }))
}
