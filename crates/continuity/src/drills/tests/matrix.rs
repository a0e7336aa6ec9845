//! Every scenario with every state of the copies: what serves, and what it comes to.

use commerce::testing::manager;
use drivers::wire::{DataDrilled, Marker, Outcome, Work};
use resources::testing::{facts, host};

use super::*;
use crate::RecoveryPointId;
use crate::backups::points::{self, CopyState};
use crate::backups::policies::{self, NewPolicy, What};
use crate::backups::retention::Retention;
use crate::backups::schedule::Schedule;
use crate::backups::tests::Answer;
use crate::backups::{places, store};
use crate::datasets::tests::{PASSWORD, database, made};
use crate::drills::databases::LostDatabase;
use crate::drills::rules::{CONTROL_PASSED, Control};
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

/// How a copy is: found whole, found damaged, or rotten without anybody knowing.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Was {
    Whole,
    Found,
    Rotten,
}

/// The three places, as whoever opens them sees them: a directory of the machine's own host, a server and a
/// bucket elsewhere. The nearest is taken first, and of those elsewhere the policy's first.
const PLACES: [&str; 3] = ["/near", "far.example.com", "cloud.example.com"];

/// A service with a machine and a database, in three places, of which something is lost.
struct Stage {
    house: House,
    world: World,
    places: [BackupPlaceId; 3],
    set: crate::DataSetId,
    /// The newest point of which nothing is bad.
    good: RecoveryPoint,
    south: HostId,
}

/// When what nobody notices happens, before anything else does.
const UNNOTICED: u64 = 10_000;

impl Stage {
    /// With a second point after the good one: whatever happens to both of them.
    fn new(db: Db, second: bool) -> Stage {
        let mut house = House::new(db);
        let near = house.folder("near", house.machine().0).id;
        let places = [near, house.server("far").id, house.bucket("cloud").id];
        let new = NewPolicy {
            name: "three places".into(),
            what: What::Everything,
            schedule: Schedule { calendar: "daily 02:00".into(), jitter_minutes: 0, time_zone: "UTC".into() },
            retention: Retention::default(),
            places: places.to_vec(),
            prune_delay_hours: 72,
            offered: false,
        };
        house.protect(&house.gate().run(&manager(), &policies::CREATE, new).unwrap());
        let set = made(&house, "shop", database(), Some(PASSWORD)).id;
        let good = house.taken();
        let mut all = vec![good.clone()];
        if second {
            house.gate().clock().advance(Duration::from_secs(2 * UNNOTICED));
            all.push(house.taken());
        }
        house.gate().clock().advance(Duration::from_secs(600));
        let south = second_site(&mut house);
        let world = World::of(&house, &all.iter().collect::<Vec<_>>());
        Stage { house, world, places, set, good, south }
    }

    /// What is known of the good point's copies, as a look would have left it.
    fn known(&self, states: [Was; 3]) {
        let (point, places) = (self.good.id, self.places);
        self.house
            .within(move |tx| {
                for copy in points::load(tx, point)?.copies() {
                    let at = places.iter().position(|place| *place == copy.place).unwrap();
                    let state = if states[at] == Was::Found { CopyState::Damaged } else { CopyState::Verified };
                    store::set_found(tx, point, copy, Some(state), None)?;
                }
                tx.execute("UPDATE recovery_copies SET drilled_at = NULL", &[])?;
                points::rejudge(tx, point)
            })
            .unwrap();
    }

    /// A drill of a service whose copies are so; `blind`: whoever restores from a damaged one sees nothing.
    fn drilled(&mut self, plan: &DrillPlan, states: [Was; 3], blind: bool) -> DrillRun {
        self.known(states);
        let rotten = PLACES.iter().zip(states).filter(|(_, state)| *state == Was::Rotten);
        let rotten: Vec<String> = rotten.map(|(place, _)| (*place).to_owned()).collect();
        self.world.rotten.clone_from(&rotten);
        let newest = self.good.taken_at.unwrap() - Duration::from_secs(5);
        let mood = Behaviour::of(move |task, access, outcome| {
            let spoilt = || rotten.iter().any(|name| access[0]["place"].to_string().contains(name));
            match (&task.work, outcome) {
                (Work::DrillData { .. }, _) if spoilt() => Answer::Fail(vault::fault::REPOSITORY_DAMAGED.into()),
                (_, Outcome::DataDrilled(told)) => {
                    Answer::Say(Outcome::DataDrilled(DataDrilled { newest: Some(newest), unread: None, ..told }))
                }
                (_, Outcome::DamageTried { damaged, seconds, .. }) if blind => {
                    Answer::Say(Outcome::DamageTried { found: None, damaged, seconds })
                }
                (_, outcome) => Answer::Say(outcome),
            }
        });
        let start = StartDrill { id: plan.id, bad_after: None, brought: None };
        let run = self.house.gate().run(&manager(), &RUN, start).unwrap();
        loop {
            self.house.town.engine.settle().unwrap();
            if !self.world.turn(self.house.gate(), &mood) {
                break;
            }
        }
        assert_nothing_is_left(&self.house);
        look(self.house.gate(), &run)
    }

