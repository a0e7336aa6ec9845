//! The platform's own points: what is good, what goes, what is asked for when. Copies at real
//! servers, and the recovery of a whole house, are tried by `testkit`.

use std::time::Duration;

use commerce::testing::{OPERATOR, manager};
use db::testing::{Scratch, databases};
use gate::{Cx, Gate};

use super::points::{CopyState, Point, RECONCILE, TAKE, Turn};
use super::recover::{RECOVERED, Recovered};
use super::*;
use crate::alarms::Cause;
use crate::backups::places::{CREATE, Location as Where, NewPlace};
use crate::backups::points::State;
use crate::backups::policies::{CREATE as CREATE_POLICY, NewPolicy, What};
use crate::backups::retention::Retention;
use crate::backups::schedule::Schedule;
use crate::{BackupPlaceId, ControlPlanePointId};

fn place(gate: &Gate, name: &str, location: Where) -> BackupPlaceId {
    let site = location.host().is_none().then(|| "elsewhere".to_owned());
    gate.run(&manager(), &CREATE, NewPlace { name: name.into(), location, site, host: None, immutability: None })
        .unwrap()
        .id
}

fn server(gate: &Gate, name: &str) -> BackupPlaceId {
    place(gate, name, Where::Server { url: format!("https://{name}.example.com"), authority: None })
}

fn policy(gate: &Gate, places: Vec<BackupPlaceId>) -> BackupPolicyId {
    let schedule = Schedule { calendar: "hourly :15".into(), jitter_minutes: 0, time_zone: "UTC".into() };
    let retention = Retention { last: 2, ..Retention::default() };
    let new = NewPolicy {
        name: format!("policy {}", places.len()),
        what: What::MachineDisks,
        schedule,
        retention,
        places,
        prune_delay_hours: 72,
        offered: false,
    };
    gate.run(&manager(), &CREATE_POLICY, new).unwrap().id
}

/// An installation whose platform is backed up to two places.
pub(crate) fn kept(gate: &Gate) -> [BackupPlaceId; 2] {
    let places = [server(gate, "one"), server(gate, "two")];
    let policy = policy(gate, places.to_vec());
    gate.run(&manager(), &PROTECT, Protect { policy }).unwrap();
    places
}

fn system() -> Cx {
    Cx::system("continuity", OPERATOR)
}

fn turn(gate: &Gate, turn: Turn) {
    gate.run(&system(), &RECONCILE, turn).unwrap();
}

fn points(gate: &Gate) -> Vec<Point> {
    gate.run(&manager(), &GET, Nothing {}).unwrap().points
}

/// A point of now, with copies at these places.
pub(crate) fn taken(gate: &Gate, whole_at: &[BackupPlaceId], lacking: &[BackupPlaceId]) -> ControlPlanePointId {
    let point = gate.run(&manager(), &TAKE, Nothing {}).unwrap().id;
    for place in whole_at {
        let snapshot = Some(format!("{point}@{place}"));
        turn(gate, Turn::Copied { point, place: *place, snapshot, everything: false, problem: None });
    }
    for place in lacking {
        let problem = Some(crate::backups::work::problem("repository.unreachable", "it is away"));
        turn(gate, Turn::Copied { point, place: *place, snapshot: None, everything: false, problem });
    }
    turn(gate, Turn::Closed { point, taken_at: Some(gate.now()), bytes: 7, problem: None });
    gate.clock().advance(Duration::from_secs(60));
    point
}

