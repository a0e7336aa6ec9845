use base::Result;
use gate::{Action, Catalogue, Effect, Tx};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::*;
use crate::api::{self, Route, openapi};

#[derive(Serialize, Deserialize, schemars::JsonSchema)]
struct Filter {
    /// Which box.
    id: String,
    #[serde(default)]
    limit: Option<u32>,
    #[serde(default)]
    open: Option<bool>,
    #[serde(default)]
    tags: Vec<String>,
}
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
struct Put {
    id: String,
    size: i64,
    #[serde(default)]
    label: Option<Label>,
}
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
struct Label {
    text: String,
}

fn look(_: &mut Tx<'_>, input: &Filter) -> Result<Filter> {
    Ok(Filter { id: input.id.clone(), limit: input.limit, open: input.open, tags: input.tags.clone() })
}
fn put(tx: &mut Tx<'_>, input: &Put) -> Result<Put> {
    tx.execute("INSERT INTO record_counts (kind, tenant, shard, number) VALUES ($1, 'x', 0, 1)", db::args![input.id])?;
    Ok(Put { id: input.id.clone(), size: input.size, label: None })
}
static LOOK: Action<Filter, Filter> = Action { name: "box.look", summary: "Looks.", effect: Effect::Read, run: look };
static PUT: Action<Put, Put> = Action { name: "box.put", summary: "Puts.", effect: Effect::Create, run: put };
static ROUTES: [Route; 2] = [Route::get("/boxes/{id}", &LOOK), Route::post("/boxes", &PUT)];

#[tokio::test(flavor = "multi_thread")]
async fn our_own_api_runs_actions_with_what_came_from_everywhere() {
    let (_, db, _keep) = db::testing::sqlite();
    let web = web(db, Catalogue::default().actions(&[&LOOK, &PUT]));
    let document = openapi::own("1", &ROUTES, None);
    let router = api::routes(&ROUTES)
        .merge(api::document("/api/v1/openapi.json", || openapi::own("1", &ROUTES, None)))
        .with_state(web);

    let found = get(&router, "/api/v1/boxes/b%201?limit=5&open=true&tags=x,y&tags=z").await;
    assert_eq!(found.json(), json!({"id": "b 1", "limit": 5, "open": true, "tags": ["x", "y", "z"]}));
    for (path, attribute) in [
        ("?limit=five", "limit"),
        ("?open=yes", "open"),
        ("?colour=red", "colour"),
        ("?id=other", "id"),
        ("?limit=-1", ""),
    ] {
        let came = get(&router, &format!("/api/v1/boxes/b{path}")).await;
        assert_eq!(came.refusal(), (400, attribute.into()), "{path}");
    }
    for (body, attribute) in [
        (json!({"id": "a"}), ""),
        (json!({"id": "a", "size": "x"}), ""),
        (json!({"id": "a", "size": 1, "sise": 1}), "sise"),
    ] {
        let came = post(&router, "/api/v1/boxes", body.clone()).await;
        assert_eq!(
            (came.refusal().0, came.refusal().1.as_str() == attribute || attribute.is_empty()),
            (400, true),
            "{body}"
        );
    }
    let ask = || {
        let request =
            request("POST", "/api/v1/boxes").header("content-type", "application/json").header("idempotency-key", "k");
        send(&router, request.body(Body::from(json!({"id": "a", "size": 1}).to_string())).unwrap())
    };
    let (first, again) = (ask().await, ask().await);
    assert_eq!((first.status.as_u16(), &first.text, first.header("location")), (201, &again.text, "/api/v1/boxes/a"));
    assert_eq!(post(&router, "/api/v1/boxes", json!({"id": "a", "size": 1})).await.refusal().0, 409, "done once");
    assert_eq!(send(&router, request("PUT", "/api/v1/boxes").body(Body::empty()).unwrap()).await.refusal().0, 405);
    assert_eq!(get(&router, "/api/v1/openapi.json").await.json(), document);
}

