//! Services that are lost and come back, on both databases, and what goes wrong on the way.

use std::time::Duration;

use base::Kind;
use base::id::HostId;
use base::time::Timestamp;
use commerce::testing::{OPERATOR, manager, member};
use durable::testing as flow_testing;
use durable::{Engine, flows};
use gate::{Cx, Gate};
use provisioning::services::{ServiceSeen, TERMINATE};
use resources::capacity;
use resources::intents::{self, Intent, Standing};
use resources::testing::{Mood, play};

use super::actions::{END, GET, KEEP, Keep, LIST, ListRestores, PLAN, RestoreDetail, RestoreRef, SITES, START};
use super::*;
use crate::backups::points::{CopyState, ServiceRef, State as PointState};
use crate::backups::tests::{Behaviour, CUSTOMER, House, registry, work_once};

/// A service with a copy on its own host and one far away.
fn sheltered(db: db::Db) -> House {
    let (house, _, _) = House::sheltered(db);
    house.taken();
    house.gate().clock().advance(Duration::from_secs(60));
    house
}

fn each(test: impl Fn(&'static str, House)) {
    for (engine, db, _keep) in db::testing::databases() {
        test(engine, sheltered(db));
    }
}

fn other(house: &House) -> HostId {
    let (host, _) = house.machine();
    *house.town.hosts.iter().find(|one| **one != host).unwrap()
}

/// The host falls silent, for good as far as anybody knows; the other one is heard of.
fn die(house: &House, host: HostId) {
    house.gate().clock().advance(Duration::from_secs(600));
    for living in house.town.hosts.iter().filter(|one| **one != host) {
        let (living, now) = (*living, house.gate().now());
        house.gate().db().write(move |conn| heard(conn, living, now)).unwrap();
    }
    resources::work::silence(house.gate(), Timestamp::UNIX_EPOCH).unwrap();
}

fn heard(conn: &mut db::Conn<'_>, host: HostId, now: Timestamp) -> base::Result<u64> {
    conn.execute("UPDATE hosts SET seen_at = $2 WHERE id = $1", db::args![host, now])
}

fn ask(house: &House) -> Ask {
    Ask { id: house.service.clone(), ..Ask::default() }
}

fn start(house: &House, ask: Ask) -> base::Result<Restore> {
    house.gate().run(&member(CUSTOMER), &START, ask)
}

fn settle(house: &House, hosts: &[HostId], mood: Mood) {
    loop {
        house.town.engine.settle().unwrap();
        let busy = hosts.iter().filter(|host| play(house.gate(), **host, OPERATOR, mood)).count();
        if busy == 0 {
            return;
        }
    }
}

fn look(gate: &Gate, id: RestoreId) -> RestoreDetail {
    gate.run(&Cx::system("test", TenantId(CUSTOMER)), &GET, RestoreRef { id }).unwrap()
}

fn serving(gate: &Gate, service: &str) -> Vec<Intent> {
    let service = service.to_owned();
    gate.db().read(move |conn| intents::of_service(conn, &service)).unwrap()
}

fn machine(gate: &Gate, id: &str) -> Intent {
    let id = id.parse().unwrap();
    gate.db().read(move |conn| intents::get(conn, &id)).unwrap().unwrap()
}

fn seen(house: &House) -> ServiceSeen {
    let service = house.service.clone();
    house.within(move |tx| services_status(tx, &service)).unwrap()
}

fn services_status(tx: &mut Tx<'_>, service: &str) -> base::Result<ServiceSeen> {
    provisioning::services::status(tx, service)
}

fn count(gate: &Gate, sql: &'static str) -> i64 {
    gate.db().read(move |conn| conn.query_one(sql, &[], |row| row.get::<i64>(0))).unwrap()
}

/// The service stands on its old machine, and nothing is left of a restore.
fn as_before(gate: &Gate, service: &str, old: &str) {
    let serving = serving(gate, service);
    assert_eq!(serving.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), [old]);
    assert!(serving[0].desired.is_some());
    assert_eq!(count(gate, "SELECT COUNT(*) FROM reservations WHERE state <> 'released'"), 1);
    assert_eq!(count(gate, "SELECT COUNT(DISTINCT machine) FROM claims"), 1);
    assert_eq!(count(gate, "SELECT COUNT(*) FROM recoveries WHERE ended_at IS NULL"), 0);
    assert_eq!(count(gate, "SELECT COUNT(*) FROM restores WHERE state = 'running'"), 0);
}

