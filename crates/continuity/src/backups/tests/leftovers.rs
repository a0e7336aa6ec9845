//! What may not be removed yet takes nobody's place among what may.

use commerce::testing::member;

use super::*;
use crate::backups::upkeep;

#[test]
fn what_is_held_keeps_nothing_else_from_being_removed() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let policy = house.policy(
            &["first", "second"].map(|name| house.folder(name, house.machine().0).id),
            Retention { last: 1, ..Default::default() },
        );
        let order = house.town.order(CUSTOMER);
        house.town.settle(resources::testing::Mood::Willing);
        let mut both = [house.service.clone(), house.town.services(&order.id)[0].id.clone()];
        both.sort();
        for service in &both {
            let input = protections::Protect { id: service.clone(), policy: policy.id };
            house.gate().run(&manager(), &protections::SET, input).unwrap();
        }
        let mut newest = Vec::new();
        for service in both.iter().chain(&both) {
            house.gate().clock().advance(Duration::from_secs(3_600));
            let id = house.gate().run(&member(CUSTOMER), &TAKE, ServiceRef { id: service.clone() }).unwrap().id;
            house.settle(&Behaviour::willing());
            newest.push(house.point(id));
        }
        upkeep::look_for_expired(house.gate()).unwrap();
        // Somebody has yet to look at the first of them.
        let (service, tenant) = (both[0].clone(), newest[0].tenant);
        house
            .within(move |tx| {
                let problem = work::problem("backup.unusual", "all of it is new");
                let cause = crate::alarms::Cause::BackupUnusual;
                let wrong = crate::alarms::Wrong { tenant, kind: "service", id: &service, cause, problem };
                crate::alarms::raise(tx, &wrong)
            })
            .unwrap();
        let repository = newest[1].parts[0].copies[0].repository;
        let goes = house.gate().db().read(move |conn| upkeep::by_pages(conn, repository, 1)).unwrap();
        assert_eq!(goes, newest[1].parts[0].copies[0].snapshot.clone().into_iter().collect::<Vec<_>>(), "{engine}");
        upkeep::leftovers(house.gate(), 1).unwrap();
        let asked = house.count("SELECT COUNT(*) FROM host_tasks WHERE work LIKE '%forgetSnapshots%'");
        assert_eq!(asked, 2, "{engine}: in each of two repositories, one at a time");
    }
}
