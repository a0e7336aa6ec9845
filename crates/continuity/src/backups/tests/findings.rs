//! What is found of a repository is true of everything in it, and is made good again.

use std::sync::atomic::{AtomicBool, Ordering};

use drivers::wire::ReadShare;

use super::*;
use crate::backups::findings::RENEW;
use crate::backups::places::PlaceRef;
use crate::backups::points::CopyState;
use crate::backups::protections::Protected;
use crate::backups::{store, upkeep};
use crate::recoveries::{Wanted, choices};

const HOUR: Duration = Duration::from_secs(3_600);

/// The service in two directories of its host.
fn twofold(db: Db) -> (House, [BackupPlaceId; 2]) {
    let house = House::new(db);
    let (host, _) = house.machine();
    let places = ["first", "second"].map(|name| house.folder(name, host).id);
    house.protect(&house.policy(&places, Retention { last: 2, ..Default::default() }));
    (house, places)
}

/// Whatever a host does in repositories at places of those names finds none there.
fn unmounted(names: &'static [&'static str]) -> Behaviour {
    Behaviour::of(move |task, access, outcome| {
        let there = access.iter().any(|one| names.iter().any(|name| one["place"].to_string().contains(name)));
        match task.work {
            Work::MakeRepository { .. } => Answer::Say(outcome),
            _ if there => Answer::Fail("repository.missing".into()),
            _ => Answer::Say(outcome),
        }
    })
}

fn copies(house: &House, id: RecoveryPointId) -> Vec<CopyState> {
    house.point(id).copies().map(|copy| copy.state).collect()
}

fn protected(house: &House) -> Protected {
    house.gate().run(&member(CUSTOMER), &protections::GET, house.this()).unwrap()
}

fn later(house: &House) -> RecoveryPointId {
    house.gate().clock().advance(HOUR);
    house.take().id
}

#[test]
fn a_repository_that_is_gone_takes_every_point_with_it_and_brings_them_back() {
    for (engine, db, _keep) in db::testing::databases() {
        let (house, _) = twofold(db);
        let all: Vec<_> = (0..3)
            .map(|_| {
                house.gate().clock().advance(HOUR);
                house.taken().id
            })
            .collect();
        let failed = later(&house);
        house.settle(&unmounted(&["first"]));
        assert_eq!(house.point(failed).state, State::Failed, "{engine}");
        for id in &all {
            assert_eq!(copies(&house, *id), [CopyState::Missing, CopyState::Verified], "{engine}");
            let point = house.point(*id);
            assert_eq!((point.state, point.problem.unwrap().code.as_str()), (State::Degraded, "repository.missing"));
        }
        // Nothing is let go on the strength of what nobody finds any more, nor tried over and over.
        upkeep::look_for_expired(house.gate()).unwrap();
        house.gate().clock().advance(HOUR);
        upkeep::look_for_incomplete(house.gate()).unwrap();
        assert!(all.iter().all(|id| house.point(*id).state == State::Degraded), "{engine}");
        // The disk is mounted again.
        later(&house);
        house.settle(&Behaviour::willing());
        for id in &all {
            assert_eq!(copies(&house, *id), [CopyState::Verified, CopyState::Verified], "{engine}");
            assert_eq!((house.point(*id).state, house.point(*id).problem), (State::Available, None), "{engine}");
        }
    }
}

