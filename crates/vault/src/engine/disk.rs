//! What is on a disk: its partitions (GPT, MBR, none), and which file system each holds.
//!
//! Everything here was written by a guest, who need not be a friend: numbers are checked, loops
//! are bounded, and what does not fit is left out.

use base::Result;

use super::content::Image;

/// Partitions that are told of a disk.
const VOLUMES_MAX: usize = 128;
/// The largest table of partitions that is read, in bytes.
const TABLE_MAX: u64 = 1 << 20;

/// A part of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Volume {
    /// Its number, as Linux counts them.
    pub(super) number: usize,
    /// Where it begins.
    pub(super) from: u64,
    /// Its bytes.
    pub(super) length: u64,
    /// What the table calls it; empty: nothing.
    pub(super) label: String,
}

/// The partitions of a disk; none where there is no table.
pub(super) fn volumes(disk: &dyn Image) -> Result<Vec<Volume>> {
    for sector in [512, 4_096] {
        if let Some(found) = gpt(disk, sector)? {
            return Ok(found);
        }
    }
    // Where a file system has all of the disk, its first block may look like a table.
    match filesystem(disk, 0, disk.length())? {
        "" => mbr(disk),
        _ => Ok(Vec::new()),
    }
}

/// Bytes of the disk; fewer at its end.
fn bytes(disk: &dyn Image, at: u64, length: u64) -> Result<Vec<u8>> {
    let length = length.min(disk.length().saturating_sub(at));
    let mut found = vec![0; usize::try_from(length).unwrap_or_default()];
    if !found.is_empty() {
        disk.read(at, &mut found)?;
    }
    Ok(found)
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    let found = bytes.get(at..at + N).unwrap_or_default();
    found.iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte))
}

fn gpt(disk: &dyn Image, sector: u64) -> Result<Option<Vec<Volume>>> {
    let head = bytes(disk, sector, 512)?;
    let (table, count, size) = (number::<8>(&head, 72), number::<4>(&head, 80), number::<4>(&head, 84));
    if !head.starts_with(b"EFI PART") || !(128..=4_096).contains(&size) || count * size > TABLE_MAX {
        return Ok(None);
    }
    let Some(at) = table.checked_mul(sector) else { return Ok(None) };
    let table = bytes(disk, at, count * size)?;
    let entries = table.chunks_exact(usize::try_from(size).unwrap_or(128)).zip(1..);
    let found = entries.filter_map(|(entry, number_of_it)| {
        let (first, last) = (number::<8>(entry, 32), number::<8>(entry, 40));
        let used = entry.iter().take(16).any(|byte| *byte != 0);
        let sectors = last.checked_sub(first)?.checked_add(1)?;
        let name: Vec<u16> =
            entry.get(56..128)?.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        let name = String::from_utf16_lossy(&name);
        let label = name.split('\0').next().unwrap_or_default();
        used.then(|| volume(disk, number_of_it, (first, sectors), sector, label)).flatten()
    });
    Ok(Some(found.take(VOLUMES_MAX).collect()))
}

/// A part of the disk, if it is one.
fn volume(disk: &dyn Image, number: usize, (first, count): (u64, u64), sector: u64, label: &str) -> Option<Volume> {
    let (from, length) = (first.checked_mul(sector)?, count.checked_mul(sector)?);
    let inside = length > 0 && from > 0 && from.checked_add(length)? <= disk.length();
    inside.then(|| Volume { number, from, length, label: base::names::text(label.as_bytes()) })
}

/// The four entries of a boot record: kind, first sector, sectors.
fn entries(disk: &dyn Image, at: u64) -> Result<Option<[(u8, u64, u64); 4]>> {
    let record = bytes(disk, at, 512)?;
    if record.get(510..512) != Some(&[0x55, 0xaa]) {
        return Ok(None);
    }
    let entry = |n: usize| {
        let entry = record.get(446 + 16 * n..462 + 16 * n).unwrap_or_default();
        (entry.get(4).copied().unwrap_or_default(), number::<4>(entry, 8), number::<4>(entry, 12))
    };
    let states = (0..4).all(|n| matches!(record.get(446 + 16 * n), Some(0 | 0x80)));
    Ok(states.then(|| [0, 1, 2, 3].map(entry)))
}

fn mbr(disk: &dyn Image) -> Result<Vec<Volume>> {
    const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];
    const SECTOR: u64 = 512;
    let Some(primary) = entries(disk, 0)? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for ((kind, first, count), at) in primary.into_iter().zip(1..) {
        if EXTENDED.contains(&kind) {
            let (mut next, mut seen) = (first, 0);
            while let Some([own, link, ..]) = entries(disk, next * SECTOR)? {
                found.extend(volume(disk, 5 + seen, (next + own.1, own.2), SECTOR, "").filter(|_| own.0 != 0));
                seen += 1;
                if !EXTENDED.contains(&link.0) || link.1 == 0 || seen >= VOLUMES_MAX {
                    break;
                }
                next = first + link.1;
            }
        } else if kind != 0 {
            found.extend(volume(disk, at, (first, count), SECTOR, ""));
        }
    }
    found.sort_by_key(|volume| volume.number);
    found.truncate(VOLUMES_MAX);
    Ok(found)
}

