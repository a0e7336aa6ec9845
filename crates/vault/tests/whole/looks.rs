//! Looking into snapshots, and into the disk images in them: what is told is what is there, what
//! leads elsewhere is refused, and what is damaged is named.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use base::Result;
use vault::fault;
use vault::request::{Answer, Backup, Image, Item, ItemKind, Key, Repository, Snapshot, Source, Task, Unreadable};

use crate::support::*;

const MIB: u64 = 1 << 20;
/// Where a file system begins on a disk with partitions.
const START: u64 = MIB;

/// A repository that opens at once, as agents open them.
fn quick(at: &Path) -> Repository {
    let made = make(at);
    match run(&made, &Task::Reveal).unwrap() {
        Answer::Made { master, .. } => Repository { key: Key::Master(master), ..made },
        other => panic!("{other:?}"),
    }
}

fn look_after(
    repository: &Repository,
    id: &str,
    path: &str,
    after: &str,
    limit: usize,
) -> Result<(Vec<Item>, Option<String>)> {
    let task = Task::Look { snapshot: id.into(), path: path.into(), after: after.into(), limit };
    match run(repository, &task)? {
        Answer::Seen { items, next } => Ok((items, next)),
        other => panic!("{other:?}"),
    }
}

fn look(repository: &Repository, id: &str, path: &str) -> Result<Vec<Item>> {
    look_after(repository, id, path, "", 500).map(|(items, _)| items)
}

fn names(items: &[Item]) -> Vec<&str> {
    items.iter().map(|item| item.name.as_str()).collect()
}

/// Fetches into a new file: what came, and whether it is an archive.
fn fetch(repository: &Repository, id: &str, path: &str, to: &Path) -> Result<(Vec<u8>, bool)> {
    fetch_most(repository, id, path, to, 64 * MIB)
}

fn fetch_most(repository: &Repository, id: &str, path: &str, to: &Path, bytes_max: u64) -> Result<(Vec<u8>, bool)> {
    let task = Task::Fetch { snapshot: id.into(), path: path.into(), to: to.to_owned(), bytes_max };
    match run(repository, &task)? {
        Answer::Fetched { bytes, sha256, archive } => {
            let found = fs::read(to).unwrap();
            let digest = ring::digest::digest(&ring::digest::SHA256, &found);
            assert_eq!((found.len() as u64, base::hex::encode(digest.as_ref())), (bytes, sha256));
            Ok((found, archive))
        }
        other => panic!("{other:?}"),
    }
}

/// Unpacks an archive with the system's own tar.
fn unpacked(archive: &Path, to: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    fs::create_dir_all(to).unwrap();
    assert!(Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(to).status().unwrap().success());
    listing(to)
}

/// A file system of so many MiB that is made from a directory.
fn filesystem(kind: &str, from: &Path, to: &Path, mib: u64) {
    let made = Command::new("mke2fs")
        .args(["-q", "-F", "-t", kind, "-L", "system", "-d"])
        .arg(from)
        .arg(to)
        .arg(format!("{mib}M"))
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(made.success());
}

/// Takes one disk, as agents do.
fn take(repository: &Repository, disk: &Path) -> Snapshot {
    let image = Image { path: disk.to_owned(), name: "root.raw".into(), changed: None };
    let backup = Backup {
        source: Source::Images { named: "/machines/m1".into(), images: vec![image] },
        host: "m1".into(),
        tags: vec![],
        label: "disks".into(),
        unreadable: Unreadable::Refuse,
    };
    match run(repository, &Task::Backup(backup)).unwrap() {
        Answer::Taken { snapshot, .. } => snapshot,
        other => panic!("{other:?}"),
    }
}

/// A disk with a GUID partition table of two partitions: a file system, and what nobody knows.
fn gpt(system: &Path, disk: &Path) {
    let length = system.metadata().unwrap().len();
    let file = File::create(disk).unwrap();
    file.set_len(START + length + 4 * MIB).unwrap();
    file.write_all_at(&fs::read(system).unwrap(), START).unwrap();
    let mut head = vec![0; 512];
    head[..8].copy_from_slice(b"EFI PART");
    head[72..80].copy_from_slice(&2_u64.to_le_bytes());
    head[80..84].copy_from_slice(&128_u32.to_le_bytes());
    head[84..88].copy_from_slice(&128_u32.to_le_bytes());
    let mut table = vec![0; 256];
    let mut entry = |n: usize, from: u64, length: u64, name: &str| {
        let entry = &mut table[n * 128..n * 128 + 128];
        entry[..16].fill(0xa5);
        entry[32..40].copy_from_slice(&(from / 512).to_le_bytes());
        entry[40..48].copy_from_slice(&((from + length) / 512 - 1).to_le_bytes());
        for (at, unit) in name.encode_utf16().enumerate() {
            entry[56 + 2 * at..58 + 2 * at].copy_from_slice(&unit.to_le_bytes());
        }
    };
    entry(0, START, length, "root");
    entry(1, START + length, MIB, "資料");
    file.write_all_at(&head, 512).unwrap();
    file.write_all_at(&table, 1_024).unwrap();
}

