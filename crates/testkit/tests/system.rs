//! The whole house as processes, tried from outside.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops on its first surprise")]

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

/// `(method, path)` of every operation of an OpenAPI document, parameters filled with something absent.
fn operations(document: &Json) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys().filter(|m| *m != "parameters") {
            let filled: Vec<&str> =
                path.split('/').map(|part| if part.starts_with('{') { "none" } else { part }).collect();
            all.push((method.to_uppercase(), filled.join("/")));
        }
    }
    all
}

fn try_all(api: &Api, documents: &[Json]) -> Vec<(String, String, u16)> {
    let mut answers = Vec::new();
    for (method, path) in documents.iter().flat_map(operations) {
        let body: Option<&[u8]> = matches!(method.as_str(), "POST" | "PATCH" | "PUT").then_some(b"{}");
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let answer = api.send(&method, &path, &[("content-type", kind)], body).unwrap();
        answers.push((method, path, answer.status));
    }
    answers
}

/// What somebody who is not signed in may try: all of it is about getting in.
const OPEN: [&str; 5] = [
    "/api/v1/sessions",
    "/api/v1/password/request-reset",
    "/api/v1/password/reset",
    "/api/v1/invitations/preview",
    "/api/v1/invitations/accept",
];

#[test]
fn every_route_refuses_nobody_and_none_breaks() {
    let scratch = Scratch::new("routes");
    let house = Installation::start(&scratch.0, Options::default()).unwrap();
    let documents = [house.api.get("/api/v1/openapi.json").unwrap(), house.api.get("/tmf-api/openapi.json").unwrap()];
    let nobody = try_all(&house.api.as_token(""), &documents);
    assert!(nobody.len() > 150, "only {} operations were found", nobody.len());
    for (method, path, status) in &nobody {
        let open = OPEN.contains(&path.as_str());
        // What cannot be read at all is refused before anybody asks who sent it.
        assert!(open || matches!(*status, 400 | 401 | 429), "{method} {path} answers nobody with {status}");
    }
    for (method, path, status) in try_all(&house.api, &documents) {
        assert!(status < 500, "{method} {path} answers an administrator with {status}");
    }
}

#[test]
fn a_customer_sees_and_changes_nothing_of_another() {
    let scratch = Scratch::new("tenants");
    let house = Installation::start(&scratch.0, Options::default()).unwrap();
    let first = house.customer("First", "one@first.example").unwrap();
    let second = house.customer("Second", "two@second.example").unwrap();
    let party = "/tmf-api/party/v4/organization";
    let made = first.api.get(party).unwrap();
    let id = made[0]["id"].as_str().unwrap();
    assert_eq!(second.api.send("GET", &format!("{party}/{id}"), &[], None).unwrap().status, 404);
    for (method, body) in [("PATCH", Some(&b"{\"tradingName\":\"x\"}"[..])), ("DELETE", None)] {
        let status = second
            .api
            .send(method, &format!("{party}/{id}"), &[("content-type", "application/merge-patch+json")], body)
            .unwrap()
            .status;
        assert!(matches!(status, 403 | 404), "{method} is answered {status}");
    }
    for tenant in second.api.get(party).unwrap().as_array().unwrap() {
        assert_ne!(tenant["id"].as_str(), Some(id));
    }
    let acting = second.api.send("GET", party, &[("x-yunwei-tenant", first.tenant.as_str())], None).unwrap();
    assert!(matches!(acting.status, 403 | 404), "acting in another tenant is answered {}", acting.status);
    for path in ["/api/v1/hosts", "/api/v1/capacity", "/api/v1/jobs"] {
        assert_eq!(second.api.send("GET", path, &[], None).unwrap().status, 403, "{path}");
    }
}

/// Whether this machine can run machines; says so where it cannot.
fn has_hypervisor() -> bool {
    let there = std::path::Path::new("/usr/sbin/libvirtd").exists();
    if !there {
        eprintln!("SKIPPED: libvirt is not installed");
    }
    there
}

/// Kills the server again and again while an order is on its way.
fn harass(house: &mut Installation, order: &str, api: &Api) -> Outcome<Json> {
    let path = format!("/tmf-api/productOrderingManagement/v4/productOrder/{order}");
    let until = Instant::now() + Duration::from_secs(180);
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
    assert!(order.visit(&customer.api).unwrap().ok);
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
