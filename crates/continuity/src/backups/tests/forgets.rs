//! What is let go is removed: at a directory by its host, in a bucket by this server, whoever dies over it; after
//! the delay that the policy sets, and not at all while it is the last that there is.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

use durable::testing as job_testing;
use vault::request::{Answer as Told, Read, Repository, Restore, Task};

use super::bucket::Bucket;
use super::real::{really, run};
use super::*;
use crate::backups::points::CopyState;
use crate::backups::upkeep::{self, RECONCILE, Repair};

const HOUR: Duration = Duration::from_secs(3_600);

fn registry() -> durable::Registry {
    super::super::register(provisioning::testing::registry(), program())
}

/// A service that is kept in a directory of its host and in a bucket: the newest point only.
struct Firm {
    house: House,
    bucket: Bucket,
    disks: PathBuf,
    mood: Behaviour,
    number: AtomicU32,
}

fn firm(db: Db, prune_delay_hours: u32) -> Option<Firm> {
    let bucket = Bucket::new()?;
    let house = House::new(db);
    let (near, far) = (house.folder("near", house.machine().0), bucket.place(house.gate(), "bucket"));
    let new = NewPolicy {
        name: "the newest".into(),
        what: Default::default(),
        schedule: Schedule { calendar: "daily 02:00".into(), jitter_minutes: 0, time_zone: "UTC".into() },
        retention: Retention { last: 1, ..Default::default() },
        places: vec![near.id, far.id],
        prune_delay_hours,
        offered: false,
    };
    house.protect(&house.gate().run(&manager(), &policies::CREATE, new).unwrap());
    let disks = house.keep.path().join("disks");
    fs::create_dir(&disks).unwrap();
    let mood = really(disks.clone());
    Some(Firm { house, bucket, disks, mood, number: AtomicU32::new(0) })
}

impl Firm {
    fn content(number: u32) -> Vec<u8> {
        format!("state {number} ").repeat(20_000).into_bytes()
    }

    /// A point of other data than before.
    fn taken(&self) -> RecoveryPoint {
        let number = self.number.fetch_add(1, Ordering::Relaxed) + 1;
        fs::write(self.disks.join("system"), Self::content(number)).unwrap();
        self.house.gate().clock().advance(HOUR);
        let id = self.house.take().id;
        self.house.settle(&self.mood);
        let point = self.house.point(id);
        assert_eq!(point.state, State::Available, "{:?}", point.problem);
        point
    }

    /// Lets go of what no rule keeps, and asks for its removal.
    fn lets_go(&self) {
        upkeep::look_for_expired(self.house.gate()).unwrap();
        upkeep::look_for_leftovers(self.house.gate()).unwrap();
    }

    fn opened(&self, copy: &points::RecoveryCopy) -> Repository {
        let (place, id) = (copy.place, copy.repository);
        self.house
            .within(move |tx| {
                let one = repositories::load(tx, id)?;
                assert!(one.place == place && one.problem.is_none(), "{:?}", one.problem);
                repositories::for_upkeep(tx, id)
            })
            .unwrap()
    }

    /// Of all points only the newest is there, in both places, and it is what was taken.
    fn assert_only_the_newest_is_there(&self) {
        let page = points::ListPoints { id: self.house.service.clone(), expired: true, after: None, limit: Some(100) };
        let all = self.house.gate().run(&manager(), &points::LIST, page).unwrap().items;
        let (newest, older) = all.split_first().unwrap();
        assert_eq!(newest.state, State::Available, "{:?}", newest.problem);
        for point in older {
            assert_eq!(point.state, State::Expired);
            assert!(point.copies().all(|copy| copy.state == CopyState::Gone), "{point:#?}");
        }
        for copy in newest.copies() {
            let repository = self.opened(copy);
            let Ok(Told::Snapshots(there)) = run(&repository, Task::Snapshots) else { panic!("no list") };
            let there: Vec<_> = there.into_iter().map(|one| Some(one.id)).collect();
            assert_eq!(there, std::slice::from_ref(&copy.snapshot), "{}", copy.place_name);
            let Ok(Told::Checked(checked)) = run(&repository, Task::Check { read: Read::Everything }) else {
                panic!("nobody looked")
            };
            assert!(checked.whole, "{}: {checked:?}", copy.place_name);
        }
        let copy = newest.copies().nth(1).unwrap();
        let to = self.house.keep.path().join("back");
        let (snapshot, path) = (copy.snapshot.clone().unwrap(), format!("/machines/{}/system", newest.parts[0].part));
        let restore = Restore { snapshot, path, to: to.clone(), sparse: false, owners: false };
        run(&self.opened(copy), Task::Restore(restore)).unwrap();
        let number = self.number.load(Ordering::Relaxed);
        assert!(fs::read(to.join("system")).unwrap() == Self::content(number), "the newest is another state");
        fs::remove_dir_all(to).unwrap();
    }
}

