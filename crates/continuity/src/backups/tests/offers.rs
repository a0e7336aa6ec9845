//! Policies that are offered: who may choose which, and for what.

use base::id::AccountId;
use base::{Error, Kind};
use db::records::Scope;
use gate::Actor;

use super::*;
use crate::backups::offers::{CHOOSE, LIST, ListOffered};
use crate::backups::policies::{PREVIEW_ALL, PreviewPolicy, UPDATE};
use crate::backups::protections::{END, GET, Protect, SET};

/// Whoever owns the services of that tenant.
fn owner(tenant: u128) -> Cx {
    let scope = Scope::Tenants { own: vec![TenantId(tenant)], above: vec![OPERATOR] };
    Cx::new(Actor::Account(AccountId(tenant)), TenantId(tenant), scope, ["owner".to_owned()].into())
}

fn choose(house: &House, who: &Cx, policy: &BackupPolicy) -> Result<String> {
    let input = Protect { id: house.service.clone(), policy: policy.id };
    let chosen = house.gate().run(who, &CHOOSE, input)?;
    Ok(chosen.policy.map(|policy| policy.name).unwrap_or_default())
}

fn code(result: Result<String>) -> String {
    result.map_err(|e: Error| e.code().to_owned()).unwrap_err()
}

#[test]
fn an_owner_chooses_what_is_offered_for_a_service_that_has_none() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let (gate, owner) = (house.gate(), owner(CUSTOMER));
        let offered = house.offered();
        let (near, far) = (house.folder("near", house.machine().0).id, house.server("far").id);
        let own = {
            let policy = house.policy(&[near, far, house.server("third").id], Retention::default());
            house.offer(&policy, false)
        };
        let listed = gate.run(&owner, &LIST, ListOffered {}).unwrap().items;
        assert_eq!(listed.iter().map(|one| (one.id, one.copies)).collect::<Vec<_>>(), [(offered.id, 2)], "{engine}");
        assert_eq!(code(choose(&house, &owner, &own)), "backupPolicy.absent", "{engine}: it is not offered");
        let set = gate.run(&owner, &SET, Protect { id: house.service.clone(), policy: offered.id });
        assert_eq!(set.unwrap_err().kind(), Kind::Forbidden, "{engine}");

        assert_eq!(choose(&house, &owner, &offered).unwrap(), offered.name, "{engine}");
        assert_eq!(choose(&house, &owner, &offered).unwrap(), offered.name, "{engine}: twice changes nothing");
        house.taken();

        // Another policy's rules would judge the points that are there: that is the operator's.
        house.protect(&own);
        assert_eq!(code(choose(&house, &owner, &offered)), "protection.there", "{engine}");
        let now = gate.run(&owner, &GET, house.this()).unwrap();
        assert_eq!(now.policy.unwrap().id, own.id, "{engine}");
        gate.run(&manager(), &END, house.this()).unwrap();
        // They are still there after its end, and would be judged all the same.
        assert_eq!(code(choose(&house, &owner, &offered)), "protection.there", "{engine}");
        house.protect(&offered);
        gate.run(&manager(), &END, house.this()).unwrap();
        assert_eq!(choose(&house, &owner, &offered).unwrap(), offered.name, "{engine}: its own rules again");
        gate.run(&manager(), &END, house.this()).unwrap();
        house.offer(&offered, false);
        assert_eq!(code(choose(&house, &owner, &offered)), "backupPolicy.absent", "{engine}: not any more");
    }
}

#[test]
fn a_service_of_others_is_not_there_to_choose_for() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::new(db);
        let offered = house.offered();
        let refused = choose(&house, &owner(CUSTOMER + 1), &offered).unwrap_err();
        assert_eq!(refused.kind(), Kind::NotFound, "{engine}");
        assert_eq!(house.gate().run(&owner(CUSTOMER), &GET, house.this()).unwrap().policy, None, "{engine}");
    }
}

#[test]
fn what_is_offered_is_kept_where_every_host_reaches() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::protected(db);
        let policy = house.gate().run(&owner(CUSTOMER), &GET, house.this()).unwrap().policy.unwrap();
        let change = policies::ChangePolicy {
            id: policy.id,
            revision: Some(policy.revision),
            name: None,
            what: None,
            schedule: None,
            retention: None,
            places: None,
            prune_delay_hours: None,
            offered: Some(true),
        };
        let refused = house.gate().run(&manager(), &UPDATE, change).unwrap_err();
        assert_eq!((refused.code(), refused.attribute()), ("policy.offered_places", Some("offered")), "{engine}");
        assert!(refused.message().contains("first"), "{engine}: {}", refused.message());
    }
}

#[test]
fn a_policys_preview_names_what_would_go_of_each_of_its_services() {
    for (engine, db, _keep) in db::testing::databases() {
        let house = House::protected(db);
        let gate = house.gate();
        let policy = gate.run(&manager(), &GET, house.this()).unwrap().policy.unwrap();
        let taken: Vec<_> = (0..3)
            .map(|_| {
                gate.clock().advance(Duration::from_secs(3_600));
                house.taken().id
            })
            .collect();
        let ask = |retention| PreviewPolicy { id: policy.id, retention, time_zone: None, after: None };
        let told = gate.run(&manager(), &PREVIEW_ALL, ask(None)).unwrap();
        assert!(told.items[0].goes.is_empty() && told.items[0].keeps == 3, "{engine}: its own rules keep everything");
        let fewer = Retention { last: 1, ..Default::default() };
        let told = gate.run(&manager(), &PREVIEW_ALL, ask(Some(fewer))).unwrap();
        let one = &told.items[0];
        assert_eq!((one.service.as_str(), one.keeps, one.lets_go), (house.service.as_str(), 1, true), "{engine}");
        let goes: Vec<_> = one.goes.iter().map(|verdict| verdict.point).collect();
        assert_eq!(goes, [taken[1], taken[0]], "{engine}: newest first");
        assert_eq!(house.point(taken[0]).state, State::Available, "{engine}: and nothing went");
        let nonsense = PreviewPolicy { time_zone: Some("Mars/Olympus".into()), ..ask(None) };
        assert_eq!(gate.run(&manager(), &PREVIEW_ALL, nonsense).unwrap_err().code(), "schedule.time_zone");
        let after = PreviewPolicy { after: Some(house.service.clone()), ..ask(None) };
        assert!(gate.run(&manager(), &PREVIEW_ALL, after).unwrap().items.is_empty(), "{engine}");
        let stranger = gate.run(&owner(CUSTOMER), &PREVIEW_ALL, ask(None)).unwrap_err();
        assert_eq!(stranger.kind(), Kind::NotFound, "{engine}: policies are the operator's");
    }
}
