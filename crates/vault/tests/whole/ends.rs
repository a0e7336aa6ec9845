//! Every bad end has its name, and none leaves something that looks good.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use vault::client::Cancel;
use vault::fault;
use vault::request::{Limits, Read, Task, Unreadable};

use crate::support::*;

/// The files of a kind in a repository, the largest first.
fn files(repository: &Path, kind: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![repository.join(kind)];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() { open.push(entry.path()) } else { found.push(entry.path()) }
        }
    }
    found.sort_by_key(|path| std::cmp::Reverse(path.metadata().unwrap().len()));
    found
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    fs::write(path, bytes).unwrap();
}

/// What somebody does to a file of the repository.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Harm {
    Flip,
    Cut,
    Remove,
}

#[test]
fn damage_is_named_and_no_restore_of_it_is_left_behind() {
    let folder = Folder::new("damage");
    tree(&folder.join("data"));
    let repository = make(&folder.join("whole"));
    let taken = back_up(&repository, &folder.join("data")).unwrap();
    let good = [fault::REPOSITORY_DAMAGED, fault::REPOSITORY_INCOMPLETE];
    for kind in ["data", "index", "snapshots", "keys", "config"] {
        for harm in [Harm::Flip, Harm::Cut, Harm::Remove] {
            let at = folder.join(&format!("{kind}-{harm:?}"));
            assert!(
                std::process::Command::new("cp")
                    .arg("-a")
                    .args([folder.join("whole"), at.clone()])
                    .status()
                    .unwrap()
                    .success()
            );
            let all = if kind == "config" { vec![at.join("config")] } else { files(&at, kind) };
            // Of keys every one: with one left, the repository opens as it should.
            let harmed = if kind == "keys" { &all[..] } else { &all[..1] };
            for path in harmed {
                match harm {
                    Harm::Flip => flip(path),
                    Harm::Cut => {
                        fs::write(path, &fs::read(path).unwrap()[..path.metadata().unwrap().len() as usize / 2])
                            .unwrap()
                    }
                    Harm::Remove => fs::remove_file(path).unwrap(),
                }
            }
            let broken = crate::support::repository(&at);
            let to = folder.join(&format!("back-{kind}-{harm:?}"));
            let restored = restore(&broken, &taken.id, "/data", &to);
            if (kind, harm) == ("index", Harm::Remove) {
                // The packs tell themselves what is in them.
                restored.unwrap();
                assert_eq!(listing(&to), listing(&folder.join("data")));
                continue;
            }
            let failed = code(restored);
            let expected: &[&str] = match (kind, harm) {
                ("snapshots", Harm::Remove) => &[fault::SNAPSHOT_MISSING],
                ("config", Harm::Remove) => &[fault::REPOSITORY_MISSING],
                ("keys", Harm::Remove) => &[fault::REPOSITORY_KEY],
                _ => &good,
            };
            assert!(expected.contains(&failed.as_str()), "{kind} {harm:?}: {failed}");
            assert!(!to.exists() && !folder.join(&format!(".back-{kind}-{harm:?}.unfinished")).exists());
            // A check finds it too, or says that it cannot even begin. Nobody misses a snapshot
            // that is gone without a trace: who counts them is whoever ordered them.
            match check(&broken, Read::Everything) {
                Ok(checked) => assert!(
                    !checked.whole || (kind, harm) == ("snapshots", Harm::Remove),
                    "{kind} {harm:?}: {checked:?}"
                ),
                Err(error) => assert_ne!(error.code(), fault::CRASHED, "{kind} {harm:?}: {error}"),
            }
        }
    }
}

#[test]
fn a_snapshot_that_cannot_be_read_stops_prune() {
    let folder = Folder::new("unreadable-snapshot");
    tree(&folder.join("data"));
    let repository = make(&folder.join("repo"));
    back_up(&repository, &folder.join("data")).unwrap();
    flip(&files(&folder.join("repo"), "snapshots")[0]);
    let before = files(&folder.join("repo"), "data").len();
    assert_eq!(code(run(&repository, &Task::Prune { grace_hours: 0 })), fault::REPOSITORY_DAMAGED);
    assert_eq!(files(&folder.join("repo"), "data").len(), before);
    assert_eq!(code(snapshots(&repository)), fault::REPOSITORY_DAMAGED);
}

