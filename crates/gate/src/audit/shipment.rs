//! A piece of the log on its way to a place off the host: entries that the place has not, and the newest
//! signed head. Personal data stays here: what is erased here must not live on elsewhere.

use base::{Error, Result};
use db::{Conn, args};
use serde_json::json;

use super::key::VerifyingKey;
use super::store;

/// A piece of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shipment {
    /// The place of its first entry.
    pub from: u64,
    /// The place after its last; what has been shipped once it has arrived.
    pub to: u64,
    /// Entries that the signed head covers.
    pub size: u64,
    /// The signed head.
    pub note: String,
    /// The entries as they are in the tree; none where the place takes heads alone.
    pub leaves: Vec<String>,
}

impl Shipment {
    /// What goes next to a place that has everything before `from`: at most so many entries, `None` for
    /// heads alone. Nothing where the place has all that is signed.
    ///
    /// # Errors
    /// `Conflict` (`audit.cut`) where the place has more than there is, (`audit.damaged`) where entries are
    /// missing; those of the database.
    pub fn next(conn: &mut Conn<'_>, from: u64, entries: Option<usize>) -> Result<Option<Shipment>> {
        let Some((size, note)) = store::newest_signed(conn)? else {
            return if from == 0 { Ok(None) } else { Err(cut(from, 0)) };
        };
        if size < from {
            return Err(cut(from, size));
        }
        if size == from {
            return Ok(None);
        }
        let Some(most) = entries else { return Ok(Some(Shipment { from, to: size, size, note, leaves: Vec::new() })) };
        let to = size.min(from.saturating_add(most as u64));
        let leaves = leaves(conn, from, to)?;
        if leaves.len() as u64 != to - from {
            let message = format!("entries are missing between {from} and {to}; run `yunwei audit verify`");
            return Err(Error::conflict("audit.damaged", message));
        }
        Ok(Some(Shipment { from, to, size, note, leaves }))
    }

    /// Its name, which sorts as the log grows. The same piece has the same name each time.
    pub fn name(&self) -> String {
        format!("audit-{:012}-{:012}-{:012}", self.from, self.to, self.size)
    }

    /// It as lines of JSON, in the form of an export: the log, the entries, the signed head.
    pub fn lines(&self, key: &VerifyingKey) -> String {
        let (from, to) = (self.from, self.to);
        let mut out = format!("{}\n", json!({ "log": { "key": key.text(), "from": from, "to": to } }));
        for (index, leaf) in (from..).zip(&self.leaves) {
            out.push_str(&format!("{}\n", json!({ "index": index, "leaf": leaf })));
        }
        out.push_str(&format!("{}\n", json!({ "checkpoint": self.note })));
        out
    }
}

fn cut(from: u64, size: u64) -> Error {
    let message = format!(
        "{from} entries were shipped there and the log has {size} that are signed: it was cut, or an older copy of it was brought back; run `yunwei audit verify --against` that place, and ship to a new one"
    );
    Error::conflict("audit.cut", message)
}

fn leaves(conn: &mut Conn<'_>, from: u64, to: u64) -> Result<Vec<String>> {
    let sql = format!(
        "SELECT {} FROM {} WHERE e.leaf_index >= $1 AND e.leaf_index < $2 ORDER BY e.leaf_index",
        store::COLUMNS,
        store::FROM
    );
    conn.query(&sql, args![from, to], store::read)?.into_iter().map(|stored| stored.leaf.text()).collect()
}
