//! How fast orders go through the whole flow, and what each costs in rows: the
//! real engine, the real agent, the in-memory hypervisor, durable on SQLite.
//!
//! `ORDERS=2000 cargo run --release -p provisioning --features testing --example orders_per_second`
//!
//! Prints, as JSON on one line, orders a second beside the plain grouped
//! transactions a second of the same run, which is what the disk allows.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program that measures")]

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
use serde_json::{Map, Value as Json, json};

use provisioning::testing::Town;

const TABLES: [&str; 7] =
    ["records", "record_keys", "record_revisions", "facts", "audit_entries", "flow_journal", "ledger_transfers"];

/// Plain transactions of one row each, from as many threads: what grouping and the disk give.
fn plain(town: &Town, number: usize) -> f64 {
    town.gate.db().write(|conn| conn.execute("CREATE TABLE measured (name TEXT NOT NULL)", &[])).unwrap();
    let began = Instant::now();
    let done = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                while done.fetch_add(1, Ordering::Relaxed) < number {
                    let sql = "INSERT INTO measured (name) VALUES ('a row of a plain transaction')";
                    town.gate.db().write(|conn| conn.execute(sql, &[]).map(drop)).unwrap();
                }
            });
        }
    });
    number as f64 / began.elapsed().as_secs_f64()
}

fn main() {
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
    handle.stop();
    agent.stop();
    let each: Map<String, Json> = TABLES
        .iter()
        .zip(before.into_iter().zip(rows()))
        .map(|(table, (before, after))| ((*table).to_owned(), json!((after - before) as f64 / number as f64)))
        .collect();
    let plain = plain(&town, number * 10);
    let (accepted, delivered) = (per(number, accepted), per(number, all));
    let result = json!({
        "orders": number, "acceptedPerSecond": accepted.round(), "deliveredPerSecond": delivered.round(),
        "plainTransactionsPerSecond": plain.round(), "share": delivered / plain, "rowsPerOrder": each,
    });
    println!("{result}");
}