#[test]
fn a_lost_pack_is_written_again_by_the_next_backup() {
    let folder = Folder::new("heal");
    tree(&folder.join("data"));
    let repository = make(&folder.join("repo"));
    back_up(&repository, &folder.join("data")).unwrap();
    fs::remove_file(&files(&folder.join("repo"), "data")[0]).unwrap();
    let again = back_up(&repository, &folder.join("data")).unwrap();
    restore(&repository, &again.id, "/data", &folder.join("back")).unwrap();
    assert_eq!(listing(&folder.join("back")), listing(&folder.join("data")));
    assert!(!check(&repository, Read::Nothing).unwrap().whole);
    run(&repository, &Task::Repair).unwrap();
    assert!(check(&repository, Read::Everything).unwrap().whole);
}

#[test]
fn a_copy_of_what_is_not_whole_is_refused() {
    let folder = Folder::new("half-copy");
    tree(&folder.join("data"));
    let (from, to) = (make(&folder.join("from")), make(&folder.join("to")));
    let taken = back_up(&from, &folder.join("data")).unwrap();
    fs::remove_file(&files(&folder.join("from"), "data")[0]).unwrap();
    let copying = Task::Copy { to: Box::new(to.clone()), snapshots: vec![taken.id] };
    assert_eq!(code(run(&from, &copying)), fault::REPOSITORY_INCOMPLETE);
    assert!(snapshots(&to).unwrap().is_empty());
}

/// A directory in which one file can be read by nobody, and the others by everybody.
const WRITE_ONLY: &str = "/proc/sys/net/ipv4/route";

#[test]
fn a_source_that_is_not_there_or_not_readable_leaves_no_snapshot() {
    let folder = Folder::new("source");
    let repository = make(&folder.join("repo"));
    assert_eq!(code(back_up(&repository, &folder.join("none"))), fault::SOURCE_MISSING);
    // Reading the memory of a process at zero fails, whoever asks.
    assert_eq!(code(back_up(&repository, Path::new("/proc/self/mem"))), fault::SOURCE_UNREADABLE);
    assert!(snapshots(&repository).unwrap().is_empty());

    // In a directory: refused, or told, as was asked.
    let mut backup = backup_of(Path::new(WRITE_ONLY));
    assert_eq!(code(run(&repository, &Task::Backup(backup.clone()))), fault::SOURCE_UNREADABLE);
    assert!(snapshots(&repository).unwrap().is_empty());
    backup.unreadable = Unreadable::Report;
    match run(&repository, &Task::Backup(backup)).unwrap() {
        vault::request::Answer::Taken { unread, .. } => assert!(!unread.is_empty()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn too_little_memory_or_time_is_named() {
    let folder = Folder::new("limits");
    tree(&folder.join("data"));
    let repository = make(&folder.join("repo"));
    let task = Task::Backup(backup_of(&folder.join("data")));
    let limited = |limits| code(worker().limited(limits).run(&repository, &task, &Cancel::new(), &mut |_| {}));
    assert_eq!(limited(Limits { memory_mib: 16, ..Limits::default() }), fault::MEMORY);
    assert_eq!(limited(Limits { seconds: 0, ..Limits::default() }), fault::DEADLINE);
    assert!(snapshots(&repository).unwrap().is_empty());
}

#[test]
fn a_cancelled_restore_leaves_nothing() {
    let folder = Folder::new("cancel");
    tree(&folder.join("data"));
    let repository = make(&folder.join("repo"));
    let taken = back_up(&repository, &folder.join("data")).unwrap();
    let cancel = Cancel::new();
    let task = Task::Restore(vault::request::Restore {
        snapshot: taken.id,
        path: String::new(),
        to: folder.join("back"),
        sparse: false,
        owners: false,
    });
    let stop = cancel.clone();
    let ended = worker().run(&repository, &task, &cancel, &mut |_| {
        stop.cancel();
        sleep(Duration::from_millis(200));
    });
    assert_eq!(code(ended), fault::CANCELLED);
    assert!(!folder.join("back").exists() && !folder.join(".back.unfinished").exists());
}
