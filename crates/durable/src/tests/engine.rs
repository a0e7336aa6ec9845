use std::time::Duration;

use base::id::TenantId;
use base::time::Clock;
use base::{Error, Kind};
use db::{Db, Location};
use serde_json::json;

use super::{OBSERVE, START, Shared, YAML, fresh, gate_over, house, registry, rows};
use crate::flows::actions::{
    Decide, GET, GIVE_UP, IMPORT, JOURNAL, LIST, ListRuns, OneRun, RETRY, SKIP, Skip, UNWIND, Yaml,
};
use crate::flows::{State, StepState};
use crate::testing::{self, journal, state};
use crate::{Engine, Nothing};

#[test]
fn a_run_goes_through_its_steps_on_both_engines() {
    for (engine, db, keep) in db::testing::databases() {
        let mut house = house(db, keep, &Shared::default());
        assert_eq!(house.live(), State::Done, "{engine}");
        (house.done)(house.engine.gate());
        assert_eq!(
            journal(house.engine.gate(), house.run),
            [
                "reserve succeeded",
                "spare succeeded",
                "make started",
                "make succeeded",
                "probe started",
                "probe succeeded",
                "activate succeeded",
                "announce succeeded"
            ]
        );
        let facts = rows(house.engine.gate(), "SELECT name FROM facts ORDER BY seq");
        assert_eq!(facts, ["FlowStarted", "FlowDone"], "how far it has come is in its journal");
    }
}

#[test]
fn whatever_step_fails_nothing_is_left_behind() {
    testing::fail_at_each_step(&fresh);
}

#[test]
fn steps_and_undos_may_be_repeated() {
    testing::repeat_each_step(&fresh);
    testing::repeat_each_undo(&fresh);
}

#[test]
fn killed_at_every_journal_write_a_run_still_ends_the_same() {
    testing::kill_after_each_journal_write(&fresh);
    testing::kill_while_unwinding_from(&fresh, "activate");
    if db::testing::postgres().is_some() {
        testing::kill_after_each_journal_write(&|| {
            let (_, db, keep) = db::testing::postgres().unwrap();
            house(db, keep, &Shared::default())
        });
    }
}

#[test]
fn a_step_that_fails_leaves_no_half_effect() {
    for (_, db, _keep) in db::testing::databases() {
        let gate = gate_over(db);
        let engine = Engine::new(gate.clone(), registry(&Shared::default()).definition(YAML)).unwrap();
        let cx = gate::testing::somebody(TenantId(1));
        let run = gate.run(&cx, &START, json!({ "name": "big", "cpu": 500 })).unwrap();
        engine.settle().unwrap();
        assert_eq!(state(&gate, run), State::Undone);
        assert_eq!(journal(&gate, run), ["reserve failed"]);
        assert!(rows(&gate, "SELECT kind FROM effects").is_empty());
        let shown = gate.run(&cx, &GET, OneRun { id: run }).unwrap();
        assert_eq!(shown.run.failure.unwrap().code, "capacity.exhausted");
        assert_eq!(shown.steps[0].state, StepState::Failed);
    }
}

#[test]
fn a_wrong_input_starts_nothing() {
    let house = fresh();
    let cx = gate::testing::somebody(TenantId(1));
    for (input, says) in [
        (json!({ "name": "x" }), "input.cpu is missing"),
        (json!({ "name": "x", "cpu": 0 }), "input.cpu must be at least 1"),
        (json!({ "name": "", "cpu": 1 }), "input.name must be at least 1 characters"),
        (json!({ "name": "x", "cpu": "2" }), "input.cpu must be integer, not string"),
    ] {
        let error = house.engine.gate().run(&cx, &START, input).unwrap_err();
        assert!(error.message().contains(says), "{error}");
    }
}

#[test]
fn what_may_pass_is_tried_again_and_what_does_not_pass_unwinds() {
    let world = Shared::default();
    let (_, db, keep) = db::testing::sqlite();
    let mut first = house(db, keep, &world);
    let away = || Error::unavailable("probe.away", "no answer");
    world.lock().unwrap().fails = vec![Error::uncertain("probe.timeout", "asked, no answer"), away(), away()];
    assert_eq!(first.live(), State::Done);
    assert_eq!(world.lock().unwrap().asked, 4);
    let failures = journal(first.engine.gate(), first.run).iter().filter(|event| *event == "probe failed").count();
    assert_eq!(failures, 3);

    let world = Shared::default();
    let (_, db, keep) = db::testing::sqlite();
    let mut second = house(db, keep, &world);
    world.lock().unwrap().fails = vec![away(); 9];
    assert_eq!(second.live(), State::Undone);
    assert_eq!(world.lock().unwrap().asked, 4, "four attempts are what the definition allows");
    (second.clean)(second.engine.gate());
}

