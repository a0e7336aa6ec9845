//! What a good day looks like, what a bad one opens, and who sees what.

use base::Kind;
use commerce::testing::{manager, member};

use super::*;
use crate::backups::digits::Standing;
use crate::backups::protections;
use crate::backups::schedule::Schedule;
use crate::drills::corrective::{self, ChangeAction, CorrectiveAction, ListActions};
use crate::drills::rules::{self, Control, Phase};
use crate::drills::work;
use crate::evidence;

fn actions(house: &House, closed: bool) -> Vec<CorrectiveAction> {
    let list = ListActions { closed, ..ListActions::default() };
    house.gate().run(&member(CUSTOMER), &corrective::LIST, list).unwrap().items
}

#[test]
fn a_drill_restores_measures_proves_and_leaves_nothing() {
    each(|engine, house, world, point, [near, _]| {
        let plan = plan(&house, Terms { negative_every: 2, ..terms(&house, Scenario::MachineLost) });
        let run = drilled(&house, &world, &plan);
        assert!(passed(&run), "{engine}: {:?} {:?}", run.body.misses, run.body.failure);
        let one = &run.body.services[0];
        assert_eq!((one.point, one.place), (Some(point.id), Some(near)), "{engine}: the nearest copy");
        assert_eq!(run.rto_milliseconds(), Some(30_000), "{engine}: what the hosts took");
        assert_eq!(run.rpo_milliseconds(), Some(605_000), "{engine}: the record's age, not the copy's");
        let phases: Vec<_> = one.phases.iter().map(|one| one.milliseconds.unwrap()).collect();
        assert_eq!(phases.iter().sum::<u64>(), 30_000, "{engine}: {phases:?}");
        assert_eq!(one.phases[5].milliseconds.zip(one.phases[6].milliseconds), Some((28_000, 2_000)), "{engine}");
        assert_eq!(one.machines[0].disks.len(), 2);
        assert_eq!(run.body.control, Control::DamageFound { code: "repository.damaged".into() });
        assert_nothing_is_left(&house);
        let digits = house.gate().run(&member(CUSTOMER), &protections::GET, house.this()).unwrap().digits;
        assert_eq!(digits[4].standing, Standing::Met, "{engine}: the last zero, from a real restore");
        // The service itself saw nothing of it.
        assert_eq!(house.count("SELECT COUNT(*) FROM intents WHERE standing = 'serving' AND freed_at IS NULL"), 1);
        let again = drilled(&house, &world, &plan);
        assert_eq!((again.number, again.body.control.clone(), passed(&again)), (2, Control::NotDue, true), "{engine}");
    });
}

#[test]
fn a_miss_opens_work_for_somebody_and_only_a_passing_drill_closes_it() {
    each(|engine, house, mut world, _, _| {
        let promised = Objectives { rto_seconds: 3_600, rpo_seconds: 86_400 };
        let of = |scenario| Terms { objectives: Some(promised), ..terms(&house, scenario) };
        let plan = plan(&house, of(Scenario::MachineLost));
        world.restoring = Duration::from_secs(3_601);
        let late = drilled(&house, &world, &plan);
        assert_eq!((late.state, codes(&late)), (State::Failed, vec![rules::RTO_MISSED]), "{engine}");
        let open = actions(&house, false);
        assert_eq!((open.len(), open[0].owner.as_str(), open[0].code.as_str()), (1, "Ops", rules::RTO_MISSED));
        assert_eq!(open[0].due_at, late.ended_at.unwrap() + Duration::from_secs(14 * 86_400));
        // The same again is the same work.
        drilled(&house, &world, &plan);
        let open = actions(&house, false);
        assert_eq!((open.len(), open[0].times, open[0].found_by), (1, 2, late.id), "{engine}");
        let change = ChangeAction { id: open[0].id, owner: Some("Lin".into()), due_at: None };
        assert_eq!(house.gate().run(&member(CUSTOMER), &corrective::UPDATE, change.clone()).unwrap().owner, "Lin");
        // Another plan that passes proves nothing of this one.
        let other = super::plan(&house, of(Scenario::HostLost));
        world.restoring = Duration::from_secs(1);
        assert!(passed(&drilled(&house, &world, &other)));
        assert_eq!(actions(&house, false).len(), 1, "{engine}");
        let good = drilled(&house, &world, &plan);
        assert!(passed(&good), "{engine}: {:?}", good.body.misses);
        assert_eq!(actions(&house, false), []);
        let closed = actions(&house, true);
        assert_eq!((closed[0].closed_by, closed[0].open), (Some(good.id), false), "{engine}");
        assert_eq!(
            house.gate().run(&member(CUSTOMER), &corrective::UPDATE, change).unwrap_err().code(),
            "correctiveAction.closed"
        );
        assert_eq!(house.count("SELECT COUNT(*) FROM facts WHERE name = 'DrillFailed'"), 2);
    });
}

