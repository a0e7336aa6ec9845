//! What is found of a repository is true of everything in it, and is made good again.

use super::*;
use crate::backups::findings::RENEW;
use crate::backups::places::PlaceRef;
use crate::backups::points::CopyState;
use crate::backups::protections::Protected;
use crate::backups::upkeep;
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
        house.gate().run(&manager(), &RENEW, PlaceRef { id: first }).unwrap();
        house.gate().clock().advance(HOUR);
        upkeep::look_for_incomplete(house.gate()).unwrap();
        house.settle(&Behaviour::willing());
        assert_eq!((house.point(id).state, copies(&house, id)), (State::Available, vec![CopyState::Verified; 2]));
        let kept: Vec<usize> = house.store.lock().unwrap().values().map(BTreeSet::len).collect();
        assert_eq!(kept, [1, 1], "{engine}: brought from the second place");
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
        house.within(move |tx| crate::backups::store::set_proven(tx, first.id, repository)).unwrap();
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
