//! A record by its id: authenticated by an API token, decided by the policies,
//! read from SQLite; beside a bare axum handler that answers the same bytes.
//!
//! Server and peer are processes of their own and are asked in turns by the
//! same client, which takes a share of the same processors; so beside answers a
//! second stands the processor time that the serving process took for each.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use crate::figures::median;
use crate::house::House;
use crate::http;
use crate::process::Role;
use axum::body::Bytes;
use axum::http::header;
use axum::routing;
use commerce::catalog::CATEGORY;
use serde_json::json;
use tokio::net::TcpListener;

const SPAN: Duration = Duration::from_secs(1);
const ROUNDS: usize = 5;
const RECORDS: usize = 10_000;
const CONNECTIONS: [usize; 3] = [1, 16, 64];

pub fn run(words: &[String]) {
    match words.first().map(String::as_str) {
        Some("serve") => serve(),
        Some("peer") => peer(),
        _ => compare(),
    }
}

/// The server over `RECORDS` categories. Prints its address, then a token and a path.
fn serve() {
    let scratch = db::testing::Scratch::new();
    let house = House::new(scratch.path()).unwrap();
    let cx = house.administrator().unwrap();
    let body = json!({ "name": "machines", "description": "A category as it is on sale", "isRoot": true });
    let body = body.as_object().unwrap();
    let mut made = Vec::new();
    for _ in 0..RECORDS {
        made.push(CATEGORY.create(&house.house.gate, &cx, body.clone()).unwrap().id);
    }
    let path = format!("{}/{}", CATEGORY.path, made[RECORDS / 2]);
    runtime().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        announce(listener.local_addr().unwrap(), &[&house.operator.token, &path]);
        web::serve::serve(listener, None, &[], house.router(), std::future::pending()).await;
    });
}

/// A bare handler that answers with the bytes on its standard input.
fn peer() {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut std::io::stdin(), &mut bytes).unwrap();
    let bytes = Bytes::from(bytes);
    let answer = move || std::future::ready(([(header::CONTENT_TYPE, "application/json")], bytes.clone()));
    let router = axum::Router::new().route(&format!("{}/{{id}}", CATEGORY.path), routing::get(answer));
    runtime().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        announce(listener.local_addr().unwrap(), &[]);
        axum::serve(listener, router).await.unwrap();
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

fn announce(address: SocketAddr, more: &[&str]) {
    println!("{address} {}", more.join(" "));
    std::io::stdout().flush().unwrap();
}

/// One serving process under one load.
struct Measured {
    per_second: f64,
    micros: f64,
}

fn measure(role: &Role, request: &[u8], connections: usize) -> Measured {
    let before = role.used();
    let per_second = http::hammer(role.address, request, connections, SPAN).unwrap();
    let answered = per_second * SPAN.as_secs_f64();
    Measured { per_second, micros: (role.used() - before).as_secs_f64() * 1e6 / answered }
}

fn compare() {
    let ours = Role::start(&["get", "serve"], &[]).unwrap();
    let (token, path) = (&ours.words[0], &ours.words[1]);
    let bearer = format!("Bearer {token}");
    let asked = http::get(ours.address, path, &[("authorization", &bearer)]);
    let answer = http::once(ours.address, &asked).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    let peer = Role::start(&["get", "peer"], http::body(&answer)).unwrap();
    let asked_peer = http::get(peer.address, path, &[("authorization", &bearer)]);
    assert_eq!(http::body(&http::once(peer.address, &asked_peer).unwrap()), http::body(&answer));

    println!("GET of a record of {} bytes, medians of {ROUNDS} rounds of {SPAN:?}", http::body(&answer).len());
    println!("{:>11}  {:^33}  {:^39}", "", "answers a second", "processor time of the server per answer");
    println!(
        "{:>11}  {:>10} {:>11} {:>10}  {:>12} {:>14} {:>11}",
        "connections", "yunwei", "bare axum", "ratio", "yunwei", "bare axum", "ratio"
    );
    for connections in CONNECTIONS {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            a.push(measure(&ours, &asked, connections));
            b.push(measure(&peer, &asked_peer, connections));
        }
        let of = |all: &[Measured], what: fn(&Measured) -> f64| median(all.iter().map(what).collect());
        let (rate, bare) = (of(&a, |m| m.per_second), of(&b, |m| m.per_second));
        let (micros, bare_micros) = (of(&a, |m| m.micros), of(&b, |m| m.micros));
        println!(
            "{connections:>11}  {rate:>8.0}/s {bare:>9.0}/s {:>10.2}  {micros:>9.1} µs {bare_micros:>11.1} µs {:>11.2}",
            rate / bare,
            bare_micros / micros
        );
    }
}
