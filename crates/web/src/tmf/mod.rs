//! TM Forum routes over records, written once for every kind.
//!
//! `POST` `GET` `PATCH` `DELETE`, filters, `fields`, `sort`, `offset`/`limit`
//! and cursors, entity tags, repeated requests; `docs/reference/api.md` says
//! how they behave.
//!
//! Invariants:
//! - every change runs as the kind's action through the gate (`gate::Kind`);
//! - an answer to a `POST` with `Idempotency-Key` is stored in the transaction
//!   of the change, so that a crash between them is impossible;
//! - a list reads at most [`limits::SCAN_MAX`] records.
//!
//! Not here: what a document may hold (the rooms' shapes and rules), who may
//! what (`gate`, `access`), `/hub` ([`crate::hub`]).

pub(crate) mod fields;
mod list;
pub(crate) mod query;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts as _, Request};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use base::Error;
use db::Record;
use gate::{Effect, Kind, OfRecord, Verb, audit};
use serde_json::{Map, Value as Json};

use crate::asking::Caller;
use crate::idempotency::{self, Answer};
use crate::reply::{Refusal, Reply, json_text};
use crate::{Web, body, second};
use fields::Fields;

/// The routes of all `kinds`: each collection at its path, each record below it.
pub fn routes(kinds: &[&'static Kind]) -> Router<Web> {
    let mut router = Router::new();
    for kind in kinds.iter().copied() {
        let collection = move |web, request| async move { answer(collection(kind, web, request).await) };
        let record = move |web, request| async move { answer(record(kind, web, request).await) };
        router = router
            .route(
                kind.path,
                any(move |axum::extract::State(web): axum::extract::State<Web>, request: Request| {
                    collection(web, request)
                }),
            )
            .route(
                &format!("{}/{{id}}", kind.path),
                any(move |axum::extract::State(web): axum::extract::State<Web>, request: Request| record(web, request)),
            );
    }
    router
}

fn answer(reply: Reply) -> Response {
    reply.unwrap_or_else(Refusal::into_response)
}

async fn collection(kind: &'static Kind, web: Web, request: Request) -> Reply {
    let (mut parts, content) = request.into_parts();
    match parts.method {
        Method::POST if kind.verbs.contains(&Verb::Create) => {
            let Caller(cx) = Caller::from_request_parts(&mut parts, &web).await?;
            body::expect_json_wanted(&parts.headers)?;
            body::expect_no_condition(&parts.headers)?;
            create(kind, &web, &cx, parts, content).await
        }
        Method::GET | Method::HEAD if kind.verbs.contains(&Verb::List) => {
            let Caller(cx) = Caller::from_request_parts(&mut parts, &web).await?;
            body::expect_json_wanted(&parts.headers)?;
            body::expect_no_condition(&parts.headers)?;
            list::list(kind, &web, cx, parts.uri.query().unwrap_or("")).await
        }
        method => not_offered(&method, kind, &[(Verb::List, "GET, HEAD"), (Verb::Create, "POST")]),
    }
}

async fn record(kind: &'static Kind, web: Web, request: Request) -> Reply {
    let (mut parts, content) = request.into_parts();
    let verb = match parts.method {
        Method::GET | Method::HEAD => Verb::Get,
        Method::PATCH => Verb::Update,
        Method::DELETE => Verb::Delete,
        _ => Verb::Create,
    };
    if verb == Verb::Create || !kind.verbs.contains(&verb) {
        let offers = [(Verb::Get, "GET, HEAD"), (Verb::Update, "PATCH"), (Verb::Delete, "DELETE")];
        return not_offered(&parts.method, kind, &offers);
    }
    let Caller(cx) = Caller::from_request_parts(&mut parts, &web).await?;
    body::expect_json_wanted(&parts.headers)?;
    let id = query::decode(parts.uri.path().rsplit('/').next().unwrap_or(""))?;
    if verb == Verb::Get {
        body::expect_no_condition(&parts.headers)?;
    }
    match verb {
        Verb::Get => get(kind, &web, &cx, &parts, id).await,
        Verb::Update => patch(kind, &web, &cx, &parts, content, id).await,
        _ => delete(kind, &web, &cx, &parts, id).await,
    }
}

/// 405 with what is offered instead, and the answer to OPTIONS.
fn not_offered(method: &Method, kind: &Kind, offers: &[(Verb, &str)]) -> Reply {
    let offered: Vec<&str> =
        offers.iter().filter(|(verb, _)| kind.verbs.contains(verb)).map(|(_, words)| *words).collect();
    let allow = format!("{}{}OPTIONS", offered.join(", "), if offered.is_empty() { "" } else { ", " });
    if method == Method::OPTIONS {
        let mut response = StatusCode::NO_CONTENT.into_response();
        response
            .headers_mut()
            .insert(header::ALLOW, HeaderValue::from_str(&allow).unwrap_or(HeaderValue::from_static("OPTIONS")));
        return Ok(response);
    }
    let message = format!("{method} is not offered here for {}", kind.name);
    Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method.not_offered", message).with(header::ALLOW, &allow))
}

async fn create(
    kind: &'static Kind,
    web: &Web,
    cx: &gate::Cx,
    parts: axum::http::request::Parts,
    content: Body,
) -> Reply {
    if let Some(query) = parts.uri.query() {
        query::parse_fields(kind, query)?;
    }
    let document = body::object(&parts.headers, content, body::JSON).await?;
    let digest = audit::digest(&document);
    let key = idempotency::Key::read(&parts.headers, kind.path, digest)?;
    let site = web.site().to_owned();
    let action = kind.action(Verb::Create);
    let said = Json::Object(document.clone());
    let wish = second::Wish::read(&parts.headers, &action, &said, key.as_ref());
    let answer = web.gate().perform_async(cx, &action, Effect::Create, digest, move |tx| {
        idempotency::once(tx, key.as_ref(), |tx| {
            let record = kind.request_in(tx, &document)?.into_inner();
            Ok(Answer {
                status: 201,
                kind: kind.name.to_owned(),
                id: record.id.clone(),
                revision: record.revision,
                location: Some(href(&site, kind, &record.id)),
                body: text(&render(&site, kind, record)),
                secret: false,
            })
        })
    });
    match answer.await {
        Ok(answer) => Ok(answer.into_response()),
        Err(refused) => second::ask(web, cx, refused, wish).await,
    }
}

async fn get(kind: &'static Kind, web: &Web, cx: &gate::Cx, parts: &axum::http::request::Parts, id: String) -> Reply {
    let fields = parts.uri.query().map(|query| query::parse_fields(kind, query)).transpose()?.flatten();
    let (digest, wanted) = (audit::digest(&id), id.clone());
    let action = kind.action(Verb::Get);
    let found = web
        .gate()
        .perform_async(cx, &action, Effect::Read, digest, move |tx| Ok(tx.load_stored(kind, &wanted)?.into_inner()));
    let stored = found.await?;
    let revision = stored.revision;
    if body::none_match(&parts.headers, revision) {
        return Ok(tagged(StatusCode::NOT_MODIFIED.into_response(), revision));
    }
    let document = match (&fields, passed_on(web.site(), kind, &id, &stored.body)) {
        (None, Some(text)) => text,
        _ => {
            let body = serde_json::from_str(&stored.body)
                .map_err(|e| Error::bug("record.damaged", "a stored record is not JSON").because(e))?;
            text(&cut(dressed(web.site(), kind, &id, body), fields.as_ref()))
        }
    };
    Ok(tagged(json_text(StatusCode::OK, document), revision))
}

/// The document around a stored body that is passed on unread, which is most of
/// a look-up's time; `None` where the body may name a type of its own.
fn passed_on(site: &str, kind: &Kind, id: &str, body: &str) -> Option<String> {
    let rest = body.strip_prefix('{').filter(|rest| !rest.contains("\"@type\""))?;
    if !id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b)) {
        return None;
    }
    let comma = if rest == "}" { "" } else { "," };
    Some(format!(
        "{{\"id\":\"{id}\",\"href\":\"{site}{}/{id}\",\"@type\":\"{}\"{comma}{rest}",
        kind.path, kind.shape.name
    ))
}

