//! A visit: what the portal learns about every request before its handler
//! runs, and what it adds to every answer.
//!
//! Invariants, held here for all pages at once so that none can forget:
//! - a body is read only as a form of ours: sent by a page of this site
//!   (`Sec-Fetch-Site`, `Origin`) and carrying the token of this session (that
//!   of a form with a file is looked at where the file is taken, in `uploads`);
//! - an error, of a handler or instead of one, becomes a page in the visitor's language;
//! - no answer lacks the content security policy.
//!
//! Not here: who may do what (the gate), how people prove who they are (`access`).

use crate::Portal;
use crate::approvals;
use crate::errors;
use crate::http::{self, Form, cookie};
use crate::i18n::{Lang, Messages};
use crate::page::{Page, Theme, Who};
use crate::ui::{Notice, Tone};
use crate::{step_up, uploads};
use access::Secret;
use access::approvals::guard::REQUIRED;
use access::factors::passkeys::RelyingParty;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use base::time::Timestamp;
use base::{Error, Kind, limits};
use gate::Cx;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use web::Traced;
use web::layers::Unanswered;

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What is known about the visitor.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    pub page: Page,
    /// Who acts, once they have signed in.
    pub cx: Option<Cx>,
    /// The secret of their session.
    session: Option<Secret>,
    /// The ticket of a sign-in that waits for its second factor.
    pub sign_in: Option<Secret>,
    /// What a browser keeps while it is at an identity provider.
    pub at_provider: Option<String>,
    pub query: Form,
    /// The submitted form; empty for GET.
    pub form: Form,
    pub agent: String,
    /// Where the request came from.
    pub address: Option<IpAddr>,
    /// Whether it came encrypted.
    pub secure: bool,
    /// What was refused because it needs a second person, with its input: it can be asked for.
    needs: Arc<Mutex<Option<(&'static str, String)>>>,
}

/// An error on its way to becoming a page.
#[derive(Clone, Debug)]
pub(crate) struct Oops(pub Error);