/// The service is served by one other machine, on that host, and the old one is on its way out.
fn moved(gate: &Gate, service: &str, old: &str, onto: HostId) {
    let serving = serving(gate, service);
    assert_eq!(serving.len(), 1);
    assert!(serving[0].id.as_str() != old && serving[0].host == onto && serving[0].answers());
    let lost = machine(gate, old);
    assert_eq!((lost.standing, lost.desired.is_none()), (Standing::Replaced, true));
    assert_eq!(count(gate, "SELECT COUNT(*) FROM recoveries WHERE ended_at IS NULL"), 0);
    assert_eq!(count(gate, "SELECT COUNT(*) FROM facts WHERE name = 'ServiceMoved'"), 1);
    assert_eq!(count(gate, "SELECT COUNT(*) FROM intents WHERE standing = 'beside'"), 0);
}

#[test]
fn what_people_said_of_a_machine_is_said_of_the_one_that_takes_its_place() {
    use crate::inventory::Kind;
    use crate::inventory::actions::{GET as LOOK, PUT, PutThing, ThingRef};
    use crate::inventory::tests::{add, needs, new, put};
    each(|engine, house| {
        let ((host, old), onto, gate) = (house.machine(), other(&house), house.gate());
        let mut sales = new(Kind::Activity, "Sales", "sales");
        sales.needs = vec![needs(1, &[&old])];
        add(&house, &member(CUSTOMER), sales).unwrap();
        let mut said = put(&old);
        said.said.note = "the one with the licence".into();
        gate.run(&member(CUSTOMER), &PUT, said).unwrap();
        let mut operators: PutThing = put(&old);
        operators.said.note = "loud".into();
        gate.run(&manager(), &PUT, operators).unwrap();

        die(&house, host);
        start(&house, ask(&house)).unwrap();
        settle(&house, &[onto], Mood::Willing);
        let made = serving(gate, &house.service).remove(0).id.to_string();
        assert_ne!(made, old, "{engine}");
        let look = |cx: &Cx, id: &str| gate.run(cx, &LOOK, ThingRef { id: id.into(), tenant: None }).unwrap();
        assert_eq!(look(&member(CUSTOMER), &made).thing.said.note, "the one with the licence", "{engine}");
        assert_eq!(look(&manager(), &made).thing.said.note, "loud", "{engine}");
        assert_eq!(look(&member(CUSTOMER), "sales").thing.needs[0].of, [made], "{engine}");
    });
}

#[test]
fn a_service_whose_host_is_lost_is_served_again_on_another_one() {
    each(|engine, house| {
        let ((host, old), onto, gate) = (house.machine(), other(&house), house.gate());
        die(&house, host);
        let plan = gate.run(&member(CUSTOMER), &PLAN, ask(&house)).unwrap();
        assert_eq!((plan.place_name.as_str(), plan.bytes, plan.alive), ("far", 1 << 20, false), "{engine}");
        assert_eq!((plan.machines[0].host, plan.loses_seconds), (onto, 660), "{engine}");
        assert_eq!((plan.removes, plan.estimated_seconds), (vec![old.clone()], None), "{engine}");

        let begun = start(&house, ask(&house)).unwrap();
        settle(&house, &[onto], Mood::Willing);
        let told = look(gate, begun.id);
        assert_eq!(told.restore.state, State::Done, "{engine}: {:?}", told.restore.problem);
        assert_eq!(told.disks.len(), 2);
        assert!(told.run.unwrap().steps.len() == 7 && told.restore.answered_at.is_some());
        moved(gate, &house.service, &old, onto);
        let now = seen(&house);
        assert_eq!(now.condition, "running", "{engine}: the lost machine is not the service any more");
        assert_eq!(now.address.as_deref(), Some(told.restore.machines[0].url.as_str()));
        house.town.assert_sound();

        // What it held is free once its host was seen to have nothing of it any more.
        let held = |id: &str| {
            house
                .within({
                    let id = id.to_owned();
                    move |tx| capacity::of(tx, &id)
                })
                .unwrap()
                .unwrap()
        };
        assert_eq!(held(&old).state, capacity::State::InUse, "{engine}");
        settle(&house, &[host], Mood::Willing);
        assert_eq!(held(&old).state, capacity::State::Released, "{engine}");
        assert_eq!(seen(&house).condition, "running");

        // Backups go on with the new machine; the next plan knows how long it takes.
        let point = house.taken();
        assert_eq!(point.parts[0].part, serving(gate, &house.service)[0].id.as_str(), "{engine}");
        let again = gate.run(&member(CUSTOMER), &PLAN, Ask { place: told.restore.place, ..ask(&house) }).unwrap();
        assert_eq!(again.estimated_seconds, Some(3.0), "{engine}: two disks in one second and a half each");
    });
}

