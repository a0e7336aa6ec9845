//! A small house: capacity is reserved, a host makes a machine, a probe looks
//! at it, it is activated. Played on both engines and on all bad days.

mod calls;
mod definitions;
mod engine;
mod random;
mod work;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use base::id::{RunId, TenantId};
use base::{Error, Result};
use db::{Db, args};
use gate::{Action, Catalogue, Effect, Gate, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::testing::House;
use crate::{Call, Engine, Nothing, Outside, Progress, Registry, Step, StepCx, Subject, Undo, flows};

pub(super) const YAML: &str = r#"
name: machine.create
version: 1
title: { zh-TW: 建立機器, en: Create a machine }
input:
  type: object
  properties:
    name: { type: string, minLength: 1 }
    cpu: { type: integer, minimum: 1 }
    spare: { type: boolean }
  required: [name, cpu]
steps:
  - id: reserve
    step: capacity.reserve
    title: { zh-TW: 保留資源, en: Reserve capacity }
    with: { amount: $.input.cpu }
  - id: spare
    step: capacity.reserve
    title: { zh-TW: 保留備援, en: Reserve a spare }
    when: has(input.spare) && input.spare
    with: { amount: 1 }
  - id: make
    step: machine.make
    title: { zh-TW: 建立機器, en: Make the machine }
    with: { name: $.input.name, host: $.steps.reserve.host }
    timeout: 10m
  - id: probe
    step: machine.probe
    title: { zh-TW: 檢查服務, en: Look whether it answers }
    with: { name: $.input.name }
    retry: { attempts: 4, first: 100ms, most: 1s }
  - id: activate
    step: service.activate
    title: { zh-TW: 啟用, en: Activate }
    pointOfNoReturn: true
  - id: announce
    step: service.announce
    title: { zh-TW: 通知, en: Announce }
    with: { text: "$$5 a day", to: $.run.subject.id }
"#;

/// What the test's steps touch outside the database.
#[derive(Default)]
pub(super) struct World {
    /// Probes that stand.
    pub probes: BTreeSet<String>,
    /// How often a probe was asked for.
    pub asked: usize,
    /// Errors that the next probes end with.
    pub fails: Vec<Error>,
}

pub(super) type Shared = Arc<Mutex<World>>;

struct Reserve;
#[derive(Serialize, Deserialize, JsonSchema)]
struct Amount {
    amount: u32,
}
#[derive(Serialize, Deserialize, JsonSchema)]
struct Reserved {
    host: String,
    note: Option<String>,
}

fn effect(tx: &mut Tx<'_>, cx: &StepCx<'_>, kind: &str) -> Result<()> {
    tx.execute(
        "INSERT INTO effects (id, kind) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET kind = $2",
        args![cx.key(), kind],
    )
    .map(drop)
}
fn no_effect(tx: &mut Tx<'_>, cx: &StepCx<'_>) -> Result<Progress<()>> {
    tx.execute("DELETE FROM effects WHERE id = $1", args![cx.key()])?;
    Ok(Progress::Done(()))
}

impl Step for Reserve {
    const NAME: &'static str = "capacity.reserve";
    const SUMMARY: &'static str = "Reserves.";
    const UNDO: Undo = Undo::ByStep;
    type In = Amount;
    type Out = Reserved;
    fn run(&self, tx: &mut Tx<'_>, cx: &StepCx<'_>, input: &Amount) -> Result<Progress<Reserved>> {
        if input.amount > 100 {
            effect(tx, cx, "half a reservation")?;
            return Err(Error::exhausted("capacity.exhausted", "there is no room"));
        }
        effect(tx, cx, "reservation")?;
        Ok(Progress::Done(Reserved { host: "hst-1".into(), note: None }))
    }
    fn undo(&self, tx: &mut Tx<'_>, cx: &StepCx<'_>, _: &Amount, output: Option<&Reserved>) -> Result<Progress<()>> {
        assert_eq!(output.unwrap().host, "hst-1");
        no_effect(tx, cx)
    }
}

/// Writes an intent and waits until it is observed; its undo waits for the absence.
struct Make;
#[derive(Serialize, Deserialize, JsonSchema)]
struct Machine {
    name: String,
    host: String,
}
fn intend(tx: &mut Tx<'_>, cx: &StepCx<'_>, want: &str) -> Result<Progress<()>> {
    let id = cx.run.to_string();
    tx.execute(
        "INSERT INTO wishes (id, want, seen) VALUES ($1, $2, '') ON CONFLICT (id) DO UPDATE SET want = $2",
        args![id, want],
    )?;
    let seen: String = tx.query_one("SELECT seen FROM wishes WHERE id = $1", args![id], |row| row.get(0))?;
    match seen == want {
        true => Ok(Progress::Done(())),
        false if cx.call == Call::Overdue => Err(Error::unavailable("host.silent", "the host said nothing in time")),
        false => Ok(Progress::wait(format!("intent:{id}")).noting(json!({ "want": want }))),
    }
}
impl Step for Make {
    const NAME: &'static str = "machine.make";
    const SUMMARY: &'static str = "Makes.";
    const UNDO: Undo = Undo::ByStep;
    type In = Machine;
    type Out = Nothing;
    fn run(&self, tx: &mut Tx<'_>, cx: &StepCx<'_>, _: &Machine) -> Result<Progress<Nothing>> {
        Ok(match intend(tx, cx, "present")? {
            Progress::Done(()) => Progress::Done(Nothing {}),
            Progress::Wait(wait) => Progress::Wait(wait),
        })
    }
    fn undo(&self, tx: &mut Tx<'_>, cx: &StepCx<'_>, _: &Machine, _: Option<&Nothing>) -> Result<Progress<()>> {
        intend(tx, cx, "absent")
    }
}

/// Touches the world.
struct Probe(Shared);
#[derive(Serialize, Deserialize, JsonSchema)]
struct Name {
    name: String,
}
impl Outside for Probe {
    const NAME: &'static str = "machine.probe";
    const SUMMARY: &'static str = "Probes.";
    const UNDO: Undo = Undo::ByStep;
    type In = Name;
    type Out = Nothing;
    fn run(&self, _: &Gate, cx: &StepCx<'_>, _: &Name) -> Result<Progress<Nothing>> {
        let mut world = self.0.lock().unwrap();
        world.asked += 1;
        if let Some(e) = world.fails.pop() {
            return Err(e);
        }
        world.probes.insert(cx.key());
        Ok(Progress::Done(Nothing {}))
    }
    fn undo(&self, _: &Gate, cx: &StepCx<'_>, _: &Name, _: Option<&Nothing>) -> Result<Progress<()>> {
        self.0.lock().unwrap().probes.remove(&cx.key());
        Ok(Progress::Done(()))
    }
}

struct Activate;
impl Step for Activate {
    const NAME: &'static str = "service.activate";
    const SUMMARY: &'static str = "Activates.";
    const UNDO: Undo = Undo::Impossible;
    type In = Nothing;
    type Out = Nothing;
    fn run(&self, tx: &mut Tx<'_>, cx: &StepCx<'_>, _: &Nothing) -> Result<Progress<Nothing>> {
        effect(tx, cx, "service").map(|()| Progress::Done(Nothing {}))
    }
    fn undo(&self, _: &mut Tx<'_>, _: &StepCx<'_>, _: &Nothing, _: Option<&Nothing>) -> Result<Progress<()>> {
        panic!("never called")
    }
}

struct Announce;
#[derive(Serialize, Deserialize, JsonSchema)]
struct Message {
    text: String,
    to: String,
}
impl Step for Announce {
    const NAME: &'static str = "service.announce";
    const SUMMARY: &'static str = "Announces.";
    const UNDO: Undo = Undo::Nothing;
    type In = Message;
    type Out = Nothing;
    fn run(&self, tx: &mut Tx<'_>, cx: &StepCx<'_>, input: &Message) -> Result<Progress<Nothing>> {
        effect(tx, cx, &format!("{} to {}", input.text, input.to)).map(|()| Progress::Done(Nothing {}))
    }
    fn undo(&self, _: &mut Tx<'_>, _: &StepCx<'_>, _: &Message, _: Option<&Nothing>) -> Result<Progress<()>> {
        Ok(Progress::Done(()))
    }
}

pub(super) fn registry(world: &Shared) -> Registry {
    Registry::default().step(Reserve).step(Make).outside(Probe(world.clone())).step(Activate).step(Announce)
}

/// Starts a flow; the test's stand-in for a reaction.
pub(super) static START: Action<serde_json::Value, RunId> = Action {
    name: "test.start",
    summary: "Starts the flow.",
    effect: Effect::Create,
    run: |tx, input| flows::start(tx, "machine.create", input, Subject::new("order", "ord-1", TenantId(1))),
};
/// Plays the agent: makes every machine as it is intended.
pub(super) static OBSERVE: Action<Nothing, usize> = Action {
    name: "test.observe",
    summary: "Observes.",
    effect: Effect::Change,
    run: |tx, _| {
        let changed: Vec<String> =
            tx.query("UPDATE wishes SET seen = want WHERE seen <> want RETURNING id", &[], |row| row.get(0))?;
        changed.iter().map(|id| flows::wake(tx, &format!("intent:{id}"))).sum::<Result<usize>>()?;
        Ok(changed.len())
    },
};

pub(super) fn catalogue() -> Catalogue {
    Catalogue::default().actions(&crate::actions()).actions(&[&START, &OBSERVE, &work::ENQUEUE, &calls::START])
}

pub(super) fn gate_over(db: Db) -> Gate {
    let gate = gate::testing::gate(db, catalogue());
    gate.db()
        .write(|conn| {
            conn.execute("CREATE TABLE effects (id TEXT PRIMARY KEY, kind TEXT NOT NULL)", &[])?;
            conn.execute("CREATE TABLE wishes (id TEXT PRIMARY KEY, want TEXT NOT NULL, seen TEXT NOT NULL)", &[])
        })
        .unwrap();
    gate
}

pub(super) fn rows(gate: &Gate, sql: &'static str) -> Vec<String> {
    gate.db().read(move |conn| conn.query(sql, &[], |row| row.get(0))).unwrap()
}

pub(super) fn house(db: Db, keep: impl std::any::Any, world: &Shared) -> House {
    let gate = gate_over(db);
    let engine = Engine::new(gate.clone(), registry(world).definition(YAML)).unwrap();
    let cx = gate::testing::somebody(TenantId(1));
    let run = gate.run(&cx, &START, json!({ "name": "web", "cpu": 2 })).unwrap();
    let (again, done, clean) = (world.clone(), world.clone(), world.clone());
    House {
        engine,
        restart: Box::new(move |gate| Engine::new(gate.clone(), registry(&again).definition(YAML)).unwrap()),
        run,
        pump: Box::new(move |gate| gate.run(&cx, &OBSERVE, Nothing {}).unwrap() > 0),
        done: Box::new(move |gate| {
            let kinds = rows(gate, "SELECT kind FROM effects ORDER BY kind");
            assert_eq!(kinds, ["$5 a day to ord-1", "reservation", "service"]);
            assert_eq!(rows(gate, "SELECT seen FROM wishes"), ["present"]);
            assert_eq!(done.lock().unwrap().probes.len(), 1);
        }),
        clean: Box::new(move |gate| {
            assert_eq!(rows(gate, "SELECT kind FROM effects"), [""; 0]);
            assert!(rows(gate, "SELECT seen FROM wishes").iter().all(|seen| seen == "absent"));
            assert!(clean.lock().unwrap().probes.is_empty());
        }),
        keep: Box::new(keep),
    }
}

/// A fresh house on SQLite.
pub(super) fn fresh() -> House {
    let (_, db, keep) = db::testing::sqlite();
    house(db, keep, &Shared::default())
}
