//! The platform itself is lost with everything on its machine, and brought back on an empty one
//! from a copy, the recovery kit and two of three shares of its master key.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use testkit::{Customer, Installation, Machines, Options, Shelf, credential};

use crate::backups::{id, yunwei};
use crate::postgres::{database, on_postgres};
use crate::{Scratch, has_hypervisor};

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(120);
    while !holds() {
        assert!(Instant::now() < end, "still waiting for {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Two places for copies of the platform, the policy of both, and the platform under it.
fn protected(house: &Installation, scratch: &Path) -> [Shelf; 2] {
    let shelves = ["one", "two"].map(|name| Shelf::start(&scratch.join(name), &["control-plane"]).unwrap());
    let mut places = Vec::new();
    for (name, shelf) in ["one", "two"].iter().zip(&shelves) {
        let place = ["backup", "places", "add", name, "--server", &shelf.url, "--site", "elsewhere"];
        let place = yunwei(&house.api, &[&place[..], &["--immutability", "append-only"]].concat());
        for role in ["append", "maintain"] {
            let (file, name) = (shelf.secret_file("control-plane", role), credential("control-plane", role));
            let credential = ["backup", "places", "credential", id(&place), "--role", role, "--name", &name];
            let whose = ["--control-plane", "--secret-file", file.to_str().unwrap()];
            yunwei(&house.api, &[&credential[..], &whose].concat());
        }
        places.push(id(&place).to_owned());
    }
    let policy = ["backup", "policies", "add", "platform", "--calendar", "hourly :15", "--last", "2"];
    let policy = yunwei(&house.api, &[&policy[..], &["--place", &places[0], "--place", &places[1]]].concat());
    yunwei(&house.api, &["control-plane", "protect", "--policy", id(&policy)]);
    shelves
}

/// A plan that drills the platform from one of its places.
fn drill_plan(house: &Installation, place: &Json) -> String {
    let new = ["drill", "plans", "create", "platform", "--control-plane", "--rto", "10m", "--rpo", "1h"];
    let from = ["--place", id(place), "--owner", "Operations", "--negative-every", "1"];
    let plan = yunwei(&house.api, &[&new[..], &from].concat());
    id(&plan).to_owned()
}

/// What a drill leaves in the data directory.
fn left(house: &Installation) -> usize {
    std::fs::read_dir(house.data().join(".drill")).map_or(0, Iterator::count)
}

/// `yunwei drill run`: what it told, whatever it came to.
fn drill(house: &Installation, words: &[&str]) -> (bool, Json) {
    let mut command = house.binaries.yunwei();
    command.env("YUNWEI_URL", &house.api.url).env("YUNWEI_TOKEN", &house.api.token);
    let output = command.args(["drill", "run"]).args(words).arg("--json").output().unwrap();
    let told = serde_json::from_slice(&output.stdout);
    (output.status.success(), told.unwrap_or_else(|_| json!({ "code": code(&output) })))
}

/// What is kept elsewhere: the recovery kit, and three shares of which two bring the master key back.
fn off_the_machine(house: &Installation, scratch: &Path) -> (PathBuf, impl Fn(u8) -> PathBuf + use<>) {
    let (kit, folder) = (scratch.join("kit.json"), scratch.join("shares"));
    yunwei(&house.api, &["control-plane", "kit", "--out", kit.to_str().unwrap()]);
    let shares = ["admin", "key-shares", "--shares", "3", "--threshold", "2", "--out", folder.to_str().unwrap()];
    house.run_json(&shares).unwrap();
    (kit, move |number| folder.join(format!("share-{number}.txt")))
}

fn recover(house: &Installation, kit: &Path, shares: &[PathBuf]) -> Output {
    let mut command = house.binaries.yunwei();
    command.args(["recover", "--json", "--kit"]).arg(kit);
    for share in shares {
        command.arg("--share").arg(share);
    }
    house.data_args(&mut command);
    command.output().unwrap()
}

fn code(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = said.lines().rev().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("no error: {said}"));
    let said: Json = serde_json::from_str(line).unwrap();
    said["error"]["code"].as_str().unwrap().to_owned()
}

/// The services of a customer, by the name of their machine.
fn service(customer: &Customer, name: &str) -> String {
    let all = "/tmf-api/serviceInventory/v4/service?category=CustomerFacingService&state=active,inactive";
    let all = customer.api.get(all).unwrap();
    let found = all.as_array().unwrap().iter().find(|service| service["name"] == name);
    found.map(|service| id(service).to_owned()).unwrap_or_else(|| panic!("no service {name}: {all:#}"))
}

fn entries(house: &Installation) -> u64 {
    house.run_json(&["audit", "verify"]).unwrap()["entries"].as_u64().unwrap()
}

/// Drills the platform on whatever database it is on, with and without its people, and on a bad day.
fn drilled(mut house: Installation, scratch: &Path) {
    house.api.post("/api/v1/sites", &json!({ "name": "kept", "place": "Taipei" })).unwrap();
    let mut shelves = protected(&house, scratch);
    let point = yunwei(&house.api, &["control-plane", "backup"]);
    assert_eq!(point["state"], "available", "{point:#}");
    let (kit, share) = off_the_machine(&house, scratch);
    let places = house.api.get("/api/v1/backup-places").unwrap()["items"].as_array().unwrap().clone();
    let one = places.iter().find(|place| place["name"] == "one").unwrap();
    let plan = drill_plan(&house, one);
    let mails = || std::fs::read_dir(house.data().join("outbox")).unwrap().count();
    let before = mails();

    let (fine, run) = drill(&house, &[&plan]);
    assert!(fine && run["state"] == "passed", "{run:#}");
    let back = &run["services"][0];
    assert_eq!((&back["placeName"], &back["platform"]["point"]), (&json!("one"), &point["id"]), "{run:#}");
    assert_eq!(run["control"]["state"], "damageFound", "{run:#}");
    let phases = back["phases"].as_array().unwrap();
    assert!(phases.iter().all(|phase| phase["milliseconds"].is_u64()), "each on its own: {phases:#?}");
    assert!(back["platform"]["auditEntries"].as_u64() > Some(3) && back["newestRecord"].is_string(), "{back:#}");
    assert_eq!((left(&house), mails()), (0, before), "nothing is left, nobody was written to");
    let kept = yunwei(&house.api, &["control-plane", "show"])["points"][0].clone();
    let drilled = |name: &str| {
        kept["copies"].as_array().unwrap().iter().any(|copy| copy["placeName"] == name && copy["drilledAt"].is_string())
    };
    assert!(drilled("one") && !drilled("two"), "{kept:#}");
    let file = scratch.join("evidence.json");
    let told = house.api.get(&format!("/api/v1/drills/{}/evidence", id(&run))).unwrap();
    assert_eq!(told["document"]["services"][0]["platform"]["notShown"][0], "keyShares", "{told:#}");
    std::fs::write(&file, told.to_string()).unwrap();
    let mut verify = house.binaries.yunwei();
    verify.env_clear().args(["evidence", "verify", "--key"]).arg(house.data().join("keys/audit.pub")).arg(&file);
    assert!(verify.output().unwrap().status.success(), "its evidence needs nobody's help");

    // With the people who keep shares and kit; one share alone makes nothing.
    let text = |path: PathBuf| path.display().to_string();
    let (first, third, kit) = (text(share(1)), text(share(3)), text(kit));
    let (_, refused) = drill(&house, &[&plan, "--share", &first]);
    assert_eq!(refused["code"], "share.too_few");
    let (fine, run) = drill(&house, &[&plan, "--share", &first, "--share", &third, "--kit", &kit]);
    assert!(fine, "{run:#}");
    assert_eq!(run["services"][0]["platform"]["witnessed"]["shares"], true, "{run:#}");

    // The place is away: a failure, somebody's to put right, until a drill passes.
    shelves[0].stop().unwrap();
    let (fine, run) = drill(&house, &[&plan]);
    assert!(!fine && run["state"] == "failed" && left(&house) == 0, "{run:#}");
    let open = || yunwei(&house.api, &["drill", "actions"]).as_array().map_or(0, Vec::len);
    assert_eq!(open(), 1, "{run:#}");
    shelves[0].serve().unwrap();
    assert!(drill(&house, &[&plan]).0 && open() == 0, "a drill that passes closes it");

    // With PostgreSQL another server could be at it: it is gone on with when nobody can be any more.
    if house.options().database.is_some() {
        return;
    }
    // The server dies in the middle of one: the next goes on with it, and nothing of it stays.
    let begun = yunwei(&house.api, &["drill", "run", &plan, "--no-wait"]);
    until("the copy to be on its way", || left(&house) > 0);
    house.kill_server().unwrap();
    house.start_server().unwrap();
    let state = || house.api.get(&format!("/api/v1/drills/{}", id(&begun))).unwrap()["state"].clone();
    until("the drill to be over", || state() != "running");
    assert_eq!((state(), left(&house)), (json!("passed"), 0));
}

#[test]
fn the_platform_is_drilled_beside_itself_and_leaves_nothing() {
    let scratch = Scratch::new("platform-drill");
    let house = Installation::start(&scratch.0, Options::default()).unwrap();
    drilled(house, &scratch.0);
}

#[test]
fn a_platform_on_postgresql_is_drilled_in_a_database_of_its_own() {
    let Some(options) = on_postgres() else { return };
    let scratch = Scratch::new("platform-drill-pg");
    let house = Installation::start(&scratch.0, options).unwrap();
    drilled(house, &scratch.0);
}

#[test]
fn a_platform_on_postgresql_comes_back_into_an_empty_database() {
    let (Some(options), Some(empty)) = (on_postgres(), database()) else { return };
    let scratch = Scratch::new("platform-pg");
    let mut house = Installation::start(&scratch.0, options).unwrap();
    house.api.post("/api/v1/sites", &json!({ "name": "kept", "place": "Taipei" })).unwrap();
    let shelves = protected(&house, &scratch.0);
    let point = yunwei(&house.api, &["control-plane", "backup"]);
    assert_eq!(point["state"], "available", "{point:#}");
    let (kit, share) = off_the_machine(&house, &scratch.0);
    house.api.post("/api/v1/sites", &json!({ "name": "later", "place": "Taipei" })).unwrap();
    let before = entries(&house);

    house.kill_server().unwrap();
    std::fs::remove_dir_all(house.data()).unwrap();
    // Where something is, nothing is put in its place, and nothing is brought for it.
    assert_eq!(code(&recover(&house, &kit, &[share(2), share(3)])), "db.occupied");
    assert!(!house.data().exists(), "what did not succeed has made nothing");
    house.options().database = Some(empty);
    let output = recover(&house, &kit, &[share(2), share(3)]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["point"], &told["audit"]["verified"]), (&point["id"], &json!(true)), "{told:#}");
    assert!(told["audit"]["entries"].as_u64().unwrap() < before, "what came later is not in it: {told:#}");
    assert_eq!(code(&recover(&house, &kit, &[share(2), share(3)])), "recover.occupied");

    house.start_server().unwrap();
    let sites = house.api.get("/api/v1/sites").unwrap();
    let names: Vec<&str> = sites["items"].as_array().unwrap().iter().filter_map(|s| s["name"].as_str()).collect();
    assert!(names.contains(&"kept") && !names.contains(&"later"), "{sites:#}");
    let again = yunwei(&house.api, &["control-plane", "backup"]);
    assert_eq!(again["state"], "available", "it is kept again: {again:#}");
    assert!(!house.data().join("yunwei.db").exists(), "nothing of it is in SQLite");
    drop(shelves);
}

