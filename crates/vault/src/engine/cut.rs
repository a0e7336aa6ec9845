//! Cutting files where their contents suggest it, as restic does with the same repository.
//!
//! A piece ends where the hash of the 64 bytes before is zero in its lower bits: the hash is what
//! these bytes leave when they are divided, as a polynomial over two elements, by the repository's
//! own one. So what is inserted into a file moves the borders behind it along, and whoever knows
//! the polynomial cuts alike. Where borders lie decides what is stored twice, and nothing else.

use std::io::{self, Read};

use rustic_cdc::{Polynom, Rabin64};
use rustic_core::repofile::{Chunker, ConfigFile};

use super::Done;
use crate::fault;

/// Bytes that the hash is of.
const WINDOW: usize = 64;
/// Bytes that are read at a time beyond the smallest piece.
const STEP: usize = 256 << 10;
/// The largest piece that a repository may ask for: each thread keeps room for one.
const PIECE_MAX: usize = 64 << 20;

/// How a repository cuts; its tables are costly, and made once.
pub(super) struct Cutter {
    /// What a byte adds to the hash when it leaves the window.
    leaving: [u64; 256],
    /// What brings a hash that has grown by eight bits back below the polynomial.
    reducing: [u64; 256],
    /// How far the eight bits are up that choose from `reducing`.
    shift: u32,
    /// The bits of the hash that are zero at a border.
    mask: u64,
    min: usize,
    /// Where this is also the smallest size, the contents decide nothing.
    max: usize,
}

impl Cutter {
    pub(super) fn new(config: &ConfigFile) -> Done<Self> {
        let average = config.chunk_size();
        let (min, max) = match config.chunker() {
            Chunker::Rabin => (config.chunk_min_size(), config.chunk_max_size()),
            Chunker::FixedSize => (average, average),
        };
        let mask = if min == max { 1 } else { average };
        let senseless =
            || fault::error(fault::REPOSITORY_DAMAGED, "the repository says senseless things of how to cut");
        Ok(Self::with(config.poly()?, mask, min, max).ok_or_else(senseless)?)
    }

    /// Cuts with a polynomial into pieces that are so large on average, at least and at most.
    fn with(polynomial: u64, average: usize, min: usize, max: usize) -> Option<Self> {
        let sizes = average.is_power_of_two() && (WINDOW..=max).contains(&min) && max <= PIECE_MAX;
        let shift = u32::try_from(polynomial.degree()).ok().filter(|degree| *degree <= 56)?.checked_sub(8)?;
        sizes.then(|| Cutter {
            leaving: Rabin64::calculate_out_table(WINDOW, &polynomial),
            reducing: Rabin64::calculate_mod_table(&polynomial),
            shift,
            mask: average as u64 - 1,
            min,
            max,
        })
    }

    /// What one more thread cuts in.
    pub(super) fn room(&self) -> Room {
        Room { bytes: vec![0; self.max + STEP], filled: 0 }
    }

    /// The pieces of what a reader gives.
    pub(super) fn pieces<'a, R: Read>(&'a self, room: &'a mut Room, input: R) -> Pieces<'a, R> {
        room.filled = 0;
        Pieces { cutter: self, room, input, told: 0, ended: false }
    }

    /// The hash with one more byte, none leaving.
    fn grown(&self, hash: u64, byte: u8) -> u64 {
        // No index is beyond these tables: they have an entry for each byte.
        let high = (hash >> self.shift) as u8;
        ((hash << 8) | u64::from(byte)) ^ self.reducing[usize::from(high)]
    }

    /// The first border from `at` on, where there is one, or how far was looked: and the hash there.
    fn seek(&self, data: &[u8], at: usize, mut hash: u64) -> (bool, usize, u64) {
        if hash & self.mask == 0 {
            return (true, at, hash);
        }
        let leaving = data.get(at - WINDOW..).unwrap_or_default();
        let coming = data.get(at..).unwrap_or_default();
        for (number, (out, byte)) in leaving.iter().zip(coming).enumerate() {
            hash = self.grown(hash ^ self.leaving[usize::from(*out)], *byte);
            if hash & self.mask == 0 {
                return (true, at + number + 1, hash);
            }
        }
        (false, data.len(), hash)
    }
}

/// What a thread cuts in: the piece at hand, and what was read beyond it.
pub(super) struct Room {
    bytes: Vec<u8>,
    filled: usize,
}

/// The pieces of a reader, one after the other.
pub(super) struct Pieces<'a, R> {
    cutter: &'a Cutter,
    room: &'a mut Room,
    input: R,
    /// The length of the piece that was told last.
    told: usize,
    ended: bool,
}

