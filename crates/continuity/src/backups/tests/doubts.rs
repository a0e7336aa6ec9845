//! A repository of which everything must be read is read once for all who have copies in it, and keeps nobody.

use commerce::testing::member;
use drivers::wire::ReadShare;

use super::*;
use crate::backups::points::CopyState;

const HOUR: Duration = Duration::from_secs(3_600);

/// Three services of one customer with copies in the same two repositories, of which the first is doubted; the
/// next point of each is being taken.
fn doubted(db: Db) -> (House, Vec<RecoveryPointId>) {
    let house = House::new(db);
    let policy = house.policy(&["east", "west"].map(|name| house.server(name).id), Retention::default());
    let mut services = vec![house.service.clone()];
    for _ in 0..2 {
        let order = house.town.order(CUSTOMER);
        house.town.settle(resources::testing::Mood::Willing);
        services.push(house.town.services(&order.id)[0].id.clone());
    }
    for service in &services {
        let input = protections::Protect { id: service.clone(), policy: policy.id };
        house.gate().run(&manager(), &protections::SET, input).unwrap();
    }
    let take =
        |service: &String| house.gate().run(&member(CUSTOMER), &TAKE, ServiceRef { id: service.clone() }).unwrap().id;
    let first: Vec<_> = services.iter().map(take).collect();
    house.settle(&Behaviour::willing());
    let repository = house.point(first[0]).parts[0].copies[0].repository;
    house.gate().clock().advance(HOUR);
    house.within(move |tx| repositories::doubt(tx, repository, ReadShare::Everything)).unwrap();
    house.gate().clock().advance(HOUR);
    let next = services.iter().map(take).collect();
    (house, next)
}

fn whole_readings(house: &House) -> i64 {
    house.count("SELECT COUNT(*) FROM host_tasks WHERE work LIKE '%checkRepository%' AND work LIKE '%everything%'")
}

fn states(house: &House, points: &[RecoveryPointId]) -> Vec<State> {
    points.iter().map(|id| house.point(*id).state).collect()
}

/// Who reads everything takes long.
fn slow() -> Behaviour {
    Behaviour::of(|task, _, outcome| match task.work {
        Work::CheckRepository { read: ReadShare::Everything, .. } => Answer::Nothing,
        _ => Answer::Say(outcome),
    })
}

#[test]
fn a_doubted_repository_is_read_once_for_all_who_wait_for_it() {
    for (engine, db, _keep) in db::testing::databases() {
        let (house, points) = doubted(db);
        house.settle(&slow());
        assert_eq!((whole_readings(&house), states(&house, &points)), (1, vec![State::Taking; 3]), "{engine}");
        house.settle(&Behaviour::willing());
        assert_eq!((whole_readings(&house), states(&house, &points)), (1, vec![State::Available; 3]), "{engine}");
    }
}

#[test]
fn what_one_reading_finds_damaged_is_damaged_for_all_who_wait_for_it() {
    for (engine, db, _keep) in db::testing::databases() {
        let (house, points) = doubted(db);
        house.settle(&Behaviour::of(|task, _, outcome| match (&task.work, outcome) {
            (
                Work::CheckRepository { read: ReadShare::Everything, .. },
                Outcome::RepositoryChecked { snapshots, guarded, seconds, .. },
            ) => {
                let faults = vec!["a pack is cut".to_owned()];
                Answer::Say(Outcome::RepositoryChecked { snapshots, whole: false, faults, guarded, seconds })
            }
            (_, outcome) => Answer::Say(outcome),
        }));
        for id in &points {
            let copies: Vec<_> = house.point(*id).copies().map(|copy| copy.state).collect();
            assert_eq!(copies, [CopyState::Damaged, CopyState::Verified], "{engine}");
        }
        assert_eq!((whole_readings(&house), states(&house, &points)), (1, vec![State::Degraded; 3]), "{engine}");
    }
}

#[test]
fn a_reading_without_end_keeps_no_other_service_from_its_next_point() {
    for (engine, db, _keep) in db::testing::databases() {
        let (house, points) = doubted(db);
        house.settle(&slow());
        house.gate().clock().advance(2 * HOUR);
        house.settle(&slow());
        let mut now = states(&house, &points);
        now.sort_by_key(|state| state.word());
        assert_eq!(now, [State::Degraded, State::Degraded, State::Taking], "{engine}: they are whole in the west");
        assert_eq!(whole_readings(&house), 1, "{engine}");
        let waits = points.iter().find(|id| house.point(**id).state == State::Degraded).unwrap();
        let problem = house.point(*waits).problem.unwrap();
        assert_eq!(problem.code, "backup.reading", "{engine}");
        let service = ServiceRef { id: house.point(*waits).service };
        house.gate().run(&member(CUSTOMER), &TAKE, service).unwrap();
    }
}