#[test]
fn what_the_contract_promises_is_held_against_every_drill_whatever_its_plan_says() {
    each(|engine, house, mut world, _, _| {
        let plan = plan(&house, terms(&house, Scenario::MachineLost));
        let broken = |house: &House| house.count("SELECT COUNT(*) FROM facts WHERE name = 'RecoveryPromiseBroken'");
        drilled(&house, &world, &plan);
        assert_eq!(broken(&house), 0, "{engine}: nothing is promised");
        let agreed = r#""productCharacteristic":[{"name":"recoveryTimeObjective","value":60},{"name":"recoveryCredit","value":500},"#;
        let sql = "UPDATE records SET body = REPLACE(body, '\"productCharacteristic\":[', $1) WHERE kind = 'product'";
        assert_eq!(house.gate().db().write(move |conn| conn.execute(sql, db::args![agreed])).unwrap(), 1, "{engine}");
        drilled(&house, &world, &plan);
        assert_eq!(broken(&house), 0, "{engine}: it was kept");
        // Of this the guest takes the last two seconds to start: they are its own.
        world.restoring = Duration::from_secs(62);
        drilled(&house, &world, &plan);
        assert_eq!(broken(&house), 0, "{engine}");
        world.restoring = Duration::from_secs(70);
        assert!(passed(&drilled(&house, &world, &plan)), "{engine}: the plan allows an hour");
        assert_eq!(broken(&house), 1, "{engine}");
        // Whoever asks for more than was promised is owed nothing for it.
        let run = house.gate().run(
            &member(CUSTOMER),
            &RUN,
            StartDrill { id: plan.id, bad_after: Some(house.gate().now()), brought: None },
        );
        live(&house, &world);
        assert_ne!(look(house.gate(), &run.unwrap()).state, State::Running);
        assert_eq!(broken(&house), 1, "{engine}");
    });
}

#[test]
fn data_that_is_too_old_unknown_or_of_after_the_copy_does_not_pass() {
    each(|engine, house, mut world, _, _| {
        let plan = plan(&house, terms(&house, Scenario::MachineLost));
        world.older = Some(Duration::from_secs(7_200));
        assert_eq!(codes(&drilled(&house, &world, &plan)), [rules::RPO_MISSED], "{engine}");
        world.older = None;
        let run = start(&house, &plan);
        live(&house, &world);
        assert_eq!(look(house.gate(), &run).state, State::Running, "{engine}: it is waited for a while");
        house.gate().clock().advance(Duration::from_secs(120));
        live(&house, &world);
        assert_eq!(codes(&look(house.gate(), &run)), [rules::RECORD_UNKNOWN], "{engine}");
        // What the restored machine wrote itself is no record of what was saved.
        world.older = Some(Duration::ZERO);
        let later: BTreeMap<String, Timestamp> =
            world.times.iter().map(|(id, at)| (id.clone(), *at + Duration::from_secs(400))).collect();
        world.times = later;
        let run = drilled(&house, &world, &plan);
        assert_eq!(codes(&run), [rules::RECORD_UNKNOWN], "{engine}");
        assert!(run.body.misses[0].message.contains("later than the copy"));
        assert_nothing_is_left(&house);
    });
}

#[test]
fn other_data_than_before_from_the_same_point_does_not_pass() {
    each(|engine, house, mut world, _, _| {
        let plan = plan(&house, terms(&house, Scenario::MachineLost));
        assert!(passed(&drilled(&house, &world, &plan)), "{engine}");
        world.digest = "e".into();
        assert_eq!(codes(&drilled(&house, &world, &plan)), [rules::DATA_DIFFERS], "{engine}");
    });
}

