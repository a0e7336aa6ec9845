//! Pieces, packs and indexes by our own hand, in restic's format: the engine stores only what it
//! cut itself, and what is backed up is cut here ([`super::image`], [`super::files`]).
//!
//! In order: a pack is there before the index that names it, an index before the snapshot that
//! counts on it. What a run that died had stored and named is found again by the next one.

use std::collections::HashSet;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aes256ctr_poly1305aes::aead::AeadInPlace;
use aes256ctr_poly1305aes::{Aes256CtrPoly1305Aes, Key, Nonce, Tag};
use bytes::Bytes;
use ring::digest::{Context, SHA256};
use ring::rand::{SecureRandom, SystemRandom};
use rustic_core::repofile::{ConfigFile, MasterKey, Node, Tree};
use rustic_core::{DataId, Id, IndexedFull, Repository as Engine, TreeId};
use serde::Serialize;
use zstd::bulk::{Compressor, Decompressor};

use super::Done;
use super::bridge::Bridge;
use crate::fault;
use crate::place;

/// Size at which a pack is closed, in bytes.
const PACK: usize = 32 << 20;
/// Pieces at which it is, however small they are: restic reads no header of a pack beyond 16 MiB.
const PIECES: usize = 10_000;
/// Pieces after which an index file is written.
const INDEX: usize = 50_000;
/// How long a pack is without a name at most: that much is stored again after a kill.
const NAMELESS: Duration = Duration::from_secs(120);
/// Bytes before and after what is sealed: nonce and tag.
const SEAL: usize = 16;

/// What a piece or file is called: the SHA-256 of what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Name([u8; 32]);

impl Name {
    pub(super) fn of(data: &[u8]) -> Self {
        Self::of_all([data])
    }

    fn of_all<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hash = Context::new(&SHA256);
        parts.into_iter().for_each(|part| hash.update(part));
        let mut name = [0; 32];
        name.copy_from_slice(hash.finish().as_ref());
        Name(name)
    }

    /// As the engine has it.
    pub(super) fn read(id: &Id) -> Done<Self> {
        let known = base::hex::decode(id.to_hex().as_str()).and_then(|bytes| bytes.try_into().ok());
        Ok(Name(known.ok_or_else(|| fault::error(fault::ENGINE, "a piece has not the name of one"))?))
    }

    /// The engine's form of it.
    pub(super) fn id(self) -> Done<Id> {
        Ok(base::hex::encode(&self.0).parse()?)
    }
}

/// What a piece is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Data,
    Tree,
}

/// A piece as the index tells it.
#[derive(Debug, Serialize)]
struct Piece {
    id: String,
    #[serde(rename = "type")]
    kind: Kind,
    offset: u32,
    length: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    uncompressed_length: Option<u32>,
    #[serde(skip)]
    name: Name,
}

/// Pieces that are not in the repository yet.
#[derive(Debug, Default)]
struct Pack {
    sealed: Vec<Bytes>,
    length: usize,
    pieces: Vec<Piece>,
}

impl Pack {
    fn push(&mut self, sealed: Vec<u8>) {
        self.length += sealed.len();
        self.sealed.push(sealed.into());
    }
}

/// A pack that is there, as the index tells it.
#[derive(Debug, Serialize)]
struct Written {
    id: String,
    blobs: Vec<Piece>,
}

#[derive(Debug, Serialize)]
struct Index<'a> {
    packs: &'a [Written],
}

/// What was added.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Added {
    pub(super) pieces: u64,
    /// Bytes before compression.
    pub(super) bytes: u64,
    /// Bytes in the repository.
    pub(super) stored: u64,
}

#[derive(Debug, Default)]
struct Open {
    data: Pack,
    tree: Pack,
    /// Named in an index file only after the pack is there.
    written: Vec<Written>,
    /// When the first of them was.
    since: Option<Instant>,
    /// By kind: what a file holds may be what a directory says, byte for byte.
    seen: HashSet<(Kind, Name)>,
    added: [Added; 2],
}