impl<R: Read> Pieces<'_, R> {
    /// The next piece; none: that was all.
    pub(super) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.room.bytes.copy_within(self.told..self.room.filled, 0);
        self.room.filled -= self.told;
        self.told = 0;
        self.told = self.length()?;
        Ok(self.room.bytes.get(..self.told).filter(|piece| !piece.is_empty()))
    }

    /// The length of the piece at the beginning of the room.
    fn length(&mut self) -> io::Result<usize> {
        let Cutter { min, max, .. } = *self.cutter;
        self.fill(min + STEP)?;
        if self.room.filled <= min || min == max {
            return Ok(self.room.filled.min(min));
        }
        let window = self.room.bytes.get(min - WINDOW..min).unwrap_or_default();
        let mut hash = window.iter().fold(0, |hash, byte| self.cutter.grown(hash, *byte));
        let mut at = min;
        loop {
            let seen = self.room.bytes.get(..self.room.filled.min(max)).unwrap_or_default();
            let found;
            (found, at, hash) = self.cutter.seek(seen, at, hash);
            if found || at == max {
                return Ok(at);
            }
            self.fill(max.min(at + STEP))?;
            if self.room.filled == at {
                return Ok(at);
            }
        }
    }

    /// Reads until so much is there, or all.
    fn fill(&mut self, wanted: usize) -> io::Result<()> {
        while self.room.filled < wanted && !self.ended {
            let free = self.room.bytes.get_mut(self.room.filled..wanted).unwrap_or_default();
            match self.input.read(free) {
                Ok(0) => self.ended = true,
                Ok(read) => self.room.filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// restic's own example of one.
    const POLYNOMIAL: u64 = 0x003D_A335_8B4D_C173;

    /// Gives a few bytes at a time.
    struct Slowly<'a>(&'a [u8], usize);

    impl Read for Slowly<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let much = self.1.min(self.0.len()).min(into.len());
            into[..much].copy_from_slice(&self.0[..much]);
            self.0 = &self.0[much..];
            Ok(much)
        }
    }

    fn cut(cutter: &Cutter, input: impl Read) -> Vec<Vec<u8>> {
        let mut room = cutter.room();
        let mut pieces = cutter.pieces(&mut room, input);
        std::iter::from_fn(|| pieces.next().unwrap().map(<[u8]>::to_vec)).collect()
    }

    /// The format's own words: no tables, nothing kept from one place to the next.
    fn by_definition(data: &[u8], average: usize, min: usize, max: usize) -> Vec<Vec<u8>> {
        let hash =
            |bytes: &[u8]| bytes.iter().fold(0, |hash: u64, b| ((hash << 8) | u64::from(*b)).modulo(&POLYNOMIAL));
        let mut pieces = Vec::new();
        let mut rest = data;
        while !rest.is_empty() {
            let is_border = |at: &usize| hash(&rest[at - WINDOW..*at]) & (average as u64 - 1) == 0;
            let end = (min..rest.len().min(max)).find(is_border).unwrap_or(rest.len().min(max));
            pieces.push(rest[..end].to_vec());
            rest = &rest[end..];
        }
        pieces
    }

    fn noise(mut seed: u64, length: usize) -> Vec<u8> {
        let mut next = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed as u8
        };
        (0..length).map(|_| next()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn pieces_end_where_the_format_says(
            seed in 1_u64.., length in 0_usize..1_500, few in 1_usize..900, min in WINDOW..300, room in 0_usize..900,
        ) {
            let data = noise(seed, length);
            let cutter = Cutter::with(POLYNOMIAL, 256, min, min + room).unwrap();
            let expected = by_definition(&data, 256, min, min + room);
            prop_assert_eq!(cut(&cutter, Slowly(&data, few)), expected);
        }
    }

    #[test]
    fn what_is_larger_than_what_is_read_at_a_time_is_cut_alike() {
        let data = noise(7, 2 << 20);
        let cutter = Cutter::with(POLYNOMIAL, 32 << 10, 300 << 10, 700 << 10).unwrap();
        let expected = by_definition(&data, 32 << 10, 300 << 10, 700 << 10);
        assert!(expected.len() > 2);
        assert_eq!(cut(&cutter, data.as_slice()), expected);
        assert_eq!(cut(&cutter, Slowly(&data, 70_001)), expected);
    }

    #[test]
    fn a_repository_of_fixed_sizes_and_one_of_nonsense() {
        let cutter = Cutter::with(POLYNOMIAL, 1, 1_000, 1_000).unwrap();
        let lengths: Vec<usize> = cut(&cutter, [0; 2_500].as_slice()).iter().map(Vec::len).collect();
        assert_eq!(lengths, [1_000, 1_000, 500]);
        assert!(Cutter::with(0, 256, 64, 900).is_none());
        assert!(Cutter::with(POLYNOMIAL, 300, 64, 900).is_none());
        assert!(Cutter::with(POLYNOMIAL, 256, 900, 64).is_none());
        assert!(Cutter::with(POLYNOMIAL, 256, 64, usize::MAX).is_none());
    }
}