#[test]
fn a_host_that_says_nothing_is_given_up_after_the_time_out() {
    let mut house = fresh();
    let real = std::mem::replace(&mut house.pump, Box::new(|_| false));
    let began = house.engine.gate().now();
    for _ in 0..20 {
        house.engine.settle().unwrap();
        if house.state() == State::Unwinding {
            break;
        }
        let due = house.engine.next_due().unwrap().unwrap();
        let wait = Duration::try_from(due.duration_since(house.engine.gate().now())).unwrap_or_default();
        house.engine.gate().clock().advance(wait + Duration::from_micros(1));
    }
    assert_eq!(house.state(), State::Unwinding);
    assert!(house.engine.gate().now().duration_since(began).as_secs() >= 600);
    house.pump = real;
    assert_eq!(house.live(), State::Undone);
    (house.clean)(house.engine.gate());
}

#[test]
fn who_passes_over_the_point_of_no_return_has_passed_it() {
    let cx = gate::testing::somebody(TenantId(1));
    let house = fresh();
    house.engine.settle().unwrap();
    let (gate, id) = (house.engine.gate().clone(), house.run);
    let stuck =
        "UPDATE flow_runs SET state = 'stuck', step = 4, phase = 'first', wait_key = NULL, due_at = NULL WHERE id = $1";
    gate.db().write(move |conn| conn.execute(stuck, db::args![id])).unwrap();
    gate.run(&cx, &SKIP, Skip { id, reason: "activated by hand".into(), output: None }).unwrap();
    let back = gate.run(&cx, &UNWIND, Decide { id, reason: "no".into() }).unwrap_err();
    assert_eq!(back.code(), "flow.past_return", "what a person did by hand is not taken back behind their back");
}

#[test]
fn people_retry_skip_unwind_and_give_up_with_a_reason() {
    let cx = gate::testing::somebody(TenantId(1));
    let why = |id| Decide { id, reason: "TICKET-7".into() };
    // A fault of ours parks the run; retry lets it go on.
    let world = Shared::default();
    let (_, db, keep) = db::testing::sqlite();
    let mut house = house(db, keep, &world);
    world.lock().unwrap().fails = vec![Error::bug("probe.bug", "our mistake")];
    assert_eq!(house.live(), State::Stuck);
    let gate = house.engine.gate().clone();
    let listed = gate.run(&cx, &LIST, ListRuns { state: Some(State::Stuck), ..Default::default() }).unwrap();
    assert_eq!(listed.items[0].id, house.run);
    assert!(!listed.items[0].failure.as_ref().unwrap().message.contains("our mistake"));
    let mute = gate.run(&cx, &RETRY, Decide { id: house.run, reason: "  ".into() }).unwrap_err();
    assert_eq!((mute.kind(), mute.attribute()), (Kind::Invalid, Some("reason")));
    let stranger = gate.run(&gate::testing::somebody(TenantId(2)), &RETRY, why(house.run)).unwrap_err();
    assert_eq!(stranger.kind(), Kind::NotFound);
    gate.run(&cx, &RETRY, why(house.run)).unwrap();
    assert_eq!(house.live(), State::Done);
    let shown = gate.run(&cx, &GET, OneRun { id: house.run }).unwrap();
    assert_eq!((shown.decisions[0].verb.as_str(), shown.decisions[0].reason.as_str()), ("retry", "TICKET-7"));
    assert_eq!(gate.run(&cx, &RETRY, why(house.run)).unwrap_err().code(), "flow.ended");

    // The step is passed over.
    let mut second = fresh();
    second.engine.faults().fail("announce");
    assert_eq!(second.live(), State::Stuck, "past the point of no return nothing is taken back");
    let gate = second.engine.gate().clone();
    let skip = |output| Skip { id: second.run, reason: "told them by phone".into(), output };
    assert_eq!(gate.run(&cx, &SKIP, skip(Some(json!(7)))).unwrap_err().code(), "flow.output");
    assert_eq!(gate.run(&cx, &UNWIND, why(second.run)).unwrap_err().code(), "flow.past_return");
    gate.run(&cx, &SKIP, skip(None)).unwrap();
    assert_eq!(second.live(), State::Done);
    assert_eq!(gate.run(&cx, &GET, OneRun { id: second.run }).unwrap().steps[5].state, StepState::Skipped);
    assert_eq!(gate.run(&cx, &JOURNAL, OneRun { id: second.run }).unwrap().events.len(), 9);

    // A run is turned round, and one is left as it is.
    let mut third = fresh();
    third.engine.settle().unwrap();
    let gate = third.engine.gate().clone();
    gate.run(&cx, &UNWIND, why(third.run)).unwrap();
    assert_eq!(third.live(), State::Undone);
    (third.clean)(&gate);
    let mut fourth = fresh();
    fourth.engine.settle().unwrap();
    let gate = fourth.engine.gate().clone();
    gate.run(&cx, &GIVE_UP, why(fourth.run)).unwrap();
    assert_eq!(fourth.live(), State::GivenUp);
}

