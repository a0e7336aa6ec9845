//! The server at rest and at its beginning, over 100,000 records: how long until
//! it says that it is ready, and how much memory it then holds; beside a bare
//! axum program that opens the same SQLite file.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::figures::median;
use crate::house::House;
use crate::http;
use crate::process::resident_mib;
use axum::routing;
use commerce::catalog::CATEGORY;
use serde_json::json;
use testkit::{Binaries, free_port};
use tokio::net::TcpListener;

const RECORDS: usize = 100_000;
const ROUNDS: usize = 7;
/// Long enough for what is done after the start to be done.
const REST: Duration = Duration::from_secs(2);

pub fn run(words: &[String]) {
    match words {
        [role, data, address] if role == "peer" => peer(Path::new(data), address.parse().unwrap()),
        _ => compare(),
    }
}

/// Opens the database, reads one row, answers.
fn peer(data: &Path, address: SocketAddr) {
    let conn = rusqlite::Connection::open(data.join("yunwei.db")).unwrap();
    conn.query_row("SELECT id FROM records LIMIT 1", [], |row| row.get::<_, String>(0)).unwrap();
    let router = axum::Router::new().route("/readyz", routing::get(async || "ready"));
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
        axum::serve(TcpListener::bind(address).await.unwrap(), router).await.unwrap();
    });
}

fn compare() {
    let scratch = db::testing::Scratch::new();
    fill(scratch.path());
    let binaries = Binaries::find().unwrap();
    let (mut ours, mut peers) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(start(|address| {
            let mut command = binaries.yunwei();
            command.arg("serve").arg("--data").arg(scratch.path()).arg("--listen").arg(address.to_string());
            command.arg("--agent-listen").arg(format!("127.0.0.1:{}", free_port().unwrap()));
            command
        }));
        peers.push(start(|address| {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["start", "peer"]).arg(scratch.path()).arg(address.to_string());
            command
        }));
    }
    let of = |all: &[(f64, f64)], what: fn(&(f64, f64)) -> f64| median(all.iter().map(what).collect());
    println!("over {RECORDS} records, medians of {ROUNDS} starts");
    println!("{:<28} {:>14} {:>14} {:>7}   aim", "", "yunwei", "bare axum", "ratio");
    let (time, bare) = (of(&ours, |one| one.0), of(&peers, |one| one.0));
    println!("{:<28} {time:>11.0} ms {bare:>11.0} ms {:>7.1}   300 ms", "from start to ready", time / bare);
    let (memory, bare) = (of(&ours, |one| one.1), of(&peers, |one| one.1));
    println!("{:<28} {memory:>10.0} MiB {bare:>10.0} MiB {:>7.1}   80 MiB", "memory at rest", memory / bare);
}

fn fill(folder: &Path) {
    let house = House::new(folder).unwrap();
    let (gate, cx) = (&house.house.gate, house.administrator().unwrap());
    let body = json!({ "name": "machines", "description": "A category as it is on sale", "isRoot": true });
    let body = body.as_object().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| (0..RECORDS / 16).for_each(|_| drop(CATEGORY.create(gate, &cx, body.clone()).unwrap())));
        }
    });
}

/// Starts a program; gives milliseconds until it is ready, and its memory in MiB a while later.
fn start(command: impl FnOnce(SocketAddr) -> Command) -> (f64, f64) {
    let address: SocketAddr = ([127, 0, 0, 1], free_port().unwrap()).into();
    let mut command = command(address);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let mut child: Child = command.spawn().unwrap();
    let asked = http::get(address, "/readyz", &[]);
    while !http::once(address, &asked).is_ok_and(|answer| answer.starts_with(b"HTTP/1.1 200")) {
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        assert!(began.elapsed() < Duration::from_secs(60), "it is not ready");
        std::thread::sleep(Duration::from_millis(1));
    }
    let ready = began.elapsed().as_secs_f64() * 1e3;
    std::thread::sleep(REST);
    let memory = resident_mib(child.id());
    child.kill().unwrap();
    child.wait().unwrap();
    (ready, memory)
}
