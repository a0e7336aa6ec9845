//! SIGKILL at many moments: the repository stays whole, and nothing is shown that is not good.

use std::fs;
use std::path::Path;
use std::thread::{scope, sleep};
use std::time::Duration;

use vault::client::Cancel;
use vault::fault;
use vault::request::{Answer, Key, Read, Repository, Restore, Secret, Task};

use crate::judge::{Restic, there};
use crate::support::*;

/// Moments at which a task is killed, in milliseconds after its start.
const MOMENTS: [u64; 10] = [1, 10, 25, 50, 80, 120, 200, 320, 500, 800];

/// Runs a task and kills it at a moment, where it is not done by then; whether it was done.
fn killed_at(moment: u64, repository: &Repository, task: &Task) -> bool {
    let cancel = Cancel::new();
    let ended = scope(|scope| {
        scope.spawn(|| {
            sleep(Duration::from_millis(moment));
            cancel.cancel();
        });
        worker().run(repository, task, &cancel, &mut |_| {})
    });
    match ended {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.code(), fault::CANCELLED, "{error}");
            false
        }
    }
}

/// A repository that opens with its master key, so that the moments fall into the work.
fn made(at: &Path) -> Repository {
    let mut made = repository(at);
    let told = run(&made, &Task::Make { escrow: Secret::new(ESCROW), alike: None }).unwrap();
    let Answer::Made { master, .. } = told else { panic!("{told:?}") };
    made.key = Key::Master(master);
    made
}

fn assert_whole(repository: &Repository) {
    let checked = check(repository, Read::Everything).unwrap();
    assert!(checked.whole, "{checked:?}");
}

#[test]
fn a_killed_backup_leaves_no_snapshot_and_hurts_none() {
    let folder = Folder::new("kill-backup");
    let data = folder.join("data");
    tree(&data);
    let repository = made(&folder.join("repo"));
    let mut good = 0;
    for (number, moment) in MOMENTS.into_iter().enumerate() {
        fs::write(data.join("deep/large"), noise(1_000 + number as u64, 20 << 20)).unwrap();
        good += usize::from(killed_at(moment, &repository, &Task::Backup(backup_of(&data))));
        // A kill between the writing of the snapshot and the telling of it leaves a good one.
        let shown = snapshots(&repository).unwrap().len();
        assert!(shown == good || shown == good + 1, "{shown} shown, {good} told");
        good = shown;
        assert_whole(&repository);
    }
    let last = back_up(&repository, &data).unwrap();
    restore(&repository, &last.id, "/data", &folder.join("back")).unwrap();
    assert_eq!(listing(&folder.join("back")), listing(&data));
    if there() {
        Restic::at(&folder.join("repo"), ESCROW).check();
    }
}

#[test]
fn a_killed_copy_is_no_copy_and_is_finished_by_the_next() {
    let folder = Folder::new("kill-copy");
    let data = folder.join("data");
    tree(&data);
    fs::write(data.join("deep/large"), noise(3, 40 << 20)).unwrap();
    let (from, to) = (made(&folder.join("from")), made(&folder.join("to")));
    let taken = back_up(&from, &data).unwrap();
    let copying = Task::Copy { to: Box::new(to.clone()), snapshots: vec![taken.id.clone()] };
    for moment in MOMENTS {
        killed_at(moment, &from, &copying);
        assert_whole(&to);
        for copy in snapshots(&to).unwrap() {
            assert_eq!(copy.original.as_ref(), Some(&taken.id));
        }
    }
    run(&from, &copying).unwrap();
    let copies = snapshots(&to).unwrap();
    assert_eq!(copies.len(), 1);
    restore(&to, &copies[0].id, "/data", &folder.join("back")).unwrap();
    assert_eq!(listing(&folder.join("back")), listing(&data));
}

