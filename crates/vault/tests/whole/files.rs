//! Trees of files: cut, described and compared as restic does it, so that each goes on where the
//! other stopped; and told truly, whatever becomes of the files meanwhile.

use std::ffi::OsStr;
use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::scope;
use std::time::{Duration, SystemTime};

use rustic_cdc::{Rabin64, RollingHash64};
use rustix::fs::{CWD, Mode, OFlags, XattrFlags};
use serde_json::Value as Json;
use vault::client::Cancel;
use vault::fault;
use vault::request::{Answer, Backup, Limits, Repository, Snapshot, Source, Task, Unreadable};

use crate::judge::{Restic, there};
use crate::support::*;

/// A backup of a directory under its own path, as restic takes it.
fn task(path: &Path) -> Backup {
    let source = Source::Path { path: path.to_owned(), named: None, except: Vec::new() };
    Backup { source, label: String::new(), tags: Vec::new(), ..backup_of(path) }
}

fn take(repository: &Repository, backup: Backup) -> (Snapshot, Vec<String>) {
    match run(repository, &Task::Backup(backup)).unwrap() {
        Answer::Taken { snapshot, unread } => (snapshot, unread),
        other => panic!("{other:?}"),
    }
}

/// A tree with all that a file system has.
fn everything(at: &Path) {
    tree(at);
    for name in [&b"a\nb"[..], b"\"quoted\\\"", b"\xff\xfe not text", "\u{e9}t\u{e9} \u{2603}".as_bytes(), b"-"] {
        fs::write(at.join(OsStr::from_bytes(name)), name).unwrap();
    }
    // In the order of the whole path these two lie the other way round.
    fs::create_dir_all(at.join("deep-er/x")).unwrap();
    fs::write(at.join("deep-er/x/y"), b"y").unwrap();
    symlink("\u{2603} nowhere", at.join("odd link")).unwrap();
    rustix::fs::mknodat(CWD, at.join("pipe"), rustix::fs::FileType::Fifo, Mode::from_raw_mode(0o640), 0).unwrap();
    fs::write(at.join("larger"), noise(11, 20 << 20)).unwrap();
    fs::write(at.join("attributes"), b"").unwrap();
    // Not every file system has them.
    let _ = rustix::fs::setxattr(at.join("attributes"), "user.colour", b"\x00green\xff", XattrFlags::empty());
    for (name, mode) in [("attributes", 0o4711), ("empty", 0o1777), ("deep", 0o2750), ("", 0o700)] {
        fs::set_permissions(at.join(name), Permissions::from_mode(mode)).unwrap();
    }
    for (number, name) in ["larger", "empty", "deep/er", "deep", ""].into_iter().enumerate() {
        let at_time = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000 + number as u64, 123_456_789);
        File::open(at.join(name)).unwrap().set_times(FileTimes::new().set_modified(at_time)).unwrap();
    }
}