#[test]
fn a_person_answers_for_a_host_that_never_comes_back() {
    each(|engine, house| {
        let ((host, old), onto) = (house.machine(), other(&house));
        die(&house, host);
        start(&house, ask(&house)).unwrap();
        settle(&house, &[onto], Mood::Willing);
        let retire = resources::hosts::RetireHost { id: host, machines_are_gone: true };
        house.gate().run(&manager(), &resources::hosts::RETIRE, retire).unwrap();
        assert!(machine(house.gate(), &old).is_gone(), "{engine}");
        assert_eq!(house.count("SELECT COUNT(*) FROM reservations WHERE state <> 'released'"), 1, "{engine}");
        assert_eq!(seen(&house).condition, "running", "{engine}");
    });
}

#[test]
fn a_service_that_answers_is_not_replaced_unless_somebody_says_so() {
    each(|engine, house| {
        let ((host, old), onto) = (house.machine(), other(&house));
        let refused = start(&house, ask(&house)).unwrap_err();
        assert_eq!(refused.code(), "restore.service_alive", "{engine}");
        start(&house, Ask { even_if_alive: true, ..ask(&house) }).unwrap();
        let second = start(&house, Ask { even_if_alive: true, ..ask(&house) }).unwrap_err();
        assert_eq!(second.code(), "restore.running", "{engine}");
        settle(&house, &[host, onto], Mood::Willing);
        moved(house.gate(), &house.service, &old, onto);
        assert!(machine(house.gate(), &old).is_gone(), "{engine}");
    });
}

#[test]
fn the_same_host_is_used_where_it_is_asked_for_or_no_other_is_left() {
    each(|engine, house| {
        let (host, old) = house.machine();
        let own = Ask { host: Some(host), even_if_alive: true, ..ask(&house) };
        let begun = house.gate().run(&manager(), &START, own.clone()).unwrap();
        settle(&house, &[host], Mood::Willing);
        moved(house.gate(), &house.service, &old, host);
        assert_eq!(look(house.gate(), begun.id).restore.place_name.as_deref(), Some("near"), "{engine}");
        // A customer names no host.
        assert_eq!(start(&house, own).unwrap_err().kind(), Kind::NotFound, "{engine}");
        let plan = |house: &House| house.gate().run(&member(CUSTOMER), &PLAN, ask(house));
        assert_eq!(plan(&house).unwrap().machines[0].host, other(&house), "{engine}: rather another one");
        let full = resources::hosts::HostRef { id: other(&house) };
        house.gate().run(&manager(), &resources::hosts::DRAIN, full).unwrap();
        assert_eq!(plan(&house).unwrap().machines[0].host, host, "{engine}");
        let begun = start(&house, Ask { even_if_alive: true, ..ask(&house) }).unwrap();
        settle(&house, &[host], Mood::Willing);
        assert_eq!(look(house.gate(), begun.id).restore.state, State::Done, "{engine}");
        assert_eq!(serving(house.gate(), &house.service)[0].host, host, "{engine}");
        die(&house, host);
        let none = house.gate().run(&member(CUSTOMER), &PLAN, ask(&house)).unwrap_err();
        assert_eq!(none.code(), "restore.nowhere", "{engine}");
    });
}

#[test]
fn a_host_that_cannot_leaves_the_service_as_it_was() {
    each(|engine, house| {
        let ((host, old), onto) = (house.machine(), other(&house));
        die(&house, host);
        let begun = start(&house, ask(&house)).unwrap();
        settle(&house, &[onto], Mood::Failing);
        let told = look(house.gate(), begun.id).restore;
        assert_eq!((told.state, told.problem.unwrap().code.as_str()), (State::Failed, "machine.failed"), "{engine}");
        as_before(house.gate(), &house.service, &old);
        let begun = start(&house, ask(&house)).unwrap();
        settle(&house, &[onto], Mood::Willing);
        assert_eq!(look(house.gate(), begun.id).restore.state, State::Done, "{engine}");
    });
}