#[test]
fn any_snapshot_is_looked_into_by_its_own_tree() {
    let folder = Folder::new("looks-tree");
    let data = folder.join("data");
    tree(&data);
    let odd = OsStr::from_bytes(b"caf\xe9\n100%");
    fs::write(data.join(odd), b"odd").unwrap();
    std::os::unix::fs::symlink("../../../etc/passwd", data.join("out")).unwrap();
    let repository = quick(&folder.join("repository"));
    let id = back_up(&repository, &data).unwrap().id;

    assert_eq!(names(&look(&repository, &id, "").unwrap()), ["data"]);
    let top = look(&repository, &id, "/data").unwrap();
    assert_eq!(
        names(&top),
        ["caf%e9%0a100%25", "deep", "empty", "empty file", "link", "out", "second name", "文件.txt"]
    );
    let of = |name: &str| top.iter().find(|item| item.name == name).unwrap().clone();
    assert_eq!((of("deep").kind, of("deep").opens), (ItemKind::Dir, true));
    assert_eq!((of("second name").kind, of("second name").size), (ItemKind::File, 9 << 20));
    assert_eq!(of("out").target.as_deref(), Some("../../../etc/passwd"));
    assert!(of("文件.txt").modified.unwrap().starts_with("20"));
    assert_eq!(of("deep").mode.map(|mode| mode & 0o700), Some(0o700));

    let to = folder.join("fetched");
    for (path, there) in [
        ("/data/deep/large", data.join("deep/large")),
        ("/data/文件.txt", data.join("文件.txt")),
        ("/data/empty file", data.join("empty file")),
        ("/data/caf%e9%0a100%25", data.join(odd)),
    ] {
        assert_eq!(fetch(&repository, &id, path, &to).unwrap(), (fs::read(there).unwrap(), false), "{path}");
    }
    // A directory is an archive that any tar unpacks, odd names and all.
    let (_, archive) = fetch(&repository, &id, "/data", &to).unwrap();
    assert!(archive);
    assert_eq!(unpacked(&to, &folder.join("unpacked")), listing(&data));
}

#[test]
fn what_leads_elsewhere_or_is_something_else_is_refused() {
    let folder = Folder::new("looks-refused");
    let data = folder.join("data");
    tree(&data);
    let repository = quick(&folder.join("repository"));
    let id = back_up(&repository, &data).unwrap().id;
    let to = folder.join("fetched");
    for (path, wanted) in [
        ("/data/../data", fault::REQUEST_INVALID),
        ("/data/%2e%2e/x", fault::REQUEST_INVALID),
        ("/data/deep%2flarge", fault::REQUEST_INVALID),
        ("/data/%", fault::REQUEST_INVALID),
        ("/etc/passwd", fault::SNAPSHOT_PATH),
        ("/data/no such", fault::SNAPSHOT_PATH),
        ("/data/link/x", fault::SNAPSHOT_KIND),
    ] {
        assert_eq!(code(look(&repository, &id, path)), wanted, "{path}");
        assert_eq!(code(fetch(&repository, &id, path, &to)), wanted, "{path}");
    }
    assert_eq!(code(look(&repository, &id, &format!("/{}", "x".repeat(9_000)))), fault::REQUEST_INVALID);
    assert_eq!(code(fetch(&repository, &id, "/data/link", &to)), fault::SNAPSHOT_KIND);
    // A file that is no disk holds no file system.
    assert_eq!(code(look(&repository, &id, "/data/deep/large")), fault::FILESYSTEM_UNKNOWN);
    assert_eq!(code(look(&repository, &"0".repeat(64), "/")), fault::SNAPSHOT_MISSING);
    let large = fetch_most(&repository, &id, "/data/deep/large", &to, MIB);
    assert_eq!(code(large), fault::FETCH_TOO_LARGE);
    assert_eq!(code(fetch_most(&repository, &id, "/data", &to, 10 * MIB)), fault::FETCH_TOO_LARGE);
    assert!(!to.exists());
}

