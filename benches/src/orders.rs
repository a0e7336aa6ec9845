//! Orders through the whole flow: accepted, designed, placed, wanted on a host,
//! made by a real agent on a hypervisor in memory, seen to answer, activated,
//! metered; on SQLite, every commit on the disk, the audit log sequenced
//! meanwhile. Beside it the plain grouped transactions of the same engine.
//!
//! `ORDERS` says how many, 4,000 unless it is set.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::figures::rate;
use crate::house::House;
use crate::process;
use access::tenants::actions as tenants;
use base::id::{HostId, TenantId};
use commerce::catalog::PRODUCT_OFFERING;
use commerce::orders::PRODUCT_ORDER;
use commerce::testing::order;
use db::records::Scope;
use drivers::converge::{Agent, Settings, Store};
use drivers::hypervisor::memory::Memory;
use drivers::moment::HostClock;
use gate::audit::{Key, Sequencer};
use gate::{Cx, Gate};
use provisioning::starter;
use resources::testing::{InProcess, facts, host, image, pool};
use serde_json::json;

const CALLERS: usize = 64;
const HOSTS: usize = 4;
const TABLES: [&str; 16] = [
    "records",
    "record_keys",
    "record_revisions",
    "facts",
    "audit_entries",
    "flow_runs",
    "flow_journal",
    "ledger_transfers",
    "ledger_settlements",
    "reservations",
    "claims",
    "intents",
    "lives",
    "meters",
    "meter_terms",
    "usage_entries",
];

pub fn run() {
    let number: usize = std::env::var("ORDERS").ok().and_then(|text| text.parse().ok()).unwrap_or(4_000);
    let scratch = db::testing::Scratch::new();
    let house = House::new(scratch.path()).unwrap();
    let gate = &house.house.gate;
    let plain = plain(gate);
    let staff = house.administrator().unwrap();
    let pool = pool(gate, &staff);
    image(gate, &staff, "tiny");
    let hosts = (0..HOSTS).map(|n| host(gate, &staff, pool.id, facts(&format!("h{n}"), 4_096, 8 << 20, 64 << 20)));
    let agents: Vec<Agent> = hosts.map(|host| agent(gate, host, house.operator.tenant)).collect();
    let seeded = gate.run(&staff, &starter::SEED, starter::Seed::default()).unwrap();
    let small = PRODUCT_OFFERING.get(gate, &staff, &seeded.made["small"]).unwrap();
    let customer = customer(&house, &staff);
    let log = Sequencer::start(gate, Key::open_or_make(&scratch.path().join("keys")).unwrap()).unwrap();
    let work = house.house.engine.start().unwrap();

    let (rows, bytes, writer) = (counts(gate), size(scratch.path()), process::thread_time("db-writer"));
    let (all, began, placed) = (process::processor_time(std::process::id()), Instant::now(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                while placed.fetch_add(1, Ordering::Relaxed) < number {
                    PRODUCT_ORDER.create(gate, &customer, order(&small, json!({}))).unwrap();
                }
            });
        }
    });
    let accepted = began.elapsed();
    // Asked of an index, for one row: counting what is done would take a fifth of the processor.
    let open = "SELECT COUNT(*) FROM (SELECT 1 FROM flow_runs WHERE state IN ('running', 'waiting', 'unwinding', 'stuck') LIMIT 1) AS one";
    while count(gate, open) > 0 {
        assert!(began.elapsed() < Duration::from_secs(600), "not every order is done");
        std::thread::sleep(Duration::from_millis(5));
    }
    let done = began.elapsed();
    let completed = "SELECT COUNT(*) FROM records WHERE kind = 'productOrder' AND state = 'completed'";
    assert_eq!(count(gate, completed), number, "not every order was completed");
    let each = |time: Duration| time.as_secs_f64() * 1e6 / number as f64;
    let writer = each(process::thread_time("db-writer") - writer);
    let all = each(process::processor_time(std::process::id()) - all);
    work.stop();
    agents.into_iter().for_each(Agent::stop);
    log.stop();
    let per_order: Vec<f64> =
        counts(gate).iter().zip(&rows).map(|(after, before)| (after - before) as f64 / number as f64).collect();
    let rows: f64 = per_order.iter().sum();
    let (delivered, accepted) = (number as f64 / done.as_secs_f64(), number as f64 / accepted.as_secs_f64());

    println!("{number} orders from {CALLERS} callers, {HOSTS} hosts");
    println!("{:<52} {accepted:>10.0} /s", "orders accepted");
    println!("{:<52} {delivered:>10.0} /s   aim 1000 /s", "orders delivered, from the first order to the last");
    println!("{:<52} {plain:>10.0} /s   ratio {:.3}", "plain grouped transactions of one row", delivered / plain);
    println!(
        "{:<52} {:>10.0} /s   ratio {:.2}",
        "rows that orders leave behind",
        rows * delivered,
        rows * delivered / plain
    );
    println!("{:<52} {writer:>10.0} µs", "processor time of the one writer, per order");
    println!("{:<52} {all:>10.0} µs", "processor time of everything, per order");
    println!(
        "{:<52} {:>10.1} KiB",
        "database per order",
        (size(scratch.path()) - bytes) as f64 / number as f64 / 1024.0
    );
    println!("{:<52} {rows:>10.1}", "rows per order");
    for (table, rows) in TABLES.iter().zip(per_order).filter(|(_, rows)| *rows > 0.05) {
        println!("    {table:<48} {rows:>10.1}");
    }
}

/// Plain transactions of one row each, from as many callers.
fn plain(gate: &Gate) -> f64 {
    gate.db().write(|conn| conn.execute("CREATE TABLE measured (name TEXT NOT NULL)", &[])).unwrap();
    rate(CALLERS, Duration::from_secs(3), |_| {
        let row = "INSERT INTO measured (name) VALUES ('a row of a plain transaction')";
        gate.db().write(|conn| conn.execute(row, &[]).map(drop)).unwrap();
    })
}

fn agent(gate: &Gate, host: HostId, operator: TenantId) -> Agent {
    let clock = HostClock::default();
    let memory = Arc::new(Memory::new(clock.clone()));
    memory.set_boot_time(Duration::ZERO);
    let server = Arc::new(InProcess::new(gate.clone(), host, operator));
    let settings = Settings { poll_wait: Duration::from_millis(200), ..Settings::default() };
    Agent::start(settings, memory, server, Store::in_memory().unwrap(), clock).unwrap()
}

/// A customer, and a member of it who orders.
fn customer(house: &House, staff: &Cx) -> Cx {
    let wanted = tenants::CreateTenant {
        parent: None,
        name: "A customer".to_owned(),
        locale: None,
        time_zone: None,
        owner: None,
    };
    let tenant = house.house.gate.run(staff, &tenants::CREATE, wanted).unwrap().id;
    let scope = Scope::Tenants { own: vec![tenant], above: vec![house.operator.tenant] };
    Cx::new(staff.actor().clone(), tenant, scope, BTreeSet::from(["member".to_owned()]))
}

fn counts(gate: &Gate) -> Vec<usize> {
    TABLES.iter().map(|table| count(gate, &format!("SELECT COUNT(*) FROM {table}"))).collect()
}

fn count(gate: &Gate, sql: &str) -> usize {
    let sql = sql.to_owned();
    let found: i64 = gate.db().read(move |conn| conn.query_one(&sql, &[], |row| row.get(0))).unwrap();
    usize::try_from(found).unwrap()
}

/// Bytes of the database, as of the last checkpoint of its log.
fn size(folder: &Path) -> u64 {
    std::fs::metadata(folder.join("yunwei.db")).unwrap().len()
}