#[test]
fn machines_that_never_answer_are_taken_back_in_time() {
    each(|engine, house| {
        let ((host, old), onto) = (house.machine(), other(&house));
        die(&house, host);
        let begun = start(&house, ask(&house)).unwrap();
        settle(&house, &[onto], Mood::Mute);
        house.gate().clock().advance(Duration::from_secs(3_600));
        settle(&house, &[onto], Mood::Mute);
        let told = look(house.gate(), begun.id).restore;
        assert_eq!((told.state, told.problem.unwrap().code.as_str()), (State::Failed, "flow.step_timeout"), "{engine}");
        as_before(house.gate(), &house.service, &old);
    });
}

#[test]
fn a_copy_that_a_host_finds_damaged_is_not_taken_a_second_time() {
    each(|engine, house| {
        let ((host, old), onto) = (house.machine(), other(&house));
        die(&house, host);
        let begun = start(&house, ask(&house)).unwrap();
        house.town.engine.settle().unwrap();
        // The vault says so while the disk is being made.
        let made = look(house.gate(), begun.id).restore.machines[0].made.clone();
        let now = house.gate().now();
        let problem =
            Problem { code: vault::fault::REPOSITORY_DAMAGED.into(), message: "a pack is cut".into(), retrying: false };
        let recovery = look(house.gate(), begun.id).restore.recovery.unwrap().to_string().parse().unwrap();
        let recovering = drivers::wire::Recovering {
            disk: "system".into(),
            recovery,
            done: 3_000_000,
            total: 9_000_000,
            seconds: 2.0,
        };
        let seen = drivers::wire::Observation {
            id: made.parse().unwrap(),
            generation: 1,
            revision: 1,
            state: drivers::wire::MachineState::Failed,
            converged: false,
            since: now,
            power: None,
            reboot_token: None,
            lives: vec![],
            check: None,
            recovered: vec![],
            recovering: vec![recovering],
            console_bytes: 0,
            problem: Some(problem),
            observed_at: now,
        };
        let report = drivers::wire::Report {
            protocol: drivers::wire::PROTOCOL,
            sent_at: now,
            host: None,
            observations: vec![seen],
            orphans: None,
            tasks: vec![],
        };
        house.gate().run(&resources::testing::agent(onto, OPERATOR), &resources::observe::OBSERVE, report).unwrap();
        let under_way = look(house.gate(), begun.id).under_way;
        assert_eq!(
            (under_way[0].disk.as_str(), under_way[0].done, under_way[0].total),
            ("system", 3_000_000, 9_000_000)
        );
        assert_eq!((under_way[0].bytes_per_second, under_way[0].seconds_left), (Some(1_500_000), Some(4)));
        settle(&house, &[onto], Mood::Willing);
        let told = look(house.gate(), begun.id).restore;
        assert_eq!(told.state, State::Failed, "{engine}");
        let point = house.point(told.point.unwrap());
        let far = point.copies().find(|copy| copy.place_name == "far").unwrap();
        assert_eq!((far.state, point.state), (CopyState::Damaged, PointState::Degraded), "{engine}");
        assert_eq!(start(&house, ask(&house)).unwrap_err().code(), "recovery.no_copy", "{engine}");
        as_before(house.gate(), &house.service, &old);
    });
}

#[test]
fn a_machine_beside_the_service_is_looked_at_and_let_go() {
    each(|engine, house| {
        let ((host, old), onto) = (house.machine(), other(&house));
        let begun = start(&house, Ask { beside: true, ..ask(&house) }).unwrap();
        settle(&house, &[host, onto], Mood::Willing);
        let told = look(house.gate(), begun.id).restore;
        assert_eq!((told.state, told.beside), (State::Done, true), "{engine}: {:?}", told.problem);
        assert!(told.machines[0].url.starts_with("http://127.0.0.1:"));
        let now = seen(&house);
        assert_eq!((now.condition.as_str(), now.machines.len()), ("running", 1), "{engine}");
        assert_eq!(now.machines[0].id, old);
        house.gate().run(&member(CUSTOMER), &END, RestoreRef { id: begun.id }).unwrap();
        settle(&house, &[host, onto], Mood::Willing);
        as_before(house.gate(), &house.service, &old);
        assert_eq!(look(house.gate(), begun.id).restore.state, State::Ended, "{engine}");
    });
}