#[test]
fn a_server_killed_at_every_moment_of_a_removal_loses_no_point_and_leaves_nothing() {
    let (_, db, keep) = db::testing::sqlite();
    let Some(firm) = firm(db, 72) else { return };
    firm.taken();
    let firm = Arc::new(firm);
    let (asking, done) = (firm.clone(), firm.clone());
    let house = job_testing::JobHouse {
        engine: Engine::new(firm.house.gate().clone(), registry()).unwrap(),
        restart: Box::new(|gate| Engine::new(gate.clone(), registry()).unwrap()),
        ask: Box::new(move |_| {
            asking.taken();
            asking.lets_go();
        }),
        done: Box::new(move |gate| {
            // The directory's host does its part, which needs no server.
            done.house.settle(&done.mood);
            done.assert_only_the_newest_is_there();
            assert_eq!(done.house.count("SELECT COUNT(*) FROM backup_repositories WHERE task IS NOT NULL"), 0);
            upkeep::look_for_leftovers(gate).unwrap();
            assert_eq!(done.house.count("SELECT COUNT(*) FROM jobs WHERE kind = 'backup.forget'"), 0, "all is removed");
        }),
        keep: Box::new(keep),
    };
    assert_eq!(job_testing::kill_at_each_moment(house), 5, "asked, forgotten, pruned, told");
}

/// What a host does that dies once at each place of a removal: before it, between its halves, and before it could
/// tell of it.
fn dying(disks: PathBuf, deaths: Arc<AtomicU32>) -> Behaviour {
    let willing = really(disks);
    Behaviour::of(move |task, access, outcome| {
        let Work::ForgetSnapshots { snapshots, grace_hours } = &task.work else {
            return (willing.answer)(task, access, outcome);
        };
        let at: Repository = serde_json::from_value(access[0].clone()).unwrap();
        match deaths.fetch_add(1, Ordering::Relaxed) {
            0 => {}
            1 => drop(run(&at, Task::Forget { snapshots: snapshots.clone() })),
            2 => drop(run(&at, Task::Prune { grace_hours: *grace_hours })),
            _ => return (willing.answer)(task, access, outcome),
        }
        Answer::Nothing
    })
}

#[test]
fn a_host_that_dies_over_a_removal_does_it_again_and_nothing_else() {
    let (_, db, _keep) = db::testing::sqlite();
    let Some(firm) = firm(db, 72) else { return };
    let deaths = Arc::new(AtomicU32::new(0));
    let mood = dying(firm.disks.clone(), deaths.clone());
    firm.taken();
    let newest = firm.taken();
    firm.lets_go();
    let engine = Engine::new(firm.house.gate().clone(), registry()).unwrap();
    for _ in 0..3 {
        engine.settle().unwrap();
        for host in &firm.house.town.hosts {
            work_once(firm.house.gate(), *host, &mood, &firm.house.store);
        }
        assert_eq!(firm.house.point(newest.id).state, State::Available);
        // Nobody else is set to work there meanwhile.
        upkeep::look_for_leftovers(firm.house.gate()).unwrap();
        let asked = "SELECT COUNT(*) FROM host_tasks WHERE work LIKE '%forgetSnapshots%'";
        assert_eq!(firm.house.count(asked), 1);
    }
    firm.house.settle(&mood);
    assert_eq!(deaths.load(Ordering::Relaxed), 4);
    firm.assert_only_the_newest_is_there();
}

