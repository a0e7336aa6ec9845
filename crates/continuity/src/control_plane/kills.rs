//! This server killed at each moment of a backup of the platform itself: the next one brings the point about, in
//! every place, and leaves nothing beside it.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use commerce::testing::{OPERATOR, manager};
use db::testing::Scratch;
use durable::testing::{JobHouse, kill_at_each_moment};
use durable::{Engine, Registry};
use gate::{Cx, Gate};
use vault::client::{Cancel, Worker};
use vault::request::{Answer, Read, Repository, Restore, Task};

use super::points::{Point, TAKE};
use super::take::Manifest;
use super::*;
use crate::backups::keys;
use crate::backups::places::Role;
use crate::backups::points::State;
use crate::backups::policies::{CREATE as CREATE_POLICY, NewPolicy};
use crate::backups::repositories;
use crate::backups::retention::Retention;
use crate::backups::tests::bucket::Bucket;
use crate::backups::tests::{gate as open, program};

/// A platform that keeps the newest point of itself in two buckets.
struct Platform {
    data: Scratch,
    database: Location,
    places: Vec<BackupPlaceId>,
}

impl Platform {
    fn registry(&self) -> Registry {
        let (data, database) = (self.data.path().to_owned(), self.database.clone());
        register(Registry::default(), Installation { data, database, program: program(), server: PathBuf::new() })
    }

    fn new(gate: &Gate, database: Location) -> Option<Platform> {
        let data = Scratch::new();
        for (folder, file) in [("keys", "ca.key"), ("images", "tiny")] {
            fs::create_dir(data.path().join(folder)).unwrap();
            fs::write(data.path().join(folder).join(file), "0123456789").unwrap();
        }
        let places = ["one", "two"].map(|name| Bucket::new().map(|bucket| bucket.place(gate, name).id));
        let places: Vec<_> = places.into_iter().collect::<Option<_>>()?;
        let schedule = Schedule { calendar: "hourly :15".into(), jitter_minutes: 0, time_zone: "UTC".into() };
        let new = NewPolicy {
            name: "platform".into(),
            what: Default::default(),
            schedule,
            retention: Retention { last: 1, ..Retention::default() },
            places: places.clone(),
            prune_delay_hours: 72,
            offered: false,
        };
        let policy = gate.run(&manager(), &CREATE_POLICY, new).unwrap().id;
        gate.run(&manager(), &PROTECT, Protect { policy }).unwrap();
        Some(Platform { data, database, places })
    }

    fn opened(&self, gate: &Gate, place: BackupPlaceId) -> Repository {
        let system = Cx::system("continuity", OPERATOR);
        let opening = move |tx: &mut Tx<'_>| {
            let (keys, place) = (keys(tx)?, places::load(tx, place)?);
            kit::repository(&keys, repositories::lies(tx, &place, REPOSITORY, Role::Maintain)?)
        };
        gate.perform(&system, points::RECONCILE.name, Effect::Change, [0; 32], opening).unwrap()
    }

    /// Only the newest point is there, in each place, and it is what it says.
    fn assert_only_the_newest_is_there(&self, gate: &Gate) {
        let all: Vec<Point> = gate.run(&manager(), &GET, Nothing {}).unwrap().points;
        let (newest, older) = all.split_first().unwrap();
        assert_eq!((newest.state, &newest.problem), (State::Available, &None), "{newest:?}");
        for point in older {
            assert_eq!(point.state, State::Expired, "{point:?}");
            assert!(point.copies.iter().all(|copy| copy.state == points::CopyState::Gone), "{point:?}");
        }
        for copy in &newest.copies {
            let at = self.opened(gate, copy.place);
            let asked = |task: &Task| Worker::new(program()).run(&at, task, &Cancel::new(), &mut |_| {});
            // On a busy machine the S3 server drops a connection now and then.
            let ask = |task: Task| asked(&task).or_else(|_| asked(&task)).unwrap();
            let Answer::Snapshots(there) = ask(Task::Snapshots) else { panic!("no list") };
            let there: Vec<_> = there.into_iter().map(|one| Some(one.id)).collect();
            assert_eq!(there, std::slice::from_ref(&copy.snapshot), "{}", copy.place_name);
            let Answer::Checked(checked) = ask(Task::Check { read: Read::Everything }) else { panic!("no look") };
            assert!(checked.whole, "{}: {checked:?}", copy.place_name);
            let back = self.data.path().join("back");
            let (snapshot, path) = (copy.snapshot.clone().unwrap(), format!("/{REPOSITORY}"));
            ask(Task::Restore(Restore { snapshot, path, to: back.clone(), sparse: false, owners: false }));
            let manifest: Manifest = serde_json::from_slice(&fs::read(back.join(take::MANIFEST)).unwrap()).unwrap();
            assert_eq!((manifest.point, Some(manifest.taken_at)), (newest.id, newest.taken_at), "{}", copy.place_name);
            assert!(fs::metadata(back.join("database/yunwei.db")).unwrap().len() > 0);
            fs::remove_dir_all(back).unwrap();
        }
        assert!(!self.data.path().join(".control-plane").exists(), "what was put together for it is gone");
    }
}

#[test]
fn a_server_killed_at_every_moment_of_its_own_backup_brings_the_point_about_and_leaves_nothing_beside_it() {
    let (_, db, keep) = db::testing::sqlite();
    let folder = Scratch::new();
    let (gate, database) = (open(db, &folder), Location::Directory(keep.path().to_owned()));
    let Some(platform) = Platform::new(&gate, database).map(Arc::new) else { return };
    let taken = |gate: &Gate| {
        gate.clock().advance(std::time::Duration::from_secs(3_600));
        gate.run(&manager(), &TAKE, Nothing {}).unwrap();
    };
    let engine = Engine::new(gate.clone(), platform.registry()).unwrap();
    taken(&gate);
    engine.settle().unwrap();
    platform.assert_only_the_newest_is_there(&gate);
    let (again, done) = (platform.clone(), platform.clone());
    let moments = kill_at_each_moment(JobHouse {
        engine,
        restart: Box::new(move |gate| Engine::new(gate.clone(), again.registry()).unwrap()),
        ask: Box::new(taken),
        done: Box::new(move |gate| done.assert_only_the_newest_is_there(gate)),
        keep: Box::new((keep, folder)),
    });
    assert_eq!(moments, 2 + 2 + 2 * 3 + 1 + 2 * 3 + 1, "begun and ended, gathered, copied, closed, removed, cleared");
    assert_eq!(platform.places.len(), 2);
}