#[test]
fn who_passes_over_a_step_says_what_later_steps_read_of_it() {
    let cx = gate::testing::somebody(TenantId(1));
    let mut house = fresh();
    let (gate, id) = (house.engine.gate().clone(), house.run);
    let stuck =
        "UPDATE flow_runs SET state = 'stuck', step = 0, phase = 'first', wait_key = NULL, due_at = NULL WHERE id = $1";
    gate.db().write(move |conn| conn.execute(stuck, db::args![id])).unwrap();
    let shown = gate.run(&cx, &GET, OneRun { id }).unwrap().to_skip.unwrap();
    assert_eq!((shown.step.as_str(), shown.needed), ("reserve", true));
    assert!(shown.output["properties"]["host"].is_object(), "{}", shown.output);
    let skip = |output| {
        gate.run(&cx, &SKIP, Skip { id, reason: "reserved by hand".into(), output }).map_err(|e| e.code().to_owned())
    };
    assert_eq!(skip(None).unwrap_err(), "flow.output_needed");
    assert_eq!(skip(Some(json!({ "host": 9 }))).unwrap_err(), "flow.output");
    skip(Some(json!({ "host": "hst-9" }))).unwrap();
    assert_eq!(house.live(), State::Done);
    let detail = gate.run(&cx, &GET, OneRun { id }).unwrap();
    assert_eq!((detail.steps[0].state, detail.to_skip), (StepState::Skipped, None));
}

#[test]
fn a_run_stays_with_its_version() {
    let mut house = fresh();
    house.engine.settle().unwrap();
    let gate = house.engine.gate().clone();
    let cx = gate::testing::somebody(TenantId(1));
    let import = |yaml: String| gate.run(&cx, &IMPORT, Yaml { yaml });
    let shorter = |version: u32| {
        let yaml = YAML.replace("version: 1", &format!("version: {version}"));
        yaml.split("  - id: announce").next().unwrap().to_owned()
    };
    assert_eq!(import(shorter(1)).unwrap_err().code(), "flow.version_taken");
    import(shorter(2)).unwrap();
    import(shorter(2)).unwrap();
    assert_eq!(import(YAML.replace("version: 1", "version: 2")).unwrap_err().code(), "flow.version_taken");
    let second = gate.run(&cx, &START, json!({ "name": "new", "cpu": 1 })).unwrap();
    assert_eq!(house.live(), State::Done);
    (house.pump)(&gate);
    house.engine.settle().unwrap();
    let steps = |id| gate.run(&cx, &GET, OneRun { id }).unwrap().steps.len();
    assert_eq!((steps(house.run), steps(second)), (6, 5));
}

#[test]
fn two_servers_share_the_runs_of_one_database() {
    let Some(url) = db::testing::postgres_url() else { return };
    let world = Shared::default();
    let server = |fresh: bool| {
        let db = Db::open(&Location::Postgres(url.clone())).unwrap();
        let gate = if fresh { gate_over(db) } else { gate::testing::gate(db, super::catalogue()) };
        Engine::new(gate, registry(&world).definition(YAML)).unwrap()
    };
    let (one, two) = (server(true), server(false));
    let cx = gate::testing::somebody(TenantId(1));
    let handles = [one.start().unwrap(), two.start().unwrap()];
    // Seeded ids would repeat between the two, so one of them takes the orders.
    let runs: Vec<_> =
        (0..20).map(|n| one.gate().run(&cx, &START, json!({ "name": format!("m{n}"), "cpu": 1 })).unwrap()).collect();
    let ends = |id| state(one.gate(), id).is_final();
    for _ in 0..600 {
        two.gate().run(&cx, &OBSERVE, Nothing {}).unwrap();
        if runs.iter().all(|id| ends(*id)) {
            break;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    drop(handles);
    assert!(runs.iter().all(|id| state(one.gate(), *id) == State::Done));
    assert_eq!(rows(one.gate(), "SELECT kind FROM effects WHERE kind = 'service'").len(), 20);
    assert_eq!(world.lock().unwrap().asked, 20, "no probe was sent twice");
}

#[test]
fn started_workers_bring_many_runs_to_their_end_in_milliseconds() {
    let (_, db, _keep) = db::testing::sqlite();
    let gate = gate_over(db);
    assert!(matches!(gate.clock(), Clock::Fixed(_)));
    let engine = Engine::new(gate.clone(), registry(&Shared::default()).definition(YAML)).unwrap();
    let handle = engine.start().unwrap();
    let cx = gate::testing::somebody(TenantId(1));
    let began = std::time::Instant::now();
    let runs: Vec<_> =
        (0..50).map(|n| gate.run(&cx, &START, json!({ "name": format!("m{n}"), "cpu": 1 })).unwrap()).collect();
    for _ in 0..2_000 {
        gate.run(&cx, &OBSERVE, Nothing {}).unwrap();
        if runs.iter().all(|id| state(&gate, *id).is_final()) {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(runs.iter().all(|id| state(&gate, *id) == State::Done), "after {:?}", began.elapsed());
    handle.stop();
}
