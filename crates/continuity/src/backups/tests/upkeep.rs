//! What happens by itself: backups that are due, points that are completed, what is let go.

use commerce::testing::member;

use super::*;
use crate::backups::points::CopyState;
use crate::backups::policies::{ChangePolicy, PREVIEW, Preview, UPDATE};
use crate::backups::upkeep;

const HOUR: Duration = Duration::from_secs(3_600);

fn points(house: &House) -> Vec<RecoveryPoint> {
    let page = points::ListPoints { id: house.service.clone(), expired: true, after: None, limit: Some(100) };
    house.gate().run(&member(CUSTOMER), &points::LIST, page).unwrap().items
}

#[test]
fn a_service_is_backed_up_when_it_is_due_and_what_was_missed_once() {
    each_house(|engine, house| {
        let willing = Behaviour::willing();
        // The clock stands at midnight; the policy says two.
        house.pass(HOUR, &willing);
        assert_eq!(points(&house).len(), 0, "{engine}: it is one");
        house.pass(HOUR, &willing);
        assert_eq!(points(&house).len(), 1, "{engine}: it is two");
        house.pass(HOUR, &willing);
        assert_eq!(points(&house).len(), 1, "{engine}: once a day");
        house.pass(10 * 24 * HOUR, &willing);
        assert_eq!(points(&house).len(), 2, "{engine}: ten days are made up for once");
        let point = &points(&house)[0];
        assert!(!point.by_hand && point.state == State::Available);
        house.pass(20 * HOUR, &willing);
        assert_eq!(points(&house).len(), 2);
        house.pass(4 * HOUR, &willing);
        assert_eq!(points(&house).len(), 3, "{engine}: and goes on at two");
    });
}

#[test]
fn a_run_that_is_still_on_its_way_is_not_begun_twice() {
    each_house(|engine, house| {
        let silent = Behaviour::of(|_, _, _| Answer::Nothing);
        house.pass(2 * HOUR, &silent);
        upkeep::look_for_due(house.gate()).unwrap();
        assert_eq!(points(&house).len(), 1, "{engine}");
        house.settle(&Behaviour::willing());
        assert_eq!(points(&house).len(), 1);
    });
}

#[test]
fn another_schedule_is_another_next_time() {
    each_house(|engine, house| {
        let policy = house.gate().run(&member(CUSTOMER), &protections::GET, house.this()).unwrap().policy.unwrap();
        let schedule = Schedule { calendar: "hourly :30".into(), jitter_minutes: 0, time_zone: "UTC".into() };
        let change = ChangePolicy {
            what: None,
            id: policy.id,
            revision: Some(1),
            name: None,
            schedule: Some(schedule),
            retention: None,
            places: None,
            prune_delay_hours: None,
            offered: None,
        };
        let changed = house.gate().run(&manager(), &UPDATE, change.clone()).unwrap();
        assert_eq!((changed.revision, changed.terms.places.len()), (2, 3), "{engine}");
        assert_eq!(house.gate().run(&manager(), &UPDATE, change).unwrap_err().code(), "backupPolicy.stale");
        house.pass(HOUR / 2, &Behaviour::willing());
        assert_eq!(points(&house)[0].policy_revision, 2);
    });
}

#[test]
fn what_a_point_lacks_is_brought_later() {
    each_house(|engine, house| {
        let id = house.take().id;
        house.settle(&Behaviour::of(|task, access, outcome| match task.work {
            Work::CopySnapshots { .. } if access[1]["place"].to_string().contains("third") => {
                Answer::Fail("repository.unreachable".into())
            }
            _ => Answer::Say(outcome),
        }));
        let point = house.point(id);
        assert_eq!(point.state, State::Degraded, "{engine}");
        assert_eq!(point.problem.unwrap().code, "repository.unreachable");
        assert_eq!(point.parts[0].copies[2].state, CopyState::Pending);
        upkeep::look_for_incomplete(house.gate()).unwrap();
        assert_eq!(house.point(id).state, State::Degraded, "not at once");
        house.gate().clock().advance(HOUR / 4);
        upkeep::look_for_incomplete(house.gate()).unwrap();
        house.settle(&Behaviour::willing());
        assert_eq!((house.point(id).state, house.point(id).problem), (State::Available, None), "{engine}");
        let taken = "SELECT COUNT(*) FROM host_tasks WHERE work LIKE '%backUpMachine%'";
        assert_eq!(house.count(taken), 1, "nothing is taken twice");
    });
}

fn retaining(db: Db, retention: Retention) -> House {
    let house = House::new(db);
    let (host, _) = house.machine();
    let places = ["first", "second"].map(|name| house.folder(name, host).id);
    house.protect(&house.policy(&places, retention));
    house
}