fn each(test: impl Fn(&'static str, &Gate)) {
    for (engine, db, _keep) in databases() {
        let folder = Scratch::new();
        test(engine, &crate::backups::tests::gate(db, &folder));
    }
}

#[test]
fn the_platform_goes_only_to_places_that_answer_without_it() {
    each(|engine, gate| {
        let refused = gate.run(&manager(), &TAKE, Nothing {}).unwrap_err();
        assert_eq!(refused.code(), "controlPlane.unprotected", "{engine}");
        let pool = resources::testing::pool(gate, &manager()).id;
        let host = resources::testing::host(gate, &manager(), pool, resources::testing::facts("h1", 4, 4_096, 65_536));
        let near = place(gate, "near", Where::Folder { host, path: "/srv/copies".into() });
        let policy = policy(gate, vec![near, server(gate, "far")]);
        let refused = gate.run(&manager(), &PROTECT, Protect { policy }).unwrap_err();
        assert_eq!(refused.code(), "controlPlane.place", "{engine}");
        let absent = "bkpo_00000000000000000000000001".parse().unwrap();
        let refused = gate.run(&manager(), &PROTECT, Protect { policy: absent }).unwrap_err();
        assert_eq!(refused.code(), "backupPolicy.absent", "{engine}");
    });
}

#[test]
fn a_point_is_what_its_copies_are_and_never_more() {
    each(|engine, gate| {
        let [one, two] = kept(gate);
        assert!(gate.run(&manager(), &GET, Nothing {}).unwrap().kit_is_old, "{engine}: there is no kit yet");
        for (whole, lacking, state) in [
            (vec![one, two], vec![], State::Available),
            (vec![two], vec![one], State::Degraded),
            (vec![one], vec![], State::Degraded),
            (vec![], vec![one, two], State::Failed),
        ] {
            let id = taken(gate, &whole, &lacking);
            let point = points(gate).into_iter().find(|point| point.id == id).unwrap();
            assert_eq!((point.state, point.copies.len()), (state, 2), "{engine}");
            assert_eq!(point.problem.is_some(), !lacking.is_empty(), "{engine}");
        }
        let refused = gate.run(&manager(), &TAKE, Nothing {}).and_then(|_| gate.run(&manager(), &TAKE, Nothing {}));
        assert_eq!(refused.unwrap_err().code(), "backup.running", "{engine}");
    });
}

#[test]
fn old_points_go_only_when_the_newest_is_in_every_place() {
    each(|engine, gate| {
        let [one, two] = kept(gate);
        let made: Vec<_> = (0..3).map(|_| taken(gate, &[one, two], &[])).collect();
        let state = |id| points(gate).into_iter().find(|point| point.id == id).unwrap().state;
        assert_eq!(state(made[0]), State::Expired, "{engine}");
        let lame = taken(gate, &[one], &[two]);
        assert_eq!((state(made[1]), state(lame)), (State::Available, State::Degraded), "{engine}: nothing goes for it");
        taken(gate, &[one, two], &[]);
        assert_eq!(state(made[1]), State::Expired, "{engine}");
    });
}

/// A point of now of which a place says that, and which is whole at the others.
fn failing(gate: &Gate, place: BackupPlaceId, code: &str, whole_at: &[BackupPlaceId]) -> ControlPlanePointId {
    let point = gate.run(&manager(), &TAKE, Nothing {}).unwrap().id;
    let problem = Some(crate::backups::work::problem(code, "so it was found"));
    turn(gate, Turn::Copied { point, place, snapshot: None, everything: false, problem });
    for place in whole_at {
        let snapshot = Some(format!("{point}@{place}"));
        turn(gate, Turn::Copied { point, place: *place, snapshot, everything: false, problem: None });
    }
    turn(gate, Turn::Closed { point, taken_at: Some(gate.now()), bytes: 7, problem: None });
    gate.clock().advance(Duration::from_secs(60));
    point
}

fn look(gate: &Gate, id: ControlPlanePointId) -> Point {
    points(gate).into_iter().find(|point| point.id == id).unwrap()
}

fn stands(gate: &Gate, id: ControlPlanePointId) -> (State, Vec<CopyState>) {
    let point = look(gate, id);
    (point.state, point.copies.iter().map(|copy| copy.state).collect())
}

fn causes(gate: &Gate) -> Vec<Cause> {
    let all = gate.run(&manager(), &crate::alarms::actions::LIST, Default::default()).unwrap().items;
    all.into_iter().map(|alarm| alarm.probable_cause).collect()
}

fn restorable(gate: &Gate, places: [BackupPlaceId; 2]) -> Option<ControlPlanePointId> {
    let now = gate.now();
    gate.db().read(move |conn| store::newest_at(conn, &places, now)).unwrap().map(|(point, _)| point)
}

#[test]
fn what_is_found_of_a_place_is_true_of_every_copy_of_the_platform_there() {
    for (code, state) in [
        ("repository.damaged", CopyState::Damaged),
        ("repository.incomplete", CopyState::Damaged),
        ("repository.missing", CopyState::Missing),
        ("repository.key_wrong", CopyState::Missing),
    ] {
        each(|engine, gate| {
            let [one, two] = kept(gate);
            let (first, second) = (taken(gate, &[one, two], &[]), taken(gate, &[one, two], &[]));
            assert_eq!(causes(gate), [], "{engine} {code}");

            let third = failing(gate, one, code, &[two]);
            for id in [first, second] {
                let wanted = (State::Degraded, vec![state, CopyState::Verified]);
                assert_eq!(stands(gate, id), wanted, "{engine} {code}");
                assert_eq!(look(gate, id).problem.unwrap().code, code, "{engine}");
            }
            assert_eq!(stands(gate, third).1, [CopyState::Failed, CopyState::Verified], "{engine} {code}");
            assert_eq!(causes(gate), [Cause::ControlPlaneDegraded], "{engine} {code}");

            // The other place as well: nothing is left, and nothing is shown as if it were.
            failing(gate, two, "repository.missing", &[]);
            assert_eq!([stands(gate, first).0, stands(gate, third).0], [State::Lost; 2], "{engine} {code}");
            assert_eq!(restorable(gate, [one, two]), None, "{engine} {code}: no drill takes it for good");
            assert_eq!(gate.run(&manager(), &GET, Nothing {}).unwrap().age_seconds, None, "{engine} {code}");
        });
    }
}

#[test]
fn what_may_pass_says_nothing_of_older_copies() {
    each(|engine, gate| {
        let [one, two] = kept(gate);
        let first = taken(gate, &[one, two], &[]);
        failing(gate, one, "repository.unreachable", &[two]);
        failing(gate, one, "snapshot.missing", &[two]);
        assert_eq!(stands(gate, first), (State::Available, vec![CopyState::Verified; 2]), "{engine}");
        assert_eq!(causes(gate), [Cause::ControlPlaneDegraded], "{engine}: the newest one lacks a copy");
        taken(gate, &[one, two], &[]);
        assert_eq!(causes(gate), [], "{engine}");
    });
}

#[test]
fn a_place_is_whole_again_when_a_look_that_was_asked_for_later_says_so() {
    each(|engine, gate| {
        let [one, two] = kept(gate);
        let first = taken(gate, &[one, two], &[]);
        let snapshots = |ids: &[ControlPlanePointId]| ids.iter().map(|id| format!("{id}@{one}")).collect::<Vec<_>>();
        let seen = |asked_at, missing: &[ControlPlanePointId], whole: &[ControlPlanePointId]| {
            let (missing, whole) = (snapshots(missing), snapshots(whole));
            turn(gate, Turn::Seen { place: one, asked_at, missing, whole });
        };
        let early = gate.now();
        gate.clock().advance(Duration::from_secs(1));
        let second = failing(gate, one, "repository.damaged", &[two]);
        seen(early, &[], &[first]);
        assert_eq!(stands(gate, first).0, State::Degraded, "{engine}: it was asked for before that was found");

        // A look at another part of what is there does not speak for it.
        let third = taken(gate, &[one, two], &[]);
        assert_eq!(stands(gate, third).1, [CopyState::Failed, CopyState::Verified], "{engine}");
        let doubted = |own| gate.db().read(move |conn| store::is_doubted(conn, own, one)).unwrap();
        assert!(doubted(third), "{engine}");

        // One that reads everything does.
        let now = gate.now();
        gate.clock().advance(Duration::from_secs(1));
        seen(now, &[], &[first]);
        assert_eq!(stands(gate, first), (State::Available, vec![CopyState::Verified; 2]), "{engine}");
        let fourth = gate.run(&manager(), &TAKE, Nothing {}).unwrap().id;
        for place in [one, two] {
            let snapshot = Some(format!("{fourth}@{place}"));
            turn(gate, Turn::Copied { point: fourth, place, snapshot, everything: true, problem: None });
        }
        turn(gate, Turn::Closed { point: fourth, taken_at: Some(gate.now()), bytes: 7, problem: None });
        assert!(!doubted(second) && causes(gate).is_empty(), "{engine}: {:?}", causes(gate));

        // And a snapshot that is not there is missed, though the place is whole.
        seen(gate.now(), &[fourth], &[]);
        assert_eq!(stands(gate, fourth).1, [CopyState::Missing, CopyState::Verified], "{engine}");
        assert_eq!((restorable(gate, [one, one]) != Some(fourth), causes(gate).len()), (true, 1), "{engine}");
        // That says nothing of damage: what was found damaged long ago and was whole since is no reason for doubt.
        let fifth = taken(gate, &[one, two], &[]);
        assert_eq!(stands(gate, fifth).0, State::Available, "{engine}");
        gate.clock().advance(Duration::from_secs(1));
        seen(gate.now(), &[], &[fourth]);
        assert_eq!((stands(gate, fourth).0, causes(gate)), (State::Available, vec![]), "{engine}");
    });
}

#[test]
fn what_is_due_is_begun_once_however_much_was_missed() {
    each(|engine, gate| {
        kept(gate);
        turn(gate, Turn::Due);
        assert!(points(gate).is_empty(), "{engine}: not yet");
        gate.clock().advance(Duration::from_secs(5 * 3_600));
        turn(gate, Turn::Due);
        turn(gate, Turn::Due);
        gate.clock().advance(Duration::from_secs(2 * 3_600));
        turn(gate, Turn::Due);
        assert_eq!(points(gate).len(), 1, "{engine}: not beside one that is being taken");
        let due = gate.run(&manager(), &GET, Nothing {}).unwrap().next_due.unwrap();
        assert!(due > gate.now(), "{engine}");
    });
}

#[test]
fn a_database_that_was_brought_back_knows_the_copy_that_served() {
    each(|engine, gate| {
        kept(gate);
        let point = gate.run(&manager(), &TAKE, Nothing {}).unwrap().id;
        let recovered = Recovered {
            point,
            taken_at: gate.now(),
            place: "two".into(),
            snapshot: "5".repeat(64),
            version: "0".into(),
            bytes: 7,
            digest: "d".into(),
            seconds: 1.5,
        };
        gate.run(&system(), &RECOVERED, recovered.clone()).unwrap();
        let known = points(gate).remove(0);
        assert_eq!((known.state, known.bytes), (State::Degraded, Some(7)), "{engine}");
        let served: Vec<_> = known.copies.iter().filter_map(|copy| copy.snapshot.clone()).collect();
        assert_eq!(served, std::slice::from_ref(&recovered.snapshot), "{engine}");
        gate.run(&system(), &RECOVERED, recovered).unwrap();
        gate.run(&manager(), &TAKE, Nothing {}).unwrap();
    });
}

#[test]
fn what_a_killed_drill_left_goes_with_the_next_server_of_its_directory_and_of_no_other() {
    let Some(url) = db::testing::postgres_url() else { return };
    let location = Location::Postgres(url);
    let left = |data: &Scratch| {
        let name = format!("yunwei_{}_drun_01m80h6wrtet7rkwawzsgh6gss", home(data.path()).unwrap());
        db::copies::beside(&location, data.path(), &name).unwrap()
    };
    let [own, other] = [Scratch::new(), Scratch::new()];
    let [mine, theirs] = [left(&own), left(&other)];
    std::fs::create_dir_all(own.path().join(".drill/drun_x/data")).unwrap();
    sweep(own.path(), &location).unwrap();
    assert!(db::copies::expect_none(&mine).is_err() && !own.path().join(".drill").exists());
    db::copies::expect_none(&theirs).unwrap();
    sweep(other.path(), &location).unwrap();
    assert!(db::copies::expect_none(&theirs).is_err());
}

#[test]
fn a_data_directory_has_a_name_of_its_own_and_one_server() {
    let [one, two] = [Scratch::new(), Scratch::new()];
    let first = alone(one.path()).unwrap().unwrap();
    assert_eq!(first.home, home(one.path()).unwrap());
    assert_ne!(first.home, home(two.path()).unwrap());
    assert!(alone(one.path()).unwrap().is_none(), "somebody works there");
    drop(first);
    assert!(alone(one.path()).unwrap().is_some());
    std::fs::write(one.path().join(HOME), "elsewhere").unwrap();
    assert_eq!(home(one.path()).unwrap_err().code(), "data.home");
}
