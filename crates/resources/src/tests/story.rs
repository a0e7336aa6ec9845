//! Orders, hosts that misbehave, agents that die: in the end nothing is left over.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use drivers::converge::{Agent, Settings, Store};
use drivers::hypervisor::Hypervisor;
use drivers::hypervisor::memory::{Faults, Memory};
use drivers::moment::HostClock;

use crate::claims::{self, Holder};
use crate::local::Local;
use crate::{IntentId, capacity, work};

use super::*;

struct Simulated {
    host: HostId,
    hypervisor: Arc<Memory>,
    plane: Arc<Local>,
    store: PathBuf,
    agent: Option<Agent>,
}

impl Simulated {
    fn new(house: &House, runtime: &tokio::runtime::Handle, n: usize) -> Self {
        let hypervisor = Arc::new(Memory::new(HostClock::system()));
        hypervisor.set_host(facts(&format!("h{n}")));
        hypervisor.set_faults(Faults {
            seed: n as u64,
            fail: 80,
            uncertain_done: 80,
            uncertain_late: 80,
            lie: 40,
            ..Faults::default()
        });
        let plane = Local::enrol(house.door.clone(), &house.token(), facts(&format!("h{n}")), runtime.clone()).unwrap();
        house.gate.run(&staff(), &hosts::ACTIVATE, hosts::HostRef { id: plane.host }).unwrap();
        let store = house.scratch.path().join(format!("agent-{n}.db"));
        let mut made = Simulated { host: plane.host, hypervisor, plane: Arc::new(plane), store, agent: None };
        made.start();
        made
    }

    /// Kills the agent, if there is one, and starts it on what it had written down.
    fn start(&mut self) {
        self.agent = None;
        let settings = Settings {
            poll_wait: Duration::from_secs(1),
            watch_every: Duration::from_millis(50),
            resync_every: Duration::from_millis(500),
            report_every: Duration::from_millis(300),
            grace: Duration::from_millis(10),
            retry_min: Duration::from_millis(5),
            retry_max: Duration::from_millis(100),
            ..Settings::default()
        };
        let (hypervisor, plane): (Arc<dyn Hypervisor>, _) = (self.hypervisor.clone(), self.plane.clone());
        self.agent = Some(
            Agent::start(settings, hypervisor, plane, Store::open(&self.store).unwrap(), HostClock::system()).unwrap(),
        );
    }
}

/// Waits for something to become true, and says what did not.
fn until(what: &str, house: &House, mut check: impl FnMut() -> bool) {
    let began = Instant::now();
    while !check() {
        assert!(began.elapsed() < Duration::from_secs(90), "{}: {what} did not come", house.engine);
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn one_order(house: &House, id: &str) {
    // Two transactions may meet time and again; a flow tries again, and so does this.
    let placed = (0..50).find_map(|_| {
        let ask = ask(id, Demand::of_machine(&spec(id)));
        let placed = house.tx(move |tx| {
            let host = capacity::reserve(tx, &ask)?.host;
            claims::port(tx, Holder { machine: &ask.machine, slot: "http", tenant: CUSTOMER }, host)?;
            intents::put(
                tx,
                &Want {
                    id: &ask.machine,
                    host,
                    spec: &spec(&ask.service),
                    tenant: CUSTOMER,
                    service: &ask.service,
                    standing: crate::intents::Standing::Serving,
                },
            )
        });
        match placed {
            Err(e) if e.kind() == base::Kind::Contended => None,
            other => Some(other),
        }
    });
    placed.unwrap().unwrap();
    until("a machine running", house, || house.intent(id).is_running());
    let away = || {
        let away: IntentId = id.parse().unwrap();
        house.tx(move |tx| intents::absent(tx, &away))
    };
    while away().is_err_and(|e| e.kind() == base::Kind::Contended) {}
    until("a machine gone", house, || house.intent(id).is_gone());
}

fn play(engine: &'static str, db: Db, scratch: Scratch) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let house = House::new(engine, db, scratch, Clock::System);
    let mut hosts: Vec<Simulated> = (0..2).map(|n| Simulated::new(&house, runtime.handle(), n)).collect();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                let house = &house;
                scope.spawn(move || (0..4).for_each(|n| one_order(house, &format!("m{worker}-{n}"))))
            })
            .collect();
        let (done, hosts) = (&done, &mut hosts);
        scope.spawn(move || {
            // Meanwhile agents die and come back.
            let mut turn = 0;
            while !done.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(300));
                let victim = turn % hosts.len();
                hosts[victim].start();
                turn += 1;
            }
        });
        let results: Vec<_> = workers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::SeqCst);
        results.into_iter().for_each(|result| result.unwrap());
    });
    for simulated in &hosts {
        simulated.hypervisor.set_faults(Faults::default());
        simulated.hypervisor.settle();
        until("an empty host", &house, || simulated.hypervisor.truth().is_empty());
        assert!(simulated.hypervisor.violations().is_empty(), "{engine}: {:?}", simulated.hypervisor.violations());
        assert_eq!(house.free(simulated.host), [16, 16_384, 100_000], "{engine}");
    }
    work::gone(&house.gate).unwrap();
    work::abandoned(&house.gate).unwrap();
    let left: i64 =
        house.gate.db().read(|conn| conn.query_one("SELECT COUNT(*) FROM claims", &[], |row| row.get(0))).unwrap();
    assert_eq!(left, 0, "{engine}");
    house.assert_sound();
    drop(hosts);
}