/// Stores pieces that the repository does not have; shared by the threads that cut.
pub(super) struct Packer<'a, S> {
    engine: &'a Engine<S>,
    bridge: Bridge,
    seal: Seal,
    open: Mutex<Open>,
}

fn number(length: usize) -> Done<u32> {
    Ok(u32::try_from(length).map_err(|_| fault::error(fault::ENGINE, "a piece is larger than a pack may hold"))?)
}

impl<'a, S: IndexedFull> Packer<'a, S> {
    pub(super) fn new(engine: &'a Engine<S>, bridge: Bridge) -> Done<Self> {
        let seal = Seal::new(&engine.key(), engine.config())?;
        Ok(Packer { engine, bridge, seal, open: Mutex::default() })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the index names a piece.
    fn is_known(&self, kind: Kind, id: Id) -> bool {
        match kind {
            Kind::Data => self.engine.get_index_entry(&DataId::from(id)).is_ok(),
            Kind::Tree => self.engine.get_index_entry(&TreeId::from(id)).is_ok(),
        }
    }

    /// Stores a piece unless it is there: its name as the engine has it.
    pub(super) fn add(&self, press: &mut Press, kind: Kind, name: Name, data: &[u8]) -> Done<Id> {
        let id = name.id()?;
        if self.lacks(kind, name, id) {
            self.store(press, kind, name, data)?;
        }
        Ok(id)
    }

    /// Whether a piece is still to be stored. Said once: whoever is told stores it.
    pub(super) fn lacks(&self, kind: Kind, name: Name, id: Id) -> bool {
        self.open().seen.insert((kind, name)) && !self.is_known(kind, id)
    }

    /// Stores a piece that is not there.
    pub(super) fn store(&self, press: &mut Press, kind: Kind, name: Name, data: &[u8]) -> Done<()> {
        let (sealed, uncompressed_length) = self.seal.piece(press, data)?;
        let full = {
            let mut open = self.open();
            let Open { data: of_data, tree: of_trees, added, .. } = &mut *open;
            let (pack, added) = match kind {
                Kind::Data => (of_data, &mut added[0]),
                Kind::Tree => (of_trees, &mut added[1]),
            };
            let (offset, length) = (number(pack.length)?, number(sealed.len())?);
            let id = base::hex::encode(&name.0);
            pack.pieces.push(Piece { id, kind, offset, length, uncompressed_length, name });
            added.pieces += 1;
            added.bytes += data.len() as u64;
            added.stored += sealed.len() as u64;
            pack.push(sealed);
            (pack.length >= PACK || pack.pieces.len() >= PIECES).then(|| std::mem::take(pack))
        };
        match full {
            Some(pack) => self.close(pack),
            None => Ok(()),
        }
    }

    /// Stores a directory's entries: what it is called, and how many bytes that are.
    ///
    /// # Errors
    /// Where two of them have one name, or they are not in order: that could not be restored.
    pub(super) fn tree(&self, press: &mut Press, nodes: Vec<Node>) -> Done<(TreeId, u64)> {
        if let Some((_, twice)) = nodes.iter().zip(nodes.iter().skip(1)).find(|(one, next)| one.name() >= next.name()) {
            let name = twice.name().display().to_string();
            return Err(
                fault::error(fault::ENGINE, format!("a directory holds {name:?} out of order, or twice")).into()
            );
        }
        let mut text = serde_json::to_vec(&Tree { nodes })
            .map_err(|e| fault::error(fault::ENGINE, format!("a directory cannot be written: {e}")))?;
        // As restic has it: equal directories are to have equal names.
        text.push(b'\n');
        let id = self.add(press, Kind::Tree, Name::of(&text), &text)?;
        Ok((id.into(), text.len() as u64))
    }

    /// Puts a pack in its place.
    fn close(&self, mut pack: Pack) -> Done<()> {
        if pack.pieces.is_empty() {
            return Ok(());
        }
        let header = self.seal.seal(&header(&pack.pieces))?;
        let length = number(header.len())?;
        pack.push(header);
        pack.push(length.to_le_bytes().to_vec());
        let id = keep(&self.bridge, place::Kind::Data, &pack.sealed)?;
        let told = {
            let mut open = self.open();
            open.written.push(Written { id, blobs: pack.pieces });
            let pieces: usize = open.written.iter().map(|pack| pack.blobs.len()).sum();
            if pieces >= INDEX || open.since.get_or_insert_with(Instant::now).elapsed() >= NAMELESS {
                open.since = None;
                std::mem::take(&mut open.written)
            } else {
                Vec::new()
            }
        };
        self.tell(&told)
    }

    /// Writes an index file.
    fn tell(&self, packs: &[Written]) -> Done<()> {
        if !packs.is_empty() {
            self.file(place::Kind::Index, &Index { packs })?;
        }
        Ok(())
    }

    /// Writes a file of the repository that is JSON: its name.
    pub(super) fn file(&self, kind: place::Kind, content: &impl Serialize) -> Done<String> {
        self.seal.write(&self.bridge, kind, content)
    }

    /// Writes what is still open. Now a snapshot may count on all that was added: data and trees.
    pub(super) fn finish(&self) -> Done<[Added; 2]> {
        let (data, tree) = {
            let mut open = self.open();
            (std::mem::take(&mut open.data), std::mem::take(&mut open.tree))
        };
        self.close(data)?;
        self.close(tree)?;
        let (told, added) = {
            let mut open = self.open();
            (std::mem::take(&mut open.written), open.added)
        };
        self.tell(&told)?;
        Ok(added)
    }
}

/// Puts a file there, under the name of what is in it.
fn keep(bridge: &Bridge, kind: place::Kind, parts: &[Bytes]) -> Done<String> {
    let name = base::hex::encode(&Name::of_all(parts.iter().map(AsRef::as_ref)).0);
    bridge.keep(kind, &name, parts)?;
    Ok(name)
}

/// What a pack says of itself at its end.
fn header(pieces: &[Piece]) -> Vec<u8> {
    let mut header = Vec::with_capacity(pieces.len() * 41);
    for piece in pieces {
        let kind = u8::from(piece.kind == Kind::Tree);
        header.push(kind + if piece.uncompressed_length.is_some() { 2 } else { 0 });
        header.extend_from_slice(&piece.length.to_le_bytes());
        header.extend(piece.uncompressed_length.iter().flat_map(|length| length.to_le_bytes()));
        header.extend_from_slice(&piece.name.0);
    }
    header
}

/// What one thread compresses with, and opens again to look.
pub(super) struct Press {
    compress: Compressor<'static>,
    decompress: Decompressor<'static>,
}

fn no_zstd(error: io::Error) -> base::Error {
    fault::error(fault::ENGINE, format!("the compression does not work: {error}"))
}

/// The repository's encryption and compression.
pub(super) struct Seal {
    cipher: Aes256CtrPoly1305Aes,
    /// The level, where the repository compresses.
    level: Option<i32>,
    /// Whether what was sealed is opened again before it is stored.
    verify: bool,
}

impl Seal {
    pub(super) fn new(master: &MasterKey, config: &ConfigFile) -> Done<Self> {
        let mut key = Key::default();
        let parts = [&master.encrypt, &master.mac.k, &master.mac.r].into_iter().flatten();
        if parts.clone().count() != key.len() {
            return Err(fault::error(fault::REPOSITORY_DAMAGED, "the repository's key has not its length").into());
        }
        key.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
        Ok(Seal { cipher: Aes256CtrPoly1305Aes::new(&key), level: config.zstd()?, verify: config.extra_verify() })
    }