#[test]
fn a_damaged_copy_that_passes_fails_the_drill() {
    each(|engine, house, world, _, _| {
        let plan = plan(&house, Terms { negative_every: 1, ..terms(&house, Scenario::MachineLost) });
        let blind = Behaviour::of(|_, _, outcome| match outcome {
            drivers::wire::Outcome::DamageTried { damaged, seconds, .. } => {
                crate::backups::tests::Answer::Say(drivers::wire::Outcome::DamageTried {
                    found: None,
                    damaged,
                    seconds,
                })
            }
            other => crate::backups::tests::Answer::Say(other),
        });
        let unable = Behaviour::of(|task, _, outcome| match task.work {
            drivers::wire::Work::RestoreDamaged { .. } => crate::backups::tests::Answer::Fail("target.full".into()),
            _ => crate::backups::tests::Answer::Say(outcome),
        });
        for (mood, code) in [(blind, rules::CONTROL_PASSED), (unable, rules::CONTROL_NOT_MADE)] {
            let run = start(&house, &plan);
            loop {
                house.town.engine.settle().unwrap();
                if !world.turn(house.gate(), &mood) {
                    break;
                }
            }
            let run = look(house.gate(), &run);
            assert_eq!((run.state, codes(&run)), (State::Failed, vec![code]), "{engine}");
        }
    });
}

#[test]
fn a_control_that_finds_its_source_damaged_has_found_that_of_its_repository() {
    each(|engine, house, world, point, [near, far]| {
        let plan = plan(&house, Terms { negative_every: 1, ..terms(&house, Scenario::MachineLost) });
        let failing = |code: &'static str| {
            Behaviour::of(move |task, _, outcome| match task.work {
                drivers::wire::Work::RestoreDamaged { .. } => crate::backups::tests::Answer::Fail(code.into()),
                _ => crate::backups::tests::Answer::Say(outcome),
            })
        };
        let control = |mood: &Behaviour| {
            let run = start(&house, &plan);
            loop {
                house.town.engine.settle().unwrap();
                if !world.turn(house.gate(), mood) {
                    return look(house.gate(), &run);
                }
            }
        };
        let states = || house.point(point.id).copies().map(|copy| (copy.place, copy.state)).collect::<Vec<_>>();
        let raised = |cause: crate::alarms::Cause| {
            let all = house.gate().run(&member(CUSTOMER), &crate::alarms::actions::LIST, Default::default()).unwrap();
            all.items.iter().filter(|alarm| alarm.probable_cause == cause).count()
        };
        use crate::backups::points::CopyState::{Damaged, Verified};
        control(&failing("target.full"));
        assert_eq!(states(), [(near, Verified), (far, Verified)], "{engine}: a full disk says nothing of a copy");

        let run = control(&failing(vault::fault::REPOSITORY_DAMAGED));
        assert_eq!((run.state, codes(&run)), (State::Failed, vec![rules::CONTROL_NOT_MADE]), "{engine}");
        assert!(run.body.misses[0].message.contains("is not whole"), "{engine}: {:?}", run.body.misses);
        assert_eq!(states(), [(near, Damaged), (far, Verified)], "{engine}");
        assert_eq!(house.point(point.id).state, crate::backups::points::State::Degraded, "{engine}");
        assert_eq!(raised(crate::alarms::Cause::BackupDegraded), 1, "{engine}");
        let repository = point.copies().next().unwrap().repository;
        let doubt = house.gate().db().read(move |conn| crate::backups::repositories::load(conn, repository)).unwrap();
        let read = doubt.doubt.map(|doubt| doubt.read);
        assert_eq!(read, Some(drivers::wire::ReadShare::Everything), "{engine}: where it is nobody knows");
        // The next control is made from the other copy.
        assert!(passed(&control(&Behaviour::willing())), "{engine}");
    });
}

