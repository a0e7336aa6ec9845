//! The whole house on PostgreSQL.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::{Installation, Machines, Options};

use crate::{Scratch, harass, has_hypervisor};

/// A fresh database of a private server, as a URL.
pub(crate) fn database() -> Option<String> {
    let words = db::testing::postgres_url()?;
    let word = |name: &str| {
        let found = words.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        found.unwrap_or_else(|| panic!("{name} in {words}")).to_owned()
    };
    Some(format!("postgres://{}@{}/{}", word("user"), word("host").replace('/', "%2F"), word("dbname")))
}

pub(crate) fn on_postgres() -> Option<Options> {
    Some(Options { database: Some(database()?), ..Options::default() })
}

#[test]
fn an_order_on_postgresql_survives_kills_of_the_server_and_is_done_once() {
    let Some(options) = on_postgres().filter(|_| has_hypervisor()) else { return };
    let scratch = Scratch::new("pg");
    let mut house = Installation::start(&scratch.0, options).unwrap();
    assert!(!house.data().join("yunwei.db").exists(), "nothing of it is in SQLite");
    let host = Machines::start(&house, "h").unwrap();
    house.seed().unwrap();
    let customer = house.customer("Customer", "owner@customer.example").unwrap();
    let order = customer.order("web-01").unwrap();
    let done = harass(&mut house, &order.id, &customer.api).unwrap();
    assert_eq!(done["state"], "completed", "{done:#}");
    order.visit(&customer.api).unwrap();
    assert_eq!(host.domains().unwrap().len(), 1, "one order, one machine");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(house.bill(&customer).unwrap()["currency"], "TWD");
    customer.terminate_all().unwrap();
    house.wait_until_free(&host, Duration::from_secs(120)).unwrap();
    assert_eq!(house.run_json(&["audit", "verify"]).unwrap()["ok"], true, "beside the running server");
}

#[test]
fn verifying_on_postgresql_changes_no_schema() {
    let Some(options) = on_postgres() else { return };
    let url = options.database.clone().unwrap();
    let scratch = Scratch::new("pgv");
    let mut house = Installation::start(&scratch.0, options).unwrap();
    house.stop_server().unwrap();
    assert_eq!(house.run_json(&["audit", "verify"]).unwrap()["ok"], true);

    let older = || db::Db::open(&db::Location::Postgres(url.clone())).unwrap();
    older().write(|conn| conn.execute("DELETE FROM schema_history WHERE number > 7", &[])).unwrap();
    for verb in ["verify", "export"] {
        let mut command = house.binaries.yunwei();
        command.args(["audit", verb, "--json"]);
        house.data_args(&mut command);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(5), "{verb}: {said}");
        assert!(said.contains("schema.older") && said.contains("start the server once"), "{verb}: {said}");
    }
}

#[test]
fn two_servers_share_one_postgresql() {
    let Some(options) = on_postgres() else { return };
    let scratch = Scratch::new("pg2");
    let house = Installation::start(&scratch.0, options).unwrap();
    let mut command = house.binaries.yunwei();
    let (listen, agents) = (testkit::free_port().unwrap(), testkit::free_port().unwrap());
    command.args([
        "serve",
        "--listen",
        &format!("127.0.0.1:{listen}"),
        "--agent-listen",
        &format!("127.0.0.1:{agents}"),
    ]);
    house.data_args(&mut command);
    let mut second = testkit::Daemon::start("second", command, &scratch.0.join("second.log")).unwrap();
    let there = testkit::Api::new(&format!("http://127.0.0.1:{listen}"), &house.api.token);
    let until = Instant::now() + Duration::from_secs(60);
    while there.get("/readyz").is_err() {
        second.expect_alive().unwrap();
        assert!(Instant::now() < until, "the second server is not ready");
        std::thread::sleep(Duration::from_millis(50));
    }
    let made = there.post("/api/v1/sites", &json!({ "name": "shared", "place": "Taipei" })).unwrap();
    let seen = house.api.get("/api/v1/sites").unwrap();
    assert!(seen["items"].as_array().unwrap().iter().any(|site| site["id"] == made["id"]), "{seen:#}");
    second.stop().unwrap();
}
