//! Every scenario with every state of the copies: what serves, and what it comes to.

use commerce::testing::manager;
use resources::testing::{facts, host};

use super::*;
use crate::RecoveryPointId;
use crate::backups::places;
use crate::backups::points::{self, CopyState};
use crate::backups::store;
use crate::drills::runs::State::{Failed, Impossible, Passed};

/// Says something of a copy, as a look would have.
fn found(house: &House, point: RecoveryPointId, place: BackupPlaceId, state: CopyState) {
    house
        .within(move |tx| {
            let known = points::load(tx, point)?;
            let copy = known.copies().find(|copy| copy.place == place).unwrap();
            store::set_found(tx, point, copy, Some(state), None)
        })
        .unwrap();
}

/// A second site with a host.
pub fn second_site(house: &mut House) -> HostId {
    let (gate, staff) = (house.gate().clone(), manager());
    let new = resources::places::NewSite { name: "Tainan".into(), place: "Tainan".into() };
    let site = gate.run(&staff, &resources::places::CREATE_SITE, new).unwrap();
    let one = resources::places::Ratio { over: 1, under: 1 };
    let new = resources::places::NewPool {
        site: site.id,
        name: "south".into(),
        factors: resources::places::Factors { vcpu: one, memory: one, disk: one },
        port_first: Some(20_000),
        port_last: Some(39_999),
    };
    let pool = gate.run(&staff, &resources::places::CREATE_POOL, new).unwrap();
    let there = host(&gate, &staff, pool.id, facts("h3", 64, 256 << 10, 4 << 20));
    house.town.hosts.push(there);
    there
}

/// How the two copies are: found whole, found damaged, or rotten without anybody knowing.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Was {
    Whole,
    Found,
    Rotten,
}

#[test]
fn every_scenario_is_served_by_what_it_leaves_or_fails_and_says_why() {
    use Was::{Found, Rotten, Whole};
    let states = [Whole, Found, Rotten];
    for (at, scenario) in ["machine", "host", "site", "server"].into_iter().enumerate() {
        for near in states {
            for far in states {
                let (_, db, _keep) = db::testing::sqlite();
                let (mut house, _, point, [near_id, far_id]) = one(db);
                let south = second_site(&mut house);
                let mut world = World::of(&house, &[&point]);
                for (place, state, name) in [(near_id, near, "/near"), (far_id, far, "far.example.com")] {
                    match state {
                        Whole => {}
                        Found => found(&house, point.id, place, CopyState::Damaged),
                        Rotten => world.rotten.push(name.to_owned()),
                    }
                }
                let kind = [
                    Scenario::MachineLost,
                    Scenario::HostLost,
                    Scenario::SiteLost,
                    Scenario::BackupServerLost { place: far_id },
                ][at]
                    .clone();
                // Near is on the machine's own host, far is elsewhere.
                let usable = match scenario {
                    "machine" => [Some((near_id, near)), Some((far_id, far))],
                    "host" | "site" => [None, Some((far_id, far))],
                    _ => [Some((near_id, near)), None],
                };
                let serves = usable.into_iter().flatten().find(|(_, state)| *state != Found);
                let wanted = match serves {
                    Some((_, Whole)) => Passed,
                    Some(_) => Failed,
                    None => Impossible,
                };
                let plan = plan(&house, terms(&house, kind));
                let run = drilled(&house, &world, &plan);
                let what = format!("{scenario}, near {near:?}, far {far:?}: {:?}", run.body.misses);
                assert_eq!(run.state, wanted, "{what}");
                assert!(run.has_evidence, "{what}");
                assert_nothing_is_left(&house);
                let service = &run.body.services[0];
                let code = run.body.misses.first().map(|miss| miss.code.as_str());
                let (own, _) = house.machine();
                match wanted {
                    Passed => {
                        assert_eq!(service.place, serves.map(|(place, _)| place), "{what}");
                        let stood = service.machines[0].host.unwrap();
                        assert!(scenario != "host" || stood != own, "{what}: on another host");
                        assert!(scenario != "site" || stood == south, "{what}: at another site");
                    }
                    Failed => assert_eq!(code, Some("repository.damaged"), "{what}"),
                    _ => assert_eq!(code, Some("recovery.no_copy"), "{what}"),
                }
                let drilled = points_drilled(&house, point.id);
                assert_eq!(drilled, if wanted == Passed { 1 } else { 0 }, "{what}: only what served is proven");
            }
        }
    }
}