#[test]
fn a_service_that_ends_meanwhile_takes_its_restore_with_it() {
    each(|engine, house| {
        let ((host, _), onto) = (house.machine(), other(&house));
        let begun = start(&house, Ask { even_if_alive: true, ..ask(&house) }).unwrap();
        house.town.engine.settle().unwrap();
        let this = provisioning::services::ServiceId { id: house.service.clone() };
        house.gate().run(&member(CUSTOMER), &TERMINATE, this).unwrap();
        settle(&house, &[host, onto], Mood::Willing);
        assert_eq!(look(house.gate(), begun.id).restore.state, State::Failed, "{engine}");
        house.town.assert_nothing_is_held();
        assert_eq!(start(&house, ask(&house)).unwrap_err().code(), "service.not_there", "{engine}");
    });
}

#[test]
fn an_owner_chooses_among_the_sites_that_take_machines_and_sees_their_names_alone() {
    each(|engine, house| {
        let sites = |cx| house.gate().run(&cx, &SITES, ServiceRef { id: house.service.clone() });
        let open = sites(member(CUSTOMER)).unwrap().items;
        assert_eq!(open.len(), 1, "{engine}: both hosts stand there");
        let told = serde_json::to_value(&open[0]).unwrap();
        assert_eq!(told.as_object().unwrap().len(), 2, "{engine}: {told}");
        assert!(sites(member(3)).is_err(), "{engine}: of a service that is not theirs nobody hears");
        house.gate().db().write(|conn| conn.execute("UPDATE hosts SET state = 'draining'", &[])).unwrap();
        assert_eq!(sites(member(CUSTOMER)).unwrap().items, [], "{engine}");
    });
}

#[test]
fn what_stands_beside_goes_when_its_time_is_over() {
    each(|engine, house| {
        let ((host, old), onto, gate) = (house.machine(), other(&house), house.gate());
        let wrong = start(&house, Ask { keep_hours: Some(2), ..ask(&house) }).unwrap_err();
        assert_eq!(wrong.code(), "restore.keep", "{engine}");
        let begun = start(&house, Ask { beside: true, keep_hours: Some(2), ..ask(&house) }).unwrap();
        let early = gate.run(&member(CUSTOMER), &KEEP, Keep { id: begun.id, hours: 1 }).unwrap_err();
        assert_eq!(early.code(), "restore.not_beside", "{engine}: it does not stand there yet");
        settle(&house, &[host, onto], Mood::Willing);
        let far = gate.run(&member(CUSTOMER), &KEEP, Keep { id: begun.id, hours: 721 }).unwrap_err();
        assert_eq!(far.code(), "restore.keep", "{engine}");
        let kept = gate.run(&member(CUSTOMER), &KEEP, Keep { id: begun.id, hours: 3 }).unwrap();
        let hours = |hours: u64| Duration::from_secs(hours * 3_600);
        assert_eq!(kept.keep_until, Some(gate.now() + hours(3)), "{engine}");

        gate.clock().advance(hours(3) - Duration::from_secs(1));
        work::look_for_over(gate).unwrap();
        assert_eq!(look(gate, begun.id).restore.state, State::Done, "{engine}");
        gate.clock().advance(Duration::from_secs(1));
        work::look_for_over(gate).unwrap();
        settle(&house, &[host, onto], Mood::Willing);
        assert_eq!(look(gate, begun.id).restore.state, State::Ended, "{engine}");
        as_before(gate, &house.service, &old);
    });
}

#[test]
fn what_stands_beside_a_service_goes_with_it() {
    each(|engine, house| {
        let ((host, _), onto, gate) = (house.machine(), other(&house), house.gate());
        let begun = start(&house, Ask { beside: true, ..ask(&house) }).unwrap();
        settle(&house, &[host, onto], Mood::Willing);
        let this = provisioning::services::ServiceId { id: house.service.clone() };
        gate.run(&member(CUSTOMER), &TERMINATE, this).unwrap();
        settle(&house, &[host, onto], Mood::Willing);
        assert_eq!(look(gate, begun.id).restore.state, State::Ended, "{engine}");
        house.town.assert_nothing_is_held();
    });
}

#[test]
fn a_service_that_answers_again_meanwhile_is_left_as_it_is() {
    each(|engine, house| {
        let ((host, old), onto, gate) = (house.machine(), other(&house), house.gate());
        die(&house, host);
        let begun = start(&house, ask(&house)).unwrap();
        // It was only cut off: what its customers write is there.
        let now = gate.now();
        let back = "UPDATE hosts SET seen_at = $2, reachable = 1 WHERE id = $1";
        gate.db().write(move |conn| conn.execute(back, db::args![host, now])).unwrap();
        settle(&house, &[host, onto], Mood::Willing);
        let told = look(gate, begun.id).restore;
        let why = told.problem.map(|problem| problem.code);
        assert_eq!((told.state, why.as_deref()), (State::Failed, Some("restore.service_alive")), "{engine}");
        as_before(gate, &house.service, &old);
    });
}