#[test]
fn a_platform_that_is_lost_with_its_machine_comes_back_and_finds_its_hosts() {
    if !has_hypervisor() {
        return;
    }
    let scratch = Scratch::new("platform");
    let mut house = Installation::start(&scratch.0, Options::default()).unwrap();
    let host = Machines::start(&house, "h").unwrap();
    house.seed().unwrap();
    let customer = house.customer("Customer", "owner@customer.example").unwrap();
    let kept = customer.order("web-01").unwrap();
    kept.watch(&customer.api).unwrap();
    customer.order("ended").unwrap().watch(&customer.api).unwrap();
    let ended = service(&customer, "ended");

    let mut shelves = protected(&house, &scratch.0);
    let point = yunwei(&house.api, &["control-plane", "backup"]);
    assert_eq!(point["state"], "available", "{point:#}");
    let (kit, share) = off_the_machine(&house, &scratch.0);
    let text = std::fs::read_to_string(&kit).unwrap();
    assert!(
        shelves.iter().all(|shelf| !text.contains(&shelf.secret("control-plane", "append").unwrap())),
        "what opens the places is sealed"
    );

    // What the copy does not know: one machine goes, another comes.
    customer.api.post(&format!("/api/v1/services/{ended}/terminate"), &json!({})).unwrap();
    until("the machine to be gone", || host.domains().unwrap().len() == 1);
    customer.order("later").unwrap().watch(&customer.api).unwrap();
    let before = entries(&house);

    // Everything on its machine is lost, and one of the two places with it.
    house.kill_server().unwrap();
    std::fs::remove_dir_all(house.data()).unwrap();
    shelves[0].stop().unwrap();

    assert_eq!(code(&recover(&house, &kit, &[share(1)])), "share.too_few");
    assert_eq!(code(&recover(&house, &kit, &[share(1), share(1)])), "share.repeated");
    assert!(!house.data().join("yunwei.db").exists(), "what did not succeed has made nothing");
    let output = recover(&house, &kit, &[share(3), share(1)]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["point"], &told["place"]), (&point["id"], &json!("two")), "{told:#}");
    assert_eq!(told["audit"]["verified"], true, "{told:#}");
    assert!(told["audit"]["entries"].as_u64().unwrap() < before, "what came later is not in it: {told:#}");
    assert_eq!(code(&recover(&house, &kit, &[share(3), share(1)])), "recover.occupied");

    house.start_server().unwrap();
    let reachable = || house.api.get("/api/v1/hosts").unwrap()["items"][0]["reachable"] == true;
    until("the host to be known again", reachable);
    // What ran goes on, and is reached as before.
    kept.visit(&customer.api).unwrap();
    let status = |service: &str| customer.api.get(&format!("/api/v1/services/{service}/status")).unwrap();
    // A machine that nobody here knows is shown and left alone; one that was removed is not made again.
    let orphans = || house.api.get(&format!("/api/v1/orphans?host={}", host.id)).unwrap()["items"].clone();
    until("the unknown machine to be shown", || orphans().as_array().is_some_and(|all| all.len() == 1));
    until("the removed machine to be withheld", || status(&ended)["machines"][0]["problemCode"] == "machine.withheld");
    assert_eq!(host.domains().unwrap().len(), 2, "web-01 and later");
    let reported = house.api.get("/api/v1/audit/entries?action=controlPlane.recovered").unwrap();
    assert_eq!(reported["items"].as_array().map(Vec::len), Some(1), "it is on the record: {reported:#}");

    let point = yunwei(&house.api, &["control-plane", "show"])["points"][0].clone();
    assert_eq!((&point["id"], &point["state"]), (&told["point"], &json!("degraded")), "{point:#}");

    // And it is kept again, now that both places are there.
    shelves[0].serve().unwrap();
    let again = yunwei(&house.api, &["control-plane", "backup"]);
    assert_eq!(again["state"], "available", "{again:#}");

    let orphan = orphans()[0]["orphan"]["id"].clone();
    house.api.post("/api/v1/orphans/remove", &json!({ "host": host.id, "id": orphan })).unwrap();
    customer.terminate_all().unwrap();
    house.wait_until_free(&host, Duration::from_secs(120)).unwrap();
}
