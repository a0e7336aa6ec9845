//! A whole site, and sets of services that rely on each other: who comes back when, and what it comes to.

use base::Kind;
use base::id::TenantId;
use commerce::testing::manager;
use resources::SiteId;
use resources::places::{LIST_SITES, ListSites};
use serde_json::json;

use super::matrix::second_site;
use super::*;
use crate::backups::points::{self, CopyState};
use crate::backups::protections;
use crate::drills::rules::{self, Phase};
use crate::drills::scope::Sequence;
use crate::inventory::Kind as ThingKind;
use crate::inventory::actions::{PUT, PutThing};
use crate::inventory::tests::{add, needs, new, put};

/// A house with three protected services, each with a point, at a first site; the second has a free host.
struct Firm {
    house: House,
    world: World,
    services: [String; 3],
    points: Vec<RecoveryPoint>,
    here: SiteId,
    there: SiteId,
}

fn site(house: &House, name: &str) -> SiteId {
    let all = house.gate().run(&manager(), &LIST_SITES, ListSites::default()).unwrap().items;
    all.iter().find(|site| site.name == name).unwrap().id
}

/// A service more, with copies at those places.
fn ordered(house: &House, places: &[BackupPlaceId]) -> String {
    let order = house.town.order(CUSTOMER);
    house.town.settle(resources::testing::Mood::Willing);
    let id = house.town.services(&order.id)[0].id.clone();
    let policies = house.gate().run(&manager(), &crate::backups::policies::LIST, Default::default()).unwrap().items;
    let policy = policies.iter().find(|policy| policy.terms.places.as_slice() == places).unwrap();
    let protect = protections::Protect { id: id.clone(), policy: policy.id };
    house.gate().run(&manager(), &protections::SET, protect).unwrap();
    id
}

fn point_of(house: &House, service: &str) -> RecoveryPoint {
    let asked = points::ServiceRef { id: service.to_owned() };
    let taken = house.gate().run(&member(CUSTOMER), &points::TAKE, asked).unwrap();
    house.settle(&Behaviour::willing());
    house.point(taken.id)
}

fn firm(db: Db) -> Firm {
    let (mut house, first, _, places) = one(db);
    drop(first);
    let services = [house.service.clone(), ordered(&house, &places), ordered(&house, &places)];
    let points: Vec<RecoveryPoint> = services.iter().map(|service| point_of(&house, service)).collect();
    second_site(&mut house);
    house.gate().clock().advance(Duration::from_secs(600));
    let world = World::of(&house, &points.iter().collect::<Vec<_>>());
    let (here, there) = (site(&house, "Taipei"), site(&house, "Tainan"));
    Firm { house, world, services, points, here, there }
}

fn of_site(firm: &Firm, scenario: Scenario) -> Terms {
    let scope = Scope::Site { site: firm.here, tenant: TenantId(CUSTOMER) };
    Terms { scope, ..terms(&firm.house, scenario) }
}

/// The first relies on the third, through something between them that people added.
fn first_relies_on_third(firm: &Firm) {
    let between = add(&firm.house, &member(CUSTOMER), {
        let mut thing = new(ThingKind::Outside, "message bus", "bus");
        thing.needs = vec![needs(1, &[&firm.services[2]])];
        thing
    });
    let wanted = vec![needs(1, &[&between.unwrap().thing.id])];
    let says = PutThing { needs: Some(wanted), ..put(&firm.services[0]) };
    firm.house.gate().run(&member(CUSTOMER), &PUT, says).unwrap();
}

fn place<'r>(run: &'r DrillRun, service: &str) -> &'r runs::Restored {
    run.body.services.iter().find(|one| one.service == service).unwrap()
}

#[test]
fn a_lost_site_comes_back_elsewhere_in_waves_and_who_waits_waits_only_for_what_it_relies_on() {
    for (engine, db, _keep) in db::testing::databases() {
        let firm = firm(db);
        first_relies_on_third(&firm);
        let plan = plan(&firm.house, of_site(&firm, Scenario::SiteLost));
        let run = drilled(&firm.house, &firm.world, &plan);
        assert!(passed(&run), "{engine}: {:?} {:?}", run.body.misses, run.body.failure);
        let [first, second, third] = firm.services.each_ref().map(|id| place(&run, id));
        assert_eq!([first.wave, second.wave, third.wave], [2, 1, 1], "{engine}");
        assert_eq!((first.after.as_slice(), second.after.len()), ([third.service.clone()].as_slice(), 0), "{engine}");
        assert_eq!(run.body.services[2].service, first.service, "{engine}: the list says the order");
        assert_eq!(second.ends[&Phase::Wait], third.ends[&Phase::Wait], "{engine}: side by side");
        assert_eq!(first.ends[&Phase::Wait], third.ends[&Phase::Boot], "{engine}: and no later than that");
        let (own, south) = (firm.house.machine().0, *firm.house.town.hosts.last().unwrap());
        assert!(run.body.services.iter().all(|one| one.machines[0].host == Some(south)), "{engine}: not {own}");
        assert_nothing_is_left(&firm.house);
        let file = firm.house.gate().run(&member(CUSTOMER), &crate::evidence::GET, DrillRef { id: run.id }).unwrap();
        assert_eq!(file.document["plan"]["scope"]["site"], json!(firm.here), "{engine}");
        assert_eq!(file.document["services"][2]["after"], json!([third.service]), "{engine}");
        let text = serde_json::to_string(&file).unwrap();
        assert!(crate::evidence::verify::verify(&text, None).unwrap().ok, "{engine}");
    }
}

