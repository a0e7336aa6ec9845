//! The declared paths of a record, for filtering and sorting.
//!
//! They stand twice: in `record_keys`, in order of value, where records are
//! found by them; and in the record's own row, where a record that was found
//! otherwise is looked at, and where a change sees which of them it changes.

use std::collections::{BTreeMap, BTreeSet};

use base::{Error, Result};
use serde_json::Value as Json;

use super::{Key, Record, sortable};
use crate::args;
use crate::conn::Conn;
use crate::words;

/// The number under which `record_keys` holds a path of a kind: FNV-1a of both,
/// cut to what is stored in four bytes. The gate sees at its start that no two
/// paths have one number.
pub fn number(kind: &str, path: &str) -> i64 {
    let mut hash: u32 = 0x811c_9dc5;
    for byte in kind.bytes().chain([0]).chain(path.bytes()) {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    i64::from(hash & 0x7fff_ffff)
}

/// Paths with their values. A path that the record lacks has the value `''`.
#[derive(Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub(super) struct Entries(BTreeMap<String, BTreeSet<String>>);

impl Entries {
    pub fn of(record: &Record, keys: &[Key]) -> Entries {
        let values = |key: &Key| {
            let found = record.values(key.path).into_iter().filter_map(|json| sortable(key.of, json));
            let found: BTreeSet<String> = found.collect();
            if found.is_empty() { BTreeSet::from([String::new()]) } else { found }
        };
        Entries(keys.iter().map(|key| (key.path.to_owned(), values(key))).collect())
    }

    pub fn read(text: &str) -> Result<Entries> {
        serde_json::from_str(text)
            .map_err(|e| Error::bug("record.damaged", "the keys of a record do not read").because(e))
    }

    pub fn text(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|e| Error::bug("record.keys", "the keys of a record cannot be written").because(e))
    }

    /// Those that `other` has not.
    fn beyond<'e>(&'e self, other: &'e Entries) -> Vec<(&'e str, &'e str)> {
        let each = self.0.iter().flat_map(|(path, values)| values.iter().map(move |value| (path, value)));
        let known = |path: &String, value: &String| other.0.get(path).is_some_and(|values| values.contains(value));
        each.filter(|(path, value)| !known(path, value)).map(|(path, value)| (path.as_str(), value.as_str())).collect()
    }

    fn same(&self, other: &Entries, path: &str) -> bool {
        self.0.get(path) == other.0.get(path)
    }
}

/// Makes what `record_keys` holds of a record `now` where it was `before`.
pub(super) fn write(conn: &mut Conn<'_>, record: &Record, before: &Entries, now: &Entries) -> Result<()> {
    for (path, value) in before.beyond(now) {
        let gone = "DELETE FROM record_keys WHERE path = $1 AND value = $2 AND id = $3";
        conn.execute(gone, args![number(&record.kind, path), value, record.id])?;
    }
    for (path, value) in now.beyond(before) {
        let new = "INSERT INTO record_keys (path, value, id, tenant) VALUES ($1, $2, $3, $4)";
        conn.execute(new, args![number(&record.kind, path), value, record.id, record.tenant])?;
    }
    Ok(())
}

/// The words that people find the record by, which follow from its keys.
pub(super) fn keep_words(
    conn: &mut Conn<'_>,
    record: &Record,
    keys: &[Key],
    before: Option<&Entries>,
    now: &Entries,
) -> Result<()> {
    let texts = |key: &Key| -> Vec<&str> { record.values(key.path).into_iter().filter_map(Json::as_str).collect() };
    let worded = || keys.iter().filter(|key| key.words);
    // A key is cut where it is long, and words are not.
    let is_short = |key: &Key| texts(key).iter().all(|text| text.len() < base::limits::TEXT_INDEXED_MAX);
    if before.is_some_and(|before| worded().all(|key| before.same(now, key.path) && is_short(key)))
        || worded().next().is_none()
    {
        return Ok(());
    }
    let texts: Vec<&str> = worded().flat_map(texts).collect();
    match before {
        Some(_) => words::keep(conn, &record.kind, record.tenant, &record.id, &texts),
        None => words::begin(conn, &record.kind, record.tenant, &record.id, &texts),
    }
}
