//! Verification: reads the whole log, reckons everything again, names the first
//! entry that is not what it was.

use std::collections::BTreeMap;
use std::path::Path;

use base::{Error, Result, limits};
use db::{Conn, Db, Location, args};
use serde::Serialize;

use super::kept::Kept;
use super::key::{Checkpoint, VerifyingKey, notes_in};
use super::leaf::{commitment, hexed};
use super::store::{self, Stored};
use super::tree::{Frontier, Hash, leaf_hash};

/// With what to verify.
#[derive(Debug, Default)]
pub struct Verify<'v> {
    /// Where `audit.pub` and the file of checkpoints are; the data directory by default.
    pub directory: Option<&'v Path>,
    /// A key kept elsewhere, which an intruder on this machine cannot have changed.
    pub key: Option<&'v str>,
    /// Checkpoints and entries that were kept elsewhere.
    pub kept: Option<&'v Kept>,
}

/// What verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Entries in the tree.
    pub entries: u64,
    /// Entries, from the first, that are what they were.
    pub verified: u64,
    /// Entries that wait for their place in the tree; nobody has vouched for them yet.
    pub pending: u64,
    /// Entries whose personal data was erased.
    pub erased: u64,
    /// The largest checkpoint that holds.
    pub checkpoint: Option<Signed>,
    /// The first entry that is not what it was.
    pub first_bad: Option<Bad>,
}

impl Report {
    /// Whether nothing was found.
    pub fn is_good(&self) -> bool {
        self.first_bad.is_none()
    }
}

/// A checkpoint that holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Signed {
    /// Entries that it covers.
    pub size: u64,
    /// Root of the tree, in hexadecimal.
    pub root: String,
}

/// The first entry that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bad {
    /// Its place in the tree.
    pub index: u64,
    /// Its number in the table, where there is one.
    pub entry: Option<i64>,
    /// What is wrong.
    pub reason: String,
}

/// Verifies the log in a database that was opened for looking.
///
/// # Errors
/// `NotFound` where there is no key to verify with; those of the database.
/// Damage is not an error: it is in the report.
pub fn verify(db: &Db, with: &Verify<'_>) -> Result<Report> {
    let key = match (with.key, with.directory) {
        (Some(text), _) => VerifyingKey::read(text)?,
        (None, Some(directory)) => VerifyingKey::in_directory(directory)?,
        (None, None) => return Err(Error::not_found("audit.key_absent", "say with which key to verify")),
    };
    let mut kept = with.kept.cloned().unwrap_or_default();
    let mut notes: Vec<(String, &'static str)> = kept.notes.drain(..).map(|note| (note, "kept elsewhere")).collect();
    if let Some(directory) = with.directory {
        notes.extend(notes_in(directory)?.into_iter().map(|note| (note, "in the file")));
    }
    db.read(move |conn| {
        notes.extend(store::checkpoints(conn)?.into_iter().map(|note| (note, "in the database")));
        let mut audit = Audit::new(&key, notes, kept);
        audit.walk(conn)?;
        audit.finish(conn)
    })
}

/// Verifies the log at a location, beside a running server.
///
/// # Errors
/// As [`verify`]; `NotFound` where there is no database.
pub fn verify_at(location: &Location, with: &Verify<'_>) -> Result<Report> {
    verify(&Db::open_read_only(location)?, with)
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} entries are what they were", self.verified, self.entries)?;
        if self.pending > 0 {
            write!(f, "; {} more wait for their place in the tree", self.pending)?;
        }
        if self.erased > 0 {
            write!(f, "; the personal data of {} was erased", self.erased)?;
        }
        match &self.checkpoint {
            Some(signed) => write!(f, "\nsigned: {} entries, root {}", signed.size, signed.root)?,
            None => f.write_str("\nnothing of it is signed yet")?,
        }
        match &self.first_bad {
            Some(Bad { index, entry: Some(entry), reason }) => {
                write!(f, "\nBAD from place {index} (entry {entry}): {reason}")
            }
            Some(Bad { index, entry: None, reason }) => write!(f, "\nBAD from place {index}: {reason}"),
            None => Ok(()),
        }
    }
}

