//! What a good day looks like, and what is seen of it.

use base::id::TenantId;
use commerce::testing::member;
use resources::tasks;

use super::*;
use crate::backups::digits::Standing;
use crate::backups::points::{CHECK, CopyState, GET, LIST, ListPoints, PointRef};
use crate::backups::protections;

#[test]
fn a_point_is_taken_copied_looked_at_and_available() {
    each_house(|engine, house| {
        let begun = house.take();
        assert_eq!((begun.state, begun.by_hand), (State::Taking, true), "{engine}");
        house.settle(&Behaviour::willing());
        let point = house.point(begun.id);
        assert_eq!((point.state, &point.problem), (State::Available, &None), "{engine}");
        let copies: Vec<_> = point.copies().collect();
        assert_eq!(copies.len(), 3);
        for copy in copies {
            assert_eq!((copy.state, copy.checked_at.is_some()), (CopyState::Verified, true));
            let all: BTreeSet<String> = house.store.lock().unwrap().values().flatten().cloned().collect();
            assert!(all.contains(copy.snapshot.as_ref().unwrap()));
        }
        let taken = point.parts[0].taken.as_ref().unwrap();
        assert_eq!((taken.bytes, point.taken_at), (1 << 20, Some(house.gate().now())));
        assert_eq!(house.count("SELECT COUNT(*) FROM facts WHERE name = 'RecoveryPointAvailable'"), 1);
    });
}

#[test]
fn a_second_point_makes_no_second_repository() {
    each_house(|engine, house| {
        house.taken();
        house.gate().clock().advance(Duration::from_secs(60));
        house.taken();
        assert_eq!(house.count("SELECT COUNT(*) FROM backup_repositories WHERE state = 'made'"), 3, "{engine}");
        let made = "SELECT COUNT(*) FROM host_tasks WHERE work LIKE '%makeRepository%'";
        assert_eq!(house.count(made), 3, "{engine}");
    });
}

#[test]
fn one_point_of_a_service_is_taken_at_a_time() {
    each_house(|engine, house| {
        house.take();
        let second = house.gate().run(&member(CUSTOMER), &TAKE, house.this()).unwrap_err();
        assert_eq!(second.code(), "backup.running", "{engine}");
        house.settle(&Behaviour::willing());
        house.taken();
    });
}

#[test]
fn no_secret_lies_in_clear_in_any_table_and_each_repository_has_its_own() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = House::protected(db);
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = seen.clone();
    let id = house.take().id;
    house.settle(&Behaviour::of(move |_, access, outcome| {
        for one in access {
            let key = one["key"].as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned();
            heard.lock().unwrap().push(key);
        }
        Answer::Say(outcome)
    }));
    assert_eq!(house.point(id).state, State::Available);
    let keys: BTreeSet<String> = seen.lock().unwrap().iter().cloned().collect();
    assert_eq!(keys.len(), 9, "a password, an escrow password and a master key for each of three");
    let file = std::fs::read(_keep.path().join("yunwei.db")).unwrap();
    let log = std::fs::read(_keep.path().join("yunwei.db-wal")).unwrap_or_default();
    for key in keys {
        let is_there = |bytes: &[u8]| bytes.windows(key.len()).any(|window| window == key.as_bytes());
        assert!(!is_there(&file) && !is_there(&log), "a secret lies in the database");
    }
}

#[test]
fn strangers_see_nothing_and_customers_their_own() {
    each_house(|engine, house| {
        let point = house.taken();
        let (own, other) = (member(CUSTOMER), member(3));
        let gate = house.gate();
        assert_eq!(gate.run(&own, &GET, PointRef { id: point.id }).unwrap().point.id, point.id, "{engine}");
        let page = ListPoints { id: house.service.clone(), expired: false, after: None, limit: None };
        assert_eq!(gate.run(&own, &LIST, page.clone()).unwrap().items.len(), 1);
        let hidden = gate.run(&other, &GET, PointRef { id: point.id }).unwrap_err();
        assert_eq!(hidden.code(), "recoveryPoint.not_found");
        for refused in [
            gate.run(&other, &LIST, page).map(drop),
            gate.run(&other, &TAKE, house.this()).map(drop),
            gate.run(&other, &protections::GET, house.this()).map(drop),
            gate.run(&other, &CHECK, PointRef { id: point.id }).map(drop),
        ] {
            assert_eq!(refused.unwrap_err().kind(), base::Kind::NotFound);
        }
        let theirs = repositories::ListRepositories { tenant: Some(TenantId(CUSTOMER)) };
        assert!(gate.run(&other, &repositories::LIST, theirs).is_err());
        let mine = gate.run(&own, &repositories::LIST, Default::default()).unwrap().items;
        assert_eq!(mine.len(), 3);
        let escrow = repositories::Reveal { id: mine[0].id, reason: "we leave".into() };
        let silent = repositories::Reveal { reason: " ".into(), ..escrow.clone() };
        assert_eq!(gate.run(&own, &repositories::REVEAL, silent).err().unwrap().code(), "reason.missing", "{engine}");
        assert!(gate.run(&other, &repositories::REVEAL, escrow.clone()).is_err());
        assert_eq!(gate.run(&own, &repositories::REVEAL, escrow).unwrap().password.len(), 64);
    });
}

#[test]
fn the_access_of_a_task_is_for_its_host_while_it_is_open() {
    each_house(|engine, house| {
        house.take();
        house.town.engine.settle().unwrap();
        let (host, _) = house.machine();
        let other = *house.town.hosts.iter().find(|one| **one != host).unwrap();
        let gate = house.gate();
        let task = gate.run(&agent(host, OPERATOR), &POLL, Poll { after: 0 }).unwrap().tasks.remove(0);
        let ask = || tasks::TaskRef { id: task.id.clone() };
        assert!(gate.run(&agent(other, OPERATOR), &tasks::ACCESS, ask()).is_err(), "{engine}");
        assert!(gate.run(&agent(host, OPERATOR), &tasks::ACCESS, ask()).is_ok());
        house.settle(&Behaviour::willing());
        assert!(gate.run(&agent(host, OPERATOR), &tasks::ACCESS, ask()).is_err(), "it has ended");
    });
}

#[test]
fn a_service_says_how_well_it_is_protected() {
    each_house(|engine, house| {
        let before = house.gate().run(&member(CUSTOMER), &protections::GET, house.this()).unwrap();
        assert!(before.newest.is_none() && before.policy.is_some() && before.next_due.is_some(), "{engine}");
        house.taken();
        house.gate().clock().advance(Duration::from_secs(3_600));
        let after = house.gate().run(&member(CUSTOMER), &protections::GET, house.this()).unwrap();
        assert_eq!((after.age_seconds, after.place_names.len()), (Some(3_600), 3));
        let standing: Vec<_> = after.digits.iter().map(|digit| digit.standing).collect();
        use Standing::{Met, NotMet, NotProven};
        // Three directories of the machine's own host: many copies, and one fate.
        assert_eq!(standing, [Met, NotMet, NotMet, NotMet, NotProven]);
    });
}

#[test]
fn a_service_without_a_policy_is_not_backed_up() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = House::new(db);
    let refused = house.gate().run(&member(CUSTOMER), &TAKE, house.this()).unwrap_err();
    assert_eq!(refused.code(), "backup.no_policy");
    let seen = house.gate().run(&member(CUSTOMER), &protections::GET, house.this()).unwrap();
    assert!(seen.policy.is_none() && seen.next_due.is_none());
}