#[test]
fn a_huge_directory_is_told_in_pages() {
    let folder = Folder::new("looks-pages");
    let data = folder.join("data");
    fs::create_dir_all(&data).unwrap();
    let all: Vec<String> = (0..3_000).map(|n| format!("{n:05}-{}", "x".repeat(200))).collect();
    for name in &all {
        fs::write(data.join(name), b"").unwrap();
    }
    let system = folder.join("system");
    filesystem("ext4", &data, &system, 64);
    let repository = quick(&folder.join("repository"));
    let tree = back_up(&repository, &data).unwrap().id;
    let disk = take(&repository, &system).id;
    for (id, path) in [(tree, "/data"), (disk, "/machines/m1/root.raw")] {
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let (items, next) = look_after(&repository, &id, path, &after, 500).unwrap();
            assert!(items.len() <= 500 && serde_json::to_vec(&items).unwrap().len() < 128 << 10);
            found.extend(items.into_iter().map(|item| item.name).filter(|name| name != "lost+found"));
            match next {
                Some(next) => after = next,
                None => break,
            }
        }
        assert_eq!(found, all);
    }
}

#[test]
fn files_come_out_of_a_disk_that_was_not_restored() {
    let folder = Folder::new("looks-disk");
    let data = folder.join("data");
    tree(&data);
    fs::write(data.join(OsStr::from_bytes(b"caf\xe9")), b"odd").unwrap();
    std::os::unix::fs::symlink("../../../../etc/passwd", data.join("out")).unwrap();
    // A file with a hole, across many pieces.
    let holed = File::create(data.join("holed")).unwrap();
    holed.set_len(5 * MIB).unwrap();
    holed.write_all_at(&noise(9, 100_000), 3 * MIB + 77).unwrap();
    let repository = quick(&folder.join("repository"));
    for kind in ["ext2", "ext3", "ext4"] {
        let (system, disk) = (folder.join("system"), folder.join("disk"));
        filesystem(kind, &data, &system, 40);
        gpt(&system, &disk);
        for (image, below, volumes) in [(&system, "", false), (&disk, "/p1", true)] {
            let id = take(&repository, image).id;
            let root = "/machines/m1/root.raw";
            let above = look(&repository, &id, "/machines/m1").unwrap();
            assert_eq!((names(&above), above[0].kind, above[0].opens), (vec!["root.raw"], ItemKind::Disk, true));
            if volumes {
                let told: Vec<_> = look(&repository, &id, root)
                    .unwrap()
                    .into_iter()
                    .map(|item| (item.name, item.filesystem.unwrap(), item.label.unwrap(), item.opens))
                    .collect();
                let wanted = [("p1", kind, "system", true), ("p2", "", "資料", false)];
                assert_eq!(told, wanted.map(|(a, b, c, d)| (a.to_owned(), b.to_owned(), c.to_owned(), d)));
                assert_eq!(code(look(&repository, &id, &format!("{root}/p2"))), fault::FILESYSTEM_UNKNOWN);
                assert_eq!(code(look(&repository, &id, &format!("{root}/p3"))), fault::SNAPSHOT_PATH);
            }
            let at = |path: &str| format!("{root}{below}{path}");
            let top = look(&repository, &id, &at("")).unwrap();
            assert!(names(&top).contains(&"caf%e9"), "{top:?}");
            let out = top.iter().find(|item| item.name == "out").unwrap();
            assert_eq!((out.kind, out.target.as_deref()), (ItemKind::Symlink, Some("../../../../etc/passwd")));
            let to = folder.join("fetched");
            for name in ["deep/large", "deep/zeros", "holed", "empty file", "文件.txt", "deep/er/n150"] {
                let fetched = fetch(&repository, &id, &at(&format!("/{name}")), &to);
                // Large holes of older file systems are beyond the reader, and that is what it says.
                if kind != "ext4" && ["deep/zeros", "holed"].contains(&name) && fetched.is_err() {
                    assert_eq!(code(fetched), fault::FILESYSTEM_UNKNOWN);
                    continue;
                }
                let (found, _) = fetched.unwrap();
                assert!(found == fs::read(data.join(name)).unwrap(), "{kind} {name}");
            }
            assert_eq!(fetch(&repository, &id, &at("/caf%e9"), &to).unwrap().0, b"odd");
            // A link that leads out leads nowhere: there is no such file on this disk.
            assert_eq!(code(look(&repository, &id, &at("/out/x"))), fault::SNAPSHOT_PATH);
            assert_eq!(code(fetch(&repository, &id, &at("/out"), &to)), fault::SNAPSHOT_KIND);
            if kind != "ext4" {
                continue;
            }
            fetch(&repository, &id, &at("/deep"), &to).unwrap();
            let unpacked_to = folder.join(&format!("unpacked-{kind}-{volumes}"));
            assert!(unpacked(&to, &unpacked_to) == listing(&data.join("deep")), "{kind}");
        }
    }
}

