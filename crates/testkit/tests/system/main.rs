//! The whole house as processes, tried from outside.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops on its first surprise")]

mod audit;
mod backups;
mod bad_days;
mod clocks;
mod command_line;
mod control_plane;
mod daily;
mod data_sets;
mod demo;
mod drills;
mod listening;
mod mail;
mod platform_bucket;
mod postgres;

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use testkit::{Api, Installation, Machines, Options, Outcome};

/// A short path, for it holds sockets; removed at the end.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("yw-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Whether this machine can run machines; says so where it cannot.
fn has_hypervisor() -> bool {
    let there = std::path::Path::new("/usr/sbin/libvirtd").exists();
    if !there {
        db::testing::pass_over("YUNWEI_TEST_LIBVIRT", "libvirt is not installed");
    }
    there
}

/// Kills the server again and again while an order is on its way.
fn harass(house: &mut Installation, order: &str, api: &Api) -> Outcome<Json> {
    let path = format!("/tmf-api/productOrderingManagement/v4/productOrder/{order}");
    // Long, as it says no more than that something hangs.
    let until = Instant::now() + Duration::from_secs(600);
    let mut kills = 0u64;
    loop {
        if kills < 6 {
            std::thread::sleep(Duration::from_millis(40 + 170 * kills));
            house.kill_server()?;
            house.start_server()?;
            kills += 1;
        }
        let found = api.get(&path)?;
        match found["state"].as_str() {
            Some("acknowledged" | "inProgress") if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(100))
            }
            _ => return Ok(found),
        }
    }
}

#[test]
fn an_order_survives_kills_of_server_and_agent_and_is_done_once() {
    if !has_hypervisor() {
        return;
    }
    let scratch = Scratch::new("kill");
    let mut house = Installation::start(&scratch.0, Options::default()).unwrap();
    let mut host = Machines::start(&house, "h").unwrap();
    house.seed().unwrap();
    let customer = house.customer("Customer", "owner@customer.example").unwrap();
    let order = customer.order("web-01").unwrap();
    host.kill_agent().unwrap();
    host.start_agent().unwrap();
    let done = harass(&mut house, &order.id, &customer.api).unwrap();
    assert_eq!(done["state"], "completed", "{done:#}");
    order.visit(&customer.api).unwrap();
    assert_eq!(host.domains().unwrap().len(), 1, "one order, one machine");
    let products = customer.api.get("/tmf-api/productInventory/v4/product").unwrap();
    assert_eq!(products.as_array().unwrap().len(), 1);

    let services =
        customer.api.get("/tmf-api/serviceInventory/v4/service?category=CustomerFacingService&state=active").unwrap();
    let service = services[0]["id"].as_str().unwrap();
    customer.api.post(&format!("/api/v1/services/{service}/terminate"), &json!({})).unwrap();
    let until = Instant::now() + Duration::from_secs(90);
    while !host.domains().unwrap().is_empty() {
        assert!(Instant::now() < until, "the machine is still there");
        std::thread::sleep(Duration::from_millis(200));
    }
    let until = Instant::now() + Duration::from_secs(30);
    let left = loop {
        let left = house.api.get("/api/v1/claims").unwrap();
        if left["items"].as_array().is_some_and(Vec::is_empty) || Instant::now() > until {
            break left;
        }
        std::thread::sleep(Duration::from_millis(200));
    };
    assert_eq!(left["items"], json!([]), "nothing is left claimed");
    house.stop_server().unwrap();
    let audit = house.run_json(&["audit", "verify"]).unwrap();
    assert_eq!(audit["ok"], true, "{audit:#}");
}