#[derive(Clone, Serialize, Deserialize, schemars::JsonSchema)]
struct Turn {
    id: String,
    #[serde(default)]
    revision: Option<i64>,
}
/// Stands for a box that is at revision 3.
fn turn(_: &mut Tx<'_>, input: &Turn) -> Result<Turn> {
    match input.revision {
        None | Some(3) => Ok(Turn { id: input.id.clone(), revision: Some(4) }),
        Some(_) => Err(base::Error::stale("box.stale", "the box is at revision 3 by now")),
    }
}
static TURN: Action<Turn, Turn> = Action { name: "box.turn", summary: "Turns.", effect: Effect::Change, run: turn };
static SHUT: Action<Filter, ()> =
    Action { name: "box.shut", summary: "Shuts.", effect: Effect::Delete, run: |_, _| Ok(()) };
static CHANGES: [Route; 3] =
    [Route::patch("/boxes/{id}", &TURN), Route::delete("/boxes/{id}", &SHUT), Route::act("/boxes/{id}/look", &LOOK)];

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_is_kept_or_refused_and_never_overlooked() {
    let (_, db, _keep) = db::testing::sqlite();
    let router = api::routes(&CHANGES).with_state(web(db, Catalogue::default().actions(&[&LOOK, &PUT, &TURN, &SHUT])));
    let ask = |method: &str, path: &str, tag: Option<&str>, body: serde_json::Value| {
        let mut request = request(method, path).header("content-type", "application/json");
        if let Some(tag) = tag {
            request = request.header("if-match", tag);
        }
        send(&router, request.body(Body::from(body.to_string())).unwrap())
    };
    let at = "/api/v1/boxes/b";
    for (tag, said) in
        [(Some("\"3\""), json!({})), (None, json!({})), (Some("*"), json!({})), (Some("\"3\""), json!({"revision": 3}))]
    {
        let done = ask("PATCH", at, tag, said.clone()).await;
        assert_eq!((done.status.as_u16(), done.header("etag")), (200, "\"4\""), "{tag:?} {said}");
    }
    for (tag, said, status) in [
        ("\"2\"", json!({}), 412),
        ("\"of another house\"", json!({}), 412),
        ("\"3\"", json!({"revision": 2}), 400),
        ("\"2\", \"3\"", json!({}), 400),
    ] {
        assert_eq!(ask("PATCH", at, Some(tag), said.clone()).await.refusal().0, status, "{tag} {said}");
    }
    for (method, path) in [("DELETE", at), ("POST", "/api/v1/boxes/b/look")] {
        let refused = ask(method, path, Some("\"3\""), json!({})).await;
        assert_eq!(refused.refusal(), (400, "If-Match".into()), "{method} {path}");
    }
    let document = openapi::own("1", &CHANGES, None);
    let says = |method: &str, path: &str, header: &str| {
        let operation = &document["paths"][path][method];
        let there = operation["parameters"].as_array().unwrap().iter().any(|p| p["name"] == header);
        (there, operation["responses"]["412"].is_object())
    };
    assert_eq!(says("patch", "/api/v1/boxes/{id}", "If-Match"), (true, true));
    assert_eq!(says("delete", "/api/v1/boxes/{id}", "If-Match"), (false, false));
    assert_eq!(says("post", "/api/v1/boxes/{id}/look", "Idempotency-Key"), (false, false), "it only reads");
}

#[test]
fn the_document_tells_what_the_routes_do() {
    let document = openapi::own("1", &ROUTES, None);
    let operation = &document["paths"]["/api/v1/boxes/{id}"]["get"];
    assert_eq!(operation["operationId"], "box.look");
    let places: Vec<_> =
        operation["parameters"].as_array().unwrap().iter().map(|p| (p["name"].clone(), p["in"].clone())).collect();
    assert!(
        places.contains(&(json!("id"), json!("path"))) && places.contains(&(json!("limit"), json!("query"))),
        "{places:?}"
    );
    let body = &document["paths"]["/api/v1/boxes"]["post"]["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!((&body["required"], &body["additionalProperties"]), (&json!(["id", "size"]), &json!(false)));
    // Every reference leads somewhere.
    for text in [document.to_string(), openapi::tmf("1", &[&THING, &NOTE], None).to_string()] {
        let whole: serde_json::Value = serde_json::from_str(&text).unwrap();
        for part in text.split("\"$ref\":\"#").skip(1) {
            let pointer = part.split('"').next().unwrap();
            assert!(whole.pointer(pointer).is_some(), "{pointer}");
        }
    }
}
