//! From an order to a machine that answers, less what the hypervisor itself
//! takes: orders through the public API on a real libvirt host, then the same
//! domains begun again straight through libvirt, with no platform about.
//!
//! Needs what `script/setup` installs, and `yunwei` and `yunwei-agent` beside it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::figures::median;
use serde_json::Value as Json;
use testkit::{Api, Customer, Installation, Machines, Options, Outcome};

const ROUNDS: usize = 5;

pub fn run() {
    let scratch = db::testing::Scratch::new();
    if let Err(fault) = measure(scratch.path()) {
        println!("not measured: {fault}");
        std::process::exit(1);
    }
}

fn measure(folder: &std::path::Path) -> Outcome<()> {
    let house = Installation::start(folder, Options::default())?;
    let mut host = Machines::start(&house, "host1")?;
    house.seed()?;
    let customer = house.customer("Bench", "owner@bench.example")?;
    // The first order also brings the image to the host.
    let (first, _) = ordered(&customer, "first")?;
    let mut through_orders = Vec::new();
    let mut addresses = Vec::new();
    for n in 0..ROUNDS {
        let (seconds, address) = ordered(&customer, &format!("machine-{n}"))?;
        through_orders.push(seconds);
        addresses.push(address);
    }
    // Now nobody but libvirt: the agent would begin again what is ended here.
    host.kill_agent()?;
    let words = (0..9).map(|_| timed(|| host.virsh(&["version"]).map(drop))).collect::<Outcome<Vec<f64>>>()?;
    let overhead_of_script = median(words);
    let mut straight = Vec::new();
    for domain in host.domains()? {
        let xml = host.virsh(&["dumpxml", &domain])?;
        let Some(address) = addresses.iter().find(|address| xml.contains(&format!(":{}-:", address.port()))) else {
            continue;
        };
        host.virsh(&["destroy", &domain])?;
        let began = Instant::now();
        host.virsh(&["start", &domain])?;
        answers(*address)?;
        straight.push(began.elapsed().as_secs_f64() - overhead_of_script);
    }
    let (order, plain) = (median(through_orders), median(straight.clone()));
    println!("{} machines under {}, medians", straight.len(), host.accelerator);
    println!("{:<52} {order:>6.2} s", "from an order to a machine that answers");
    println!("{:<52} {plain:>6.2} s", "the same domain straight through libvirt");
    println!("{:<52} {:>6.2} s   aim 0.30 s", "the platform's own share", order - plain);
    println!("{:<52} {:>6.2}", "ratio", order / plain);
    println!("{:<52} {first:>6.2} s", "the first order, which brings the image to the host");
    Ok(())
}

fn timed(work: impl FnOnce() -> Outcome<()>) -> Outcome<f64> {
    let began = Instant::now();
    work()?;
    Ok(began.elapsed().as_secs_f64())
}

/// Orders a machine; gives how long it took until the order was done and the
/// machine's page was there, and where that is.
fn ordered(customer: &Customer, name: &str) -> Outcome<(f64, SocketAddr)> {
    let began = Instant::now();
    let order = customer.order(name)?;
    let done = order.watch(&customer.api)?;
    let product = done.pointer("/productOrderItem/0/product/id").and_then(Json::as_str).ok_or("no product")?;
    let address = address(&customer.api, product)?;
    answers(address)?;
    Ok((began.elapsed().as_secs_f64(), address))
}

fn address(api: &Api, product: &str) -> Outcome<SocketAddr> {
    let product = api.get(&format!("/tmf-api/productInventory/v4/product/{product}"))?;
    let service = product.pointer("/realizingService/0/id").and_then(Json::as_str).ok_or("no service")?;
    let service = api.get(&format!("/tmf-api/serviceInventory/v4/service/{service}"))?;
    let url = service.pointer("/place/0/name").and_then(Json::as_str).ok_or("no address")?;
    Ok(url.trim_start_matches("http://").trim_end_matches('/').parse()?)
}

/// Waits until the machine's page is there. QEMU accepts connections before the
/// guest does, so every attempt is short and another follows at once.
fn answers(address: SocketAddr) -> Outcome<()> {
    let until = Instant::now() + Duration::from_secs(120);
    while Instant::now() < until {
        let (heard, hears) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let asked = crate::http::get(address, "/", &[("connection", "close")]);
            let good = crate::http::once(address, &asked).is_ok_and(|answer| answer.starts_with(b"HTTP/1.1 200"));
            let _ = heard.send(good);
        });
        if hears.recv_timeout(Duration::from_millis(100)).unwrap_or(false) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Err("the machine did not answer in two minutes".into())
}