    fn plan(&self, scenario: Scenario, negative_every: u32) -> DrillPlan {
        let objectives = Some(Objectives { rto_seconds: 3_600, rpo_seconds: 86_400 });
        let terms = Terms { objectives, negative_every, ..terms(&self.house, scenario) };
        self.house.gate().run(&manager(), &plans::CREATE, NewPlan { name: "matrix".into(), terms }).unwrap()
    }
}

/// Every state of the three copies, under a loss that leaves some of the places: the first of those that are left
/// and not known to be damaged serves; where nobody knew that it is rotten the drill fails, and where there is
/// none it is impossible. And a restore that cannot tell damage fails a drill whatever else is right.
fn every_state_under(lost: impl Fn(&Stage) -> Scenario, second: bool, leaves: [bool; 3]) {
    use Was::{Found, Rotten, Whole};
    let (_, db, _keep) = db::testing::sqlite();
    let mut stage = Stage::new(db, second);
    let scenario = lost(&stage);
    let plan = stage.plan(scenario.clone(), 0);
    let each = [Whole, Found, Rotten];
    for states in each.iter().flat_map(|near| each.iter().flat_map(move |far| each.map(|cloud| [*near, *far, cloud]))) {
        let serves = (0..3).find(|at| leaves[*at] && states[*at] != Found);
        let wanted = match serves.map(|at| states[at]) {
            Some(Whole) => Passed,
            Some(_) => Failed,
            None => Impossible,
        };
        let run = stage.drilled(&plan, states, false);
        let what = format!("{}, {states:?}: {:?} {:?}", scenario.word(), run.body.misses, run.body.failure);
        assert_eq!((run.state, run.has_evidence), (wanted, true), "{what}");
        let (service, code) = (&run.body.services[0], codes(&run).first().copied());
        match wanted {
            Passed => {
                assert_eq!(service.place, serves.map(|at| stage.places[at]), "{what}");
                assert_eq!(service.point, Some(stage.good.id), "{what}");
                let (stood, own) = (service.machines.first().and_then(|machine| machine.host), stage.house.machine().0);
                assert!(scenario != Scenario::HostLost || stood != Some(own), "{what}: on another host");
                assert!(scenario != Scenario::SiteLost || stood == Some(stage.south), "{what}: at another site");
            }
            Failed => assert_eq!(code, Some("repository.damaged"), "{what}"),
            _ => assert_eq!(code, Some("recovery.no_copy"), "{what}"),
        }
        let proven = stage.house.point(stage.good.id).copies().filter(|copy| copy.drilled_at.is_some()).count();
        assert_eq!(proven, usize::from(wanted == Passed), "{what}: only what served is proven");
    }
    let controlled = stage.plan(scenario.clone(), 1);
    let seeing = stage.drilled(&controlled, [Whole; 3], false);
    assert_eq!(seeing.state, Passed, "{}: {:?}", scenario.word(), seeing.body.misses);
    assert_eq!(seeing.body.control, Control::DamageFound { code: "repository.damaged".into() }, "{}", scenario.word());
    let blind = stage.drilled(&controlled, [Whole; 3], true);
    assert_eq!((blind.state, codes(&blind)), (Failed, vec![CONTROL_PASSED]), "{}", scenario.word());
}

#[test]
fn a_lost_machine_is_served_by_what_is_left_or_the_drill_says_why_not() {
    every_state_under(|_| Scenario::MachineLost, false, [true, true, true]);
}

#[test]
fn a_lost_host_is_served_by_what_is_left_or_the_drill_says_why_not() {
    every_state_under(|_| Scenario::HostLost, false, [false, true, true]);
}

#[test]
fn a_lost_site_is_served_by_what_is_left_or_the_drill_says_why_not() {
    every_state_under(|_| Scenario::SiteLost, false, [false, true, true]);
}

#[test]
fn what_is_encrypted_is_served_by_what_was_taken_before_or_the_drill_says_why_not() {
    every_state_under(|_| Scenario::Ransomware { unnoticed_seconds: UNNOTICED }, true, [true, true, true]);
}

#[test]
fn a_dropped_database_is_served_by_what_is_left_or_the_drill_says_why_not() {
    let dropped = |stage: &Stage| {
        let marker = Marker { schema: None, table: "orders".into(), column: "placed_at".into() };
        let databases = vec![LostDatabase { data_set: stage.set, database: "shop".into(), marker }];
        Scenario::DatabaseLost { databases }
    };
    every_state_under(dropped, false, [true, true, true]);
}

#[test]
fn a_lost_backup_server_is_made_up_for_by_the_other_places_or_the_drill_says_why_not() {
    for lost in 0..3 {
        let leaves = [0, 1, 2].map(|at| at != lost);
        every_state_under(|stage| Scenario::BackupServerLost { place: stage.places[lost] }, false, leaves);
    }
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
