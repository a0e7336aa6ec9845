//! What a snapshot says of itself, and which one it goes on from.

use std::ffi::OsStr;
use std::path::{Component, Path};

use rustic_core::jiff::Zoned;
use rustic_core::repofile::{Metadata, Node, NodeType, SnapshotFile, SnapshotSummary};
use rustic_core::{IndexedFullStatus, TreeId};

use super::pack::{Packer, Press};
use super::{Done, Opened};
use crate::place;

/// The last snapshot of the same host, label and paths. Where they cannot be read there is none,
/// and all of the source is: that costs time and nothing else.
pub(super) fn last(open: &Opened<IndexedFullStatus>, form: &SnapshotFile) -> Option<SnapshotFile> {
    let all = open.engine.get_all_snapshots().ok()?;
    let alike = |s: &SnapshotFile| s.hostname == form.hostname && s.label == form.label && s.paths == form.paths;
    all.into_iter().filter(alike).max_by_key(|snapshot| snapshot.time.timestamp())
}

/// A directory above what is backed up, of which nothing is known: everybody may pass through it.
pub(super) fn invented(name: &OsStr) -> Node {
    Node::new_node(name, NodeType::Dir, Metadata { mode: Some(0o755), ..Metadata::default() })
}

/// Stores the directories that lead to some entries: the root of them.
pub(super) fn above(
    packer: &Packer<'_, IndexedFullStatus>,
    press: &mut Press,
    folder: &Path,
    nodes: Vec<Node>,
) -> Done<TreeId> {
    let (mut tree, _) = packer.tree(press, nodes)?;
    for part in folder.components().rev() {
        if let Component::Normal(name) = part {
            let node = Node { subtree: Some(tree), ..invented(name) };
            (tree, _) = packer.tree(press, vec![node])?;
        }
    }
    Ok(tree)
}

/// Writes the snapshot of a tree after all that it counts on, unless something forbids it.
pub(super) fn record(
    open: &Opened<IndexedFullStatus>,
    packer: &Packer<'_, IndexedFullStatus>,
    form: SnapshotFile,
    last: Option<&SnapshotFile>,
    (tree, counted): (TreeId, SnapshotSummary),
) -> Done<SnapshotFile> {
    let [data, trees] = packer.finish()?;
    let mut summary = counted;
    summary.data_blobs = data.pieces;
    summary.tree_blobs = trees.pieces;
    summary.data_added_files = data.bytes;
    summary.data_added_files_packed = data.stored;
    summary.data_added_trees = trees.bytes;
    summary.data_added_trees_packed = trees.stored;
    summary.data_added = data.bytes + trees.bytes;
    summary.data_added_packed = data.stored + trees.stored;
    summary.backup_start = form.time.clone();
    summary.backup_end = Zoned::now();
    summary.total_duration = summary.backup_end.duration_since(&summary.backup_start).as_secs_f64();
    summary.backup_duration = summary.total_duration;
    let mut snapshot = SnapshotFile { tree, ..form };
    snapshot.parent = last.map(|last| last.id);
    snapshot.parents = snapshot.parent.into_iter().collect();
    snapshot.summary = Some(summary);
    if let Some(refusal) = open.watch.refusal() {
        return Err(refusal.into());
    }
    let id = packer.file(place::Kind::Snapshots, &snapshot)?;
    snapshot.id = id.parse()?;
    Ok(snapshot)
}
