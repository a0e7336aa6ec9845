//! Repositories in directories, tried with restic on the other side.

use std::fs;

use vault::client::Cancel;
use vault::fault;
use vault::request::{Answer, Key, Read, Secret, Source, Task};

use crate::judge::{Restic, there};
use crate::support::*;

#[test]
fn what_we_wrote_is_listed_checked_and_restored_by_restic() {
    let folder = Folder::new("ours");
    tree(&folder.join("data"));
    let repository = make(&folder.join("repo"));
    let first = back_up(&repository, &folder.join("data")).unwrap();
    fs::write(folder.join("data/new"), b"new").unwrap();
    let second = back_up(&repository, &folder.join("data")).unwrap();
    assert_ne!(first.tree, second.tree);
    assert_eq!(second.host, "tree");
    assert_eq!(second.paths, ["/data"]);
    assert_eq!(snapshots(&repository).unwrap(), [first.clone(), second.clone()]);
    let checked = check(&repository, Read::Everything).unwrap();
    assert!(checked.whole, "{checked:?}");

    let restored = restore(&repository, &second.id, "/data", &folder.join("back")).unwrap();
    assert_eq!(listing(&folder.join("back")), listing(&folder.join("data")));
    assert_eq!(restored.files, 207);
    assert!(!folder.join(".back.unfinished").exists());
    if !there() {
        return;
    }
    // Both passwords open it: a customer can leave with either.
    for password in [PASSWORD, ESCROW] {
        let restic = Restic::at(&folder.join("repo"), password);
        assert!(restic.run(["snapshots"]).contains(&second.id[..8]));
    }
    let restic = Restic::at(&folder.join("repo"), ESCROW);
    restic.check();
    let target = folder.join("by-restic");
    restic.run(["restore", &second.id, "--target", target.to_str().unwrap()]);
    assert_eq!(listing(&target.join("data")), listing(&folder.join("data")));
}

#[test]
fn what_restic_wrote_we_list_check_and_restore() {
    if !there() {
        return;
    }
    let folder = Folder::new("theirs");
    tree(&folder.join("data"));
    let restic = Restic::at(&folder.join("repo"), PASSWORD);
    restic.run(["init"]);
    restic.run(["backup", "--host", "tree", folder.join("data").to_str().unwrap()]);
    let repository = repository(&folder.join("repo"));
    let found = snapshots(&repository).unwrap();
    assert_eq!(found.len(), 1);
    assert!(check(&repository, Read::Everything).unwrap().whole);
    let inside = folder.join("data").to_str().unwrap().to_owned();
    restore(&repository, &found[0].id, &inside, &folder.join("back")).unwrap();
    assert_eq!(listing(&folder.join("back")), listing(&folder.join("data")));
    // And we go on where restic stopped.
    back_up(&repository, &folder.join("data")).unwrap();
    restic.check();
}

#[test]
fn a_directory_of_a_snapshot_is_browsed_and_one_file_brought_back() {
    let folder = Folder::new("browse");
    tree(&folder.join("data"));
    let repository = make(&folder.join("repo"));
    let taken = back_up(&repository, &folder.join("data")).unwrap();
    let browse = |path: &str, limit| {
        let task = Task::Browse { snapshot: taken.id.clone(), path: path.to_owned(), limit };
        match run(&repository, &task) {
            Ok(Answer::Entries { entries, more }) => Ok((entries, more)),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error),
        }
    };
    let (top, more) = browse("", 10).unwrap();
    assert_eq!((top.len(), top[0].name.as_str(), top[0].kind.as_str(), more), (1, "data", "dir", false));
    let (data, _) = browse("/data", 100).unwrap();
    let names: Vec<_> = data.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["deep", "empty", "empty file", "link", "second name", "文件.txt"]);
    let (few, more) = browse("/data/deep/er", 5).unwrap();
    assert_eq!((few.len(), more), (5, true));
    assert_eq!(code(browse("/data/none", 5)), fault::SNAPSHOT_PATH);

    let restored = restore(&repository, &taken.id, "/data/deep/large", &folder.join("one")).unwrap();
    assert_eq!((restored.files, restored.bytes), (1, 9 << 20));
    assert_eq!(fs::read(folder.join("one/large")).unwrap(), noise(7, 9 << 20));
    assert_eq!(code(restore(&repository, &taken.id, "/nowhere", &folder.join("two"))), fault::SNAPSHOT_PATH);
    assert_eq!(code(restore(&repository, &taken.id, "/data", &folder.join("one"))), fault::TARGET_TAKEN);
    assert_eq!(code(restore(&repository, &"0".repeat(64), "", &folder.join("two"))), fault::SNAPSHOT_MISSING);
    assert!(!folder.join("two").exists());
}

