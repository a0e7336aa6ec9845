//! Disk images: what changes is stored, what cannot have changed is not read, and what comes back
//! is the image, also for whoever only has plain restic.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use base::Result;
use vault::client::Cancel;
use vault::fault;
use vault::request::{
    Answer, Backup, Changed, Image, Limits, Read, Repository, Restore, Restored, Snapshot, Source, Task, Unreadable,
};

use crate::judge::{self, Restic};
use crate::support::*;

const FOLDER: &str = "/disks";
const NAMED: &str = "/disks/vm.raw";
const MIB: u64 = 1 << 20;
/// What a change of one byte may cost: its piece.
const PIECE: u64 = 64 << 10;

/// A disk of 200 MiB and a bit, of which 12 MiB are written: at its beginning, middle and end, and
/// with zeros that were written.
fn disk(at: &Path) {
    let file = File::create(at).unwrap();
    file.set_len(200 * MIB + 12_345).unwrap();
    file.write_all_at(&noise(1, 5 << 20), 0).unwrap();
    file.write_all_at(&noise(2, 3 << 20), 99 * MIB + 4_096).unwrap();
    file.write_all_at(&vec![0; 3 << 20], 150 * MIB).unwrap();
    file.write_all_at(&noise(3, 1 << 20), 199 * MIB + 12_345).unwrap();
}

fn write(at: &Path, seed: u64, length: usize, offset: u64) {
    let file = OpenOptions::new().write(true).open(at).unwrap();
    file.write_all_at(&noise(seed, length), offset).unwrap();
}

/// A disk alone.
fn one(path: &Path, changed: Option<Changed>) -> Source {
    let image = Image { path: path.to_owned(), name: "vm.raw".to_owned(), changed };
    Source::Images { named: FOLDER.into(), images: vec![image] }
}

fn task(path: &Path, changed: Option<Changed>) -> Task {
    Task::Backup(Backup {
        source: one(path, changed),
        host: "host-1".to_owned(),
        tags: vec!["service=srv_1".to_owned()],
        label: "disks".to_owned(),
        unreadable: Unreadable::Refuse,
    })
}

fn take(repository: &Repository, path: &Path, changed: Option<Changed>) -> Result<Snapshot> {
    match run(repository, &task(path, changed))? {
        Answer::Taken { snapshot, .. } => Ok(snapshot),
        other => panic!("{other:?}"),
    }
}

fn added(snapshot: &Snapshot) -> u64 {
    snapshot.figures.unwrap().added_bytes
}

