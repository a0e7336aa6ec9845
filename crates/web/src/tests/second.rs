//! What needs a second person, asked for in passing.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use base::{Error, Result};
use gate::{Action, Catalogue, Effect, Guard, Tx};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::*;
use crate::api::{self, Route, openapi};

#[derive(Serialize, Deserialize, schemars::JsonSchema)]
struct Crate {
    id: String,
}
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
struct Ask {
    action: String,
    input: Json,
    reason: String,
}
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
struct Asked {
    id: String,
    reason: String,
}

/// Whether there is a rule.
static RULED: AtomicBool = AtomicBool::new(false);
static GUARD: Guard = Guard {
    knows: |name| name == "crate.ship",
    amounting: &[],
    check: |_, _| match RULED.load(Ordering::SeqCst) {
        true => Err(Error::forbidden("approval.required", "two people ship a crate")),
        false => Ok(()),
    },
};

/// Counts up, so that each time is another.
fn count(tx: &mut Tx<'_>, kind: &str) -> Result<i64> {
    tx.execute(
        "INSERT INTO record_counts (kind, tenant, shard, number) VALUES ($1, 'x', 0, 1)
         ON CONFLICT (kind, tenant, shard) DO UPDATE SET number = record_counts.number + 1",
        db::args![kind],
    )?;
    tx.query_one("SELECT number FROM record_counts WHERE kind = $1", db::args![kind], |row| row.get(0))
}
fn ship(tx: &mut Tx<'_>, input: &Crate) -> Result<Crate> {
    let number = count(tx, "crate")?;
    Ok(Crate { id: format!("{}-{number}", input.id) })
}
fn ask(tx: &mut Tx<'_>, input: &Ask) -> Result<Asked> {
    let number = count(tx, "approval")?;
    Ok(Asked { id: format!("apr_{number}"), reason: input.reason.clone() })
}
static SHIP: Action<Crate, Crate> = Action { name: "crate.ship", summary: "Ships.", effect: Effect::Create, run: ship };
static ASK: Action<Ask, Asked> =
    Action { name: "approval.request", summary: "Asks.", effect: Effect::Create, run: ask };
static ROUTES: [Route; 2] = [Route::post("/crates", &SHIP), Route::post("/approvals", &ASK)];

#[test]
fn a_second_person_is_asked_once_for_a_request_that_is_repeated() {
    for (engine, db, _keep) in db::testing::databases() {
        RULED.store(false, Ordering::SeqCst);
        let web = web(db, Catalogue::default().actions(&[&SHIP, &ASK]).guarded(&GUARD));
        tokio::runtime::Runtime::new().unwrap().block_on(repeated(engine, &web));
        // The log does not say that anything was done which was not, nor anything twice.
        let done = "SELECT action FROM audit_entries WHERE outcome = 'done' ORDER BY seq";
        let done: Vec<String> = web.gate().db().read(|conn| conn.query(done, &[], |row| row.get(0))).unwrap();
        assert_eq!(done, ["crate.ship", "approval.request", "approval.request"], "{engine}");
    }
}

