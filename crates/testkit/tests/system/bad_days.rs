//! Bad days of a whole installation: whatever happens, nothing is lost, nothing
//! doubled, nothing left behind, and whoever is in the way is told why.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use testkit::{Api, Customer, Installation, Machines, Options, Order};

use crate::clocks::Clock;
use crate::{Scratch, has_hypervisor};

const LONG: Duration = Duration::from_secs(180);

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < end, "still waiting for {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_second_server_on_the_same_directory_refuses_and_says_why() {
    let scratch = Scratch::new("second");
    let house = Installation::start(&scratch.0, Options::default()).unwrap();
    let mut second = house.binaries.yunwei();
    second.args(["serve", "--listen", "127.0.0.1:0", "--agent-listen", "127.0.0.1:0"]);
    house.data_args(&mut second);
    let refused = second.output().unwrap();
    assert_eq!(refused.status.code(), Some(5), "{}", said(&refused));
    assert!(said(&refused).contains("in use by another yunwei process"), "{}", said(&refused));
    let init = house.binaries.yunwei().args(["admin", "init", "--data"]).arg(house.data()).output().unwrap();
    assert_eq!(init.status.code(), Some(5), "{}", said(&init));
    assert_eq!(house.api.send("GET", "/readyz", &[], None).unwrap().status, 200, "the first one goes on");

    // Another directory, the same address.
    let other = scratch.0.join("other");
    let init = house.binaries.yunwei().args(["admin", "init", "--data"]).arg(&other).output().unwrap();
    assert!(init.status.success(), "{}", said(&init));
    let address = house.api.url.trim_start_matches("http://");
    let taken = house.binaries.yunwei().args(["serve", "--listen", address, "--data"]).arg(&other).output().unwrap();
    assert_eq!(taken.status.code(), Some(6), "{}", said(&taken));
    assert!(said(&taken).contains(&format!("cannot listen on {address}")), "{}", said(&taken));
}

#[test]
fn a_database_that_a_newer_version_used_is_refused_and_left_alone() {
    let scratch = Scratch::new("newer");
    let mut house = Installation::start(&scratch.0, Options::default()).unwrap();
    house.stop_server().unwrap();
    let file = house.data().join("yunwei.db");
    let database = rusqlite::Connection::open(&file).unwrap();
    database
        .execute_batch("INSERT INTO schema_history VALUES (9999, 'later'); PRAGMA wal_checkpoint(TRUNCATE);")
        .unwrap();
    drop(database);
    let before = std::fs::read(&file).unwrap();
    for words in [&["serve"][..], &["admin", "init"], &["audit", "verify"], &["audit", "export"]] {
        let mut command = house.binaries.yunwei();
        command.args(words);
        house.data_args(&mut command);
        let refused = command.output().unwrap();
        assert_eq!(refused.status.code(), Some(5), "{words:?}: {}", said(&refused));
        assert!(said(&refused).contains("schema 9999") && said(&refused).contains("newer"), "{}", said(&refused));
    }
    assert!(std::fs::read(&file).unwrap() == before, "not a byte was changed");
}

#[test]
fn wrong_and_expired_tokens_are_told_apart_from_no_rights() {
    let scratch = Scratch::new("tokens");
    let house = Installation::start(&scratch.0, Options::default()).unwrap();
    let good = house.api.token.clone();
    let twisted = format!("{}x", &good[..good.len() - 1]);
    let long = "y".repeat(6_000);
    for wrong in ["x", "Bearer", &twisted, &good[..good.len() / 2], &long] {
        let answer = house.api.as_token(wrong).send("GET", "/api/v1/whoami", &[], None).unwrap();
        assert!(matches!(answer.status, 401 | 431), "{wrong:.20}: {}", answer.text);
        assert!(!answer.text.contains(&good), "nothing is given away");
    }
    let made = house.api.post("/api/v1/tokens", &json!({ "name": "passing" })).unwrap();
    let passing = house.api.as_token(made["secret"].as_str().unwrap());
    assert!(passing.get("/api/v1/whoami").is_ok());
    house.api.post(&format!("/api/v1/tokens/{}/revoke", made["id"].as_str().unwrap()), &json!({})).unwrap();
    assert_eq!(passing.send("GET", "/api/v1/whoami", &[], None).unwrap().status, 401, "revoked is at once");
    let customer = house.customer("Customer", "owner@customer.example").unwrap();
    assert_eq!(customer.api.send("GET", "/api/v1/hosts", &[], None).unwrap().status, 403);
}