/// All that is below a directory with all that restic brings back of it, itself first.
fn described(at: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open = vec![at.to_owned()];
    while let Some(path) = open.pop() {
        let meta = path.symlink_metadata().unwrap();
        let kind = meta.file_type();
        let links = if kind.is_dir() { 0 } else { meta.nlink() };
        let size = if kind.is_file() { meta.len() } else { 0 };
        let colour = (kind.is_file()).then(|| {
            let mut value = [0; 32];
            let length = rustix::fs::lgetxattr(&path, "user.colour", &mut value[..]).unwrap_or(0);
            value[..length].to_vec()
        });
        let target = kind.is_symlink().then(|| fs::read_link(&path).unwrap());
        let text = format!(
            "{:o} {}:{} {}.{} {size} {links} {colour:?} {target:?} {}",
            meta.mode(),
            meta.uid(),
            meta.gid(),
            meta.mtime(),
            meta.mtime_nsec(),
            kind.is_fifo(),
        );
        found.push((path.strip_prefix(at).unwrap().to_owned(), text));
        if kind.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found.sort();
    found
}

/// A backup by restic: its summary.
fn by_restic(restic: &Restic, more: &[&str], path: &Path) -> Json {
    let mut arguments = vec!["backup", "--json", "--host", "tree"];
    arguments.extend(more);
    arguments.push(path.to_str().unwrap());
    serde_json::from_str(restic.run(arguments).lines().last().unwrap()).unwrap()
}

/// What restic finds different between two snapshots: lines that begin with what changed.
fn different(restic: &Restic, one: &str, other: &str) -> Vec<String> {
    let said = restic.run(["diff", one, other]);
    let changed = |line: &&str| ["+ ", "- ", "M ", "T "].iter().any(|sign| line.starts_with(sign));
    said.lines().filter(changed).map(str::to_owned).collect()
}

/// A file whose first border is a few bytes after the smallest size that a piece may have.
fn early_border(polynomial: u64) -> Vec<u8> {
    let data = noise(13, 16 << 20);
    let mut hash = Rabin64::new_with_polynom(6, &polynomial);
    let end = data.iter().enumerate().position(|(number, byte)| {
        hash.slide(*byte);
        number >= 63 && hash.hash & ((1 << 20) - 1) == 0
    });
    let end = end.unwrap() + 1;
    let mut file = noise(14, (512 << 10) + 30 - 64);
    file.extend_from_slice(&data[end - 64..end]);
    file.extend(noise(15, 2 << 20));
    file
}

#[test]
fn restic_finds_nothing_new_after_us_and_we_nothing_after_restic() {
    if !there() {
        return;
    }
    let folder = Folder::new("alike");
    let data = folder.join("data");
    everything(&data);
    for ours_first in [true, false] {
        let at = folder.join(if ours_first { "ours" } else { "theirs" });
        let restic = Restic::at(&at, PASSWORD);
        let repository = if ours_first { make(&at) } else { repository(&at) };
        if !ours_first {
            restic.run(["init"]);
        }
        let config: Json = serde_json::from_str(&restic.run(["cat", "config"])).unwrap();
        let polynomial = u64::from_str_radix(config["chunker_polynomial"].as_str().unwrap(), 16).unwrap();
        fs::write(data.join("early"), early_border(polynomial)).unwrap();
        // A label of its own, so that one does not go on from the other: all is read and cut.
        let ours = || take(&repository, Backup { label: "ours".into(), ..task(&data) }).0;
        let theirs = || by_restic(&restic, &["--force"], &data);
        let (our, their) = if ours_first {
            let our = ours();
            let their = theirs();
            assert_eq!(their["data_blobs"], 0, "{their}");
            (our, their)
        } else {
            let their = theirs();
            let our = ours();
            let figures = our.figures.unwrap();
            assert!(figures.added_bytes < 300_000 && figures.files_changed == figures.files, "{figures:?}");
            (our, their)
        };
        let their_id = their["snapshot_id"].as_str().unwrap();
        assert_eq!(different(&restic, &our.id, their_id), Vec::<String>::new());
        assert_eq!(their["total_bytes_processed"], our.figures.unwrap().bytes);
        // Each knows from what the other wrote that nothing changed.
        let again = by_restic(&restic, &["--parent", &our.id], &data);
        assert_eq!((&again["files_new"], &again["files_changed"]), (&0.into(), &0.into()), "{again}");
        let next = take(&repository, task(&data)).0.figures.unwrap();
        assert_eq!(next.files_changed, 0, "{next:?}");
        restic.check();
    }
}

#[test]
fn restic_brings_everything_back_as_it_was() {
    if !there() {
        return;
    }
    let folder = Folder::new("described");
    let data = folder.join("data");
    everything(&data);
    let repository = make(&folder.join("repo"));
    let (taken, _) = take(&repository, task(&data));
    let restic = Restic::at(&folder.join("repo"), ESCROW);
    let to = folder.join("back");
    restic.run(["restore", &taken.id, "--target", to.to_str().unwrap()]);
    let back = to.join(data.strip_prefix("/").unwrap());
    let (expected, found) = (described(&data), described(&back));
    let odd: Vec<_> = expected.iter().zip(&found).filter(|(one, other)| one != other).collect();
    assert!(odd.is_empty() && expected.len() == found.len(), "{odd:#?}");
    // Contents without the pipe, which nobody writes to.
    for at in [&back, &data] {
        fs::remove_file(at.join("pipe")).unwrap();
    }
    assert_eq!(listing(&back), listing(&data));
    let size: Json = serde_json::from_str(&restic.run(["stats", "--json", "--mode", "files-by-contents"])).unwrap();
    let once = fs::metadata(data.join("deep/large")).unwrap().len();
    assert_eq!(size["total_size"], taken.figures.unwrap().bytes - once, "one of two names for a file");
}

#[test]
fn what_did_not_change_is_not_read_and_what_did_is() {
    let folder = Folder::new("changed");
    let data = folder.join("data");
    tree(&data);
    let repository = make(&folder.join("repo"));
    let first = take(&repository, task(&data)).0.figures.unwrap();
    assert_eq!((first.files, first.files_changed), (207, 207));
    let second = take(&repository, task(&data)).0;
    let same = second.figures.unwrap();
    assert_eq!((same.files, same.bytes, same.files_changed, same.added_bytes), (207, first.bytes, 0, 0));
    // Of the same size, and with the time of before.
    let path = data.join("deep/er/n7");
    let modified = path.metadata().unwrap().modified().unwrap();
    fs::write(&path, noise(8, 679)).unwrap();
    File::open(&path).unwrap().set_times(FileTimes::new().set_modified(modified)).unwrap();
    // A file in place of another, a directory in place of a file, and a file in place of a directory.
    fs::rename(data.join("deep/er/n8"), data.join("deep/er/n9")).unwrap();
    fs::create_dir(data.join("deep/er/n8")).unwrap();
    fs::remove_dir(data.join("empty")).unwrap();
    fs::write(data.join("empty"), b"no directory").unwrap();
    let third = take(&repository, task(&data)).0;
    let figures = third.figures.unwrap();
    assert_eq!((figures.files, figures.files_changed), (207, 3), "{figures:?}");
    restore(&repository, &third.id, data.to_str().unwrap(), &folder.join("back")).unwrap();
    assert_eq!(listing(&folder.join("back")), listing(&data));
}

#[test]
fn paths_are_taken_under_their_own_names_without_what_is_excepted() {
    let folder = Folder::new("paths");
    let (data, link) = (folder.join("data"), folder.join("way"));
    tree(&data);
    fs::set_permissions(data.join("deep/er"), Permissions::from_mode(0o700)).unwrap();
    symlink(&data, &link).unwrap();
    let repository = make(&folder.join("repo"));
    let paths = ["data/deep", "data/文件.txt", "data/deep/er", "way"].map(|name| folder.join(name)).to_vec();
    let source = Source::Paths { paths, except: vec!["large".into(), "n1*".into()] };
    let (taken, unread) = take(&repository, Backup { source, ..task(&data) });
    assert_eq!(unread, Vec::<String>::new());
    assert_eq!(taken.paths, ["data/deep", "data/文件.txt", "way"].map(|name| folder.join(name).display().to_string()));
    restore(&repository, &taken.id, folder.0.to_str().unwrap(), &folder.join("back")).unwrap();
    let left_out = |name: &Path| {
        let name = name.file_name().unwrap().to_str().unwrap();
        name == "large" || name.starts_with("n1")
    };
    let expected = |at: &Path| listing(at).into_iter().filter(|(name, _)| !left_out(name)).collect::<Vec<_>>();
    assert_eq!(listing(&folder.join("back/data/deep")), expected(&data.join("deep")));
    assert_eq!(listing(&folder.join("back/way")), expected(&data));
    assert_eq!(listing(&folder.join("back/data")).iter().filter(|(name, _)| name.components().count() == 1).count(), 2);
    assert_eq!(folder.join("back/data/deep/er").metadata().unwrap().mode() & 0o777, 0o700);
}

/// How large a file is by a snapshot's own words.
fn told(repository: &Repository, snapshot: &str, folder: &str, name: &str) -> u64 {
    let task = Task::Browse { snapshot: snapshot.to_owned(), path: folder.to_owned(), limit: 100 };
    let Answer::Entries { entries, .. } = run(repository, &task).unwrap() else { panic!() };
    entries.iter().find(|entry| entry.name == name).unwrap().size
}

#[test]
fn a_file_that_changes_under_the_reading_is_told_as_it_was_read() {
    let folder = Folder::new("breathing");
    let data = folder.join("data");
    fs::create_dir(&data).unwrap();
    let file = File::create(data.join("breathing")).unwrap();
    file.write_all_at(&noise(17, 40 << 20), 0).unwrap();
    let repository = make(&folder.join("repo"));
    let over = AtomicBool::new(false);
    scope(|scope| {
        scope.spawn(|| {
            for number in 0_u64.. {
                file.set_len([40 << 20, 3 << 20, 61 << 20][number as usize % 3]).unwrap();
                std::thread::sleep(Duration::from_millis(7));
                if over.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        for number in 0..4 {
            let (taken, _) = take(&repository, backup_of(&data));
            let to = folder.join(&format!("back-{number}"));
            let restored = restore(&repository, &taken.id, "/data/breathing", &to).unwrap();
            let length = fs::metadata(to.join("breathing")).unwrap().len();
            assert_eq!(told(&repository, &taken.id, "/data", "breathing"), length);
            assert_eq!((restored.bytes, taken.figures.unwrap().bytes), (length, length));
        }
        over.store(true, Ordering::Relaxed);
    });
    // Some files have a size only when they are read.
    let taken = back_up(&repository, Path::new("/proc/sys/kernel/random")).unwrap();
    assert_eq!(told(&repository, &taken.id, "/data", "boot_id"), 37);
    if there() {
        Restic::at(&folder.join("repo"), ESCROW).check();
    }
}

#[test]
fn a_live_directory_is_taken_and_what_vanished_is_named() {
    let folder = Folder::new("live");
    let data = folder.join("data");
    tree(&data);
    let repository = make(&folder.join("repo"));
    let over = AtomicBool::new(false);
    scope(|scope| {
        scope.spawn(|| {
            for number in 0_u64.. {
                let name = data.join("deep/er").join(format!("live{}", number % 50));
                let _ = fs::remove_dir(&name);
                let _ = fs::remove_file(&name);
                match number % 4 {
                    0 => fs::create_dir(&name).unwrap(),
                    1 => symlink("/etc/passwd", &name).unwrap(),
                    2 => {
                        let mode = Mode::from_raw_mode(0o600);
                        rustix::fs::mknodat(CWD, &name, rustix::fs::FileType::Fifo, mode, 0).unwrap();
                    }
                    _ => fs::write(&name, noise(number, 1_000)).unwrap(),
                }
                let (from, to) = (data.join("deep/er/next"), data.join("deep/er/replaced"));
                fs::write(&from, noise(number, 3_000)).and_then(|()| fs::rename(&from, &to)).unwrap();
                if over.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        for number in 0..5 {
            let (taken, unread) = take(&repository, Backup { unreadable: Unreadable::Report, ..backup_of(&data) });
            let of_live = |text: &String| text.contains("/deep/er/");
            assert!(unread.iter().all(of_live), "{unread:?}");
            let to = folder.join(&format!("back-{number}"));
            restore(&repository, &taken.id, "/data", &to).unwrap();
            assert_eq!(fs::read(to.join("deep/large")).unwrap(), noise(7, 9 << 20));
        }
        over.store(true, Ordering::Relaxed);
    });
    if there() {
        Restic::at(&folder.join("repo"), ESCROW).check();
    }
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_is_there() {
    // A directory in which one file can be read by nobody.
    let path = Path::new("/proc/sys/net/ipv4/route");
    let folder = Folder::new("unread");
    let repository = make(&folder.join("repo"));
    let (taken, unread) = take(&repository, Backup { unreadable: Unreadable::Report, ..backup_of(path) });
    assert_eq!(unread, ["/proc/sys/net/ipv4/route/flush: Permission denied (os error 13)"]);
    let all = fs::read_dir(path).unwrap().count() as u64;
    assert_eq!(taken.figures.unwrap().files, all - 1);
    let refused = run(&repository, &Task::Backup(backup_of(path))).unwrap_err();
    assert_eq!(refused.code(), fault::SOURCE_UNREADABLE);
    assert!(refused.message().contains("route/flush"), "{refused}");
    let mut odd = task(path);
    odd.source = Source::Path { path: path.to_owned(), named: None, except: vec!["{a".into()] };
    assert_eq!(code(run(&repository, &Task::Backup(odd))), fault::REQUEST_INVALID);
}

#[test]
fn large_files_and_many_take_little_memory() {
    let folder = Folder::new("little");
    let data = folder.join("data");
    fs::create_dir(&data).unwrap();
    for name in ["one", "two", "three"] {
        File::create(data.join(name)).unwrap().set_len(1 << 30).unwrap();
    }
    fs::write(data.join("four"), noise(23, 96 << 20)).unwrap();
    for number in 0..3_000 {
        fs::write(data.join(format!("f{number}")), noise(number, 500)).unwrap();
    }
    let repository = make(&folder.join("repo"));
    let worker = worker().limited(Limits { memory_mib: 300, ..Limits::default() });
    let taken = worker.run(&repository, &Task::Backup(backup_of(&data)), &Cancel::new(), &mut |_| {}).unwrap();
    let Answer::Taken { snapshot, .. } = taken else { panic!("{taken:?}") };
    assert_eq!(snapshot.figures.unwrap().files, 3_004);
}

#[test]
fn a_single_file_that_did_not_change_is_not_read() {
    let folder = Folder::new("single");
    let path = folder.join("dump");
    fs::write(&path, noise(29, 5 << 20)).unwrap();
    let repository = make(&folder.join("repo"));
    let take = || back_up(&repository, &path).unwrap().figures.unwrap();
    let first = take();
    assert_eq!((first.files, first.bytes, first.files_changed), (1, 5 << 20, 1));
    let same = take();
    assert_eq!((same.files, same.bytes, same.files_changed, same.added_bytes), (1, 5 << 20, 0, 0));
    let file = rustix::fs::open(&path, OFlags::WRONLY, Mode::empty()).unwrap();
    rustix::io::pwrite(&file, b"changed", 4 << 20).unwrap();
    let changed = take();
    assert_eq!(changed.files_changed, 1);
    assert!(changed.added_bytes < 5 << 20, "only the pieces that changed: {changed:?}");
}

#[test]
fn a_file_that_says_what_a_directory_says_is_stored_beside_it() {
    let folder = Folder::new("alike");
    for (name, file, empty) in [("one", "a", "b"), ("other", "b", "a")] {
        let data = folder.join(name);
        fs::create_dir_all(data.join(empty)).unwrap();
        // What an empty directory is in the repository, byte for byte.
        fs::write(data.join(file), "{\"nodes\":[]}\n").unwrap();
        let repository = make(&folder.join(&format!("{name}-repo")));
        let taken = back_up(&repository, &data).unwrap();
        let to = folder.join(&format!("{name}-back"));
        restore(&repository, &taken.id, "/data", &to).unwrap();
        assert_eq!(listing(&to), listing(&data));
        if there() {
            Restic::at(&folder.join(&format!("{name}-repo")), ESCROW).check();
        }
    }
}

#[test]
fn a_directory_that_becomes_a_link_leads_nowhere_else() {
    let folder = Folder::new("exchanged");
    let (data, outside) = (folder.join("data"), folder.join("outside"));
    for number in 0..40 {
        fs::create_dir_all(data.join(format!("d{number}/sub"))).unwrap();
        fs::write(data.join(format!("d{number}/sub/own")), noise(number, 2_000)).unwrap();
        symlink(&outside, data.join(format!("d{number}/tub"))).unwrap();
    }
    fs::create_dir(&outside).unwrap();
    for name in ["own", "secret"] {
        fs::write(outside.join(name), "nobody is to see this").unwrap();
    }
    let repository = make(&folder.join("repo"));
    let over = AtomicBool::new(false);
    scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                for number in 0..40 {
                    let at = |name: &str| data.join(format!("d{number}/{name}"));
                    let exchange = rustix::fs::RenameFlags::EXCHANGE;
                    rustix::fs::renameat_with(CWD, at("sub"), CWD, at("tub"), exchange).unwrap();
                }
            }
        });
        for number in 0..6 {
            let (taken, _) = take(&repository, Backup { unreadable: Unreadable::Report, ..backup_of(&data) });
            let to = folder.join(&format!("back-{number}"));
            restore(&repository, &taken.id, "/data", &to).unwrap();
            let seen = |(name, contents): &(PathBuf, Vec<u8>)| {
                name.ends_with("secret") || contents.windows(6).any(|part| part == b"nobody")
            };
            assert_eq!(listing(&to).iter().find(|one| seen(one)).map(|(name, _)| name), None);
        }
        over.store(true, Ordering::Relaxed);
    });
}
