//! A repository of which everything must be read is read once for all who have copies in it, and keeps nobody; who
//! asks for that hears how it stands.

use commerce::testing::member;
use drivers::wire::ReadShare;

use super::*;
use crate::backups::points::CopyState;
use crate::backups::whole::{CHECK, RepositoryRef};

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
fn a_reading_without_end_keeps_no_service_from_its_next_point() {
    for (engine, db, _keep) in db::testing::databases() {
        let (house, points) = doubted(db);
        house.settle(&slow());
        let service = |id: RecoveryPointId| ServiceRef { id: house.point(id).service };
        let busy = house.gate().run(&member(CUSTOMER), &TAKE, service(points[0])).unwrap_err();
        assert_eq!(busy.code(), "backup.reading", "{engine}: {busy}");
        assert!(busy.message().contains("east") && busy.message().contains("since"), "{engine}: {busy}");
        let detail = house.gate().run(&manager(), &points::GET, points::PointRef { id: points[0] }).unwrap();
        assert!(detail.work.iter().any(|one| one.what == "read"), "{engine}: {:?}", detail.work);

        house.gate().clock().advance(2 * HOUR);
        house.settle(&slow());
        assert_eq!(states(&house, &points), [State::Degraded; 3], "{engine}: they are whole in the west");
        for id in &points {
            assert_eq!(house.point(*id).problem.unwrap().code, "backup.reading", "{engine}");
        }
        let take = |id: &RecoveryPointId| house.gate().run(&member(CUSTOMER), &TAKE, service(*id)).unwrap().id;
        let next: Vec<_> = points.iter().map(take).collect();
        house.settle(&slow());
        assert_eq!((whole_readings(&house), states(&house, &next)), (1, vec![State::Taking; 3]), "{engine}");

        // It ends after all: the points in hand hear it, and those that could not wait are looked at soon.
        house.settle(&Behaviour::willing());
        assert_eq!((whole_readings(&house), states(&house, &next)), (1, vec![State::Available; 3]), "{engine}");
        house.gate().clock().advance(HOUR);
        crate::backups::upkeep::look_for_incomplete(house.gate()).unwrap();
        house.settle(&Behaviour::willing());
        assert_eq!((whole_readings(&house), states(&house, &points)), (1, vec![State::Available; 3]), "{engine}");
    }
}

#[test]
fn a_reading_that_comes_to_no_end_within_a_day_is_called_off_and_made_anew() {
    for (engine, db, _keep) in db::testing::databases() {
        let (house, points) = doubted(db);
        house.settle(&slow());
        house.gate().clock().advance(25 * HOUR);
        house.settle(&slow());
        assert_eq!(whole_readings(&house), 1, "{engine}: nobody waits for it any more");
        let service = ServiceRef { id: house.point(points[0]).service };
        let next = house.gate().run(&member(CUSTOMER), &TAKE, service).unwrap().id;
        house.settle(&slow());
        let open = "SELECT COUNT(*) FROM host_tasks WHERE work LIKE '%everything%' AND state IN ('waiting', 'running')";
        assert_eq!((whole_readings(&house), house.count(open)), (2, 1), "{engine}");
        house.settle(&Behaviour::willing());
        assert_eq!(house.point(next).state, State::Available, "{engine}");
    }
}

#[test]
fn who_asks_for_a_repository_to_be_read_is_told_since_when_it_is_and_what_came_of_it() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let policy = house.policy(&["east", "west"].map(|name| house.server(name).id), Retention::default());
        house.protect(&policy);
        let point = house.taken();
        let id = point.parts[0].copies[0].repository;
        let ask = || house.gate().run(&manager(), &CHECK, RepositoryRef { id }).unwrap().reading.unwrap().since;
        let shown = || {
            let list = repositories::ListRepositories { tenant: Some(TenantId(CUSTOMER)) };
            let all = house.gate().run(&manager(), &repositories::LIST, list).unwrap().items;
            all.into_iter().find(|one| one.id == id).unwrap()
        };
        assert!(shown().reading.is_none() && shown().read_at.is_none(), "{engine}");
        let since = ask();
        assert_eq!(since, house.gate().now(), "{engine}");
        house.settle(&slow());
        house.gate().clock().advance(HOUR);
        assert_eq!((ask(), whole_readings(&house)), (since, 1), "{engine}: it is under way");
        assert_eq!(shown().reading.unwrap().since, since, "{engine}");
        house.settle(&Behaviour::willing());
        let read_at = shown().read_at.unwrap();
        assert!(shown().reading.is_none() && shown().doubted_at.is_none(), "{engine}");

        let fails = |code: &'static str| {
            Behaviour::of(move |task, _, outcome| match task.work {
                Work::CheckRepository { read: ReadShare::Everything, .. } => Answer::Fail(code.into()),
                _ => Answer::Say(outcome),
            })
        };
        for (code, state) in [("repository.unreachable", State::Available), ("repository.damaged", State::Degraded)] {
            house.gate().clock().advance(HOUR);
            ask();
            house.settle(&fails(code));
            let told = (shown().problem.unwrap().code, house.point(point.id).state);
            assert_eq!(told, (code.to_owned(), state), "{engine}");
            assert!(shown().reading.is_none() && shown().read_at == Some(read_at), "{engine} {code}");
        }
        assert!(shown().doubted_at.is_some(), "{engine}");
        let alarms = house.gate().run(&manager(), &crate::alarms::actions::LIST, Default::default()).unwrap().items;
        assert_eq!(alarms.len(), 1, "{engine}: {alarms:?}");

        house.gate().clock().advance(HOUR);
        ask();
        house.settle(&Behaviour::willing());
        let now = shown();
        assert!(now.problem.is_none() && now.doubted_at.is_none() && now.read_at > Some(read_at), "{engine}: {now:?}");
        assert_eq!(house.point(point.id).state, State::Available, "{engine}");
        let stranger = house.gate().run(&member(3), &CHECK, RepositoryRef { id }).unwrap_err();
        assert_eq!(stranger.code(), "backupRepository.not_found", "{engine}");
    }
}

#[test]
fn what_reaches_nobody_who_could_read_it_is_said_so() {
    let (_, db, _keep) = db::testing::sqlite();
    let house = House::protected(db);
    let point = house.taken();
    let id = point.parts[0].copies[0].repository;
    let sql = "UPDATE hosts SET reachable = 0";
    house.within(move |tx| tx.execute(sql, &[]).map(drop)).unwrap();
    let refused = house.gate().run(&manager(), &CHECK, RepositoryRef { id }).unwrap_err();
    assert_eq!(refused.code(), "task.host_silent");
}
