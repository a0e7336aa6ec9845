//! How fast orders go, and what they cost in rows. Run by hand and by the
//! benchmarks: `cargo test --release -p provisioning speed -- --ignored --nocapture`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base::time::Clock;
use commerce::catalog::PRODUCT_OFFERING;
use commerce::orders::PRODUCT_ORDER;
use commerce::testing::{OPERATOR, member, order};
use drivers::converge::{Agent, Settings, Store};
use drivers::hypervisor::memory::Memory;
use drivers::moment::HostClock;
use resources::testing::InProcess;
use serde_json::json;

use crate::testing::Town;

const TABLES: [&str; 7] =
    ["records", "record_keys", "record_revisions", "facts", "audit_entries", "flow_journal", "ledger_transfers"];

#[test]
#[ignore = "a measurement, not a check"]
fn orders_per_second() {
    let (_, db, _keep) = db::testing::sqlite();
    let town = Town::with_clock(db, Clock::System);
    let clock = HostClock::default();
    let memory = Arc::new(Memory::new(clock.clone()));
    memory.set_boot_time(Duration::ZERO);
    let server = Arc::new(InProcess::new(town.gate.clone(), town.hosts[0], OPERATOR));
    let settings = Settings { poll_wait: Duration::from_millis(200), ..Settings::default() };
    let agent = Agent::start(settings, memory, server, Store::in_memory().unwrap(), clock).unwrap();
    let handle = town.engine.start().unwrap();
    let small = town.of_catalog(&PRODUCT_OFFERING, "small");
    let rows = || TABLES.map(|table| town.count(Box::leak(format!("SELECT COUNT(*) FROM {table}").into_boxed_str())));
    let number: usize = std::env::var("ORDERS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let (before, began, placed) = (rows(), Instant::now(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                while placed.fetch_add(1, Ordering::Relaxed) < number {
                    PRODUCT_ORDER.create(&town.gate, &member(2), order(&small, json!({}))).unwrap();
                }
            });
        }
    });
    let accepted = began.elapsed();
    let done = || town.count("SELECT COUNT(*) FROM records WHERE kind = 'product'");
    while done() < i64::try_from(number).unwrap() {
        assert!(began.elapsed() < Duration::from_secs(300), "only {} of {number}", done());
        std::thread::sleep(Duration::from_millis(2));
    }
    let all = began.elapsed();
    let per = |count: usize, time: Duration| count as f64 / time.as_secs_f64();
    println!("accepted {:.0}/s, delivered {:.0}/s", per(number, accepted), per(number, all));
    for (table, (before, after)) in TABLES.iter().zip(before.into_iter().zip(rows())) {
        println!("{table}: {:.1} rows an order", (after - before) as f64 / number as f64);
    }
    handle.stop();
    agent.stop();
}