#[test]
fn a_stream_becomes_a_file_and_one_that_is_cut_becomes_nothing() {
    let folder = Folder::new("stream");
    let repository = make(&folder.join("repo"));
    let mut backup = backup_of(&folder.0);
    backup.source = Source::Stream { named: "/dump.sql".into() };
    let task = Task::Backup(backup);
    let data = noise(3, 5 << 20);
    let taken = worker().run_with(&repository, &task, &Cancel::new(), &mut |_| {}, data.as_slice()).unwrap();
    let Answer::Taken { snapshot, .. } = taken else { panic!("{taken:?}") };
    restore(&repository, &snapshot.id, "/dump.sql", &folder.join("back")).unwrap();
    assert_eq!(fs::read(folder.join("back/dump.sql")).unwrap(), data);

    struct Cut(usize);
    impl std::io::Read for Cut {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0 = self.0.checked_sub(1).ok_or_else(|| std::io::Error::other("the dump failed"))?;
            buffer.fill(7);
            Ok(buffer.len())
        }
    }
    let cut = worker().run_with(&repository, &task, &Cancel::new(), &mut |_| {}, Cut(5));
    assert_eq!(code(cut), fault::SOURCE_CUT);
    assert_eq!(snapshots(&repository).unwrap(), [snapshot]);
}

#[test]
fn the_master_key_opens_and_a_wrong_one_is_named() {
    let folder = Folder::new("keys");
    let mut repository = repository(&folder.join("repo"));
    assert_eq!(code(snapshots(&repository)), fault::REPOSITORY_MISSING);
    let making = Task::Make { escrow: Secret::new(ESCROW), alike: None };
    let made = run(&repository, &making).unwrap();
    let Answer::Made { master, .. } = made else { panic!("{made:?}") };
    assert_eq!(code(run(&repository, &making)), fault::REPOSITORY_EXISTS);
    repository.key = Key::Master(master);
    assert!(snapshots(&repository).unwrap().is_empty());
    repository.key = Key::Password(Secret::new("guess"));
    assert_eq!(code(snapshots(&repository)), fault::REPOSITORY_KEY);
    repository.key = Key::Master(Secret::new("{}"));
    assert_eq!(code(snapshots(&repository)), fault::REPOSITORY_KEY);
}

#[test]
fn a_copy_is_a_transfer_done_once_and_takes_no_second_room() {
    let folder = Folder::new("copy");
    tree(&folder.join("data"));
    let repository = make(&folder.join("repo"));
    let taken = back_up(&repository, &folder.join("data")).unwrap();
    let other = crate::support::repository(&folder.join("copy"));
    let making = Task::Make { escrow: Secret::new(ESCROW), alike: Some(Box::new(repository.clone())) };
    run(&other, &making).unwrap();
    let copying = Task::Copy { to: Box::new(other.clone()), snapshots: vec![taken.id.clone()] };
    let Answer::Copied(pairs) = run(&repository, &copying).unwrap() else { panic!() };
    let copies = snapshots(&other).unwrap();
    assert_eq!(pairs.get(&taken.id), Some(&copies[0].id));
    assert_eq!((copies.len(), &copies[0].original), (1, &Some(taken.id.clone())));
    let Answer::Copied(again) = run(&repository, &copying).unwrap() else { panic!() };
    assert_eq!(again, pairs);
    restore(&other, &copies[0].id, "/data", &folder.join("back")).unwrap();
    assert_eq!(listing(&folder.join("back")), listing(&folder.join("data")));
    // The same data backed up there directly adds nothing but what describes it.
    let direct = back_up(&other, &folder.join("data")).unwrap();
    assert!(direct.figures.unwrap().added_bytes < 100_000, "{direct:?}");
    if there() {
        Restic::at(&folder.join("copy"), ESCROW).check();
    }
}

#[test]
fn what_is_forgotten_is_pruned_when_its_grace_has_passed() {
    let folder = Folder::new("prune");
    tree(&folder.join("data"));
    let repository = make(&folder.join("repo"));
    let first = back_up(&repository, &folder.join("data")).unwrap();
    fs::write(folder.join("data/deep/large"), noise(99, 9 << 20)).unwrap();
    let second = back_up(&repository, &folder.join("data")).unwrap();
    run(&repository, &Task::Forget { snapshots: vec![first.id] }).unwrap();
    let prune = |grace_hours| match run(&repository, &Task::Prune { grace_hours }).unwrap() {
        Answer::Pruned { removed_bytes, marked_bytes } => (removed_bytes, marked_bytes),
        other => panic!("{other:?}"),
    };
    let (removed, marked) = prune(48);
    assert!(removed == 0 && marked > 9 << 20, "{removed} {marked}");
    let (removed, _) = prune(0);
    assert!(removed > 9 << 20, "{removed}");
    assert!(check(&repository, Read::Everything).unwrap().whole);
    restore(&repository, &second.id, "/data", &folder.join("back")).unwrap();
    assert_eq!(listing(&folder.join("back")), listing(&folder.join("data")));
    // While restic holds a lock, nothing is pruned.
    fs::write(folder.join("repo/locks").join("a".repeat(64)), b"lock").unwrap();
    assert_eq!(code(run(&repository, &Task::Prune { grace_hours: 0 })), fault::REPOSITORY_LOCKED);
    fs::remove_file(folder.join("repo/locks").join("a".repeat(64))).unwrap();
    if there() {
        Restic::at(&folder.join("repo"), ESCROW).check();
    }
}