    fn press(&self) -> Done<Press> {
        let compress = Compressor::new(self.level.unwrap_or_default()).map_err(no_zstd)?;
        Ok(Press { compress, decompress: Decompressor::new().map_err(no_zstd)? })
    }

    /// Encrypts: nonce, text, tag.
    fn seal(&self, data: &[u8]) -> Done<Vec<u8>> {
        let no_random = |_| fault::error(fault::ENGINE, "the system gives no random numbers; try again");
        let mut nonce = Nonce::default();
        SystemRandom::new().fill(&mut nonce).map_err(no_random)?;
        let mut sealed = Vec::with_capacity(data.len() + 2 * SEAL);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(data);
        let text = sealed.get_mut(SEAL..).unwrap_or_default();
        let tag = self.cipher.encrypt_in_place_detached(&nonce, &[], text);
        let tag = tag.map_err(|_| fault::error(fault::ENGINE, "a piece is too large to be encrypted"))?;
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    /// Opens what was sealed; nothing where it is not what was.
    pub(super) fn unseal(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, rest) = sealed.split_at_checked(SEAL)?;
        let (text, tag) = rest.split_at_checked(rest.len().checked_sub(SEAL)?)?;
        let mut text = text.to_vec();
        self.cipher
            .decrypt_in_place_detached(Nonce::from_slice(nonce), &[], &mut text, Tag::from_slice(tag))
            .ok()
            .map(|()| text)
    }