struct Audit {
    tree: Frontier,
    /// Heads of the full subtrees whose heads are stored.
    full: BTreeMap<(i64, i64), Hash>,
    checkpoints: BTreeMap<u64, Vec<(Checkpoint, &'static str)>>,
    unsigned: Option<&'static str>,
    kept: Kept,
    holds: Option<Signed>,
    erased: u64,
    bad: Option<Bad>,
}

impl Audit {
    fn new(key: &VerifyingKey, notes: Vec<(String, &'static str)>, kept: Kept) -> Self {
        let mut checkpoints: BTreeMap<u64, Vec<(Checkpoint, &'static str)>> = BTreeMap::new();
        let mut unsigned = None;
        for (note, place) in notes {
            match key.open(&note) {
                Ok(checkpoint) => checkpoints.entry(checkpoint.size).or_default().push((checkpoint, place)),
                Err(_) => unsigned = unsigned.or(Some(place)),
            }
        }
        Audit {
            tree: Frontier::default(),
            full: BTreeMap::new(),
            checkpoints,
            unsigned,
            kept,
            holds: None,
            erased: 0,
            bad: None,
        }
    }

    fn found(&mut self, index: u64, entry: Option<i64>, reason: impl Into<String>) {
        if self.bad.as_ref().is_none_or(|bad| index < bad.index) {
            self.bad = Some(Bad { index, entry, reason: reason.into() });
        }
    }

    fn walk(&mut self, conn: &mut Conn<'_>) -> Result<()> {
        let sql = format!(
            "SELECT {} FROM {} WHERE e.leaf_index > $1 ORDER BY e.leaf_index LIMIT $2",
            store::COLUMNS,
            store::FROM
        );
        let mut last = -1i64;
        while self.bad.is_none() {
            // A cell of the wrong type is damage to report, not a reason to give up.
            let page = conn.query(&sql, args![last, limits::AUDIT_READ_MAX], |row| {
                Ok((row.get::<i64>(18)?, store::read(row).ok()))
            })?;
            let Some((end, _)) = page.last() else { return Ok(()) };
            last = *end;
            for (index, stored) in page {
                self.entry(index, stored);
                if self.bad.is_some() {
                    break;
                }
            }
        }
        Ok(())
    }

    fn entry(&mut self, index: i64, stored: Option<Stored>) {
        let expected = self.tree.size();
        if u64::try_from(index) != Ok(expected) {
            return self.found(expected, None, "the entry is missing");
        }
        let Some(stored) = stored else { return self.found(expected, None, "the entry does not read") };
        let seq = Some(stored.seq);
        let hash = stored.leaf.text().map(|text| leaf_hash(text.as_bytes())).unwrap_or_default();
        if stored.hash.as_deref() != Some(&hash[..]) {
            return self.found(expected, seq, "the entry was changed");
        }
        if self.kept.entries.get(&expected).is_some_and(|kept| *kept != hash) {
            return self.found(expected, seq, "the entry is not the one that was kept elsewhere");
        }
        match (&stored.private, stored.leaf.private.as_str()) {
            (Some((salt, body)), committed) if hexed(Some(&commitment(salt, body))) != committed => {
                return self.found(expected, seq, "the entry's personal data was changed");
            }
            (None, committed) if !committed.is_empty() => self.erased += 1,
            _ => {}
        }
        let full = &mut self.full;
        self.tree.push(hash, |level, place, head| {
            if store::is_kept(level) {
                full.insert((i64::from(level), place as i64), *head);
            }
        });
        let root = self.tree.root();
        if stored.root.as_deref() != Some(&root[..]) {
            return self.found(
                expected,
                seq,
                "an entry was removed, replaced or moved here: the tree's head does not fit",
            );
        }
        self.checkpoint(&root, seq);
    }

    fn checkpoint(&mut self, root: &Hash, seq: Option<i64>) {
        let size = self.tree.size();
        let Some(signed) = self.checkpoints.remove(&size) else { return };
        match signed.iter().find(|(checkpoint, _)| checkpoint.root != *root) {
            Some((_, place)) => {
                let since = self.holds.as_ref().map_or(0, |holds| holds.size);
                let reason = format!(
                    "the whole tree was rewritten: the checkpoint over {size} entries ({place}) signs another head; the last that holds covers {since}"
                );
                self.found(since, seq.filter(|_| since + 1 == size), reason);
            }
            None => self.holds = Some(Signed { size, root: hexed(Some(root)) }),
        }
    }

    fn finish(mut self, conn: &mut Conn<'_>) -> Result<Report> {
        let reached = self.tree.size();
        if self.bad.is_none() {
            let stored = store::tree(conn)?.map_or(0, |(size, _)| u64::try_from(size).unwrap_or(u64::MAX));
            let cut = self
                .checkpoints
                .iter()
                .find(|(size, _)| **size > reached)
                .map(|(size, signed)| (*size, signed.first().map_or("", |(_, place)| *place)));
            if let Some(index) = self.kept.twice {
                self.found(index, None, "two different entries of this place were kept elsewhere");
            }
            if let Some((size, place)) = cut {
                self.found(
                    reached,
                    None,
                    format!("the entry is missing: the tail was cut; a checkpoint ({place}) covers {size} entries"),
                );
            } else if self.kept.entries.last_key_value().is_some_and(|(index, _)| *index >= reached) {
                self.found(
                    reached,
                    None,
                    "the entry is missing: the tail was cut; entries from here on were kept elsewhere",
                );
            } else if stored != reached {
                self.found(
                    reached.min(stored),
                    None,
                    format!("the sequencer placed {stored} entries, and there are {reached}"),
                );
            }
            self.check_nodes(conn)?;
            if let Some(place) = self.unsigned {
                let index = reached.saturating_sub(1);
                self.found(index, None, format!("a checkpoint {place} is not signed by the log's key"));
            }
        }
        let entries =
            conn.query_one("SELECT COUNT(*) FROM audit_entries WHERE leaf_index IS NOT NULL", &[], |row| {
                row.get::<u64>(0)
            })?;
        let pending = u64::try_from(store::count_pending(conn)?).unwrap_or(0);
        let verified = self.bad.as_ref().map_or(reached, |bad| bad.index.min(reached));
        Ok(Report { entries, verified, pending, erased: self.erased, checkpoint: self.holds, first_bad: self.bad })
    }

    /// The stored heads of subtrees, from which proofs are made.
    fn check_nodes(&mut self, conn: &mut Conn<'_>) -> Result<()> {
        let mut full = std::mem::take(&mut self.full);
        for (level, place, hash) in store::nodes(conn)? {
            let known = full.remove(&(level, place));
            if known.as_ref().map(|known| &known[..]) != Some(&hash[..]) {
                let first = u32::try_from(level)
                    .ok()
                    .and_then(|level| u64::try_from(place).ok()?.checked_shl(level))
                    .unwrap_or(0);
                self.found(
                    first,
                    None,
                    format!("the stored head of a subtree (level {level}, place {place}) was changed"),
                );
            }
        }
        if let Some((level, place)) = full.keys().next().copied() {
            let first = u64::try_from(place).unwrap_or(0) << u32::try_from(level).unwrap_or(0).min(63);
            self.found(first, None, format!("the stored head of a subtree (level {level}, place {place}) is missing"));
        }
        Ok(())
    }
}
