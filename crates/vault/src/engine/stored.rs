//! The tree of a snapshot itself.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

use rustic_core::repofile::{Node, NodeType};
use rustic_core::{IndexedFullStatus, TreeId};

use super::content::{Content, Image, Whole};
use super::tree::{About, Tree};
use super::{Done, Opened};
use crate::fault;
use crate::request::ItemKind;

/// Directories that are kept at hand.
const TREES_KEPT: usize = 16;
/// What they may weigh together, in nodes and names of their pieces; the newest one is kept whatever it weighs.
const WEIGHT_KEPT: usize = 200_000;

/// A directory's nodes by name.
type Nodes = Rc<BTreeMap<Vec<u8>, Node>>;

fn weight(nodes: &Nodes) -> usize {
    nodes.values().map(|node| 1 + node.content.as_ref().map_or(0, Vec::len)).sum()
}

/// A snapshot's tree.
pub(super) struct Stored {
    open: Rc<Opened<IndexedFullStatus>>,
    root: TreeId,
    /// Whether all of its files are images of disks.
    disks: bool,
    /// Directories that were read last, and what each weighs; the newest at the end.
    recent: RefCell<VecDeque<(TreeId, Nodes, usize)>>,
    /// The way to the directory that was asked for last, so that nothing above it is read again.
    trail: RefCell<Vec<(Vec<u8>, TreeId)>>,
}

/// What a path leads to.
pub(super) enum Found {
    /// A directory of the snapshot.
    Folder(TreeId),
    /// A file, and what follows in the path after it.
    File(Box<Node>, Vec<Vec<u8>>),
}

fn no_path(name: &[u8]) -> base::Error {
    let message = format!("there is no {} there; look from the top", base::names::text(name));
    fault::error(fault::SNAPSHOT_PATH, message)
}

impl Stored {
    pub(super) fn new(open: &Rc<Opened<IndexedFullStatus>>, root: TreeId, disks: bool) -> Self {
        Stored { open: open.clone(), root, disks, recent: RefCell::default(), trail: RefCell::default() }
    }

    fn nodes(&self, tree: TreeId) -> Done<Nodes> {
        let mut recent = self.recent.borrow_mut();
        let at = recent.iter().position(|(known, ..)| *known == tree);
        if let Some(found) = at.and_then(|at| recent.remove(at)) {
            let nodes = found.1.clone();
            recent.push_back(found);
            return Ok(nodes);
        }
        let nodes = self.open.engine.get_tree(&tree)?.nodes;
        let nodes: Nodes = Rc::new(nodes.into_iter().map(|node| (node.name().as_bytes().to_vec(), node)).collect());
        let weight = weight(&nodes);
        let mut kept = recent.iter().map(|(.., weight)| weight).sum::<usize>() + weight;
        while recent.len() >= TREES_KEPT || kept > WEIGHT_KEPT {
            match recent.pop_front() {
                Some((.., weight)) => kept -= weight,
                None => break,
            }
        }
        recent.push_back((tree, nodes.clone(), weight));
        Ok(nodes)
    }

    /// The directory at a path, or the file that the path goes through.
    pub(super) fn find(&self, path: &[Vec<u8>]) -> Done<Found> {
        let mut trail = self.trail.borrow_mut();
        let known = trail.iter().zip(path).take_while(|((known, _), name)| known == *name).count();
        trail.truncate(known);
        let mut tree = trail.last().map_or(self.root, |(_, tree)| *tree);
        for (name, after) in path.iter().zip(1..).skip(known) {
            let node = self.nodes(tree)?.get(name).cloned().ok_or_else(|| no_path(name))?;
            match (&node.node_type, node.subtree) {
                (NodeType::Dir, Some(below)) => {
                    trail.push((name.clone(), below));
                    tree = below;
                }
                (NodeType::File, _) => {
                    return Ok(Found::File(Box::new(node), path.get(after..).unwrap_or_default().to_vec()));
                }
                _ => {
                    let message = format!("{} is neither a file nor a directory", base::names::text(name));
                    return Err(fault::error(fault::SNAPSHOT_KIND, message).into());
                }
            }
        }
        Ok(Found::Folder(tree))
    }

    fn dir(&self, path: &[Vec<u8>]) -> Done<Nodes> {
        match self.find(path)? {
            Found::Folder(tree) => self.nodes(tree),
            Found::File(..) => Err(fault::error(fault::SNAPSHOT_KIND, "that is a file, not a directory").into()),
        }
    }

    fn kind(&self, name: &[u8], node: &Node) -> ItemKind {
        let image = self.disks || [&b".raw"[..], b".img"].iter().any(|end| name.ends_with(end));
        match node.node_type {
            NodeType::File if image => ItemKind::Disk,
            NodeType::File => ItemKind::File,
            NodeType::Dir => ItemKind::Dir,
            NodeType::Symlink { .. } => ItemKind::Symlink,
            _ => ItemKind::Other,
        }
    }
}

impl Tree for Stored {
    fn names(&self, dir: &[Vec<u8>]) -> Done<Vec<Vec<u8>>> {
        Ok(self.dir(dir)?.keys().cloned().collect())
    }

    fn about(&self, dir: &[Vec<u8>], name: &[u8]) -> Done<About> {
        let nodes = self.dir(dir)?;
        let node = nodes.get(name).ok_or_else(|| no_path(name))?;
        let kind = self.kind(name, node);
        let at =
            node.meta.mtime.as_ref().map(|at| (at.as_second(), u32::try_from(at.subsec_nanosecond()).unwrap_or(0)));
        let target = || node.node_type.to_link().as_os_str().as_bytes().to_vec();
        Ok(About {
            kind,
            size: node.meta.size,
            modified: at,
            mode: node.meta.mode.map(|mode| mode & 0o7777),
            target: (kind == ItemKind::Symlink).then(target),
        })
    }

    fn file(&self, path: &[Vec<u8>]) -> Done<(Box<dyn Read>, u64)> {
        match self.find(path)? {
            Found::File(node, rest) if rest.is_empty() => {
                let image = Rc::new(Content::new(&self.open, &node)?);
                let length = image.length();
                Ok((Box::new(Whole { image, at: 0 }), length))
            }
            _ => Err(fault::error(fault::SNAPSHOT_KIND, "that is no file").into()),
        }
    }
}