async fn patch(
    kind: &'static Kind,
    web: &Web,
    cx: &gate::Cx,
    parts: &axum::http::request::Parts,
    content: Body,
    id: String,
) -> Reply {
    let fields = parts.uri.query().map(|query| query::parse_fields(kind, query)).transpose()?.flatten();
    let expected = body::if_match(&parts.headers)?;
    let mut patch = body::object(&parts.headers, content, body::PATCH).await?;
    // Repeating what a GET gave is no change.
    if patch.get("id").and_then(Json::as_str) == Some(&id) {
        patch.remove("id");
    }
    if patch.get("href").and_then(Json::as_str) == Some(&href(web.site(), kind, &id)) {
        patch.remove("href");
    }
    let digest = audit::digest(&patch);
    let action = kind.action(Verb::Update);
    let said = OfRecord { id: id.clone(), revision: expected, patch: Some(patch.clone()) }.written()?;
    let wish = second::Wish::read(&parts.headers, &action, &said, None);
    let changed = web.gate().perform_async(cx, &action, Effect::Change, digest, move |tx| {
        Ok(kind.patch_in(tx, &id, expected, &patch)?.into_inner())
    });
    let record = match changed.await {
        Ok(record) => record,
        Err(refused) => return second::ask(web, cx, refused, wish).await,
    };
    let revision = record.revision;
    let document = cut(render(web.site(), kind, record), fields.as_ref());
    Ok(tagged(json_text(StatusCode::OK, text(&document)), revision))
}