#[test]
fn what_has_no_whole_copy_any_more_is_lost_and_not_removed() {
    for (engine, db, _keep) in db::testing::databases() {
        let (house, _) = twofold(db);
        let id = house.taken().id;
        house.gate().clock().advance(HOUR);
        let look = points::PointRef { id };
        house.gate().run(&manager(), &points::CHECK, look.clone()).unwrap();
        house.settle(&unmounted(&["first", "second"]));
        assert_eq!((house.point(id).state, copies(&house, id)), (State::Lost, vec![CopyState::Missing; 2]), "{engine}");
        let now = protected(&house);
        assert!(now.newest.is_none() && now.age_seconds.is_none(), "{engine}: nothing is there");
        let wanted = Wanted { service: house.service.clone(), ..Wanted::default() };
        let refused = house.within(move |tx| choices(tx, &wanted)).unwrap_err();
        assert!(refused.code() == "recovery.no_copy" && refused.message().contains("missing"), "{refused}");
        upkeep::look_for_leftovers(house.gate()).unwrap();
        let forgets = "SELECT COUNT(*) FROM host_tasks WHERE work LIKE '%forgetSnapshots%'";
        assert_eq!(house.count(forgets), 0, "{engine}: nothing of it is removed");
        house.gate().run(&manager(), &points::CHECK, look).unwrap();
        house.settle(&Behaviour::willing());
        assert_eq!(house.point(id).state, State::Available, "{engine}");
        let taken = "SELECT COUNT(*) FROM host_tasks WHERE work LIKE '%backUpMachine%'";
        assert_eq!(house.count(taken), 1, "{engine}: what was taken is of its instant");
    }
}

#[test]
fn a_place_whose_disk_is_new_is_filled_again_from_the_others() {
    for (engine, db, _keep) in db::testing::databases() {
        let (house, [first, _]) = twofold(db);
        let id = house.taken().id;
        let refused = house.gate().run(&manager(), &RENEW, PlaceRef { id: first }).unwrap_err();
        assert_eq!(refused.code(), "backupPlace.not_lost", "{engine}: {refused}");
        let failed = later(&house);
        house.settle(&unmounted(&["first"]));
        assert_eq!((house.point(failed).state, house.point(id).state), (State::Failed, State::Degraded));
        house.store.lock().unwrap().retain(|place, _| !place.contains("first"));
        let repository = house.point(id).parts[0].copies[0].repository;
        house.within(move |tx| store::set_proven(tx, id, repository)).unwrap();
        house.gate().clock().advance(HOUR);
        house.gate().run(&manager(), &RENEW, PlaceRef { id: first }).unwrap();
        house.gate().clock().advance(HOUR);
        upkeep::look_for_incomplete(house.gate()).unwrap();
        house.settle(&Behaviour::willing());
        assert_eq!((house.point(id).state, copies(&house, id)), (State::Available, vec![CopyState::Verified; 2]));
        let kept: Vec<usize> = house.store.lock().unwrap().values().map(BTreeSet::len).collect();
        assert_eq!(kept, [1, 1], "{engine}: brought from the second place");
        let zero = protected(&house).digits[4].standing;
        assert_eq!(zero, digits::Standing::NotProven, "{engine}: what was proven went with the disk");
        assert!(house.gate().run(&member(CUSTOMER), &RENEW, PlaceRef { id: first }).is_err());
    }
}

#[test]
fn directories_are_lost_with_their_host_and_count_for_nothing_while_it_is_silent() {
    for (engine, db, _keep) in db::testing::databases() {
        let (house, _) = twofold(db);
        let (point, (host, _)) = (house.taken(), house.machine());
        let counted = |house: &House| protected(house).digits[0].found;
        assert_eq!(counted(&house), 3, "{engine}: the original and two copies");
        let set = |house: &House, sql: &'static str| {
            house.within(move |tx| tx.execute(sql, db::args![host]).map(drop)).unwrap();
        };
        set(&house, "UPDATE hosts SET reachable = 0 WHERE id = $1");
        assert_eq!(counted(&house), 0, "{engine}");
        assert_eq!(house.point(point.id).state, State::Available, "{engine}: it may come back");
        set(&house, "UPDATE hosts SET reachable = 1, state = 'retired' WHERE id = $1");
        house.within(move |tx| crate::backups::findings::host_changed(tx, host)).unwrap();
        assert_eq!(house.point(point.id).state, State::Lost, "{engine}");
        assert_eq!(house.point(point.id).problem.unwrap().code, "task.host_gone", "{engine}");
    }
}

