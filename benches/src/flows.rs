//! Runs of flows, the engine alone: three steps in the database, a wait, two
//! more; with their audit entries, on SQLite, every commit on the disk. Beside
//! it plain grouped transactions of the same engine.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base::id::{AccountId, Ids, RunId, TenantId};
use base::time::Clock;
use db::records::Scope;
use db::{Db, Location, args};
use durable::{Engine, Nothing, Progress, Registry, Step, StepCx, Subject, Undo, flows};
use gate::{Action, Actor, Catalogue, Cx, Effect, Gate, Tx, audit};

const RUNS: u64 = 5_000;
const YAML: &str = "
name: order.fulfil
version: 1
title: { zh-TW: 履行訂單, en: Fulfil an order }
input: { type: object, properties: { name: { type: string } }, required: [name] }
steps:
  - { id: decompose, step: bench.row, title: { zh-TW: 分解, en: Decompose } }
  - { id: reserve, step: bench.row, title: { zh-TW: 保留, en: Reserve } }
  - { id: intend, step: bench.wait, title: { zh-TW: 建立, en: Make } }
  - { id: post, step: bench.row, title: { zh-TW: 記帳, en: Post } }
  - { id: activate, step: bench.row, title: { zh-TW: 啟用, en: Activate } }
";

struct AddRow;
impl Step for AddRow {
    const NAME: &'static str = "bench.row";
    const SUMMARY: &'static str = "Writes a row.";
    const UNDO: Undo = Undo::ByStep;
    type In = Nothing;
    type Out = Nothing;
    fn run(&self, tx: &mut Tx<'_>, cx: &StepCx<'_>, _: &Nothing) -> base::Result<Progress<Nothing>> {
        tx.execute("INSERT INTO bench_rows (id) VALUES ($1)", args![cx.key()])?;
        Ok(Progress::Done(Nothing {}))
    }
    fn undo(&self, _: &mut Tx<'_>, _: &StepCx<'_>, _: &Nothing, _: Option<&Nothing>) -> base::Result<Progress<()>> {
        Ok(Progress::Done(()))
    }
}

struct Await;
impl Step for Await {
    const NAME: &'static str = "bench.wait";
    const SUMMARY: &'static str = "Waits to be observed.";
    const UNDO: Undo = Undo::Nothing;
    type In = Nothing;
    type Out = Nothing;
    fn run(&self, _: &mut Tx<'_>, cx: &StepCx<'_>, _: &Nothing) -> base::Result<Progress<Nothing>> {
        Ok(match cx.call {
            durable::Call::Woken => Progress::Done(Nothing {}),
            _ => Progress::wait(format!("bench:{}", cx.run)),
        })
    }
    fn undo(&self, _: &mut Tx<'_>, _: &StepCx<'_>, _: &Nothing, _: Option<&Nothing>) -> base::Result<Progress<()>> {
        Ok(Progress::Done(()))
    }
}

static START: Action<String, RunId> = Action {
    name: "bench.start",
    summary: "Starts a run.",
    effect: Effect::Create,
    run: |tx, name| {
        flows::start(tx, "order.fulfil", serde_json::json!({ "name": name }), Subject::new("order", name, TenantId(1)))
    },
};
static OBSERVE: Action<Vec<RunId>, usize> = Action {
    name: "bench.observe",
    summary: "Wakes runs.",
    effect: Effect::Change,
    run: |tx, runs| runs.iter().map(|run| flows::wake(tx, &format!("bench:{run}"))).sum(),
};

pub fn run() {
    let runs = RUNS;
    let scratch = db::testing::Scratch::new();
    let db = Db::open(&Location::Directory(scratch.path().to_owned())).unwrap();
    db.write(|conn| conn.execute("CREATE TABLE bench_rows (id TEXT PRIMARY KEY)", &[])).unwrap();
    let plain = rate(runs * 4, 32, |n| {
        db.write(move |conn| conn.execute("INSERT INTO bench_rows (id) VALUES ($1)", args![format!("plain-{n}")]))
            .unwrap();
    });

    let catalogue = Catalogue::default().actions(&durable::actions()).actions(&[&START, &OBSERVE]);
    let names: Vec<String> = catalogue.names().iter().map(|name| format!("Action::{name:?}")).collect();
    let policies = format!("permit(principal, action in [{}], resource);", names.join(", "));
    let gate = Gate::new(db, Clock::System, Ids::default(), &policies, catalogue).unwrap();
    let engine = Engine::new(gate.clone(), Registry::default().step(AddRow).step(Await).definition(YAML)).unwrap();
    let sequencer = audit::Sequencer::start(&gate, audit::Key::open_or_make(scratch.path()).unwrap()).unwrap();
    let workers = engine.start().unwrap();
    let cx = Cx::new(Actor::Account(AccountId(7)), TenantId(1), Scope::All, ["owner".to_owned()].into());
    let began = Instant::now();
    std::thread::scope(|s| {
        let (gate, cx) = (&gate, &cx);
        s.spawn(move || observe(gate, cx, runs));
        rate(runs, 16, |n| {
            gate.run(cx, &START, format!("order-{n}")).unwrap();
        });
    });
    while left(&gate, "state <> 'done'") > 0 {
        std::thread::sleep(Duration::from_millis(25));
    }
    let whole = runs as f64 / began.elapsed().as_secs_f64();
    workers.stop();
    sequencer.stop();
    let with = audit::Verify { directory: Some(scratch.path()), ..Default::default() };
    let report = audit::verify(gate.db(), &with).unwrap();
    assert!(report.is_good(), "the audit log of the runs does not verify");
    crate::figures::report("whole runs of five steps", whole, "/s", "of plain transactions of one row", plain);
}

/// Calls `work` `count` times, each with its number, from `threads` threads; gives the calls a second.
fn rate(count: u64, threads: usize, work: impl Fn(u64) + Sync) -> f64 {
    let (next, began) = (AtomicU64::new(0), Instant::now());
    std::thread::scope(|s| {
        for _ in 0..threads {
            s.spawn(|| {
                loop {
                    match next.fetch_add(1, Ordering::Relaxed) {
                        n if n < count => work(n),
                        _ => return,
                    }
                }
            });
        }
    });
    count as f64 / began.elapsed().as_secs_f64()
}

fn left(gate: &Gate, condition: &'static str) -> i64 {
    gate.db()
        .read(move |conn| {
            conn.query_one(&format!("SELECT COUNT(*) FROM flow_runs WHERE {condition}"), &[], |row| row.get(0))
        })
        .unwrap()
}

/// Plays the hosts: observes what waits, in batches, until every run has been observed.
fn observe(gate: &Gate, cx: &Cx, runs: u64) {
    let mut seen = 0;
    while seen < runs {
        let waiting: Vec<RunId> = gate
            .db()
            .read(|conn| {
                conn.query("SELECT id FROM flow_runs WHERE wait_key IS NOT NULL LIMIT 200", &[], |row| row.get(0))
            })
            .unwrap();
        if waiting.is_empty() {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        }
        seen += gate.run(cx, &OBSERVE, waiting).unwrap() as u64;
    }
}
