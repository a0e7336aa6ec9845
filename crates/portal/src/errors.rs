//! Error pages: what happened, what to do next, and the number to ask by.

use crate::page::{Page, show};
use crate::visit::Oops;
use askama::Template;
use axum::extract::MatchedPath;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use base::{Error, Kind};

/// Code of a form that another site sent.
pub(crate) const CROSS_SITE: &str = "form.cross_site";
/// Code of a form whose token is not the session's.
pub(crate) const STALE_FORM: &str = "form.stale";

/// An error as a page.
#[derive(Template)]
#[template(path = "error.html")]
pub(crate) struct ErrorPage<'a> {
    pub p: &'a Page,
    pub status: u16,
    pub title: &'static str,
    pub body: String,
    /// The action's own words; empty where they must not or need not be said.
    pub said: String,
    pub retry: bool,
    /// Whether the refusal is on the record, for the visitor to ask why.
    pub explained: bool,
}

/// The page of an error.
fn compose<'a>(p: &'a Page, error: &Error) -> ErrorPage<'a> {
    let e = &p.t.errors;
    let kind = error.kind();
    let (title, body) = match kind {
        Kind::Invalid | Kind::Dangling | Kind::Unauthenticated => (e.invalid_title, e.invalid_body),
        Kind::Forbidden => (e.forbidden_title, e.forbidden_body),
        Kind::NotFound => (e.missing_title, e.missing_body),
        Kind::Conflict | Kind::Stale | Kind::Contended | Kind::Exhausted => (e.conflict_title, e.conflict_body),
        Kind::Throttled => (e.throttled_title, e.throttled_body),
        Kind::Unavailable | Kind::Uncertain => (e.away_title, e.away_body),
        Kind::Bug => (e.bug_title, e.bug_body),
    };
    let (title, body) = match error.code() {
        CROSS_SITE => (e.cross_site_title, e.cross_site_body),
        STALE_FORM => (e.stale_title, e.stale_body),
        _ => (title, body),
    };
    let mut body = body.to_owned();
    if let (Kind::Throttled, Some(wait)) = (kind, error.wait()) {
        body.push(' ');
        body.push_str(&p.with(e.throttled_wait, wait.as_secs().max(1)));
    }
    let said = match kind {
        Kind::Bug | Kind::NotFound | Kind::Forbidden | Kind::Throttled => String::new(),
        _ => p.error(error),
    };
    let retry = kind.is_transient() || kind == Kind::Bug;
    // Not what is not there: that is no refusal, whatever is there.
    let explained = kind == Kind::Forbidden && p.who.is_some() && ![CROSS_SITE, STALE_FORM].contains(&error.code());
    ErrorPage { p, status: kind.status(), title, body, said, retry, explained }
}

/// Answers with the page of an error.
pub(crate) fn page(p: &Page, error: &Error) -> Response {
    if error.kind() == Kind::Bug {
        tracing::error!(request_id = %p.request_id, error = ?error, "a page met a mistake of ours");
    }
    let status = StatusCode::from_u16(error.kind().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = show(status, &compose(p, error));
    if let Some(wait) = error.wait()
        && let Ok(value) = HeaderValue::from_str(&wait.as_secs().max(1).to_string())
    {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}

/// Whether nothing is at an address that a program asked for: no page leads
/// there, and the asker does not say that it reads pages.
pub(crate) fn is_for_programs(parts: &Parts) -> bool {
    parts.extensions.get::<MatchedPath>().is_none() && !reads_pages(&parts.headers)
}

/// Whether the asker says that it reads pages.
pub(crate) fn reads_pages(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).is_some_and(|text| text.contains("text/html"))
}

/// Whatever no route leads to.
pub(crate) async fn missing() -> Oops {
    Oops(Error::not_found("page.not_found", "there is no such page"))
}

#[cfg(test)]
pub(crate) fn render(p: &Page, error: &Error) -> String {
    compose(p, error).render().unwrap()
}