#[test]
fn a_restore_speaks_for_its_place_and_not_for_ever() {
    for (engine, db, _keep) in db::testing::databases() {
        let (house, _) = twofold(db);
        let first = house.taken();
        let repository = first.parts[0].copies[1].repository;
        house.within(move |tx| store::set_proven(tx, first.id, repository)).unwrap();
        later(&house);
        house.settle(&Behaviour::willing());
        let zero = |house: &House| {
            let now = protected(house);
            (now.proven_at.is_some(), now.digits[4].standing)
        };
        assert_eq!(
            zero(&house),
            (true, digits::Standing::Met),
            "{engine}: the newest lies where the older one was proven"
        );
        house.gate().clock().advance(94 * 24 * HOUR);
        assert_eq!(zero(&house), (true, digits::Standing::NotProven), "{engine}");
    }
}

/// A second service of the same customer, with copies in the same two repositories: at servers.
fn neighbours(db: Db) -> (House, [ServiceRef; 2]) {
    let house = House::new(db);
    let policy = house.policy(&["east", "west"].map(|name| house.server(name).id), Retention::default());
    let order = house.town.order(CUSTOMER);
    house.town.settle(resources::testing::Mood::Willing);
    let both = [house.this(), ServiceRef { id: house.town.services(&order.id)[0].id.clone() }];
    for service in &both {
        let input = protections::Protect { id: service.id.clone(), policy: policy.id };
        house.gate().run(&manager(), &protections::SET, input).unwrap();
    }
    (house, both)
}

fn taken_of(house: &House, service: &ServiceRef, mood: &Behaviour) -> RecoveryPointId {
    house.gate().clock().advance(HOUR);
    let id = house.gate().run(&member(CUSTOMER), &TAKE, service.clone()).unwrap().id;
    house.settle(mood);
    id
}

fn looked_at(house: &House, id: RecoveryPointId, mood: &Behaviour) {
    house.gate().clock().advance(HOUR);
    house.gate().run(&manager(), &points::CHECK, points::PointRef { id }).unwrap();
    house.settle(mood);
}

fn damaged(outcome: Outcome) -> Outcome {
    let Outcome::RepositoryChecked { snapshots, guarded, seconds, .. } = outcome else { return outcome };
    Outcome::RepositoryChecked { snapshots, whole: false, faults: vec!["a pack is cut".into()], guarded, seconds }
}

/// Who looks at the second place finds damage where it is: in one part of thirty.
fn rotten_in(part: u32) -> Behaviour {
    Behaviour::of(move |task, access, outcome| match &task.work {
        Work::CheckRepository { read, .. } if access[0]["place"].to_string().contains("second") => match read {
            ReadShare::Part { part: read, .. } if *read != part => Answer::Say(outcome),
            _ => Answer::Say(damaged(outcome)),
        },
        _ => Answer::Say(outcome),
    })
}

#[test]
fn damage_is_mended_for_whoever_reads_where_it_was_and_for_nobody_else() {
    for (engine, db, _keep) in db::testing::databases() {
        let (house, _) = twofold(db);
        let first = house.taken().id;
        let seconds = |house: &House, id| house.point(id).copies().nth(1).unwrap().state;
        // The second look reads the second part, and the third would read the third.
        let second = later(&house);
        house.settle(&rotten_in(2));
        assert_eq!([first, second].map(|id| seconds(&house, id)), [CopyState::Damaged; 2], "{engine}");
        let third = later(&house);
        house.settle(&rotten_in(2));
        assert_eq!([first, third].map(|id| seconds(&house, id)), [CopyState::Damaged; 2], "{engine}: nobody mended it");
        let fourth = later(&house);
        house.settle(&Behaviour::willing());
        assert_eq!([first, fourth].map(|id| seconds(&house, id)), [CopyState::Verified; 2], "{engine}: somebody did");
        let reads = "SELECT work FROM host_tasks WHERE work LIKE '%checkRepository%' ORDER BY id DESC LIMIT 2";
        let last: Vec<String> = house.gate().db().read(move |conn| conn.query(reads, &[], |row| row.get(0))).unwrap();
        assert!(last.iter().any(|work| work.contains("\"part\":2,")), "{engine}: {last:?}");
    }
}

