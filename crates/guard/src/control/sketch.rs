//! Counting distinct subjects, and how often each came, in bounded memory.
//!
//! The `k` subjects with the smallest hashes are kept (*k minimum values*: Bar-Yossef et al., "Counting distinct
//! elements in a data stream", RANDOM 2002; the unbiased estimator is that of Beyer et al., "On synopses for
//! distinct-value estimation under multiset operations", SIGMOD 2007). Up to `k` subjects that is exact. Beyond, the
//! relative standard error is about 1/√(k − 2). What is kept never depends on the order in which things came: a
//! subject that is among the `k` smallest at the end was so all the time, so its count is exact too.

/// A subject that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Item {
    /// Its hash.
    pub hash: u64,
    /// The first entry about it.
    pub first: u64,
    /// The last.
    pub last: u64,
    /// In how many different hours it came.
    pub times: u32,
    /// The hour in which it came last.
    hour: u32,
}

/// A set of subjects.
#[derive(Debug, Clone)]
pub(super) struct Sketch {
    most: usize,
    /// By hash.
    items: Vec<Item>,
    /// Whether any was let go.
    is_full: bool,
}

impl Sketch {
    /// An empty one that keeps so many.
    pub fn new(most: usize) -> Self {
        Sketch { most, items: Vec::new(), is_full: false }
    }

    /// A subject came in this entry, in this hour. Hours must not go back for [`Item::times`] to be right.
    pub fn see(&mut self, hash: u64, entry: u64, hour: u32) {
        if self.is_full && self.items.last().is_some_and(|last| hash > last.hash) {
            return;
        }
        match self.items.binary_search_by_key(&hash, |item| item.hash) {
            Ok(at) => {
                let item = &mut self.items[at];
                item.times += u32::from(item.hour != hour);
                item.hour = hour;
                item.first = item.first.min(entry);
                item.last = item.last.max(entry);
            }
            Err(at) => {
                self.items.insert(at, Item { hash, first: entry, last: entry, times: 1, hour });
                if self.items.len() > self.most {
                    self.items.pop();
                    self.is_full = true;
                }
            }
        }
    }

    /// How many there are.
    pub fn distinct(&self) -> u32 {
        if !self.is_full {
            return u32::try_from(self.items.len()).unwrap_or(u32::MAX);
        }
        estimate(self.items.len(), self.items.last().map_or(0, |item| item.hash))
    }

    /// The one that came in the most hours; of several the first in the log.
    pub fn most_often(&self) -> Option<&Item> {
        self.items.iter().max_by_key(|item| (item.times, std::cmp::Reverse(item.first)))
    }

    /// The first entries about different subjects, so many of them, in the order of the log.
    pub fn entries(&self, most: usize) -> Vec<u64> {
        let mut first: Vec<u64> = self.items.iter().map(|item| item.first).collect();
        first.sort_unstable();
        first.truncate(most);
        first
    }

    /// What remains to be put together with other sets.
    pub fn hashes(&self) -> Hashes {
        Hashes { smallest: self.items.iter().map(|item| item.hash).collect(), is_full: self.is_full }
    }

    /// Empties it, and keeps the room.
    pub fn clear(&mut self) {
        self.items.clear();
        self.items.shrink_to(64);
        self.is_full = false;
    }

    /// Memory that it holds, in bytes.
    pub fn bytes(&self) -> usize {
        self.items.capacity() * size_of::<Item>()
    }
}

/// The hashes that a set kept.
#[derive(Debug, Clone, Default)]
pub(super) struct Hashes {
    smallest: Vec<u64>,
    is_full: bool,
}

impl Hashes {
    /// How many subjects are in any of the sets that each kept `most`.
    pub fn union<'a>(all: impl Iterator<Item = &'a Hashes>, most: usize) -> u32 {
        let (mut together, mut is_full) = (Vec::new(), false);
        for one in all {
            together.extend_from_slice(&one.smallest);
            is_full |= one.is_full;
        }
        together.sort_unstable();
        together.dedup();
        if !is_full {
            return u32::try_from(together.len()).unwrap_or(u32::MAX);
        }
        // The smallest of all are among the smallest of each; what is beyond may lack some.
        together.truncate(most);
        estimate(together.len(), together.last().copied().unwrap_or(0))
    }

    /// Memory that it holds, in bytes.
    pub fn bytes(&self) -> usize {
        self.smallest.capacity() * size_of::<u64>()
    }
}

/// (k − 1) / the largest of the k smallest hashes, as a part of all hashes.
fn estimate(kept: usize, largest: u64) -> u32 {
    let part = (largest as f64 + 1.0) / (u64::MAX as f64 + 1.0);
    ((kept.saturating_sub(1)) as f64 / part).round().min(f64::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SplitMix64's last step: spreads small numbers over all hashes.
    fn spread(n: u64) -> u64 {
        let n = (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        n ^ (n >> 31)
    }

    #[test]
    fn few_are_counted_exactly_and_many_within_the_error_that_is_stated() {
        let mut few = Sketch::new(512);
        (0..3_000u64).for_each(|n| few.see(spread(n % 500), n, 0));
        assert_eq!(few.distinct(), 500);
        for subjects in [1_000u32, 20_000, 300_000] {
            let mut many = Sketch::new(512);
            (0..u64::from(subjects)).for_each(|n| many.see(spread(n), n, 0));
            let off = (f64::from(many.distinct()) / f64::from(subjects) - 1.0).abs();
            // Four standard errors.
            assert!(off < 4.0 / 510f64.sqrt(), "{subjects}: {}", many.distinct());
            assert!(many.bytes() <= 1_024 * size_of::<Item>());
        }
    }

    #[test]
    fn the_order_changes_nothing_and_what_is_kept_was_counted_from_its_first() {
        let seen: Vec<u64> = (0..4_000).map(|n| spread(n % 1_500)).collect();
        let (mut there, mut back) = (Sketch::new(128), Sketch::new(128));
        seen.iter().enumerate().for_each(|(n, hash)| there.see(*hash, n as u64, n as u32));
        seen.iter().enumerate().rev().for_each(|(n, hash)| back.see(*hash, n as u64, n as u32));
        assert_eq!(there.distinct(), back.distinct());
        assert_eq!(there.entries(20), back.entries(20));
        let times = |sketch: &Sketch| sketch.items.iter().map(|item| (item.hash, item.times)).collect::<Vec<_>>();
        assert_eq!(times(&there), times(&back));
        for item in &there.items {
            assert_eq!(item.times as usize, seen.iter().filter(|hash| **hash == item.hash).count());
        }
    }

    #[test]
    fn weeks_are_put_together_without_counting_a_subject_twice() {
        let week = |from: u64, to: u64, most| {
            let mut sketch = Sketch::new(most);
            (from..to).for_each(|n| sketch.see(spread(n), n, 0));
            sketch.hashes()
        };
        assert_eq!(Hashes::union([week(0, 100, 512), week(50, 150, 512)].iter(), 512), 150);
        let large = Hashes::union([week(0, 20_000, 512), week(10_000, 30_000, 512)].iter(), 512);
        assert!((f64::from(large) / 30_000.0 - 1.0).abs() < 0.18, "{large}");
        assert_eq!(Hashes::union([].iter(), 512), 0);
    }
}
