//! Who is asking: the border between HTTP and the room that knows accounts.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use base::{Error, Kind, Result};
use futures_util::future::BoxFuture;
use gate::Cx;

use crate::Web;
use crate::reply::Refusal;
use crate::serve::Connection;

/// What can be known about a request before anybody is known.
#[derive(Debug)]
pub struct Asking<'r> {
    /// GET, POST ….
    pub method: &'r Method,
    /// The path, without the query.
    pub path: &'r str,
    /// Its headers.
    pub headers: &'r HeaderMap,
    /// Where it came from; behind a trusted proxy, where that says it came from.
    pub address: Option<IpAddr>,
    /// Whether it came encrypted, to us or to a trusted proxy.
    pub secure: bool,
    /// Its identifier.
    pub request: &'r str,
}

/// Finds out who is asking: by a bearer token, by a session cookie.
///
/// Implemented once by the room that knows accounts, and by tests. A trait
/// because that room stands above this one.
pub trait Authenticator: Send + Sync + 'static {
    /// The context of the request. Where no credential is shown it is
    /// [`Cx::nobody`], and policies decide what that may do.
    ///
    /// A session cookie sent along with a change must be refused unless
    /// [`same_origin`] holds: browsers send cookies for other people's pages.
    ///
    /// # Errors
    /// `Unauthenticated` for a credential that is wrong, expired or revoked;
    /// `Forbidden` for a tenant that the actor may not act in.
    fn authenticate<'r>(&'r self, asking: Asking<'r>) -> BoxFuture<'r, Result<Cx>>;
}

/// Whether a browser says that the request comes from a page of ours, or no browser is involved.
pub fn same_origin(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|v: &axum::http::HeaderValue| v.to_str().ok());
    match text("sec-fetch-site") {
        Some(site) => matches!(site, "same-origin" | "none"),
        None => match (text("origin"), text("host")) {
            (Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, at)| at.eq_ignore_ascii_case(host)),
            (Some(_), None) => false,
            (None, _) => true,
        },
    }
}

/// The bearer token in `Authorization`, if there is one.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// What the outermost layer found out about a request; an extension of it.
#[derive(Debug, Clone)]
pub struct Traced {
    /// The request's identifier.
    pub request: Arc<str>,
    /// Where it came from.
    pub address: Option<IpAddr>,
    /// Whether it came encrypted.
    pub secure: bool,
}

/// The context of whoever asks: an extractor, for handlers of any router over [`Web`].
#[derive(Debug, Clone)]
pub struct Caller(pub Cx);

/// Credentials that are wrong, and tenants that are none of somebody's, are on the record
/// although nothing was asked of the gate yet.
fn note(web: &Web, traced: &Traced, error: &Error) {
    if matches!(error.kind(), Kind::Unauthenticated | Kind::Forbidden)
        && let Ok(operator) = web.gate().operator()
    {
        let nobody = Cx::nobody(operator).for_request(traced.request.clone(), traced.address);
        web.gate().refused(&nobody, "session.authenticate", error);
    }
}

impl FromRequestParts<Web> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Refusal> {
        let unknown;
        let traced = match parts.extensions.get::<Traced>() {
            Some(traced) => traced,
            None => {
                let peer = parts.extensions.get::<Connection>().map(|connection| connection.peer.ip());
                unknown = Traced { request: "".into(), address: peer, secure: false };
                &unknown
            }
        };
        let asking = Asking {
            method: &parts.method,
            path: parts.uri.path(),
            headers: &parts.headers,
            address: traced.address,
            secure: traced.secure,
            request: &traced.request,
        };
        let cx = web.door().authenticate(asking).await.inspect_err(|e| note(web, traced, e))?;
        let cx = cx.for_request(traced.request.clone(), traced.address);
        web.limits().admit_actor(&cx)?;
        Ok(Caller(cx))
    }
}