#[test]
fn what_a_restore_found_damaged_is_mended_when_everything_was_read() {
    let (_, db, _keep) = db::testing::sqlite();
    let (house, [first, _]) = twofold(db);
    let (point, wrong) = (house.taken(), work::problem(vault::fault::REPOSITORY_DAMAGED, "a pack is cut"));
    let part = point.parts[0].part.clone();
    house.within(move |tx| points::found(tx, point.id, Some(first), &part, CopyState::Damaged, &wrong)).unwrap();
    let reads = Arc::new(Mutex::new(Vec::new()));
    let seen = reads.clone();
    let mood = Behaviour::of(move |task, access, outcome| {
        if let (Work::CheckRepository { read, .. }, true) =
            (&task.work, access[0]["place"].to_string().contains("first"))
        {
            seen.lock().unwrap().push(*read);
        }
        Answer::Say(outcome)
    });
    later(&house);
    house.settle(&mood);
    assert_eq!(house.point(point.id).state, State::Available);
    later(&house);
    house.settle(&mood);
    let reads = reads.lock().unwrap().clone();
    assert!(matches!(reads[..], [ReadShare::Everything, ReadShare::Part { .. }]), "{reads:?}");
}

#[test]
fn a_look_that_began_before_somebody_found_damage_says_nothing_good() {
    for (engine, db, _keep) in db::testing::databases() {
        let (house, [own, other]) = neighbours(db);
        let first = taken_of(&house, &own, &Behaviour::willing());
        assert_eq!(house.point(first).state, State::Available, "{engine}");
        let at_east = |access: &[Json]| access[0]["place"].to_string().contains("east");
        let second = taken_of(
            &house,
            &other,
            &Behaviour::of(move |task, access, outcome| match task.work {
                Work::CheckRepository { .. } if at_east(access) => Answer::Nothing,
                _ => Answer::Say(outcome),
            }),
        );
        let open = "SELECT id FROM host_tasks WHERE state IN ('waiting', 'running') AND work LIKE '%checkRepository%'";
        let slow: String = house.gate().db().read(move |conn| conn.query_one(open, &[], |row| row.get(0))).unwrap();
        let (late, old) = (Arc::new(AtomicBool::new(false)), slow.clone());
        let lets = late.clone();
        // Whoever is asked later finds damage; who was asked before found none, and says so when it is let.
        let mood = Behaviour::of(move |task, access, outcome| match task.work {
            Work::CheckRepository { .. } if task.id.as_str() == old && !lets.load(Ordering::Relaxed) => Answer::Nothing,
            Work::CheckRepository { .. } if task.id.as_str() != old && at_east(access) => Answer::Say(damaged(outcome)),
            _ => Answer::Say(outcome),
        });
        looked_at(&house, first, &mood);
        assert_eq!((house.point(first).state, house.point(second).state), (State::Degraded, State::Taking), "{engine}");
        late.store(true, Ordering::Relaxed);
        house.settle(&mood);
        for id in [first, second] {
            assert_eq!(copies(&house, id), [CopyState::Damaged, CopyState::Verified], "{engine}");
            assert_eq!(house.point(id).state, State::Degraded, "{engine}");
        }
    }
}

