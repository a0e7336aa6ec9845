//! The kit with kinds of its own, on both engines.

mod layers;
mod own;
mod second;
mod tmf;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use base::id::TenantId;
use base::{Error, Result};
use db::Class;
use db::records::Key;
use futures_util::future::BoxFuture;
use gate::shape::{Shape, any, flag, integer, part, parts, refs, text, time, word};
use gate::{Catalogue, Cx, Kind, StateMachine, Verb, free};
use serde_json::Value as Json;
use tower::ServiceExt as _;

use crate::{Asking, Authenticator, Settings, Web, bearer};

pub(crate) static PARTY: Shape = Shape { name: "Party", fields: &[text("id").required(), text("role")] };
pub(crate) static PERIOD: Shape = Shape { name: "Period", fields: &[time("startDateTime"), time("endDateTime")] };
pub(crate) static THING_SHAPE: Shape = Shape {
    name: "Thing",
    fields: &[
        text("name").required(),
        integer("size"),
        flag("bundle"),
        any("value"),
        word("state", &["new", "old"]),
        parts("relatedParty", &PARTY),
        part("validFor", &PERIOD),
        refs("other", &["thing"]),
        text("made").read_only(),
        text("colour"),
        time("lastUpdate").read_only(),
    ],
};
static STATES: StateMachine =
    StateMachine { attribute: "state", initial: "new", moves: &[("new", &["old"]), ("old", &[])] };
pub(crate) static THING: Kind = Kind {
    name: "thing",
    prefix: "thg",
    path: "/tmf-api/things/v4/thing",
    class: Class::Internal,
    shape: &THING_SHAPE,
    keys: &[
        Key::text("name"),
        Key::number("size"),
        Key::text("state"),
        Key::text("relatedParty.id"),
        Key::time("validFor.startDateTime"),
        Key::flag("bundle"),
    ],
    states: Some(&STATES),
    verbs: Verb::ALL,
    before_create: free::create,
    before_update: free::update,
    before_delete: free::delete,
};
pub(crate) static NOTE: Kind = Kind {
    name: "note",
    prefix: "not",
    path: "/tmf-api/things/v4/note",
    class: Class::Public,
    shape: &Shape { name: "Note", fields: &[text("text").required()] },
    keys: &[],
    states: None,
    verbs: &[Verb::Create, Verb::Get],
    before_create: free::create,
    before_update: free::update,
    before_delete: free::delete,
};

/// A door that knows the tokens `one` and `two`, of two tenants.
pub(crate) struct Tokens;

impl Authenticator for Tokens {
    fn authenticate<'r>(&'r self, asking: Asking<'r>) -> BoxFuture<'r, Result<Cx>> {
        let cx = match bearer(asking.headers) {
            Some("one") => Ok(gate::testing::somebody(TenantId(1))),
            Some("two") => Ok(gate::testing::somebody(TenantId(2))),
            Some(_) => Err(Error::unauthenticated("token.wrong", "this token is not valid")),
            None => Ok(Cx::nobody(TenantId(9))),
        };
        Box::pin(async move { cx })
    }
}

pub(crate) fn web(db: db::Db, catalogue: Catalogue) -> Web {
    let settings = Settings { actor_rate: 0, address_rate: 0, ..Settings::default() };
    Web::new(gate::testing::gate(db, catalogue), Tokens, settings)
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Came {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Came {
    pub fn json(&self) -> Json {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }
    /// Status and the attribute that an error names.
    pub fn refusal(&self) -> (u16, String) {
        let body = self.json();
        assert_eq!(body["status"], self.status.as_str(), "{body}");
        assert!(body["code"].is_string() && body["reason"].is_string() && body["message"].is_string(), "{body}");
        (self.status.as_u16(), body["attribute"].as_str().unwrap_or("").to_owned())
    }
}

pub(crate) fn request(method: &str, path: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(path).header("authorization", "Bearer one")
}

pub(crate) async fn send(router: &Router, request: Request<Body>) -> Came {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, 64 << 20).await.unwrap();
    Came { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
}

pub(crate) async fn get(router: &Router, path: &str) -> Came {
    send(router, request("GET", path).body(Body::empty()).unwrap()).await
}

pub(crate) async fn post(router: &Router, path: &str, body: Json) -> Came {
    let request = request("POST", path).header("content-type", "application/json");
    send(router, request.body(Body::from(body.to_string())).unwrap()).await
}

pub(crate) async fn patch(router: &Router, path: &str, body: Json) -> Came {
    let request = request("PATCH", path).header("content-type", "application/merge-patch+json");
    send(router, request.body(Body::from(body.to_string())).unwrap()).await
}