#[test]
fn what_no_rule_keeps_is_forgotten_in_every_place() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = retaining(db, Retention { last: 2, ..Default::default() });
        let all: Vec<_> = (0..4)
            .map(|_| {
                house.gate().clock().advance(HOUR);
                house.taken()
            })
            .collect();
        let preview = Preview { id: house.service.clone(), retention: None };
        let table = house.gate().run(&member(CUSTOMER), &PREVIEW, preview).unwrap();
        assert!(table.lets_go);
        assert_eq!(table.items.iter().filter(|verdict| verdict.goes()).count(), 2, "{engine}");
        assert_eq!(house.point(all[0].id).state, State::Available, "a preview lets nothing go");
        upkeep::look_for_expired(house.gate()).unwrap();
        let states: Vec<_> = all.iter().map(|point| house.point(point.id).state).collect();
        assert_eq!(states, [State::Expired, State::Expired, State::Available, State::Available], "{engine}");
        upkeep::look_for_leftovers(house.gate()).unwrap();
        upkeep::look_for_leftovers(house.gate()).unwrap();
        let forgets = "SELECT COUNT(*) FROM host_tasks WHERE work LIKE '%forgetSnapshots%'";
        assert_eq!(house.count(forgets), 2, "{engine}: one at a time in each of two places");
        house.settle(&Behaviour::willing());
        let kept: Vec<usize> = house.store.lock().unwrap().values().map(BTreeSet::len).collect();
        assert_eq!(kept, [2, 2], "{engine}");
        upkeep::look_for_leftovers(house.gate()).unwrap();
        assert_eq!(house.count(forgets), 2, "{engine}: and then there is nothing left to do");
    }
}

#[test]
fn nothing_goes_while_the_newest_good_point_is_not_in_every_place() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = retaining(db, Retention { last: 1, ..Default::default() });
        let first = house.taken();
        house.gate().clock().advance(HOUR);
        let second = house.take();
        house.settle(&Behaviour::of(|task, _, outcome| match task.work {
            Work::CopySnapshots { .. } => Answer::Fail("repository.full".into()),
            _ => Answer::Say(outcome),
        }));
        assert_eq!(house.point(second.id).state, State::Degraded, "{engine}");
        upkeep::look_for_expired(house.gate()).unwrap();
        assert_eq!(house.point(first.id).state, State::Available, "{engine}: it is the newest good one");
    }
}

#[test]
fn what_a_failed_point_left_behind_is_forgotten() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = retaining(db, Retention::default());
        let id = house.take().id;
        house.settle(&Behaviour::of(|task, _, outcome| match task.work {
            Work::CheckRepository { .. } => Answer::Fail("repository.damaged".into()),
            _ => Answer::Say(outcome),
        }));
        assert_eq!(house.point(id).state, State::Failed, "{engine}");
        upkeep::look_for_leftovers(house.gate()).unwrap();
        house.settle(&Behaviour::willing());
        let left: usize = house.store.lock().unwrap().values().map(BTreeSet::len).sum();
        assert_eq!(left, 0, "{engine}");
    }
}

#[test]
fn protection_ends_and_points_stay() {
    each_house(|engine, house| {
        let point = house.taken();
        house.gate().run(&manager(), &protections::END, house.this()).unwrap();
        house.pass(48 * HOUR, &Behaviour::willing());
        assert_eq!(points(&house).len(), 1, "{engine}");
        assert_eq!(house.point(point.id).state, State::Available);
    });
}

#[test]
fn a_specification_that_names_a_policy_protects_its_services() {
    each_house(|engine, house| {
        let gate = house.gate();
        gate.run(&manager(), &protections::END, house.this()).unwrap();
        let service = house.service.clone();
        let activate = |name: &'static str| {
            let service = service.clone();
            let system = Cx::system("test", TenantId(CUSTOMER));
            gate.perform(&system, "service.reconcile", gate::Effect::Change, [0; 32], move |tx| {
                let kind = &provisioning::services::SERVICE;
                let mut record = tx.peek(kind, &service)?;
                let named =
                    serde_json::json!([{ "name": protections::CHARACTERISTIC, "valueType": "string", "value": name }]);
                record.body_mut().insert("serviceCharacteristic".into(), named);
                tx.save(kind, &mut record)?;
                protections::activated(tx, &service)
            })
            .unwrap();
            gate.run(&member(CUSTOMER), &protections::GET, house.this()).unwrap().policy
        };
        assert!(activate("no such policy").is_none(), "{engine}: the service runs all the same");
        assert_eq!(activate("daily to 3").unwrap().name, "daily to 3", "{engine}");
    });
}