#[test]
fn what_is_found_while_a_point_is_being_taken_is_true_of_it_too() {
    for (engine, db, _keep) in db::testing::databases() {
        let (house, [own, other]) = neighbours(db);
        let first = taken_of(&house, &own, &Behaviour::willing());
        let at = |name: &'static str| move |access: &[Json]| access[0]["place"].to_string().contains(name);
        let (east, west) = (at("east"), at("west"));
        // Its copy in the east was looked at; nobody has looked in the west yet.
        let second = taken_of(
            &house,
            &other,
            &Behaviour::of(move |task, access, outcome| match task.work {
                Work::CheckRepository { .. } if west(access) => Answer::Nothing,
                _ => Answer::Say(outcome),
            }),
        );
        assert_eq!(copies(&house, second), [CopyState::Verified, CopyState::Stored], "{engine}");
        looked_at(
            &house,
            first,
            &Behaviour::of(move |task, access, outcome| match task.work {
                Work::CheckRepository { .. } if east(access) => Answer::Fail("repository.missing".into()),
                Work::CheckRepository { .. } => Answer::Nothing,
                _ => Answer::Say(outcome),
            }),
        );
        house.settle(&Behaviour::of(move |_, access, outcome| match at("east")(access) {
            true => Answer::Nothing,
            false => Answer::Say(outcome),
        }));
        assert_eq!(copies(&house, second), [CopyState::Missing, CopyState::Verified], "{engine}");
        assert_eq!(house.point(second).state, State::Degraded, "{engine}: not good on the strength of an old look");
    }
}

#[test]
fn a_place_that_copies_cannot_be_brought_to_is_looked_at_for_what_else_lies_there() {
    for (engine, db, _keep) in db::testing::databases() {
        let (house, _) = twofold(db);
        let first = house.taken().id;
        let second = later(&house);
        house.settle(&unmounted(&["second"]));
        assert_eq!(house.point(second).state, State::Degraded, "{engine}");
        assert_eq!(copies(&house, first), [CopyState::Verified, CopyState::Missing], "{engine}");
        assert_eq!(house.point(first).state, State::Degraded, "{engine}");
        later(&house);
        house.settle(&Behaviour::willing());
        assert_eq!(house.point(first).state, State::Available, "{engine}");
    }
}

#[test]
fn a_copy_that_fails_over_damage_has_both_sides_read() {
    let (_, db, _keep) = db::testing::sqlite();
    let (house, _) = twofold(db);
    house.taken();
    let reads = Arc::new(Mutex::new(Vec::new()));
    let seen = reads.clone();
    later(&house);
    house.settle(&Behaviour::of(move |task, _, outcome| match &task.work {
        Work::CopySnapshots { .. } => Answer::Fail(vault::fault::REPOSITORY_DAMAGED.into()),
        Work::CheckRepository { read, .. } => {
            seen.lock().unwrap().push(*read);
            Answer::Say(outcome)
        }
        _ => Answer::Say(outcome),
    }));
    assert_eq!(*reads.lock().unwrap(), [ReadShare::Everything; 2]);
}

#[test]
fn what_was_given_up_is_brought_after_all_once_its_repository_is_there_again() {
    for (engine, db, _keep) in db::testing::databases() {
        let (house, _) = twofold(db);
        let id = later(&house);
        house.settle(&Behaviour::of(|task, _, outcome| match task.work {
            Work::CopySnapshots { .. } => Answer::Fail("repository.full".into()),
            _ => Answer::Say(outcome),
        }));
        let failed = later(&house);
        house.settle(&unmounted(&["first"]));
        assert_eq!([id, failed].map(|id| house.point(id).state), [State::Lost, State::Failed], "{engine}");
        // What nobody tries any more takes no place among those that are tried.
        let later_on = house.gate().now() + 1_000 * HOUR;
        let listed = |house: &House| {
            house.gate().db().read(move |conn| store::degraded(conn, later_on, HOUR, upkeep::ATTEMPTS_MAX)).unwrap()
        };
        assert_eq!(listed(&house), [], "{engine}");
        later(&house);
        house.settle(&Behaviour::willing());
        assert_eq!((house.point(id).state, listed(&house).len()), (State::Degraded, 1), "{engine}");
        house.gate().clock().advance(HOUR);
        upkeep::look_for_incomplete(house.gate()).unwrap();
        house.settle(&Behaviour::willing());
        assert_eq!(house.point(id).state, State::Available, "{engine}");
    }
}

