//! With the real engine, the real agent and the in-memory hypervisor.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base::time::Clock;
use commerce::orders::PRODUCT_ORDER;
use commerce::testing::{OPERATOR, member};
use drivers::converge::{Agent, Settings, Store};
use drivers::hypervisor::memory::Memory;
use drivers::moment::HostClock;
use resources::testing::InProcess;

use crate::services::{STATUS, STOP, ServiceId, TERMINATE};
use crate::testing::Town;

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < patience, "in vain waited until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_order_runs_on_the_in_memory_hypervisor_until_its_end() {
    for (engine, db, _keep) in db::testing::databases() {
        let town = Town::with_clock(db, Clock::System);
        let clock = HostClock::default();
        let memory = Arc::new(Memory::new(clock.clone()));
        let server = Arc::new(InProcess::new(town.gate.clone(), town.hosts[0], OPERATOR));
        let settings = Settings {
            watch_every: Duration::from_millis(20),
            poll_wait: Duration::from_millis(200),
            ..Settings::default()
        };
        let agent = Agent::start(settings, memory.clone(), server, Store::in_memory().unwrap(), clock).unwrap();
        let handle = town.engine.start().unwrap();
        let order = town.order(2);
        until("the order is completed", || town.read(&PRODUCT_ORDER, &order.id).state.as_deref() == Some("completed"));
        assert_eq!(memory.truth().len(), 1, "{engine}");
        let service = || ServiceId { id: town.services(&order.id)[0].id.clone() };
        town.gate.run(&member(2), &STOP, service()).unwrap();
        until("it is stopped", || town.gate.run(&member(2), &STATUS, service()).unwrap().condition == "stopped");
        until("its state follows", || town.services(&order.id)[0].state.as_deref() == Some("inactive"));
        town.gate.run(&member(2), &TERMINATE, service()).unwrap();
        until("it is gone", || town.services(&order.id)[0].state.as_deref() == Some("terminated"));
        assert!(memory.truth().is_empty() && memory.violations().is_empty());
        handle.stop();
        agent.stop();
        town.assert_nothing_is_held();
    }
}
