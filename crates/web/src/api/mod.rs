//! Our own API: a table of routes, each of which runs an action.
//!
//! A handler merges what stands in the path, in the query and in the body into
//! the action's one input; the action's own schema says what fits. The OpenAPI
//! document is made from the same table ([`openapi`]).
//!
//! Invariants:
//! - a route does nothing but run its action through the gate;
//! - what the input does not know is refused by name, never ignored;
//! - a `POST` that changes something may be repeated under an `Idempotency-Key`
//!   ([`crate::idempotency`]), or refuses it;
//! - `If-Match` is the input's `revision`, and refused where there is none.

mod input;
pub mod openapi;

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::{FromRequestParts as _, RawPathParams, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, on};
use base::Error;
use gate::{AnyAction, Effect, audit};
use serde_json::{Map, Value as Json};

use crate::asking::Caller;
use crate::idempotency::{self, Answer, Key};
use crate::reply::{Refusal, Reply, json_text};
use crate::{Web, body, second};
use input::{Inputs, REVISION};

/// One route of our own API.
#[derive(Clone, Copy)]
pub struct Route {
    /// GET, POST, PUT, PATCH or DELETE.
    pub method: &'static str,
    /// Below `/api/v1`, with `{parameters}` named as the action's input names them.
    pub path: &'static str,
    /// What it runs.
    pub action: &'static dyn AnyAction,
    /// The status of success.
    pub status: u16,
    /// Whether the answer holds a secret, shown once: such an answer is not
    /// kept for a repeated request.
    pub secret: bool,
    /// Whether it is for whoever has not shown yet who they are. Only said in
    /// the document: the policies decide.
    pub open: bool,
    /// Whether the answer is a file's bytes. Such a route is served elsewhere,
    /// and stands in the table to be in the document.
    pub file: bool,
}

impl Route {
    const fn new(method: &'static str, path: &'static str, action: &'static dyn AnyAction, status: u16) -> Route {
        Route { method, path, action, status, secret: false, open: false, file: false }
    }
    /// Reads.
    pub const fn get(path: &'static str, action: &'static dyn AnyAction) -> Route {
        Route::new("GET", path, action, 200)
    }
    /// Gives a file's bytes; see [`Route::file`].
    pub const fn download(path: &'static str, action: &'static dyn AnyAction) -> Route {
        Route { file: true, ..Route::get(path, action) }
    }
    /// Makes something: 201.
    pub const fn post(path: &'static str, action: &'static dyn AnyAction) -> Route {
        Route::new("POST", path, action, 201)
    }
    /// Does something to what is there: POST, 200.
    pub const fn act(path: &'static str, action: &'static dyn AnyAction) -> Route {
        Route::new("POST", path, action, 200)
    }
    /// Replaces.
    pub const fn put(path: &'static str, action: &'static dyn AnyAction) -> Route {
        Route::new("PUT", path, action, 200)
    }
    /// Changes.
    pub const fn patch(path: &'static str, action: &'static dyn AnyAction) -> Route {
        Route::new("PATCH", path, action, 200)
    }
    /// Removes: 204.
    pub const fn delete(path: &'static str, action: &'static dyn AnyAction) -> Route {
        Route::new("DELETE", path, action, 204)
    }
    /// The answer holds a secret.
    #[must_use]
    pub const fn with_secret(self) -> Route {
        Route { secret: true, ..self }
    }
    /// For nobody yet.
    #[must_use]
    pub const fn open(self) -> Route {
        Route { open: true, ..self }
    }

    /// Whether a repeat under an `Idempotency-Key` is answered as the first time.
    /// Not where nothing is done that could be done twice, and not where a
    /// password comes in: what is kept to know the request again would help
    /// whoever guesses at it.
    pub fn takes_key(&self) -> bool {
        self.method == "POST" && self.action.effect() != Effect::Read && self.action.is_repeatable()
    }

    /// The names between braces.
    pub fn parameters(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }
}

/// Where our own API begins.
pub const BASE: &str = "/api/v1";

/// The routes of our own API, below [`BASE`].
pub fn routes(table: &'static [Route]) -> Router<Web> {
    let mut router = Router::new();
    for route in table.iter().filter(|route| !route.file) {
        let inputs = Arc::new(Inputs::of(route));
        let method = Method::from_bytes(route.method.as_bytes()).ok().and_then(|m| MethodFilter::try_from(m).ok());
        let handler = move |State(web): State<Web>, parameters: RawPathParams, request: Request| {
            let inputs = inputs.clone();
            async move { run(route, &inputs, web, parameters, request).await.unwrap_or_else(Refusal::into_response) }
        };
        router = router.route(&format!("{BASE}{}", route.path), on(method.unwrap_or(MethodFilter::GET), handler));
    }
    router.method_not_allowed_fallback(not_offered)
}

