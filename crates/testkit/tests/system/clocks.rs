//! Clocks that are set forward and back while the house is at work.
//!
//! libfaketime changes what the server takes for the time; hosts keep theirs.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;
use testkit::{Api, Installation, Machines, Options};

use crate::{Scratch, has_hypervisor};

/// A clock that the test owns: a file holds how far it is off.
pub struct Clock(PathBuf);

impl Clock {
    /// Where libfaketime is installed; says so where it is not and need not be.
    pub fn new(folder: &Path) -> Option<(Clock, Options)> {
        let library = [
            "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
            "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
        ];
        let Some(library) = library.into_iter().find(|path| Path::new(path).exists()) else {
            db::testing::pass_over(db::testing::TOOLS, "libfaketime is not installed (Debian: libfaketime)");
            return None;
        };
        let clock = Clock(folder.join("clock"));
        clock.set(0);
        let environment = [
            ("LD_PRELOAD", library),
            ("FAKETIME_TIMESTAMP_FILE", clock.0.to_str()?),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Some((clock, Options { environment, ..Options::default() }))
    }

    /// Sets it so many seconds off from now on.
    pub fn set(&self, seconds: i64) {
        let fresh = self.0.with_extension("new");
        std::fs::write(&fresh, format!("{seconds:+}\n")).unwrap();
        std::fs::rename(fresh, &self.0).unwrap();
    }
}

const HOUR: i64 = 3_600;
const ORDERS: &str = "/tmf-api/productOrderingManagement/v4/productOrder";

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(120);
    while !holds() {
        assert!(Instant::now() < end, "still waiting for {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn state(api: &Api, order: &str) -> String {
    api.get(&format!("{ORDERS}/{order}")).unwrap()["state"].as_str().unwrap_or_default().to_owned()
}

fn checkpoint(api: &Api) -> i64 {
    let answer = api.send("GET", "/api/v1/audit/checkpoint", &[], None).unwrap();
    let note = answer.json["note"].as_str().unwrap_or_default().to_owned();
    note.lines().nth(1).and_then(|size| size.parse().ok()).unwrap_or(0)
}

#[test]
fn tokens_leases_and_checkpoints_stay_right_when_the_clock_is_set() {
    let scratch = Scratch::new("clock");
    let Some((clock, options)) = Clock::new(&scratch.0) else { return };
    let mut house = Installation::start(&scratch.0, options).unwrap();
    let made = house.api.post("/api/v1/tokens", &json!({ "name": "short", "days": 1 })).unwrap();
    let short = house.api.as_token(made["secret"].as_str().unwrap());
    assert!(short.get("/api/v1/whoami").is_ok());

    clock.set(48 * HOUR);
    until("the token to run out", || short.send("GET", "/api/v1/whoami", &[], None).unwrap().status == 401);
    let refused = short.send("GET", "/api/v1/whoami", &[], None).unwrap();
    assert!(refused.json["message"].is_string() || refused.json["reason"].is_string(), "{}", refused.text);
    house.api.post("/api/v1/sites", &json!({ "name": "in-the-future", "place": "Taipei" })).unwrap();
    let signed = checkpoint(&house.api);
    until("a checkpoint after the step forward", || checkpoint(&house.api) > signed);

    // Everything that was written down now lies two days ahead.
    clock.set(0);
    until("the token to be good again", || short.send("GET", "/api/v1/whoami", &[], None).unwrap().status == 200);
    let signed = checkpoint(&house.api);
    house.api.post("/api/v1/sites", &json!({ "name": "back-again", "place": "Taipei" })).unwrap();
    until("a checkpoint after the step back", || checkpoint(&house.api) > signed);
    let looked = |api: &Api| {
        let all = api.get("/api/v1/reconcilers").unwrap();
        let items = all["items"].as_array().cloned().unwrap_or_default();
        items.iter().filter_map(|item| item["lastRun"].as_str().map(str::to_owned)).min().unwrap_or_default()
    };
    let date =
        std::process::Command::new("date").args(["-u", "-d", "+1 hour", "+%Y-%m-%dT%H:%M:%SZ"]).output().unwrap();
    let soon = String::from_utf8(date.stdout).unwrap();
    until("a reconciler to look again by the new clock", || looked(&house.api).as_str() < soon.trim());

    // And a server that starts with all that in its database.
    house.kill_server().unwrap();
    house.start_server().unwrap();
    house.customer("After", "owner@after.example").unwrap();
    house.stop_server().unwrap();
    assert_eq!(house.run_json(&["audit", "verify"]).unwrap()["ok"], true);
}

#[test]
fn orders_and_bills_stay_right_when_the_clock_is_set() {
    if !has_hypervisor() {
        return;
    }
    let scratch = Scratch::new("clk2");
    let Some((clock, options)) = Clock::new(&scratch.0) else { return };
    let house = Installation::start(&scratch.0, options).unwrap();
    let host = Machines::start(&house, "h").unwrap();
    house.seed().unwrap();
    let customer = house.customer("Customer", "owner@customer.example").unwrap();
    let began = Instant::now();

    let first = customer.order("web-01").unwrap();
    first.watch(&customer.api).unwrap();
    // Two hours forward while a machine runs and another is ordered.
    let second = customer.order("web-02").unwrap();
    clock.set(2 * HOUR);
    until("the second order's end", || matches!(state(&customer.api, &second.id).as_str(), "completed" | "failed"));
    // And back, in the midst of a third.
    let third = customer.order("web-03").unwrap();
    clock.set(0);
    until("the third order's end", || matches!(state(&customer.api, &third.id).as_str(), "completed" | "failed"));
    let delivered = [&first, &second, &third].iter().filter(|o| state(&customer.api, &o.id) == "completed").count();
    until("as many machines as were delivered", || host.domains().unwrap().len() == delivered);
    let products = customer.api.get("/tmf-api/productInventory/v4/product?status=active").unwrap();
    assert_eq!(products.as_array().unwrap().len(), delivered);

    customer.terminate_all().unwrap();
    house.wait_until_free(&host, Duration::from_secs(120)).unwrap();
    let ran = began.elapsed().as_secs_f64();
    assert_metered_at_most(&house, ran * delivered as f64);
    house.bill(&customer).unwrap();
}

/// Nobody is metered for hours of running that were only on the clock.
fn assert_metered_at_most(house: &Installation, seconds: f64) {
    let all = house.api.get("/tmf-api/usageManagement/v4/usage?limit=1000").unwrap();
    let (mut metered, mut pieces) = (0.0, 0);
    for usage in all.as_array().into_iter().flatten() {
        let characteristics = usage["usageCharacteristic"].as_array().cloned().unwrap_or_default();
        let value = |name: &str| characteristics.iter().find(|c| c["name"] == name).and_then(|c| c["value"].as_f64());
        let duration = value("duration").unwrap_or_else(|| panic!("no duration in {usage:#}"));
        assert!(duration >= 0.0, "{usage:#}");
        if value("life").is_some() {
            metered += duration;
            pieces += 1;
        }
    }
    assert!(pieces > 0, "nothing was metered: {all:#}");
    assert!(metered <= seconds, "{metered} s were metered of at most {seconds} s");
}