#[test]
fn what_is_removed_stays_recoverable_for_as_long_as_the_policy_says() {
    for delay in [72, 49] {
        let (_, db, _keep) = db::testing::sqlite();
        let Some(firm) = firm(db, delay) else { return };
        if delay == 49 {
            // A policy from before there was a least delay.
            let sql = "UPDATE backup_policy_revisions SET body = REPLACE(body, '\"pruneDelayHours\":49', '\"pruneDelayHours\":0')";
            firm.house.within(move |tx| tx.execute(sql, &[]).map(drop)).unwrap();
        }
        firm.taken();
        firm.taken();
        let before = firm.bucket.packs();
        firm.lets_go();
        Engine::new(firm.house.gate().clone(), registry()).unwrap().settle().unwrap();
        firm.house.settle(&firm.mood);
        firm.assert_only_the_newest_is_there();
        assert!(firm.bucket.packs() >= before, "{delay} hours: {before} packs, then {}", firm.bucket.packs());
    }
}

#[test]
fn a_delay_in_which_a_backup_beside_a_prune_could_lose_data_is_refused() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let (host, _) = house.machine();
        let places = ["first", "second"].map(|name| house.folder(name, host).id);
        let policy = house.policy(&places, Retention::default());
        for (hours, fits) in [(0, false), (48, false), (49, true), (24 * 366, true), (24 * 366 + 1, false)] {
            let change = serde_json::json!({ "id": policy.id, "pruneDelayHours": hours });
            let change = serde_json::from_value(change).unwrap();
            let changed = house.gate().run(&manager(), &policies::UPDATE, change);
            assert_eq!(changed.is_ok(), fits, "{engine} {hours}");
            if let Err(refused) = changed {
                assert_eq!(
                    (refused.code(), refused.attribute()),
                    ("policy.prune_delay", Some("pruneDelayHours")),
                    "{engine}"
                );
            }
        }
    }
}

/// Points of which one was let go and still lies in both places.
fn let_go(db: Db) -> (House, RecoveryPointId) {
    let house = House::new(db);
    let (host, _) = house.machine();
    let places = ["first", "second"].map(|name| house.folder(name, host).id);
    house.protect(&house.policy(&places, Retention { last: 1, ..Default::default() }));
    let old = house.taken().id;
    house.gate().clock().advance(HOUR);
    let new = house.taken().id;
    upkeep::look_for_expired(house.gate()).unwrap();
    assert_eq!(house.point(old).state, State::Expired);
    (house, new)
}

fn removals(house: &House) -> i64 {
    upkeep::look_for_leftovers(house.gate()).unwrap();
    house.count("SELECT COUNT(*) FROM host_tasks WHERE work LIKE '%forgetSnapshots%'")
}

#[test]
fn what_was_let_go_is_not_removed_once_it_is_the_last_that_there_is() {
    for (engine, db, _keep) in db::testing::databases() {
        let (house, new) = let_go(db);
        // Before anything is removed, the newest is found to be gone from one of its places.
        let look = points::PointRef { id: new };
        house.gate().run(&manager(), &points::CHECK, look.clone()).unwrap();
        let gone = house.point(new).parts[0].copies[1].snapshot.clone().unwrap();
        house.settle(&Behaviour::of(move |_, _, outcome| {
            Answer::Say(match outcome {
                Outcome::RepositoryChecked { mut snapshots, whole, faults, guarded, seconds } => {
                    snapshots.retain(|one| *one != gone);
                    Outcome::RepositoryChecked { snapshots, whole, faults, guarded, seconds }
                }
                other => other,
            })
        }));
        assert_eq!(house.point(new).state, State::Degraded, "{engine}");
        assert_eq!(removals(&house), 0, "{engine}: fewer than two copies would be left of anything");
        house.gate().run(&manager(), &points::CHECK, look).unwrap();
        house.settle(&Behaviour::willing());
        assert_eq!((house.point(new).state, removals(&house)), (State::Available, 2), "{engine}");
    }
}