#[test]
fn a_file_system_that_cannot_be_read_is_named() {
    let folder = Folder::new("looks-named");
    let repository = quick(&folder.join("repository"));
    for (at, mark, name) in [
        (0, &b"XFSB"[..], "xfs"),
        (3, b"NTFS    ", "ntfs"),
        (512, b"LABELONE", "LVM2_member"),
        (0, b"LUKS\xba\xbe", "crypto_LUKS"),
    ] {
        let disk = folder.join("disk");
        let file = File::create(&disk).unwrap();
        file.set_len(2 * MIB).unwrap();
        file.write_all_at(mark, at).unwrap();
        let id = take(&repository, &disk).id;
        let error = look(&repository, &id, "/machines/m1/root.raw").unwrap_err();
        assert_eq!(error.code(), fault::FILESYSTEM_UNKNOWN);
        assert!(error.message().contains(name) && error.message().contains("beside"), "{}", error.message());
    }
}

#[test]
fn a_hostile_image_harms_nobody() {
    let folder = Folder::new("looks-hostile");
    let data = folder.join("data");
    tree(&data);
    let system = folder.join("system");
    filesystem("ext4", &data, &system, 40);
    let whole = fs::read(&system).unwrap();
    let repository = quick(&folder.join("repository"));
    let known = [
        fault::FILESYSTEM_DAMAGED,
        fault::FILESYSTEM_UNKNOWN,
        fault::SNAPSHOT_PATH,
        fault::SNAPSHOT_KIND,
        fault::MEMORY,
        fault::CRASHED,
        fault::FETCH_TOO_LARGE,
    ];
    let mut refused = 0;
    for round in 0..24_u64 {
        // Rubbish over parts of what describes the file system: superblock, groups, inodes, directories.
        let mut bytes = whole.clone();
        for (at, byte) in noise(round, 64).chunks_exact(8).zip(noise(round + 1_000, 8)) {
            let at = u64::from_le_bytes(at.try_into().unwrap()) % if round % 2 == 0 { 2_048 } else { 2 * MIB };
            bytes[usize::try_from(1_024 + at).unwrap()] = byte;
        }
        let disk = folder.join("disk");
        fs::write(&disk, &bytes).unwrap();
        let id = take(&repository, &disk).id;
        for path in ["", "/deep/er"] {
            match look(&repository, &id, &format!("/machines/m1/root.raw{path}")) {
                Ok(_) => {}
                Err(error) => {
                    refused += 1;
                    assert!(known.contains(&error.code()), "round {round}: {error:?}");
                }
            }
        }
    }
    assert!(refused > 10, "{refused}");
}

#[test]
fn damage_of_the_repository_is_told_from_damage_of_the_image() {
    let folder = Folder::new("looks-damage");
    let data = folder.join("data");
    tree(&data);
    let system = folder.join("system");
    filesystem("ext4", &data, &system, 40);
    let repository = quick(&folder.join("repository"));
    let id = take(&repository, &system).id;
    let path = "/machines/m1/root.raw/deep/large";
    let to = folder.join("fetched");
    fetch(&repository, &id, path, &to).unwrap();
    let mut packs = Vec::new();
    for below in fs::read_dir(folder.join("repository/data")).unwrap() {
        packs.extend(fs::read_dir(below.unwrap().path()).unwrap().map(|pack| pack.unwrap().path()));
    }
    let largest = packs.into_iter().max_by_key(|pack| pack.metadata().unwrap().len()).unwrap();
    let before = fs::read(&largest).unwrap();
    fs::set_permissions(&largest, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let file = OpenOptions::new().write(true).open(&largest).unwrap();
    for at in (0..before.len() as u64).step_by(32) {
        file.write_all_at(&[before[usize::try_from(at).unwrap()] ^ 0xff], at).unwrap();
    }
    assert_eq!(code(fetch(&repository, &id, path, &to)), fault::REPOSITORY_DAMAGED);
    assert!(!to.exists());
    fs::remove_file(&largest).unwrap();
    let gone = fetch(&repository, &id, path, &to).unwrap_err();
    assert!([fault::REPOSITORY_INCOMPLETE, fault::REPOSITORY_DAMAGED].contains(&gone.code()), "{gone:?}");
}
