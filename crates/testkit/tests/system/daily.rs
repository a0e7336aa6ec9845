//! What a customer does every day by the command line, on a real machine.

use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use testkit::{Api, Installation, Machines, Options};

use crate::{Scratch, has_hypervisor};

/// `yunwei` as that customer: its words for people, and its exit status.
fn yunwei(api: &Api, words: &[&str]) -> Output {
    let mut command = testkit::Binaries::find().unwrap().yunwei();
    command.env("YUNWEI_URL", &api.url).env("YUNWEI_TOKEN", &api.token).args(words);
    command.stdin(std::process::Stdio::null()).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Does it, and gives what it says to people.
fn told(api: &Api, words: &[&str]) -> String {
    let output = yunwei(api, words);
    assert_eq!(output.status.code(), Some(0), "{words:?}: {}", said(&output));
    said(&output)
}

/// Does it, and gives what it says to programs.
fn asked(api: &Api, words: &[&str]) -> Json {
    let output = yunwei(api, &[words, &["--json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{words:?}: {}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{words:?}: {e}: {}", said(&output)))
}

/// Waits until the one service is in that state, and gives its id.
fn service_in(api: &Api, state: &str) -> String {
    let until = Instant::now() + Duration::from_secs(90);
    loop {
        let services = asked(api, &["service", "ls"]);
        assert_eq!(services.as_array().unwrap().len(), 1, "{services:#}");
        if services[0]["state"] == state {
            return services[0]["id"].as_str().unwrap().to_owned();
        }
        assert!(Instant::now() < until, "it is not {state}: {services:#}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_customer_orders_uses_pays_and_ends_a_machine_by_the_command_line() {
    if !has_hypervisor() {
        return;
    }
    let scratch = Scratch::new("daily");
    let house = Installation::start(&scratch.0, Options::default()).unwrap();
    let host = Machines::start(&house, "h").unwrap();
    house.seed().unwrap();
    let customer = house.customer("Customer", "owner@customer.example").unwrap();
    let api = &customer.api;

    // The offering by its exact name, as `catalog ls` shows it.
    let catalog = asked(api, &["catalog", "ls"]);
    let offering = catalog[0]["name"].as_str().unwrap();
    let made = asked(api, &["order", "create", offering, "--set", "greeting=good morning"]);
    let order = made["id"].as_str().unwrap();
    assert!(told(api, &["order", "watch", order]).contains("completed"));
    let shown = asked(api, &["order", "show", order]);
    assert_eq!((shown["id"].as_str(), shown["state"].as_str()), (Some(order), Some("completed")));
    assert!(told(api, &["order", "show", order]).contains("completed"));
    assert!(told(api, &["order", "ls"]).contains(order));

    let service = &service_in(api, "active");
    assert!(told(api, &["service", "ls"]).contains(service.as_str()));
    let shown = told(api, &["service", "show", service]);
    assert!(shown.contains("good morning") && shown.contains("http://"), "{shown}");
    assert!(
        !told(api, &["service", "console", service]).trim().is_empty(),
        "a machine that came up has said something"
    );
    assert!(told(api, &["service", "reboot", service]).contains("Asked to reboot"));
    service_in(api, "active");
    told(api, &["service", "stop", service]);
    service_in(api, "inactive");
    told(api, &["service", "start", service]);
    service_in(api, "active");

    house.api.post("/api/v1/bills/run", &json!({})).unwrap();
    let bills = asked(api, &["bill", "ls"]);
    let bill = bills[0]["id"].as_str().unwrap();
    assert!(told(api, &["bill", "ls"]).contains(bills[0]["billNo"].as_str().unwrap()));
    let detail = asked(api, &["bill", "show", bill]);
    assert!(!detail["lines"].as_array().unwrap().is_empty(), "{detail:#}");
    assert!(told(api, &["bill", "show", bill]).contains("total"));

    // Nobody sits at a terminal to be asked.
    let unasked = yunwei(api, &["service", "rm", service]);
    assert_eq!(unasked.status.code(), Some(2), "{}", said(&unasked));
    told(api, &["service", "rm", service, "--yes"]);
    house.wait_until_free(&host, Duration::from_secs(90)).unwrap();
    let gone = || asked(api, &["service", "ls"]).as_array().unwrap().is_empty();
    let until = Instant::now() + Duration::from_secs(30);
    while !gone() {
        assert!(Instant::now() < until, "the service has not ended");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(told(api, &["service", "ls", "--all"]).contains(service.as_str()));

    // Orders that come to nothing: one is cancelled, one finds no room.
    let second = asked(api, &["order", "create", offering])["id"].as_str().unwrap().to_owned();
    told(api, &["order", "cancel", &second, "--reason", "ordered twice"]);
    let watched = yunwei(api, &["order", "watch", &second]);
    assert_eq!(watched.status.code(), Some(5), "{}", said(&watched));
    assert!(said(&watched).contains("cancelled"), "{}", said(&watched));
    house.wait_until_free(&host, Duration::from_secs(90)).unwrap();
    house.api.post(&format!("/api/v1/hosts/{}/drain", host.id), &json!({})).unwrap();
    let failed = yunwei(api, &["order", "create", offering, "--watch", "--json"]);
    assert_eq!(failed.status.code(), Some(5), "{}", said(&failed));
    let error: Json = serde_json::from_slice(&failed.stderr).unwrap();
    assert_eq!(error["error"]["code"], "order.not_completed", "{error:#}");
    let ended: Json = serde_json::from_slice(&failed.stdout).unwrap();
    assert_eq!(ended["state"], "failed", "{ended:#}");
}
