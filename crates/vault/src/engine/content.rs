//! Any part of a file of a snapshot, read from its repository: nothing is restored for that.
//!
//! Invariant: a byte is told only from a piece whose hash was seen to be its name.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use base::{Error, Result};
use bytes::Bytes;
use rustic_core::IndexedFullStatus;
use rustic_core::repofile::Node;
use rustic_core::vfs::OpenFile;

use super::pack::Name;
use super::{Done, Opened, ours};
use crate::fault;

/// Bytes of pieces that are kept at hand.
const KEPT: usize = 64 << 20;

/// What can be read anywhere.
pub(super) trait Image {
    /// Its bytes.
    fn length(&self) -> u64;

    /// Fills `into` from there on.
    fn read(&self, at: u64, into: &mut [u8]) -> Result<()>;
}

/// A file of a snapshot.
pub(super) struct Content {
    open: Rc<Opened<IndexedFullStatus>>,
    file: OpenFile,
    /// The name of each piece, and where it ends.
    pieces: Vec<(Name, u64)>,
    recent: RefCell<VecDeque<(Name, Bytes)>>,
}

impl Content {
    pub(super) fn new(open: &Rc<Opened<IndexedFullStatus>>, node: &Node) -> Done<Self> {
        let mut end = 0_u64;
        let mut pieces = Vec::new();
        for id in node.content.iter().flatten() {
            end += u64::from(open.engine.get_index_entry(id)?.data_length());
            pieces.push((Name::read(id)?, end));
        }
        let file = open.engine.open_file(node)?;
        Ok(Content { open: open.clone(), file, pieces, recent: RefCell::default() })
    }

    /// The piece of that number.
    fn piece(&self, number: usize) -> Result<(u64, Bytes)> {
        let damaged = || {
            let message = "a piece is not what was written; check the repository and use another copy";
            fault::error(fault::REPOSITORY_DAMAGED, message)
        };
        let start = number.checked_sub(1).and_then(|before| self.pieces.get(before)).map_or(0, |(_, end)| *end);
        let (name, end) = *self.pieces.get(number).ok_or_else(damaged)?;
        let mut recent = self.recent.borrow_mut();
        if let Some((_, known)) = recent.iter().find(|(known, _)| *known == name) {
            return Ok((start, known.clone()));
        }
        let [from, length] = [start, end - start].map(|number| usize::try_from(number).unwrap_or(usize::MAX));
        let read = self.open.engine.read_file_at(&self.file, from, length);
        let piece = read.map_err(|e| ours(&self.open.watch, e.into()))?;
        if piece.len() != length || Name::of(&piece) != name {
            return Err(damaged());
        }
        while recent.iter().map(|(_, kept)| kept.len()).sum::<usize>() + piece.len() > KEPT {
            if recent.pop_front().is_none() {
                break;
            }
        }
        recent.push_back((name, piece.clone()));
        Ok((start, piece))
    }
}

/// What lies behind the end of an image.
pub(super) fn beyond() -> Error {
    fault::error(fault::FILESYSTEM_DAMAGED, "the disk's own tables lead beyond its end")
}

impl Image for Content {
    fn length(&self) -> u64 {
        self.pieces.last().map_or(0, |(_, end)| *end)
    }

    fn read(&self, mut at: u64, mut into: &mut [u8]) -> Result<()> {
        while !into.is_empty() {
            let number = self.pieces.partition_point(|(_, end)| *end <= at);
            if number == self.pieces.len() {
                return Err(beyond());
            }
            let (start, piece) = self.piece(number)?;
            let from = usize::try_from(at - start).ok().and_then(|from| piece.get(from..)).unwrap_or_default();
            let length = from.len().min(into.len());
            let (now, later) = into.split_at_mut(length);
            now.copy_from_slice(from.get(..length).unwrap_or_default());
            at += length as u64;
            into = later;
        }
        Ok(())
    }
}

/// A whole image, from its beginning to its end.
pub(super) struct Whole {
    pub(super) image: Rc<dyn Image>,
    pub(super) at: u64,
}

impl std::io::Read for Whole {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let left = self.image.length().saturating_sub(self.at);
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(into.len());
        let room = into.get_mut(..length).unwrap_or_default();
        self.image.read(self.at, room).map_err(std::io::Error::other)?;
        self.at += length as u64;
        Ok(length)
    }
}
