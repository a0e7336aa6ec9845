//! Files of a host without machines, such as a guest with an agent of its own: taken, lost and brought
//! back as an operator and a customer do it with the command line.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use testkit::{Api, Binaries, Daemon, Installation, Machines, Options, Shelf};

use crate::backups::{id, yunwei};
use crate::{Scratch, has_hypervisor};

/// An agent that looks after no machines.
struct Guest {
    id: String,
    folder: std::path::PathBuf,
    agent: Option<Daemon>,
}

impl Guest {
    fn command(&self, words: &[&str]) -> std::process::Command {
        let mut command = Binaries::find().unwrap().agent();
        command.args(words).arg("--no-machines").arg("--data").arg(self.folder.join("agent"));
        command
    }

    fn start(house: &Installation, folder: &Path) -> Guest {
        fs::create_dir(folder).unwrap();
        let mut guest = Guest { id: String::new(), folder: folder.to_owned(), agent: None };
        let pools = house.api.get("/api/v1/pools").unwrap();
        let pool =
            json!({ "site": pools["items"][0]["site"], "name": "guests", "portFirst": 1_024, "portLast": 1_025 });
        let pool = house.api.post("/api/v1/pools", &pool).unwrap();
        let invited = json!({ "pool": pool["id"], "note": "a guest" });
        let invited = house.api.post("/api/v1/hosts/invitations", &invited).unwrap();
        let server = format!("https://{}", house.agent_address());
        let enrol = ["enrol", "--server", &server, "--token", invited["token"].as_str().unwrap()];
        let enrolled = guest.command(&enrol).output().unwrap();
        let said = String::from_utf8_lossy(&enrolled.stdout).into_owned();
        assert!(enrolled.status.success(), "{}", String::from_utf8_lossy(&enrolled.stderr));
        guest.id = said.split([' ', ',']).find(|word| word.starts_with("hst_")).unwrap().to_owned();
        guest.run();
        let known = || house.api.get(&format!("/api/v1/hosts/{}", guest.id)).unwrap();
        until("the guest to be heard of", || known()["reachable"] == true);
        assert_eq!(known()["facts"]["cpuCores"], 0, "it offers nothing");
        guest
    }

    fn run(&mut self) {
        self.agent = Some(Daemon::start("a guest's agent", self.command(&["run"]), &self.folder.join("log")).unwrap());
    }
}

fn until(what: &str, there: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(90);
    while !there() {
        assert!(Instant::now() < end, "waited for {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn status(api: &Api, method: &str, path: &str, body: &Json) -> u16 {
    let bytes = body.to_string().into_bytes();
    let body = (method != "GET").then_some(bytes.as_slice());
    api.send(method, path, &[("content-type", "application/json")], body).unwrap().status
}

#[test]
fn a_guests_files_are_kept_by_its_own_agent_and_come_back() {
    if !has_hypervisor() {
        return;
    }
    let scratch = Scratch::new("data");
    let house = Installation::start(&scratch.0, Options::default()).unwrap();
    let _host = Machines::start(&house, "h").unwrap();
    house.seed().unwrap();
    let customer = house.customer("Customer", "owner@customer.example").unwrap();
    let stranger = house.customer("Stranger", "owner@stranger.example").unwrap();
    customer.order("web-01").unwrap().watch(&customer.api).unwrap();
    let services = "/tmf-api/serviceInventory/v4/service?category=CustomerFacingService&state=active";
    let service = id(&customer.api.get(services).unwrap()[0]).to_owned();

    let mut guest = Guest::start(&house, &scratch.0.join("guest"));
    let www = scratch.0.join("www");
    fs::create_dir_all(www.join("deep")).unwrap();
    fs::write(www.join("index.html"), "hello ".repeat(100_000)).unwrap();
    fs::write(www.join("deep/雲.txt"), "維").unwrap();
    let shelf = Shelf::start(&scratch.0.join("shelf"), &[&customer.tenant]).unwrap();
    let folder = json!({ "type": "folder", "host": guest.id, "path": scratch.0.join("near") });
    let near = house.place("near", &folder, "none").unwrap();
    let far = house.place_at("far", &shelf, &[&customer.tenant]).unwrap();
    let staff = house.api.clone();
    let policy = ["backup", "policies", "add", "data", "--calendar", "daily 02:00", "--what", "data-sets"];
    let policy = yunwei(&staff, &[&policy[..], &["--place", &near, "--place", &far]].concat());
    let path = www.display().to_string();
    let set = ["backup", "data-set", "add", &service, "www", "--host", &guest.id, "--path", &path];
    let set = id(&yunwei(&staff, &set)).to_owned();
    yunwei(&staff, &["backup", "protect", &service, "--policy", id(&policy)]);

    let point = yunwei(&customer.api, &["backup", "run", &service]);
    assert_eq!((&point["state"], &point["parts"][0]["kind"]), (&json!("available"), &json!("dataSet")), "{point:#}");
    assert_eq!(point["parts"][0]["taken"]["consistency"], "fileByFile", "{point:#}");

    // Lost, and brought back by whose it is; the agent dies on the way.
    fs::remove_dir_all(&www).unwrap();
    let begun = yunwei(&customer.api, &["backup", "data-set", "restore", &set, "--no-wait"]);
    guest.agent.take().unwrap().kill().unwrap();
    guest.run();
    let back = format!("/api/v1/data-restores/{}", id(&begun));
    until("the restore to end", || customer.api.get(&back).unwrap()["state"] != "running");
    let came = customer.api.get(&back).unwrap();
    assert_eq!(came["state"], "done", "{came:#}");
    let at = Path::new(came["restored"]["at"].as_str().unwrap()).join(www.strip_prefix("/").unwrap());
    assert_eq!(fs::read_to_string(at.join("index.html")).unwrap(), "hello ".repeat(100_000));
    assert_eq!(fs::read_to_string(at.join("deep/雲.txt")).unwrap(), "維");

    // Where on a host is the operator's to say, and what is whose is nobody else's.
    let make = format!("/api/v1/services/{service}/data-sets");
    let new = json!({ "name": "keys", "host": guest.id, "source": { "type": "files", "paths": ["/root"] } });
    assert_eq!(status(&customer.api, "POST", &make, &new), 403);
    let wish = format!("/api/v1/data-sets/{set}/restore");
    let chosen = json!({ "to": { "type": "directory", "below": "/root/.ssh" } });
    let refused = status(&customer.api, "POST", &wish, &chosen);
    assert!([403, 404].contains(&refused), "{refused}");
    for (method, path) in
        [("GET", &make), ("GET", &format!("/api/v1/data-sets/{set}")), ("POST", &wish), ("GET", &back)]
    {
        assert_eq!(status(&stranger.api, method, path, &json!({})), 404, "{method} {path}");
    }
}
