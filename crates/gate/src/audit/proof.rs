//! Proofs that stand alone: a file that shows, to whoever has the log's verifying key, that an entry is in
//! the log, or that the log has only grown since a checkpoint that they kept.
//!
//! An inclusion is a C2SP tlog-proof whose `extra` is the leaf; a growth has the form in which C2SP's
//! tlog-witness is asked to sign: `old SIZE`, hashes, the newer checkpoint. Nothing that a proof says counts
//! before its hashes have led to the signed head.

use std::path::Path;

use base::{Error, Result, limits};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use db::{Conn, Db, Location};
use serde::Serialize;
use serde_json::Value as Json;

use super::kept::Kept;
use super::key::{Checkpoint, VerifyingKey};
use super::store;
use super::tree::{Hash, consistency_path, inclusion_path, leaf_hash, root_from_inclusion, verify_consistency};

const TITLE: &str = "c2sp.org/tlog-proof@v1";
/// Most hashes of a proof: one for each bit of a size.
const HASHES_MAX: usize = 64;

/// What a proof has shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "shows", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Proven {
    /// The entry is in the log.
    Entry {
        /// Its place.
        index: u64,
        /// What it says.
        leaf: Json,
        /// Entries that the checkpoint covers.
        size: u64,
    },
    /// The log has only grown.
    Growth {
        /// Entries that the older checkpoint covers.
        from: u64,
        /// Entries that the newer one covers.
        size: u64,
    },
    /// The log's key signed this head.
    Checkpoint {
        /// Entries that it covers.
        size: u64,
    },
}

impl std::fmt::Display for Proven {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Proven::Entry { index, leaf, size } => {
                write!(f, "entry {index} is in the log, in the tree of {size} entries that its key signed\n{leaf:#}")
            }
            Proven::Growth { from, size } => {
                write!(f, "the log of {size} entries begins with the {from} of the checkpoint that was kept")
            }
            Proven::Checkpoint { size } => write!(f, "the log's key signed the head of a tree of {size} entries"),
        }
    }
}

fn wrong(why: impl Into<String>) -> Error {
    Error::conflict("proof.wrong", why)
}

fn malformed() -> Error {
    Error::invalid("proof.malformed", "this is neither a proof nor a checkpoint of an audit log")
}

/// Looks at a proof with nothing but the log's key; a growth is held against `from`, the text in which
/// the older checkpoint was kept.
///
/// # Errors
/// `Invalid` (`proof.malformed`, `proof.from`) where there is nothing to look at, `Conflict`
/// (`proof.wrong`, `audit.checkpoint_bad`) where the proof shows nothing.
pub fn check(text: &str, key: &VerifyingKey, from: Option<&str>) -> Result<Proven> {
    if text.len() > limits::PROOF_BYTES_MAX {
        return Err(malformed());
    }
    if text.starts_with(TITLE) {
        return Inclusion::read(text).ok_or_else(malformed)?.check(key);
    }
    if text.starts_with("old ") {
        let growth = Growth::read(text).ok_or_else(malformed)?;
        let message = "the proof is about a checkpoint that you kept: say in which file it is";
        let from = from.ok_or_else(|| Error::invalid("proof.from", message))?;
        return growth.check(key, from);
    }
    let notes = Kept::of(text.as_bytes()).map_err(|_| malformed())?.notes;
    // Nothing stands before it: what is no proof any more must not pass as the checkpoint in it.
    if !notes.first().is_some_and(|first| text.starts_with(first)) {
        return Err(malformed());
    }
    let heads = notes.iter().map(|note| key.open(note)).collect::<Result<Vec<_>>>()?;
    let size = heads.iter().map(|head| head.size).max().ok_or_else(malformed)?;
    Ok(Proven::Checkpoint { size })
}

/// Proves that an entry is in the log; gives the file.
///
/// # Errors
/// `NotFound` where there is no such entry or nothing signed covers it yet; `Conflict` (`audit.damaged`)
/// where the database has other hashes than were signed; those of the database.
pub fn prove(db: &Db, key: &VerifyingKey, index: u64) -> Result<String> {
    let key = key.clone();
    db.read(move |conn| {
        let (note, head) = newest(conn, &key)?;
        if index >= head.size {
            let message = format!("no checkpoint covers entry {index}: {} are covered, and one more is signed a few seconds after each change", head.size);
            return Err(Error::not_found("audit.unsigned", message));
        }
        let stored = store::at(conn, index)?.ok_or_else(|| {
            Error::conflict("audit.damaged", format!("entry {index} is missing; run `yunwei audit verify`"))
        })?;
        let (leaf, hashes) = (stored.leaf.text()?, hashes(conn, &inclusion_path(index, head.size))?);
        let text = Inclusion { leaf: leaf.into_bytes(), index, hashes, note }.text();
        checked(text, &key, None)
    })
}

/// Proves that the log has only grown since the newest checkpoint in `from`; gives the file.
///
/// # Errors
/// As [`prove`]; `Invalid` (`proof.from`) where its key signed nothing in `from`; `Conflict`
/// (`audit.rewritten`) where the log is not what was signed then.
pub fn prove_growth(db: &Db, key: &VerifyingKey, from: &str) -> Result<String> {
    let (key, from) = (key.clone(), from.to_owned());
    let old = kept_head(&key, &from, None)?;
    db.read(move |conn| {
        let (note, head) = newest(conn, &key)?;
        let rewritten = || {
            let message = format!("the log was cut or rewritten: it does not begin with the {} entries that this checkpoint signs; run `yunwei audit verify --against`", old.size);
            Error::conflict("audit.rewritten", message)
        };
        if old.size > head.size {
            return Err(rewritten());
        }
        let hashes = hashes(conn, &consistency_path(old.size, head.size))?;
        if !verify_consistency(old.size, old.root, head.size, head.root, &hashes) {
            return Err(rewritten());
        }
        checked(Growth { from: old.size, hashes, note }.text(), &key, Some(&from))
    })
}

