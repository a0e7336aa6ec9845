//! A drill as an operator makes it with the command line: a real machine is brought back on a second
//! host from a copy elsewhere, measured, and taken away; and one whose copy is rotten fails.

use std::os::unix::fs::{FileExt as _, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use base::time::Timestamp;
use serde_json::{Value as Json, json};
use testkit::{Api, Binaries, Installation, Machines, Options, Shelf, credential, settled};

use crate::backups::{id, shelter, yunwei};
use crate::{Scratch, has_hypervisor};

/// `yunwei` where it may fail: whether it did well, and what it printed.
fn tried(api: &Api, words: &[&str]) -> (Option<i32>, String) {
    let mut command = Binaries::find().unwrap().yunwei();
    command.env("YUNWEI_URL", &api.url).env("YUNWEI_TOKEN", &api.token).args(words).arg("--json");
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

/// A drill that was run to its end, however that was.
fn drilled(api: &Api, plan: &str) -> (Option<i32>, Json) {
    let (code, told) = tried(api, &["drill", "run", plan]);
    (code, serde_json::from_str(&told).unwrap())
}

/// Flips a byte in the middle of every pack; done twice, everything is as it was.
fn rot(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            rot(&path);
            continue;
        }
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        let file = std::fs::File::options().read(true).write(true).open(&path).unwrap();
        let (middle, mut byte) = (file.metadata().unwrap().len() / 2, [0]);
        file.read_exact_at(&mut byte, middle).unwrap();
        file.write_all_at(&[byte[0] ^ 0xff], middle).unwrap();
    }
}

/// The folder with the packs of a repository below it.
fn packs(below: &Path) -> std::path::PathBuf {
    let found = std::process::Command::new("find").arg(below).args(["-type", "d", "-name", "data"]).output().unwrap();
    let all = String::from_utf8(found.stdout).unwrap();
    let deepest = all.lines().max_by_key(|path| path.matches('/').count()).unwrap();
    deepest.into()
}

