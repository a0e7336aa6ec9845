use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base::Error;
use base::id::TenantId;
use gate::{Action, Effect};

use super::{gate_over, rows};
use crate::jobs::{self, DISCARD, DecideJob, LIST, ListJobs, RETRY};
use crate::{Engine, JobId, Patience, Registry};

pub(super) static ENQUEUE: Action<String, JobId> = Action {
    name: "test.enqueue",
    summary: "Asks for a job.",
    effect: Effect::Create,
    run: |tx, text| jobs::enqueue(tx, "mail.send", text, None),
};

fn registry(calls: &Arc<AtomicUsize>, fails: usize, how: fn() -> Error) -> Registry {
    let calls = calls.clone();
    let patience = Patience { attempts: 3, ..Patience::default() };
    Registry::default().job("mail.send", patience, move |_, cx, text: String| {
        assert_eq!(text, "hello");
        assert_eq!(cx.tenant, TenantId(1));
        if calls.fetch_add(1, Ordering::SeqCst) < fails { Err(how()) } else { Ok(()) }
    })
}

#[test]
fn a_job_is_tried_again_until_it_succeeds_and_then_gone() {
    for (engine_name, db, _keep) in db::testing::databases() {
        let gate = gate_over(db);
        let calls = Arc::new(AtomicUsize::new(0));
        let engine =
            Engine::new(gate.clone(), registry(&calls, 2, || Error::unavailable("mail.away", "no answer"))).unwrap();
        gate.run(&gate::testing::somebody(TenantId(1)), &ENQUEUE, "hello".into()).unwrap();
        for _ in 0..3 {
            engine.settle().unwrap();
            gate.clock().advance(Duration::from_secs(60));
        }
        assert_eq!(calls.load(Ordering::SeqCst), 3, "{engine_name}");
        assert!(rows(&gate, "SELECT id FROM jobs").is_empty());
    }
}

#[test]
fn a_job_that_fails_for_good_is_dead_until_a_person_decides() {
    let (_, db, _keep) = db::testing::sqlite();
    let gate = gate_over(db);
    let cx = gate::testing::somebody(TenantId(1));
    let calls = Arc::new(AtomicUsize::new(0));
    let engine =
        Engine::new(gate.clone(), registry(&calls, 2, || Error::invalid("mail.address", "no such address"))).unwrap();
    let id = gate.run(&cx, &ENQUEUE, "hello".into()).unwrap();
    engine.settle().unwrap();
    let dead = gate.run(&cx, &LIST, ListJobs { state: Some("dead".into()), ..Default::default() }).unwrap().items;
    assert_eq!((dead[0].id, dead[0].failure.as_ref().unwrap().code.as_str()), (id, "mail.address"));
    gate.run(&cx, &RETRY, DecideJob { id, reason: "address corrected".into() }).unwrap();
    engine.settle().unwrap();
    gate.run(&cx, &DISCARD, DecideJob { id, reason: "no longer wanted".into() }).unwrap();
    assert!(rows(&gate, "SELECT id FROM jobs").is_empty());
    assert_eq!(rows(&gate, "SELECT name FROM facts"), ["JobDiscarded"]);
}

#[test]
fn a_reconciler_looks_again_and_again_and_its_failures_are_seen() {
    let (_, db, _keep) = db::testing::sqlite();
    let gate = gate_over(db);
    let looks = Arc::new(AtomicUsize::new(0));
    let counted = looks.clone();
    let registry = Registry::default().reconciler("orphans", Duration::from_secs(10), move |_| {
        if counted.fetch_add(1, Ordering::SeqCst) == 0 { Err(Error::unavailable("host.away", "later")) } else { Ok(()) }
    });
    let engine = Engine::new(gate.clone(), registry).unwrap();
    let handle = engine.start().unwrap();
    for n in 1..=3 {
        for _ in 0..1_000 {
            if looks.load(Ordering::SeqCst) >= n {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        gate.clock().advance(Duration::from_secs(11));
    }
    handle.stop();
    assert!(looks.load(Ordering::SeqCst) >= 3);
    assert_eq!(rows(&gate, "SELECT name FROM reconcilers WHERE failure IS NULL"), ["orphans"]);
}