#[test]
fn a_killed_prune_takes_nothing_that_a_snapshot_holds() {
    let folder = Folder::new("kill-prune");
    let data = folder.join("data");
    tree(&data);
    let repository = made(&folder.join("repo"));
    let kept = back_up(&repository, &data).unwrap();
    let expected = listing(&data);
    for (number, moment) in MOMENTS.into_iter().enumerate() {
        fs::write(data.join("deep/large"), noise(2_000 + number as u64, 12 << 20)).unwrap();
        let gone = back_up(&repository, &data).unwrap();
        run(&repository, &Task::Forget { snapshots: vec![gone.id] }).unwrap();
        killed_at(moment, &repository, &Task::Prune { grace_hours: 0 });
        assert_whole(&repository);
    }
    run(&repository, &Task::Prune { grace_hours: 0 }).unwrap();
    restore(&repository, &kept.id, "/data", &folder.join("back")).unwrap();
    assert_eq!(listing(&folder.join("back")), expected);
    if there() {
        Restic::at(&folder.join("repo"), ESCROW).check();
    }
}

#[test]
fn a_killed_restore_is_not_there() {
    let folder = Folder::new("kill-restore");
    let data = folder.join("data");
    tree(&data);
    fs::write(data.join("deep/large"), noise(3, 40 << 20)).unwrap();
    let repository = made(&folder.join("repo"));
    let taken = back_up(&repository, &data).unwrap();
    for moment in MOMENTS {
        let to = folder.join(&format!("back-{moment}"));
        let task = Task::Restore(Restore {
            snapshot: taken.id.clone(),
            path: "/data".to_owned(),
            to: to.clone(),
            sparse: false,
            owners: false,
        });
        let done = killed_at(moment, &repository, &task);
        assert!(!folder.join(&format!(".back-{moment}.unfinished")).exists());
        assert!(!done || to.exists());
        if to.exists() {
            assert_eq!(listing(&to), listing(&data));
        }
    }
}

/// What a task leaves that is killed when its packs are there, and nothing that names them.
fn without_names(repository: &Path) {
    for kind in ["index", "snapshots"] {
        for file in fs::read_dir(repository.join(kind)).unwrap() {
            fs::remove_file(file.unwrap().path()).unwrap();
        }
    }
}

#[test]
fn what_was_stored_before_a_kill_is_not_counted_on_without_a_name() {
    let folder = Folder::new("kill-nameless");
    let data = folder.join("data");
    tree(&data);
    let (from, to) = (made(&folder.join("from")), made(&folder.join("to")));
    back_up(&from, &data).unwrap();
    without_names(&folder.join("from"));
    // Beside what is whole, something that never was a pack, and the head of one.
    let packs = listing(&folder.join("from/data"));
    let (_, pack) = packs.iter().max_by_key(|(_, bytes)| bytes.len()).unwrap();
    for (name, rubbish) in [("ab", &pack[..pack.len() / 2]), ("cd", b"no pack")] {
        fs::write(folder.join(&format!("from/data/{name}")).join(name.repeat(32)), rubbish).unwrap();
    }
    let taken = back_up(&from, &data).unwrap();
    assert_whole(&from);

    let copying = Task::Copy { to: Box::new(to.clone()), snapshots: vec![taken.id.clone()] };
    run(&from, &copying).unwrap();
    without_names(&folder.join("to"));
    run(&from, &copying).unwrap();
    assert_whole(&to);

    // What has a name and is gone, or is cut, is stored again.
    let named: Vec<_> = listing(&folder.join("from/data")).into_iter().filter(|one| !packs.contains(one)).collect();
    let mut named =
        named.iter().filter(|(_, bytes)| bytes.len() > 1000).map(|(name, _)| folder.join("from/data").join(name));
    fs::remove_file(named.next().unwrap()).unwrap();
    let again = back_up(&from, &data).unwrap();
    let back = folder.join("back");
    restore(&from, &again.id, "/data", &back).unwrap();
    assert_eq!(listing(&back), listing(&data));
    if there() {
        Restic::at(&folder.join("to"), ESCROW).check();
    }
}