#[test]
fn a_service_is_brought_back_on_a_second_host_measured_and_proven_and_a_rotten_copy_fails() {
    if !has_hypervisor() {
        return;
    }
    let scratch = Scratch::new("drill");
    let mut house = Installation::start(&scratch.0, Options::default()).unwrap();
    let host = Machines::start(&house, "h").unwrap();
    house.seed().unwrap();
    let customer = house.customer("Customer", "owner@customer.example").unwrap();
    customer.order("web-01").unwrap().watch(&customer.api).unwrap();
    let mut other = Machines::start(&house, "g").unwrap();
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
    let (file, name) = (shelf.secret_file(&customer.tenant, "append"), credential(&customer.tenant, "append"));
    let credential = ["backup", "places", "credential", id(&second), "--role", "append", "--name", &name];
    let whose = ["--tenant", &customer.tenant, "--secret-file", file.to_str().unwrap()];
    yunwei(&staff, &[&credential[..], &whose].concat());
    let policy = ["backup", "policies", "add", "nightly", "--calendar", "daily 02:00", "--daily", "7"];
    let policy = yunwei(&staff, &[&policy[..], &["--place", id(&first), "--place", id(&second)]].concat());
    yunwei(&staff, &["backup", "protect", &service, "--policy", id(&policy)]);
    std::thread::sleep(Duration::from_secs(3));
    let point = yunwei(&customer.api, &["backup", "run", &service]);
    assert_eq!(point["state"], "available", "{point:#}");

    let plan = ["drill", "plans", "create", "quarterly", "--service", &service, "--scenario", "host-lost"];
    let promised = ["--rto", "10m", "--rpo", "1h", "--owner", "Operations", "--negative-every", "2"];
    let plan = yunwei(&customer.api, &[&plan[..], &promised].concat());
    let before = (host.domains().unwrap(), other.domains().unwrap());
    let (code, run) = drilled(&customer.api, id(&plan));
    assert_eq!((code, &run["state"]), (Some(0), &"passed".into()), "{run:#}");
    let one = &run["services"][0];
    assert_eq!((&one["place"], &one["machines"][0]["host"]), (&second["id"], &other.id.as_str().into()), "{run:#}");
    let (rto, rpo) = (one["rtoMilliseconds"].as_u64().unwrap(), one["rpoMilliseconds"].as_u64().unwrap());
    let incident: Timestamp = run["incidentAt"].as_str().unwrap().parse().unwrap();
    let newest: Timestamp = one["newestRecord"].as_str().unwrap().parse().unwrap();
    let taken: Timestamp = point["takenAt"].as_str().unwrap().parse().unwrap();
    assert!((-2..=10).contains(&(taken.as_second() - newest.as_second())), "{run:#}");
    assert_eq!(
        rpo.div_ceil(1_000),
        u64::try_from(incident.duration_since(newest).as_millis()).unwrap().div_ceil(1_000)
    );
    assert_eq!(run["control"]["state"], "damageFound", "{run:#}");
    eprintln!("RTO {rto} ms, RPO {rpo} ms, phases {}", one["phases"]);
    assert_eq!((host.domains().unwrap(), other.domains().unwrap()), before, "nothing of the drill is left");
    assert!(other.directories().is_empty(), "no disk either: {:?}", other.directories());
    let standing = yunwei(&customer.api, &["backup", "show", &service]);
    assert_eq!(standing["digits"][4]["standing"], "met", "{standing:#}");

    // The evidence, looked at where there is no server.
    let evidence = scratch.0.join("evidence.json");
    let written = evidence.to_str().unwrap();
    assert_eq!(tried(&customer.api, &["evidence", "get", id(&run), "--out", written]).0, Some(0));
    let key = house.data().join("keys/audit.pub");
    let offline = |file: &str| {
        let mut command = Binaries::find().unwrap().yunwei();
        command.env_clear().args(["evidence", "verify", file, "--key"]).arg(&key).arg("--json");
        let output = command.output().unwrap();
        (output.status.code(), serde_json::from_slice::<Json>(&output.stdout).unwrap())
    };
    let (code, report) = offline(written);
    assert_eq!((code, &report["ok"], &report["verdict"]), (Some(0), &true.into(), &"passed".into()), "{report:#}");
    let text = std::fs::read_to_string(&evidence).unwrap();
    let forged = scratch.0.join("forged.json");
    std::fs::write(&forged, text.replacen("\"rtoSeconds\": 600", "\"rtoSeconds\": 60", 1)).unwrap();
    let (code, report) = offline(forged.to_str().unwrap());
    assert_eq!((code, &report["ok"]), (Some(1), &false.into()));
    assert!(report["problems"].to_string().contains("/objectives/rtoSeconds"), "{report:#}");

    assert_eq!(run["detection"], json!({ "basis": "configured", "silentSeconds": 90, "lookSeconds": 15 }));

    // A machine is lost: the drill's own is ended behind everybody's back, and it is timed until that is seen.
    let lost = ["drill", "plans", "create", "lost", "--service", &service, "--scenario", "machine-lost"];
    let lost = yunwei(&customer.api, &[&lost[..], &promised].concat());
    let (code, run) = drilled(&customer.api, id(&lost));
    assert_eq!((code, &run["state"]), (Some(0), &"passed".into()), "{run:#}");
    let unseen = run["detection"]["milliseconds"].as_u64().unwrap_or_else(|| panic!("{run:#}"));
    eprintln!("a loss goes unseen for {unseen} ms");
    assert!(run["detection"]["basis"] == "measured" && unseen < 30_000, "{run:#}");
    assert!(run["services"][0]["rtoMilliseconds"].as_u64().is_some_and(|rto| rto >= unseen), "{run:#}");
    assert_eq!((host.domains().unwrap(), other.domains().unwrap()), before, "nothing of the drill is left");

    // Everything dies on the way, and comes again.
    let begun = yunwei(&customer.api, &["drill", "run", id(&plan), "--no-wait"]);
    std::thread::sleep(Duration::from_millis(700));
    other.kill_agent().unwrap();
    house.kill_server().unwrap();
    house.start_server().unwrap();
    other.start_agent().unwrap();
    let until = Instant::now() + Duration::from_secs(180);
    let again = loop {
        let now = yunwei(&customer.api, &["drill", "show", id(&begun)]);
        if now["state"] != "running" {
            break now;
        }
        assert!(Instant::now() < until, "{now:#}");
        std::thread::sleep(Duration::from_millis(200));
    };
    assert_eq!(again["state"], "passed", "{again:#}");

    // What nobody has noticed, a drill does.
    let packs = packs(&shelf.folder.join("data"));
    rot(&packs);
    let (code, run) = drilled(&customer.api, id(&plan));
    assert_eq!((code, &run["state"]), (Some(5), &"failed".into()), "{run:#}");
    let why = run["misses"][0]["code"].as_str().unwrap();
    assert!(["repository.damaged", "repository.incomplete"].contains(&why), "{run:#}");
    assert_eq!((host.domains().unwrap(), other.domains().unwrap()), before, "nothing of it is left");
    let open = yunwei(&customer.api, &["drill", "actions"]);
    assert_eq!((open.as_array().unwrap().len(), &open[0]["owner"]), (1, &"Operations".into()), "{open:#}");
    // It is known of the copy now; somebody puts its place right and has it looked at.
    let path = format!("/api/v1/recovery-points/{}", id(&point));
    let copies = customer.api.get(&path).unwrap()["parts"][0]["copies"].clone();
    assert!(copies.as_array().unwrap().iter().any(|copy| copy["state"] == "damaged"), "{copies:#}");
    rot(&packs);
    customer.api.post(&format!("{path}/check"), &json!({})).unwrap();
    settled(&customer.api, &path).unwrap();
    assert_eq!(drilled(&customer.api, id(&plan)).1["state"], "passed");
    assert_eq!(yunwei(&customer.api, &["drill", "actions"]).as_array().unwrap().len(), 0, "a passing drill closes it");

    // The drills were nobody's usage.
    let machines = customer.api.get("/api/v1/usage-summary").unwrap();
    let used = customer.api.get("/tmf-api/usageManagement/v4/usage?limit=100").unwrap();
    for drill in [&run, &again] {
        let made = drill["services"][0]["machines"][0]["made"].as_str().unwrap();
        assert!(!machines.to_string().contains(made) && !used.to_string().contains(made), "{made} is metered");
    }
}