impl From<Error> for Oops {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Oops {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.kind().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// What handlers return.
pub(crate) type Answer = Result<Response, Oops>;

/// Somebody who may not have signed in.
pub(crate) struct Anybody(pub Arc<Visit>);

/// Somebody who has.
#[derive(Clone)]
pub(crate) struct Signed {
    pub portal: Portal,
    pub cx: Cx,
    pub visit: Arc<Visit>,
}

impl Signed {
    /// The page's context.
    pub(crate) fn p(&self) -> &Page {
        &self.visit.page
    }
    /// The messages in the visitor's language.
    pub(crate) fn t(&self) -> &'static Messages {
        self.visit.page.t
    }
    /// Whether the session is still in force and may what it might: for answers that last.
    pub(crate) async fn still(&self) -> bool {
        let Some(secret) = &self.visit.session else { return false };
        let now = self.portal.authenticator.session(secret.reveal(), None).await;
        now.is_ok_and(|now| now.cx.tenant() == self.cx.tenant() && now.cx.roles() == self.cx.roles())
    }
    /// Runs an action as the visitor.
    pub(crate) async fn call<I, O>(&self, action: &'static gate::Action<I, O>, input: I) -> base::Result<O>
    where
        I: serde::Serialize + Send + Sync + 'static,
        O: Send + 'static,
    {
        let said = if action.effect == gate::Effect::Read { None } else { serde_json::to_string(&input).ok() };
        let result = self.portal.gate.call(&self.cx, action, input).await;
        if let (Err(error), Some(said)) = (&result, said)
            && error.code() == REQUIRED
        {
            *self.visit.needs.lock().unwrap_or_else(PoisonError::into_inner) = Some((action.name, said));
        }
        result
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Anybody {
    type Rejection = StatusCode;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        parts.extensions.get::<Arc<Visit>>().cloned().map(Anybody).ok_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl FromRequestParts<Portal> for Signed {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, portal: &Portal) -> Result<Self, Response> {
        let visit = parts.extensions.get::<Arc<Visit>>().cloned();
        let visit = visit.ok_or_else(|| StatusCode::INTERNAL_SERVER_ERROR.into_response())?;
        match visit.cx.clone() {
            Some(cx) if must_enrol(&cx, parts.uri.path()) => Err(Redirect::to("/account/factors").into_response()),
            Some(cx) => Ok(Self { portal: Portal { tls: visit.secure, ..portal.clone() }, cx, visit }),
            None => Err(knock(&parts.method, &visit.page)),
        }
    }
}

/// Whether the visitor has to enrol a second factor first. The gate holds them to it; this leads them there.
fn must_enrol(cx: &Cx, path: &str) -> bool {
    let leads = path.starts_with("/account/factors") || ["/account/step-up", "/why"].contains(&path);
    !leads && cx.proof().is_some_and(|proof| proof.must_enrol)
}

/// Sends somebody unknown to the door, and lets them come back to this page.
fn knock(method: &Method, page: &Page) -> Response {
    let next = if method == Method::GET { page.path.as_str() } else { "/" };
    Redirect::to(&format!("/sign-in?next={}", http::encode(next))).into_response()
}

/// The layer around every page.
pub(crate) async fn layer(portal: Portal, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    if errors::is_for_programs(&parts) {
        return web::layers::nowhere();
    }
    let query = Form::parse(parts.uri.query().unwrap_or_default());
    let mut visit = look(&portal, &parts, query).await;
    let mut sets: Vec<String> = Vec::new();
    if visit.page.csrf.is_empty() {
        visit.page.csrf = token(&binding(&portal, &parts.headers, &mut sets));
    }
    if visit.page.notice.is_some() {
        sets.push(portal.cookie("yunwei_flash", "", Some(0)));
    }
    if visit.query.has("lang") {
        sets.push(portal.cookie("yunwei_lang", visit.page.lang.code(), Some(YEAR)));
    }
    let (read, body) = match parts.method {
        Method::POST if uploads::is_one(&parts) => (from_here(&parts.headers).map(|()| Form::default()), body),
        Method::POST => (submitted(&parts, body, &visit.page.csrf).await, Body::empty()),
        _ => (Ok(Form::default()), Body::empty()),
    };
    let asked = match read {
        Ok(form) => {
            visit.form = form;
            shown_anew(&portal, &mut visit).await
        }
        Err(error) => Err(error),
    };
    let (visit, method) = (Arc::new(visit), parts.method.clone());
    let mut response = match asked {
        Ok(()) => {
            parts.extensions.insert(visit.clone());
            next.run(Request::from_parts(parts, body)).await
        }
        Err(error) => Oops(error).into_response(),
    };
    if let Some(Oops(error)) = response.extensions_mut().remove::<Oops>() {
        let needs = visit.needs.lock().unwrap_or_else(PoisonError::into_inner).take();
        response = match (error.code(), needs) {
            (REQUIRED, Some((action, input))) => {
                approvals::ask_page(&visit.page, action, &input, approvals::reason(&visit.page, ""), "")
            }
            (step_up::WANTED, _) => step_up::page(&portal, &visit, &method, None).await,
            _ if visit.form.has(step_up::FIELD) && step_up::is_wrong(&error) => {
                step_up::page(&portal, &visit, &method, Some(&error)).await
            }
            _ => errors::page(&visit.page, &error),
        };
    }
    let headers = response.headers_mut();
    for set in sets {
        if let Ok(value) = HeaderValue::from_str(&set) {
            headers.append(header::SET_COOKIE, value);
        }
    }
    protect(headers);
    response
}

/// Takes what a form brings to show anew who the visitor is, so that its handler runs as them.
async fn shown_anew(portal: &Portal, visit: &mut Visit) -> base::Result<()> {
    if !visit.form.has(step_up::FIELD) || visit.cx.is_none() {
        return Ok(());
    }
    step_up::answer(portal, visit).await?;
    if let Some(secret) = &visit.session
        && let Some((cx, ..)) = portal.recognise(secret.reveal(), &visit.page.request_id, visit.address).await
    {
        visit.cx = Some(cx);
    }
    Ok(())
}

const YEAR: i64 = 365 * 86_400;

/// Headers that every answer carries.
fn protect(headers: &mut HeaderMap) {
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("x-frame-options", "DENY"),
        ("cross-origin-opener-policy", "same-origin"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
}

/// Reads what the request says about its sender.
async fn look(portal: &Portal, parts: &Parts, query: Form) -> Visit {
    let text = |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let cookies = text("cookie");
    let now = portal.gate.now();
    // The server's outermost layer has said so already, where there is one.
    let traced = parts.extensions.get::<Traced>();
    let request_id = match traced.map(|t| &*t.request).filter(|id| !id.is_empty()) {
        Some(given) => given.to_owned(),
        None => portal.gate.ids().text("req", now),
    };
    let secret = access::sessions::cookie::read(cookies, portal.tls).map(ToOwned::to_owned);
    let agent: String = text("user-agent").chars().take(400).collect();
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let address = traced.and_then(|t| t.address).or(peer);
    let known = match &secret {
        Some(secret) => portal.recognise(secret, &request_id, address).await,
        None => None,
    };
    let (cx, who, csrf) = match known {
        Some((cx, who, csrf)) => (Some(cx), Some(who), csrf),
        None => (None, None, String::new()),
    };
    let mut page = blank(&parts.headers, &parts.uri, who, request_id, now);
    page.passkeys = portal.gate.installed::<RelyingParty>().is_some();
    let notice = cookie(cookies, "yunwei_flash").and_then(|code| flash(page.t, code));
    let page = Page { csrf, notice, ..page };
    let session = secret.map(Secret::new);
    let sign_in = cookie(cookies, portal.sign_in_cookie()).filter(|v| !v.is_empty()).map(Secret::new);
    let at_provider = cookie(cookies, portal.provider_cookie()).filter(|v| !v.is_empty()).map(ToOwned::to_owned);
    let (form, needs, secure) = (Form::default(), Arc::default(), portal.tls);
    Visit { page, cx, session, sign_in, at_provider, query, form, agent, address, secure, needs }
}

/// A page without forms, in the language and the theme that the request asks for.
fn blank(headers: &HeaderMap, uri: &Uri, who: Option<Who>, request_id: String, now: Timestamp) -> Page {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let cookies = text("cookie");
    let lang = Lang::parse(Form::parse(uri.query().unwrap_or_default()).get("lang"))
        .or_else(|| cookie(cookies, "yunwei_lang").and_then(Lang::parse))
        .or_else(|| who.as_ref().and_then(|who| Lang::parse(&who.locale)))
        .or_else(|| Lang::accept(text("accept-language")))
        .unwrap_or(Lang::Zh);
    Page {
        lang,
        t: lang.messages(),
        theme: cookie(cookies, "yunwei_theme").map_or(Theme::Auto, Theme::parse),
        // Pages link to themselves: an address such as `//elsewhere` would lead away.
        path: uri.path_and_query().map(ToString::to_string).filter(|p| http::is_local(p)).unwrap_or_else(|| "/".into()),
        csrf: String::new(),
        request_id,
        passkeys: false,
        now,
        who,
        notice: None,
        refresh: None,
    }
}

/// The layer around the whole server: what was answered before or instead of a
/// handler ([`Unanswered`]) becomes a page for whoever reads pages. Who asks is
/// not looked up: those who ask too often are to cost little.
pub(crate) async fn legible(portal: Portal, request: Request, next: Next) -> Response {
    let (headers, uri) = (request.headers().clone(), request.uri().clone());
    let response = next.run(request).await;
    let Some(Unanswered(error)) = response.extensions().get::<Unanswered>().cloned() else { return response };
    if !errors::reads_pages(&headers) {
        return response;
    }
    let given = response.headers().get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    let page = blank(&headers, &uri, None, given.to_owned(), portal.gate.now());
    let (mut said, body) = errors::page(&page, &error).into_parts();
    protect(&mut said.headers);
    let (mut parts, _) = response.into_parts();
    // Those of the document would tell another type and another length.
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.extend(said.headers);
    Response::from_parts(parts, body)
}

/// What the forms of somebody unknown are bound to: a cookie of their own.
fn binding(portal: &Portal, headers: &HeaderMap, sets: &mut Vec<String>) -> String {
    let cookies = headers.get(header::COOKIE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if let Some(given) = cookie(cookies, portal.visit_cookie()).filter(|v| v.len() == 64) {
        return given.to_owned();
    }
    let mut bytes = [0_u8; 32];
    if ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes).is_err() {
        tracing::error!("the system gives no random numbers");
    }
    let fresh = base::hex::encode(&bytes);
    sets.push(portal.cookie(portal.visit_cookie(), &fresh, None));
    fresh
}

/// The token of forms: a hash of what they are bound to, so that neither can
/// be had from the other and nothing need be stored.
fn token(key: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, format!("yunwei form token\0{key}").as_bytes());
    base::hex::encode(digest.as_ref())
}

/// Reads a submitted form, or says why it is none of ours.
async fn submitted(parts: &Parts, body: Body, csrf: &str) -> base::Result<Form> {
    from_here(&parts.headers)?;
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return Err(Error::invalid("form.media_type", "a form is sent as application/x-www-form-urlencoded"));
    }
    let bytes = to_bytes(body, limits::FORM_BYTES_MAX)
        .await
        .map_err(|_| Error::invalid("form.too_large", "the form is larger than a page of ours can send"))?;
    let form = Form::parse(&String::from_utf8_lossy(&bytes));
    bound(&form, csrf)?;
    Ok(form)
}

/// Whether a form carries the token of this session.
pub(crate) fn bound(form: &Form, csrf: &str) -> base::Result<()> {
    let given = form.raw("csrf");
    let same = given.len() == csrf.len() && given.bytes().zip(csrf.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0;
    match same {
        true => Ok(()),
        false => Err(Error::new(Kind::Forbidden, errors::STALE_FORM, "the form's token is not this session's")),
    }
}

/// Whether a page of this site sent the request, as far as the browser says.
/// A program that says nothing still needs the token.
fn from_here(headers: &HeaderMap) -> base::Result<()> {
    if web::same_origin(headers) {
        return Ok(());
    }
    Err(Error::new(Kind::Forbidden, errors::CROSS_SITE, "another site sent this form"))
}

/// What the last request achieved, by the code that [`done`] left behind.
fn flash(t: &'static Messages, code: &str) -> Option<Notice> {
    let text = match code {
        "saved" => t.frame.saved,
        "shipping" => t.shipping.shipping,
        "signed-out" => t.frame.signed_out,
        "joined" => t.door.joined,
        "password-set" => t.door.reset_done,
        "session-over" => return Some(Notice::new(Tone::Info, "", t.door.session_over)),
        "order-placed" => t.ordering.order_placed,
        "order-cancelling" => t.ordering.order_cancelling,
        "drill-planned" => t.drills.plan_made,
        "drill-begun" => t.drills.run_started,
        "drill-stopping" => t.drills.run_stopping,
        "reading-repository" => t.rules.reading_begun,
        "thing-added" => t.inventory.added_ok,
        "thing-removed" => t.inventory.removed_ok,
        "inventory-imported" => t.inventory.imported_ok,
        "platform-kept" => t.platform.kept,
        "platform-copy" => t.platform.taken,
        "starting" => t.ordering.starting_now,
        "stopping" => t.ordering.stopping_now,
        "restarting" => t.ordering.restarting_now,
        "deleting" => t.ordering.deleting_now,
        "backing-up" => t.backups.backing_up,
        "fetching" => t.backups.fetching,
        "restoring" => t.backups.restoring,
        "letting-go" => t.backups.ending,
        "policy-attached" => t.rules.attached,
        "protection-ended" => t.rules.ended,
        "invited" => t.account.invited_ok,
        "withdrawn" => t.account.withdrawn_ok,
        "role-changed" => t.account.role_changed,
        "removed" => t.account.removed_ok,
        "revoked" => t.account.revoked_ok,
        "ended" => t.account.ended_ok,
        "approval-asked" => t.approvals.asked,
        "approved" => t.approvals.done,
        "decided" => t.operator.decided,
        "host-changed" => t.operator.host_changed,
        "job-decided" => t.operator.job_decided,
        "factor-activated" => t.factors.activated_ok,
        "factor-removed" => t.factors.removed_ok,
        "factors-reset" => t.factors.reset_ok,
        "stepped-up" => t.factors.confirmed,
        "sign-in-over" => return Some(Notice::new(Tone::Info, "", t.factors.over)),
        "password-changed" => t.account.password_changed,
        "delivery-again" => t.webhooks.again_ok,
        "webhook-ended" => t.webhooks.ended,
        "customer-created" => t.operator.customer_created,
        _ => return None,
    };
    Some(Notice::new(Tone::Well, "", text))
}

/// After something was done: on to `to`, where `code` says so.
pub(crate) fn done(portal: &Portal, to: &str, code: &str) -> Response {
    let mut response = Redirect::to(to).into_response();
    if let Ok(value) = HeaderValue::from_str(&portal.cookie("yunwei_flash", code, Some(60))) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn forms_from_other_sites_are_refused() {
        for good in [
            headers(&[("sec-fetch-site", "same-origin")]),
            headers(&[("origin", "http://cloud.example:8443"), ("host", "cloud.example:8443")]),
            headers(&[("host", "cloud.example")]),
        ] {
            assert!(from_here(&good).is_ok(), "{good:?}");
        }
        for bad in [
            headers(&[("sec-fetch-site", "cross-site")]),
            headers(&[("sec-fetch-site", "same-site")]),
            headers(&[("origin", "null"), ("host", "cloud.example")]),
            headers(&[("origin", "https://evil.example"), ("host", "cloud.example")]),
            headers(&[("origin", "https://cloud.example.evil"), ("host", "cloud.example")]),
        ] {
            assert!(from_here(&bad).is_err(), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn a_form_without_this_sessions_token_is_refused() {
        let (parts, ()) = Request::post("/x")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(())
            .unwrap()
            .into_parts();
        let token_of = token("this session");
        let send = |body: String| submitted(&parts, Body::from(body), &token_of);
        assert!(send(format!("csrf={token_of}&name=x")).await.is_ok());
        for bad in [String::new(), "csrf=".into(), format!("csrf={}", token("another"))] {
            assert_eq!(send(bad).await.unwrap_err().code(), errors::STALE_FORM);
        }
        assert!(send("x".repeat(limits::FORM_BYTES_MAX + 1)).await.is_err());
    }
}
