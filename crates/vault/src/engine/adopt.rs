//! Packs that no index names.
//!
//! Whoever is killed between its packs and its index leaves such. What is in them is worth keeping: it may be
//! nearly all of a first backup. But nobody may count on it before an index names it: a snapshot would, and
//! whoever restores that finds nothing. So whoever is about to write names them first. What somebody else writes
//! at the same time may be named twice then, which harms nothing.

use std::collections::HashMap;
use std::thread;

use rustic_core::Open;
use rustic_core::repofile::IndexFile;

use super::bridge::Bridge;
use super::pack::{INDEX, LENGTH, Seal, Written, name};
use super::{Done, Opened, is_damage};
use crate::fault;
use crate::place::{Kind, Store};

/// Packs whose ends are read at a time: each is a short answer of the place.
const AT_A_TIME: usize = 8;
/// How much of a pack's end is read at first, in bytes: it holds what most say of themselves.
const END: u64 = 8 << 10;

/// Names what no index names. Says whether all that one names is there, in its size.
pub(super) fn run<S: Open>(open: &Opened<S>) -> Done<bool> {
    // Before the index, so that little of what somebody else writes meanwhile is taken for nameless.
    let there: HashMap<String, u64> = open.store.list(Kind::Data)?.into_iter().collect();
    let (mut nameless, mut is_whole) = (there.clone(), true);
    for file in open.engine.stream_files::<IndexFile>()? {
        let (_, file) = file?;
        for pack in &file.packs {
            is_whole &= there.get(pack.id.to_hex().as_str()) == Some(&u64::from(pack.pack_size()));
        }
        for pack in file.packs.iter().chain(&file.packs_to_delete) {
            nameless.remove(pack.id.to_hex().as_str());
        }
    }
    adopt(open, &Vec::from_iter(nameless))?;
    Ok(is_whole)
}

/// Names those of some files that are packs.
fn adopt<S: Open>(open: &Opened<S>, nameless: &[(String, u64)]) -> Done<()> {
    let seal = Seal::new(&open.engine.key(), open.engine.config())?;
    let bridge = Bridge::new(open.store.clone(), open.watch.clone());
    let (store, mut packs) = (&*open.store, Vec::new());
    for some in nameless.chunks(AT_A_TIME) {
        let read = thread::scope(|scope| {
            let all = some.iter().map(|(id, size)| scope.spawn(|| read(store, &seal, id, *size)));
            let all: Vec<_> = all.collect();
            all.into_iter()
                .map(|one| one.join().map_err(|panic| fault::panicked(&*panic))?)
                .collect::<Result<Vec<_>, _>>()
        });
        packs.extend(read?.into_iter().flatten());
        if packs.iter().map(Written::pieces).sum::<usize>() >= INDEX {
            name(&seal, &bridge, &std::mem::take(&mut packs))?;
        }
    }
    name(&seal, &bridge, &packs)
}

/// What a file says of itself at its end; none where it is no pack, or not there any more.
fn read(store: &dyn Store, seal: &Seal, id: &str, size: u64) -> base::Result<Option<Written>> {
    let end = |bytes: u64| match store.read(Kind::Data, id, Some(size.saturating_sub(bytes)..size)) {
        Ok(end) => Ok(Some(end)),
        Err(error) if is_damage(&error) => Ok(None),
        Err(error) => Err(error),
    };
    let Some(some) = end(END)? else { return Ok(None) };
    let Some(length) = some.last_chunk::<LENGTH>().map(|length| u64::from(u32::from_le_bytes(*length))) else {
        return Ok(None);
    };
    let all = length + LENGTH as u64;
    let whole = match all <= END || all > size {
        true => Some(some),
        false => end(all)?,
    };
    Ok(whole.and_then(|end| Written::read(id, size, seal, &end)))
}