#[test]
fn patience_with_an_incomplete_point_doubles() {
    for (engine, db, _keep) in db::testing::databases() {
        let (house, _) = twofold(db);
        let fails = Behaviour::of(|task, _, outcome| match task.work {
            Work::CopySnapshots { .. } => Answer::Fail("repository.full".into()),
            _ => Answer::Say(outcome),
        });
        later(&house);
        house.settle(&fails);
        for tries in 0..4 {
            let wait = HOUR / 4 * (1 << tries);
            let due = |house: &House| {
                let now = house.gate().now();
                !house.gate().db().read(move |conn| store::degraded(conn, now, HOUR / 4, 8)).unwrap().is_empty()
            };
            house.gate().clock().advance(wait - Duration::from_secs(1));
            assert!(!due(&house), "{engine}: try {tries}");
            house.gate().clock().advance(Duration::from_secs(1));
            assert!(due(&house), "{engine}: try {tries}");
            upkeep::look_for_incomplete(house.gate()).unwrap();
            house.settle(&fails);
        }
    }
}

#[test]
fn what_nobody_looked_at_for_longest_comes_first_and_what_is_wrong_leaves_room() {
    for (engine, db, _keep) in db::testing::databases() {
        let (house, _) = twofold(db);
        let all: Vec<RecoveryPoint> = (0..4)
            .map(|_| {
                house.gate().clock().advance(HOUR);
                house.taken()
            })
            .collect();
        let repository = all[0].parts[0].copies[0].repository;
        let names: Vec<String> = all.iter().map(|point| point.parts[0].copies[0].snapshot.clone().unwrap()).collect();
        let (wrong, times) = (names[..2].to_vec(), names.clone());
        house
            .within(move |tx| {
                for (n, name) in times.iter().enumerate() {
                    let (state, at) = (if wrong.contains(name) { "missing" } else { "verified" }, 100 - n as i64);
                    let sql = "UPDATE recovery_copies SET state = $1, checked_at = $2 WHERE repository = $3 AND snapshot = $4";
                    tx.execute(sql, db::args![state, at, repository, name])?;
                }
                Ok(())
            })
            .unwrap();
        let asked = |most: usize| {
            house.gate().db().read(move |conn| store::to_look_at(conn, repository, ("", "g"), most)).unwrap()
        };
        assert_eq!(asked(2), [names[1].clone(), names[3].clone()], "{engine}");
        assert_eq!(asked(4), [1, 0, 3, 2].map(|n: usize| names[n].clone()), "{engine}");
    }
}

#[test]
fn what_was_taken_is_not_thrown_away_because_nobody_could_look_just_then() {
    for (engine, db, _keep) in db::testing::databases() {
        let (house, _) = twofold(db);
        let id = later(&house);
        house.settle(&Behaviour::of(|task, _, outcome| match task.work {
            Work::CheckRepository { .. } => Answer::Fail("repository.unreachable".into()),
            _ => Answer::Say(outcome),
        }));
        assert_eq!(house.point(id).state, State::Taking, "{engine}");
        house.gate().clock().advance(Duration::from_secs(301));
        house.settle(&Behaviour::willing());
        assert_eq!(house.point(id).state, State::Available, "{engine}");
    }
}

#[test]
fn what_nobody_could_look_at_for_a_day_is_kept_and_looked_at_when_that_is_possible_again() {
    for (engine, db, _keep) in db::testing::databases() {
        let (house, _) = twofold(db);
        let id = later(&house);
        let away = Behaviour::of(|task, _, outcome| match task.work {
            Work::CheckRepository { .. } => Answer::Fail("repository.unreachable".into()),
            _ => Answer::Say(outcome),
        });
        for _ in 0..200 {
            house.settle(&away);
            house.gate().clock().advance(Duration::from_secs(601));
        }
        assert_eq!(house.point(id).state, State::Lost, "{engine}: it is not thrown away");
        later(&house);
        house.settle(&Behaviour::willing());
        house.gate().clock().advance(HOUR);
        upkeep::look_for_incomplete(house.gate()).unwrap();
        house.settle(&Behaviour::willing());
        assert_eq!(house.point(id).state, State::Available, "{engine}");
    }
}
