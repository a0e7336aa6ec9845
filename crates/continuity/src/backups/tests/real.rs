//! The real vault on real directories, with plain restic as the judge.

use std::fs;
use std::path::Path;

use commerce::testing::member;
use vault::client::{Cancel, Worker};
use vault::request::{self, Backup, Key, Read, Repository, Source, Task, Unreadable};

use super::*;
use crate::backups::points::{CHECK, CopyState, PointRef};
use crate::backups::upkeep;

pub(super) fn run(at: &Repository, task: Task) -> std::result::Result<request::Answer, String> {
    let asked = || Worker::new(program()).run(at, &task, &Cancel::new(), &mut |_| {});
    // On a busy machine the S3 server drops a connection now and then; looking again harms nothing.
    let again = matches!(task, Task::Check { .. } | Task::Snapshots);
    let answer = asked().or_else(|e| if again { asked() } else { Err(e) });
    answer.map_err(|e| e.code().to_owned())
}

/// What an agent does with a task, on the files of `disks` as they are at that instant.
fn does(
    task: &HostTask,
    access: &[Repository],
    disks: &Path,
    now: base::time::Timestamp,
) -> std::result::Result<Outcome, String> {
    let seconds = 1.0;
    Ok(match &task.work {
        Work::MakeRepository { alike } => {
            let Some(Key::Password(escrow)) = access.last().map(|last| last.key.clone()) else { panic!("no escrow") };
            let alike = alike.then(|| Box::new(access[1].clone()));
            let request::Answer::Made { repository, master } = run(&access[0], Task::Make { escrow, alike })? else {
                panic!("another answer")
            };
            Outcome::RepositoryMade { repository, master: Secret::new(master.reveal()) }
        }
        Work::BackUpMachine { machine, tag } => {
            let named = Some(format!("/machines/{machine}").into());
            let source = Source::Path { path: disks.to_owned(), named, except: vec![] };
            let backup = Backup {
                source,
                host: "h1".into(),
                tags: vec![tag.clone()],
                label: machine.to_string(),
                unreadable: Unreadable::Refuse,
            };
            let request::Answer::Taken { snapshot, .. } = run(&access[0], Task::Backup(backup))? else {
                panic!("another answer")
            };
            let figures = snapshot.figures.unwrap();
            Outcome::MachineBackedUp {
                snapshot: snapshot.id,
                tree: snapshot.tree,
                taken_at: now,
                consistency: Consistency::Stopped,
                disks: vec![DiskCopy {
                    name: "system".into(),
                    bytes: figures.bytes,
                    path: format!("/machines/{machine}/system"),
                }],
                bytes: figures.bytes,
                added_bytes: figures.added_bytes,
                stored_bytes: figures.stored_bytes,
                seconds,
            }
        }
        Work::CopySnapshots { snapshots } => {
            let copy = Task::Copy { to: Box::new(access[1].clone()), snapshots: snapshots.clone() };
            let request::Answer::Copied(ids) = run(&access[0], copy)? else { panic!("another answer") };
            Outcome::SnapshotsCopied { ids, seconds }
        }
        Work::CheckRepository { snapshots, .. } => {
            let request::Answer::Snapshots(there) = run(&access[0], Task::Snapshots)? else { panic!("another answer") };
            let there: Vec<String> = there.into_iter().map(|one| one.id).filter(|id| snapshots.contains(id)).collect();
            let checked = run(&access[0], Task::Check { read: Read::Everything })?;
            let request::Answer::Checked(checked) = checked else { panic!("another answer") };
            Outcome::RepositoryChecked {
                snapshots: there,
                whole: checked.whole,
                faults: checked.faults,
                guarded: checked.guarded,
                seconds,
            }
        }
        Work::ForgetSnapshots { snapshots, grace_hours } => {
            let request::Answer::Snapshots(there) = run(&access[0], Task::Snapshots)? else { panic!("another answer") };
            let left: Vec<String> = there.into_iter().map(|one| one.id).filter(|id| snapshots.contains(id)).collect();
            if !left.is_empty() {
                run(&access[0], Task::Forget { snapshots: left })?;
            }
            let pruned = run(&access[0], Task::Prune { grace_hours: *grace_hours })?;
            let request::Answer::Pruned { removed_bytes, marked_bytes } = pruned else { panic!("another answer") };
            Outcome::SnapshotsForgotten { removed_bytes, marked_bytes }
        }
        _ => panic!("not asked for here"),
    })
}

pub(super) fn really(disks: PathBuf) -> Behaviour {
    Behaviour::of(move |task, access, outcome| {
        let now = match outcome {
            Outcome::MachineBackedUp { taken_at, .. } => taken_at,
            _ => gate::testing::START.parse().unwrap(),
        };
        let access: Vec<Repository> = access.iter().map(|one| serde_json::from_value(one.clone()).unwrap()).collect();
        does(task, &access, &disks, now).map_or_else(Answer::Fail, Answer::Say)
    })
}