    /// A piece as it is stored, and its length before compression where that made it smaller.
    fn piece(&self, press: &mut Press, data: &[u8]) -> Done<(Vec<u8>, Option<u32>)> {
        let small = match self.level {
            Some(_) => Some(press.compress.compress(data).map_err(no_zstd)?).filter(|small| small.len() < data.len()),
            None => None,
        };
        let sealed = self.seal(small.as_deref().unwrap_or(data))?;
        if self.verify {
            let text = self.unseal(&sealed);
            let again = match &small {
                Some(_) => text.and_then(|small| press.decompress.decompress(&small, data.len()).ok()),
                None => text,
            };
            if again.as_deref() != Some(data) {
                let message = "a piece did not open again as it was sealed, so nothing was recorded: test the memory";
                return Err(fault::error(fault::ENGINE, message).into());
            }
        }
        Ok((sealed, small.map(|_| number(data.len())).transpose()?))
    }

    /// Writes a file of the repository that is JSON: its name.
    pub(super) fn write(&self, bridge: &Bridge, kind: place::Kind, content: &impl Serialize) -> Done<String> {
        let json = serde_json::to_vec(content)
            .map_err(|e| fault::error(fault::ENGINE, format!("{} cannot be written: {e}", kind.name())))?;
        keep(bridge, kind, &[self.file(&json)?.into()])
    }

    /// A file of the repository that is JSON; a byte before it says that it is compressed.
    fn file(&self, json: &[u8]) -> Done<Vec<u8>> {
        let Some(level) = self.level else { return self.seal(json) };
        let mut small = vec![2];
        zstd::stream::copy_encode(json, &mut small, level).map_err(no_zstd)?;
        self.seal(&small)
    }
}

impl<S: IndexedFull> Packer<'_, S> {
    /// What one more thread compresses with.
    pub(super) fn press(&self) -> Done<Press> {
        self.seal.press()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seal(version: u32) -> Seal {
        Seal::new(&MasterKey::new(), &ConfigFile::new(version, Id::default().into(), 1)).map_err(|_| ()).unwrap()
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens_again(data in proptest::collection::vec(any::<u8>(), 0..3_000), level in 1_u32..=2) {
            let seal = seal(level);
            let mut press = seal.press().map_err(|_| ()).unwrap();
            let (sealed, length) = seal.piece(&mut press, &data).map_err(|_| ()).unwrap();
            let text = seal.unseal(&sealed).unwrap();
            let again = match length {
                Some(length) => press.decompress.decompress(&text, length as usize).unwrap(),
                None => text,
            };
            prop_assert_eq!(again, data);
        }

        #[test]
        fn what_was_changed_does_not_open(data in proptest::collection::vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>()) {
            let seal = seal(2);
            let mut sealed = seal.seal(&data).map_err(|_| ()).unwrap();
            let at = at.index(sealed.len());
            sealed[at] ^= 1;
            prop_assert!(seal.unseal(&sealed).is_none());
        }
    }
}
