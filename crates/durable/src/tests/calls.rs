//! Calls to the world that last.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base::Result;
use base::id::{RunId, TenantId};
use gate::{Action, Effect, Gate};

use super::{gate_over, rows};
use crate::flows::State;
use crate::testing::state;
use crate::{Call, Engine, Handle, Nothing, Outside, Progress, Registry, StepCx, Subject, Undo, flows};

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

    fn run(&self, _: &Gate, cx: &StepCx<'_>, _: &Nothing) -> Result<Progress<Nothing>> {
        self.0.why.lock().unwrap().push(cx.call);
        self.0.begun.fetch_add(1, Ordering::SeqCst);
        while self.0.holds.load(Ordering::SeqCst) {
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

/// A server over a gate.
fn server(gate: &Gate, world: &Arc<World>) -> Engine {
    let registry = Registry::default().outside(Last(world.clone())).definition(FLOW);
    Engine::new(gate.clone(), registry).unwrap()
}

/// A run whose call has been begun by a started server, and lasts.
fn lasting(gate: &Gate) -> (Arc<World>, Engine, Handle, RunId) {
    let world = Arc::new(World::default());
    world.holds.store(true, Ordering::SeqCst);
    let engine = server(gate, &world);
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