#[test]
fn every_scenario_takes_a_whole_site() {
    let scenarios =
        [Scenario::MachineLost, Scenario::HostLost, Scenario::SiteLost, Scenario::Ransomware { unnoticed_seconds: 60 }];
    for scenario in scenarios {
        let (_, db, _keep) = db::testing::sqlite();
        let firm = firm(db);
        let run = drilled(&firm.house, &firm.world, &plan(&firm.house, of_site(&firm, scenario.clone())));
        assert!(passed(&run), "{scenario:?}: {:?} {:?}", run.body.misses, run.body.failure);
        assert_eq!(run.body.services.len(), 3, "{scenario:?}");
    }
}

#[test]
fn services_that_rely_on_each_other_in_a_circle_come_back_side_by_side_and_are_named() {
    let (_, db, _keep) = db::testing::sqlite();
    let firm = firm(db);
    first_relies_on_third(&firm);
    let says = PutThing { needs: Some(vec![needs(1, &[&firm.services[0]])]), ..put(&firm.services[2]) };
    firm.house.gate().run(&member(CUSTOMER), &PUT, says).unwrap();
    let [first, _, third] = &firm.services;
    let scope = Scope::Services { services: vec![third.clone(), first.clone()], order: Sequence::Dependencies };
    let terms = Terms { scope, ..terms(&firm.house, Scenario::MachineLost) };
    let run = drilled(&firm.house, &firm.world, &plan(&firm.house, terms));
    assert!(passed(&run), "{:?} {:?}", run.body.misses, run.body.failure);
    assert_eq!(run.body.circles.iter().map(Vec::len).collect::<Vec<_>>(), [2]);
    assert!(run.body.services.iter().all(|one| one.wave == 1 && one.after.is_empty()));
}

#[test]
fn what_goes_wrong_with_one_of_several_is_said_of_that_one() {
    for (engine, db, _keep) in db::testing::databases() {
        let mut firm = firm(db);
        let point = &firm.points[1];
        firm.world.spoilt = point.copies().filter_map(|copy| copy.snapshot.clone()).collect();
        let plan = plan(&firm.house, of_site(&firm, Scenario::HostLost));
        let run = drilled(&firm.house, &firm.world, &plan);
        assert_eq!((run.state, codes(&run)), (State::Failed, vec!["repository.damaged"]), "{engine}");
        assert_eq!(run.body.misses[0].service.as_ref(), Some(&firm.services[1]), "{engine}");
        for (n, point) in firm.points.iter().enumerate() {
            let damaged = firm.house.point(point.id).copies().filter(|copy| copy.state == CopyState::Damaged).count();
            assert_eq!(damaged, usize::from(n == 1), "{engine}: point {n}");
        }
        assert_nothing_is_left(&firm.house);
    }
}

#[test]
fn a_service_without_a_copy_makes_the_whole_site_impossible_and_is_named() {
    let (_, db, _keep) = db::testing::sqlite();
    let firm = firm(db);
    let order = firm.house.town.order(CUSTOMER);
    firm.house.town.settle(resources::testing::Mood::Willing);
    let bare = firm.house.town.services(&order.id)[0].id.clone();
    let run = drilled(&firm.house, &firm.world, &plan(&firm.house, of_site(&firm, Scenario::HostLost)));
    assert_eq!((run.state, codes(&run)), (State::Impossible, vec!["recovery.no_point"]));
    assert_eq!(run.body.misses[0].service, Some(bare));
    assert!(run.has_evidence);
    assert_nothing_is_left(&firm.house);
}

