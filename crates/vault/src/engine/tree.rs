//! A tree of files, wherever it lies: in a snapshot, or on a disk image in one.

use std::io::Read;

use super::Done;
use crate::request::{Item, ItemKind};

/// A tree of files.
pub(super) trait Tree {
    /// The names in a directory, in order of their bytes.
    fn names(&self, dir: &[Vec<u8>]) -> Done<Vec<Vec<u8>>>;

    /// What lies in a directory under a name.
    fn about(&self, dir: &[Vec<u8>], name: &[u8]) -> Done<About>;

    /// What is in a file, and how many bytes that are: of one that changed while it was backed up,
    /// its description may say otherwise.
    fn file(&self, path: &[Vec<u8>]) -> Done<(Box<dyn Read>, u64)>;
}

/// What something in a directory is.
#[derive(Debug, Clone)]
pub(super) struct About {
    pub(super) kind: ItemKind,
    pub(super) size: u64,
    /// Seconds and nanoseconds since 1970.
    pub(super) modified: Option<(i64, u32)>,
    pub(super) mode: Option<u32>,
    /// Where a symbolic link leads.
    pub(super) target: Option<Vec<u8>>,
}

impl About {
    /// Something whose description does not read.
    pub(super) fn unknown() -> Self {
        About { kind: ItemKind::Other, size: 0, modified: None, mode: None, target: None }
    }

    pub(super) fn item(self, name: &[u8]) -> Item {
        let at = |(seconds, nanoseconds): (i64, u32)| {
            rustic_core::jiff::Timestamp::new(seconds, i32::try_from(nanoseconds).ok()?).ok()
        };
        let target =
            |bytes: Vec<u8>| bytes.split(|byte| *byte == b'/').map(base::names::text).collect::<Vec<_>>().join("/");
        Item {
            name: base::names::text(name),
            kind: self.kind,
            size: self.size,
            modified: self.modified.and_then(at).map(|at| at.to_string()),
            mode: self.mode,
            target: self.target.map(target),
            filesystem: None,
            label: None,
            opens: matches!(self.kind, ItemKind::Dir | ItemKind::Disk),
        }
    }
}