#[test]
fn a_silent_service_fails_the_drill_and_its_machine_goes() {
    each(|engine, house, mut world, _, _| {
        let plan = plan(&house, terms(&house, Scenario::HostLost));
        world.answering = false;
        let run = start(&house, &plan);
        live(&house, &world);
        assert_eq!(look(house.gate(), &run).state, State::Running, "{engine}");
        house.gate().clock().advance(Duration::from_secs(25 * 3_600));
        live(&house, &world);
        let run = look(house.gate(), &run);
        assert_eq!((run.state, codes(&run)), (State::Failed, vec!["flow.step_timeout"]), "{engine}");
        assert_nothing_is_left(&house);
        assert_eq!(actions(&house, false).len(), 1);
    });
}

#[test]
fn a_drill_that_somebody_stops_neither_passes_nor_fails() {
    each(|engine, house, world, _, _| {
        let plan = plan(&house, terms(&house, Scenario::MachineLost));
        let run = start(&house, &plan);
        house.town.engine.settle().unwrap();
        let second =
            house.gate().run(&member(CUSTOMER), &RUN, StartDrill { id: plan.id, bad_after: None, brought: None });
        assert_eq!(second.unwrap_err().code(), "drill.running", "{engine}");
        let stop = runs::StopDrill { id: run.id, reason: "enough".into() };
        let stopping = house.gate().run(&member(CUSTOMER), &runs::STOP, stop).unwrap();
        assert!(stopping.body.stopped.is_some(), "{engine}");
        live(&house, &world);
        let run = look(house.gate(), &run);
        assert_eq!((run.state, codes(&run)), (State::Stopped, vec![]), "{engine}: {:?}", run.body.failure);
        assert_eq!(run.body.failure.as_ref().unwrap().code, "drill.given_up", "{engine}");
        assert_nothing_is_left(&house);
        assert_eq!((actions(&house, true), alarms(&house)), (vec![], 0), "{engine}: nobody has anything to do for it");
        let file = house.gate().run(&member(CUSTOMER), &evidence::GET, DrillRef { id: run.id }).unwrap();
        assert_eq!(file.document["run"]["verdict"], "stopped", "{engine}");
        let told = |file: &evidence::File| {
            evidence::verify::verify(&serde_json::to_string(file).unwrap(), Some(&file.key)).unwrap()
        };
        assert!(told(&file).ok, "{engine}: {:?}", told(&file));
    });
}

fn alarms(house: &House) -> usize {
    house.gate().run(&member(CUSTOMER), &crate::alarms::actions::LIST, Default::default()).unwrap().items.len()
}

#[test]
fn stopping_a_drill_hides_nothing_that_it_or_another_has_found() {
    each(|engine, house, mut world, _, _| {
        let plan = plan(&house, Terms { negative_every: 5, ..terms(&house, Scenario::MachineLost) });
        world.restoring = Duration::from_secs(3_601);
        assert_eq!(drilled(&house, &world, &plan).state, State::Failed, "{engine}");
        world.restoring = Duration::from_secs(1);
        let stop = |run: &DrillRun| {
            let stop = runs::StopDrill { id: run.id, reason: "enough".into() };
            house.gate().run(&member(CUSTOMER), &runs::STOP, stop)
        };
        let second = start(&house, &plan);
        house.town.engine.settle().unwrap();
        stop(&second).unwrap();
        live(&house, &world);
        assert_eq!(look(house.gate(), &second).state, State::Stopped, "{engine}");
        assert_eq!((actions(&house, false).len(), alarms(&house)), (1, 1), "{engine}: what was missed is still open");

        // One that has failed already is taken back, and is not stopped.
        world.rotten = vec!["near".into(), "far".into()];
        let third = start(&house, &plan);
        let mut refused = None;
        for _ in 0..200 {
            house.town.engine.settle().unwrap();
            let failing = house.count("SELECT COUNT(*) FROM flow_runs WHERE state = 'unwinding'") > 0;
            if failing && refused.is_none() {
                refused = Some(stop(&third).unwrap_err().code().to_owned());
            }
            if !world.turn(house.gate(), &Behaviour::willing()) {
                break;
            }
        }
        let third = look(house.gate(), &third);
        assert_eq!((third.state, codes(&third)), (State::Failed, vec![vault::fault::REPOSITORY_DAMAGED]), "{engine}");
        assert_eq!(refused.as_deref(), Some("drill.over"), "{engine}");
    });
}

