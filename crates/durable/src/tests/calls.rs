//! Calls to the world that last: beside which no other is made, and which end with their process and no later.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base::Result;
use base::id::{RunId, TenantId};
use gate::{Action, Effect, Gate};

use super::{gate_over, rows};
use crate::flows::State;
use crate::testing::state;
use crate::{Call, Engine, Handle, Nothing, Outside, Patience, Progress, Registry, StepCx, Subject, Undo, flows};

const FLOW: &str = r#"
name: world.last
version: 1
title: { zh-TW: 久, en: Lasts }
input: { type: object, properties: {} }
steps:
  - id: last
    step: world.last
    title: { zh-TW: 久, en: Lasts }
"#;

/// Starts the flow.
pub(super) static START: Action<Nothing, RunId> = Action {
    name: "test.last",
    summary: "Starts the flow.",
    effect: Effect::Create,
    run: |tx, _| flows::start(tx, "world.last", Nothing {}, Subject::new("order", "ord-1", TenantId(1))),
};

/// What the calls do and saw.
#[derive(Default)]
struct World {
    /// As long as this says so a call lasts.
    holds: std::sync::atomic::AtomicBool,
    begun: AtomicUsize,
    why: Mutex<Vec<Call>>,
}

struct Last(Arc<World>);

impl Outside for Last {
    const NAME: &'static str = "world.last";
    const SUMMARY: &'static str = "Lasts.";
    const UNDO: Undo = Undo::Nothing;
    const ALONE: bool = true;
    type In = Nothing;
    type Out = Nothing;

    fn run(&self, gate: &Gate, cx: &StepCx<'_>, _: &Nothing) -> Result<Progress<Nothing>> {
        self.0.why.lock().unwrap().push(cx.call);
        self.0.begun.fetch_add(1, Ordering::SeqCst);
        let stopping = crate::stopping(gate);
        while self.0.holds.load(Ordering::SeqCst) {
            if stopping.load(Ordering::SeqCst) {
                return Err(crate::stopped());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(Progress::Done(Nothing {}))
    }

    fn undo(&self, _: &Gate, _: &StepCx<'_>, _: &Nothing, _: Option<&Nothing>) -> Result<Progress<()>> {
        Ok(Progress::Done(()))
    }
}

fn until(what: &str, is: impl Fn() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < Duration::from_secs(20), "not yet: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A server over a gate, of the directory of that name.
fn server(gate: &Gate, world: &Arc<World>, home: &str) -> Engine {
    let registry = Registry::default().outside(Last(world.clone())).definition(FLOW).home(home);
    Engine::new(gate.clone(), registry).unwrap()
}

/// A run whose call has been begun by a started server, and lasts.
fn lasting(gate: &Gate) -> (Arc<World>, Engine, Handle, RunId) {
    let world = Arc::new(World::default());
    world.holds.store(true, Ordering::SeqCst);
    let engine = server(gate, &world, "a");
    let handle = engine.start().unwrap();
    let run = gate.run(&gate::testing::somebody(TenantId(1)), &START, Nothing {}).unwrap();
    until("it is called", || world.begun.load(Ordering::SeqCst) == 1);
    (world, engine, handle, run)
}

#[test]
fn a_call_that_allows_no_other_beside_it_keeps_its_claim_while_its_process_lives() {
    for (engine, db, _keep) in db::testing::databases() {
        let gate = gate_over(db);
        let (world, _one, handle, run) = lasting(&gate);
        // Another server would take over what nobody speaks for any more.
        for _ in 0..5 {
            gate.clock().advance(Duration::from_secs(40));
            let now = gate.now();
            until("its claim is prolonged", || {
                let due = gate.db().read(move |conn| flows::find(conn, run)).unwrap().due;
                due.is_some_and(|due| due > now + Duration::from_secs(30))
            });
        }
        world.holds.store(false, Ordering::SeqCst);
        until("it is done", || state(&gate, run) == State::Done);
        handle.stop();
        assert_eq!(*world.why.lock().unwrap(), [Call::First], "{engine}");
    }
}

#[test]
fn a_call_that_ends_because_the_server_stops_is_made_again_by_the_next_one_at_once() {
    for (engine, db, _keep) in db::testing::databases() {
        let gate = gate_over(db);
        let (world, _one, handle, run) = lasting(&gate);
        let began = Instant::now();
        handle.stop();
        assert!(began.elapsed() < Duration::from_secs(5), "{engine}");
        assert_eq!(state(&gate, run), State::Running, "{engine}: it has not failed");
        world.holds.store(false, Ordering::SeqCst);
        server(&gate, &world, "b").settle().unwrap();
        assert_eq!(state(&gate, run), State::Done, "{engine}");
        assert_eq!(*world.why.lock().unwrap(), [Call::First, Call::Uncertain], "{engine}");
    }
}

#[test]
fn a_job_that_ends_because_the_server_stops_is_done_by_the_next_one_and_has_not_failed() {
    for (engine, db, _keep) in db::testing::databases() {
        let gate = gate_over(db);
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let patience = Patience { attempts: 1, ..Patience::default() };
        let registry = Registry::default().job("mail.send", patience, move |gate, cx, _: String| {
            assert_eq!(cx.attempt, 0, "it has not failed");
            if counted.fetch_add(1, Ordering::SeqCst) > 0 {
                return Ok(());
            }
            let stopping = crate::stopping(gate);
            until("the server stops", || stopping.load(Ordering::SeqCst));
            Err(crate::stopped())
        });
        let server = Engine::new(gate.clone(), registry).unwrap();
        let handle = server.start().unwrap();
        gate.run(&gate::testing::somebody(TenantId(1)), &super::work::ENQUEUE, "hello".into()).unwrap();
        until("it is begun", || calls.load(Ordering::SeqCst) == 1);
        handle.stop();
        assert_eq!(rows(&gate, "SELECT state FROM jobs"), ["ready"], "{engine}");
        server.settle().unwrap();
        assert!(rows(&gate, "SELECT state FROM jobs").is_empty() && calls.load(Ordering::SeqCst) == 2, "{engine}");
    }
}

#[test]
fn what_a_killed_server_was_at_the_next_one_of_its_directory_goes_on_with() {
    let Some((_, db, _keep)) = db::testing::postgres() else { return };
    let gate = gate_over(db);
    let world = Arc::new(World::default());
    let run = {
        let killed = server(&gate, &world, "a");
        let run = gate.run(&gate::testing::somebody(TenantId(1)), &START, Nothing {}).unwrap();
        // After the claim, before the call.
        killed.faults().kill_at(2);
        killed.settle().unwrap_err();
        run
    };
    assert!(rows(&gate, "SELECT claimed_by FROM flow_runs")[0].starts_with("a."));
    server(&gate, &world, "b").settle().unwrap();
    assert_eq!(world.begun.load(Ordering::SeqCst), 0, "another server's may be at it");
    let again = server(&gate, &world, "a");
    again.settle().unwrap();
    assert_eq!(state(&gate, run), State::Done);
    assert_eq!(*world.why.lock().unwrap(), [Call::Uncertain]);
}
