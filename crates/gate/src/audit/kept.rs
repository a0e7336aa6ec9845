//! What was kept elsewhere: signed heads and entries, in every form that places were sent them in.
//!
//! A file may hold signed notes one after another (`audit.checkpoints`), lines of JSON (an export, what
//! was shipped to a directory, bodies of webhooks), or the log of a syslog server, in which such a line of
//! JSON is the end of a line. What is neither is another program's, and passed over.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use base::{Error, Result, limits};
use serde::Deserialize;

use super::tree::{Hash, leaf_hash};

/// Most lines that the text of a note may have.
const NOTE_LINES_MAX: usize = 16;

/// Signed heads and hashes of entries, from outside the database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// Signed notes. Nobody has looked at their signatures yet.
    pub notes: Vec<String>,
    /// The hash of each entry's leaf, by its place in the log.
    pub entries: BTreeMap<u64, Hash>,
    /// The first place for which two different entries were kept.
    pub twice: Option<u64>,
}

/// A line of JSON, as far as it concerns us.
#[derive(Deserialize)]
struct Line {
    checkpoint: Option<String>,
    index: Option<u64>,
    leaf: Option<String>,
    #[serde(default)]
    entries: Vec<Line>,
}

impl Kept {
    /// Reads a file.
    ///
    /// # Errors
    /// As reading has them; a line that is longer than [`limits::PROOF_BYTES_MAX`] is one.
    pub fn of(text: impl Read) -> io::Result<Kept> {
        let mut kept = Kept::default();
        kept.add(BufReader::new(text))?;
        Ok(kept)
    }

    /// Reads a file, or every file in a directory.
    ///
    /// # Errors
    /// `Invalid` (`file.unreadable`).
    pub fn at(path: &Path) -> Result<Kept> {
        let unreadable =
            |e: io::Error| Error::invalid("file.unreadable", format!("cannot read {}: {e}", path.display()));
        let mut kept = Kept::default();
        let mut files = match path.is_dir() {
            true => std::fs::read_dir(path).and_then(|all| all.map(|one| Ok(one?.path())).collect()),
            false => Ok(vec![path.to_owned()]),
        }
        .map_err(unreadable)?;
        files.sort();
        for file in files.iter().filter(|file| !file.is_dir()) {
            let opened = std::fs::File::open(file).map_err(unreadable)?;
            kept.add(BufReader::new(opened)).map_err(unreadable)?;
        }
        Ok(kept)
    }

    /// Adds what another place kept.
    pub fn join(&mut self, other: Kept) {
        self.notes.extend(other.notes);
        other.entries.into_iter().for_each(|(index, hash)| self.entry(index, hash));
        self.twice = [self.twice, other.twice].into_iter().flatten().min();
    }

    fn entry(&mut self, index: u64, hash: Hash) {
        match self.entries.entry(index) {
            Entry::Vacant(new) => drop(new.insert(hash)),
            // What came first was kept first.
            Entry::Occupied(known) if *known.get() != hash => {
                self.twice = Some(self.twice.map_or(index, |first| first.min(index)));
            }
            Entry::Occupied(_) => {}
        }
    }

    fn add(&mut self, mut text: impl BufRead) -> io::Result<()> {
        let (mut note, mut line) = (Note::default(), Vec::new());
        loop {
            line.clear();
            let read = text.by_ref().take(limits::PROOF_BYTES_MAX as u64).read_until(b'\n', &mut line)?;
            if read == limits::PROOF_BYTES_MAX {
                return Err(io::Error::other("a line is too long"));
            }
            let said = String::from_utf8_lossy(&line);
            let said = said.trim_end_matches(['\n', '\r']);
            let json = said.find("{\"").and_then(|at| serde_json::from_str(said.get(at..)?).ok());
            match json {
                Some(json) => self.json(json),
                None => self.notes.extend(note.line(said)),
            }
            if read == 0 {
                // A crash may have cut the last one short of its end.
                self.notes.extend(note.line(""));
                return Ok(());
            }
        }
    }

    fn json(&mut self, line: Line) {
        self.notes.extend(line.checkpoint);
        if let (Some(index), Some(leaf)) = (line.index, line.leaf) {
            self.entry(index, leaf_hash(leaf.as_bytes()));
        }
        line.entries.into_iter().for_each(|entry| self.json(entry));
    }
}

/// A note as it is read, a line at a time.
#[derive(Default)]
struct Note {
    text: Vec<String>,
    gap: bool,
    signatures: Vec<String>,
}

impl Note {
    /// Takes a line; gives the note that ended before it.
    fn line(&mut self, line: &str) -> Option<String> {
        if line.starts_with("\u{2014} ") && self.gap {
            self.signatures.push(line.to_owned());
            return None;
        }
        let done = (!self.signatures.is_empty())
            .then(|| format!("{}\n\n{}\n", self.text.join("\n"), self.signatures.join("\n")));
        if done.is_some() || (self.gap && !line.is_empty()) || self.text.len() > NOTE_LINES_MAX {
            *self = Note::default();
        }
        match line.is_empty() {
            true => self.gap = !self.text.is_empty(),
            false => self.text.push(line.to_owned()),
        }
        done
    }
}