#[test]
fn a_control_that_was_not_made_because_somebody_stopped_the_drill_is_made_by_the_next() {
    each(|engine, house, world, _, _| {
        let plan = plan(&house, Terms { negative_every: 5, ..terms(&house, Scenario::MachineLost) });
        for _ in 0..2 {
            let run = start(&house, &plan);
            assert_eq!(run.body.control, Control::Due, "{engine}");
            let stop = runs::StopDrill { id: run.id, reason: "enough".into() };
            house.gate().run(&member(CUSTOMER), &runs::STOP, stop).unwrap();
            live(&house, &world);
        }
        let run = drilled(&house, &world, &plan);
        assert!(passed(&run) && matches!(run.body.control, Control::DamageFound { .. }), "{engine}: {:?}", run.body);
        assert_eq!(drilled(&house, &world, &plan).body.control, Control::NotDue, "{engine}");
    });
}

#[test]
fn services_come_back_in_their_order() {
    let (_, db, _keep) = db::testing::sqlite();
    let (house, mut world, point, [near, far]) = one(db);
    let order = house.town.order(CUSTOMER);
    house.town.settle(resources::testing::Mood::Willing);
    let second = house.town.services(&order.id)[0].id.clone();
    let service = std::mem::replace(&mut { house.service.clone() }, second.clone());
    let policy = house.policy(&[near, far, house.server("third").id], Default::default());
    let protect = protections::Protect { id: second.clone(), policy: policy.id };
    house.gate().run(&manager(), &protections::SET, protect).unwrap();
    let taken = crate::backups::points::ServiceRef { id: second.clone() };
    let other = house.gate().run(&member(CUSTOMER), &crate::backups::points::TAKE, taken).unwrap();
    house.settle(&Behaviour::willing());
    let other = house.point(other.id);
    world.times.extend(World::of(&house, &[&point, &other]).times);
    let plan = plan(
        &house,
        Terms { scope: Scope::of(vec![second.clone(), service.clone()]), ..terms(&house, Scenario::MachineLost) },
    );
    let run = drilled(&house, &world, &plan);
    assert!(passed(&run), "{:?} {:?}", run.body.misses, run.body.failure);
    let [first, then] = &run.body.services[..] else { panic!("two services") };
    assert_eq!((first.service.as_str(), then.service.as_str()), (second.as_str(), service.as_str()));
    assert!(first.ends[&Phase::Boot] <= then.ends[&Phase::Wait], "the second waits for the first");
    assert_eq!(run.rto_milliseconds(), Some(60_000));
}

#[test]
fn a_plan_that_is_due_is_drilled_once_however_much_was_missed() {
    each(|engine, house, world, _, _| {
        let schedule = Schedule { calendar: "daily 03:00".into(), jitter_minutes: 0, time_zone: "UTC".into() };
        let plan = plan(&house, Terms { schedule: Some(schedule), ..terms(&house, Scenario::MachineLost) });
        work::look_for_due(house.gate()).unwrap();
        assert_eq!(house.count("SELECT COUNT(*) FROM drill_runs"), 0, "{engine}");
        house.gate().clock().advance(Duration::from_secs(5 * 86_400));
        for _ in 0..3 {
            work::look_for_due(house.gate()).unwrap();
        }
        live(&house, &world);
        assert_eq!(house.count("SELECT COUNT(*) FROM drill_runs"), 1, "{engine}");
        house.gate().run(&member(CUSTOMER), &plans::END, plans::PlanRef { id: plan.id }).unwrap();
        house.gate().clock().advance(Duration::from_secs(5 * 86_400));
        work::look_for_due(house.gate()).unwrap();
        assert_eq!(house.count("SELECT COUNT(*) FROM drill_runs"), 1, "{engine}");
        let over =
            house.gate().run(&member(CUSTOMER), &RUN, StartDrill { id: plan.id, bad_after: None, brought: None });
        assert_eq!(over.unwrap_err().code(), "drillPlan.ended");
    });
}

