//! What every request passes through, outermost first: its identifier and
//! origin, the log, metrics, a catch for panics, a time limit, a rate limit by
//! address; and the headers that every answer carries.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use base::{Error, limits};
use futures_util::FutureExt as _;

use crate::asking::Traced;
use crate::reply::{REQUEST, Refusal, json_text};
use crate::serve::Connection;
use crate::{Web, peer};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Puts the layers around the whole house. What no route takes is the router's
/// own to answer, with [`nowhere`] or a page.
pub fn dress(router: Router<Web>, web: &Web) -> Router {
    router.layer(from_fn_with_state(web.clone(), pass)).with_state(web.clone())
}

/// `/healthz` (the process lives) and `/readyz` (it can serve). Not `/metrics`: see [`metrics`].
pub fn health() -> Router<Web> {
    Router::new().route("/healthz", get(async || "ok\n")).route("/readyz", get(ready))
}

/// `/metrics`; on a listener of its own, or for addresses that may see it.
pub fn metrics() -> Router<Web> {
    Router::new().route("/metrics", get(measured))
}

/// The answer, for programs, where there is nothing.
pub fn nowhere() -> Response {
    Refusal::from(Error::not_found("route.none", "there is nothing at this address")).into_response()
}

async fn ready(State(web): State<Web>) -> Response {
    let look = web.gate().db().read_async(|conn| conn.query_one("SELECT 1", &[], |row| row.get::<i64>(0)));
    match tokio::time::timeout(Duration::from_secs(2), look).await {
        Ok(Ok(_)) => json_text(StatusCode::OK, "{\"status\":\"ready\"}".to_owned()),
        Ok(Err(e)) => Refusal::from(e).into_response(),
        Err(_) => Refusal::from(Error::unavailable("db.slow", "the database does not answer")).into_response(),
    }
}

async fn measured(State(web): State<Web>) -> Response {
    let text = tokio::task::spawn_blocking(move || web.metrics().text()).await.unwrap_or_default();
    let media = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, media)], text).into_response()
}

async fn pass(State(web): State<Web>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id: Arc<str> = request_id(request.headers(), &web).into();
    let connection = request.extensions().get::<Connection>();
    let (near, secure) = connection.map_or((None, false), |c| (Some(c.peer.ip()), c.secure));
    let (address, secure) = peer::client(near, secure, request.headers(), &web.settings().trusted_proxies);
    request.extensions_mut().insert(Traced { request: id.clone(), address, secure });
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "none".to_owned(), |matched| matched.as_str().to_owned());

    web.metrics().at_once.inc();
    let answered = REQUEST.scope((id.clone(), web.clone()), bounded(&web, address, request, next)).await;
    web.metrics().at_once.dec();
    let mut response = answered;
    headers(response.headers_mut(), &id, secure);
    let (status, took) = (response.status().as_u16(), began.elapsed());
    web.metrics().answered(method.as_str(), &route, status, took);
    tracing::info!(
        target: "access",
        request = %id,
        method = %method,
        path,
        status,
        micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        address = address.map(tracing::field::display),
    );
    response
}

/// The request within its limits. The time limit ends with the answer's head:
/// a stream that follows may last.
async fn bounded(web: &Web, address: Option<std::net::IpAddr>, request: Request, next: Next) -> Response {
    if let Err(e) = web.limits().admit_address(address) {
        return refused(e);
    }
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let upload = route.is_some_and(|route| web.settings().uploads.contains(&route));
    let most = if upload { limits::UPLOAD_SECONDS_MAX } else { limits::REQUEST_SECONDS_MAX };
    let limit = Duration::from_secs(most);
    match tokio::time::timeout(limit, AssertUnwindSafe(next.run(request)).catch_unwind()).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => refused(Error::bug("handler.panic", "a handler stopped on a broken invariant")),
        Err(_) => {
            let message =
                "the answer took too long; look whether it was done, or repeat it under the same Idempotency-Key";
            refused(Error::new(base::Kind::Uncertain, "request.too_slow", message))
        }
    }
}

/// What no handler answered: too many requests, a panic, no answer in time. The
/// document that programs read has it as an extension, for whoever puts a page
/// for people around it.
#[derive(Debug, Clone)]
pub struct Unanswered(pub Error);

fn refused(error: Error) -> Response {
    let mut response = Refusal::from(error.clone()).into_response();
    response.extensions_mut().insert(Unanswered(error));
    response
}

/// The caller's own identifier where it is harmless, else a fresh one.
fn request_id(headers: &HeaderMap, web: &Web) -> String {
    let given = headers.get(REQUEST_ID).and_then(|v| v.to_str().ok()).unwrap_or("");
    let harmless =
        (1..=64).contains(&given.len()) && given.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if harmless { given.to_owned() } else { web.gate().ids().text("req", web.gate().now()) }
}

/// What every answer carries; a handler that has said otherwise is left alone.
fn headers(headers: &mut HeaderMap, id: &str, secure: bool) {
    let mut unless_set = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    unless_set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    unless_set(header::X_FRAME_OPTIONS, "DENY");
    unless_set(header::REFERRER_POLICY, "same-origin");
    unless_set(header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'");
    unless_set(header::CACHE_CONTROL, "no-store");
    if secure {
        unless_set(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
}