#[test]
fn a_removal_that_somebody_is_in_the_way_of_alarms_nobody_and_is_made_again() {
    for (engine, db, _keep) in db::testing::databases() {
        let (house, new) = let_go(db);
        assert_eq!(removals(&house), 2, "{engine}");
        house.settle(&Behaviour::of(|task, _, outcome| match task.work {
            Work::ForgetSnapshots { .. } => Answer::Fail(vault::fault::REPOSITORY_LOCKED.into()),
            _ => Answer::Say(outcome),
        }));
        let problems = "SELECT COUNT(*) FROM backup_repositories WHERE problem IS NOT NULL";
        assert_eq!(
            (house.point(new).state, house.count(problems)),
            (State::Available, 2),
            "{engine}: it is said there"
        );
        let alarms = house.gate().run(&manager(), &crate::alarms::actions::LIST, Default::default()).unwrap().items;
        assert!(alarms.is_empty(), "{engine}: {alarms:?}");
        assert_eq!(removals(&house), 4, "{engine}: it is asked for again by itself");
        house.settle(&Behaviour::willing());
        assert_eq!((house.count(problems), removals(&house)), (0, 4), "{engine}: and then it is done");
    }
}

#[test]
fn what_an_alarm_holds_is_not_removed_either() {
    let (_, db, _keep) = db::testing::sqlite();
    let (house, new) = let_go(db);
    let held = |open: bool| {
        let service = house.service.clone();
        house
            .within(move |tx| {
                let problem = work::problem("backup.unusual", "all of it is new");
                let point = points::load(tx, new)?;
                let cause = crate::alarms::Cause::BackupUnusual;
                match open {
                    true => crate::alarms::raise(
                        tx,
                        &crate::alarms::Wrong { tenant: point.tenant, kind: "service", id: &service, cause, problem },
                    ),
                    false => crate::alarms::clear(tx, "service", &service, &[cause]),
                }
            })
            .unwrap();
    };
    held(true);
    assert_eq!(removals(&house), 0, "somebody has yet to look whether the old ones are all that is good");
    held(false);
    assert_eq!(removals(&house), 2);
}

#[test]
fn a_removal_that_died_for_good_keeps_nobody_from_the_next_one() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = House::new(db);
    let places = ["east", "west"].map(|name| house.server(name).id);
    house.protect(&house.policy(&places, Retention { last: 1, ..Default::default() }));
    house.taken();
    house.gate().clock().advance(HOUR);
    house.taken();
    upkeep::look_for_expired(house.gate()).unwrap();
    let asked = |house: &House| {
        upkeep::look_for_leftovers(house.gate()).unwrap();
        house.count("SELECT COUNT(*) FROM jobs WHERE kind = 'backup.forget'")
    };
    assert_eq!((asked(&house), asked(&house)), (2, 2), "one in each place at a time");
    let first: String = house
        .gate()
        .db()
        .read(|conn| conn.query_one("SELECT MIN(task) FROM backup_repositories", &[], |row| row.get(0)))
        .unwrap();
    let (job, dead) = (first.clone(), first.clone());
    house
        .within(move |tx| tx.execute("UPDATE jobs SET state = 'dead' WHERE id = $1", db::args![job]).map(drop))
        .unwrap();
    assert_eq!((asked(&house), asked(&house)), (3, 3), "another takes its place");
    // What the dead one would still have to say, were it tried again by hand, is not said of the other's work.
    let repository = house
        .gate()
        .db()
        .read(move |conn| {
            let sql = "SELECT id FROM backup_repositories WHERE task <> $1 ORDER BY task DESC LIMIT 1";
            conn.query_one(sql, db::args![dead], |row| row.get(0))
        })
        .unwrap();
    let late = Repair::Forgotten { repository, job: first, snapshots: vec![], problem: None };
    house.gate().run(&Cx::system("continuity", TenantId(CUSTOMER)), &RECONCILE, late).unwrap();
    assert_eq!(asked(&house), 3, "it is still at work there");
}