/// Plain restic with the escrow password; `None` where it is not installed.
fn restic(folder: &Path, password: &str, arguments: &[&str]) -> Option<(bool, Vec<u8>)> {
    let mut command = Command::new("restic");
    command.arg("--repo").arg(folder).args(["--no-cache", "--quiet"]).args(arguments);
    let output = command.env("RESTIC_PASSWORD", password).output().ok()?;
    Some((output.status.success(), output.stdout))
}

fn escrow(house: &House, place: &BackupPlace) -> String {
    let cx = member(CUSTOMER);
    let all = house.gate().run(&cx, &repositories::LIST, Default::default()).unwrap().items;
    let one = all.iter().find(|one| one.place == place.id).unwrap();
    house
        .gate()
        .run(&cx, &repositories::REVEAL, repositories::Reveal { id: one.id, reason: "a trial".into() })
        .unwrap()
        .password
}

fn packs(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder.join("data")).unwrap().flatten() {
        for pack in fs::read_dir(entry.path()).into_iter().flatten().flatten() {
            found.push(pack.path());
        }
    }
    found
}

#[test]
fn restic_reads_restores_and_misses_what_the_platform_says_is_there() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = House::new(db);
    let (host, machine) = house.machine();
    let places = ["first", "second"].map(|name| house.folder(name, host));
    house.protect(&house.policy(&places.each_ref().map(|place| place.id), Retention { last: 1, ..Default::default() }));
    let disks = house.keep.path().join("disks");
    fs::create_dir(&disks).unwrap();
    let behaviour = really(disks.clone());
    let folder = |n: usize| house.keep.path().join(&places[n].name).join(TenantId(CUSTOMER).to_string());
    let mut points = Vec::new();
    for content in ["the first state", "the second state"] {
        fs::write(disks.join("system"), content.repeat(10_000)).unwrap();
        let id = house.take().id;
        house.settle(&behaviour);
        let point = house.point(id);
        assert_eq!(point.state, State::Available, "{:?}", point.problem);
        points.push(point);
        house.gate().clock().advance(Duration::from_secs(60));
    }
    for (n, place) in places.iter().enumerate() {
        let password = escrow(&house, place);
        let Some((whole, _)) = restic(&folder(n), &password, &["check", "--read-data"]) else {
            return db::testing::pass_over("YUNWEI_TEST_RESTIC", "restic is not installed");
        };
        assert!(whole, "restic finds a fault in {}", place.name);
        for (point, content) in points.iter().zip(["the first state", "the second state"]) {
            let snapshot = point.parts[0].copies[n].snapshot.clone().unwrap();
            let path = format!("/machines/{machine}/system");
            let (read, bytes) = restic(&folder(n), &password, &["dump", &snapshot, &path]).unwrap();
            assert!(read && bytes == content.repeat(10_000).as_bytes(), "{}: {content}", place.name);
        }
        assert!(!restic(&folder(n), &"0".repeat(64), &["snapshots"]).unwrap().0, "another password opens nothing");
    }

    // One place is damaged behind everybody's back: the next look says so, and nothing is let go.
    let pack = packs(&folder(1)).remove(0);
    let whole = fs::read(&pack).unwrap();
    fs::remove_file(&pack).unwrap();
    house.gate().run(&member(CUSTOMER), &CHECK, PointRef { id: points[1].id }).unwrap();
    house.settle(&behaviour);
    let seen = house.point(points[1].id);
    assert_eq!((seen.state, seen.parts[0].copies[1].state), (State::Degraded, CopyState::Damaged));
    assert_eq!(seen.problem.unwrap().code, "repository.damaged");
    upkeep::look_for_expired(house.gate()).unwrap();
    assert_eq!(
        house.point(points[0].id).state,
        State::Degraded,
        "what is amiss there is amiss with all that lies there"
    );

    // It is whole again: the rules may let the older point go, in both places.
    fs::write(&pack, whole).unwrap();
    house.gate().run(&member(CUSTOMER), &CHECK, PointRef { id: points[1].id }).unwrap();
    house.settle(&behaviour);
    assert_eq!([0, 1].map(|n: usize| house.point(points[n].id).state), [State::Available; 2]);
    upkeep::look_for_expired(house.gate()).unwrap();
    assert_eq!(house.point(points[0].id).state, State::Expired);
    upkeep::look_for_leftovers(house.gate()).unwrap();
    house.settle(&behaviour);
    for (n, place) in places.iter().enumerate() {
        assert_eq!(house.point(points[0].id).parts[0].copies[n].state, CopyState::Gone);
        let (_, listed) = restic(&folder(n), &escrow(&house, place), &["snapshots", "--json"]).unwrap();
        let listed: Vec<Json> = serde_json::from_slice(&listed).unwrap();
        assert_eq!(listed.len(), 1, "{}", place.name);
        assert_eq!(listed[0]["id"].as_str(), points[1].parts[0].copies[n].snapshot.as_deref());
        assert!(restic(&folder(n), &escrow(&house, place), &["check", "--read-data"]).unwrap().0);
    }
}
