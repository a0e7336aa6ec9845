//! Data that a prune marked for removal while a backup went on that counted on it.
//!
//! A prune marks what no snapshot holds, and removes it after a delay. A backup that runs meanwhile stores
//! nothing that its index names; when its snapshot appears, what it holds may be marked, and the index has no
//! word of it any more. The next prune would see that; until then nobody could restore that snapshot. So
//! whoever sees it says in one more index file that the pack is held: the look that follows each backup, and
//! the prune itself for snapshots that appeared while it worked. A host's credential may do that: it adds.

use std::collections::{BTreeSet, HashMap, HashSet};

use rustic_core::repofile::{BlobType, IndexBlob, IndexFile, IndexPack, SnapshotFile, Tree};
use rustic_core::{DataId, Id, IndexedFullStatus, Open, TreeId};

use super::bridge::Bridge;
use super::pack::Seal;
use super::{Done, Opened};
use crate::fault;
use crate::place::Kind;

/// What is marked and named by no index otherwise.
struct Marked {
    packs: Vec<IndexPack>,
    /// Each piece with the number of its pack.
    pieces: HashMap<(BlobType, Id), (usize, IndexBlob)>,
}

impl Marked {
    fn read(reader: &Opened<IndexedFullStatus>) -> Done<Marked> {
        let (mut live, mut marked) = (HashSet::new(), Vec::new());
        for file in reader.engine.stream_files::<IndexFile>()? {
            let (_, file) = file?;
            live.extend(file.packs.iter().map(|pack| pack.id));
            marked.extend(file.packs_to_delete);
        }
        marked.retain(|pack| !live.contains(&pack.id));
        let mut found = Marked { packs: marked, pieces: HashMap::new() };
        for (at, pack) in found.packs.iter().enumerate() {
            for piece in &pack.blobs {
                let id = piece.id.into_inner();
                let is_live = match piece.tpe {
                    BlobType::Data => reader.engine.get_index_entry(&DataId::from(id)).is_ok(),
                    BlobType::Tree => reader.engine.get_index_entry(&TreeId::from(id)).is_ok(),
                };
                if !is_live {
                    found.pieces.insert((piece.tpe, id), (at, *piece));
                }
            }
        }
        Ok(found)
    }

    /// A directory that lies in a marked pack.
    fn tree(&self, reader: &Opened<IndexedFullStatus>, seal: &Seal, at: usize, piece: &IndexBlob) -> Done<Tree> {
        let lost = || fault::error(fault::REPOSITORY_DAMAGED, "a marked pack is not what its index says");
        let pack = self.packs.get(at).ok_or_else(lost)?.id.to_hex().as_str().to_owned();
        let (from, length) = (u64::from(piece.location.offset), u64::from(piece.location.length));
        let sealed = reader.store.read(Kind::Data, &pack, Some(from..from + length))?;
        let text = seal.unseal(&sealed).ok_or_else(lost)?;
        let text = match piece.location.uncompressed_length {
            Some(_) => zstd::stream::decode_all(&text[..]).map_err(|_| lost())?,
            None => text,
        };
        Ok(serde_json::from_slice(&text).map_err(|_| lost())?)
    }

    /// The packs that some trees hold something of.
    fn needed(&self, reader: &Opened<IndexedFullStatus>, seal: &Seal, trees: Vec<TreeId>) -> Done<BTreeSet<usize>> {
        let (mut needed, mut seen, mut open) = (BTreeSet::new(), HashSet::new(), trees);
        while let Some(id) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            let tree = match self.pieces.get(&(BlobType::Tree, id.into_inner())) {
                Some((at, piece)) => {
                    needed.insert(*at);
                    self.tree(reader, seal, *at, piece)?
                }
                // One that is nowhere is for the look to name.
                None => match reader.engine.get_tree(&id) {
                    Ok(tree) => tree,
                    Err(_) => continue,
                },
            };
            for node in tree.nodes {
                let pieces = node.content.iter().flatten();
                needed.extend(
                    pieces.filter_map(|id| self.pieces.get(&(BlobType::Data, id.into_inner())).map(|(at, _)| *at)),
                );
                open.extend(node.subtree);
            }
        }
        Ok(needed)
    }
}

/// Says of packs that are marked, and that these snapshots hold something of, that they are held: how many.
pub(super) fn run<S: Open>(open: &Opened<S>, snapshots: &[SnapshotFile]) -> Done<usize> {
    let reader = Opened::new(&open.repository, &open.report)?.for_reading()?;
    let mut marked = Marked::read(&reader)?;
    if marked.pieces.is_empty() {
        return Ok(0);
    }
    let seal = Seal::new(&reader.engine.key(), reader.engine.config())?;
    let needed = marked.needed(&reader, &seal, snapshots.iter().map(|snapshot| snapshot.tree).collect())?;
    if needed.is_empty() {
        return Ok(0);
    }
    let mut at = 0;
    marked.packs.retain(|_| {
        at += 1;
        needed.contains(&(at - 1))
    });
    // Without the time at which they were marked.
    marked.packs.iter_mut().for_each(|pack| pack.time = None);
    let file = IndexFile { packs: marked.packs, ..IndexFile::default() };
    seal.write(&Bridge::new(reader.store.clone(), reader.watch.clone()), Kind::Index, &file)?;
    Ok(needed.len())
}
