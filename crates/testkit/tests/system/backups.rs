//! Backups as an operator sets them up with the command line, of a real machine, with Debian's
//! restic as the judge of what lies in the places.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base::time::Timestamp;
use serde_json::{Value as Json, json};
use testkit::{Api, Binaries, Customer, Installation, Machines, Options, Shelf, credential};

use crate::{Scratch, has_hypervisor};

pub fn has_restic() -> bool {
    let there = Command::new("restic").arg("version").output().is_ok();
    if !there {
        db::testing::pass_over("YUNWEI_TEST_RESTIC", "restic is not installed");
    }
    there
}

/// `yunwei`, as somebody whose answers are read by a program.
pub fn yunwei(api: &Api, words: &[&str]) -> Json {
    let mut command = Binaries::find().unwrap().yunwei();
    command.env("YUNWEI_URL", &api.url).env("YUNWEI_TOKEN", &api.token).args(words).arg("--json");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

pub fn id(made: &Json) -> &str {
    made["id"].as_str().unwrap()
}

/// Debian's restic, on one of the customer's repositories.
struct Restic {
    repository: String,
    password: String,
}

impl Restic {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("restic");
        command.env("RESTIC_PASSWORD", &self.password).args(["--no-cache", "--no-lock", "-r", &self.repository]);
        command.args(words);
        command
    }

    fn run(&self, words: &[&str]) -> Vec<u8> {
        let output = self.command(words).output().unwrap();
        assert!(output.status.success(), "restic {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn snapshots(&self) -> Vec<Json> {
        serde_json::from_slice(&self.run(&["snapshots", "--json"])).unwrap()
    }

    /// Brings the data disk out of a snapshot, holes as holes: a disk is a hundred times what it holds.
    fn data_disk(&self, snapshot: &str, to: &Path) {
        let listed = String::from_utf8(self.run(&["ls", snapshot])).unwrap();
        let inside = listed.lines().find(|path| path.ends_with("/data.raw")).unwrap();
        let mut dumping = self.command(&["dump", snapshot, inside]).stdout(Stdio::piped()).spawn().unwrap();
        let mut sparse = Command::new("dd");
        sparse.args(["bs=64k", "iflag=fullblock", "conv=sparse", "status=none"]).arg(format!("of={}", to.display()));
        let written = sparse.stdin(dumping.stdout.take().unwrap()).status().unwrap();
        assert!(dumping.wait().unwrap().success() && written.success(), "{inside} of {snapshot} does not come out");
    }

    /// The newest second that the guest had written down when that copy was taken.
    fn newest_second(&self, snapshot: &str, disk: &Path) -> i64 {
        self.data_disk(snapshot, disk);
        // What the guest's own system would do first: the journal of the file system is played.
        let _ = Command::new("/usr/sbin/e2fsck").arg("-p").arg(disk).output().unwrap();
        let read = Command::new("/usr/sbin/debugfs").args(["-R", "cat lived.log"]).arg(disk).output().unwrap().stdout;
        let log = String::from_utf8(read).unwrap();
        log.lines().last().and_then(|line| line.split(' ').next()).unwrap().parse().unwrap()
    }
}

/// The customer leaves with what it needs to read its backups alone.
fn leave(api: &Api, place: &str, repository: String) -> Restic {
    let all = api.get("/api/v1/backup-repositories").unwrap();
    let one = all["items"].as_array().unwrap().iter().find(|one| one["placeName"] == place).unwrap().clone();
    let told = api
        .post(&format!("/api/v1/backup-repositories/{}/reveal-escrow", id(&one)), &json!({ "reason": "we leave" }))
        .unwrap();
    Restic { repository, password: told["password"].as_str().unwrap().to_owned() }
}

fn settled(api: &Api, point: &str) -> Json {
    let until = Instant::now() + Duration::from_secs(180);
    loop {
        let now = yunwei(api, &["backup", "show", point]);
        if now["state"] != "taking" {
            return now;
        }
        assert!(Instant::now() < until, "it is still being taken: {now:#}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_service_is_protected_as_the_book_says_and_its_owner_can_leave_with_plain_restic() {
    if !has_hypervisor() || !has_restic() {
        return;
    }
    let scratch = Scratch::new("backup");
    let mut house = Installation::start(&scratch.0, Options::default()).unwrap();
    let mut host = Machines::start(&house, "h").unwrap();
    house.seed().unwrap();
    let customer = house.customer("Customer", "owner@customer.example").unwrap();
    let stranger = house.customer("Stranger", "owner@stranger.example").unwrap();
    customer.order("web-01").unwrap().watch(&customer.api).unwrap();
    let services = "/tmf-api/serviceInventory/v4/service?category=CustomerFacingService&state=active";
    let service = id(&customer.api.get(services).unwrap()[0]).to_owned();

    let (near, shelf) = (scratch.0.join("near"), Shelf::start(&scratch.0.join("shelf"), &[&customer.tenant]).unwrap());
    std::fs::create_dir_all(&near).unwrap();
    std::fs::set_permissions(&near, PermissionsExt::from_mode(0o777)).unwrap();
    let staff = house.api.clone();
    let folder = format!("{}:{}", host.id, near.display());
    let first = yunwei(&staff, &["backup", "places", "add", "near", "--folder", &folder]);
    let far = ["backup", "places", "add", "far", "--server", &shelf.url, "--site", "elsewhere"];
    let second = yunwei(&staff, &[&far[..], &["--immutability", "append-only"]].concat());
    for role in ["append", "maintain"] {
        let (file, name) = (shelf.secret_file(&customer.tenant, role), credential(&customer.tenant, role));
        let credential = ["backup", "places", "credential", id(&second), "--role", role, "--name", &name];
        let whose = ["--tenant", &customer.tenant, "--secret-file", file.to_str().unwrap()];
        yunwei(&staff, &[&credential[..], &whose].concat());
    }
    let policy = ["backup", "policies", "add", "nightly", "--calendar", "daily 02:00", "--daily", "7"];
    let policy = yunwei(&staff, &[&policy[..], &["--place", id(&first), "--place", id(&second)]].concat());
    yunwei(&staff, &["backup", "protect", &service, "--policy", id(&policy)]);

    let point = yunwei(&customer.api, &["backup", "run", &service]);
    assert_eq!(point["state"], "available", "{point:#}");
    let standing = yunwei(&customer.api, &["backup", "show", &service]);
    let digits: Vec<(&str, &str)> = standing["digits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|digit| (digit["name"].as_str().unwrap(), digit["standing"].as_str().unwrap()))
        .collect();
    let met = ["copies", "media", "offSite", "immutable"].map(|name| (name, "met"));
    assert_eq!(digits, [&met[..], &[("errors", "notProven")]].concat(), "nothing was restored yet: {standing:#}");

    // Once more, and everything dies on the way.
    let begun = yunwei(&customer.api, &["backup", "run", &service, "--no-wait"]);
    std::thread::sleep(Duration::from_millis(400));
    host.kill_agent().unwrap();
    house.kill_server().unwrap();
    house.start_server().unwrap();
    host.start_agent().unwrap();
    let again = settled(&customer.api, id(&begun));
    assert_eq!(again["state"], "available", "{again:#}");

    let far = shelf.for_restic(&customer.tenant).unwrap();
    let near = near.join(&customer.tenant).display().to_string();
    for (place, repository) in [("near", near), ("far", far)] {
        let restic = leave(&customer.api, place, repository);
        assert_eq!(restic.snapshots().len(), 2, "{place}: each point once, whatever died meanwhile");
        restic.run(&["check", "--read-data"]);
        for one in [&point, &again] {
            let copies = one["parts"][0]["copies"].as_array().unwrap();
            let copy = copies.iter().find(|copy| copy["placeName"] == place).unwrap();
            let disk = scratch.0.join("data.raw");
            let newest = restic.newest_second(copy["snapshot"].as_str().unwrap(), &disk);
            std::fs::remove_file(&disk).unwrap();
            let taken: Timestamp = one["takenAt"].as_str().unwrap().parse().unwrap();
            let age = taken.as_second() - newest;
            // An emulated machine's clock may run ahead of its host's.
            assert!(
                (-60..=10).contains(&age),
                "{place}: the newest record inside is {age} s older than the point says"
            );
        }
    }

    // Looked at again, and by other rules; left on the command line, too; and ended.
    let checked = yunwei(&customer.api, &["backup", "check", id(&point)]);
    assert_eq!(checked["state"], "available", "{checked:#}");
    let fewer = yunwei(&staff, &["backup", "policies", "preview", id(&policy), "--last", "1"]);
    let (keeps, goes) = (&fewer[0]["keeps"], &fewer[0]["goes"][0]["point"]);
    assert_eq!((keeps, goes), (&json!(1), &point["id"]), "{fewer:#}");
    let changed = yunwei(&staff, &["backup", "policies", "change", id(&policy), "--calendar", "weekly sun 03:00"]);
    assert_eq!((&changed["revision"], &changed["retention"]["daily"]), (&json!(2), &json!(7)), "{changed:#}");
    let renamed = yunwei(&staff, &["backup", "places", "change", id(&first), "--name", "nearest"]);
    assert_eq!(renamed["name"], "nearest", "{renamed:#}");
    let all = yunwei(&customer.api, &["backup", "repositories"]);
    let read = yunwei(&customer.api, &["backup", "check-repository", id(&all[0])]);
    assert!(read["readAt"].is_string() && read["reading"].is_null(), "{read:#}");
    let told = yunwei(&customer.api, &["backup", "reveal-escrow", id(&all[0]), "--reason", "a look"]);
    assert!(told["password"].as_str().unwrap().len() > 20);
    let ended = yunwei(&staff, &["backup", "unprotect", &service]);
    assert!(ended["policy"].is_null() && ended["newest"].is_object(), "{ended:#}");

    // Nobody else sees it or has it taken.
    for path in [format!("/api/v1/recovery-points/{}", id(&point)), format!("/api/v1/services/{service}/protection")] {
        assert_eq!(stranger.api.send("GET", &path, &[], None).unwrap().status, 404, "{path}");
    }
    let take = format!("/api/v1/services/{service}/backup");
    let json = [("content-type", "application/json")];
    assert_eq!(stranger.api.send("POST", &take, &json, Some(b"{}")).unwrap().status, 404);
    let theirs = stranger.api.get("/api/v1/backup-repositories").unwrap();
    assert_eq!(theirs["items"], json!([]));
}

/// Sets up a copy on the host itself and one at a server, and takes a point. Gives the service.
pub fn shelter(scratch: &Scratch, house: &Installation, host: &Machines, shelf: &Shelf, customer: &Customer) -> String {
    let services = "/tmf-api/serviceInventory/v4/service?category=CustomerFacingService&state=active";
    let service = id(&customer.api.get(services).unwrap()[0]).to_owned();
    let near = scratch.0.join("near");
    std::fs::create_dir_all(&near).unwrap();
    std::fs::set_permissions(&near, PermissionsExt::from_mode(0o777)).unwrap();
    let folder = json!({ "type": "folder", "host": host.id, "path": near });
    let near = house.place("near", &folder, "none").unwrap();
    let far = house.place_at("far", shelf, &[&customer.tenant]).unwrap();
    let policy = house.backup_policy("nightly", "daily 02:00", &[near, far]).unwrap();
    yunwei(&house.api, &["backup", "protect", &service, "--policy", &policy]);
    let point = yunwei(&customer.api, &["backup", "run", &service]);
    assert_eq!(point["state"], "available", "{point:#}");
    service
}

/// Where a service is reached, as its record says.
fn address(api: &Api, service: &str) -> String {
    let status = api.get(&format!("/api/v1/services/{service}/status")).unwrap();
    status["address"].as_str().unwrap().to_owned()
}

#[test]
fn a_service_whose_host_is_lost_answers_again_on_another_host_and_its_record_goes_on() {
    if !has_hypervisor() {
        return;
    }
    let scratch = Scratch::new("restore");
    let mut house = Installation::start(&scratch.0, Options::default()).unwrap();
    let mut first = Machines::start(&house, "h1").unwrap();
    house.seed().unwrap();
    let customer = house.customer("Customer", "owner@customer.example").unwrap();
    let order = customer.order("web-01").unwrap();
    order.watch(&customer.api).unwrap();
    let second = Machines::start(&house, "h2").unwrap();
    assert_ne!(first.id, second.id);
    let shelf = Shelf::start(&scratch.0.join("shelf"), &[&customer.tenant]).unwrap();
    // By the machine's own clock, which an emulated one may have off: what it recorded before the point and after it.
    let recorded = || {
        let page = order.visit(&customer.api).unwrap().url;
        let status = Api::new(page.trim_end_matches('/'), "").get("/status.json").unwrap();
        status["lastSecond"].as_i64().unwrap()
    };
    let earlier = recorded();
    let service = shelter(&scratch, &house, &first, &shelf, &customer);
    let later = recorded();
    let (before, api) = (address(&customer.api, &service), &customer.api);
    let restore = ["backup", "restore", service.as_str()];

    // The host is gone with all its disks; after a while it is known to be silent.
    first.lose_disks().unwrap();
    let until = Instant::now() + Duration::from_secs(150);
    let plan = loop {
        let plan = yunwei(api, &[&restore[..], &["--plan"]].concat());
        if plan["alive"] == false {
            break plan;
        }
        assert!(Instant::now() < until, "the service seems to answer still: {plan:#}");
        std::thread::sleep(Duration::from_secs(1));
    };
    assert_eq!((&plan["placeName"], &plan["machines"][0]["host"]), (&json!("far"), &json!(second.id)), "{plan:#}");
    assert_eq!(plan["estimatedSeconds"], Json::Null, "nothing was ever brought back from there");

    // On its way the server is killed.
    let begun = yunwei(api, &[&restore[..], &["--no-wait"]].concat());
    std::thread::sleep(Duration::from_millis(600));
    house.kill_server().unwrap();
    house.start_server().unwrap();
    let until = Instant::now() + Duration::from_secs(180);
    let done = loop {
        let now = yunwei(api, &["backup", "restore", "show", id(&begun)]);
        if now["state"] != "running" {
            break now;
        }
        assert!(Instant::now() < until, "it is still on its way: {now:#}");
        std::thread::sleep(Duration::from_millis(200));
    };
    assert_eq!(done["state"], "done", "{done:#}");
    assert_eq!(second.domains().unwrap().len(), 1, "one machine, whoever died meanwhile");
    assert!(done["disks"].as_array().is_some_and(|disks| disks.len() == 2), "{done:#}");

    // The page answers, at the address that the service says, with the data of the point.
    let now = address(api, &service);
    assert_ne!(now, before);
    order.visit(api).unwrap();
    let status = Api::new(&now, "").get("/status.json").unwrap();
    let newest = status["lastSecondBeforeBoot"].as_i64().unwrap();
    assert!((earlier - 2..=later).contains(&newest), "not in {earlier}..={later} as the point is: {status:#}");
    let seen = api.get(&format!("/api/v1/services/{service}/status")).unwrap();
    assert_eq!((&seen["condition"], seen["machines"].as_array().unwrap().len()), (&json!("running"), 1), "{seen:#}");

    // The host comes back: the lost machine is not started again, and what it held is free.
    first.start_hypervisor().unwrap();
    first.start_agent().unwrap();
    let until = Instant::now() + Duration::from_secs(90);
    loop {
        let held = house.api.get(&format!("/api/v1/reservations?host={}", first.id)).unwrap();
        if held["items"] == json!([]) {
            break;
        }
        assert!(Instant::now() < until, "it holds something still: {held:#}");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(first.domains().unwrap().is_empty());
    order.visit(api).unwrap();
    house.stop_server().unwrap();
    assert_eq!(house.run_json(&["audit", "verify"]).unwrap()["ok"], true);
}