async fn repeated(engine: &str, web: &Web) {
    let router = api::routes(&ROUTES).with_state(web.clone());
    let send = |key: Option<&str>, reason: Option<&str>, id: &str| {
        let mut request = request("POST", "/api/v1/crates").header("content-type", "application/json");
        for (name, value) in [("idempotency-key", key), ("approval-reason", reason)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        send(&router, request.body(Body::from(json!({ "id": id }).to_string())).unwrap())
    };
    let before = send(Some("old"), None, "a").await;
    assert_eq!((before.status.as_u16(), &before.json()["id"]), (201, &json!("a-1")), "{engine}");
    RULED.store(true, Ordering::SeqCst);
    // What was done before there was a rule is answered as it was.
    let again = send(Some("old"), None, "a").await;
    assert_eq!((again.status.as_u16(), &again.text), (201, &before.text), "{engine}");

    assert_eq!(send(Some("new"), None, "b").await.status.as_u16(), 403, "{engine}");
    let first = send(Some("new"), Some("too%20heavy"), "b").await;
    let asked = (first.status.as_u16(), first.header("location").to_owned(), first.json());
    let expected = json!({ "id": "apr_1", "reason": "too heavy" });
    assert_eq!(asked, (202, "/api/v1/approvals/apr_1".to_owned(), expected), "{engine}");
    for reason in [Some("too%20heavy"), Some("another"), None] {
        let again = send(Some("new"), reason, "b").await;
        assert_eq!((again.status.as_u16(), &again.text), (202, &first.text), "{engine} {reason:?}");
        assert_eq!(again.header("location"), first.header("location"), "{engine}");
    }
    assert_eq!(send(Some("new"), Some("x"), "c").await.status.as_u16(), 422, "{engine}: another request");
    assert_eq!(send(None, Some("x"), "b").await.json()["id"], "apr_2", "{engine}: without a key it is another");
}

/// What was asked for last of a record.
static LAST: Mutex<Json> = Mutex::new(Json::Null);
static ASK_OF_RECORD: Action<Ask, Asked> = Action {
    name: "approval.request",
    summary: "Asks.",
    effect: Effect::Create,
    run: |tx, input| {
        *LAST.lock().unwrap() = json!({ "action": input.action, "input": input.input });
        ask(tx, input)
    },
};
/// A change of a record needs a second person, and so does its end.
static CHANGES: Guard = Guard {
    knows: |name| matches!(name, "thing.update" | "thing.delete"),
    amounting: &[],
    check: |_, _| Err(Error::forbidden("approval.required", "two people change a thing")),
};

#[test]
fn a_second_person_is_asked_for_a_change_of_a_record_and_for_its_end() {
    for (engine, db, _keep) in db::testing::databases() {
        let web = web(db, Catalogue::default().kinds(&[&THING]).actions(&[&ASK_OF_RECORD]).guarded(&CHANGES));
        tokio::runtime::Runtime::new().unwrap().block_on(changed(engine, &web));
    }
}

async fn changed(engine: &str, web: &Web) {
    let router = crate::tmf::routes(&[&THING]).with_state(web.clone());
    let made = request("POST", THING.path).header("content-type", "application/json");
    let made = send(&router, made.body(Body::from(json!({ "name": "a" }).to_string())).unwrap()).await;
    assert_eq!(made.status.as_u16(), 201, "{engine}: {}", made.text);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let path = format!("{}/{id}", THING.path);
    let change = |method: &str, reason: Option<&str>, revision: Option<&str>| {
        let body = if method == "PATCH" { json!({ "name": "b" }).to_string() } else { String::new() };
        let mut request = request(method, &path);
        for (name, value) in [
            ("content-type", (method == "PATCH").then_some("application/merge-patch+json")),
            ("approval-reason", reason),
            ("if-match", revision),
        ] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        send(&router, request.body(Body::from(body)).unwrap())
    };
    for method in ["PATCH", "DELETE"] {
        let refused = change(method, None, None).await;
        assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (403, &json!("approval.required")), "{engine}");
    }
    let asked = change("PATCH", Some("%E7%A5%A8"), Some("\"1\"")).await;
    assert_eq!((asked.status.as_u16(), &asked.json()["reason"]), (202, &json!("票")), "{engine}: {}", asked.text);
    let input = json!({ "id": id, "revision": 1, "patch": { "name": "b" } });
    assert_eq!(*LAST.lock().unwrap(), json!({ "action": "thing.update", "input": input }), "{engine}");
    assert_eq!(change("DELETE", Some("x"), None).await.status.as_u16(), 202, "{engine}");
    assert_eq!(*LAST.lock().unwrap(), json!({ "action": "thing.delete", "input": { "id": id } }), "{engine}");
    // What has moved on is said before anybody is asked.
    assert_eq!(change("PATCH", Some("x"), Some("\"7\"")).await.status.as_u16(), 412, "{engine}");
    let now = send(&router, request("GET", &path).body(Body::empty()).unwrap()).await;
    assert_eq!(now.json()["name"], "a", "{engine}: nothing was done");
}

#[test]
fn the_document_says_where_a_second_person_may_be_asked() {
    let document = openapi::own("1", &ROUTES, Some(&GUARD));
    let operation = &document["paths"]["/api/v1/crates"]["post"];
    let answer = &operation["responses"]["202"];
    let schema = answer["content"]["application/json"]["schema"]["$ref"].as_str().unwrap();
    assert!(document.pointer(schema.trim_start_matches('#')).unwrap()["properties"]["reason"].is_object(), "{schema}");
    assert!(answer["headers"]["Location"].is_object());
    let named = |operation: &Json| {
        let parameters = operation["parameters"].as_array().unwrap();
        parameters.iter().any(|parameter| parameter["name"] == "Approval-Reason")
    };
    assert!(named(operation));
    let other = &document["paths"]["/api/v1/approvals"]["post"];
    assert!(!named(other) && other["responses"]["202"].is_null());

    static THINGS: Guard = Guard { knows: |_| false, amounting: &["thing.create"], check: |_, _| Ok(()) };
    let records = openapi::tmf("1", &[&THING, &NOTE], Some(&THINGS));
    let post = |kind: &gate::Kind| records["paths"][kind.path]["post"].clone();
    assert!(named(&post(&THING)) && post(&THING)["responses"]["202"].is_object());
    assert!(!named(&post(&NOTE)) && post(&NOTE)["responses"]["202"].is_null());
    let records = openapi::tmf("1", &[&THING], Some(&CHANGES));
    let of = |method: &str| records["paths"][format!("{}/{{id}}", THING.path)][method].clone();
    assert!(named(&of("patch")) && named(&of("delete")) && !named(&of("get")));
}