#[test]
fn a_backup_that_waits_for_the_lost_host_does_not_hold_up_the_next_one() {
    each(|engine, house| {
        let ((host, _), onto) = (house.machine(), other(&house));
        let waiting = house.take();
        house.town.engine.settle().unwrap();
        die(&house, host);
        start(&house, ask(&house)).unwrap();
        settle(&house, &[onto], Mood::Willing);
        assert_eq!(house.point(waiting.id).state, PointState::Failed, "{engine}");
        let next = house.take().id;
        let store = &house.store;
        loop {
            house.town.engine.settle().unwrap();
            if !work_once(house.gate(), onto, &Behaviour::willing(), store) {
                break;
            }
        }
        let point = house.point(next);
        let far = point.copies().find(|copy| copy.place_name == "far").unwrap();
        assert_ne!(point.state, PointState::Taking, "{engine}: {far:?}");
    });
}

#[test]
fn nobody_else_sees_restores_or_starts_one() {
    each(|engine, house| {
        let begun = start(&house, Ask { beside: true, ..ask(&house) }).unwrap();
        let (gate, stranger) = (house.gate(), member(3));
        for refused in [
            gate.run(&stranger, &PLAN, ask(&house)).map(drop),
            gate.run(&stranger, &START, ask(&house)).map(drop),
            gate.run(&stranger, &LIST, ListRestores { id: house.service.clone(), limit: None }).map(drop),
            gate.run(&stranger, &GET, RestoreRef { id: begun.id }).map(drop),
            gate.run(&stranger, &KEEP, Keep { id: begun.id, hours: 1 }).map(drop),
            gate.run(&stranger, &END, RestoreRef { id: begun.id }).map(drop),
        ] {
            assert_eq!(refused.unwrap_err().kind(), Kind::NotFound, "{engine}");
        }
        let own = ListRestores { id: house.service.clone(), limit: None };
        assert_eq!(gate.run(&member(CUSTOMER), &LIST, own).unwrap().items.len(), 1, "{engine}");
    });
}

/// A run for the helpers that repeat, fail and kill: the host of the service is gone for good.
fn running() -> flow_testing::House {
    let (_, db, keep) = db::testing::sqlite();
    let house = sheltered(db);
    let ((host, old), onto) = (house.machine(), other(&house));
    die(&house, host);
    let begun = start(&house, ask(&house)).unwrap();
    let text = begun.id.to_string();
    let runs = house.gate().db().read(move |conn| flows::of_subject(conn, KIND, &text)).unwrap();
    let (service, of_clean, lost) = (house.service.clone(), house.service.clone(), old.clone());
    flow_testing::House {
        run: runs[0].id,
        restart: Box::new(|gate| Engine::new(gate.clone(), registry()).unwrap()),
        pump: Box::new(move |gate| {
            // It is heard of all the while, however much time the test lets pass.
            let now = gate.now();
            gate.db().write(move |conn| heard(conn, onto, now)).unwrap();
            play(gate, onto, OPERATOR, Mood::Willing)
        }),
        done: Box::new(move |gate| {
            moved(gate, &service, &old, onto);
            assert_eq!(look(gate, begun.id).restore.state, State::Done);
            assert_eq!(
                count(gate, "SELECT COUNT(*) FROM reservations WHERE state <> 'released'"),
                2,
                "the lost one's too"
            );
        }),
        clean: Box::new(move |gate| {
            assert_eq!(look(gate, begun.id).restore.state, State::Failed);
            as_before(gate, &of_clean, &lost);
        }),
        engine: house.town.engine,
        keep: Box::new((house.keep, keep)),
    }
}

#[test]
fn whichever_step_fails_the_service_is_as_it_was_and_nothing_is_held() {
    flow_testing::fail_at_each_step(&running);
}

#[test]
fn a_repeated_step_or_undo_changes_nothing() {
    flow_testing::repeat_each_step(&running);
    flow_testing::repeat_each_undo(&running);
}

#[test]
fn killed_at_every_journal_write_a_service_is_still_brought_back_once() {
    flow_testing::kill_after_each_journal_write(&running);
}

#[test]
fn killed_while_it_unwinds_a_restore_still_leaves_nothing() {
    flow_testing::kill_while_unwinding_from(&running, "answer");
}