#[test]
fn a_site_is_looked_up_when_the_run_begins_and_an_empty_one_is_no_pass() {
    let (_, db, _keep) = db::testing::sqlite();
    let firm = firm(db);
    let plan = plan(&firm.house, of_site(&firm, Scenario::MachineLost));
    let covers = |service: &String| {
        let ask = plans::ListPlans { service: Some(service.clone()), ..Default::default() };
        firm.house.gate().run(&member(CUSTOMER), &plans::LIST, ask).unwrap().items.len()
    };
    for (left, service) in [2, 1, 0].into_iter().zip(&firm.services) {
        assert_eq!(covers(service), 1);
        let this = provisioning::services::ServiceId { id: service.clone() };
        firm.house.gate().run(&member(CUSTOMER), &provisioning::services::TERMINATE, this).unwrap();
        firm.house.town.settle(resources::testing::Mood::Willing);
        assert_eq!(covers(service), 0);
        let begun =
            firm.house.gate().run(&member(CUSTOMER), &RUN, StartDrill { id: plan.id, bad_after: None, brought: None });
        match left {
            0 => assert_eq!(begun.unwrap_err().code(), "drillPlan.site_empty"),
            left => {
                assert_eq!(begun.unwrap().body.services.len(), left);
                live(&firm.house, &firm.world);
            }
        }
    }
    let now = firm.house.gate().run(&member(CUSTOMER), &plans::GET, plans::PlanRef { id: plan.id }).unwrap();
    assert_eq!(now.ended_at, None, "what comes to stand there is drilled");
    assert_eq!(firm.house.count("SELECT COUNT(*) FROM drill_runs WHERE state = 'passed'"), 2);
}

#[test]
fn a_scope_that_is_nobodys_or_nothing_is_refused() {
    let (_, db, _keep) = db::testing::sqlite();
    let firm = firm(db);
    let create = |cx: &gate::Cx, site: SiteId, tenant: u128| {
        let scope = Scope::Site { site, tenant: TenantId(tenant) };
        let terms = Terms { scope, ..terms(&firm.house, Scenario::MachineLost) };
        firm.house.gate().run(cx, &plans::CREATE, NewPlan { name: "x".into(), terms })
    };
    let (own, stranger) = (member(CUSTOMER), member(3));
    assert_eq!(create(&own, firm.there, CUSTOMER).unwrap_err().code(), "drillPlan.site_empty");
    assert_eq!(create(&own, SiteId(7), CUSTOMER).unwrap_err().code(), "drillPlan.site_empty");
    assert_eq!(create(&stranger, firm.here, CUSTOMER).unwrap_err().kind(), Kind::NotFound, "another's tenant");
    assert_eq!(create(&own, firm.here, 3).unwrap_err().kind(), Kind::NotFound);
    assert_eq!(
        create(&stranger, firm.here, 3).unwrap_err().code(),
        "drillPlan.site_empty",
        "nothing of theirs is there"
    );
    assert!(create(&manager(), firm.here, CUSTOMER).is_ok());
    let of = |scope| serde_json::from_value::<Scope>(scope).map(drop).map_err(|e| e.to_string());
    let (site, tenant) = (firm.here, TenantId(CUSTOMER));
    let good = json!({ "type": "site", "site": site, "tenant": tenant });
    assert_eq!(of(good), Ok(()));
    for bad in [
        json!({ "type": "site", "site": site }),
        json!({ "type": "site", "site": "Taipei", "tenant": tenant }),
        json!({ "type": "site", "site": site, "tenant": tenant, "services": ["svc_1"] }),
        json!({ "type": "services", "services": ["svc_1"], "site": site }),
        json!({ "type": "everything" }),
        json!({}),
    ] {
        assert!(of(bad.clone()).is_err(), "{bad}");
    }
    let twice = Scope::Services { services: vec![firm.services[0].clone(); 2], order: Sequence::Dependencies };
    let terms = Terms { scope: twice, ..terms(&firm.house, Scenario::MachineLost) };
    let refused = firm.house.gate().run(&own, &plans::CREATE, NewPlan { name: "x".into(), terms });
    assert_eq!(refused.unwrap_err().code(), "drillPlan.services");
}

#[test]
fn named_services_wait_for_what_they_rely_on_only_where_the_plan_says_so() {
    let (_, db, _keep) = db::testing::sqlite();
    let firm = firm(db);
    first_relies_on_third(&firm);
    let of = |order| {
        let scope = Scope::Services { services: firm.services.to_vec(), order };
        drilled(
            &firm.house,
            &firm.world,
            &plan(&firm.house, Terms { scope, ..terms(&firm.house, Scenario::MachineLost) }),
        )
    };
    let (given, by) = (of(Sequence::Given), of(Sequence::Dependencies));
    assert!(passed(&given) && passed(&by), "{:?} {:?}", given.body.misses, by.body.misses);
    let waves = |run: &DrillRun| firm.services.each_ref().map(|id| place(run, id).wave);
    assert_eq!((waves(&given), waves(&by)), ([1, 2, 3], [2, 1, 1]));
    assert!(!codes(&by).contains(&rules::RTO_MISSED));
}