/// Brings the image back into a new directory.
fn bring(repository: &Repository, snapshot: &Snapshot, to: &Path) -> Result<Restored> {
    let restore = Restore {
        snapshot: snapshot.id.clone(),
        path: NAMED.to_owned(),
        to: to.to_owned(),
        sparse: true,
        owners: false,
    };
    match run(repository, &Task::Restore(restore))? {
        Answer::Restored(restored) => Ok(restored),
        other => panic!("{other:?}"),
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    std::process::Command::new("cmp").args([one, other]).status().unwrap().success()
}

#[test]
fn an_image_comes_back_with_its_holes_and_restic_agrees() {
    let folder = Folder::new("image");
    let image = folder.join("disk");
    disk(&image);
    let repository = make(&folder.join("repository"));
    let taken = take(&repository, &image, None).unwrap();
    assert_eq!(taken.paths, [FOLDER]);
    assert_eq!(taken.figures.unwrap().bytes, 200 * MIB + 12_345);
    let restored = bring(&repository, &taken, &folder.join("back")).unwrap();
    assert_eq!((restored.files, restored.bytes), (1, 200 * MIB + 12_345));
    let back = folder.join("back/vm.raw");
    assert!(is_same(&image, &back));
    assert!(back.metadata().unwrap().blocks() * 512 <= 10 * MIB, "{}", back.metadata().unwrap().blocks());
    let checked = check(&repository, Read::Everything).unwrap();
    assert!(checked.whole, "{checked:?}");
    if judge::there() {
        let restic = Restic::at(&folder.join("repository"), ESCROW);
        restic.check();
        restic.run(["restore", &taken.id, "--target", folder.join("theirs").to_str().unwrap()]);
        assert!(is_same(&image, &folder.join("theirs/disks/vm.raw")));
    }
}

#[test]
fn the_disks_of_a_machine_are_one_snapshot() {
    let folder = Folder::new("images");
    let repository = make(&folder.join("repository"));
    for (name, seed) in [("system", 41), ("data", 42)] {
        let file = File::create(folder.join(name)).unwrap();
        file.set_len(40 * MIB + 512).unwrap();
        file.write_all_at(&noise(seed, 2 << 20), 7 * MIB).unwrap();
    }
    let image = |name: &str, changed| Image { path: folder.join(name), name: format!("{name}.raw"), changed };
    let take = |images: Vec<Image>| {
        let task = task(&folder.join("unused"), None);
        let Task::Backup(backup) = task else { unreachable!() };
        let source = Source::Images { named: "/machines/vm_1".into(), images };
        match run(&repository, &Task::Backup(Backup { source, ..backup }))? {
            Answer::Taken { snapshot, .. } => Ok(snapshot),
            other => panic!("{other:?}"),
        }
    };
    let both = || vec![image("system", None), image("data", None)];
    let first: Snapshot = take(both()).unwrap();
    assert_eq!(
        first.figures.map(|told| (told.files, told.files_changed, told.bytes)),
        Some((2, 2, 2 * (40 * MIB + 512)))
    );
    write(&folder.join("data"), 43, 4_096, 20 * MIB);
    let second = take(both()).unwrap();
    assert!(added(&second) < 4 * PIECE, "{}", added(&second));
    assert_eq!(second.figures.unwrap().files_changed, 1);
    // What is known of one disk says nothing of the other.
    write(&folder.join("system"), 44, 4_096, 30 * MIB);
    let told = Changed { since: second.id.clone(), ranges: vec![(30 * MIB, 4_096)] };
    let third = take(vec![image("system", Some(told)), image("data", None)]).unwrap();
    for (name, to) in [("system", "one"), ("data", "two")] {
        restore(&repository, &third.id, &format!("/machines/vm_1/{name}.raw"), &folder.join(to)).unwrap();
        assert!(is_same(&folder.join(name), &folder.join(to).join(format!("{name}.raw"))));
    }
    if judge::there() {
        let restic = Restic::at(&folder.join("repository"), ESCROW);
        restic.check();
        restic.run(["restore", &third.id, "--target", folder.join("theirs").to_str().unwrap()]);
        assert!(is_same(&folder.join("data"), &folder.join("theirs/machines/vm_1/data.raw")));
    }
    for images in [
        vec![],
        vec![image("data", None), image("data", None)],
        vec![Image { name: "../x".into(), ..image("data", None) }],
    ] {
        assert_eq!(code(take(images)), fault::REQUEST_INVALID);
    }
}

#[test]
fn what_changed_is_stored_and_little_else() {
    let folder = Folder::new("image-changes");
    let image = folder.join("disk");
    disk(&image);
    let repository = make(&folder.join("repository"));
    let first = take(&repository, &image, None).unwrap();
    // Zeros that were written, and holes, are one piece.
    assert!(added(&first) < 10 * MIB, "{}", added(&first));
    let same = take(&repository, &image, None).unwrap();
    assert_eq!((same.tree.as_str(), added(&same)), (first.tree.as_str(), 0));
    // In a hole, across two pieces, and in what was written.
    let offsets = [40 * MIB, 64 * MIB - 2_048, MIB, 199 * MIB + 20_000];
    for (seed, offset) in (10..).zip(offsets) {
        write(&image, seed, 4_096, offset);
    }
    let second = take(&repository, &image, None).unwrap();
    let list = 300 << 10;
    assert!(added(&second) <= 5 * PIECE + list, "{}", added(&second));
    bring(&repository, &second, &folder.join("back")).unwrap();
    assert!(is_same(&image, &folder.join("back/vm.raw")));
    // Larger, its end cut anew; smaller; and empty.
    for length in [230 * MIB + 1, 70 * MIB + 7, 0] {
        OpenOptions::new().write(true).open(&image).unwrap().set_len(length).unwrap();
        let resized = take(&repository, &image, None).unwrap();
        let to = folder.join(&format!("back-{length}"));
        bring(&repository, &resized, &to).unwrap();
        assert!(is_same(&image, &to.join("vm.raw")), "{length}");
    }
    if judge::there() {
        Restic::at(&folder.join("repository"), ESCROW).check();
    }
}

#[test]
fn only_what_may_have_changed_is_read_where_that_is_known() {
    let folder = Folder::new("image-known");
    let image = folder.join("disk");
    disk(&image);
    let repository = make(&folder.join("repository"));
    let first = take(&repository, &image, None).unwrap();
    let before = folder.join("before");
    fs::copy(&image, &before).unwrap();
    write(&image, 20, 10_000, 2 * MIB);
    write(&image, 21, 4_096, 70 * MIB);
    // What nobody told of is not seen, which shows that it was not read.
    write(&image, 22, 4_096, 100 * MIB);
    let told = Changed { since: first.id.clone(), ranges: vec![(70 * MIB, 4_096), (2 * MIB, 10_000)] };
    let second = take(&repository, &image, Some(told)).unwrap();
    assert!(added(&second) <= 3 * PIECE + (300 << 10), "{}", added(&second));
    write(&before, 20, 10_000, 2 * MIB);
    write(&before, 21, 4_096, 70 * MIB);
    bring(&repository, &second, &folder.join("back")).unwrap();
    assert!(is_same(&before, &folder.join("back/vm.raw")));
    // Written again, as the engine too takes a file for the same when none of its times changed.
    write(&image, 22, 4_096, 100 * MIB);
    // What is told of a snapshot that is not there, or was not taken as an image, is not relied on.
    let Task::Backup(other) = task(&image, None) else { panic!() };
    let source = Source::Path { path: image.clone(), named: Some(NAMED.into()), except: Vec::new() };
    let Answer::Taken { snapshot: as_file, .. } = run(&repository, &Task::Backup(Backup { source, ..other })).unwrap()
    else {
        panic!()
    };
    for (number, since) in ["0".repeat(64), as_file.id].into_iter().enumerate() {
        let all = take(&repository, &image, Some(Changed { since, ranges: Vec::new() })).unwrap();
        let to = folder.join(&format!("all-{number}"));
        bring(&repository, &all, &to).unwrap();
        assert!(is_same(&image, &to.join("vm.raw")));
    }
}

#[test]
fn a_large_image_of_holes_takes_little_memory() {
    let folder = Folder::new("image-large");
    let image = folder.join("disk");
    let file = File::create(&image).unwrap();
    file.set_len(32 << 30).unwrap();
    file.write_all_at(&noise(30, 8 << 20), 31 << 30).unwrap();
    let repository = make(&folder.join("repository"));
    let worker = worker().limited(Limits { memory_mib: 300, ..Limits::default() });
    let taken = worker.run(&repository, &task(&image, None), &Cancel::new(), &mut |_| {}).unwrap();
    let Answer::Taken { snapshot, .. } = taken else { panic!("{taken:?}") };
    assert_eq!(snapshot.figures.unwrap().bytes, 32 << 30);
}

#[test]
fn a_piece_that_was_lost_is_stored_again() {
    let folder = Folder::new("image-lost");
    let image = folder.join("disk");
    disk(&image);
    let repository = make(&folder.join("repository"));
    take(&repository, &image, None).unwrap();
    let mut packs: Vec<_> = walk(&folder.join("repository/data"));
    packs.sort_by_key(|path| path.metadata().unwrap().len());
    fs::remove_file(packs.last().unwrap()).unwrap();
    let again = take(&repository, &image, None).unwrap();
    assert!(added(&again) >= 8 * MIB);
    bring(&repository, &again, &folder.join("back")).unwrap();
    assert!(is_same(&image, &folder.join("back/vm.raw")));
}

#[test]
fn an_image_that_cannot_be_read_or_stored_leaves_no_snapshot() {
    let folder = Folder::new("image-fails");
    let image = folder.join("disk");
    let repository = make(&folder.join("repository"));
    assert_eq!(code(take(&repository, &image, None)), fault::SOURCE_MISSING);
    disk(&image);
    assert_eq!(code(take(&repository, Path::new("disk"), None)), fault::REQUEST_INVALID);
    fs::remove_dir_all(folder.join("repository/data")).unwrap();
    fs::create_dir(folder.join("repository/data")).unwrap();
    assert_eq!(code(take(&repository, &image, None)), fault::REPOSITORY_INCOMPLETE);
    assert_eq!(snapshots(&repository).unwrap().len(), 0);
}

fn walk(at: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(at).unwrap().map(std::result::Result::unwrap) {
        match entry.path() {
            path if path.is_dir() => found.extend(walk(&path)),
            path => found.push(path),
        }
    }
    found
}