#[test]
fn under_faults_and_deaths_every_machine_comes_and_goes_and_nothing_is_left() {
    let (engine, db, scratch) = db::testing::sqlite();
    play(engine, db, scratch);
}

#[test]
fn under_faults_and_deaths_nothing_is_left_on_postgres_either() {
    if let Some((engine, db, scratch)) = db::testing::postgres() {
        play(engine, db, scratch);
    }
}

#[test]
fn hosts_and_machines_have_records_that_follow_what_is_seen() {
    each_engine(|house| {
        let (host, guest) = house.host("h1");
        house.order("m1");
        let record = |house: &House, name: &str| {
            let name = name.to_owned();
            let found = house.gate.db().read(move |conn| {
                let all =
                    conn.query("SELECT id FROM records WHERE kind = 'resource'", &[], |row| row.get::<String>(0))?;
                let mut kept = None;
                for id in all {
                    let record = db::records::load(conn, "resource", &id)?.unwrap();
                    if record.body["name"] == name.as_str() {
                        kept = Some(record);
                    }
                }
                Ok(kept)
            });
            found.unwrap().unwrap()
        };
        let states = |record: &db::Record| {
            ["resourceStatus", "operationalState", "administrativeState", "usageState"]
                .map(|name| record.body[name].as_str().unwrap().to_owned())
        };
        assert_eq!(states(&record(&house, "h1")), ["available", "enable", "unlocked", "idle"], "{}", house.engine);
        let machine = record(&house, "svc-m1");
        assert_eq!(
            (machine.tenant, states(&machine)),
            (CUSTOMER, ["reserved", "disable", "unlocked", "idle"].map(str::to_owned))
        );
        house.report(&guest, vec![seen("m1", 1, 1, MachineState::Running, house.gate.now())]);
        assert_eq!(states(&record(&house, "svc-m1")), ["available", "enable", "unlocked", "active"]);
        // Through the open API nobody says otherwise.
        let patch = serde_json::json!({ "operationalState": "disable" }).as_object().unwrap().clone();
        let customer = gate::testing::somebody(CUSTOMER);
        let refused = crate::inventory::RESOURCE.update(&house.gate, &customer, &machine.id, None, patch).unwrap_err();
        assert_eq!(refused.code(), "resource.kept");
        assert_eq!(
            crate::inventory::RESOURCE.delete(&house.gate, &customer, &machine.id, None).unwrap_err().code(),
            "resource.kept"
        );
        let note = serde_json::json!({ "description": "the web server" }).as_object().unwrap().clone();
        crate::inventory::RESOURCE.update(&house.gate, &customer, &machine.id, None, note).unwrap();
        house.tx(|tx| intents::absent(tx, &"m1".parse().unwrap())).unwrap();
        house.report(&guest, vec![seen("m1", 2, 2, MachineState::Absent, house.gate.now())]);
        let gone = record(&house, "svc-m1");
        assert_eq!(
            (states(&gone)[0].as_str(), gone.body["description"].as_str()),
            ("suspended", Some("the web server"))
        );
        assert!(gone.body.contains_key("endOperatingDate"));
        house.gate.run(&staff(), &hosts::DRAIN, hosts::HostRef { id: host }).unwrap();
        assert_eq!(states(&record(&house, "h1"))[2], "shutdown");
    });
}