async fn delete(
    kind: &'static Kind,
    web: &Web,
    cx: &gate::Cx,
    parts: &axum::http::request::Parts,
    id: String,
) -> Reply {
    if let Some(query) = parts.uri.query() {
        query::parse_fields(kind, query)?;
    }
    let expected = body::if_match(&parts.headers)?;
    let digest = audit::digest(&id);
    let action = kind.action(Verb::Delete);
    let said = OfRecord { id: id.clone(), revision: expected, patch: None }.written()?;
    let wish = second::Wish::read(&parts.headers, &action, &said, None);
    let gone =
        web.gate().perform_async(cx, &action, Effect::Delete, digest, move |tx| kind.delete_in(tx, &id, expected));
    match gone.await {
        Ok(()) => Ok(StatusCode::NO_CONTENT.into_response()),
        Err(refused) => second::ask(web, cx, refused, wish).await,
    }
}

/// Where a record is found: below the site's address where that is configured, else a path.
pub(crate) fn href(site: &str, kind: &Kind, id: &str) -> String {
    format!("{site}{}/{id}", kind.path)
}

/// A record as the document that callers see.
pub(crate) fn render(site: &str, kind: &Kind, record: Record) -> Map<String, Json> {
    dressed(site, kind, &record.id, record.body)
}

fn dressed(site: &str, kind: &Kind, id: &str, body: Map<String, Json>) -> Map<String, Json> {
    let mut document = body;
    document.insert("href".to_owned(), href(site, kind, id).into());
    document.insert("id".to_owned(), id.into());
    document.entry("@type").or_insert_with(|| kind.shape.name.into());
    document
}

fn cut(document: Map<String, Json>, fields: Option<&Fields>) -> Map<String, Json> {
    match fields {
        Some(fields) => fields.of(&document),
        None => document,
    }
}

/// JSON text of a document; a map of JSON values always has one.
pub(crate) fn text(document: &Map<String, Json>) -> String {
    serde_json::to_string(document).unwrap_or_default()
}

fn tagged(mut response: Response, revision: i64) -> Response {
    body::tag(response.headers_mut(), revision);
    response
}
