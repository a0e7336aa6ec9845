//! A page of 20 among a million records: the last page beside the first, in
//! order of age, in order of an attribute, and through a filter that half of
//! them pass. Asked over HTTP, each page reached by the link in the page before.
//!
//! `LIST_RECORDS` says among how many, one million unless it is set.

use std::net::SocketAddr;
use std::time::Instant;

use crate::figures::median;
use crate::house::House;
use crate::http;
use base::id::TenantId;
use commerce::catalog::CATEGORY;
use db::Record;
use gate::Gate;
use serde_json::json;
use tokio::net::TcpListener;

const ROUNDS: usize = 101;
const BATCH: usize = 20_000;

pub fn run() {
    let number = std::env::var("LIST_RECORDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let scratch = db::testing::Scratch::new();
    let house = House::new(scratch.path()).unwrap();
    let began = Instant::now();
    fill(&house.house.gate, house.operator.tenant, number);
    println!("{number} records made in {:.0} s", began.elapsed().as_secs_f64());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let router = house.router();
    runtime.spawn(async move { web::serve::serve(listener, None, &[], router, std::future::pending()).await });
    let bearer = format!("Bearer {}", house.operator.token);
    println!("{:<44} {:>12} {:>12}  {:>5}", "pages of 20, median", "first", "last", "ratio");
    for (what, query) in [
        ("in order of age", String::new()),
        ("in order of an attribute", "sort=name&".to_owned()),
        ("half of them, in order of age", "lifecycleStatus=Active&".to_owned()),
        ("half of them, in order of an attribute", "lifecycleStatus=Active&sort=name&".to_owned()),
    ] {
        let ask = |path: &str| http::get(address, path, &[("authorization", &bearer)]);
        let first = format!("{}?{query}limit=20", CATEGORY.path);
        let last = last_page(address, &ask, &query);
        let (first, last) = (time(address, &ask(&first)), time(address, &ask(&last)));
        println!("{what:<44} {first:>9.0} µs {last:>9.0} µs  {:>5.2}", last / first);
    }
}

/// Records beneath the gate, as making them is not what is measured.
fn fill(gate: &Gate, tenant: TenantId, number: usize) {
    let now = gate.now();
    for from in (0..number).step_by(BATCH) {
        let house = gate.clone();
        gate.db()
            .write(move |conn| {
                (from..number.min(from + BATCH)).try_for_each(|n| {
                    // Names in an order that has nothing to do with age.
                    let name = format!("{:03} {n:07}", n * 7 % 101);
                    let state = if n % 2 == 0 { "Active" } else { "In study" };
                    let body =
                        json!({ "name": name, "lifecycleStatus": state, "description": "A category among many" });
                    let record = Record {
                        id: house.ids().text(CATEGORY.prefix, now),
                        kind: CATEGORY.name.to_owned(),
                        tenant,
                        revision: 1,
                        state: Some(state.to_owned()),
                        class: CATEGORY.class,
                        body: body.as_object().cloned().unwrap_or_default(),
                        created: now,
                        updated: now,
                    };
                    db::records::insert(conn, &record, CATEGORY.keys)
                })
            })
            .unwrap();
    }
}

/// The path of the last page, found by following every link: in large steps, then in small ones.
fn last_page(address: SocketAddr, ask: &impl Fn(&str) -> Vec<u8>, query: &str) -> String {
    let mut path = format!("{}?{query}limit=1000", CATEGORY.path);
    for step in ["limit=1000", "limit=20"] {
        path = path.replace("limit=1000", step);
        while let Some(next) = next(&http::once(address, &ask(&path)).unwrap()) {
            path = next;
        }
    }
    path
}

fn next(answer: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(&answer[..answer.len() - http::body(answer).len()]).into_owned();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let link = head.lines().find_map(|line| line.strip_prefix("link: <"))?;
    Some(link.split_once('>')?.0.to_owned())
}

fn time(address: SocketAddr, request: &[u8]) -> f64 {
    let mut line = http::Line::open(address).unwrap();
    let once = |_| {
        let began = Instant::now();
        line.ask(request).unwrap();
        began.elapsed().as_secs_f64() * 1e6
    };
    median((0..ROUNDS).map(once).collect())
}