/// [`prove`] for a location, beside a running server, with the key in `keys`.
///
/// # Errors
/// As [`prove`]; `NotFound` where there is no database or no key.
pub fn prove_at(location: &Location, keys: &Path, index: u64) -> Result<String> {
    prove(&Db::open_read_only(location)?, &VerifyingKey::in_directory(keys)?, index)
}

/// [`prove_growth`] for a location, beside a running server, with the key in `keys`.
///
/// # Errors
/// As [`prove_growth`]; `NotFound` where there is no database or no key.
pub fn prove_growth_at(location: &Location, keys: &Path, from: &str) -> Result<String> {
    prove_growth(&Db::open_read_only(location)?, &VerifyingKey::in_directory(keys)?, from)
}

/// What goes out was looked at as its reader will.
fn checked(text: String, key: &VerifyingKey, from: Option<&str>) -> Result<String> {
    check(&text, key, from).map_err(|e| {
        let message = "the database has other hashes than were signed; run `yunwei audit verify`";
        Error::conflict("audit.damaged", message).because(e)
    })?;
    Ok(text)
}

fn newest(conn: &mut Conn<'_>, key: &VerifyingKey) -> Result<(String, Checkpoint)> {
    let found = store::newest_checkpoint(conn)?;
    let (_, note) = found.ok_or_else(|| Error::not_found("audit.unsigned", "no checkpoint was signed yet"))?;
    let head = key.open(&note)?;
    Ok((note, head))
}

fn hashes(conn: &mut Conn<'_>, path: &[(u64, u64)]) -> Result<Vec<Hash>> {
    path.iter().map(|(start, end)| store::subtree(conn, *start, *end)).collect()
}

/// The checkpoint of that size in what was kept, or the largest.
fn kept_head(key: &VerifyingKey, text: &str, size: Option<u64>) -> Result<Checkpoint> {
    let notes = Kept::of(text.as_bytes()).map(|kept| kept.notes).unwrap_or_default();
    let signed = notes.iter().filter_map(|note| key.open(note).ok()).filter(|c| c.size > 0);
    let found = signed.filter(|c| size.is_none_or(|size| c.size == size)).max_by_key(|c| c.size);
    found.ok_or_else(|| {
        let over = size.map(|size| format!(" over {size} entries")).unwrap_or_default();
        Error::invalid("proof.from", format!("there is no checkpoint{over} in the file that the log's key signed"))
    })
}

/// A number without leading zeroes or a sign.
fn number(text: &str) -> Option<u64> {
    let plain = text == "0" || text.starts_with(|c: char| ('1'..='9').contains(&c));
    plain.then(|| text.parse().ok()).flatten()
}

fn hash_lines<'t>(lines: impl Iterator<Item = &'t str>) -> Option<Vec<Hash>> {
    let all: Vec<Hash> = lines.map(|line| BASE64.decode(line).ok()?.try_into().ok()).collect::<Option<_>>()?;
    (all.len() <= HASHES_MAX).then_some(all)
}

fn written(hashes: &[Hash]) -> String {
    hashes.iter().map(|hash| format!("{}\n", BASE64.encode(hash))).collect()
}

struct Inclusion {
    leaf: Vec<u8>,
    index: u64,
    hashes: Vec<Hash>,
    note: String,
}

impl Inclusion {
    fn text(&self) -> String {
        let (leaf, index, hashes) = (BASE64.encode(&self.leaf), self.index, written(&self.hashes));
        format!("{TITLE}\nextra {leaf}\nindex {index}\n{hashes}\n{}", self.note)
    }

    fn read(text: &str) -> Option<Self> {
        let (head, note) = text.split_once("\n\n")?;
        let mut lines = head.lines();
        (lines.next()? == TITLE).then_some(())?;
        let leaf = BASE64.decode(lines.next()?.strip_prefix("extra ")?).ok()?;
        let index = number(lines.next()?.strip_prefix("index ")?)?;
        Some(Inclusion { leaf, index, hashes: hash_lines(lines)?, note: note.to_owned() })
    }

    fn check(&self, key: &VerifyingKey) -> Result<Proven> {
        let head = key.open(&self.note)?;
        let (index, size) = (self.index, head.size);
        if root_from_inclusion(leaf_hash(&self.leaf), index, size, &self.hashes) != Some(head.root) {
            return Err(wrong(format!("the proof does not lead from this entry at place {index} to the signed head")));
        }
        let leaf = serde_json::from_slice(&self.leaf).map_err(|_| malformed())?;
        Ok(Proven::Entry { index, leaf, size })
    }
}

struct Growth {
    from: u64,
    hashes: Vec<Hash>,
    note: String,
}

impl Growth {
    fn text(&self) -> String {
        format!("old {}\n{}\n{}", self.from, written(&self.hashes), self.note)
    }

    fn read(text: &str) -> Option<Self> {
        let (head, note) = text.split_once("\n\n")?;
        let mut lines = head.lines();
        let from = number(lines.next()?.strip_prefix("old ")?)?;
        Some(Growth { from, hashes: hash_lines(lines)?, note: note.to_owned() })
    }

    fn check(&self, key: &VerifyingKey, from: &str) -> Result<Proven> {
        let (old, head) = (kept_head(key, from, Some(self.from))?, key.open(&self.note)?);
        if !verify_consistency(old.size, old.root, head.size, head.root, &self.hashes) {
            return Err(wrong(format!(
                "the proof does not lead from the checkpoint over {} entries to the newer one",
                old.size
            )));
        }
        Ok(Proven::Growth { from: old.size, size: head.size })
    }
}
