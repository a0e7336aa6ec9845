//! The Merkle tree of RFC 6962, section 2: heads, inclusion and consistency.
//!
//! Pure functions over hashes. A tree of `n` leaves is kept as its frontier:
//! the heads of the full subtrees that the binary form of `n` names, largest first.

use super::sha256;

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// The hash of a leaf: SHA-256(0x00 ‖ leaf).
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    sha256(&[&[0], leaf].concat())
}

/// The hash of an inner node: SHA-256(0x01 ‖ left ‖ right).
pub(crate) fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [0; 65];
    bytes[0] = 1;
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    sha256(&bytes)
}

/// A growing tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Frontier {
    size: u64,
    heads: Vec<Hash>,
}

impl Frontier {
    /// From its stored form; `None` where that does not fit the size.
    pub fn read(size: i64, bytes: &[u8]) -> Option<Self> {
        let size = u64::try_from(size).ok()?;
        let heads: Vec<Hash> = bytes.chunks(32).map(Hash::try_from).collect::<Result<_, _>>().ok()?;
        (heads.len() == size.count_ones() as usize).then_some(Frontier { size, heads })
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.heads.concat()
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf; tells `full` of each full subtree that it completes (level, place, head).
    pub fn push(&mut self, leaf: Hash, mut full: impl FnMut(u32, u64, &Hash)) {
        let mut head = leaf;
        for level in 1..=self.size.trailing_ones() {
            let Some(left) = self.heads.pop() else { break };
            head = node_hash(&left, &head);
            full(level, self.size >> level, &head);
        }
        self.heads.push(head);
        self.size += 1;
    }

    /// The head of the whole tree.
    pub fn root(&self) -> Hash {
        let mut heads = self.heads.iter().rev();
        let Some(last) = heads.next() else { return sha256(&[]) };
        heads.fold(*last, |right, left| node_hash(left, &right))
    }
}

/// The largest power of two smaller than `n` (for `n` > 1).
pub(crate) fn split(n: u64) -> u64 {
    1 << (63 - (n - 1).leading_zeros())
}

/// The subtrees whose heads prove that leaf `index` is in the tree of `size`, nearest first.
pub(crate) fn inclusion_path(index: u64, size: u64) -> Vec<(u64, u64)> {
    let (mut start, mut end, mut path) = (0, size, Vec::new());
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            path.push((middle, end));
            end = middle;
        } else {
            path.push((start, middle));
            start = middle;
        }
    }
    path.reverse();
    path
}

/// The subtrees whose heads prove that the tree of `old` is a beginning of that of `new`.
pub(crate) fn consistency_path(old: u64, new: u64) -> Vec<(u64, u64)> {
    let (mut start, mut end, mut whole, mut path) = (0, new, true, Vec::new());
    // RFC 6962, 2.1.2: SUBPROOF(m, D[n], b).
    while old != end {
        let middle = start + split(end - start);
        if old <= middle {
            path.push((middle, end));
            end = middle;
        } else {
            path.push((start, middle));
            start = middle;
            whole = false;
        }
    }
    if !whole {
        path.push((start, end));
    }
    path.reverse();
    path
}

/// The head that an inclusion proof leads to (RFC 9162, 2.1.3.2); `None` where its length is wrong.
pub fn root_from_inclusion(leaf: Hash, index: u64, size: u64, proof: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let path = inclusion_path(index, size);
    if path.len() != proof.len() {
        return None;
    }
    Some(path.iter().zip(proof).fold(leaf, |head, ((start, _), other)| {
        if *start > index { node_hash(&head, other) } else { node_hash(other, &head) }
    }))
}

/// Whether a proof shows that the tree `(old, old_root)` is a beginning of `(new, new_root)` (RFC 9162, 2.1.4.2).
pub fn verify_consistency(old: u64, old_root: Hash, new: u64, new_root: Hash, proof: &[Hash]) -> bool {
    if old == new {
        return proof.is_empty() && old_root == new_root;
    }
    if old == 0 || old > new {
        return false;
    }
    let mut proof = proof.iter();
    let first = if old.is_power_of_two() { Some(&old_root) } else { proof.next() };
    let Some(first) = first else { return false };
    let (mut node, mut last) = (old - 1, new - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut old_head, mut new_head) = (*first, *first);
    for other in proof {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            old_head = node_hash(other, &old_head);
            new_head = node_hash(other, &new_head);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new_head = node_hash(&new_head, other);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && old_head == old_root && new_head == new_root
}