/// What tells a file system: where, what, and its name among Linux's.
const MARKS: &[(u64, &[u8], &str)] = &[
    (0, b"LUKS\xba\xbe", "crypto_LUKS"),
    (3, b"-FVE-FS-", "BitLocker"),
    (512, b"LABELONE", "LVM2_member"),
    (0, b"XFSB", "xfs"),
    (3, b"NTFS    ", "ntfs"),
    (3, b"EXFAT   ", "exfat"),
    (82, b"FAT32   ", "vfat"),
    (54, b"FAT1", "vfat"),
    (0x1_0040, b"_BHRfS_M", "btrfs"),
    (4_086, b"SWAPSPACE2", "swap"),
    (4_096, b"\xfc\x4e\x2b\xa9", "linux_raid_member"),
    (0x8001, b"CD001", "iso9660"),
    (0, b"hsqs", "squashfs"),
    (1_024, b"\xe2\xe1\xf5\xe0", "erofs"),
    (1_024, b"\x10\x20\xf5\xf2", "f2fs"),
];

/// Which file system lies there, in the words of Linux; empty where nobody knows it.
pub(super) fn filesystem(disk: &dyn Image, from: u64, length: u64) -> Result<&'static str> {
    let start = bytes(disk, from, length.min(0x1_0048))?;
    let marked = |at: u64, mark: &[u8]| {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        start.get(at..).is_some_and(|rest| rest.starts_with(mark))
    };
    if marked(1_024 + 56, b"\x53\xef") {
        return Ok(match (number::<4>(&start, 1_024 + 96) & 0x40, number::<4>(&start, 1_024 + 92) & 0x4) {
            (0, 0) => "ext2",
            (0, _) => "ext3",
            _ => "ext4",
        });
    }
    Ok(MARKS.iter().find(|(at, mark, _)| marked(*at, mark)).map_or("", |(_, _, name)| name))
}

/// Whether a file system can be looked into.
pub(super) fn opens(filesystem: &str) -> bool {
    matches!(filesystem, "ext2" | "ext3" | "ext4")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Disk(Vec<u8>);

    impl Image for Disk {
        fn length(&self) -> u64 {
            self.0.len() as u64
        }

        fn read(&self, at: u64, into: &mut [u8]) -> Result<()> {
            let at = usize::try_from(at).unwrap();
            let found =
                self.0.get(at..).and_then(|rest| rest.get(..into.len())).ok_or_else(super::super::content::beyond)?;
            into.copy_from_slice(found);
            Ok(())
        }
    }

    /// A disk of a MiB with a boot record of these entries.
    fn with_record(at: usize, entries: &[(u8, u32, u32)], disk: &mut Disk) {
        for (n, (kind, first, count)) in entries.iter().enumerate() {
            let entry = &mut disk.0[at + 446 + 16 * n..at + 462 + 16 * n];
            entry[4] = *kind;
            entry[8..12].copy_from_slice(&first.to_le_bytes());
            entry[12..16].copy_from_slice(&count.to_le_bytes());
        }
        disk.0[at + 510..at + 512].copy_from_slice(&[0x55, 0xaa]);
    }

    fn told(disk: &Disk) -> Vec<(usize, u64, u64)> {
        volumes(disk)
            .unwrap()
            .into_iter()
            .map(|volume| (volume.number, volume.from / 512, volume.length / 512))
            .collect()
    }

    #[test]
    fn partitions_of_a_boot_record_are_told_also_those_in_an_extended_one() {
        let mut disk = Disk(vec![0; 1 << 20]);
        with_record(0, &[(0x83, 64, 100), (0x05, 200, 1_000), (0x83, 1_900, 10_000)], &mut disk);
        with_record(200 * 512, &[(0x83, 10, 50), (0x05, 300, 100)], &mut disk);
        with_record(500 * 512, &[(0x82, 10, 50)], &mut disk);
        // The third leads beyond the end of the disk.
        assert_eq!(told(&disk), [(1, 64, 100), (5, 210, 50), (6, 510, 50)]);
    }

    #[test]
    fn a_chain_that_bites_its_tail_ends() {
        let mut disk = Disk(vec![0; 1 << 20]);
        with_record(0, &[(0x05, 100, 1_000)], &mut disk);
        with_record(100 * 512, &[(0x83, 1, 1), (0x05, 100, 1)], &mut disk);
        with_record(200 * 512, &[(0x83, 1, 1), (0x05, 100, 1)], &mut disk);
        assert_eq!(volumes(&disk).unwrap().len(), VOLUMES_MAX);
    }

    #[test]
    fn a_disk_without_a_table_has_no_partitions() {
        assert_eq!(told(&Disk(vec![0; 1 << 20])), []);
        assert_eq!(told(&Disk(vec![])), []);
        let mut fat = Disk(vec![0; 1 << 20]);
        with_record(0, &[(0x83, 64, 100)], &mut fat);
        fat.0[82..90].copy_from_slice(b"FAT32   ");
        assert_eq!(told(&fat), []);
        assert_eq!(filesystem(&fat, 0, fat.length()).unwrap(), "vfat");
    }

    proptest! {
        #[test]
        fn no_disk_leads_out_of_itself(noise in proptest::collection::vec(any::<u8>(), 0..6_000), gpt in any::<bool>()) {
            let mut disk = Disk(noise);
            if gpt && disk.0.len() > 1_024 {
                disk.0[512..520].copy_from_slice(b"EFI PART");
            }
            if disk.0.len() > 512 {
                disk.0[510..512].copy_from_slice(&[0x55, 0xaa]);
            }
            for volume in volumes(&disk).unwrap() {
                prop_assert!(volume.from + volume.length <= disk.length());
            }
        }
    }
}