#[test]
fn a_plan_goes_on_without_a_service_that_has_ended_and_ends_with_its_last_one() {
    each(|engine, house, mut world, _, _| {
        let order = house.town.order(CUSTOMER);
        house.town.settle(resources::testing::Mood::Willing);
        let second = house.town.services(&order.id)[0].id.clone();
        let of = |services: &[&String]| Terms {
            scope: Scope::of(services.iter().map(|id| (*id).clone()).collect()),
            ..terms(&house, Scenario::MachineLost)
        };
        let (both, own) = (plan(&house, of(&[&second, &house.service])), plan(&house, of(&[&house.service])));
        world.restoring = Duration::from_secs(3_601);
        drilled(&house, &world, &own);
        assert_eq!(actions(&house, false).len(), 1, "{engine}");
        let this = provisioning::services::ServiceId { id: house.service.clone() };
        house.gate().run(&member(CUSTOMER), &provisioning::services::TERMINATE, this).unwrap();
        house.town.settle(resources::testing::Mood::Willing);

        let now = |plan: &DrillPlan| {
            house.gate().run(&member(CUSTOMER), &plans::GET, plans::PlanRef { id: plan.id }).unwrap()
        };
        assert_eq!((now(&both).terms.scope, now(&both).ended_at), (Scope::of(vec![second]), None), "{engine}");
        assert_eq!((now(&both).revision, now(&own).ended_at.is_some()), (2, true), "{engine}");
        assert_eq!(actions(&house, false), [], "{engine}");
        let left = &actions(&house, true)[0];
        assert_eq!((left.withdrawn, left.closed_by), (true, None), "{engine}: nothing was put right");
    });
}

#[test]
fn strangers_see_neither_plans_nor_runs_nor_evidence() {
    each(|engine, house, world, _, _| {
        let plan = plan(&house, terms(&house, Scenario::MachineLost));
        let run = drilled(&house, &world, &plan);
        let (gate, other) = (house.gate(), member(3));
        for refused in [
            gate.run(&other, &plans::GET, plans::PlanRef { id: plan.id }).map(drop),
            gate.run(&other, &runs::GET, DrillRef { id: run.id }).map(drop),
            gate.run(&other, &evidence::GET, DrillRef { id: run.id }).map(drop),
            gate.run(&other, &RUN, StartDrill { id: plan.id, bad_after: None, brought: None }).map(drop),
            gate.run(&other, &plans::CREATE, NewPlan { name: "x".into(), terms: plan.terms.clone() }).map(drop),
        ] {
            assert_eq!(refused.unwrap_err().kind(), Kind::NotFound, "{engine}");
        }
        assert_eq!(gate.run(&other, &plans::LIST, Default::default()).unwrap().items, []);
        assert_eq!(gate.run(&other, &runs::LIST, Default::default()).unwrap().items, []);
        assert_eq!(gate.run(&member(CUSTOMER), &plans::LIST, Default::default()).unwrap().items.len(), 1);
        assert_eq!(
            gate.run(&manager(), &runs::LIST, Default::default()).unwrap().items.len(),
            1,
            "the operator sees all"
        );
    });
}

#[test]
fn what_cannot_be_a_plan_is_refused_by_name() {
    let (_, db, _keep) = db::testing::sqlite();
    let (house, _, _, [near, _]) = one(db);
    let good = terms(&house, Scenario::MachineLost);
    let promised = good.objectives.unwrap();
    let table = [
        (Terms { scope: Scope::of(vec![]), ..good.clone() }, "drillPlan.services"),
        (Terms { owner: "  ".into(), ..good.clone() }, "drillPlan.owner"),
        (Terms { objectives: Some(Objectives { rto_seconds: 0, ..promised }), ..good.clone() }, "drillPlan.objectives"),
        (Terms { objectives: None, ..good.clone() }, "drillPlan.no_objectives"),
        (Terms { action_days: 0, ..good.clone() }, "drillPlan.action_days"),
        (
            Terms { place: Some(near), scenario: Scenario::BackupServerLost { place: near }, ..good.clone() },
            "drillPlan.scenario",
        ),
        (Terms { place: Some(BackupPlaceId(7)), ..good.clone() }, "backupPlace.absent"),
        (Terms { record: plans::RecordAt { path: "status".into(), pointer: "/x".into() }, ..good }, "drillPlan.record"),
    ];
    for (terms, code) in table {
        let new = NewPlan { name: "x".into(), terms };
        assert_eq!(house.gate().run(&member(CUSTOMER), &plans::CREATE, new).unwrap_err().code(), code);
    }
}