/// A small disk of its own; goes with its handle.
struct Disk(PathBuf);

impl Disk {
    fn mount(path: PathBuf, size: &str) -> Option<Disk> {
        std::fs::create_dir_all(&path).unwrap();
        let options = format!("size={size},mode=700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&path).output().ok()?;
        if !mounted.status.success() {
            eprintln!("SKIPPED: no small disk can be mounted: {}", said(&mounted));
            return None;
        }
        Some(Disk(path))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// Takes all the room that is left, down to the last block.
fn fill(path: &Path) {
    let mut file = std::fs::File::options().create(true).append(true).open(path).unwrap();
    for block in [1 << 20, 64 << 10, 4 << 10, 1] {
        let bytes = vec![b'x'; block];
        while std::io::Write::write_all(&mut file, &bytes).is_ok() {}
    }
}

#[test]
fn on_a_full_disk_changes_are_refused_clearly_and_none_is_lost() {
    let scratch = Scratch::new("full");
    let Some(disk) = Disk::mount(scratch.0.join("disk"), "48m") else { return };
    let options = Options { data: Some(disk.0.join("data")), ..Options::default() };
    let mut house = Installation::start(&scratch.0, options).unwrap();
    const PARTY: &str = "/tmf-api/party/v4/organization";
    let place = |house: &Installation, n: usize| {
        let body = json!({ "name": format!("organization-{n}"), "tradingName": "x".repeat(500) }).to_string();
        house.api.send("POST", PARTY, &[("content-type", "application/json")], Some(body.as_bytes())).unwrap()
    };
    let count = |house: &Installation| {
        let page = house.api.send("GET", &format!("{PARTY}?limit=1"), &[], None).unwrap();
        page.header("x-total-count").unwrap().parse::<usize>().unwrap()
    };
    let before = count(&house);
    assert_eq!(place(&house, 0).status, 201);
    let ballast = disk.0.join("ballast");
    fill(&ballast);
    // What was set aside in the write-ahead log may take a few more.
    let mut kept = 1;
    let refused = loop {
        let answer = place(&house, kept);
        if answer.status != 201 {
            break answer;
        }
        kept += 1;
        assert!(kept < 20_000, "the disk is full and everything is written");
        fill(&ballast);
    };
    assert!(matches!(refused.status, 503 | 507), "{} {}", refused.status, refused.text);
    assert_eq!(refused.json["code"], "db.full", "{}", refused.text);
    assert!(house.api.get(PARTY).is_ok(), "reading goes on");
    for _ in 0..20 {
        assert!(matches!(place(&house, kept).status, 503 | 507));
    }
    assert_eq!(house.run_json(&["audit", "verify"]).unwrap()["ok"], true, "verifying goes on");

    std::fs::remove_file(&ballast).unwrap();
    until("the server to write again", || place(&house, kept).status == 201);
    assert_eq!(count(&house), before + kept + 1, "what was answered is there, once; what was refused is not");

    // A server that dies on a full disk comes back once there is room.
    fill(&ballast);
    while place(&house, 100_000 + kept).status == 201 {
        kept += 1;
        fill(&ballast);
    }
    house.kill_server().unwrap();
    std::fs::remove_file(&ballast).unwrap();
    house.start_server().unwrap();
    assert_eq!(count(&house), before + kept + 1);
    house.stop_server().unwrap();
    let verified = house.run_json(&["audit", "verify"]).unwrap();
    assert_eq!((&verified["ok"], &verified["pending"]), (&json!(true), &json!(0)), "{verified:#}");
}

/// An installation with a host and a customer, and something to order.
struct Town {
    host: Machines,
    customer: Customer,
    house: Installation,
    _scratch: Scratch,
}

impl Town {
    fn new(name: &str, options: impl FnOnce(&Path) -> Option<Options>) -> Option<Town> {
        if !has_hypervisor() {
            return None;
        }
        let scratch = Scratch::new(name);
        let house = Installation::start(&scratch.0, options(&scratch.0)?).unwrap();
        let host = Machines::start(&house, "h").unwrap();
        house.seed().unwrap();
        let customer = house.customer("Customer", "owner@customer.example").unwrap();
        Some(Town { host, customer, house, _scratch: scratch })
    }

    fn state(&self, order: &Order) -> String {
        state(&self.customer.api, order)
    }

    /// One order, one machine that answers; after its end nothing at all.
    fn expect_done_once(&self, order: &Order) {
        let done = order.watch(&self.customer.api).unwrap();
        assert_eq!(done["state"], "completed");
        order.visit(&self.customer.api).unwrap();
        assert_eq!(self.host.domains().unwrap().len(), 1, "one order, one machine");
        let products = self.customer.api.get("/tmf-api/productInventory/v4/product?status=active").unwrap();
        assert_eq!(products.as_array().unwrap().len(), 1);
        self.customer.terminate_all().unwrap();
        self.house.wait_until_free(&self.host, LONG).unwrap();
    }
}

fn state(api: &Api, order: &Order) -> String {
    let order = api.get(&format!("/tmf-api/productOrderingManagement/v4/productOrder/{}", order.id)).unwrap();
    order["state"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn an_order_survives_a_restart_of_the_hypervisor() {
    let Some(town) = Town::new("lv", |_| Some(Options::default())) else { return };
    let order = town.customer.order("web-01").unwrap();
    until("the order to be under way", || town.state(&order) != "acknowledged");
    town.host.kill_hypervisor().unwrap();
    std::thread::sleep(Duration::from_millis(1_500));
    town.host.start_hypervisor().unwrap();
    town.expect_done_once(&order);
}

#[test]
fn an_order_survives_the_death_of_every_process_of_its_host() {
    for (n, pause) in [50u64, 700, 2_500].into_iter().enumerate() {
        let Some(mut town) = Town::new(&format!("all{n}"), |_| Some(Options::default())) else { return };
        let order = town.customer.order("web-01").unwrap();
        until("the order to be under way", || town.state(&order) != "acknowledged");
        std::thread::sleep(Duration::from_millis(pause));
        town.host.kill_everything().unwrap();
        town.host.start_hypervisor().unwrap();
        town.host.start_agent().unwrap();
        town.expect_done_once(&order);
    }
}

#[test]
fn an_agent_that_is_cut_off_for_long_is_unknown_and_then_known_again() {
    let mut clock = None;
    let town = Town::new("cut", |folder| {
        let (made, options) = Clock::new(folder)?;
        clock = Some(made);
        Some(options)
    });
    let (Some(mut town), Some(clock)) = (town, clock) else { return };
    let order = town.customer.order("web-01").unwrap();
    order.watch(&town.customer.api).unwrap();
    let services = "/tmf-api/serviceInventory/v4/service?category=CustomerFacingService&state=active,inactive";
    let service = town.customer.api.get(services).unwrap()[0]["id"].as_str().unwrap().to_owned();
    let seen = |town: &Town| town.customer.api.get(&format!("/api/v1/services/{service}/status")).unwrap();
    let knows = |status: &Json| status["machines"].to_string();
    assert!(knows(&seen(&town)).contains("running"), "{:#}", seen(&town));
    let reachable = |town: &Town| {
        let hosts = town.house.api.get("/api/v1/hosts").unwrap();
        hosts["items"][0]["reachable"] == true
    };

    town.host.agent().unwrap().signal("STOP").unwrap();
    // Longer than any time limit of the house, by the server's clock.
    clock.set(7_200);
    until("the host to be taken for silent", || !reachable(&town));
    until("the machine to be unknown", || knows(&seen(&town)).contains("unknown"));
    assert_eq!(town.host.domains().unwrap().len(), 1, "the machine itself goes on");
    let later = town.customer.order("web-02").unwrap();
    std::thread::sleep(Duration::from_secs(2));
    assert_ne!(town.state(&later), "completed", "nobody is there to make it");

    clock.set(0);
    town.host.agent().unwrap().signal("CONT").unwrap();
    until("the host to be known again", || reachable(&town));
    until("the machine to be known again", || {
        let status = knows(&seen(&town));
        status.contains("running") && !status.contains("unknown")
    });
    until("the later order's end", || matches!(town.state(&later).as_str(), "completed" | "failed"));
    let delivered = 1 + usize::from(town.state(&later) == "completed");
    assert_eq!(town.host.domains().unwrap().len(), delivered, "nothing is doubled");
    town.customer.terminate_all().unwrap();
    town.house.wait_until_free(&town.host, LONG).unwrap();
}