/// Where somebody stops a drill.
#[derive(Clone, Copy, Debug)]
enum At {
    /// A host has room for its machine, which is about to be made.
    Restoring,
    /// Its machine boots.
    Booting,
    /// The same, and everything dies right after.
    BootingBeforeACrash,
}

/// What a drill may have made: on the host, and in the books.
fn traces(house: &Installation, host: &Machines) -> Json {
    let items = |path: &str| house.api.get(path).unwrap()["items"].clone();
    let reserved = items(&format!("/api/v1/reservations?host={}", host.id));
    let reserved: Vec<Json> =
        reserved.as_array().unwrap().iter().filter(|one| one["state"] != "released").cloned().collect();
    json!({
        "domains": host.domains().unwrap(), "disks": host.directories(),
        "reservations": reserved, "addresses": items("/api/v1/claims"),
    })
}

#[test]
fn a_drill_that_somebody_stops_leaves_nothing_on_its_host_and_is_neither_passed_nor_failed() {
    if !has_hypervisor() {
        return;
    }
    let scratch = Scratch::new("stop");
    let mut house = Installation::start(&scratch.0, Options::default()).unwrap();
    let host = Machines::start(&house, "h").unwrap();
    house.seed().unwrap();
    let customer = house.customer("Customer", "owner@customer.example").unwrap();
    let order = customer.order("web-01").unwrap();
    order.watch(&customer.api).unwrap();
    let mut other = Machines::start(&house, "g").unwrap();
    let shelf = Shelf::start(&scratch.0.join("shelf"), &[&customer.tenant]).unwrap();
    let service = shelter(&scratch, &house, &host, &shelf, &customer);
    let api = &customer.api;
    let plan = ["drill", "plans", "create", "quarterly", "--service", &service, "--scenario", "host-lost"];
    let promised = ["--rto", "10m", "--rpo", "1h", "--owner", "Operations", "--negative-every", "9"];
    let plan = yunwei(api, &[&plan[..], &promised].concat());
    let before = traces(&house, &other);
    let key = house.data().join("keys/audit.pub");

    for at in [At::Restoring, At::Booting, At::BootingBeforeACrash] {
        let run = yunwei(api, &["drill", "run", id(&plan), "--no-wait"]);
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let now = yunwei(api, &["drill", "show", id(&run)]);
            assert!(now["state"] == "running" && Instant::now() < until, "{at:?}: {now:#}");
            let reached = match at {
                At::Restoring => now["services"][0]["machines"][0]["made"].is_string(),
                At::Booting | At::BootingBeforeACrash => !other.domains().unwrap().is_empty(),
            };
            if reached {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let stopping = yunwei(api, &["drill", "stop", id(&run), "--reason", "磁碟要先用來還原"]);
        assert_eq!(stopping["stopped"]["reason"], "磁碟要先用來還原", "{stopping:#}");
        if let At::BootingBeforeACrash = at {
            other.kill_agent().unwrap();
            house.kill_server().unwrap();
            house.start_server().unwrap();
            other.start_agent().unwrap();
        }
        let until = Instant::now() + Duration::from_secs(120);
        let stopped = loop {
            let now = yunwei(api, &["drill", "show", id(&run)]);
            if now["state"] != "running" {
                break now;
            }
            assert!(Instant::now() < until, "{at:?}: it is still on its way: {now:#}");
            std::thread::sleep(Duration::from_millis(100));
        };
        // Nothing is left by the time that it is said to be over.
        assert_eq!(traces(&house, &other), before, "{at:?}");
        assert_eq!((&stopped["state"], &stopped["misses"]), (&json!("stopped"), &json!([])), "{at:?}: {stopped:#}");
        assert_eq!(stopped["control"]["state"], "notMade", "{at:?}: it was due, and the next one makes it");
        assert_eq!(tried(api, &["drill", "stop", id(&run), "--reason", "again"]).0, Some(5), "{at:?}: it is over");

        let (file, mut verify) = (scratch.0.join("evidence.json"), Binaries::find().unwrap().yunwei());
        assert_eq!(tried(api, &["evidence", "get", id(&run), "--out", file.to_str().unwrap()]).0, Some(0));
        let output = verify.env_clear().args(["evidence", "verify"]).arg(&file).arg("--key").arg(&key).arg("--json");
        let report: Json = serde_json::from_slice(&output.output().unwrap().stdout).unwrap();
        assert_eq!((&report["ok"], &report["verdict"]), (&json!(true), &json!("stopped")), "{at:?}: {report:#}");
    }
    // Nobody has anything to do for it, nobody was alarmed, and the service saw nothing of it.
    assert_eq!(yunwei(api, &["drill", "actions", "--all"]), json!([]));
    let alarms = api.get("/api/v1/alarms").unwrap();
    assert_eq!(alarms["items"], json!([]), "{alarms:#}");
    order.visit(api).unwrap();
    // The next one is whole, its negative control with it.
    let (code, run) = drilled(api, id(&plan));
    assert_eq!((code, &run["state"]), (Some(0), &json!("passed")), "{run:#}");
    assert_eq!(run["control"]["state"], "damageFound", "{run:#}");
    assert_eq!(traces(&house, &other), before);
}