fn points_drilled(house: &House, point: RecoveryPointId) -> usize {
    house.point(point).copies().filter(|copy| copy.drilled_at.is_some()).count()
}

#[test]
fn what_was_taken_while_nobody_noticed_does_not_serve() {
    each(|engine, house, _, first, _| {
        house.gate().clock().advance(Duration::from_secs(3_000));
        let second = house.taken();
        house.gate().clock().advance(Duration::from_secs(600));
        let world = World::of(&house, &[&first, &second]);
        let of = |seconds| Scenario::Ransomware { unnoticed_seconds: seconds };
        let short = drilled(&house, &world, &plan(&house, terms(&house, of(300))));
        assert_eq!((short.state, short.body.services[0].point), (Passed, Some(second.id)), "{engine}");
        let long = drilled(&house, &world, &plan(&house, terms(&house, of(1_800))));
        assert_eq!(
            (long.state, long.body.services[0].point),
            (Passed, Some(first.id)),
            "{engine}: {:?}",
            long.body.misses
        );
        assert!(long.rpo_milliseconds() > short.rpo_milliseconds(), "{engine}: more is lost");
        let none = drilled(&house, &world, &plan(&house, terms(&house, of(86_400))));
        assert_eq!(none.state, Impossible, "{engine}");
    });
}

#[test]
fn the_place_that_must_serve_does_or_the_drill_says_that_it_cannot() {
    each(|engine, house, world, point, [near, far]| {
        let must = |place| Terms { place: Some(place), ..terms(&house, Scenario::MachineLost) };
        let run = drilled(&house, &world, &plan(&house, must(far)));
        assert_eq!((run.state, run.body.services[0].place), (Passed, Some(far)), "{engine}: {:?}", run.body.misses);
        found(&house, point.id, near, CopyState::Missing);
        assert_eq!(drilled(&house, &world, &plan(&house, must(near))).state, Impossible, "{engine}");
    });
}

#[test]
fn a_server_that_runs_on_the_lost_host_is_lost_with_it() {
    let (_, db, _keep) = db::testing::sqlite();
    let (house, world, _, [_, far]) = one(db);
    let (own, _) = house.machine();
    let change =
        |host| places::ChangePlace { id: far, revision: None, name: None, site: None, host, immutability: None };
    let stands = house.gate().run(&manager(), &places::UPDATE, change(Some(Some(own)))).unwrap();
    assert_eq!(stands.host, Some(own));
    let plan = plan(&house, terms(&house, Scenario::HostLost));
    let run = drilled(&house, &world, &plan);
    assert_eq!((run.state, codes(&run)), (Impossible, vec!["recovery.no_copy"]));
    house.gate().run(&manager(), &places::UPDATE, change(None)).unwrap();
    assert_eq!(drilled(&house, &world, &plan).state, Impossible, "what is not said does not change");
    house.gate().run(&manager(), &places::UPDATE, change(Some(None))).unwrap();
    assert_eq!(drilled(&house, &world, &plan).state, Passed);
}

#[test]
fn without_room_elsewhere_a_drill_is_impossible() {
    each(|engine, house, world, _, _| {
        let (own, _) = house.machine();
        let other = *house.town.hosts.iter().find(|one| **one != own).unwrap();
        house.gate().run(&manager(), &resources::hosts::DRAIN, resources::hosts::HostRef { id: other }).unwrap();
        let run = drilled(&house, &world, &plan(&house, terms(&house, Scenario::HostLost)));
        assert_eq!((run.state, codes(&run)), (Impossible, vec!["capacity.none_fits"]), "{engine}");
        assert_nothing_is_left(&house);
    });
}