/// An OpenAPI document at `path`; open to everybody. Made when it is first asked
/// for: making it takes as long as all the rest of a server's start.
pub fn document(path: &str, make: impl Fn() -> Json + Send + Sync + 'static) -> Router<Web> {
    let made = Arc::new(LazyLock::new(move || make().to_string()));
    let served = move || {
        let made = made.clone();
        let text = tokio::task::spawn_blocking(move || String::clone(&made));
        async move {
            let text = text.await.map_err(|e| Error::bug("openapi.panic", "a document could not be made").because(e));
            text.map(|text| json_text(StatusCode::OK, text)).map_err(Refusal::from)
        }
    };
    Router::new().route(path, axum::routing::get(served))
}

async fn not_offered(method: Method) -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method.not_offered", format!("{method} is not offered here"))
}

async fn run(route: &'static Route, inputs: &Inputs, web: Web, parameters: RawPathParams, request: Request) -> Reply {
    let (mut parts, content) = request.into_parts();
    let Caller(cx) = Caller::from_request_parts(&mut parts, &web).await?;
    body::expect_json_wanted(&parts.headers)?;
    let mut input = Map::new();
    if matches!(route.method, "POST" | "PUT" | "PATCH") {
        let accepted = if route.method == "PATCH" { body::PATCH } else { body::JSON };
        input = body::object_or_nothing(&parts.headers, content, accepted).await?;
        inputs.expect_known(&input)?;
    }
    inputs.add_query(&mut input, parts.uri.query().unwrap_or(""))?;
    for (name, value) in &parameters {
        inputs.add(&mut input, name, value)?;
    }
    inputs.add_condition(&mut input, &parts.headers)?;
    let input = Json::Object(input);
    // Why somebody says that they do it stands on the audit log beside what they did.
    let cx = match input.get("reason").and_then(Json::as_str).map(str::trim) {
        Some(reason) if reason.len() <= base::limits::REASON_BYTES_MAX => cx.because(reason),
        _ => cx,
    };
    let action = route.action;
    let digest = audit::digest(&input);
    if action.effect() == Effect::Read {
        let gate = web.gate().clone();
        let read = tokio::task::spawn_blocking(move || {
            gate.perform(&cx, action.name(), Effect::Read, digest, move |tx| action.run_in(tx, &input))
        });
        let output = read
            .await
            .map_err(|e| Error::bug("action.panic", "an action stopped on a broken invariant").because(e))??;
        return Ok(respond(route, &output));
    }
    let key = key(route, &parts.headers, digest)?;
    if !action.is_repeatable() {
        // Slow work comes first, and the input holds a password: on a thread of
        // its own, and nothing of it is kept for a repeated request.
        let gate = web.gate().clone();
        let done = tokio::task::spawn_blocking(move || action.run_json(&gate, &cx, input));
        let output = done
            .await
            .map_err(|e| Error::bug("action.panic", "an action stopped on a broken invariant").because(e))??;
        return Ok(answer(route, &output).into_response());
    }
    let wish = second::Wish::read(&parts.headers, action.name(), &input, key.as_ref());
    let answer = web
        .gate()
        .perform_async(&cx, action.name(), action.effect(), digest, move |tx| {
            idempotency::once(tx, key.as_ref(), |tx| {
                let output = action.run_in(tx, &input)?;
                Ok(answer(route, &output))
            })
        })
        .await;
    match answer {
        Ok(answer) => Ok(answer.into_response()),
        Err(refused) => second::ask(&web, &cx, refused, wish).await,
    }
}

/// The key of a request that changes something.
fn key(route: &Route, headers: &HeaderMap, digest: [u8; 32]) -> Result<Option<Key>, Error> {
    if route.takes_key() {
        return Key::read(headers, &format!("{BASE}{}", route.path), digest);
    }
    if route.method == "POST" && headers.contains_key(idempotency::HEADER) {
        let message = "a request with a password is not kept, so Idempotency-Key cannot be honoured here; leave it out";
        return Err(Error::invalid("idempotency.not_here", message).at("Idempotency-Key"));
    }
    Ok(None)
}

/// The revision of what is answered, 0 where it has none.
fn revision(output: &Json) -> i64 {
    REVISION.into_iter().find_map(|name| output.get(name)?.as_i64()).unwrap_or(0)
}

fn answer(route: &Route, output: &Json) -> Answer {
    let id = output.get("id").and_then(Json::as_str).unwrap_or_default().to_owned();
    let kind = route.action.name().split('.').next().unwrap_or_default().to_owned();
    let location = (route.status == 201 && !id.is_empty()).then(|| format!("{BASE}{}/{id}", route.path));
    let location = location.filter(|at| !at.contains('{'));
    let revision = revision(output);
    Answer { status: route.status, kind, id, revision, location, body: output.to_string(), secret: route.secret }
}

fn respond(route: &Route, output: &Json) -> Response {
    let mut response = json_text(StatusCode::from_u16(route.status).unwrap_or(StatusCode::OK), output.to_string());
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    body::tag(headers, revision(output));
    response
}
